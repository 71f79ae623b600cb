#define G_LOG_DOMAIN "vmm-kvm"

#include <errno.h>
#include <sys/ioctl.h>

#include "kvm/kvm-private.h"

/* slot_lock held. */
static int
find_free (const KvmVm *vm)
{
  for (int i = 0; i < KVM_MAX_SLOTS; i++)
    if (vm->slots[i].memory_size == 0)
      return i;
  return -1;
}

/* What KVM answers itself and what it keeps there. Not every KVM refuses memory over these, and a guest that puts some
 * there would lose its interrupts. */
static const struct
{
  uint64_t gpa;
  uint64_t size;
} taken[] = {
  { 0xfec00000, 0x1000 }, /* I/O APIC */
  { 0xfee00000, 0x1000 }, /* local APICs */
  { KVM_VM_IDENTITY_MAP, KVM_VM_RESERVED },
};

static bool
overlap (uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
  return a < b + b_size && b < a + a_size;
}

/* slot_lock held. */
static bool
is_free (const KvmVm *vm, uint64_t gpa, uint64_t size)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (taken); i++)
    if (overlap (gpa, size, taken[i].gpa, taken[i].size))
      return false;
  for (unsigned i = 0; i < KVM_MAX_SLOTS; i++)
    if (vm->slots[i].memory_size > 0 &&
        overlap (gpa, size, vm->slots[i].guest_phys_addr, vm->slots[i].memory_size))
      return false;
  return true;
}

static int
map (void *opaque, uint64_t gpa, void *host, uint64_t size, bool readonly, bool log_dirty,
     GError **error)
{
  KvmVm *vm = opaque;

  g_mutex_lock (&vm->slot_lock);
  int slot = find_free (vm);
  struct kvm_userspace_memory_region region = {
    .slot = (uint32_t) slot,
    .flags = (readonly ? KVM_MEM_READONLY : 0) | (log_dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0),
    .guest_phys_addr = gpa,
    .memory_size = size,
    .userspace_addr = (uintptr_t) host,
  };
  errno = slot < 0 ? ENOSPC : EEXIST;
  if (slot < 0 || !is_free (vm, gpa, size) ||
      ioctl (vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
    {
      kvm_fail (error, "KVM_SET_USER_MEMORY_REGION");
      slot = -1;
    }
  else
    vm->slots[slot] = region;
  g_mutex_unlock (&vm->slot_lock);
  return slot;
}

static void
unmap (void *opaque, int slot)
{
  KvmVm *vm = opaque;

  g_return_if_fail (slot >= 0 && slot < KVM_MAX_SLOTS);
  g_mutex_lock (&vm->slot_lock);
  vm->slots[slot].memory_size = 0;
  ioctl (vm->fd, KVM_SET_USER_MEMORY_REGION, &vm->slots[slot]);
  g_mutex_unlock (&vm->slot_lock);
}

static bool
get_dirty (void *opaque, int slot, uint64_t *bitmap)
{
  KvmVm *vm = opaque;
  struct kvm_dirty_log log = { .slot = (uint32_t) slot, .dirty_bitmap = bitmap };

  return ioctl (vm->fd, KVM_GET_DIRTY_LOG, &log) == 0;
}

const MemorySlotOps kvm_memory_slot_ops = { .map = map, .unmap = unmap, .get_dirty = get_dirty };

bool
kvm_slots_add_ram (KvmVm *vm, GError **error)
{
  unsigned n;
  const GuestMemoryRegion *regions = guest_memory_get_regions (vm->config.memory, &n);

  for (unsigned i = 0; i < n; i++)
    if (map (vm, regions[i].gpa, regions[i].host, regions[i].size, false, false, error) < 0)
      return false;
  return true;
}
