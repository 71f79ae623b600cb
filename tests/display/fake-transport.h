#pragma once

#include "transport/display-transport.h"

G_BEGIN_DECLS

/* A transport without a server: a test gives it frames and reads what the widget sent. */
#define TYPE_FAKE_TRANSPORT (fake_transport_get_type ())
G_DECLARE_FINAL_TYPE (FakeTransport, fake_transport, ALCOVE, FAKE_TRANSPORT, DisplayTransport)

FakeTransport *fake_transport_new (void);

/* What was sent, in words: "key 1e down", "position 10 20", "button 1 up", "wheel -2", "size
 * 800x600", "locks 4", "done", "motion 3 -1". Emptied by the call. Owned. */
char *fake_transport_take_log (FakeTransport *self);

/* Whether sizes can be asked for, whether the pointer is relative, what the guest's locks are (-1:
 * never said). Emits "changed". */
void fake_transport_set_state (FakeTransport *self, gboolean takes_size, gboolean wants_motion,
                               int locks);

/* The guest shows another picture, or draws one colour (0xRRGGBB) into a rectangle of it. */
void fake_transport_show (FakeTransport *self, Frame *frame);
void fake_transport_fill (FakeTransport *self, const FrameRect *rect, guint32 colour);

G_END_DECLS
