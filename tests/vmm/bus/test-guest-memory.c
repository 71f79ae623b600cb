#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bus/guest-memory.h"

#define MIB UINT64_C (0x100000)

static GuestMemory *
make (uint64_t size, uint64_t hole_start, uint64_t hole_end)
{
  g_autoptr (GError) error = NULL;
  GuestMemory *memory = guest_memory_new (size, hole_start, hole_end, &error);

  g_assert_no_error (error);
  g_assert_nonnull (memory);
  return memory;
}

static void
test_split (void)
{
  g_autoptr (GuestMemory) memory = make (5 * MIB, 4 * MIB, 16 * MIB);
  unsigned n;
  const GuestMemoryRegion *regions = guest_memory_get_regions (memory, &n);

  g_assert_cmpuint (n, ==, 2);
  g_assert_cmphex (regions[0].gpa, ==, 0);
  g_assert_cmphex (regions[0].size, ==, 4 * MIB);
  g_assert_cmphex (regions[1].gpa, ==, 16 * MIB);
  g_assert_cmphex (regions[1].size, ==, MIB);
  g_assert_cmphex (guest_memory_get_size (memory), ==, 5 * MIB);
}

static void
test_one_region (void)
{
  g_autoptr (GuestMemory) memory = make (4 * MIB, 4 * MIB, 16 * MIB);
  unsigned n;

  guest_memory_get_regions (memory, &n);
  g_assert_cmpuint (n, ==, 1);
  g_assert_null (guest_memory_map (memory, 16 * MIB, 1));
}

/* What one region's end, the hole, the next region's end and the address space's end refuse. */
static void
test_bounds (void)
{
  g_autoptr (GuestMemory) memory = make (5 * MIB, 4 * MIB, 16 * MIB);
  uint8_t buffer[16] = { 0 };

  g_assert_nonnull (guest_memory_map (memory, 0, 1));
  g_assert_nonnull (guest_memory_map (memory, 4 * MIB - 1, 1));
  g_assert_null (guest_memory_map (memory, 4 * MIB - 1, 2));
  g_assert_null (guest_memory_map (memory, 4 * MIB, 1));
  g_assert_null (guest_memory_map (memory, 16 * MIB - 1, 2));
  g_assert_nonnull (guest_memory_map (memory, 16 * MIB, MIB));
  g_assert_null (guest_memory_map (memory, 16 * MIB, MIB + 1));
  g_assert_null (guest_memory_map (memory, 17 * MIB, 1));
  g_assert_null (guest_memory_map (memory, 0, 0));
  g_assert_null (guest_memory_map (memory, 16, SIZE_MAX));
  g_assert_null (guest_memory_map (memory, UINT64_MAX, 1));
  g_assert_false (guest_memory_read (memory, UINT64_MAX - 7, buffer, 16));
  g_assert_false (guest_memory_write (memory, 4 * MIB - 8, buffer, 16));
  g_assert_true (guest_memory_read (memory, 4 * MIB - 16, buffer, 16));
}

/* A refused write leaves the part that was RAM as it was. */
static void
test_refused_has_no_effect (void)
{
  g_autoptr (GuestMemory) memory = make (MIB, 4 * MIB, 16 * MIB);
  uint8_t ones[16];
  uint8_t back[8];

  memset (ones, 0xff, sizeof ones);
  g_assert_false (guest_memory_write (memory, MIB - 8, ones, 16));
  g_assert_true (guest_memory_read (memory, MIB - 8, back, 8));
  for (unsigned i = 0; i < 8; i++)
    g_assert_cmphex (back[i], ==, 0);
}

/* Without a hole two regions are neighbours: copies and iovecs cross, a single pointer does not. */
static void
test_crossing (void)
{
  g_autoptr (GuestMemory) memory = make (2 * MIB, MIB, MIB);
  char back[12] = "";
  struct iovec iov[2];

  g_assert_true (guest_memory_write (memory, MIB - 4, "hello world", 12));
  g_assert_true (guest_memory_read (memory, MIB - 4, back, 12));
  g_assert_cmpstr (back, ==, "hello world");
  g_assert_null (guest_memory_map (memory, MIB - 4, 12));
  g_assert_cmpint (guest_memory_map_iov (memory, MIB - 4, 12, iov, 2), ==, 2);
  g_assert_cmpuint (iov[0].iov_len, ==, 4);
  g_assert_cmpuint (iov[1].iov_len, ==, 8);
  g_assert_cmpmem (iov[1].iov_base, 8, "o world", 8);
  g_assert_cmpint (guest_memory_map_iov (memory, MIB - 4, 12, iov, 1), ==, -1);
  g_assert_cmpint (guest_memory_map_iov (memory, MIB - 4, 0, iov, 0), ==, 0);
}

/* A huge page of the guest's is one of the host's only where both begin on a boundary. */
static void
test_huge_pages_are_possible (void)
{
  g_autoptr (GuestMemory) memory = make (8 * MIB, 4 * MIB, 16 * MIB);
  unsigned n;
  const GuestMemoryRegion *regions = guest_memory_get_regions (memory, &n);

  for (unsigned i = 0; i < n; i++)
    g_assert_cmphex (((uintptr_t) regions[i].host - regions[i].gpa) % (2 * MIB), ==, 0);
}

/* Whole pages of what is RAM, over the border of two regions. */
static void
test_discard (void)
{
  g_autoptr (GuestMemory) memory = make (2 * MIB, MIB, 4 * MIB);
  unsigned n;
  const GuestMemoryRegion *regions = guest_memory_get_regions (memory, &n);
  uint8_t *low = regions[0].host;

  memset (low, 0x5a, MIB);
  memset (regions[1].host, 0x5a, MIB);
  guest_memory_discard (memory, low + 1, 3 * 4096);
  g_assert_cmphex (low[4095], ==, 0x5a);
  g_assert_cmphex (low[4096], ==, 0);
  g_assert_cmphex (low[3 * 4096 - 1], ==, 0);
  g_assert_cmphex (low[3 * 4096], ==, 0x5a);
  guest_memory_discard (memory, low + MIB - 4096, 4096);
  guest_memory_discard (memory, low + 8 * 4096, 4095);
  guest_memory_discard (memory, low + 8 * 4096, 0);
  g_assert_cmphex (low[MIB - 1], ==, 0);
  g_assert_cmphex (low[8 * 4096], ==, 0x5a);
  g_assert_cmphex (regions[1].host[0], ==, 0x5a);
}

static void
test_too_large (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (guest_memory_new (UINT64_C (1) << 62, MIB, 4 * MIB, &error));
  g_assert_nonnull (error);
  g_assert_true (error->domain == G_FILE_ERROR);
  g_clear_error (&error);
  g_assert_null (guest_memory_new (UINT64_C (1) << 63, MIB, 4 * MIB, &error));
  g_assert_nonnull (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guest-memory/split", test_split);
  g_test_add_func ("/guest-memory/one-region", test_one_region);
  g_test_add_func ("/guest-memory/bounds", test_bounds);
  g_test_add_func ("/guest-memory/refused-has-no-effect", test_refused_has_no_effect);
  g_test_add_func ("/guest-memory/crossing", test_crossing);
  g_test_add_func ("/guest-memory/huge-pages", test_huge_pages_are_possible);
  g_test_add_func ("/guest-memory/discard", test_discard);
  g_test_add_func ("/guest-memory/too-large", test_too_large);
  return g_test_run ();
}
