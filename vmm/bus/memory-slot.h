#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* Memory of a device that the guest reads and writes without exits (a boot framebuffer, flash),
 * placed in and taken out of guest-physical space; with a record of which pages the guest wrote.
 */
typedef struct MemorySlotOps
{
  /* host, size: multiples of 4 KiB, borrowed until unmap. Returns a slot (>= 0) or -1 with error. */
  int (*map) (void *opaque, uint64_t gpa, void *host, uint64_t size, bool readonly, bool log_dirty,
              GError **error);
  void (*unmap) (void *opaque, int slot);
  /* Fetches and clears: one bit a 4 KiB page, least significant first; bitmap holds size / 4096 bits,
   * rounded up to 64. Only for slots with log_dirty. */
  bool (*get_dirty) (void *opaque, int slot, uint64_t *bitmap);
} MemorySlotOps;

typedef struct MemorySlots
{
  const MemorySlotOps *ops;
  void *opaque;
} MemorySlots;
