#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* Reads a JSON object whose every field is known: a field that is missing, of a wrong type, out
 * of range or unknown is an error that reads "FILE: FIELD: what is wrong".
 *
 * The first error is kept and everything after it is skipped, so a parser asks for all its
 * fields in a row and looks once, at strict_json_end (). After an error the getters return NULL
 * or the fallback.
 *
 *   reader = strict_json_new (object, "debian.json", error);
 *   name = strict_json_dup_string (reader, "name", TRUE, 100);
 *   return strict_json_end (reader);
 *
 * Thread: any, one at a time. */
typedef struct StrictJson StrictJson;

/* Borrows all three until the end. `error` must not be NULL. */
StrictJson *strict_json_new (JsonObject *object, const char *file, GError **error);

/* Frees it. FALSE: `error` is set, by this object or one within it, or by a field that nobody
 * asked for. */
gboolean strict_json_end (StrictJson *self);

gboolean strict_json_has_failed (StrictJson *self);
void strict_json_fail (StrictJson *self, const char *field, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

/* Not empty, without control characters; NULL if it is not there (an error when required). */
char *strict_json_dup_string (StrictJson *self, const char *field, gboolean required,
                              gsize bytes_max);
guint64 strict_json_get_uint (StrictJson *self, const char *field, guint64 fallback, guint64 min,
                              guint64 max);
/* A string as "512M", "2G". */
guint64 strict_json_get_size (StrictJson *self, const char *field, guint64 fallback, guint64 min,
                              guint64 max);
/* A value of the enumeration by its nick; -1 if it is not there or wrong. */
int strict_json_get_word (StrictJson *self, const char *field, gboolean required, GType type);
char **strict_json_dup_strings (StrictJson *self, const char *field, guint min, guint max,
                                gsize bytes_max);

/* The object in a field; NULL if it is not there. End it before its parent. */
StrictJson *strict_json_get_object (StrictJson *self, const char *field, gboolean required);
/* How many objects the array in a required field has, and one of them. */
guint strict_json_get_length (StrictJson *self, const char *field, guint min, guint max);
StrictJson *strict_json_get_element (StrictJson *self, const char *field, guint index);

G_END_DECLS
