#define G_LOG_DOMAIN "vmm-control"

#include "control/qmp-command.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "control/qmp-balloon.h"
#include "control/qmp-block.h"
#include "control/qmp-message.h"
#include "control/qmp-net.h"

#define PARAMETERS_MAX 6

typedef enum
{
  PARAMETER_STRING,
  PARAMETER_INTEGER,
  PARAMETER_BOOLEAN,
  PARAMETER_ARRAY,
  PARAMETER_N_TYPES
} ParameterType;

static const char *const type_words[] = {
  [PARAMETER_STRING] = "string",
  [PARAMETER_INTEGER] = "integer",
  [PARAMETER_BOOLEAN] = "boolean",
  [PARAMETER_ARRAY] = "array",
};
static_assert (G_N_ELEMENTS (type_words) == PARAMETER_N_TYPES, "a word for each type");

typedef struct Parameter
{
  const char *name;
  ParameterType type;
  bool optional;
  const char *only; /* the one value that a string may have */
} Parameter;

typedef struct QmpCommand
{
  const char *name;
  Parameter parameters[PARAMETERS_MAX + 1]; /* ended by one without a name */
  /* arguments have been checked against parameters; never NULL. *result stays NULL for {}. */
  bool (*run) (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error);
} QmpCommand;

static JsonNode *
take_object (JsonObject *object)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);

  json_node_take_object (node, object);
  return node;
}

static bool
run_capabilities (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  if (context->negotiated)
    {
      g_set_error_literal (error, QMP_ERROR, QMP_ERROR_COMMAND_NOT_FOUND,
                           "Capabilities negotiation is already complete, command ignored");
      return false;
    }
  JsonArray *enable = json_object_has_member (arguments, "enable")
                          ? json_object_get_array_member (arguments, "enable")
                          : NULL;
  for (unsigned i = 0; enable != NULL && i < json_array_get_length (enable); i++)
    {
      JsonNode *node = json_array_get_element (enable, i);
      const char *word = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
      if (word != NULL && strcmp (word, "oob") == 0)
        g_set_error_literal (error, QMP_ERROR, QMP_ERROR_GENERIC, "Capability oob not available");
      else if (word != NULL)
        g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC,
                     "Parameter 'null' does not accept value '%s'", word);
      else
        g_set_error_literal (error, QMP_ERROR, QMP_ERROR_GENERIC,
                             "Invalid parameter type for 'enable', expected: string");
      return false;
    }
  context->negotiated = true;
  return true;
}

static bool
run_query_status (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  MachineState state = context->target->ops->get_state (context->target->opaque);
  JsonObject *status = json_object_new ();

  json_object_set_string_member (status, "status", machine_state_to_string (state));
  json_object_set_boolean_member (status, "singlestep", FALSE);
  json_object_set_boolean_member (status, "running", state == MACHINE_STATE_RUNNING);
  *result = take_object (status);
  return true;
}

static bool
run_query_version (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  *result = take_object (qmp_message_new_version ());
  return true;
}

static bool
run_query_kvm (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  JsonObject *kvm = json_object_new ();

  json_object_set_boolean_member (kvm, "enabled", TRUE);
  json_object_set_boolean_member (kvm, "present", TRUE);
  *result = take_object (kvm);
  return true;
}

static bool
run_query_name (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  JsonObject *name = json_object_new ();

  json_object_set_string_member (name, "name",
                                 context->target->ops->get_name (context->target->opaque));
  *result = take_object (name);
  return true;
}

static bool run_query_commands (QmpContext *context, JsonObject *arguments, JsonNode **result,
                                GError **error);

static bool
run_stop (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  context->target->ops->pause (context->target->opaque);
  return true;
}

static bool
run_cont (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  return context->target->ops->cont (context->target->opaque, error);
}

static bool
run_powerdown (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  context->target->ops->powerdown (context->target->opaque);
  return true;
}

static bool
run_reset (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  context->target->ops->reset (context->target->opaque);
  return true;
}

static bool
run_quit (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  context->quit_requested = true;
  return true;
}

static bool
run_getfd (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  return qmp_fds_name (context->fds, json_object_get_string_member (arguments, "fdname"), error);
}

static bool
run_closefd (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  return qmp_fds_close (context->fds, json_object_get_string_member (arguments, "fdname"), error);
}

static bool
add_client (QmpContext *context, JsonObject *arguments, bool memfd, GError **error)
{
  const char *protocol = json_object_get_string_member (arguments, "protocol");
  const char *name = json_object_get_string_member (arguments, "fdname");
  /* QEMU takes the descriptor before it looks at the protocol, and so it is gone after any error. */
  int fd = qmp_fds_steal (context->fds, name, error);

  if (fd < 0)
    return false;
  if (strcmp (protocol, "spice") != 0)
    {
      g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC, "protocol '%s' is invalid", protocol);
      close (fd);
      return false;
    }
  if (json_object_get_boolean_member_with_default (arguments, "tls", FALSE))
    {
      g_set_error_literal (error, QMP_ERROR, QMP_ERROR_GENERIC, "spice failed to add client");
      close (fd);
      return false;
    }
  bool skip_auth = json_object_get_boolean_member_with_default (arguments, "skipauth", FALSE);
  return context->target->ops->add_spice_client (context->target->opaque, fd, skip_auth, memfd,
                                                 error);
}

static bool
run_add_client (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  return add_client (context, arguments, false, error);
}

static bool
run_add_memfd_client (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  return add_client (context, arguments, true, error);
}

/* Without a device: the order in the firmware's variables. */
static bool
run_set_boot (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  VmBoot first = VM_BOOT_UNSAID;

  if (json_object_has_member (arguments, "device"))
    {
      const char *device = json_object_get_string_member (arguments, "device");

      if (!vm_boot_parse (device, &first))
        {
          g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC,
                       "Parameter 'device' does not accept value '%s'", device);
          return false;
        }
    }
  bool menu = json_object_has_member (arguments, "menu") &&
              json_object_get_boolean_member (arguments, "menu");
  return context->target->ops->set_boot (context->target->opaque, first, menu, error);
}

static bool
run_screendump (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  const char *path = json_object_get_string_member (arguments, "filename");

  if (json_object_has_member (arguments, "device"))
    {
      g_set_error (error, QMP_ERROR, QMP_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                   json_object_get_string_member (arguments, "device"));
      return false;
    }
  if (json_object_has_member (arguments, "head"))
    {
      g_set_error_literal (error, QMP_ERROR, QMP_ERROR_GENERIC,
                           "'head' must be specified together with 'device'");
      return false;
    }
  return context->target->ops->screendump (context->target->opaque, path, error);
}

static const QmpCommand commands[] = {
  { "qmp_capabilities", { { "enable", PARAMETER_ARRAY, .optional = true } }, run_capabilities },
  { "query-status", {}, run_query_status },
  { "query-version", {}, run_query_version },
  { "query-commands", {}, run_query_commands },
  { "query-kvm", {}, run_query_kvm },
  { "query-name", {}, run_query_name },
  { "stop", {}, run_stop },
  { "cont", {}, run_cont },
  { "system_powerdown", {}, run_powerdown },
  { "system_reset", {}, run_reset },
  { "quit", {}, run_quit },
  { "getfd", { { "fdname", PARAMETER_STRING } }, run_getfd },
  { "closefd", { { "fdname", PARAMETER_STRING } }, run_closefd },
  { "add_client",
    { { "protocol", PARAMETER_STRING },
      { "fdname", PARAMETER_STRING },
      { "skipauth", PARAMETER_BOOLEAN, .optional = true },
      { "tls", PARAMETER_BOOLEAN, .optional = true } },
    run_add_client },
  /* The same for a client that maps the memfd of a GL scanout instead of being sent draws. */
  { "x-alcove-add-client",
    { { "protocol", PARAMETER_STRING },
      { "fdname", PARAMETER_STRING },
      { "skipauth", PARAMETER_BOOLEAN, .optional = true },
      { "tls", PARAMETER_BOOLEAN, .optional = true } },
    run_add_memfd_client },
  /* What the firmware tries first from the next reset on; QEMU has nothing alike. */
  { "x-alcove-set-boot",
    { { "device", PARAMETER_STRING, .optional = true },
      { "menu", PARAMETER_BOOLEAN, .optional = true } },
    run_set_boot },
  { "query-block", {}, qmp_block_query },
  { "eject",
    { { "device", PARAMETER_STRING, .optional = true },
      { "id", PARAMETER_STRING, .optional = true },
      { "force", PARAMETER_BOOLEAN, .optional = true } },
    qmp_block_eject },
  { "blockdev-open-tray",
    { { "device", PARAMETER_STRING, .optional = true },
      { "id", PARAMETER_STRING, .optional = true },
      { "force", PARAMETER_BOOLEAN, .optional = true } },
    qmp_block_open_tray },
  { "blockdev-close-tray",
    { { "device", PARAMETER_STRING, .optional = true },
      { "id", PARAMETER_STRING, .optional = true } },
    qmp_block_close_tray },
  { "blockdev-change-medium",
    { { "device", PARAMETER_STRING, .optional = true },
      { "id", PARAMETER_STRING, .optional = true },
      { "filename", PARAMETER_STRING },
      { "format", PARAMETER_STRING, .optional = true, .only = "raw" },
      { "force", PARAMETER_BOOLEAN, .optional = true },
      { "read-only-mode", PARAMETER_STRING, .optional = true } },
    qmp_block_change_medium },
  { "query-balloon", {}, qmp_balloon_query },
  { "balloon", { { "value", PARAMETER_INTEGER } }, qmp_balloon_set },
  { "qom-get",
    { { "path", PARAMETER_STRING }, { "property", PARAMETER_STRING } },
    qmp_balloon_qom_get },
  { "qom-set",
    { { "path", PARAMETER_STRING },
      { "property", PARAMETER_STRING },
      { "value", PARAMETER_INTEGER } },
    qmp_balloon_qom_set },
  { "x-alcove-hostfwd-add", { { "forward", PARAMETER_STRING } }, qmp_net_add_forward },
  { "x-alcove-hostfwd-remove", { { "forward", PARAMETER_STRING } }, qmp_net_remove_forward },
  { "screendump",
    { { "filename", PARAMETER_STRING },
      { "device", PARAMETER_STRING, .optional = true },
      { "head", PARAMETER_INTEGER, .optional = true },
      /* QEMU's default is the PPM of old, which we do not write. */
      { "format", PARAMETER_STRING, .optional = true, .only = "png" } },
    run_screendump },
};

static bool
run_query_commands (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  JsonArray *list = json_array_new ();

  for (unsigned i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      JsonObject *entry = json_object_new ();
      json_object_set_string_member (entry, "name", commands[i].name);
      json_array_add_object_element (list, entry);
    }
  *result = json_node_new (JSON_NODE_ARRAY);
  json_node_take_array (*result, list);
  return true;
}

static bool
has_type (JsonNode *node, ParameterType type)
{
  if (type == PARAMETER_ARRAY)
    return JSON_NODE_HOLDS_ARRAY (node);
  if (!JSON_NODE_HOLDS_VALUE (node))
    return false;
  GType held = json_node_get_value_type (node);
  return (type == PARAMETER_STRING && held == G_TYPE_STRING) ||
         (type == PARAMETER_INTEGER && held == G_TYPE_INT64) ||
         (type == PARAMETER_BOOLEAN && held == G_TYPE_BOOLEAN);
}

static bool
check_parameter (const Parameter *parameter, JsonObject *arguments, GError **error)
{
  JsonNode *node = json_object_get_member (arguments, parameter->name);

  if (node == NULL && parameter->optional)
    return true;
  if (node == NULL)
    g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC, "Parameter '%s' is missing", parameter->name);
  else if (!has_type (node, parameter->type))
    g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC,
                 "Invalid parameter type for '%s', expected: %s", parameter->name,
                 type_words[parameter->type]);
  else if (parameter->only != NULL && strcmp (json_node_get_string (node), parameter->only) != 0)
    g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC, "Parameter '%s' does not accept value '%s'",
                 parameter->name, json_node_get_string (node));
  else
    return true;
  return false;
}

static bool
is_known (const QmpCommand *command, const char *name)
{
  for (const Parameter *p = command->parameters; p->name != NULL; p++)
    if (strcmp (p->name, name) == 0)
      return true;
  return false;
}

static bool
check_arguments (const QmpCommand *command, JsonObject *arguments, GError **error)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  for (const Parameter *p = command->parameters; p->name != NULL; p++)
    if (!check_parameter (p, arguments, error))
      return false;
  json_object_iter_init_ordered (&iter, arguments);
  while (json_object_iter_next_ordered (&iter, &name, &node))
    if (!is_known (command, name))
      {
        g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC, "Parameter '%s' is unexpected", name);
        return false;
      }
  return true;
}

static const QmpCommand *
find_command (const QmpContext *context, const char *name, GError **error)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (commands); i++)
    if (strcmp (commands[i].name, name) == 0 &&
        (context->negotiated || commands[i].run == run_capabilities))
      return &commands[i];
  if (context->negotiated)
    g_set_error (error, QMP_ERROR, QMP_ERROR_COMMAND_NOT_FOUND, "The command %s has not been found",
                 name);
  else
    g_set_error_literal (error, QMP_ERROR, QMP_ERROR_COMMAND_NOT_FOUND,
                         "Expecting capabilities negotiation with 'qmp_capabilities'");
  return NULL;
}

bool
qmp_command_run (QmpContext *context, const char *name, JsonObject *arguments, JsonNode **result,
                 GError **error)
{
  const QmpCommand *command = find_command (context, name, error);
  g_autoptr (JsonObject) none = json_object_new ();

  *result = NULL;
  if (command == NULL || !check_arguments (command, arguments ? arguments : none, error))
    return false;
  g_debug ("command %s", name);
  return command->run (context, arguments ? arguments : none, result, error);
}
