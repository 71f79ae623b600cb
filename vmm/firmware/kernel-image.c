#define G_LOG_DOMAIN "vmm-firmware"

#include "firmware/kernel-image.h"

#include <elf.h>
#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR         512
#define MAX_SEGMENTS   64
#define MAX_NOTE_BYTES (64 * 1024)
#define FIRST_FREE     UINT64_C (0x100000) /* below are our own tables */
#define PVH_ENTRY_NOTE 18                  /* XEN_ELFNOTE_PHYS32_ENTRY */
#define PVH_CMDLINE    2047                /* COMMAND_LINE_SIZE of Linux on x86 less the NUL */

/* Bytes of the file that go to guest memory; what size exceeds file_size by is zero. */
typedef struct Segment
{
  uint64_t offset;
  uint64_t file_size;
  uint64_t gpa;
  uint64_t size;
} Segment;

struct KernelImage
{
  int fd;
  uint64_t file_size;
  KernelInfo info;
  unsigned n_segments;
  Segment segments[MAX_SEGMENTS];
};

static bool refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static bool
refuse (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error)
    *error = g_error_new_valist (G_IO_ERROR, G_IO_ERROR_INVALID_DATA, format, args);
  va_end (args);
  return false;
}

static bool
read_exactly (const KernelImage *image, uint64_t offset, void *buffer, size_t size, GError **error)
{
  uint8_t *to = buffer;

  if (offset > image->file_size || size > image->file_size - offset)
    return refuse (error,
                   "it is truncated: %" G_GUINT64_FORMAT " bytes long where %" G_GUINT64_FORMAT
                   " are needed",
                   image->file_size, offset > UINT64_MAX - size ? UINT64_MAX : offset + size);
  while (size > 0)
    {
      ssize_t n = pread (image->fd, to, size, (off_t) offset);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return refuse (error, "it cannot be read: %s", g_strerror (errno));
      if (n == 0)
        return refuse (error, "it became shorter while it was read");
      to += n;
      offset += (uint64_t) n;
      size -= (size_t) n;
    }
  return true;
}

/* --- bzImage --- */

static uint64_t
get_le (const uint8_t *bytes, unsigned size)
{
  uint64_t value = 0;

  for (unsigned i = size; i-- > 0;)
    value = value << 8 | bytes[i];
  return value;
}

enum
{
  SETUP_SECTS = 0x1f1,
  SYSSIZE = 0x1f4,
  BOOT_FLAG = 0x1fe,
  JUMP_LENGTH = 0x201,
  HEADER_MAGIC = 0x202,
  VERSION = 0x206,
  INITRD_ADDR_MAX = 0x22c,
  RELOCATABLE = 0x234,
  XLOADFLAGS = 0x236,
  CMDLINE_SIZE = 0x238,
  PREF_ADDRESS = 0x258,
  INIT_SIZE = 0x260,
  HEADER_END = 0x264,
  XLF_KERNEL_64 = 1,
  ENTRY_64 = 0x200,
};

static bool
is_bzimage (const uint8_t *head, size_t size)
{
  return size >= HEADER_END && get_le (head + BOOT_FLAG, 2) == 0xaa55 &&
         memcmp (head + HEADER_MAGIC, "HdrS", 4) == 0;
}

/* Linux, Documentation/arm64/booting.rst */
static bool
is_arm64_image (const uint8_t *head)
{
  return memcmp (head + 56, "ARM\x64", 4) == 0;
}

static bool
parse_bzimage (KernelImage *image, const uint8_t *head, GError **error)
{
  KernelInfo *info = &image->info;
  unsigned version = (unsigned) get_le (head + VERSION, 2);
  uint64_t setup_bytes = ((head[SETUP_SECTS] ? head[SETUP_SECTS] : 4) + 1) * SECTOR;
  uint64_t payload = get_le (head + SYSSIZE, 4) * 16;

  if (version < 0x20c)
    return refuse (error, "its boot protocol is %u.%u, at least 2.12 (Linux 3.8) is needed",
                   version >> 8, version & 0xff);
  if (!(get_le (head + XLOADFLAGS, 2) & XLF_KERNEL_64))
    return refuse (error, "it is for 32-bit processors: a 64-bit (amd64) kernel is needed");
  if (payload <= ENTRY_64)
    return refuse (error, "its header names no code");
  /* syssize is rounded up to 16. */
  if (setup_bytes > image->file_size || payload > image->file_size - setup_bytes + 15)
    return refuse (error,
                   "it is truncated: %" G_GUINT64_FORMAT
                   " bytes long where its header says %" G_GUINT64_FORMAT,
                   image->file_size, setup_bytes + payload);
  info->format = KERNEL_FORMAT_BZIMAGE;
  info->is_linux = true;
  info->start = get_le (head + PREF_ADDRESS, 8);
  info->entry = info->start + ENTRY_64;
  info->end = info->start + MAX (get_le (head + INIT_SIZE, 4), payload);
  info->initrd_max = get_le (head + INITRD_ADDR_MAX, 4) + 1;
  info->cmdline_max = (uint32_t) MIN (get_le (head + CMDLINE_SIZE, 4), 65535);
  info->setup_size = MIN (0x202u + head[JUMP_LENGTH] - KERNEL_SETUP_OFFSET, KERNEL_SETUP_MAX);
  memcpy (info->setup, head + KERNEL_SETUP_OFFSET, info->setup_size);
  if (info->start < FIRST_FREE || info->start > UINT32_MAX)
    return refuse (error, "it wants to be at the address 0x%" G_GINT64_MODIFIER "x", info->start);
  image->n_segments = 1;
  image->segments[0] = (Segment){
    .offset = setup_bytes,
    .file_size = image->file_size - setup_bytes,
    .gpa = info->start,
    .size = image->file_size - setup_bytes,
  };
  info->end = MAX (info->end, info->start + image->segments[0].size);
  return true;
}

/* --- vmlinux, by PVH --- */

/* An ELF note: three words, the name and the descriptor, each padded to 4. */
static bool
read_notes (const uint8_t *notes, size_t size, KernelInfo *info)
{
  bool found = false;
  size_t at = 0;

  while (size - at >= sizeof (Elf64_Nhdr))
    {
      Elf64_Nhdr header;
      memcpy (&header, notes + at, sizeof header);
      at += sizeof header;
      uint64_t name_room = ((uint64_t) header.n_namesz + 3) & ~UINT64_C (3);
      uint64_t room = name_room + (((uint64_t) header.n_descsz + 3) & ~UINT64_C (3));
      if (room > size - at)
        return found;
      info->is_linux |= header.n_namesz == 6 && memcmp (notes + at, "Linux", 6) == 0;
      if (!found && header.n_type == PVH_ENTRY_NOTE && header.n_namesz == 4 &&
          memcmp (notes + at, "Xen", 4) == 0 && (header.n_descsz == 4 || header.n_descsz == 8))
        {
          info->entry = get_le (notes + at + name_room, header.n_descsz);
          found = true;
        }
      at += room;
    }
  return found;
}

static bool
parse_notes (KernelImage *image, const Elf64_Phdr *segment, bool *found, GError **error)
{
  size_t size = MIN (segment->p_filesz, MAX_NOTE_BYTES);
  g_autofree uint8_t *notes = g_malloc (size);

  if (!read_exactly (image, segment->p_offset, notes, size, error))
    return false;
  if (!*found)
    *found = read_notes (notes, size, &image->info);
  return true;
}

static bool
parse_load (KernelImage *image, const Elf64_Phdr *segment, GError **error)
{
  KernelInfo *info = &image->info;

  if (segment->p_memsz == 0)
    return true;
  if (segment->p_filesz > segment->p_memsz || segment->p_paddr < FIRST_FREE ||
      segment->p_paddr > UINT32_MAX || segment->p_memsz > UINT32_MAX)
    return refuse (error,
                   "it has a segment of %" G_GUINT64_FORMAT " bytes at 0x%" G_GINT64_MODIFIER "x",
                   (uint64_t) segment->p_memsz, (uint64_t) segment->p_paddr);
  if (segment->p_offset > image->file_size ||
      segment->p_filesz > image->file_size - segment->p_offset)
    return refuse (error, "it is truncated: a segment lies beyond its end");
  image->segments[image->n_segments++] = (Segment){
    .offset = segment->p_offset,
    .file_size = segment->p_filesz,
    .gpa = segment->p_paddr,
    .size = segment->p_memsz,
  };
  info->start = MIN (info->start, segment->p_paddr);
  info->end = MAX (info->end, segment->p_paddr + segment->p_memsz);
  return true;
}

static bool
parse_elf (KernelImage *image, const uint8_t *head, GError **error)
{
  Elf64_Ehdr header;
  Elf64_Phdr segments[MAX_SEGMENTS];
  bool found = false;

  memcpy (&header, head, sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64)
    return refuse (error, "it is an ELF file, but not for 64-bit x86 processors");
  if (header.e_phentsize != sizeof (Elf64_Phdr) || header.e_phnum == 0 ||
      header.e_phnum > MAX_SEGMENTS)
    return refuse (error, "it is an ELF file without segments to load");
  if (!read_exactly (image, header.e_phoff, segments, header.e_phnum * sizeof (Elf64_Phdr), error))
    return false;

  image->info = (KernelInfo){
    .format = KERNEL_FORMAT_PVH,
    .start = UINT64_MAX,
    .initrd_max = UINT64_C (1) << 32,
    .cmdline_max = PVH_CMDLINE,
  };
  for (unsigned i = 0; i < header.e_phnum; i++)
    {
      if (segments[i].p_type == PT_LOAD && !parse_load (image, &segments[i], error))
        return false;
      if (segments[i].p_type == PT_NOTE && !parse_notes (image, &segments[i], &found, error))
        return false;
    }
  if (!found)
    return refuse (error, "it is an ELF file without a PVH entry: a kernel built with CONFIG_PVH, "
                          "or its bzImage, is needed");
  if (image->info.entry < image->info.start || image->info.entry >= image->info.end)
    return refuse (error, "its PVH entry is outside of its segments");
  return true;
}

/* --- both --- */

static bool
parse (KernelImage *image, GError **error)
{
  uint8_t head[1024] = { 0 };
  struct stat stat;

  if (fstat (image->fd, &stat) < 0)
    return refuse (error, "it cannot be read: %s", g_strerror (errno));
  if (!S_ISREG (stat.st_mode))
    return refuse (error, "it is not a regular file");
  image->file_size = (uint64_t) stat.st_size;
  size_t n = MIN (image->file_size, sizeof head);
  if (n == 0)
    return refuse (error, "it is empty");
  if (!read_exactly (image, 0, head, n, error))
    return false;
  if (n >= sizeof (Elf64_Ehdr) && memcmp (head, ELFMAG, SELFMAG) == 0)
    return parse_elf (image, head, error);
  if (is_bzimage (head, n))
    return parse_bzimage (image, head, error);
  if (is_arm64_image (head))
    return refuse (error, "it is for 64-bit ARM processors: a 64-bit x86 (amd64) kernel is needed");
  if (n < sizeof head)
    return refuse (error, "it is truncated, or no kernel: only %" G_GUINT64_FORMAT " bytes long",
                   image->file_size);
  return refuse (error, "it is neither a bzImage nor an ELF file");
}

KernelImage *
kernel_image_new (int fd, GError **error)
{
  g_autoptr (KernelImage) image = g_new0 (KernelImage, 1);

  image->fd = fd;
  if (!parse (image, error))
    return NULL;
  g_debug ("kernel: %s at 0x%" G_GINT64_MODIFIER "x..0x%" G_GINT64_MODIFIER "x",
           image->info.format == KERNEL_FORMAT_PVH ? "vmlinux" : "bzImage", image->info.start,
           image->info.end);
  return g_steal_pointer (&image);
}

void
kernel_image_free (KernelImage *image)
{
  if (!image)
    return;
  if (image->fd >= 0)
    close (image->fd);
  g_free (image);
}

const KernelInfo *
kernel_image_get_info (const KernelImage *image)
{
  return &image->info;
}

bool
kernel_image_load (const KernelImage *image, const GuestMemory *memory, GError **error)
{
  for (unsigned i = 0; i < image->n_segments; i++)
    {
      const Segment *segment = &image->segments[i];
      uint8_t *to = guest_memory_map (memory, segment->gpa, segment->size);

      if (!to)
        return refuse (error, "it needs memory up to %" G_GUINT64_FORMAT " MiB",
                       (segment->gpa + segment->size + 0xfffff) >> 20);
      if (!read_exactly (image, segment->offset, to, segment->file_size, error))
        return false;
      memset (to + segment->file_size, 0, segment->size - segment->file_size);
    }
  return true;
}
