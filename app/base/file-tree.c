#include "base/file-tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Works on descriptors with *at () calls, so that swapping a folder for a link meanwhile leads
 * nowhere. Depth is bounded by the stack's and the descriptors' sake. */
#define DEPTH_MAX 64

static gboolean remove_at (int parent, const char *name, guint depth, GCancellable *cancellable,
                           GError **error);

static gboolean
fail (const char *verb, const char *name, GError **error)
{
  int saved_errno = errno;

  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot %s “%s”: %s", verb,
               name, g_strerror (saved_errno));
  return FALSE;
}

static gboolean
remove_children (int fd, const char *name, guint depth, GCancellable *cancellable, GError **error)
{
  DIR *dir = fdopendir (fd); /* takes fd */
  struct dirent *child;
  gboolean ok = TRUE;

  if (dir == NULL)
    {
      fail ("read", name, error);
      close (fd);
      return FALSE;
    }
  while (ok && (child = readdir (dir)) != NULL)
    {
      if (g_str_equal (child->d_name, ".") || g_str_equal (child->d_name, ".."))
        continue;
      ok = remove_at (dirfd (dir), child->d_name, depth + 1, cancellable, error);
    }
  closedir (dir);
  return ok;
}

static gboolean
remove_at (int parent, const char *name, guint depth, GCancellable *cancellable, GError **error)
{
  int fd;

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  if (unlinkat (parent, name, 0) == 0 || errno == ENOENT)
    return TRUE;
  if (errno != EISDIR && errno != EPERM)
    return fail ("remove", name, error);
  if (depth >= DEPTH_MAX)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_LINKS,
                   "Cannot remove “%s”: its folders are nested too deeply", name);
      return FALSE;
    }
  fd = openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return fail ("open", name, error);
  if (!remove_children (fd, name, depth, cancellable, error))
    return FALSE;
  if (unlinkat (parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
    return fail ("remove", name, error);
  return TRUE;
}

gboolean
file_tree_remove (const char *path, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (path != NULL && path[0] != '\0', FALSE);
  return remove_at (AT_FDCWD, path, 0, cancellable, error);
}

static guint64
size_at (int parent, const char *name, guint depth)
{
  struct stat st;
  struct dirent *child;
  guint64 size;
  DIR *dir;
  int fd;

  if (fstatat (parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
    return 0;
  size = (guint64) st.st_blocks * 512;
  if (!S_ISDIR (st.st_mode) || depth >= DEPTH_MAX)
    return size;
  fd = openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return size;
  dir = fdopendir (fd);
  if (dir == NULL)
    {
      close (fd);
      return size;
    }
  while ((child = readdir (dir)) != NULL)
    if (!g_str_equal (child->d_name, ".") && !g_str_equal (child->d_name, ".."))
      size += size_at (dirfd (dir), child->d_name, depth + 1);
  closedir (dir);
  return size;
}

guint64
file_tree_get_size (const char *path)
{
  g_return_val_if_fail (path != NULL, 0);
  return size_at (AT_FDCWD, path, 0);
}
