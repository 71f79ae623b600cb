#include "emulation/qemu-command-line.h"

#include <string.h>

/* The value of the nth time that option is said; NULL when it is not said so often. */
static const char *
find (char **argv, const char *option, unsigned n)
{
  for (unsigned i = 0; argv[i] != NULL; i++)
    if (strcmp (argv[i], option) == 0 && n-- == 0)
      return argv[i + 1];
  return NULL;
}

/* Is there an option whose value begins so? */
static bool
has (char **argv, const char *option, const char *prefix)
{
  const char *value;

  for (unsigned i = 0; (value = find (argv, option, i)) != NULL; i++)
    if (g_str_has_prefix (value, prefix))
      return true;
  return false;
}

static void
add_forward (VmConfig *config, const char *text)
{
  VmForward forward;

  g_assert_true (vm_forward_parse (&forward, text, NULL));
  vm_config_add_forward (config, &forward);
}

static VmConfig *
new_linux (void)
{
  VmConfig *config = vm_config_new ();

  config->kernel = g_strdup ("/k,1");
  return config;
}

static void
test_direct_linux (void)
{
  g_autoptr (VmConfig) config = new_linux ();

  config->initrd = g_strdup ("/i,1");
  config->cmdline = g_strdup ("console=ttyS0,115200 quiet");
  config->cpus = 3;
  config->memory_bytes = UINT64_C (5) << 30;
  g_free (config->name);
  config->name = g_strdup ("Debian, 12");
  g_auto (GStrv) argv = qemu_command_line_new (config, "/usr/bin/qemu", NULL);

  g_assert_cmpstr (argv[0], ==, "/usr/bin/qemu");
  g_assert_cmpstr (find (argv, "-name", 0), ==, "guest=Debian,, 12");
  g_assert_cmpstr (find (argv, "-machine", 0), ==, "q35,hpet=off,vmport=off,smm=off");
  g_assert_cmpstr (find (argv, "-accel", 0), ==, "tcg,thread=multi");
  g_assert_cmpstr (find (argv, "-smp", 0), ==, "3,sockets=1,cores=3,threads=1");
  g_assert_cmpstr (find (argv, "-m", 0), ==, "5120M");
  /* These are taken whole: a comma stays one. */
  g_assert_cmpstr (find (argv, "-kernel", 0), ==, "/k,1");
  g_assert_cmpstr (find (argv, "-initrd", 0), ==, "/i,1");
  g_assert_cmpstr (find (argv, "-append", 0), ==, "console=ttyS0,115200 quiet");
  g_assert_true (g_strv_contains ((const char *const *) argv, "-nodefaults"));
  g_assert_true (g_strv_contains ((const char *const *) argv, "-no-user-config"));
}

static void
test_disks (void)
{
  g_autoptr (VmConfig) config = new_linux ();

  vm_config_add_disk (config, "/d,\"1\".raw", VM_DISK_FORMAT_RAW, false);
  vm_config_add_disk (config, "/e", VM_DISK_FORMAT_QCOW2, true);
  config->cdrom = g_strdup ("/c.iso");
  g_auto (GStrv) argv = qemu_command_line_new (config, "q", NULL);

  g_assert_cmpstr (find (argv, "-blockdev", 0), ==,
                   "{\"driver\":\"raw\",\"node-name\":\"disk0\",\"read-only\":false,\"discard\":"
                   "\"unmap\",\"file\":{\"driver\":\"file\",\"filename\":\"/d,\\\"1\\\".raw\","
                   "\"read-only\":false,\"discard\":\"unmap\"}}");
  g_assert_cmpstr (find (argv, "-blockdev", 1), ==,
                   "{\"driver\":\"qcow2\",\"node-name\":\"disk1\",\"read-only\":true,\"backing\":"
                   "null,\"file\":{\"driver\":\"file\",\"filename\":\"/e\",\"read-only\":true}}");
  g_assert_cmpstr (find (argv, "-blockdev", 2), ==,
                   "{\"driver\":\"raw\",\"node-name\":\"cdrom0\",\"read-only\":true,\"file\":"
                   "{\"driver\":\"file\",\"filename\":\"/c.iso\",\"read-only\":true}}");
  g_assert_true (has (argv, "-device", "virtio-blk-pci,drive=disk0,serial=disk0,"));
  g_assert_true (has (argv, "-device", "virtio-blk-pci,drive=disk1,serial=disk1,"));
  g_assert_true (has (argv, "-device", "ide-cd,drive=cdrom0,id=cdrom0,"));
}

static void
test_sata (void)
{
  g_autoptr (VmConfig) config = new_linux ();

  for (unsigned i = 0; i < 3; i++)
    {
      vm_config_add_disk (config, "/d", VM_DISK_FORMAT_RAW, false);
      config->disks[i].bus = i == 1 ? VM_DISK_BUS_VIRTIO : VM_DISK_BUS_AHCI;
    }
  g_auto (GStrv) disks = qemu_command_line_new (config, "q", NULL);
  g_assert_true (has (disks, "-device", "ide-hd,drive=disk0,serial=disk0,bus=ide.0,"));
  g_assert_true (has (disks, "-device", "virtio-blk-pci,drive=disk1,"));
  g_assert_true (has (disks, "-device", "ide-hd,drive=disk2,serial=disk2,bus=ide.1,"));
  /* A drive with nothing in it comes before them. */
  config->cdrom = g_strdup ("");
  g_auto (GStrv) both = qemu_command_line_new (config, "q", NULL);
  g_assert_true (has (both, "-device", "ide-cd,id=cdrom0,serial=cdrom0,bus=ide.0,"));
  g_assert_true (has (both, "-device", "ide-hd,drive=disk0,serial=disk0,bus=ide.1,"));
  g_assert_null (find (both, "-blockdev", 3));
}

static void
test_no_socket_that_nobody_asked_for (void)
{
  g_autoptr (VmConfig) config = new_linux ();
  g_auto (GStrv) argv = qemu_command_line_new (config, "q", NULL);

  g_assert_true (g_str_has_suffix (find (argv, "-spice", 0), ",port=0"));
  g_assert_null (find (argv, "-mon", 0));
  g_assert_null (find (argv, "-netdev", 0));
  g_assert_false (has (argv, "-device", "virtio-net"));
  g_assert_false (has (argv, "-chardev", "socket"));
  g_assert_cmpstr (find (argv, "-display", 0), ==, "none");
  /* A serial port without a cable: a kernel with console=ttyS0 still finds it. */
  g_assert_true (has (argv, "-chardev", "null,id=serial0"));
  g_assert_false (has (argv, "-device", "virtconsole"));
}

static void
test_sockets (void)
{
  g_autoptr (VmConfig) config = new_linux ();

  config->display = VM_DISPLAY_SPICE;
  config->spice_path = g_strdup ("/s,1");
  config->control_path = g_strdup ("/q,1");
  config->serial.kind = VM_STREAM_FILE;
  config->serial.file = g_strdup ("/l,1");
  config->console.kind = VM_STREAM_STDIO;
  vm_config_add_port (config, "a.name", "/p,1");
  config->net = VM_NET_USER;
  add_forward (config, "tcp:2222:22");
  add_forward (config, "udp:0.0.0.0:53-10.0.2.9:5353");
  g_auto (GStrv) argv = qemu_command_line_new (config, "q", NULL);

  g_assert_true (g_str_has_suffix (find (argv, "-spice", 0), ",unix=on,addr=/s,,1"));
  g_assert_true (has (argv, "-chardev", "socket,id=control,path=/q,,1,server=on,wait=off"));
  g_assert_cmpstr (find (argv, "-mon", 0), ==, "chardev=control,mode=control");
  g_assert_true (has (argv, "-chardev", "file,id=serial0,path=/l,,1"));
  g_assert_true (has (argv, "-chardev", "stdio,id=console0"));
  g_assert_true (has (argv, "-device", "virtconsole,bus=ports.0,nr=0,chardev=console0"));
  g_assert_true (has (argv, "-device",
                      "virtserialport,bus=ports.0,nr=1,chardev=agent,name=com.redhat.spice.0"));
  g_assert_true (has (argv, "-chardev", "socket,id=port0,path=/p,,1,server=on,wait=off"));
  g_assert_true (
      has (argv, "-device", "virtserialport,bus=ports.0,nr=2,chardev=port0,name=a.name"));
  g_assert_cmpstr (
      find (argv, "-netdev", 0), ==,
      "user,id=net0,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp:0.0.0.0:53-10.0.2.9:5353");
  config->net_restricted = true;
  g_auto (GStrv) restricted = qemu_command_line_new (config, "q", NULL);
  g_assert_true (
      g_str_has_prefix (find (restricted, "-netdev", 0), "user,id=net0,restrict=on,hostfwd="));
}

static void
test_uefi (void)
{
  g_autoptr (VmConfig) config = vm_config_new ();
  const OvmfFiles ovmf = { .code = (char *) "/code", .variables = (char *) "/vars" };

  config->firmware = VM_FIRMWARE_UEFI;
  g_auto (GStrv) argv = qemu_command_line_new (config, "q", &ovmf);
  g_assert_true (
      g_str_has_suffix (find (argv, "-machine", 0), ",pflash0=ovmf-code,pflash1=ovmf-variables"));
  g_assert_nonnull (
      strstr (find (argv, "-blockdev", 0), "\"filename\":\"/code\",\"read-only\":true"));
  g_assert_nonnull (
      strstr (find (argv, "-blockdev", 1), "\"filename\":\"/vars\",\"read-only\":false"));
  g_assert_null (find (argv, "-kernel", 0));
}

/* A guest that wants to be another option stays a value. */
static void
test_values_stay_values (void)
{
  g_autoptr (VmConfig) config = new_linux ();

  config->cmdline = g_strdup ("-qmp tcp::4444");
  g_free (config->name);
  config->name = g_strdup ("x,process=y");
  g_auto (GStrv) argv = qemu_command_line_new (config, "q", NULL);
  g_assert_cmpstr (find (argv, "-append", 0), ==, "-qmp tcp::4444");
  g_assert_cmpstr (find (argv, "-name", 0), ==, "guest=x,,process=y");
}

/* Which number each device has, by what is first. */
static void
test_boot (void)
{
  static const struct
  {
    VmBoot first;
    const char *disk0, *disk1, *cdrom, *network;
  } cases[] = {
    { VM_BOOT_UNSAID, "=1", "=2", "=3", NULL },
    { VM_BOOT_DISK, "=1", "=2", "=3", NULL },
    { VM_BOOT_CDROM, "=2", "=3", "=1", NULL },
    { VM_BOOT_NETWORK, "=2", "=3", "=4", "=1" },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      char code[] = "/code", variables[] = "/vars";
      const OvmfFiles ovmf = { .code = code, .variables = variables };
      g_autoptr (VmConfig) config = vm_config_new ();

      config->firmware = VM_FIRMWARE_UEFI;
      config->boot = cases[i].first;
      config->boot_menu = i == 0;
      config->net = VM_NET_USER;
      config->cdrom = g_strdup ("/cd");
      vm_config_add_disk (config, "/a", VM_DISK_FORMAT_RAW, false);
      vm_config_add_disk (config, "/b", VM_DISK_FORMAT_RAW, false);
      g_auto (GStrv) argv = qemu_command_line_new (config, "q", &ovmf);
      g_autofree char *line = g_strjoinv (" ", argv);
      const struct
      {
        const char *device, *index;
      } devices[] = { { "drive=disk0,", cases[i].disk0 },
                      { "drive=disk1,", cases[i].disk1 },
                      { "ide-cd,", cases[i].cdrom },
                      { "virtio-net-pci,", cases[i].network } };
      for (unsigned j = 0; j < G_N_ELEMENTS (devices); j++)
        {
          g_autofree char *rest = g_strdup (strstr (line, devices[j].device));
          *strchrnul (rest, ' ') = '\0';
          const char *index = strstr (rest, "bootindex");
          g_assert_cmpstr (index ? index + strlen ("bootindex") : NULL, ==, devices[j].index);
        }
      g_assert_cmpint (has (argv, "-boot", "menu=on"), ==, i == 0);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/qemu-command-line/boot", test_boot);
  g_test_add_func ("/qemu-command-line/direct-linux", test_direct_linux);
  g_test_add_func ("/qemu-command-line/disks", test_disks);
  g_test_add_func ("/qemu-command-line/no-socket", test_no_socket_that_nobody_asked_for);
  g_test_add_func ("/qemu-command-line/sata", test_sata);
  g_test_add_func ("/qemu-command-line/sockets", test_sockets);
  g_test_add_func ("/qemu-command-line/uefi", test_uefi);
  g_test_add_func ("/qemu-command-line/values", test_values_stay_values);
  return g_test_run ();
}
