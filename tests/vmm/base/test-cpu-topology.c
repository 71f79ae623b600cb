#include "base/cpu-topology.h"

#include <glib.h>

/* Package, core and thread have fields of their own; ids have gaps where a count is no power of two. */
static void
test_ids (void)
{
  const CpuTopology flat = { 1, 16, 1 }, three = { 2, 3, 2 }, sockets = { 4, 1, 1 };

  for (unsigned i = 0; i < 16; i++)
    g_assert_cmphex (cpu_topology_apic_id (&flat, i), ==, i);
  for (unsigned i = 0; i < 4; i++)
    g_assert_cmphex (cpu_topology_apic_id (&sockets, i), ==, i);
  g_assert_cmpuint (cpu_topology_thread_bits (&three), ==, 1);
  g_assert_cmpuint (cpu_topology_package_bits (&three), ==, 3);
  static const unsigned ids[] = { 0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13 };
  for (unsigned i = 0; i < G_N_ELEMENTS (ids); i++)
    g_assert_cmphex (cpu_topology_apic_id (&three, i), ==, ids[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cpu-topology/ids", test_ids);
  return g_test_run ();
}
