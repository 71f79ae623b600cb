#pragma once

#include "control/qmp-command.h"

/* The commands about drives and their media, as in QEMU 7.2's qapi/block.json and block-core.json. A drive is named by the id or, as
 * older clients do, by `device`: both are "disk0", "cdrom0". Each is a QmpCommand.run. */
bool qmp_block_query (QmpContext *context, JsonObject *arguments, JsonNode **result,
                      GError **error);
bool qmp_block_eject (QmpContext *context, JsonObject *arguments, JsonNode **result,
                      GError **error);
bool qmp_block_open_tray (QmpContext *context, JsonObject *arguments, JsonNode **result,
                          GError **error);
bool qmp_block_close_tray (QmpContext *context, JsonObject *arguments, JsonNode **result,
                           GError **error);
bool qmp_block_change_medium (QmpContext *context, JsonObject *arguments, JsonNode **result,
                              GError **error);
