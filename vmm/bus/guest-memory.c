#define G_LOG_DOMAIN "vmm-bus"

#include "bus/guest-memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Theory of operation
 *
 * Anonymous memory on 2 MiB boundaries, for which the host is asked for huge pages: a guest that boots touches most of its memory for
 * the first time, and each page of it is a nested page fault and an exit: 28 thousand of 4 KiB in a boot, two hundred of 2 MiB. Helper
 * processes do not get to see it: what they are given is copied.
 *
 * Children do not get the memory (MADV_DONTFORK): copy-on-write would part what the guest sees from what we see.
 */
#define GUEST_PAGE       UINT64_C (4096)
#define HUGE_PAGE        UINT64_C (0x200000)
#define GUEST_MAX_REGION 2

struct GuestMemory
{
  uint64_t size;
  unsigned n_regions;
  GuestMemoryRegion regions[GUEST_MAX_REGION];
};

static bool
fail (GError **error, const char *step, uint64_t size)
{
  int saved = errno;

  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved),
               "cannot get %" G_GUINT64_FORMAT " MiB of memory for the guest: %s: %s", size >> 20,
               step, g_strerror (saved));
  return false;
}

/* Takes room for the region and a huge page more, and gives back what is before and behind the boundaries. */
static bool
map_region (const GuestMemory *memory, GuestMemoryRegion *region, GError **error)
{
  size_t room = region->size + HUGE_PAGE;
  uint8_t *taken =
      mmap (NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

  if (taken == MAP_FAILED)
    return fail (error, "mmap", memory->size);
  size_t before = -(uintptr_t) taken & (HUGE_PAGE - 1);
  if (before > 0)
    munmap (taken, before);
  region->host = taken + before;
  munmap (region->host + region->size, room - before - region->size);
  /* These are wishes: a kernel without them still runs the guest. */
  madvise (region->host, region->size, MADV_HUGEPAGE);
  madvise (region->host, region->size, MADV_DONTDUMP);
  madvise (region->host, region->size, MADV_DONTFORK);
  return true;
}

static void
lay_out (GuestMemory *memory, uint64_t hole_start, uint64_t hole_end)
{
  uint64_t low = MIN (memory->size, hole_start);

  memory->regions[0] = (GuestMemoryRegion){ .gpa = 0, .size = low };
  memory->n_regions = 1;
  if (memory->size > low)
    {
      memory->regions[1] = (GuestMemoryRegion){
        .gpa = hole_end,
        .size = memory->size - low,
      };
      memory->n_regions = 2;
    }
}

GuestMemory *
guest_memory_new (uint64_t size, uint64_t hole_start, uint64_t hole_end, GError **error)
{
  g_return_val_if_fail (size > 0 && size % GUEST_PAGE == 0, NULL);
  g_return_val_if_fail (hole_start > 0 && hole_start % GUEST_PAGE == 0, NULL);
  g_return_val_if_fail (hole_end >= hole_start && hole_end % GUEST_PAGE == 0, NULL);

  g_autoptr (GuestMemory) memory = g_new0 (GuestMemory, 1);
  memory->size = size;
  lay_out (memory, hole_start, hole_end);
  for (unsigned i = 0; i < memory->n_regions; i++)
    if (!map_region (memory, &memory->regions[i], error))
      return NULL;
  g_debug ("RAM: %" G_GUINT64_FORMAT " MiB in %u regions", size >> 20, memory->n_regions);
  return g_steal_pointer (&memory);
}

void
guest_memory_free (GuestMemory *memory)
{
  if (!memory)
    return;
  for (unsigned i = 0; i < memory->n_regions; i++)
    if (memory->regions[i].host)
      munmap (memory->regions[i].host, memory->regions[i].size);
  g_free (memory);
}

uint64_t
guest_memory_get_size (const GuestMemory *memory)
{
  return memory->size;
}

const GuestMemoryRegion *
guest_memory_get_regions (const GuestMemory *memory, unsigned *n_regions)
{
  *n_regions = memory->n_regions;
  return memory->regions;
}

/* The host bytes at gpa, and in *room how many follow in the same region; NULL outside RAM. */
static uint8_t *
find (const GuestMemory *memory, uint64_t gpa, uint64_t *room)
{
  for (unsigned i = 0; i < memory->n_regions; i++)
    {
      const GuestMemoryRegion *region = &memory->regions[i];

      if (gpa < region->gpa || gpa - region->gpa >= region->size)
        continue;
      *room = region->size - (gpa - region->gpa);
      return region->host + (gpa - region->gpa);
    }
  return NULL;
}

void *
guest_memory_map (const GuestMemory *memory, uint64_t gpa, size_t size)
{
  uint64_t room;
  uint8_t *host = find (memory, gpa, &room);

  return host && size > 0 && size <= room ? host : NULL;
}

int
guest_memory_map_iov (const GuestMemory *memory, uint64_t gpa, size_t size, struct iovec *iov,
                      unsigned max)
{
  unsigned n = 0;

  /* gpa + size may be 2^64 at most where nothing is RAM, so it cannot wrap past a region: find() fails first. */
  while (size > 0)
    {
      uint64_t room;
      uint8_t *host = find (memory, gpa, &room);

      if (!host || n == max)
        return -1;
      iov[n] = (struct iovec){ .iov_base = host, .iov_len = MIN (size, room) };
      gpa += iov[n].iov_len;
      size -= iov[n].iov_len;
      n++;
    }
  return (int) n;
}

void
guest_memory_discard (const GuestMemory *memory, void *host, size_t size)
{
  const uintptr_t first = ((uintptr_t) host + GUEST_PAGE - 1) & ~(uintptr_t) (GUEST_PAGE - 1);
  const uintptr_t last = ((uintptr_t) host + size) & ~(uintptr_t) (GUEST_PAGE - 1);

  for (unsigned i = 0; i < memory->n_regions; i++)
    {
      const GuestMemoryRegion *region = &memory->regions[i];
      const uintptr_t start = MAX (first, (uintptr_t) region->host);
      const uintptr_t end = MIN (last, (uintptr_t) region->host + region->size);

      if (start >= end)
        continue;
      if (madvise ((void *) start, end - start, MADV_DONTNEED) != 0)
        g_warning ("cannot give back %zu bytes of the guest's memory: %s", (size_t) (end - start),
                   g_strerror (errno));
    }
}

bool
guest_memory_read (const GuestMemory *memory, uint64_t gpa, void *buffer, size_t size)
{
  struct iovec iov[GUEST_MAX_REGION];
  int n = guest_memory_map_iov (memory, gpa, size, iov, GUEST_MAX_REGION);
  uint8_t *to = buffer;

  for (int i = 0; i < n; i++)
    {
      memcpy (to, iov[i].iov_base, iov[i].iov_len);
      to += iov[i].iov_len;
    }
  return n >= 0;
}

bool
guest_memory_write (const GuestMemory *memory, uint64_t gpa, const void *buffer, size_t size)
{
  struct iovec iov[GUEST_MAX_REGION];
  int n = guest_memory_map_iov (memory, gpa, size, iov, GUEST_MAX_REGION);
  const uint8_t *from = buffer;

  for (int i = 0; i < n; i++)
    {
      memcpy (iov[i].iov_base, from, iov[i].iov_len);
      from += iov[i].iov_len;
    }
  return n >= 0;
}
