/* What a guest may do to the flash of its variables. Input: a row of [size 1 byte][offset 3 bytes][value 4 bytes]; bit 7 of size: a
 * read, bit 6: a reset. Whatever comes, programming only clears bits, and what is stored is what changed. */
#include "fuzz-target.h"

#include <string.h>

#include "platform/pflash.h"

#define GPA       UINT64_C (0xffc00000)
#define SIZE      (4 * PFLASH_BLOCK)
#define STEP      8
#define MAX_STEPS 4096

typedef struct Flash
{
  uint8_t contents[SIZE];
  uint8_t kept[SIZE];
  bool mapped;
} Flash;

static int
map (void *opaque, uint64_t gpa, void *host, uint64_t size, bool readonly, bool log_dirty,
     GError **error)
{
  Flash *flash = opaque;

  g_assert_true (!flash->mapped && readonly);
  flash->mapped = true;
  return 0;
}

static void
unmap (void *opaque, int slot)
{
  Flash *flash = opaque;

  g_assert_true (flash->mapped);
  flash->mapped = false;
}

static const MemorySlotOps slot_ops = { .map = map, .unmap = unmap };

static bool
store (void *opaque, size_t offset, size_t size)
{
  Flash *flash = opaque;

  g_assert_cmpuint (offset, <=, SIZE);
  g_assert_cmpuint (size, <=, SIZE - offset);
  memcpy (flash->kept + offset, flash->contents + offset, size);
  return true;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Flash *flash = g_new0 (Flash, 1);
  const PflashConfig config = { GPA, flash->contents, SIZE, store, flash };
  AddressSpace *mmio = address_space_new ("mmio", UINT64_MAX);
  Pflash *chip = pflash_new (mmio, (MemorySlots){ &slot_ops, flash }, &config, NULL);

  for (unsigned i = 0; i < MAX_STEPS && size >= STEP; i++, data += STEP, size -= STEP)
    {
      uint64_t at = GPA + ((data[1] | data[2] << 8 | data[3] << 16) % (SIZE + 16));
      unsigned width = 1u << (data[0] & 3);
      uint64_t value = data[4] | (uint64_t) data[5] << 8 | (uint64_t) data[6] << 48;

      if (data[0] & 0x40)
        pflash_reset (chip);
      else if (data[0] & 0x80)
        address_space_read (mmio, at, width);
      else
        address_space_write (mmio, at, width, value);
    }
  pflash_free (chip);
  g_assert_cmpmem (flash->kept, SIZE, flash->contents, SIZE);
  g_assert_false (flash->mapped);
  address_space_free (mmio);
  g_free (flash);
  return 0;
}
