#include "ui/machine/emulated-pill.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include "machine/host-check.h"

struct _EmulatedPill
{
  GtkWidget parent_instance;

  GtkWidget *button;
  GtkLabel *sentence;
  GtkLabel *advice;
};

G_DEFINE_FINAL_TYPE (EmulatedPill, emulated_pill, GTK_TYPE_WIDGET)

static GtkLabel *
new_text (const char *style)
{
  GtkWidget *label = gtk_label_new (NULL);

  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_max_width_chars (GTK_LABEL (label), 42);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  if (style != NULL)
    gtk_widget_add_css_class (label, style);
  return GTK_LABEL (label);
}

/* Looked at when it is opened: what to do may have been done meanwhile. */
static void
on_show (EmulatedPill *self)
{
  HostCheckVerdict verdict = host_check_run (NULL, NULL);

  if (verdict == HOST_CHECK_FULL_SPEED)
    {
      gtk_label_set_text (self->sentence,
                          _ ("This machine was started while hardware virtualisation could not be "
                             "used, so it is emulated, which is slow."));
      gtk_label_set_text (self->advice,
                          _ ("Shut it down and start it again to run at full speed."));
      return;
    }
  gtk_label_set_text (self->sentence, host_check_get_sentence (verdict));
  gtk_label_set_text (self->advice, host_check_get_advice (verdict));
}

static GtkWidget *
new_popover (EmulatedPill *self)
{
  GtkWidget *popover = gtk_popover_new ();
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 8);
  GtkLabel *heading = new_text ("heading");

  gtk_label_set_text (heading, _ ("This Machine Is Emulated"));
  self->sentence = new_text (NULL);
  self->advice = new_text ("dim-label");
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (heading));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->sentence));
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->advice));
  gtk_widget_add_css_class (box, "pill-popover");
  gtk_popover_set_child (GTK_POPOVER (popover), box);
  g_signal_connect_swapped (popover, "show", G_CALLBACK (on_show), self);
  return popover;
}

static void
emulated_pill_dispose (GObject *object)
{
  g_clear_pointer (&EMULATED_PILL (object)->button, gtk_widget_unparent);
  G_OBJECT_CLASS (emulated_pill_parent_class)->dispose (object);
}

static void
emulated_pill_class_init (EmulatedPillClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = emulated_pill_dispose;
  gtk_widget_class_set_layout_manager_type (GTK_WIDGET_CLASS (klass), GTK_TYPE_BIN_LAYOUT);
}

static void
emulated_pill_init (EmulatedPill *self)
{
  self->button = gtk_menu_button_new ();
  gtk_menu_button_set_label (GTK_MENU_BUTTON (self->button), _ ("Emulated"));
  gtk_menu_button_set_popover (GTK_MENU_BUTTON (self->button), new_popover (self));
  gtk_widget_set_tooltip_text (self->button, _ ("Why this machine is slow"));
  gtk_widget_add_css_class (self->button, "emulated");
  gtk_widget_set_valign (self->button, GTK_ALIGN_CENTER);
  gtk_widget_set_parent (self->button, GTK_WIDGET (self));
}
