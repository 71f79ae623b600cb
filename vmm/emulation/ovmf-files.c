#include "emulation/ovmf-files.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/vm-config.h"

static const struct
{
  const char *code;
  const char *variables;
} known[] = {
  { "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd" }, /* Debian, Ubuntu */
  { "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd" }, /* Arch */
  { "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd" },     /* Fedora */
  { "/usr/share/qemu/ovmf-x86_64-4m-code.bin",
    "/usr/share/qemu/ovmf-x86_64-4m-vars.bin" }, /* SUSE */
};

static bool
keep_in_memory (OvmfFiles *files, const char *bytes, size_t size, GError **error)
{
  /* Without CLOEXEC: QEMU opens it by its name under /proc. */
  int fd = memfd_create ("alcove-nvram", 0);

  if (fd < 0 || write (fd, bytes, size) != (ssize_t) size)
    {
      g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST,
                   "no memory for the variables of the firmware: %s", g_strerror (errno));
      return false;
    }
  files->variables = g_strdup_printf ("/proc/self/fd/%d", fd);
  return true;
}

static bool
keep_in_file (OvmfFiles *files, const char *nvram, const char *bytes, size_t size, GError **error)
{
  struct stat info;
  g_autoptr (GError) problem = NULL;

  if (stat (nvram, &info) < 0 && errno == ENOENT)
    {
      /* Written beside it, then renamed: a half-written one is never met. */
      if (!g_file_set_contents_full (nvram, bytes, size, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                     &problem))
        {
          g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "--nvram: %s",
                       problem->message);
          return false;
        }
    }
  else if (stat (nvram, &info) < 0 || !S_ISREG (info.st_mode) || (size_t) info.st_size != size)
    {
      g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST,
                   "--nvram: %s: not a file of %zu bytes, which this firmware's variables have; "
                   "name a new file to start with fresh ones",
                   nvram, size);
      return false;
    }
  files->variables = g_strdup (nvram);
  return true;
}

bool
ovmf_files_prepare (OvmfFiles *files, const char *nvram, GError **error)
{
  *files = (OvmfFiles){};
  for (unsigned i = 0; i < G_N_ELEMENTS (known); i++)
    {
      g_autofree char *bytes = NULL;
      size_t size = 0;
      if (access (known[i].code, R_OK) < 0 ||
          !g_file_get_contents (known[i].variables, &bytes, &size, NULL))
        continue;
      files->code = g_strdup (known[i].code);
      return nvram != NULL ? keep_in_file (files, nvram, bytes, size, error)
                           : keep_in_memory (files, bytes, size, error);
    }
  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST,
               "--firmware: the UEFI firmware for emulated machines is not installed: install the "
               "package ovmf (edk2-ovmf on some systems)");
  return false;
}

void
ovmf_files_clear (OvmfFiles *files)
{
  g_clear_pointer (&files->code, g_free);
  g_clear_pointer (&files->variables, g_free);
}
