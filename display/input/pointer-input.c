#define G_LOG_DOMAIN "display"

/* Theory of operation: positions are told as they come and before each button, so that a click is where it was seen. A smooth wheel or
 * touchpad tells parts of a notch: they add up, and whole notches are sent; turning back drops the rest, as a notched wheel
 * would. */

#include "input/pointer-input.h"

#include <math.h>

#define BUTTONS 16
/* What a touchpad moves for a notch of a wheel, in the widget's units. */
#define UNITS_PER_NOTCH 15.0

struct _PointerInput
{
  GtkWidget *widget;
  GtkEventController *motion, *buttons, *scroll;
  DisplayTransport *transport;
  DisplayGeometry geometry;
  gboolean down[BUTTONS];
  double x, y; /* where the pointer was seen last */
  gboolean seen;
  double rest_x, rest_y; /* of relative motion, below a pixel */
  double notches;        /* not sent yet */
  PointerInputClicked clicked;
  gpointer data;
};

static void
send_position (PointerInput *self, double x, double y)
{
  int guest_x, guest_y;

  if (display_geometry_to_guest (&self->geometry, x, y, &guest_x, &guest_y))
    display_transport_send_position (self->transport, guest_x, guest_y);
}

static void
send_motion (PointerInput *self, double dx, double dy)
{
  double ratio = display_geometry_get_ratio (&self->geometry);
  double to_x = self->rest_x + dx * ratio, to_y = self->rest_y + dy * ratio;
  int whole_x = (int) CLAMP (trunc (to_x), -32767, 32767);
  int whole_y = (int) CLAMP (trunc (to_y), -32767, 32767);

  self->rest_x = to_x - whole_x;
  self->rest_y = to_y - whole_y;
  if (whole_x != 0 || whole_y != 0)
    display_transport_send_motion (self->transport, whole_x, whole_y);
}

static void
move_to (PointerInput *self, double x, double y)
{
  double dx = self->seen ? x - self->x : 0, dy = self->seen ? y - self->y : 0;

  self->x = x;
  self->y = y;
  self->seen = TRUE;
  if (self->transport == NULL)
    return;
  if (display_transport_wants_motion (self->transport))
    send_motion (self, dx, dy);
  else
    send_position (self, x, y);
}

static void
on_motion (GtkEventControllerMotion *motion, double x, double y, gpointer data)
{
  move_to (data, x, y);
}

static void
on_left (PointerInput *self)
{
  self->seen = FALSE;
  self->notches = 0;
}

static void
set_button (PointerInput *self, guint button, gboolean down)
{
  if (button >= BUTTONS || self->transport == NULL || self->down[button] == down)
    return;
  self->down[button] = down;
  display_transport_send_button (self->transport, button, down);
}

static gboolean
on_event (GtkEventControllerLegacy *controller, GdkEvent *event, gpointer data)
{
  PointerInput *self = data;
  GdkEventType type = gdk_event_get_event_type (event);

  if (type != GDK_BUTTON_PRESS && type != GDK_BUTTON_RELEASE)
    return GDK_EVENT_PROPAGATE;
  if (type == GDK_BUTTON_PRESS)
    {
      gtk_widget_grab_focus (self->widget);
      self->clicked (self->data);
    }
  if (self->transport != NULL && self->seen && !display_transport_wants_motion (self->transport))
    send_position (self, self->x, self->y);
  set_button (self, gdk_button_event_get_button (event), type == GDK_BUTTON_PRESS);
  return GDK_EVENT_STOP;
}

static gboolean
on_scroll (GtkEventControllerScroll *scroll, double dx, double dy, gpointer data)
{
  PointerInput *self = data;
  double turned = gtk_event_controller_scroll_get_unit (scroll) == GDK_SCROLL_UNIT_SURFACE
                      ? dy / UNITS_PER_NOTCH
                      : dy;
  int whole;

  if (self->transport == NULL)
    return GDK_EVENT_PROPAGATE;
  if (turned * self->notches < 0)
    self->notches = 0;
  self->notches = CLAMP (self->notches + turned, -1000, 1000);
  whole = (int) trunc (self->notches);
  self->notches -= whole;
  if (whole != 0)
    display_transport_send_wheel (self->transport, whole);
  return GDK_EVENT_STOP;
}

void
pointer_input_release_all (PointerInput *self)
{
  for (guint i = 0; i < BUTTONS; i++)
    set_button (self, i, FALSE);
}

void
pointer_input_set_transport (PointerInput *self, DisplayTransport *transport)
{
  pointer_input_release_all (self);
  g_set_object (&self->transport, transport);
}

void
pointer_input_set_geometry (PointerInput *self, const DisplayGeometry *geometry)
{
  self->geometry = *geometry;
}

PointerInput *
pointer_input_new (GtkWidget *widget, PointerInputClicked clicked, gpointer data)
{
  PointerInput *self = g_new0 (PointerInput, 1);

  self->widget = widget;
  self->clicked = clicked;
  self->data = data;
  self->motion = gtk_event_controller_motion_new ();
  g_signal_connect (self->motion, "enter", G_CALLBACK (on_motion), self);
  g_signal_connect (self->motion, "motion", G_CALLBACK (on_motion), self);
  g_signal_connect_swapped (self->motion, "leave", G_CALLBACK (on_left), self);
  gtk_widget_add_controller (widget, self->motion);
  self->buttons = gtk_event_controller_legacy_new ();
  g_signal_connect (self->buttons, "event", G_CALLBACK (on_event), self);
  gtk_widget_add_controller (widget, self->buttons);
  self->scroll = gtk_event_controller_scroll_new (GTK_EVENT_CONTROLLER_SCROLL_BOTH_AXES);
  g_signal_connect (self->scroll, "scroll", G_CALLBACK (on_scroll), self);
  gtk_widget_add_controller (widget, self->scroll);
  return self;
}

void
pointer_input_free (PointerInput *self)
{
  if (self == NULL)
    return;
  pointer_input_release_all (self);
  gtk_widget_remove_controller (self->widget, self->motion);
  gtk_widget_remove_controller (self->widget, self->buttons);
  gtk_widget_remove_controller (self->widget, self->scroll);
  g_clear_object (&self->transport);
  g_free (self);
}
