#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "block/vhost-user.h"

#define GOOD_FEATURES (UINT64_C (1) << 30 | UINT64_C (1) << 32)

/* An answer as it is on the wire. */
typedef struct __attribute__ ((packed)) Answer
{
  uint32_t request, flags, size;
  uint64_t value;
} Answer;

/* What the front end makes of these answers, after which the other side hangs up. Owned by the caller. */
static char *
negotiate (const void *answers, size_t size)
{
  g_autoptr (GError) error = NULL;
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  g_autoptr (VhostUser) self = vhost_user_new (pair[0]);
  g_assert_cmpint (write (pair[1], answers, size), ==, size);
  shutdown (pair[1], SHUT_WR);
  const bool good = vhost_user_negotiate (self, &error);
  close (pair[1]);
  g_assert_true (good == (error == NULL));
  return g_strdup (good ? "good" : error->message);
}

#define assert_negotiates(answers, size, expected)                                                 \
  do                                                                                               \
    {                                                                                              \
      g_autofree char *made = negotiate (answers, size);                                           \
      g_assert_cmpstr (made, ==, expected);                                                        \
    }                                                                                              \
  while (0)

static void
test_first_answer (void)
{
  static const struct
  {
    Answer answer;
    size_t size;
    const char *said;
  } cases[] = {
    { { 1, 5, 8, GOOD_FEATURES }, 0, "vhost-user request 1: the other side hung up" },
    { { 1, 5, 8, GOOD_FEATURES }, 11, "vhost-user request 1: the other side hung up" },
    { { 1, 5, 8, GOOD_FEATURES }, 19, "vhost-user request 1: the other side hung up" },
    { { 2, 5, 8, GOOD_FEATURES }, 20, "vhost-user request 1: an answer to something else" },
    { { 1, 1, 8, GOOD_FEATURES }, 20, "vhost-user request 1: an answer to something else" },
    { { 1, 6, 8, GOOD_FEATURES }, 20, "vhost-user request 1: an answer to something else" },
    { { 1, 5, 9, GOOD_FEATURES }, 20, "vhost-user request 1: an answer that is too long" },
    { { 1, 5, UINT32_MAX, 0 }, 20, "vhost-user request 1: an answer that is too long" },
    { { 1, 5, 4, GOOD_FEATURES }, 20, "vhost-user request 1: an answer that is too short" },
    { { 1, 5, 8, 1 << 30 }, 20, "vhost-user request 1: the other side is too old" },
    { { 1, 5, 8, UINT64_C (1) << 32 }, 20, "vhost-user request 1: the other side is too old" },
    { { 1, 5, 8, GOOD_FEATURES }, 20, "vhost-user request 15: the other side hung up" },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    assert_negotiates (&cases[i].answer, cases[i].size, cases[i].said);
}

static void
test_all_answers (void)
{
  const Answer answers[] = { { 1, 5, 8, GOOD_FEATURES },
                             { 15, 5, 8, 1 },
                             { 17, 5, 8, UINT64_MAX } };

  assert_negotiates (answers, sizeof answers, "good");
  assert_negotiates (answers, sizeof answers - 1, "vhost-user request 17: the other side hung up");
}

/* A refusal is known where it happens. */
static void
test_refusal (void)
{
  const Answer answers[] = { { 1, 5, 8, GOOD_FEATURES }, { 15, 5, 8, 1 << 3 }, { 2, 5, 8, 1 } };
  g_autoptr (GError) error = NULL;
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  g_autoptr (VhostUser) self = vhost_user_new (pair[0]);
  g_assert_cmpint (write (pair[1], answers, sizeof answers), ==, sizeof answers);
  g_assert_true (vhost_user_negotiate (self, NULL));
  g_assert_cmpuint (vhost_user_get_queues (self), ==, 1);
  g_assert_false (vhost_user_has_config (self));
  g_assert_false (vhost_user_set_up (self, 0, &(VhostUserRegion){ .fd = STDERR_FILENO }, &error));
  g_assert_cmpstr (error->message, ==, "vhost-user request 2: refused");
  close (pair[1]);
}

/* --- file descriptors --- */

/* With an fd, twice. */
static void
send_with_fds (int socket_fd, const void *bytes, size_t size)
{
  const int fd = memfd_create ("nothing", MFD_CLOEXEC);
  const int fds[] = { fd, fd };
  union
  {
    char room[CMSG_SPACE (sizeof fds)];
    struct cmsghdr align;
  } control = {};
  struct iovec iov = { (void *) bytes, size };
  struct msghdr msg = { .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.room,
                        .msg_controllen = sizeof control.room };
  struct cmsghdr *head = CMSG_FIRSTHDR (&msg);

  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN (sizeof fds);
  memcpy (CMSG_DATA (head), fds, sizeof fds);
  g_assert_cmpint (sendmsg (socket_fd, &msg, 0), ==, (ssize_t) size);
  close (fd);
}

static unsigned
count_open_files (void)
{
  g_autoptr (GDir) folder = g_dir_open ("/proc/self/fd", 0, NULL);
  unsigned n = 0;

  while (g_dir_read_name (folder))
    n++;
  return n;
}

static void
test_descriptors_that_nobody_asked_for (void)
{
  const Answer answer = { 1, 5, 8, GOOD_FEATURES };
  const unsigned n_open = count_open_files ();
  g_autoptr (GError) error = NULL;
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  VhostUser *self = vhost_user_new (pair[0]);
  send_with_fds (pair[1], &answer, sizeof answer);
  g_assert_false (vhost_user_negotiate (self, &error));
  g_assert_cmpstr (error->message, ==,
                   "vhost-user request 1: an answer with file descriptors that nobody asked for");
  vhost_user_free (self);
  close (pair[1]);
  g_assert_cmpuint (count_open_files (), ==, n_open);
}

/* With an acknowledgement, and with one that is cut off. */
static void
test_descriptors_with_acknowledgements (void)
{
  const Answer hello[] = { { 1, 5, 8, GOOD_FEATURES }, { 15, 5, 8, 1 << 3 } };
  const Answer acks[] = { { 2, 5, 8, 0 }, { 5, 5, 8, 0 } };
  const unsigned n_open = count_open_files ();
  g_autoptr (GError) error = NULL;
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  VhostUser *self = vhost_user_new (pair[0]);
  g_assert_cmpint (write (pair[1], hello, sizeof hello), ==, sizeof hello);
  send_with_fds (pair[1], &acks[0], sizeof acks[0]);
  send_with_fds (pair[1], &acks[1], sizeof acks[1] - 1);
  shutdown (pair[1], SHUT_WR);
  g_assert_true (vhost_user_negotiate (self, NULL));
  g_assert_false (vhost_user_set_up (self, 0, &(VhostUserRegion){ .fd = STDERR_FILENO }, &error));
  g_assert_cmpstr (error->message, ==, "vhost-user request 5: the other side hung up");
  g_assert_cmpuint (count_open_files (), ==, n_open + 2);
  vhost_user_free (self);
  close (pair[1]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vhost-user/hostile-19-first-answer", test_first_answer);
  g_test_add_func ("/vhost-user/hostile-19-all-answers", test_all_answers);
  g_test_add_func ("/vhost-user/hostile-19-descriptors", test_descriptors_that_nobody_asked_for);
  g_test_add_func ("/vhost-user/hostile-19-descriptors-with-acknowledgements",
                   test_descriptors_with_acknowledgements);
  g_test_add_func ("/vhost-user/refusal", test_refusal);
  return g_test_run ();
}
