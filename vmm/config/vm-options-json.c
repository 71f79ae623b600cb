#include "config/vm-options.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <json-glib/json-glib.h>

#include "base/json-frame.h"
#include "config/option-words.h"
#include "config/vm-option-table.h"

/* A configuration is some hundred bytes; these bound what a foreign file can make us do. */
#define JSON_SIZE_MAX  (1u << 20)
#define JSON_DEPTH_MAX 16u

static bool
apply_node (VmConfig *config, const VmOption *option, JsonNode *node, const char *source,
            GError **error)
{
  g_autoptr (OptionWords) words = option_words_new_from_json (node, option->whole);

  if (words != NULL)
    return vm_option_apply (config, option, words, source, error);
  g_autofree char *text = json_to_string (node, FALSE);
  g_autoptr (OptionWords) whole = option_words_new_from_text (text, true);
  g_autofree char *shown = option_words_to_message (whole);
  return vm_option_refuse (error, "%s: --%s: %s is of the wrong type; allowed is %s", source,
                           option->name, shown, option->allowed);
}

static bool
apply_member (VmConfig *config, const char *name, JsonNode *node, const char *source,
              GError **error)
{
  const VmOption *option = vm_option_find (name);

  if (option == NULL || option->set == NULL)
    {
      g_autoptr (OptionWords) words = option_words_new_from_text (name, true);
      g_autofree char *shown = option_words_to_message (words);
      return vm_option_refuse (error, "%s: \"%s\" is not an option of a machine", source, shown);
    }
  if (!option->repeats || !JSON_NODE_HOLDS_ARRAY (node))
    return apply_node (config, option, node, source, error);
  JsonArray *array = json_node_get_array (node);
  for (unsigned i = 0; i < json_array_get_length (array); i++)
    if (!apply_node (config, option, json_array_get_element (array, i), source, error))
      return false;
  return true;
}

/* json-glib recurses: nothing reaches it that is not known to be shallow. */
static bool
is_bounded (const char *source, const char *json, gsize size, GError **error)
{
  JsonFrame frame;
  size_t used = 0;

  if (size > JSON_SIZE_MAX + 1)
    return vm_option_refuse (error, "%s: longer than %u bytes: not a configuration", source,
                             JSON_SIZE_MAX);
  if (size == 1 || memchr (json, '\0', size) != NULL || !g_utf8_validate (json, size, NULL))
    return vm_option_refuse (error, "%s: not JSON in UTF-8", source);
  json_frame_init (&frame, JSON_DEPTH_MAX);
  JsonFrameResult result = json_frame_scan (&frame, json, size, &used);
  if (result == JSON_FRAME_TOO_DEEP)
    return vm_option_refuse (error, "%s: nested deeper than %u levels", source, JSON_DEPTH_MAX);
  if (result != JSON_FRAME_COMPLETE)
    return vm_option_refuse (error, "%s: not JSON: %s", source,
                             result == JSON_FRAME_MORE ? "it ends in the middle of a value"
                                                       : "it has a character that JSON has not");
  if (strspn (json + used, " \t\r\n") < size - used)
    return vm_option_refuse (error, "%s: has something after the end of its object", source);
  return true;
}

bool
vm_options_apply_json (VmConfig *config, const char *source, const char *json, gsize size,
                       GError **error)
{
  /* Terminated, for strspn; the newline ends a value that is a bare number. */
  g_autoptr (GString) copy = g_string_new_len (json, MIN (size, JSON_SIZE_MAX + 1));
  g_string_append_c (copy, '\n');
  const char *text = copy->str;
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  g_autoptr (GError) problem = NULL;

  if (!is_bounded (source, text, size + 1, error))
    return false;
  if (!json_parser_load_from_data (parser, text, size, &problem))
    return vm_option_refuse (error, "%s: not JSON: %s", source,
                             g_strdelimit (problem->message, "\n", ' '));
  JsonNode *root = json_parser_get_root (parser);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    return vm_option_refuse (error, "%s: must be a JSON object with the options as members",
                             source);
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;
  json_object_iter_init_ordered (&iter, json_node_get_object (root));
  while (json_object_iter_next_ordered (&iter, &name, &node))
    if (!apply_member (config, name, node, source, error))
      return false;
  return true;
}

/* At most JSON_SIZE_MAX + 1 bytes, whatever kind of file it is. */
static GByteArray *
read_bounded (const char *path, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  uint8_t buffer[16384];
  ssize_t n = -1;

  while (fd >= 0 && bytes->len <= JSON_SIZE_MAX)
    {
      n = read (fd, buffer, MIN (sizeof buffer, JSON_SIZE_MAX + 1 - bytes->len));
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        break;
      g_byte_array_append (bytes, buffer, n);
    }
  if (n < 0)
    g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "--config: %s: %s", path,
                 g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return n < 0 ? NULL : g_steal_pointer (&bytes);
}

bool
vm_options_apply_file (VmConfig *config, const char *path, GError **error)
{
  g_autoptr (GByteArray) bytes = read_bounded (path, error);

  return bytes != NULL &&
         vm_options_apply_json (config, path, (const char *) bytes->data, bytes->len, error);
}
