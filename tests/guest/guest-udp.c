/* guest-udp echo PORT: sends each datagram back, for ever. guest-udp ask ADDRESS PORT BYTES: sends one and prints how many bytes came back
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
echo (int fd, struct sockaddr_in *address)
{
  if (bind (fd, (struct sockaddr *) address, sizeof *address) < 0)
    return 1;
  puts ("listening");
  fflush (stdout);
  for (;;)
    {
      socklen_t length = sizeof *address;
      ssize_t n = recvfrom (fd, got, sizeof got, 0, (struct sockaddr *) address, &length);

      if (n >= 0)
        sendto (fd, got, n, 0, (struct sockaddr *) address, length);
    }
}

static int
ask (int fd, const struct sockaddr_in *address, size_t size)
{
  const struct timeval patience = { .tv_sec = 3 };

  for (size_t i = 0; i < size; i++)
    sent[i] = i * 7 + i / 251;
  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (sendto (fd, sent, size, 0, (const struct sockaddr *) address, sizeof *address) < 0)
    return 1;
  const ssize_t n = recv (fd, got, sizeof got, 0);
  printf ("%zd\n", n == (ssize_t) size && memcmp (sent, got, size) == 0 ? n : 0);
  return 0;
}

int
main (int argc, char **argv)
{
  struct sockaddr_in address = { .sin_family = AF_INET };
  const int fd = socket (AF_INET, SOCK_DGRAM, 0);

  if (argc == 3 && strcmp (argv[1], "echo") == 0)
    {
      address.sin_port = htons (atoi (argv[2]));
      return echo (fd, &address);
    }
  if (argc != 5 || strcmp (argv[1], "ask") != 0 ||
      inet_pton (AF_INET, argv[2], &address.sin_addr) != 1 || (size_t) atoi (argv[4]) > sizeof sent)
    return 2;
  address.sin_port = htons (atoi (argv[3]));
  return ask (fd, &address, atoi (argv[4]));
}
