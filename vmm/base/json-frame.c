#include "base/json-frame.h"

#include <string.h>

void
json_frame_init (JsonFrame *frame, unsigned max_depth)
{
  *frame = (JsonFrame){ .max_depth = max_depth };
}

void
json_frame_reset (JsonFrame *frame)
{
  json_frame_init (frame, frame->max_depth);
}

bool
json_frame_is_empty (const JsonFrame *frame)
{
  return !frame->started;
}

static void
scan_in_string (JsonFrame *frame, char byte)
{
  if (frame->escaped)
    frame->escaped = false;
  else if (byte == '\\')
    frame->escaped = true;
  else if (byte == frame->quote)
    frame->quote = 0;
}

static bool
is_space (char byte)
{
  return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* At depth 0, inside a word or a number: does byte belong to something else? */
static bool
ends_scalar (char byte)
{
  return byte == '\0' || is_space (byte) || strchr ("{[\"'", byte) != NULL;
}

/* What JSON has outside of strings. */
static bool
is_json (char byte)
{
  return is_space (byte) || g_ascii_isalnum (byte) ||
         (byte != '\0' && strchr ("{}[]:,\"+-.", byte) != NULL);
}

static JsonFrameResult
finish (JsonFrame *frame, size_t *used, size_t n)
{
  JsonFrameResult result = frame->foreign ? JSON_FRAME_FOREIGN : JSON_FRAME_COMPLETE;

  *used = n;
  json_frame_reset (frame);
  return result;
}

JsonFrameResult
json_frame_scan (JsonFrame *frame, const char *bytes, size_t size, size_t *used)
{
  for (size_t i = 0; i < size; i++)
    {
      char byte = bytes[i];
      if (frame->quote != 0)
        {
          scan_in_string (frame, byte);
          if (frame->quote == 0 && frame->depth == 0)
            return finish (frame, used, i + 1);
          continue;
        }
      if (frame->started && frame->depth == 0 && ends_scalar (byte))
        return finish (frame, used, i);
      if (!is_space (byte))
        frame->started = true;
      if (!is_json (byte))
        frame->foreign = true;
      if (byte == '"' || byte == '\'')
        frame->quote = byte;
      else if (byte == '{' || byte == '[')
        {
          *used = i + 1;
          if (++frame->depth > frame->max_depth)
            return JSON_FRAME_TOO_DEEP;
        }
      else if ((byte == '}' || byte == ']') && (frame->depth == 0 || --frame->depth == 0))
        return finish (frame, used, i + 1);
    }
  *used = size;
  return JSON_FRAME_MORE;
}
