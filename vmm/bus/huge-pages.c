#define G_LOG_DOMAIN "vmm-bus"

#include "bus/huge-pages.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "base/loop-thread.h"

/* Theory of operation
 *
 * A memfd has huge pages at the first touch only where the administrator switched them on (shmem_enabled, "never" as distributions ship
 * it), and no khugepaged looks after it either. But MADV_COLLAPSE (Linux 6.1) makes one of what a range of 2 MiB holds, whatever that
 * file says unless it says "deny". So a thread looks which ranges hold something by now and has each of them made huge: a range takes the
 * memory that the first touch of anonymous memory takes, some milliseconds later; one that nobody touched takes none. SEEK_DATA finds
 * them without a walk over all pages. (It moves the file's position, which the helpers share; nobody reads or writes the file by it.)
 *
 * A file on a tmpfs of our own, mounted with huge=always in a namespace of ours, would have them at the first touch. But such a file
 * cannot be sealed: a helper could cut it off under us, which would end us with SIGBUS; and many hosts allow no such namespace (Flatpak,
 * Ubuntu).
 *
 * The kernel takes the small pages out of all mappings one by one, each of which stops the vCPUs for a moment. So our mapping is dropped
 * at once before; what it maps is the file's and stays.
 *
 * A range is tried once. When a part of it is given back it is not tried again, as that would take the memory again; when all of it is
 * given back it is as new. Only a range whose pages are in use by the kernel at this moment, or for which there is no huge page now, is
 * tried again at a later look. Looks follow each other quickly as long as they find something, then ever more slowly.
 */
#define HUGE_PAGE    UINT64_C (0x200000)
#define MADE_AT_ONCE 32
#define PERIOD_MIN   20 /* ms */
#define PERIOD_MAX   2000
#define MAX_REGION   2
#define SWITCH       "/sys/kernel/mm/transparent_hugepage/enabled"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

typedef enum RangeState
{
  RANGE_NEW,
  RANGE_TRIED_NOW, /* the look's own mark: what is given back meanwhile has the last word */
  RANGE_DONE,
} RangeState;

struct HugePages
{
  GuestMemoryRegion regions[MAX_REGION];
  unsigned n_regions;
  uint64_t n_ranges;
  unsigned period; /* the thread alone */
  LoopThread *thread;

  GMutex lock;
  uint8_t *states; /* RangeState [n_ranges]; under the lock */
};

/* An administrator who switched huge pages off altogether meant these, too. */
static bool
are_allowed (void)
{
  g_autofree char *text = NULL;

  return g_file_get_contents (SWITCH, &text, NULL, NULL) && !strstr (text, "[never]");
}

HugePages *
huge_pages_new (const GuestMemoryRegion *regions, unsigned n_regions)
{
  g_return_val_if_fail (n_regions > 0 && n_regions <= MAX_REGION, NULL);

  /* A kernel that does not know it refuses it for no bytes, too. */
  if (madvise (regions[0].host, 0, MADV_COLLAPSE) != 0 || !are_allowed ())
    {
      g_debug ("no huge pages for shared memory on this host");
      return NULL;
    }
  const GuestMemoryRegion *last = &regions[n_regions - 1];
  HugePages *pages = g_new0 (HugePages, 1);
  memcpy (pages->regions, regions, n_regions * sizeof *regions);
  pages->n_regions = n_regions;
  pages->n_ranges = (last->offset + last->size + HUGE_PAGE - 1) / HUGE_PAGE;
  pages->states = g_new0 (uint8_t, pages->n_ranges);
  pages->period = PERIOD_MIN;
  g_mutex_init (&pages->lock);
  return pages;
}

void
huge_pages_free (HugePages *pages)
{
  if (!pages)
    return;
  loop_thread_free (pages->thread);
  g_mutex_clear (&pages->lock);
  g_free (pages->states);
  g_free (pages);
}

/* --- which --- */

void
huge_pages_discard (HugePages *pages, uint64_t offset, uint64_t size)
{
  const uint64_t end = offset + size;

  g_mutex_lock (&pages->lock);
  for (uint64_t i = offset / HUGE_PAGE; i < pages->n_ranges && i * HUGE_PAGE < end; i++)
    {
      const bool is_whole = offset <= i * HUGE_PAGE && end >= (i + 1) * HUGE_PAGE;

      pages->states[i] = is_whole ? RANGE_NEW : RANGE_DONE;
    }
  g_mutex_unlock (&pages->lock);
}

static void
change_state (HugePages *pages, uint64_t range, RangeState from, RangeState to)
{
  g_mutex_lock (&pages->lock);
  if (pages->states[range] == from)
    pages->states[range] = to;
  g_mutex_unlock (&pages->lock);
}

static uint64_t
skip_done (HugePages *pages, uint64_t range)
{
  g_mutex_lock (&pages->lock);
  while (range < pages->n_ranges && pages->states[range] == RANGE_DONE)
    range++;
  g_mutex_unlock (&pages->lock);
  return range;
}

/* The next range from this one on that holds something and is not done; n_ranges: none. */
static uint64_t
find (HugePages *pages, uint64_t range)
{
  while ((range = skip_done (pages, range)) < pages->n_ranges)
    {
      const off_t data = lseek (pages->regions[0].fd, (off_t) (range * HUGE_PAGE), SEEK_DATA);

      if (data < 0)
        return pages->n_ranges;
      if ((uint64_t) data / HUGE_PAGE == range)
        return range;
      range = (uint64_t) data / HUGE_PAGE;
    }
  return pages->n_ranges;
}

/* Where the range is mapped; NULL: not in one piece, or not on a boundary. */
static uint8_t *
get_host (const HugePages *pages, uint64_t range)
{
  const uint64_t offset = range * HUGE_PAGE;

  for (unsigned i = 0; i < pages->n_regions; i++)
    {
      const GuestMemoryRegion *region = &pages->regions[i];

      if (offset < region->offset || offset + HUGE_PAGE > region->offset + region->size)
        continue;
      uint8_t *host = region->host + (offset - region->offset);
      return (uintptr_t) host % HUGE_PAGE == 0 ? host : NULL;
    }
  return NULL;
}

/* --- looks --- */

/* 0, or the errno of madvise (). */
static int
make (HugePages *pages, uint64_t range)
{
  uint8_t *host = get_host (pages, range);

  change_state (pages, range, RANGE_NEW, RANGE_TRIED_NOW);
  if (host)
    madvise (host, HUGE_PAGE, MADV_DONTNEED);
  const int error = !host ? EINVAL : madvise (host, HUGE_PAGE, MADV_COLLAPSE) != 0 ? errno : 0;
  const bool is_for_now = error == EAGAIN || error == ENOMEM || error == EBUSY;
  change_state (pages, range, RANGE_TRIED_NOW, is_for_now ? RANGE_NEW : RANGE_DONE);
  return error;
}

unsigned
huge_pages_look (HugePages *pages)
{
  unsigned n = 0;

  for (uint64_t range = find (pages, 0); range < pages->n_ranges && n < MADE_AT_ONCE;
       range = find (pages, range + 1))
    {
      const int error = make (pages, range);

      n += error == 0;
      /* The host has none left, or our control group may have no more. */
      if (error == ENOMEM || error == EBUSY)
        break;
    }
  return n;
}

static void start_timer (HugePages *pages);

static gboolean
on_time (gpointer opaque)
{
  HugePages *pages = opaque;

  pages->period = huge_pages_look (pages) > 0 ? PERIOD_MIN : MIN (pages->period * 2, PERIOD_MAX);
  start_timer (pages);
  return G_SOURCE_REMOVE;
}

static void
start_timer (HugePages *pages)
{
  g_autoptr (GSource) source = g_timeout_source_new (pages->period);

  g_source_set_callback (source, on_time, pages, NULL);
  g_source_set_name (source, "huge pages");
  g_source_attach (source, loop_thread_get_context (pages->thread));
}

void
huge_pages_start (HugePages *pages)
{
  g_return_if_fail (!pages->thread);

  pages->thread = loop_thread_new ("huge-pages");
  start_timer (pages);
}
