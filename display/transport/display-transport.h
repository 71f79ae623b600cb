#pragma once

#include "frame/frame.h"

G_BEGIN_DECLS

/* The seam between the widget and whatever brings a screen and takes input: spice-transport in
 * earnest, a fake one in tests. Knows no widget and no SPICE.
 *
 * Signals, all on the main thread:
 *   "opened"   ()                 input and picture can come and go
 *   "closed"   (GError *error)    once, also instead of "opened"; NULL: by display_transport_close ()
 *   "frame"    (Frame *frame)     another picture, wholly to be shown; NULL: the screen is dark
 *   "damage"   (FrameRect *rect)  inside the frame. Answer with display_transport_update_done ()
 *                                 when the pixels were taken or are not wanted: until then the
 *                                 server may hold the guest back.
 *   "cursor"   (PointerShape *shape)  NULL: the guest shows none
 *   "changed"  ()                 what the getters below answer may have changed
 *
 * Life: made, opened, closed, unreffed. It is not opened twice. */
#define TYPE_DISPLAY_TRANSPORT (display_transport_get_type ())
G_DECLARE_DERIVABLE_TYPE (DisplayTransport, display_transport, ALCOVE, DISPLAY_TRANSPORT, GObject)

/* A pointer shape: width * height * 4 bytes R G B A, not premultiplied. The hot spot lies inside. */
typedef struct
{
  guint width, height;
  guint hot_x, hot_y;
  GBytes *pixels;
} PointerShape;

/* Larger shapes are not shown: no desktop has them. */
#define POINTER_SHAPE_MAX_SIDE 512

/* Numbers as X11 and GDK have them; the wheel is not a button here. */
typedef enum
{
  POINTER_BUTTON_LEFT = 1,
  POINTER_BUTTON_MIDDLE = 2,
  POINTER_BUTTON_RIGHT = 3,
  POINTER_BUTTON_SIDE = 8,
  POINTER_BUTTON_EXTRA = 9,
} PointerButton;

typedef enum
{
  KEY_LOCK_SCROLL = 1 << 0,
  KEY_LOCK_NUM = 1 << 1,
  KEY_LOCK_CAPS = 1 << 2,
} KeyLocks;

struct _DisplayTransportClass
{
  GObjectClass parent_class;
  void (*open) (DisplayTransport *self);
  void (*close) (DisplayTransport *self);
  void (*update_done) (DisplayTransport *self);
  void (*send_key) (DisplayTransport *self, guint scancode, gboolean down);
  void (*send_locks) (DisplayTransport *self, KeyLocks locks);
  void (*send_position) (DisplayTransport *self, int x, int y);
  void (*send_motion) (DisplayTransport *self, int dx, int dy);
  void (*send_button) (DisplayTransport *self, PointerButton button, gboolean down);
  void (*send_wheel) (DisplayTransport *self, int steps);
  void (*request_size) (DisplayTransport *self, guint width, guint height);
  gboolean (*takes_size) (DisplayTransport *self);
  gboolean (*wants_motion) (DisplayTransport *self);
  gboolean (*get_locks) (DisplayTransport *self, KeyLocks *locks);
};

void display_transport_open (DisplayTransport *self);
/* "closed" follows with NULL, perhaps before this returns, unless it was emitted before. */
void display_transport_close (DisplayTransport *self);

/* One for each "damage". */
void display_transport_update_done (DisplayTransport *self);

/* XT set 1 make code; 0x100 added for the keys that begin with E0. A key may be pressed again
 * without a release: that is how a held key repeats. */
void display_transport_send_key (DisplayTransport *self, guint scancode, gboolean down);
void display_transport_send_locks (DisplayTransport *self, KeyLocks locks);

/* Guest pixels, inside the picture. */
void display_transport_send_position (DisplayTransport *self, int x, int y);
/* For a guest without an absolute pointer, see display_transport_wants_motion (). */
void display_transport_send_motion (DisplayTransport *self, int dx, int dy);
void display_transport_send_button (DisplayTransport *self, PointerButton button, gboolean down);
/* Notches; away from the user is negative, as GDK has it. */
void display_transport_send_wheel (DisplayTransport *self, int steps);

/* Asks the guest for another screen size, in guest pixels. It hears that only while it takes sizes. */
void display_transport_request_size (DisplayTransport *self, guint width, guint height);

/* Whether somebody in the guest listens. */
gboolean display_transport_takes_size (DisplayTransport *self);

gboolean display_transport_wants_motion (DisplayTransport *self);
/* FALSE: the guest has never said. */
gboolean display_transport_get_locks (DisplayTransport *self, KeyLocks *locks);

/* For subclasses. `error` is consumed; later calls do nothing. */
void display_transport_emit_opened (DisplayTransport *self);
void display_transport_emit_closed (DisplayTransport *self, GError *error);
void display_transport_emit_frame (DisplayTransport *self, Frame *frame);
void display_transport_emit_damage (DisplayTransport *self, const FrameRect *rect);
void display_transport_emit_cursor (DisplayTransport *self, const PointerShape *shape);
void display_transport_emit_changed (DisplayTransport *self);

G_END_DECLS
