/* A QMP server for a machine that is only a fake, as the peer of test-qmp-transcript.py. Usage: serve-fake-machine SOCKET
 * Tells of what is asked of the machine by the events that a machine would emit; ends with quit. */
#include <stdlib.h>

#include "control/control-server.h"
#include "fake-control-target.h"

typedef struct Serve
{
  FakeControlTarget fake; /* first: its functions answer what is not answered here */
  ControlServer *server;
  GMainLoop *loop;
} Serve;

static const char *
get_name (void *opaque)
{
  return "vm1";
}

static void
pause_machine (void *opaque)
{
  Serve *serve = opaque;

  if (serve->fake.state != MACHINE_STATE_RUNNING)
    return;
  serve->fake.state = MACHINE_STATE_PAUSED;
  control_server_emit (serve->server, MACHINE_EVENT_STOP, MACHINE_CAUSE_NONE);
}

static bool
cont (void *opaque, GError **error)
{
  Serve *serve = opaque;

  if (serve->fake.state == MACHINE_STATE_PAUSED)
    {
      serve->fake.state = MACHINE_STATE_RUNNING;
      control_server_emit (serve->server, MACHINE_EVENT_RESUME, MACHINE_CAUSE_NONE);
    }
  return true;
}

static void
reset (void *opaque)
{
  Serve *serve = opaque;

  control_server_emit (serve->server, MACHINE_EVENT_RESET, MACHINE_CAUSE_HOST_QMP_SYSTEM_RESET);
}

static void
powerdown (void *opaque)
{
  Serve *serve = opaque;

  control_server_emit (serve->server, MACHINE_EVENT_POWERDOWN, MACHINE_CAUSE_NONE);
}

static void
quit (void *opaque)
{
  Serve *serve = opaque;

  control_server_emit (serve->server, MACHINE_EVENT_SHUTDOWN, MACHINE_CAUSE_HOST_QMP_QUIT);
  g_main_loop_quit (serve->loop);
}

int
main (int argc, char **argv)
{
  Serve serve = { .loop = g_main_loop_new (NULL, FALSE) };
  g_autoptr (GError) error = NULL;

  fake_control_target_init (&serve.fake);
  ControlTargetOps ops = *fake_control_target_get (&serve.fake).ops;
  ops.get_name = get_name;
  ops.pause = pause_machine;
  ops.cont = cont;
  ops.reset = reset;
  ops.powerdown = powerdown;
  ops.quit = quit;
  const ControlTarget target = { .ops = &ops, .opaque = &serve };
  serve.server = argc == 2 ? control_server_new (argv[1], &target, &error) : NULL;
  if (serve.server == NULL)
    {
      g_printerr ("%s\n", error ? error->message : "usage: serve-fake-machine SOCKET");
      return EXIT_FAILURE;
    }
  g_main_loop_run (serve.loop);
  control_server_free (serve.server);
  g_main_loop_unref (serve.loop);
  fake_control_target_clear (&serve.fake);
  return EXIT_SUCCESS;
}
