#include <string.h>
#include <linux/pci_regs.h>

#include "fake-host.h"
#include "pci/pci-host-bridge.h"

/* A function with a 64-bit BAR 0 of 64 KiB (registers, then MSI-X), a 32-bit BAR 2 of 4 KiB, an I/O BAR 3 and a BAR 4 that is memory. */
#define SLOT       3
#define DEVFN      (SLOT << 3)
#define ECAM       UINT64_C (0xb0000000)
#define BAR0_SIZE  0x10000
#define MSIX_TABLE 0x8000
#define VECTORS    5
#define RAM_SIZE   0x10000
#define BAR(n)     (PCI_BASE_ADDRESS_0 + 4 * (n))

typedef struct Fixture
{
  FakeHost *fake;
  PciBus *bus;
  PciDevice *device;
  unsigned vendor_cap;
  unsigned msix_cap;
  uint8_t *memory;
  uint64_t last_write;
  unsigned resets;
} Fixture;

static uint64_t
bar_read (void *opaque, uint64_t offset, unsigned size)
{
  Fixture *f = opaque;

  if (offset >= MSIX_TABLE)
    return pci_device_msix_read (f->device, offset - MSIX_TABLE, size);
  return 0x1122334455667788 + offset;
}

static void
bar_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Fixture *f = opaque;

  if (offset >= MSIX_TABLE)
    pci_device_msix_write (f->device, offset - MSIX_TABLE, size, value);
  f->last_write = offset;
}

static const AddressOps bar_ops = { bar_read, bar_write };

static void
on_reset (void *opaque)
{
  Fixture *f = opaque;
  f->resets++;
}

static const PciDeviceOps device_ops = { .reset = on_reset };

static const PciIdentity identity = { .vendor = 0x1234,
                                      .device = 0x5678,
                                      .subsystem_vendor = 0x1af4,
                                      .subsystem_device = 0x1100,
                                      .revision = 7,
                                      .class_code = 0x018000 };
static const PciWindows windows = { .mmio32 = { 0xc0000000, 0x1000000 },
                                    .mmio64 = { UINT64_C (0x800000000), UINT64_C (0x100000000) },
                                    .io = { 0xc000, 0x1000 } };

static void
setup (Fixture *f, gconstpointer data)
{
  static const uint8_t pin = 1;

  f->fake = fake_host_new ();
  f->bus = pci_bus_new (&f->fake->host);
  pci_bus_set_ecam (f->bus, ECAM, PCI_ECAM_SIZE);
  f->memory = g_malloc0 (RAM_SIZE);
  f->device = pci_device_new ("thing", &identity, &device_ops, f);
  pci_device_set_config (f->device, PCI_INTERRUPT_PIN, &pin, 1);
  pci_device_add_bar (f->device, 0, PCI_BAR_64, BAR0_SIZE, &bar_ops, f);
  pci_device_add_bar (f->device, 2, PCI_BAR_32, 0x1000, &bar_ops, f);
  pci_device_add_bar (f->device, 3, PCI_BAR_IO, 0x20, &bar_ops, f);
  pci_device_add_ram_bar (f->device, 4, PCI_BAR_PREFETCHABLE, f->memory, RAM_SIZE, true);
  f->vendor_cap = pci_device_add_capability (f->device, PCI_CAP_ID_VNDR, "\x06xyz", 4);
  g_assert_true (pci_device_add_msix (f->device, 0, MSIX_TABLE, VECTORS, NULL));
  g_assert_true (pci_bus_add (f->bus, f->device, SLOT, 0, NULL));
}

static void
teardown (Fixture *f, gconstpointer data)
{
  pci_device_free (f->device);
  pci_bus_free (f->bus);
  fake_host_free (f->fake);
  g_free (f->memory);
}

static uint32_t
get (Fixture *f, unsigned offset, unsigned size)
{
  return pci_bus_config_read (f->bus, DEVFN, offset, size) &
         (size == 4 ? UINT32_MAX : (1u << (8 * size)) - 1);
}

static void
set (Fixture *f, unsigned offset, unsigned size, uint32_t value)
{
  pci_bus_config_write (f->bus, DEVFN, offset, size, value);
}

static void
test_header (Fixture *f, gconstpointer data)
{
  g_assert_cmphex (get (f, 0, 4), ==, 0x56781234);
  g_assert_cmphex (get (f, 8, 4), ==, 0x01800007);
  g_assert_cmphex (get (f, 0x2c, 4), ==, 0x11001af4);
  set (f, 0, 4, 0);
  set (f, 8, 4, 0);
  g_assert_cmphex (get (f, 0, 4), ==, 0x56781234);
  g_assert_cmphex (get (f, 8, 4), ==, 0x01800007);
  set (f, PCI_INTERRUPT_LINE, 1, 11);
  g_assert_cmphex (get (f, PCI_INTERRUPT_LINE, 2), ==, 0x010b);
}

static void
test_capabilities (Fixture *f, gconstpointer data)
{
  unsigned at = get (f, PCI_CAPABILITY_LIST, 1);

  g_assert_true (get (f, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
  g_assert_cmphex (get (f, at, 1), ==, PCI_CAP_ID_VNDR);
  g_assert_cmphex (get (f, at + 2, 4), ==, 0x7a797806);
  at = get (f, at + 1, 1);
  g_assert_cmphex (at % 4, ==, 0);
  g_assert_cmphex (get (f, at, 1), ==, PCI_CAP_ID_MSIX);
  g_assert_cmphex (get (f, at + PCI_MSIX_FLAGS, 2), ==, VECTORS - 1);
  g_assert_cmphex (get (f, at + PCI_MSIX_TABLE, 4), ==, MSIX_TABLE);
  g_assert_cmphex (get (f, at + PCI_MSIX_PBA, 4), ==, MSIX_TABLE + PCI_MSIX_PBA_STEP);
  g_assert_cmphex (get (f, at + 1, 1), ==, 0);
}

/* Hostile-guest list, 16: widths and alignments that no driver uses. */
static void
test_any_width_and_alignment (Fixture *f, gconstpointer data)
{
  uint8_t bytes[PCI_CONFIG_SIZE + 16];

  for (unsigned i = 0; i < sizeof bytes; i++)
    bytes[i] = pci_bus_config_read (f->bus, DEVFN, i, 1);
  g_assert_cmphex (bytes[PCI_CONFIG_SIZE], ==, 0xff);
  for (unsigned offset = 0; offset < PCI_CONFIG_SIZE + 8; offset++)
    for (unsigned size = 1; size <= 8; size++)
      {
        uint64_t value = pci_bus_config_read (f->bus, DEVFN, offset, size);

        for (unsigned i = 0; i < size; i++)
          g_assert_cmphex ((value >> (8 * i)) & 0xff, ==, bytes[offset + i]);
      }
  for (unsigned offset = 0; offset < 4096; offset += 3)
    for (unsigned size = 1; size <= 8; size++)
      pci_bus_config_write (f->bus, DEVFN, offset, size, UINT64_MAX);
  g_assert_cmphex (get (f, 0, 4), ==, 0x56781234);
}

static void
test_ecam (Fixture *f, gconstpointer data)
{
  const uint64_t function = ECAM + DEVFN * 4096;

  g_assert_cmphex (address_space_read (f->fake->mmio, function, 4), ==, 0x56781234);
  g_assert_cmphex (address_space_read (f->fake->mmio, function + 2, 2), ==, 0x5678);
  g_assert_cmphex (address_space_read (f->fake->mmio, function + 0xff, 2) >> 8, ==, 0xff);
  g_assert_cmphex (address_space_read (f->fake->mmio, function + 256, 4), ==, UINT32_MAX);
  g_assert_cmphex (address_space_read (f->fake->mmio, function + 4095, 8), ==, UINT64_MAX);
  g_assert_cmphex (address_space_read (f->fake->mmio, function + 4096, 4), ==, UINT32_MAX);
  g_assert_cmphex (address_space_read (f->fake->mmio, ECAM + (1 << 20) + DEVFN * 4096, 4), ==,
                   UINT32_MAX);
  address_space_write (f->fake->mmio, function + PCI_INTERRUPT_LINE, 1, 9);
  g_assert_cmphex (get (f, PCI_INTERRUPT_LINE, 1), ==, 9);
  pci_bus_set_ecam (f->bus, 0, 0);
  g_assert_cmphex (address_space_read (f->fake->mmio, function, 4), ==, UINT32_MAX);
}

/* Hostile-guest list, 16: ECAM by any width and alignment, over the edges of registers, functions and the region. */
static void
test_ecam_widths (Fixture *f, gconstpointer data)
{
  const uint64_t function = ECAM + DEVFN * 4096;
  AddressSpace *mmio = f->fake->mmio;
  uint8_t bytes[PCI_CONFIG_SIZE + 16];

  for (unsigned i = 0; i < sizeof bytes; i++)
    bytes[i] = address_space_read (mmio, function + i, 1);
  for (unsigned size = 1; size <= 8; size *= 2)
    for (unsigned at = 0; at + size <= sizeof bytes; at++)
      {
        const uint64_t value = address_space_read (mmio, function + at, size);

        for (unsigned i = 0; i < size; i++)
          g_assert_cmphex (value >> (8 * i) & 0xff, ==, bytes[at + i]);
      }
  /* A write of part of a register changes that part; one beyond config space, nothing. */
  set (f, BAR (2), 4, 0xc0dd1000);
  address_space_write (mmio, function + BAR (2) + 1, 1, 0x50);
  g_assert_cmphex (get (f, BAR (2), 4), ==, 0xc0dd5000);
  address_space_write (mmio, function + BAR (2) + 1, 2, 0xee20);
  g_assert_cmphex (get (f, BAR (2), 4), ==, 0xc0ee2000);
  address_space_write (mmio, function + BAR (1) + 2, 8, UINT64_C (0x333344445555));
  g_assert_cmphex (get (f, BAR (2), 4), ==, 0x33334000);
  for (unsigned at = PCI_CONFIG_SIZE - 7; at < 4096; at += 5)
    address_space_write (mmio, function + at, 8, UINT64_MAX);
  address_space_write (mmio, ECAM + PCI_ECAM_SIZE - 1, 8, 0);
  g_assert_cmphex (address_space_read (mmio, ECAM + PCI_ECAM_SIZE - 1, 8), ==, UINT64_MAX);
  g_assert_cmphex (get (f, 0, 4), ==, 0x56781234);
}

static void
test_ports (Fixture *f, gconstpointer data)
{
  AddressSpace *ports = f->fake->ports;

  address_space_write (ports, 0xcf8, 4, 0x80000000u | DEVFN << 8);
  g_assert_cmphex (address_space_read (ports, 0xcf8, 4), ==, 0x80000000u | DEVFN << 8);
  g_assert_cmphex (address_space_read (ports, 0xcfc, 4), ==, 0x56781234);
  g_assert_cmphex (address_space_read (ports, 0xcfe, 2), ==, 0x5678);
  g_assert_cmphex (address_space_read (ports, 0xcff, 1), ==, 0x56);
  address_space_write (ports, 0xcf8, 4, 0x80000000u | DEVFN << 8 | PCI_INTERRUPT_LINE);
  address_space_write (ports, 0xcfc, 1, 5);
  g_assert_cmphex (get (f, PCI_INTERRUPT_LINE, 1), ==, 5);
  /* Not enabled, another bus, no such function. */
  address_space_write (ports, 0xcf8, 4, DEVFN << 8);
  g_assert_cmphex (address_space_read (ports, 0xcfc, 4), ==, UINT32_MAX);
  address_space_write (ports, 0xcf8, 4, 0x80010000u | DEVFN << 8);
  g_assert_cmphex (address_space_read (ports, 0xcfc, 4), ==, UINT32_MAX);
  address_space_write (ports, 0xcf8, 4, 0x80000000u | (DEVFN + 1) << 8);
  g_assert_cmphex (address_space_read (ports, 0xcfc, 4), ==, UINT32_MAX);
  /* Not the address register: narrower, or beside it. */
  address_space_write (ports, 0xcf8, 1, 0);
  address_space_write (ports, 0xcfa, 2, 0);
  g_assert_cmphex (address_space_read (ports, 0xcf8, 4), ==, 0x80000000u | (DEVFN + 1) << 8);
}

static void
test_reset_control (Fixture *f, gconstpointer data)
{
  address_space_write (f->fake->ports, 0xcf9, 1, 0x02);
  g_assert_cmpuint (f->fake->resets, ==, 0);
  address_space_write (f->fake->ports, 0xcf9, 1, 0x06);
  g_assert_cmpuint (f->fake->resets, ==, 1);
  g_assert_cmphex (address_space_read (f->fake->ports, 0xcf9, 1), ==, 0x06);
}

static void
test_bar_sizing (Fixture *f, gconstpointer data)
{
  set (f, BAR (0), 4, UINT32_MAX);
  set (f, BAR (1), 4, UINT32_MAX);
  g_assert_cmphex (get (f, BAR (0), 4), ==, 0xffff0004);
  g_assert_cmphex (get (f, BAR (1), 4), ==, UINT32_MAX);
  set (f, BAR (2), 4, UINT32_MAX);
  g_assert_cmphex (get (f, BAR (2), 4), ==, 0xfffff000);
  set (f, BAR (3), 4, UINT32_MAX);
  g_assert_cmphex (get (f, BAR (3), 4), ==, 0xffffffe1);
  set (f, BAR (4), 4, UINT32_MAX);
  g_assert_cmphex (get (f, BAR (4), 4), ==, 0xffff0008);
  set (f, BAR (5), 4, UINT32_MAX);
  g_assert_cmphex (get (f, BAR (5), 4), ==, 0);
  set (f, PCI_ROM_ADDRESS, 4, UINT32_MAX);
  g_assert_cmphex (get (f, PCI_ROM_ADDRESS, 4), ==, 0);
}

static void place_and_switch_on (Fixture *f);

/* The same with decoding on, as Linux does not and old systems do: while it is all ones the BAR is nowhere, and back at once. */
static void
test_sizing_while_enabled (Fixture *f, gconstpointer data)
{
  static const struct
  {
    unsigned bar;
    uint32_t size_bits;
  } cases[] = { { 0, 0xffff0004 }, { 2, 0xfffff000 }, { 3, 0xffffffe1 }, { 4, 0xffff0008 } };

  place_and_switch_on (f);
  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const uint32_t before = get (f, BAR (cases[i].bar), 4);
      const uint64_t address = pci_device_get_bar_address (f->device, cases[i].bar);

      g_assert_cmphex (address, !=, 0);
      set (f, BAR (cases[i].bar), 4, UINT32_MAX);
      g_assert_cmphex (get (f, BAR (cases[i].bar), 4), ==, cases[i].size_bits);
      g_assert_cmphex (pci_device_get_bar_address (f->device, cases[i].bar), ==, 0);
      set (f, BAR (cases[i].bar), 4, before);
      g_assert_cmphex (pci_device_get_bar_address (f->device, cases[i].bar), ==, address);
    }
}

static void
test_assign_resources (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (pci_bus_assign_resources (f->bus, &windows, &error));
  g_assert_no_error (error);
  /* Placed, but only a screen is switched on as well. */
  g_assert_cmphex (get (f, PCI_COMMAND, 2), ==, 0);
  g_assert_cmphex (get (f, BAR (0), 4) & ~15u, >=, windows.mmio32.base);
  g_assert_cmphex (pci_device_get_bar_address (f->device, 0), ==, 0);
  set (f, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
  for (unsigned i = 0; i < 5; i += i == 0 ? 2 : 1)
    {
      const uint64_t address = pci_device_get_bar_address (f->device, i);
      const PciWindow *window = i == 3 ? &windows.io : &windows.mmio32;

      g_assert_cmphex (address, >=, window->base);
      g_assert_cmphex (address, <, window->base + window->size);
    }
  const uint64_t bar0 = pci_device_get_bar_address (f->device, 0);
  const uint64_t bar4 = pci_device_get_bar_address (f->device, 4);
  g_assert_cmphex (bar0 % BAR0_SIZE, ==, 0);
  g_assert_cmphex (bar4 % RAM_SIZE, ==, 0);
  g_assert_cmphex (bar0, !=, bar4);
  g_assert_cmphex (address_space_read (f->fake->mmio, bar0 + 8, 8), ==, 0x1122334455667790);
  g_assert_true (f->fake->slots[0].used);
  g_assert_cmphex (f->fake->slots[0].gpa, ==, bar4);
  g_assert_cmphex (get (f, PCI_INTERRUPT_LINE, 1), ==, pci_bus_get_gsi (f->bus, SLOT, 0));
  uint64_t bitmap;
  g_assert_true (pci_device_get_ram_bar_dirty (f->device, 4, &bitmap));
  g_assert_cmphex (bitmap, ==, 5);
}

static void
place_and_switch_on (Fixture *f)
{
  g_assert_true (pci_bus_assign_resources (f->bus, &windows, NULL));
  set (f, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

static void
test_no_room (Fixture *f, gconstpointer data)
{
  const PciWindows tight = { .mmio32 = { 0xc0000000, 0x11000 }, .io = { 0xc000, 0x20 } };
  const PciWindows with_64 = { .mmio32 = { 0xc0008000, 0x19000 },
                               .mmio64 = windows.mmio64,
                               .io = windows.io };
  g_autoptr (GError) error = NULL;

  g_assert_false (pci_bus_assign_resources (f->bus, &tight, &error));
  g_assert_nonnull (strstr (error->message, "thing: no room for BAR"));
  g_assert_true (pci_bus_assign_resources (f->bus, &with_64, NULL));
}

/* Hostile-guest list, 16: sizing while decoding is on, moves under a doorbell, places where nothing can be. */
static void
test_bar_moves (Fixture *f, gconstpointer data)
{
  AddressSpace *mmio = f->fake->mmio;

  place_and_switch_on (f);
  const uint64_t first = pci_device_get_bar_address (f->device, 0);
  pci_device_add_doorbell (f->device, 0, 0x100, 99);
  pci_device_add_doorbell (f->device, 0, 0x104, 98);
  g_assert_cmpint (fake_host_find_doorbell (f->fake, first + 0x100)->eventfd, ==, 99);

  /* Sized while on: gone for as long. */
  set (f, BAR (0), 4, UINT32_MAX);
  g_assert_cmphex (pci_device_get_bar_address (f->device, 0), ==, 0);
  g_assert_cmpuint (fake_host_count_doorbells (f->fake), ==, 0);
  g_assert_cmphex (address_space_read (mmio, first, 4), ==, UINT32_MAX);
  set (f, BAR (0), 4, 0xd0000000);
  g_assert_cmphex (pci_device_get_bar_address (f->device, 0), ==, 0xd0000000);
  g_assert_nonnull (fake_host_find_doorbell (f->fake, 0xd0000104));
  g_assert_cmphex (address_space_read (mmio, 0xd0000000, 8), ==, 0x1122334455667788);

  set (f, BAR (1), 4, 0x12);
  g_assert_nonnull (fake_host_find_doorbell (f->fake, UINT64_C (0x12d0000100)));
  set (f, BAR (1), 4, 0xfff00000); /* beyond any address */
  g_assert_cmphex (pci_device_get_bar_address (f->device, 0), ==, 0);
  set (f, BAR (1), 4, 0);
  set (f, BAR (0), 4, 0);
  g_assert_cmphex (pci_device_get_bar_address (f->device, 0), ==, 0);
  g_assert_cmphex (address_space_read (mmio, 0, 4), ==, UINT32_MAX);
  set (f, BAR (0), 4, 0xd0000000);
  set (f, PCI_COMMAND, 2, 0);
  g_assert_cmphex (pci_device_get_bar_address (f->device, 0), ==, 0);
  g_assert_cmpuint (fake_host_count_doorbells (f->fake), ==, 0);
  set (f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
  g_assert_cmpuint (fake_host_count_doorbells (f->fake), ==, 2);
  pci_device_remove_doorbells (f->device);
  g_assert_cmpuint (fake_host_count_doorbells (f->fake), ==, 0);
}

static void
test_io_bar_wraps (Fixture *f, gconstpointer data)
{
  set (f, BAR (3), 4, 0xffffffe0);
  set (f, PCI_COMMAND, 2, PCI_COMMAND_IO);
  g_assert_cmphex (pci_device_get_bar_address (f->device, 3), ==, 0);
  set (f, BAR (3), 4, 0xff80);
  g_assert_cmphex (pci_device_get_bar_address (f->device, 3), ==, 0xff80);
  g_assert_cmphex (address_space_read (f->fake->ports, 0xff80, 4), ==, 0x55667788);
}

/* RAM put where the machine refuses it is not there; the guest goes on. */
static void
test_ram_bar_over_ram (Fixture *f, gconstpointer data)
{
  f->fake->refuse_slots = true;
  set (f, BAR (4), 4, 0x100000);
  g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "thing: guest: BAR 4*");
  set (f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
  g_test_assert_expected_messages ();
  g_assert_cmphex (pci_device_get_bar_address (f->device, 4), ==, 0);
  f->fake->refuse_slots = false;
  set (f, BAR (4), 4, 0xe0000000);
  g_assert_cmphex (f->fake->slots[0].gpa, ==, 0xe0000000);
}

static uint64_t
msix_address (Fixture *f)
{
  return pci_device_get_bar_address (f->device, 0) + MSIX_TABLE;
}

static void
enable_msix (Fixture *f)
{
  place_and_switch_on (f);
  f->msix_cap = get (f, f->vendor_cap + 1, 1);
  set (f, f->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

static void
program_vector (Fixture *f, unsigned vector, uint64_t address, uint32_t value, uint32_t control)
{
  const uint64_t entry = msix_address (f) + 16 * vector;

  address_space_write (f->fake->mmio, entry, 8, address);
  address_space_write (f->fake->mmio, entry + 8, 4, value);
  address_space_write (f->fake->mmio, entry + 12, 4, control);
}

static FakeRoute *
route_of (Fixture *f, unsigned vector)
{
  return fake_host_find_route (f->fake, pci_device_get_msix_eventfd (f->device, vector));
}

static bool
is_pending (Fixture *f, unsigned vector)
{
  return address_space_read (f->fake->mmio, msix_address (f) + PCI_MSIX_PBA_STEP, 4) >> vector & 1;
}

static void
test_msix (Fixture *f, gconstpointer data)
{
  enable_msix (f);
  g_assert_true (pci_device_msix_is_enabled (f->device));
  g_assert_false (route_of (f, 2)->open);
  pci_device_msix_signal (f->device, 2);
  g_assert_true (is_pending (f, 2));
  g_assert_false (is_pending (f, 1));
  program_vector (f, 2, 0xfee01000, 0x4041, 0);
  g_assert_true (route_of (f, 2)->open);
  g_assert_cmphex (route_of (f, 2)->message.address, ==, 0xfee01000);
  g_assert_cmphex (route_of (f, 2)->message.data, ==, 0x4041);
  g_assert_false (is_pending (f, 2));
  /* Mask, new message, unmask: as a kernel moves an interrupt to another CPU. Two changes, not four. */
  const unsigned changes = route_of (f, 2)->changes;
  program_vector (f, 2, 0xfee01000, 0x4041, 1);
  g_assert_false (route_of (f, 2)->open);
  program_vector (f, 2, 0xfee02000, 0x4242, 0);
  g_assert_cmphex (route_of (f, 2)->message.address, ==, 0xfee02000);
  g_assert_cmpuint (route_of (f, 2)->changes, ==, changes + 2);
  /* The whole function. */
  set (f, f->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
  g_assert_false (route_of (f, 2)->open);
  set (f, f->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
  g_assert_true (route_of (f, 2)->open);
  set (f, f->msix_cap + PCI_MSIX_FLAGS, 2, 0);
  g_assert_false (route_of (f, 2)->open);
  g_assert_false (pci_device_msix_is_enabled (f->device));
}

/* Hostile-guest list, 16: the MSI-X table out of bounds. */
static void
test_msix_out_of_bounds (Fixture *f, gconstpointer data)
{
  enable_msix (f);
  for (uint64_t offset = 0; offset < 0x2000; offset += 3)
    for (unsigned size = 1; size <= 8; size *= 2)
      {
        address_space_write (f->fake->mmio, msix_address (f) + offset, size, UINT64_MAX);
        address_space_read (f->fake->mmio, msix_address (f) + offset, size);
      }
  g_assert_cmphex (address_space_read (f->fake->mmio, msix_address (f) + 16 * VECTORS, 8), ==, 0);
  g_assert_false (is_pending (f, 0));
  g_assert_cmpint (pci_device_get_msix_eventfd (f->device, VECTORS), ==, -1);
  pci_device_msix_signal (f->device, VECTORS);
  pci_device_msix_signal (f->device, UINT32_MAX);
}

static void
test_intx (Fixture *f, gconstpointer data)
{
  const unsigned gsi = pci_bus_get_gsi (f->bus, SLOT, 0);
  PciDevice *other = pci_device_new ("other", &identity, NULL, NULL);

  g_assert_true (pci_bus_add (f->bus, other, SLOT + 4, 0, NULL)); /* the same line */
  g_assert_cmpuint (pci_bus_get_gsi (f->bus, SLOT + 4, 0), ==, gsi);
  pci_device_set_intx (f->device, true);
  g_assert_true (f->fake->levels[gsi]);
  g_assert_true (get (f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
  pci_device_set_intx (other, true);
  pci_device_set_intx (f->device, false);
  g_assert_true (f->fake->levels[gsi]);
  pci_device_set_intx (f->device, true);
  pci_device_set_intx (other, false);
  g_assert_true (f->fake->levels[gsi]);
  set (f, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
  g_assert_false (f->fake->levels[gsi]);
  g_assert_true (get (f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
  set (f, PCI_COMMAND, 2, 0);
  g_assert_true (f->fake->levels[gsi]);
  pci_device_set_intx (f->device, false);
  g_assert_false (f->fake->levels[gsi]);
  g_assert_cmpuint (f->fake->level_changes, ==, 4);
  pci_device_free (other);
}

static void
test_reset (Fixture *f, gconstpointer data)
{
  enable_msix (f);
  program_vector (f, 0, 0xfee00000, 1, 0);
  pci_device_msix_signal (f->device, 1);
  pci_device_set_intx (f->device, true);
  set (f, PCI_INTERRUPT_LINE, 1, 0x33);
  pci_bus_reset (f->bus);
  g_assert_cmpuint (f->resets, ==, 1);
  g_assert_cmphex (get (f, PCI_COMMAND, 2), ==, 0);
  g_assert_cmphex (get (f, BAR (0), 4), ==, 4);
  g_assert_cmphex (get (f, PCI_INTERRUPT_LINE, 1), ==, 0);
  g_assert_cmphex (pci_device_get_bar_address (f->device, 0), ==, 0);
  g_assert_false (f->fake->slots[0].used);
  g_assert_false (route_of (f, 0)->open);
  enable_msix (f);
  g_assert_false (is_pending (f, 1));
  g_assert_cmphex (address_space_read (f->fake->mmio, msix_address (f) + 12, 4), ==, 1);
}

static void
test_bus_places (Fixture *f, gconstpointer data)
{
  PciDevice *device = pci_device_new ("more", &identity, NULL, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_false (pci_bus_add (f->bus, device, SLOT, 0, &error));
  g_assert_nonnull (strstr (error->message, "more: there is no free place"));
  g_assert_true (pci_bus_add (f->bus, device, PCI_SLOT_ANY, 0, NULL));
  g_assert_cmphex (pci_bus_config_read (f->bus, 1 << 3, 0, 4) & UINT32_MAX, ==, 0x56781234);
  pci_device_free (device);
  g_assert_cmphex (pci_bus_config_read (f->bus, 1 << 3, 0, 4) & UINT32_MAX, ==, UINT32_MAX);
}

static void
test_host_bridge (Fixture *f, gconstpointer data)
{
  AddressSpace *mmio = f->fake->mmio;
  g_autoptr (PciHostBridge) bridge = pci_host_bridge_new (f->bus, ECAM, NULL);

  g_assert_nonnull (bridge);
  g_assert_cmphex (address_space_read (mmio, ECAM, 4), ==, 0x29c08086);
  g_assert_cmphex (address_space_read (mmio, ECAM + 8, 4) >> 8, ==, 0x060000);
  g_assert_cmphex (address_space_read (mmio, ECAM + 0x60, 4), ==, ECAM | 1);
  /* As newer firmware does: moved, and used at once. */
  pci_bus_config_write (f->bus, 0, 0x60, 4, 0xe0000001);
  g_assert_cmphex (address_space_read (mmio, ECAM, 4), ==, UINT32_MAX);
  g_assert_cmphex (address_space_read (mmio, 0xe0000000, 4), ==, 0x29c08086);
  /* 64 MiB, then off. */
  pci_bus_config_write (f->bus, 0, 0x60, 4, 0xe4000005);
  g_assert_cmphex (address_space_read (mmio, 0xe4000000, 4), ==, 0x29c08086);
  pci_bus_config_write (f->bus, 0, 0x60, 4, 0xe4000000);
  g_assert_cmphex (address_space_read (mmio, 0xe4000000, 4), ==, UINT32_MAX);
  pci_bus_config_write (f->bus, 0, 0x60, 8, UINT64_MAX);
  pci_bus_config_write (f->bus, 0, 0x60, 8, 0);
  pci_bus_reset (f->bus);
  g_assert_cmphex (address_space_read (mmio, ECAM, 4), ==, 0x29c08086);
}

#define ADD(name, func) g_test_add ("/pci/" name, Fixture, NULL, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("header", test_header);
  ADD ("capabilities", test_capabilities);
  ADD ("hostile-16-any-width-and-alignment", test_any_width_and_alignment);
  ADD ("ecam", test_ecam);
  ADD ("hostile-16-ecam-widths", test_ecam_widths);
  ADD ("ports", test_ports);
  ADD ("reset-control", test_reset_control);
  ADD ("hostile-16-bar-sizing", test_bar_sizing);
  ADD ("hostile-16-sizing-while-enabled", test_sizing_while_enabled);
  ADD ("assign-resources", test_assign_resources);
  ADD ("no-room", test_no_room);
  ADD ("hostile-16-bar-moves", test_bar_moves);
  ADD ("hostile-16-io-bar-wraps", test_io_bar_wraps);
  ADD ("hostile-16-ram-bar-over-ram", test_ram_bar_over_ram);
  ADD ("msix", test_msix);
  ADD ("hostile-16-msix-out-of-bounds", test_msix_out_of_bounds);
  ADD ("intx", test_intx);
  ADD ("reset", test_reset);
  ADD ("bus-places", test_bus_places);
  ADD ("host-bridge", test_host_bridge);
  return g_test_run ();
}
