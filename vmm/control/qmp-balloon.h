#pragma once

#include "control/qmp-command.h"

/* The commands of the memory balloon, spelled as QEMU's: query-balloon, balloon; and qom-get, qom-set for the one object that they are
 * used for, /machine/peripheral/balloon0 with guest-stats and guest-stats-polling-interval. */
bool qmp_balloon_query (QmpContext *context, JsonObject *arguments, JsonNode **result,
                        GError **error);
bool qmp_balloon_set (QmpContext *context, JsonObject *arguments, JsonNode **result,
                      GError **error);
bool qmp_balloon_qom_get (QmpContext *context, JsonObject *arguments, JsonNode **result,
                          GError **error);
bool qmp_balloon_qom_set (QmpContext *context, JsonObject *arguments, JsonNode **result,
                          GError **error);
