/* What a machine answers to the app on its control socket: [length of the first part 2 bytes][first part: greeting and negotiation]
 * [second part: answers to three commands, and events]. Whatever is said, each call comes to its end once the other side has hung up. */
#include "fuzz-target.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "fuzz-input.h"
#include "machine/machine-control.h"

#define INPUT_MAX 65536

static char *folder, *path; /* for all inputs: a socket that is listened on */
static int listener;

typedef struct World
{
  MachineControl *control;
  unsigned waiting; /* calls that have not come to their end */
  unsigned closed;
} World;

static void
remove_folder (void)
{
  close (listener);
  g_unlink (path);
  g_rmdir (folder);
  g_free (path);
  g_free (folder);
}

static void
make_listener (void)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  if (folder)
    return;
  folder = g_dir_make_tmp ("alcove-fuzz-XXXXXX", NULL);
  g_assert_nonnull (folder);
  path = g_build_filename (folder, "control", NULL);
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (listener, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (listener, 1), ==, 0);
  atexit (remove_folder);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer data)
{
  World *world = data;
  g_autoptr (GError) error = NULL;

  world->control = machine_control_connect_finish (result, &error);
  g_assert_true ((world->control != NULL) == (error == NULL));
  world->waiting--;
}

static void
on_answer (GObject *source, GAsyncResult *result, gpointer data)
{
  World *world = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node =
      machine_control_execute_finish (MACHINE_CONTROL (source), result, &error);

  g_assert_true ((node != NULL) == (error == NULL));
  g_assert_true (error == NULL || g_utf8_validate (error->message, -1, NULL));
  world->waiting--;
}

static void
on_display (GObject *source, GAsyncResult *result, gpointer data)
{
  World *world = data;
  const int fd = machine_control_open_display_finish (MACHINE_CONTROL (source), result, NULL);

  if (fd >= 0)
    close (fd);
  world->waiting--;
}

static void
on_closed (MachineControl *control, const GError *reason, gpointer data)
{
  ((World *) data)->closed++;
}

static void
run (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
say (int peer, const uint8_t *bytes, size_t n)
{
  send (peer, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
  run ();
}

static void
use (World *world, int peer, const FuzzInput *rest)
{
  g_assert_true (g_utf8_validate (machine_control_get_peer (world->control), -1, NULL));
  g_signal_connect (world->control, "closed", G_CALLBACK (on_closed), world);
  world->waiting = 3;
  machine_control_execute_async (world->control, "query-status", NULL, NULL, on_answer, world);
  machine_control_execute_async (world->control, "query-block", NULL, NULL, on_answer, world);
  machine_control_open_display_async (world->control, NULL, on_display, world);
  say (peer, rest->data, rest->size);
  shutdown (peer, SHUT_WR);
  run ();
  g_assert_cmpuint (world->waiting, ==, 0);
  g_assert_false (machine_control_is_open (world->control));
  g_object_unref (world->control);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, MIN (size, INPUT_MAX) };
  size_t n = fuzz_take (&input, 2);
  const uint8_t *first = fuzz_take_bytes (&input, &n);
  World world = { .waiting = 1 };

  make_listener ();
  machine_control_connect_async (path, NULL, on_connected, &world);
  const int peer = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (peer, >=, 0);
  say (peer, first, n);
  if (world.control)
    use (&world, peer, &input);
  else
    {
      shutdown (peer, SHUT_WR);
      run ();
    }
  close (peer);
  run ();
  g_assert_cmpuint (world.waiting, ==, 0);
  return 0;
}
