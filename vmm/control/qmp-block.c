#define G_LOG_DOMAIN "vmm-control"

#include "control/qmp-block.h"

#include <string.h>
#include <gio/gio.h>

#include "control/qmp-message.h"

static JsonObject *
new_image (const MachineBlock *block)
{
  JsonObject *image = json_object_new ();
  g_autofree char *file = g_utf8_make_valid (block->file, -1);

  json_object_set_string_member (image, "filename", file);
  json_object_set_string_member (image, "format", vm_disk_format_to_string (block->format));
  json_object_set_int_member (image, "virtual-size", (int64_t) block->size);
  return image;
}

static JsonObject *
new_inserted (const MachineBlock *block)
{
  static const char *const limits[] = {
    "bps",
    "bps_rd",
    "bps_wr",
    "iops",
    "iops_rd",
    "iops_wr",
    "backing_file_depth",
    "write_threshold",
  };
  JsonObject *inserted = json_object_new ();
  JsonObject *cache = json_object_new ();
  g_autofree char *file = g_utf8_make_valid (block->file, -1);

  json_object_set_string_member (inserted, "file", file);
  json_object_set_string_member (inserted, "node-name", block->id);
  json_object_set_string_member (inserted, "drv", vm_disk_format_to_string (block->format));
  json_object_set_boolean_member (inserted, "ro", block->readonly);
  json_object_set_boolean_member (inserted, "encrypted", FALSE);
  json_object_set_string_member (inserted, "detect_zeroes", "off");
  for (unsigned i = 0; i < G_N_ELEMENTS (limits); i++)
    json_object_set_int_member (inserted, limits[i], 0);
  json_object_set_boolean_member (cache, "writeback", TRUE);
  json_object_set_boolean_member (cache, "direct", FALSE);
  json_object_set_boolean_member (cache, "no-flush", FALSE);
  json_object_set_object_member (inserted, "cache", cache);
  json_object_set_object_member (inserted, "image", new_image (block));
  return inserted;
}

static JsonObject *
new_block (const MachineBlock *block)
{
  const char *io_status = block->nospace ? "nospace" : block->failed ? "failed" : "ok";
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "device", "");
  json_object_set_string_member (object, "qdev", block->id);
  json_object_set_string_member (object, "type", "unknown");
  json_object_set_boolean_member (object, "locked", block->locked);
  json_object_set_boolean_member (object, "removable", block->is_cdrom);
  json_object_set_string_member (object, "io-status", io_status);
  if (block->is_cdrom)
    json_object_set_boolean_member (object, "tray_open", block->tray_open);
  if (block->file)
    json_object_set_object_member (object, "inserted", new_inserted (block));
  return object;
}

bool
qmp_block_query (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  g_autoptr (GArray) blocks = context->target->ops->get_blocks (context->target->opaque);
  JsonArray *list = json_array_new ();

  for (unsigned i = 0; i < blocks->len; i++)
    json_array_add_object_element (list, new_block (&g_array_index (blocks, MachineBlock, i)));
  *result = json_node_new (JSON_NODE_ARRAY);
  json_node_take_array (*result, list);
  return true;
}

/* The drive that arguments name, borrowed from them; NULL with error unless it is a CD-ROM drive. */
static const char *
find_cdrom (QmpContext *context, JsonObject *arguments, GError **error)
{
  g_autoptr (GArray) blocks = context->target->ops->get_blocks (context->target->opaque);
  const bool by_device = json_object_has_member (arguments, "device");

  if (by_device == json_object_has_member (arguments, "id"))
    {
      g_set_error_literal (error, QMP_ERROR, QMP_ERROR_GENERIC,
                           "Need exactly one of 'device' and 'id'");
      return NULL;
    }
  const char *id = json_object_get_string_member (arguments, by_device ? "device" : "id");
  for (unsigned i = 0; i < blocks->len; i++)
    {
      const MachineBlock *block = &g_array_index (blocks, MachineBlock, i);

      if (strcmp (block->id, id) != 0)
        continue;
      if (block->is_cdrom)
        return id;
      g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC, "Device '%s' is not removable", id);
      return NULL;
    }
  g_set_error (error, QMP_ERROR, QMP_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", id);
  return NULL;
}

static bool
operate (QmpContext *context, JsonObject *arguments, MachineCdrom operation, GError **error)
{
  const char *id = find_cdrom (context, arguments, error);
  const bool force = json_object_get_boolean_member_with_default (arguments, "force", FALSE);
  const char *file = json_object_get_string_member_with_default (arguments, "filename", NULL);
  g_autoptr (GError) failure = NULL;

  if (id == NULL)
    return false;
  if (context->target->ops->operate_cdrom (context->target->opaque, operation, file, force,
                                           &failure))
    return true;
  if (g_error_matches (failure, G_IO_ERROR, G_IO_ERROR_BUSY))
    g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC,
                 "Device '%s' is locked and force was not specified, wait for tray to open and try "
                 "again",
                 id);
  else
    g_propagate_error (error, g_steal_pointer (&failure));
  return false;
}

bool
qmp_block_eject (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  return operate (context, arguments, MACHINE_CDROM_EJECT, error);
}

bool
qmp_block_open_tray (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  return operate (context, arguments, MACHINE_CDROM_OPEN, error);
}

bool
qmp_block_close_tray (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  return operate (context, arguments, MACHINE_CDROM_CLOSE, error);
}

/* What is in a CD-ROM drive is read-only, whichever of the modes is asked for but one. */
bool
qmp_block_change_medium (QmpContext *context, JsonObject *arguments, JsonNode **result,
                         GError **error)
{
  const char *mode =
      json_object_get_string_member_with_default (arguments, "read-only-mode", "retain");

  if (strcmp (mode, "retain") == 0 || strcmp (mode, "read-only") == 0)
    return operate (context, arguments, MACHINE_CDROM_CHANGE, error);
  g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC,
               "Parameter 'read-only-mode' does not accept value '%s'", mode);
  return false;
}
