#pragma once

/* How a machine's processors are packed, and the APIC ids that follow from it (Intel SDM volume 3, 9.9.1): a field of bits each for
 * package, core and thread, wide enough for its count. Processors are numbered in the order of their ids; where a count is no power of
 * two the ids have gaps.
 */
typedef struct CpuTopology
{
  unsigned sockets;
  unsigned cores;   /* a socket */
  unsigned threads; /* a core */
} CpuTopology;

/* How many bits number n things. */
static inline unsigned
cpu_topology_bits (unsigned n)
{
  unsigned bits = 0;

  while ((1u << bits) < n)
    bits++;
  return bits;
}

static inline unsigned
cpu_topology_thread_bits (const CpuTopology *topology)
{
  return cpu_topology_bits (topology->threads);
}

/* Of an APIC id, below the number of the package. */
static inline unsigned
cpu_topology_package_bits (const CpuTopology *topology)
{
  return cpu_topology_bits (topology->cores) + cpu_topology_bits (topology->threads);
}

static inline unsigned
cpu_topology_apic_id (const CpuTopology *topology, unsigned index)
{
  const unsigned thread = index % topology->threads;
  const unsigned core = index / topology->threads % topology->cores;
  const unsigned socket = index / topology->threads / topology->cores;

  return socket << cpu_topology_package_bits (topology) |
         core << cpu_topology_thread_bits (topology) | thread;
}
