#pragma once

#include <stdint.h>
#include <glib.h>

/* A qcow2 image in a temporary file, made to measure: the header, the L1 table from its second cluster on, all L2 tables one behind the other, and
 * sparse room for data. Each call writes to the file at once. A disk that one L2 table is enough for has its data from cluster QCOW2_FILE_DATA on. */
typedef struct Qcow2File
{
  int fd;
  char *path; /* gone with the file */
  unsigned cluster_bits;
  uint64_t l1_place, l2_place; /* of the tables, in bytes */
  uint64_t data_place;         /* behind them */
} Qcow2File;

#define QCOW2_FILE_DATA       3 /* before it: header, L1, L2 */
#define QCOW2_FILE_COPIED     (UINT64_C (1) << 63)
#define QCOW2_FILE_COMPRESSED (UINT64_C (1) << 62)
#define QCOW2_FILE_ZEROS      (UINT64_C (1) << 0)

/* Where it is in the header. The disk's size, the L1 table's place and the features have 8 bytes, the others 4. */
enum
{
  QCOW2_FILE_MAGIC = 0,
  QCOW2_FILE_VERSION = 4,
  QCOW2_FILE_CLUSTER_BITS = 20,
  QCOW2_FILE_SIZE = 24,
  QCOW2_FILE_CRYPT_METHOD = 32,
  QCOW2_FILE_L1_SIZE = 36,
  QCOW2_FILE_L1_PLACE = 40,
  QCOW2_FILE_INCOMPATIBLE = 72,
  QCOW2_FILE_AUTOCLEAR = 88,
};

/* A disk of so many clusters, none of which is allocated, and a file with room for n_data more behind the tables. */
Qcow2File *qcow2_file_new (unsigned version, unsigned cluster_bits, uint64_t clusters,
                           uint64_t n_data);
/* A disk of n clusters of 64 KiB (at most 8192), version 3: its cluster i is the file's cluster places[i], from QCOW2_FILE_DATA on; 0: not allocated.
 * The file ends behind the last one. */
Qcow2File *qcow2_file_new_placed (const unsigned *places, unsigned n);
void qcow2_file_free (Qcow2File *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2File, qcow2_file_free)

/* The disk's cluster is the file's cluster place, which nobody else refers to; 0: not allocated. The file is as long as before. */
void qcow2_file_place (Qcow2File *file, uint64_t cluster, uint64_t place);
/* The L2 entry of a cluster, and an L1 entry, as they are in the file. */
void qcow2_file_set_entry (Qcow2File *file, uint64_t cluster, uint64_t entry);
void qcow2_file_set_l1 (Qcow2File *file, uint64_t index, uint64_t entry);
/* A number of size bytes (4 or 8) of the header. */
void qcow2_file_set_header (Qcow2File *file, unsigned offset, unsigned size, uint64_t value);
