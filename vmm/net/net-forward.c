#include "net/net-forward.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>

socklen_t
net_forward_to_sockaddr (const struct in6_addr *address, uint16_t port,
                         struct sockaddr_storage *socket_address)
{
  struct sockaddr_in *ipv4 = (struct sockaddr_in *) socket_address;
  struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *) socket_address;

  if (IN6_IS_ADDR_V4MAPPED (address))
    {
      *ipv4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = GUINT16_TO_BE (port) };
      memcpy (&ipv4->sin_addr, address->s6_addr + 12, sizeof ipv4->sin_addr);
      return sizeof *ipv4;
    }
  *ipv6 = (struct sockaddr_in6){
    .sin6_family = AF_INET6,
    .sin6_port = GUINT16_TO_BE (port),
    .sin6_addr = *address,
  };
  return sizeof *ipv6;
}

int
net_forward_open (const VmForward *forward)
{
  const bool tcp = forward->protocol == VM_FORWARD_TCP;
  static const int one = 1;
  struct sockaddr_storage address;
  const socklen_t size =
      net_forward_to_sockaddr (&forward->host_address, forward->host_port, &address);
  const int fd = socket (address.ss_family,
                         (tcp ? SOCK_STREAM : SOCK_DGRAM | SOCK_NONBLOCK) | SOCK_CLOEXEC, 0);

  if (fd < 0)
    return -errno;
  if (address.ss_family == AF_INET6)
    setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  if (tcp)
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind (fd, (struct sockaddr *) &address, size) == 0 && (!tcp || listen (fd, 1) == 0))
    return fd;
  const int failure = -errno;
  close (fd);
  return failure;
}

int
net_forward_try (const VmForward *forward)
{
  const int fd = net_forward_open (forward);

  if (fd < 0)
    return -fd;
  close (fd);
  return 0;
}

bool
net_forward_refuse (const VmForward *forward, int failure, GError **error)
{
  g_autofree char *text = vm_forward_to_string (forward);
  const char *advice = failure == EADDRINUSE ? "; another program has the port: choose another one"
                       : failure == EACCES   ? "; ports below 1024 are the superuser's"
                       : failure == EADDRNOTAVAIL
                           ? "; it has to be one of this computer's addresses"
                           : "";

  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (failure), "forward %s: %s%s", text,
               g_strerror (failure), advice);
  return false;
}
