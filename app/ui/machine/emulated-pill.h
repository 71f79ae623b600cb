#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* The word "Emulated", and behind it why machines are emulated on this computer and what to do
 * about it. */
#define EMULATED_TYPE_PILL (emulated_pill_get_type ())
G_DECLARE_FINAL_TYPE (EmulatedPill, emulated_pill, EMULATED, PILL, GtkWidget)

G_END_DECLS
