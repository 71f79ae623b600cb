#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <glib.h>

/* The guest's RAM, and the one door to it. Everything that a guest points at passes through here;
 * nobody else adds an offset to a guest-physical address.
 *
 * RAM is anonymous memory in up to two regions around the PCI hole. The layout never changes after guest_memory_new (), so every call here may
 * come from any thread without a lock. The bytes themselves belong to the guest, which may change them at
 * any moment: copy in once, then use the copy.
 *
 * Addresses are guest-physical, sizes are bytes. A range that wraps or is not wholly RAM is refused:
 * the call returns false / NULL / -1 and has had no effect.
 */
typedef struct GuestMemory GuestMemory;

typedef struct GuestMemoryRegion
{
  uint64_t gpa;
  uint64_t size;
  uint8_t *host; /* borrowed; valid while the GuestMemory lives */
} GuestMemoryRegion;

/* size: a multiple of 4 KiB. RAM fills [0, hole_start) first, the rest starts at hole_end.
 * Errors: G_FILE_ERROR when the host refuses the memory. */
GuestMemory *guest_memory_new (uint64_t size, uint64_t hole_start, uint64_t hole_end,
                               GError **error);
void guest_memory_free (GuestMemory *memory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GuestMemory, guest_memory_free)

uint64_t guest_memory_get_size (const GuestMemory *memory);
const GuestMemoryRegion *guest_memory_get_regions (const GuestMemory *memory, unsigned *n_regions);

bool guest_memory_read (const GuestMemory *memory, uint64_t gpa, void *buffer, size_t size);
bool guest_memory_write (const GuestMemory *memory, uint64_t gpa, const void *buffer, size_t size);

/* Gives the host's memory behind [host, host + size) back: it reads as zeroes from then on, and takes memory again when it is written.
 * Whole pages of what lies in RAM; nothing else is touched. For memory that the guest says it has no need of. */
void guest_memory_discard (const GuestMemory *memory, void *host, size_t size);

/* A host pointer to [gpa, gpa + size), or NULL unless that is one contiguous piece of RAM. size >= 1. */
void *guest_memory_map (const GuestMemory *memory, uint64_t gpa, size_t size);

/* As guest_memory_map () for ranges that may cross from one region to the next: appends to iov
 * (at most max entries) and returns how many, or -1. */
int guest_memory_map_iov (const GuestMemory *memory, uint64_t gpa, size_t size, struct iovec *iov,
                          unsigned max);
