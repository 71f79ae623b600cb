#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bus/guest-memory.h"
#include "firmware/e820.h"
#include "kvm/kvm-entry.h"

/* Direct Linux: kernel, initrd and command line are put into guest memory, and the first vCPU starts in
 * the kernel, without any firmware. Done again at each reset.
 */
typedef struct LinuxBoot LinuxBoot;

/* A linear framebuffer, 32 bits a pixel (XRGB), that the kernel may draw on from the start. */
typedef struct LinuxFramebuffer
{
  uint64_t gpa; /* 0: there is none */
  uint32_t width;
  uint32_t height;
  uint32_t stride; /* bytes */
} LinuxFramebuffer;

/* What the machine looks like to the kernel. */
typedef struct LinuxBootPlatform
{
  const E820Map *map;
  uint64_t low_ram_end; /* RAM is [0, low_ram_end) and perhaps more above 4 GiB */
  uint64_t rsdp;        /* guest-physical address of ACPI's root pointer */
  uint16_t reset_port;  /* resets the machine when it is written reset_value */
  uint8_t reset_value;
  LinuxFramebuffer framebuffer; /* told to a bzImage; the PVH protocol has no place for it */
} LinuxBootPlatform;

/* Opens the files. initrd and cmdline may be NULL. Errors name the option and the file. */
LinuxBoot *linux_boot_new (const char *kernel, const char *initrd, const char *cmdline,
                           GError **error);
void linux_boot_free (LinuxBoot *boot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LinuxBoot, linux_boot_free)

/* Whether kernel and initrd fit into [0, low_ram_end). */
bool linux_boot_check_room (const LinuxBoot *boot, uint64_t low_ram_end, GError **error);

/* Fills the memory and says where the first vCPU starts. */
bool linux_boot_load (const LinuxBoot *boot, const GuestMemory *memory,
                      const LinuxBootPlatform *platform, KvmEntry *entry, GError **error);
