#pragma once

#include <stddef.h>
#include <stdint.h>

/* What each fuzz-NAME.c defines. data is any bytes; returns 0. Must leave nothing behind: it is called millions of
 * times in one process. A finding is a crash, a sanitizer's report, a critical of GLib's, a failed g_assert or a time-out. */
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* Once, before the first input; see fuzz-target.c. */
int LLVMFuzzerInitialize (int *argc, char ***argv);
