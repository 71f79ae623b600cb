#define G_LOG_DOMAIN "vmm-kvm"

#include "kvm/kvm-host.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

G_DEFINE_QUARK (kvm_host, kvm_host_error)

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

static void
set_open_error (GError **error, int saved)
{
  switch (saved)
    {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      g_set_error (
          error, KVM_HOST_ERROR, KVM_HOST_ERROR_ABSENT,
          "there is no /dev/kvm: switch virtualisation on in the computer's firmware setup, "
          "then load the module kvm_intel or kvm_amd");
      break;
    case EACCES:
    case EPERM:
      g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_PERMISSION,
                   "/dev/kvm is not open to this user: add the user to the group kvm and log in "
                   "again");
      break;
    default:
      g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_FAILED, "cannot open /dev/kvm: %s",
                   g_strerror (saved));
    }
}

static bool
check_capabilities (int fd, GError **error)
{
  if (ioctl (fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
    {
      g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_TOO_OLD,
                   "/dev/kvm does not speak API version %d: a newer Linux kernel is needed",
                   KVM_API_VERSION);
      return false;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (required); i++)
    if (ioctl (fd, KVM_CHECK_EXTENSION, required[i].number) <= 0)
      {
        g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_TOO_OLD,
                     "/dev/kvm lacks the capability KVM_CAP_%s: a newer Linux kernel is needed",
                     required[i].name);
        return false;
      }
  return true;
}

int
kvm_host_open (GError **error)
{
  int fd = open ("/dev/kvm", O_RDWR | O_CLOEXEC);

  if (fd < 0)
    {
      set_open_error (error, errno);
      return -1;
    }
  if (!check_capabilities (fd, error))
    {
      close (fd);
      return -1;
    }
  return fd;
}

/* CPUID 1 ECX bit 5: VMX (Intel SDM); 8000_0001h ECX bit 2: SVM (AMD APM). */
static bool
has_hardware (void)
{
  unsigned eax, ebx, ecx, edx;

  if (__get_cpuid (1, &eax, &ebx, &ecx, &edx) && (ecx & (1u << 5)))
    return true;
  return __get_cpuid (0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & (1u << 2));
}

bool
kvm_host_is_usable (GError **error)
{
  int fd = kvm_host_open (error);

  if (fd < 0)
    return false;
  close (fd);
  if (!has_hardware ())
    {
      g_set_error (error, KVM_HOST_ERROR, KVM_HOST_ERROR_SOFTWARE,
                   "the processor shows no virtualisation (vmx or svm), so /dev/kvm is itself an "
                   "emulation: run on hardware, or switch nested virtualisation on around this "
                   "system");
      return false;
    }
  return true;
}
