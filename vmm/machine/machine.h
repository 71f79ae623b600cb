#pragma once

#include <stdbool.h>
#include <glib.h>

#include "config/vm-config.h"
#include "config/vm-forward.h"
#include "virtio/virtio-balloon.h"

/* A whole machine on KVM: assembly from a VmConfig and its life cycle.
 *
 * Thread: every function is for the main thread, which runs the default GMainContext; vCPU threads report to it. Events are
 * emitted on the main thread, after the state they speak of is in place.
 */
typedef struct Machine Machine;

/* QEMU's RunState names are in machine_state_to_string (). */
typedef enum
{
  MACHINE_STATE_PRELAUNCH,
  MACHINE_STATE_RUNNING,
  MACHINE_STATE_PAUSED,
  MACHINE_STATE_IO_ERROR, /* paused by a disk that cannot go on */
  MACHINE_STATE_SHUTDOWN,
  MACHINE_STATE_INTERNAL_ERROR,
  MACHINE_STATE_GUEST_PANICKED,
  MACHINE_N_STATES
} MachineState;

typedef enum
{
  MACHINE_EVENT_STOP,
  MACHINE_EVENT_RESUME,
  MACHINE_EVENT_RESET,
  MACHINE_EVENT_POWERDOWN, /* the power button was pressed for the guest */
  MACHINE_EVENT_SHUTDOWN,
  MACHINE_EVENT_GUEST_PANICKED,
  MACHINE_EVENT_TRAY_OPENED, /* of the CD-ROM drive, by the guest or by machine_operate_cdrom () */
  MACHINE_EVENT_TRAY_CLOSED,
  MACHINE_EVENT_BLOCK_IO_ERROR, /* machine_get_block_error () says which; MACHINE_EVENT_STOP follows */
  MACHINE_EVENT_BALLOON_CHANGE, /* virtio_balloon_get_actual () is another; at most once a second */
  MACHINE_N_EVENTS
} MachineEvent;

/* Why it reset or shut down, as in QMP's ShutdownCause. */
typedef enum
{
  MACHINE_CAUSE_NONE,
  MACHINE_CAUSE_HOST_QMP_QUIT,
  MACHINE_CAUSE_HOST_QMP_SYSTEM_RESET,
  MACHINE_CAUSE_HOST_SIGNAL,
  MACHINE_CAUSE_GUEST_SHUTDOWN,
  MACHINE_CAUSE_GUEST_RESET,
  MACHINE_CAUSE_GUEST_PANIC,
  MACHINE_CAUSE_HOST_ERROR,
  MACHINE_N_CAUSES
} MachineCause;

typedef void (*MachineEventFunc) (Machine *machine, MachineEvent event, MachineCause cause,
                                  void *opaque);

/* config is copied. Opens every file and device; nothing runs yet. Errors name the option and the file. */
Machine *machine_new (const VmConfig *config, GError **error);
/* Stops the vCPUs and joins every thread. */
void machine_free (Machine *machine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Machine, machine_free)

void machine_add_listener (Machine *machine, MachineEventFunc func, void *opaque);
void machine_remove_listener (Machine *machine, MachineEventFunc func, void *opaque);

/* Starts the vCPUs. */
bool machine_start (Machine *machine, GError **error);

const char *machine_get_name (const Machine *machine);
MachineState machine_get_state (const Machine *machine);
const char *machine_state_to_string (MachineState state); /* "running", "internal-error" */
const char *machine_cause_to_string (MachineCause cause); /* "guest-shutdown", "host-qmp-quit" */
/* True once the machine is over; *exit_status is then the process's (design: 0, 1 or 3). */
bool machine_get_exit_status (const Machine *machine, int *exit_status);
/* Why the exit status is not 0, in one line; NULL while there is nothing to say. Borrowed. */
const char *machine_get_failure (const Machine *machine);

/* Pausing a paused machine and running a running one do nothing. Both have taken effect on return. Cannot be
 * continued: internal error, shut down, a disk that still cannot go on (error says so). */
void machine_pause (Machine *machine);
bool machine_cont (Machine *machine, GError **error);
void machine_reset (Machine *machine, MachineCause cause);
/* What UEFI firmware tries first from the next reset on. Error: the machine has none. */
bool machine_set_boot (Machine *machine, VmBoot first, bool menu, GError **error);
/* Presses the ACPI power button. */
void machine_powerdown (Machine *machine);
/* Ends the machine: SHUTDOWN is emitted, exit status 0. */
void machine_quit (Machine *machine, MachineCause cause);

/* Hands one connected socket to the SPICE server: one call a SPICE channel. Takes fd also on failure. memfd: the client maps the
 * memfd of a GL scanout, as ours does; any other is sent QXL draws. */
bool machine_add_spice_client (Machine *machine, int fd, bool skip_auth, bool memfd,
                               GError **error);
/* Writes what the screen shows now as a PNG (8 bits, RGB); written beside path, then renamed. Error: see the message. */
bool machine_screendump (Machine *machine, const char *path, GError **error);

/* What made the machine pause: the request is kept, and machine_cont () makes it again. */
typedef struct MachineBlockError
{
  char id[16]; /* "disk0" */
  bool is_write;
  bool nospace; /* the host's file system is full */
  char *reason; /* one line */
} MachineBlockError;

/* The one that MACHINE_EVENT_BLOCK_IO_ERROR is being emitted for; only in its listeners. Borrowed. */
const MachineBlockError *machine_get_block_error (const Machine *machine);

/* A drive of the machine. */
typedef struct MachineBlock
{
  char *id;   /* owned: "disk0", "cdrom0" */
  char *file; /* owned; NULL: nothing in the drive */
  VmDiskFormat format;
  bool readonly;
  uint64_t size; /* bytes */
  bool is_cdrom;
  bool tray_open;
  bool locked;  /* the guest prevents the removal */
  bool failed;  /* it cannot go on: why the machine is paused */
  bool nospace; /* because the host's file system is full */
} MachineBlock;

/* MachineBlocks, freed with the array. */
GArray *machine_get_blocks (Machine *machine);

typedef enum
{
  MACHINE_CDROM_OPEN,
  MACHINE_CDROM_CLOSE,
  MACHINE_CDROM_EJECT, /* opens it and takes the medium out */
  MACHINE_CDROM_CHANGE /* opens it, puts file in, closes it */
} MachineCdrom;

/* Where the guest holds the medium and force is not said: G_IO_ERROR_BUSY, and the guest is asked to let go of it. A file that is not
 * fit changes nothing. There is a CD-ROM drive. */
bool machine_operate_cdrom (Machine *machine, MachineCdrom operation, const char *file, bool force,
                            GError **error);

/* While it runs; see net-user.h. Error also: the machine has no user network. */
bool machine_add_forward (Machine *machine, const VmForward *forward, GError **error);
bool machine_remove_forward (Machine *machine, const VmForward *forward, GError **error);

/* The memory balloon, for as long as the machine; see there for what can be asked and set. Borrowed. */
VirtioBalloon *machine_get_balloon (Machine *machine);
