/* guest-events NAME N: reads N events of the evdev device NAME and prints them as "type code value"; the first line is "reading". */
#include <fcntl.h>
#include <linux/input.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int
open_device (const char *name)
{
  for (int i = 0; i < 32; i++)
    {
      char path[32], seen[80] = "";

      snprintf (path, sizeof path, "/dev/input/event%d", i);
      int fd = open (path, O_RDONLY | O_CLOEXEC);
      if (fd >= 0 && ioctl (fd, EVIOCGNAME (sizeof seen - 1), seen) > 0 && strcmp (seen, name) == 0)
        return fd;
      if (fd >= 0)
        close (fd);
    }
  return -1;
}

int
main (int argc, char **argv)
{
  int fd = argc == 3 ? open_device (argv[1]) : -1;
  struct input_event event;

  if (fd < 0)
    return 2;
  setvbuf (stdout, NULL, _IOLBF, 0);
  printf ("reading\n");
  for (int left = atoi (argv[2]); left > 0; left--)
    {
      if (read (fd, &event, sizeof event) != sizeof event)
        return 1;
      printf ("%d %d %d\n", event.type, event.code, event.value);
    }
  return 0;
}
