#include "config/cd-image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "config/vm-config.h"

#define VOLUME_BLOCK   16  /* of the primary volume descriptor (ECMA-119, 8.4) */
#define VOLUME_BLOCKS  80  /* offset in it: the number of blocks, little-endian */
#define PADDING_BLOCKS 150 /* what mkisofs adds */

/* Bytes; 0: there is no such volume. */
static uint64_t
read_volume_size (int fd)
{
  uint8_t block[VM_CDROM_BLOCK_SIZE];

  if (pread (fd, block, sizeof block, VOLUME_BLOCK * VM_CDROM_BLOCK_SIZE) != sizeof block ||
      memcmp (block, "\1CD001", 6) != 0)
    return 0;
  const uint8_t *n = block + VOLUME_BLOCKS;
  return (n[0] | n[1] << 8 | n[2] << 16 | (uint64_t) n[3] << 24) * VM_CDROM_BLOCK_SIZE;
}

bool
cd_image_check (const char *file, GError **error)
{
  const int fd = open (file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info;

  if (fd < 0 || fstat (fd, &info) < 0)
    {
      g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "%s: %s", file,
                   g_strerror (errno));
      if (fd >= 0)
        close (fd);
      return false;
    }
  const uint64_t size = info.st_size, volume = read_volume_size (fd);
  close (fd);
  if (!S_ISREG (info.st_mode) || volume <= size + PADDING_BLOCKS * VM_CDROM_BLOCK_SIZE)
    return true;
  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST,
               "%s: is cut off: its volume has %" G_GUINT64_FORMAT
               " bytes, the file %" G_GUINT64_FORMAT ": fetch it again",
               file, volume, size);
  return false;
}
