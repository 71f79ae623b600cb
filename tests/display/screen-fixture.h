#pragma once

#include "display-private.h"
#include "fake-transport.h"

G_BEGIN_DECLS

/* A window without decorations at the corner of the X screen, the widget in it, and a way to read what really came onto the screen. */
typedef struct
{
  GtkWidget *window;
  AlcoveDisplay *display;
  int scale;   /* device pixels to a unit */
  gboolean gl; /* what this run is about: ALCOVE_TEST_GL */
} ScreenFixture;

/* `width` and `height` in the widget's units. Waits until the window is there and has the keyboard. */
void screen_fixture_set_up (ScreenFixture *f, int width, int height);
void screen_fixture_tear_down (ScreenFixture *f);

/* Runs the main loop until `condition` holds; after 20 seconds the test fails with `what`. */
typedef gboolean (*ScreenFixtureCondition) (gpointer data);
void screen_fixture_wait (ScreenFixtureCondition condition, gpointer data, const char *what);
/* Runs it for so long. */
void screen_fixture_run (guint milliseconds);

/* What each device pixel of the widget should show, 0xRRGGBB. */
typedef guint32 (*ScreenFixturePixel) (int x, int y, gpointer data);

/* Until all pixels on the screen are as told; after 20 seconds the test fails and names the first that is not. `tolerance`: for
 * each colour, where the picture is smoothed. */
void screen_fixture_expect (ScreenFixture *f, ScreenFixturePixel pixel, gpointer data,
                            int tolerance);

/* Whether the X server gives the keyboard to the window. */
void screen_fixture_set_focus (ScreenFixture *f, gboolean focus);

/* Keys and pointer as a user makes them, through the X server: xdotool's arguments, NULL at the end. */
void screen_fixture_xdotool (const char *first, ...) G_GNUC_NULL_TERMINATED;

/* A picture in which neighbours differ, so that no flip, shift or smoothing goes unseen. */
guint32 screen_fixture_pattern (int x, int y);
Frame *screen_fixture_new_frame (guint width, guint height);

G_END_DECLS
