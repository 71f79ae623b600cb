#include "base/strict-json.h"

#include "app-test.h"
#include "machine/machine-settings.h"

#include <string.h>

/* Asks for one field of each kind. */
static gboolean
read_all (const char *text, GError **error)
{
  g_autoptr (JsonNode) node = json_from_string (text, NULL);
  StrictJson *reader = strict_json_new (json_node_get_object (node), "file.json", error);
  StrictJson *inner;
  g_autofree char *name G_GNUC_UNUSED = strict_json_dup_string (reader, "name", TRUE, 8);
  g_auto (GStrv) list G_GNUC_UNUSED = strict_json_dup_strings (reader, "list", 0, 2, 8);

  strict_json_get_uint (reader, "count", 1, 1, 10);
  strict_json_get_size (reader, "size", 0, 1 << 20, 1 << 30);
  strict_json_get_word (reader, "format", FALSE, MACHINE_TYPE_DISK_FORMAT);
  inner = strict_json_get_object (reader, "inner", FALSE);
  if (inner != NULL)
    {
      g_autofree char *value G_GNUC_UNUSED = strict_json_dup_string (inner, "value", TRUE, 8);

      strict_json_end (inner);
    }
  return strict_json_end (reader);
}

static void
test_good (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (read_all ("{\"name\": \"n\", \"list\": [\"a\", \"b\"], \"count\": 10, \"size\": "
                           "\"1G\", \"format\": \"raw\", \"inner\": {\"value\": \"v\"}}",
                           &error));
  g_assert_no_error (error);
}

static void
test_bad (void)
{
  static const struct
  {
    const char *text;
    const char *message;
  } cases[] = {
    { "{}", "file.json: name: is missing" },
    { "{\"name\": 1}", "file.json: name: is a number, a text is needed" },
    { "{\"name\": \"\"}", "file.json: name: is empty" },
    { "{\"name\": \"123456789\"}", "file.json: name: is longer than 8 bytes" },
    { "{\"name\": \"a\\u0007\"}", "file.json: name: has a control character" },
    { "{\"name\": \"n\", \"list\": {}}", "file.json: list: is an object, a list is needed" },
    { "{\"name\": \"n\", \"list\": [\"a\", 2]}", "file.json: list[1]: is a number" },
    { "{\"name\": \"n\", \"list\": [\"a\", \"b\", \"c\"]}", "file.json: list: has 3 entries" },
    { "{\"name\": \"n\", \"count\": \"1\"}", "file.json: count: is a text, a whole number" },
    { "{\"name\": \"n\", \"count\": -1}", "file.json: count: is a number, a whole number from 0" },
    { "{\"name\": \"n\", \"count\": 11}", "file.json: count: is 11, allowed are 1 to 10" },
    { "{\"name\": \"n\", \"count\": 1.5}", "file.json: count: is a number, a whole number" },
    { "{\"name\": \"n\", \"size\": \"1K\"}", "file.json: size: is “1K”, a size as" },
    { "{\"name\": \"n\", \"size\": \"99999999G\"}", "file.json: size: is " },
    { "{\"name\": \"n\", \"size\": \"-1M\"}", "file.json: size: is “-1M”" },
    { "{\"name\": \"n\", \"format\": \"vmdk\"}",
      "file.json: format: is “vmdk”, allowed are: raw, qcow2" },
    { "{\"name\": \"n\", \"inner\": []}", "file.json: inner: is a list, an object is needed" },
    { "{\"name\": \"n\", \"inner\": {}}", "file.json: inner.value: is missing" },
    { "{\"name\": \"n\", \"inner\": {\"value\": \"v\", \"x\": 1}}",
      "file.json: inner.x: is not a field" },
    { "{\"name\": \"n\", \"other\": null}", "file.json: other: is not a field" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (read_all (cases[i].text, &error));
      app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, cases[i].message);
    }
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/strict-json/good", test_good);
  g_test_add_func ("/strict-json/bad", test_bad);
  return g_test_run ();
}
