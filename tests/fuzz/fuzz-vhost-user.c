/* A back end's answers: the input is [flags] and then what it sends on the socket before it hangs up, whatever it was asked. With
 * FLAG_FD a sealed memfd, with FLAG_SHORT_FD one that is too short, goes with the first byte of it and of every hundredth. */
#include "fuzz-target.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "virtio/vhost-user.h"

#define MEMORY_SIZE (UINT64_C (1) << 20)
#define INPUT_MAX   4096
#define STEP        100
#define CONFIG_SIZE 60
#define QUEUE_SIZE  16

enum
{
  FLAG_FORCE = 1 << 0,
  FLAG_FD = 1 << 1,
  FLAG_SHORT_FD = 1 << 2,
};

static int
make_fd (uint8_t flags)
{
  const int fd = memfd_create ("fuzz-vhost-user", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  g_assert_cmpint (ftruncate (fd, flags & FLAG_SHORT_FD ? 100 : 65536), ==, 0);
  g_assert_cmpint (fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
  return fd;
}

static void
send_piece (int socket_fd, const uint8_t *data, size_t size, int fd)
{
  union
  {
    char room[CMSG_SPACE (sizeof (int))];
    struct cmsghdr align;
  } control = {};
  struct iovec iov = { (void *) data, size };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

  if (fd >= 0)
    {
      msg.msg_control = control.room;
      msg.msg_controllen = sizeof control.room;
      struct cmsghdr *head = CMSG_FIRSTHDR (&msg);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN (sizeof fd);
      memcpy (CMSG_DATA (head), &fd, sizeof fd);
    }
  g_assert_cmpint (sendmsg (socket_fd, &msg, 0), ==, (ssize_t) size);
}

static void
say (int socket_fd, uint8_t flags, const uint8_t *data, size_t size)
{
  const int fd = flags & (FLAG_FD | FLAG_SHORT_FD) ? make_fd (flags) : -1;

  for (size_t at = 0; at < size; at += STEP)
    send_piece (socket_fd, data + at, MIN (STEP, size - at), fd);
  shutdown (socket_fd, SHUT_WR);
  if (fd >= 0)
    close (fd);
}

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

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  int pair[2];
  VhostUserInflight *inflight = NULL;
  g_autoptr (GuestMemory) memory =
      guest_memory_new_shared (MEMORY_SIZE, MEMORY_SIZE, 4 * MEMORY_SIZE, NULL);

  if (size < 1 || size > INPUT_MAX)
    return 0;
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  say (pair[1], data[0], data + 1, size - 1);
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
