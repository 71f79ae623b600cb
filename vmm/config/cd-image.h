#pragma once

#include <stdbool.h>
#include <glib.h>

/* Whether the file is as long as the volume in it says (ECMA-119, 8.4.8), as far as there is one: a download that broke off is shorter.
 * The padding at a volume's end, which readers of discs lose, may be missing. The error is one line that begins with the file's name, in
 * VM_CONFIG_ERROR. Also false where the file cannot be read. */
bool cd_image_check (const char *file, GError **error);
