#define G_LOG_DOMAIN "vmm-firmware"

#include "firmware/uefi-nvram.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Theory of operation
 *
 * The firmware writes its variables so that a loss of power at any byte leaves them whole, if bytes reach the chip in order. The page
 * cache keeps that order for as long as the host stands; fdatasync follows in a thread of its own when no write has come for a
 * while, and at the end. (To sync at each byte would take minutes for the 15000 bytes of a first boot.)
 *
 * The file is written, not mapped: a full disk gives an error then, not a SIGBUS.
 */
#define QUIET_MS 1000

struct UefiNvram
{
  char *path; /* NULL: kept nowhere */
  int fd;
  uint8_t *contents;
  size_t size;
  bool told;

  GMutex lock; /* guards what follows */
  GCond changed;
  GThread *syncer;
  unsigned stores; /* so far; wraps */
  unsigned synced; /* of them */
  bool ending;
};

static void
sync_now (const UefiNvram *nvram)
{
  if (fdatasync (nvram->fd) < 0)
    g_warning ("--nvram: %s: %s", nvram->path, g_strerror (errno));
}

/* Waits until stores have ended for QUIET_MS. Lock held. */
static void
wait_for_quiet (UefiNvram *nvram)
{
  unsigned seen;

  do
    {
      int64_t until = g_get_monotonic_time () + QUIET_MS * G_TIME_SPAN_MILLISECOND;

      seen = nvram->stores;
      while (!nvram->ending && g_cond_wait_until (&nvram->changed, &nvram->lock, until))
        ;
    }
  while (!nvram->ending && seen != nvram->stores);
}

static void *
syncer (void *data)
{
  UefiNvram *nvram = data;

  g_mutex_lock (&nvram->lock);
  while (!nvram->ending || nvram->synced != nvram->stores)
    {
      if (nvram->synced == nvram->stores)
        {
          g_cond_wait (&nvram->changed, &nvram->lock);
          continue;
        }
      wait_for_quiet (nvram);
      unsigned stores = nvram->stores;
      g_mutex_unlock (&nvram->lock);
      sync_now (nvram);
      g_mutex_lock (&nvram->lock);
      nvram->synced = stores;
    }
  g_mutex_unlock (&nvram->lock);
  return NULL;
}

bool
uefi_nvram_store (UefiNvram *nvram, size_t offset, size_t size)
{
  if (!nvram->path)
    return true;
  ssize_t n = pwrite (nvram->fd, nvram->contents + offset, size, (off_t) offset);
  if (n != (ssize_t) size)
    {
      if (!nvram->told)
        g_warning ("--nvram: %s: cannot be written: %s; the firmware's settings are not kept",
                   nvram->path, n < 0 ? g_strerror (errno) : "the disk is full");
      nvram->told = true;
      return false;
    }
  g_mutex_lock (&nvram->lock);
  nvram->stores++;
  if (nvram->stores - nvram->synced == 1)
    g_cond_signal (&nvram->changed);
  g_mutex_unlock (&nvram->lock);
  return true;
}

static bool
fail (const UefiNvram *nvram, int number, GError **error)
{
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (number), "--nvram: %s: %s", nvram->path,
               number == EAGAIN || number == EACCES ? "is in use by another machine"
                                                    : g_strerror (number));
  return false;
}

static bool
lock_file (const UefiNvram *nvram, GError **error)
{
  struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  /* A file system without locks: work without. */
  if (fcntl (nvram->fd, F_OFD_SETLK, &whole) == 0 || (errno != EAGAIN && errno != EACCES))
    return true;
  return fail (nvram, EAGAIN, error);
}

static bool
open_file (UefiNvram *nvram, const char *path, GError **error)
{
  nvram->path = g_strdup (path);
  nvram->fd = open (path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (nvram->fd < 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno),
                   "--nvram: %s: cannot be opened for writing: %s", path, g_strerror (errno));
      return false;
    }
  return lock_file (nvram, error);
}

static bool
read_contents (UefiNvram *nvram, const char *from, GError **error)
{
  g_autofree char *bytes = NULL;
  g_autoptr (GError) problem = NULL;

  if (!g_file_get_contents (from, &bytes, &nvram->size, &problem))
    {
      g_propagate_prefixed_error (error, g_steal_pointer (&problem), "--nvram: ");
      return false;
    }
  void *contents =
      mmap (NULL, MAX (nvram->size, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (contents == MAP_FAILED)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "--nvram: %s",
                   g_strerror (errno));
      return false;
    }
  nvram->contents = contents;
  memcpy (contents, bytes, nvram->size);
  return true;
}

UefiNvram *
uefi_nvram_new (const char *variables, const char *template, GError **error)
{
  g_autoptr (UefiNvram) nvram = g_new0 (UefiNvram, 1);

  nvram->fd = -1;
  g_mutex_init (&nvram->lock);
  g_cond_init (&nvram->changed);
  if ((variables && !open_file (nvram, variables, error)) ||
      !read_contents (nvram, variables ? variables : template, error))
    return NULL;
  if (variables)
    nvram->syncer = g_thread_new ("nvram", syncer, nvram);
  return g_steal_pointer (&nvram);
}

void
uefi_nvram_free (UefiNvram *nvram)
{
  if (!nvram)
    return;
  g_mutex_lock (&nvram->lock);
  nvram->ending = true;
  g_cond_signal (&nvram->changed);
  g_mutex_unlock (&nvram->lock);
  if (nvram->syncer)
    g_thread_join (nvram->syncer);
  if (nvram->fd >= 0)
    close (nvram->fd);
  if (nvram->contents)
    munmap (nvram->contents, MAX (nvram->size, 1));
  g_mutex_clear (&nvram->lock);
  g_cond_clear (&nvram->changed);
  g_free (nvram->path);
  g_free (nvram);
}

uint8_t *
uefi_nvram_get_contents (const UefiNvram *nvram)
{
  return nvram->contents;
}

size_t
uefi_nvram_get_size (const UefiNvram *nvram)
{
  return nvram->size;
}
