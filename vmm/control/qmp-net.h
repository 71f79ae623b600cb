#pragma once

#include "control/qmp-command.h"

/* Forwards of the user network while it runs, in the words of QEMU's hostfwd_add and hostfwd_remove: {"forward": "tcp:127.0.0.1:2222-:22"},
 * of which remove wants only what is before the '-'. See qmp-command.h. */
bool qmp_net_add_forward (QmpContext *context, JsonObject *arguments, JsonNode **result,
                          GError **error);
bool qmp_net_remove_forward (QmpContext *context, JsonObject *arguments, JsonNode **result,
                             GError **error);
