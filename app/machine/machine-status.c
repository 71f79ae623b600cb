#include "machine/machine-status.h"

G_DEFINE_ENUM_TYPE (MachineState, machine_state,
                    G_DEFINE_ENUM_VALUE (MACHINE_STATE_STOPPED, "stopped"),
                    G_DEFINE_ENUM_VALUE (MACHINE_STATE_STARTING, "starting"),
                    G_DEFINE_ENUM_VALUE (MACHINE_STATE_RUNNING, "running"),
                    G_DEFINE_ENUM_VALUE (MACHINE_STATE_PAUSED, "paused"),
                    G_DEFINE_ENUM_VALUE (MACHINE_STATE_STOPPING, "stopping"),
                    G_DEFINE_ENUM_VALUE (MACHINE_STATE_CRASHED, "crashed"),
                    G_DEFINE_ENUM_VALUE (MACHINE_STATE_BROKEN, "broken"))
G_DEFINE_ENUM_TYPE (MachineAccelerator, machine_accelerator,
                    G_DEFINE_ENUM_VALUE (MACHINE_ACCELERATOR_UNKNOWN, "unknown"),
                    G_DEFINE_ENUM_VALUE (MACHINE_ACCELERATOR_KVM, "kvm"),
                    G_DEFINE_ENUM_VALUE (MACHINE_ACCELERATOR_EMULATED, "emulated"))

const char *
machine_state_to_string (MachineState state)
{
  g_autoptr (GEnumClass) klass = g_type_class_ref (MACHINE_TYPE_STATE);
  GEnumValue *value = g_enum_get_value (klass, state);

  return value != NULL ? value->value_nick : "";
}
