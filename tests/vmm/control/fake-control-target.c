#include "fake-control-target.h"

#include <gio/gio.h>
#include <unistd.h>

static bool
outcome (FakeControlTarget *fake, GError **error)
{
  if (fake->error == NULL)
    return true;
  g_set_error_literal (error, g_quark_from_static_string ("fake"), 0, fake->error);
  return false;
}

static const char *
get_name (void *opaque)
{
  return "fake";
}

static MachineState
get_state (void *opaque)
{
  FakeControlTarget *fake = opaque;

  return fake->state;
}

static void
pause_machine (void *opaque)
{
  FakeControlTarget *fake = opaque;

  g_string_append (fake->calls, "pause ");
  fake->state = MACHINE_STATE_PAUSED;
}

static bool
cont (void *opaque, GError **error)
{
  FakeControlTarget *fake = opaque;

  g_string_append (fake->calls, "cont ");
  if (!outcome (fake, error))
    return false;
  fake->state = MACHINE_STATE_RUNNING;
  return true;
}

static void
reset (void *opaque)
{
  FakeControlTarget *fake = opaque;

  g_string_append (fake->calls, "reset ");
}

static void
powerdown (void *opaque)
{
  FakeControlTarget *fake = opaque;

  g_string_append (fake->calls, "powerdown ");
}

static bool
set_boot (void *opaque, VmBoot first, bool menu, GError **error)
{
  FakeControlTarget *fake = opaque;

  g_string_append_printf (fake->calls, "set_boot(%s%s) ",
                          first == VM_BOOT_UNSAID ? "unsaid" : vm_boot_to_string (first),
                          menu ? ",menu" : "");
  return outcome (fake, error);
}

static void
quit (void *opaque)
{
  FakeControlTarget *fake = opaque;

  g_string_append (fake->calls, "quit ");
  fake->state = MACHINE_STATE_SHUTDOWN;
}

static bool
add_spice_client (void *opaque, int fd, bool skip_auth, bool memfd, GError **error)
{
  FakeControlTarget *fake = opaque;

  g_string_append_printf (fake->calls, "add_spice_client(%s%s) ", skip_auth ? "skip" : "auth",
                          memfd ? ",memfd" : "");
  if (!outcome (fake, error))
    {
      close (fd);
      return false;
    }
  if (fake->last_fd >= 0)
    close (fake->last_fd);
  fake->last_fd = fd;
  return true;
}

/* A disk and a CD-ROM drive. */
static void
clear_block (gpointer data)
{
  MachineBlock *block = data;

  g_free (block->id);
  g_free (block->file);
}

static GArray *
get_blocks (void *opaque)
{
  GArray *blocks = g_array_new (FALSE, FALSE, sizeof (MachineBlock));
  MachineBlock disk = { .id = g_strdup ("disk0"), .file = g_strdup ("/d"), .size = 4096 };
  MachineBlock cdrom = { .id = g_strdup ("cdrom0"), .is_cdrom = true, .readonly = true };

  g_array_set_clear_func (blocks, clear_block);
  g_array_append_val (blocks, disk);
  g_array_append_val (blocks, cdrom);
  return blocks;
}

static bool
operate_cdrom (void *opaque, MachineCdrom operation, const char *file, bool force, GError **error)
{
  static const char *const words[] = { "open", "close", "eject", "change" };
  FakeControlTarget *fake = opaque;

  g_string_append_printf (fake->calls, "%s(%s%s) ", words[operation], file ? file : "",
                          force ? ",force" : "");
  if (fake->busy)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_BUSY, "held");
  return !fake->busy && outcome (fake, error);
}

static void
get_balloon (void *opaque, ControlBalloon *balloon)
{
  *balloon = (ControlBalloon){ .actual = 512 << 20, .interval = 2 };
  for (unsigned i = 0; i < BALLOON_N_STATS; i++)
    balloon->stats.values[i] = -1;
  balloon->stats.values[BALLOON_STAT_FREE_MEMORY] = 4096;
  balloon->stats.updated = 1600000000;
}

static void
set_balloon (void *opaque, uint64_t bytes)
{
  FakeControlTarget *fake = opaque;

  g_string_append_printf (fake->calls, "set_balloon(%" G_GUINT64_FORMAT ") ", bytes);
}

static void
set_balloon_interval (void *opaque, unsigned seconds)
{
  FakeControlTarget *fake = opaque;

  g_string_append_printf (fake->calls, "set_balloon_interval(%u) ", seconds);
}

static bool
add_forward (void *opaque, const VmForward *forward, GError **error)
{
  g_autofree char *text = vm_forward_to_string (forward);
  FakeControlTarget *fake = opaque;

  g_string_append_printf (fake->calls, "add_forward(%s) ", text);
  return outcome (fake, error);
}

static bool
remove_forward (void *opaque, const VmForward *forward, GError **error)
{
  g_autofree char *text = vm_forward_to_string (forward);
  FakeControlTarget *fake = opaque;

  g_string_append_printf (fake->calls, "remove_forward(%s) ", text);
  return outcome (fake, error);
}

static bool
screendump (void *opaque, const char *path, GError **error)
{
  FakeControlTarget *fake = opaque;

  g_string_append_printf (fake->calls, "screendump(%s) ", path);
  return outcome (fake, error);
}

static const MachineBlockError *
get_block_error (void *opaque)
{
  static char reason[] = "No space left on device";
  static const MachineBlockError block_error = {
    .id = "disk0", .is_write = true, .nospace = true, .reason = reason
  };

  return &block_error;
}

static const ControlTargetOps fake_ops = {
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

void
fake_control_target_init (FakeControlTarget *fake)
{
  *fake = (FakeControlTarget){ .state = MACHINE_STATE_RUNNING, .last_fd = -1 };
  fake->calls = g_string_new (NULL);
}

void
fake_control_target_clear (FakeControlTarget *fake)
{
  g_string_free (fake->calls, TRUE);
  if (fake->last_fd >= 0)
    close (fake->last_fd);
}

ControlTarget
fake_control_target_get (FakeControlTarget *fake)
{
  return (ControlTarget){ .ops = &fake_ops, .opaque = fake };
}
