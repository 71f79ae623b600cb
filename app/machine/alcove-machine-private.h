#pragma once

#include "machine/alcove-machine.h"
#include "machine/machine-session.h"

/* The body of a machine, for its two files: alcove-machine.c follows its state,
 * alcove-machine-command.c tells a running one what to do. */

struct _AlcoveMachine
{
  GObject parent;
  char *folder;
  char *id;
  MachineSettings *settings; /* NULL: broken */
  MachineState state;
  MachineAccelerator accelerator;
  char *last_error;
  char *thumbnail;
  MachineSession *session;
  GCancellable *start_cancellable; /* while starting */
  int lock_fd;                     /* while starting, -1 otherwise */
  GPtrArray *off_tasks;            /* of force_off, until the end */
  GFileMonitor *monitor;
  guint probe_source;
  guint thumbnail_source;
  guint n_watchers; /* of its thumbnail */
  guint shut_down_patience_ms;
  gboolean probing;
};

/* A picture now, if it runs. */
void alcove_machine_save_thumbnail (AlcoveMachine *self);

/* The result of a task of ours that has no value. */
gboolean alcove_machine_finish_boolean (AlcoveMachine *self, GAsyncResult *result, GError **error);
