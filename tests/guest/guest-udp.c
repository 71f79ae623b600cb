/* guest-udp echo PORT: sends each datagram back, for ever, by IPv4 and IPv6. guest-udp ask ADDRESS PORT BYTES: sends one and prints how many bytes came back
 * unchanged, or 0 after three seconds. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static char sent[65536], got[65536];

static int
echo (uint16_t port)
{
  struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons (port) };
  const int fd = socket (AF_INET6, SOCK_DGRAM, 0);

  if (bind (fd, (struct sockaddr *) &address, sizeof address) < 0)
    return 1;
  puts ("listening");
  fflush (stdout);
  for (;;)
    {
      socklen_t length = sizeof address;
      ssize_t n = recvfrom (fd, got, sizeof got, 0, (struct sockaddr *) &address, &length);

      if (n >= 0)
        sendto (fd, got, n, 0, (struct sockaddr *) &address, length);
    }
}

static int
ask (const struct sockaddr *address, socklen_t length, size_t size)
{
  const int fd = socket (address->sa_family, SOCK_DGRAM, 0);
  const struct timeval patience = { .tv_sec = 3 };

  for (size_t i = 0; i < size; i++)
    sent[i] = i * 7 + i / 251;
  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (sendto (fd, sent, size, 0, address, length) < 0)
    return 1;
  const ssize_t n = recv (fd, got, sizeof got, 0);
  printf ("%zd\n", n == (ssize_t) size && memcmp (sent, got, size) == 0 ? n : 0);
  return 0;
}

int
main (int argc, char **argv)
{
  struct sockaddr_in ipv4 = { .sin_family = AF_INET };
  struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6 };

  if (argc == 3 && strcmp (argv[1], "echo") == 0)
    return echo (atoi (argv[2]));
  if (argc != 5 || strcmp (argv[1], "ask") != 0 || (size_t) atoi (argv[4]) > sizeof sent)
    return 2;
  ipv4.sin_port = ipv6.sin6_port = htons (atoi (argv[3]));
  if (inet_pton (AF_INET, argv[2], &ipv4.sin_addr) == 1)
    return ask ((struct sockaddr *) &ipv4, sizeof ipv4, atoi (argv[4]));
  if (inet_pton (AF_INET6, argv[2], &ipv6.sin6_addr) == 1)
    return ask ((struct sockaddr *) &ipv6, sizeof ipv6, atoi (argv[4]));
  return 2;
}
