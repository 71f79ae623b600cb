#include "screen-fixture.h"

#include <gdk/x11/gdkx.h>
#include <stdlib.h>
#include <X11/Xutil.h>

#define PATIENCE (20 * G_TIME_SPAN_SECOND)

/* ---- Waiting ---- */

static gboolean
wake (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static gboolean
wait_until (ScreenFixtureCondition condition, gpointer data, gint64 patience)
{
  gint64 end = g_get_monotonic_time () + patience;
  guint source = g_timeout_add (10, wake, NULL);
  gboolean met;

  while (!(met = condition (data)) && g_get_monotonic_time () < end)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (source);
  return met;
}

void
screen_fixture_wait (ScreenFixtureCondition condition, gpointer data, const char *what)
{
  if (!wait_until (condition, data, PATIENCE))
    g_error ("waited in vain for: %s", what);
}

static gboolean
never (gpointer data)
{
  return FALSE;
}

void
screen_fixture_run (guint milliseconds)
{
  wait_until (never, NULL, milliseconds * G_TIME_SPAN_MILLISECOND);
}

/* ---- The window ---- */

static GdkSurface *
get_surface (ScreenFixture *f)
{
  return gtk_native_get_surface (GTK_NATIVE (f->window));
}

static Display *
get_x (ScreenFixture *f)
{
  G_GNUC_BEGIN_IGNORE_DEPRECATIONS
  return gdk_x11_display_get_xdisplay (gtk_widget_get_display (f->window));
  G_GNUC_END_IGNORE_DEPRECATIONS
}

static gboolean
is_there (gpointer data)
{
  ScreenFixture *f = data;

  return gtk_widget_get_mapped (f->window) && gtk_widget_get_width (GTK_WIDGET (f->display)) > 0;
}

static gboolean
has_focus (gpointer data)
{
  return gtk_window_is_active (GTK_WINDOW (((ScreenFixture *) data)->window));
}

static gboolean
has_no_focus (gpointer data)
{
  return !has_focus (data);
}

void
screen_fixture_set_focus (ScreenFixture *f, gboolean focus)
{
  Display *x = get_x (f);

  XSetInputFocus (x, focus ? gdk_x11_surface_get_xid (get_surface (f)) : DefaultRootWindow (x),
                  RevertToPointerRoot, CurrentTime);
  XSync (x, False);
  screen_fixture_wait (focus ? has_focus : has_no_focus, f, "the keyboard comes or goes");
}

void
screen_fixture_set_up (ScreenFixture *f, int width, int height)
{
  f->gl = g_strcmp0 (g_getenv ("ALCOVE_TEST_GL"), "0") != 0;
  f->window = gtk_window_new ();
  f->display = ALCOVE_DISPLAY (alcove_display_new ());
  gtk_window_set_decorated (GTK_WINDOW (f->window), FALSE);
  gtk_window_set_default_size (GTK_WINDOW (f->window), width, height);
  gtk_window_set_child (GTK_WINDOW (f->window), GTK_WIDGET (f->display));
  gtk_window_set_focus (GTK_WINDOW (f->window), GTK_WIDGET (f->display));
  gtk_window_present (GTK_WINDOW (f->window));
  screen_fixture_wait (is_there, f, "the window");
  f->scale = gtk_widget_get_scale_factor (f->window);
  screen_fixture_set_focus (f, TRUE);
}

void
screen_fixture_tear_down (ScreenFixture *f)
{
  gtk_window_destroy (GTK_WINDOW (f->window));
  screen_fixture_run (1);
}

/* ---- What the screen shows ---- */

typedef struct
{
  ScreenFixture *fixture;
  ScreenFixturePixel pixel;
  gpointer data;
  int tolerance;
  char *difference;
} Expectation;

static gboolean
is_near (guint32 a, guint32 b, int tolerance)
{
  for (int shift = 0; shift < 24; shift += 8)
    if (abs ((int) (a >> shift & 0xff) - (int) (b >> shift & 0xff)) > tolerance)
      return FALSE;
  return TRUE;
}

static gboolean
is_as_expected (gpointer data)
{
  Expectation *e = data;
  ScreenFixture *f = e->fixture;
  int width = gtk_widget_get_width (GTK_WIDGET (f->display)) * f->scale;
  int height = gtk_widget_get_height (GTK_WIDGET (f->display)) * f->scale;
  XImage *image = XGetImage (get_x (f), gdk_x11_surface_get_xid (get_surface (f)), 0, 0,
                             (guint) width, (guint) height, AllPlanes, ZPixmap);

  g_assert_nonnull (image);
  g_clear_pointer (&e->difference, g_free);
  for (int y = 0; y < height && e->difference == NULL; y++)
    for (int x = 0; x < width && e->difference == NULL; x++)
      {
        guint32 seen = XGetPixel (image, x, y) & 0xffffff, wanted = e->pixel (x, y, e->data);

        if (!is_near (seen, wanted, e->tolerance))
          e->difference = g_strdup_printf ("of %dx%d, pixel %d,%d is %06x instead of %06x", width,
                                           height, x, y, seen, wanted);
      }
  XDestroyImage (image);
  return e->difference == NULL;
}

void
screen_fixture_expect (ScreenFixture *f, ScreenFixturePixel pixel, gpointer data, int tolerance)
{
  Expectation e = { f, pixel, data, tolerance, NULL };

  if (!wait_until (is_as_expected, &e, PATIENCE))
    g_error ("not the picture that was sent: %s", e.difference);
  g_free (e.difference);
}

/* ---- What the user does ---- */

void
screen_fixture_xdotool (const char *first, ...)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  va_list more;
  int status = 0;

  g_ptr_array_add (words, (gpointer) "xdotool");
  va_start (more, first);
  for (const char *word = first; word != NULL; word = va_arg (more, const char *))
    g_ptr_array_add (words, (gpointer) word);
  va_end (more);
  g_ptr_array_add (words, NULL);
  g_spawn_sync (NULL, (char **) words->pdata, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                &status, &error);
  g_assert_no_error (error);
  g_assert_true (g_spawn_check_wait_status (status, &error));
}

/* ---- Pictures ---- */

guint32
screen_fixture_pattern (int x, int y)
{
  guint32 mixed = ((guint32) x * 2654435761u) ^ ((guint32) y * 2246822519u);

  return (mixed ^ mixed >> 15) & 0xffffff;
}

Frame *
screen_fixture_new_frame (guint width, guint height)
{
  g_autoptr (GError) error = NULL;
  Frame *frame = frame_new_copy (width, height, &error);
  g_autofree guint32 *pixels = g_new (guint32, (gsize) width * height);
  FrameRect all = { 0, 0, (int) width, (int) height };

  g_assert_no_error (error);
  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++)
      pixels[y * width + x] = GUINT32_TO_LE (screen_fixture_pattern ((int) x, (int) y));
  frame_write (frame, &all, FRAME_XRGB_8888, (const guint8 *) pixels, (gsize) width * 4);
  return frame;
}
