#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

#include "machine/machine.h"

/* What we say on a QMP connection: one JSON object a line, ended by CR LF as QEMU does.
 * Source: QEMU 7.2, docs/interop/qmp-spec.txt and qapi/run-state.json; the wording was compared with a running one. */

/* The classes of QMP errors; any other GError is a GenericError. */
#define QMP_ERROR (qmp_error_quark ())
typedef enum
{
  QMP_ERROR_GENERIC,
  QMP_ERROR_COMMAND_NOT_FOUND,
  QMP_ERROR_DEVICE_NOT_ACTIVE,
  QMP_ERROR_DEVICE_NOT_FOUND,
  QMP_N_ERRORS
} QmpError;
GQuark qmp_error_quark (void);

/* The version that query-version and the greeting tell: {"qemu": {...}, "package": ...}. */
JsonObject *qmp_message_new_version (void);

/* Each is owned by the caller. id is borrowed, NULL when the request had none. */
char *qmp_message_greeting (void);
/* result is taken; NULL stands for {}. */
char *qmp_message_reply (JsonNode *result, JsonNode *id);
char *qmp_message_error (const GError *error, JsonNode *id);
/* Stamped with the time now. */
char *qmp_message_event (MachineEvent event, MachineCause cause);
char *qmp_message_balloon_change (uint64_t actual);
char *qmp_message_block_io_error (const MachineBlockError *error);
