#define G_LOG_DOMAIN "app-machine"

#include "machine/machine-thumbnail.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* A 4K screen of noise is about 32 MiB of PNG. */
#define THUMBNAIL_MAX (64 * 1024 * 1024)

typedef struct Paths
{
  char *temporary;
  char *final;
} Paths;

static void
paths_free (Paths *paths)
{
  g_free (paths->temporary);
  g_free (paths->final);
  g_free (paths);
}

/* The VMM is not trusted with what it writes: a regular file, not too large, that starts as a
 * PNG does. */
static gboolean
check_png (const char *path, GError **error)
{
  static const guint8 magic[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
  guint8 head[sizeof magic];
  struct stat st;
  gboolean good;
  int fd = open (path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

  if (fd < 0)
    {
      int saved_errno = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                   "Cannot read the picture of the machine's screen: %s", g_strerror (saved_errno));
      return FALSE;
    }
  good = fstat (fd, &st) == 0 && S_ISREG (st.st_mode) && st.st_size <= THUMBNAIL_MAX &&
         pread (fd, head, sizeof head, 0) == sizeof head && memcmp (head, magic, sizeof magic) == 0;
  close (fd);
  if (!good)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                 "The machine's picture of its screen is not a PNG");
  return good;
}

static void
on_dumped (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  Paths *paths = g_task_get_task_data (task);
  GError *error = NULL;
  g_autoptr (JsonNode) node =
      machine_control_execute_finish (MACHINE_CONTROL (source), result, &error);
  gboolean ok = node != NULL && check_png (paths->temporary, &error);

  if (ok && g_rename (paths->temporary, paths->final) != 0)
    {
      int saved_errno = errno;

      g_set_error (&error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                   "Cannot save the picture of the machine's screen: %s", g_strerror (saved_errno));
      ok = FALSE;
    }
  if (ok)
    {
      g_task_return_boolean (task, TRUE);
      return;
    }
  g_unlink (paths->temporary);
  g_task_return_error (task, error);
}

void
machine_thumbnail_save_async (MachineControl *control, const char *folder,
                              GCancellable *cancellable, GAsyncReadyCallback callback,
                              gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  Paths *paths = g_new0 (Paths, 1);
  JsonObject *arguments = json_object_new ();

  g_task_set_source_tag (task, machine_thumbnail_save_async);
  paths->final = g_build_filename (folder, MACHINE_THUMBNAIL_FILE, NULL);
  paths->temporary = g_strconcat (paths->final, ".new", NULL);
  g_task_set_task_data (task, paths, (GDestroyNotify) paths_free);
  json_object_set_string_member (arguments, "filename", paths->temporary);
  json_object_set_string_member (arguments, "format", "png");
  machine_control_execute_async (control, "screendump", arguments, cancellable, on_dumped,
                                 g_steal_pointer (&task));
}

gboolean
machine_thumbnail_save_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}
