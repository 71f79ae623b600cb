/* What a distribution says of its firmware, in a file of JSON. It names /proc/self/exe where it speaks of the firmware that is asked for. */
#include "fuzz-target.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "firmware/firmware-descriptor.h"

#define FILE_FD 900
#define CODE    "/proc/self/exe"

static char *folder, *file; /* for all inputs: a link to FILE_FD */

static void
remove_folder (void)
{
  g_unlink (file);
  g_rmdir (folder);
  g_free (file);
  g_free (folder);
}

static void
make_folder (void)
{
  if (folder)
    return;
  folder = g_dir_make_tmp ("alcove-fuzz-XXXXXX", NULL);
  g_assert_nonnull (folder);
  file = g_build_filename (folder, "50-fuzz.json", NULL);
  g_assert_cmpint (symlink ("/proc/self/fd/900", file), ==, 0);
  atexit (remove_folder);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const int fd = memfd_create ("fuzz-descriptor", MFD_CLOEXEC);

  make_folder ();
  g_assert_cmpint (write (fd, data, size), ==, (ssize_t) size);
  g_assert_cmpint (dup2 (fd, FILE_FD), ==, FILE_FD);
  close (fd);
  firmware_descriptor_needs_smm (CODE, (const char *const[]){ folder, NULL });
  close (FILE_FD);
  return 0;
}
