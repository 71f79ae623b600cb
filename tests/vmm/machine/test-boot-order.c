#include "machine/boot-order.h"

#define DISK_A  "/pci@i0cf8/scsi@4/disk@0,0"
#define DISK_B  "/pci@i0cf8/scsi@a/disk@0,0"
#define CDROM   "/pci@i0cf8/pci8086,2922@1f,2/drive@1/disk@0"
#define NETWORK "/pci@i0cf8/ethernet@5/ethernet-phy@0"

static void
test_order (void)
{
  static const struct
  {
    VmBoot first;
    const char *text;
  } cases[] = {
    { VM_BOOT_DISK, DISK_A "\n" DISK_B "\n" CDROM "\n" NETWORK },
    { VM_BOOT_CDROM, CDROM "\n" DISK_A "\n" DISK_B "\n" NETWORK },
    { VM_BOOT_NETWORK, NETWORK "\n" DISK_A "\n" DISK_B "\n" CDROM },
    { VM_BOOT_UNSAID, NULL },
  };
  g_autoptr (BootOrder) order = boot_order_new ();
  g_autofree char *none = boot_order_to_text (order, VM_BOOT_CDROM);

  g_assert_cmpstr (none, ==, "");
  boot_order_add (order, VM_BOOT_DISK, "scsi", 4 << 3, "disk@0,0");
  boot_order_add (order, VM_BOOT_NETWORK, "ethernet", 5 << 3, "ethernet-phy@0");
  boot_order_add (order, VM_BOOT_CDROM, "pci8086,2922", 0x1f << 3 | 2, "drive@1/disk@0");
  boot_order_add (order, VM_BOOT_DISK, "scsi", 10 << 3, "disk@0,0");
  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = boot_order_to_text (order, cases[i].first);
      g_assert_cmpstr (text, ==, cases[i].text);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/boot-order/order", test_order);
  return g_test_run ();
}
