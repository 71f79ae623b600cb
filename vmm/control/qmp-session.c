#define G_LOG_DOMAIN "vmm-control"

#include "control/qmp-session.h"

#include <assert.h>
#include <string.h>
#include <json-glib/json-glib.h>

#include "base/json-frame.h"
#include "control/qmp-command.h"
#include "control/qmp-message.h"

struct QmpSession
{
  QmpContext context;
  QmpOutputFunc output;
  void *opaque;
  JsonFrame frame;
  GByteArray *value; /* what has come of the value under way */
};

/* A command whose function is missing would be a call of nothing, on a client's word. */
static void
assert_complete (const ControlTargetOps *ops)
{
  void (*functions[sizeof *ops / sizeof (void (*) (void))]) (void);

  static_assert (sizeof functions == sizeof *ops, "functions and nothing else");
  memcpy (functions, ops, sizeof functions);
  for (unsigned i = 0; i < G_N_ELEMENTS (functions); i++)
    g_assert_nonnull (functions[i]);
}

QmpSession *
qmp_session_new (const ControlTarget *target, QmpOutputFunc output, void *opaque)
{
  QmpSession *session = g_new0 (QmpSession, 1);
  g_autofree char *greeting = qmp_message_greeting ();

  assert_complete (target->ops);
  session->context.target = target;
  session->context.fds = qmp_fds_new ();
  session->output = output;
  session->opaque = opaque;
  session->value = g_byte_array_new ();
  json_frame_init (&session->frame, QMP_DEPTH_MAX);
  output (greeting, strlen (greeting), opaque);
  return session;
}

void
qmp_session_free (QmpSession *session)
{
  if (session == NULL)
    return;
  qmp_fds_free (session->context.fds);
  g_byte_array_unref (session->value);
  g_free (session);
}

void
qmp_session_receive_fds (QmpSession *session, const int *fds, unsigned n)
{
  qmp_fds_receive (session->context.fds, fds, n);
}

static void
answer (QmpSession *session, const char *line)
{
  session->output (line, strlen (line), session->opaque);
}

static void
answer_error (QmpSession *session, const GError *error, JsonNode *id)
{
  g_autofree char *line = qmp_message_error (error, id);

  /* It may quote what the client sent. */
  g_autofree char *shown = g_strescape (error->message, NULL);
  g_debug ("refused: %s", shown);
  answer (session, line);
}

G_GNUC_PRINTF (2, 3)
static bool
malformed (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, QMP_ERROR, QMP_ERROR_GENERIC, text);
  return false;
}

/* The members that a request has, checked as QEMU's qmp_dispatch_check_obj () does. Borrowed from request. */
typedef struct Request
{
  const char *command;
  JsonObject *arguments;
} Request;

static bool
read_member (Request *read, const char *name, JsonNode *node, GError **error)
{
  if (strcmp (name, "execute") == 0)
    {
      if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_STRING)
        return malformed (error, "QMP input member '%s' must be a string", name);
      read->command = json_node_get_string (node);
    }
  else if (strcmp (name, "arguments") == 0)
    {
      if (!JSON_NODE_HOLDS_OBJECT (node))
        return malformed (error, "QMP input member 'arguments' must be an object");
      read->arguments = json_node_get_object (node);
    }
  else if (strcmp (name, "id") != 0)
    return malformed (error, "QMP input member '%s' is unexpected", name);
  return true;
}

static bool
read_request (JsonObject *request, Request *read, GError **error)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  *read = (Request){};
  json_object_iter_init_ordered (&iter, request);
  while (json_object_iter_next_ordered (&iter, &name, &node))
    if (!read_member (read, name, node, error))
      return false;
  if (read->command == NULL)
    return malformed (error, "QMP input lacks member 'execute'");
  return true;
}

static void
run_request (QmpSession *session, JsonObject *request)
{
  JsonNode *id = json_object_get_member (request, "id");
  JsonNode *result = NULL;
  Request read;
  g_autoptr (GError) error = NULL;

  if (!read_request (request, &read, &error) ||
      !qmp_command_run (&session->context, read.command, read.arguments, &result, &error))
    {
      answer_error (session, error, id);
      return;
    }
  g_autofree char *line = qmp_message_reply (result, id);
  answer (session, line);
}

static void
run_value (QmpSession *session, bool foreign)
{
  const char *text = (const char *) session->value->data;
  size_t size = session->value->len;
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) problem = NULL;

  if (!g_utf8_validate (text, size, NULL))
    malformed (&error, "JSON parse error, invalid UTF-8 sequence in string");
  else if (foreign)
    malformed (&error, "JSON parse error, stray character");
  else if (!json_parser_load_from_data (parser, text, size, &problem))
    malformed (&error, "JSON parse error, expecting value: %s",
               g_strdelimit (problem->message, "\r\n", ' '));
  else if (json_parser_get_root (parser) == NULL ||
           !JSON_NODE_HOLDS_OBJECT (json_parser_get_root (parser)))
    malformed (&error, "QMP input must be a JSON object");
  if (error != NULL)
    answer_error (session, error, NULL);
  else
    run_request (session, json_node_get_object (json_parser_get_root (parser)));
}

static bool
end (QmpSession *session, const char *reason)
{
  g_autoptr (GError) error = g_error_new_literal (QMP_ERROR, QMP_ERROR_GENERIC, reason);

  answer_error (session, error, NULL);
  return false;
}

bool
qmp_session_input (QmpSession *session, const char *bytes, size_t size)
{
  while (size > 0)
    {
      size_t used = 0;
      JsonFrameResult result = json_frame_scan (&session->frame, bytes, size, &used);
      if (result == JSON_FRAME_TOO_DEEP)
        return end (session, "JSON nesting depth limit exceeded");
      if (session->value->len + used > QMP_VALUE_MAX)
        return end (session, "JSON token size limit exceeded");
      g_byte_array_append (session->value, (const uint8_t *) bytes, used);
      bytes += used;
      size -= used;
      if (result != JSON_FRAME_MORE)
        run_value (session, result == JSON_FRAME_FOREIGN);
      /* White space between values is nobody's. */
      if (result != JSON_FRAME_MORE || json_frame_is_empty (&session->frame))
        g_byte_array_set_size (session->value, 0);
      if (session->context.quit_requested)
        {
          session->context.quit_requested = false;
          session->context.target->ops->quit (session->context.target->opaque);
        }
    }
  return true;
}

void
qmp_session_event (QmpSession *session, const char *line)
{
  if (session->context.negotiated)
    answer (session, line);
}
