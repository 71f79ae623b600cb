#include "cli/cli-command.h"

#include <string.h>
#include <unistd.h>
#include "gallery/disc-machine.h"
#include "gallery/gallery-catalog.h"
#include "gallery/gallery-install.h"
#include "gallery/gallery-seed.h"

typedef struct InstallOptions
{
  char *name;
  int cpus;
  char *memory;
  char *disk;
  char *network;
  char *user;
  char *password_file;
  char *ssh_key;
  gboolean start;
  gboolean json;
} InstallOptions;

static void
install_options_clear (InstallOptions *options)
{
  g_clear_pointer (&options->name, g_free);
  g_clear_pointer (&options->memory, g_free);
  g_clear_pointer (&options->disk, g_free);
  g_clear_pointer (&options->network, g_free);
  g_clear_pointer (&options->user, g_free);
  g_clear_pointer (&options->password_file, g_free);
  g_clear_pointer (&options->ssh_key, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (InstallOptions, install_options_clear)

/* What the options say, where they say something: 0, and -1 of the network. */
typedef struct Wishes
{
  guint cpus;
  guint64 memory;
  guint64 disk;
  int network;
} Wishes;

/* FALSE: told on stderr. */
static gboolean
parse_wishes (const InstallOptions *options, Wishes *wishes)
{
  *wishes = (Wishes){ .cpus = (guint) options->cpus, .network = -1 };
  if (options->cpus != 0 && (options->cpus < 1 || options->cpus > MACHINE_CPUS_MAX))
    {
      cli_fail_text ("--cpus %d: 1 to %d are allowed", options->cpus, MACHINE_CPUS_MAX);
      return FALSE;
    }
  if (options->memory != NULL &&
      (!cli_parse_size (options->memory, &wishes->memory) || wishes->memory < MACHINE_MEMORY_MIN ||
       wishes->memory > MACHINE_MEMORY_MAX))
    {
      cli_fail_text ("--memory %s: 64M to 256G are allowed", options->memory);
      return FALSE;
    }
  if (options->disk != NULL && !cli_parse_size (options->disk, &wishes->disk))
    {
      cli_fail_text ("--disk %s: a size like 20G is needed", options->disk);
      return FALSE;
    }
  if (options->network != NULL)
    {
      g_autoptr (GEnumClass) words = g_type_class_ref (MACHINE_TYPE_NETWORK);
      const GEnumValue *word = g_enum_get_value_by_nick (words, options->network);

      if (word == NULL)
        {
          cli_fail_text ("--network %s: user or none is needed", options->network);
          return FALSE;
        }
      wishes->network = word->value;
    }
  return TRUE;
}

/* FALSE: told on stderr. */
static gboolean
apply_options (GalleryInstall *install, const InstallOptions *options)
{
  Wishes wishes;

  if (!parse_wishes (options, &wishes))
    return FALSE;
  if (options->name != NULL)
    gallery_install_set_machine_name (install, options->name);
  if (wishes.cpus != 0)
    gallery_install_set_cpus (install, wishes.cpus);
  if (wishes.memory != 0)
    gallery_install_set_memory (install, wishes.memory);
  if (options->disk != NULL)
    gallery_install_set_disk_size (install, wishes.disk);
  if (wishes.network >= 0)
    gallery_install_set_network (install, wishes.network);
  return TRUE;
}

/* The first line of a file, "-" is the standard input. NULL: told on stderr. */
static char *
read_line (const char *option, const char *path)
{
  g_autoptr (GIOChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  char *line = NULL;
  gsize end;

  channel = g_str_equal (path, "-") ? g_io_channel_unix_new (STDIN_FILENO)
                                    : g_io_channel_new_file (path, "r", &error);
  if (channel != NULL &&
      g_io_channel_read_line (channel, &line, NULL, &end, &error) == G_IO_STATUS_NORMAL)
    {
      line[end] = '\0';
      return line;
    }
  cli_fail_text ("%s %s: %s", option, path, error != NULL ? error->message : "it is empty");
  return NULL;
}

/* Who can log in to a cloud image. FALSE: told on stderr. */
static gboolean
apply_user (GalleryInstall *install, const InstallOptions *options)
{
  const char *usual = gallery_entry_get_cloud_user (gallery_install_get_entry (install));
  g_autofree char *password = NULL;
  g_autofree char *hash = NULL;
  g_autofree char *key = NULL;
  g_autoptr (GError) error = NULL;

  if (options->user == NULL && options->password_file == NULL && options->ssh_key == NULL)
    {
      if (usual == NULL)
        return TRUE;
      cli_fail_text ("this system makes its user at its first start, and without nobody could log "
                     "in: give --password-file FILE or --ssh-key FILE, and --user NAME for "
                     "another name than “%s”",
                     usual);
      return FALSE;
    }
  if (options->password_file != NULL)
    {
      password = read_line ("--password-file", options->password_file);
      hash = password != NULL ? gallery_seed_hash_password (password, &error) : NULL;
      if (error != NULL)
        cli_fail (error);
      if (password != NULL)
        explicit_bzero (password, strlen (password));
      if (hash == NULL)
        return FALSE;
    }
  if (options->ssh_key != NULL)
    {
      key = read_line ("--ssh-key", options->ssh_key);
      if (key == NULL)
        return FALSE;
    }
  gallery_install_set_user (install, options->user != NULL ? options->user : usual, hash, key);
  return TRUE;
}

static void
on_progress (GalleryInstall *install)
{
  g_autofree char *status = gallery_install_dup_status (install);

  if (isatty (STDERR_FILENO))
    g_printerr ("\r\033[K%s", status);
}

static void
on_stage (GalleryInstall *install)
{
  g_autofree char *status = gallery_install_dup_status (install);

  g_printerr (isatty (STDERR_FILENO) ? "\r\033[K%s" : "%s\n", status);
}

static void
print_for_people (GalleryInstall *install, AlcoveMachine *machine, const InstallOptions *options,
                  double start_seconds)
{
  g_print ("“%s” is %s:", alcove_machine_get_name (machine), options->start ? "running" : "ready");
  for (GalleryStage stage = GALLERY_STAGE_DOWNLOAD; stage < GALLERY_STAGE_DONE; stage++)
    g_print ("%s %s %.1f s", stage > GALLERY_STAGE_DOWNLOAD ? "," : "",
             gallery_stage_to_string (stage), gallery_install_get_stage_seconds (install, stage));
  if (options->start)
    g_print (", start %.1f s", start_seconds);
  g_print ("\n");
}

static void
print_json (GalleryInstall *install, AlcoveMachine *machine, const InstallOptions *options,
            double start_seconds)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();

  json_builder_begin_object (builder);
  cli_add_string (builder, "id", alcove_machine_get_id (machine));
  cli_add_string (builder, "name", alcove_machine_get_name (machine));
  cli_add_string (builder, "folder", alcove_machine_get_folder (machine));
  json_builder_set_member_name (builder, "seconds");
  json_builder_begin_object (builder);
  for (GalleryStage stage = GALLERY_STAGE_DOWNLOAD; stage < GALLERY_STAGE_DONE; stage++)
    {
      json_builder_set_member_name (builder, gallery_stage_to_string (stage));
      json_builder_add_double_value (builder, gallery_install_get_stage_seconds (install, stage));
    }
  if (options->start)
    {
      json_builder_set_member_name (builder, "start");
      json_builder_add_double_value (builder, start_seconds);
    }
  json_builder_end_object (builder);
  json_builder_end_object (builder);
  cli_print_json (builder);
}

static int
install_entry (GalleryEntry *entry, const InstallOptions *options)
{
  g_autoptr (MachineStore) store = cli_open_store ();
  g_autoptr (GalleryCache) cache = gallery_cache_new (NULL);
  g_autoptr (GalleryInstall) install = NULL;
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autoptr (GCancellable) cancellable = cli_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_auto (CliWait) wait = CLI_WAIT_INIT;
  g_auto (CliWait) wait_start = CLI_WAIT_INIT;
  double start_seconds;
  gint64 began;

  if (store == NULL)
    return CLI_EXIT_FAILED;
  install = gallery_install_new (entry, store, cache);
  if (!apply_options (install, options) || !apply_user (install, options))
    return CLI_EXIT_USAGE;
  if (!options->json)
    {
      g_signal_connect (install, "notify::stage", G_CALLBACK (on_stage), NULL);
      g_signal_connect (install, "notify::bytes-done", G_CALLBACK (on_progress), NULL);
    }
  gallery_install_run_async (install, cancellable, cli_wait_callback, &wait);
  machine = gallery_install_run_finish (install, cli_wait_for (&wait), &error);
  if (!options->json && isatty (STDERR_FILENO))
    g_printerr ("\n");
  if (machine == NULL)
    return cli_fail (error);
  began = g_get_monotonic_time ();
  if (options->start)
    {
      alcove_machine_start_async (machine, cancellable, cli_wait_callback, &wait_start);
      if (!alcove_machine_start_finish (machine, cli_wait_for (&wait_start), &error))
        return cli_fail (error);
    }
  start_seconds = (double) (g_get_monotonic_time () - began) / G_USEC_PER_SEC;
  (options->json ? print_json : print_for_people) (install, machine, options, start_seconds);
  return CLI_EXIT_DONE;
}

/* NULL: told on stderr. */
static AlcoveMachine *
create_from_disc (const char *file, const InstallOptions *options, const Wishes *wishes)
{
  g_autoptr (MachineStore) store = cli_open_store ();
  g_autoptr (GError) error = NULL;
  g_autoptr (DiscMachine) plan = NULL;
  AlcoveMachine *machine = NULL;

  if (store == NULL)
    return NULL;
  plan = disc_machine_new (file, store, &error);
  if (plan != NULL)
    {
      if (options->name != NULL)
        {
          g_free (plan->name);
          plan->name = g_strdup (options->name);
        }
      if (wishes->cpus != 0)
        plan->cpus = wishes->cpus;
      if (wishes->memory != 0)
        plan->memory = wishes->memory;
      if (options->disk != NULL)
        plan->disk_size = wishes->disk;
      if (wishes->network >= 0)
        plan->network = wishes->network;
      machine = disc_machine_create (plan, store, &error);
    }
  if (machine == NULL)
    cli_fail (error);
  return machine;
}

static int
install_disc (const char *file, const InstallOptions *options)
{
  g_autoptr (GCancellable) cancellable = cli_cancellable_new ();
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (CliWait) wait = CLI_WAIT_INIT;
  Wishes wishes;

  if (options->user != NULL || options->password_file != NULL || options->ssh_key != NULL)
    {
      cli_fail_text ("--user, --password-file and --ssh-key are for cloud images of the gallery");
      return CLI_EXIT_USAGE;
    }
  if (!parse_wishes (options, &wishes))
    return CLI_EXIT_USAGE;
  machine = create_from_disc (file, options, &wishes);
  if (machine == NULL)
    return CLI_EXIT_FAILED;
  if (options->start)
    {
      alcove_machine_start_async (machine, cancellable, cli_wait_callback, &wait);
      if (!alcove_machine_start_finish (machine, cli_wait_for (&wait), &error))
        return cli_fail (error);
    }
  if (options->json)
    {
      g_autoptr (JsonBuilder) builder = json_builder_new ();

      json_builder_begin_object (builder);
      cli_add_string (builder, "id", alcove_machine_get_id (machine));
      cli_add_string (builder, "name", alcove_machine_get_name (machine));
      cli_add_string (builder, "folder", alcove_machine_get_folder (machine));
      json_builder_end_object (builder);
      cli_print_json (builder);
    }
  else
    g_print ("“%s” is %s\n", alcove_machine_get_name (machine),
             options->start ? "running" : "ready");
  return CLI_EXIT_DONE;
}

/* A word that no entry of the gallery can have, or the name of a file. */
static gboolean
is_file (const char *word)
{
  return strchr (word, G_DIR_SEPARATOR) != NULL || g_str_has_suffix (word, ".iso") ||
         g_file_test (word, G_FILE_TEST_IS_REGULAR);
}

int
cli_install_run (int argc, char **argv)
{
  g_auto (InstallOptions) options = { NULL };
  const GOptionEntry entries[] = {
    { "name", 0, 0, G_OPTION_ARG_STRING, &options.name, "What to call the machine", "NAME" },
    { "cpus", 0, 0, G_OPTION_ARG_INT, &options.cpus, "Processors", "N" },
    { "memory", 0, 0, G_OPTION_ARG_STRING, &options.memory, "Memory, like 2G", "SIZE" },
    { "disk", 0, 0, G_OPTION_ARG_STRING, &options.disk, "Size of the disk, like 20G", "SIZE" },
    { "network", 0, 0, G_OPTION_ARG_STRING, &options.network,
      "What it is connected to: user or none", "NETWORK" },
    { "user", 0, 0, G_OPTION_ARG_STRING, &options.user,
      "The user that a cloud image makes at its first start", "NAME" },
    { "password-file", 0, 0, G_OPTION_ARG_FILENAME, &options.password_file,
      "That user's password: the first line of FILE, - is the standard input", "FILE" },
    { "ssh-key", 0, 0, G_OPTION_ARG_FILENAME, &options.ssh_key,
      "A public key that lets that user in", "FILE.pub" },
    { "start", 0, 0, G_OPTION_ARG_NONE, &options.start, "Start it when it is made", NULL },
    { "json", 0, 0, G_OPTION_ARG_NONE, &options.json,
      "Print the machine and the seconds of each stage as JSON", NULL },
    { NULL },
  };
  g_autoptr (GalleryCatalog) catalog = NULL;
  GalleryEntry *entry;

  if (!cli_parse (&argc, &argv, "ENTRY|FILE.iso",
                  "Download, verify and unpack a system of the gallery and make a machine of it.\n"
                  "A download that was broken off goes on where it was. Or make a machine that\n"
                  "starts from a disc image of your own, with an empty disk to install to.",
                  entries, 1, 1))
    return CLI_EXIT_USAGE;
  catalog = gallery_catalog_new_default ();
  entry = gallery_catalog_find (catalog, argv[1]);
  if (entry == NULL && is_file (argv[1]))
    return install_disc (argv[1], &options);
  if (entry == NULL)
    return cli_fail_text ("there is no system “%s”; “alcove gallery” lists the %u there are",
                          argv[1], g_list_model_get_n_items (G_LIST_MODEL (catalog)));
  return install_entry (entry, &options);
}
