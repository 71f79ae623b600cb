#include "block/qcow2-map.h"

#include <unistd.h>

#include "qcow2-file.h"

#define KIB 1024u

typedef struct Fixture
{
  bool is_direct; /* where the file system has it */
  Qcow2File *file;
  uint64_t cluster; /* bytes */
  uint64_t data;    /* the first cluster of the file that is nobody's */
  BlockImage image;
  Qcow2Map *map;
} Fixture;

/* --- what the tests do --- */

static void
set_up (Fixture *f, gconstpointer data)
{
  f->is_direct = data != NULL;
  f->image = (BlockImage){ .fd = -1, .direct_fd = -1 };
}

static void
end (Fixture *f)
{
  g_clear_pointer (&f->map, qcow2_map_free);
  block_image_close (&f->image);
  g_clear_pointer (&f->file, qcow2_file_free);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  end (f);
}

/* Another file than before. */
static void
make_as (Fixture *f, unsigned version, unsigned cluster_bits, uint64_t clusters, uint64_t n_data)
{
  end (f);
  f->file = qcow2_file_new (version, cluster_bits, clusters, n_data);
  f->cluster = UINT64_C (1) << cluster_bits;
  f->data = f->file->data_place / f->cluster;
}

/* Of 1024 clusters of 64 KiB: two slices of the L2 table; the first four have a place, one behind the other. */
static void
make (Fixture *f)
{
  make_as (f, 3, 16, 1024, 16);
  for (unsigned i = 0; i < 4; i++)
    qcow2_file_place (f->file, i, f->data + i);
}

/* False: nothing can be said of it. */
static bool
read_map (Fixture *f)
{
  g_clear_pointer (&f->map, qcow2_map_free);
  block_image_close (&f->image);
  g_assert_true (block_image_open_beside (&f->image, f->file->path, true, NULL));
  if (!f->is_direct && f->image.direct_fd >= 0)
    {
      close (f->image.direct_fd);
      f->image.direct_fd = -1;
    }
  f->map = qcow2_map_new (&f->image);
  return f->map != NULL;
}

static void
make_shorter (Fixture *f, uint64_t size)
{
  g_assert_cmpint (ftruncate (f->file->fd, size), ==, 0);
}

#define assert_find(f, offset, size, is_settled, expected, expected_place)                         \
  do                                                                                               \
    {                                                                                              \
      uint64_t said = 0;                                                                           \
      g_assert_cmpuint (qcow2_map_find ((f)->map, offset, size, is_settled, &said), ==, expected); \
      g_assert_cmpuint (said, ==, expected_place);                                                 \
    }                                                                                              \
  while (0)
#define assert_nothing(f, offset, size, is_settled) assert_find (f, offset, size, is_settled, 0, 0)
/* A whole cluster of the disk is, or is not, where the data's cluster at is. */
#define assert_at(f, i, is_settled, at)                                                            \
  assert_find (f, (i) * (f)->cluster, (f)->cluster, is_settled, (f)->cluster,                      \
               ((f)->data + (at)) * (f)->cluster)
#define assert_unknown(f, i, is_settled)                                                           \
  assert_nothing (f, (i) * (f)->cluster, (f)->cluster, is_settled)

/* --- runs --- */

static void
check_runs (Fixture *f)
{
  const uint64_t cluster = f->cluster, place = f->data * cluster;

  assert_find (f, 0, 3 * cluster, true, 3 * cluster, place);
  assert_find (f, 0, 10 * cluster, true, 3 * cluster, place); /* up to what is not allocated */
  assert_find (f, 100, 10 * cluster, true, 3 * cluster - 100, place + 100);
  assert_find (f, cluster + 7, cluster, true, cluster, place + cluster + 7);
  assert_find (f, cluster, cluster / 2, true, cluster / 2, place + cluster);
  assert_find (f, 2 * cluster - 1, 1, true, 1, place + 2 * cluster - 1);
  assert_find (f, 2 * cluster + 5, UINT64_MAX, true, cluster - 5, place + 2 * cluster + 5);
  assert_nothing (f, 3 * cluster, cluster, true);
  assert_nothing (f, 3 * cluster + 1, 2 * cluster, true);
  assert_find (f, 4 * cluster, 2 * cluster, true, cluster, place + 3 * cluster); /* up to a gap */
  assert_find (f, 5 * cluster, 2 * cluster, true, cluster, place + 5 * cluster);
  assert_find (f, 6 * cluster, 2 * cluster, true, cluster, place + 4 * cluster); /* and backwards */
}

/* The first table's last cluster and the next one's first are neighbours, and then the disk ends. */
static void
check_end (Fixture *f, uint64_t entries)
{
  const uint64_t cluster = f->cluster, place = (f->data + 7) * cluster;

  assert_find (f, (entries - 1) * cluster + 1, 9 * cluster, true, 2 * cluster - 1, place + 1);
  assert_find (f, entries * cluster, 9 * cluster, true, cluster, place + cluster);
  assert_nothing (f, (entries + 1) * cluster, cluster, true);
  assert_nothing (f, UINT64_MAX, 1, true);
  assert_nothing (f, UINT64_MAX - cluster, cluster, false);
}

static void
check_kind (Fixture *f, unsigned version, unsigned cluster_bits)
{
  static const unsigned places[] = { 1, 2, 3, 0, 4, 6, 5 };
  const uint64_t entries = UINT64_C (1) << (cluster_bits - 3);

  make_as (f, version, cluster_bits, entries + 1, 10);
  for (unsigned i = 0; i < G_N_ELEMENTS (places); i++)
    if (places[i] != 0)
      qcow2_file_place (f->file, i, f->data + places[i] - 1);
  for (unsigned i = 0; i < 3; i++) /* the third one is beyond the disk */
    qcow2_file_place (f->file, entries - 1 + i, f->data + 7 + i);
  g_assert_true (read_map (f));
  g_assert_cmpuint (qcow2_map_get_cluster_size (f->map), ==, f->cluster);
  check_runs (f);
  check_end (f, entries);
}

static void
test_runs (Fixture *f, gconstpointer data)
{
  static const unsigned cluster_bits[] = { 9, 12, 16, 21 };

  for (unsigned i = 0; i < G_N_ELEMENTS (cluster_bits); i++)
    for (unsigned version = 2; version <= 3; version++)
      check_kind (f, version, cluster_bits[i]);
}

/* Its last cluster is one as the others. */
static void
test_part_of_a_cluster (Fixture *f, gconstpointer data)
{
  make (f);
  qcow2_file_set_header (f->file, QCOW2_FILE_SIZE, 8, f->cluster + 512);
  g_assert_true (read_map (f));
  assert_find (f, 0, f->cluster + 512, true, f->cluster + 512, f->data * f->cluster);
  assert_nothing (f, 2 * f->cluster, 512, true);
}

static void
test_made_of_places (Fixture *f, gconstpointer data)
{
  static const unsigned places[] = { 4, 0, QCOW2_FILE_DATA, 5 };

  f->file = qcow2_file_new_placed (places, G_N_ELEMENTS (places));
  f->cluster = 64 * KIB;
  f->data = QCOW2_FILE_DATA;
  g_assert_true (read_map (f));
  assert_at (f, 0, true, 1);
  assert_unknown (f, 1, true);
  assert_at (f, 2, true, 0);
  assert_at (f, 3, true, 2);
  assert_unknown (f, 4, true);
}

/* --- entries --- */

/* The second one of four says so; and the others are found as before. */
static void
check_entry (Fixture *f, uint64_t entry)
{
  const uint64_t cluster = f->cluster;

  qcow2_file_set_entry (f->file, 1, entry);
  g_assert_true (read_map (f));
  assert_unknown (f, 1, true);
  assert_find (f, 0, 4 * cluster, true, cluster, f->data * cluster);
  assert_find (f, 2 * cluster, 2 * cluster, true, 2 * cluster, (f->data + 2) * cluster);
}

static void
test_entries (Fixture *f, gconstpointer data)
{
  make (f);
  const uint64_t place = (f->data + 1) * f->cluster;

  check_entry (f, 0);
  check_entry (f, place);
  check_entry (f, QCOW2_FILE_ZEROS);
  check_entry (f, QCOW2_FILE_COPIED | QCOW2_FILE_ZEROS | place);
  check_entry (f, QCOW2_FILE_COMPRESSED | place);
  check_entry (f, QCOW2_FILE_COPIED | QCOW2_FILE_COMPRESSED | place);
  check_entry (f, QCOW2_FILE_COPIED);
  check_entry (f, QCOW2_FILE_COPIED | 512); /* in the header's cluster */
  check_entry (f, QCOW2_FILE_COPIED | (f->cluster - 512));
  check_entry (f, QCOW2_FILE_COPIED | (place + 512));
  check_entry (f, QCOW2_FILE_COPIED | (place + f->cluster / 2));
  check_entry (f, QCOW2_FILE_COPIED | UINT64_C (0x00fffffffffffe00));
  check_entry (f, QCOW2_FILE_COPIED | UINT64_C (0x00ffffffffff0000));
  check_entry (f, UINT64_MAX);
}

/* Room for 16 clusters: the last one is the last that can be. */
static void
test_end_of_file (Fixture *f, gconstpointer data)
{
  make (f);
  const uint64_t file_size = (f->data + 16) * f->cluster;

  qcow2_file_place (f->file, 4, f->data + 15);
  qcow2_file_place (f->file, 5, f->data + 16);
  g_assert_true (read_map (f));
  assert_at (f, 4, true, 15);
  assert_find (f, 4 * f->cluster, 2 * f->cluster, true, f->cluster, file_size - f->cluster);
  assert_unknown (f, 5, true);
  make_shorter (f, file_size - 1);
  g_assert_true (read_map (f));
  assert_unknown (f, 4, true);
  /* It grows, as somebody writes there. */
  make_shorter (f, file_size);
  assert_unknown (f, 4, true);
  qcow2_map_forget (f->map, 4 * f->cluster, 1);
  assert_at (f, 4, true, 15);
}

/* --- tables --- */

static void
test_l1_entries (Fixture *f, gconstpointer data)
{
  make (f);
  const uint64_t table = f->file->l2_place;
  const uint64_t bad[] = { 0,
                           QCOW2_FILE_COPIED,
                           table,
                           (table + 512) | QCOW2_FILE_COPIED,
                           (table + 4 * KIB) | QCOW2_FILE_COPIED,
                           (table + 512 * f->cluster) | QCOW2_FILE_COPIED,
                           UINT64_C (0x00ffffffffff0000) | QCOW2_FILE_COPIED,
                           UINT64_MAX };

  /* What would be found if one of these were believed: as the table is read from its second slice, or the header is. */
  qcow2_file_place (f->file, 512, f->data + 8);
  qcow2_file_set_header (f->file, 600 * 8, 8, (f->data + 9) * f->cluster | QCOW2_FILE_COPIED);
  for (unsigned i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      qcow2_file_set_l1 (f->file, 0, bad[i]);
      g_assert_true (read_map (f));
      assert_unknown (f, 0, true);
      assert_unknown (f, 600, true);
      qcow2_map_forget (f->map, 0, 1);
      assert_unknown (f, 0, true);
    }
  qcow2_file_set_l1 (f->file, 0, table | QCOW2_FILE_COPIED);
  assert_unknown (f, 0, true);
  qcow2_map_forget (f->map, 0, 1);
  assert_at (f, 0, true, 0);
}

static void
test_l1_table (Fixture *f, gconstpointer data)
{
  /* Two tables of 64 entries. */
  make_as (f, 3, 9, 128, 2);
  qcow2_file_place (f->file, 63, f->data);
  qcow2_file_place (f->file, 64, f->data + 1);
  qcow2_file_set_header (f->file, QCOW2_FILE_L1_SIZE, 4, 1);
  g_assert_true (read_map (f));
  assert_find (f, 63 * 512, 2 * 512, true, 512, f->data * 512);
  assert_unknown (f, 64, true);
  qcow2_file_set_header (f->file, QCOW2_FILE_L1_SIZE, 4, 0);
  g_assert_true (read_map (f));
  assert_unknown (f, 63, true);
  qcow2_file_set_header (f->file, QCOW2_FILE_L1_SIZE, 4, 2);
  /* Only its second entry is past the end of the file, then all of it. */
  const uint64_t file_size = (f->data + 2) * 512;
  qcow2_file_set_header (f->file, QCOW2_FILE_L1_PLACE, 8, file_size - 8);
  g_assert_true (read_map (f));
  assert_unknown (f, 64, true);
  qcow2_file_set_header (f->file, QCOW2_FILE_L1_PLACE, 8, UINT64_C (1) << 62);
  g_assert_true (read_map (f));
  assert_unknown (f, 63, true);
}

/* It is behind the data, and of its second slice something is missing. */
static void
test_l2_table_cut_off (Fixture *f, gconstpointer data)
{
  make_as (f, 3, 16, 1024, 5);
  f->file->l2_place = f->file->data_place + 4 * f->cluster;
  qcow2_file_set_l1 (f->file, 0, f->file->l2_place | QCOW2_FILE_COPIED);
  qcow2_file_place (f->file, 511, f->data);
  qcow2_file_place (f->file, 512, f->data + 1);
  make_shorter (f, f->file->l2_place + 8 * KIB);
  g_assert_true (read_map (f));
  assert_find (f, 511 * f->cluster, f->cluster * 2, true, f->cluster * 2, f->data * f->cluster);
  make_shorter (f, f->file->l2_place + 8 * KIB - 1);
  g_assert_true (read_map (f));
  assert_find (f, 511 * f->cluster, f->cluster * 2, true, f->cluster, f->data * f->cluster);
  assert_unknown (f, 512, true);
}

/* --- headers --- */

typedef struct Field
{
  unsigned version, offset, size;
  uint64_t value;
} Field;

static bool
is_read_with (Fixture *f, const Field *field)
{
  make_as (f, field->version, 16, 16, 1);
  qcow2_file_place (f->file, 0, f->data);
  qcow2_file_set_header (f->file, field->offset, field->size, field->value);
  return read_map (f);
}

static void
test_refused (Fixture *f, gconstpointer data)
{
  static const Field fields[] = {
    { 3, QCOW2_FILE_MAGIC, 4, 0x514649fa },
    { 3, QCOW2_FILE_VERSION, 4, 1 },
    { 3, QCOW2_FILE_VERSION, 4, 4 },
    { 3, QCOW2_FILE_CLUSTER_BITS, 4, 8 },
    { 2, QCOW2_FILE_CLUSTER_BITS, 4, 22 },
    { 3, QCOW2_FILE_CLUSTER_BITS, 4, 0 },
    { 3, QCOW2_FILE_CLUSTER_BITS, 4, UINT32_MAX },
    { 2, QCOW2_FILE_CRYPT_METHOD, 4, 1 },
    { 3, QCOW2_FILE_CRYPT_METHOD, 4, 2 },
    { 3, QCOW2_FILE_INCOMPATIBLE, 8, 1 << 1 }, /* corrupt */
    { 3, QCOW2_FILE_INCOMPATIBLE, 8, 1 << 2 }, /* data in another file */
    { 3, QCOW2_FILE_INCOMPATIBLE, 8, 1 << 4 }, /* extended L2 */
    { 3, QCOW2_FILE_INCOMPATIBLE, 8, 1 << 5 },
    { 3, QCOW2_FILE_INCOMPATIBLE, 8, UINT64_C (1) << 63 },
    { 3, QCOW2_FILE_AUTOCLEAR, 8, 1 << 0 }, /* bitmaps */
    { 3, QCOW2_FILE_L1_SIZE, 4, (4 << 20) + 1 },
    { 3, QCOW2_FILE_L1_PLACE, 8, (1 << 16) + 4 },
    { 3, QCOW2_FILE_L1_PLACE, 8, UINT64_C (1) << 63 },
    { 3, QCOW2_FILE_L1_PLACE, 8, INT64_MAX & ~UINT64_C (7) },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (fields); i++)
    g_assert_false (is_read_with (f, &fields[i]));
}

/* What changes nothing of where the data are; and version 2 has no such features. */
static void
test_not_refused (Fixture *f, gconstpointer data)
{
  static const Field fields[] = {
    { 3, QCOW2_FILE_VERSION, 4, 3 },
    { 3, QCOW2_FILE_INCOMPATIBLE, 8, 1 << 0 }, /* dirty */
    { 3, QCOW2_FILE_INCOMPATIBLE, 8, 1 << 3 }, /* method of compression */
    { 3, QCOW2_FILE_AUTOCLEAR, 8, 1 << 1 },
    { 2, QCOW2_FILE_INCOMPATIBLE, 8, UINT64_MAX },
    { 2, QCOW2_FILE_AUTOCLEAR, 8, UINT64_MAX },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      g_assert_true (is_read_with (f, &fields[i]));
      assert_at (f, 0, true, 0);
    }
}

static void
test_short_file (Fixture *f, gconstpointer data)
{
  static const unsigned sizes[] = { 95, 72, 7, 0 };

  make (f);
  make_shorter (f, 96);
  g_assert_true (read_map (f));
  assert_unknown (f, 0, true);
  for (unsigned i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      make_shorter (f, sizes[i]);
      g_assert_false (read_map (f));
    }
}

/* --- what is known, and for how long --- */

static void
test_settled (Fixture *f, gconstpointer data)
{
  make (f);
  g_assert_true (read_map (f));
  assert_unknown (f, 0, false);
  assert_at (f, 0, true, 0);
  /* The slice has been read. */
  assert_at (f, 3, false, 3);
  assert_find (f, 0, 9 * f->cluster, false, 4 * f->cluster, f->data * f->cluster);
  assert_unknown (f, 512, false);
}

static void
test_ask_again (Fixture *f, gconstpointer data)
{
  make (f);
  g_assert_true (read_map (f));
  assert_unknown (f, 4, true);
  assert_unknown (f, 600, true);
  qcow2_file_place (f->file, 4, f->data + 4);
  qcow2_file_place (f->file, 600, f->data + 5);
  assert_unknown (f, 4, true); /* it is not looked at each time */
  qcow2_map_forget (f->map, 4 * f->cluster + 10, 1);
  assert_unknown (f, 4, false);
  assert_at (f, 3, false, 3); /* what is known stays */
  assert_at (f, 4, true, 4);
  assert_at (f, 4, false, 4);
  assert_unknown (f, 600, true);
  qcow2_file_place (f->file, 5, f->data + 6);
  qcow2_map_forget (f->map, 599 * f->cluster, f->cluster + 1);
  assert_unknown (f, 600, false);
  assert_at (f, 600, true, 5);
  assert_unknown (f, 5, true); /* nobody said that it could have one */
}

static void
read_all (Fixture *f)
{
  make (f);
  for (unsigned i = 0; i < 4; i++)
    qcow2_file_place (f->file, 510 + i, f->data + 4 + i);
  g_assert_true (read_map (f));
  assert_at (f, 0, true, 0);
  assert_at (f, 512, true, 6);
}

static void
test_forget (Fixture *f, gconstpointer data)
{
  const uint64_t cluster = 64 * KIB;

  read_all (f);
  qcow2_map_forget (f->map, cluster + 5, 10);
  assert_at (f, 0, false, 0);
  assert_unknown (f, 1, false);
  assert_find (f, 2 * cluster, 9 * cluster, false, 2 * cluster, (f->data + 2) * cluster);
  assert_find (f, 0, 9 * cluster, false, cluster, f->data * cluster);
  qcow2_map_forget (f->map, 3 * cluster - 1, 2);
  assert_at (f, 0, false, 0);
  assert_unknown (f, 2, false);
  assert_unknown (f, 3, false);
  qcow2_map_forget (f->map, 0, 0);
  assert_unknown (f, 0, false);
  /* And it is worth another look. */
  qcow2_file_place (f->file, 1, f->data + 9);
  assert_at (f, 1, true, 9);
  assert_at (f, 3, false, 3);
}

static void
test_forget_slices (Fixture *f, gconstpointer data)
{
  const uint64_t cluster = 64 * KIB;

  read_all (f);
  qcow2_map_forget (f->map, 511 * cluster, 2 * cluster);
  assert_at (f, 510, false, 4);
  assert_unknown (f, 511, false);
  assert_unknown (f, 512, false);
  assert_at (f, 513, false, 7);
  assert_at (f, 0, false, 0);
  qcow2_map_forget (f->map, 0, 1024 * cluster);
  assert_unknown (f, 510, false);
  assert_unknown (f, 513, false);
  assert_unknown (f, 0, false);
  assert_find (f, 510 * cluster, 9 * cluster, true, 4 * cluster, (f->data + 4) * cluster);
}

/* There are 8192 slots; with the smallest clusters a slice has 64 entries. */
#define APART (8192u * 64)

static void
make_large (Fixture *f)
{
  make_as (f, 3, 9, 2 * APART, 8);
  for (unsigned i = 0; i < 2; i++)
    {
      qcow2_file_place (f->file, 5 + i, f->data + i);
      qcow2_file_place (f->file, APART + 5 + i, f->data + 4 + i);
    }
  g_assert_true (read_map (f));
}

static void
test_one_slot (Fixture *f, gconstpointer data)
{
  make_large (f);
  for (unsigned i = 0; i < 3; i++)
    {
      assert_at (f, 5, true, 0);
      assert_at (f, 6, false, 1);
      assert_unknown (f, APART + 5, false);
      assert_at (f, APART + 5, true, 4);
      assert_at (f, APART + 6, false, 5);
      assert_unknown (f, 5, false);
    }
  /* What is said of the one is nothing to the other. */
  qcow2_map_forget (f->map, 0, 512 * 64);
  assert_at (f, APART + 5, false, 4);
  qcow2_map_forget (f->map, (APART + 5) * 512, 1);
  assert_unknown (f, APART + 5, false);
  assert_at (f, APART + 6, false, 5);
}

static void
test_ask_again_one_slot (Fixture *f, gconstpointer data)
{
  make_large (f);
  assert_unknown (f, APART + 7, true);
  qcow2_file_place (f->file, APART + 7, f->data + 7);
  qcow2_map_forget (f->map, 0, (APART + 7) * 512);
  assert_unknown (f, APART + 7, true);
  qcow2_map_forget (f->map, 0, (APART + 7) * 512 + 1);
  assert_at (f, APART + 7, true, 7);
}

/* What would make all that is known untrue. */
static void
test_valid (Fixture *f, gconstpointer data)
{
  static const struct
  {
    unsigned offset, size;
    uint64_t value;
  } changes[] = {
    { QCOW2_FILE_L1_PLACE, 8, 0x40000 },
    { QCOW2_FILE_L1_SIZE, 4, 7 },
    { QCOW2_FILE_SIZE, 8, UINT64_C (1) << 33 },
    { QCOW2_FILE_CLUSTER_BITS, 4, 17 },
    { QCOW2_FILE_INCOMPATIBLE, 8, 1 << 1 },
    { QCOW2_FILE_AUTOCLEAR, 8, 1 },
    { QCOW2_FILE_MAGIC, 4, 0 },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (changes); i++)
    {
      make (f);
      g_assert_true (read_map (f));
      assert_at (f, 0, true, 0);
      qcow2_file_set_header (f->file, QCOW2_FILE_INCOMPATIBLE, 8, 1); /* dirty: no matter */
      g_assert_true (qcow2_map_is_valid (f->map));
      qcow2_file_set_header (f->file, changes[i].offset, changes[i].size, changes[i].value);
      g_assert_false (qcow2_map_is_valid (f->map));
    }
}

/* As the largest discard: it takes no longer than there are slots. */
static void
test_forget_all (Fixture *f, gconstpointer data)
{
  make_large (f);
  assert_unknown (f, 7, true);
  assert_unknown (f, APART + 100, true); /* of another slot */
  qcow2_file_place (f->file, 7, f->data + 2);
  qcow2_file_place (f->file, APART + 100, f->data + 7);
  qcow2_map_forget (f->map, 0, INT64_MAX);
  qcow2_map_forget (f->map, 512 * 64 * 3, INT64_MAX);
  assert_at (f, 7, true, 2);
  assert_at (f, APART + 100, true, 7);
}

#define ADD(name, test)                                                                            \
  g_test_add ("/qcow2-map/" name, Fixture, NULL, set_up, test, tear_down);                         \
  g_test_add ("/qcow2-map/direct/" name, Fixture, "direct", set_up, test, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("runs", test_runs);
  ADD ("part-of-a-cluster", test_part_of_a_cluster);
  ADD ("made-of-places", test_made_of_places);
  ADD ("hostile-19-entries", test_entries);
  ADD ("hostile-19-end-of-file", test_end_of_file);
  ADD ("hostile-19-l1-entries", test_l1_entries);
  ADD ("hostile-19-l1-table", test_l1_table);
  ADD ("hostile-19-l2-table-cut-off", test_l2_table_cut_off);
  ADD ("hostile-19-refused", test_refused);
  ADD ("not-refused", test_not_refused);
  ADD ("hostile-19-short-file", test_short_file);
  ADD ("settled", test_settled);
  ADD ("ask-again", test_ask_again);
  ADD ("forget", test_forget);
  ADD ("forget-slices", test_forget_slices);
  ADD ("one-slot", test_one_slot);
  ADD ("ask-again-one-slot", test_ask_again_one_slot);
  ADD ("forget-all", test_forget_all);
  ADD ("valid", test_valid);
  return g_test_run ();
}
