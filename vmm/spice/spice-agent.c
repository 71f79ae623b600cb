#define G_LOG_DOMAIN "vmm-spice"

#include "spice/spice-agent.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <glib-unix.h>

/* Theory of operation
 *
 * While a program in the guest has the port open, the port is connected to one end of a pair of sockets, and the server reads from and writes
 * to the other: what is on its way is bounded by the sockets, and neither side waits for the other. The server takes
 * no more than its client has asked for; what it did not take it fetches by itself later, so that the end is watched only when all was taken.
 *
 * When a program closes the port, the server gets another agent, and so does its client: a message that the last program did not end must
 * not be the beginning of the next one's. This must not be done in quick succession: the server counts the client's messages wrong when
 * it is before the client has answered the last time. That is left to the interval of char_port_set_open ().
 *
 * An agent that breaks the protocol is removed by the server. It gets a new one, to which the guest is not connected until it opens the port
 * again; each time leaves a little behind in the server, so that not too many are made.
 */
#define FAULTS_MAX 16

struct SpiceAgent
{
  SpiceServer *server;
  CharPort *port;
  SpiceCharDeviceInstance instance;
  bool is_plugged; /* the server has the instance */
  int fd;          /* -1: nobody in the guest */
  GSource *readable;
  GSource *writable;
  GSource *replace;
  unsigned faults;
};

static SpiceAgent *
get_agent (SpiceCharDeviceInstance *instance)
{
  return (SpiceAgent *) ((char *) instance - G_STRUCT_OFFSET (SpiceAgent, instance));
}

static void
drop_source (GSource **source)
{
  if (*source)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static gboolean
on_readable (int fd, GIOCondition condition, void *opaque)
{
  SpiceAgent *agent = opaque;

  g_clear_pointer (&agent->readable, g_source_unref);
  if (agent->is_plugged)
    spice_server_char_device_wakeup (&agent->instance);
  return G_SOURCE_REMOVE;
}

static gboolean
on_writable (int fd, GIOCondition condition, void *opaque)
{
  SpiceAgent *agent = opaque;

  g_clear_pointer (&agent->writable, g_source_unref);
  if (agent->is_plugged)
    spice_server_char_device_wakeup (&agent->instance);
  return G_SOURCE_REMOVE;
}

static void
watch (SpiceAgent *agent, GSource **source, GIOCondition condition, GUnixFDSourceFunc func)
{
  if (*source)
    return;
  *source = g_unix_fd_source_new (agent->fd, condition);
  g_source_set_callback (*source, G_SOURCE_FUNC (func), agent, NULL);
  g_source_attach (*source, NULL);
}

/* --- by the server --- */

static int
agent_write (SpiceCharDeviceInstance *instance, const uint8_t *bytes, int length)
{
  SpiceAgent *agent = get_agent (instance);

  if (agent->fd < 0)
    return length;
  const ssize_t n = send (agent->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n >= 0)
    return (int) n;
  if (errno != EAGAIN && errno != EINTR)
    return length; /* the port has let go: nobody reads it */
  watch (agent, &agent->writable, G_IO_OUT, on_writable);
  return 0;
}

static int
agent_read (SpiceCharDeviceInstance *instance, uint8_t *bytes, int length)
{
  SpiceAgent *agent = get_agent (instance);

  if (agent->fd < 0)
    return 0;
  const ssize_t n = recv (agent->fd, bytes, length, MSG_DONTWAIT);
  if (n != 0 && n < length)
    watch (agent, &agent->readable, G_IO_IN, on_readable);
  return (int) MAX (n, 0);
}

static gboolean on_replace (gpointer data);

/* 0 without our doing: what the guest sent was no agent's message. The server is in the middle of it. */
static void
agent_state (SpiceCharDeviceInstance *instance, int connected)
{
  SpiceAgent *agent = get_agent (instance);

  if (connected || !agent->is_plugged)
    return;
  agent->is_plugged = false;
  agent->faults++;
  g_warning ("the guest's agent broke the protocol%s",
             agent->faults > FAULTS_MAX ? " once too often: no other one is let in" : "");
  agent->replace = g_idle_source_new ();
  g_source_set_callback (agent->replace, on_replace, agent, NULL);
  g_source_attach (agent->replace, NULL);
}

static const SpiceCharDeviceInterface agent_interface = {
  .base = { SPICE_INTERFACE_CHAR_DEVICE, "alcove agent", SPICE_INTERFACE_CHAR_DEVICE_MAJOR,
            SPICE_INTERFACE_CHAR_DEVICE_MINOR },
  .state = agent_state,
  .write = agent_write,
  .read = agent_read,
  .flags = SPICE_CHAR_DEVICE_NOTIFY_WRITABLE,
};

/* --- to the server --- */

static void
unplug (SpiceAgent *agent)
{
  if (!agent->is_plugged)
    return;
  agent->is_plugged = false;
  spice_server_remove_interface (&agent->instance.base);
}

static void
plug (SpiceAgent *agent)
{
  if (agent->faults > FAULTS_MAX)
    return;
  /* Before: the server may remove it at once. */
  agent->is_plugged = true;
  if (spice_server_add_interface (agent->server, &agent->instance.base) != 0)
    agent->is_plugged = false;
}

static void
disconnect (SpiceAgent *agent)
{
  drop_source (&agent->readable);
  drop_source (&agent->writable);
  if (agent->fd < 0)
    return;
  char_port_connect (agent->port, -1);
  close (agent->fd);
  agent->fd = -1;
}

static gboolean
on_replace (gpointer data)
{
  SpiceAgent *agent = data;

  g_clear_pointer (&agent->replace, g_source_unref);
  disconnect (agent);
  plug (agent);
  return G_SOURCE_REMOVE;
}

static void
on_opened (void *opaque, bool is_open)
{
  SpiceAgent *agent = opaque;
  int fds[2];

  g_debug ("the guest's agent is %s", is_open ? "there" : "gone");
  if (!is_open && agent->fd >= 0)
    {
      disconnect (agent);
      unplug (agent);
      plug (agent);
    }
  else if (is_open && socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0)
    {
      agent->fd = fds[0];
      char_port_connect (agent->port, fds[1]);
      watch (agent, &agent->readable, G_IO_IN, on_readable);
    }
  else if (is_open)
    g_warning ("the guest's agent is not heard: %s", g_strerror (errno));
}

static const CharHostOps host_ops = { .opened = on_opened };

SpiceAgent *
spice_agent_new (SpiceServer *server, CharPort *port)
{
  SpiceAgent *agent = g_new0 (SpiceAgent, 1);

  agent->server = server;
  agent->port = port;
  agent->fd = -1;
  agent->instance.base.sif = &agent_interface.base;
  agent->instance.subtype = "vdagent";
  plug (agent);
  if (port)
    char_port_set_host (port, &host_ops, agent);
  return agent;
}

void
spice_agent_free (SpiceAgent *agent)
{
  if (!agent)
    return;
  drop_source (&agent->replace);
  disconnect (agent);
  if (agent->port)
    char_port_set_host (agent->port, NULL, NULL);
  g_free (agent);
}
