#include "block/image-header.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* qcow2: big-endian. */
enum
{
  OFFSET_MAGIC = 0,
  OFFSET_VERSION = 4,
  OFFSET_BACKING_FILE = 8,
  OFFSET_BACKING_SIZE = 16,
  OFFSET_CLUSTER_BITS = 20,
  OFFSET_SIZE = 24,
  OFFSET_INCOMPATIBLE = 72, /* version 3 */
  HEADER_SIZE = 80,
  MINIMUM_SIZE = 72,
};
#define MAGIC                      0x514649fbu
#define INCOMPATIBLE_EXTERNAL_DATA (UINT64_C (1) << 2)
#define INCOMPATIBLE_EXTENDED_L2   (UINT64_C (1) << 4)
#define SUBCLUSTERS_BITS           5
#define BACKING_NAME_MAX           1023
#define CLUSTER_BITS_MIN           9
#define CLUSTER_BITS_MAX           21

/* VMDK: little-endian. Without a capacity the file is only a list of others. */
#define VMDK_MAGIC           "KDMV"
#define VMDK_OFFSET_CAPACITY 12
#define VMDK_HEADER_SIZE     20

typedef struct Header
{
  const char *file;
  int fd;
  uint8_t bytes[HEADER_SIZE];
  ssize_t size;
} Header;

static uint64_t
load (const Header *header, unsigned offset, unsigned size)
{
  uint64_t value = 0;

  for (unsigned i = 0; i < size; i++)
    value = value << 8 | header->bytes[offset + i];
  return value;
}

G_GNUC_PRINTF (3, 4)
static bool
refuse (GError **error, const char *file, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "--disk: %s: %s", file, what);
  return false;
}

static bool
open_header (Header *header, const char *file, GError **error)
{
  *header = (Header){ .file = file, .fd = open (file, O_RDONLY | O_CLOEXEC) };
  header->size = header->fd >= 0 ? pread (header->fd, header->bytes, HEADER_SIZE, 0) : -1;
  return header->size >= 0 || refuse (error, file, "%s", g_strerror (errno));
}

static void
close_header (Header *header)
{
  if (header->fd >= 0)
    close (header->fd);
}

static bool
check_numbers (const Header *header, GError **error)
{
  const uint64_t version = load (header, OFFSET_VERSION, 4);
  const uint64_t cluster_bits = load (header, OFFSET_CLUSTER_BITS, 4);
  const uint64_t size = load (header, OFFSET_SIZE, 8);

  if (header->size < MINIMUM_SIZE || load (header, OFFSET_MAGIC, 4) != MAGIC || version < 2 ||
      version > 3)
    return refuse (error, header->file, "not a qcow2 image of version 2 or 3; say its real format");
  if (cluster_bits < CLUSTER_BITS_MIN || cluster_bits > CLUSTER_BITS_MAX)
    return refuse (error, header->file,
                   "its header is damaged: clusters of 2^%" G_GUINT64_FORMAT
                   " bytes; they have 2^%u to 2^%u",
                   cluster_bits, CLUSTER_BITS_MIN, CLUSTER_BITS_MAX);
  if (size > INT64_MAX)
    return refuse (error, header->file,
                   "its header is damaged: a disk of %" G_GUINT64_FORMAT
                   " bytes cannot be; make a new image",
                   size);
  if (version == 3 && (load (header, OFFSET_INCOMPATIBLE, 8) & INCOMPATIBLE_EXTERNAL_DATA) != 0)
    return refuse (error, header->file,
                   "its data are in another file, which is not allowed; join them with "
                   "qemu-img convert -O qcow2");
  return true;
}

/* The name of the backing file, as the image spells it; owned by the caller. "": none. NULL: damaged. */
static char *
read_backing_name (const Header *header, GError **error)
{
  const uint64_t offset = load (header, OFFSET_BACKING_FILE, 8);
  const uint64_t size = load (header, OFFSET_BACKING_SIZE, 4);
  g_autofree char *name = g_malloc0 (BACKING_NAME_MAX + 1);

  if (offset == 0)
    return g_steal_pointer (&name);
  if (size >= 1 && size <= BACKING_NAME_MAX && offset <= INT64_MAX &&
      pread (header->fd, name, size, (off_t) offset) == (ssize_t) size && *name != '\0')
    return g_steal_pointer (&name);
  refuse (error, header->file,
          "it stands on a backing file, which is not allowed, and its name is damaged");
  return NULL;
}

static bool
is_same_file (const char *one, const char *other)
{
  struct stat a, b;

  return stat (one, &a) == 0 && stat (other, &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

/* A relative name is meant from the folder of the image. */
static bool
names_the_file (const char *image, const char *name, const char *file)
{
  g_autofree char *folder = g_path_get_dirname (image);
  g_autofree char *path =
      g_path_is_absolute (name) ? g_strdup (name) : g_build_filename (folder, name, NULL);

  return is_same_file (path, file);
}

static bool check_qcow2 (const VmDiskConfig *disk, GError **error);

static bool
check_backing (const VmDiskConfig *disk, const char *name, GError **error)
{
  const VmDiskConfig below = { .file = disk->backing, .format = disk->backing_format };
  g_autofree char *shown = g_strescape (name, NULL);

  if (disk->backing == NULL)
    return *name == '\0' ||
           refuse (error, disk->file,
                   "it stands on the backing file \"%s\", which is not allowed; allow it with "
                   "backing=FILE,backing-format=FORMAT, or flatten it with qemu-img convert -O "
                   "qcow2",
                   shown);
  if (*name == '\0')
    return refuse (error, disk->file, "it stands on no backing file: leave backing=%s out",
                   disk->backing);
  if (is_same_file (disk->file, disk->backing))
    return refuse (error, disk->file, "it cannot be its own backing file");
  if (!names_the_file (disk->file, name, disk->backing))
    return refuse (
        error, disk->file,
        "its backing file is \"%s\", not %s, which is the one that is allowed; if it was "
        "moved, say so with qemu-img rebase -u",
        shown, disk->backing);
  return below.format != VM_DISK_FORMAT_QCOW2 || check_qcow2 (&below, error);
}

static bool
check_qcow2 (const VmDiskConfig *disk, GError **error)
{
  Header header;
  g_autofree char *name = NULL;

  if (open_header (&header, disk->file, error) && check_numbers (&header, error))
    name = read_backing_name (&header, error);
  close_header (&header);
  return name != NULL && check_backing (disk, name, error);
}

static bool
check_vmdk (const VmDiskConfig *disk, GError **error)
{
  Header header;
  bool good = false;

  if (open_header (&header, disk->file, error))
    good = (header.size >= VMDK_HEADER_SIZE &&
            memcmp (header.bytes, VMDK_MAGIC, strlen (VMDK_MAGIC)) == 0 &&
            load (&header, VMDK_OFFSET_CAPACITY, 8) != 0) ||
           refuse (error, disk->file,
                   "not a VMDK image in one file, and others are not allowed; join them with "
                   "qemu-img convert -O qcow2");
  close_header (&header);
  return good;
}

bool
image_header_check (const VmDiskConfig *disk, GError **error)
{
  switch (disk->format)
    {
    case VM_DISK_FORMAT_QCOW2:
      return check_qcow2 (disk, error);
    case VM_DISK_FORMAT_VMDK:
      return check_vmdk (disk, error);
    default:
      return true; /* they name no others */
    }
}

ImageClusters
image_header_get_clusters (const char *file)
{
  ImageClusters clusters = { 1u << CLUSTER_BITS_MIN, 1u << CLUSTER_BITS_MIN };
  Header header;

  if (open_header (&header, file, NULL) && check_numbers (&header, NULL))
    {
      const unsigned bits = (unsigned) load (&header, OFFSET_CLUSTER_BITS, 4);
      const bool has_parts =
          load (&header, OFFSET_VERSION, 4) == 3 &&
          (load (&header, OFFSET_INCOMPATIBLE, 8) & INCOMPATIBLE_EXTENDED_L2) != 0;

      clusters.size = 1u << bits;
      if (has_parts && bits > CLUSTER_BITS_MIN)
        clusters.granularity = 1u << MAX (bits - SUBCLUSTERS_BITS, CLUSTER_BITS_MIN);
      else
        clusters.granularity = clusters.size;
    }
  close_header (&header);
  return clusters;
}
