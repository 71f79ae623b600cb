#pragma once

#include "ui/alcove-application.h"

/* What concerns all machines: how fast this computer runs them, and the downloads that are kept.
 * Not presented yet. */
GtkWidget *preferences_window_new (AlcoveApplication *application);
