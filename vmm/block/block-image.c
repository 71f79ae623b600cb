#define G_LOG_DOMAIN "vmm-block"

#include "block/block-image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define LARGEST_ALIGNMENT 4096u
/* A byte that QEMU's programs lock for no purpose of theirs: they have 100 to 163 and 200 to 263. */
#define LOCK_BESIDE      400
#define LOCK_PATIENCE_US (5 * G_TIME_SPAN_SECOND)
#define LOCK_STEP_US     5000
#define CLOSED           ((BlockImage){ .fd = -1, .direct_fd = -1 })

static bool
set_error (GError **error, int code, const char *path, const char *what)
{
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (code), "%s: %s", path, what);
  return false;
}

/* A block device that is to be written: not one that this computer has mounted. */
static int
get_exclusive_flag (const BlockImage *image, const char *path)
{
  struct stat st;

  return !image->readonly && stat (path, &st) == 0 && S_ISBLK (st.st_mode) ? O_EXCL : 0;
}

static bool
open_file (BlockImage *image, const char *path, GError **error)
{
  const int mode = (image->readonly ? O_RDONLY : O_RDWR) | get_exclusive_flag (image, path);

  image->fd = open (path, mode | O_CLOEXEC | O_NONBLOCK);
  if (image->fd >= 0)
    return true;

  const int code = errno;
  if (code == EBUSY)
    return set_error (error, code, path,
                      "is in use by this computer: unmount what is on it, or say readonly=on");
  if (!image->readonly && (code == EACCES || code == EROFS || code == EPERM) &&
      access (path, R_OK) == 0)
    return set_error (error, code, path, "cannot be written; make it writable or say readonly=on");
  return set_error (error, code, path, g_strerror (code));
}

static bool
check_kind (const BlockImage *image, const char *path, struct stat *st, GError **error)
{
  /* O_NONBLOCK kept open () from waiting for a FIFO's other end; io_uring would take it for "never wait". */
  if (fstat (image->fd, st) < 0 || fcntl (image->fd, F_SETFL, 0) < 0)
    return set_error (error, errno, path, g_strerror (errno));
  return S_ISREG (st->st_mode) || S_ISBLK (st->st_mode) ||
         set_error (error, EINVAL, path, "is neither a regular file nor a block device");
}

static bool
measure (BlockImage *image, const char *path, GError **error)
{
  struct stat st;

  if (!check_kind (image, path, &st, error))
    return false;
  if (S_ISREG (st.st_mode))
    image->size = st.st_size;
  else if (ioctl (image->fd, BLKGETSIZE64, &image->size) < 0)
    return set_error (error, errno, path, g_strerror (errno));

  if (image->size == 0)
    return set_error (error, EINVAL, path, "is empty; give it a size (truncate -s 10G FILE)");
  if (image->size % BLOCK_SECTOR_SIZE != 0)
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                   "%s: its size of %" G_GUINT64_FORMAT " bytes is not a multiple of %u: it is "
                   "cut off, or no raw image",
                   path, image->size, BLOCK_SECTOR_SIZE);
      return false;
    }
  return true;
}

/* An open-file-description lock: it belongs to this opening, so also two machines in one process exclude each other. */
static bool
lock (BlockImage *image, const char *path, GError **error)
{
  struct flock whole = { .l_type = image->readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

  if (fcntl (image->fd, F_OFD_SETLK, &whole) == 0)
    return true;
  if (errno == EAGAIN || errno == EACCES)
    return set_error (error, EBUSY, path, "is in use by another machine or program");
  /* A file system without locks: work without. */
  g_debug ("%s: no lock: %s", path, g_strerror (errno));
  return true;
}

/* The smallest block that direct I/O reads: STATX_DIOALIGN would say it, but not on every kernel and file system. */
static unsigned
probe_alignment (int fd)
{
  void *memory = NULL;
  unsigned found = 0;

  if (posix_memalign (&memory, LARGEST_ALIGNMENT, LARGEST_ALIGNMENT) != 0)
    return 0;
  for (unsigned size = BLOCK_SECTOR_SIZE; found == 0 && size <= LARGEST_ALIGNMENT; size *= 2)
    if (pread (fd, memory, size, 0) >= 0)
      found = size;
  free (memory);
  return found;
}

static void
open_direct (BlockImage *image)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", image->fd);

  image->direct_fd = open (path, (image->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_DIRECT);
  if (image->direct_fd < 0)
    return;
  image->alignment = probe_alignment (image->direct_fd);
  if (image->alignment == 0)
    {
      close (image->direct_fd);
      image->direct_fd = -1;
    }
}

bool
block_image_open (BlockImage *image, const char *path, bool readonly, GError **error)
{
  BlockImage opened = CLOSED;

  opened.readonly = readonly;
  if (!open_file (&opened, path, error) || !measure (&opened, path, error) ||
      !lock (&opened, path, error))
    {
      block_image_close (&opened);
      return false;
    }
  open_direct (&opened);
  g_debug ("%s: %" G_GUINT64_FORMAT " bytes%s, direct I/O in units of %u", path, opened.size,
           readonly ? ", read-only" : "", opened.alignment);
  *image = opened;
  return true;
}

static bool
lock_beside (const BlockImage *image, const char *path, GError **error)
{
  const gint64 end = g_get_monotonic_time () + LOCK_PATIENCE_US;
  struct flock byte = {
    .l_type = image->readonly ? F_RDLCK : F_WRLCK,
    .l_whence = SEEK_SET,
    .l_start = LOCK_BESIDE,
    .l_len = 1,
  };

  while (fcntl (image->fd, F_OFD_SETLK, &byte) < 0 && (errno == EAGAIN || errno == EACCES))
    {
      if (g_get_monotonic_time () > end)
        return set_error (error, EBUSY, path, "is in use by another machine");
      g_usleep (LOCK_STEP_US);
    }
  return true;
}

bool
block_image_open_beside (BlockImage *image, const char *path, bool readonly, GError **error)
{
  BlockImage opened = CLOSED;
  struct stat st;

  opened.readonly = readonly;
  opened.fd = open (path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
  if (opened.fd < 0)
    return set_error (error, errno, path, g_strerror (errno));
  if (!check_kind (&opened, path, &st, error) || !lock_beside (&opened, path, error))
    {
      block_image_close (&opened);
      return false;
    }
  open_direct (&opened);
  *image = opened;
  return true;
}

void
block_image_close (BlockImage *image)
{
  if (image->direct_fd >= 0)
    close (image->direct_fd);
  if (image->fd >= 0)
    close (image->fd);
  *image = CLOSED;
}
