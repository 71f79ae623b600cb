#include "gallery/gallery-verify.h"

#include "app-test.h"

#include <string.h>

#define A       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B       "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define UPPER_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void
test_lists (void)
{
  static const struct
  {
    const char *text;
    const char *file;
    const char *digest; /* NULL: refused */
  } cases[] = {
    { A "  one.img\n" B "  two.img\n", "two.img", B },
    { A " *one.img\n", "one.img", A },
    { A "  ./one.img\r\n", "one.img", A },
    { "SHA256 (one.img) = " A "\n", "one.img", A },
    { UPPER_A "  one.img", "one.img", A },
    { "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# one.img: 5 bytes\nSHA256 (one.img) "
      "= " A "\n-----BEGIN PGP SIGNATURE-----\n" B "\n",
      "one.img", A },
    { A "\n", "*", A },
    { A "  changes-each-time-123.img\n", "*", A },
    { A "  one.img\n" A "  one.img\n", "one.img", A },
    /* Nobody can say which. */
    { A "  one.img\n" B "  one.img\n", "one.img", NULL },
    { A "  one.img\n" B "  two.img\n", "*", NULL },
    /* The name has to be the whole name. */
    { A "  one.img.sig\n", "one.img", NULL },
    { A "  old-one.img\n", "one.img", NULL },
    { A "\n", "one.img", NULL },
    { "", "one.img", NULL },
    { "<html>404</html>", "*", NULL },
    { "abc  one.img\n", "one.img", NULL },
    { A "a  one.img\n", "one.img", NULL },
    { "SHA512 (one.img) = " A "\n", "one.img", NULL },
    { "SHA256 (", "one.img", NULL },
    { "SHA256) = " A, "one.img", NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *digest = gallery_verify_parse_sums (
          cases[i].text, strlen (cases[i].text), GALLERY_HASH_SHA256, cases[i].file, &error);

      g_test_message ("%u", i);
      g_assert_cmpstr (digest, ==, cases[i].digest);
      if (digest == NULL)
        app_test_assert_error (error, GALLERY_VERIFY_ERROR, GALLERY_VERIFY_ERROR_NO_SUM,
                               cases[i].file);
    }
}

static void
test_package (void)
{
  const GalleryFile file = {
    .checksum = { .kind = GALLERY_CHECKSUM_PACKAGE,
                  .hash = GALLERY_HASH_MD5,
                  .package = "alcove-no-such-package",
                  .file = "x" },
  };
  AppTestWait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  gallery_verify_fetch_expected_async (&file, NULL, app_test_callback, &wait);
  result = app_test_wait (&wait);
  g_assert_null (gallery_verify_fetch_expected_finish (result, &error));
  app_test_assert_error (error, GALLERY_VERIFY_ERROR, GALLERY_VERIFY_ERROR_NO_SUM,
                         "sudo apt install alcove-no-such-package");
}

static void
test_hash_file (void)
{
  g_autofree char *path = app_test_path ("file");
  AppTestWait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *digest = NULL;

  app_test_write (path, "abc");
  gallery_verify_hash_file_async (path, GALLERY_HASH_SHA256, NULL, NULL, NULL, app_test_callback,
                                  &wait);
  result = app_test_wait (&wait);
  digest = gallery_verify_hash_file_finish (result, &error);
  g_assert_no_error (error);
  /* FIPS 180-2, appendix B.1 */
  g_assert_cmpstr (digest, ==, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void
test_compare (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (gallery_verify_compare ("x", GALLERY_HASH_SHA256, A, UPPER_A, &error));
  g_assert_false (gallery_verify_compare ("disk.img", GALLERY_HASH_SHA256, A, B, &error));
  g_assert_nonnull (strstr (error->message, "disk.img"));
  g_assert_nonnull (strstr (error->message, A));
  app_test_assert_error (error, GALLERY_VERIFY_ERROR, GALLERY_VERIFY_ERROR_MISMATCH, B);
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/gallery-verify/lists", test_lists);
  g_test_add_func ("/gallery-verify/package", test_package);
  g_test_add_func ("/gallery-verify/hash-file", test_hash_file);
  g_test_add_func ("/gallery-verify/compare", test_compare);
  return g_test_run ();
}
