#include "fuzz-target.h"

#include <string.h>
#include <unistd.h>
#include <glib.h>

#include "control/qmp-session.h"
#include "fake-control-target.h"

/* A client of the control socket. The first byte says in pieces of what size the rest arrives, whether the client has negotiated, so
 * that a corpus reaches the commands, and what becomes of those that can fail. Every answer is one JSON object a line, whatever was
 * asked. */
enum
{
  FIRST_FAILS = 1 << 0, /* these two are also part of the size */
  FIRST_BUSY = 1 << 1,
  FIRST_PIECE = 0x3f,
  FIRST_WHOLE = 1 << 6,
  FIRST_NEGOTIATED = 1 << 7
};

static void
on_output (const char *bytes, size_t size, void *opaque)
{
  g_assert_cmpuint (size, >=, 4);
  g_assert_true (bytes[0] == '{' && memcmp (bytes + size - 3, "}\r\n", 3) == 0);
  g_assert_true (g_utf8_validate (bytes, size, NULL));
  g_assert_true (memchr (bytes, '\n', size) == bytes + size - 1);
}

static void
use_session (const ControlTarget *target, uint8_t first, const char *text, size_t size)
{
  const size_t piece = first & FIRST_WHOLE ? size : (first & FIRST_PIECE) + 1;
  g_autoptr (QmpSession) session = qmp_session_new (target, on_output, NULL);
  const int fd = dup (STDERR_FILENO);

  qmp_session_receive_fds (session, &fd, 1);
  if (first & FIRST_NEGOTIATED)
    qmp_session_input (session, "{\"execute\":\"qmp_capabilities\"}", 30);
  for (size_t at = 0; at < size; at += piece)
    if (!qmp_session_input (session, text + at, MIN (piece, size - at)))
      break;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FakeControlTarget fake;

  if (size < 1)
    return 0;
  fake_control_target_init (&fake);
  fake.error = data[0] & FIRST_FAILS ? "it does not work" : NULL;
  fake.busy = data[0] & FIRST_BUSY;
  const ControlTarget target = fake_control_target_get (&fake);
  use_session (&target, data[0], (const char *) data + 1, size - 1);
  fake_control_target_clear (&fake);
  return 0;
}
