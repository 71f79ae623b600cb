#define G_LOG_DOMAIN "vmm-machine"

#include "machine/boot-order.h"

#include "pci/pci-bus.h"

typedef struct Entry
{
  VmBoot kind;
  char *path;
} Entry;

struct BootOrder
{
  GArray *entries; /* Entry */
};

static void
clear_entry (void *data)
{
  g_free (((Entry *) data)->path);
}

BootOrder *
boot_order_new (void)
{
  BootOrder *order = g_new0 (BootOrder, 1);

  order->entries = g_array_new (FALSE, FALSE, sizeof (Entry));
  g_array_set_clear_func (order->entries, clear_entry);
  return order;
}

void
boot_order_free (BootOrder *order)
{
  if (!order)
    return;
  g_array_unref (order->entries);
  g_free (order);
}

/* Function 0 is not named. */
void
boot_order_add (BootOrder *order, VmBoot kind, const char *node, unsigned devfn, const char *rest)
{
  const unsigned slot = devfn / PCI_FUNCTIONS, function = devfn % PCI_FUNCTIONS;
  g_autofree char *suffix = function ? g_strdup_printf (",%x", function) : g_strdup ("");
  const Entry entry = {
    .kind = kind,
    .path = g_strdup_printf ("/pci@i0cf8/%s@%x%s/%s", node, slot, suffix, rest),
  };

  g_array_append_val (order->entries, entry);
}

static void
append (const BootOrder *order, VmBoot kind, GString *text)
{
  for (unsigned i = 0; i < order->entries->len; i++)
    {
      const Entry *entry = &g_array_index (order->entries, Entry, i);

      if (entry->kind == kind)
        g_string_append_printf (text, "%s%s", text->len > 0 ? "\n" : "", entry->path);
    }
}

char *
boot_order_to_text (const BootOrder *order, VmBoot first)
{
  GString *text;

  if (first == VM_BOOT_UNSAID)
    return NULL;
  text = g_string_new (NULL);
  append (order, first, text);
  for (VmBoot kind = VM_BOOT_UNSAID + 1; kind < VM_N_BOOTS; kind++)
    if (kind != first)
      append (order, kind, text);
  return g_string_free (text, FALSE);
}
