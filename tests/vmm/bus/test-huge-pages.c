#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "bus/huge-pages.h"

#define PAGE   UINT64_C (0x1000)
#define HUGE   UINT64_C (0x200000)
#define N_HUGE 8

/* Memory with a file, but nobody who looks at it beside the test. */
typedef struct Fixture
{
  int fd;
  uint8_t *taken;
  GuestMemoryRegion regions[2]; /* of half the file each; the first one a small page short of it */
  HugePages *pages;
} Fixture;

static uint64_t
get_resident (const Fixture *fixture)
{
  struct stat stat;

  g_assert_no_errno (fstat (fixture->fd, &stat));
  return (uint64_t) stat.st_blocks * 512;
}

static void
set_up (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  const uint64_t half = N_HUGE / 2 * HUGE;

  fixture->fd = memfd_create ("test", MFD_CLOEXEC);
  g_assert_cmpint (fixture->fd, >=, 0);
  g_assert_no_errno (ftruncate (fixture->fd, N_HUGE * HUGE));
  fixture->taken =
      mmap (NULL, (N_HUGE + 2) * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  g_assert_true (fixture->taken != MAP_FAILED);
  uint8_t *host = fixture->taken + (-(uintptr_t) fixture->taken & (HUGE - 1));
  for (unsigned i = 0; i < 2; i++)
    {
      GuestMemoryRegion *region = &fixture->regions[i];

      *region = (GuestMemoryRegion){
        .gpa = i * half,
        .size = i == 0 ? half - PAGE : half,
        .host = host + i * half,
        .fd = fixture->fd,
        .offset = i * half,
      };
      g_assert_true (mmap (region->host, region->size, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_FIXED, fixture->fd,
                           (off_t) region->offset) == region->host);
    }
  fixture->pages = huge_pages_new (fixture->regions, 2);
}

static void
tear_down (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  huge_pages_free (fixture->pages);
  munmap (fixture->taken, (N_HUGE + 2) * HUGE);
  close (fixture->fd);
}

/* The host has huge pages for a file at all, and one to spare. */
static bool
host_gives (const Fixture *fixture)
{
  uint8_t *host = fixture->regions[1].host + 2 * HUGE;

  if (!fixture->pages)
    {
      g_test_skip ("this host has no huge pages for shared memory");
      return false;
    }
  host[0] = 1;
  const bool gives = madvise (host, HUGE, 25 /* MADV_COLLAPSE */) == 0;
  g_assert_no_errno (madvise (host, HUGE, MADV_REMOVE));
  if (!gives)
    g_test_skip ("this host gives no huge page");
  return gives;
}

/* How many pages are made in all. The kernel may have one of the small pages in its hands for a moment: a few looks more are no fault. */
static unsigned
look (const Fixture *fixture, unsigned expected)
{
  unsigned n = 0;

  for (unsigned i = 0; i < 1000 && n < expected; i++)
    n += huge_pages_look (fixture->pages);
  return n + huge_pages_look (fixture->pages);
}

/* Each range that holds something becomes one page with what it held, whatever the region; no other. */
static void
test_look (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  if (!host_gives (fixture))
    return;
  uint8_t *low = fixture->regions[0].host, *high = fixture->regions[1].host;

  g_assert_cmpuint (look (fixture, 0), ==, 0);
  g_assert_cmpuint (get_resident (fixture), ==, 0);
  low[HUGE + 5 * PAGE] = 0x5a;
  high[HUGE - 1] = 0xa5;
  g_assert_cmpuint (get_resident (fixture), <, HUGE);
  g_assert_cmpuint (look (fixture, 2), ==, 2);
  g_assert_cmpuint (get_resident (fixture), ==, 2 * HUGE);
  g_assert_cmphex (low[HUGE + 5 * PAGE], ==, 0x5a);
  g_assert_cmphex (low[HUGE + 4 * PAGE], ==, 0);
  g_assert_cmphex (high[HUGE - 1], ==, 0xa5);
  g_assert_cmpuint (look (fixture, 0), ==, 0);
  /* One that was empty then. */
  low[0] = 1;
  g_assert_cmpuint (look (fixture, 1), ==, 1);
  g_assert_cmpuint (get_resident (fixture), ==, 3 * HUGE);
}

/* A region may end within a range: that one stays of small pages, and what lies behind it is somebody else's. */
static void
test_ends_within (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  if (!host_gives (fixture))
    return;
  uint8_t *behind = fixture->regions[0].host + fixture->regions[0].size;

  fixture->regions[0].host[3 * HUGE] = 1;
  fixture->regions[1].host[0] = 1;
  *behind = 0x77;
  g_assert_cmpuint (look (fixture, 1), ==, 1);
  g_assert_cmpuint (get_resident (fixture), <, 2 * HUGE);
  g_assert_cmphex (*behind, ==, 0x77);
}

static void
discard (Fixture *fixture, uint64_t offset, uint64_t size)
{
  huge_pages_discard (fixture->pages, offset, size);
  g_assert_no_errno (madvise (fixture->regions[0].host + offset, size, MADV_REMOVE));
}

/* A part of a page that was given back is not taken again. */
static void
test_part_given_back (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  if (!host_gives (fixture))
    return;
  uint8_t *host = fixture->regions[0].host;

  memset (host, 1, 3 * HUGE);
  g_assert_cmpuint (look (fixture, 3), ==, 3);
  /* The end of one, all of another, the beginning of a third. */
  discard (fixture, HUGE - 3 * PAGE, HUGE + 5 * PAGE);
  g_assert_cmpuint (get_resident (fixture), ==, 2 * HUGE - 5 * PAGE);
  host[0] = 2;
  host[2 * HUGE] = 2;
  g_assert_cmpuint (look (fixture, 0), ==, 0);
  g_assert_cmpuint (get_resident (fixture), <=, 2 * HUGE - 4 * PAGE);
}

/* A page that was given back as a whole is made again when it is in use again. */
static void
test_whole_given_back (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  if (!host_gives (fixture))
    return;
  uint8_t *host = fixture->regions[0].host;

  memset (host, 1, 2 * HUGE);
  g_assert_cmpuint (look (fixture, 2), ==, 2);
  discard (fixture, 0, 2 * HUGE);
  g_assert_cmpuint (get_resident (fixture), ==, 0);
  g_assert_cmpuint (look (fixture, 0), ==, 0);
  g_assert_cmpuint (get_resident (fixture), ==, 0);
  host[HUGE] = 1;
  g_assert_cmpuint (look (fixture, 1), ==, 1);
  g_assert_cmpuint (get_resident (fixture), ==, HUGE);
}

/* The thread makes them by itself, and its end is waited for. */
static void
test_thread (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  if (!host_gives (fixture))
    return;
  uint8_t *host = fixture->regions[0].host;

  host[HUGE + 5] = 0x5a;
  huge_pages_start (fixture->pages);
  while (get_resident (fixture) < HUGE)
    g_thread_yield ();
  g_clear_pointer (&fixture->pages, huge_pages_free);
  g_assert_cmphex (host[HUGE + 5], ==, 0x5a);
}

#define ADD(name, test) g_test_add ("/huge-pages/" name, Fixture, NULL, set_up, test, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("look", test_look);
  ADD ("ends-within", test_ends_within);
  ADD ("part-given-back", test_part_given_back);
  ADD ("whole-given-back", test_whole_given_back);
  ADD ("thread", test_thread);
  return g_test_run ();
}
