#pragma once

#include <stdbool.h>

#include "bus/irq.h"
#include "platform/platform-request.h"

/* What chips ask of a machine, and the one interrupt line they have. */
typedef struct FakeSink
{
  unsigned requests[PLATFORM_N_REQUESTS];
  bool level;
  unsigned level_changes;
} FakeSink;

static void
fake_sink_request (void *opaque, PlatformRequest request)
{
  ((FakeSink *) opaque)->requests[request]++;
}

static void
fake_sink_set_level (void *opaque, unsigned gsi, bool level)
{
  FakeSink *fake = opaque;

  fake->level_changes += fake->level != level;
  fake->level = level;
}

static inline PlatformRequestSink
fake_sink_get (FakeSink *fake)
{
  return (PlatformRequestSink){ .request = fake_sink_request, .opaque = fake };
}

static inline IrqLine
fake_sink_get_line (FakeSink *fake)
{
  return (IrqLine){ .set_level = fake_sink_set_level, .opaque = fake };
}
