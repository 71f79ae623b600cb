#pragma once

#include "virtio/virtio-device.h"

/* The memory balloon (Virtual I/O Device 1.2, 5.5): memory that the guest does not need is given back to the host, because the guest was
 * asked for it (inflate), or because it has pages free (free page reporting). The guest may take back what it was asked for when it
 * would run out of memory (DEFLATE_ON_OOM).
 *
 * Thread: main, which is also where the callbacks come.
 */
typedef struct VirtioBalloon VirtioBalloon;

/* 5.5.6.3, in the order of their tags. */
typedef enum
{
  BALLOON_STAT_SWAP_IN,
  BALLOON_STAT_SWAP_OUT,
  BALLOON_STAT_MAJOR_FAULTS,
  BALLOON_STAT_MINOR_FAULTS,
  BALLOON_STAT_FREE_MEMORY,
  BALLOON_STAT_TOTAL_MEMORY,
  BALLOON_STAT_AVAILABLE_MEMORY,
  BALLOON_STAT_DISK_CACHES,
  BALLOON_STAT_HUGETLB_ALLOCATIONS,
  BALLOON_STAT_HUGETLB_FAILURES,
  BALLOON_N_STATS
} BalloonStat;

typedef struct BalloonStats
{
  int64_t values[BALLOON_N_STATS]; /* bytes or events; -1: the guest has not said */
  int64_t updated;                 /* seconds since 1970; 0: never */
} BalloonStats;

/* changed: the size that virtio_balloon_get_actual () gives is another; called at most once a second, or NULL. */
VirtioBalloon *virtio_balloon_new (const GuestMemory *memory, void (*changed) (void *opaque),
                                   void *opaque);
void virtio_balloon_free (VirtioBalloon *balloon);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VirtioBalloon, virtio_balloon_free)

/* Borrowed. */
VirtioDevice *virtio_balloon_get_device (VirtioBalloon *balloon);

/* How much memory the guest should keep, in bytes; more than it has: all. Stands until it is set again, also over a reset. */
void virtio_balloon_set_target (VirtioBalloon *balloon, uint64_t bytes);
/* How much it has kept, as it says. */
uint64_t virtio_balloon_get_actual (VirtioBalloon *balloon);

/* Asks the guest for its statistics every so many seconds; 0, as at first: never. */
void virtio_balloon_set_interval (VirtioBalloon *balloon, unsigned seconds);
unsigned virtio_balloon_get_interval (VirtioBalloon *balloon);
void virtio_balloon_get_stats (VirtioBalloon *balloon, BalloonStats *stats);
