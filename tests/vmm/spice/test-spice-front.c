#include "spice/spice-front.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <spice/enums.h>
#include <spice/protocol.h>
#include <spice/vd_agent.h>

#include "spice-client.h"
#include "spice/spice-screen.h"

#define WIDTH  320
#define HEIGHT 200
#define WAIT   (60 * G_TIME_SPAN_SECOND)

typedef struct Fixture
{
  ScanoutPort *scanout;
  InputPort *input;
  ScanoutSurface *surface;
  SpiceFront *front;
  GArray *events;
  unsigned done;
  uint32_t asked_width, asked_height;
} Fixture;

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
on_done (void *opaque)
{
  ++*(unsigned *) opaque;
}

static void
set_up (Fixture *f, const void *data)
{
  const SpiceFrontOptions options = { .name = "test", .gpu_address = "pci/0000/01.0" };

  f->scanout = scanout_port_new ();
  f->input = input_port_new ();
  f->events = g_array_new (FALSE, FALSE, sizeof (InputEvent));
  input_port_set_listener (f->input, INPUT_KEYBOARD, on_input, f);
  input_port_set_listener (f->input, INPUT_POINTER, on_input, f);
  scanout_port_set_resize_func (f->scanout, on_resize, f);
  f->front = spice_front_new (&options, f->scanout, f->input, NULL);
  g_assert_nonnull (f->front);
  f->surface = scanout_surface_new (WIDTH, HEIGHT, 0, NULL);
  scanout_port_set_surface (f->scanout, f->surface);
}

static void
tear_down (Fixture *f, const void *data)
{
  spice_front_free (f->front);
  scanout_surface_unref (f->surface);
  scanout_port_free (f->scanout);
  input_port_free (f->input);
  g_array_unref (f->events);
}

static void
paint (ScanoutSurface *surface, const ScanoutRect *rect, uint32_t colour)
{
  for (uint32_t y = rect->y; y < rect->y + rect->height; y++)
    {
      uint32_t *row = (uint32_t *) (scanout_surface_get_pixels (surface) +
                                    (size_t) y * scanout_surface_get_stride (surface));
      for (uint32_t x = rect->x; x < rect->x + rect->width; x++)
        row[x] = colour;
    }
}

static void
draw (Fixture *f, ScanoutRect rect, uint32_t colour)
{
  paint (f->surface, &rect, colour);
  scanout_port_flush (f->scanout, &rect, on_done, &f->done);
}

static void
wait_done (Fixture *f, unsigned done)
{
  gint64 end = g_get_monotonic_time () + WAIT;

  while (f->done < done)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, end);
      g_main_context_iteration (NULL, FALSE);
    }
}

static const ScanoutRect everything = { 0, 0, WIDTH, HEIGHT };

static void
test_both_paths_show_what_was_drawn (Fixture *f, const void *data)
{
  bool memfd = GPOINTER_TO_INT (data);
  g_autoptr (SpiceClient) client = NULL;

  /* What was drawn before the client came is there as well. */
  draw (f, everything, 0x102030);
  g_assert_cmpuint (f->done, ==, 1);
  client = spice_client_new (f->front, memfd);
  spice_client_wait_pixel (client, WIDTH - 1, HEIGHT - 1, 0x102030);
  g_assert_cmpint (spice_client_is_gl (client), ==, memfd);
  draw (f, (ScanoutRect){ 10, 20, 30, 40 }, 0xff0000);
  draw (f, (ScanoutRect){ 100, 20, 1, 1 }, 0x00ff00);
  spice_client_wait_pixel (client, 39, 59, 0xff0000);
  spice_client_wait_pixel (client, 100, 20, 0x00ff00);
  spice_client_wait_pixel (client, 40, 59, 0x102030);
  wait_done (f, 3);
  if (memfd)
    g_assert_cmpuint (spice_client_get_gl_draws (client), >, 0);
}

static void
test_the_picture_follows_a_new_surface (Fixture *f, const void *data)
{
  bool memfd = GPOINTER_TO_INT (data);
  g_autoptr (SpiceClient) client = spice_client_new (f->front, memfd);
  g_autoptr (ScanoutSurface) larger = scanout_surface_new (640, 480, 0, NULL);
  const ScanoutRect all = { 0, 0, 640, 480 };

  draw (f, everything, 0x111111);
  spice_client_wait_pixel (client, 0, 0, 0x111111);
  /* Many changes in a row, also while draws are in flight. */
  for (unsigned i = 0; i < 20; i++)
    {
      draw (f, everything, 0x222222);
      scanout_port_set_surface (f->scanout, i % 2 ? f->surface : larger);
    }
  scanout_port_set_surface (f->scanout, larger);
  paint (larger, &all, 0x333333);
  scanout_port_flush (f->scanout, &all, on_done, &f->done);
  spice_client_wait_pixel (client, 639, 479, 0x333333);
  scanout_port_set_surface (f->scanout, NULL);
  scanout_port_set_surface (f->scanout, f->surface);
  draw (f, everything, 0x444444);
  spice_client_wait_pixel (client, WIDTH - 1, 0, 0x444444);
  wait_done (f, 23);
}

static void
test_the_next_client_finds_the_whole_picture_whichever_way (Fixture *f, const void *data)
{
  for (unsigned i = 0; i < 4; i++)
    {
      g_autoptr (SpiceClient) client = spice_client_new (f->front, i % 2);
      draw (f, everything, 0x100000 + i);
      spice_client_wait_pixel (client, 5, 5, 0x100000 + i);
      draw (f, (ScanoutRect){ 5, 5, 1, 1 }, 0x200000 + i);
      /* Gone in the middle of it. */
    }
  g_autoptr (SpiceClient) last = spice_client_new (f->front, false);
  spice_client_wait_pixel (last, 5, 5, 0x200003);
  spice_client_wait_pixel (last, 6, 5, 0x100003);
}

static void
test_a_stalled_client_delays_nobody (Fixture *f, const void *data)
{
  g_autoptr (SpiceClient) client = spice_client_new (f->front, true);

  draw (f, everything, 0x111111);
  spice_client_wait_pixel (client, 0, 0, 0x111111);
  wait_done (f, 1);
  spice_client_set_lazy (client, true);
  gint64 start = g_get_monotonic_time ();
  /* The first is in flight for ever; each of the others would wait for it. */
  for (unsigned i = 0; i < 10; i++)
    {
      draw (f, everything, 0x222222);
      wait_done (f, 2 + i);
    }
  g_assert_cmpint (g_get_monotonic_time () - start, <, 5 * SPICE_SCREEN_PATIENCE_MS * 1000);
  /* Scanouts can change all the same, and the next client is served. */
  g_autoptr (ScanoutSurface) other = scanout_surface_new (64, 64, 0, NULL);
  scanout_port_set_surface (f->scanout, other);
  g_clear_pointer (&client, spice_client_free);
  client = spice_client_new (f->front, true);
  paint (other, &(ScanoutRect){ 0, 0, 64, 64 }, 0x333333);
  scanout_port_flush (f->scanout, &everything, on_done, &f->done);
  spice_client_wait_pixel (client, 63, 63, 0x333333);
}

static bool
heard (Fixture *f, uint16_t type, uint16_t code, int32_t value)
{
  for (unsigned i = 0; i < f->events->len; i++)
    {
      const InputEvent *event = &g_array_index (f->events, InputEvent, i);
      if (event->type == type && event->code == code && event->value == value)
        return true;
    }
  return false;
}

static void
wait_heard (Fixture *f, uint16_t type, uint16_t code, int32_t value)
{
  gint64 end = g_get_monotonic_time () + WAIT;

  while (!heard (f, type, code, value))
    {
      g_assert_cmpint (g_get_monotonic_time (), <, end);
      g_main_context_iteration (NULL, FALSE);
    }
}

/* The main loop, which all of the machine's control shares, is never kept for longer than this by a client that hangs. */
#define HANG_BOUND (5 * G_TIME_SPAN_SECOND)

/* Runs the main context for so long; no turn of it may take long. */
static void
run_for (gint64 duration)
{
  gint64 end = g_get_monotonic_time () + duration, start;

  while ((start = g_get_monotonic_time ()) < end)
    {
      g_main_context_iteration (NULL, FALSE);
      g_assert_cmpint (g_get_monotonic_time () - start, <, HANG_BOUND);
      g_usleep (1000);
    }
}

/* A client that has linked and seen a picture, and hangs with its sockets full. */
static SpiceClient *
hang_client (Fixture *f, bool memfd)
{
  SpiceClient *client = spice_client_new (f->front, memfd);

  draw (f, everything, 0x111111);
  spice_client_wait_pixel (client, 0, 0, 0x111111);
  spice_client_stall (client);
  for (unsigned i = 0; i < 10; i++)
    {
      draw (f, everything, 0x222220 + i);
      run_for (20 * G_TIME_SPAN_MILLISECOND);
    }
  return client;
}

static void
test_hostile_18_a_client_that_hangs_delays_no_new_surface (Fixture *f, const void *data)
{
  g_autoptr (SpiceClient) hung = hang_client (f, GPOINTER_TO_INT (data));
  g_autoptr (ScanoutSurface) larger = scanout_surface_new (640, 480, 0, NULL);
  const ScanoutRect all = { 0, 0, 640, 480 };
  gint64 start = g_get_monotonic_time ();

  wait_done (f, 11);
  unsigned done = f->done;
  scanout_port_set_surface (f->scanout, larger);
  run_for (200 * G_TIME_SPAN_MILLISECOND);
  paint (larger, &all, 0x333333);
  scanout_port_flush (f->scanout, &all, on_done, &f->done);
  scanout_port_move_cursor (f->scanout, 7, 7);
  run_for (200 * G_TIME_SPAN_MILLISECOND);
  wait_done (f, done + 1);
  g_assert_cmpint (g_get_monotonic_time () - start, <, HANG_BOUND);
  g_autoptr (SpiceClient) next = spice_client_new (f->front, GPOINTER_TO_INT (data));
  spice_client_wait_pixel (next, 639, 479, 0x333333);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 2 * HANG_BOUND);
}

/* spice-server's worker does not survive it when it waits for such a client. */
static void
test_hostile_18_a_client_that_hangs_may_die (Fixture *f, const void *data)
{
  g_autoptr (SpiceClient) hung = hang_client (f, false);
  g_autoptr (ScanoutSurface) larger = scanout_surface_new (640, 480, 0, NULL);

  scanout_port_set_surface (f->scanout, larger);
  run_for (100 * G_TIME_SPAN_MILLISECOND);
  g_clear_pointer (&hung, spice_client_free);
  run_for (500 * G_TIME_SPAN_MILLISECOND);
  paint (larger, &(ScanoutRect){ 0, 0, 640, 480 }, 0x333333);
  g_autoptr (SpiceClient) next = spice_client_new (f->front, false);
  spice_client_wait_pixel (next, 639, 479, 0x333333);
}

static void
test_hostile_18_a_client_that_hangs_delays_no_other (Fixture *f, const void *data)
{
  g_autoptr (SpiceClient) hung = hang_client (f, GPOINTER_TO_INT (data));
  gint64 start = g_get_monotonic_time ();

  for (unsigned i = 0; i < 2; i++)
    {
      g_autoptr (SpiceClient) next = spice_client_new (f->front, i);
      draw (f, everything, 0x333333 + i);
      spice_client_wait_pixel (next, 0, 0, 0x333333 + i);
    }
  g_assert_cmpint (g_get_monotonic_time () - start, <, HANG_BOUND);
}

static void
test_hostile_18_a_client_that_hangs_delays_no_end (Fixture *f, const void *data)
{
  g_autoptr (SpiceClient) hung = hang_client (f, GPOINTER_TO_INT (data));
  g_autoptr (ScanoutSurface) larger = scanout_surface_new (640, 480, 0, NULL);
  gint64 start = g_get_monotonic_time ();

  scanout_port_set_surface (f->scanout, larger);
  run_for (20 * G_TIME_SPAN_MILLISECOND);
  g_clear_pointer (&f->front, spice_front_free);
  g_assert_cmpint (g_get_monotonic_time () - start, <, HANG_BOUND);
}

/* A client that has linked; what it says after that, a test says. */
static SpiceClient *
linked_client (Fixture *f)
{
  SpiceClient *client = spice_client_new (f->front, true);

  draw (f, everything, 0x111111);
  spice_client_wait_pixel (client, 0, 0, 0x111111);
  spice_client_stall (client);
  return client;
}

/* False: the server has closed the channel. */
static bool
say (SpiceClient *client, int channel, const void *bytes, size_t size)
{
  int fd = spice_client_get_fd (client, channel);
  gint64 end = g_get_monotonic_time () + WAIT;

  while (size > 0)
    {
      ssize_t n = send (fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno != EAGAIN)
        return false;
      if (n < 0)
        {
          g_assert_cmpint (g_get_monotonic_time (), <, end);
          g_main_context_iteration (NULL, FALSE);
          continue;
        }
      bytes = (const uint8_t *) bytes + n;
      size -= n;
    }
  return true;
}

static bool
say_message (SpiceClient *client, int channel, uint16_t type, uint32_t size, const void *body,
             size_t body_size)
{
  SpiceMiniDataHeader header = { GUINT16_TO_LE (type), GUINT32_TO_LE (size) };

  return say (client, channel, &header, sizeof header) && say (client, channel, body, body_size);
}

static void
assert_next_client_finds_the_picture (Fixture *f)
{
  g_autoptr (SpiceClient) next = spice_client_new (f->front, true);

  draw (f, everything, 0x333333);
  spice_client_wait_pixel (next, 0, 0, 0x333333);
}

static void
test_hostile_18_malformed_messages (Fixture *f, const void *data)
{
  static const struct
  {
    int channel;
    uint16_t type;
    uint32_t size; /* as it is said */
    uint32_t sent;
  } cases[] = {
    { SPICE_CHANNEL_INPUTS, SPICE_MSGC_INPUTS_KEY_DOWN, 0, 0 },
    { SPICE_CHANNEL_INPUTS, SPICE_MSGC_INPUTS_KEY_DOWN, 3, 3 },
    { SPICE_CHANNEL_INPUTS, SPICE_MSGC_INPUTS_KEY_SCANCODE, 4000, 4000 },
    { SPICE_CHANNEL_INPUTS, SPICE_MSGC_INPUTS_KEY_SCANCODE, UINT32_MAX, 8 },
    { SPICE_CHANNEL_INPUTS, SPICE_MSGC_INPUTS_MOUSE_POSITION, 1, 1 },
    { SPICE_CHANNEL_INPUTS, SPICE_MSGC_INPUTS_MOUSE_POSITION, 11, 11 },
    { SPICE_CHANNEL_INPUTS, SPICE_MSGC_INPUTS_MOUSE_PRESS, 4, 4 },
    { SPICE_CHANNEL_INPUTS, 0, 0, 0 },
    { SPICE_CHANNEL_INPUTS, UINT16_MAX, 16, 16 },
    { SPICE_CHANNEL_MAIN, SPICE_MSGC_MAIN_AGENT_START, 4, 4 },
    { SPICE_CHANNEL_MAIN, SPICE_MSGC_MAIN_AGENT_DATA, 3, 3 },
    { SPICE_CHANNEL_MAIN, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, 2, 2 },
    { SPICE_CHANNEL_MAIN, SPICE_MSGC_MIGRATE_DATA, 64, 64 },
    { SPICE_CHANNEL_DISPLAY, SPICE_MSGC_DISPLAY_INIT, 2, 2 },
    { SPICE_CHANNEL_DISPLAY, SPICE_MSGC_DISPLAY_PREFERRED_VIDEO_CODEC_TYPE, 200, 200 },
    { SPICE_CHANNEL_DISPLAY, SPICE_MSGC_DISPLAY_GL_DRAW_DONE, 0, 0 },
    { SPICE_CHANNEL_DISPLAY, SPICE_MSGC_ACK_SYNC, UINT32_MAX, 64 },
    { SPICE_CHANNEL_CURSOR, UINT16_MAX, UINT32_MAX, 64 },
  };
  uint8_t body[4000];

  memset (body, 0xff, sizeof body);
  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (SpiceClient) client = linked_client (f);

      g_test_message ("channel %d, type %u, size %u", cases[i].channel, cases[i].type,
                      cases[i].size);
      say_message (client, cases[i].channel, cases[i].type, cases[i].size, body, cases[i].sent);
      run_for (20 * G_TIME_SPAN_MILLISECOND);
    }
  assert_next_client_finds_the_picture (f);
}

static bool
say_monitors (SpiceClient *client, uint32_t n_monitors, uint32_t width, uint32_t height)
{
  struct __attribute__ ((packed))
  {
    VDAgentMessage message;
    VDAgentMonitorsConfig config;
    VDAgentMonConfig monitor;
  } body = { .message = { .protocol = VD_AGENT_PROTOCOL,
                          .type = VD_AGENT_MONITORS_CONFIG,
                          .size = sizeof body - sizeof body.message },
             .config = { .num_of_monitors = n_monitors },
             .monitor = { .width = width, .height = height } };

  return say_message (client, SPICE_CHANNEL_MAIN, SPICE_MSGC_MAIN_AGENT_DATA, sizeof body, &body,
                      sizeof body);
}

/* What the guest is told then is cut by the card (virtio-gpu: the-user-can-ask-for-another-size). */
static void
test_hostile_18_monitors_of_any_size (Fixture *f, const void *data)
{
  static const uint32_t sizes[] = { 0, 1, 1u << 31, UINT32_MAX };

  for (unsigned i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr (SpiceClient) client = linked_client (f);
      say_monitors (client, 1, sizes[i], sizes[i]);
      run_for (20 * G_TIME_SPAN_MILLISECOND);
      g_assert_cmpuint (f->asked_width, ==, sizes[i]);
      say_monitors (client, i % 2 ? UINT32_MAX : 0, sizes[i], sizes[i]);
      run_for (20 * G_TIME_SPAN_MILLISECOND);
    }
  assert_next_client_finds_the_picture (f);
}

static void
test_hostile_18_a_flood_for_the_agent (Fixture *f, const void *data)
{
  const VDAgentMessage message = { .protocol = VD_AGENT_PROTOCOL, .type = VD_AGENT_CLIPBOARD };
  const uint32_t tokens = UINT32_MAX;
  g_autoptr (SpiceClient) client = linked_client (f);

  say_message (client, SPICE_CHANNEL_MAIN, SPICE_MSGC_MAIN_AGENT_START, sizeof tokens, &tokens,
               sizeof tokens);
  for (unsigned i = 0; i < 100000; i++)
    if (!say_message (client, SPICE_CHANNEL_MAIN, SPICE_MSGC_MAIN_AGENT_DATA, sizeof message,
                      &message, sizeof message))
      break;
  run_for (20 * G_TIME_SPAN_MILLISECOND);
  assert_next_client_finds_the_picture (f);
}

static void
test_hostile_18_a_flood_of_input (Fixture *f, const void *data)
{
  const uint32_t code = GUINT32_TO_LE (0x1e);
  g_autoptr (SpiceClient) client = linked_client (f);

  for (unsigned i = 0; i < 100000; i++)
    g_assert_true (say_message (client, SPICE_CHANNEL_INPUTS, SPICE_MSGC_INPUTS_KEY_DOWN,
                                sizeof code, &code, sizeof code));
  wait_heard (f, EV_KEY, KEY_A, 1);
  assert_next_client_finds_the_picture (f);
}

/* What comes from somebody who is no client; each is the whole of a connection. */
static void
connect_garbage (Fixture *f)
{
  static const char *const garbage[] = { "", "GET / HTTP/1.0\r\n\r\n", "REDQ\xff\xff\xff\xff",
                                         "REDQ\2\0\0\0\2\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff" };

  for (unsigned i = 0; i < G_N_ELEMENTS (garbage); i++)
    {
      int fds[2];
      g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
      size_t length = i == 3 ? 20 : strlen (garbage[i]);
      g_assert_cmpint (write (fds[0], garbage[i], length), ==, length);
      spice_front_add_client (f->front, fds[1], true, false, NULL);
      close (fds[0]);
      while (g_main_context_iteration (NULL, FALSE))
        ;
    }
}

static void
test_garbage_is_dropped (Fixture *f, const void *data)
{
  connect_garbage (f);
  g_autoptr (SpiceClient) client = spice_client_new (f->front, false);
  draw (f, everything, 0x123456);
  spice_client_wait_pixel (client, 0, 0, 0x123456);
}

static void
test_garbage_does_not_change_how_the_picture_goes (Fixture *f, const void *data)
{
  g_autoptr (SpiceClient) client = spice_client_new (f->front, true);

  draw (f, everything, 0x111111);
  spice_client_wait_pixel (client, 0, 0, 0x111111);
  wait_done (f, 1);
  connect_garbage (f);
  unsigned gl_draws = spice_client_get_gl_draws (client);
  for (unsigned i = 0; i < 5; i++)
    {
      draw (f, everything, 0x222220 + i);
      wait_done (f, 2 + i);
      spice_client_wait_pixel (client, 0, 0, 0x222220 + i);
    }
  g_assert_true (spice_client_is_gl (client));
  g_assert_cmpuint (spice_client_get_gl_draws (client), >, gl_draws);
}

static void
test_keys_and_pointer_arrive (Fixture *f, const void *data)
{
  g_autoptr (SpiceClient) client = spice_client_new (f->front, false);
  SpiceInputsChannel *inputs = spice_client_get_inputs (client);

  draw (f, everything, 1);
  spice_client_wait_pixel (client, 0, 0, 1);
  spice_inputs_channel_key_press (inputs, 0x1e);
  wait_heard (f, EV_KEY, KEY_A, 1);
  spice_inputs_channel_key_release (inputs, 0x1e);
  wait_heard (f, EV_KEY, KEY_A, 0);
  spice_inputs_channel_key_press (inputs, 0x11d);
  wait_heard (f, EV_KEY, KEY_RIGHTCTRL, 1);
  spice_inputs_channel_position (inputs, WIDTH - 1, 0, 0, 0);
  wait_heard (f, EV_ABS, ABS_X, INPUT_ABS_MAX);
  spice_inputs_channel_button_press (inputs, SPICE_MOUSE_BUTTON_RIGHT,
                                     SPICE_MOUSE_BUTTON_MASK_RIGHT);
  wait_heard (f, EV_KEY, BTN_RIGHT, 1);
  spice_inputs_channel_button_press (inputs, SPICE_MOUSE_BUTTON_UP, 0);
  wait_heard (f, EV_REL, REL_WHEEL, 1);
  /* The client leaves with a key down. */
  g_array_set_size (f->events, 0);
  g_clear_pointer (&client, spice_client_free);
  wait_heard (f, EV_KEY, KEY_RIGHTCTRL, 0);
}

static void
test_the_client_can_ask_for_a_size (Fixture *f, const void *data)
{
  g_autoptr (SpiceClient) client = spice_client_new (f->front, true);
  gint64 end = g_get_monotonic_time () + WAIT;
  SpiceMainChannel *main = spice_client_get_main (client);

  spice_main_channel_update_display_enabled (main, 0, TRUE, FALSE);
  spice_main_channel_update_display (main, 0, 0, 0, 1234, 765, FALSE);
  while (f->asked_width != 1234)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, end);
      spice_main_channel_send_monitor_config (main);
      g_main_context_iteration (NULL, FALSE);
    }
  g_assert_cmpuint (f->asked_height, ==, 765);
}

typedef struct ListenFixture
{
  char *folder;
  char *path;
  ScanoutPort *scanout;
  InputPort *input;
} ListenFixture;

static void
listen_set_up (ListenFixture *f, const void *data)
{
  f->folder = g_dir_make_tmp ("alcove-spice-XXXXXX", NULL);
  f->path = g_build_filename (f->folder, "socket", NULL);
  f->scanout = scanout_port_new ();
  f->input = input_port_new ();
}

static void
listen_tear_down (ListenFixture *f, const void *data)
{
  g_assert_false (g_file_test (f->path, G_FILE_TEST_EXISTS));
  g_assert_cmpint (rmdir (f->folder), ==, 0);
  scanout_port_free (f->scanout);
  input_port_free (f->input);
  g_free (f->path);
  g_free (f->folder);
}

static SpiceFront *
listen_on_path (ListenFixture *f, GError **error)
{
  const SpiceFrontOptions options = { .name = "x",
                                      .listen_path = f->path,
                                      .gpu_address = "pci/0000/01.0" };

  return spice_front_new (&options, f->scanout, f->input, error);
}

static void
test_a_socket_in_use_is_refused (ListenFixture *f, const void *data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SpiceFront) first = listen_on_path (f, &error);

  g_assert_no_error (error);
  g_autoptr (SpiceFront) second = listen_on_path (f, &error);
  g_assert_null (second);
  g_assert_nonnull (strstr (error->message, f->path));
}

static void
test_a_stale_socket_is_replaced (ListenFixture *f, const void *data)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_autoptr (GError) error = NULL;
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  /* As a process that was killed leaves it. */
  g_strlcpy (address.sun_path, f->path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  close (fd);
  g_autoptr (SpiceFront) front = listen_on_path (f, &error);
  g_assert_no_error (error);
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  close (fd);
}

static void
test_a_file_in_the_socket_s_place_stays (ListenFixture *f, const void *data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  g_assert_true (g_file_set_contents (f->path, "mine", -1, NULL));
  g_autoptr (SpiceFront) front = listen_on_path (f, &error);
  g_assert_null (front);
  g_assert_nonnull (strstr (error->message, f->path));
  g_assert_true (g_file_get_contents (f->path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "mine");
  unlink (f->path);
}

static void
test_the_socket_is_for_this_user_alone (ListenFixture *f, const void *data)
{
  mode_t old = umask (0002);
  g_autoptr (SpiceFront) front = listen_on_path (f, NULL);
  struct stat info;

  umask (old);
  g_assert_nonnull (front);
  g_assert_cmpint (stat (f->path, &info), ==, 0);
  g_assert_cmphex (info.st_mode & 0777, ==, 0600);
}

#define MEMFD GINT_TO_POINTER (true)
#define DRAWS GINT_TO_POINTER (false)
#define ADD(NAME, DATA, FUNC)                                                                      \
  g_test_add ("/spice-front/" NAME, Fixture, DATA, set_up, FUNC, tear_down)
#define ADD_LISTEN(NAME, FUNC)                                                                     \
  g_test_add ("/spice-front/" NAME, ListenFixture, NULL, listen_set_up, FUNC, listen_tear_down)

/* Of a display client that is gone libspice-server 0.15.1 now and then forgets the image encoders, once in some thousand clients (seen on a busy
 * computer; their stacks are in its worker thread, none of ours in them). Its functions have no names here, so the library is named, in this
 * test alone: the others of this folder have few clients, and look for every leak. */
const char *__lsan_default_suppressions (void);

const char *
__lsan_default_suppressions (void)
{
  return "leak:libspice-server.so.1\n";
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
  ADD ("draws/show-what-was-drawn", DRAWS, test_both_paths_show_what_was_drawn);
  ADD ("memfd/show-what-was-drawn", MEMFD, test_both_paths_show_what_was_drawn);
  ADD ("draws/the-picture-follows-a-new-surface", DRAWS, test_the_picture_follows_a_new_surface);
  ADD ("memfd/the-picture-follows-a-new-surface", MEMFD, test_the_picture_follows_a_new_surface);
  ADD ("the-next-client-finds-the-whole-picture", NULL,
       test_the_next_client_finds_the_whole_picture_whichever_way);
  ADD ("hostile-18-a-stalled-client-delays-nobody", NULL, test_a_stalled_client_delays_nobody);
  ADD ("hostile-18-garbage-is-dropped", NULL, test_garbage_is_dropped);
  ADD ("hostile-18-garbage-does-not-change-how-the-picture-goes", NULL,
       test_garbage_does_not_change_how_the_picture_goes);
  ADD ("hostile-18-draws/a-client-that-hangs-delays-no-new-surface", DRAWS,
       test_hostile_18_a_client_that_hangs_delays_no_new_surface);
  ADD ("hostile-18-memfd/a-client-that-hangs-delays-no-new-surface", MEMFD,
       test_hostile_18_a_client_that_hangs_delays_no_new_surface);
  ADD ("hostile-18-draws/a-client-that-hangs-delays-no-other", DRAWS,
       test_hostile_18_a_client_that_hangs_delays_no_other);
  ADD ("hostile-18-memfd/a-client-that-hangs-delays-no-other", MEMFD,
       test_hostile_18_a_client_that_hangs_delays_no_other);
  ADD ("hostile-18-draws/a-client-that-hangs-delays-no-end", DRAWS,
       test_hostile_18_a_client_that_hangs_delays_no_end);
  ADD ("hostile-18-memfd/a-client-that-hangs-delays-no-end", MEMFD,
       test_hostile_18_a_client_that_hangs_delays_no_end);
  ADD ("hostile-18-draws/a-client-that-hangs-may-die", NULL,
       test_hostile_18_a_client_that_hangs_may_die);
  ADD ("hostile-18-malformed-messages", NULL, test_hostile_18_malformed_messages);
  ADD ("hostile-18-monitors-of-any-size", NULL, test_hostile_18_monitors_of_any_size);
  ADD ("hostile-18-a-flood-for-the-agent", NULL, test_hostile_18_a_flood_for_the_agent);
  ADD ("hostile-18-a-flood-of-input", NULL, test_hostile_18_a_flood_of_input);
  ADD ("keys-and-pointer-arrive", NULL, test_keys_and_pointer_arrive);
  ADD ("the-client-can-ask-for-a-size", NULL, test_the_client_can_ask_for_a_size);
  ADD_LISTEN ("a-socket-in-use-is-refused", test_a_socket_in_use_is_refused);
  ADD_LISTEN ("a-stale-socket-is-replaced", test_a_stale_socket_is_replaced);
  ADD_LISTEN ("a-file-in-the-socket-s-place-stays", test_a_file_in_the_socket_s_place_stays);
  ADD_LISTEN ("the-socket-is-for-this-user-alone", test_the_socket_is_for_this_user_alone);
  return g_test_run ();
}
