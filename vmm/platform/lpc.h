#pragma once

#include <stdbool.h>
#include <glib.h>

#include "pci/pci-bus.h"
#include "platform/pm.h"

/* The ISA bridge of Intel's ICH9, 00:1f.0, as far as stock UEFI firmware and kernels look (ICH9 datasheet 316972, 13.1): where the ACPI
 * registers are (PMBASE, ACPI_CNTL), which is obeyed; interrupt routing (PIRQx_ROUT) and RCBA, which are kept. By its class firmware finds the
 * serial port behind it.
 */
typedef struct Lpc Lpc;

/* bus and pm are borrowed. */
Lpc *lpc_new (PciBus *bus, Pm *pm, GError **error);
/* Before bus and pm. */
void lpc_free (Lpc *lpc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Lpc, lpc_free)
