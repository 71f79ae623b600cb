#pragma once

#include <stdbool.h>
#include <glib.h>

#include "config/vm-config.h"

/* Who runs the machine: this process on KVM, or QEMU's TCG. */
typedef struct AccelChoice
{
  bool emulate;
  char *
      reason; /* why not KVM, one sentence with what to do; NULL when emulation was asked for or is not needed */
} AccelChoice;

/* usable: whether KVM is, and if not why (kvm_host_is_usable; a test's own). False: --accel kvm was said and cannot be had. */
bool accel_choice_make (AccelChoice *choice, const VmConfig *config,
                        bool (*usable) (GError **error), GError **error);
void accel_choice_clear (AccelChoice *choice);
