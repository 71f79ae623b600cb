#include "spice/spice-connections.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <glib.h>

typedef struct Connection
{
  int fd; /* -1: could not be duplicated */
  bool memfd;
  int type; /* SPICE_CHANNEL_*; 0: not linked yet */
} Connection;

struct SpiceConnections
{
  GHashTable *
      table; /* the server's SpiceChannelEventInfo, one for the life of a connection -> Connection */
  Connection *adding; /* NULL: none, or its event has come */
  bool take_memfd;
};

static void
connection_free (void *data)
{
  Connection *connection = data;

  if (connection->fd >= 0)
    close (connection->fd);
  g_free (connection);
}

SpiceConnections *
spice_connections_new (void)
{
  SpiceConnections *connections = g_new0 (SpiceConnections, 1);

  connections->table = g_hash_table_new_full (NULL, NULL, NULL, connection_free);
  return connections;
}

void
spice_connections_free (SpiceConnections *connections)
{
  if (!connections)
    return;
  g_clear_pointer (&connections->adding, connection_free);
  g_hash_table_unref (connections->table);
  g_free (connections);
}

void
spice_connections_begin (SpiceConnections *connections, int fd, bool memfd)
{
  connections->adding = g_new0 (Connection, 1);
  connections->adding->fd = fcntl (fd, F_DUPFD_CLOEXEC, 3);
  connections->adding->memfd = memfd;
}

void
spice_connections_end (SpiceConnections *connections)
{
  g_clear_pointer (&connections->adding, connection_free);
}

/* What a client takes is said by one that has linked, and not by whoever connects: that may be anybody, or nobody. Its main channel comes
 * first, when the client before it has been sent away. */
static void
link_connection (SpiceConnections *connections, const SpiceChannelEventInfo *info)
{
  Connection *connection = g_hash_table_lookup (connections->table, info);

  if (!connection)
    return;
  connection->type = info->type;
  if (info->type == SPICE_CHANNEL_MAIN || info->type == SPICE_CHANNEL_DISPLAY)
    connections->take_memfd = connection->memfd;
}

void
spice_connections_follow (SpiceConnections *connections, int event,
                          const SpiceChannelEventInfo *info)
{
  if (event == SPICE_CHANNEL_EVENT_CONNECTED && connections->adding)
    g_hash_table_insert (connections->table, (void *) info, g_steal_pointer (&connections->adding));
  else if (event == SPICE_CHANNEL_EVENT_INITIALIZED)
    link_connection (connections, info);
  else if (event == SPICE_CHANNEL_EVENT_DISCONNECTED)
    g_hash_table_remove (connections->table, info);
}

bool
spice_connections_take_memfd (const SpiceConnections *connections)
{
  return connections->take_memfd;
}

bool
spice_connections_have_read (const SpiceConnections *connections)
{
  GHashTableIter iter;
  Connection *connection;
  int unread;

  g_hash_table_iter_init (&iter, connections->table);
  while (g_hash_table_iter_next (&iter, NULL, (void **) &connection))
    if ((connection->type == SPICE_CHANNEL_DISPLAY || connection->type == SPICE_CHANNEL_CURSOR) &&
        ioctl (connection->fd, SIOCOUTQ, &unread) == 0 && unread > 0)
      return false;
  return true;
}
