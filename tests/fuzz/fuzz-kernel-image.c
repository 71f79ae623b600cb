/* A file that was given as a kernel: what is accepted lies inside memory, or is refused with a reason. */
#include "fuzz-target.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/kernel-image.h"

#define MEMORY_SIZE (UINT64_C (4) << 20)

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  int fd = memfd_create ("fuzz-kernel-image", MFD_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, data, size), ==, size);
  g_autoptr (KernelImage) image = kernel_image_new (fd, &error);
  g_assert_true ((image != NULL) == (error == NULL));
  if (!image)
    {
      g_assert_null (strchr (error->message, '\n'));
      return 0;
    }

  const KernelInfo *info = kernel_image_get_info (image);
  g_assert_cmpuint (info->start, <, info->end);
  g_assert_cmpuint (info->setup_size, <=, KERNEL_SETUP_MAX);
  g_autoptr (GuestMemory) memory =
      guest_memory_new (MEMORY_SIZE, MEMORY_SIZE, UINT64_C (4) << 30, NULL);
  bool loaded = kernel_image_load (image, memory, &error);
  g_assert_true (loaded == (error == NULL));
  return 0;
}
