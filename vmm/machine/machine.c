#define G_LOG_DOMAIN "vmm-machine"

#include "machine/machine.h"

#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#include "machine/board.h"
#include "machine/machine-block.h"
#include "machine/machine-display.h"
#include "ports/scanout-png.h"

/* Theory of operation
 *
 * What happens on vCPU threads (a write to a power-off register, a triple fault) is noted in `wanted`, the vCPUs are asked to
 * pause, and a source on the main context is woken: everything is decided on the main thread, with the
 * machine standing still. Of several wishes that came together the gravest counts.
 */
typedef enum
{
  WANT_STOPPED_BY_HOST = 1 << 0, /* a vCPU cannot go on; failure says why */
  WANT_CRASHED = 1 << 1,         /* the same, by the guest's doing */
  WANT_PANICKED = 1 << 2,
  WANT_POWER_OFF = 1 << 3,
  WANT_RESET = 1 << 4,
  WANT_IO_ERROR = 1 << 5,
} Want;

enum
{
  EXIT_OK = 0,
  EXIT_HOST = 1,
  EXIT_GUEST_CRASHED = 3,
};

#define TRAY_MOVES_MAX 16

typedef struct Listener
{
  MachineEventFunc func;
  void *opaque;
} Listener;

struct Machine
{
  VmConfig *config;
  Board *board;
  MachineDisplay *display;
  MachineState state;
  bool over;
  int exit_status;
  char *failure;
  GArray *listeners;                    /* Listener */
  const MachineBlockError *block_error; /* that is being told */

  GMutex lock;
  unsigned wanted;                 /* Want; guarded by lock, as the rest */
  bool tray_moves[TRAY_MOVES_MAX]; /* that were not told yet: is it open? */
  unsigned n_tray_moves;
  char *stopped;          /* why a vCPU stopped */
  GArray *disk_errors;    /* MachineBlockError that were not told yet */
  unsigned failed_disks;  /* one bit each, from the error to the next cont */
  unsigned nospace_disks; /* of these, for want of room */
  GSource *wake;
};

static void
clear_disk_error (gpointer data)
{
  MachineBlockError *error = data;

  g_free (error->reason);
}

static GArray *
new_disk_errors (void)
{
  GArray *errors = g_array_new (FALSE, FALSE, sizeof (MachineBlockError));

  g_array_set_clear_func (errors, clear_disk_error);
  return errors;
}

static void
emit (Machine *machine, MachineEvent event, MachineCause cause)
{
  /* A listener may add and remove listeners. */
  g_autoptr (GArray) listeners = g_array_copy (machine->listeners);

  for (unsigned i = 0; i < listeners->len; i++)
    {
      const Listener *listener = &g_array_index (listeners, Listener, i);
      listener->func (machine, event, cause, listener->opaque);
    }
}

void
machine_add_listener (Machine *machine, MachineEventFunc func, void *opaque)
{
  Listener listener = { .func = func, .opaque = opaque };

  g_array_append_val (machine->listeners, listener);
}

void
machine_remove_listener (Machine *machine, MachineEventFunc func, void *opaque)
{
  for (unsigned i = 0; i < machine->listeners->len; i++)
    {
      const Listener *listener = &g_array_index (machine->listeners, Listener, i);

      if (listener->func == func && listener->opaque == opaque)
        {
          g_array_remove_index (machine->listeners, i);
          return;
        }
    }
}

/* --- ends --- */

static void
end (Machine *machine, MachineState state, MachineCause cause, int exit_status, const char *failure)
{
  if (machine->over)
    return;
  board_pause (machine->board);
  machine->state = state;
  machine->over = true;
  machine->exit_status = exit_status;
  machine->failure = g_strdup (failure);
  emit (machine, MACHINE_EVENT_SHUTDOWN, cause);
}

void
machine_quit (Machine *machine, MachineCause cause)
{
  end (machine, MACHINE_STATE_SHUTDOWN, cause, EXIT_OK, NULL);
}

bool
machine_get_exit_status (const Machine *machine, int *exit_status)
{
  if (machine->over)
    *exit_status = machine->exit_status;
  return machine->over;
}

const char *
machine_get_failure (const Machine *machine)
{
  return machine->failure;
}

/* --- wishes from vCPU threads --- */

/* What the disks did not tell yet; one for each at most. */
static void
tell_disk_errors (Machine *machine)
{
  g_mutex_lock (&machine->lock);
  g_autoptr (GArray) errors = g_steal_pointer (&machine->disk_errors);
  machine->disk_errors = new_disk_errors ();
  g_mutex_unlock (&machine->lock);
  for (unsigned i = 0; i < errors->len; i++)
    {
      machine->block_error = &g_array_index (errors, MachineBlockError, i);
      emit (machine, MACHINE_EVENT_BLOCK_IO_ERROR, MACHINE_CAUSE_NONE);
    }
  machine->block_error = NULL;
}

/* As QEMU does it: first the errors, then STOP. */
static void
stop_for_disks (Machine *machine)
{
  const bool was_running = machine->state == MACHINE_STATE_RUNNING;

  if (was_running || machine->state == MACHINE_STATE_PAUSED)
    machine->state = MACHINE_STATE_IO_ERROR;
  tell_disk_errors (machine);
  if (was_running)
    emit (machine, MACHINE_EVENT_STOP, MACHINE_CAUSE_NONE);
}

static void
handle_wish (Machine *machine, unsigned wanted, const char *stopped)
{
  if (wanted & WANT_STOPPED_BY_HOST)
    end (machine, MACHINE_STATE_INTERNAL_ERROR, MACHINE_CAUSE_HOST_ERROR, EXIT_GUEST_CRASHED,
         stopped);
  else if (wanted & WANT_CRASHED)
    end (machine, MACHINE_STATE_INTERNAL_ERROR, MACHINE_CAUSE_GUEST_PANIC, EXIT_GUEST_CRASHED,
         stopped);
  else if (wanted & WANT_PANICKED)
    {
      machine->state = MACHINE_STATE_GUEST_PANICKED;
      emit (machine, MACHINE_EVENT_GUEST_PANICKED, MACHINE_CAUSE_GUEST_PANIC);
      end (machine, MACHINE_STATE_GUEST_PANICKED, MACHINE_CAUSE_GUEST_PANIC, EXIT_GUEST_CRASHED,
           "the guest's kernel panicked");
    }
  else if (wanted & WANT_POWER_OFF)
    end (machine, MACHINE_STATE_SHUTDOWN, MACHINE_CAUSE_GUEST_SHUTDOWN, EXIT_OK, NULL);
  else if (wanted & WANT_RESET)
    machine_reset (machine, MACHINE_CAUSE_GUEST_RESET);
  else if (wanted & WANT_IO_ERROR)
    stop_for_disks (machine);
}

static void
tell_tray_moves (Machine *machine, const bool *moves, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    emit (machine, moves[i] ? MACHINE_EVENT_TRAY_OPENED : MACHINE_EVENT_TRAY_CLOSED,
          MACHINE_CAUSE_NONE);
}

static gboolean
on_wake (gpointer data)
{
  Machine *machine = data;
  bool moves[TRAY_MOVES_MAX];

  g_mutex_lock (&machine->lock);
  const unsigned n_moves = machine->n_tray_moves;
  memcpy (moves, machine->tray_moves, sizeof moves);
  machine->n_tray_moves = 0;
  unsigned wanted = machine->wanted;
  g_autofree char *stopped = g_steal_pointer (&machine->stopped);
  machine->wanted = 0;
  g_clear_pointer (&machine->wake, g_source_unref);
  g_mutex_unlock (&machine->lock);
  tell_tray_moves (machine, moves, n_moves);
  if (wanted && !machine->over)
    {
      board_pause (machine->board);
      handle_wish (machine, wanted, stopped);
    }
  return G_SOURCE_REMOVE;
}

/* lock held. */
static void
wake (Machine *machine)
{
  if (machine->wake)
    return;
  machine->wake = g_idle_source_new ();
  g_source_set_priority (machine->wake, G_PRIORITY_HIGH);
  g_source_set_callback (machine->wake, on_wake, machine, NULL);
  g_source_attach (machine->wake, NULL);
}

/* Any thread. Of more moves than there is room for, the last two cancel each other out. */
static void
on_tray_moved (void *opaque, bool is_open)
{
  Machine *machine = opaque;

  g_mutex_lock (&machine->lock);
  if (machine->n_tray_moves < TRAY_MOVES_MAX)
    machine->tray_moves[machine->n_tray_moves++] = is_open;
  else
    machine->n_tray_moves--;
  wake (machine);
  g_mutex_unlock (&machine->lock);
}

static void
on_balloon_changed (void *opaque)
{
  emit (opaque, MACHINE_EVENT_BALLOON_CHANGE, MACHINE_CAUSE_NONE);
}

/* Any thread. The pause is asked for first: asked for after the main thread was woken, it might stop a machine that has been
 * continued meanwhile, and nobody would know. */
static void
want (Machine *machine, Want what, const char *stopped)
{
  board_request_pause (machine->board);
  g_mutex_lock (&machine->lock);
  machine->wanted |= what;
  if (stopped && !machine->stopped)
    machine->stopped = g_strdup (stopped);
  wake (machine);
  g_mutex_unlock (&machine->lock);
}

static void
on_platform_request (void *opaque, PlatformRequest request)
{
  switch (request)
    {
    case PLATFORM_REQUEST_POWER_OFF:
      want (opaque, WANT_POWER_OFF, NULL);
      break;
    case PLATFORM_REQUEST_RESET:
      want (opaque, WANT_RESET, NULL);
      break;
    default:
      want (opaque, WANT_PANICKED, NULL);
    }
}

static void
on_stopped (void *opaque, bool crashed, const char *failure)
{
  want (opaque, crashed ? WANT_CRASHED : WANT_STOPPED_BY_HOST, failure);
}

/* Any thread. Of one disk's errors the first counts: what follows is of the same making. */
static void
on_disk_failed (void *opaque, const BoardDiskError *error)
{
  Machine *machine = opaque;
  MachineBlockError entry = { .is_write = error->is_write, .nospace = error->nospace };
  bool is_told = false;

  g_snprintf (entry.id, sizeof entry.id, "disk%u", error->index);
  board_request_pause (machine->board);
  /* At once, for machine_cont () takes all of it back. */
  g_mutex_lock (&machine->lock);
  for (unsigned i = 0; i < machine->disk_errors->len; i++)
    is_told |=
        strcmp (g_array_index (machine->disk_errors, MachineBlockError, i).id, entry.id) == 0;
  if (!is_told)
    {
      entry.reason = g_strdup (error->reason);
      g_array_append_val (machine->disk_errors, entry);
    }
  machine->failed_disks |= 1u << error->index;
  if (error->nospace)
    machine->nospace_disks |= 1u << error->index;
  machine->wanted |= WANT_IO_ERROR;
  wake (machine);
  g_mutex_unlock (&machine->lock);
}

/* What vCPUs asked of a machine that is now being set back is of the past. The vCPUs are parked. */
static void
forget_wishes (Machine *machine)
{
  g_mutex_lock (&machine->lock);
  machine->wanted = 0;
  machine->failed_disks = machine->nospace_disks = 0;
  g_array_set_size (machine->disk_errors, 0);
  g_clear_pointer (&machine->stopped, g_free);
  g_mutex_unlock (&machine->lock);
}

/* --- life --- */

Machine *
machine_new (const VmConfig *config, GError **error)
{
  g_autoptr (Machine) machine = g_new0 (Machine, 1);

  machine->config = vm_config_copy (config);
  machine->listeners = g_array_new (FALSE, FALSE, sizeof (Listener));
  machine->disk_errors = new_disk_errors ();
  g_mutex_init (&machine->lock);
  BoardConfig board_config = {
    .vm = machine->config,
    .sink = { .request = on_platform_request, .opaque = machine },
    .stopped = on_stopped,
    .tray_moved = on_tray_moved,
    .disk_failed = on_disk_failed,
    .balloon_changed = on_balloon_changed,
    .opaque = machine,
  };
  machine->board = board_new (&board_config, error);
  if (!machine->board || !board_power_on (machine->board, error))
    return NULL;
  machine->display = machine_display_new (
      machine->config, BOARD_GPU_ADDRESS, board_get_scanout (machine->board),
      board_get_input (machine->board), board_get_agent (machine->board), error);
  if (!machine->display)
    return NULL;
  return g_steal_pointer (&machine);
}

void
machine_free (Machine *machine)
{
  if (!machine)
    return;
  machine_display_free (machine->display);
  board_free (machine->board);
  if (machine->wake)
    g_source_destroy (machine->wake);
  g_clear_pointer (&machine->wake, g_source_unref);
  g_array_unref (machine->listeners);
  g_array_unref (machine->disk_errors);
  g_free (machine->stopped);
  g_free (machine->failure);
  vm_config_free (machine->config);
  g_mutex_clear (&machine->lock);
  g_free (machine);
}

const char *
machine_get_name (const Machine *machine)
{
  return machine->config->name;
}

MachineState
machine_get_state (const Machine *machine)
{
  return machine->state;
}

bool
machine_start (Machine *machine, GError **error)
{
  return machine_cont (machine, error);
}

void
machine_pause (Machine *machine)
{
  if (machine->state != MACHINE_STATE_RUNNING)
    return;
  board_pause (machine->board);
  machine->state = MACHINE_STATE_PAUSED;
  emit (machine, MACHINE_EVENT_STOP, MACHINE_CAUSE_NONE);
}

bool
machine_cont (Machine *machine, GError **error)
{
  bool first = machine->state == MACHINE_STATE_PRELAUNCH;

  if (machine->over)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "the machine is over (%s)",
                   machine_state_to_string (machine->state));
      return false;
    }
  if (machine->state == MACHINE_STATE_RUNNING)
    return true;
  /* A disk that fails again is noted from here on. What failed until now is made again, and no reason to stop, even if nobody has been told yet. */
  g_mutex_lock (&machine->lock);
  machine->wanted &= ~WANT_IO_ERROR;
  g_array_set_size (machine->disk_errors, 0);
  const unsigned failed = machine->failed_disks, nospace = machine->nospace_disks;
  machine->failed_disks = machine->nospace_disks = 0;
  g_mutex_unlock (&machine->lock);
  if (!board_resume (machine->board, error))
    {
      g_mutex_lock (&machine->lock);
      machine->failed_disks |= failed;
      machine->nospace_disks |= nospace;
      g_mutex_unlock (&machine->lock);
      return false;
    }
  machine->state = MACHINE_STATE_RUNNING;
  if (!first)
    emit (machine, MACHINE_EVENT_RESUME, MACHINE_CAUSE_NONE);
  return true;
}

void
machine_reset (Machine *machine, MachineCause cause)
{
  g_autoptr (GError) error = NULL;

  if (machine->over)
    return;
  board_pause (machine->board);
  forget_wishes (machine);
  if (!board_power_on (machine->board, &error))
    {
      end (machine, MACHINE_STATE_INTERNAL_ERROR, MACHINE_CAUSE_HOST_ERROR, EXIT_HOST,
           error->message);
      return;
    }
  emit (machine, MACHINE_EVENT_RESET, cause);
  if (machine->state != MACHINE_STATE_RUNNING || board_resume (machine->board, &error))
    return;
  g_printerr ("alcove-vmm: %s\n", error->message);
  stop_for_disks (machine);
}

bool
machine_set_boot (Machine *machine, VmBoot first, bool menu, GError **error)
{
  return board_set_boot (machine->board, first, menu, error);
}

void
machine_powerdown (Machine *machine)
{
  if (machine->over)
    return;
  board_press_power_button (machine->board);
  emit (machine, MACHINE_EVENT_POWERDOWN, MACHINE_CAUSE_NONE);
}

bool
machine_add_spice_client (Machine *machine, int fd, bool skip_auth, bool memfd, GError **error)
{
  return machine_display_add_client (machine->display, fd, skip_auth, memfd, error);
}

bool
machine_screendump (Machine *machine, const char *path, GError **error)
{
  const ScanoutSurface *surface = scanout_port_get_surface (board_get_scanout (machine->board));

  if (surface)
    return scanout_png_write (surface, path, error);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED,
               "the guest has switched the screen off: there is nothing to write to %s", path);
  return false;
}

const MachineBlockError *
machine_get_block_error (const Machine *machine)
{
  return machine->block_error;
}

GArray *
machine_get_blocks (Machine *machine)
{
  GArray *blocks = machine_block_list (machine->config, board_get_cdrom (machine->board));

  g_mutex_lock (&machine->lock);
  for (unsigned i = 0; i < machine->config->n_disks; i++)
    {
      MachineBlock *block = &g_array_index (blocks, MachineBlock, i);
      const uint64_t size = board_get_disk_size (machine->board, i);

      block->size = size > 0 ? size : block->size;
      block->failed = machine->failed_disks >> i & 1;
      block->nospace = machine->nospace_disks >> i & 1;
    }
  g_mutex_unlock (&machine->lock);
  return blocks;
}

bool
machine_operate_cdrom (Machine *machine, MachineCdrom operation, const char *file, bool force,
                       GError **error)
{
  CdDrive *cdrom = board_get_cdrom (machine->board);

  g_return_val_if_fail (cdrom != NULL, false);
  return machine_block_operate (cdrom, operation, file, force, error);
}

static NetUser *
get_user_network (Machine *machine, GError **error)
{
  NetUser *user = board_get_net_user (machine->board);

  if (!user)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                         "the machine has no user network: start it with --net user");
  return user;
}

bool
machine_add_forward (Machine *machine, const VmForward *forward, GError **error)
{
  NetUser *user = get_user_network (machine, error);

  return user && net_user_add_forward (user, forward, error);
}

bool
machine_remove_forward (Machine *machine, const VmForward *forward, GError **error)
{
  NetUser *user = get_user_network (machine, error);

  return user && net_user_remove_forward (user, forward, error);
}

VirtioBalloon *
machine_get_balloon (Machine *machine)
{
  return board_get_balloon (machine->board);
}
