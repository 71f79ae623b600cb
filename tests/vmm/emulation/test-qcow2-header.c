#include "emulation/qcow2-header.h"

#include <string.h>
#include <unistd.h>

#include "config/vm-config.h"

/* What is said about such a file, less its path; or "allowed". */
static char *
check (const uint8_t *bytes, gssize size)
{
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  int fd = g_file_open_tmp ("alcove-qcow2-XXXXXX", &path, NULL);

  g_assert_cmpint (write (fd, bytes, size), ==, size);
  close (fd);
  bool allowed = qcow2_header_check (path, &error);
  unlink (path);
  if (allowed)
    return g_strdup ("allowed");
  g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST);
  const char *rest = strstr (error->message, path);
  g_assert_nonnull (rest);
  return g_strdup (rest + strlen (path));
}

#define assert_check(bytes, size, expected)                                                        \
  do                                                                                               \
    {                                                                                              \
      g_autofree char *said = check (bytes, size);                                                 \
      g_assert_cmpstr (said, ==, expected);                                                        \
    }                                                                                              \
  while (0)

#define FOREIGN ": not a qcow2 image of version 2 or 3; say its real format"

static void
test_headers (void)
{
  uint8_t header[104] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 };

  assert_check (header, sizeof header, "allowed");
  header[7] = 2;
  assert_check (header, 72, "allowed");
  header[7] = 4;
  assert_check (header, sizeof header, FOREIGN);
  header[7] = 3;
  assert_check (header, 71, FOREIGN);
  assert_check (header, 0, FOREIGN);
  header[79] = 1 << 2;
  assert_check (header, sizeof header,
                ": its data are in another file, which is not allowed; join them with qemu-img "
                "convert -O qcow2");
  /* In version 2 that is not part of the header yet. */
  header[7] = 2;
  assert_check (header, sizeof header, "allowed");
  header[8] = 0x80;
  assert_check (header, sizeof header,
                ": it stands on a backing file, which is not allowed; flatten it with qemu-img "
                "convert -O qcow2");
  header[0] = 'q';
  assert_check (header, sizeof header, FOREIGN);
}

static void
test_missing (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (qcow2_header_check ("/nonexistent.qcow2", &error));
  g_assert_cmpstr (error->message, ==, "--disk: /nonexistent.qcow2: No such file or directory");
}

int
main (int argc, char **argv)
{
  g_setenv ("LC_ALL", "C", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/qcow2-header/headers", test_headers);
  g_test_add_func ("/qcow2-header/missing", test_missing);
  return g_test_run ();
}
