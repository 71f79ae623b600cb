#include "fake-transport.h"

#include <fcntl.h>
#include <libglib-testing/signal-logger.h>
#include <unistd.h>

#include "transport/fd-request.h"

static void
test_closed_is_told_once (void)
{
  g_autoptr (FakeTransport) transport = fake_transport_new ();
  DisplayTransport *base = ALCOVE_DISPLAY_TRANSPORT (transport);
  g_autoptr (GtSignalLogger) logger = gt_signal_logger_new ();
  GError *error = NULL;

  gt_signal_logger_connect (logger, transport, "opened");
  gt_signal_logger_connect (logger, transport, "closed");
  display_transport_open (base);
  gt_signal_logger_assert_emission_pop (logger, transport, "opened", NULL);
  display_transport_emit_closed (base, g_error_new (G_IO_ERROR, G_IO_ERROR_FAILED, "It broke"));
  display_transport_emit_closed (base, g_error_new (G_IO_ERROR, G_IO_ERROR_FAILED, "Again"));
  display_transport_close (base);
  gt_signal_logger_assert_emission_pop (logger, transport, "closed", &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED);
  g_assert_cmpstr (error->message, ==, "It broke");
  gt_signal_logger_assert_no_emissions (logger);
  g_clear_error (&error);
}

static void
test_closing_tells_no_error (void)
{
  g_autoptr (FakeTransport) transport = fake_transport_new ();
  g_autoptr (GtSignalLogger) logger = gt_signal_logger_new ();
  GError *error = NULL;

  gt_signal_logger_connect (logger, transport, "closed");
  display_transport_close (ALCOVE_DISPLAY_TRANSPORT (transport));
  gt_signal_logger_assert_emission_pop (logger, transport, "closed", &error);
  g_assert_no_error (error);
}

/* ---- Requests for descriptors ---- */

typedef struct
{
  guint n_answers;
  int fd;
  GError *error;
} Answer;

static Answer answer;

static void
on_answered (GObject *owner, GObject *channel, int fd, GError *error)
{
  answer.n_answers++;
  answer.fd = fd;
  answer.error = error;
}

static void
test_requests_are_answered (void)
{
  g_autoptr (GObject) owner = G_OBJECT (fake_transport_new ());
  g_autoptr (GObject) channel = G_OBJECT (fake_transport_new ());
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  int null = open ("/dev/null", O_RDWR | O_CLOEXEC);

  answer = (Answer){ 0 };
  fd_request_answer (fd_request_new (owner, channel, "main", cancellable, on_answered), null, NULL);
  g_assert_cmpuint (answer.n_answers, ==, 1);
  g_assert_cmpint (answer.fd, ==, null);
  close (null);
  /* Nobody said why: the owner is told something all the same. */
  fd_request_answer (fd_request_new (owner, channel, "main", cancellable, on_answered), -1, NULL);
  g_assert_cmpuint (answer.n_answers, ==, 2);
  g_assert_error (answer.error, G_IO_ERROR, G_IO_ERROR_FAILED);
  g_clear_error (&answer.error);
}

static gboolean
is_open (int fd)
{
  return fcntl (fd, F_GETFD) >= 0;
}

static void
test_answers_that_come_too_late (void)
{
  GObject *owner = G_OBJECT (fake_transport_new ());
  g_autoptr (GObject) channel = G_OBJECT (fake_transport_new ());
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  FdRequest *cancelled = fd_request_new (owner, channel, "main", cancellable, on_answered);
  g_autoptr (GCancellable) other = g_cancellable_new ();
  FdRequest *orphan = fd_request_new (owner, channel, "main", other, on_answered);
  int first = open ("/dev/null", O_RDWR | O_CLOEXEC),
      second = open ("/dev/null", O_RDWR | O_CLOEXEC);

  answer = (Answer){ 0 };
  g_cancellable_cancel (cancellable);
  fd_request_answer (cancelled, first, NULL);
  g_assert_false (is_open (first));
  g_object_unref (owner);
  fd_request_answer (orphan, second, NULL);
  g_assert_false (is_open (second));
  g_assert_cmpuint (answer.n_answers, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/display-transport/closed-is-told-once", test_closed_is_told_once);
  g_test_add_func ("/display-transport/closing-tells-no-error", test_closing_tells_no_error);
  g_test_add_func ("/display-transport/requests-are-answered", test_requests_are_answered);
  g_test_add_func ("/display-transport/answers-that-come-too-late",
                   test_answers_that_come_too_late);
  return g_test_run ();
}
