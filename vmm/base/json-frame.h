#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <glib.h>

/* Finds where one JSON value ends in a stream of bytes that nobody vouches for, without parsing it: it counts brackets
 * outside of strings. A parser that recurses or buffers sees the value only when both its size and its depth are known to be
 * bounded. What is inside the frame may still be no JSON; a frame is never longer than the value would be.
 *
 * FOREIGN: outside of its strings the value has a byte that no JSON has there. json-glib knows comments, and in them a quote
 * or a bracket means to it something else than to this scanner, which then cannot promise the depth that the parser will see.
 *
 * Values that are not objects or arrays ("1 2") end before the first byte that cannot belong to them.
 */
typedef enum
{
  JSON_FRAME_MORE,     /* the value goes on */
  JSON_FRAME_COMPLETE, /* *used bytes end it; the scanner is ready for the next value */
  JSON_FRAME_FOREIGN,  /* the same, but it must not be parsed: see below */
  JSON_FRAME_TOO_DEEP, /* *used bytes, the last one opens one level too many */
} JsonFrameResult;

typedef struct JsonFrame
{
  unsigned max_depth;
  /* private: */
  unsigned depth;
  char quote; /* inside a string that this byte ends */
  bool escaped;
  bool started; /* something other than white space was seen */
  bool foreign;
} JsonFrame;

void json_frame_init (JsonFrame *frame, unsigned max_depth);
/* After an error: forget the value under way. */
void json_frame_reset (JsonFrame *frame);

/* Looks at the next size bytes. *used is how many belong to the value (all of them for MORE). */
JsonFrameResult json_frame_scan (JsonFrame *frame, const char *bytes, size_t size, size_t *used);

/* Only white space so far. */
bool json_frame_is_empty (const JsonFrame *frame);
