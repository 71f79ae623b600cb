#pragma once

#include <stdbool.h>
#include <glib.h>
#include <json-glib/json-glib.h>

#include "control/control-target.h"
#include "control/qmp-fds.h"

/* The commands of QMP that we answer: one const table, spelled as QEMU 7.2 spells them; what we add is called x-alcove-NAME. */

/* What a command acts on: one connection's view of the machine. */
typedef struct QmpContext
{
  const ControlTarget *target;
  QmpFds *fds;
  bool negotiated;     /* qmp_capabilities was given */
  bool quit_requested; /* once the reply is out, end the machine */
} QmpContext;

/* Runs one command; arguments may be NULL. False with a QMP_ERROR, or the result (NULL for {}), owned by the caller. */
bool qmp_command_run (QmpContext *context, const char *name, JsonObject *arguments,
                      JsonNode **result, GError **error);
