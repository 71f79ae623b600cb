#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* What answers at an address that is not RAM: one AddressSpace for MMIO, one for I/O ports.
 *
 * Thread: address_space_read () and _write () come from every vCPU thread at once; handlers lock
 * their own device. Ranges may be added, moved and removed at any time, also from inside a handler
 * (a BAR moves because the guest wrote a config register): the table's lock is never held while a
 * handler runs. A handler may therefore still be running when address_space_remove () returns:
 * an owner outlives its vCPUs.
 *
 * What nobody claims reads as all-ones and swallows writes, counted and traced
 * (G_MESSAGES_DEBUG=vmm-bus). That is what a PC does, and firmware is quicker for it.
 */
typedef struct AddressSpace AddressSpace;
typedef struct AddressRange AddressRange;

typedef struct AddressOps
{
  /* offset: from the start of the range; size: 1, 2, 4 or 8 bytes, wholly inside the range. Values
   * are in host order; bits above size are ignored on return and zero on entry. */
  uint64_t (*read) (void *opaque, uint64_t offset, unsigned size);
  void (*write) (void *opaque, uint64_t offset, unsigned size, uint64_t value);
} AddressOps;

/* limit: the first address beyond the space (0x10000 for ports). name: static string. */
AddressSpace *address_space_new (const char *name, uint64_t limit);
void address_space_free (AddressSpace *space);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AddressSpace, address_space_free)

/* Claims [base, base + size). Of the ranges that have an access wholly inside the newest answers. ops and opaque are
 * borrowed for as long as the range exists. The range belongs to the space. */
AddressRange *address_space_add (AddressSpace *space, const char *name, uint64_t base,
                                 uint64_t size, const AddressOps *ops, void *opaque);
void address_space_move (AddressSpace *space, AddressRange *range, uint64_t new_base);
void address_space_remove (AddressSpace *space, AddressRange *range);

/* An access that is not wholly inside one range is answered as unclaimed. */
uint64_t address_space_read (AddressSpace *space, uint64_t address, unsigned size);
void address_space_write (AddressSpace *space, uint64_t address, unsigned size, uint64_t value);

/* Accesses that nobody claimed since the start. */
uint64_t address_space_get_unclaimed (const AddressSpace *space);
