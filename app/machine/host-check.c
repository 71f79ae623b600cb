#include "machine/host-check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

G_DEFINE_ENUM_TYPE (HostCheckVerdict, host_check_verdict,
                    G_DEFINE_ENUM_VALUE (HOST_CHECK_FULL_SPEED, "full-speed"),
                    G_DEFINE_ENUM_VALUE (HOST_CHECK_NO_VIRTUALISATION, "no-virtualisation"),
                    G_DEFINE_ENUM_VALUE (HOST_CHECK_OFF_IN_FIRMWARE, "off-in-firmware"),
                    G_DEFINE_ENUM_VALUE (HOST_CHECK_NO_PERMISSION, "no-permission"),
                    G_DEFINE_ENUM_VALUE (HOST_CHECK_SOFTWARE_KVM, "software-kvm"))

/* A cpuinfo of a thousand processors is about 2 MiB; the first processor's flags are enough. */
#define CPUINFO_MAX (64 * 1024)

static const struct
{
  const char *sentence;
  const char *advice;
} texts[] = {
  [HOST_CHECK_FULL_SPEED] = {
    "Machines run at full speed on this computer.",
    "",
  },
  [HOST_CHECK_NO_VIRTUALISATION] = {
    "This computer offers no hardware virtualisation, so machines are emulated, which is slow.",
    "Switch it on in the firmware settings (Intel VT-x, AMD-V or SVM); if this computer is itself "
    "a virtual machine, switch on nested virtualisation in its host.",
  },
  [HOST_CHECK_OFF_IN_FIRMWARE] = {
    "The processor has hardware virtualisation but Linux cannot use it, so machines are emulated, "
    "which is slow.",
    "Switch it on in the firmware settings (Intel VT-x, AMD-V or SVM); if it is on, load the "
    "kernel module kvm_intel or kvm_amd.",
  },
  [HOST_CHECK_NO_PERMISSION] = {
    "You have no permission to use hardware virtualisation (/dev/kvm), so machines are emulated, "
    "which is slow.",
    "Add yourself to the group “kvm” (sudo adduser YOU kvm), then log out and in again.",
  },
  [HOST_CHECK_SOFTWARE_KVM] = {
    "This computer's /dev/kvm is a software emulation that is slower than our own, so machines are "
    "emulated, which is slow.",
    "Run Alcove on a computer with hardware virtualisation; if this is a virtual machine, switch "
    "on nested virtualisation in its host.",
  },
};

static gboolean
has_word (const char *line, const char *word)
{
  size_t length = strlen (word);

  for (const char *p = line; (p = strstr (p, word)) != NULL; p += length)
    if (p > line && (p[-1] == ' ' || p[-1] == '\t') &&
        (p[length] == ' ' || p[length] == '\0' || p[length] == '\n'))
      return TRUE;
  return FALSE;
}

static gboolean
processor_has_virtualisation (const char *cpuinfo_path)
{
  g_autofree char *text = g_malloc (CPUINFO_MAX + 1);
  g_auto (GStrv) lines = NULL;
  gsize length = 0;
  ssize_t got;
  int fd = open (cpuinfo_path, O_RDONLY | O_CLOEXEC);

  if (fd < 0)
    return FALSE;
  while (length < CPUINFO_MAX && (got = read (fd, text + length, CPUINFO_MAX - length)) > 0)
    length += got;
  close (fd);
  text[length] = '\0';
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    if (g_str_has_prefix (lines[i], "flags"))
      return has_word (lines[i], "vmx") || has_word (lines[i], "svm");
  return FALSE;
}

HostCheckVerdict
host_check_run (const char *kvm_path, const char *cpuinfo_path)
{
  gboolean capable;
  int open_errno;
  int fd;

  capable = processor_has_virtualisation (cpuinfo_path != NULL ? cpuinfo_path : "/proc/cpuinfo");
  fd = open (kvm_path != NULL ? kvm_path : "/dev/kvm", O_RDWR | O_CLOEXEC);
  open_errno = errno;
  if (fd >= 0)
    {
      close (fd);
      return capable ? HOST_CHECK_FULL_SPEED : HOST_CHECK_SOFTWARE_KVM;
    }
  if (open_errno == EACCES || open_errno == EPERM)
    return capable ? HOST_CHECK_NO_PERMISSION : HOST_CHECK_SOFTWARE_KVM;
  return capable ? HOST_CHECK_OFF_IN_FIRMWARE : HOST_CHECK_NO_VIRTUALISATION;
}

const char *
host_check_get_sentence (HostCheckVerdict verdict)
{
  g_return_val_if_fail ((guint) verdict < G_N_ELEMENTS (texts), "");
  return texts[verdict].sentence;
}

const char *
host_check_get_advice (HostCheckVerdict verdict)
{
  g_return_val_if_fail ((guint) verdict < G_N_ELEMENTS (texts), "");
  return texts[verdict].advice;
}
