#include "base/json-guard.h"

#include "app-test.h"

#include <string.h>

static void
assert_refused (const char *data, gsize length, const char *why)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (json_guard_parse (data, length, 10 * 1024 * 1024, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, why);
}

static void
test_accepts (void)
{
  g_autoptr (GError) error = NULL;
  const char *text = "{\"a\": [1, -2.5e3, true, null, \"x\\\"{[/#'\"]}\n";
  g_autoptr (JsonNode) node = json_guard_parse (text, strlen (text), 100, &error);

  g_assert_no_error (error);
  g_assert_true (JSON_NODE_HOLDS_OBJECT (node));
}

static void
test_refuses (void)
{
  assert_refused ("", 0, "empty");
  assert_refused ("{\"a\": }", 7, "not JSON");
  assert_refused ("{\"a\": \0}", 8, "not UTF-8");
  assert_refused ("\"\xff\xfe\"", 4, "not UTF-8");
  assert_refused ("{'a': 1}", 8, "unexpected character");
}

static void
test_deep (void)
{
  g_autofree char *deep = g_strnfill (1 << 20, '[');
  /* A comment whose quote would make a naive count believe that the brackets are text. */
  g_autofree char *hidden = g_strconcat ("/*\"*/", deep, NULL);
  g_autofree char *quoted = g_strconcat ("'\"'", deep, NULL);

  assert_refused (deep, strlen (deep), "levels deep");
  assert_refused (hidden, strlen (hidden), "unexpected character");
  assert_refused (quoted, strlen (quoted), "unexpected character");
}

static void
test_long (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (json_guard_parse ("[1,2,3]", 7, 6, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "at most 6");
}

/* json-glib complains of the program where the kind of a member is not what is asked for. */
static void
test_members (void)
{
  static const char text[] = "{\"int\": 7, \"true\": true, \"null\": null, \"list\": [1], "
                             "\"object\": {}, \"text\": \"7\", \"real\": 7.5}";
  static const char *const others[] = { "none", "null", "list", "object", "text", "real" };
  g_autoptr (JsonNode) node = json_guard_parse (text, strlen (text), 1000, NULL);
  JsonObject *object = json_node_get_object (node);

  g_assert_cmpint (json_guard_get_int (object, "int", 5), ==, 7);
  g_assert_true (json_guard_get_boolean (object, "true", FALSE));
  for (guint i = 0; i < G_N_ELEMENTS (others); i++)
    {
      g_assert_cmpint (json_guard_get_int (object, others[i], 5), ==, 5);
      g_assert_true (json_guard_get_boolean (object, others[i], TRUE));
      g_assert_false (json_guard_get_boolean (object, others[i], FALSE));
    }
  g_assert_cmpint (json_guard_get_int (object, "true", 5), ==, 5);
  g_assert_false (json_guard_get_boolean (object, "int", FALSE));
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/json-guard/accepts", test_accepts);
  g_test_add_func ("/json-guard/refuses", test_refuses);
  g_test_add_func ("/json-guard/deep", test_deep);
  g_test_add_func ("/json-guard/long", test_long);
  g_test_add_func ("/json-guard/members", test_members);
  return g_test_run ();
}
