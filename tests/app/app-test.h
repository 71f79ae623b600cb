#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* What the app's tests share. A test's main () calls app_test_init () instead of g_test_init (): it also points every ALCOVE_... folder into a
 * temporary one, so that no test touches the user's, and sees to it that a test that hangs ends. */
void app_test_init (int *argc, char ***argv);

/* A new folder, removed with everything in it at the end of the program. Borrowed. */
const char *app_test_folder (void);
char *app_test_path (const char *name); /* in a new folder; free it */

/* Runs the main context until `callback` was called, and gives its result. */
typedef struct AppTestWait
{
  GAsyncResult *result;
} AppTestWait;
void app_test_callback (GObject *source, GAsyncResult *result, gpointer wait);
GAsyncResult *app_test_wait (AppTestWait *wait);

/* Runs the main context until `*flag` is TRUE. */
void app_test_until (const gboolean *flag);

void app_test_write (const char *path, const char *text);
char *app_test_read (const char *path);
gboolean app_test_exists (const char *path);

/* An error is set, of this code, and its message has `text` in it; clears it. */
#define app_test_assert_error(error, domain, error_code, text)                                     \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_assert_error (error, domain, error_code);                                                    \
    if (strstr ((error)->message, text) == NULL)                                                   \
      g_error ("“%s” is not in “%s”", text, (error)->message);                                     \
    g_clear_error (&(error));                                                                      \
  }                                                                                                \
  G_STMT_END

G_END_DECLS
