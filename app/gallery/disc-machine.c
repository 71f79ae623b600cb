#define G_LOG_DOMAIN "app-gallery"

#include "gallery/disc-machine.h"

#include "gallery/gallery-provision.h"

#include <string.h>
#include <unistd.h>

#define DISK_FILE  "disk.raw"
#define NVRAM_FILE "nvram.fd"
#define CPUS_MAX   4u
#define MEMORY_MIN (G_GUINT64_CONSTANT (1) << 30)
#define MEMORY_MAX (G_GUINT64_CONSTANT (4) << 30)
#define MIB        (G_GUINT64_CONSTANT (1) << 20)

/* The file's name without what it ends in: people know their files, while labels shout. A label is better than nothing. */
static char *
make_name (const char *file, const DiscImage *image)
{
  g_autofree char *base = g_path_get_basename (file);
  g_autofree char *valid = g_utf8_make_valid (base, -1);
  char *dot = strrchr (valid, '.');
  g_autofree char *cut = NULL;

  if (dot != NULL && dot != valid)
    *dot = '\0';
  for (char *c = valid; *c != '\0'; c++)
    if (g_ascii_iscntrl (*c) || *c == '_')
      *c = ' ';
  g_strstrip (valid);
  /* Room for " 2". */
  cut = g_utf8_substring (valid, 0, MIN (g_utf8_strlen (valid, -1), MACHINE_NAME_MAX - 8));
  if (cut[0] == '\0')
    return g_strdup (image->label[0] != '\0' ? image->label : "Disc");
  return g_steal_pointer (&cut);
}

static guint64
choose_memory (void)
{
  const guint64 host =
      (guint64) MAX (sysconf (_SC_PHYS_PAGES), 0) * (guint64) MAX (sysconf (_SC_PAGESIZE), 0);

  return CLAMP (host / 2, MEMORY_MIN, MEMORY_MAX) / MIB * MIB;
}

static DiscMachine *
make_plan (const char *file, const DiscImage *image, MachineStore *store, GError **error)
{
  g_autofree char *name = NULL;
  DiscMachine *plan;

  if (!image->starts_by_uefi)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                   "“%s” is a disc that no machine of Alcove can start from: it has no boot loader "
                   "for UEFI. Choose an image for 64-bit PCs",
                   file);
      return NULL;
    }
  name = make_name (file, image);
  plan = g_new0 (DiscMachine, 1);
  plan->name = machine_store_dup_free_name (store, name);
  plan->file = g_strdup (file);
  plan->cpus = CLAMP (g_get_num_processors () / 2, 1, CPUS_MAX);
  plan->memory = choose_memory ();
  plan->disk_size = DISC_MACHINE_DISK_SIZE;
  plan->network = MACHINE_NETWORK_USER;
  return plan;
}

DiscMachine *
disc_machine_new (const char *file, MachineStore *store, GError **error)
{
  g_autofree char *absolute = g_canonicalize_filename (file, NULL);
  DiscImage image;

  return disc_image_read (absolute, &image, error) ? make_plan (absolute, &image, store, error)
                                                   : NULL;
}

static void
on_read (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  DiscMachine *plan = NULL;
  DiscImage image;
  GError *error = NULL;

  if (disc_image_read_finish (result, &image, &error))
    plan = make_plan (g_task_get_task_data (task), &image, g_task_get_source_object (task), &error);
  if (plan != NULL)
    g_task_return_pointer (task, plan, (GDestroyNotify) disc_machine_free);
  else
    g_task_return_error (task, error);
}

void
disc_machine_new_async (const char *file, MachineStore *store, GAsyncReadyCallback callback,
                        gpointer data)
{
  GTask *task = g_task_new (store, NULL, callback, data);
  char *absolute = g_canonicalize_filename (file, NULL);

  g_task_set_source_tag (task, disc_machine_new_async);
  g_task_set_task_data (task, absolute, g_free);
  disc_image_read_async (absolute, NULL, on_read, task);
}

DiscMachine *
disc_machine_new_finish (MachineStore *store, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, store), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

void
disc_machine_free (DiscMachine *plan)
{
  if (plan == NULL)
    return;
  g_free (plan->file);
  g_free (plan->name);
  g_free (plan);
}

static MachineSettings *
make_settings (const DiscMachine *plan)
{
  MachineSettings *settings = machine_settings_new (plan->name);

  machine_settings_set_cpus (settings, plan->cpus);
  machine_settings_set_memory (settings, plan->memory);
  machine_settings_set_firmware (settings, MACHINE_FIRMWARE_UEFI);
  machine_settings_set_nvram (settings, NVRAM_FILE);
  machine_settings_set_network (settings, plan->network);
  machine_settings_set_cdrom (settings, plan->file);
  if (plan->disk_size > 0)
    machine_settings_add_disk (settings, DISK_FILE, MACHINE_DISK_RAW, FALSE);
  return settings;
}

AlcoveMachine *
disc_machine_create (const DiscMachine *plan, MachineStore *store, GError **error)
{
  g_autoptr (MachineSettings) settings = make_settings (plan);
  g_autoptr (MachineDraft) draft = NULL;
  g_autofree char *disk = NULL;

  if (!machine_settings_validate (settings, error))
    return NULL;
  draft = machine_store_begin (store, error);
  if (draft == NULL)
    return NULL;
  disk = g_build_filename (machine_draft_get_folder (draft), DISK_FILE, NULL);
  if (plan->disk_size > 0 && !gallery_provision_empty_disk (disk, plan->disk_size, error))
    return NULL;
  return machine_store_commit (store, g_steal_pointer (&draft), settings, error);
}
