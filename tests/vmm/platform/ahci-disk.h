#pragma once

#include <stdbool.h>

#include "ahci-driver.h"

/* A raw disk in a file, plugged in one port of a controller, and that port's registers: a test's fixture. */
#define AHCI_DISK_SIZE (1u << 20)
#define AHCI_DISK_PORT 2

/* Offsets of a port's registers (AHCI 1.3.1, 3.3), and what PxTFD says after a command that went well. */
enum
{
  PX_IS = 0x10,
  PX_IE = 0x14,
  PX_CMD = 0x18,
  PX_TFD = 0x20,
  PX_SIG = 0x24,
  PX_SSTS = 0x28,
  PX_SERR = 0x30,
  PX_SACT = 0x34,
  PX_CI = 0x38,
  GOOD = 0x50,
};

typedef struct AhciDisk
{
  char *folder;
  char *path;
  AhciDriver *driver;
  unsigned n_no_room;
} AhciDisk;

/* As a test's data: the disk has no io_uring, and its calls are block_calls'. */
extern const char ahci_disk_no_ring[];

/* The file is filled with the pattern; the driver is connected, the port not started. */
void ahci_disk_set_up (AhciDisk *disk, gconstpointer data);
void ahci_disk_tear_down (AhciDisk *disk, gconstpointer data);

uint32_t ahci_disk_get (AhciDisk *disk, unsigned offset);
void ahci_disk_set (AhciDisk *disk, unsigned offset, uint32_t value);
/* 4 KiB of the guest's memory. */
uint8_t *ahci_disk_map (AhciDisk *disk, uint64_t gpa);

void ahci_disk_read_file (AhciDisk *disk, uint64_t offset, void *buffer, size_t size);
/* The bytes are what the file held at first from offset on. */
void ahci_disk_assert_pattern (const uint8_t *bytes, uint64_t offset, unsigned size);
