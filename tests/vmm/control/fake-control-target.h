#pragma once

#include "control/control-target.h"

/* A machine that only writes down what was asked of it. */
typedef struct FakeControlTarget
{
  MachineState state;
  GString *calls;    /* "pause cont " */
  const char *error; /* what the next fallible call fails with, or NULL */
  bool busy;         /* the guest holds the medium */
  int last_fd;       /* of add_spice_client: kept open; -1 at the start */
} FakeControlTarget;

void fake_control_target_init (FakeControlTarget *fake);
void fake_control_target_clear (FakeControlTarget *fake);
ControlTarget fake_control_target_get (FakeControlTarget *fake);
