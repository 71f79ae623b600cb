#pragma once

#include "../pci/fake-host.h"
#include "platform/ahci.h"

/* A guest's side of the controller: one port of it, with lists, tables and data where a driver would put them. Everything runs on
 * the default main context. */
#define AHCI_DRIVER_RAM   (16u << 20)
#define AHCI_DRIVER_LIST  0x10000 /* + port << 12 */
#define AHCI_DRIVER_FIS   0x20000 /* + port << 12 */
#define AHCI_DRIVER_TABLE 0x30000 /* + slot << 12 */
#define AHCI_DRIVER_DATA  0x100000

typedef struct AhciDriver
{
  FakeHost *fake;
  PciBus *bus;
  GuestMemory *memory;
  Ahci *ahci;
  uint64_t abar;
} AhciDriver;

typedef struct AhciDriverCommand
{
  uint8_t command;
  uint8_t device;
  uint16_t features;
  uint16_t count;
  uint64_t lba;
  const uint8_t *cdb; /* 12 bytes, or NULL */
  bool write;
  uint64_t data; /* where; size 0: none */
  uint32_t size;
  uint32_t piece; /* of one PRDT entry; 0: all in one */
} AhciDriverCommand;

/* Plug the drives in, then ahci_driver_connect (). */
AhciDriver *ahci_driver_new (void);
void ahci_driver_connect (AhciDriver *driver);
void ahci_driver_free (AhciDriver *driver);

uint32_t ahci_driver_read (AhciDriver *driver, unsigned offset);
void ahci_driver_write (AhciDriver *driver, unsigned offset, uint32_t value);
uint32_t ahci_driver_read_port (AhciDriver *driver, unsigned port, unsigned offset);
void ahci_driver_write_port (AhciDriver *driver, unsigned port, unsigned offset, uint32_t value);
/* Until nothing more happens by itself. */
void ahci_driver_settle (void);

/* Pointers, FIS engine and command engine on. */
void ahci_driver_start (AhciDriver *driver, unsigned port);
void ahci_driver_stop (AhciDriver *driver, unsigned port);
void ahci_driver_comreset (AhciDriver *driver, unsigned port);
/* Writes header and table of a slot. */
void ahci_driver_prepare (AhciDriver *driver, unsigned port, unsigned slot,
                          const AhciDriverCommand *command);
/* Waits until the slots are in neither CI nor SACT, or an error stops the port. */
void ahci_driver_wait (AhciDriver *driver, unsigned port, uint32_t slots);
/* Prepares slot 0, issues it and waits. Returns PxTFD. */
uint32_t ahci_driver_run (AhciDriver *driver, unsigned port, const AhciDriverCommand *command);
/* PRDBC of a slot. */
uint32_t ahci_driver_get_bytes_done (AhciDriver *driver, unsigned port, unsigned slot);
