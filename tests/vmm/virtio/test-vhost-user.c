#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vhost-user/first-answer", test_first_answer);
  g_test_add_func ("/vhost-user/hostile-19-all-answers", test_all_answers);
  g_test_add_func ("/vhost-user/refusal", test_refusal);
  return g_test_run ();
}
