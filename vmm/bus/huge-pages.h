#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bus/guest-memory.h"

/* Gives the guest's RAM in a memfd huge pages of the host, where the host by itself gives such memory none. What the guest has never
 * touched, and what was given back, goes on taking no memory.
 *
 * Offsets and sizes are bytes of the file. Any thread, unless another is named. */
typedef struct HugePages HugePages;

/* NULL: this host has none to give. regions: all in one file, mapped; the array and the mappings are borrowed. Nothing happens before
 * huge_pages_start () or huge_pages_look (). */
HugePages *huge_pages_new (const GuestMemoryRegion *regions, unsigned n_regions);
/* Makes the looks from now on in a thread of its own, as long as `pages` lives. Once at most. */
void huge_pages_start (HugePages *pages);
/* Joins the thread. */
void huge_pages_free (HugePages *pages);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HugePages, huge_pages_free)

/* To be told before [offset, offset + size) of the file is given back. size >= 1. */
void huge_pages_discard (HugePages *pages, uint64_t offset, uint64_t size);

/* Makes huge pages of what has come into use since the last time, a limited amount; one caller at a time. Returns how many. */
unsigned huge_pages_look (HugePages *pages);
