#define G_LOG_DOMAIN "vmm-firmware"

#include "firmware/e820.h"

#include <glib.h>

void
e820_map_add (E820Map *map, uint64_t gpa, uint64_t size, E820Type type)
{
  g_assert (map->n < E820_MAX);
  g_assert (map->n == 0 || map->entries[map->n - 1].gpa + map->entries[map->n - 1].size <= gpa);

  if (size > 0)
    map->entries[map->n++] = (E820Entry){ .gpa = gpa, .size = size, .type = type };
}
