#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bus/address-space.h"
#include "bus/guest-memory.h"

/* The channel by which firmware for virtual machines learns about its machine (QEMU, docs/specs/fw_cfg): numbered items and, behind one
 * of them, a directory of named files. Read by ports or by DMA; nothing can be written.
 *
 * Thread: registers from any thread; the rest main with the vCPUs stopped, or a FwCfgSelectFunc.
 */
typedef struct FwCfg FwCfg;

#define FW_CFG_PORT       0x510 /* selector, data, 8 bytes of DMA address at +4 */
#define FW_CFG_PORTS      12
#define FW_CFG_N_CPUS     0x05 /* 16 bits */
#define FW_CFG_BOOT_MENU  0x0e /* 16 bits */
#define FW_CFG_MAX_CPUS   0x0f /* 16 bits */
#define FW_CFG_FILES_MAX  32
#define FW_CFG_NAME_MAX   55
#define FW_CFG_FIRST_FILE 0x20

FwCfg *fw_cfg_new (AddressSpace *ports, const GuestMemory *memory);
void fw_cfg_free (FwCfg *cfg);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FwCfg, fw_cfg_free)
/* Nothing is selected; items and files stay. */
void fw_cfg_reset (FwCfg *cfg);

/* An integer of `size` bytes, little-endian. key: below FW_CFG_FIRST_FILE. */
void fw_cfg_set_number (FwCfg *cfg, uint16_t key, uint64_t value, unsigned size);
/* Makes the file, or replaces its contents. bytes is taken. */
void fw_cfg_set_file (FwCfg *cfg, const char *name, GBytes *bytes);
void fw_cfg_remove_file (FwCfg *cfg, const char *name);

/* Called when the guest selects the file, before it reads: the last moment to replace its contents and those of others, which
 * keep their sizes, for the guest has read the directory. On the vCPU's thread, no lock held. */
typedef void (*FwCfgSelectFunc) (void *opaque);
void fw_cfg_set_select_func (FwCfg *cfg, const char *name, FwCfgSelectFunc func, void *opaque);
