#include <string.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <poll.h>

#include "block/block-nbd.h"
#include "block/block-settled.h"
#include "block/image-header.h"
#include "helpers/storage-daemon.h"

#define SIZE   "64M"
#define WRITES 60
#define STRIDE (UINT64_C (1) << 20) /* each in a cluster of its own */

/* A real daemon and a new image of any format. */
typedef struct Fixture
{
  char *folder;
  VmDiskConfig disk;
  StorageDaemon *daemon;
  BlockNbd *nbd;
  BlockSettled *settled; /* on top of it, of a qcow2 image */
  BlockBackend backend;
  unsigned n_failures;
} Fixture;

typedef struct Tracked
{
  BlockRequest io; /* first: on_done () casts */
  bool done;
  int error;
} Tracked;

static int
run_program (const char *first, const char *second, const char *format, const char *file,
             const char *size)
{
  const char *arguments[] = { "qemu-img", first, second, "-f", format, file, size, NULL };
  int status = -1;

  g_assert_true (g_spawn_sync (NULL, (char **) arguments, NULL,
                               G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                               NULL, &status, NULL));
  return status;
}

static void
failed (void *opaque, const char *reason)
{
  Fixture *f = opaque;

  f->n_failures++;
}

static bool
set_up (Fixture *f, VmDiskFormat format)
{
  g_autofree char *program = g_find_program_in_path ("qemu-storage-daemon");
  g_autofree char *creator = g_find_program_in_path ("qemu-img");
  g_autoptr (GError) error = NULL;
  BlockNbdConfig config = { .failed = failed, .opaque = f };

  if (!program || !creator)
    {
      g_test_skip ("no qemu-storage-daemon or no qemu-img");
      return false;
    }
  f->folder = g_dir_make_tmp ("alcove-daemon-XXXXXX", NULL);
  f->disk = (VmDiskConfig){ .file = g_build_filename (f->folder, "disk", NULL), .format = format };
  g_assert_cmpint (
      run_program ("create", "-q", vm_disk_format_to_string (format), f->disk.file, SIZE), ==, 0);
  f->daemon = storage_daemon_new (&f->disk, STORAGE_DAEMON_NBD);
  config.server = storage_daemon_get_server (f->daemon);
  f->nbd = block_nbd_new (&config, &error);
  g_assert_no_error (error);
  block_nbd_get_backend (f->nbd, &f->backend);
  if (format == VM_DISK_FORMAT_QCOW2)
    {
      f->settled =
          block_settled_new (&f->backend, image_header_get_clusters (f->disk.file).granularity);
      block_settled_get_backend (f->settled, &f->backend);
    }
  g_assert_cmpuint (f->backend.size, ==, 64 << 20);
  return true;
}

static void
tear_down (Fixture *f)
{
  f->backend.ops->free (f->backend.opaque);
  storage_daemon_free (f->daemon);
  g_unlink (f->disk.file);
  g_rmdir (f->folder);
  g_free (f->disk.file);
  g_free (f->folder);
}

static void
on_done (BlockRequest *io, int error)
{
  Tracked *tracked = (Tracked *) io;

  tracked->done = true;
  tracked->error = error;
}

static void
run (Fixture *f, BlockOperation operation, uint64_t offset, void *bytes, size_t size)
{
  struct iovec iov = { bytes, size };
  Tracked tracked = {
    .io = { .operation = operation,
            .offset = offset,
            .size = size,
            .iov = &iov,
            .n_iov = 1,
            .done = on_done },
  };

  f->backend.ops->submit (f->backend.opaque, &tracked.io);
  f->backend.ops->kick (f->backend.opaque);
  while (!tracked.done)
    {
      struct pollfd one = { .fd = f->backend.fd, .events = POLLIN };

      g_assert_cmpint (poll (&one, 1, 30000), ==, 1);
      f->backend.ops->reap (f->backend.opaque);
    }
  g_assert_cmpint (tracked.error, ==, 0);
}

/* Each write that was answered is there when the daemon has been killed: no flush of the guest came before. */
static void
test_killed (const void *data)
{
  const VmDiskFormat format = GPOINTER_TO_UINT (data);
  g_autoptr (GError) error = NULL;
  uint8_t bytes[4096], back[4096];
  Fixture f = { 0 };

  if (!set_up (&f, format))
    return;
  for (unsigned i = 0; i < WRITES; i++)
    {
      memset (bytes, i + 1, sizeof bytes);
      run (&f, BLOCK_WRITE, i * STRIDE, bytes, sizeof bytes);
    }
  storage_daemon_kill (f.daemon);
  while (f.n_failures == 0)
    f.backend.ops->reap (f.backend.opaque);
  if (f.settled)
    block_settled_repeat (f.settled, 0);
  g_assert_true (block_nbd_resume (f.nbd, &error));
  g_assert_no_error (error);
  for (unsigned i = 0; i < WRITES; i++)
    {
      memset (bytes, i + 1, sizeof bytes);
      run (&f, BLOCK_READ, i * STRIDE, back, sizeof back);
      g_assert_cmpmem (back, sizeof back, bytes, sizeof bytes);
    }
  run (&f, BLOCK_FLUSH, 0, NULL, 0);
  tear_down (&f);
}

int
main (int argc, char **argv)
{
  static const VmDiskFormat formats[] = { VM_DISK_FORMAT_QCOW2, VM_DISK_FORMAT_VMDK,
                                          VM_DISK_FORMAT_VDI, VM_DISK_FORMAT_VHDX };

  g_test_init (&argc, &argv, NULL);
  for (unsigned i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      g_autofree char *name =
          g_strconcat ("/storage-daemon/killed/", vm_disk_format_to_string (formats[i]), NULL);

      g_test_add_data_func (name, GUINT_TO_POINTER (formats[i]), test_killed);
    }
  return g_test_run ();
}
