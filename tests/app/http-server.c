#include "http-server.h"

#include <string.h>

#define PIECE (64 * 1024)

/* The request's head, up to the empty line. FALSE: the client went. */
static gboolean
read_head (GInputStream *stream, char **range)
{
  g_autoptr (GDataInputStream) lines = g_data_input_stream_new (stream);

  g_filter_input_stream_set_close_base_stream (G_FILTER_INPUT_STREAM (lines), FALSE);
  g_data_input_stream_set_newline_type (lines, G_DATA_STREAM_NEWLINE_TYPE_CR_LF);
  *range = NULL;
  for (;;)
    {
      g_autofree char *line = g_data_input_stream_read_line (lines, NULL, NULL, NULL);

      if (line == NULL)
        return FALSE;
      if (line[0] == '\0')
        return TRUE;
      if (g_ascii_strncasecmp (line, "Range: bytes=", 13) == 0)
        {
          g_free (*range);
          *range = g_strdup (line + 13);
        }
    }
}

static void
note_request (HttpServer *self, const char *range)
{
  g_mutex_lock (&self->lock);
  g_free (self->last_range);
  self->last_range = g_strdup (range);
  g_mutex_unlock (&self->lock);
  g_atomic_int_inc (&self->n_requests);
  g_main_context_wakeup (NULL);
}

static char *
make_head (HttpServer *self, guint64 start)
{
  gsize whole = g_bytes_get_size (self->content);
  GString *head = g_string_new (NULL);

  if (self->status != 0)
    g_string_append_printf (head, "HTTP/1.1 %u Told so\r\n", self->status);
  else if (start > 0)
    g_string_append_printf (head,
                            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes "
                            "%" G_GUINT64_FORMAT "-%" G_GSIZE_FORMAT "/%" G_GSIZE_FORMAT "\r\n",
                            start, whole - 1, whole);
  else
    g_string_append (head, "HTTP/1.1 200 OK\r\n");
  if (self->validator != NULL)
    g_string_append_printf (head, "%s\r\n", self->validator);
  g_string_append_printf (head,
                          "Content-Length: %" G_GUINT64_FORMAT "\r\nConnection: close\r\n\r\n",
                          self->claim > 0 ? self->claim : whole - start);
  return g_string_free (head, FALSE);
}

static void
wait_for_stop (HttpServer *self)
{
  g_mutex_lock (&self->lock);
  while (!self->stopped)
    g_cond_wait (&self->stopped_cond, &self->lock);
  g_mutex_unlock (&self->lock);
}

static void
send_body (HttpServer *self, GOutputStream *stream, guint64 start)
{
  gsize whole;
  const char *data = g_bytes_get_data (self->content, &whole);
  gsize end = whole;
  gint breaks = g_atomic_int_get (&self->breaks);

  if (breaks != 0)
    {
      end = MIN (whole, start + self->break_after);
      g_atomic_int_set (&self->breaks, breaks > 0 ? breaks - 1 : breaks);
    }
  for (gsize at = start; at < end; at += PIECE)
    {
      gsize length = MIN (PIECE, end - at);

      if (self->hang_after > 0 && at - start >= self->hang_after)
        wait_for_stop (self);
      if (self->pause_ms > 0)
        g_usleep (self->pause_ms * 1000);
      if (!g_output_stream_write_all (stream, data + at, length, NULL, NULL, NULL))
        return;
      g_mutex_lock (&self->lock);
      self->bytes_sent += length;
      g_mutex_unlock (&self->lock);
    }
}

static gboolean
on_run (GThreadedSocketService *service, GSocketConnection *connection, GObject *source,
        gpointer data)
{
  HttpServer *self = data;
  GIOStream *stream = G_IO_STREAM (connection);
  GOutputStream *out = g_io_stream_get_output_stream (stream);
  g_autofree char *range = NULL;
  g_autofree char *head = NULL;
  guint64 start = 0;

  if (!read_head (g_io_stream_get_input_stream (stream), &range))
    return TRUE;
  note_request (self, range);
  if (range != NULL && self->ranges)
    start = g_ascii_strtoull (range, NULL, 10);
  head = make_head (self, start);
  if (g_output_stream_write_all (out, head, strlen (head), NULL, NULL, NULL))
    send_body (self, out, start);
  g_io_stream_close (stream, NULL, NULL);
  return TRUE;
}

HttpServer *
http_server_new (GBytes *content)
{
  HttpServer *self = g_new0 (HttpServer, 1);
  g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new (loopback, 0);
  g_autoptr (GSocketAddress) effective = NULL;
  g_autoptr (GError) error = NULL;

  g_mutex_init (&self->lock);
  g_cond_init (&self->stopped_cond);
  self->content = g_bytes_ref (content);
  self->ranges = TRUE;
  self->validator = "Last-Modified: Sat, 10 Jun 2023 10:00:00 GMT";
  self->service = g_threaded_socket_service_new (8);
  g_socket_listener_add_address (G_SOCKET_LISTENER (self->service), address, G_SOCKET_TYPE_STREAM,
                                 G_SOCKET_PROTOCOL_TCP, NULL, &effective, &error);
  g_assert_no_error (error);
  self->port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (effective));
  g_signal_connect (self->service, "run", G_CALLBACK (on_run), self);
  g_socket_service_start (self->service);
  return self;
}

/* The threads of connections still hold it: it is a test's, and stays until the program's end. */
void
http_server_free (HttpServer *self)
{
  g_mutex_lock (&self->lock);
  self->stopped = TRUE;
  g_cond_broadcast (&self->stopped_cond);
  g_mutex_unlock (&self->lock);
  g_socket_service_stop (self->service);
  g_socket_listener_close (G_SOCKET_LISTENER (self->service));
}

char *
http_server_dup_url (HttpServer *self, const char *name)
{
  return g_strdup_printf ("http://127.0.0.1:%u/%s", self->port, name);
}
