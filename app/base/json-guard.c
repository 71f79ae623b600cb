#include "base/json-guard.h"

#include <string.h>
#include <gio/gio.h>

/* Bounds the nesting by counting brackets outside of strings; whether they match is the parser's
 * business. Characters that JSON does not have there are refused, above all the comments which
 * json-glib would accept: a quote in a comment would hide what follows from this count. */
static gboolean
check_shape (const char *data, gsize length, GError **error)
{
  gboolean in_string = FALSE;
  guint depth = 0;

  for (gsize i = 0; i < length; i++)
    {
      char c = data[i];

      if (c == '\0' || (!in_string && !g_ascii_isalnum (c) && !strchr ("\"{}[],:+-. \t\r\n", c)))
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                       "not JSON: unexpected character (code %u) at offset %" G_GSIZE_FORMAT,
                       (guchar) c, i);
          return FALSE;
        }
      if (in_string)
        {
          if (c == '\\')
            i++;
          else if (c == '"')
            in_string = FALSE;
        }
      else if (c == '"')
        in_string = TRUE;
      else if (c == '{' || c == '[')
        depth++;
      else if ((c == '}' || c == ']') && depth > 0)
        depth--;
      if (depth > JSON_GUARD_DEPTH_MAX)
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                       "nested more than %d levels deep", JSON_GUARD_DEPTH_MAX);
          return FALSE;
        }
    }
  return TRUE;
}

JsonNode *
json_guard_parse (const char *data, gsize length, gsize length_max, GError **error)
{
  g_autoptr (JsonParser) parser = NULL;
  g_autoptr (GError) local_error = NULL;
  JsonNode *root;

  if (length > length_max)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                   "%" G_GSIZE_FORMAT " bytes long, at most %" G_GSIZE_FORMAT " are allowed",
                   length, length_max);
      return NULL;
    }
  if (!g_utf8_validate_len (data, length, NULL))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not UTF-8");
      return NULL;
    }
  if (!check_shape (data, length, error))
    return NULL;
  parser = json_parser_new_immutable ();
  if (!json_parser_load_from_data (parser, data, length, &local_error))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not JSON: %s",
                   local_error->message);
      return NULL;
    }
  root = json_parser_steal_root (parser);
  if (root == NULL)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not JSON: it is empty");
  return root;
}

static JsonNode *
find_value (JsonObject *object, const char *member, GType type)
{
  JsonNode *node = json_object_get_member (object, member);

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == type
             ? node
             : NULL;
}

gint64
json_guard_get_int (JsonObject *object, const char *member, gint64 otherwise)
{
  JsonNode *node = find_value (object, member, G_TYPE_INT64);

  return node != NULL ? json_node_get_int (node) : otherwise;
}

gboolean
json_guard_get_boolean (JsonObject *object, const char *member, gboolean otherwise)
{
  JsonNode *node = find_value (object, member, G_TYPE_BOOLEAN);

  return node != NULL ? json_node_get_boolean (node) : otherwise;
}
