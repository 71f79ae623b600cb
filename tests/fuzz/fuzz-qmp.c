#include "fuzz-target.h"

#include <string.h>
#include <unistd.h>
#include <glib.h>

#include "control/qmp-session.h"

/* A client of the control socket. The first byte says in pieces of what size the rest arrives and whether the client has
 * negotiated, so that a corpus reaches the commands. Every answer is one JSON object a line, whatever was asked. */

static const char *
get_name (void *opaque)
{
  return "fuzz";
}

static MachineState
get_state (void *opaque)
{
  return MACHINE_STATE_RUNNING;
}

static void
act (void *opaque)
{
}

static bool
cont (void *opaque, GError **error)
{
  return true;
}

static bool
add_spice_client (void *opaque, int fd, bool skip_auth, bool memfd, GError **error)
{
  close (fd);
  return true;
}

static bool
screendump (void *opaque, const char *path, GError **error)
{
  g_set_error (error, g_quark_from_static_string ("fuzz"), 0, "%s: no", path);
  return false;
}

static const ControlTargetOps fuzz_ops = {
  .get_name = get_name,
  .get_state = get_state,
  .pause = act,
  .cont = cont,
  .reset = act,
  .powerdown = act,
  .quit = act,
  .add_spice_client = add_spice_client,
  .screendump = screendump,
};

static void
on_output (const char *bytes, size_t size, void *opaque)
{
  g_assert_cmpuint (size, >=, 4);
  g_assert_true (bytes[0] == '{' && memcmp (bytes + size - 3, "}\r\n", 3) == 0);
  g_assert_true (g_utf8_validate (bytes, size, NULL));
  g_assert_true (memchr (bytes, '\n', size) == bytes + size - 1);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const ControlTarget target = { .ops = &fuzz_ops };
  uint8_t first = size > 0 ? data[0] : 0;
  size_t piece = first & 0x40 ? size : (first & 0x3f) + 1;
  g_autoptr (QmpSession) session = qmp_session_new (&target, on_output, NULL);
  int fd = dup (STDERR_FILENO);

  qmp_session_receive_fds (session, &fd, 1);
  if (first & 0x80)
    qmp_session_input (session, "{\"execute\":\"qmp_capabilities\"}", 30);
  for (size_t at = 1; at < size; at += piece)
    if (!qmp_session_input (session, (const char *) data + at, MIN (piece, size - at)))
      break;
  return 0;
}
