#include "ahci-driver.h"

#include <string.h>
#include <linux/pci_regs.h>

#define DEVFN  (AHCI_SLOT << 3 | AHCI_FUNCTION)
#define ERRORS 0x70000000u /* PxIS: task file and bus errors */

static const PciWindows windows = { .mmio32 = { 0xc0000000, 0x1000000 }, .io = { 0xc000, 0x1000 } };

AhciDriver *
ahci_driver_new (void)
{
  AhciDriver *driver = g_new0 (AhciDriver, 1);

  driver->fake = fake_host_new ();
  driver->bus = pci_bus_new (&driver->fake->host);
  driver->memory =
      guest_memory_new (AHCI_DRIVER_RAM, AHCI_DRIVER_RAM, 2 * (uint64_t) AHCI_DRIVER_RAM, NULL);
  driver->ahci = ahci_new (driver->memory, g_main_context_default ());
  return driver;
}

void
ahci_driver_connect (AhciDriver *driver)
{
  g_assert_true (pci_bus_add (driver->bus, ahci_get_pci_device (driver->ahci), AHCI_SLOT,
                              AHCI_FUNCTION, NULL));
  pci_bus_reset (driver->bus);
  g_assert_true (pci_bus_assign_resources (driver->bus, &windows, NULL));
  const uint64_t command = pci_bus_config_read (driver->bus, DEVFN, PCI_COMMAND, 2);
  pci_bus_config_write (driver->bus, DEVFN, PCI_COMMAND, 2,
                        command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
  driver->abar = pci_device_get_bar_address (ahci_get_pci_device (driver->ahci), 5);
  g_assert_cmphex (driver->abar, !=, 0);
  ahci_driver_settle ();
}

void
ahci_driver_free (AhciDriver *driver)
{
  ahci_free (driver->ahci);
  pci_bus_free (driver->bus);
  fake_host_free (driver->fake);
  guest_memory_free (driver->memory);
  g_free (driver);
}

uint32_t
ahci_driver_read (AhciDriver *driver, unsigned offset)
{
  return address_space_read (driver->fake->mmio, driver->abar + offset, 4);
}

void
ahci_driver_write (AhciDriver *driver, unsigned offset, uint32_t value)
{
  address_space_write (driver->fake->mmio, driver->abar + offset, 4, value);
}

uint32_t
ahci_driver_read_port (AhciDriver *driver, unsigned port, unsigned offset)
{
  return ahci_driver_read (driver, 0x100 + port * 0x80 + offset);
}

void
ahci_driver_write_port (AhciDriver *driver, unsigned port, unsigned offset, uint32_t value)
{
  ahci_driver_write (driver, 0x100 + port * 0x80 + offset, value);
}

void
ahci_driver_settle (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

void
ahci_driver_start (AhciDriver *driver, unsigned port)
{
  ahci_driver_write_port (driver, port, 0x00, AHCI_DRIVER_LIST + (port << 12));
  ahci_driver_write_port (driver, port, 0x04, 0);
  ahci_driver_write_port (driver, port, 0x08, AHCI_DRIVER_FIS + (port << 12));
  ahci_driver_write_port (driver, port, 0x0c, 0);
  ahci_driver_write_port (driver, port, 0x18, 0x10);
  ahci_driver_settle ();
  ahci_driver_write_port (driver, port, 0x30, UINT32_MAX);
  ahci_driver_write_port (driver, port, 0x10, UINT32_MAX);
  ahci_driver_write_port (driver, port, 0x18, 0x11);
}

void
ahci_driver_stop (AhciDriver *driver, unsigned port)
{
  ahci_driver_write_port (driver, port, 0x18, 0x10);
  while (ahci_driver_read_port (driver, port, 0x18) & 1u << 15)
    g_main_context_iteration (NULL, TRUE);
}

void
ahci_driver_comreset (AhciDriver *driver, unsigned port)
{
  ahci_driver_write_port (driver, port, 0x2c, 0x301);
  ahci_driver_settle ();
  ahci_driver_write_port (driver, port, 0x2c, 0x300);
  ahci_driver_settle ();
}

static void
put_u32 (uint8_t *bytes, uint32_t value)
{
  for (unsigned i = 0; i < 4; i++)
    bytes[i] = value >> (8 * i);
}

void
ahci_driver_prepare (AhciDriver *driver, unsigned port, unsigned slot,
                     const AhciDriverCommand *command)
{
  const uint64_t table = AHCI_DRIVER_TABLE + (slot << 12);
  uint8_t head[32] = { 0 }, fis[0x80] = { 0x27, 0x80, command->command };
  const uint32_t piece = command->piece ? command->piece : command->size;
  unsigned n = 0;

  fis[3] = command->features;
  fis[11] = command->features >> 8;
  fis[7] = command->device;
  for (unsigned i = 0; i < 3; i++)
    {
      fis[4 + i] = command->lba >> (8 * i);
      fis[8 + i] = command->lba >> (24 + 8 * i);
    }
  fis[12] = command->count;
  fis[13] = command->count >> 8;
  if (command->cdb)
    memcpy (fis + 0x40, command->cdb, 12);
  for (uint32_t done = 0; done < command->size; done += piece, n++)
    {
      uint8_t entry[16] = { 0 };

      put_u32 (entry, command->data + done);
      put_u32 (entry + 12, MIN (piece, command->size - done) - 1);
      g_assert_true (
          guest_memory_write (driver->memory, table + 0x80 + 16 * n, entry, sizeof entry));
    }
  put_u32 (head, 5 | (command->cdb ? 1 << 5 : 0) | (command->write ? 1 << 6 : 0) | n << 16);
  put_u32 (head + 8, table);
  g_assert_true (guest_memory_write (driver->memory, table, fis, sizeof fis));
  g_assert_true (guest_memory_write (driver->memory, AHCI_DRIVER_LIST + (port << 12) + 32 * slot,
                                     head, sizeof head));
}

void
ahci_driver_wait (AhciDriver *driver, unsigned port, uint32_t slots)
{
  while (
      ((ahci_driver_read_port (driver, port, 0x38) | ahci_driver_read_port (driver, port, 0x34)) &
       slots) &&
      !(ahci_driver_read_port (driver, port, 0x10) & ERRORS))
    g_main_context_iteration (NULL, TRUE);
}

uint32_t
ahci_driver_run (AhciDriver *driver, unsigned port, const AhciDriverCommand *command)
{
  ahci_driver_prepare (driver, port, 0, command);
  ahci_driver_write_port (driver, port, 0x38, 1);
  ahci_driver_wait (driver, port, 1);
  return ahci_driver_read_port (driver, port, 0x20);
}

uint32_t
ahci_driver_get_bytes_done (AhciDriver *driver, unsigned port, unsigned slot)
{
  uint8_t bytes[4];

  g_assert_true (guest_memory_read (driver->memory, AHCI_DRIVER_LIST + (port << 12) + 32 * slot + 4,
                                    bytes, sizeof bytes));
  return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (uint32_t) bytes[3] << 24;
}
