#define G_LOG_DOMAIN "vmm-control"

#include "control/qmp-net.h"

#include "control/qmp-message.h"

static bool
give_up (GError *cause, GError **error)
{
  g_set_error_literal (error, QMP_ERROR, QMP_ERROR_GENERIC, cause->message);
  g_error_free (cause);
  return false;
}

bool
qmp_net_add_forward (QmpContext *context, JsonObject *arguments, JsonNode **result, GError **error)
{
  const ControlTarget *target = context->target;
  GError *cause = NULL;
  VmForward forward;

  if (!vm_forward_parse (&forward, json_object_get_string_member (arguments, "forward"), &cause) ||
      !vm_forward_validate (&forward, &cause) ||
      !target->ops->add_forward (target->opaque, &forward, &cause))
    return give_up (cause, error);
  return true;
}

bool
qmp_net_remove_forward (QmpContext *context, JsonObject *arguments, JsonNode **result,
                        GError **error)
{
  const ControlTarget *target = context->target;
  GError *cause = NULL;
  VmForward forward;

  if (!vm_forward_parse_host (&forward, json_object_get_string_member (arguments, "forward"),
                              &cause) ||
      !target->ops->remove_forward (target->opaque, &forward, &cause))
    return give_up (cause, error);
  return true;
}
