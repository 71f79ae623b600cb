#define G_LOG_DOMAIN "vmm-block"

#include "block/qcow2-map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Theory of operation
 *
 * The file has a table of tables (L1), and those (L2) have an entry for each cluster. What is kept of them are slices: the part of an L2 table that
 * a block of the file has. The slices have a slot each, by their number, and replace one another there; the disks for which there are not enough of them
 * are larger than QEMU's own cache of the same size is good for.
 *
 * A block is read as it is on the medium where the image has direct I/O, as the process that writes it does: no page of the host's cache
 * can be older.
 */
#define BLOCK               4096u
#define ENTRY_SIZE          8u
#define SLICE_ENTRIES       (BLOCK / ENTRY_SIZE)
#define SLOTS_MAX           8192u
#define ASK_AGAIN           UINT64_C (1) /* as a place: the file may say one by now */
#define ENTRY_OFFSET        UINT64_C (0x00fffffffffffe00)
#define ENTRY_COPIED        (UINT64_C (1) << 63) /* nobody else refers to it */
#define ENTRY_COMPRESSED    (UINT64_C (1) << 62)
#define ENTRY_ZEROS         (UINT64_C (1) << 0) /* reads as zeros, whatever is there */
#define CLUSTER_BITS_MIN    9
#define CLUSTER_BITS_MAX    21
#define L1_ENTRIES_MAX      (32u << 20 >> 3)    /* as QEMU allows */
#define INCOMPATIBLE_DIRTY  (UINT64_C (1) << 0) /* counts of references are late: no matter */
#define INCOMPATIBLE_METHOD (UINT64_C (1) << 3) /* of compression: no matter */
#define AUTOCLEAR_BITMAPS   (UINT64_C (1) << 0)

/* Big-endian. */
enum
{
  OFFSET_MAGIC = 0,
  OFFSET_VERSION = 4,
  OFFSET_CLUSTER_BITS = 20,
  OFFSET_SIZE = 24,
  OFFSET_CRYPT_METHOD = 32,
  OFFSET_L1_SIZE = 36,
  OFFSET_L1_TABLE = 40,
  OFFSET_INCOMPATIBLE = 72, /* version 3, as the next */
  OFFSET_AUTOCLEAR = 88,
};
#define MAGIC 0x514649fbu

typedef struct Slice
{
  uint64_t number;
  uint64_t places[SLICE_ENTRIES]; /* 0: it has none */
} Slice;

struct Qcow2Map
{
  const BlockImage *image;
  uint8_t *block; /* of BLOCK bytes, and aligned for direct I/O */
  unsigned cluster_bits;
  unsigned slice_bits; /* entries of a slice */
  uint64_t clusters;   /* of the disk */
  uint64_t l1_place;
  uint32_t l1_size; /* entries */
  unsigned n_slots;
  Slice **slots; /* NULL: empty */
};

/* --- the file --- */

/* The block of the file that has this byte. False: it cannot be read, or ends before the n bytes from there. */
static bool
read_block (Qcow2Map *map, uint64_t place, unsigned n, const uint8_t **bytes)
{
  const int fd = map->image->direct_fd >= 0 ? map->image->direct_fd : map->image->fd;
  const unsigned start = place % BLOCK;
  ssize_t got;

  do
    got = pread (fd, map->block, BLOCK, (off_t) (place - start));
  while (got < 0 && errno == EINTR);
  *bytes = map->block + start;
  return got >= (ssize_t) (start + n);
}

static uint64_t
load (const uint8_t *bytes, unsigned size)
{
  uint64_t value = 0;

  for (unsigned i = 0; i < size; i++)
    value = value << 8 | bytes[i];
  return value;
}

static bool
is_fit (const Qcow2Map *map, const uint8_t *header)
{
  const uint64_t version = load (header + OFFSET_VERSION, 4);

  if (load (header + OFFSET_MAGIC, 4) != MAGIC || (version != 2 && version != 3) ||
      load (header + OFFSET_CRYPT_METHOD, 4) != 0)
    return false;
  if (version == 3 && ((load (header + OFFSET_INCOMPATIBLE, 8) &
                        ~(INCOMPATIBLE_DIRTY | INCOMPATIBLE_METHOD)) != 0 ||
                       (load (header + OFFSET_AUTOCLEAR, 8) & AUTOCLEAR_BITMAPS) != 0))
    return false;
  return map->cluster_bits >= CLUSTER_BITS_MIN && map->cluster_bits <= CLUSTER_BITS_MAX &&
         map->l1_size <= L1_ENTRIES_MAX && map->l1_place % ENTRY_SIZE == 0 &&
         map->l1_place <= INT64_MAX - (uint64_t) L1_ENTRIES_MAX * ENTRY_SIZE;
}

static bool
read_header (Qcow2Map *map)
{
  const uint8_t *header;

  if (!read_block (map, 0, OFFSET_AUTOCLEAR + 8, &header))
    return false;
  map->cluster_bits = load (header + OFFSET_CLUSTER_BITS, 4);
  map->l1_place = load (header + OFFSET_L1_TABLE, 8);
  map->l1_size = load (header + OFFSET_L1_SIZE, 4);
  if (!is_fit (map, header))
    return false;
  const uint64_t size = load (header + OFFSET_SIZE, 8);
  map->clusters =
      (size >> map->cluster_bits) + ((size & ((UINT64_C (1) << map->cluster_bits) - 1)) != 0);
  return true;
}

/* Where a slice's entries are; 0: nowhere, or at no place that can be. */
static uint64_t
find_entries (Qcow2Map *map, uint64_t number)
{
  const unsigned table_bits = map->cluster_bits - 3; /* entries of an L2 table */
  const uint64_t first = number << map->slice_bits;
  const uint64_t index = first >> table_bits;
  const uint64_t cluster_mask = (UINT64_C (1) << map->cluster_bits) - 1;
  const uint8_t *bytes;

  if (index >= map->l1_size ||
      !read_block (map, map->l1_place + index * ENTRY_SIZE, ENTRY_SIZE, &bytes))
    return 0;
  const uint64_t entry = load (bytes, ENTRY_SIZE);
  const uint64_t table = entry & ENTRY_OFFSET;
  if (!(entry & ENTRY_COPIED) || table == 0 || (table & cluster_mask) != 0)
    return 0;
  return table + (first & ((UINT64_C (1) << table_bits) - 1)) * ENTRY_SIZE;
}

/* What an entry says of its cluster's place; 0: nothing that counts. */
static uint64_t
get_place (const Qcow2Map *map, uint64_t entry, uint64_t file_size)
{
  const uint64_t cluster = UINT64_C (1) << map->cluster_bits;
  const uint64_t place = entry & ENTRY_OFFSET;

  if ((entry & (ENTRY_COPIED | ENTRY_COMPRESSED | ENTRY_ZEROS)) != ENTRY_COPIED ||
      place % cluster != 0 || place < cluster || file_size < cluster || place > file_size - cluster)
    return 0;
  return place;
}

static void
read_slice (Qcow2Map *map, Slice *slice)
{
  const unsigned n = 1u << map->slice_bits;
  const uint64_t entries = find_entries (map, slice->number);
  const off_t end = lseek (map->image->fd, 0, SEEK_END);
  const uint8_t *bytes;

  memset (slice->places, 0, sizeof slice->places);
  if (entries == 0 || end < 0 || !read_block (map, entries, n * ENTRY_SIZE, &bytes))
    return;
  for (unsigned i = 0; i < n; i++)
    slice->places[i] = get_place (map, load (bytes + i * ENTRY_SIZE, ENTRY_SIZE), (uint64_t) end);
}

/* --- what is known --- */

static Slice **
get_slot (const Qcow2Map *map, uint64_t number)
{
  return &map->slots[number % map->n_slots];
}

/* NULL: it is not there. */
static Slice *
find_slice (const Qcow2Map *map, uint64_t number)
{
  Slice *slice = *get_slot (map, number);

  return slice && slice->number == number ? slice : NULL;
}

static Slice *
make_slice (Qcow2Map *map, uint64_t number)
{
  Slice **slot = get_slot (map, number);

  if (!*slot)
    *slot = g_new (Slice, 1);
  (*slot)->number = number;
  read_slice (map, *slot);
  return *slot;
}

static uint64_t
find_cluster (Qcow2Map *map, uint64_t cluster, bool is_settled)
{
  const uint64_t number = cluster >> map->slice_bits;
  const unsigned index = cluster & ((1u << map->slice_bits) - 1);
  Slice *slice = find_slice (map, number);

  if (cluster >= map->clusters)
    return 0;
  if (slice && slice->places[index] != ASK_AGAIN)
    return slice->places[index];
  return is_settled ? make_slice (map, number)->places[index] : 0;
}

uint64_t
qcow2_map_find (Qcow2Map *map, uint64_t offset, uint64_t size, bool is_settled, uint64_t *place)
{
  const uint64_t bytes = UINT64_C (1) << map->cluster_bits;
  const uint64_t inside = offset % bytes;
  const uint64_t cluster = offset / bytes;
  const uint64_t first = find_cluster (map, cluster, is_settled);
  uint64_t found = bytes - inside;

  if (first == 0)
    return 0;
  for (uint64_t i = 1; found < size; i++, found += bytes)
    if (find_cluster (map, cluster + i, is_settled) != first + i * bytes)
      break;
  *place = first + inside;
  return MIN (found, size);
}

unsigned
qcow2_map_get_cluster_size (const Qcow2Map *map)
{
  return 1u << map->cluster_bits;
}

void
qcow2_map_forget (Qcow2Map *map, uint64_t offset, uint64_t size)
{
  const uint64_t first = offset >> map->cluster_bits;
  const uint64_t last = (offset + MAX (size, 1) - 1) >> map->cluster_bits;
  const uint64_t first_slice = first >> map->slice_bits;
  const uint64_t last_slice = last >> map->slice_bits;

  /* A range may be all of the disk, and more slices than there are slots. */
  for (uint64_t i = 0; i < map->n_slots && i <= last_slice - first_slice; i++)
    {
      Slice *slice = *get_slot (map, first_slice + i);
      const uint64_t start = slice ? slice->number << map->slice_bits : 0;
      const uint64_t end = start + (UINT64_C (1) << map->slice_bits);

      if (slice)
        for (uint64_t j = MAX (first, start); j <= last && j < end; j++)
          slice->places[j - start] = ASK_AGAIN;
    }
}

bool
qcow2_map_is_valid (Qcow2Map *map)
{
  Qcow2Map now = { .image = map->image, .block = map->block };

  return read_header (&now) && now.cluster_bits == map->cluster_bits &&
         now.clusters == map->clusters && now.l1_place == map->l1_place &&
         now.l1_size == map->l1_size;
}

/* --- life --- */

Qcow2Map *
qcow2_map_new (const BlockImage *image)
{
  g_autoptr (Qcow2Map) map = g_new0 (Qcow2Map, 1);
  void *block = NULL;

  map->image = image;
  if (posix_memalign (&block, BLOCK, BLOCK) != 0)
    return NULL;
  map->block = block;
  if (!read_header (map))
    return NULL;
  map->slice_bits = MIN (map->cluster_bits - 3, __builtin_ctz (SLICE_ENTRIES));
  map->n_slots = (unsigned) MIN ((map->clusters >> map->slice_bits) + 1, SLOTS_MAX);
  map->slots = g_new0 (Slice *, map->n_slots);
  return g_steal_pointer (&map);
}

void
qcow2_map_free (Qcow2Map *map)
{
  if (!map)
    return;
  for (unsigned i = 0; i < map->n_slots; i++)
    g_free (map->slots[i]);
  g_free (map->slots);
  free (map->block);
  g_free (map);
}
