/* The main of a fuzz target where there is no libFuzzer: runs every file of the corpus, and of each also some
 * prefixes and some copies with one byte changed, always the same ones. Quick enough for each run of the unit suite.
 *
 * Usage: fuzz-NAME FILE|FOLDER...; ends 1 when there was nothing to run.
 */
#include "fuzz-target.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <glib.h>

#define VARIANTS 64

/* For AddressSanitizer: the stacks of allocations are most of a replay's time, and who looks for a finding runs its input once more, in
 * the fuzz build, which tells them whole. */
const char *__asan_default_options (void);

const char *
__asan_default_options (void)
{
  return "malloc_context_size=6";
}

/* An exact copy on the heap: AddressSanitizer then sees a read beyond the end. */
static void
run (const uint8_t *data, size_t size)
{
  g_autofree uint8_t *copy = size > 0 ? g_memdup2 (data, size) : g_malloc (1);

  LLVMFuzzerTestOneInput (copy, size);
}

static void
run_variants (uint8_t *data, size_t size)
{
  uint32_t random = 0x2545f491;

  for (size_t i = 0; i < VARIANTS && i < size; i++)
    run (data, size <= VARIANTS ? i : size * i / VARIANTS);
  for (size_t i = 0; i < VARIANTS && size > 0; i++)
    {
      random = random * 1664525u + 1013904223u;
      size_t at = (random >> 8) % size;
      uint8_t kept = data[at];
      data[at] = random >> 24;
      run (data, size);
      data[at] = kept;
    }
}

static bool
replay_file (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *data = NULL;
  size_t size = 0;

  if (!g_file_get_contents (path, &data, &size, &error))
    {
      printf ("# %s\n", error->message);
      return false;
    }
  run ((const uint8_t *) data, size);
  run_variants ((uint8_t *) data, size);
  return true;
}

static unsigned
replay_folder (GDir *dir, const char *folder)
{
  unsigned done = 0;
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      done += replay_file (path);
    }
  return done;
}

int
main (int argc, char **argv)
{
  unsigned done = 0;

  LLVMFuzzerInitialize (&argc, &argv);
  run (NULL, 0);
  for (int i = 1; i < argc; i++)
    {
      g_autoptr (GDir) dir = g_dir_open (argv[i], 0, NULL);
      done += dir != NULL ? replay_folder (dir, argv[i]) : replay_file (argv[i]);
    }
  printf ("# %u inputs and their variants\n", done);
  return done > 0 ? 0 : 1;
}
