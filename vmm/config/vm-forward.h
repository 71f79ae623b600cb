#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include <netinet/in.h>

typedef enum
{
  VM_FORWARD_TCP,
  VM_FORWARD_UDP,
  VM_N_FORWARDS
} VmForwardProtocol;

/* A port of this computer whose connections go to the guest. An IPv4 address is the mapped one of IPv6, ::ffff:1.2.3.4 (RFC 4291, 2.5.5.2). */
typedef struct VmForward
{
  VmForwardProtocol protocol;
  struct in6_addr host_address;
  uint16_t host_port;
  struct in6_addr guest_address; /* ::, the one that the guest has */
  uint16_t guest_port;
} VmForward;

/* QEMU's words, "tcp:127.0.0.1:2222-:22", "udp::53-10.0.2.15:53" or "tcp:[::1]:80-[fec0::9]:80", or shorter "tcp:2222:22". Without a protocol
 * it is TCP. Unlike there, a host address that is left out is 127.0.0.1: who wants 0.0.0.0 says so. Error: what is allowed. */
bool vm_forward_parse (VmForward *forward, const char *text, GError **error);
/* What names a forward that is there: the same words up to the '-'. The guest's part is left zero. */
bool vm_forward_parse_host (VmForward *forward, const char *text, GError **error);
/* Never the shorter words. */
char *vm_forward_to_string (const VmForward *forward);

/* What belongs together: the families of both addresses, and an address that can be listened on. */
bool vm_forward_validate (const VmForward *forward, GError **error);

/* The host's address alone, without brackets. */
void vm_forward_get_host (const VmForward *forward, char text[INET6_ADDRSTRLEN]);
bool vm_forward_is_ipv6 (const VmForward *forward);
/* Do they take the same port? */
bool vm_forward_same_host (const VmForward *a, const VmForward *b);
const char *vm_forward_protocol_to_string (VmForwardProtocol protocol);
