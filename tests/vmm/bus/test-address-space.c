#include "bus/address-space.h"

/* A device that remembers the last access and, asked to, changes the table from inside its handler. */
typedef struct
{
  AddressSpace *space;
  AddressRange *range;
  uint64_t answer;
  uint64_t last_offset;
  uint64_t last_value;
  unsigned last_size;
  unsigned n_reads;
  unsigned n_writes;
  uint64_t move_to;
  bool remove_on_write;
} Probe;

static uint64_t
probe_read (void *opaque, uint64_t offset, unsigned size)
{
  Probe *probe = opaque;

  probe->n_reads++;
  probe->last_offset = offset;
  probe->last_size = size;
  return probe->answer;
}

static void
probe_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Probe *probe = opaque;

  probe->n_writes++;
  probe->last_offset = offset;
  probe->last_size = size;
  probe->last_value = value;
  if (probe->move_to)
    address_space_move (probe->space, probe->range, probe->move_to);
  if (probe->remove_on_write)
    address_space_remove (probe->space, probe->range);
}

static const AddressOps probe_ops = { .read = probe_read, .write = probe_write };

static void
place (Probe *probe, AddressSpace *space, uint64_t base, uint64_t size)
{
  probe->space = space;
  probe->range = address_space_add (space, "probe", base, size, &probe_ops, probe);
}

static void
test_dispatch (void)
{
  g_autoptr (AddressSpace) space = address_space_new ("test", 0x10000);
  Probe probe = { .answer = 0x1122334455667788 };

  place (&probe, space, 0x3f8, 8);
  g_assert_cmphex (address_space_read (space, 0x3f9, 1), ==, 0x88);
  g_assert_cmpuint (probe.last_offset, ==, 1);
  g_assert_cmphex (address_space_read (space, 0x3f8, 2), ==, 0x7788);
  g_assert_cmphex (address_space_read (space, 0x3fc, 4), ==, 0x55667788);
  g_assert_cmphex (address_space_read (space, 0x3f8, 8), ==, 0x1122334455667788);
  address_space_write (space, 0x3ff, 1, 0xabcd);
  g_assert_cmphex (probe.last_value, ==, 0xcd);
  g_assert_cmpuint (probe.last_offset, ==, 7);
  g_assert_cmpuint (address_space_get_unclaimed (space), ==, 0);
}

/* Nobody there: all-ones of the access's width; straddling an edge is nobody as well. */
static void
test_unclaimed (void)
{
  g_autoptr (AddressSpace) space = address_space_new ("test", 0x10000);
  Probe probe = { .answer = 0 };

  place (&probe, space, 0x100, 4);
  g_assert_cmphex (address_space_read (space, 0x80, 1), ==, 0xff);
  g_assert_cmphex (address_space_read (space, 0x80, 4), ==, 0xffffffff);
  g_assert_cmphex (address_space_read (space, 0x80, 8), ==, UINT64_MAX);
  g_assert_cmphex (address_space_read (space, 0xfe, 4), ==, 0xffffffff);
  g_assert_cmphex (address_space_read (space, 0x102, 4), ==, 0xffffffff);
  g_assert_cmphex (address_space_read (space, 0xffff, 2), ==, 0xffff);
  g_assert_cmphex (address_space_read (space, UINT64_MAX, 2), ==, 0xffff);
  address_space_write (space, 0x102, 4, 1);
  g_assert_cmpuint (probe.n_reads + probe.n_writes, ==, 0);
  g_assert_cmpuint (address_space_get_unclaimed (space), ==, 8);
}

static void
test_newest_answers (void)
{
  g_autoptr (AddressSpace) space = address_space_new ("test", UINT64_MAX);
  Probe old = { .answer = 1 };
  Probe new = { .answer = 2 };

  place (&old, space, 0x1000, 0x1000);
  place (&new, space, 0x1800, 0x100);
  g_assert_cmphex (address_space_read (space, 0x1000, 1), ==, 1);
  g_assert_cmphex (address_space_read (space, 0x1800, 1), ==, 2);
  /* Touches the newer range without being inside it: still the older one's. */
  g_assert_cmphex (address_space_read (space, 0x17fe, 4), ==, 1);
  address_space_remove (space, new.range);
  g_assert_cmphex (address_space_read (space, 0x1800, 1), ==, 1);
}

/* As when a guest moves a BAR by writing to a register that the BAR itself answers. */
static void
test_change_from_handler (void)
{
  g_autoptr (AddressSpace) space = address_space_new ("test", UINT64_MAX);
  Probe probe = { .answer = 5, .move_to = 0x9000 };

  place (&probe, space, 0x1000, 0x10);
  address_space_write (space, 0x1000, 4, 0);
  g_assert_cmphex (address_space_read (space, 0x1000, 1), ==, 0xff);
  g_assert_cmphex (address_space_read (space, 0x9000, 1), ==, 5);
  probe.move_to = 0;
  probe.remove_on_write = true;
  address_space_write (space, 0x9000, 4, 0);
  g_assert_cmphex (address_space_read (space, 0x9000, 1), ==, 0xff);
}

/* A BAR at the very top, or wrapping: contained accesses only, no address arithmetic goes round. */
static void
test_top_of_space (void)
{
  g_autoptr (AddressSpace) space = address_space_new ("test", UINT64_MAX);
  Probe probe = { .answer = 7 };

  place (&probe, space, UINT64_MAX - 0xfff, 0x4000);
  g_assert_cmphex (address_space_read (space, UINT64_MAX - 0xfff, 4), ==, 7);
  g_assert_cmphex (address_space_read (space, 0, 4), ==, 0xffffffff);
  g_assert_cmphex (address_space_read (space, UINT64_MAX - 1, 4), ==, 0xffffffff);
}

#define HAMMER_ROUNDS 20000

static gpointer
hammer (gpointer data)
{
  AddressSpace *space = data;

  for (unsigned i = 0; i < HAMMER_ROUNDS; i++)
    {
      uint64_t value = address_space_read (space, 0x2000, 4);
      g_assert_true (value == 3 || value == 0xffffffff);
    }
  return NULL;
}

/* Readers on other threads see a range wholly or not at all while it comes, moves and goes. */
static void
test_concurrent_change (void)
{
  g_autoptr (AddressSpace) space = address_space_new ("test", UINT64_MAX);
  Probe probe = { .answer = 3 };
  GThread *threads[2];

  for (unsigned i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("hammer", hammer, space);
  for (unsigned i = 0; i < 100; i++)
    {
      place (&probe, space, 0x2000, 4);
      address_space_move (space, probe.range, 0x4000);
      address_space_move (space, probe.range, 0x2000);
      address_space_remove (space, probe.range);
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/address-space/dispatch", test_dispatch);
  g_test_add_func ("/address-space/unclaimed", test_unclaimed);
  g_test_add_func ("/address-space/newest-answers", test_newest_answers);
  g_test_add_func ("/address-space/change-from-handler", test_change_from_handler);
  g_test_add_func ("/address-space/top-of-space", test_top_of_space);
  g_test_add_func ("/address-space/concurrent-change", test_concurrent_change);
  return g_test_run ();
}
