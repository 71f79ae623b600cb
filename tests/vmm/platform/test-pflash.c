#include "platform/pflash.h"

#include <string.h>

#define GPA  UINT64_C (0xffc00000)
#define SIZE (4 * PFLASH_BLOCK)

/* Where the guest reads without exits; asked for and given back. */
typedef struct Fixture
{
  AddressSpace *mmio;
  uint8_t *contents;
  uint8_t *kept; /* what was stored */
  bool full;     /* the host's disk */
  bool mapped;
  bool refuse;
  unsigned maps;
  unsigned stores;
  Pflash *flash;
} Fixture;

static int
map (void *opaque, uint64_t gpa, void *host, uint64_t size, bool readonly, bool log_dirty,
     GError **error)
{
  Fixture *fixture = opaque;

  if (fixture->refuse)
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_EXIST, "taken");
      return -1;
    }
  g_assert_false (fixture->mapped);
  g_assert_true (readonly && host == fixture->contents && size == SIZE && gpa == GPA);
  fixture->mapped = true;
  fixture->maps++;
  return 7;
}

static void
unmap (void *opaque, int slot)
{
  Fixture *fixture = opaque;

  g_assert_true (fixture->mapped);
  g_assert_cmpint (slot, ==, 7);
  fixture->mapped = false;
}

static const MemorySlotOps slot_ops = { .map = map, .unmap = unmap };

static bool
store (void *opaque, size_t offset, size_t size)
{
  Fixture *fixture = opaque;

  if (fixture->full)
    return false;
  fixture->stores++;
  memcpy (fixture->kept + offset, fixture->contents + offset, size);
  return true;
}

static void
set_up (Fixture *fixture, const void *data)
{
  fixture->mmio = address_space_new ("mmio", UINT64_MAX);
  fixture->contents = g_malloc (SIZE);
  memset (fixture->contents, 0xff, SIZE);
  fixture->kept = g_memdup2 (fixture->contents, SIZE);
  PflashConfig config = { GPA, fixture->contents, SIZE, store, fixture };
  fixture->flash = pflash_new (fixture->mmio, (MemorySlots){ &slot_ops, fixture }, &config, NULL);
  g_assert_nonnull (fixture->flash);
}

static void
tear_down (Fixture *fixture, const void *data)
{
  pflash_free (fixture->flash);
  g_assert_false (fixture->mapped);
  address_space_free (fixture->mmio);
  g_free (fixture->contents);
  g_free (fixture->kept);
}

static void
command (Fixture *fixture, uint64_t offset, uint8_t value)
{
  address_space_write (fixture->mmio, GPA + offset, 1, value);
}

/* As the guest: from memory while it is there. */
static uint8_t
look (Fixture *fixture, uint64_t offset)
{
  return fixture->mapped ? fixture->contents[offset]
                         : (uint8_t) address_space_read (fixture->mmio, GPA + offset, 1);
}

/* What stock firmware does to tell flash from RAM and ROM. */
static void
test_the_probe_of_firmware (Fixture *fixture, const void *data)
{
  g_assert_cmphex (look (fixture, 0), ==, 0xff);
  command (fixture, 0, 0x50);
  g_assert_cmphex (look (fixture, 0), ==, 0xff);
  command (fixture, 0, 0x70);
  g_assert_cmphex (look (fixture, 0), ==, 0);
  command (fixture, 0, 0xff);
  g_assert_cmphex (look (fixture, 0), ==, 0xff);
  g_assert_true (fixture->mapped);
}

static void
program (Fixture *fixture, uint64_t offset, uint8_t value)
{
  command (fixture, offset, 0x10);
  command (fixture, offset, value);
}

static void
test_programming_clears_bits (Fixture *fixture, const void *data)
{
  program (fixture, 5, 0xf0);
  program (fixture, 5, 0x3c);
  /* Each byte without taking the contents away. */
  g_assert_cmpuint (fixture->maps, ==, 1);
  g_assert_cmphex (look (fixture, 5), ==, 0x30);
  g_assert_cmphex (look (fixture, 4), ==, 0xff);
  command (fixture, 0, 0x70);
  g_assert_cmphex (look (fixture, 0), ==, 0x80);
  command (fixture, 0, 0xff);
  /* What looks like a command is data there. */
  program (fixture, 6, 0x70);
  g_assert_true (fixture->mapped);
  g_assert_cmphex (look (fixture, 6), ==, 0x70);
  command (fixture, 6, 0xff);
  g_assert_cmpmem (fixture->kept, SIZE, fixture->contents, SIZE);
}

/* Firmware's write of some bytes is one of the host's, and nothing is held back at a reset. */
static void
test_bytes_are_stored_together (Fixture *fixture, const void *data)
{
  fixture->stores = 0;
  for (unsigned i = 0; i < 100; i++)
    program (fixture, 200 + i, (uint8_t) i);
  command (fixture, 200, 0xff);
  g_assert_cmpuint (fixture->stores, ==, 1);
  g_assert_cmpmem (fixture->kept, SIZE, fixture->contents, SIZE);
  program (fixture, 10, 0);
  program (fixture, 12, 0);
  program (fixture, 13, 0);
  pflash_reset (fixture->flash);
  g_assert_cmpuint (fixture->stores, ==, 3);
  g_assert_cmpmem (fixture->kept, SIZE, fixture->contents, SIZE);
}

static void
test_erasing (Fixture *fixture, const void *data)
{
  memset (fixture->contents, 0, SIZE);
  memset (fixture->kept, 0, SIZE);
  command (fixture, PFLASH_BLOCK + 17, 0x20);
  command (fixture, PFLASH_BLOCK + 17, 0xd0);
  for (unsigned i = 0; i < SIZE; i++)
    g_assert_cmphex (look (fixture, i), ==, i / PFLASH_BLOCK == 1 ? 0xff : 0);
  g_assert_cmpmem (fixture->kept, SIZE, fixture->contents, SIZE);
  /* Not confirmed: nothing is erased, and the status says so. */
  command (fixture, 0, 0x20);
  command (fixture, 0, 0xff);
  g_assert_cmphex (look (fixture, 0), ==, 0);
  command (fixture, 0, 0x70);
  g_assert_cmphex (look (fixture, 0), ==, 0xb0);
  command (fixture, 0, 0x50);
  g_assert_cmphex (look (fixture, 0), ==, 0);
}

static void
test_a_full_disk_is_told (Fixture *fixture, const void *data)
{
  fixture->full = true;
  program (fixture, 0, 0);
  command (fixture, 0, 0x70);
  g_assert_cmphex (look (fixture, 0), ==, 0x90);
}

static void
test_edges (Fixture *fixture, const void *data)
{
  /* Wide data at the very end; beyond it nobody answers. */
  command (fixture, SIZE - 8, 0x40);
  address_space_write (fixture->mmio, GPA + SIZE - 8, 8, UINT64_C (0x0102030405060708));
  g_assert_cmphex (fixture->contents[SIZE - 1], ==, 1);
  g_assert_cmphex (fixture->contents[SIZE - 8], ==, 8);
  command (fixture, SIZE - 4, 0x10);
  address_space_write (fixture->mmio, GPA + SIZE - 4, 8, 0);
  g_assert_cmphex (fixture->contents[SIZE - 4], ==, 4);
  pflash_reset (fixture->flash);
  command (fixture, SIZE - 4, 0xff);
  g_assert_cmphex (fixture->contents[SIZE - 4], ==, 4);
  g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "*command 0xe8*");
  command (fixture, 0, 0xe8);
  g_test_assert_expected_messages ();
}

/* The guest put something of its own there while the status was shown. */
static void
test_the_place_is_taken (Fixture *fixture, const void *data)
{
  command (fixture, 0, 0x70);
  fixture->refuse = true;
  g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "*read by exits: taken*");
  command (fixture, 0, 0xff);
  g_test_assert_expected_messages ();
  g_assert_cmphex (look (fixture, 0), ==, 0xff);
  fixture->refuse = false;
  pflash_reset (fixture->flash);
  g_assert_true (fixture->mapped);
}

static void
add (const char *name, void (*test) (Fixture *fixture, const void *data))
{
  g_autofree char *path = g_strconcat ("/pflash/", name, NULL);

  g_test_add (path, Fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("probe", test_the_probe_of_firmware);
  add ("program", test_programming_clears_bits);
  add ("together", test_bytes_are_stored_together);
  add ("erase", test_erasing);
  add ("full-disk", test_a_full_disk_is_told);
  add ("hostile-17-edges", test_edges);
  add ("taken", test_the_place_is_taken);
  return g_test_run ();
}
