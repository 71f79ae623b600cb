#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

/* The variables of a machine's firmware: contents in memory, and the file that follows them.
 *
 * Thread: uefi_nvram_store () from any, one at a time; the rest main.
 */
typedef struct UefiNvram UefiNvram;

/* Of the file `variables`, which is locked against other machines; NULL: begins as `template` does and is kept nowhere. Error: says which
 * file and why. */
UefiNvram *uefi_nvram_new (const char *variables, const char *template, GError **error);
/* What was stored is on the disk then. */
void uefi_nvram_free (UefiNvram *nvram);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (UefiNvram, uefi_nvram_free)

/* Page-aligned; changed by the guest's flash. */
uint8_t *uefi_nvram_get_contents (const UefiNvram *nvram);
size_t uefi_nvram_get_size (const UefiNvram *nvram);

/* [offset, offset + size) of the contents changed. Written to the file at once, in the order of the calls, so that what the guest has
 * finished survives the end of this process, however it comes; and put on the disk soon after. False: the host could not (told once). */
bool uefi_nvram_store (UefiNvram *nvram, size_t offset, size_t size);
