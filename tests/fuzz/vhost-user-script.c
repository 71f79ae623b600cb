#include "vhost-user-script.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define PIECES_MAX 128 /* a socket holds more */

enum
{
  LENGTH = 0x7f,
  WITH_FD = 0x80,
};

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

void
vhost_user_script_run (int peer, FuzzInput script, int fd)
{
  for (unsigned i = 0; i < PIECES_MAX && script.size > 0; i++)
    {
      const unsigned head = fuzz_take (&script, 1);
      size_t n = head & LENGTH;
      const uint8_t *bytes = fuzz_take_bytes (&script, &n);

      if (n > 0)
        send_piece (peer, bytes, n, head & WITH_FD ? fd : -1);
    }
  shutdown (peer, SHUT_WR);
}

int
vhost_user_script_make_record (size_t size, const uint8_t *bytes, size_t n)
{
  const int fd = memfd_create ("fuzz-vhost-user", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  if (n > 0)
    g_assert_cmpint (pwrite (fd, bytes, MIN (n, size), 0), ==, (ssize_t) MIN (n, size));
  g_assert_cmpint (fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
  return fd;
}
