#include "machine/machine-settings.h"

#include "app-test.h"

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <libglib-testing/signal-logger.h>

#define GOOD                                                                                       \
  "# my machine\n[machine]\nversion=1\nname=One\ncpus=2\nmemory=536870912\nfirmware=linux\n"       \
  "kernel=kernel\nnetwork=none\ncreated=5\nfuture=kept\n\n[disk 0]\nfile=disk.raw\nformat=raw\n"   \
  "readonly=true\ncache=kept too\n\n[something new]\nkey=value\n"

static void
test_round_trip (void)
{
  g_autofree char *path = app_test_path ("machine.ini");
  g_autoptr (GError) error = NULL;
  g_autoptr (MachineSettings) settings = NULL;
  g_autoptr (MachineSettings) again = NULL;
  g_autofree char *text = NULL;
  MachineDisk disk;

  app_test_write (path, GOOD);
  settings = machine_settings_load (path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (machine_settings_get_name (settings), ==, "One");
  g_assert_cmpuint (machine_settings_get_cpus (settings), ==, 2);
  g_assert_cmpuint (machine_settings_get_memory (settings), ==, 536870912);
  g_assert_cmpint (machine_settings_get_firmware (settings), ==, MACHINE_FIRMWARE_LINUX);
  g_assert_cmpint (machine_settings_get_network (settings), ==, MACHINE_NETWORK_NONE);
  g_assert_cmpint (machine_settings_get_created (settings), ==, 5);
  g_assert_cmpuint (machine_settings_get_n_disks (settings), ==, 1);
  disk = machine_settings_get_disk (settings, 0);
  g_assert_cmpstr (disk.file, ==, "disk.raw");
  g_assert_true (disk.readonly);

  machine_settings_set_name (settings, "Two; [x] = \\n é");
  machine_settings_add_disk (settings, "second.qcow2", MACHINE_DISK_QCOW2, FALSE);
  g_assert_true (machine_settings_save (settings, path, &error));
  text = app_test_read (path);
  g_assert_nonnull (strstr (text, "# my machine"));
  g_assert_nonnull (strstr (text, "future=kept"));
  g_assert_nonnull (strstr (text, "cache=kept too"));
  g_assert_nonnull (strstr (text, "[something new]"));
  again = machine_settings_load (path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (machine_settings_get_name (again), ==, "Two; [x] = \\n é");
  g_assert_cmpuint (machine_settings_get_n_disks (again), ==, 2);
  g_assert_cmpint (machine_settings_get_disk (again, 1).format, ==, MACHINE_DISK_QCOW2);
}

static void
test_remove_disk (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MachineSettings) settings = machine_settings_parse (GOOD, strlen (GOOD), &error);
  g_autofree char *text = NULL;

  machine_settings_remove_disk (settings, 0);
  text = machine_settings_to_data (settings, NULL);
  g_assert_null (strstr (text, "[disk 0]"));
  g_assert_nonnull (strstr (text, "[something new]"));
}

static void
test_corrupt (void)
{
  static const struct
  {
    const char *text;
    int code;
    const char *message;
  } cases[] = {
    { "", MACHINE_SETTINGS_ERROR_CORRUPT, "no group [machine]" },
    { "\x7f"
      "ELF\x01\x02",
      MACHINE_SETTINGS_ERROR_CORRUPT, "" },
    { "[machine]\nname=x\n", MACHINE_SETTINGS_ERROR_CORRUPT, "“version”" },
    { "[machine]\nversion=one\nname=x\n", MACHINE_SETTINGS_ERROR_CORRUPT, "“version”" },
    { "[machine]\nversion=2\nname=x\n", MACHINE_SETTINGS_ERROR_NEWER, "newer Alcove (version 2" },
    { "[machine]\nversion=1\n", MACHINE_SETTINGS_ERROR_INVALID, "needs a name" },
    { "[machine]\nversion=1\nname=x\ncpus=-1\n", MACHINE_SETTINGS_ERROR_INVALID, "“cpus” is “-1”" },
    { "[machine]\nversion=1\nname=x\ncpus=9999\n", MACHINE_SETTINGS_ERROR_INVALID, "“cpus”" },
    { "[machine]\nversion=1\nname=x\nmemory=99999999999999999999\n", MACHINE_SETTINGS_ERROR_INVALID,
      "“memory”" },
    { "[machine]\nversion=1\nname=x\nmemory=1073741825\n", MACHINE_SETTINGS_ERROR_INVALID,
      "whole number of MiB" },
    { "[machine]\nversion=1\nname=x\nfirmware=bios\n", MACHINE_SETTINGS_ERROR_INVALID, "“bios”" },
    { "[machine]\nversion=1\nname=x\nfirmware=linux\n", MACHINE_SETTINGS_ERROR_INVALID,
      "needs a kernel" },
    { "[machine]\nversion=1\nname=x\ncdrom=../../etc/shadow\n", MACHINE_SETTINGS_ERROR_INVALID,
      "leads out of the machine's folder" },
    { "[machine]\nversion=1\nname=a\\tb\n", MACHINE_SETTINGS_ERROR_INVALID, "control character" },
    { "[machine]\nversion=1\nname=\xff\n", MACHINE_SETTINGS_ERROR_INVALID, "“name”" },
    { "[machine]\nversion=1\nname=x\n[disk 0]\nfile=a\n", MACHINE_SETTINGS_ERROR_INVALID,
      "no “format”" },
    { "[machine]\nversion=1\nname=x\n[disk 0]\nformat=raw\n", MACHINE_SETTINGS_ERROR_INVALID,
      "no “file”" },
    { "[machine]\nversion=1\nname=x\n[disk 1]\nfile=a\nformat=raw\n",
      MACHINE_SETTINGS_ERROR_INVALID, "no [disk 0]" },
    { "[machine]\nversion=1\nname=x\n[disk 0]\nfile=a\nformat=raw\nreadonly=maybe\n",
      MACHINE_SETTINGS_ERROR_INVALID, "“readonly”" },
    { "[machine]\nversion=1\nname=x\n[disk 0]\nfile=a/../../b\nformat=raw\n",
      MACHINE_SETTINGS_ERROR_INVALID, "leads out" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (machine_settings_parse (cases[i].text, strlen (cases[i].text), &error));
      app_test_assert_error (error, MACHINE_SETTINGS_ERROR, cases[i].code, cases[i].message);
    }
}

static void
test_huge (void)
{
  g_autofree char *path = app_test_path ("machine.ini");
  g_autoptr (GError) error = NULL;

  app_test_write (path, GOOD);
  g_assert_no_errno (truncate (path, G_GINT64_CONSTANT (1) << 40));
  g_assert_null (machine_settings_load (path, &error));
  app_test_assert_error (error, MACHINE_SETTINGS_ERROR, MACHINE_SETTINGS_ERROR_CORRUPT, path);
}

/* A failed save leaves the old file as it was. */
static void
test_save_fails (void)
{
  g_autofree char *path = app_test_path ("machine.ini");
  g_autofree char *nowhere = g_strconcat (path, ".d/machine.ini", NULL);
  g_autoptr (MachineSettings) settings = machine_settings_new ("x");
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  app_test_write (path, "as it was");
  machine_settings_set_cpus (settings, 0);
  g_assert_false (machine_settings_save (settings, path, &error));
  app_test_assert_error (error, MACHINE_SETTINGS_ERROR, MACHINE_SETTINGS_ERROR_INVALID,
                         "0 processors are not possible");
  text = app_test_read (path);
  g_assert_cmpstr (text, ==, "as it was");
  machine_settings_set_cpus (settings, 1);
  g_assert_false (machine_settings_save (settings, nowhere, &error));
  g_assert_nonnull (error);
}

static void
test_signals (void)
{
  g_autoptr (MachineSettings) settings = machine_settings_new ("x");
  g_autoptr (MachineSettings) other = machine_settings_new ("y");
  g_autoptr (GtSignalLogger) logger = gt_signal_logger_new ();

  gt_signal_logger_connect (logger, settings, "changed");
  gt_signal_logger_connect (logger, settings, "notify::name");
  machine_settings_set_name (settings, "x");
  gt_signal_logger_assert_no_emissions (logger);
  machine_settings_set_name (settings, "z");
  gt_signal_logger_assert_notify_emission_pop (logger, settings, "name");
  gt_signal_logger_assert_emission_pop (logger, settings, "changed", NULL);
  machine_settings_assign (settings, other);
  gt_signal_logger_assert_notify_emission_pop (logger, settings, "name");
  gt_signal_logger_assert_emission_pop (logger, settings, "changed", NULL);
  gt_signal_logger_assert_no_emissions (logger);
  g_assert_cmpstr (machine_settings_get_name (settings), ==, "y");
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/machine-settings/round-trip", test_round_trip);
  g_test_add_func ("/machine-settings/remove-disk", test_remove_disk);
  g_test_add_func ("/machine-settings/corrupt", test_corrupt);
  g_test_add_func ("/machine-settings/huge", test_huge);
  g_test_add_func ("/machine-settings/save-fails", test_save_fails);
  g_test_add_func ("/machine-settings/signals", test_signals);
  return g_test_run ();
}
