#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "firmware/linux-boot.h"
#include "kernel-file.h"

#define MIB         UINT64_C (0x100000)
#define MEMORY      (64 * MIB)
#define BOOT_PARAMS 0x7000
#define START_INFO  0x6000

typedef struct Fixture
{
  char *folder;
  char *kernel;
  char *initrd;
} Fixture;

static void
write_file (const char *path, const GByteArray *bytes)
{
  g_assert_true (g_file_set_contents (path, (const char *) bytes->data, bytes->len, NULL));
}

static void
setup (Fixture *f, gconstpointer data)
{
  g_autoptr (GByteArray) kernel = data ? kernel_file_vmlinux () : kernel_file_bzimage ();

  f->folder = g_dir_make_tmp ("alcove-boot-XXXXXX", NULL);
  f->kernel = g_build_filename (f->folder, "vmlinuz", NULL);
  f->initrd = g_build_filename (f->folder, "initrd", NULL);
  write_file (f->kernel, kernel);
  g_assert_true (g_file_set_contents (f->initrd, "ramdisk", -1, NULL));
}

static void
teardown (Fixture *f, gconstpointer data)
{
  g_unlink (f->kernel);
  g_unlink (f->initrd);
  g_rmdir (f->folder);
  g_free (f->kernel);
  g_free (f->initrd);
  g_free (f->folder);
}

static const E820Map map = {
  .n = 2,
  .entries = { { .gpa = 0, .size = 0x9f000, .type = 1 },
               { .gpa = MIB, .size = MEMORY - MIB, .type = 1 } },
};
static const LinuxBootPlatform platform = { .map = &map,
                                            .low_ram_end = MEMORY,
                                            .rsdp = 0xe0000,
                                            .reset_port = 0xcf9,
                                            .reset_value = 6 };

static uint64_t
get (const GuestMemory *memory, uint64_t gpa, unsigned size)
{
  uint64_t value = 0;

  g_assert_true (guest_memory_read (memory, gpa, &value, size));
  return GUINT64_FROM_LE (value);
}

static void
assert_text (const GuestMemory *memory, uint64_t gpa, const char *text)
{
  char buffer[64] = "";

  g_assert_cmpuint (strlen (text), <, sizeof buffer);
  g_assert_true (guest_memory_read (memory, gpa, buffer, strlen (text) + 1));
  g_assert_cmpstr (buffer, ==, text);
}

static void
test_bzimage (Fixture *f, gconstpointer data)
{
  g_autoptr (GuestMemory) memory = guest_memory_new (MEMORY, MEMORY, 4096 * MIB, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (LinuxBoot) boot = linux_boot_new (f->kernel, f->initrd, "quiet", &error);
  KvmEntry entry;

  g_assert_no_error (error);
  g_assert_true (linux_boot_load (boot, memory, &platform, &entry, &error));
  g_assert_no_error (error);
  g_assert_true (entry.long_mode);
  g_assert_cmphex (entry.rip, ==, KERNEL_FILE_START + 0x200);
  g_assert_cmphex (entry.rsi, ==, BOOT_PARAMS);
  /* boot_params: the header, where the rest is, the memory map */
  g_assert_cmphex (get (memory, BOOT_PARAMS + 0x202, 4), ==, 0x53726448);
  g_assert_cmphex (get (memory, BOOT_PARAMS + 0x070, 8), ==, 0xe0000);
  g_assert_cmphex (get (memory, BOOT_PARAMS + 0x210, 1), ==, 0xff);
  g_assert_cmphex (get (memory, BOOT_PARAMS + 0x218, 4), ==, MEMORY - 4096);
  g_assert_cmphex (get (memory, BOOT_PARAMS + 0x21c, 4), ==, 7);
  g_assert_cmphex (get (memory, BOOT_PARAMS + 0x1e8, 1), ==, 2);
  g_assert_cmphex (get (memory, BOOT_PARAMS + 0x2d0 + 20, 8), ==, MIB);
  assert_text (memory, get (memory, BOOT_PARAMS + 0x228, 4), "reserve=0xcf8,8 quiet");
  assert_text (memory, MEMORY - 4096, "ramdisk");
  /* The reset vector: mov al, 6; mov dx, 0xcf9; out dx, al */
  g_assert_cmphex (get (memory, 0xffff0, 6), ==, 0xee0cf9ba06b0);
  /* 4 GiB mapped to themselves by 2 MiB pages: the last of them. */
  uint64_t directory = get (memory, get (memory, entry.cr3, 8) & ~UINT64_C (0xfff), 8);
  g_assert_cmphex (get (memory, (directory & ~UINT64_C (0xfff)) + 3 * 4096 + 511 * 8, 8), ==,
                   0xffe00083);
}

static void
test_vmlinux (Fixture *f, gconstpointer data)
{
  g_autoptr (GuestMemory) memory = guest_memory_new (MEMORY, MEMORY, 4096 * MIB, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (LinuxBoot) boot = linux_boot_new (f->kernel, f->initrd, "quiet", &error);
  KvmEntry entry;

  g_assert_no_error (error);
  g_assert_true (linux_boot_load (boot, memory, &platform, &entry, &error));
  g_assert_false (entry.long_mode);
  g_assert_cmphex (entry.rip, ==, KERNEL_FILE_ENTRY);
  g_assert_cmphex (entry.rbx, ==, START_INFO);
  g_assert_cmphex (get (memory, START_INFO, 4), ==, 0x336ec578);
  g_assert_cmphex (get (memory, START_INFO + 12, 4), ==, 1);
  g_assert_cmphex (get (memory, START_INFO + 32, 8), ==, 0xe0000);
  g_assert_cmphex (get (memory, START_INFO + 48, 4), ==, 2);
  uint64_t module = get (memory, START_INFO + 16, 8);
  g_assert_cmphex (get (memory, module + 8, 8), ==, 7);
  assert_text (memory, get (memory, module, 8), "ramdisk");
  assert_text (memory, get (memory, START_INFO + 24, 8), "quiet");
}

/* What a kernel that may not be Linux, or a user who settles it himself, finds on the command line. */
static void
test_cmdline_as_it_is (Fixture *f, gconstpointer data)
{
  static const char *const lines[] = { "pci=nommconf", "quiet acpi=off", "reserve=0x300,8 quiet" };
  g_autoptr (GuestMemory) memory = guest_memory_new (MEMORY, MEMORY, 4096 * MIB, NULL);

  for (unsigned i = 0; i < G_N_ELEMENTS (lines); i++)
    {
      g_autoptr (LinuxBoot) boot = linux_boot_new (f->kernel, f->initrd, lines[i], NULL);
      KvmEntry entry;

      g_assert_true (linux_boot_load (boot, memory, &platform, &entry, NULL));
      assert_text (memory, get (memory, BOOT_PARAMS + 0x228, 4), lines[i]);
    }
}

/* The files may have changed since they were opened: at a reset they are read again. */
static void
test_files_that_change (Fixture *f, gconstpointer data)
{
  g_autoptr (GuestMemory) memory = guest_memory_new (MEMORY, MEMORY, 4096 * MIB, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (LinuxBoot) boot = linux_boot_new (f->kernel, f->initrd, NULL, NULL);
  g_autofree char *line =
      g_strdup_printf ("--initrd: %s: it became shorter while it was read", f->initrd);
  KvmEntry entry;

  g_assert_cmpint (truncate (f->initrd, 3), ==, 0);
  g_assert_false (linux_boot_load (boot, memory, &platform, &entry, &error));
  g_assert_cmpstr (error->message, ==, line);
  g_clear_error (&error);
  g_assert_cmpint (truncate (f->initrd, 7), ==, 0);
  g_assert_cmpint (truncate (f->kernel, 1100), ==, 0);
  g_free (line);
  line = g_strdup_printf ("--kernel: %s: it became shorter while it was read", f->kernel);
  g_assert_false (linux_boot_load (boot, memory, &platform, &entry, &error));
  g_assert_cmpstr (error->message, ==, line);
}

static void
assert_no_room (const LinuxBoot *boot, uint64_t ram, const char *path, const char *why)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (linux_boot_check_room (boot, ram, &error));
  g_assert_nonnull (strstr (error->message, path));
  g_assert_true (g_str_has_suffix (error->message, why));
}

static void
test_room (Fixture *f, gconstpointer data)
{
  g_autoptr (LinuxBoot) small = linux_boot_new (f->kernel, f->initrd, NULL, NULL);

  /* The kernel ends at 0x104000, the initrd takes one page. */
  g_assert_true (linux_boot_check_room (small, 0x105000, NULL));
  assert_no_room (small, 0x104000, f->initrd,
                  ": its 1 MiB do not fit beside the kernel; the machine needs about 2 MiB of "
                  "memory");
  assert_no_room (small, 0x103fff, f->kernel, " needs at least 2 MiB to start");
  g_assert_cmpint (truncate (f->initrd, 64 * MIB), ==, 0);
  g_autoptr (LinuxBoot) large = linux_boot_new (f->kernel, f->initrd, NULL, NULL);
  assert_no_room (large, 64 * MIB, f->initrd,
                  ": its 64 MiB do not fit beside the kernel; the machine needs about 66 MiB of "
                  "memory");
  g_assert_true (linux_boot_check_room (large, 66 * MIB, NULL));
}

static void
test_command_line (Fixture *f, gconstpointer data)
{
  g_autofree char *most = g_strnfill (2047, 'x');
  g_autofree char *more = g_strnfill (2048, 'x');
  g_autofree char *line = g_strdup_printf (
      "--cmdline: it is 2048 bytes long, and the kernel %s takes at most 2047", f->kernel);
  g_autoptr (GError) error = NULL;
  g_autoptr (LinuxBoot) boot = linux_boot_new (f->kernel, NULL, most, NULL);

  g_assert_nonnull (boot);
  g_assert_null (linux_boot_new (f->kernel, NULL, more, &error));
  g_assert_cmpstr (error->message, ==, line);
}

#define ADD(name, is_vmlinux, func)                                                                \
  g_test_add ("/linux-boot/" name, Fixture, GINT_TO_POINTER (is_vmlinux), setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("bzimage", FALSE, test_bzimage);
  ADD ("vmlinux", TRUE, test_vmlinux);
  ADD ("hostile-19-files-that-change", FALSE, test_files_that_change);
  ADD ("room", FALSE, test_room);
  ADD ("command-line-as-it-is", FALSE, test_cmdline_as_it_is);
  ADD ("command-line", FALSE, test_command_line);
  return g_test_run ();
}
