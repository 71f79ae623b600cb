#include <stdio.h>

#include "config/vm-options.h"
#include "machine/machine.h"

static void
on_event (Machine *machine, MachineEvent event, MachineCause cause, void *opaque)
{
  if (event == MACHINE_EVENT_SHUTDOWN)
    g_main_loop_quit (opaque);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  VmOptionsAction action;
  g_autoptr (VmConfig) config = vm_options_parse (argc, argv, &action, &error);
  int status = 1;

  if (!config)
    {
      fprintf (stderr, "alcove-vmm: %s\n", error ? error->message : "nothing to do");
      return 2;
    }
  g_autoptr (Machine) machine = machine_new (config, &error);
  if (!machine ||
      (machine_add_listener (machine, on_event, loop), !machine_start (machine, &error)))
    {
      fprintf (stderr, "alcove-vmm: %s\n", error->message);
      return 1;
    }
  g_main_loop_run (loop);
  machine_get_exit_status (machine, &status);
  if (machine_get_failure (machine))
    fprintf (stderr, "alcove-vmm: %s\n", machine_get_failure (machine));
  return status;
}
