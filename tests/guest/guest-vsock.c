/* guest-vsock echo PORT: takes one connection and sends back what comes. guest-vsock send CID PORT: sends stdin, and prints what comes back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

static int
copy (int from, int to)
{
  char bytes[65536];
  ssize_t n;

  while ((n = read (from, bytes, sizeof bytes)) > 0)
    for (ssize_t done = 0, m; done < n; done += m)
      if ((m = write (to, bytes + done, n - done)) <= 0)
        return 1;
  return n < 0;
}

int
main (int argc, char **argv)
{
  struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
  int fd = socket (AF_VSOCK, SOCK_STREAM, 0);

  if (argc == 3 && strcmp (argv[1], "echo") == 0)
    {
      address.svm_port = atoi (argv[2]);
      if (bind (fd, (struct sockaddr *) &address, sizeof address) < 0 || listen (fd, 1) < 0)
        return 1;
      puts ("listening");
      fflush (stdout);
      int connection = accept (fd, NULL, NULL);
      return copy (connection, connection);
    }
  if (argc != 4 || strcmp (argv[1], "send") != 0)
    return 2;
  address.svm_cid = atoi (argv[2]);
  address.svm_port = atoi (argv[3]);
  if (connect (fd, (struct sockaddr *) &address, sizeof address) < 0 || copy (0, fd) != 0)
    return 1;
  shutdown (fd, SHUT_WR);
  return copy (fd, 1);
}
