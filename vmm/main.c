#define G_LOG_DOMAIN "vmm"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <glib-unix.h>
#include <sys/resource.h>

#include "config/vm-options.h"
#include "control/control-machine.h"
#include "control/control-server.h"
#include "emulation/accel-choice.h"
#include "emulation/emulation.h"
#include "kvm/kvm-host.h"
#include "machine/machine-check.h"
#include "machine/machine.h"

enum
{
  STATUS_HOST = 1,
  STATUS_USAGE = 2,
};

#define FILES 8192
#define STACK (1 << 20)

typedef struct Run
{
  Machine *machine;
  GMainLoop *loop;
} Run;

/* Tells an error and returns the status that goes with it. */
static int
report (const GError *error)
{
  g_printerr ("alcove-vmm: %s\n", error->message);
  return g_error_matches (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE) ? STATUS_USAGE
                                                                         : STATUS_HOST;
}

static void
on_event (Machine *machine, MachineEvent event, MachineCause cause, void *opaque)
{
  Run *run = opaque;
  int status;

  if (machine_get_exit_status (machine, &status))
    g_main_loop_quit (run->loop);
}

static gboolean
on_signal (void *opaque)
{
  Run *run = opaque;

  machine_quit (run->machine, MACHINE_CAUSE_HOST_SIGNAL);
  return G_SOURCE_CONTINUE;
}

/* Until the machine is over; its exit status. */
static int
run_loop (Machine *machine, GError **error)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Run run = { .machine = machine, .loop = loop };
  int status = STATUS_HOST;

  signal (SIGPIPE, SIG_IGN);
  g_unix_signal_add (SIGINT, on_signal, &run);
  g_unix_signal_add (SIGTERM, on_signal, &run);
  g_unix_signal_add (SIGHUP, on_signal, &run);
  machine_add_listener (machine, on_event, &run);
  if (machine_start (machine, error))
    {
      if (!machine_get_exit_status (machine, &status))
        g_main_loop_run (loop);
      machine_get_exit_status (machine, &status);
      if (machine_get_failure (machine) != NULL)
        g_printerr ("alcove-vmm: %s\n", machine_get_failure (machine));
    }
  machine_remove_listener (machine, on_event, &run);
  return status;
}

/* Each connection of the guest's network is a file, and a desktop's usual limit of 1024 is for programs that use select (). */
static void
raise_file_limit (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= FILES)
    return;
  limit.rlim_cur = MIN (limit.rlim_max, FILES);
  if (setrlimit (RLIMIT_NOFILE, &limit) < 0)
    g_debug ("RLIMIT_NOFILE: %s", g_strerror (errno));
}

/* Where the host gives huge pages to everybody, the usual stack of 8 MiB is resident with 2 MiB of them once it is touched, for each thread of
 * a vCPU and of a disk. In a smaller one there is no room for one. */
static void
limit_stacks (void)
{
  pthread_attr_t attributes;

  if (pthread_attr_init (&attributes) != 0)
    return;
  if (pthread_attr_setstacksize (&attributes, STACK) != 0 ||
      pthread_setattr_default_np (&attributes) != 0)
    g_debug ("stacks keep their usual size");
  pthread_attr_destroy (&attributes);
}

static int
run_on_kvm (const VmConfig *config, GError **error)
{
  limit_stacks ();
  g_autoptr (Machine) machine = machine_new (config, error);
  g_autoptr (ControlServer) server = NULL;

  if (machine == NULL)
    return STATUS_HOST;
  raise_file_limit ();
  if (config->control_path != NULL)
    {
      const ControlTarget target = control_machine_get_target (machine);
      server = control_server_new (config->control_path, &target, error);
      if (server == NULL)
        return STATUS_HOST;
      machine_add_listener (machine, control_machine_on_event, server);
    }
  int status = run_loop (machine, error);
  if (server != NULL)
    machine_remove_listener (machine, control_machine_on_event, server);
  return status;
}

static int
run (const VmConfig *config, GError **error)
{
  AccelChoice choice;

  if (!vm_config_check_files (config, error) || !machine_check (config, error) ||
      !accel_choice_make (&choice, config, kvm_host_is_usable, error))
    return STATUS_HOST;
  int status = STATUS_HOST;
  if (choice.emulate)
    emulation_become (config, choice.reason, error);
  else
    status = run_on_kvm (config, error);
  accel_choice_clear (&choice);
  return status;
}

static int
tell (VmOptionsAction action)
{
  g_autofree char *help = action == VM_OPTIONS_HELP ? vm_options_to_help ()
                                                    : g_strdup ("alcove-vmm " ALCOVE_VERSION "\n");

  g_print ("%s", help);
  return EXIT_SUCCESS;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  VmOptionsAction action;
  g_autoptr (VmConfig) config = vm_options_parse (argc, argv, &action, &error);

  g_set_prgname ("alcove-vmm");
  if (config == NULL && error == NULL)
    return tell (action);
  int status = config != NULL ? run (config, &error) : STATUS_USAGE;
  return error != NULL ? report (error) : status;
}
