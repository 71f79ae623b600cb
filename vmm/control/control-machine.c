#include "control/control-machine.h"

static const char *
get_name (void *opaque)
{
  return machine_get_name (opaque);
}

static MachineState
get_state (void *opaque)
{
  return machine_get_state (opaque);
}

static void
pause_machine (void *opaque)
{
  machine_pause (opaque);
}

static bool
cont (void *opaque, GError **error)
{
  return machine_cont (opaque, error);
}

static void
reset (void *opaque)
{
  machine_reset (opaque, MACHINE_CAUSE_HOST_QMP_SYSTEM_RESET);
}

static void
powerdown (void *opaque)
{
  machine_powerdown (opaque);
}

static bool
set_boot (void *opaque, VmBoot first, bool menu, GError **error)
{
  return machine_set_boot (opaque, first, menu, error);
}

static void
quit (void *opaque)
{
  machine_quit (opaque, MACHINE_CAUSE_HOST_QMP_QUIT);
}

static bool
add_spice_client (void *opaque, int fd, bool skip_auth, bool memfd, GError **error)
{
  return machine_add_spice_client (opaque, fd, skip_auth, memfd, error);
}

static GArray *
get_blocks (void *opaque)
{
  return machine_get_blocks (opaque);
}

static const MachineBlockError *
get_block_error (void *opaque)
{
  return machine_get_block_error (opaque);
}

static bool
operate_cdrom (void *opaque, MachineCdrom operation, const char *file, bool force, GError **error)
{
  return machine_operate_cdrom (opaque, operation, file, force, error);
}

static void
get_balloon (void *opaque, ControlBalloon *info)
{
  VirtioBalloon *balloon = machine_get_balloon (opaque);

  info->actual = virtio_balloon_get_actual (balloon);
  info->interval = virtio_balloon_get_interval (balloon);
  virtio_balloon_get_stats (balloon, &info->stats);
}

static void
set_balloon (void *opaque, uint64_t bytes)
{
  virtio_balloon_set_target (machine_get_balloon (opaque), bytes);
}

static void
set_balloon_interval (void *opaque, unsigned seconds)
{
  virtio_balloon_set_interval (machine_get_balloon (opaque), seconds);
}

static bool
add_forward (void *opaque, const VmForward *forward, GError **error)
{
  return machine_add_forward (opaque, forward, error);
}

static bool
remove_forward (void *opaque, const VmForward *forward, GError **error)
{
  return machine_remove_forward (opaque, forward, error);
}

static bool
screendump (void *opaque, const char *path, GError **error)
{
  return machine_screendump (opaque, path, error);
}

static const ControlTargetOps machine_ops = {
  .get_name = get_name,
  .get_state = get_state,
  .pause = pause_machine,
  .cont = cont,
  .reset = reset,
  .powerdown = powerdown,
  .set_boot = set_boot,
  .quit = quit,
  .add_spice_client = add_spice_client,
  .get_blocks = get_blocks,
  .get_block_error = get_block_error,
  .operate_cdrom = operate_cdrom,
  .get_balloon = get_balloon,
  .set_balloon = set_balloon,
  .set_balloon_interval = set_balloon_interval,
  .add_forward = add_forward,
  .remove_forward = remove_forward,
  .screendump = screendump,
};

ControlTarget
control_machine_get_target (Machine *machine)
{
  return (ControlTarget){ .ops = &machine_ops, .opaque = machine };
}

void
control_machine_on_event (Machine *machine, MachineEvent event, MachineCause cause, void *opaque)
{
  control_server_emit (opaque, event, cause);
}
