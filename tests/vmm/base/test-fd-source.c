#include "base/fd-source.h"

#include <unistd.h>
#include <sys/eventfd.h>

static gint n_ready;

static gint
record_poll (GPollFD *fds, guint n, gint timeout)
{
  n_ready = g_poll (fds, n, timeout);
  return n_ready;
}

static gboolean
on_event (gint fd, GIOCondition condition, gpointer opaque)
{
  uint64_t count;

  g_assert_cmpint (read (fd, &count, sizeof count), ==, sizeof count);
  *(unsigned *) opaque += 1;
  return G_SOURCE_CONTINUE;
}

/* Every event is one round of the loop: after it none is awake. */
static void
test_one_round_an_event (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  const int fd = eventfd (0, EFD_CLOEXEC);
  g_autoptr (GSource) source = fd_source_new (fd, G_IO_IN, "test");
  const uint64_t one = 1;
  unsigned called = 0;

  g_assert_cmpstr (g_source_get_name (source), ==, "test");
  g_source_set_callback (source, G_SOURCE_FUNC (on_event), &called, NULL);
  g_source_attach (source, context);
  while (g_main_context_iteration (context, FALSE))
    ;
  g_main_context_set_poll_func (context, record_poll);
  for (unsigned i = 1; i <= 3; i++)
    {
      g_assert_cmpint (write (fd, &one, sizeof one), ==, sizeof one);
      g_assert_true (g_main_context_iteration (context, FALSE));
      g_assert_cmpuint (called, ==, i);
      g_assert_false (g_main_context_iteration (context, FALSE));
      g_assert_cmpint (n_ready, ==, 0);
    }
  g_source_destroy (source);
  close (fd);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/fd-source/one-round-an-event", test_one_round_an_event);
  return g_test_run ();
}
