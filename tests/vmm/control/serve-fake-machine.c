/* A QMP server for a machine that is only a fake, as the peer of test-qmp-transcript.py. Usage: serve-fake-machine SOCKET
 * Tells of what is asked of the machine by the events that a machine would emit; ends with quit. */
#include <stdlib.h>
#include <unistd.h>

#include "control/control-server.h"

typedef struct Serve
{
  ControlServer *server;
  GMainLoop *loop;
  MachineState state;
} Serve;

static const char *
get_name (void *opaque)
{
  return "vm1";
}

static MachineState
get_state (void *opaque)
{
  Serve *serve = opaque;

  return serve->state;
}

static void
pause_machine (void *opaque)
{
  Serve *serve = opaque;

  if (serve->state != MACHINE_STATE_RUNNING)
    return;
  serve->state = MACHINE_STATE_PAUSED;
  control_server_emit (serve->server, MACHINE_EVENT_STOP, MACHINE_CAUSE_NONE);
}

static bool
cont (void *opaque, GError **error)
{
  Serve *serve = opaque;

  if (serve->state == MACHINE_STATE_PAUSED)
    {
      serve->state = MACHINE_STATE_RUNNING;
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

static bool
add_spice_client (void *opaque, int fd, bool skip_auth, bool memfd, GError **error)
{
  close (fd);
  return true;
}

static bool
screendump (void *opaque, const char *path, GError **error)
{
  return true;
}

static const ControlTargetOps ops = {
  .get_name = get_name,
  .get_state = get_state,
  .pause = pause_machine,
  .cont = cont,
  .reset = reset,
  .powerdown = powerdown,
  .quit = quit,
  .add_spice_client = add_spice_client,
  .screendump = screendump,
};

int
main (int argc, char **argv)
{
  Serve serve = { .loop = g_main_loop_new (NULL, FALSE), .state = MACHINE_STATE_RUNNING };
  const ControlTarget target = { .ops = &ops, .opaque = &serve };
  g_autoptr (GError) error = NULL;

  serve.server = argc == 2 ? control_server_new (argv[1], &target, &error) : NULL;
  if (serve.server == NULL)
    {
      g_printerr ("%s\n", error ? error->message : "usage: serve-fake-machine SOCKET");
      return EXIT_FAILURE;
    }
  g_main_loop_run (serve.loop);
  control_server_free (serve.server);
  g_main_loop_unref (serve.loop);
  return EXIT_SUCCESS;
}
