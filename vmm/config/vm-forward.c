#include "config/vm-forward.h"

#include <assert.h>
#include <string.h>
#include <arpa/inet.h>

#include "config/vm-config.h"

#define ADDRESSES " and addresses of IPv4, or of IPv6 in brackets"

static const char *const protocol_words[] = {
  [VM_FORWARD_TCP] = "tcp",
  [VM_FORWARD_UDP] = "udp",
};
static_assert (G_N_ELEMENTS (protocol_words) == VM_N_FORWARDS, "a word for each protocol");

static const struct in6_addr ipv4_loopback = {
  .s6_addr = { [10] = 0xff, 0xff, 127, 0, 0, 1 },
};
static const struct in6_addr ipv4_any = {
  .s6_addr = { [10] = 0xff, 0xff },
};

const char *
vm_forward_protocol_to_string (VmForwardProtocol protocol)
{
  g_return_val_if_fail ((unsigned) protocol < VM_N_FORWARDS, NULL);
  return protocol_words[protocol];
}

bool
vm_forward_is_ipv6 (const VmForward *forward)
{
  return !IN6_IS_ADDR_V4MAPPED (&forward->host_address);
}

/* --- words: what takes one moves *text behind it --- */

/* Up to stop, which is taken too; NULL: there is none. */
static char *
take_word (const char **text, char stop)
{
  const char *end = strchr (*text, stop);

  if (!end)
    return NULL;
  char *word = g_strndup (*text, end - *text);
  *text = stop == '\0' ? end : end + 1;
  return word;
}

static bool
take_protocol (const char **text, VmForwardProtocol *protocol)
{
  g_autofree char *word = take_word (text, ':');

  if (!word)
    return false;
  *protocol = VM_FORWARD_TCP;
  if (*word == '\0')
    return true;
  for (*protocol = 0; *protocol < VM_N_FORWARDS; (*protocol)++)
    if (strcmp (word, protocol_words[*protocol]) == 0)
      return true;
  return false;
}

/* And the colon behind it. An empty word leaves *address as it is. */
static bool
take_address (const char **text, struct in6_addr *address)
{
  const bool bracket = **text == '[';

  *text += bracket;
  g_autofree char *word = take_word (text, bracket ? ']' : ':');
  if (!word)
    return false;
  if (bracket)
    return *(*text)++ == ':' && inet_pton (AF_INET6, word, address) == 1;
  if (*word == '\0')
    return true;
  *address = ipv4_any;
  return inet_pton (AF_INET, word, address->s6_addr + 12) == 1;
}

static bool
take_port (const char **text, char stop, uint16_t *port)
{
  g_autofree char *word = take_word (text, stop);
  uint64_t number;

  if (!word || !g_ascii_string_to_unsigned (word, 10, 1, UINT16_MAX, &number, NULL))
    return false;
  *port = number;
  return true;
}

static bool
take_guest (const char **text, VmForward *forward)
{
  if (!take_address (text, &forward->guest_address))
    return false;
  if (memcmp (&forward->guest_address, &ipv4_any, sizeof ipv4_any) == 0)
    forward->guest_address = in6addr_any;
  return take_port (text, '\0', &forward->guest_port);
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
vm_forward_parse_host (VmForward *forward, const char *text, GError **error)
{
  VmForward parsed = { .host_address = ipv4_loopback };
  const char *rest = text;

  if (!take_protocol (&rest, &parsed.protocol) || !take_address (&rest, &parsed.host_address) ||
      !take_port (&rest, '\0', &parsed.host_port))
    return refuse (text, "[tcp|udp]:[HOSTADDRESS]:HOSTPORT with a port from 1 to 65535" ADDRESSES,
                   error);
  *forward = parsed;
  return true;
}

bool
vm_forward_parse (VmForward *forward, const char *text, GError **error)
{
  VmForward parsed = { .host_address = ipv4_loopback };
  const char *rest = text;
  bool good = take_protocol (&rest, &parsed.protocol);

  if (good && strchr (rest, '-'))
    good = take_address (&rest, &parsed.host_address) &&
           take_port (&rest, '-', &parsed.host_port) && take_guest (&rest, &parsed);
  else if (good)
    good = take_port (&rest, ':', &parsed.host_port) && take_port (&rest, '\0', &parsed.guest_port);
  if (!good)
    return refuse (text,
                   "[tcp|udp]:[HOSTADDRESS]:HOSTPORT-[GUESTADDRESS]:GUESTPORT with ports from 1 to "
                   "65535" ADDRESSES,
                   error);
  *forward = parsed;
  return true;
}

static void
format_address (const struct in6_addr *address, char text[INET6_ADDRSTRLEN])
{
  if (IN6_IS_ADDR_V4MAPPED (address))
    inet_ntop (AF_INET, address->s6_addr + 12, text, INET6_ADDRSTRLEN);
  else
    inet_ntop (AF_INET6, address, text, INET6_ADDRSTRLEN);
}

static char *
address_to_string (const struct in6_addr *address)
{
  char text[INET6_ADDRSTRLEN];

  format_address (address, text);
  return g_strdup_printf (IN6_IS_ADDR_V4MAPPED (address) ? "%s" : "[%s]", text);
}

void
vm_forward_get_host (const VmForward *forward, char text[INET6_ADDRSTRLEN])
{
  format_address (&forward->host_address, text);
}

char *
vm_forward_to_string (const VmForward *forward)
{
  g_autofree char *host = address_to_string (&forward->host_address);
  g_autofree char *guest = IN6_IS_ADDR_UNSPECIFIED (&forward->guest_address)
                               ? g_strdup ("")
                               : address_to_string (&forward->guest_address);

  return g_strdup_printf ("%s:%s:%u-%s:%u", vm_forward_protocol_to_string (forward->protocol), host,
                          forward->host_port, guest, forward->guest_port);
}

bool
vm_forward_validate (const VmForward *forward, GError **error)
{
  const char *reason = NULL;

  if (!IN6_IS_ADDR_UNSPECIFIED (&forward->guest_address) &&
      IN6_IS_ADDR_V4MAPPED (&forward->guest_address) == vm_forward_is_ipv6 (forward))
    reason = "one address is of IPv4 and the other of IPv6; both have to be of the same";
  else if (IN6_IS_ADDR_LINKLOCAL (&forward->host_address))
    reason = "a link-local address belongs to one interface, and none can be said; use another "
             "address of this computer, or [::] for all";
  if (!reason)
    return true;
  g_autofree char *text = vm_forward_to_string (forward);
  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE, "forward %s: %s", text, reason);
  return false;
}

bool
vm_forward_same_host (const VmForward *a, const VmForward *b)
{
  return a->protocol == b->protocol && a->host_port == b->host_port &&
         memcmp (&a->host_address, &b->host_address, sizeof a->host_address) == 0;
}
