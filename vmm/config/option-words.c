#include "config/option-words.h"

#include <string.h>

#define MESSAGE_MAX 80 /* characters of a value that a message repeats */

struct OptionWords
{
  GArray *words; /* OptionWord */
};

static void
clear_word (void *data)
{
  OptionWord *word = data;

  g_free (word->key);
  g_free (word->value);
}

static OptionWords *
new_empty (void)
{
  OptionWords *words = g_new (OptionWords, 1);

  words->words = g_array_new (FALSE, FALSE, sizeof (OptionWord));
  g_array_set_clear_func (words->words, clear_word);
  return words;
}

void
option_words_free (OptionWords *words)
{
  if (words == NULL)
    return;
  g_array_unref (words->words);
  g_free (words);
}

static void
add (OptionWords *words, const char *key, const char *value)
{
  OptionWord word = { .key = g_strdup (key), .value = g_strdup (value) };

  g_array_append_val (words->words, word);
}

static void
add_piece (OptionWords *words, char *piece)
{
  char *equals = strchr (piece, '=');

  if (equals == NULL)
    {
      add (words, NULL, piece);
      return;
    }
  *equals = '\0';
  add (words, piece, equals + 1);
}

OptionWords *
option_words_new_from_text (const char *text, bool whole)
{
  g_autoptr (OptionWords) words = new_empty ();

  if (whole)
    {
      add (words, NULL, text);
      return g_steal_pointer (&words);
    }
  g_autoptr (GString) piece = g_string_new (NULL);
  for (const char *p = text; *p != '\0'; p++)
    {
      if (*p == ',' && p[1] != ',')
        {
          add_piece (words, piece->str);
          g_string_truncate (piece, 0);
          continue;
        }
      if (*p == ',')
        p++;
      g_string_append_c (piece, *p);
    }
  add_piece (words, piece->str);
  return g_steal_pointer (&words);
}

/* A scalar as the word that the command line has for it; NULL when it is none. */
static char *
scalar_to_word (JsonNode *node)
{
  if (!JSON_NODE_HOLDS_VALUE (node))
    return NULL;
  switch (json_node_get_value_type (node))
    {
    case G_TYPE_STRING:
      return g_strdup (json_node_get_string (node));
    case G_TYPE_INT64:
      return g_strdup_printf ("%" G_GINT64_FORMAT, json_node_get_int (node));
    case G_TYPE_BOOLEAN:
      return g_strdup (json_node_get_boolean (node) ? "on" : "off");
    default:
      return NULL;
    }
}

static bool
add_member (OptionWords *words, const char *name, JsonNode *node)
{
  if (JSON_NODE_HOLDS_ARRAY (node))
    {
      JsonArray *array = json_node_get_array (node);
      for (unsigned i = 0; i < json_array_get_length (array); i++)
        {
          g_autofree char *value = scalar_to_word (json_array_get_element (array, i));
          if (value == NULL)
            return false;
          add (words, name, value);
        }
      return true;
    }
  g_autofree char *value = scalar_to_word (node);
  if (value == NULL)
    return false;
  add (words, strcmp (name, "kind") == 0 ? NULL : name, value);
  return true;
}

OptionWords *
option_words_new_from_json (JsonNode *node, bool whole)
{
  g_autofree char *word = scalar_to_word (node);

  if (word != NULL)
    return option_words_new_from_text (word, whole);
  if (whole || !JSON_NODE_HOLDS_OBJECT (node))
    return NULL;
  g_autoptr (OptionWords) words = new_empty ();
  JsonObjectIter iter;
  const char *name;
  JsonNode *member;
  json_object_iter_init_ordered (&iter, json_node_get_object (node));
  while (json_object_iter_next_ordered (&iter, &name, &member))
    if (!add_member (words, name, member))
      return NULL;
  return g_steal_pointer (&words);
}

unsigned
option_words_get_length (const OptionWords *words)
{
  return words->words->len;
}

const OptionWord *
option_words_get (const OptionWords *words, unsigned index)
{
  g_return_val_if_fail (index < words->words->len, NULL);
  return &g_array_index (words->words, OptionWord, index);
}

const char *
option_words_get_single (const OptionWords *words)
{
  if (words->words->len != 1 || option_words_get (words, 0)->key != NULL)
    return NULL;
  return option_words_get (words, 0)->value;
}

char *
option_words_to_message (const OptionWords *words)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (unsigned i = 0; i < words->words->len; i++)
    {
      const OptionWord *word = option_words_get (words, i);
      g_string_append_printf (text, "%s%s%s%s", i > 0 ? "," : "", word->key ? word->key : "",
                              word->key ? "=" : "", word->value);
    }
  g_autofree char *valid = g_utf8_make_valid (text->str, -1);
  g_string_truncate (text, 0);
  unsigned n = 0;
  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      if (n++ == MESSAGE_MAX)
        {
          g_string_append (text, "...");
          break;
        }
      if (g_unichar_isprint (c))
        g_string_append_unichar (text, c);
      else
        g_string_append_printf (text, "\\u%04x", c);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}
