#include "machine/host-check.h"

#include "app-test.h"

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

#define CAPABLE   "processor\t: 0\nflags\t\t: fpu vme vmx sse\nbugs\t: vmxnot\n"
#define INCAPABLE "processor\t: 0\nflags\t\t: fpu vme vmxx xsvm\nvmx flags\t: vnmi svm\n"

static HostCheckVerdict
check (const char *cpuinfo, gboolean with_device)
{
  const char *folder = app_test_folder ();
  g_autofree char *kvm = g_build_filename (folder, "kvm", NULL);
  g_autofree char *info = g_build_filename (folder, "cpuinfo", NULL);

  app_test_write (info, cpuinfo);
  if (with_device)
    app_test_write (kvm, "");
  return host_check_run (kvm, info);
}

static void
test_verdicts (void)
{
  g_assert_cmpint (check (CAPABLE, TRUE), ==, HOST_CHECK_FULL_SPEED);
  g_assert_cmpint (check ("flags : svm\n", TRUE), ==, HOST_CHECK_FULL_SPEED);
  g_assert_cmpint (check (INCAPABLE, TRUE), ==, HOST_CHECK_SOFTWARE_KVM);
  g_assert_cmpint (check (CAPABLE, FALSE), ==, HOST_CHECK_OFF_IN_FIRMWARE);
  g_assert_cmpint (check (INCAPABLE, FALSE), ==, HOST_CHECK_NO_VIRTUALISATION);
  g_assert_cmpint (check ("", FALSE), ==, HOST_CHECK_NO_VIRTUALISATION);
}

static void
test_no_permission (void)
{
  const char *folder = app_test_folder ();
  g_autofree char *kvm = g_build_filename (folder, "kvm", NULL);
  g_autofree char *info = g_build_filename (folder, "cpuinfo", NULL);
  uid_t nobody = 65534;

  app_test_write (info, CAPABLE);
  app_test_write (kvm, "");
  g_assert_no_errno (g_chmod (kvm, 0));
  if (geteuid () == 0)
    {
      /* Root may open anything: look as somebody else, who has to reach the folder. */
      g_autofree char *parent = g_path_get_dirname (folder);

      g_assert_no_errno (g_chmod (parent, 0755));
      g_assert_no_errno (g_chmod (folder, 0755));
      g_assert_no_errno (g_chmod (info, 0644));
      g_assert_no_errno (seteuid (nobody));
    }
  g_assert_cmpint (host_check_run (kvm, info), ==, HOST_CHECK_NO_PERMISSION);
  if (getuid () == 0)
    g_assert_no_errno (seteuid (0));
}

/* A computer with very many processors has a cpuinfo of megabytes; one that never ends must not matter either. */
static void
test_endless_cpuinfo (void)
{
  g_assert_cmpint (host_check_run ("/nonexistent/kvm", "/dev/zero"), ==,
                   HOST_CHECK_NO_VIRTUALISATION);
}

static void
test_texts (void)
{
  g_autoptr (GEnumClass) klass = g_type_class_ref (HOST_CHECK_TYPE_VERDICT);

  for (guint i = 0; i < klass->n_values; i++)
    {
      HostCheckVerdict verdict = klass->values[i].value;

      g_assert_cmpstr (host_check_get_sentence (verdict), !=, "");
      g_assert_true (g_str_has_suffix (host_check_get_sentence (verdict), "."));
      g_assert_cmpint (verdict == HOST_CHECK_FULL_SPEED, ==,
                       host_check_get_advice (verdict)[0] == '\0');
    }
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/host-check/verdicts", test_verdicts);
  g_test_add_func ("/host-check/no-permission", test_no_permission);
  g_test_add_func ("/host-check/endless-cpuinfo", test_endless_cpuinfo);
  g_test_add_func ("/host-check/texts", test_texts);
  return g_test_run ();
}
