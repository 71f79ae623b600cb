#define G_LOG_DOMAIN "vmm-firmware"

#include "firmware/linux-boot.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/kernel-image.h"

/* Theory of operation
 *
 * Below 640 KiB, in RAM that the kernel takes over once it has copied what it needs:
 *
 *   0x00500  GDT                       0x08000  PVH memory map
 *   0x06000  PVH start info, modules   0x09000  page tables: 4 GiB identity-mapped by 2 MiB pages
 *   0x07000  boot_params               0x20000  command line
 *   0xffff0  reset vector
 *
 * The initrd goes to the top of the low RAM; where the kernel's own space leaves no room there, below the
 * kernel. Sources: Linux, Documentation/arch/x86/boot.rst and zero-page.rst; Xen, docs/misc/pvh.pandoc.
 */
#define GDT_GPA         0x500
#define START_INFO_GPA  0x6000
#define MODULE_GPA      0x6800
#define BOOT_PARAMS_GPA 0x7000
#define PVH_MAP_GPA     0x8000
#define PAGE_TABLES_GPA 0x9000
#define CMDLINE_GPA     0x20000
#define CMDLINE_ROOM    0x10000
#define RESET_GPA       0xffff0 /* F000:FFF0 */
#define KERNEL_FLOOR    UINT64_C (0x100000)

struct LinuxBoot
{
  KernelImage *kernel;
  char *kernel_path;
  int initrd_fd; /* -1: none */
  uint64_t initrd_size;
  char *initrd_path;
  char *cmdline;
};

static int
open_file (const char *option, const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

  if (fd < 0)
    {
      int saved = errno;
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "%s: %s: %s", option, path,
                   g_strerror (saved));
    }
  return fd;
}

static bool
open_kernel (LinuxBoot *boot, const char *path, GError **error)
{
  int fd = open_file ("--kernel", path, error);

  boot->kernel_path = g_strdup (path);
  if (fd < 0)
    return false;
  boot->kernel = kernel_image_new (fd, error);
  if (!boot->kernel)
    g_prefix_error (error, "--kernel: %s: not a usable Linux kernel: ", path);
  return boot->kernel != NULL;
}

static bool
open_initrd (LinuxBoot *boot, const char *path, GError **error)
{
  struct stat stat;

  if (!path)
    return true;
  boot->initrd_path = g_strdup (path);
  boot->initrd_fd = open_file ("--initrd", path, error);
  if (boot->initrd_fd < 0)
    return false;
  if (fstat (boot->initrd_fd, &stat) < 0 || !S_ISREG (stat.st_mode) || stat.st_size == 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                   "--initrd: %s: it is not a regular file with something in it", path);
      return false;
    }
  boot->initrd_size = (uint64_t) stat.st_size;
  return true;
}

/* Wherever Linux finds the old configuration ports it uses them, at two exits an access (a thousand in a boot). Reserved, it
 * takes ECAM, which ACPI's MCFG tells of, at one. Not for somebody who settles such things himself. */
#define LEAVE_OLD_PORTS "reserve=0xcf8,8"

static char *
complete_cmdline (const char *words, const KernelInfo *kernel)
{
  static const char *const own[] = { "acpi=", "pci=", "reserve=" };
  bool complete =
      !kernel->is_linux || strlen (words) + sizeof LEAVE_OLD_PORTS + 1 > kernel->cmdline_max;

  for (unsigned i = 0; i < G_N_ELEMENTS (own); i++)
    complete |= strstr (words, own[i]) != NULL;
  if (complete)
    return g_strdup (words);
  return *words ? g_strconcat (LEAVE_OLD_PORTS, " ", words, NULL) : g_strdup (LEAVE_OLD_PORTS);
}

LinuxBoot *
linux_boot_new (const char *kernel, const char *initrd, const char *cmdline, GError **error)
{
  g_autoptr (LinuxBoot) boot = g_new0 (LinuxBoot, 1);

  boot->initrd_fd = -1;
  cmdline = cmdline ? cmdline : "";
  if (!open_kernel (boot, kernel, error) || !open_initrd (boot, initrd, error))
    return NULL;
  size_t length = strlen (cmdline);
  size_t most = MIN (kernel_image_get_info (boot->kernel)->cmdline_max, CMDLINE_ROOM - 1);
  if (length > most)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                   "--cmdline: it is %zu bytes long, and the kernel %s takes at most %zu", length,
                   kernel, most);
      return NULL;
    }
  boot->cmdline = complete_cmdline (cmdline, kernel_image_get_info (boot->kernel));
  return g_steal_pointer (&boot);
}

void
linux_boot_free (LinuxBoot *boot)
{
  if (!boot)
    return;
  kernel_image_free (boot->kernel);
  if (boot->initrd_fd >= 0)
    close (boot->initrd_fd);
  g_free (boot->kernel_path);
  g_free (boot->initrd_path);
  g_free (boot->cmdline);
  g_free (boot);
}

/* --- initrd --- */

/* Above the kernel if it fits, else below it. */
static bool
place_initrd (const LinuxBoot *boot, uint64_t low_ram_end, uint64_t *gpa, GError **error)
{
  const KernelInfo *kernel = kernel_image_get_info (boot->kernel);
  uint64_t room = (boot->initrd_size + 4095) & ~UINT64_C (4095);
  uint64_t top = MIN (low_ram_end, kernel->initrd_max) & ~UINT64_C (4095);

  if (top >= kernel->end && top - kernel->end >= room)
    *gpa = top - room;
  else if (kernel->start - KERNEL_FLOOR >= room && kernel->start <= top)
    *gpa = (kernel->start & ~UINT64_C (4095)) - room;
  else
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                   "--initrd: %s: its %" G_GUINT64_FORMAT " MiB do not fit beside the kernel; the "
                   "machine needs about %" G_GUINT64_FORMAT " MiB of memory",
                   boot->initrd_path, (room + 0xfffff) >> 20, (kernel->end + room + 0xfffff) >> 20);
      return false;
    }
  return true;
}

static bool
load_initrd (const LinuxBoot *boot, const GuestMemory *memory, uint64_t gpa, GError **error)
{
  uint8_t *to = guest_memory_map (memory, gpa, boot->initrd_size);
  uint64_t done = 0;

  g_return_val_if_fail (to, false);
  while (done < boot->initrd_size)
    {
      ssize_t n = pread (boot->initrd_fd, to + done, boot->initrd_size - done, (off_t) done);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "--initrd: %s: %s", boot->initrd_path,
                       n < 0 ? g_strerror (errno) : "it became shorter while it was read");
          return false;
        }
      done += (uint64_t) n;
    }
  return true;
}

/* --- boot_params, for a bzImage --- */

static void
put_le (uint8_t *page, unsigned offset, unsigned size, uint64_t value)
{
  for (unsigned i = 0; i < size; i++)
    page[offset + i] = (uint8_t) (value >> (8 * i));
}

/* screen_info as an EFI framebuffer: Linux's efifb takes it from there whoever booted it, and distributions
 * build it in more often than vesafb. */
static void
put_screen_info (uint8_t *page, const LinuxFramebuffer *fb)
{
  if (fb->gpa == 0)
    return;
  put_le (page, 0x0f, 1, 0x70); /* VIDEO_TYPE_EFI */
  put_le (page, 0x12, 2, fb->width);
  put_le (page, 0x14, 2, fb->height);
  put_le (page, 0x16, 2, 32);
  put_le (page, 0x18, 4, fb->gpa & UINT32_MAX);
  put_le (page, 0x1c, 4, (uint64_t) fb->stride * fb->height);
  put_le (page, 0x24, 2, fb->stride);
  put_le (page, 0x26, 2, 16 << 8 | 8); /* red: size, position */
  put_le (page, 0x28, 2, 8 << 8 | 8);
  put_le (page, 0x2a, 2, 0 << 8 | 8);
  put_le (page, 0x2c, 2, 24 << 8 | 8);
  put_le (page, 0x32, 2, 1);
  if (fb->gpa > UINT32_MAX)
    {
      put_le (page, 0x36, 4, 2); /* VIDEO_CAPABILITY_64BIT_BASE */
      put_le (page, 0x3a, 4, fb->gpa >> 32);
    }
}

static void
put_e820 (uint8_t *page, const E820Map *map)
{
  put_le (page, 0x1e8, 1, map->n);
  for (unsigned i = 0; i < map->n; i++)
    {
      put_le (page, 0x2d0 + i * 20, 8, map->entries[i].gpa);
      put_le (page, 0x2d0 + i * 20 + 8, 8, map->entries[i].size);
      put_le (page, 0x2d0 + i * 20 + 16, 4, map->entries[i].type);
    }
}

static void
write_boot_params (const LinuxBoot *boot, const GuestMemory *memory,
                   const LinuxBootPlatform *platform, uint64_t initrd)
{
  const KernelInfo *kernel = kernel_image_get_info (boot->kernel);
  uint8_t page[4096] = { 0 };

  put_screen_info (page, &platform->framebuffer);
  put_le (page, 0x70, 8, platform->rsdp);
  memcpy (page + KERNEL_SETUP_OFFSET, kernel->setup, kernel->setup_size);
  put_le (page, 0x1fa, 2, 0xffff); /* vid_mode: normal */
  put_le (page, 0x210, 1, 0xff);   /* type_of_loader: without a number of its own */
  put_le (page, 0x214, 4, kernel->start);
  put_le (page, 0x218, 4, initrd);
  put_le (page, 0x21c, 4, boot->initrd_size);
  put_le (page, 0x228, 4, CMDLINE_GPA);
  put_le (page, 0x250, 8, 0); /* no setup_data: a pointer from the file would be the file's word */
  put_e820 (page, platform->map);
  guest_memory_write (memory, BOOT_PARAMS_GPA, page, sizeof page);
}

/* --- PVH start info --- */

static void
write_start_info (const LinuxBoot *boot, const GuestMemory *memory,
                  const LinuxBootPlatform *platform, uint64_t initrd)
{
  uint8_t info[56] = { 0 };
  uint8_t module[32] = { 0 };
  uint8_t entry[24] = { 0 };

  put_le (info, 0, 4, 0x336ec578);
  put_le (info, 4, 4, 1); /* version */
  put_le (info, 12, 4, boot->initrd_fd >= 0);
  put_le (info, 16, 8, boot->initrd_fd >= 0 ? MODULE_GPA : 0);
  put_le (info, 24, 8, CMDLINE_GPA);
  put_le (info, 32, 8, platform->rsdp);
  put_le (info, 40, 8, PVH_MAP_GPA);
  put_le (info, 48, 4, platform->map->n);
  put_le (module, 0, 8, initrd);
  put_le (module, 8, 8, boot->initrd_size);
  guest_memory_write (memory, START_INFO_GPA, info, sizeof info);
  guest_memory_write (memory, MODULE_GPA, module, sizeof module);
  for (unsigned i = 0; i < platform->map->n; i++)
    {
      const E820Entry *range = &platform->map->entries[i];

      put_le (entry, 0, 8, range->gpa);
      put_le (entry, 8, 8, range->size);
      put_le (entry, 16, 4, range->type);
      guest_memory_write (memory, PVH_MAP_GPA + i * sizeof entry, entry, sizeof entry);
    }
}

/* --- the processor's tables --- */

static void
write_gdt (const GuestMemory *memory)
{
  /* 0x10: flat 64-bit code; 0x18: flat data; 0x20: a TSS that nothing uses. */
  static const uint64_t gdt[] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00008b0000000067,
                                  0 };

  guest_memory_write (memory, GDT_GPA, gdt, sizeof gdt);
}

static void
write_page_tables (const GuestMemory *memory)
{
  enum
  {
    PRESENT_WRITE = 3,
    LARGE = 1 << 7,
  };
  uint64_t table[512] = { PAGE_TABLES_GPA + 0x1000 + PRESENT_WRITE };

  guest_memory_write (memory, PAGE_TABLES_GPA, table, sizeof table);
  memset (table, 0, sizeof table);
  for (unsigned i = 0; i < 4; i++)
    table[i] = PAGE_TABLES_GPA + 0x2000 + i * 0x1000 + PRESENT_WRITE;
  guest_memory_write (memory, PAGE_TABLES_GPA + 0x1000, table, sizeof table);
  for (uint64_t i = 0; i < 4; i++)
    {
      for (uint64_t j = 0; j < 512; j++)
        table[j] = (i * 512 + j) << 21 | LARGE | PRESENT_WRITE;
      guest_memory_write (memory, PAGE_TABLES_GPA + 0x2000 + i * 0x1000, table, sizeof table);
    }
}

static void
fill_entry (const KernelInfo *kernel, KvmEntry *entry)
{
  bool pvh = kernel->format == KERNEL_FORMAT_PVH;

  *entry = (KvmEntry){
    .long_mode = !pvh,
    .rip = kernel->entry,
    .rbx = pvh ? START_INFO_GPA : 0,
    .rsi = pvh ? 0 : BOOT_PARAMS_GPA,
    .cr3 = pvh ? 0 : PAGE_TABLES_GPA,
    .gdt_base = GDT_GPA,
    .gdt_limit = 6 * 8 - 1,
  };
}

bool
linux_boot_check_room (const LinuxBoot *boot, uint64_t low_ram_end, GError **error)
{
  const KernelInfo *kernel = kernel_image_get_info (boot->kernel);
  uint64_t initrd;

  if (kernel->end > low_ram_end)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                   "--memory: the kernel %s needs at least %" G_GUINT64_FORMAT " MiB to start",
                   boot->kernel_path, (kernel->end + 0xfffff) >> 20);
      return false;
    }
  return boot->initrd_fd < 0 || place_initrd (boot, low_ram_end, &initrd, error);
}

/* All that there is of a BIOS: whoever jumps to where a PC starts resets the machine. Linux restarts so where ACPI's hardware is
 * reduced and there is no EFI. */
static void
write_reset_vector (const GuestMemory *memory, const LinuxBootPlatform *platform)
{
  const uint8_t code[] = {
    0xb0,
    platform->reset_value, /* mov al, value */
    0xba,
    platform->reset_port & 0xff,
    (uint8_t) (platform->reset_port >> 8), /* mov dx, port */
    0xee,                                  /* out dx, al */
    0xf4,                                  /* hlt */
    0xeb,
    0xfd, /* jmp to the hlt */
  };

  G_STATIC_ASSERT (sizeof code <= 16);
  guest_memory_write (memory, RESET_GPA, code, sizeof code);
}

bool
linux_boot_load (const LinuxBoot *boot, const GuestMemory *memory,
                 const LinuxBootPlatform *platform, KvmEntry *entry, GError **error)
{
  const KernelInfo *kernel = kernel_image_get_info (boot->kernel);
  uint64_t initrd = 0;

  if (!linux_boot_check_room (boot, platform->low_ram_end, error))
    return false;
  if (boot->initrd_fd >= 0 && (!place_initrd (boot, platform->low_ram_end, &initrd, error) ||
                               !load_initrd (boot, memory, initrd, error)))
    return false;
  if (!kernel_image_load (boot->kernel, memory, error))
    {
      g_prefix_error (error, "--kernel: %s: ", boot->kernel_path);
      return false;
    }
  guest_memory_write (memory, CMDLINE_GPA, boot->cmdline, strlen (boot->cmdline) + 1);
  if (kernel->format == KERNEL_FORMAT_PVH)
    write_start_info (boot, memory, platform, initrd);
  else
    {
      write_boot_params (boot, memory, platform, initrd);
      write_page_tables (memory);
    }
  write_gdt (memory);
  write_reset_vector (memory, platform);
  fill_entry (kernel, entry);
  return true;
}
