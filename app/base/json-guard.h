#pragma once

#include <json-glib/json-glib.h>

/* The one door for JSON that others wrote (control sockets, catalogues). json-glib's parser
 * calls itself for each level of nesting and accepts any size, so both are bounded here before
 * it sees a byte.
 *
 * Returns the root node (free with json_node_unref ()) or NULL with a G_IO_ERROR_INVALID_DATA
 * that says what is wrong and where. Thread: any. */
#define JSON_GUARD_DEPTH_MAX 64

JsonNode *json_guard_parse (const char *data, gsize length, gsize length_max, GError **error);

/* What a member of such an object says; otherwise where there is none of that name and kind. */
gint64 json_guard_get_int (JsonObject *object, const char *member, gint64 otherwise);
gboolean json_guard_get_boolean (JsonObject *object, const char *member, gboolean otherwise);
