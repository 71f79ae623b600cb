#pragma once

#include "block/block-qcow2.h"
#include "bus/address-space.h"
#include "bus/guest-memory.h"
#include "firmware/e820.h"
#include "firmware/linux-boot.h"
#include "firmware/uefi.h"
#include "kvm/kvm-vm.h"
#include "machine/board.h"
#include "machine/boot-order.h"
#include "net/net-user.h"
#include "pci/pci-bus.h"
#include "platform/ahci.h"
#include "platform/boot-framebuffer.h"
#include "platform/cd-drive.h"
#include "platform/fw-cfg.h"
#include "platform/ged.h"
#include "platform/pm.h"
#include "ports/char-port.h"
#include "ports/input-port.h"
#include "ports/scanout-port.h"
#include "virtio/virtio-balloon.h"
#include "virtio/virtio-gpu.h"

/* What device-table.c connects its devices to. */
typedef struct BoardDevice
{
  const char *name;
  void *device;
  void (*reset) (void *device); /* or NULL */
  void (*free) (void *device);
} BoardDevice;

typedef struct BoardDisk BoardDisk;

/* Outlives the controller, whose drives know it. */
typedef struct BoardSataDisk
{
  Board *board;
  unsigned index;
  struct StorageDaemon *daemon; /* not raw, or NULL; and so the next */
  struct BlockNbd *nbd;         /* the drive's */
  BlockQcow2 qcow2;             /* on top of it, or nothing; the drive's */
  struct RoomWatch *room;
  uint64_t size;
} BoardSataDisk;

struct Board
{
  BoardConfig config;
  GuestMemory *memory;
  AddressSpace *mmio;
  AddressSpace *ports;
  KvmVm *kvm;
  LinuxBoot *linux_boot; /* one of the two; the other is NULL */
  Uefi *uefi;
  E820Map e820;
  BootOrder *boot_order; /* what there is */
  VmBoot boot;           /* what is first at the next power-on */
  bool boot_menu;
  GArray *devices; /* BoardDevice, in the order of making */

  /* Made by their lines of the table; borrowed from there. */
  CharPort *serial_port; /* or NULL */
  Pm *pm;                /* with firmware, else NULL */
  Ged *ged;              /* without firmware, else NULL */
  FwCfg *fw_cfg;         /* or NULL */
  PciBus *pci;
  PciWindows windows;
  ScanoutPort *scanout;
  InputPort *input;
  CharPort *agent; /* the display's agent in the guest */
  VirtioGpu *gpu;
  BootFramebuffer *boot_framebuffer;
  Ahci *ahci;      /* or NULL */
  unsigned n_sata; /* drives on it */
  BoardSataDisk sata_disks[AHCI_PORTS];
  CdDrive *cdrom;                 /* or NULL */
  BoardDisk *disks[VM_DISKS_MAX]; /* on virtio; NULL: none of that number */
  VirtioBalloon *balloon;
  NetUser *net_user; /* or NULL */
};

/* The board frees (and, if reset is there, resets) the device from now on. */
void board_attach (Board *board, const char *name, void *device, void (*reset) (void *device),
                   void (*free) (void *device));
