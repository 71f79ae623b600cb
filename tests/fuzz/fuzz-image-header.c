/* The beginning of an image that somebody handed over, and of the one that it may stand on: [flags][length of the image, 2 bytes][image]
 * [backing]. They are /proc/self/fd/900 and 901, which a seed can name. What is allowed names no other file. */
#include "fuzz-target.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/image-header.h"
#include "fuzz-input.h"

#define IMAGE_FD   900
#define BACKING_FD 901

static char image_path[] = "/proc/self/fd/900";
static char backing_path[] = "/proc/self/fd/901";

enum
{
  FLAG_VMDK = 1 << 0,
  FLAG_BACKING = 1 << 1,      /* is allowed */
  FLAG_BACKING_RAW = 1 << 2,  /* and has no header */
  FLAG_BACKING_SELF = 1 << 3, /* and is the image */
};

static void
make_file (int number, const uint8_t *bytes, size_t size)
{
  const int fd = memfd_create ("fuzz-image", MFD_CLOEXEC);

  g_assert_cmpint (write (fd, bytes, size), ==, (ssize_t) size);
  g_assert_cmpint (dup2 (fd, number), ==, number);
  close (fd);
}

/* As in QEMU's docs/interop/qcow2.txt: an offset of the name that is not 0. */
static bool
names_a_backing_file (const uint8_t *bytes, size_t size)
{
  static const uint8_t none[8];

  return size >= 16 && memcmp (bytes + 8, none, sizeof none) != 0;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  const unsigned flags = fuzz_take (&input, 1);
  size_t n = fuzz_take (&input, 2);
  const uint8_t *image = fuzz_take_bytes (&input, &n);
  g_autoptr (GError) error = NULL;
  const VmDiskConfig disk = {
    .file = image_path,
    .format = flags & FLAG_VMDK ? VM_DISK_FORMAT_VMDK : VM_DISK_FORMAT_QCOW2,
    .backing = !(flags & FLAG_BACKING)     ? NULL
               : flags & FLAG_BACKING_SELF ? image_path
                                           : backing_path,
    .backing_format = flags & FLAG_BACKING_RAW ? VM_DISK_FORMAT_RAW : VM_DISK_FORMAT_QCOW2,
  };

  make_file (IMAGE_FD, image, n);
  make_file (BACKING_FD, input.data, input.size);
  const bool allowed = image_header_check (&disk, &error);
  g_assert_true (allowed == (error == NULL));
  if (allowed && !(flags & FLAG_VMDK))
    {
      g_assert_true (names_a_backing_file (image, n) == (disk.backing != NULL));
      if (disk.backing && disk.backing_format == VM_DISK_FORMAT_QCOW2)
        g_assert_false (names_a_backing_file (input.data, input.size));
    }
  close (IMAGE_FD);
  close (BACKING_FD);
  return 0;
}
