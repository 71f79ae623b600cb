#define G_LOG_DOMAIN "vmm-helpers"

#include "helpers/passt.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <glib-unix.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "net/net-forward.h"

/* Theory of operation
 *
 * One end of a socketpair is the child's from the start, so there is no name that others could connect to and nothing to wait for. It
 * stays in the foreground, in a session of its own, and gets SIGTERM when we are gone (PR_SET_PDEATHSIG) as well as the end of its socket.
 *
 * Its stderr is a pipe that is emptied on the main context; the last line is kept. The host's loopback is closed to the guest
 * (--no-map-gw), as on the user network; for the same reason it would not pass on answers to UDP forwards, so there are none
 * (vm_config_validate ()).
 */
#define PROGRAM       "passt"
#define SOCKET_FD     3
#define COMPLAINT_MAX 4096
#define NOISE         "Failed to send " /* where there is no syslog */

struct Passt
{
  GSubprocess *process;
  GSource *source;
  int said; /* borrowed from process */

  GMutex lock; /* guards what follows */
  GString *complaint;
};

static void
keep_words (Passt *self)
{
  char buffer[COMPLAINT_MAX];
  ssize_t n;

  while ((n = read (self->said, buffer, sizeof buffer)) > 0)
    {
      g_string_append_len (self->complaint, buffer, n);
      if (self->complaint->len > COMPLAINT_MAX)
        g_string_erase (self->complaint, 0, (gssize) (self->complaint->len - COMPLAINT_MAX));
    }
}

static gboolean
on_said (gint fd, GIOCondition condition, gpointer opaque)
{
  Passt *self = opaque;

  g_mutex_lock (&self->lock);
  keep_words (self);
  g_mutex_unlock (&self->lock);
  return condition & G_IO_HUP ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

char *
passt_get_complaint (Passt *self)
{
  g_mutex_lock (&self->lock);
  keep_words (self);
  g_auto (GStrv) lines = g_strsplit (self->complaint->str, "\n", -1);
  g_mutex_unlock (&self->lock);
  for (unsigned i = g_strv_length (lines); i-- > 0;)
    if (*g_strstrip (lines[i]) != '\0' && !g_str_has_prefix (lines[i], NOISE))
      return g_strdup_printf (PROGRAM ": %s", lines[i]);
  return NULL;
}

static GPtrArray *
new_command (const char *program, const VmConfig *config)
{
  GPtrArray *argv = g_ptr_array_new_with_free_func (g_free);
  static const char *const words[] = {
    "--foreground", "--quiet", "--one-off", "--no-map-gw", "--fd", G_STRINGIFY (SOCKET_FD),
  };

  g_ptr_array_add (argv, g_strdup (program));
  for (unsigned i = 0; i < G_N_ELEMENTS (words); i++)
    g_ptr_array_add (argv, g_strdup (words[i]));
  for (unsigned i = 0; i < config->n_forwards; i++)
    {
      const VmForward *forward = &config->forwards[i];
      char host[INET6_ADDRSTRLEN];

      vm_forward_get_host (forward, host);
      g_ptr_array_add (argv, g_strdup ("--tcp-ports"));
      g_ptr_array_add (argv,
                       g_strdup_printf ("%s/%u:%u", host, forward->host_port, forward->guest_port));
    }
  g_ptr_array_add (argv, NULL);
  return argv;
}

/* Between fork and exec. */
static void
set_up_child (gpointer opaque)
{
  const pid_t parent = GPOINTER_TO_INT (opaque);

  setsid ();
  prctl (PR_SET_PDEATHSIG, SIGTERM);
  if (getppid () != parent)
    _exit (1); /* it was gone before */
}

/* Takes child_fd. */
static bool
spawn (Passt *self, const char *program, const VmConfig *config, int child_fd, GError **error)
{
  g_autoptr (GPtrArray) argv = new_command (program, config);
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (
      G_SUBPROCESS_FLAGS_STDERR_PIPE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE);

  g_subprocess_launcher_set_child_setup (launcher, set_up_child, GINT_TO_POINTER (getpid ()), NULL);
  g_subprocess_launcher_take_fd (launcher, child_fd, SOCKET_FD);
  self->process = g_subprocess_launcher_spawnv (launcher, (const char *const *) argv->pdata, error);
  if (!self->process)
    return false;
  self->said = g_unix_input_stream_get_fd (
      G_UNIX_INPUT_STREAM (g_subprocess_get_stderr_pipe (self->process)));
  g_unix_set_fd_nonblocking (self->said, TRUE, NULL);
  self->source = g_unix_fd_source_new (self->said, G_IO_IN | G_IO_HUP);
  g_source_set_callback (self->source, G_SOURCE_FUNC (on_said), self, NULL);
  g_source_attach (self->source, NULL);
  return true;
}

Passt *
passt_new (const VmConfig *config, int *fd, GError **error)
{
  g_autofree char *program = g_find_program_in_path (PROGRAM);
  int pair[2];

  if (!program)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                           PROGRAM " is not installed: install the package " PROGRAM
                                   ", or say --net user");
      return NULL;
    }
  for (unsigned i = 0; i < config->n_forwards; i++)
    {
      /* It would end with such an error only after a while, and in words of its own. */
      const int failure = net_forward_try (&config->forwards[i]);

      if (failure != 0)
        {
          net_forward_refuse (&config->forwards[i], failure, error);
          return NULL;
        }
    }
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "a socket for " PROGRAM ": %s",
                   g_strerror (errno));
      return NULL;
    }
  g_autoptr (Passt) self = g_new0 (Passt, 1);
  self->said = -1;
  self->complaint = g_string_new (NULL);
  g_mutex_init (&self->lock);
  if (!spawn (self, program, config, pair[1], error))
    {
      close (pair[0]);
      return NULL;
    }
  *fd = pair[0];
  return g_steal_pointer (&self);
}

void
passt_free (Passt *self)
{
  if (!self)
    return;
  if (self->process)
    {
      g_subprocess_force_exit (self->process);
      g_subprocess_wait (self->process, NULL, NULL);
    }
  if (self->source)
    g_source_destroy (self->source);
  g_clear_pointer (&self->source, g_source_unref);
  g_clear_object (&self->process);
  g_string_free (self->complaint, TRUE);
  g_mutex_clear (&self->lock);
  g_free (self);
}
