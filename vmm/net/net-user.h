#pragma once

#include "net/net-backend.h"
#include "config/vm-forward.h"

/* A network of the guest's own, 10.0.2.0/24 and fec0::/64, whose gateway (10.0.2.2) turns its connections into this user's: TCP and UDP as
 * sockets of this process, ping where the host allows it, DHCP, router advertisements and a DNS server (10.0.2.3) that asks the host's.
 *
 * What listens on this computer's loopback cannot be reached from the guest. Restricted, it reaches nothing at all but
 * those who came by a forward.
 */
typedef struct NetUser NetUser;

/* context: where it runs; NULL: in a thread of its own. Error: libslirp cannot start. */
NetUser *net_user_new (bool restricted, GMainContext *context, GError **error);
void net_user_free (NetUser *user);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NetUser, net_user_free)

NetBackend net_user_get_backend (NetUser *user);

/* Any thread but the network's own; they have taken effect on return. Errors say which forward and why: a port in use, one that this
 * user may not open, too many (VM_FORWARDS_MAX), none of that name. Of remove only the host's part counts. */
bool net_user_add_forward (NetUser *user, const VmForward *forward, GError **error);
bool net_user_remove_forward (NetUser *user, const VmForward *forward, GError **error);
