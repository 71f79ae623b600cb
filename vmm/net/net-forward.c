#include "net/net-forward.h"

#include <string.h>
#include <arpa/inet.h>

static bool
parse_protocol (NetForward *forward, const char *word)
{
  if (*word == '\0')
    return true;
  for (forward->protocol = 0; forward->protocol < VM_N_FORWARDS; forward->protocol++)
    if (strcmp (word, vm_forward_protocol_to_string (forward->protocol)) == 0)
      return true;
  return false;
}

/* An empty word leaves *address as it is. */
static bool
parse_address (uint32_t *address, const char *word)
{
  struct in_addr parsed;

  if (*word == '\0')
    return true;
  if (inet_pton (AF_INET, word, &parsed) != 1)
    return false;
  *address = ntohl (parsed.s_addr);
  return true;
}

static bool
parse_port (uint16_t *port, const char *word)
{
  uint64_t number;

  if (!g_ascii_string_to_unsigned (word, 10, 1, UINT16_MAX, &number, NULL))
    return false;
  *port = number;
  return true;
}

static bool
refuse (const char *text, const char *wanted, GError **error)
{
  g_autofree char *shown = g_utf8_make_valid (text, -1);

  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE, "forward '%s': not %s", shown,
               wanted);
  return false;
}

bool
net_forward_parse_host (NetForward *forward, const char *text, GError **error)
{
  g_auto (GStrv) words = g_strsplit (text, ":", 4);
  NetForward parsed = { .protocol = VM_FORWARD_TCP, .host_address = NET_FORWARD_LOOPBACK };

  if (g_strv_length (words) != 3 || !parse_protocol (&parsed, words[0]) ||
      !parse_address (&parsed.host_address, words[1]) || !parse_port (&parsed.host_port, words[2]))
    return refuse (text, "[tcp|udp]:[HOSTADDRESS]:HOSTPORT with a port from 1 to 65535", error);
  *forward = parsed;
  return true;
}

bool
net_forward_parse (NetForward *forward, const char *text, GError **error)
{
  g_auto (GStrv) halves = g_strsplit (text, "-", 3);
  NetForward parsed;

  if (g_strv_length (halves) == 2 && net_forward_parse_host (&parsed, halves[0], NULL))
    {
      g_auto (GStrv) words = g_strsplit (halves[1], ":", 3);

      if (g_strv_length (words) == 2 && parse_address (&parsed.guest_address, words[0]) &&
          parse_port (&parsed.guest_port, words[1]))
        {
          *forward = parsed;
          return true;
        }
    }
  return refuse (text,
                 "[tcp|udp]:[HOSTADDRESS]:HOSTPORT-[GUESTADDRESS]:GUESTPORT with ports from 1 to "
                 "65535",
                 error);
}

static char *
address_to_string (uint32_t address)
{
  return g_strdup_printf ("%u.%u.%u.%u", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff,
                          address & 0xff);
}

char *
net_forward_to_string (const NetForward *forward)
{
  g_autofree char *host = address_to_string (forward->host_address);
  g_autofree char *guest =
      forward->guest_address ? address_to_string (forward->guest_address) : g_strdup ("");

  return g_strdup_printf ("%s:%s:%u-%s:%u", vm_forward_protocol_to_string (forward->protocol), host,
                          forward->host_port, guest, forward->guest_port);
}

bool
net_forward_same_host (const NetForward *a, const NetForward *b)
{
  return a->protocol == b->protocol && a->host_address == b->host_address &&
         a->host_port == b->host_port;
}
