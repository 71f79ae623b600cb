#define G_LOG_DOMAIN "vmm-kvm"

#include "kvm/kvm-host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

G_DEFINE_QUARK (kvm_host, kvm_host_error)

#define DEVICE "/dev/kvm"
/* A cpuinfo of a thousand processors is about 2 MiB; the first one's flags are enough. */
#define CPUINFO_MAX (64 * 1024)

/* What the first processor says that it can. Linux takes vmx (Intel) and svm (AMD) away where the firmware has locked them. */
typedef struct Flags
{
  bool vmx;
  bool svm;
  bool hypervisor; /* this system is itself a virtual machine */
} Flags;

typedef struct Capability
{
  int number;
  const char *name;
} Capability;

static const Capability required[] = {
  { KVM_CAP_USER_MEMORY, "USER_MEMORY" },
  { KVM_CAP_IRQCHIP, "IRQCHIP" },
  { KVM_CAP_PIT2, "PIT2" },
  { KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING" },
  { KVM_CAP_IRQFD, "IRQFD" },
  { KVM_CAP_IOEVENTFD, "IOEVENTFD" },
  { KVM_CAP_IOEVENTFD_ANY_LENGTH, "IOEVENTFD_ANY_LENGTH" },
  { KVM_CAP_SIGNAL_MSI, "SIGNAL_MSI" },
  { KVM_CAP_EXT_CPUID, "EXT_CPUID" },
  { KVM_CAP_READONLY_MEM, "READONLY_MEM" },
  { KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT" },
  { KVM_CAP_XCRS, "XCRS" },
  { KVM_CAP_DEBUGREGS, "DEBUGREGS" },
  { KVM_CAP_MP_STATE, "MP_STATE" },
};

static Flags
read_flags (const KvmHost *host)
{
  g_autofree char *text = g_malloc (CPUINFO_MAX + 1);
  Flags flags = { 0 };
  size_t length = 0;
  ssize_t got;
  int fd = open (host->cpuinfo, O_RDONLY | O_CLOEXEC);

  if (fd < 0)
    return flags;
  while (length < CPUINFO_MAX && (got = read (fd, text + length, CPUINFO_MAX - length)) > 0)
    length += got;
  close (fd);
  text[length] = '\0';
  const char *line = g_str_has_prefix (text, "flags") ? text : strstr (text, "\nflags");
  if (!line)
    return flags;
  g_autofree char *first = g_strndup (line, strcspn (line + 1, "\n") + 1);
  g_auto (GStrv) words = g_strsplit_set (first, " \t\n:", -1);
  flags.vmx = g_strv_contains ((const char *const *) words, "vmx");
  flags.svm = g_strv_contains ((const char *const *) words, "svm");
  flags.hypervisor = g_strv_contains ((const char *const *) words, "hypervisor");
  return flags;
}

static void
set_absent_error (const Flags *flags, GError **error)
{
  if (flags->vmx || flags->svm)
    g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_ABSENT,
                 "there is no " DEVICE " though the processor has virtualisation: load the module "
                 "%s (sudo modprobe %s); if it does not load, switch virtualisation on in the "
                 "computer's firmware setup",
                 flags->vmx ? "kvm_intel" : "kvm_amd", flags->vmx ? "kvm_intel" : "kvm_amd");
  else if (flags->hypervisor)
    g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_ABSENT,
                 "there is no " DEVICE ": this system is itself a virtual machine, without "
                 "virtualisation: switch nested virtualisation on around it");
  else
    g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_ABSENT,
                 "there is no " DEVICE " and the processor shows no virtualisation (vmx or svm): "
                 "switch it on in the computer's firmware setup (Intel VT-x, AMD-V or SVM)");
}

static void
set_software_error (GError **error)
{
  g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_SOFTWARE,
               "the processor shows no virtualisation (vmx or svm), so " DEVICE " is itself an "
               "emulation: run on hardware, or switch nested virtualisation on around this "
               "system");
}

static void
set_open_error (const Flags *flags, int saved, GError **error)
{
  switch (saved)
    {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      set_absent_error (flags, error);
      break;
    case EACCES:
    case EPERM:
      if (!flags->vmx && !flags->svm)
        set_software_error (error);
      else
        g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_PERMISSION,
                     DEVICE " is not open to this user: add the user to the group kvm and log in "
                            "again");
      break;
    default:
      g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_FAILED, "cannot open " DEVICE ": %s",
                   g_strerror (saved));
    }
}

static bool
check_capabilities (const KvmHost *host, int fd, GError **error)
{
  if (host->control (fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
    {
      g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_TOO_OLD,
                   DEVICE " does not speak API version %d: a newer Linux kernel is needed",
                   KVM_API_VERSION);
      return false;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (required); i++)
    if (host->control (fd, KVM_CHECK_EXTENSION, required[i].number) <= 0)
      {
        g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_TOO_OLD,
                     DEVICE " lacks the capability KVM_CAP_%s: a newer Linux kernel is needed",
                     required[i].name);
        return false;
      }
  return true;
}

static int
open_checked (const KvmHost *host, const Flags *flags, GError **error)
{
  int fd = host->open (DEVICE);

  if (fd < 0)
    {
      set_open_error (flags, errno, error);
      return -1;
    }
  if (!check_capabilities (host, fd, error))
    {
      close (fd);
      return -1;
    }
  return fd;
}

/* VT-x is one program's at a time, or the other's: KVM learns that when it makes its first machine. */
static bool
can_make_machine (const KvmHost *host, int fd, GError **error)
{
  int vm;

  do
    vm = host->control (fd, KVM_CREATE_VM, 0);
  while (vm < 0 && errno == EINTR);
  const int saved = errno;
  if (vm >= 0)
    close (vm);
  else if (saved == EBUSY)
    g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_BUSY,
                 "another hypervisor has the processor's virtualisation: end its machines (as "
                 "VirtualBox's or VMware's), or unload its modules");
  else
    g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_FAILED, DEVICE " makes no machine: %s",
                 g_strerror (saved));
  return vm >= 0;
}

bool
kvm_host_check (const KvmHost *host, GError **error)
{
  const Flags flags = read_flags (host);
  int fd = open_checked (host, &flags, error);
  bool ok = false;

  if (fd < 0)
    return false;
  if (flags.vmx || flags.svm)
    ok = can_make_machine (host, fd, error);
  else
    set_software_error (error);
  close (fd);
  return ok;
}

static int
open_device (const char *path)
{
  return open (path, O_RDWR | O_CLOEXEC);
}

static int
control_device (int fd, unsigned long request, unsigned long argument)
{
  return ioctl (fd, request, argument);
}

static const KvmHost this_host = {
  .cpuinfo = "/proc/cpuinfo",
  .open = open_device,
  .control = control_device,
};

int
kvm_host_open (GError **error)
{
  const Flags flags = read_flags (&this_host);

  return open_checked (&this_host, &flags, error);
}

bool
kvm_host_is_usable (GError **error)
{
  return kvm_host_check (&this_host, error);
}
