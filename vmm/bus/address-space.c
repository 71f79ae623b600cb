#define G_LOG_DOMAIN "vmm-bus"

#include "bus/address-space.h"

/* Theory of operation
 *
 * A machine has some dozens of ranges, and each access costs an exit of microseconds before it gets
 * here, so the table is a plain array in order of age, searched from its newest end under a read
 * lock. What the handler needs is copied out and the lock is dropped before it is called: handlers
 * may change the table.
 *
 * A guest may program a BAR to any 64-bit base, so a range may end beyond the space's limit or
 * even beyond 2^64; containment is therefore computed by differences, never by base + size.
 */
struct AddressRange
{
  const char *name;
  uint64_t base;
  uint64_t size;
  const AddressOps *ops;
  void *opaque;
  uint64_t accesses; /* atomic; told when the range goes */
};

struct AddressSpace
{
  const char *name;
  uint64_t limit;
  GRWLock lock;
  GPtrArray *ranges; /* AddressRange, oldest first; guarded by lock */
  uint64_t unclaimed;
};

AddressSpace *
address_space_new (const char *name, uint64_t limit)
{
  AddressSpace *space = g_new0 (AddressSpace, 1);

  space->name = name;
  space->limit = limit;
  g_rw_lock_init (&space->lock);
  space->ranges = g_ptr_array_new_with_free_func (g_free);
  return space;
}

void
address_space_free (AddressSpace *space)
{
  if (!space)
    return;
  g_debug ("%s: %" G_GUINT64_FORMAT " unclaimed accesses", space->name, space->unclaimed);
  g_ptr_array_unref (space->ranges);
  g_rw_lock_clear (&space->lock);
  g_free (space);
}

AddressRange *
address_space_add (AddressSpace *space, const char *name, uint64_t base, uint64_t size,
                   const AddressOps *ops, void *opaque)
{
  g_return_val_if_fail (size > 0 && ops && ops->read && ops->write, NULL);

  AddressRange *range = g_new0 (AddressRange, 1);
  range->name = name;
  range->base = base;
  range->size = size;
  range->ops = ops;
  range->opaque = opaque;

  g_rw_lock_writer_lock (&space->lock);
  g_ptr_array_add (space->ranges, range);
  g_rw_lock_writer_unlock (&space->lock);
  g_debug ("%s: %s at 0x%" G_GINT64_MODIFIER "x, 0x%" G_GINT64_MODIFIER "x bytes", space->name,
           name, base, size);
  return range;
}

void
address_space_move (AddressSpace *space, AddressRange *range, uint64_t new_base)
{
  g_rw_lock_writer_lock (&space->lock);
  range->base = new_base;
  g_rw_lock_writer_unlock (&space->lock);
  g_debug ("%s: %s moves to 0x%" G_GINT64_MODIFIER "x", space->name, range->name, new_base);
}

void
address_space_remove (AddressSpace *space, AddressRange *range)
{
  g_debug ("%s: %s goes after %" G_GUINT64_FORMAT " accesses", space->name, range->name,
           __atomic_load_n (&range->accesses, __ATOMIC_RELAXED));
  g_rw_lock_writer_lock (&space->lock);
  g_ptr_array_remove (space->ranges, range);
  g_rw_lock_writer_unlock (&space->lock);
}

/* The newest range that has the whole access inside: *found is a copy of it. A byte-wide port inside a
 * wider register (0xcf9 in 0xcf8, on every PC) thus takes the byte accesses and leaves the others. */
static bool
find (AddressSpace *space, uint64_t address, unsigned size, AddressRange *found)
{
  bool claimed = false;

  if (address >= space->limit || size > space->limit - address)
    return false;
  g_rw_lock_reader_lock (&space->lock);
  for (unsigned i = space->ranges->len; i-- > 0;)
    {
      AddressRange *range = g_ptr_array_index (space->ranges, i);

      claimed = address >= range->base && address - range->base < range->size &&
                size <= range->size - (address - range->base);
      if (!claimed)
        continue;
      *found = *range;
      __atomic_fetch_add (&range->accesses, 1, __ATOMIC_RELAXED);
      break;
    }
  g_rw_lock_reader_unlock (&space->lock);
  return claimed;
}

static uint64_t
size_mask (unsigned size)
{
  return size >= 8 ? UINT64_MAX : (UINT64_C (1) << (size * 8)) - 1;
}

static void
count_unclaimed (AddressSpace *space, const char *verb, uint64_t address, unsigned size)
{
  __atomic_fetch_add (&space->unclaimed, 1, __ATOMIC_RELAXED);
  g_debug ("%s: unclaimed %s of %u bytes at 0x%" G_GINT64_MODIFIER "x", space->name, verb, size,
           address);
}

uint64_t
address_space_read (AddressSpace *space, uint64_t address, unsigned size)
{
  AddressRange range;

  if (!find (space, address, size, &range))
    {
      count_unclaimed (space, "read", address, size);
      return size_mask (size);
    }
  return range.ops->read (range.opaque, address - range.base, size) & size_mask (size);
}

void
address_space_write (AddressSpace *space, uint64_t address, unsigned size, uint64_t value)
{
  AddressRange range;

  if (!find (space, address, size, &range))
    {
      count_unclaimed (space, "write", address, size);
      return;
    }
  range.ops->write (range.opaque, address - range.base, size, value & size_mask (size));
}

uint64_t
address_space_get_unclaimed (const AddressSpace *space)
{
  return __atomic_load_n (&space->unclaimed, __ATOMIC_RELAXED);
}
