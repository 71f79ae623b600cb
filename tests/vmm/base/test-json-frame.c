#include "base/json-frame.h"

#include <string.h>

/* The frames of text, joined by "|", whatever the size of the pieces it comes in; "?" ends a foreign one, "!" a too deep one, "+" an open
 * one. */
static char *
frames (const char *text, size_t size, size_t piece, unsigned max_depth)
{
  g_autoptr (GString) out = g_string_new (NULL);
  JsonFrame frame;

  json_frame_init (&frame, max_depth);
  for (size_t at = 0; at < size;)
    {
      size_t used = 0;
      JsonFrameResult result = json_frame_scan (&frame, text + at, MIN (piece, size - at), &used);
      g_assert_cmpuint (used, <=, MIN (piece, size - at));
      g_string_append_len (out, text + at, used);
      at += used;
      if (result == JSON_FRAME_TOO_DEEP)
        {
          g_string_append_c (out, '!');
          return g_string_free (g_steal_pointer (&out), FALSE);
        }
      if (result == JSON_FRAME_COMPLETE)
        g_string_append_c (out, '|');
      if (result == JSON_FRAME_FOREIGN)
        g_string_append_c (out, '?');
    }
  if (!json_frame_is_empty (&frame))
    g_string_append_c (out, '+');
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static void
test_frames (void)
{
  static const struct
  {
    const char *text;
    const char *expected;
  } cases[] = {
    { "{}", "{}|" },
    { "{}{}[1,[2]]", "{}|{}|[1,[2]]|" },
    { " {\"a\":\"}\"} ", " {\"a\":\"}\"}| " },
    { "{\"a\":\"\\\"}\"}", "{\"a\":\"\\\"}\"}|" },
    { "{\"a\\\\\":1}{", "{\"a\\\\\":1}|{+" },
    { "{'a':'}'}{}", "{'a':'}'}?{}|" },
    { "{ /*\"*/ }\"}{}", "{ /*\"*/ }\"}?{}|" },
    { "{\"/*\":1}", "{\"/*\":1}|" },
    { "[\xff]", "[\xff]?" },
    { "12 true{}", "12| true|{}|" },
    { "\"x\"{}", "\"x\"|{}|" },
    { "}{}", "}|{}|" },
    { "]\n]", "]|\n]|" },
    { "[[[]]]", "[[[]]]|" },
    { "[[[[1]]]]", "[[[[!" },
    { "{\"a", "{\"a+" },
    { "\r\n\t ", "\r\n\t " },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    for (size_t piece = 1; piece <= 12; piece++)
      {
        g_autofree char *got = frames (cases[i].text, strlen (cases[i].text), piece, 3);
        g_assert_cmpstr (got, ==, cases[i].expected);
      }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json-frame/frames", test_frames);
  return g_test_run ();
}
