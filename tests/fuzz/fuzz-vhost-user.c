/* A back end's answers: the input is a script (vhost-user-script.h). */
#include "fuzz-target.h"

#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "block/vhost-user.h"
#include "vhost-user-script.h"

#define MEMORY_SIZE 4096
#define CONFIG_SIZE 56
#define QUEUE_SIZE  16

static bool
hand_over (VhostUser *self, const VhostUserRegion *region, int fd)
{
  const VhostUserQueue queue = { .index = 1,
                                 .size = QUEUE_SIZE,
                                 .descriptors = region->address,
                                 .available = region->address,
                                 .used = region->address,
                                 .kick = fd,
                                 .call = fd };

  return vhost_user_set_up (self, vhost_user_get_features (self), region, NULL) &&
         vhost_user_start_queue (self, &queue, NULL);
}

/* An error is one where something failed, and only there. */
static bool
negotiate (VhostUser *self)
{
  g_autoptr (GError) error = NULL;
  uint8_t config[CONFIG_SIZE];

  if (!vhost_user_negotiate (self, &error) ||
      !vhost_user_read_config (self, config, sizeof config, &error))
    {
      g_assert_nonnull (error);
      return false;
    }
  g_assert_no_error (error);
  g_assert_cmpuint (vhost_user_get_queues (self), <=, VHOST_USER_QUEUES_MAX);
  return true;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const int fd = eventfd (0, EFD_CLOEXEC);
  const VhostUserRegion region = { .address = 0x1000, .size = MEMORY_SIZE, .fd = fd };
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  vhost_user_script_run (pair[1], (FuzzInput){ data, size });
  VhostUser *self = vhost_user_new (pair[0]);
  if (negotiate (self))
    hand_over (self, &region, fd);
  vhost_user_free (self);
  close (pair[1]);
  close (fd);
  return 0;
}
