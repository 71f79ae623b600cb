#include "emulation/accel-choice.h"

bool
accel_choice_make (AccelChoice *choice, const VmConfig *config, bool (*usable) (GError **error),
                   GError **error)
{
  g_autoptr (GError) unusable = NULL;

  *choice = (AccelChoice){ .emulate = config->accel == VM_ACCEL_TCG };
  if (config->accel == VM_ACCEL_TCG)
    return true;
  if (!usable (&unusable))
    {
      choice->emulate = true;
      choice->reason = g_strdup (unusable->message);
    }
  if (config->accel != VM_ACCEL_KVM || !choice->emulate)
    return true;
  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST,
               "--accel: KVM cannot be used: %s; or say --accel auto to run emulated",
               choice->reason);
  accel_choice_clear (choice);
  return false;
}

void
accel_choice_clear (AccelChoice *choice)
{
  g_clear_pointer (&choice->reason, g_free);
}
