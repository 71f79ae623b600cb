#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#include "bus/address-space.h"
#include "bus/memory-slot.h"

/* A NOR flash chip for the firmware's variables, with the byte commands of Intel's command set that stock UEFI firmware uses (Intel
 * 28F640J3, "command bus cycles"; JEDEC JESD68.01 number 1): program, erase a block, status. The guest reads it as plain memory.
 *
 * Thread: registers from any thread; the rest main.
 */
typedef struct Pflash Pflash;

#define PFLASH_BLOCK 4096u /* bytes that are erased at a time */

typedef struct PflashConfig
{
  uint64_t gpa;
  uint8_t *contents; /* page-aligned, borrowed; this is what the guest reads and changes */
  size_t size;       /* a multiple of PFLASH_BLOCK */
  /* [offset, offset + size) of contents changed: keep it. False: it could not be kept, which the guest is told by an error
   * bit. On the thread of the vCPU that wrote; may be NULL. */
  bool (*store) (void *opaque, size_t offset, size_t size);
  void *opaque;
} PflashConfig;

/* slots.ops may be NULL: each read is then an exit. Error: the contents cannot be placed there. */
Pflash *pflash_new (AddressSpace *mmio, MemorySlots slots, const PflashConfig *config,
                    GError **error);
void pflash_free (Pflash *flash);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Pflash, pflash_free)
/* To reading; the contents stay. */
void pflash_reset (Pflash *flash);
