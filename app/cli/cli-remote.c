#include "cli/cli-command.h"

#include "base/app-dirs.h"

gboolean
cli_remote_command (const char *command, const char *machine_id, const char *argument)
{
  g_autofree char *id = app_dirs_dup_application_id ();
  g_autoptr (GApplication) application = g_application_new (id, G_APPLICATION_IS_LAUNCHER);
  g_autoptr (GDBusConnection) bus = NULL;

  /* As a launcher it never becomes the application: this fails when none is running. */
  if (!g_application_register (application, NULL, NULL) ||
      !g_application_get_is_remote (application))
    return FALSE;
  g_debug ("the window carries out %s for %s", command, machine_id);
  g_action_group_activate_action (G_ACTION_GROUP (application), "machine-command",
                                  g_variant_new ("(sss)", command, machine_id, argument));
  /* The call has no answer: it must have left before we go. */
  bus = g_bus_get_sync (G_BUS_TYPE_SESSION, NULL, NULL);
  return bus != NULL && g_dbus_connection_flush_sync (bus, NULL, NULL);
}
