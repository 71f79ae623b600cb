/* guest-tray DEVICE open|close: moves the tray of a CD-ROM drive. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <linux/cdrom.h>
#include <sys/ioctl.h>

int
main (int argc, char **argv)
{
  int fd = argc == 3 ? open (argv[1], O_RDONLY | O_NONBLOCK) : -1;

  if (fd < 0 || ioctl (fd, strcmp (argv[2], "open") == 0 ? CDROMEJECT : CDROMCLOSETRAY) < 0)
    {
      fprintf (stderr, "guest-tray: %s\n", strerror (errno));
      return 1;
    }
  return 0;
}
