/* guest-cpuid LEAF...: each leaf (hexadecimal, subleaf 0) as "LEAF EAX EBX ECX EDX", eight digits each. */
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>

int
main (int argc, char **argv)
{
  for (int i = 1; i < argc; i++)
    {
      unsigned leaf = (unsigned) strtoul (argv[i], NULL, 16), a, b, c, d;

      __cpuid_count (leaf, 0, a, b, c, d);
      printf ("%08x %08x %08x %08x %08x\n", leaf, a, b, c, d);
    }
  return argc > 1 ? 0 : 2;
}
