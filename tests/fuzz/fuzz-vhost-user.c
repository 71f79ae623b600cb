/* A back end's answers: the input is [flags] and then a script (vhost-user-script.h). The file descriptor in it is of a sealed memfd, with
 * FLAG_SHORT_FD of one that is too short, with FLAG_NO_FD there is none. */
#include "fuzz-target.h"

#include <unistd.h>
#include <sys/socket.h>
#include <sys/eventfd.h>

#include "vhost-user-script.h"
#include "virtio/vhost-user.h"

#define MEMORY_SIZE (UINT64_C (1) << 20)
#define CONFIG_SIZE 60
#define QUEUE_SIZE  16

enum
{
  FLAG_FORCE = 1 << 0,
  FLAG_NO_FD = 1 << 1,
  FLAG_SHORT_FD = 1 << 2,
};

static bool
use (VhostUser *self, bool force, const GuestMemory *memory, VhostUserInflight **inflight)
{
  uint8_t config[CONFIG_SIZE];
  const int fd = eventfd (0, EFD_CLOEXEC);
  const VhostUserQueue queue = { .index = 1,
                                 .size = QUEUE_SIZE,
                                 .descriptors = config,
                                 .available = config,
                                 .used = config,
                                 .kick = fd,
                                 .call = fd };
  uint16_t base;

  bool good = vhost_user_negotiate (self, force, NULL) &&
              vhost_user_read_config (self, config, sizeof config, NULL) &&
              vhost_user_get_inflight (self, 2, QUEUE_SIZE, inflight, NULL) &&
              vhost_user_set_up (self, UINT64_MAX, memory, *inflight, NULL) &&
              vhost_user_start_queue (self, &queue, NULL) &&
              vhost_user_stop_queue (self, 1, &base, NULL);
  close (fd);
  return good;
}

static int
make_record (uint8_t flags)
{
  if (flags & FLAG_NO_FD)
    return -1;
  return vhost_user_script_make_record (flags & FLAG_SHORT_FD ? 100 : 65536, NULL, 0);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  int pair[2];
  VhostUserInflight *inflight = NULL;
  g_autoptr (GuestMemory) memory =
      guest_memory_new_shared (MEMORY_SIZE, MEMORY_SIZE, 4 * MEMORY_SIZE, NULL);

  if (size < 1)
    return 0;
  const int fd = make_record (data[0]);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  vhost_user_script_run (pair[1], (FuzzInput){ data + 1, size - 1 }, fd);
  if (fd >= 0)
    close (fd);
  VhostUser *self = vhost_user_new (pair[0]);
  if (use (self, data[0] & FLAG_FORCE, memory, &inflight) && inflight)
    g_assert_false (vhost_user_inflight_is_kept (inflight));
  if (inflight)
    g_assert_cmpuint (vhost_user_inflight_count (inflight), ==, 0);
  vhost_user_inflight_free (inflight);
  vhost_user_free (self);
  close (pair[1]);
  return 0;
}
