#include "emulation/accel-choice.h"

/* What this version of the monitor cannot do yet and QEMU can; NULL: nothing. */
static const char *
find_missing (const VmConfig *config)
{
  for (unsigned i = 0; i < config->n_disks; i++)
    if (config->disks[i].format != VM_DISK_FORMAT_RAW && config->disks[i].bus == VM_DISK_BUS_AHCI)
      return "--disk with bus=ahci and a format that is not raw";
  return NULL;
}

bool
accel_choice_make (AccelChoice *choice, const VmConfig *config, bool (*usable) (GError **error),
                   GError **error)
{
  const char *missing = find_missing (config);
  g_autoptr (GError) unusable = NULL;

  *choice = (AccelChoice){ .emulate = config->accel == VM_ACCEL_TCG };
  if (config->accel == VM_ACCEL_TCG)
    return true;
  if (config->accel == VM_ACCEL_KVM && missing != NULL)
    {
      g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE,
                   "%s: not in this version on KVM; --accel tcg runs it, emulated", missing);
      return false;
    }
  if (!usable (&unusable))
    {
      choice->emulate = true;
      choice->reason = g_strdup (unusable->message);
    }
  else if (missing != NULL)
    {
      choice->emulate = true;
      choice->reason = g_strdup_printf ("%s is not in this version on KVM: leave it out to run on "
                                        "KVM",
                                        missing);
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
