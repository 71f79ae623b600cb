#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>

#include "kvm/kvm-host.h"

/* Hosts of every kind. What the fake ones are is in these variables: a host's functions have no more to go by. */
static int open_errno; /* 0: /dev/kvm opens */
static int missing;    /* a capability; 0: none */
static int api = KVM_API_VERSION;
static int create_errno;       /* 0: machines can be made */
static unsigned interruptions; /* before that */

static int
fake_open (const char *path)
{
  g_assert_cmpstr (path, ==, "/dev/kvm");
  errno = open_errno;
  return open_errno ? -1 : eventfd (0, EFD_CLOEXEC);
}

static int
fake_control (int fd, unsigned long request, unsigned long argument)
{
  switch (request)
    {
    case KVM_GET_API_VERSION:
      return api;
    case KVM_CHECK_EXTENSION:
      return missing == 0 || argument != (unsigned long) missing;
    case KVM_CREATE_VM:
      errno = interruptions > 0 ? EINTR : create_errno;
      if (interruptions > 0 && interruptions--)
        return -1;
      return create_errno ? -1 : eventfd (0, EFD_CLOEXEC);
    default:
      g_assert_not_reached ();
    }
}

#define INTEL                                                                                      \
  "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme vmx est\nvmx flags\t: ept\n"
#define AMD    "processor\t: 0\nflags\t\t: fpu svm\n\nprocessor\t: 1\nflags\t\t: fpu svm\n"
#define OFF    "processor\t: 0\nflags\t\t: fpu vme vmxish svm_lock\nbugs\t\t: vmx svm\n"
#define INSIDE "processor\t: 0\nflags\t\t: fpu hypervisor\n"

/* The error of a host with that cpuinfo (NULL: none that can be read); NULL: usable. */
static GError *
check (const char *cpuinfo)
{
  g_autofree char *folder = g_dir_make_tmp ("alcove-host-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "cpuinfo", NULL);
  const KvmHost host = { .cpuinfo = path, .open = fake_open, .control = fake_control };
  GError *error = NULL;

  if (cpuinfo)
    g_assert_true (g_file_set_contents (path, cpuinfo, -1, NULL));
  g_assert_cmpint (kvm_host_check (&host, &error), ==, error == NULL);
  g_unlink (path);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
  return error;
}

static void
assert_refused (const char *cpuinfo, KvmHostError code, const char *words)
{
  g_autoptr (GError) error = check (cpuinfo);

  g_assert_error (error, KVM_HOST_ERROR, (int) code);
  g_assert_nonnull (strstr (error->message, words));
  g_assert_null (strchr (error->message, '\n'));
}

static void
test_usable (void)
{
  g_assert_null (check (INTEL));
  g_assert_null (check (AMD));
  interruptions = 3;
  g_assert_null (check (AMD));
  g_assert_cmpuint (interruptions, ==, 0);
}

static void
test_absent (void)
{
  static const int errnos[] = { ENOENT, ENODEV, ENXIO };

  for (unsigned i = 0; i < G_N_ELEMENTS (errnos); i++)
    {
      open_errno = errnos[i];
      assert_refused (INTEL, KVM_HOST_ERROR_ABSENT, "load the module kvm_intel");
      assert_refused (AMD, KVM_HOST_ERROR_ABSENT, "load the module kvm_amd");
      assert_refused (OFF, KVM_HOST_ERROR_ABSENT, "the processor shows no virtualisation");
      assert_refused (OFF, KVM_HOST_ERROR_ABSENT, "firmware setup");
      assert_refused (INSIDE, KVM_HOST_ERROR_ABSENT, "nested virtualisation");
      assert_refused (NULL, KVM_HOST_ERROR_ABSENT, "firmware setup");
    }
  open_errno = 0;
}

static void
test_no_permission (void)
{
  open_errno = EACCES;
  assert_refused (INTEL, KVM_HOST_ERROR_PERMISSION, "group kvm");
  /* The group would not help. */
  assert_refused (INSIDE, KVM_HOST_ERROR_SOFTWARE, "itself an emulation");
  open_errno = EMFILE;
  assert_refused (INTEL, KVM_HOST_ERROR_FAILED, g_strerror (EMFILE));
  open_errno = 0;
}

static void
test_software (void)
{
  assert_refused (OFF, KVM_HOST_ERROR_SOFTWARE, "itself an emulation");
  assert_refused (INSIDE, KVM_HOST_ERROR_SOFTWARE, "itself an emulation");
}

static void
test_too_old (void)
{
  missing = KVM_CAP_IOEVENTFD_ANY_LENGTH;
  assert_refused (INTEL, KVM_HOST_ERROR_TOO_OLD, "KVM_CAP_IOEVENTFD_ANY_LENGTH");
  missing = 0;
  api = KVM_API_VERSION - 1;
  assert_refused (INTEL, KVM_HOST_ERROR_TOO_OLD, "newer Linux kernel");
  api = KVM_API_VERSION;
}

static void
test_busy (void)
{
  create_errno = EBUSY;
  assert_refused (INTEL, KVM_HOST_ERROR_BUSY, "another hypervisor");
  create_errno = ENOMEM;
  assert_refused (INTEL, KVM_HOST_ERROR_FAILED, g_strerror (ENOMEM));
  create_errno = 0;
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kvm-host/usable", test_usable);
  g_test_add_func ("/kvm-host/absent", test_absent);
  g_test_add_func ("/kvm-host/no-permission", test_no_permission);
  g_test_add_func ("/kvm-host/software", test_software);
  g_test_add_func ("/kvm-host/too-old", test_too_old);
  g_test_add_func ("/kvm-host/busy", test_busy);
  return g_test_run ();
}
