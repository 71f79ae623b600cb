#pragma once

#include <glib.h>

/* "2 GiB", "1.5 GiB", "512 MiB": memory and disks in the units in which they are chosen. Free it. */
char *size_text_new (guint64 bytes);
