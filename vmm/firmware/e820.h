#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The guest-physical map that a guest's kernel is told (ACPI 6.4, section 15.1). In order of address; what is in no
 * entry is nothing. */
#define E820_MAX 32

typedef enum
{
  E820_RAM = 1,
  E820_RESERVED = 2,
  E820_ACPI = 3,
  E820_NVS = 4
} E820Type;

typedef struct E820Entry
{
  uint64_t gpa;
  uint64_t size;
  E820Type type;
} E820Entry;

typedef struct E820Map
{
  unsigned n;
  E820Entry entries[E820_MAX];
} E820Map;

/* Addresses ascend from call to call; size 0 adds nothing. */
void e820_map_add (E820Map *map, uint64_t gpa, uint64_t size, E820Type type);
