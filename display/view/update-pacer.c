#define G_LOG_DOMAIN "display"

#include "view/update-pacer.h"

/* Two refreshes of a slow monitor. */
#define ANSWER_MS 100
/* While updates keep coming, a picture is drawn this often. */
#define DRAW_MS 33

struct _UpdatePacer
{
  GtkWidget *widget;
  DisplayTransport *transport;
  guint unanswered;
  guint answer_source;
  guint draw_idle, draw_deadline; /* both or none */
};

UpdatePacer *
update_pacer_new (GtkWidget *widget)
{
  UpdatePacer *self = g_new0 (UpdatePacer, 1);

  self->widget = widget;
  return self;
}

static void
cancel_draw (UpdatePacer *self)
{
  g_clear_handle_id (&self->draw_idle, g_source_remove);
  g_clear_handle_id (&self->draw_deadline, g_source_remove);
}

void
update_pacer_free (UpdatePacer *self)
{
  cancel_draw (self);
  g_clear_handle_id (&self->answer_source, g_source_remove);
  g_clear_object (&self->transport);
  g_free (self);
}

/* --- answering --- */

void
update_pacer_answer (UpdatePacer *self)
{
  g_clear_handle_id (&self->answer_source, g_source_remove);
  for (guint n = self->unanswered; n > 0 && self->transport != NULL; n--)
    display_transport_update_done (self->transport);
  self->unanswered = 0;
}

static gboolean
on_not_drawn (gpointer data)
{
  UpdatePacer *self = data;

  self->answer_source = 0;
  update_pacer_answer (self);
  return G_SOURCE_REMOVE;
}

void
update_pacer_set_transport (UpdatePacer *self, DisplayTransport *transport)
{
  update_pacer_answer (self);
  g_set_object (&self->transport, transport);
}

/* --- drawing --- */

static gboolean
draw_now (gpointer data)
{
  UpdatePacer *self = data;

  cancel_draw (self);
  gtk_widget_queue_draw (self->widget);
  return G_SOURCE_REMOVE;
}

/* spice-client-glib handles one message an idle of default priority, which comes behind every redraw: where drawing is slow, a redraw
 * for each update would leave it one message a picture. So the picture is drawn when nothing more is there to be read, or when its time
 * is up. */
static void
schedule_draw (UpdatePacer *self)
{
  if (self->draw_idle != 0)
    return;
  self->draw_idle = g_idle_add_full (G_PRIORITY_LOW, draw_now, self, NULL);
  self->draw_deadline = g_timeout_add (DRAW_MS, draw_now, self);
}

void
update_pacer_add (UpdatePacer *self)
{
  self->unanswered++;
  if (self->answer_source == 0)
    self->answer_source = g_timeout_add (ANSWER_MS, on_not_drawn, self);
  schedule_draw (self);
}
