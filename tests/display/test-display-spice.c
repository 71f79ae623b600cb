/* The widget on a screen, connected to the monitor's own SPICE server in this process: both ways in which a picture comes, input all the
 * way to the devices' port, and connections that fail. */

#include "screen-fixture.h"

#include <glib/gstdio.h>
#include <linux/input-event-codes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "spice/spice-front.h"

#define WIDTH  320
#define HEIGHT 200

typedef struct
{
  ScreenFixture screen;
  gboolean memfd;
  ScanoutPort *scanout;
  InputPort *input;
  ScanoutSurface *surface;
  SpiceFront *front; /* NULL: the machine is gone */
  GArray *events;    /* InputEvent */
  guint drawn;
  guint32 asked_width, asked_height;
  guint n_disconnected;
  GError *error; /* of the last "disconnected" */
} Fixture;

/* ---- The machine ---- */

static void
on_input (void *opaque, const InputEvent *events, unsigned n_events)
{
  g_array_append_vals (((Fixture *) opaque)->events, events, n_events);
}

static void
on_resize (void *opaque, uint32_t width, uint32_t height)
{
  Fixture *f = opaque;

  f->asked_width = width;
  f->asked_height = height;
}

static void
on_drawn (void *opaque)
{
  ((Fixture *) opaque)->drawn++;
}

static void
start_machine (Fixture *f)
{
  const SpiceFrontOptions options = { .name = "test", .gpu_address = "pci/0000/01.0" };

  f->front = spice_front_new (&options, f->scanout, f->input, NULL);
  g_assert_nonnull (f->front);
}

static guint32 *
get_row (ScanoutSurface *surface, int y)
{
  return (guint32 *) (scanout_surface_get_pixels (surface) +
                      (gsize) y * scanout_surface_get_stride (surface));
}

/* A surface with the pattern takes the place of the last. */
static void
show_surface (Fixture *f, guint width, guint height)
{
  g_autoptr (GError) error = NULL;
  ScanoutSurface *surface = scanout_surface_new (width, height, 0, &error);

  g_assert_no_error (error);
  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++)
      get_row (surface, (int) y)[x] = screen_fixture_pattern ((int) x, (int) y);
  scanout_port_set_surface (f->scanout, surface);
  scanout_port_flush (f->scanout, &(ScanoutRect){ 0, 0, width, height }, on_drawn, f);
  g_clear_pointer (&f->surface, scanout_surface_unref);
  f->surface = surface;
}

static void
draw (Fixture *f, const FrameRect *rect, guint32 colour)
{
  for (int y = rect->y; y < rect->y + rect->height; y++)
    for (int x = rect->x; x < rect->x + rect->width; x++)
      get_row (f->surface, y)[x] = colour;
  scanout_port_flush (
      f->scanout,
      &(ScanoutRect){ (guint) rect->x, (guint) rect->y, (guint) rect->width, (guint) rect->height },
      on_drawn, f);
}

/* ---- The connection ---- */

static gboolean
answer_later (gpointer data)
{
  AlcoveDisplayFdRequest *request = ((gpointer *) data)[0];
  Fixture *f = ((gpointer *) data)[1];
  int fds[2];

  g_free (data);
  if (f->front == NULL)
    {
      alcove_display_fd_request_answer (
          request, -1, g_error_new (G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "The machine is gone"));
      return G_SOURCE_REMOVE;
    }
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  g_assert_true (spice_front_add_client (f->front, fds[1], true, f->memfd, NULL));
  alcove_display_fd_request_answer (request, fds[0], NULL);
  return G_SOURCE_REMOVE;
}

/* As over a control socket: the answer takes a while. */
static void
provide (AlcoveDisplayFdRequest *request, gpointer data)
{
  gpointer *both = g_new (gpointer, 2);

  both[0] = request;
  both[1] = data;
  g_timeout_add (5, answer_later, both);
}

static void
on_disconnected (AlcoveDisplay *display, const GError *error, gpointer data)
{
  Fixture *f = data;

  f->n_disconnected++;
  g_clear_error (&f->error);
  f->error = error != NULL ? g_error_copy (error) : NULL;
}

static gboolean
is_connected (gpointer data)
{
  return alcove_display_is_connected (((Fixture *) data)->screen.display);
}

static gboolean
is_disconnected (gpointer data)
{
  return ((Fixture *) data)->n_disconnected > 0;
}

static void
connect_to_machine (Fixture *f)
{
  f->n_disconnected = 0;
  alcove_display_set_fd_provider (f->screen.display, provide, f, NULL);
  alcove_display_connect (f->screen.display);
  screen_fixture_wait (is_connected, f, "connected");
}

static void
set_up (Fixture *f, gconstpointer data)
{
  f->memfd = GPOINTER_TO_INT (data);
  f->scanout = scanout_port_new ();
  f->input = input_port_new ();
  f->events = g_array_new (FALSE, FALSE, sizeof (InputEvent));
  input_port_set_listener (f->input, INPUT_KEYBOARD, on_input, f);
  input_port_set_listener (f->input, INPUT_POINTER, on_input, f);
  scanout_port_set_resize_func (f->scanout, on_resize, f);
  start_machine (f);
  screen_fixture_set_up (&f->screen, WIDTH, HEIGHT);
  g_signal_connect (f->screen.display, "disconnected", G_CALLBACK (on_disconnected), f);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  alcove_display_disconnect (f->screen.display);
  screen_fixture_tear_down (&f->screen);
  g_clear_pointer (&f->front, spice_front_free);
  g_clear_pointer (&f->surface, scanout_surface_unref);
  scanout_port_free (f->scanout);
  input_port_free (f->input);
  g_array_unref (f->events);
  g_clear_error (&f->error);
}

/* ---- Pictures ---- */

typedef struct
{
  FrameRect changed;
  guint32 colour;
} Shown;

static guint32
shown_pixel (int x, int y, gpointer data)
{
  const Shown *shown = data;

  if (x >= shown->changed.x && x < shown->changed.x + shown->changed.width &&
      y >= shown->changed.y && y < shown->changed.y + shown->changed.height)
    return shown->colour;
  return screen_fixture_pattern (x, y);
}

static gboolean
all_drawn (gpointer data)
{
  return ((Fixture *) data)->drawn >= 3;
}

static void
test_shows_what_was_drawn (Fixture *f, gconstpointer data)
{
  guint width = (guint) (WIDTH * f->screen.scale), height = (guint) (HEIGHT * f->screen.scale);
  Shown shown = { { 0, 0, 0, 0 }, 0x20c040 };
  AlcoveDisplayStats stats;

  show_surface (f, width, height);
  connect_to_machine (f);
  screen_fixture_expect (&f->screen, shown_pixel, &shown, 0);
  alcove_display_get_stats (f->screen.display, &stats);
  g_assert_cmpint (stats.shared_memory, ==, f->memfd);
  g_assert_cmpint (stats.gl, ==, f->screen.gl);
  g_assert_cmpuint (alcove_display_get_guest_width (f->screen.display), ==, width);
  g_assert_cmpuint (alcove_display_get_guest_height (f->screen.display), ==, height);
  shown.changed = (FrameRect){ 10, 20, 30, 40 };
  draw (f, &shown.changed, shown.colour);
  screen_fixture_expect (&f->screen, shown_pixel, &shown, 0);
  shown.changed = (FrameRect){ (int) width - 1, (int) height - 1, 1, 1 };
  show_surface (f, width, height);
  draw (f, &shown.changed, shown.colour);
  screen_fixture_expect (&f->screen, shown_pixel, &shown, 0);
  /* And the machine was told each time that it may go on. */
  screen_fixture_wait (all_drawn, f, "the machine may go on");
}

typedef struct
{
  AlcoveDisplay *display;
  guint width, height;
} Size;

static gboolean
has_size (gpointer data)
{
  Size *size = data;

  return alcove_display_get_guest_width (size->display) == size->width &&
         alcove_display_get_guest_height (size->display) == size->height;
}

static void
test_follows_a_new_size (Fixture *f, gconstpointer data)
{
  static const guint sizes[][2] = { { 640, 480 }, { 1, 1 }, { 800, 600 }, { 1366, 768 } };
  Shown shown = { 0 };
  AlcoveDisplay *display = f->screen.display;

  show_surface (f, 64, 64);
  connect_to_machine (f);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      show_surface (f, sizes[i][0], sizes[i][1]);
      screen_fixture_wait (has_size, &(Size){ display, sizes[i][0], sizes[i][1] }, "a new size");
    }
  show_surface (f, (guint) (WIDTH * f->screen.scale), (guint) (HEIGHT * f->screen.scale));
  screen_fixture_expect (&f->screen, shown_pixel, &shown, 0);
}

static void
test_the_machine_hears_the_size (Fixture *f, gconstpointer data)
{
  show_surface (f, 64, 64);
  connect_to_machine (f);
  for (guint i = 0; i < 100 && f->asked_width == 0; i++)
    screen_fixture_run (50);
  g_assert_cmpuint (f->asked_width, ==, WIDTH * f->screen.scale);
  g_assert_cmpuint (f->asked_height, ==, HEIGHT * f->screen.scale);
}

/* ---- Input ---- */

typedef struct
{
  Fixture *fixture;
  InputEvent event;
  int tolerance;
} Heard;

static gboolean
was_heard (gpointer data)
{
  Heard *heard = data;

  for (guint i = 0; i < heard->fixture->events->len; i++)
    {
      const InputEvent *event = &g_array_index (heard->fixture->events, InputEvent, i);
      if (event->type == heard->event.type && event->code == heard->event.code &&
          ABS (event->value - heard->event.value) <= heard->tolerance)
        return TRUE;
    }
  return FALSE;
}

static void
wait_heard (Fixture *f, guint16 type, guint16 code, int value, int tolerance)
{
  screen_fixture_wait (was_heard, &(Heard){ f, { type, code, value }, tolerance }, "input");
}

static void
test_input_arrives (Fixture *f, gconstpointer data)
{
  g_autofree char *x = g_strdup_printf ("%d", 160 * f->screen.scale);
  g_autofree char *y = g_strdup_printf ("%d", 50 * f->screen.scale);
  Shown shown = { 0 };

  show_surface (f, (guint) (WIDTH * f->screen.scale), (guint) (HEIGHT * f->screen.scale));
  connect_to_machine (f);
  screen_fixture_expect (&f->screen, shown_pixel, &shown, 0);
  screen_fixture_xdotool ("keydown", "a", NULL);
  wait_heard (f, EV_KEY, KEY_A, 1, 0);
  screen_fixture_set_focus (&f->screen, FALSE);
  wait_heard (f, EV_KEY, KEY_A, 0, 0);
  screen_fixture_xdotool ("keyup", "a", NULL);
  screen_fixture_xdotool ("mousemove", x, y, NULL);
  wait_heard (f, EV_ABS, ABS_X, INPUT_ABS_MAX / 2, INPUT_ABS_MAX / WIDTH);
  wait_heard (f, EV_ABS, ABS_Y, INPUT_ABS_MAX / 4, INPUT_ABS_MAX / HEIGHT);
  screen_fixture_xdotool ("click", "1", "click", "3", "click", "4", NULL);
  wait_heard (f, EV_KEY, BTN_LEFT, 1, 0);
  wait_heard (f, EV_KEY, BTN_RIGHT, 1, 0);
  wait_heard (f, EV_KEY, BTN_RIGHT, 0, 0);
  wait_heard (f, EV_REL, REL_WHEEL, 1, 0);
}

static gboolean
has_cursor (gpointer data)
{
  GdkCursor *cursor = gtk_widget_get_cursor (GTK_WIDGET (((Fixture *) data)->screen.display));

  return cursor != NULL && gdk_cursor_get_texture (cursor) != NULL;
}

static gboolean
has_no_cursor (gpointer data)
{
  GdkCursor *cursor = gtk_widget_get_cursor (GTK_WIDGET (((Fixture *) data)->screen.display));

  return cursor != NULL && g_strcmp0 (gdk_cursor_get_name (cursor), "none") == 0;
}

static void
test_the_guests_cursor (Fixture *f, gconstpointer data)
{
  g_autofree guint32 *pixels = g_new (guint32, 32 * 32);
  const ScanoutCursor cursor = { 32, 32, 3, 4, pixels };
  guint32 seen[32 * 32];
  GdkCursor *shown;

  show_surface (f, (guint) (WIDTH * f->screen.scale), (guint) (HEIGHT * f->screen.scale));
  connect_to_machine (f);
  alcove_display_set_resize_guest (f->screen.display, FALSE);
  for (guint i = 0; i < 32 * 32; i++)
    pixels[i] = i % 2 ? 0xff0000ff : 0x00000000; /* blue in the lowest byte */
  scanout_port_set_cursor (f->scanout, &cursor);
  screen_fixture_wait (has_cursor, f, "the guest's cursor");
  shown = gtk_widget_get_cursor (GTK_WIDGET (f->screen.display));
  /* A pixel of the guest is a pixel of the X server's screen, whatever the scale. */
  g_assert_cmpint (gdk_texture_get_width (gdk_cursor_get_texture (shown)), ==, 32);
  g_assert_cmpint (gdk_cursor_get_hotspot_x (shown), ==, 3);
  g_assert_cmpint (gdk_cursor_get_hotspot_y (shown), ==, 4);
  gdk_texture_download (gdk_cursor_get_texture (shown), (guchar *) seen, 32 * 4);
  g_assert_cmphex (seen[0], ==, 0);
  g_assert_cmphex (seen[1], ==, 0xff0000ff);
  scanout_port_set_cursor (f->scanout, NULL);
  screen_fixture_wait (has_no_cursor, f, "the guest hides its cursor");
}

/* ---- Ends ---- */

static void
test_a_machine_that_goes_and_comes (Fixture *f, gconstpointer data)
{
  Shown shown = { 0 };

  show_surface (f, (guint) (WIDTH * f->screen.scale), (guint) (HEIGHT * f->screen.scale));
  connect_to_machine (f);
  screen_fixture_expect (&f->screen, shown_pixel, &shown, 0);
  g_clear_pointer (&f->front, spice_front_free);
  screen_fixture_wait (is_disconnected, f, "the end of the connection");
  g_assert_nonnull (f->error);
  /* The last picture remains. */
  screen_fixture_expect (&f->screen, shown_pixel, &shown, 0);
  g_assert_cmpuint (f->n_disconnected, ==, 1);

  f->n_disconnected = 0;
  alcove_display_connect (f->screen.display);
  screen_fixture_wait (is_disconnected, f, "refused");
  g_assert_error (f->error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_cmpstr (f->error->message, ==, "The machine is gone");

  start_machine (f);
  connect_to_machine (f);
  screen_fixture_expect (&f->screen, shown_pixel, &shown, 0);
  g_assert_cmpuint (f->n_disconnected, ==, 0);
}

static void
keep_request (AlcoveDisplayFdRequest *request, gpointer data)
{
  g_ptr_array_add (data, request);
}

/* Whoever answers too late does no harm, and its descriptor is closed. */
static void
test_late_answers (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) requests = g_ptr_array_new ();
  int fds[2];
  char byte;

  alcove_display_set_fd_provider (f->screen.display, keep_request, requests, NULL);
  alcove_display_connect (f->screen.display);
  screen_fixture_run (50);
  g_assert_cmpuint (requests->len, ==, 1);
  g_assert_cmpstr (alcove_display_fd_request_get_channel (requests->pdata[0]), ==, "main");
  alcove_display_disconnect (f->screen.display);
  g_assert_true (
      g_cancellable_is_cancelled (alcove_display_fd_request_get_cancellable (requests->pdata[0])));
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  alcove_display_fd_request_answer (requests->pdata[0], fds[0], NULL);
  g_assert_cmpint (read (fds[1], &byte, 1), ==, 0);
  close (fds[1]);
  screen_fixture_wait (is_disconnected, f, "disconnected");
  g_assert_no_error (f->error);
}

static void
answer_with_garbage (AlcoveDisplayFdRequest *request, gpointer data)
{
  const GBytes *garbage = data;
  gsize size;
  const char *bytes = g_bytes_get_data ((GBytes *) garbage, &size);
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  g_assert_cmpint (write (fds[1], bytes, size), ==, (gssize) size);
  shutdown (fds[1], SHUT_WR);
  alcove_display_fd_request_answer (request, fds[0], NULL);
  /* Left open to be written to: dropped with the process. */
}

static void
test_a_server_that_sends_garbage (Fixture *f, gconstpointer data)
{
  static const struct
  {
    const char *bytes;
    gsize size;
  } garbage[] = {
    { "", 0 },
    { "HTTP/1.0 400 Bad Request\r\n\r\n", 28 },
    { "REDQ\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16 },
    { "REDQ\2\0\0\0\2\0\0\0\x20\x20\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 24 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (garbage); i++)
    {
      g_autoptr (GBytes) bytes = g_bytes_new_static (garbage[i].bytes, garbage[i].size);

      f->n_disconnected = 0;
      alcove_display_set_fd_provider (f->screen.display, answer_with_garbage, bytes, NULL);
      alcove_display_connect (f->screen.display);
      screen_fixture_wait (is_disconnected, f, "garbage is refused");
      g_assert_nonnull (f->error);
      g_test_message ("%s", f->error->message);
    }
  show_surface (f, 64, 64);
  connect_to_machine (f);
}

static void
test_a_path_without_a_server (Fixture *f, gconstpointer data)
{
  alcove_display_set_path (f->screen.display, "/nonexistent/socket");
  alcove_display_connect (f->screen.display);
  screen_fixture_wait (is_disconnected, f, "refused");
  g_assert_error (f->error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
}

#define MEMFD GINT_TO_POINTER (TRUE)
#define DRAWS GINT_TO_POINTER (FALSE)
#define ADD(NAME, WAY, FUNC)                                                                       \
  g_test_add ("/display-spice/" NAME, Fixture, WAY, set_up, FUNC, tear_down)

int
main (int argc, char **argv)
{
  gtk_test_init (&argc, &argv, NULL);
  /* The server library reports clients that leave as warnings. */
  g_log_set_always_fatal (G_LOG_FATAL_MASK);
  ADD ("memfd/shows-what-was-drawn", MEMFD, test_shows_what_was_drawn);
  ADD ("draws/shows-what-was-drawn", DRAWS, test_shows_what_was_drawn);
  ADD ("memfd/follows-a-new-size", MEMFD, test_follows_a_new_size);
  ADD ("draws/follows-a-new-size", DRAWS, test_follows_a_new_size);
  ADD ("the-machine-hears-the-size", MEMFD, test_the_machine_hears_the_size);
  ADD ("input-arrives", MEMFD, test_input_arrives);
  ADD ("the-guests-cursor", MEMFD, test_the_guests_cursor);
  ADD ("memfd/a-machine-that-goes-and-comes", MEMFD, test_a_machine_that_goes_and_comes);
  ADD ("draws/a-machine-that-goes-and-comes", DRAWS, test_a_machine_that_goes_and_comes);
  ADD ("late-answers", MEMFD, test_late_answers);
  ADD ("a-server-that-sends-garbage", MEMFD, test_a_server_that_sends_garbage);
  ADD ("a-path-without-a-server", MEMFD, test_a_path_without_a_server);
  return g_test_run ();
}
