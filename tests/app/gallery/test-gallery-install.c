#include "gallery/gallery-install.h"

#include "app-test.h"
#include "gallery/gallery-catalog.h"
#include "gallery/gallery-seed.h"
#include "gallery/gallery-verify.h"
#include "http-server.h"

#include <archive.h>
#include <archive_entry.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <glib/gstdio.h>
#include <libglib-testing/signal-logger.h>

#define DISK_SIZE (2 * 1024 * 1024)

/* A library, a cache, a vendor's two servers, and an entry of a catalogue file about what they have:
 * a kernel as it is and a disk packed with gzip. */
typedef struct Fixture
{
  char *library;
  MachineStore *store;
  GalleryCache *cache;
  HttpServer *kernel_server;
  HttpServer *disk_server;
  GBytes *kernel;
  GBytes *disk;
  GBytes *packed;
  char *kernel_digest;
  GalleryCatalog *catalog;
  GalleryEntry *entry;
} Fixture;

static GBytes *
make_bytes (gsize size, guint32 seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  guint8 *data = g_malloc (size);

  for (gsize i = 0; i < size; i++)
    data[i] = (guint8) g_rand_int (rand);
  return g_bytes_new_take (data, size);
}

static GBytes *
pack (GBytes *bytes)
{
  g_autoptr (GZlibCompressor) gzip = g_zlib_compressor_new (G_ZLIB_COMPRESSOR_FORMAT_GZIP, 1);
  g_autoptr (GInputStream) plain = g_memory_input_stream_new_from_bytes (bytes);
  g_autoptr (GInputStream) packed = g_converter_input_stream_new (plain, G_CONVERTER (gzip));
  g_autoptr (GOutputStream) all = g_memory_output_stream_new_resizable ();
  g_autoptr (GError) error = NULL;

  g_output_stream_splice (all, packed, G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET, NULL, &error);
  g_assert_no_error (error);
  return g_memory_output_stream_steal_as_bytes (G_MEMORY_OUTPUT_STREAM (all));
}

static void
load_entry (Fixture *fixture, const char *kernel_digest, const char *more)
{
  g_autofree char *kernel_url = http_server_dup_url (fixture->kernel_server, "vmlinuz");
  g_autofree char *disk_url = http_server_dup_url (fixture->disk_server, "disk.raw.gz");
  g_autofree char *disk_digest = g_compute_checksum_for_bytes (G_CHECKSUM_SHA512, fixture->packed);
  g_autofree char *path = app_test_path ("test.json");
  g_autoptr (GError) error = NULL;
  g_autofree char *text = g_strdup_printf (
      "{\"schema\": 1, \"id\": \"test\", \"name\": \"Test\", \"version\": \"1\", \"vendor\": "
      "\"Vendor\", \"arch\": \"x86_64\", \"kind\": \"disk-image\", \"status\": \"supported\", "
      "\"summary\": \"A test.\", \"tested\": \"here\", \"login\": \"As root.\", \"firmware\": "
      "\"linux\", \"cmdline\": \"root=/dev/vda\", %s \"minimum\": {\"memory\": \"128M\"}, "
      "\"recommended\": {\"memory\": \"256M\", \"disk\": \"3M\"}, \"files\": ["
      "{\"role\": \"kernel\", \"urls\": [\"%s\"], \"checksum\": {\"hash\": \"sha256\", \"value\": "
      "\"%s\"}}, "
      "{\"role\": \"disk\", \"format\": \"raw\", \"unpack\": \"gz\", \"urls\": [\"%s\"], "
      "\"checksum\": {\"hash\": \"sha512\", \"value\": \"%s\"}}]}",
      more, kernel_url, kernel_digest, disk_url, disk_digest);

  app_test_write (path, text);
  g_clear_object (&fixture->catalog);
  fixture->catalog = gallery_catalog_new ();
  g_assert_true (gallery_catalog_load_file (fixture->catalog, path, &error));
  g_assert_no_error (error);
  fixture->entry = gallery_catalog_find (fixture->catalog, "test");
}

static void
fixture_init (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->library = app_test_path ("library");
  fixture->store = machine_store_open (fixture->library, &error);
  g_assert_no_error (error);
  fixture->cache = gallery_cache_new (app_test_folder ());
  fixture->kernel = make_bytes (300000, 1);
  fixture->disk = make_bytes (DISK_SIZE, 2);
  fixture->packed = pack (fixture->disk);
  fixture->kernel_digest = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, fixture->kernel);
  fixture->kernel_server = http_server_new (fixture->kernel);
  fixture->disk_server = http_server_new (fixture->packed);
  load_entry (fixture, fixture->kernel_digest, "");
}

static void
fixture_clear (Fixture *fixture, gconstpointer data)
{
  http_server_free (fixture->kernel_server);
  http_server_free (fixture->disk_server);
  g_clear_object (&fixture->catalog);
  g_clear_object (&fixture->cache);
  g_clear_object (&fixture->store);
  g_bytes_unref (fixture->kernel);
  g_bytes_unref (fixture->disk);
  g_bytes_unref (fixture->packed);
  g_free (fixture->kernel_digest);
  g_free (fixture->library);
}

static AlcoveMachine *
run (GalleryInstall *install, GCancellable *cancellable, GError **error)
{
  AppTestWait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;

  gallery_install_run_async (install, cancellable, app_test_callback, &wait);
  result = app_test_wait (&wait);
  return gallery_install_run_finish (install, result, error);
}

static void
assert_file (AlcoveMachine *machine, const char *name, gsize size, GBytes *start)
{
  g_autofree char *path = g_build_filename (alcove_machine_get_folder (machine), name, NULL);
  g_autofree char *data = NULL;
  gsize length;

  g_assert_true (g_file_get_contents (path, &data, &length, NULL));
  g_assert_cmpuint (length, ==, size);
  g_assert_cmpmem (data, g_bytes_get_size (start), g_bytes_get_data (start, NULL),
                   g_bytes_get_size (start));
}

/* No machine, and no draft of one. */
static void
assert_library_empty (Fixture *fixture)
{
  g_autoptr (GDir) dir = g_dir_open (fixture->library, 0, NULL);

  g_assert_null (g_dir_read_name (dir));
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (fixture->store)), ==, 0);
}

static void
check_machine (Fixture *fixture, AlcoveMachine *machine)
{
  MachineSettings *settings = alcove_machine_get_settings (machine);
  const char *const files[] = { "kernel", "disk.raw", "machine.ini", "lock" };
  g_autoptr (GDir) dir = g_dir_open (alcove_machine_get_folder (machine), 0, NULL);
  const char *name;

  assert_file (machine, "kernel", 300000, fixture->kernel);
  assert_file (machine, "disk.raw", 3 * 1024 * 1024, fixture->disk);
  g_assert_cmpstr (machine_settings_get_kernel (settings), ==, "kernel");
  g_assert_cmpstr (machine_settings_get_cmdline (settings), ==, "root=/dev/vda");
  g_assert_cmpstr (machine_settings_get_entry_id (settings), ==, "test");
  g_assert_cmpstr (machine_settings_get_note (settings), ==, "As root.");
  g_assert_cmpuint (machine_settings_get_n_disks (settings), ==, 1);
  g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_STOPPED);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      gboolean known = FALSE;

      for (guint i = 0; i < G_N_ELEMENTS (files); i++)
        known = known || g_str_equal (name, files[i]);
      if (!known)
        g_error ("“%s” was left in the machine's folder", name);
    }
}

static void
on_kernel_copied (GObject *install, GParamSpec *pspec, gpointer copied)
{
  GalleryInstall *self = GALLERY_INSTALL (install);

  if (gallery_install_get_stage (self) == GALLERY_STAGE_CREATE &&
      gallery_install_get_bytes_done (self) == 300000 &&
      gallery_install_get_bytes_total (self) == 300000)
    *(gboolean *) copied = TRUE;
}

/* From the catalogue to a machine; the second of the same system downloads nothing. */
static void
test_flow (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GalleryInstall) install = NULL;
  g_autoptr (GalleryInstall) second = NULL;
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autoptr (AlcoveMachine) other = NULL;
  g_autoptr (GtSignalLogger) logger = gt_signal_logger_new ();
  g_autoptr (GError) error = NULL;
  gboolean copied = FALSE;

  install = gallery_install_new (fixture->entry, fixture->store, fixture->cache);
  g_assert_cmpstr (gallery_install_get_machine_name (install), ==, "Test 1");
  g_assert_cmpuint (gallery_install_get_memory (install), ==, 256 << 20);
  gallery_install_set_memory (install, 512 << 20);
  gallery_install_set_machine_name (install, "Mine");
  gt_signal_logger_connect (logger, install, "notify::stage");
  g_signal_connect (install, "notify::bytes-done", G_CALLBACK (on_kernel_copied), &copied);
  machine = run (install, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (copied);
  check_machine (fixture, machine);
  g_assert_cmpstr (alcove_machine_get_name (machine), ==, "Mine");
  g_assert_cmpuint (machine_settings_get_memory (alcove_machine_get_settings (machine)), ==,
                    512 << 20);
  g_assert_cmpint (gallery_install_get_stage (install), ==, GALLERY_STAGE_DONE);
  /* download and verify of each file, unpack, create, done */
  for (guint i = 0; i < 7; i++)
    gt_signal_logger_assert_notify_emission_pop (logger, install, "stage");
  gt_signal_logger_assert_no_emissions (logger);

  second = gallery_install_new (fixture->entry, fixture->store, fixture->cache);
  other = run (second, NULL, &error);
  g_assert_no_error (error);
  check_machine (fixture, other);
  g_assert_cmpuint (fixture->kernel_server->n_requests, ==, 1);
  g_assert_cmpuint (fixture->disk_server->n_requests, ==, 1);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (fixture->store)), ==, 2);
}

/* The hash is wrong: which file and why is said, it alone is removed, no machine is made. */
static void
test_wrong_hash (Fixture *fixture, gconstpointer data)
{
  g_autofree char *wrong = g_strnfill (64, 'a');
  g_autofree char *precious =
      g_build_filename (gallery_cache_get_folder (fixture->cache), "0123-another.iso", NULL);
  g_autofree char *url = http_server_dup_url (fixture->kernel_server, "vmlinuz");
  g_autofree char *cached = gallery_cache_dup_path (fixture->cache, url);
  g_autofree char *disk_url = http_server_dup_url (fixture->disk_server, "disk.raw.gz");
  g_autofree char *cached_disk = gallery_cache_dup_path (fixture->cache, disk_url);
  g_autoptr (GalleryInstall) install = NULL;
  g_autoptr (GError) error = NULL;

  app_test_write (precious, "another download");
  app_test_write (cached_disk, "an older version of the disk");
  load_entry (fixture, wrong, "");
  install = gallery_install_new (fixture->entry, fixture->store, fixture->cache);
  g_assert_null (run (install, NULL, &error));
  g_assert_nonnull (strstr (error->message, "vmlinuz"));
  g_assert_nonnull (strstr (error->message, wrong));
  app_test_assert_error (error, GALLERY_VERIFY_ERROR, GALLERY_VERIFY_ERROR_MISMATCH,
                         fixture->kernel_digest);
  g_assert_cmpint (gallery_install_get_stage (install), ==, GALLERY_STAGE_FAILED);
  g_assert_false (app_test_exists (cached));
  g_assert_true (app_test_exists (precious));
  g_assert_true (app_test_exists (cached_disk));
  assert_library_empty (fixture);
}

/* What is in the cache was exchanged after it had been verified: it is fetched anew. */
static void
test_cache_changed (Fixture *fixture, gconstpointer data)
{
  g_autofree char *url = http_server_dup_url (fixture->kernel_server, "vmlinuz");
  g_autofree char *cached = gallery_cache_dup_path (fixture->cache, url);
  g_autoptr (GalleryInstall) install = NULL;
  g_autoptr (GalleryInstall) second = NULL;
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autoptr (AlcoveMachine) other = NULL;
  g_autoptr (GError) error = NULL;

  install = gallery_install_new (fixture->entry, fixture->store, fixture->cache);
  machine = run (install, NULL, &error);
  g_assert_no_error (error);
  app_test_write (cached, "something evil");
  second = gallery_install_new (fixture->entry, fixture->store, fixture->cache);
  other = run (second, NULL, &error);
  g_assert_no_error (error);
  check_machine (fixture, other);
  g_assert_cmpuint (fixture->kernel_server->n_requests, ==, 2);
}

/* An entry whose kernel's checksum is in the vendor's list. */
static void
load_listed_entry (Fixture *fixture, HttpServer *list_server)
{
  g_autofree char *kernel_url = http_server_dup_url (fixture->kernel_server, "vmlinuz");
  g_autofree char *list_url = http_server_dup_url (list_server, "SHA256SUMS");
  g_autofree char *path = app_test_path ("listed.json");
  g_autoptr (GError) error = NULL;
  g_autofree char *text = g_strdup_printf (
      "{\"schema\": 1, \"id\": \"listed\", \"name\": \"Test\", \"vendor\": \"Vendor\", \"arch\": "
      "\"x86_64\", \"kind\": \"installer\", \"status\": \"supported\", \"summary\": \"A test.\", "
      "\"tested\": \"here\", \"firmware\": \"linux\", \"minimum\": {\"memory\": \"128M\"}, "
      "\"recommended\": {\"memory\": \"256M\"}, \"files\": [{\"role\": \"kernel\", \"urls\": "
      "[\"%s\"], "
      "\"checksum\": {\"hash\": \"sha256\", \"url\": \"%s\", \"file\": \"vmlinuz\"}}]}",
      kernel_url, list_url);

  app_test_write (path, text);
  g_clear_object (&fixture->catalog);
  fixture->catalog = gallery_catalog_new ();
  g_assert_true (gallery_catalog_load_file (fixture->catalog, path, &error));
  g_assert_no_error (error);
  fixture->entry = gallery_catalog_find (fixture->catalog, "listed");
}

static AlcoveMachine *
run_once (Fixture *fixture, GError **error)
{
  g_autoptr (GalleryInstall) install =
      gallery_install_new (fixture->entry, fixture->store, fixture->cache);

  return run (install, NULL, error);
}

/* The vendor's list cannot be had: what was compared with it before is good enough, anything else is not; nor is what a list that
 * can be had does not name any more. */
static void
test_list_out_of_reach (Fixture *fixture, gconstpointer data)
{
  g_autofree char *line = g_strdup_printf ("%s  vmlinuz\n", fixture->kernel_digest);
  g_autoptr (GBytes) list = g_bytes_new (line, strlen (line));
  g_autoptr (GBytes) other = g_bytes_new_static (line, 64);
  g_autoptr (HttpServer) server = http_server_new (list);
  g_autoptr (HttpServer) other_server = http_server_new (other);
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autoptr (AlcoveMachine) again = NULL;
  g_autoptr (GError) error = NULL;

  load_listed_entry (fixture, server);
  server->status = 503;
  g_assert_null (run_once (fixture, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "cannot be had");
  server->status = 0;
  machine = run_once (fixture, &error);
  g_assert_no_error (error);
  server->status = 503;
  again = run_once (fixture, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (fixture->kernel_server->n_requests, ==, 1);
  load_listed_entry (fixture, other_server);
  g_assert_null (run_once (fixture, &error));
  g_assert_error (error, GALLERY_VERIFY_ERROR, GALLERY_VERIFY_ERROR_NO_SUM);
}

static void
cancel_at_bytes (GObject *install, GParamSpec *pspec, gpointer cancellable)
{
  if (gallery_install_get_bytes_done (GALLERY_INSTALL (install)) >= 1024 * 1024)
    g_cancellable_cancel (cancellable);
}

/* Cancelled in the middle of the second file: the library is as before; the next run goes on. */
static void
test_cancel (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GalleryInstall) install = NULL;
  g_autoptr (GalleryInstall) second = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autoptr (GError) error = NULL;

  fixture->disk_server->pause_ms = 20;
  install = gallery_install_new (fixture->entry, fixture->store, fixture->cache);
  g_signal_connect (install, "notify::bytes-done", G_CALLBACK (cancel_at_bytes), cancellable);
  g_assert_null (run (install, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  assert_library_empty (fixture);
  fixture->disk_server->pause_ms = 0;
  second = gallery_install_new (fixture->entry, fixture->store, fixture->cache);
  machine = run (second, NULL, &error);
  g_assert_no_error (error);
  check_machine (fixture, machine);
  g_assert_cmpuint (fixture->kernel_server->n_requests, ==, 1);
  g_assert_nonnull (fixture->disk_server->last_range);
}

static void
limit_files (rlim_t bytes)
{
  const struct rlimit limit = { bytes, RLIM_INFINITY };

  signal (SIGXFSZ, SIG_IGN);
  g_assert_no_errno (setrlimit (RLIMIT_FSIZE, &limit));
}

/* Everything goes but what an install will go on with. */
static void
test_purge (Fixture *fixture, gconstpointer data)
{
  g_autofree char *kept = gallery_cache_dup_path (fixture->cache, "http://vendor/kept.iso");
  g_autofree char *gone = gallery_cache_dup_path (fixture->cache, "http://vendor/gone.iso");
  g_autofree char *kept_part = g_strconcat (kept, ".part", NULL);
  g_autofree char *gone_part = g_strconcat (gone, ".part", NULL);
  const char *const keep[] = { kept, NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  AppTestWait wait = { NULL };

  app_test_write (kept_part, "half of a system");
  app_test_write (gone_part, "half of another");
  app_test_write (gone, "an older one, complete");
  gallery_cache_purge_async (fixture->cache, keep, NULL, app_test_callback, &wait);
  result = app_test_wait (&wait);
  g_assert_cmpint (gallery_cache_purge_finish (fixture->cache, result, &error), >, 0);
  g_assert_no_error (error);
  g_assert_true (app_test_exists (kept_part));
  g_assert_false (app_test_exists (gone_part));
  g_assert_false (app_test_exists (gone));
}

/* The disk is full at each stage in turn: an error that says so, the library as it was; and when
 * there is room the run goes through. */
static void
test_disk_full (Fixture *fixture, gconstpointer data)
{
  /* The kernel has 300000 bytes, the disk a little over 2 MiB packed, 2 MiB unpacked, 3 MiB made. */
  static const rlim_t limits[] = { 100000, 1024 * 1024, 2 * 1024 * 1024 + 64 * 1024 };
  g_autoptr (GalleryInstall) last = NULL;
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (limits); i++)
    {
      g_autoptr (GalleryInstall) install =
          gallery_install_new (fixture->entry, fixture->store, fixture->cache);

      limit_files (limits[i]);
      g_assert_null (run (install, NULL, &error));
      limit_files (RLIM_INFINITY);
      app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "make room and try again");
      assert_library_empty (fixture);
    }
  last = gallery_install_new (fixture->entry, fixture->store, fixture->cache);
  machine = run (last, NULL, &error);
  g_assert_no_error (error);
  check_machine (fixture, machine);
  g_assert_cmpuint (fixture->kernel_server->n_requests, ==, 2);
}

/* What would be refused at the end is refused before a byte is fetched. */
static void
test_refused_first (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GalleryInstall) install = NULL;
  g_autoptr (GError) error = NULL;

  install = gallery_install_new (fixture->entry, fixture->store, fixture->cache);
  gallery_install_set_machine_name (install, " ");
  g_assert_null (run (install, NULL, &error));
  app_test_assert_error (error, MACHINE_SETTINGS_ERROR, MACHINE_SETTINGS_ERROR_INVALID, "a name");
  gallery_install_set_machine_name (install, "x");
  gallery_install_set_cpus (install, 99);
  g_assert_null (run (install, NULL, &error));
  g_assert_error (error, MACHINE_SETTINGS_ERROR, MACHINE_SETTINGS_ERROR_INVALID);
  g_clear_error (&error);
  gallery_install_set_cpus (install, 1);
  gallery_install_set_user (install, "anna", "$6$x$y", NULL);
  g_assert_null (run (install, NULL, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "makes no user");
  g_assert_cmpuint (fixture->kernel_server->n_requests, ==, 0);
  assert_library_empty (fixture);
}

/* --- the seed ------------------------------------------------------------------------------ */

/* The text of a file of an ISO image; NULL if it has none of this name. */
static char *
read_from_iso (const char *path, const char *name)
{
  struct archive *archive = archive_read_new ();
  struct archive_entry *entry;
  char *text = NULL;

  archive_read_support_format_iso9660 (archive);
  g_assert_cmpint (archive_read_open_filename (archive, path, 2048), ==, ARCHIVE_OK);
  while (text == NULL && archive_read_next_header (archive, &entry) == ARCHIVE_OK)
    if (g_str_equal (archive_entry_pathname (entry), name))
      {
        gsize size = archive_entry_size (entry);

        text = g_malloc0 (size + 1);
        g_assert_cmpint (archive_read_data (archive, text, size), ==, size);
      }
  archive_read_free (archive);
  return text;
}

static void
test_seed (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GalleryInstall) install = NULL;
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  g_autofree char *user_data = NULL;
  g_autofree char *meta_data = NULL;
  g_autofree char *hash = gallery_seed_hash_password ("very secret", NULL);
  MachineSettings *settings;

  load_entry (fixture, fixture->kernel_digest, "\"cloud-init\": {\"user\": \"test\"},");
  install = gallery_install_new (fixture->entry, fixture->store, fixture->cache);
  gallery_install_set_machine_name (install, "Größe 5");
  gallery_install_set_user (install, "anna", hash, "ssh-ed25519 AAAA anna@home");
  machine = run (install, NULL, &error);
  g_assert_no_error (error);
  settings = alcove_machine_get_settings (machine);
  g_assert_cmpuint (machine_settings_get_n_disks (settings), ==, 2);
  g_assert_true (machine_settings_get_disk (settings, 1).readonly);
  g_assert_nonnull (strstr (machine_settings_get_note (settings), "anna"));
  path = g_build_filename (alcove_machine_get_folder (machine), "seed.iso", NULL);
  user_data = read_from_iso (path, "user-data");
  meta_data = read_from_iso (path, "meta-data");
  g_assert_true (g_str_has_prefix (user_data, "#cloud-config"));
  g_assert_nonnull (strstr (user_data, "anna"));
  g_assert_nonnull (strstr (user_data, "ssh-ed25519 AAAA anna@home"));
  g_assert_nonnull (strstr (user_data, hash));
  g_assert_null (strstr (user_data, "very secret"));
  g_assert_nonnull (meta_data);
}

/* Nobody could log in to a cloud image without a user, with half a one, or with a damaged one. */
static void
test_no_way_in (Fixture *fixture, gconstpointer data)
{
  static const struct
  {
    const char *user, *hash, *key, *complaint;
  } tries[] = {
    { NULL, NULL, NULL, "lets nobody in" },      { "anna", NULL, NULL, "nobody could log in" },
    { "anna", NULL, "", "nobody could log in" }, { "Anna B", "$6$x$y", NULL, "name" },
    { "anna", "secret", NULL, "damaged" },       { "anna", "$6$x:0:\n", NULL, "damaged" },
    { "anna", NULL, "not a key", "SSH key" },
  };

  load_entry (fixture, fixture->kernel_digest, "\"cloud-init\": {\"user\": \"test\"},");
  for (guint i = 0; i < G_N_ELEMENTS (tries); i++)
    {
      g_autoptr (GalleryInstall) install =
          gallery_install_new (fixture->entry, fixture->store, fixture->cache);
      g_autoptr (GError) error = NULL;

      gallery_install_set_user (install, tries[i].user, tries[i].hash, tries[i].key);
      g_assert_null (run (install, NULL, &error));
      app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, tries[i].complaint);
    }
  g_assert_cmpuint (fixture->kernel_server->n_requests, ==, 0);
  assert_library_empty (fixture);
}

static void
test_password (Fixture *fixture, gconstpointer data)
{
  g_autofree char *long_one = g_strnfill (600, 'x');
  const char *const wrong[] = { "", "new\nline", "\xff", long_one };
  g_autofree char *first = gallery_seed_hash_password ("grüße", NULL);
  g_autofree char *second = gallery_seed_hash_password ("grüße", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (gallery_seed_hash_password (wrong[i], &error));
      app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "password");
    }
  g_assert_true (g_str_has_prefix (first, "$6$"));
  g_assert_cmpstr (first, !=, second);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *path;
    void (*test) (Fixture *, gconstpointer);
  } tests[] = {
    { "/gallery-install/flow", test_flow },
    { "/gallery-install/wrong-hash", test_wrong_hash },
    { "/gallery-install/cache-changed", test_cache_changed },
    { "/gallery-install/list-out-of-reach", test_list_out_of_reach },
    { "/gallery-install/cancel", test_cancel },
    { "/gallery-install/purge", test_purge },
    { "/gallery-install/disk-full", test_disk_full },
    { "/gallery-install/refused-first", test_refused_first },
    { "/gallery-install/seed", test_seed },
    { "/gallery-install/no-way-in", test_no_way_in },
    { "/gallery-install/password", test_password },
  };

  app_test_init (&argc, &argv);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, Fixture, NULL, fixture_init, tests[i].test, fixture_clear);
  return g_test_run ();
}
