#include "base/strict-json.h"

#include <string.h>
#include <gio/gio.h>

struct StrictJson
{
  JsonObject *object;
  const char *file;
  char *
      path; /* of this object within the file, "" for the root, else with a dot or bracket at its end */
  GError **error;
  GHashTable *seen; /* names of fields that were asked for */
};

StrictJson *
strict_json_new (JsonObject *object, const char *file, GError **error)
{
  StrictJson *self = g_new0 (StrictJson, 1);

  self->object = object;
  self->file = file;
  self->path = g_strdup ("");
  self->error = error;
  self->seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return self;
}

static StrictJson *child_new (StrictJson *parent, JsonObject *object, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

static StrictJson *
child_new (StrictJson *parent, JsonObject *object, const char *format, ...)
{
  StrictJson *self = strict_json_new (object, parent->file, parent->error);
  g_autofree char *own = NULL;
  va_list args;

  va_start (args, format);
  own = g_strdup_vprintf (format, args);
  va_end (args);
  g_free (self->path);
  self->path = g_strconcat (parent->path, own, ".", NULL);
  return self;
}

gboolean
strict_json_has_failed (StrictJson *self)
{
  return *self->error != NULL;
}

void
strict_json_fail (StrictJson *self, const char *field, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  if (strict_json_has_failed (self))
    return;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (self->error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: %s%s: %s", self->file,
               self->path, field, text);
}

gboolean
strict_json_end (StrictJson *self)
{
  g_autoptr (GList) members = json_object_get_members (self->object);
  gboolean ok;

  for (GList *l = members; l != NULL; l = l->next)
    if (!g_hash_table_contains (self->seen, l->data))
      {
        g_autofree char *shown = g_strndup (l->data, 40);
        g_autofree char *valid = g_utf8_make_valid (shown, -1);

        strict_json_fail (self, valid, "is not a field that this version knows");
      }
  ok = !strict_json_has_failed (self);
  g_hash_table_unref (self->seen);
  g_free (self->path);
  g_free (self);
  return ok;
}

static const char *
describe (JsonNode *node)
{
  switch (json_node_get_node_type (node))
    {
    case JSON_NODE_OBJECT:
      return "an object";
    case JSON_NODE_ARRAY:
      return "a list";
    case JSON_NODE_NULL:
      return "null";
    case JSON_NODE_VALUE:
    default:
      if (json_node_get_value_type (node) == G_TYPE_STRING)
        return "a text";
      return json_node_get_value_type (node) == G_TYPE_BOOLEAN ? "true or false" : "a number";
    }
}

static JsonNode *
get_node (StrictJson *self, const char *field, gboolean required)
{
  JsonNode *node;

  g_hash_table_add (self->seen, g_strdup (field));
  if (strict_json_has_failed (self))
    return NULL;
  node = json_object_get_member (self->object, field);
  if (node == NULL && required)
    strict_json_fail (self, field, "is missing");
  return node;
}

/* The checked text of a node; NULL after an error. */
static const char *
get_text (StrictJson *self, const char *field, JsonNode *node, gsize bytes_max)
{
  const char *text;

  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_STRING)
    {
      strict_json_fail (self, field, "is %s, a text is needed", describe (node));
      return NULL;
    }
  text = json_node_get_string (node);
  if (text[0] == '\0')
    strict_json_fail (self, field, "is empty");
  else if (strlen (text) > bytes_max)
    strict_json_fail (self, field, "is longer than %" G_GSIZE_FORMAT " bytes", bytes_max);
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    if (g_unichar_iscntrl (g_utf8_get_char (p)))
      strict_json_fail (self, field, "has a control character in it");
  return strict_json_has_failed (self) ? NULL : text;
}

char *
strict_json_dup_string (StrictJson *self, const char *field, gboolean required, gsize bytes_max)
{
  JsonNode *node = get_node (self, field, required);

  return node != NULL ? g_strdup (get_text (self, field, node, bytes_max)) : NULL;
}

static guint64
check_range (StrictJson *self, const char *field, guint64 value, guint64 min, guint64 max,
             guint64 fallback)
{
  if (value >= min && value <= max)
    return value;
  strict_json_fail (self, field,
                    "is %" G_GUINT64_FORMAT ", allowed are %" G_GUINT64_FORMAT
                    " to %" G_GUINT64_FORMAT,
                    value, min, max);
  return fallback;
}

guint64
strict_json_get_uint (StrictJson *self, const char *field, guint64 fallback, guint64 min,
                      guint64 max)
{
  JsonNode *node = get_node (self, field, FALSE);

  if (node == NULL)
    return fallback;
  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_INT64 ||
      json_node_get_int (node) < 0)
    {
      strict_json_fail (self, field, "is %s, a whole number from 0 on is needed", describe (node));
      return fallback;
    }
  return check_range (self, field, json_node_get_int (node), min, max, fallback);
}

guint64
strict_json_get_size (StrictJson *self, const char *field, guint64 fallback, guint64 min,
                      guint64 max)
{
  JsonNode *node = get_node (self, field, FALSE);
  const char *text;
  g_autofree char *digits = NULL;
  guint64 value;
  guint shift;

  if (node == NULL)
    return fallback;
  text = get_text (self, field, node, 20);
  if (text == NULL)
    return fallback;
  shift = g_str_has_suffix (text, "M") ? 20 : g_str_has_suffix (text, "G") ? 30 : 0;
  digits = g_strndup (text, strlen (text) - 1);
  if (shift == 0 || !g_ascii_string_to_unsigned (digits, 10, 0, G_MAXUINT32, &value, NULL))
    {
      strict_json_fail (self, field, "is “%s”, a size as “512M” or “2G” is needed", text);
      return fallback;
    }
  return check_range (self, field, value << shift, min, max, fallback);
}

int
strict_json_get_word (StrictJson *self, const char *field, gboolean required, GType type)
{
  g_autoptr (GEnumClass) klass = g_type_class_ref (type);
  g_autoptr (GString) known = NULL;
  JsonNode *node = get_node (self, field, required);
  const char *text = node != NULL ? get_text (self, field, node, 40) : NULL;
  GEnumValue *value;

  if (text == NULL)
    return -1;
  value = g_enum_get_value_by_nick (klass, text);
  if (value != NULL)
    return value->value;
  known = g_string_new (NULL);
  for (guint i = 0; i < klass->n_values; i++)
    g_string_append_printf (known, "%s%s", i > 0 ? ", " : "", klass->values[i].value_nick);
  strict_json_fail (self, field, "is “%s”, allowed are: %s", text, known->str);
  return -1;
}

/* The array in a field, of a right length; NULL after an error. */
static JsonArray *
get_array (StrictJson *self, const char *field, guint min, guint max)
{
  JsonNode *node = get_node (self, field, min > 0);
  JsonArray *array;
  guint length;

  if (node == NULL)
    return NULL;
  if (!JSON_NODE_HOLDS_ARRAY (node))
    {
      strict_json_fail (self, field, "is %s, a list is needed", describe (node));
      return NULL;
    }
  array = json_node_get_array (node);
  length = json_array_get_length (array);
  if (length >= min && length <= max)
    return array;
  strict_json_fail (self, field, "has %u entries, allowed are %u to %u", length, min, max);
  return NULL;
}

char **
strict_json_dup_strings (StrictJson *self, const char *field, guint min, guint max, gsize bytes_max)
{
  JsonArray *array = get_array (self, field, min, max);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++)
    {
      g_autofree char *name = g_strdup_printf ("%s[%u]", field, i);
      const char *text = get_text (self, name, json_array_get_element (array, i), bytes_max);

      if (text != NULL)
        g_strv_builder_add (builder, text);
    }
  return g_strv_builder_end (builder);
}

StrictJson *
strict_json_get_object (StrictJson *self, const char *field, gboolean required)
{
  JsonNode *node = get_node (self, field, required);

  if (node == NULL)
    return NULL;
  if (JSON_NODE_HOLDS_OBJECT (node))
    return child_new (self, json_node_get_object (node), "%s", field);
  strict_json_fail (self, field, "is %s, an object is needed", describe (node));
  return NULL;
}

guint
strict_json_get_length (StrictJson *self, const char *field, guint min, guint max)
{
  JsonArray *array = get_array (self, field, min, max);

  return array != NULL ? json_array_get_length (array) : 0;
}

StrictJson *
strict_json_get_element (StrictJson *self, const char *field, guint index)
{
  JsonArray *array = get_array (self, field, 0, G_MAXUINT);
  g_autofree char *name = g_strdup_printf ("%s[%u]", field, index);
  JsonNode *node;

  if (array == NULL || index >= json_array_get_length (array))
    return NULL;
  node = json_array_get_element (array, index);
  if (JSON_NODE_HOLDS_OBJECT (node))
    return child_new (self, json_node_get_object (node), "%s", name);
  strict_json_fail (self, name, "is %s, an object is needed", describe (node));
  return NULL;
}
