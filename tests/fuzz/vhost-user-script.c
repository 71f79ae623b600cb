#include "vhost-user-script.h"

#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define PIECES_MAX 128 /* a socket holds more */

enum
{
  LENGTH = 0x7f,
  WITH_FD = 0x80,
};

int __real_poll (struct pollfd *, nfds_t, int);
int __wrap_poll (struct pollfd *, nfds_t, int);

int
__wrap_poll (struct pollfd *fds, nfds_t n, int timeout)
{
  return __real_poll (fds, n, 0);
}

static void
send_piece (int peer, const uint8_t *data, size_t size, bool with_fd)
{
  const int fd = with_fd ? eventfd (0, EFD_CLOEXEC) : -1;
  union
  {
    char room[CMSG_SPACE (sizeof (int))];
    struct cmsghdr align;
  } control = {};
  struct iovec iov = { (void *) data, size };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

  if (with_fd)
    {
      msg.msg_control = control.room;
      msg.msg_controllen = sizeof control.room;
      struct cmsghdr *head = CMSG_FIRSTHDR (&msg);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN (sizeof fd);
      memcpy (CMSG_DATA (head), &fd, sizeof fd);
    }
  g_assert_cmpint (sendmsg (peer, &msg, 0), ==, (ssize_t) size);
  if (with_fd)
    close (fd);
}

void
vhost_user_script_run (int peer, FuzzInput script)
{
  for (unsigned i = 0; i < PIECES_MAX && script.size > 0; i++)
    {
      const unsigned head = fuzz_take (&script, 1);
      size_t n = head & LENGTH;

      if (n == 0)
        {
          shutdown (peer, SHUT_WR);
          return;
        }
      const uint8_t *bytes = fuzz_take_bytes (&script, &n);
      if (n > 0)
        send_piece (peer, bytes, n, head & WITH_FD);
    }
}
