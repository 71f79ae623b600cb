/* The widget on a screen, with a transport of ours: what it shows, how little it uploads, what it sends. */

#include "screen-fixture.h"

#include <glib/gstdio.h>
#include <libglib-testing/signal-logger.h>

#define WIDTH  320
#define HEIGHT 200

typedef struct
{
  ScreenFixture screen;
  FakeTransport *transport;
  GString *log; /* all that the widget sent */
} Fixture;

static gboolean
is_connected (gpointer data)
{
  return alcove_display_is_connected (((Fixture *) data)->screen.display);
}

static void
connect_to (Fixture *f)
{
  g_set_object (&f->transport, NULL);
  f->transport = fake_transport_new ();
  alcove_display_connect_transport (f->screen.display, ALCOVE_DISPLAY_TRANSPORT (f->transport));
  screen_fixture_wait (is_connected, f, "connected");
}

static void
set_up (Fixture *f, gconstpointer data)
{
  screen_fixture_set_up (&f->screen, WIDTH, HEIGHT);
  f->log = g_string_new (NULL);
  connect_to (f);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  screen_fixture_tear_down (&f->screen);
  g_clear_object (&f->transport);
  g_string_free (f->log, TRUE);
}

static Frame *
show (Fixture *f, guint width, guint height)
{
  g_autoptr (Frame) frame = screen_fixture_new_frame (width, height);

  fake_transport_show (f->transport, frame);
  return frame; /* the transport's reference keeps it */
}

/* ---- What it sent ---- */

static const char *
read_log (Fixture *f)
{
  g_autofree char *news = fake_transport_take_log (f->transport);

  if (f->log->len > 0 && *news != '\0')
    g_string_append (f->log, ", ");
  g_string_append (f->log, news);
  return f->log->str;
}

static void
forget_log (Fixture *f)
{
  read_log (f);
  g_string_truncate (f->log, 0);
}

typedef struct
{
  Fixture *fixture;
  const char *words;
} Expected;

static gboolean
was_sent (gpointer data)
{
  Expected *expected = data;

  return strstr (read_log (expected->fixture), expected->words) != NULL;
}

static void
wait_sent (Fixture *f, const char *words)
{
  screen_fixture_wait (was_sent, &(Expected){ f, words }, words);
}

/* ---- What it shows ---- */

typedef struct
{
  int x, y, width, height, multiple; /* of the picture on the screen, in device pixels */
  FrameRect changed;                 /* of the guest's pixels, and their new colour */
  guint32 colour;
} Shown;

static guint32
shown_pixel (int x, int y, gpointer data)
{
  const Shown *shown = data;
  int guest_x = (x - shown->x) / shown->multiple, guest_y = (y - shown->y) / shown->multiple;
  const FrameRect *changed = &shown->changed;

  if (x < shown->x || y < shown->y || x >= shown->x + shown->width || y >= shown->y + shown->height)
    return 0;
  if (guest_x >= changed->x && guest_x < changed->x + changed->width && guest_y >= changed->y &&
      guest_y < changed->y + changed->height)
    return shown->colour;
  return screen_fixture_pattern (guest_x, guest_y);
}

static void
test_pixel_for_pixel (Fixture *f, gconstpointer data)
{
  int width = WIDTH * f->screen.scale, height = HEIGHT * f->screen.scale;
  Shown shown = { .width = width, .height = height, .multiple = 1 };

  show (f, (guint) width, (guint) height);
  screen_fixture_expect (&f->screen, shown_pixel, &shown, 0);
  /* Damage in every corner and across the middle. */
  shown.colour = 0xff8000;
  shown.changed = (FrameRect){ 0, 0, 1, 1 };
  fake_transport_fill (f->transport, &shown.changed, shown.colour);
  screen_fixture_expect (&f->screen, shown_pixel, &shown, 0);
  show (f, (guint) width, (guint) height);
  shown.changed = (FrameRect){ width - 33, height - 7, 33, 7 };
  fake_transport_fill (f->transport, &shown.changed, shown.colour);
  screen_fixture_expect (&f->screen, shown_pixel, &shown, 0);
}

static void
test_bars_and_whole_multiples (Fixture *f, gconstpointer data)
{
  int scale = f->screen.scale;
  Shown shown = { .x = 10 * scale,
                  .y = 25 * scale,
                  .width = 300 * scale,
                  .height = 150 * scale,
                  .multiple = 3 * scale };

  show (f, 100, 50);
  screen_fixture_expect (&f->screen, shown_pixel, &shown, 0);
}

static guint32
halved_pixel (int x, int y, gpointer data)
{
  int left = *(int *) data;

  if (x < left || x >= left + 2 * (left * 5 / 3))
    return 0;
  return 0x3060c0;
}

/* 400x400 into 320x200: half the size, with bars on both sides. */
static void
test_scaled_down (Fixture *f, gconstpointer data)
{
  int left = 60 * f->screen.scale;
  g_autoptr (Frame) frame =
      frame_new_copy (400 * (guint) f->screen.scale, 400 * (guint) f->screen.scale, NULL);
  FrameRect all = { 0, 0, 400 * f->screen.scale, 400 * f->screen.scale };

  fake_transport_show (f->transport, frame);
  fake_transport_fill (f->transport, &all, 0x3060c0);
  screen_fixture_expect (&f->screen, halved_pixel, &left, 1);
}

/* ---- How much it uploads ---- */

typedef struct
{
  Fixture *fixture;
  guint64 frames;
} Frames;

static gboolean
was_drawn (gpointer data)
{
  Frames *wanted = data;
  AlcoveDisplayStats stats;

  alcove_display_get_stats (wanted->fixture->screen.display, &stats);
  return stats.frames >= wanted->frames;
}

/* The bytes that one change cost. */
static guint64
cost_of_change (Fixture *f, FrameRect rect, guint32 colour)
{
  AlcoveDisplayStats before, after;

  alcove_display_get_stats (f->screen.display, &before);
  fake_transport_fill (f->transport, &rect, colour);
  screen_fixture_wait (was_drawn, &(Frames){ f, before.frames + 1 }, "a frame");
  screen_fixture_run (20); /* the renderer is done with the one before */
  alcove_display_get_stats (f->screen.display, &after);
  return after.uploaded_bytes - before.uploaded_bytes;
}

static void
test_a_small_change_uploads_little (Fixture *f, gconstpointer data)
{
  const guint64 whole = 3840 * 2160 * 4, small = 64 * 64 * 4;
  const FrameRect rect = { 1000, 1000, 64, 64 };
  AlcoveDisplayStats stats;

  show (f, 3840, 2160);
  screen_fixture_wait (was_drawn, &(Frames){ f, 1 }, "the first frame");
  alcove_display_get_stats (f->screen.display, &stats);
  g_assert_cmpint (stats.gl, ==, f->screen.gl);
  g_assert_cmpuint (stats.uploaded_bytes, ==, whole);
  /* The second of two textures is made with the second frame. */
  cost_of_change (f, rect, 1);
  for (guint i = 0; i < 4; i++)
    g_assert_cmpuint (cost_of_change (f, rect, 2 + i), ==, f->screen.gl ? small : whole);
  if (!f->screen.gl)
    return;
  g_test_message ("64x64 of 3840x2160: %" G_GUINT64_FORMAT " bytes", cost_of_change (f, rect, 9));
  /* Elsewhere each time: the change before is missing in the other texture. */
  for (int i = 1; i < 5; i++)
    g_assert_cmpuint (cost_of_change (f, (FrameRect){ 100 * i, 50, 64, 64 }, 3), <=, 2 * small);
}

/* ---- What it sends ---- */

static void
test_keys_go_up_with_the_focus (Fixture *f, gconstpointer data)
{
  show (f, WIDTH, HEIGHT);
  screen_fixture_xdotool ("keydown", "a", NULL);
  wait_sent (f, "key 1e down");
  screen_fixture_xdotool ("keydown", "Control_R", NULL);
  wait_sent (f, "key 11d down");
  screen_fixture_set_focus (&f->screen, FALSE);
  wait_sent (f, "key 1e up");
  wait_sent (f, "key 11d up");
  /* What is let go elsewhere is not told again, and what is typed elsewhere not at all. */
  forget_log (f);
  screen_fixture_xdotool ("keyup", "a", "keyup", "Control_R", "key", "b", NULL);
  screen_fixture_set_focus (&f->screen, TRUE);
  screen_fixture_xdotool ("key", "c", NULL);
  wait_sent (f, "key 2e down, key 2e up");
  g_assert_null (strstr (read_log (f), "key 1e"));
  g_assert_null (strstr (read_log (f), "key 30"));
  g_assert_null (strstr (read_log (f), "key 11d"));
}

static void
set_layout (const char *layout)
{
  const char *const words[] = { "setxkbmap", layout, NULL };
  g_autoptr (GError) error = NULL;
  int status = 0;

  g_spawn_sync (NULL, (char **) words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  g_assert_true (g_spawn_check_wait_status (status, &error));
}

/* A guest has a layout of its own: what counts is where the key is, not what this computer has on it. */
static void
test_keys_are_places (Fixture *f, gconstpointer data)
{
  show (f, WIDTH, HEIGHT);
  set_layout ("fr");
  /* X's 38 is A on an American keyboard and Q on a French one, 52 is Z and W. */
  screen_fixture_xdotool ("key", "38", NULL);
  wait_sent (f, "key 1e down, key 1e up");
  screen_fixture_xdotool ("key", "52", NULL);
  wait_sent (f, "key 2c down, key 2c up");
  set_layout ("us");
}

static void
test_keys_go_up_when_the_connection_ends (Fixture *f, gconstpointer data)
{
  screen_fixture_xdotool ("keydown", "a", NULL);
  wait_sent (f, "key 1e down");
  alcove_display_disconnect (f->screen.display);
  wait_sent (f, "key 1e up");
  screen_fixture_xdotool ("keyup", "a", NULL);
}

static void
test_menu_keys (Fixture *f, gconstpointer data)
{
  const guint keys[] = { GDK_KEY_Control_L, GDK_KEY_Alt_L, GDK_KEY_Delete };

  alcove_display_send_keys (f->screen.display, keys, G_N_ELEMENTS (keys));
  g_assert_cmpstr (read_log (f), ==,
                   "key 1d down, key 38 down, key 153 down, key 153 up, key 38 up, key 1d up");
}

static void
test_pointer_buttons_and_wheel (Fixture *f, gconstpointer data)
{
  /* 160x100 in 320x200: two units to a guest pixel, whatever the scale factor. */
  g_autofree char *x = g_strdup_printf ("%d", 41 * f->screen.scale);
  g_autofree char *y = g_strdup_printf ("%d", 21 * f->screen.scale);

  show (f, 160, 100);
  screen_fixture_run (50);
  screen_fixture_xdotool ("mousemove", x, y, NULL);
  wait_sent (f, "position 20 10");
  screen_fixture_xdotool ("mousedown", "1", NULL);
  wait_sent (f, "position 20 10, button 1 down");
  screen_fixture_xdotool ("mouseup", "1", NULL);
  wait_sent (f, "button 1 up");
  screen_fixture_xdotool ("click", "3", NULL);
  wait_sent (f, "button 3 down");
  wait_sent (f, "button 3 up");
  forget_log (f);
  screen_fixture_xdotool ("click", "4", NULL);
  wait_sent (f, "wheel -1");
  screen_fixture_xdotool ("click", "5", NULL);
  wait_sent (f, "wheel 1");
}

static GtkEventController *
find_controller (Fixture *f, GType type)
{
  g_autoptr (GListModel) all = gtk_widget_observe_controllers (GTK_WIDGET (f->screen.display));

  for (guint i = 0; i < g_list_model_get_n_items (all); i++)
    {
      g_autoptr (GtkEventController) controller = g_list_model_get_item (all, i);
      if (G_TYPE_CHECK_INSTANCE_TYPE (controller, type))
        return controller;
    }
  g_assert_not_reached ();
}

static void
scroll (Fixture *f, double dy)
{
  gboolean handled = FALSE;

  g_signal_emit_by_name (find_controller (f, GTK_TYPE_EVENT_CONTROLLER_SCROLL), "scroll", 0.0, dy,
                         &handled);
  g_assert_true (handled);
}

/* The X server's virtual pointer has no smooth wheel: the controller's own signal stands for one. */
static void
test_a_smooth_wheel_adds_up (Fixture *f, gconstpointer data)
{
  forget_log (f);
  for (int i = 0; i < 8; i++)
    scroll (f, 0.3);
  g_assert_cmpstr (read_log (f), ==, "wheel 1, wheel 1");
  /* Turned back: what was left over does not count against it. */
  forget_log (f);
  scroll (f, -1);
  g_assert_cmpstr (read_log (f), ==, "wheel -1");
  forget_log (f);
  scroll (f, 7);
  g_assert_cmpstr (read_log (f), ==, "wheel 7");
}

static void
test_the_guest_is_asked_for_device_pixels (Fixture *f, gconstpointer data)
{
  g_autofree char *first =
      g_strdup_printf ("size %dx%d", WIDTH * f->screen.scale, HEIGHT * f->screen.scale);
  g_autofree char *second =
      g_strdup_printf ("size %dx%d", 400 * f->screen.scale, 300 * f->screen.scale);

  fake_transport_set_state (f->transport, TRUE, FALSE, -1);
  wait_sent (f, first);
  gtk_window_set_default_size (GTK_WINDOW (f->screen.window), 400, 300);
  wait_sent (f, second);
  /* Once for each size. */
  fake_transport_set_state (f->transport, TRUE, FALSE, -1);
  screen_fixture_run (300);
  g_assert_true (g_str_has_suffix (read_log (f), second));
  g_assert_cmpuint (f->log->len, ==, strlen (first) + 2 + strlen (second));
  /* A guest that starts anew has forgotten it. */
  forget_log (f);
  fake_transport_set_state (f->transport, FALSE, FALSE, -1);
  screen_fixture_run (200);
  g_assert_cmpstr (read_log (f), ==, "");
  fake_transport_set_state (f->transport, TRUE, FALSE, -1);
  wait_sent (f, second);
}

static guint
count_done (Fixture *f)
{
  guint n = 0;

  for (const char *at = read_log (f); (at = strstr (at, "done")) != NULL; at += 4)
    n++;
  return n;
}

static gboolean
are_three_done (gpointer data)
{
  return count_done (data) == 3;
}

static void
test_updates_are_answered_also_unseen (Fixture *f, gconstpointer data)
{
  const FrameRect rect = { 0, 0, 10, 10 };

  show (f, WIDTH, HEIGHT);
  fake_transport_fill (f->transport, &rect, 1);
  fake_transport_fill (f->transport, &rect, 2);
  fake_transport_fill (f->transport, &rect, 3);
  screen_fixture_wait (are_three_done, f, "three answers");
  forget_log (f);
  gtk_widget_set_visible (f->screen.window, FALSE);
  for (guint i = 0; i < 3; i++)
    fake_transport_fill (f->transport, &rect, i);
  screen_fixture_wait (are_three_done, f, "three answers of a hidden widget");
  screen_fixture_run (200);
  g_assert_cmpuint (count_done (f), ==, 3);
}

/* ---- Cursor ---- */

static void
test_cursor_shapes (Fixture *f, gconstpointer data)
{
  DisplayTransport *transport = ALCOVE_DISPLAY_TRANSPORT (f->transport);
  GtkWidget *widget = GTK_WIDGET (f->screen.display);
  g_autofree guint32 *pixels = g_new (guint32, 24 * 16);
  g_autoptr (GBytes) bytes = NULL;
  PointerShape shape = { 24, 16, 5, 15, NULL };
  GdkTexture *texture;

  g_assert_cmpstr (gdk_cursor_get_name (gtk_widget_get_cursor (widget)), ==, "default");
  display_transport_emit_cursor (transport, NULL);
  g_assert_cmpstr (gdk_cursor_get_name (gtk_widget_get_cursor (widget)), ==, "none");
  for (guint i = 0; i < 24 * 16; i++)
    pixels[i] = GUINT32_TO_LE (0xff0000ff); /* red: R is first */
  bytes = g_bytes_new (pixels, 24 * 16 * 4);
  shape.pixels = bytes;
  display_transport_emit_cursor (transport, &shape);
  texture = gdk_cursor_get_texture (gtk_widget_get_cursor (widget));
  g_assert_nonnull (texture);
  g_assert_cmpint (gdk_texture_get_width (texture), ==, 24);
  g_assert_cmpint (gdk_texture_get_height (texture), ==, 16);
  g_assert_cmpint (gdk_cursor_get_hotspot_x (gtk_widget_get_cursor (widget)), ==, 5);
  g_assert_cmpint (gdk_cursor_get_hotspot_y (gtk_widget_get_cursor (widget)), ==, 15);
  gdk_texture_download (texture, (guchar *) pixels, 24 * 4);
  g_assert_cmphex (pixels[0], ==, GUINT32_TO_LE (0xffff0000)); /* as Cairo has it */
  display_transport_emit_cursor (transport, NULL);
  g_assert_cmpstr (gdk_cursor_get_name (gtk_widget_get_cursor (widget)), ==, "none");
}

/* ---- Signals and pictures to keep ---- */

static void
test_signals_tell_a_connections_life (Fixture *f, gconstpointer data)
{
  g_autoptr (GtSignalLogger) logger = gt_signal_logger_new ();
  AlcoveDisplay *display = f->screen.display;
  GError *seen = NULL;

  gt_signal_logger_connect (logger, display, "connected");
  gt_signal_logger_connect (logger, display, "disconnected");
  gt_signal_logger_connect (logger, display, "first-picture");
  show (f, WIDTH, HEIGHT);
  gt_signal_logger_assert_emission_pop (logger, display, "first-picture", NULL);
  show (f, WIDTH, HEIGHT);
  show (f, 10, 10);
  gt_signal_logger_assert_no_emissions (logger);

  /* The machine ends it: the reason is told, the picture stays. */
  display_transport_emit_closed (ALCOVE_DISPLAY_TRANSPORT (f->transport),
                                 g_error_new (G_IO_ERROR, G_IO_ERROR_FAILED, "It broke"));
  gt_signal_logger_assert_emission_pop (logger, display, "disconnected", &seen);
  g_assert_error (seen, G_IO_ERROR, G_IO_ERROR_FAILED);
  g_clear_error (&seen);
  g_assert_false (alcove_display_is_connected (display));
  g_assert_true (alcove_display_has_picture (display));

  connect_to (f);
  g_assert_false (alcove_display_has_picture (display));
  gt_signal_logger_assert_emission_pop (logger, display, "connected", NULL);
  show (f, WIDTH, HEIGHT);
  gt_signal_logger_assert_emission_pop (logger, display, "first-picture", NULL);
  alcove_display_disconnect (display);
  gt_signal_logger_assert_no_emissions (logger);
  screen_fixture_run (20);
  gt_signal_logger_assert_emission_pop (logger, display, "disconnected", &seen);
  g_assert_no_error (seen);
  alcove_display_disconnect (display);
  screen_fixture_run (20);
  gt_signal_logger_assert_no_emissions (logger);
}

static void
on_saved (GObject *source, GAsyncResult *result, gpointer data)
{
  *(GAsyncResult **) data = g_object_ref (result);
}

static gboolean
is_set (gpointer data)
{
  return *(gpointer *) data != NULL;
}

static void
test_png_and_texture (Fixture *f, gconstpointer data)
{
  g_autofree char *folder = g_dir_make_tmp ("display-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "picture.png", NULL);
  g_autofree guint32 *pixels = g_new0 (guint32, 64 * 48);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GdkTexture) copy = NULL, saved = NULL;
  g_autoptr (GError) error = NULL;

  show (f, 64, 48);
  copy = alcove_display_dup_texture (f->screen.display);
  fake_transport_fill (f->transport, &(FrameRect){ 0, 0, 64, 48 }, 0x112233);
  gdk_texture_download (copy, (guchar *) pixels, 64 * 4);
  for (int i = 0; i < 64 * 48; i++)
    g_assert_cmphex (pixels[i], ==, 0xff000000 | screen_fixture_pattern (i % 64, i / 64));

  alcove_display_save_png_async (f->screen.display, path, 32, NULL, on_saved, &result);
  screen_fixture_wait (is_set, &result, "the PNG");
  g_assert_true (alcove_display_save_png_finish (f->screen.display, result, &error));
  saved = gdk_texture_new_from_filename (path, &error);
  g_assert_no_error (error);
  g_assert_cmpint (gdk_texture_get_width (saved), ==, 32);
  g_assert_cmpint (gdk_texture_get_height (saved), ==, 24);
  g_unlink (path);
  g_rmdir (folder);
}

#define ADD(NAME, FUNC) g_test_add ("/display-widget/" NAME, Fixture, NULL, set_up, FUNC, tear_down)

int
main (int argc, char **argv)
{
  gtk_test_init (&argc, &argv, NULL);
  ADD ("pixel-for-pixel", test_pixel_for_pixel);
  ADD ("bars-and-whole-multiples", test_bars_and_whole_multiples);
  ADD ("scaled-down", test_scaled_down);
  ADD ("a-small-change-uploads-little", test_a_small_change_uploads_little);
  ADD ("keys-go-up-with-the-focus", test_keys_go_up_with_the_focus);
  ADD ("keys-are-places", test_keys_are_places);
  ADD ("keys-go-up-when-the-connection-ends", test_keys_go_up_when_the_connection_ends);
  ADD ("menu-keys", test_menu_keys);
  ADD ("pointer-buttons-and-wheel", test_pointer_buttons_and_wheel);
  ADD ("a-smooth-wheel-adds-up", test_a_smooth_wheel_adds_up);
  ADD ("the-guest-is-asked-for-device-pixels", test_the_guest_is_asked_for_device_pixels);
  ADD ("updates-are-answered-also-unseen", test_updates_are_answered_also_unseen);
  ADD ("cursor-shapes", test_cursor_shapes);
  ADD ("signals-tell-a-connections-life", test_signals_tell_a_connections_life);
  ADD ("png-and-texture", test_png_and_texture);
  return g_test_run ();
}
