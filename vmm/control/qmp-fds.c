#include "control/qmp-fds.h"

#include <unistd.h>

#include "control/qmp-message.h"

struct QmpFds
{
  int received[QMP_FDS_RECEIVED_MAX];
  unsigned n_received;
  GHashTable *named; /* char * -> fd */
};

static void
close_fd (void *fd)
{
  close (GPOINTER_TO_INT (fd));
}

QmpFds *
qmp_fds_new (void)
{
  QmpFds *fds = g_new0 (QmpFds, 1);

  fds->named = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, close_fd);
  return fds;
}

static void
close_received (QmpFds *fds)
{
  for (unsigned i = 0; i < fds->n_received; i++)
    close (fds->received[i]);
  fds->n_received = 0;
}

void
qmp_fds_free (QmpFds *fds)
{
  if (fds == NULL)
    return;
  close_received (fds);
  g_hash_table_unref (fds->named);
  g_free (fds);
}

void
qmp_fds_receive (QmpFds *fds, const int *received, unsigned n)
{
  if (n == 0)
    return;
  close_received (fds);
  for (unsigned i = 0; i < n; i++)
    if (i < QMP_FDS_RECEIVED_MAX)
      fds->received[fds->n_received++] = received[i];
    else
      close (received[i]);
}

bool
qmp_fds_name (QmpFds *fds, const char *name, GError **error)
{
  if (fds->n_received == 0)
    {
      g_set_error_literal (error, QMP_ERROR, QMP_ERROR_GENERIC,
                           "No file descriptor supplied via SCM_RIGHTS");
      return false;
    }
  int fd = fds->received[0];
  fds->received[0] = fds->received[--fds->n_received];
  /* QEMU hands out one a message and drops the rest. */
  close_received (fds);
  if (g_ascii_isdigit (name[0]))
    g_set_error_literal (error, QMP_ERROR, QMP_ERROR_GENERIC,
                         "Parameter 'fdname' expects a name not starting with a digit");
  else if (g_hash_table_size (fds->named) == QMP_FDS_NAMED_MAX &&
           !g_hash_table_contains (fds->named, name))
    g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC,
                 "Too many file descriptors: at most %u may be waiting", QMP_FDS_NAMED_MAX);
  else
    {
      g_hash_table_insert (fds->named, g_strdup (name), GINT_TO_POINTER (fd));
      return true;
    }
  close (fd);
  return false;
}

bool
qmp_fds_close (QmpFds *fds, const char *name, GError **error)
{
  if (g_hash_table_remove (fds->named, name))
    return true;
  g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC, "File descriptor named '%s' not found", name);
  return false;
}

int
qmp_fds_steal (QmpFds *fds, const char *name, GError **error)
{
  void *key = NULL, *value = NULL;

  if (!g_hash_table_steal_extended (fds->named, name, &key, &value))
    {
      g_set_error (error, QMP_ERROR, QMP_ERROR_GENERIC,
                   "File descriptor named '%s' has not been found", name);
      return -1;
    }
  g_free (key);
  return GPOINTER_TO_INT (value);
}
