#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What block/block-raw.c asks of the kernel, watched and tampered with: its calls are wrapped by the linker (block_calls_dep). Reset by a
 * test that uses it. One thread. */
typedef struct BlockCalls
{
  bool no_ring; /* the kernel forbids io_uring to who comes from now on */
  bool
      hold; /* the ring's requests stay where they are until block_calls_release (), or somebody waits for them */
  unsigned at_most; /* bytes that a read or write without ring moves; 0: all */
  int write_error; /* errno of writes without ring, their flush if they are durable included; 0: none */
  int sync_error;   /* the same of flushes */
  unsigned n_reads; /* made, with or without ring */
  unsigned n_writes;
  unsigned n_durable;   /* writes, of these */
  unsigned n_syncs;     /* of data */
  int allocate_modes;   /* all that were used */
  int allocate_refused; /* modes that the file system does not know */
} BlockCalls;

extern BlockCalls block_calls;

/* Whether a ring can be had here at all. */
bool block_calls_have_ring (void);
void block_calls_release (void);
