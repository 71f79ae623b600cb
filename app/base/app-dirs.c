#include "base/app-dirs.h"

#define APPLICATION_ID "org.alcove.Alcove"
#define DIGITS         12 /* of the folder's digest: no two libraries of a user are alike in them */

static char *
from_environment (const char *variable)
{
  const char *value = g_getenv (variable);

  if (value == NULL || value[0] == '\0')
    return NULL;
  return g_canonicalize_filename (value, NULL);
}

char *
app_dirs_dup_data (void)
{
  char *path = from_environment ("ALCOVE_DATA_DIR");

  return path != NULL ? path : g_build_filename (g_get_user_data_dir (), "alcove", NULL);
}

char *
app_dirs_dup_machines (void)
{
  g_autofree char *data = app_dirs_dup_data ();

  return g_build_filename (data, "machines", NULL);
}

char *
app_dirs_dup_cache (void)
{
  char *path = from_environment ("ALCOVE_CACHE_DIR");

  return path != NULL ? path : g_build_filename (g_get_user_cache_dir (), "alcove", NULL);
}

char *
app_dirs_dup_runtime (void)
{
  char *path = from_environment ("ALCOVE_RUNTIME_DIR");

  return path != NULL ? path : g_build_filename (g_get_user_runtime_dir (), "alcove", NULL);
}

char **
app_dirs_dup_gallery (void)
{
  g_autoptr (GStrvBuilder) folders = g_strv_builder_new ();
  g_autofree char *given = from_environment ("ALCOVE_GALLERY_DIR");
  g_autofree char *data = app_dirs_dup_data ();
  g_autofree char *own = g_build_filename (data, "gallery", NULL);

  if (given != NULL)
    g_strv_builder_add (folders, given);
  else if (g_file_test (ALCOVE_GALLERY_DIR, G_FILE_TEST_IS_DIR))
    g_strv_builder_add (folders, ALCOVE_GALLERY_DIR);
  else
    g_strv_builder_add (folders, ALCOVE_SOURCE_GALLERY_DIR);
  g_strv_builder_add (folders, own);
  return g_strv_builder_end (folders);
}

char *
app_dirs_dup_application_id (void)
{
  g_autofree char *given = from_environment ("ALCOVE_DATA_DIR");
  g_autofree char *digest = NULL;

  if (given == NULL)
    return g_strdup (APPLICATION_ID);
  digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, given, -1);
  return g_strdup_printf (APPLICATION_ID ".Library%.*s", DIGITS, digest);
}
