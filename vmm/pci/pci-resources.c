#define G_LOG_DOMAIN "vmm-pci"

#include "pci/pci-device-private.h"

#include <linux/pci_regs.h>

#define BASE_CLASS_DISPLAY 0x03 /* PCI Code and ID Assignment, base class */

/* Addresses for BARs where no firmware gives them: first those that can only be below 4 GiB, and of each sort the largest
 * first, so that alignment costs next to nothing. */
typedef struct BarPlace
{
  PciDevice *device;
  unsigned index;
} BarPlace;

static uint64_t
get_size (const BarPlace *place)
{
  return place->device->bars[place->index].size;
}

static bool
is_wide (const BarPlace *place)
{
  return (place->device->bars[place->index].flags & PCI_BAR_64) != 0;
}

static int
compare (gconstpointer a, gconstpointer b)
{
  const BarPlace *left = a;
  const BarPlace *right = b;

  if (is_wide (left) != is_wide (right))
    return is_wide (left) ? 1 : -1;
  if (get_size (left) != get_size (right))
    return get_size (left) > get_size (right) ? -1 : 1;
  return (int) (left->device->devfn * PCI_BARS + left->index) -
         (int) (right->device->devfn * PCI_BARS + right->index);
}

/* Cuts size bytes, aligned to their size, off the window's start. 0: no room. */
static uint64_t
take (PciWindow *window, uint64_t size)
{
  const uint64_t base = (window->base + size - 1) & ~(size - 1);
  const uint64_t lost = base - window->base;

  if (base < window->base || lost > window->size || size > window->size - lost)
    return 0;
  window->base = base + size;
  window->size -= lost + size;
  return base;
}

static uint64_t
choose (PciWindows *windows, const PciBar *bar)
{
  if (bar->flags & PCI_BAR_IO)
    return take (&windows->io, bar->size);
  uint64_t address = take (&windows->mmio32, bar->size);
  if (address == 0 && (bar->flags & PCI_BAR_64))
    address = take (&windows->mmio64, bar->size);
  return address;
}

/* Of all the functions only the screen is needed before an operating system switches its functions on. Left off, the
 * others also cost a guest two configuration writes less for each BAR whose size it finds out. */
static bool
draws_before_its_driver (const PciDevice *device)
{
  return device->config[PCI_CLASS_DEVICE + 1] == BASE_CLASS_DISPLAY;
}

static void
write_bar (const BarPlace *place, uint64_t address)
{
  const PciBar *bar = &place->device->bars[place->index];
  uint8_t *config = place->device->config + PCI_BASE_ADDRESS_0 + 4 * place->index;
  const unsigned n = bar->flags & PCI_BAR_64 ? 8 : 4;

  for (unsigned i = 0; i < n; i++)
    config[i] = (i == 0 ? config[0] & 15 : 0) | (uint8_t) (address >> (8 * i));
  if (draws_before_its_driver (place->device))
    place->device->config[PCI_COMMAND] |=
        bar->flags & PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
  g_debug ("%s: BAR %u at 0x%" G_GINT64_MODIFIER "x", place->device->name, place->index, address);
}

static GArray *
collect (PciBus *bus)
{
  GArray *places = g_array_new (FALSE, FALSE, sizeof (BarPlace));

  for (unsigned devfn = 0; devfn < PCI_SLOTS * PCI_FUNCTIONS; devfn++)
    {
      PciDevice *device = pci_bus_get_device (bus, devfn);

      for (unsigned i = 0; device && i < PCI_BARS; i++)
        if (device->bars[i].present)
          {
            BarPlace place = { device, i };
            g_array_append_val (places, place);
          }
    }
  g_array_sort (places, compare);
  return places;
}

/* The pin is 1 for A; the line is what an operating system without ACPI would use. */
static void
write_interrupt_lines (PciBus *bus)
{
  for (unsigned devfn = 0; devfn < PCI_SLOTS * PCI_FUNCTIONS; devfn++)
    {
      PciDevice *device = pci_bus_get_device (bus, devfn);

      if (device && device->config[PCI_INTERRUPT_PIN] != 0)
        device->config[PCI_INTERRUPT_LINE] =
            pci_bus_get_gsi (bus, devfn / PCI_FUNCTIONS, device->config[PCI_INTERRUPT_PIN] - 1);
    }
}

bool
pci_bus_assign_resources (PciBus *bus, const PciWindows *windows, GError **error)
{
  PciWindows left = *windows;
  bool ok = true;

  pci_bus_lock (bus);
  g_autoptr (GArray) places = collect (bus);
  for (unsigned i = 0; ok && i < places->len; i++)
    {
      const BarPlace *place = &g_array_index (places, BarPlace, i);
      const uint64_t address = choose (&left, &place->device->bars[place->index]);

      if (address != 0)
        write_bar (place, address);
      else
        {
          g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
                       "%s: no room for BAR %u of %" G_GUINT64_FORMAT " bytes in the PCI windows",
                       place->device->name, place->index, get_size (place));
          ok = false;
        }
    }
  write_interrupt_lines (bus);
  for (unsigned i = 0; ok && i < places->len; i++)
    pci_device_update_bars (g_array_index (places, BarPlace, i).device);
  pci_bus_unlock (bus);
  return ok;
}
