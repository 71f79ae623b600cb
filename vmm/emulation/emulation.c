#define G_LOG_DOMAIN "vmm-emulation"

#include "emulation/emulation.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/socket-path.h"
#include "firmware/ovmf-files.h"
#include "emulation/qemu-command-line.h"

#define PROGRAM "qemu-system-x86_64"

static bool
clear_sockets (const VmConfig *config, GError **error)
{
  for (unsigned i = 0; i < config->n_ports; i++)
    if (!socket_path_clear ("--port", config->ports[i].path, error))
      return false;
  return (config->control_path == NULL ||
          socket_path_clear ("--control", config->control_path, error)) &&
         (config->display != VM_DISPLAY_SPICE ||
          socket_path_clear ("--display", config->spice_path, error));
}

static bool
find_firmware (const VmConfig *config, OvmfFiles *ovmf, GError **error)
{
  return ovmf_files_prepare (ovmf, config, error) &&
         (config->nvram != NULL || ovmf_files_keep_in_memory (ovmf, error));
}

/* What QEMU's network has not, and what to say instead; or NULL. */
static const char *
find_lacking (const VmConfig *config)
{
  if (config->net == VM_NET_PASST)
    return "passt is not for emulated machines: say --net user";
  for (unsigned i = 0; i < config->n_forwards; i++)
    if (vm_forward_is_ipv6 (&config->forwards[i]))
      return "forward= of IPv6 is not for emulated machines: say an IPv4 address";
  return NULL;
}

void
emulation_become (const VmConfig *config, const char *reason, GError **error)
{
  g_autofree char *program = g_find_program_in_path (PROGRAM);
  OvmfFiles ovmf = {};

  if (program == NULL)
    {
      g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST,
                   "%s%s" PROGRAM " is not installed, which would run the machine emulated: "
                   "install the package qemu-system-x86",
                   reason ? reason : "", reason ? "; and " : "");
      return;
    }
  const char *lacking = find_lacking (config);
  if (lacking != NULL)
    {
      g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "%s%s--net %s",
                   reason ? reason : "", reason ? "; and " : "", lacking);
      return;
    }
  if (!clear_sockets (config, error) ||
      (config->firmware == VM_FIRMWARE_UEFI && !find_firmware (config, &ovmf, error)))
    return;
  g_auto (GStrv) argv = qemu_command_line_new (config, program, &ovmf);
  g_autofree char *line = g_strjoinv (" ", argv);
  g_debug ("%s", line);
  if (reason != NULL)
    g_printerr ("alcove-vmm: the machine runs emulated, slowly: %s\n", reason);
  /* Sockets and logs are this user's alone, as our own are. */
  umask (0077);
  execv (program, argv);
  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "%s: %s", program, g_strerror (errno));
  ovmf_files_clear (&ovmf);
}
