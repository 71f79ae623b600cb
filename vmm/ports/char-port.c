#define G_LOG_DOMAIN "vmm-ports"

#include "ports/char-port.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Theory of operation
 *
 * Output goes to the fd at once, from the caller's thread, so that the last words of a guest are out
 * before anything else happens. The fds may be shared with other processes (a terminal), so they are not made
 * non-blocking; a poll () before each small piece says whether a write would block. Once it would, a
 * watch on the main loop waits for room and calls the client.
 *
 * Input is read on the main loop, only while nothing read before is left over.
 */
#define INPUT_CHUNK 256
/* Below PIPE_BUF, so that a pipe, a terminal or a socket that polls writable takes it whole. */
#define OUTPUT_CHUNK 512

struct CharPort
{
  int in_fd;
  int out_fd;
  const CharClientOps *ops; /* main thread */
  void *opaque;

  /* Main thread */
  GSource *input_watch;
  uint8_t input[INPUT_CHUNK];
  size_t input_start;
  size_t input_end;

  GMutex lock;
  GSource *output_watch; /* guarded by lock, as all below */
  GSource *accept;
  bool output_dead;

  bool restore_terminal;
  struct termios terminal;
};

static void watch_input (CharPort *port);

/* Offers what is left over; true when nothing is. */
static bool
offer_input (CharPort *port)
{
  size_t left = port->input_end - port->input_start;

  if (left > 0 && port->ops && port->ops->receive)
    {
      size_t taken = port->ops->receive (port->opaque, port->input + port->input_start, left);
      port->input_start += MIN (left, taken);
    }
  return port->input_start == port->input_end;
}

static gboolean
on_input (int fd, GIOCondition condition, gpointer data)
{
  CharPort *port = data;
  ssize_t n = read (fd, port->input, sizeof port->input);

  if (n < 0 && (errno == EINTR || errno == EAGAIN))
    return G_SOURCE_CONTINUE;
  if (n > 0)
    {
      port->input_start = 0;
      port->input_end = (size_t) n;
      if (offer_input (port))
        return G_SOURCE_CONTINUE;
    }
  /* Left-overs wait for char_port_accept_input (); the end of input is for ever. */
  g_clear_pointer (&port->input_watch, g_source_unref);
  return G_SOURCE_REMOVE;
}

static void
watch_input (CharPort *port)
{
  if (port->in_fd < 0 || port->input_watch)
    return;
  port->input_watch = g_unix_fd_source_new (port->in_fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
  g_source_set_callback (port->input_watch, G_SOURCE_FUNC (on_input), port, NULL);
  g_source_attach (port->input_watch, NULL);
}

static gboolean
on_accept (gpointer data)
{
  CharPort *port = data;

  g_mutex_lock (&port->lock);
  g_clear_pointer (&port->accept, g_source_unref);
  g_mutex_unlock (&port->lock);
  if (port->input_start < port->input_end && offer_input (port))
    watch_input (port);
  return G_SOURCE_REMOVE;
}

void
char_port_accept_input (CharPort *port)
{
  g_mutex_lock (&port->lock);
  if (!port->accept && port->in_fd >= 0)
    {
      port->accept = g_idle_source_new ();
      g_source_set_priority (port->accept, G_PRIORITY_DEFAULT);
      g_source_set_callback (port->accept, on_accept, port, NULL);
      g_source_attach (port->accept, NULL);
    }
  g_mutex_unlock (&port->lock);
}

static gboolean
on_output (int fd, GIOCondition condition, gpointer data)
{
  CharPort *port = data;

  g_mutex_lock (&port->lock);
  g_clear_pointer (&port->output_watch, g_source_unref);
  g_mutex_unlock (&port->lock);
  if (port->ops && port->ops->writable)
    port->ops->writable (port->opaque);
  return G_SOURCE_REMOVE;
}

/* Lock held. */
static void
watch_output (CharPort *port)
{
  if (port->output_watch)
    return;
  port->output_watch = g_unix_fd_source_new (port->out_fd, G_IO_OUT | G_IO_HUP | G_IO_ERR);
  g_source_set_callback (port->output_watch, G_SOURCE_FUNC (on_output), port, NULL);
  g_source_attach (port->output_watch, NULL);
}

/* Lock held. How many bytes went out: 0 when it would block; -1 when nobody will ever read. */
static ssize_t
write_piece (CharPort *port, const uint8_t *bytes, size_t size)
{
  struct pollfd poll_fd = { .fd = port->out_fd, .events = POLLOUT };
  ssize_t n;

  if (poll (&poll_fd, 1, 0) <= 0)
    return 0;
  if (!(poll_fd.revents & POLLOUT))
    return -1;
  n = write (port->out_fd, bytes, MIN (size, OUTPUT_CHUNK));
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return 0;
  return n;
}

size_t
char_port_write (CharPort *port, const uint8_t *bytes, size_t size)
{
  size_t done = 0;

  g_mutex_lock (&port->lock);
  while (done < size && !port->output_dead)
    {
      ssize_t n = write_piece (port, bytes + done, size - done);

      if (n == 0)
        {
          watch_output (port);
          break;
        }
      if (n < 0)
        {
          g_warning ("character output: %s: what follows is lost", g_strerror (errno));
          port->output_dead = true;
          break;
        }
      done += (size_t) n;
    }
  if (port->output_dead)
    done = size;
  g_mutex_unlock (&port->lock);
  return done;
}

void
char_port_set_client (CharPort *port, const CharClientOps *ops, void *opaque)
{
  port->ops = ops;
  port->opaque = opaque;
  if (!ops)
    {
      if (port->input_watch)
        g_source_destroy (port->input_watch);
      g_clear_pointer (&port->input_watch, g_source_unref);
      return;
    }
  if (port->input_start == port->input_end)
    watch_input (port);
  else
    char_port_accept_input (port);
}

CharPort *
char_port_new (int in_fd, int out_fd)
{
  CharPort *port = g_new0 (CharPort, 1);

  port->in_fd = in_fd;
  port->out_fd = out_fd;
  port->output_dead = out_fd < 0;
  g_mutex_init (&port->lock);
  return port;
}

/* Keys arrive one by one and unchanged; Ctrl-C stays the way to end the process. In the background a
 * change of the terminal would stop us, so there it is left alone. */
static void
make_terminal_raw (CharPort *port)
{
  struct termios raw;

  if (!isatty (port->in_fd) || tcgetpgrp (port->in_fd) != getpgrp () ||
      tcgetattr (port->in_fd, &port->terminal) < 0)
    return;
  raw = port->terminal;
  raw.c_iflag &= ~(tcflag_t) (IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  raw.c_lflag &= ~(tcflag_t) (ECHO | ECHONL | ICANON | IEXTEN);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  port->restore_terminal = tcsetattr (port->in_fd, TCSANOW, &raw) == 0;
}

CharPort *
char_port_new_stdio (void)
{
  CharPort *port = char_port_new (fcntl (STDIN_FILENO, F_DUPFD_CLOEXEC, 3),
                                  fcntl (STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));

  if (port->in_fd >= 0)
    make_terminal_raw (port);
  return port;
}

CharPort *
char_port_new_file (const char *path, GError **error)
{
  int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);

  if (fd < 0)
    {
      int saved = errno;
      g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved), "cannot write %s: %s",
                   path, g_strerror (saved));
      return NULL;
    }
  return char_port_new (-1, fd);
}

static void
drop_source (GSource **source)
{
  if (*source)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

void
char_port_free (CharPort *port)
{
  if (!port)
    return;
  drop_source (&port->input_watch);
  drop_source (&port->output_watch);
  drop_source (&port->accept);
  if (port->restore_terminal)
    tcsetattr (port->in_fd, TCSANOW, &port->terminal);
  if (port->in_fd >= 0)
    close (port->in_fd);
  if (port->out_fd >= 0)
    close (port->out_fd);
  g_mutex_clear (&port->lock);
  g_free (port);
}
