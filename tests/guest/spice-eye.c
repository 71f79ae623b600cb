/* spice-eye unix PATH | qmp CONTROL [memfd]: an unmodified spice-client-glib on a line protocol, for tests in a script.
 *
 * unix: connects to a listening socket. qmp: opens each channel by a socketpair whose other end goes to the machine by getfd and
 * add_client (with memfd: x-alcove-add-client, which lets pixels come in shared memory). Prints "ready" once display and inputs are open;
 * then answers each line of stdin with one line:
 *
 *   dump FILE     the picture as PPM: "dump WIDTH HEIGHT gl|draw"
 *   pixel X Y     "pixel RRGGBB"
 *   key CODE      presses and releases an XT scan code: "ok"
 *   move X Y      "ok";   button NUMBER 1|0   "ok"
 *   cursor        the last shape: "cursor WIDTH HEIGHT HOTX HOTY FIRSTPIXEL LASTPIXEL", as AARRGGBB
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <gio/gio.h>
#include <gio/gunixfdmessage.h>
#include <spice-client.h>

typedef struct Eye
{
  GMainLoop *loop;
  SpiceSession *session;
  SpiceDisplayChannel *display;
  SpiceInputsChannel *inputs;
  SpiceCursorChannel *cursor;
  unsigned n_open;
  int mouse_buttons;

  const char *command; /* of QMP; NULL: by a listening socket */
  GSocket *control;
  unsigned n_fds;

  uint8_t *mapping;
  size_t mapping_size;
  uint32_t width, height, stride;
} Eye;

static G_NORETURN void
give_up (const char *what)
{
  g_printerr ("spice-eye: %s\n", what);
  exit (1);
}

G_GNUC_PRINTF (1, 2)
static void
answer (const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  vprintf (format, arguments);
  va_end (arguments);
  putchar ('\n');
  fflush (stdout);
}

/* --- QMP --- */

/* One line that is no event. */
static void
read_answer (Eye *eye)
{
  GString *line = g_string_new (NULL);
  char byte;

  do
    {
      g_string_truncate (line, 0);
      while (g_socket_receive (eye->control, &byte, 1, NULL, NULL) == 1 && byte != '\n')
        g_string_append_c (line, byte);
      if (line->len == 0)
        give_up ("the control connection was closed");
    }
  while (strstr (line->str, "\"event\""));
  if (strstr (line->str, "\"error\""))
    give_up (line->str);
  g_string_free (line, TRUE);
}

static void
ask (Eye *eye, const char *request, int fd)
{
  GOutputVector vector = { request, strlen (request) };
  g_autoptr (GSocketControlMessage) message = NULL;

  if (fd >= 0)
    {
      message = g_unix_fd_message_new ();
      g_unix_fd_message_append_fd (G_UNIX_FD_MESSAGE (message), fd, NULL);
    }
  if (g_socket_send_message (eye->control, NULL, &vector, 1, &message, fd >= 0, 0, NULL, NULL) < 0)
    give_up ("cannot write to the control socket");
  read_answer (eye);
}

static void
open_control (Eye *eye, const char *path)
{
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);

  eye->control =
      g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL);
  if (!g_socket_connect (eye->control, address, NULL, NULL))
    give_up ("cannot connect to the control socket");
  read_answer (eye); /* the greeting */
  ask (eye, "{\"execute\":\"qmp_capabilities\"}\n", -1);
}

static int
open_channel (Eye *eye)
{
  int fds[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
    give_up ("socketpair");
  g_autofree char *getfd = g_strdup_printf (
      "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"eye%u\"}}\n", eye->n_fds);
  ask (eye, getfd, fds[1]);
  close (fds[1]);
  g_autofree char *add = g_strdup_printf ("{\"execute\":\"%s\",\"arguments\":{\"protocol\":"
                                          "\"spice\",\"fdname\":\"eye%u\",\"skipauth\":true}}\n",
                                          eye->command, eye->n_fds++);
  ask (eye, add, -1);
  return fds[0];
}

/* --- SPICE --- */

static void
on_open_fd (SpiceChannel *channel, int with_tls, void *data)
{
  spice_channel_open_fd (channel, open_channel (data));
}

static void
on_channel_event (SpiceChannel *channel, SpiceChannelEvent event, void *data)
{
  Eye *eye = data;

  if (event == SPICE_CHANNEL_OPENED &&
      (SPICE_IS_DISPLAY_CHANNEL (channel) || SPICE_IS_INPUTS_CHANNEL (channel)) &&
      ++eye->n_open == 2)
    answer ("ready");
  if (event >= SPICE_CHANNEL_ERROR_CONNECT)
    give_up ("a channel failed");
}

static void
unmap (Eye *eye)
{
  if (eye->mapping)
    munmap (eye->mapping, eye->mapping_size);
  eye->mapping = NULL;
}

static void
on_scanout (SpiceDisplayChannel *display, GParamSpec *spec, void *data)
{
  const SpiceGlScanout *scanout = spice_display_channel_get_gl_scanout (display);
  Eye *eye = data;
  struct stat info;

  unmap (eye);
  if (!scanout || scanout->fd < 0)
    return;
  if (fstat (scanout->fd, &info) < 0)
    give_up ("fstat");
  eye->width = scanout->width;
  eye->height = scanout->height;
  eye->stride = scanout->stride;
  eye->mapping_size = (size_t) info.st_size;
  eye->mapping = mmap (NULL, eye->mapping_size, PROT_READ, MAP_SHARED, scanout->fd, 0);
  if (eye->mapping == MAP_FAILED)
    give_up ("the scanout cannot be mapped");
}

static void
on_gl_draw (SpiceDisplayChannel *display, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
            void *data)
{
  spice_display_channel_gl_draw_done (display);
}

static void
on_channel_new (SpiceSession *session, SpiceChannel *channel, void *data)
{
  Eye *eye = data;

  g_signal_connect (channel, "channel-event", G_CALLBACK (on_channel_event), eye);
  if (eye->command)
    g_signal_connect (channel, "open-fd", G_CALLBACK (on_open_fd), eye);
  if (SPICE_IS_DISPLAY_CHANNEL (channel))
    {
      eye->display = SPICE_DISPLAY_CHANNEL (channel);
      g_signal_connect (channel, "notify::gl-scanout", G_CALLBACK (on_scanout), eye);
      g_signal_connect (channel, "gl-draw", G_CALLBACK (on_gl_draw), eye);
    }
  else if (SPICE_IS_INPUTS_CHANNEL (channel))
    eye->inputs = SPICE_INPUTS_CHANNEL (channel);
  else if (SPICE_IS_CURSOR_CHANNEL (channel))
    eye->cursor = SPICE_CURSOR_CHANNEL (channel);
  if (!SPICE_IS_MAIN_CHANNEL (channel) &&
      (SPICE_IS_DISPLAY_CHANNEL (channel) || SPICE_IS_INPUTS_CHANNEL (channel) ||
       SPICE_IS_CURSOR_CHANNEL (channel)))
    spice_channel_connect (channel);
}

/* --- commands --- */

/* The picture that a user would see; false before there is one. */
static bool
get_picture (Eye *eye, const uint8_t **pixels, int *width, int *height, int *stride)
{
  SpiceDisplayPrimary primary;

  if (eye->mapping)
    {
      *pixels = eye->mapping;
      *width = (int) eye->width;
      *height = (int) eye->height;
      *stride = (int) eye->stride;
      return true;
    }
  if (!eye->display ||
      !spice_display_channel_get_primary (SPICE_CHANNEL (eye->display), 0, &primary))
    return false;
  *pixels = primary.data;
  *width = primary.width;
  *height = primary.height;
  *stride = primary.stride;
  return true;
}

static void
dump (Eye *eye, const char *path)
{
  const uint8_t *pixels;
  int width, height, stride;

  if (!get_picture (eye, &pixels, &width, &height, &stride))
    {
      answer ("dump 0 0 none");
      return;
    }
  g_autoptr (GByteArray) out = g_byte_array_new ();
  g_autofree char *header = g_strdup_printf ("P6\n%d %d\n255\n", width, height);
  g_byte_array_append (out, (const uint8_t *) header, (unsigned) strlen (header));
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++)
      {
        const uint8_t *bgrx = pixels + (ptrdiff_t) y * stride + x * 4;
        const uint8_t rgb[3] = { bgrx[2], bgrx[1], bgrx[0] };
        g_byte_array_append (out, rgb, 3);
      }
  if (!g_file_set_contents (path, (const char *) out->data, out->len, NULL))
    give_up ("cannot write the dump");
  answer ("dump %d %d %s", width, height, eye->mapping ? "gl" : "draw");
}

static void
tell_pixel (Eye *eye, int x, int y)
{
  const uint8_t *pixels;
  int width, height, stride;

  if (!get_picture (eye, &pixels, &width, &height, &stride) || x >= width || y >= height)
    {
      answer ("pixel none");
      return;
    }
  pixels += (ptrdiff_t) y * stride + x * 4;
  answer ("pixel %02x%02x%02x", pixels[2], pixels[1], pixels[0]);
}

static void
tell_cursor (Eye *eye)
{
  SpiceCursorShape *shape = NULL;

  if (eye->cursor)
    g_object_get (eye->cursor, "cursor", &shape, NULL);
  if (!shape)
    {
      answer ("cursor none");
      return;
    }
  const uint8_t *first = shape->data;
  const uint8_t *last = first + ((size_t) shape->width * shape->height - 1) * 4;
  answer ("cursor %d %d %d %d %02x%02x%02x%02x %02x%02x%02x%02x", shape->width, shape->height,
          shape->hot_spot_x, shape->hot_spot_y, first[3], first[0], first[1], first[2], last[3],
          last[0], last[1], last[2]);
  g_boxed_free (SPICE_TYPE_CURSOR_SHAPE, shape);
}

static void
obey (Eye *eye, const char *line)
{
  int a, b;

  if (g_str_has_prefix (line, "dump "))
    dump (eye, line + 5);
  else if (sscanf (line, "pixel %d %d", &a, &b) == 2)
    tell_pixel (eye, a, b);
  else if (strcmp (line, "cursor") == 0)
    tell_cursor (eye);
  else if (sscanf (line, "key %i", &a) == 1)
    {
      spice_inputs_channel_key_press (eye->inputs, (unsigned) a);
      spice_inputs_channel_key_release (eye->inputs, (unsigned) a);
      answer ("ok");
    }
  else if (sscanf (line, "move %d %d", &a, &b) == 2)
    {
      spice_inputs_channel_position (eye->inputs, a, b, 0, eye->mouse_buttons);
      answer ("ok");
    }
  else if (sscanf (line, "button %d %d", &a, &b) == 2)
    {
      eye->mouse_buttons =
          b ? eye->mouse_buttons | 1 << (a - 1) : eye->mouse_buttons & ~(1 << (a - 1));
      (b ? spice_inputs_channel_button_press
         : spice_inputs_channel_button_release) (eye->inputs, a, eye->mouse_buttons);
      answer ("ok");
    }
  else
    give_up (line);
}

static gboolean
on_line (GIOChannel *input, GIOCondition condition, gpointer data)
{
  Eye *eye = data;
  g_autofree char *line = NULL;

  if (g_io_channel_read_line (input, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL)
    {
      g_main_loop_quit (eye->loop);
      return G_SOURCE_REMOVE;
    }
  obey (eye, g_strchomp (line));
  return G_SOURCE_CONTINUE;
}

int
main (int argc, char **argv)
{
  Eye eye = { .loop = g_main_loop_new (NULL, FALSE), .session = spice_session_new () };

  if (argc < 3)
    give_up ("usage: spice-eye unix PATH | qmp CONTROL [memfd]");
  g_signal_connect (eye.session, "channel-new", G_CALLBACK (on_channel_new), &eye);
  if (strcmp (argv[1], "unix") == 0)
    {
      g_object_set (eye.session, "unix-path", argv[2], NULL);
      if (!spice_session_connect (eye.session))
        give_up ("cannot connect");
    }
  else
    {
      eye.command = argc > 3 ? "x-alcove-add-client" : "add_client";
      open_control (&eye, argv[2]);
      g_object_set (eye.session, "client-sockets", TRUE, NULL);
      if (!spice_session_open_fd (eye.session, open_channel (&eye)))
        give_up ("cannot open the session");
    }
  GIOChannel *input = g_io_channel_unix_new (STDIN_FILENO);
  /* Unbuffered, so that no line waits unseen in a buffer. */
  g_io_add_watch (input, G_IO_IN | G_IO_HUP, on_line, &eye);
  g_main_loop_run (eye.loop);
  g_io_channel_unref (input);
  spice_session_disconnect (eye.session);
  unmap (&eye);
  g_clear_object (&eye.control);
  g_object_unref (eye.session);
  g_main_loop_unref (eye.loop);
  return 0;
}
