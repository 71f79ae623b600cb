#include "machine/machine-check.h"

#include <gio/gio.h>
#include <unistd.h>

#include "block/image-header.h"
#include "firmware/linux-boot.h"
#include "machine/memory-map.h"

/* Far more than the host has is refused at once: memory is given page by page, so it would fail only when the guest is
 * well on its way. */
bool
machine_check_memory (uint64_t bytes, bool overcommit, GError **error)
{
  uint64_t host = (uint64_t) sysconf (_SC_PHYS_PAGES) * (uint64_t) sysconf (_SC_PAGESIZE);

  if (overcommit || bytes <= host)
    return true;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
               "--memory: %" G_GUINT64_FORMAT " MiB are more than the %" G_GUINT64_FORMAT
               " MiB of this computer; overcommit=on allows it",
               bytes >> 20, host >> 20);
  return false;
}

bool
machine_check (const VmConfig *config, GError **error)
{
  g_autoptr (LinuxBoot) boot = NULL;

  if (!machine_check_memory (config->memory_bytes, config->overcommit, error))
    return false;
  for (unsigned i = 0; i < config->n_disks; i++)
    if (!image_header_check (&config->disks[i], error))
      return false;
  if (config->firmware != VM_FIRMWARE_LINUX)
    return true;
  boot = linux_boot_new (config->kernel, config->initrd, config->cmdline, error);
  return boot != NULL &&
         linux_boot_check_room (boot, memory_map_low_ram_end (config->memory_bytes), error);
}
