#pragma once

#include <elf.h>
#include <stdint.h>
#include <glib.h>

/* Files that look like Linux kernels, to be changed into bad ones. They halt. */

/* A bzImage of protocol 2.15 that wants to be at 1 MiB and takes 16 KiB there. */
GByteArray *kernel_file_bzimage (void);

/* An ELF file with one segment at 1 MiB, 4 KiB of memory, and a note that names a PVH entry in it. */
GByteArray *kernel_file_vmlinux (void);

Elf64_Ehdr *kernel_file_elf (GByteArray *file);
/* 0: what is loaded; 1: the note. */
Elf64_Phdr *kernel_file_segment (GByteArray *file, unsigned index);

/* Little-endian, at an offset of the file. */
void kernel_file_put (GByteArray *file, unsigned offset, unsigned size, uint64_t value);

#define KERNEL_FILE_START      0x100000
#define KERNEL_FILE_ENTRY      0x100010 /* of the vmlinux */
#define KERNEL_FILE_ROOM       0x4000   /* of the bzImage */
#define KERNEL_FILE_CODE       0x600    /* bytes of either */
#define KERNEL_FILE_BZ_OFFSET  1024     /* of the bzImage's code */
#define KERNEL_FILE_ELF_OFFSET 512
