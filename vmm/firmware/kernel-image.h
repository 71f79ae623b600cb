#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bus/guest-memory.h"

/* A Linux kernel file: a bzImage with a 64-bit entry (Linux, Documentation/arch/x86/boot.rst, protocol
 * 2.12) or an uncompressed vmlinux with a PVH entry (Xen, docs/misc/pvh.pandoc).
 *
 * The file is somebody's download: every number in it is checked against the file and the memory. It is read again at each
 * load, straight into the guest's memory; it may have changed meanwhile, which gives an error or a broken
 * guest, never more.
 */
typedef enum
{
  KERNEL_FORMAT_BZIMAGE,
  KERNEL_FORMAT_PVH,
} KernelFormat;

#define KERNEL_SETUP_OFFSET 0x1f1 /* of the setup header, in the file as in boot_params */
#define KERNEL_SETUP_MAX    0x8f  /* up to boot_params' next field */

typedef struct KernelInfo
{
  KernelFormat format;
  bool
      is_linux; /* a bzImage, or a vmlinux with notes of Linux: knows the words of Linux's command line */
  uint64_t entry; /* guest-physical: of the 64-bit or the 32-bit PVH entry */
  uint64_t
      start; /* guest-physical [start, end) belongs to the kernel until it manages memory itself */
  uint64_t end;
  uint64_t initrd_max;             /* the initrd's last byte lies below */
  uint32_t cmdline_max;            /* bytes less the NUL */
  uint8_t setup[KERNEL_SETUP_MAX]; /* bzImage: its setup header */
  uint32_t setup_size;
} KernelInfo;

typedef struct KernelImage KernelImage;

/* Errors say what is wrong with the file, not which file. Takes fd also on failure. */
KernelImage *kernel_image_new (int fd, GError **error);
void kernel_image_free (KernelImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KernelImage, kernel_image_free)

const KernelInfo *kernel_image_get_info (const KernelImage *image);

/* Error also where the memory is too small for it. */
bool kernel_image_load (const KernelImage *image, const GuestMemory *memory, GError **error);
