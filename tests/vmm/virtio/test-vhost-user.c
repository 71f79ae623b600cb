#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "virtio/vhost-user.h"

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
  const bool good = vhost_user_negotiate (self, false, &error);
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
  g_autoptr (GuestMemory) memory = guest_memory_new_shared (0x1000, 0x1000, 0x2000, NULL);
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  g_autoptr (VhostUser) self = vhost_user_new (pair[0]);
  g_assert_cmpint (write (pair[1], answers, sizeof answers), ==, sizeof answers);
  g_assert_true (vhost_user_negotiate (self, false, NULL));
  g_assert_cmpuint (vhost_user_get_queues (self), ==, 1);
  g_assert_false (vhost_user_has_config (self));
  g_assert_false (vhost_user_set_up (self, 0, memory, NULL, &error));
  g_assert_cmpstr (error->message, ==, "vhost-user request 2: refused");
  close (pair[1]);
}

/* --- the record of requests in flight --- */

#define QUEUES     2u
#define QUEUE_SIZE 16u
#define RECORD     4096u /* bytes of a good one */
#define LARGE      (64 << 20)

typedef struct __attribute__ ((packed)) RecordAnswer
{
  uint32_t request, flags, length;
  uint64_t size, offset;
  uint16_t n_queues, queue_size;
  uint32_t padding;
} RecordAnswer;

typedef enum
{
  MEMORY_SEALED,
  MEMORY_UNSEALED,
  MEMORY_SHORT,
  MEMORY_LARGE, /* of which a record is only a part, wherever in it */
  MEMORY_PIPE,
} Memory;

static int
make_memory (Memory kind)
{
  int ends[2];

  if (kind == MEMORY_PIPE)
    {
      g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
      close (ends[1]);
      return ends[0];
    }
  const int fd = memfd_create ("record", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  const off_t size = kind == MEMORY_SHORT ? RECORD - 1 : kind == MEMORY_LARGE ? LARGE : 2 * RECORD;
  g_assert_cmpint (ftruncate (fd, size), ==, 0);
  if (kind != MEMORY_UNSEALED)
    g_assert_cmpint (fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
  return fd;
}

/* With the fd n_fds times. */
static void
send_with_fds (int socket_fd, const void *bytes, size_t size, int fd, unsigned n_fds)
{
  union
  {
    char room[CMSG_SPACE (2 * sizeof (int))];
    struct cmsghdr align;
  } control = {};
  struct iovec iov = { (void *) bytes, size };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

  if (n_fds > 0)
    {
      const int fds[] = { fd, fd };

      msg.msg_control = control.room;
      msg.msg_controllen = CMSG_SPACE (n_fds * sizeof (int));
      struct cmsghdr *head = CMSG_FIRSTHDR (&msg);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN (n_fds * sizeof (int));
      memcpy (CMSG_DATA (head), fds, n_fds * sizeof (int));
    }
  g_assert_cmpint (sendmsg (socket_fd, &msg, 0), ==, (ssize_t) size);
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

/* Whether this record is taken; one that is refused leaves no descriptor behind. *contents: of its memory, or NULL. */
static bool
takes_record (const RecordAnswer *answer, Memory kind, unsigned n_fds, const uint8_t *contents,
              unsigned *n_in_flight)
{
  const Answer hello[] = { { 1, 5, 8, GOOD_FEATURES }, { 15, 5, 8, 1 << 12 } };
  const unsigned n_open = count_open_files ();
  const int fd = make_memory (kind);
  g_autoptr (GError) error = NULL;
  VhostUserInflight *inflight = NULL;
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  VhostUser *self = vhost_user_new (pair[0]);
  g_assert_cmpint (write (pair[1], hello, sizeof hello), ==, sizeof hello);
  if (contents)
    g_assert_cmpint (pwrite (fd, contents, RECORD, 0), ==, RECORD);
  send_with_fds (pair[1], answer, sizeof *answer, fd, n_fds);
  close (fd);
  g_assert_true (vhost_user_negotiate (self, false, NULL));
  const bool good = vhost_user_get_inflight (self, QUEUES, QUEUE_SIZE, &inflight, &error);
  g_assert_true (good == (inflight != NULL));
  if (!good)
    g_assert_cmpstr (error->message, ==,
                     "vhost-user request 31: no memory in which requests could be recorded");
  else if (n_in_flight)
    *n_in_flight = vhost_user_inflight_count (inflight);
  vhost_user_inflight_free (inflight);
  vhost_user_free (self);
  close (pair[1]);
  g_assert_cmpuint (count_open_files (), ==, n_open);
  return good;
}

static const RecordAnswer good_record = { 31, 5, 24, RECORD, 0, QUEUES, QUEUE_SIZE, 0 };

static void
test_memory_of_the_record (void)
{
  g_assert_true (takes_record (&good_record, MEMORY_SEALED, 1, NULL, NULL));
  g_assert_false (takes_record (&good_record, MEMORY_UNSEALED, 1, NULL, NULL));
  g_assert_false (takes_record (&good_record, MEMORY_SHORT, 1, NULL, NULL));
  g_assert_false (takes_record (&good_record, MEMORY_PIPE, 1, NULL, NULL));
  g_assert_false (takes_record (&good_record, MEMORY_SEALED, 0, NULL, NULL));
  g_assert_false (takes_record (&good_record, MEMORY_SEALED, 2, NULL, NULL));
}

static void
test_layout_of_the_record (void)
{
  static const struct
  {
    uint64_t size, offset;
    uint16_t n_queues, queue_size;
  } cases[] = {
    { 0, 0, QUEUES, QUEUE_SIZE },
    { RECORD, 1, QUEUES, QUEUE_SIZE },
    { RECORD, 2 * RECORD, QUEUES, QUEUE_SIZE },
    { 3 * RECORD, 0, QUEUES, QUEUE_SIZE },
    { RECORD, UINT64_MAX - RECORD + 1, QUEUES, QUEUE_SIZE },
    { UINT64_MAX, RECORD, QUEUES, QUEUE_SIZE },
    { UINT64_C (1) << 40, 0, QUEUES, QUEUE_SIZE },
    { QUEUES * (8 + 16 * QUEUE_SIZE), 0, QUEUES, QUEUE_SIZE }, /* half a header too short */
    { RECORD - 2, 0, QUEUES, QUEUE_SIZE }, /* the second queue's counters would lie askew */
    { RECORD, 0, 2 * QUEUES, QUEUE_SIZE },
    { RECORD, 0, QUEUES / 2, QUEUE_SIZE },
    { RECORD, 0, QUEUES, QUEUE_SIZE + 1 },
    { RECORD, 0, 0, 0 },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      RecordAnswer answer = good_record;

      answer.size = cases[i].size;
      answer.offset = cases[i].offset;
      answer.n_queues = cases[i].n_queues;
      answer.queue_size = cases[i].queue_size;
      g_assert_false (takes_record (&answer, MEMORY_SEALED, 1, NULL, NULL));
    }
  RecordAnswer second_page = good_record, far = good_record, large = good_record;
  second_page.offset = RECORD;
  g_assert_true (takes_record (&second_page, MEMORY_SEALED, 1, NULL, NULL));
  far.offset = LARGE / 2;
  g_assert_false (takes_record (&far, MEMORY_LARGE, 1, NULL, NULL));
  large.size = LARGE / 2;
  g_assert_false (takes_record (&large, MEMORY_LARGE, 1, NULL, NULL));
}

/* What it says of itself, sizes and indices, is not believed. */
static void
test_contents_of_the_record (void)
{
  uint8_t contents[RECORD];
  unsigned n = 0;

  memset (contents, 0xff, sizeof contents);
  g_assert_true (takes_record (&good_record, MEMORY_SEALED, 1, contents, &n));
  g_assert_cmpuint (n, ==, QUEUES * QUEUE_SIZE);
}

static void
test_descriptors_that_nobody_asked_for (void)
{
  const Answer answer = { 1, 5, 8, GOOD_FEATURES };
  const unsigned n_open = count_open_files ();
  const int fd = make_memory (MEMORY_SEALED);
  g_autoptr (GError) error = NULL;
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  VhostUser *self = vhost_user_new (pair[0]);
  send_with_fds (pair[1], &answer, sizeof answer, fd, 2);
  close (fd);
  g_assert_false (vhost_user_negotiate (self, false, &error));
  g_assert_cmpstr (error->message, ==,
                   "vhost-user request 1: an answer with file descriptors that nobody asked for");
  vhost_user_free (self);
  close (pair[1]);
  g_assert_cmpuint (count_open_files (), ==, n_open);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vhost-user/hostile-19-first-answer", test_first_answer);
  g_test_add_func ("/vhost-user/hostile-19-all-answers", test_all_answers);
  g_test_add_func ("/vhost-user/hostile-19-record-memory", test_memory_of_the_record);
  g_test_add_func ("/vhost-user/hostile-19-record-layout", test_layout_of_the_record);
  g_test_add_func ("/vhost-user/hostile-19-record-contents", test_contents_of_the_record);
  g_test_add_func ("/vhost-user/hostile-19-descriptors", test_descriptors_that_nobody_asked_for);
  g_test_add_func ("/vhost-user/refusal", test_refusal);
  return g_test_run ();
}
