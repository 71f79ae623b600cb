#pragma once

#include <stdint.h>
#include <glib.h>

#include "pci/pci-device.h"

/* The mode registers of a boot framebuffer: "VBE DISPI" of Bochs and of QEMU's standard VGA (QEMU, docs/specs/standard-vga), in a BAR. Stock UEFI
 * firmware has a driver for them on 1af4:1050 and 1234:1111 and so gives boot loaders and kernels a linear framebuffer, in the card's own BAR,
 * that the operating system's driver for the card can take from them. 32 bits a pixel only; of VGA's own registers none.
 *
 * Thread: registers from any thread.
 */
typedef struct VbeRegisters VbeRegisters;

#define VBE_REGISTERS_SIZE 0x1000u

/* A mode was switched on: width * height * 4 is at most the memory's size. On the vCPU's thread. */
typedef void (*VbeModeFunc) (void *opaque, uint32_t width, uint32_t height);

/* Adds BAR `bar` to pci, which is not on a bus yet. */
VbeRegisters *vbe_registers_new (PciDevice *pci, unsigned bar, size_t memory_size, VbeModeFunc func,
                                 void *opaque);
void vbe_registers_free (VbeRegisters *vbe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VbeRegisters, vbe_registers_free)
void vbe_registers_reset (VbeRegisters *vbe);
