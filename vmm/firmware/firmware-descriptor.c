#define G_LOG_DOMAIN "vmm-firmware"

#include "firmware/firmware-descriptor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <json-glib/json-glib.h>

#define DESCRIPTOR_MAX 65536 /* bytes; they have one thousand */

const char *const firmware_descriptor_folders[] = { "/etc/qemu/firmware",
                                                    "/usr/share/qemu/firmware", NULL };

static JsonObject *
get_object (JsonObject *object, const char *name)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;

  return node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

static const char *
get_string (JsonNode *node)
{
  return node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
}

static bool
has_feature (JsonObject *descriptor, const char *feature)
{
  JsonNode *node = json_object_get_member (descriptor, "features");
  JsonArray *features = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  for (unsigned i = 0; features && i < json_array_get_length (features); i++)
    if (g_strcmp0 (get_string (json_array_get_element (features, i)), feature) == 0)
      return true;
  return false;
}

/* Names are often links to one file. */
static bool
is_same_file (const char *a, const char *b)
{
  g_autofree char *real_a = a ? realpath (a, NULL) : NULL, *real_b = realpath (b, NULL);

  return real_a && real_b && strcmp (real_a, real_b) == 0;
}

static bool
descriptor_says (const char *path, const char *code)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  struct stat info;

  if (stat (path, &info) < 0 || !S_ISREG (info.st_mode) || info.st_size > DESCRIPTOR_MAX ||
      !json_parser_load_from_file (parser, path, NULL))
    return false;
  JsonNode *root = json_parser_get_root (parser);
  if (!root || !JSON_NODE_HOLDS_OBJECT (root))
    return false;
  JsonObject *descriptor = json_node_get_object (root);
  JsonObject *executable = get_object (get_object (descriptor, "mapping"), "executable");
  return executable &&
         is_same_file (get_string (json_object_get_member (executable, "filename")), code) &&
         has_feature (descriptor, "requires-smm");
}

bool
firmware_descriptor_needs_smm (const char *code, const char *const *folders)
{
  for (unsigned i = 0; folders[i]; i++)
    {
      g_autoptr (GDir) folder = g_dir_open (folders[i], 0, NULL);
      const char *name;

      while (folder && (name = g_dir_read_name (folder)))
        {
          g_autofree char *path = g_build_filename (folders[i], name, NULL);

          if (g_str_has_suffix (name, ".json") && descriptor_says (path, code))
            return true;
        }
    }
  return false;
}
