#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "block/block-backend.h"

/* An image file or block device of the host, opened, and locked. */
typedef struct BlockImage
{
  int fd;             /* buffered; -1: not open */
  int direct_fd;      /* the same file with O_DIRECT; -1: the file system has none */
  unsigned alignment; /* bytes that offset, size and memory of direct I/O are multiples of */
  bool readonly;
  uint64_t size; /* bytes, a multiple of BLOCK_SECTOR_SIZE, more than 0; 0: not measured */
} BlockImage;

/* Takes a lock that lasts until block_image_close (): one writer or many readers, over all processes of the host. Errors
 * are one line that names the path, what is wrong and what to do; in G_FILE_ERROR. image is untouched then. */
bool block_image_open (BlockImage *image, const char *path, bool readonly, GError **error);
/* The same of a file that another process serves, and has locked: asks nothing of its size, which may grow (size: 0), and takes a lock of its own that
 * tells the next one of us when the kernel has ended what a process that was killed had under way. Waits some seconds for that. */
bool block_image_open_beside (BlockImage *image, const char *path, bool readonly, GError **error);
/* Accepts a closed one. */
void block_image_close (BlockImage *image);
