#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "config/vm-config.h"

/* A port of this computer whose connections go to the guest. Addresses are IPv4, in the host's byte order. */
typedef struct NetForward
{
  VmForwardProtocol protocol;
  uint32_t host_address;
  uint16_t host_port;
  uint32_t guest_address; /* 0: the one that the guest gets by DHCP */
  uint16_t guest_port;
} NetForward;

#define NET_FORWARD_LOOPBACK 0x7f000001u

/* QEMU's words, "tcp:127.0.0.1:2222-:22" or "udp::53-10.0.2.15:53". Without a protocol it is TCP. Unlike there, a host address that is
 * left out is 127.0.0.1: who wants 0.0.0.0 says so. Error: what is wrong with text. */
bool net_forward_parse (NetForward *forward, const char *text, GError **error);
/* What names a forward that is there: the same words up to the '-'. The guest's part is left zero. */
bool net_forward_parse_host (NetForward *forward, const char *text, GError **error);
char *net_forward_to_string (const NetForward *forward);
/* Do they take the same port? */
bool net_forward_same_host (const NetForward *a, const NetForward *b);
