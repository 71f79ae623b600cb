#pragma once

#include <stdbool.h>
#include <glib.h>

#include "machine/machine.h"
#include "config/vm-forward.h"

/* The memory balloon as it is now; see virtio-balloon.h. */
typedef struct ControlBalloon
{
  uint64_t actual;   /* bytes that the guest has kept */
  unsigned interval; /* seconds between statistics; 0: none */
  BalloonStats stats;
} ControlBalloon;

/* What the control socket may do to a machine: the part of machine.h that it needs, with the promises made there. control-machine.h
 * fills it from a Machine; tests and the fuzzer put a fake in its place. None may
 * be NULL: whoever uses a target (a session) asserts it.
 *
 * Thread: the main thread. quit is called after its reply has been handed to the socket.
 */
typedef struct ControlTargetOps
{
  const char *(*get_name) (void *opaque);
  MachineState (*get_state) (void *opaque);
  void (*pause) (void *opaque);
  bool (*cont) (void *opaque, GError **error);
  void (*reset) (void *opaque);
  void (*powerdown) (void *opaque);
  bool (*set_boot) (void *opaque, VmBoot first, bool menu, GError **error);
  void (*quit) (void *opaque);
  /* Takes fd also on failure. memfd: see machine_add_spice_client (). */
  bool (*add_spice_client) (void *opaque, int fd, bool skip_auth, bool memfd, GError **error);
  GArray *(*get_blocks) (void *opaque);
  const MachineBlockError *(*get_block_error) (void *opaque);
  bool (*operate_cdrom) (void *opaque, MachineCdrom operation, const char *file, bool force,
                         GError **error);
  void (*get_balloon) (void *opaque, ControlBalloon *balloon);
  void (*set_balloon) (void *opaque, uint64_t bytes); /* how much the guest is to keep */
  void (*set_balloon_interval) (void *opaque, unsigned seconds);
  bool (*add_forward) (void *opaque, const VmForward *forward, GError **error);
  bool (*remove_forward) (void *opaque, const VmForward *forward, GError **error);
  bool (*screendump) (void *opaque, const char *path, GError **error);
} ControlTargetOps;

typedef struct ControlTarget
{
  const ControlTargetOps *ops;
  void *opaque;
} ControlTarget;
