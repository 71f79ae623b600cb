/* Prints the rate of this computer's time stamp counter in kHz. The outer Linux cannot find it out when the computer is busy: it
 * counts ticks of a PIT that QEMU emulates late, has been seen to be wrong by a factor of three, and every time limit in it with that.
 *
 * Of several tries the one counts whose clock readings were least disturbed.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define TRIES   5
#define SPAN_NS INT64_C (20000000)
#define PROBES  20

static int64_t
now_ns (void)
{
  struct timespec time;

  clock_gettime (CLOCK_MONOTONIC, &time);
  return (int64_t) time.tv_sec * 1000000000 + time.tv_nsec;
}

/* A pair of both clocks taken together; *error is how many ticks apart at most. */
static int64_t
read_pair (uint64_t *ticks, uint64_t *error)
{
  int64_t best_ns = 0;

  *error = UINT64_MAX;
  for (int i = 0; i < PROBES; i++)
    {
      uint64_t before = __rdtsc ();
      int64_t ns = now_ns ();
      uint64_t after = __rdtsc ();
      if (after - before >= *error)
        continue;
      *error = after - before;
      *ticks = before + *error / 2;
      best_ns = ns;
    }
  return best_ns;
}

int
main (void)
{
  uint64_t best_error = UINT64_MAX;
  double khz = 0;

  for (int i = 0; i < TRIES; i++)
    {
      uint64_t start_ticks, end_ticks, start_error, end_error;
      int64_t start = read_pair (&start_ticks, &start_error);
      while (now_ns () - start < SPAN_NS)
        continue;
      int64_t end = read_pair (&end_ticks, &end_error);
      if (start_error + end_error >= best_error)
        continue;
      best_error = start_error + end_error;
      khz = (double) (end_ticks - start_ticks) * 1e6 / (double) (end - start);
    }
  printf ("%.0f\n", khz);
  return 0;
}
