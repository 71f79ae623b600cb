#pragma once

#include <stdbool.h>
#include <glib.h>
#include <sys/socket.h>

#include "config/vm-forward.h"

/* The end of a forward that is on this computer. */

/* The address as the socket calls want it; returns its size. */
socklen_t net_forward_to_sockaddr (const struct in6_addr *address, uint16_t port,
                                   struct sockaddr_storage *socket_address);

/* A socket of the host's address, which listens where it is TCP, does not block where it is UDP; [::] is of IPv6 alone. Returns
 * its number, or the negative errno. */
int net_forward_open (const VmForward *forward);

/* For a TCP forward that somebody else opens, whose words on a failure would be none or others. The errno, or 0. */
int net_forward_try (const VmForward *forward);

/* Says that this forward failed, why, and what to do. Returns false. */
bool net_forward_refuse (const VmForward *forward, int failure, GError **error);
