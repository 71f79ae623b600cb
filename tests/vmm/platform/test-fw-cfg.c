#include "platform/fw-cfg.h"

#include <string.h>

#include "changing-memory.h"

#define MEMORY   UINT64_C (0x10000)
#define SELECTOR FW_CFG_PORT
#define DATA     (FW_CFG_PORT + 1)
#define DMA_HIGH (FW_CFG_PORT + 4)
#define DMA_LOW  (FW_CFG_PORT + 8)

enum
{
  DMA_ERROR = 1,
  DMA_READ = 2,
  DMA_SKIP = 4,
  DMA_SELECT = 8,
  DMA_WRITE = 16,
};

typedef struct Fixture
{
  AddressSpace *ports;
  GuestMemory *memory;
  FwCfg *cfg;
  unsigned selections;
} Fixture;

static void
set_up (Fixture *fixture, const void *data)
{
  fixture->ports = address_space_new ("ports", 0x10000);
  fixture->memory = guest_memory_new (MEMORY, MEMORY, UINT64_C (1) << 32, NULL);
  fixture->cfg = fw_cfg_new (fixture->ports, fixture->memory);
}

static void
tear_down (Fixture *fixture, const void *data)
{
  fw_cfg_free (fixture->cfg);
  guest_memory_free (fixture->memory);
  address_space_free (fixture->ports);
}

static void
select_key (Fixture *fixture, uint16_t key)
{
  address_space_write (fixture->ports, SELECTOR, 2, key);
}

static void
read_bytes (Fixture *fixture, void *to, unsigned size)
{
  for (unsigned i = 0; i < size; i++)
    ((uint8_t *) to)[i] = (uint8_t) address_space_read (fixture->ports, DATA, 1);
}

static unsigned
be (const uint8_t *bytes, unsigned size)
{
  unsigned value = 0;

  for (unsigned i = 0; i < size; i++)
    value = value << 8 | bytes[i];
  return value;
}

/* By the directory, as a guest finds it. */
static uint16_t
find (Fixture *fixture, const char *name, unsigned *size)
{
  uint8_t count[4], entry[64];

  select_key (fixture, 0x19);
  read_bytes (fixture, count, 4);
  for (unsigned n = be (count, 4); n > 0; n--)
    {
      read_bytes (fixture, entry, sizeof entry);
      if (strcmp ((char *) entry + 8, name) != 0)
        continue;
      *size = be (entry, 4);
      return (uint16_t) be (entry + 4, 2);
    }
  return 0;
}

static void
test_items (Fixture *fixture, const void *data)
{
  uint8_t bytes[6];

  select_key (fixture, 0);
  read_bytes (fixture, bytes, 6);
  g_assert_cmpmem (bytes, 6, "QEMU\0\0", 6);
  select_key (fixture, 1);
  read_bytes (fixture, bytes, 4);
  g_assert_cmpmem (bytes, 4, "\3\0\0\0", 4);
  fw_cfg_set_number (fixture->cfg, FW_CFG_N_CPUS, 0x102, 2);
  select_key (fixture, FW_CFG_N_CPUS);
  read_bytes (fixture, bytes, 3);
  g_assert_cmpmem (bytes, 3, "\2\1\0", 3);
  /* There is no such thing; neither is one far beyond the table. */
  select_key (fixture, 7);
  g_assert_cmphex (address_space_read (fixture->ports, DATA, 1), ==, 0);
  select_key (fixture, 0xffff);
  g_assert_cmphex (address_space_read (fixture->ports, DATA, 1), ==, 0);
}

static void
test_files (Fixture *fixture, const void *data)
{
  unsigned size = 0;
  char text[6] = "";

  g_assert_cmpuint (find (fixture, "etc/a", &size), ==, 0);
  fw_cfg_set_file (fixture->cfg, "etc/a", g_bytes_new_static ("alpha", 5));
  fw_cfg_set_file (fixture->cfg, "etc/b", g_bytes_new_static ("beta", 4));
  uint16_t b = find (fixture, "etc/b", &size);
  g_assert_cmpuint (size, ==, 4);
  select_key (fixture, b);
  read_bytes (fixture, text, 5);
  g_assert_cmpstr (text, ==, "beta");
  /* One that goes leaves the others their numbers, one that comes takes its place. */
  fw_cfg_remove_file (fixture->cfg, "etc/a");
  fw_cfg_remove_file (fixture->cfg, "etc/none");
  g_assert_cmpuint (find (fixture, "etc/a", &size), ==, 0);
  g_assert_cmpuint (find (fixture, "etc/b", &size), ==, b);
  fw_cfg_set_file (fixture->cfg, "etc/c", g_bytes_new_static ("c", 1));
  g_assert_cmpuint (find (fixture, "etc/c", &size), ==, FW_CFG_FIRST_FILE);
  fw_cfg_set_file (fixture->cfg, "etc/c", g_bytes_new_static ("cc", 2));
  g_assert_cmpuint (find (fixture, "etc/c", &size), ==, FW_CFG_FIRST_FILE);
  g_assert_cmpuint (size, ==, 2);
}

static void
on_selected (void *opaque)
{
  Fixture *fixture = opaque;
  g_autofree char *text = g_strdup_printf ("late %u", ++fixture->selections);

  fw_cfg_set_file (fixture->cfg, "etc/late", g_bytes_new (text, 6));
}

static void
test_contents_made_when_selected (Fixture *fixture, const void *data)
{
  unsigned size;
  char text[7] = "";

  fw_cfg_set_file (fixture->cfg, "etc/late", g_bytes_new_static ("early.", 6));
  fw_cfg_set_select_func (fixture->cfg, "etc/late", on_selected, fixture);
  uint16_t key = find (fixture, "etc/late", &size);
  g_assert_cmpuint (fixture->selections, ==, 0);
  select_key (fixture, key);
  read_bytes (fixture, text, 6);
  g_assert_cmpstr (text, ==, "late 1");
  /* What is being read stays whole while it is replaced. */
  select_key (fixture, key);
  read_bytes (fixture, text, 3);
  fw_cfg_set_file (fixture->cfg, "etc/late", g_bytes_new_static ("x", 1));
  read_bytes (fixture, text + 3, 3);
  g_assert_cmpstr (text, ==, "late 2");
}

static uint32_t
dma (Fixture *fixture, uint64_t descriptor, uint32_t control, uint32_t length, uint64_t address)
{
  struct
  {
    uint32_t control, length;
    uint64_t address;
  } access = { GUINT32_TO_BE (control), GUINT32_TO_BE (length), GUINT64_TO_BE (address) };

  guest_memory_write (fixture->memory, descriptor, &access, sizeof access);
  address_space_write (fixture->ports, DMA_HIGH, 4,
                       GUINT32_SWAP_LE_BE ((uint32_t) (descriptor >> 32)));
  address_space_write (fixture->ports, DMA_LOW, 4, GUINT32_SWAP_LE_BE ((uint32_t) descriptor));
  if (!guest_memory_read (fixture->memory, descriptor, &access, sizeof access))
    return UINT32_MAX;
  return GUINT32_FROM_BE (access.control);
}

static void
test_dma (Fixture *fixture, const void *data)
{
  char text[9] = "xxxxxxxx";
  unsigned size;

  g_assert_cmphex (address_space_read (fixture->ports, DMA_HIGH, 4), ==, 0x554d4551 /* "QEMU" */);
  g_assert_cmphex (address_space_read (fixture->ports, DMA_LOW, 4), ==, 0x47464320 /* " CFG" */);
  fw_cfg_set_file (fixture->cfg, "etc/a", g_bytes_new_static ("alphabet", 8));
  uint32_t key = find (fixture, "etc/a", &size);
  guest_memory_write (fixture->memory, 0x2000, text, 8);
  /* Select and read in one; then skip and read on, beyond the end. */
  g_assert_cmphex (dma (fixture, 0x1000, key << 16 | DMA_SELECT | DMA_READ, 2, 0x2000), ==, 0);
  g_assert_cmphex (dma (fixture, 0x1000, DMA_SKIP, 3, 0), ==, 0);
  g_assert_cmphex (dma (fixture, 0x1000, DMA_READ, 5, 0x2002), ==, 0);
  guest_memory_read (fixture->memory, 0x2000, text, 8);
  g_assert_cmpmem (text, 8, "albet\0\0x", 8);
  /* After that the port goes on at the end. */
  g_assert_cmphex (address_space_read (fixture->ports, DATA, 1), ==, 0);
  /* Nothing can be written. */
  g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "*is refused*");
  g_assert_cmphex (dma (fixture, 0x1000, key << 16 | DMA_SELECT | DMA_WRITE, 2, 0x2000), ==,
                   DMA_ERROR);
  g_test_assert_expected_messages ();
}

static void
test_hostile_dma (Fixture *fixture, const void *data)
{
  static const struct
  {
    uint32_t length;
    uint64_t address;
  } cases[] = {
    { 8, MEMORY },           /* not RAM */
    { 8, MEMORY - 4 },       /* its end */
    { 16, UINT64_MAX - 7 },  /* wraps within the item */
    { 64, UINT64_MAX - 31 }, /* wraps in the zeros behind it */
    { UINT32_MAX, 0x2000 },  /* zeros over all of it */
  };

  fw_cfg_set_number (fixture->cfg, FW_CFG_N_CPUS, 1, 8);
  g_log_set_always_fatal (G_LOG_FATAL_MASK);
  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "*is refused*");
      g_assert_cmphex (dma (fixture, 0x1000, FW_CFG_N_CPUS << 16 | DMA_SELECT | DMA_READ,
                            cases[i].length, cases[i].address),
                       ==, DMA_ERROR);
      g_test_assert_expected_messages ();
    }
  /* A descriptor that is not there: no answer, no harm. */
  dma (fixture, MEMORY - 8, DMA_READ, 1, 0);
  dma (fixture, UINT64_MAX - 3, DMA_READ, 1, 0);
  /* The descriptor as its own target: the result is what stays. */
  g_assert_cmphex (dma (fixture, 0x1000, FW_CFG_N_CPUS << 16 | DMA_SELECT | DMA_READ, 16, 0x1000),
                   ==, 0);
}

static void
test_wrong_widths (Fixture *fixture, const void *data)
{
  select_key (fixture, 0);
  for (uint64_t port = FW_CFG_PORT; port < FW_CFG_PORT + FW_CFG_PORTS; port++)
    for (unsigned size = 1; size <= 4; size *= 2)
      if (port + size <= FW_CFG_PORT + FW_CFG_PORTS && !(port == SELECTOR && size == 2) &&
          !(port == DMA_LOW && size == 4))
        address_space_write (fixture->ports, port, size, 0x01010101);
  g_assert_cmphex (address_space_read (fixture->ports, SELECTOR, 2), ==, 0xffff);
  g_assert_cmphex (address_space_read (fixture->ports, DATA, 1), ==, 'Q');
  fw_cfg_reset (fixture->cfg);
  g_assert_cmphex (address_space_read (fixture->ports, DATA, 1), ==, 0);
}

/* What the device was told is gone as soon as it has read it: it goes by its copy. */
static void
test_memory_changes (Fixture *fixture, const void *data)
{
  changing_memory_begin ();
  test_dma (fixture, data);
  g_assert_cmpuint (changing_memory_end (), >, 0);
}

static void
add (const char *name, void (*test) (Fixture *fixture, const void *data))
{
  g_autofree char *path = g_strconcat ("/fw-cfg/", name, NULL);

  g_test_add (path, Fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("items", test_items);
  add ("files", test_files);
  add ("late", test_contents_made_when_selected);
  add ("dma", test_dma);
  add ("hostile-17-dma", test_hostile_dma);
  add ("hostile-8-memory-changes", test_memory_changes);
  add ("widths", test_wrong_widths);
  return g_test_run ();
}
