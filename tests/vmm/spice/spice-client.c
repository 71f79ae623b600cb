#include "spice-client.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_SECONDS 60

/* Our end of a channel, duplicated. */
typedef struct ChannelEnd
{
  int type;
  int fd;
} ChannelEnd;

struct SpiceClient
{
  SpiceFront *front;
  bool memfd;
  SpiceSession *session;
  SpiceMainChannel *main;
  SpiceDisplayChannel *display;
  SpiceInputsChannel *inputs;
  unsigned invalidations, gl_draws;
  bool lazy, is_gl;
  unsigned n_ready; /* display and inputs that are open */
  GArray *ends;     /* of ChannelEnd; the main channel's is the first */
  uint8_t *mapping;
  size_t mapping_size;
  uint32_t stride, width, height;
};

static int
open_channel (SpiceClient *client, int type)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  ChannelEnd end = { type, fcntl (fds[0], F_DUPFD_CLOEXEC, 3) };
  g_assert_cmpint (end.fd, >=, 0);
  g_array_append_val (client->ends, end);
  g_assert_true (spice_front_add_client (client->front, fds[1], true, client->memfd, NULL));
  return fds[0];
}

static void
on_open_fd (SpiceChannel *channel, int with_tls, void *data)
{
  int type;

  g_object_get (channel, "channel-type", &type, NULL);
  spice_channel_open_fd (channel, open_channel (data, type));
}

static void
on_invalidate (SpiceDisplayChannel *display, int x, int y, int width, int height, void *data)
{
  ((SpiceClient *) data)->invalidations++;
}

static void
unmap (SpiceClient *client)
{
  if (client->mapping)
    munmap (client->mapping, client->mapping_size);
  client->mapping = NULL;
}

static void
on_scanout (SpiceDisplayChannel *display, GParamSpec *spec, void *data)
{
  SpiceClient *client = data;
  const SpiceGlScanout *scanout = spice_display_channel_get_gl_scanout (display);
  struct stat info;

  unmap (client);
  client->is_gl = scanout && scanout->fd >= 0;
  if (!client->is_gl)
    return;
  g_assert_cmpint (fstat (scanout->fd, &info), ==, 0);
  client->width = scanout->width;
  client->height = scanout->height;
  client->stride = scanout->stride;
  client->mapping_size = info.st_size;
  client->mapping = mmap (NULL, client->mapping_size, PROT_READ, MAP_SHARED, scanout->fd, 0);
  g_assert_true (client->mapping != MAP_FAILED);
}

static void
on_gl_draw (SpiceDisplayChannel *display, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
            void *data)
{
  SpiceClient *client = data;

  client->gl_draws++;
  if (!client->lazy)
    spice_display_channel_gl_draw_done (display);
}

static void
on_channel_event (SpiceChannel *channel, SpiceChannelEvent event, void *data)
{
  if (event == SPICE_CHANNEL_OPENED)
    ((SpiceClient *) data)->n_ready++;
}

static void
on_channel_new (SpiceSession *session, SpiceChannel *channel, void *data)
{
  SpiceClient *client = data;

  g_signal_connect (channel, "open-fd", G_CALLBACK (on_open_fd), client);
  if (SPICE_IS_MAIN_CHANNEL (channel))
    client->main = SPICE_MAIN_CHANNEL (channel);
  else if (SPICE_IS_DISPLAY_CHANNEL (channel))
    {
      client->display = SPICE_DISPLAY_CHANNEL (channel);
      g_signal_connect (channel, "channel-event", G_CALLBACK (on_channel_event), client);
      g_signal_connect (channel, "display-invalidate", G_CALLBACK (on_invalidate), client);
      g_signal_connect (channel, "notify::gl-scanout", G_CALLBACK (on_scanout), client);
      g_signal_connect (channel, "gl-draw", G_CALLBACK (on_gl_draw), client);
      spice_channel_connect (channel);
    }
  else if (SPICE_IS_INPUTS_CHANNEL (channel))
    {
      client->inputs = SPICE_INPUTS_CHANNEL (channel);
      g_signal_connect (channel, "channel-event", G_CALLBACK (on_channel_event), client);
      spice_channel_connect (channel);
    }
  else if (SPICE_IS_CURSOR_CHANNEL (channel))
    spice_channel_connect (channel);
}

SpiceClient *
spice_client_new (SpiceFront *front, bool memfd)
{
  SpiceClient *client = g_new0 (SpiceClient, 1);
  gint64 end = g_get_monotonic_time () + WAIT_SECONDS * G_TIME_SPAN_SECOND;

  client->front = front;
  client->memfd = memfd;
  client->ends = g_array_new (FALSE, FALSE, sizeof (ChannelEnd));
  client->session = spice_session_new ();
  g_object_set (client->session, "client-sockets", TRUE, NULL);
  g_signal_connect (client->session, "channel-new", G_CALLBACK (on_channel_new), client);
  g_assert_true (
      spice_session_open_fd (client->session, open_channel (client, SPICE_CHANNEL_MAIN)));
  while (client->n_ready < 2)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, end);
      g_main_context_iteration (NULL, FALSE);
    }
  return client;
}

void
spice_client_stall (SpiceClient *client)
{
  if (!client->session)
    return;
  if (client->display)
    g_signal_handlers_disconnect_by_data (client->display, client);
  g_signal_handlers_disconnect_by_data (client->session, client);
  spice_session_disconnect (client->session);
  g_clear_object (&client->session);
}

int
spice_client_get_fd (SpiceClient *client, int type)
{
  for (unsigned i = 0; i < client->ends->len; i++)
    if (g_array_index (client->ends, ChannelEnd, i).type == type)
      return g_array_index (client->ends, ChannelEnd, i).fd;
  return -1;
}

void
spice_client_free (SpiceClient *client)
{
  if (!client)
    return;
  spice_client_stall (client);
  for (unsigned i = 0; i < client->ends->len; i++)
    close (g_array_index (client->ends, ChannelEnd, i).fd);
  g_array_unref (client->ends);
  unmap (client);
  g_free (client);
}

SpiceInputsChannel *
spice_client_get_inputs (SpiceClient *client)
{
  return client->inputs;
}

SpiceMainChannel *
spice_client_get_main (SpiceClient *client)
{
  return client->main;
}

SpiceDisplayChannel *
spice_client_get_display (SpiceClient *client)
{
  return client->display;
}

unsigned
spice_client_get_invalidations (SpiceClient *client)
{
  return client->invalidations;
}

unsigned
spice_client_get_gl_draws (SpiceClient *client)
{
  return client->gl_draws;
}

void
spice_client_set_lazy (SpiceClient *client, bool lazy)
{
  client->lazy = lazy;
}

bool
spice_client_is_gl (SpiceClient *client)
{
  return client->is_gl;
}

bool
spice_client_get_pixel (SpiceClient *client, unsigned x, unsigned y, uint32_t *pixel)
{
  SpiceDisplayPrimary primary;
  const uint8_t *row;

  if (client->is_gl)
    {
      if (x >= client->width || y >= client->height)
        return false;
      row = client->mapping + (size_t) y * client->stride;
    }
  else
    {
      if (!spice_display_channel_get_primary (SPICE_CHANNEL (client->display), 0, &primary) ||
          (int) x >= primary.width || (int) y >= primary.height)
        return false;
      row = primary.data + (ptrdiff_t) y * primary.stride;
    }
  memcpy (pixel, row + x * 4, 4);
  *pixel &= 0xffffff;
  return true;
}

void
spice_client_wait_pixel (SpiceClient *client, unsigned x, unsigned y, uint32_t pixel)
{
  gint64 end = g_get_monotonic_time () + WAIT_SECONDS * G_TIME_SPAN_SECOND;
  uint32_t seen = 0;

  while (!spice_client_get_pixel (client, x, y, &seen) || seen != pixel)
    {
      if (g_get_monotonic_time () > end)
        g_assert_cmphex (seen, ==, pixel);
      g_main_context_iteration (NULL, FALSE);
    }
}
