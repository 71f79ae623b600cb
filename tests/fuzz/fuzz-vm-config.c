#include "fuzz-target.h"

#include <glib.h>

#include "config/vm-options.h"

/* A JSON file that somebody handed over: refused, or a config that keeps its limits and can be copied. */
int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (VmConfig) config = vm_config_new ();
  g_autoptr (GError) error = NULL;

  if (!vm_options_apply_json (config, "fuzz", (const char *) data, size, &error))
    {
      g_assert_nonnull (error);
      return 0;
    }
  for (unsigned i = 0; i < config->n_forwards; i++)
    {
      g_autofree char *text = vm_forward_to_string (&config->forwards[i]);
      VmForward again;

      g_assert_true (vm_forward_parse (&again, text, NULL));
      g_assert_true (vm_forward_same_host (&again, &config->forwards[i]));
    }
  g_autoptr (VmConfig) copy = vm_config_copy (config);
  if (vm_config_validate (copy, NULL))
    g_assert_true (copy->cpus <= VM_CPUS_MAX && copy->n_disks <= VM_DISKS_MAX &&
                   copy->memory_bytes <= VM_MEMORY_MAX && copy->n_forwards <= VM_FORWARDS_MAX);
  return 0;
}
