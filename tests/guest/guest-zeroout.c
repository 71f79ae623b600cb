/* guest-zeroout DEVICE OFFSET SIZE: has the kernel write zeroes (BLKZEROOUT), which none of busybox's tools asks for. */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int
main (int argc, char **argv)
{
  int fd = argc == 4 ? open (argv[1], O_RDWR | O_CLOEXEC) : -1;

  if (fd < 0)
    return 2;
  uint64_t range[2] = { strtoull (argv[2], NULL, 0), strtoull (argv[3], NULL, 0) };
  if (ioctl (fd, BLKZEROOUT, range) != 0)
    {
      perror ("BLKZEROOUT");
      return 1;
    }
  return 0;
}
