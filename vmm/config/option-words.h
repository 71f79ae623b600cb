#pragma once

#include <stdbool.h>
#include <glib.h>
#include <json-glib/json-glib.h>

/* The value of one option, taken apart: "file=F,format=raw" on the command line, or an object in JSON. */
typedef struct OptionWord
{
  char *key; /* NULL: a word without "=" */
  char *value;
} OptionWord;

typedef struct OptionWords OptionWords;

/* Splits at commas, each piece at its first "=". Two commas stand for one inside a value. whole: text is one value, not split. */
OptionWords *option_words_new_from_text (const char *text, bool whole);

/* A string is split as above; a number or boolean is its word ("on", "off"); a member of an object is a pair, an array in it
 * the same key repeated; the member "kind" is the word without a key. NULL for anything else. */
OptionWords *option_words_new_from_json (JsonNode *node, bool whole);

void option_words_free (OptionWords *words);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (OptionWords, option_words_free)

unsigned option_words_get_length (const OptionWords *words);
const OptionWord *option_words_get (const OptionWords *words, unsigned index);
/* The value of the only word, when it is one without a key; else NULL. */
const char *option_words_get_single (const OptionWords *words);
/* For messages: as it was said, on one line, shortened. */
char *option_words_to_message (const OptionWords *words);
