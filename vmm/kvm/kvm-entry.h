#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The first vCPU's state at the first instruction, where it is not the processor's own reset state.
 * Segments are flat, interrupts off, no breakpoints; what is not named here is zero. */
typedef struct KvmEntry
{
  bool long_mode; /* 64-bit with paging (cr3); else 32-bit protected mode without */
  uint64_t rip;
  uint64_t rbx;
  uint64_t rsi;
  uint64_t rsp;
  uint64_t cr3;
  uint64_t gdt_base; /* of a table whose 0x10 is flat code and 0x18 flat data */
  uint16_t gdt_limit;
} KvmEntry;
