#pragma once

#include <glib.h>

/* The last `size_max` bytes of a file as valid UTF-8 without NULs (free it); NULL when it cannot be
 * read or is empty. */
char *log_tail_read (const char *path, gsize size_max);
