#pragma once

#include <glib.h>

/* The process that serves a disk's image, as who asks it for requests (block-nbd.h, block-vhost.h) has it started and ended. */
typedef struct BlockServerOps
{
  /* Starts it, after ending one that runs; returns a socket that is connected to it, owned by the caller, or -1. Main thread. */
  int (*start) (void *opaque, GError **error);
  /* Ends it. Any thread, the lock of the disk's owner held. */
  void (*end) (void *opaque);
  /* What it said itself when it failed, one line, owned by the caller; NULL: nothing. Main thread. */
  char *(*get_complaint) (void *opaque);
} BlockServerOps;

typedef struct BlockServer
{
  const BlockServerOps *ops;
  void *opaque;
} BlockServer;
