#pragma once

#include <stdint.h>
#include <glib.h>

/* The machine as asset tools see it (DMTF DSP0134, SMBIOS 3.0): system, chassis, processors, memory. The firmware adds itself (type 0). */
typedef struct SmbiosLayout
{
  const char *name; /* of the machine */
  const char *version;
  unsigned n_cpus;
  uint64_t memory_bytes;
} SmbiosLayout;

/* anchor: the 64-bit entry point, whose table address the firmware fills in. Sets both. */
void smbios_build (const SmbiosLayout *layout, GBytes **anchor, GBytes **tables);
