#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* A guest's write to an address that becomes a signal on an eventfd without an exit to our process
 * (ioeventfd). Where attach is refused, or ops is NULL as in most tests, the range's write handler sees the write and
 * signals the eventfd itself; so a device works with and without.
 */
typedef struct DoorbellOps
{
  /* Any write of any size at gpa signals eventfd (borrowed until detach). Thread: any. */
  bool (*attach) (void *opaque, uint64_t gpa, int eventfd, GError **error);
  void (*detach) (void *opaque, uint64_t gpa, int eventfd);
} DoorbellOps;

typedef struct Doorbell
{
  const DoorbellOps *ops;
  void *opaque;
} Doorbell;
