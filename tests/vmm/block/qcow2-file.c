#include "qcow2-file.h"

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

#define ENTRY_SIZE 8

static void
store (const Qcow2File *file, uint64_t offset, unsigned size, uint64_t value)
{
  const uint64_t bytes = GUINT64_TO_BE (value);

  g_assert_cmpint (pwrite (file->fd, (const char *) &bytes + sizeof bytes - size, size, offset), ==,
                   size);
}

static uint64_t
round_up (uint64_t value, uint64_t unit)
{
  return (value + unit - 1) / unit * unit;
}

static void
write_header (Qcow2File *file, unsigned version, uint64_t clusters, uint64_t l1_size)
{
  qcow2_file_set_header (file, QCOW2_FILE_MAGIC, 4, 0x514649fb);
  qcow2_file_set_header (file, QCOW2_FILE_VERSION, 4, version);
  qcow2_file_set_header (file, QCOW2_FILE_CLUSTER_BITS, 4, file->cluster_bits);
  qcow2_file_set_header (file, QCOW2_FILE_SIZE, 8, clusters << file->cluster_bits);
  qcow2_file_set_header (file, QCOW2_FILE_L1_SIZE, 4, l1_size);
  qcow2_file_set_header (file, QCOW2_FILE_L1_PLACE, 8, file->l1_place);
}

Qcow2File *
qcow2_file_new (unsigned version, unsigned cluster_bits, uint64_t clusters, uint64_t n_data)
{
  Qcow2File *file = g_new0 (Qcow2File, 1);
  const uint64_t cluster = UINT64_C (1) << cluster_bits;
  const uint64_t l1_size = round_up (clusters * ENTRY_SIZE, cluster) / cluster;

  file->fd = g_file_open_tmp ("alcove-qcow2-XXXXXX", &file->path, NULL);
  g_assert_cmpint (file->fd, >=, 0);
  file->cluster_bits = cluster_bits;
  file->l1_place = cluster;
  file->l2_place = cluster + round_up (l1_size * ENTRY_SIZE, cluster);
  file->data_place = file->l2_place + l1_size * cluster;
  g_assert_cmpint (ftruncate (file->fd, file->data_place + n_data * cluster), ==, 0);
  write_header (file, version, clusters, l1_size);
  for (uint64_t i = 0; i < l1_size; i++)
    qcow2_file_set_l1 (file, i, (file->l2_place + i * cluster) | QCOW2_FILE_COPIED);
  return file;
}

Qcow2File *
qcow2_file_new_placed (const unsigned *places, unsigned n)
{
  Qcow2File *file = qcow2_file_new (3, 16, n, 0);
  unsigned end = QCOW2_FILE_DATA;

  g_assert_cmpuint (file->data_place, ==, QCOW2_FILE_DATA << 16);
  for (unsigned i = 0; i < n; i++)
    {
      qcow2_file_place (file, i, places[i]);
      end = MAX (end, places[i] + 1);
    }
  g_assert_cmpint (ftruncate (file->fd, (off_t) end << 16), ==, 0);
  return file;
}

void
qcow2_file_free (Qcow2File *file)
{
  if (!file)
    return;
  close (file->fd);
  g_unlink (file->path);
  g_free (file->path);
  g_free (file);
}

void
qcow2_file_place (Qcow2File *file, uint64_t cluster, uint64_t place)
{
  const uint64_t copied = place == 0 ? 0 : QCOW2_FILE_COPIED;

  qcow2_file_set_entry (file, cluster, place << file->cluster_bits | copied);
}

void
qcow2_file_set_entry (Qcow2File *file, uint64_t cluster, uint64_t entry)
{
  store (file, file->l2_place + cluster * ENTRY_SIZE, ENTRY_SIZE, entry);
}

void
qcow2_file_set_l1 (Qcow2File *file, uint64_t index, uint64_t entry)
{
  store (file, file->l1_place + index * ENTRY_SIZE, ENTRY_SIZE, entry);
}

void
qcow2_file_set_header (Qcow2File *file, unsigned offset, unsigned size, uint64_t value)
{
  store (file, offset, size, value);
}
