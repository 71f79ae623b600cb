#include "control/qmp-message.h"

#include <assert.h>

/* Clients ask for QEMU's version to know which commands mean what: ours mean what they mean there. */
#define QMP_MAJOR 7
#define QMP_MINOR 2
#define QMP_MICRO 0

G_DEFINE_QUARK (qmp - error - quark, qmp_error)

static const char *const error_classes[] = {
  [QMP_ERROR_GENERIC] = "GenericError",
  [QMP_ERROR_COMMAND_NOT_FOUND] = "CommandNotFound",
  [QMP_ERROR_DEVICE_NOT_ACTIVE] = "DeviceNotActive",
  [QMP_ERROR_DEVICE_NOT_FOUND] = "DeviceNotFound",
};
static_assert (G_N_ELEMENTS (error_classes) == QMP_N_ERRORS, "a class for each error");

static const char *const event_names[] = {
  [MACHINE_EVENT_STOP] = "STOP",
  [MACHINE_EVENT_RESUME] = "RESUME",
  [MACHINE_EVENT_RESET] = "RESET",
  [MACHINE_EVENT_POWERDOWN] = "POWERDOWN",
  [MACHINE_EVENT_SHUTDOWN] = "SHUTDOWN",
  [MACHINE_EVENT_GUEST_PANICKED] = "GUEST_PANICKED",
  [MACHINE_EVENT_TRAY_OPENED] = "DEVICE_TRAY_MOVED",
  [MACHINE_EVENT_TRAY_CLOSED] = "DEVICE_TRAY_MOVED",
  [MACHINE_EVENT_BLOCK_IO_ERROR] = "BLOCK_IO_ERROR",
  [MACHINE_EVENT_BALLOON_CHANGE] = "BALLOON_CHANGE",
};
static_assert (G_N_ELEMENTS (event_names) == MACHINE_N_EVENTS, "a name for each event");

/* Takes object. */
static char *
to_line (JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);

  json_node_take_object (node, object);
  g_autofree char *text = json_to_string (node, FALSE);
  return g_strconcat (text, "\r\n", NULL);
}

JsonObject *
qmp_message_new_version (void)
{
  JsonObject *qemu = json_object_new ();
  JsonObject *version = json_object_new ();

  json_object_set_int_member (qemu, "micro", QMP_MICRO);
  json_object_set_int_member (qemu, "minor", QMP_MINOR);
  json_object_set_int_member (qemu, "major", QMP_MAJOR);
  json_object_set_object_member (version, "qemu", qemu);
  json_object_set_string_member (version, "package", "alcove-vmm " ALCOVE_VERSION);
  return version;
}

char *
qmp_message_greeting (void)
{
  JsonObject *qmp = json_object_new ();
  JsonObject *greeting = json_object_new ();

  json_object_set_object_member (qmp, "version", qmp_message_new_version ());
  json_object_set_array_member (qmp, "capabilities", json_array_new ());
  json_object_set_object_member (greeting, "QMP", qmp);
  return to_line (greeting);
}

char *
qmp_message_reply (JsonNode *result, JsonNode *id)
{
  JsonObject *reply = json_object_new ();

  if (result != NULL)
    json_object_set_member (reply, "return", result);
  else
    json_object_set_object_member (reply, "return", json_object_new ());
  if (id != NULL)
    json_object_set_member (reply, "id", json_node_copy (id));
  return to_line (reply);
}

char *
qmp_message_error (const GError *error, JsonNode *id)
{
  JsonObject *body = json_object_new ();
  JsonObject *reply = json_object_new ();
  unsigned code = error->domain == QMP_ERROR ? (unsigned) error->code : QMP_ERROR_GENERIC;
  /* A message may quote what a client sent or a path of the file system. */
  g_autofree char *text = g_utf8_make_valid (error->message, -1);

  g_return_val_if_fail (code < QMP_N_ERRORS, NULL);
  json_object_set_string_member (body, "class", error_classes[code]);
  json_object_set_string_member (body, "desc", text);
  if (id != NULL)
    json_object_set_member (reply, "id", json_node_copy (id));
  json_object_set_object_member (reply, "error", body);
  return to_line (reply);
}

/* QEMU's shutdown_caused_by_guest (). */
static bool
is_by_guest (MachineCause cause)
{
  return cause == MACHINE_CAUSE_GUEST_SHUTDOWN || cause == MACHINE_CAUSE_GUEST_RESET ||
         cause == MACHINE_CAUSE_GUEST_PANIC;
}

static JsonObject *
new_event_data (MachineEvent event, MachineCause cause)
{
  JsonObject *data;

  switch (event)
    {
    case MACHINE_EVENT_RESET:
    case MACHINE_EVENT_SHUTDOWN:
      data = json_object_new ();
      json_object_set_boolean_member (data, "guest", is_by_guest (cause));
      json_object_set_string_member (data, "reason", machine_cause_to_string (cause));
      return data;
    case MACHINE_EVENT_GUEST_PANICKED:
      data = json_object_new ();
      json_object_set_string_member (data, "action", "poweroff");
      return data;
    case MACHINE_EVENT_TRAY_OPENED:
    case MACHINE_EVENT_TRAY_CLOSED:
      data = json_object_new ();
      json_object_set_string_member (data, "device", "");
      json_object_set_string_member (data, "id", "cdrom0");
      json_object_set_boolean_member (data, "tray-open", event == MACHINE_EVENT_TRAY_OPENED);
      return data;
    default:
      return NULL;
    }
}

/* Takes data; NULL: none. */
static char *
new_event (MachineEvent event, JsonObject *data)
{
  int64_t now = g_get_real_time ();
  JsonObject *timestamp = json_object_new ();
  JsonObject *message = json_object_new ();

  json_object_set_int_member (timestamp, "seconds", now / G_USEC_PER_SEC);
  json_object_set_int_member (timestamp, "microseconds", now % G_USEC_PER_SEC);
  json_object_set_object_member (message, "timestamp", timestamp);
  json_object_set_string_member (message, "event", event_names[event]);
  if (data != NULL)
    json_object_set_object_member (message, "data", data);
  return to_line (message);
}

char *
qmp_message_event (MachineEvent event, MachineCause cause)
{
  return new_event (event, new_event_data (event, cause));
}

char *
qmp_message_balloon_change (uint64_t actual)
{
  JsonObject *data = json_object_new ();

  json_object_set_int_member (data, "actual", (int64_t) actual);
  return new_event (MACHINE_EVENT_BALLOON_CHANGE, data);
}

char *
qmp_message_block_io_error (const MachineBlockError *error)
{
  JsonObject *data = json_object_new ();
  g_autofree char *reason = g_utf8_make_valid (error->reason, -1);

  json_object_set_string_member (data, "device", "");
  json_object_set_string_member (data, "node-name", error->id);
  json_object_set_string_member (data, "operation", error->is_write ? "write" : "read");
  json_object_set_string_member (data, "action", "stop");
  json_object_set_boolean_member (data, "nospace", error->nospace);
  json_object_set_string_member (data, "reason", reason);
  return new_event (MACHINE_EVENT_BLOCK_IO_ERROR, data);
}
