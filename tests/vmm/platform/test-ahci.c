#include <linux/pci_regs.h>
#include <string.h>

#include "ahci-disk.h"
#include "block-calls.h"

#define PORT AHCI_DISK_PORT
#define DATA AHCI_DRIVER_DATA

/* --- controller --- */

static void
test_function (AhciDisk *f, gconstpointer data)
{
  const unsigned devfn = AHCI_SLOT << 3 | AHCI_FUNCTION;

  g_assert_cmphex (pci_bus_config_read (f->driver->bus, devfn, 0, 4) & UINT32_MAX, ==, 0x29228086);
  g_assert_cmphex (pci_bus_config_read (f->driver->bus, devfn, 9, 4) & 0xffffff, ==, 0x010601);
  g_assert_cmphex (pci_bus_config_read (f->driver->bus, devfn, PCI_INTERRUPT_PIN, 1) & 0xff, ==, 1);
  g_assert_cmphex (ahci_driver_read (f->driver, 0x00) & 0x1f, ==, AHCI_PORTS - 1);
  g_assert_cmphex (ahci_driver_read (f->driver, 0x0c), ==, 0x3f);
  g_assert_cmphex (ahci_driver_read (f->driver, 0x10), ==, 0x10300);
}

static void
test_link (AhciDisk *f, gconstpointer data)
{
  g_assert_cmphex (ahci_disk_get (f, PX_SSTS), ==, 0x133);
  g_assert_cmphex (ahci_driver_read_port (f->driver, 0, PX_SSTS), ==, 0);
  g_assert_cmphex (ahci_driver_read_port (f->driver, 0, PX_TFD) & 0xff, ==, 0x7f);
  /* The signature waits for the FIS engine. */
  g_assert_cmphex (ahci_disk_get (f, PX_SIG), ==, UINT32_MAX);
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_disk_get (f, PX_SIG), ==, 0x101);
  g_assert_cmphex (ahci_disk_get (f, PX_TFD), ==, 0x150);
  g_assert_cmphex (ahci_disk_map (f, AHCI_DRIVER_FIS + (PORT << 12))[0x40], ==, 0x34);
}

static void
test_comreset (AhciDisk *f, gconstpointer data)
{
  ahci_driver_start (f->driver, PORT);
  ahci_driver_stop (f->driver, PORT);
  ahci_disk_set (f, 0x2c, 0x301);
  ahci_driver_settle ();
  g_assert_cmphex (ahci_disk_get (f, PX_SSTS), ==, 0);
  g_assert_cmphex (ahci_disk_get (f, PX_TFD) & 0xff, ==, 0x7f);
  ahci_disk_set (f, 0x2c, 0x300);
  ahci_driver_settle ();
  g_assert_cmphex (ahci_disk_get (f, PX_SSTS), ==, 0x133);
  g_assert_cmphex (ahci_disk_get (f, PX_SIG), ==, 0x101);
  g_assert_cmphex (ahci_disk_get (f, PX_SERR), ==, 0x04010000);
  g_assert_cmphex (ahci_disk_get (f, PX_IS), ==, 1u << 6 | 1u << 22);
  ahci_disk_set (f, PX_SERR, 0x04010000);
  g_assert_cmphex (ahci_disk_get (f, PX_IS), ==, 0);
}

static void
test_hba_reset (AhciDisk *f, gconstpointer data)
{
  ahci_driver_start (f->driver, PORT);
  ahci_disk_set (f, PX_IE, UINT32_MAX);
  ahci_driver_write (f->driver, 0x04, 0x80000002);
  ahci_driver_write (f->driver, 0x04, 0x80000001);
  g_assert_cmphex (ahci_driver_read (f->driver, 0x04), ==, 0x80000001);
  ahci_driver_settle ();
  g_assert_cmphex (ahci_driver_read (f->driver, 0x04), ==, 0x80000000);
  g_assert_cmphex (ahci_disk_get (f, PX_IE), ==, 0);
  g_assert_cmphex (ahci_disk_get (f, PX_CMD) & 0xc011, ==, 0);
  g_assert_cmphex (ahci_disk_get (f, PX_SSTS), ==, 0x133);
  g_assert_cmphex (ahci_disk_get (f, 0x00), ==, AHCI_DRIVER_LIST + (PORT << 12));
}

static void
test_narrow_and_wide (AhciDisk *f, gconstpointer data)
{
  AddressSpace *mmio = f->driver->fake->mmio;
  const uint64_t port = f->driver->abar + 0x100 + PORT * 0x80;

  address_space_write (mmio, port, 8, UINT64_C (0x1122334455667788));
  g_assert_cmphex (ahci_disk_get (f, 0), ==, 0x55667400);
  g_assert_cmphex (ahci_disk_get (f, 4), ==, 0x11223344);
  g_assert_cmphex (address_space_read (mmio, port, 8), ==, UINT64_C (0x1122334455667400));
  g_assert_cmphex (address_space_read (mmio, port + 6, 2) & 0xffff, ==, 0x1122);
  address_space_write (mmio, port + PX_IE + 3, 1, 0x40);
  g_assert_cmphex (ahci_disk_get (f, PX_IE), ==, 0x40000000);
  address_space_write (mmio, port + PX_IE, 1, 1);
  g_assert_cmphex (ahci_disk_get (f, PX_IE), ==, 0x40000001);
  /* A byte of a write-one register clears nothing else. */
  address_space_write (mmio, port + PX_SERR + 2, 1, 1);
  g_assert_cmphex (ahci_disk_get (f, PX_SERR), ==, 0x04000000);
}

static void
test_interrupt (AhciDisk *f, gconstpointer data)
{
  const AhciDriverCommand identify = { .command = 0xec, .data = DATA, .size = 512 };
  const unsigned gsi = pci_bus_get_gsi (f->driver->bus, AHCI_SLOT, 0);

  ahci_driver_start (f->driver, PORT);
  ahci_disk_set (f, PX_IE, UINT32_MAX);
  ahci_driver_run (f->driver, PORT, &identify);
  g_assert_false (f->driver->fake->levels[gsi]);
  g_assert_cmphex (ahci_driver_read (f->driver, 0x08), ==, 1u << PORT);
  ahci_driver_write (f->driver, 0x04, 0x80000002);
  g_assert_true (f->driver->fake->levels[gsi]);
  /* While the port's cause is there the controller's bit comes back. */
  ahci_driver_write (f->driver, 0x08, 1u << PORT);
  g_assert_true (f->driver->fake->levels[gsi]);
  g_assert_cmphex (ahci_disk_get (f, PX_IS), ==, 1u << 1);
  ahci_disk_set (f, PX_IS, UINT32_MAX);
  ahci_driver_write (f->driver, 0x08, 1u << PORT);
  g_assert_false (f->driver->fake->levels[gsi]);
}

/* --- hostile --- */

static void
test_soft_reset (AhciDisk *f, gconstpointer data)
{
  const AhciDriverCommand none = { 0 };
  uint8_t *fis;

  ahci_driver_start (f->driver, PORT);
  for (unsigned step = 0; step < 2; step++)
    {
      ahci_driver_prepare (f->driver, PORT, 0, &none);
      fis = ahci_disk_map (f, AHCI_DRIVER_TABLE);
      fis[1] = 0;
      fis[15] = step == 0 ? 4 : 0;
      ahci_disk_map (f, AHCI_DRIVER_FIS + (PORT << 12))[0x40] = 0;
      ahci_disk_set (f, PX_CI, 1);
      ahci_driver_wait (f->driver, PORT, 1);
    }
  g_assert_cmphex (ahci_disk_map (f, AHCI_DRIVER_FIS + (PORT << 12))[0x40], ==, 0x34);
  g_assert_cmphex (ahci_disk_get (f, PX_TFD), ==, 0x150);
}

/* Lists, tables, data and FISes where there is no memory: the bus error of each, and the port works after a reset. */
static void
test_no_memory (AhciDisk *f, gconstpointer data)
{
  const AhciDriverCommand far_data = {
    .command = 0x25, .count = 1, .data = AHCI_DRIVER_RAM - 256, .size = 512
  };
  const AhciDriverCommand good = { .command = 0x25, .count = 1, .data = DATA, .size = 512 };

  ahci_driver_start (f->driver, PORT);
  ahci_driver_run (f->driver, PORT, &far_data);
  g_assert_cmphex (ahci_disk_get (f, PX_IS) & 0x30000000, ==, 1u << 28);
  ahci_driver_stop (f->driver, PORT);
  ahci_driver_start (f->driver, PORT);
  memset (ahci_disk_map (f, AHCI_DRIVER_LIST + (PORT << 12)) + 8, 0xff, 8);
  ahci_disk_set (f, PX_CI, 1);
  ahci_driver_wait (f->driver, PORT, 1);
  g_assert_cmphex (ahci_disk_get (f, PX_IS) & 0x30000000, ==, 1u << 29);
  ahci_driver_stop (f->driver, PORT);
  ahci_driver_start (f->driver, PORT);
  ahci_disk_set (f, 0x04, 0xffffffff);
  ahci_disk_set (f, PX_CI, 1);
  ahci_driver_wait (f->driver, PORT, 1);
  g_assert_cmphex (ahci_disk_get (f, PX_IS) & 0x30000000, ==, 1u << 29);
  ahci_driver_stop (f->driver, PORT);
  ahci_driver_start (f->driver, PORT);
  ahci_disk_set (f, 0x0c, 0xffffffff);
  ahci_driver_run (f->driver, PORT, &good);
  g_assert_cmphex (ahci_disk_get (f, PX_IS) & 0x30000000, ==, 1u << 29);
  ahci_driver_stop (f->driver, PORT);
  ahci_driver_comreset (f->driver, PORT);
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &good), ==, GOOD);
}

static void
issue_reads (AhciDisk *f)
{
  const AhciDriverCommand read = {
    .command = 0x60, .device = 0x40, .features = 8, .data = DATA, .size = 4096
  };

  ahci_driver_start (f->driver, PORT);
  for (unsigned tag = 0; tag < 32; tag++)
    ahci_driver_prepare (f->driver, PORT, tag, &read);
  block_calls.hold = true;
  ahci_disk_set (f, PX_SACT, UINT32_MAX);
  ahci_disk_set (f, PX_CI, UINT32_MAX);
  ahci_driver_settle ();
  g_assert_cmphex (ahci_disk_get (f, PX_SACT), ==, UINT32_MAX);
}

/* The machine ends: commands in work end as well, and have an interrupt to raise. */
static void
test_free_in_work (AhciDisk *f, gconstpointer data)
{
  if (!block_calls_have_ring ())
    {
      g_test_skip ("without io_uring no command stays in work");
      return;
    }
  ahci_driver_write (f->driver, 0x04, 0x80000002); /* interrupts */
  ahci_disk_set (f, PX_IE, UINT32_MAX);
  issue_reads (f);
  ahci_disk_set (f, PX_IS, UINT32_MAX);
  ahci_driver_write (f->driver, 0x08, 1u << PORT);
}

/* The engine stopped, the link reset, the controller reset with commands in work: the guest sees that they are, and nothing
 * of them is told afterwards. */
static void
test_stop_in_work (AhciDisk *f, gconstpointer data)
{
  if (!block_calls_have_ring ())
    {
      g_test_skip ("without io_uring no command stays in work");
      return;
    }
  for (unsigned how = 0; how < 3; how++)
    {
      const AhciDriverCommand one = { .command = 0x25, .count = 1, .data = DATA, .size = 512 };

      issue_reads (f);
      if (how == 0)
        ahci_disk_set (f, PX_CMD, 0x10);
      else if (how == 1)
        ahci_driver_comreset (f->driver, PORT);
      else
        ahci_driver_write (f->driver, 0x04, 1);
      ahci_driver_settle ();
      g_assert_cmphex (ahci_disk_get (f, PX_CMD) & 1u << 15, !=, 0);
      g_assert_cmphex (ahci_disk_get (f, PX_SSTS), ==, how == 0 ? 0x133 : 0);
      g_assert_cmphex (ahci_driver_read (f->driver, 0x04), ==, how == 2 ? 0x80000001 : 0x80000000);
      block_calls_release ();
      while ((ahci_disk_get (f, PX_CMD) & 1u << 15 && how != 1) ||
             ahci_disk_get (f, PX_SSTS) != 0x133)
        g_main_context_iteration (NULL, TRUE);
      ahci_driver_settle ();
      g_assert_cmphex (ahci_disk_get (f, PX_SACT) | ahci_disk_get (f, PX_CI), ==, 0);
      g_assert_cmphex (ahci_disk_get (f, PX_IS) & 1u << 3, ==, 0);
      if (how == 2)
        g_assert_cmphex (ahci_driver_read (f->driver, 0x04), ==, 0x80000000);
      ahci_driver_stop (f->driver, PORT);
      ahci_driver_comreset (f->driver, PORT);
      ahci_driver_start (f->driver, PORT);
      g_assert_cmphex (ahci_driver_run (f->driver, PORT, &one), ==, GOOD);
    }
}

/* --- a vCPU that gives the controller no rest --- */

#define RESTLESS_PORT 4

typedef struct Restless
{
  AhciDisk *fixture;
  unsigned n_left;
  unsigned n_started;
} Restless;

/* Ends at once, and the guest, which another vCPU is, has issued the next before anybody looks. */
static void
restless_start (void *opaque, AtaCommand *command)
{
  Restless *restless = opaque;

  restless->n_started++;
  ata_command_finish (command, GOOD, 0);
  if (restless->n_left == 0)
    return;
  restless->n_left--;
  ahci_driver_write_port (restless->fixture->driver, RESTLESS_PORT, PX_CI, 1);
}

static void
restless_nothing (void *opaque)
{
}

static void
restless_reset (void *opaque, bool power)
{
}

static void
test_issued_anew_for_ever (AhciDisk *f, gconstpointer data)
{
  static const AtaDriveOps ops = {
    .signature = ATA_SIGNATURE_DISK,
    .start = restless_start,
    .kick = restless_nothing,
    .reset = restless_reset,
    .drain = restless_nothing,
    .free = restless_nothing,
  };
  const AhciDriverCommand none = { .command = 0xe3 };
  const AhciDriverCommand one = { .command = 0x25, .count = 1, .data = DATA, .size = 512 };
  Restless restless = { .fixture = f, .n_left = 100000 };

  ahci_plug (f->driver->ahci, RESTLESS_PORT, &(AtaDrive){ &ops, &restless });
  ahci_driver_settle ();
  ahci_driver_start (f->driver, RESTLESS_PORT);
  ahci_driver_settle ();
  ahci_driver_prepare (f->driver, RESTLESS_PORT, 0, &none);
  ahci_driver_write_port (f->driver, RESTLESS_PORT, PX_CI, 1);
  g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (restless.n_started, ==, 32);
  /* The others have their turns while it rests, which is when settle () comes to an end. */
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &one), ==, GOOD);
  g_assert_cmpuint (restless.n_left, >, 0);
  restless.n_left = 0;
  ahci_driver_settle ();
}

/* As long a list as the header can say, of pieces as small as they get: bounded, and refused. */
static void
test_long_list (AhciDisk *f, gconstpointer data)
{
  const AhciDriverCommand read = {
    .command = 0x25, .count = 4, .data = DATA, .size = 2048, .piece = 2
  };
  const AhciDriverCommand many = {
    .command = 0x25, .count = 5, .data = DATA, .size = 2560, .piece = 2
  };

  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &read), ==, GOOD);
  ahci_disk_assert_pattern (ahci_disk_map (f, DATA), 0, 2048);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &many), ==, 0x0451);
}

static void
test_without_bus_master (AhciDisk *f, gconstpointer data)
{
  const AhciDriverCommand read = { .command = 0x25, .count = 1, .data = DATA, .size = 512 };
  const unsigned devfn = AHCI_SLOT << 3 | AHCI_FUNCTION;

  ahci_driver_start (f->driver, PORT);
  pci_bus_config_write (f->driver->bus, devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
  ahci_driver_prepare (f->driver, PORT, 0, &read);
  ahci_disk_set (f, PX_CI, 1);
  ahci_driver_settle ();
  g_assert_cmphex (ahci_disk_get (f, PX_CI), ==, 1);
  pci_bus_config_write (f->driver->bus, devfn, PCI_COMMAND, 2,
                        PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
  ahci_driver_wait (f->driver, PORT, 1);
  g_assert_cmphex (ahci_disk_get (f, PX_TFD), ==, GOOD);
}

#define TEST(name, function)                                                                       \
  g_test_add ("/ahci/" name, AhciDisk, NULL, ahci_disk_set_up, function, ahci_disk_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  /* What a hostile guest does is complained of. */
  g_log_set_always_fatal (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
  TEST ("function", test_function);
  TEST ("link", test_link);
  TEST ("comreset", test_comreset);
  TEST ("hba-reset", test_hba_reset);
  TEST ("narrow-and-wide", test_narrow_and_wide);
  TEST ("interrupt", test_interrupt);
  TEST ("soft-reset", test_soft_reset);
  TEST ("no-memory", test_no_memory);
  TEST ("hostile-10-issued-anew-for-ever", test_issued_anew_for_ever);
  TEST ("hostile-7-stop-in-work", test_stop_in_work);
  TEST ("free-in-work", test_free_in_work);
  TEST ("long-list", test_long_list);
  TEST ("without-bus-master", test_without_bus_master);
  return g_test_run ();
}
