#define G_LOG_DOMAIN "vmm-spice"

#include "spice/spice-front.h"

#include <spice.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <gio/gio.h>
#include <glib-unix.h>

#include "base/socket-path.h"
#include "spice/spice-agent.h"
#include "spice/spice-connections.h"
#include "spice/spice-input.h"
#include "spice/spice-loop.h"
#include "spice/spice-screen.h"

struct SpiceFront
{
  SpiceServer *server;
  SpiceCoreInterface core;
  SpiceScreen *screen;
  SpiceInput *input;
  SpiceAgent *agent;
  int listen_fd; /* -1: none, and then nothing of these */
  unsigned listen_source;
  char *listen_path;
  GSource *refresh;
  bool has_new_display;
  SpiceConnections *connections;
};

/* channel_event () comes without a pointer of ours: it is told to every front, which asks its own server. Main thread only. */
static GPtrArray *fronts;

static gboolean
on_refresh (void *data)
{
  SpiceFront *front = data;

  /* Deprecated without a successor; the events alone do not say whose client they are about. */
  G_GNUC_BEGIN_IGNORE_DEPRECATIONS
  int n_clients = spice_server_get_num_clients (front->server);
  G_GNUC_END_IGNORE_DEPRECATIONS
  g_clear_pointer (&front->refresh, g_source_unref);
  spice_screen_set_memfd (front->screen, spice_connections_take_memfd (front->connections));
  spice_screen_set_clients (front->screen, MAX (n_clients, 0), front->has_new_display);
  front->has_new_display = false;
  if (n_clients <= 0)
    spice_input_release_all (front->input);
  return G_SOURCE_REMOVE;
}

/* The server counts its clients right only once the event is over. */
static void
schedule_refresh (SpiceFront *front)
{
  if (front->refresh)
    return;
  front->refresh = g_idle_source_new ();
  g_source_set_priority (front->refresh, G_PRIORITY_DEFAULT);
  g_source_set_callback (front->refresh, on_refresh, front, NULL);
  g_source_attach (front->refresh, NULL);
}

static void
on_channel_event (int event, SpiceChannelEventInfo *info)
{
  g_debug ("channel %d:%d event %d", info->type, info->id, event);
  for (unsigned i = 0; fronts && i < fronts->len; i++)
    {
      SpiceFront *front = g_ptr_array_index (fronts, i);
      spice_connections_follow (front->connections, event, info);
      if (info->type == SPICE_CHANNEL_DISPLAY && event == SPICE_CHANNEL_EVENT_INITIALIZED)
        front->has_new_display = true;
      if (info->type == SPICE_CHANNEL_INPUTS && event == SPICE_CHANNEL_EVENT_DISCONNECTED)
        spice_input_release_all (front->input);
      schedule_refresh (front);
    }
}

static gboolean
on_connection (int fd, GIOCondition condition, void *data)
{
  g_autoptr (GError) error = NULL;
  int connection = accept4 (fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  if (connection >= 0 && !spice_front_add_client (data, connection, true, false, &error))
    g_warning ("%s", error->message);
  return G_SOURCE_CONTINUE;
}

static bool
start_listening (SpiceFront *front, const char *path, GError **error)
{
  front->listen_fd = socket_path_listen ("--display", path, error);
  if (front->listen_fd < 0)
    return false;
  front->listen_path = g_strdup (path);
  front->listen_source = g_unix_fd_add (front->listen_fd, G_IO_IN, on_connection, front);
  return true;
}

static void
stop_listening (SpiceFront *front)
{
  if (front->listen_fd < 0)
    return;
  g_source_remove (front->listen_source);
  close (front->listen_fd);
  unlink (front->listen_path);
  g_free (front->listen_path);
}

static void
configure_server (SpiceFront *front, const SpiceFrontOptions *options)
{
  SpiceServer *server = front->server;

  spice_server_set_noauth (server);
  spice_server_set_name (server, options->name);
  /* Every client of ours is on this computer: memory is cheaper than compression, and video detection only blurs. */
  spice_server_set_image_compression (server, SPICE_IMAGE_COMPRESSION_OFF);
  spice_server_set_streaming_video (server, SPICE_STREAM_VIDEO_OFF);
  spice_server_set_playback_compression (server, 0);
  spice_server_set_agent_mouse (server, 0);
}

SpiceFront *
spice_front_new (const SpiceFrontOptions *options, ScanoutPort *scanout, InputPort *input,
                 GError **error)
{
  g_autoptr (SpiceFront) front = g_new0 (SpiceFront, 1);

  front->listen_fd = -1;
  front->connections = spice_connections_new ();
  if (options->listen_path && !start_listening (front, options->listen_path, error))
    return NULL;
  front->server = spice_server_new ();
  configure_server (front, options);
  spice_loop_fill (&front->core);
  front->core.channel_event = on_channel_event;
  if (spice_server_init (front->server, &front->core) != 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "the SPICE server does not start");
      return NULL;
    }
  front->input = spice_input_new (front->server, input, scanout);
  front->agent = spice_agent_new (front->server, options->agent);
  front->screen =
      spice_screen_new (front->server, scanout, front->connections, options->gpu_address);
  spice_server_vm_start (front->server);
  if (!fronts)
    fronts = g_ptr_array_new ();
  g_ptr_array_add (fronts, front);
  return g_steal_pointer (&front);
}

void
spice_front_free (SpiceFront *front)
{
  if (!front)
    return;
  if (fronts)
    g_ptr_array_remove (fronts, front);
  if (front->refresh)
    g_source_destroy (front->refresh);
  g_clear_pointer (&front->refresh, g_source_unref);
  stop_listening (front);
  if (front->screen)
    spice_screen_detach (front->screen);
  if (front->server)
    spice_server_destroy (front->server);
  spice_screen_free (front->screen);
  spice_input_free (front->input);
  spice_connections_free (front->connections);
  spice_agent_free (front->agent);
  g_free (front);
}

bool
spice_front_add_client (SpiceFront *front, int fd, bool skip_auth, bool memfd, GError **error)
{
  /* The client's other end may be anything: the server does not wait for it. */
  int flags = fcntl (fd, F_GETFL);
  if (flags >= 0)
    fcntl (fd, F_SETFL, flags | O_NONBLOCK);
  spice_connections_begin (front->connections, fd, memfd);
  int added = spice_server_add_client (front->server, fd, skip_auth);
  spice_connections_end (front->connections);
  if (added == 0)
    return true;
  close (fd);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "the SPICE server refused the client");
  return false;
}
