#include <errno.h>
#include <poll.h>
#include <string.h>
#include <gio/gio.h>
#include <glib/gstdio.h>

#include "base/iov.h"
#include "block-calls.h"
#include "block/block-nbd.h"
#include "block/block-qcow2.h"
#include "helpers/storage-daemon.h"

/* Random requests on a qcow2 image that a real qemu-storage-daemon serves, and that is written past it as well. What was answered is there when it is
 * read, also after the daemon was killed, and in the file when all has ended, which qemu-img finds good. */
enum
{
  SECTOR = 512,
  SECTORS = 16384,
  SIZE = SECTORS * SECTOR,
  SLOTS = 12,
  LENGTH_MAX = 300, /* sectors of a request */
  NARROW = 1024,    /* sectors of which all is asked */
  NARROW_LENGTH = 24,
  STEPS = 500,
  SLOW_STEPS = 10000, /* -m slow */
};

typedef struct Image
{
  const char *name;
  const char *options; /* of qemu-img create */
  bool has_backing;
  bool is_compressed; /* what is in it at first */
  bool stays_served;  /* no place of it may be known */
  bool is_small;      /* its clusters may be less than a block of the medium, and so the same */
  bool is_sturdy;     /* the daemon is not killed: for the time that it takes */
  bool is_narrow;     /* all is asked of a few clusters, so that much of it meets there */
} Image;

typedef struct Run Run;

typedef struct Slot
{
  BlockRequest io; /* first: on_done () casts */
  Run *run;
  bool busy;
  unsigned first; /* sectors */
  unsigned n;
  struct iovec iov[3];
  uint8_t memory[LENGTH_MAX * SECTOR] __attribute__ ((aligned (4096)));
} Slot;

struct Run
{
  GRand *rand;
  char *folder;
  VmDiskConfig disk;
  StorageDaemon *daemon;
  BlockNbd *nbd;
  BlockQcow2 qcow2;
  BlockBackend backend;
  unsigned n_lost;
  Slot *slots;
  /* What each sector is full of. */
  struct
  {
    uint32_t value;
    bool is_undefined;
    bool is_busy;
  } sectors[SECTORS];
  uint32_t n_values;
  unsigned n_steps;
  bool is_narrow;
};

static bool
chance (Run *run, unsigned percent)
{
  return (unsigned) g_rand_int_range (run->rand, 0, 100) < percent;
}

G_GNUC_PRINTF (1, 2)
static void
shell (const char *format, ...)
{
  int status = -1;
  va_list args;

  va_start (args, format);
  g_autofree char *line = g_strdup_vprintf (format, args);
  va_end (args);
  const char *arguments[] = { "sh", "-ec", line, NULL };
  g_assert_true (g_spawn_sync (NULL, (char **) arguments, NULL,
                               G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                               NULL, &status, NULL));
  g_test_message ("%s: %d", line, status);
  g_assert_cmpint (status, ==, 0);
}

/* --- the daemon --- */

static void
failed (void *opaque, const char *reason)
{
  Run *run = opaque;

  run->n_lost++;
}

/* --- the image --- */

static void
fill (uint8_t *sector, uint32_t value)
{
  for (unsigned i = 0; i < SECTOR; i += sizeof value)
    memcpy (sector + i, &value, sizeof value);
}

/* Every third 64 KiB have something in them. */
static void
write_first_contents (Run *run, const char *path)
{
  g_autofree uint8_t *bytes = g_malloc0 (SIZE);
  g_autoptr (GError) error = NULL;

  for (unsigned i = 0; i < SECTORS; i++)
    if (i / 128 % 3 == 0)
      {
        run->sectors[i].value = ++run->n_values;
        fill (bytes + (size_t) i * SECTOR, run->sectors[i].value);
      }
  g_file_set_contents (path, (char *) bytes, SIZE, &error);
  g_assert_no_error (error);
}

static void
make_image (Run *run, const Image *image)
{
  g_autofree char *raw = g_build_filename (run->folder, "raw", NULL);
  g_autofree char *base = g_build_filename (run->folder, "base", NULL);

  write_first_contents (run, raw);
  run->disk = (VmDiskConfig){ .file = g_build_filename (run->folder, "disk", NULL),
                              .format = VM_DISK_FORMAT_QCOW2 };
  if (image->has_backing)
    {
      run->disk.backing = g_steal_pointer (&base);
      run->disk.backing_format = VM_DISK_FORMAT_RAW;
      shell ("mv %s %s; qemu-img create -q -f qcow2 -b %s -F raw -o %s %s", raw, run->disk.backing,
             run->disk.backing, image->options, run->disk.file);
    }
  else
    shell ("qemu-img convert -q %s -f raw -O qcow2 -o %s %s %s", image->is_compressed ? "-c" : "",
           image->options, raw, run->disk.file);
}

static void
serve (Run *run)
{
  BlockNbdConfig config = { .failed = failed, .opaque = run };
  g_autoptr (GError) error = NULL;

  run->daemon = storage_daemon_new (&run->disk, STORAGE_DAEMON_NBD);
  config.server = storage_daemon_get_server (run->daemon);
  run->nbd = block_nbd_new (&config, &error);
  g_assert_no_error (error);
  block_nbd_get_backend (run->nbd, &run->backend);
  block_qcow2_init (&run->qcow2, &run->backend, run->disk.file, false);
  g_assert_cmpuint (run->backend.size, ==, SIZE);
}

/* --- the guest --- */

static void
check_read (const Slot *slot)
{
  uint8_t expected[SECTOR];

  for (unsigned i = 0; i < slot->n; i++)
    {
      fill (expected, slot->run->sectors[slot->first + i].value);
      if (!slot->run->sectors[slot->first + i].is_undefined)
        g_assert_cmpmem (slot->memory + i * SECTOR, SECTOR, expected, SECTOR);
    }
}

static void
on_done (BlockRequest *request, int error)
{
  Slot *slot = (Slot *) request;
  Run *run = slot->run;

  g_assert_true (slot->busy);
  g_assert_cmpint (error, ==, 0);
  slot->busy = false;
  if (request->operation == BLOCK_READ)
    check_read (slot);
  for (unsigned i = slot->first; i < slot->first + slot->n; i++)
    run->sectors[i].is_busy = false;
}

static BlockOperation
choose (Run *run)
{
  const unsigned n = g_rand_int_range (run->rand, 0, 100);

  return n < 40                           ? BLOCK_WRITE
         : n < (run->is_narrow ? 55 : 80) ? BLOCK_READ
         : n < (run->is_narrow ? 75 : 85) ? BLOCK_DISCARD
         : n < (run->is_narrow ? 95 : 90) ? BLOCK_WRITE_ZEROES
                                          : BLOCK_FLUSH;
}

static bool
are_free (const Run *run, unsigned first, unsigned n)
{
  for (unsigned i = first; i < first + n; i++)
    if (run->sectors[i].is_busy)
      return false;
  return true;
}

/* What the sectors will be when it is done. */
static void
note (Slot *slot, BlockOperation operation)
{
  Run *run = slot->run;

  for (unsigned i = 0; i < slot->n; i++)
    {
      run->sectors[slot->first + i].is_busy = true;
      if (operation == BLOCK_WRITE)
        {
          run->sectors[slot->first + i].value = ++run->n_values;
          fill (slot->memory + i * SECTOR, run->n_values);
        }
      if (operation == BLOCK_WRITE_ZEROES)
        run->sectors[slot->first + i].value = 0;
      if (operation != BLOCK_READ)
        run->sectors[slot->first + i].is_undefined = operation == BLOCK_DISCARD;
    }
}

/* Mostly at a few places, and aligned. */
static void
place (Run *run, BlockOperation operation, unsigned *first, unsigned *n)
{
  const unsigned spread = run->is_narrow ? NARROW : chance (run, 30) ? SECTORS : 2048;
  const unsigned unit = chance (run, 60) ? 8 : chance (run, 50) ? 128 : 1;
  const unsigned longest = run->is_narrow && unit < 128 ? NARROW_LENGTH : LENGTH_MAX;
  const unsigned length = (unsigned) g_rand_int_range (run->rand, 1, longest + 1);

  *first = (unsigned) g_rand_int_range (run->rand, 0, spread) / unit * unit;
  *n = operation == BLOCK_FLUSH ? 0 : MIN (MAX (length / unit * unit, unit), SECTORS - *first);
}

static void
submit (Run *run, Slot *slot, BlockOperation operation, unsigned first, unsigned n)
{
  const size_t one = (size_t) g_rand_int_range (run->rand, 0, n + 1) * SECTOR;

  slot->busy = true;
  slot->first = first;
  slot->n = n;
  note (slot, operation);
  slot->iov[0] = (struct iovec){ slot->memory, one };
  slot->iov[1] = (struct iovec){ slot->memory + one, 0 };
  slot->iov[2] = (struct iovec){ slot->memory + one, n * SECTOR - one };
  slot->io = (BlockRequest){
    .operation = operation,
    .offset = (uint64_t) first * SECTOR,
    .size = (uint64_t) n * SECTOR,
    .iov = slot->iov,
    .n_iov = operation == BLOCK_WRITE || operation == BLOCK_READ ? G_N_ELEMENTS (slot->iov) : 0,
    .may_unmap = chance (run, 50),
    .durable = chance (run, 5),
    .done = on_done,
  };
  run->backend.ops->submit (run->backend.opaque, &slot->io);
}

static void
begin (Run *run, Slot *slot)
{
  const BlockOperation operation = choose (run);
  unsigned first, n;

  place (run, operation, &first, &n);
  if (are_free (run, first, n))
    submit (run, slot, operation, first, n);
}

static bool
is_busy (const Run *run)
{
  for (unsigned i = 0; i < SLOTS; i++)
    if (run->slots[i].busy)
      return true;
  return false;
}

static void
wait_for_one (Run *run)
{
  struct pollfd one = { .fd = run->backend.fd, .events = POLLIN };

  run->backend.ops->kick (run->backend.opaque);
  if (!is_busy (run))
    return;
  g_assert_cmpint (poll (&one, 1, 60000), ==, 1);
  run->backend.ops->reap (run->backend.opaque);
}

static void
lose_daemon (Run *run)
{
  g_autoptr (GError) error = NULL;

  storage_daemon_kill (run->daemon);
  run->backend.ops->kick (run->backend.opaque);
  while (!block_nbd_is_lost (run->nbd))
    run->backend.ops->reap (run->backend.opaque);
  block_qcow2_repeat (&run->qcow2);
  block_nbd_resume (run->nbd, &error);
  g_assert_no_error (error);
}

static void
step (Run *run, bool dies)
{
  Slot *slot = &run->slots[g_rand_int_range (run->rand, 0, SLOTS)];

  if (!slot->busy)
    begin (run, slot);
  if (chance (run, 40))
    run->backend.ops->kick (run->backend.opaque);
  if (chance (run, 50))
    wait_for_one (run);
  if (chance (run, 1))
    run->backend.ops->drain (run->backend.opaque);
  if (dies && g_rand_int_range (run->rand, 0, run->n_steps / 8) == 0)
    lose_daemon (run);
}

/* --- in the end --- */

static void
check_file (const Run *run, bool may_leak)
{
  g_autofree char *raw = g_build_filename (run->folder, "raw", NULL);
  g_autofree char *bytes = NULL;
  g_autoptr (GError) error = NULL;
  uint8_t expected[SECTOR];
  size_t size;

  /* 3: clusters that nobody refers to, which a daemon that was killed leaves behind. */
  shell ("qemu-img check -q -f qcow2 %s 2>&1 || test $? = %d", run->disk.file, may_leak ? 3 : 0);
  shell ("qemu-img convert -q -f qcow2 -O raw %s %s", run->disk.file, raw);
  g_file_get_contents (raw, &bytes, &size, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (size, ==, SIZE);
  for (unsigned i = 0; i < SECTORS; i++)
    {
      fill (expected, run->sectors[i].value);
      if (!run->sectors[i].is_undefined)
        g_assert_cmpmem (bytes + (size_t) i * SECTOR, SECTOR, expected, SECTOR);
    }
}

static void
set_up (Run *run, const Image *image, unsigned seed)
{
  run->rand = g_rand_new_with_seed (seed);
  run->folder = g_dir_make_tmp ("alcove-qcow2-XXXXXX", NULL);
  run->slots = aligned_alloc (4096, sizeof (Slot) * SLOTS);
  memset (run->slots, 0, sizeof (Slot) * SLOTS);
  for (unsigned i = 0; i < SLOTS; i++)
    run->slots[i].run = run;
  make_image (run, image);
  serve (run);
}

static void
tear_down (Run *run, bool may_leak)
{
  run->backend.ops->free (run->backend.opaque);
  storage_daemon_free (run->daemon);
  check_file (run, may_leak);
  shell ("rm -r %s", run->folder);
  free (run->slots);
  g_rand_free (run->rand);
  g_free (run->disk.file);
  g_free (run->disk.backing);
  g_free (run->folder);
}

/* What a direct request needs, whatever the random ones were: a cluster with data of its own, and a flush. */
static void
be_direct (Run *run)
{
  static const BlockOperation operations[] = { BLOCK_WRITE, BLOCK_FLUSH, BLOCK_READ };

  for (unsigned i = 0; i < G_N_ELEMENTS (operations); i++)
    {
      submit (run, &run->slots[0], operations[i], 0, operations[i] == BLOCK_FLUSH ? 0 : 8);
      run->backend.ops->drain (run->backend.opaque);
    }
}

static void
play (const Image *image, unsigned seed, bool dies)
{
  g_autofree Run *run = g_new0 (Run, 1);

  g_test_message ("%s, seed %u", image->name, seed);
  block_calls = (BlockCalls){};
  run->is_narrow = image->is_narrow;
  run->n_steps = g_test_slow () ? SLOW_STEPS : STEPS;
  set_up (run, image, seed);
  const bool is_placed = run->qcow2.placed != NULL;
  for (unsigned i = 0; i < run->n_steps; i++)
    step (run, dies);
  run->backend.ops->drain (run->backend.opaque);
  be_direct (run);
  tear_down (run, dies);
  /* The run was of use. */
  g_assert_cmpint (block_calls.n_reads + block_calls.n_writes > 0, ==, is_placed);
  g_assert_true (is_placed == !image->stays_served || image->is_small);
  g_assert_cmpint (run->n_lost > 0, ==, dies);
}

static bool
have_programs (void)
{
  g_autofree char *program = g_find_program_in_path ("qemu-storage-daemon");
  g_autofree char *creator = g_find_program_in_path ("qemu-img");

  if (!program || !creator)
    g_test_skip ("no qemu-storage-daemon or no qemu-img");
  return program && creator;
}

static void
test_lives (const void *image)
{
  if (have_programs ())
    play (image, g_test_rand_int (), false);
}

static void
test_dies (const void *image)
{
  if (have_programs ())
    play (image, g_test_rand_int (), true);
}

int
main (int argc, char **argv)
{
  static const Image images[] = {
    { "usual", "cluster_size=64k" },
    { "small-clusters", "cluster_size=512", .is_small = true },
    { "large-clusters", "cluster_size=2M", .is_sturdy = true },
    { "version-2", "compat=0.10", .is_sturdy = true },
    { "lazy", "lazy_refcounts=on" },
    { "compressed", "cluster_size=64k", .is_compressed = true },
    { "narrow", "cluster_size=64k", .is_sturdy = true, .is_narrow = true },
    { "narrow-compressed", "cluster_size=64k", .is_compressed = true, .is_sturdy = true,
      .is_narrow = true },
    { "backing", "cluster_size=4k", .has_backing = true },
    { "preallocated", "preallocation=metadata", .is_sturdy = true },
    { "parts-of-clusters", "extended_l2=on", .stays_served = true, .is_sturdy = true },
  };

  g_test_init (&argc, &argv, NULL);
  for (unsigned i = 0; i < G_N_ELEMENTS (images); i++)
    {
      g_autofree char *lives = g_strconcat ("/block-qcow2/lives/", images[i].name, NULL);
      g_autofree char *dies = g_strconcat ("/block-qcow2/dies/", images[i].name, NULL);

      g_test_add_data_func (lives, &images[i], test_lives);
      if (!images[i].is_sturdy)
        g_test_add_data_func (dies, &images[i], test_dies);
    }
  return g_test_run ();
}
