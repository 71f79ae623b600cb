#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/kernel-image.h"
#include "kernel-file.h"

#define MEMORY_SIZE (UINT64_C (4) << 20)

static KernelImage *
open_image (const GByteArray *file, GError **error)
{
  int fd = memfd_create ("kernel", MFD_CLOEXEC);

  g_assert_cmpint (write (fd, file->data, file->len), ==, file->len);
  return kernel_image_new (fd, error);
}

static void
assert_refused (GByteArray *file, const char *why)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (open_image (file, &error));
  g_assert_cmpstr (error->message, ==, why);
  g_byte_array_unref (file);
}

static GuestMemory *
new_memory (uint64_t size)
{
  GuestMemory *memory = guest_memory_new (size, size, UINT64_C (4) << 30, NULL);

  g_assert_nonnull (memory);
  memset (guest_memory_map (memory, 0, size), 0xaa, size);
  return memory;
}

/* The code, then zeros up to room, then what was there before. */
static void
assert_loaded (const GuestMemory *memory, const uint8_t *code, uint64_t room)
{
  const uint8_t *at = guest_memory_map (memory, KERNEL_FILE_START, room + 1);

  g_assert_cmpmem (at, KERNEL_FILE_CODE, code, KERNEL_FILE_CODE);
  for (uint64_t i = KERNEL_FILE_CODE; i < room; i++)
    g_assert_cmphex (at[i], ==, 0);
  g_assert_cmphex (at[room], ==, 0xaa);
  g_assert_cmphex (at[-1], ==, 0xaa);
}

static void
test_bzimage (void)
{
  g_autoptr (GByteArray) file = kernel_file_bzimage ();
  g_autoptr (GError) error = NULL;
  g_autoptr (KernelImage) image = open_image (file, &error);
  g_autoptr (GuestMemory) memory = new_memory (MEMORY_SIZE);

  g_assert_no_error (error);
  const KernelInfo *info = kernel_image_get_info (image);
  g_assert_cmpint (info->format, ==, KERNEL_FORMAT_BZIMAGE);
  g_assert_cmphex (info->entry, ==, KERNEL_FILE_START + 0x200);
  g_assert_cmphex (info->start, ==, KERNEL_FILE_START);
  g_assert_cmphex (info->end, ==, KERNEL_FILE_START + KERNEL_FILE_ROOM);
  g_assert_cmphex (info->initrd_max, ==, UINT64_C (0x80000000));
  g_assert_cmpuint (info->cmdline_max, ==, 2047);
  g_assert_cmpuint (info->setup_size, ==, 0x26c - KERNEL_SETUP_OFFSET);
  g_assert_cmpmem (info->setup, info->setup_size, file->data + KERNEL_SETUP_OFFSET,
                   info->setup_size);
  g_assert_true (kernel_image_load (image, memory, &error));
  g_assert_no_error (error);
  assert_loaded (memory, file->data + KERNEL_FILE_BZ_OFFSET, KERNEL_FILE_CODE);
}

static void
test_vmlinux (void)
{
  g_autoptr (GByteArray) file = kernel_file_vmlinux ();
  g_autoptr (GError) error = NULL;
  g_autoptr (KernelImage) image = open_image (file, &error);
  g_autoptr (GuestMemory) memory = new_memory (MEMORY_SIZE);

  g_assert_no_error (error);
  const KernelInfo *info = kernel_image_get_info (image);
  g_assert_cmpint (info->format, ==, KERNEL_FORMAT_PVH);
  g_assert_cmphex (info->entry, ==, KERNEL_FILE_ENTRY);
  g_assert_cmphex (info->start, ==, KERNEL_FILE_START);
  g_assert_cmphex (info->end, ==, KERNEL_FILE_START + 0x1000);
  g_assert_true (kernel_image_load (image, memory, &error));
  g_assert_no_error (error);
  assert_loaded (memory, file->data + KERNEL_FILE_ELF_OFFSET, 0x1000);
}

static void
test_too_little_memory (void)
{
  g_autoptr (GByteArray) file = kernel_file_vmlinux ();
  g_autoptr (KernelImage) image = open_image (file, NULL);
  g_autoptr (GuestMemory) memory = new_memory (KERNEL_FILE_START);
  g_autoptr (GError) error = NULL;

  g_assert_false (kernel_image_load (image, memory, &error));
  g_assert_cmpstr (error->message, ==, "it needs memory up to 2 MiB");
}

static GByteArray *
file_of (const char *text, unsigned size)
{
  GByteArray *file = g_byte_array_new ();

  while (file->len < size)
    g_byte_array_append (file, (const uint8_t *) text, MIN (strlen (text), size - file->len));
  return file;
}

static void
test_foreign (void)
{
  GByteArray *arm = file_of ("MZ\x40\xfa", 4096);
  GByteArray *relocatable = kernel_file_vmlinux ();
  GByteArray *small = kernel_file_vmlinux ();

  assert_refused (g_byte_array_new (), "it is empty");
  assert_refused (file_of ("#!/bin/sh\necho I am no kernel\n", 5000),
                  "it is neither a bzImage nor an ELF file");
  assert_refused (file_of ("x", 100), "it is truncated, or no kernel: only 100 bytes long");
  memcpy (arm->data + 56, "ARM\x64", 4);
  assert_refused (arm, "it is for 64-bit ARM processors: a 64-bit x86 (amd64) kernel is needed");
  kernel_file_elf (relocatable)->e_machine = EM_AARCH64;
  assert_refused (relocatable, "it is an ELF file, but not for 64-bit x86 processors");
  kernel_file_elf (small)->e_ident[EI_CLASS] = ELFCLASS32;
  assert_refused (small, "it is an ELF file, but not for 64-bit x86 processors");
}

static GByteArray *
bzimage_with (unsigned offset, unsigned size, uint64_t value)
{
  GByteArray *file = kernel_file_bzimage ();

  kernel_file_put (file, offset, size, value);
  return file;
}

static void
test_bad_bzimage (void)
{
  GByteArray *cut = kernel_file_bzimage ();

  g_byte_array_set_size (cut, cut->len - 512);
  assert_refused (cut, "it is truncated: 2048 bytes long where its header says 2560");
  assert_refused (bzimage_with (0x1f1, 1, 255), "it is truncated: 2560 bytes long where its header "
                                                "says 132608");
  assert_refused (bzimage_with (0x1f4, 4, UINT32_MAX),
                  "it is truncated: 2560 bytes long where its header says 68719477744");
  assert_refused (bzimage_with (0x1f4, 4, 0), "its header names no code");
  assert_refused (bzimage_with (0x206, 2, 0x204),
                  "its boot protocol is 2.4, at least 2.12 (Linux 3.8) is needed");
  assert_refused (bzimage_with (0x236, 2, 0), "it is for 32-bit processors: a 64-bit (amd64) "
                                              "kernel is needed");
  assert_refused (bzimage_with (0x258, 8, 0), "it wants to be at the address 0x0");
  assert_refused (bzimage_with (0x258, 8, UINT64_MAX),
                  "it wants to be at the address 0xffffffffffffffff");
}

static void
test_bad_vmlinux (void)
{
  GByteArray *file = kernel_file_vmlinux ();

  kernel_file_segment (file, 1)->p_type = PT_NULL;
  assert_refused (file, "it is an ELF file without a PVH entry: a kernel built with CONFIG_PVH, or "
                        "its bzImage, is needed");

  file = kernel_file_vmlinux ();
  kernel_file_elf (file)->e_phnum = 0;
  assert_refused (file, "it is an ELF file without segments to load");

  file = kernel_file_vmlinux ();
  kernel_file_elf (file)->e_phoff = UINT64_MAX - 8;
  assert_refused (file, "it is truncated: 2048 bytes long where 18446744073709551615 are needed");

  file = kernel_file_vmlinux ();
  kernel_file_segment (file, 0)->p_offset = 1024;
  assert_refused (file, "it is truncated: a segment lies beyond its end");

  file = kernel_file_vmlinux ();
  kernel_file_segment (file, 0)->p_paddr = 0;
  assert_refused (file, "it has a segment of 4096 bytes at 0x0");

  file = kernel_file_vmlinux ();
  kernel_file_segment (file, 0)->p_memsz = UINT64_MAX;
  assert_refused (file, "it has a segment of 18446744073709551615 bytes at 0x100000");

  file = kernel_file_vmlinux ();
  kernel_file_segment (file, 0)->p_paddr = 2 * KERNEL_FILE_START;
  assert_refused (file, "its PVH entry is outside of its segments");

  /* A note whose sizes do not fit is none. */
  file = kernel_file_vmlinux ();
  kernel_file_put (file, kernel_file_segment (file, 1)->p_offset, 4, UINT32_MAX);
  assert_refused (file, "it is an ELF file without a PVH entry: a kernel built with CONFIG_PVH, or "
                        "its bzImage, is needed");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kernel-image/bzimage", test_bzimage);
  g_test_add_func ("/kernel-image/vmlinux", test_vmlinux);
  g_test_add_func ("/kernel-image/hostile-19-too-little-memory", test_too_little_memory);
  g_test_add_func ("/kernel-image/hostile-19-foreign", test_foreign);
  g_test_add_func ("/kernel-image/hostile-19-bad-bzimage", test_bad_bzimage);
  g_test_add_func ("/kernel-image/hostile-19-bad-vmlinux", test_bad_vmlinux);
  return g_test_run ();
}
