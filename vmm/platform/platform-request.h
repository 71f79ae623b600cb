#pragma once

/* What a chip asks of the machine that it is in because the guest wants it. On the thread of the vCPU whose access it was;
 * the receiver only takes a note (and asks the vCPUs to pause), it does not act in the call. */
typedef enum
{
  PLATFORM_REQUEST_POWER_OFF,
  PLATFORM_REQUEST_RESET,
  PLATFORM_REQUEST_PANICKED, /* the guest's kernel says that it crashed */
  PLATFORM_N_REQUESTS
} PlatformRequest;

typedef struct PlatformRequestSink
{
  void (*request) (void *opaque, PlatformRequest request);
  void *opaque;
} PlatformRequestSink;
