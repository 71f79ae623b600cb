#include "emulation/qcow2-header.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "config/vm-config.h"

/* Big-endian. */
enum
{
  OFFSET_MAGIC = 0,
  OFFSET_VERSION = 4,
  OFFSET_BACKING_FILE = 8,
  OFFSET_INCOMPATIBLE = 72, /* version 3 */
  HEADER_SIZE = 80,
  MINIMUM_SIZE = 72,
};
#define MAGIC                      0x514649fbu
#define INCOMPATIBLE_EXTERNAL_DATA (UINT64_C (1) << 2)

static uint64_t
load (const uint8_t *bytes, unsigned offset, unsigned size)
{
  uint64_t value = 0;

  for (unsigned i = 0; i < size; i++)
    value = value << 8 | bytes[offset + i];
  return value;
}

static bool
refuse (GError **error, const char *file, const char *what)
{
  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "--disk: %s: %s", file, what);
  return false;
}

bool
qcow2_header_check (const char *file, GError **error)
{
  uint8_t header[HEADER_SIZE] = {};
  int fd = open (file, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? pread (fd, header, sizeof header, 0) : -1;
  int problem = errno;

  if (fd >= 0)
    close (fd);
  if (n < 0)
    return refuse (error, file, g_strerror (problem));
  uint64_t version = load (header, OFFSET_VERSION, 4);
  if (n < MINIMUM_SIZE || load (header, OFFSET_MAGIC, 4) != MAGIC || version < 2 || version > 3)
    return refuse (error, file, "not a qcow2 image of version 2 or 3; say its real format");
  if (load (header, OFFSET_BACKING_FILE, 8) != 0)
    return refuse (error, file,
                   "it stands on a backing file, which is not allowed; flatten it with "
                   "qemu-img convert -O qcow2");
  if (version == 3 && (load (header, OFFSET_INCOMPATIBLE, 8) & INCOMPATIBLE_EXTERNAL_DATA) != 0)
    return refuse (error, file,
                   "its data are in another file, which is not allowed; join them with "
                   "qemu-img convert -O qcow2");
  return true;
}
