#include "kernel-file.h"

#include <string.h>

#define NOTE_OFFSET 256
#define HALT        0xf4

void
kernel_file_put (GByteArray *file, unsigned offset, unsigned size, uint64_t value)
{
  g_assert_cmpuint (offset + size, <=, file->len);
  for (unsigned i = 0; i < size; i++)
    file->data[offset + i] = value >> (8 * i);
}

static GByteArray *
new_file (unsigned code_offset)
{
  GByteArray *file = g_byte_array_new ();

  g_byte_array_set_size (file, code_offset + KERNEL_FILE_CODE);
  memset (file->data, 0, code_offset);
  memset (file->data + code_offset, HALT, KERNEL_FILE_CODE);
  return file;
}

GByteArray *
kernel_file_bzimage (void)
{
  GByteArray *file = new_file (KERNEL_FILE_BZ_OFFSET);

  kernel_file_put (file, 0x1f1, 1, 1); /* setup_sects */
  kernel_file_put (file, 0x1f4, 4, KERNEL_FILE_CODE / 16);
  kernel_file_put (file, 0x1fe, 2, 0xaa55);
  kernel_file_put (file, 0x200, 2, 0x6aeb); /* jump over the header */
  memcpy (file->data + 0x202, "HdrS", 4);
  kernel_file_put (file, 0x206, 2, 0x20f);
  kernel_file_put (file, 0x22c, 4, 0x7fffffff); /* initrd_addr_max */
  kernel_file_put (file, 0x234, 1, 1);          /* relocatable */
  kernel_file_put (file, 0x236, 2, 1);          /* XLF_KERNEL_64 */
  kernel_file_put (file, 0x238, 4, 2047);       /* cmdline_size */
  kernel_file_put (file, 0x258, 8, KERNEL_FILE_START);
  kernel_file_put (file, 0x260, 4, KERNEL_FILE_ROOM);
  return file;
}

Elf64_Ehdr *
kernel_file_elf (GByteArray *file)
{
  return (Elf64_Ehdr *) (void *) file->data;
}

Elf64_Phdr *
kernel_file_segment (GByteArray *file, unsigned index)
{
  return (Elf64_Phdr *) (void *) (file->data + sizeof (Elf64_Ehdr)) + index;
}

GByteArray *
kernel_file_vmlinux (void)
{
  static const struct
  {
    Elf64_Nhdr header;
    char name[4];
    uint32_t entry;
  } note = { { 4, 4, 18 }, "Xen", KERNEL_FILE_ENTRY };
  GByteArray *file = new_file (KERNEL_FILE_ELF_OFFSET);

  *kernel_file_elf (file) = (Elf64_Ehdr){
    .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
    .e_type = ET_EXEC,
    .e_machine = EM_X86_64,
    .e_version = EV_CURRENT,
    .e_phoff = sizeof (Elf64_Ehdr),
    .e_ehsize = sizeof (Elf64_Ehdr),
    .e_phentsize = sizeof (Elf64_Phdr),
    .e_phnum = 2,
  };
  *kernel_file_segment (file, 0) = (Elf64_Phdr){
    .p_type = PT_LOAD,
    .p_offset = KERNEL_FILE_ELF_OFFSET,
    .p_paddr = KERNEL_FILE_START,
    .p_filesz = KERNEL_FILE_CODE,
    .p_memsz = 0x1000,
  };
  *kernel_file_segment (file, 1) = (Elf64_Phdr){
    .p_type = PT_NOTE,
    .p_offset = NOTE_OFFSET,
    .p_filesz = sizeof note,
    .p_memsz = sizeof note,
  };
  memcpy (file->data + NOTE_OFFSET, &note, sizeof note);
  return file;
}
