#include "gallery/gallery-unpack.h"

#include "app-test.h"

#include <archive.h>
#include <archive_entry.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <glib/gstdio.h>

#define SIZE (2 * 1024 * 1024 + 77)

/* Half noise, so that it does not pack away, half zeroes, which become holes. */
static GBytes *
make_content (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  guint8 *data = g_malloc0 (SIZE);

  for (gsize i = 0; i < SIZE / 2; i++)
    data[i] = (guint8) g_rand_int (rand);
  data[SIZE - 1] = 1;
  return g_bytes_new_take (data, SIZE);
}

/* --- making archives ----------------------------------------------------------------------- */

typedef struct Member
{
  const char *name;
  const char *text; /* NULL: `content` */
  const char *symlink;
  const char *hardlink;
  guint type; /* 0: a plain file */
} Member;

static void
add_member (struct archive *archive, const Member *member, GBytes *content)
{
  struct archive_entry *entry = archive_entry_new ();
  g_autoptr (GBytes) own =
      member->text != NULL || content == NULL
          ? g_bytes_new_static (member->text, member->text != NULL ? strlen (member->text) : 0)
          : g_bytes_ref (content);
  gsize length;
  gconstpointer data = g_bytes_get_data (own, &length);
  gboolean plain = member->symlink == NULL && member->hardlink == NULL && member->type == 0;

  archive_entry_set_pathname (entry, member->name);
  archive_entry_set_perm (entry, 0644);
  archive_entry_set_filetype (entry, member->symlink != NULL ? AE_IFLNK
                                     : member->type != 0     ? member->type
                                                             : AE_IFREG);
  archive_entry_set_size (entry, plain ? length : 0);
  if (member->symlink != NULL)
    archive_entry_set_symlink (entry, member->symlink);
  if (member->hardlink != NULL)
    archive_entry_set_hardlink (entry, member->hardlink);
  g_assert_cmpint (archive_write_header (archive, entry), ==, ARCHIVE_OK);
  if (plain)
    g_assert_cmpint (archive_write_data (archive, data, length), ==, length);
  archive_entry_free (entry);
}

typedef int (*Choose) (struct archive *);

/* Writes an archive to a new file and tells its path. */
static char *
make_archive (Choose format, Choose filter, const Member *members, guint n_members, GBytes *content)
{
  char *path = app_test_path ("archive");
  struct archive *archive = archive_write_new ();

  g_assert_cmpint (format (archive), ==, ARCHIVE_OK);
  if (filter != NULL)
    g_assert_cmpint (filter (archive), ==, ARCHIVE_OK);
  archive_write_set_bytes_in_last_block (archive, 1);
  g_assert_cmpint (archive_write_open_filename (archive, path), ==, ARCHIVE_OK);
  for (guint i = 0; i < n_members; i++)
    add_member (archive, &members[i], content);
  g_assert_cmpint (archive_write_close (archive), ==, ARCHIVE_OK);
  archive_write_free (archive);
  return path;
}

static char *
make_compressed (Choose filter, GBytes *content)
{
  const Member member = { .name = "data" };

  return make_archive (archive_write_set_format_raw, filter, &member, 1, content);
}

static char *
make_tar (const Member *members, guint n_members, GBytes *content)
{
  return make_archive (archive_write_set_format_pax_restricted, archive_write_add_filter_gzip,
                       members, n_members, content);
}

/* --- unpacking ----------------------------------------------------------------------------- */

typedef struct Run
{
  char *folder; /* holds what was unpacked and must hold nothing else */
  char *path;
  guint calls;
} Run;

static void
on_progress (const GalleryProgress *progress, gpointer data)
{
  ((Run *) data)->calls++;
}

static gboolean
unpack (Run *run, const char *archive, GalleryUnpackKind kind, const char *member, guint64 size_max,
        GCancellable *cancellable, GError **error)
{
  GalleryUnpackOptions options = {
    .archive = archive, .kind = kind, .member = member, .size_max = size_max
  };
  AppTestWait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;

  run->folder = g_build_filename (app_test_folder (), "inside", NULL);
  g_assert_no_errno (g_mkdir (run->folder, 0700));
  run->path = g_build_filename (run->folder, "disk.raw", NULL);
  run->calls = 0;
  options.path = run->path;
  gallery_unpack_async (&options, on_progress, run, cancellable, app_test_callback, &wait);
  result = app_test_wait (&wait);
  return gallery_unpack_finish (result, error);
}

static void
run_clear (Run *run)
{
  g_free (run->folder);
  g_free (run->path);
}

/* Nothing in the folder, and nothing beside it. */
static void
assert_empty (Run *run)
{
  g_autofree char *parent = g_path_get_dirname (run->folder);
  g_autoptr (GDir) inside = g_dir_open (run->folder, 0, NULL);
  g_autoptr (GDir) outside = g_dir_open (parent, 0, NULL);

  g_assert_null (g_dir_read_name (inside));
  g_assert_cmpstr (g_dir_read_name (outside), ==, "inside");
  g_assert_null (g_dir_read_name (outside));
}

static void
assert_unpacks (const char *archive, GalleryUnpackKind kind, const char *member, GBytes *content)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *data = NULL;
  gsize length;
  GStatBuf st;
  Run run;

  g_assert_true (unpack (&run, archive, kind, member, 0, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (run.path, &data, &length, NULL));
  g_assert_cmpmem (data, length, g_bytes_get_data (content, NULL), g_bytes_get_size (content));
  g_assert_cmpuint (run.calls, >, 0);
  g_assert_no_errno (g_stat (run.path, &st));
  g_assert_cmpint (st.st_blocks * 512, <, SIZE * 3 / 4); /* the zeroes are holes */
  run_clear (&run);
}

static void
assert_refused (const char *archive, GalleryUnpackKind kind, const char *member, guint64 size_max,
                int code, const char *why)
{
  g_autoptr (GError) error = NULL;
  Run run;

  g_assert_false (unpack (&run, archive, kind, member, size_max, NULL, &error));
  g_assert_nonnull (strstr (error->message, "“archive” could not be unpacked: "));
  app_test_assert_error (error, G_IO_ERROR, code, why);
  assert_empty (&run);
  run_clear (&run);
}

static void
test_compressed (void)
{
  g_autoptr (GBytes) content = make_content ();
  g_autofree char *gz = make_compressed (archive_write_add_filter_gzip, content);
  g_autofree char *xz = make_compressed (archive_write_add_filter_xz, content);
  g_autofree char *zst = make_compressed (archive_write_add_filter_zstd, content);

  assert_unpacks (gz, GALLERY_UNPACK_GZ, NULL, content);
  assert_unpacks (xz, GALLERY_UNPACK_XZ, NULL, content);
  assert_unpacks (zst, GALLERY_UNPACK_ZST, NULL, content);
  /* The catalogue says which it is; another is not taken. */
  assert_refused (gz, GALLERY_UNPACK_XZ, NULL, 0, G_IO_ERROR_INVALID_DATA, "not compressed as");
  assert_refused (xz, GALLERY_UNPACK_ZIP, NULL, 0, G_IO_ERROR_INVALID_DATA, "cannot be read");
}

static void
test_archives (void)
{
  static const Member members[] = {
    { .name = "read.me", .text = "read me" },
    { .name = "folder/disk.raw" },
    { .name = "folder/link", .symlink = "../read.me" },
  };
  g_autoptr (GBytes) content = make_content ();
  g_autofree char *tar = make_tar (members, 3, content);
  g_autofree char *zip = make_archive (archive_write_set_format_zip, NULL, members, 3, content);
  g_autofree char *single = make_tar (&members[1], 1, content);

  assert_unpacks (tar, GALLERY_UNPACK_TAR, "folder/disk.raw", content);
  assert_unpacks (zip, GALLERY_UNPACK_ZIP, "folder/disk.raw", content);
  assert_unpacks (single, GALLERY_UNPACK_TAR, NULL, content);
  assert_refused (tar, GALLERY_UNPACK_TAR, NULL, 0, G_IO_ERROR_INVALID_DATA, "more than one file");
  assert_refused (tar, GALLERY_UNPACK_TAR, "disk.raw", 0, G_IO_ERROR_NOT_FOUND,
                  "no file “disk.raw”");
  assert_refused (tar, GALLERY_UNPACK_TAR, "folder/link", 0, G_IO_ERROR_INVALID_DATA,
                  "not a plain file");
}

/* --- hostile ------------------------------------------------------------------------------- */

static void
test_climbs (void)
{
  static const struct
  {
    Member members[3];
    const char *why;
  } cases[] = {
    { { { .name = "../evil", .text = "x" } }, "climbs out of its folder" },
    { { { .name = "a/../../evil", .text = "x" } }, "climbs out of its folder" },
    { { { .name = "/tmp/alcove-evil", .text = "x" } }, "is an absolute path" },
    { { { .name = "out", .symlink = "/etc" }, { .name = "out/evil", .text = "x" } },
      "a link that leads out" },
    { { { .name = "out", .symlink = ".." }, { .name = "out/evil", .text = "x" } },
      "a link that leads out" },
    { { { .name = "a/b/out", .symlink = "../../../x" } }, "a link that leads out" },
    { { { .name = "hard", .hardlink = "../../etc/passwd" } }, "a link that leads out" },
    { { { .name = "device", .type = AE_IFBLK } }, "is a device" },
    { { { .name = "pipe", .type = AE_IFIFO } }, "is a device, a pipe or a socket" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      guint n = cases[i].members[1].name != NULL ? 2 : 1;
      g_autofree char *tar = make_tar (cases[i].members, n, NULL);

      g_test_message ("%s", cases[i].members[0].name);
      assert_refused (tar, GALLERY_UNPACK_TAR, "evil", 0, G_IO_ERROR_INVALID_DATA, cases[i].why);
      if (i < 3)
        {
          g_autofree char *zip =
              make_archive (archive_write_set_format_zip, NULL, cases[i].members, 1, NULL);

          assert_refused (zip, GALLERY_UNPACK_ZIP, "evil", 0, G_IO_ERROR_INVALID_DATA,
                          cases[i].why);
        }
    }
  g_assert_false (app_test_exists ("/tmp/alcove-evil"));
}

/* An honest file first does not help: what was written is gone again. */
static void
test_climbs_later (void)
{
  static const Member members[] = { { .name = "disk.raw" }, { .name = "../evil", .text = "x" } };
  g_autoptr (GBytes) content = make_content ();
  g_autofree char *tar = make_tar (members, 2, content);

  assert_refused (tar, GALLERY_UNPACK_TAR, "disk.raw", 0, G_IO_ERROR_INVALID_DATA, "climbs");
}

/* Frames of zstd may stand one after the other, and each may be small and give much. */
static char *
make_bomb (guint frames)
{
  gsize size = 64 * 1024 * 1024;
  g_autoptr (GBytes) zeroes = g_bytes_new_take (g_malloc0 (size), size);
  g_autofree char *one = make_compressed (archive_write_add_filter_zstd, zeroes);
  g_autofree char *frame = NULL;
  g_autoptr (GString) all = g_string_new (NULL);
  char *path = app_test_path ("archive");
  gsize length;

  g_assert_true (g_file_get_contents (one, &frame, &length, NULL));
  for (guint i = 0; i < frames; i++)
    g_string_append_len (all, frame, length);
  g_assert_true (g_file_set_contents (path, all->str, all->len, NULL));
  return path;
}

/* Much of nothing before the file that is meant. */
static char *
make_long_way (void)
{
  char *path = app_test_path ("archive");
  struct archive *archive = archive_write_new ();
  const gsize piece = 16 * 1024 * 1024;
  const guint n_pieces = 68; /* 1088 MiB */
  g_autofree guint8 *zeroes = g_malloc0 (piece);
  struct archive_entry *entry = archive_entry_new ();

  g_assert_cmpint (archive_write_set_format_pax_restricted (archive), ==, ARCHIVE_OK);
  g_assert_cmpint (archive_write_add_filter_zstd (archive), ==, ARCHIVE_OK);
  g_assert_cmpint (archive_write_open_filename (archive, path), ==, ARCHIVE_OK);
  archive_entry_set_pathname (entry, "nothing");
  archive_entry_set_filetype (entry, AE_IFREG);
  archive_entry_set_size (entry, (la_int64_t) piece * n_pieces);
  g_assert_cmpint (archive_write_header (archive, entry), ==, ARCHIVE_OK);
  for (guint i = 0; i < n_pieces; i++)
    g_assert_cmpint (archive_write_data (archive, zeroes, piece), ==, piece);
  archive_entry_clear (entry);
  archive_entry_set_pathname (entry, "disk.raw");
  archive_entry_set_filetype (entry, AE_IFREG);
  archive_entry_set_size (entry, 4);
  g_assert_cmpint (archive_write_header (archive, entry), ==, ARCHIVE_OK);
  g_assert_cmpint (archive_write_data (archive, "disk", 4), ==, 4);
  archive_entry_free (entry);
  g_assert_cmpint (archive_write_close (archive), ==, ARCHIVE_OK);
  archive_write_free (archive);
  return path;
}

static void
test_grows_without_end (void)
{
  static const Member member = { .name = "disk.raw" };
  g_autofree char *bomb = make_bomb (17); /* 1088 MiB of 100 KB */
  g_autofree char *long_way = make_long_way ();
  gsize size = 4 * 1024 * 1024;
  g_autoptr (GBytes) zeroes = g_bytes_new_take (g_malloc0 (size), size);
  g_autofree char *zip = make_archive (archive_write_set_format_zip, NULL, &member, 1, zeroes);
  g_autofree char *tar = make_tar (&member, 1, zeroes);

  assert_refused (bomb, GALLERY_UNPACK_ZST, NULL, 0, G_IO_ERROR_MESSAGE_TOO_LARGE, "more than 1.0");
  assert_refused (bomb, GALLERY_UNPACK_ZST, NULL, 1024 * 1024, G_IO_ERROR_MESSAGE_TOO_LARGE,
                  "more than 1.0");
  assert_refused (zip, GALLERY_UNPACK_ZIP, NULL, size - 1, G_IO_ERROR_MESSAGE_TOO_LARGE, "refused");
  assert_refused (tar, GALLERY_UNPACK_TAR, NULL, size - 1, G_IO_ERROR_MESSAGE_TOO_LARGE, "refused");
  assert_refused (long_way, GALLERY_UNPACK_TAR, "disk.raw", 0, G_IO_ERROR_MESSAGE_TOO_LARGE,
                  "besides the file");
}

static void
assert_truncated_refused (const char *path, GalleryUnpackKind kind)
{
  g_autofree char *data = NULL;
  g_autofree char *cut = app_test_path ("archive");
  gsize length;

  g_assert_true (g_file_get_contents (path, &data, &length, NULL));
  for (guint part = 0; part < 4; part++)
    {
      g_autoptr (GError) error = NULL;
      Run run;

      g_assert_true (g_file_set_contents (cut, data, length * part / 4, NULL));
      g_assert_false (unpack (&run, cut, kind, "disk.raw", 0, NULL, &error));
      g_assert_nonnull (error);
      assert_empty (&run);
      run_clear (&run);
    }
}

static void
test_truncated (void)
{
  static const Member member = { .name = "disk.raw" };
  g_autoptr (GBytes) content = make_content ();
  g_autofree char *gz = make_compressed (archive_write_add_filter_gzip, content);
  g_autofree char *xz = make_compressed (archive_write_add_filter_xz, content);
  g_autofree char *zst = make_compressed (archive_write_add_filter_zstd, content);
  g_autofree char *tar = make_tar (&member, 1, content);
  g_autofree char *plain =
      make_archive (archive_write_set_format_pax_restricted, NULL, &member, 1, content);
  g_autofree char *zip = make_archive (archive_write_set_format_zip, NULL, &member, 1, content);

  assert_truncated_refused (gz, GALLERY_UNPACK_GZ);
  assert_truncated_refused (xz, GALLERY_UNPACK_XZ);
  assert_truncated_refused (zst, GALLERY_UNPACK_ZST);
  assert_truncated_refused (tar, GALLERY_UNPACK_TAR);
  assert_truncated_refused (plain, GALLERY_UNPACK_TAR);
  assert_truncated_refused (zip, GALLERY_UNPACK_ZIP);
}

/* A byte turned in the middle: the archive's own sums find it, or its structure. */
static void
test_damaged (void)
{
  g_autoptr (GBytes) content = make_content ();
  g_autofree char *xz = make_compressed (archive_write_add_filter_xz, content);
  g_autofree char *data = NULL;
  gsize length;

  g_assert_true (g_file_get_contents (xz, &data, &length, NULL));
  data[length / 2] ^= 0x55;
  g_assert_true (g_file_set_contents (xz, data, length, NULL));
  assert_refused (xz, GALLERY_UNPACK_XZ, NULL, 0, G_IO_ERROR_INVALID_DATA, "cannot be read");
}

static void
test_missing (void)
{
  assert_refused ("/nonexistent/archive", GALLERY_UNPACK_GZ, NULL, 0, G_IO_ERROR_NOT_FOUND,
                  "/nonexistent/archive");
}

/* --- the disk and the user ----------------------------------------------------------------- */

static void
limit_files (rlim_t bytes)
{
  const struct rlimit limit = { bytes, RLIM_INFINITY };

  signal (SIGXFSZ, SIG_IGN);
  g_assert_no_errno (setrlimit (RLIMIT_FSIZE, &limit));
}

static void
test_disk_full (void)
{
  g_autoptr (GBytes) content = make_content ();
  g_autofree char *gz = make_compressed (archive_write_add_filter_gzip, content);

  limit_files (512 * 1024);
  assert_refused (gz, GALLERY_UNPACK_GZ, NULL, 0, G_IO_ERROR_NO_SPACE, "make room and try again");
  limit_files (RLIM_INFINITY);
  g_assert_true (app_test_exists (gz));
  assert_unpacks (gz, GALLERY_UNPACK_GZ, NULL, content);
}

static void
test_cancelled (void)
{
  g_autoptr (GBytes) content = make_content ();
  g_autofree char *gz = make_compressed (archive_write_add_filter_gzip, content);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  Run run;

  g_cancellable_cancel (cancellable);
  g_assert_false (unpack (&run, gz, GALLERY_UNPACK_GZ, NULL, 0, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  assert_empty (&run);
  run_clear (&run);
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/gallery-unpack/compressed", test_compressed);
  g_test_add_func ("/gallery-unpack/archives", test_archives);
  g_test_add_func ("/gallery-unpack/climbs", test_climbs);
  g_test_add_func ("/gallery-unpack/climbs-later", test_climbs_later);
  g_test_add_func ("/gallery-unpack/grows-without-end", test_grows_without_end);
  g_test_add_func ("/gallery-unpack/truncated", test_truncated);
  g_test_add_func ("/gallery-unpack/damaged", test_damaged);
  g_test_add_func ("/gallery-unpack/missing", test_missing);
  g_test_add_func ("/gallery-unpack/disk-full", test_disk_full);
  g_test_add_func ("/gallery-unpack/cancelled", test_cancelled);
  return g_test_run ();
}
