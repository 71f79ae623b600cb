#pragma once

#include <stdbool.h>
#include <spice.h>

/* The sockets of a server's clients: which are linked, what they can take, whether they read.
 *
 * The server owns the sockets and says nothing of them but the events of core->channel_event (), which are passed on to
 * spice_connections_follow (); here are duplicates.
 * Thread: main.
 */
typedef struct SpiceConnections SpiceConnections;

SpiceConnections *spice_connections_new (void);
void spice_connections_free (SpiceConnections *connections);

/* Around spice_server_add_client (), in which the event of the connection comes. fd is not taken; memfd: the client takes one. */
void spice_connections_begin (SpiceConnections *connections, int fd, bool memfd);
void spice_connections_end (SpiceConnections *connections);
/* Events of connections that were not begun here are ignored. */
void spice_connections_follow (SpiceConnections *connections, int event,
                               const SpiceChannelEventInfo *info);

/* Whether the client that linked last takes a memfd. */
bool spice_connections_take_memfd (const SpiceConnections *connections);
/* Whether no display or cursor channel has anything unread in its socket. */
bool spice_connections_have_read (const SpiceConnections *connections);
