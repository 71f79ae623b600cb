#include "emulation/accel-choice.h"

#include <gio/gio.h>

static bool
usable (GError **error)
{
  return true;
}

static bool
not_usable (GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "no KVM: get some");
  return false;
}

static bool
never_asked (GError **error)
{
  g_assert_not_reached ();
}

/* "kvm", "tcg", "tcg: REASON" or "refused(CODE): MESSAGE". */
static char *
choose (const VmConfig *config, bool (*probe) (GError **error))
{
  AccelChoice choice;
  g_autoptr (GError) error = NULL;

  if (!accel_choice_make (&choice, config, probe, &error))
    {
      g_assert_true (error->domain == VM_CONFIG_ERROR);
      return g_strdup_printf ("refused(%d): %s", error->code, error->message);
    }
  g_assert_no_error (error);
  char *text = g_strdup_printf ("%s%s%s", choice.emulate ? "tcg" : "kvm", choice.reason ? ": " : "",
                                choice.reason ? choice.reason : "");
  accel_choice_clear (&choice);
  return text;
}

#define assert_choice(config, probe, expected)                                                     \
  do                                                                                               \
    {                                                                                              \
      g_autofree char *chosen = choose (config, probe);                                            \
      g_assert_cmpstr (chosen, ==, expected);                                                      \
    }                                                                                              \
  while (0)

static void
test_plain (void)
{
  g_autoptr (VmConfig) config = vm_config_new ();

  assert_choice (config, usable, "kvm");
  assert_choice (config, not_usable, "tcg: no KVM: get some");
  config->accel = VM_ACCEL_KVM;
  assert_choice (config, usable, "kvm");
  assert_choice (config, not_usable,
                 "refused(1): --accel: KVM cannot be used: no KVM: get some; or say --accel auto "
                 "to run emulated");
  config->accel = VM_ACCEL_TCG;
  assert_choice (config, never_asked, "tcg");
}

static void
test_what_kvm_has (void)
{
  g_autoptr (VmConfig) config = vm_config_new ();
  VmForward forward;

  config->firmware = VM_FIRMWARE_UEFI;
  vm_config_add_disk (config, "a", VM_DISK_FORMAT_RAW, false);
  config->net = VM_NET_USER;
  g_assert_true (vm_forward_parse (&forward, "tcp:2222:22", NULL));
  vm_config_add_forward (config, &forward);
  assert_choice (config, usable, "kvm");
  vm_config_add_disk (config, "b", VM_DISK_FORMAT_QCOW2, false);
  assert_choice (config, usable, "kvm");
  config->disks[1].bus = VM_DISK_BUS_AHCI;
  assert_choice (config, usable, "kvm");
  config->accel = VM_ACCEL_TCG;
  assert_choice (config, never_asked, "tcg");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/accel-choice/plain", test_plain);
  g_test_add_func ("/accel-choice/what-kvm-has", test_what_kvm_has);
  return g_test_run ();
}
