#define G_LOG_DOMAIN "vmm-ports"

#include "ports/char-port.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
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
 *
 * A socket that is connected is the port's alone. When its peer hangs up, what it sent is still read, as long as the device is open;
 * the end of that ends the connection. A device that is not open would keep the next client waiting for ever.
 */
#define INPUT_CHUNK 4096
/* Below PIPE_BUF, so that a pipe, a terminal or a socket that polls writable takes it whole. */
#define OUTPUT_CHUNK 512
/* Between two times that the host is told who is there: a guest that opens and closes in a loop keeps it busy no more than this. */
#define OPENED_INTERVAL_MS 250

struct CharPort
{
  bool is_vacant; /* when nothing is connected, the device is told */

  /* Main thread */
  const CharClientOps *ops;
  void *opaque;
  void *host_opaque;
  GSource *input_watch;
  GSource *hangup_watch; /* of a connection that has not hung up */
  bool has_hung_up;
  bool told_open; /* what the host was told last */
  uint8_t input[INPUT_CHUNK];
  size_t input_start;
  size_t input_end;

  GMutex lock; /* guards all below; what only the main thread changes it may read without */
  int in_fd;
  int out_fd;
  bool is_socket; /* in_fd is out_fd, a connection */
  GSource *output_watch;
  GSource *accept;
  bool output_dead;
  const CharHostOps *host;
  bool is_open;
  GSource *tell_open; /* the host is to be told */
  bool is_telling;    /* or is being told now */
  gint64 told_us;     /* when it was told last */

  /* Main thread */
  bool restore_terminal;
  struct termios terminal;
};

static void watch_input (CharPort *port);
static void hang_up (CharPort *port);

static void
drop_source (GSource **source)
{
  if (*source)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

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
  if (n <= 0 && port->is_socket)
    hang_up (port);
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

  if (port->is_socket)
    n = send (port->out_fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  else if (poll (&poll_fd, 1, 0) <= 0)
    return 0;
  else if (!(poll_fd.revents & POLLOUT))
    return -1;
  else
    n = write (port->out_fd, bytes, MIN (size, OUTPUT_CHUNK));
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return 0;
  return n;
}

/* Lock held. What a device writes once it is open is for the one whom the host connects because of that. */
static bool
waits_for_host (const CharPort *port)
{
  return (port->tell_open || port->is_telling) && port->host && port->host->opened;
}

size_t
char_port_write (CharPort *port, const uint8_t *bytes, size_t size)
{
  size_t done = 0;

  g_mutex_lock (&port->lock);
  while (done < size && !port->output_dead && !waits_for_host (port))
    {
      ssize_t n = write_piece (port, bytes + done, size - done);

      if (n == 0)
        {
          watch_output (port);
          break;
        }
      if (n < 0)
        {
          if (!port->is_socket) /* a client may come and go */
            g_warning ("character output: %s: what follows is lost", g_strerror (errno));
          port->output_dead = true;
          break;
        }
      done += (size_t) n;
    }
  if (port->output_dead && !waits_for_host (port))
    done = size;
  g_mutex_unlock (&port->lock);
  return done;
}

/* --- connections --- */

/* Afterwards nobody is connected. Its watches go first: a callback must find nothing of it. */
static void
disconnect (CharPort *port)
{
  if (!port->is_socket)
    return;
  drop_source (&port->input_watch);
  drop_source (&port->hangup_watch);
  g_mutex_lock (&port->lock);
  drop_source (&port->output_watch);
  const int fd = port->in_fd;
  port->in_fd = port->out_fd = -1;
  port->is_socket = false;
  port->output_dead = true;
  g_mutex_unlock (&port->lock);
  close (fd);
  port->input_start = port->input_end = 0;
  port->has_hung_up = false;
  if (port->is_vacant && port->ops && port->ops->connected)
    port->ops->connected (port->opaque, false);
  /* What waited for room is lost now. */
  if (port->ops && port->ops->writable)
    port->ops->writable (port->opaque);
}

static void
hang_up (CharPort *port)
{
  disconnect (port);
  if (port->host && port->host->gone)
    port->host->gone (port->host_opaque);
}

static gboolean
on_hangup (int fd, GIOCondition condition, gpointer data)
{
  CharPort *port = data;

  g_clear_pointer (&port->hangup_watch, g_source_unref);
  port->has_hung_up = true;
  g_mutex_lock (&port->lock);
  const bool is_open = port->is_open;
  g_mutex_unlock (&port->lock);
  if (!is_open)
    hang_up (port);
  return G_SOURCE_REMOVE;
}

void
char_port_connect (CharPort *port, int fd)
{
  disconnect (port);
  if (fd < 0)
    return;
  g_mutex_lock (&port->lock);
  port->in_fd = port->out_fd = fd;
  port->is_socket = true;
  port->output_dead = false;
  g_mutex_unlock (&port->lock);
  port->hangup_watch = g_unix_fd_source_new (fd, G_IO_HUP);
  g_source_set_callback (port->hangup_watch, G_SOURCE_FUNC (on_hangup), port, NULL);
  g_source_attach (port->hangup_watch, NULL);
  if (port->ops)
    watch_input (port);
  if (port->is_vacant && port->ops && port->ops->connected)
    port->ops->connected (port->opaque, true);
}

bool
char_port_is_connected (const CharPort *port)
{
  return port->is_socket || !port->is_vacant;
}

void
char_port_set_host (CharPort *port, const CharHostOps *ops, void *opaque)
{
  port->host_opaque = opaque;
  g_mutex_lock (&port->lock);
  port->host = ops;
  g_mutex_unlock (&port->lock);
  if (ops && ops->opened && port->told_open)
    ops->opened (opaque, true);
}

static void
tell_open (CharPort *port, bool is_open)
{
  port->told_open = is_open;
  if (port->host && port->host->opened)
    port->host->opened (port->host_opaque, is_open);
  if (!is_open && port->has_hung_up)
    hang_up (port);
}

/* Closed and opened again since: it is somebody else, and the host hears of both. */
static gboolean
on_tell_open (gpointer data)
{
  CharPort *port = data;

  g_mutex_lock (&port->lock);
  const bool is_open = port->is_open;
  g_clear_pointer (&port->tell_open, g_source_unref);
  port->told_us = g_get_monotonic_time ();
  port->is_telling = true;
  g_mutex_unlock (&port->lock);
  if (port->told_open)
    tell_open (port, false);
  if (is_open)
    tell_open (port, true);
  g_mutex_lock (&port->lock);
  port->is_telling = false;
  g_mutex_unlock (&port->lock);
  if (port->ops && port->ops->writable)
    port->ops->writable (port->opaque);
  return G_SOURCE_REMOVE;
}

void
char_port_set_open (CharPort *port, bool is_open)
{
  g_mutex_lock (&port->lock);
  if (port->is_open != is_open && !port->tell_open)
    {
      const gint64 rest =
          port->told_us + OPENED_INTERVAL_MS * G_TIME_SPAN_MILLISECOND - g_get_monotonic_time ();
      port->tell_open = g_timeout_source_new (MAX (rest, 0) / G_TIME_SPAN_MILLISECOND);
      g_source_set_callback (port->tell_open, on_tell_open, port, NULL);
      g_source_attach (port->tell_open, NULL);
    }
  port->is_open = is_open;
  g_mutex_unlock (&port->lock);
}

/* --- life --- */

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

CharPort *
char_port_new_vacant (void)
{
  CharPort *port = char_port_new (-1, -1);

  port->is_vacant = true;
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

void
char_port_free (CharPort *port)
{
  if (!port)
    return;
  drop_source (&port->input_watch);
  drop_source (&port->hangup_watch);
  drop_source (&port->output_watch);
  drop_source (&port->accept);
  drop_source (&port->tell_open);
  if (port->restore_terminal)
    tcsetattr (port->in_fd, TCSANOW, &port->terminal);
  if (port->in_fd >= 0)
    close (port->in_fd);
  if (port->out_fd >= 0 && !port->is_socket)
    close (port->out_fd);
  g_mutex_clear (&port->lock);
  g_free (port);
}
