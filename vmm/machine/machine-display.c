#include "machine/machine-display.h"

#include <unistd.h>

#include "spice/spice-front.h"

struct MachineDisplay
{
  SpiceFrontOptions options;
  ScanoutPort *scanout;
  InputPort *input;
  SpiceFront *front; /* NULL: not needed yet */
};

static bool
start (MachineDisplay *display, GError **error)
{
  if (!display->front)
    display->front = spice_front_new (&display->options, display->scanout, display->input, error);
  return display->front != NULL;
}

MachineDisplay *
machine_display_new (const VmConfig *config, const char *gpu_address, ScanoutPort *scanout,
                     InputPort *input, CharPort *agent, GError **error)
{
  g_autoptr (MachineDisplay) display = g_new0 (MachineDisplay, 1);

  display->options = (SpiceFrontOptions){
    .name = config->name,
    .listen_path = config->display == VM_DISPLAY_SPICE ? config->spice_path : NULL,
    .gpu_address = gpu_address,
    .agent = agent,
  };
  display->scanout = scanout;
  display->input = input;
  if (display->options.listen_path && !start (display, error))
    return NULL;
  return g_steal_pointer (&display);
}

void
machine_display_free (MachineDisplay *display)
{
  if (!display)
    return;
  spice_front_free (display->front);
  g_free (display);
}

bool
machine_display_add_client (MachineDisplay *display, int fd, bool skip_auth, bool memfd,
                            GError **error)
{
  if (start (display, error))
    return spice_front_add_client (display->front, fd, skip_auth, memfd, error);
  close (fd);
  return false;
}
