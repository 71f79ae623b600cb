#include "gallery/disc-machine.h"

#include "app-test.h"

#include <string.h>
#include <sys/stat.h>

#define BLOCK  2048
#define BLOCKS 21

static char *
make_disc (const char *name, gboolean uefi)
{
  g_autofree guint8 *bytes = g_malloc0 (BLOCKS * BLOCK);
  guint8 *catalog = bytes + 20 * BLOCK;
  char *path = app_test_path (name);

  memcpy (bytes + 16 * BLOCK, "\1CD001\1", 7);
  memset (bytes + 16 * BLOCK + 40, ' ', 32);
  memcpy (bytes + 16 * BLOCK + 40, "LABEL", 5);
  bytes[16 * BLOCK + 80] = BLOCKS;
  memcpy (bytes + 17 * BLOCK, "\0CD001\1EL TORITO SPECIFICATION", 30);
  bytes[17 * BLOCK + 0x47] = 20;
  catalog[0] = 1;
  catalog[1] = uefi ? 0xef : 0;
  catalog[30] = 0x55;
  catalog[31] = 0xaa;
  catalog[32] = 0x88;
  g_assert_true (g_file_set_contents (path, (const char *) bytes, BLOCKS * BLOCK, NULL));
  return path;
}

static MachineStore *
open_store (void)
{
  g_autoptr (GError) error = NULL;
  MachineStore *store = machine_store_open (app_test_folder (), &error);

  g_assert_no_error (error);
  return store;
}

static void
test_create (void)
{
  g_autoptr (MachineStore) store = open_store ();
  g_autofree char *disc = make_disc ("debian-12_amd64.iso", TRUE);
  g_autoptr (GError) error = NULL;
  g_autoptr (DiscMachine) plan = disc_machine_new (disc, store, &error);
  g_autoptr (DiscMachine) again = NULL;
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autofree char *disk = NULL;
  MachineSettings *settings;
  struct stat st;

  g_assert_no_error (error);
  g_assert_cmpstr (plan->name, ==, "debian-12 amd64");
  machine = disc_machine_create (plan, store, &error);
  g_assert_no_error (error);
  settings = alcove_machine_get_settings (machine);
  g_assert_cmpstr (machine_settings_get_cdrom (settings), ==, disc);
  g_assert_cmpint (machine_settings_get_firmware (settings), ==, MACHINE_FIRMWARE_UEFI);
  g_assert_nonnull (machine_settings_get_nvram (settings));
  g_assert_cmpuint (machine_settings_get_n_disks (settings), ==, 1);
  disk = g_build_filename (alcove_machine_get_folder (machine),
                           machine_settings_get_disk (settings, 0).file, NULL);
  g_assert_cmpint (stat (disk, &st), ==, 0);
  g_assert_cmpuint (st.st_size, ==, DISC_MACHINE_DISK_SIZE);
  g_assert_cmpuint (st.st_blocks, <, 64);
  again = disc_machine_new (disc, store, NULL);
  g_assert_cmpstr (again->name, ==, "debian-12 amd64 2");
}

static void
test_names (void)
{
  static const struct
  {
    const char *file;
    const char *name;
  } cases[] = {
    { "My System.ISO", "My System" },
    { ".iso", ".iso" },
    { "___.iso", "LABEL" },
    { "a\nb\x1b.img", "a b" },
    { "0123456789012345678901234567890123456789012345678901234567890123456789.iso",
      "01234567890123456789012345678901234567890123456789012345" },
  };
  g_autoptr (MachineStore) store = open_store ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *disc = make_disc (cases[i].file, TRUE);
      g_autoptr (GError) error = NULL;
      g_autoptr (DiscMachine) plan = disc_machine_new (disc, store, &error);

      g_assert_no_error (error);
      g_assert_cmpstr (plan->name, ==, cases[i].name);
    }
}

/* Nothing is left of a machine that cannot be made. */
static void
test_refused (void)
{
  g_autoptr (MachineStore) store = open_store ();
  g_autofree char *disc = make_disc ("disc.iso", TRUE);
  g_autofree char *odd = make_disc ("not-utf8-\xff.iso", TRUE);
  g_autofree char *bios = make_disc ("bios.iso", FALSE);
  g_autoptr (GError) error = NULL;
  g_autoptr (DiscMachine) plan = NULL;

  g_assert_null (disc_machine_new (bios, store, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "no boot loader for UEFI");
  g_assert_null (disc_machine_new ("/nowhere.iso", store, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "/nowhere.iso");
  g_assert_null (disc_machine_new (odd, store, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_FILENAME, "rename it");
  plan = disc_machine_new (disc, store, &error);
  g_assert_no_error (error);
  plan->disk_size = G_MAXUINT64;
  g_assert_null (disc_machine_create (plan, store, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  plan->disk_size = 0;
  plan->memory = 1;
  g_assert_null (disc_machine_create (plan, store, &error));
  g_assert_error (error, MACHINE_SETTINGS_ERROR, MACHINE_SETTINGS_ERROR_INVALID);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (store)), ==, 0);
}

/* In a thread: the same plan, the same refusal. */
static void
test_async (void)
{
  g_autoptr (MachineStore) store = open_store ();
  const char *const missing = "/nowhere.iso";
  g_autofree char *disc = make_disc ("disc.iso", TRUE);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 2; i++)
    {
      AppTestWait wait = { NULL };
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (DiscMachine) plan = NULL;

      disc_machine_new_async (i == 0 ? disc : missing, store, app_test_callback, &wait);
      result = app_test_wait (&wait);
      plan = disc_machine_new_finish (store, result, &error);
      if (i == 0)
        {
          g_assert_no_error (error);
          g_assert_cmpstr (plan->file, ==, disc);
        }
      else
        {
          g_assert_null (plan);
          app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, missing);
        }
    }
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/disc-machine/create", test_create);
  g_test_add_func ("/disc-machine/names", test_names);
  g_test_add_func ("/disc-machine/refused", test_refused);
  g_test_add_func ("/disc-machine/async", test_async);
  return g_test_run ();
}
