#include "config/vm-options.h"

#include <stdlib.h>
#include <string.h>
#include <glib/gstdio.h>

#include "config/vm-option-table.h"

/* words: separated by "|". */
static VmConfig *
parse (const char *words, VmOptionsAction *action, GError **error)
{
  g_autofree char *line = g_strconcat ("alcove-vmm|", words, NULL);
  g_auto (GStrv) argv = g_strsplit (line, "|", -1);

  return vm_options_parse (g_strv_length (argv), argv, action, error);
}

static VmConfig *
parse_good (const char *words)
{
  g_autoptr (GError) error = NULL;
  VmOptionsAction action;
  VmConfig *config = parse (words, &action, &error);

  g_assert_no_error (error);
  g_assert_cmpint (action, ==, VM_OPTIONS_RUN);
  return config;
}

static void
test_everything (void)
{
  g_autoptr (VmConfig) config = parse_good (
      "--name|Debian 12|--cpus=4|--memory|2G|--accel|tcg|--kernel|/a=b,c|--initrd|i|--cmdline|"
      "console=ttyS0,115200 quiet|--disk|file=x,,y.raw,format=raw,bus=ahci|--disk|"
      "format=qcow2,readonly=on,file=z=1|--cdrom|c,d.iso|--net|user,forward=tcp:2222:22,"
      "forward=udp:53:5353,forward=udp:[::1]:7-[fec0::9]:8|--serial|file=log|--console|stdio|--"
      "port|name=a.b-c_0,socket=unix:/"
      "p,,q|--display|spice=unix:/"
      "s,,1|--control|unix:/q,1");

  g_assert_cmpstr (config->name, ==, "Debian 12");
  g_assert_cmpuint (config->cpus, ==, 4);
  g_assert_cmpuint (config->memory_bytes, ==, UINT64_C (2) << 30);
  g_assert_cmpint (config->accel, ==, VM_ACCEL_TCG);
  g_assert_cmpint (config->firmware, ==, VM_FIRMWARE_LINUX);
  g_assert_cmpstr (config->kernel, ==, "/a=b,c");
  g_assert_cmpstr (config->initrd, ==, "i");
  g_assert_cmpstr (config->cmdline, ==, "console=ttyS0,115200 quiet");
  g_assert_cmpuint (config->n_disks, ==, 2);
  g_assert_cmpstr (config->disks[0].file, ==, "x,y.raw");
  g_assert_cmpint (config->disks[0].format, ==, VM_DISK_FORMAT_RAW);
  g_assert_false (config->disks[0].readonly);
  g_assert_cmpint (config->disks[0].bus, ==, VM_DISK_BUS_AHCI);
  g_assert_cmpint (config->disks[1].bus, ==, VM_DISK_BUS_VIRTIO);
  g_assert_cmpstr (config->disks[1].file, ==, "z=1");
  g_assert_cmpint (config->disks[1].format, ==, VM_DISK_FORMAT_QCOW2);
  g_assert_true (config->disks[1].readonly);
  g_assert_cmpstr (config->cdrom, ==, "c,d.iso");
  g_assert_cmpint (config->net, ==, VM_NET_USER);
  g_assert_cmpuint (config->n_forwards, ==, 3);
  g_autofree char *with_addresses = vm_forward_to_string (&config->forwards[2]);
  g_assert_cmpstr (with_addresses, ==, "udp:[::1]:7-[fec0::9]:8");
  g_assert_cmpint (config->forwards[1].protocol, ==, VM_FORWARD_UDP);
  g_assert_cmpuint (config->forwards[1].host_port, ==, 53);
  g_assert_cmpuint (config->forwards[1].guest_port, ==, 5353);
  g_assert_cmpint (config->serial.kind, ==, VM_STREAM_FILE);
  g_assert_cmpstr (config->serial.file, ==, "log");
  g_assert_cmpint (config->console.kind, ==, VM_STREAM_STDIO);
  g_assert_cmpuint (config->n_ports, ==, 1);
  g_assert_cmpstr (config->ports[0].name, ==, "a.b-c_0");
  g_assert_cmpstr (config->ports[0].path, ==, "/p,q");
  g_assert_cmpint (config->display, ==, VM_DISPLAY_SPICE);
  g_assert_cmpstr (config->spice_path, ==, "/s,1");
  g_assert_cmpstr (config->control_path, ==, "/q,1");
}

static void
test_defaults (void)
{
  g_autoptr (VmConfig) config = parse_good ("--kernel|k");

  g_assert_cmpstr (config->name, ==, "alcove");
  g_assert_cmpuint (config->cpus, ==, 1);
  g_assert_cmpuint (config->memory_bytes, ==, UINT64_C (1) << 30);
  g_assert_cmpint (config->accel, ==, VM_ACCEL_AUTO);
  g_assert_cmpint (config->net, ==, VM_NET_NONE);
  g_assert_cmpint (config->serial.kind, ==, VM_STREAM_NONE);
  g_assert_cmpint (config->display, ==, VM_DISPLAY_NONE);
  g_assert_null (config->control_path);
}

static void
test_sizes (void)
{
  static const struct
  {
    const char *text;
    uint64_t bytes;
  } good[] = {
    { "64M", UINT64_C (64) << 20 },    { "64m", UINT64_C (64) << 20 },
    { "65536K", UINT64_C (64) << 20 }, { "67108864", UINT64_C (64) << 20 },
    { "5G", UINT64_C (5) << 30 },      { "256g", UINT64_C (256) << 30 },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_autofree char *words = g_strconcat ("--kernel|k|--memory|", good[i].text, NULL);
      g_autoptr (VmConfig) config = parse_good (words);
      g_assert_cmpuint (config->memory_bytes, ==, good[i].bytes);
    }
}

#define MEMORY   "64M to 256G in whole MiB, and overcommit=on or off; the suffixes are K, M and G"
#define FIRMWARE "uefi[,code=FILE,variables=FILE]"
#define BOOT     "disk, cdrom or network, menu=on or menu=off, or both"
#define DISK                                                                                       \
  "file=FILE,format=raw|qcow2|vmdk|vdi|vhdx[,bus=virtio|ahci][,readonly=on|off]"                   \
  "[,backing=FILE,backing-format=raw|qcow2], at most 16 times"
#define AHCI_DISK "|--disk|file=a,format=raw,bus=ahci"
#define NET                                                                                        \
  "none, or user or passt[,forward=tcp|udp:HOSTPORT:GUESTPORT]... with ports from 1 to 65535, or " \
  "with addresses of IPv4 or [IPv6] "                                                              \
  "forward=tcp|udp:HOSTADDRESS:HOSTPORT-GUESTADDRESS:GUESTPORT, at most 64 forwards; user also "   \
  "with restrict=on or off"
#define PORT                                                                                       \
  "name=NAME,socket=unix:PATH with a name of 1 to 63 letters, digits and . _ - and a PATH of "     \
  "at most 107 bytes, at most 8 times"

static void
test_cdrom (void)
{
  g_autoptr (VmConfig) no_drive = parse_good ("--kernel|k");
  g_autoptr (VmConfig) empty = parse_good ("--kernel|k|--cdrom|none");
  g_autoptr (VmConfig) file = parse_good ("--kernel|k|--cdrom|./none");

  g_assert_null (no_drive->cdrom);
  g_assert_cmpstr (empty->cdrom, ==, "");
  g_assert_cmpstr (file->cdrom, ==, "./none");
}

static void
test_boot (void)
{
  g_autoptr (VmConfig) unsaid = parse_good ("--firmware|uefi");
  g_autoptr (VmConfig) cdrom = parse_good ("--firmware|uefi|--boot|cdrom");
  g_autoptr (VmConfig) network = parse_good ("--firmware|uefi|--boot|menu=on,network");
  g_autoptr (VmConfig) menu = parse_good ("--firmware|uefi|--boot|menu=on");
  g_autoptr (VmConfig) copy = vm_config_copy (network);

  g_autoptr (VmConfig) own = parse_good ("--firmware|uefi,variables=v,code=c,,d");
  g_autoptr (VmConfig) own_copy = vm_config_copy (own);

  g_assert_cmpstr (own_copy->firmware_code, ==, "c,d");
  g_assert_cmpstr (own_copy->firmware_variables, ==, "v");
  g_assert_null (unsaid->firmware_code);
  g_assert_cmpint (unsaid->boot, ==, VM_BOOT_UNSAID);
  g_assert_false (unsaid->boot_menu);
  g_assert_cmpint (cdrom->boot, ==, VM_BOOT_CDROM);
  g_assert_false (cdrom->boot_menu);
  g_assert_cmpint (menu->boot, ==, VM_BOOT_UNSAID);
  g_assert_true (menu->boot_menu);
  g_assert_cmpint (copy->boot, ==, VM_BOOT_NETWORK);
  g_assert_true (copy->boot_menu);
}

static const struct
{
  const char *words;
  const char *message;
} refused[] = {
  { "--cpus|0", "--cpus: \"0\" is not allowed: a number from 1 to 16, and how many sockets, cores "
                "a socket and threads a core they are" },
  { "--cpus|17", "--cpus: \"17\" is not allowed: a number from 1 to 16, and how many sockets, "
                 "cores a socket and threads a core they are" },
  { "--cpus|-1", "--cpus: \"-1\" is not allowed: a number from 1 to 16, and how many sockets, "
                 "cores a socket and threads a core they are" },
  { "--cpus|2,3", "--cpus: \"2,3\" is not allowed: a number from 1 to 16, and how many sockets, "
                  "cores a socket and threads a core they are" },
  { "--cpus|4,sockets=0", "--cpus: \"4,sockets=0\" is not allowed: a number from 1 to 16, and how "
                          "many sockets, cores a socket and threads a core they are" },
  { "--cpus|4,cores=2,cores=2",
    "--cpus: \"4,cores=2,cores=2\" is not allowed: a number from 1 to 16, and how many sockets, "
    "cores a socket and threads a core they are" },
  { "--cpus|4,dies=2", "--cpus: \"4,dies=2\" is not allowed: a number from 1 to 16, and how many "
                       "sockets, cores a socket and threads a core they are" },
  { "--cpus|sockets=2", "--cpus: \"sockets=2\" is not allowed: a number from 1 to 16, and how many "
                        "sockets, cores a socket and threads a core they are" },
  { "--hyperv|yes", "--hyperv: \"yes\" is not allowed: on or off" },
  { "--cpus|99999999999999999999",
    "--cpus: \"99999999999999999999\" is not allowed: a number from 1 to 16, and how many sockets, "
    "cores a socket and threads a core they are" },
  { "--cpus|", "--cpus: \"\" is not allowed: a number from 1 to 16, and how many sockets, cores a "
               "socket and threads a core they are" },
  { "--cpus", "--cpus: needs a value: a number from 1 to 16, and how many sockets, cores a socket "
              "and threads a core they are" },
  { "--cpus|1|--cpus|2", "--cpus: \"2\" is not allowed after \"1\": only once, a number from 1 to "
                         "16, and how many sockets, cores a socket and threads a core they are" },
  { "--memory|512", "--memory: \"512\" is not allowed: " MEMORY },
  { "--memory|63M", "--memory: \"63M\" is not allowed: " MEMORY },
  { "--memory|257G", "--memory: \"257G\" is not allowed: " MEMORY },
  { "--memory|65537K", "--memory: \"65537K\" is not allowed: " MEMORY },
  { "--memory|1T", "--memory: \"1T\" is not allowed: " MEMORY },
  { "--memory|M", "--memory: \"M\" is not allowed: " MEMORY },
  { "--memory|18446744073709551615G",
    "--memory: \"18446744073709551615G\" is not allowed: " MEMORY },
  { "--accel|xen", "--accel: \"xen\" is not allowed: auto, kvm or tcg" },
  { "--firmware|bios", "--firmware: \"bios\" is not allowed: " FIRMWARE },
  { "--firmware|uefi,code=a", "--firmware: \"uefi,code=a\" is not allowed: " FIRMWARE },
  { "--firmware|code=a,variables=b",
    "--firmware: \"code=a,variables=b\" is not allowed: " FIRMWARE },
  { "--firmware|uefi,code=,variables=b",
    "--firmware: \"uefi,code=,variables=b\" is not allowed: " FIRMWARE },
  { "--boot|floppy", "--boot: \"floppy\" is not allowed: " BOOT },
  { "--boot|", "--boot: \"\" is not allowed: " BOOT },
  { "--boot|disk,cdrom", "--boot: \"disk,cdrom\" is not allowed: " BOOT },
  { "--boot|disk,menu=yes", "--boot: \"disk,menu=yes\" is not allowed: " BOOT },
  { "--boot|menu=on,menu=off", "--boot: \"menu=on,menu=off\" is not allowed: " BOOT },
  { "--kernel|k|--boot|cdrom", "--boot: allowed only with --firmware uefi" },
  { "--kernel|k|--boot|menu=on", "--boot: allowed only with --firmware uefi" },
  { "--kernel|", "--kernel: \"\" is not allowed: the name of a file" },
  { "--disk|a.raw", "--disk: \"a.raw\" is not allowed: " DISK },
  { "--disk|file=a", "--disk: \"file=a\" is not allowed: " DISK },
  { "--disk|file=,format=raw", "--disk: \"file=,format=raw\" is not allowed: " DISK },
  { "--disk|file=a,format=qed", "--disk: \"file=a,format=qed\" is not allowed: " DISK },
  { "--disk|file=a,format=raw,readonly=yes",
    "--disk: \"file=a,format=raw,readonly=yes\" is not allowed: " DISK },
  { "--disk|file=a,file=b,format=raw",
    "--disk: \"file=a,file=b,format=raw\" is not allowed: " DISK },
  { "--disk|file=a,format=raw,bus=scsi",
    "--disk: \"file=a,format=raw,bus=scsi\" is not allowed: " DISK },
  { "--disk|file=a,format=raw,bus=ahci,bus=ahci",
    "--disk: \"file=a,format=raw,bus=ahci,bus=ahci\" is not allowed: " DISK },
  { "--kernel|k|--disk|file=a,format=raw,bus=ahci,readonly=on",
    "--disk a: readonly=on is not possible with bus=ahci, which knows no write-protected disks; "
    "use bus=virtio" },
  { "--kernel|k|--cdrom|none" AHCI_DISK AHCI_DISK AHCI_DISK AHCI_DISK AHCI_DISK AHCI_DISK,
    "--disk: the CD-ROM drive and the disks with bus=ahci are 7 together; at most 6 are allowed" },
  { "--cdrom|", "--cdrom: \"\" is not allowed: the name of a file, or none for an empty drive" },
  { "--net|bridge", "--net: \"bridge\" is not allowed: " NET },
  { "--net|none,forward=tcp:1:2", "--net: \"none,forward=tcp:1:2\" is not allowed: " NET },
  { "--net|user,forward=tcp:0:22", "--net: \"user,forward=tcp:0:22\" is not allowed: " NET },
  { "--net|user,forward=tcp:1:65536", "--net: \"user,forward=tcp:1:65536\" is not allowed: " NET },
  { "--net|user,forward=tcp:[::g]:1-:2",
    "--net: \"user,forward=tcp:[::g]:1-:2\" is not allowed: " NET },
  { "--kernel|k|--net|user,forward=tcp:[::1]:1-10.0.2.15:2",
    "--net: forward tcp:[::1]:1-10.0.2.15:2: one address is of IPv4 and the other of IPv6; both "
    "have to be of the same" },
  { "--kernel|k|--net|passt,forward=tcp::1-10.0.2.15:2",
    "--net: an address of the guest in forward= is allowed only with user: with passt it has this "
    "computer's" },
  { "--net|user,forward=sctp:1:2", "--net: \"user,forward=sctp:1:2\" is not allowed: " NET },
  { "--net|passt,restrict=on", "--net: \"passt,restrict=on\" is not allowed: " NET },
  { "--net|user,restrict=yes", "--net: \"user,restrict=yes\" is not allowed: " NET },
  { "--net|none,restrict=on", "--net: \"none,restrict=on\" is not allowed: " NET },
  { "--net|forward=tcp:1:2", "--net: \"forward=tcp:1:2\" is not allowed: " NET },
  { "--port|name=a", "--port: \"name=a\" is not allowed: " PORT },
  { "--port|socket=unix:a", "--port: \"socket=unix:a\" is not allowed: " PORT },
  { "--port|name=a,socket=b", "--port: \"name=a,socket=b\" is not allowed: " PORT },
  { "--port|name=a,name=b,socket=unix:c",
    "--port: \"name=a,name=b,socket=unix:c\" is not allowed: " PORT },
  { "--port|name=../a,socket=unix:b", "--port: \"name=../a,socket=unix:b\" is not allowed: " PORT },
  { "--port|name=,socket=unix:b", "--port: \"name=,socket=unix:b\" is not allowed: " PORT },
  { "--port|name=a,socket=unix:b,c", "--port: \"name=a,socket=unix:b,c\" is not allowed: " PORT },
  { "--kernel|k|--port|name=com.redhat.spice.0,socket=unix:b",
    "--port: com.redhat.spice.0 is the display's: each machine has it" },
  { "--kernel|k|--port|name=a,socket=unix:b|--port|name=a,socket=unix:c",
    "--port: there are two of the name a" },
  { "--console|pty", "--console: \"pty\" is not allowed: none, stdio or file=FILE" },
  { "--kernel|k|--serial|stdio|--console|stdio",
    "--console: stdio is the serial port's already: give one of them a file" },
  { "--serial|pty", "--serial: \"pty\" is not allowed: none, stdio or file=FILE" },
  { "--serial|file=", "--serial: \"file=\" is not allowed: none, stdio or file=FILE" },
  { "--display|gtk",
    "--display: \"gtk\" is not allowed: none or spice=unix:PATH with a PATH of at most 107 bytes" },
  { "--control|tcp:1", "--control: \"tcp:1\" is not allowed: unix:PATH with a PATH of at most 107 "
                       "bytes" },
  { "--control|unix:", "--control: \"unix:\" is not allowed: unix:PATH with a PATH of at most 107 "
                       "bytes" },
  { "--name|a\nb", "--name: \"a\\u000ab\" is not allowed: 1 to 64 characters, no control "
                   "characters" },
  { "--name|\xff", "--name: \"\xef\xbf\xbd\" is not allowed: 1 to 64 characters, no control "
                   "characters" },
  { "--help=x", "--help: \"x\" is not allowed: it takes no value" },
  { "--bogus|1", "--bogus: there is no such option; --help lists them" },
  { "disk.img", "\"disk.img\" is not an option; --help lists them" },
  { "--", "\"--\" is not an option; --help lists them" },
  { "--cpus|2", "nothing to start: give --kernel FILE or --firmware uefi" },
};

static void
test_refused (void)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (refused); i++)
    {
      g_autoptr (GError) error = NULL;
      VmOptionsAction action;
      g_assert_null (parse (refused[i].words, &action, &error));
      g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE);
      g_assert_cmpstr (error->message, ==, refused[i].message);
    }
}

static void
test_long_value_is_one_short_line (void)
{
  g_autofree char *long_value = g_strnfill (100000, 'x');
  g_autofree char *words = g_strconcat ("--disk|", long_value, NULL);
  g_autoptr (GError) error = NULL;
  VmOptionsAction action;

  g_assert_null (parse (words, &action, &error));
  g_assert_cmpuint (strlen (error->message), <, 250);
}

static void
test_too_many_disks (void)
{
  g_autoptr (GString) words = g_string_new ("--kernel|k");
  g_autoptr (GError) error = NULL;
  VmOptionsAction action;

  for (unsigned i = 0; i < VM_DISKS_MAX; i++)
    g_string_append (words, "|--disk|file=a,format=raw");
  g_autoptr (VmConfig) config = parse_good (words->str);
  g_assert_cmpuint (config->n_disks, ==, VM_DISKS_MAX);
  g_string_append (words, "|--disk|file=a,format=raw");
  g_assert_null (parse (words->str, &action, &error));
  g_assert_cmpstr (error->message, ==, "--disk: \"file=a,format=raw\" is not allowed: " DISK);
}

static void
test_help_names_every_option (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *help = vm_options_to_help ();
  VmOptionsAction action;

  /* Whatever else is said. */
  g_assert_null (parse ("--cpus|99|--help", &action, &error));
  g_assert_no_error (error);
  g_assert_cmpint (action, ==, VM_OPTIONS_HELP);
  g_assert_null (parse ("--version", &action, &error));
  g_assert_no_error (error);
  g_assert_cmpint (action, ==, VM_OPTIONS_VERSION);
  for (unsigned i = 0; i < VM_N_OPTIONS; i++)
    {
      const VmOption *option = &vm_option_table[i];
      g_assert_nonnull (option->help);
      g_assert_true (option->argument == NULL || option->allowed != NULL);
      g_autofree char *line =
          g_strdup_printf ("  --%s%s%s\n      %s\n", option->name, option->argument ? " " : "",
                           option->argument ? option->argument : "", option->help);
      g_assert_nonnull (strstr (help, line));
    }
}

static bool
apply_json (VmConfig *config, const char *json, GError **error)
{
  return vm_options_apply_json (config, "m.json", json, strlen (json), error);
}

static void
test_json_says_the_same (void)
{
  g_autoptr (VmConfig) config = vm_config_new ();
  g_autoptr (GError) error = NULL;

  apply_json (config,
              "{ \"name\": \"J\", \"cpus\": 2, \"memory\": \"2G\", \"kernel\": \"/a,b\","
              "  \"disk\": [ \"file=x,format=raw\", { \"file\": \"y,z\", \"format\": \"qcow2\","
              "             \"readonly\": true } ],"
              "  \"net\": { \"kind\": \"user\", \"forward\": [ \"tcp:1:2\", \"udp:3:4\" ] },"
              "  \"serial\": { \"file\": \"log\" }, \"display\": { \"spice\": \"unix:/s\" },"
              "  \"control\": \"unix:/q\", \"accel\": \"kvm\" }\n",
              &error);
  g_assert_no_error (error);
  g_assert_cmpstr (config->name, ==, "J");
  g_assert_cmpuint (config->cpus, ==, 2);
  g_assert_cmpuint (config->memory_bytes, ==, UINT64_C (2) << 30);
  g_assert_cmpstr (config->kernel, ==, "/a,b");
  g_assert_cmpuint (config->n_disks, ==, 2);
  g_assert_cmpstr (config->disks[0].file, ==, "x");
  g_assert_cmpstr (config->disks[1].file, ==, "y,z");
  g_assert_true (config->disks[1].readonly);
  g_assert_cmpuint (config->n_forwards, ==, 2);
  g_assert_cmpuint (config->forwards[1].guest_port, ==, 4);
  g_assert_cmpstr (config->serial.file, ==, "log");
  g_assert_cmpstr (config->spice_path, ==, "/s");
  g_assert_cmpint (config->accel, ==, VM_ACCEL_KVM);
  g_assert_true (vm_config_validate (config, &error));
}

/* The command line is applied to what the file says: as a whole, option by option. */
static void
test_json_is_overridden (void)
{
  g_autofree char *folder = g_dir_make_tmp ("alcove-options-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "m.json", NULL);
  g_autofree char *all =
      g_strconcat ("--config|", path, "|--firmware|uefi,code=mine,variables=vars", NULL);
  g_autofree char *plain = g_strconcat ("--config|", path, "|--firmware|uefi", NULL);
  g_autofree char *none = g_strconcat ("--config|", path, NULL);

  g_assert_true (g_file_set_contents (
      path, "{ \"firmware\": \"uefi,code=c,variables=v\", \"boot\": \"cdrom\" }", -1, NULL));
  g_autoptr (VmConfig) file = parse_good (none);
  g_assert_cmpstr (file->firmware_code, ==, "c");
  g_autoptr (VmConfig) both = parse_good (all);
  g_assert_cmpstr (both->firmware_code, ==, "mine");
  g_assert_cmpstr (both->firmware_variables, ==, "vars");
  g_assert_cmpint (both->boot, ==, VM_BOOT_CDROM);
  g_autoptr (VmConfig) stock = parse_good (plain);
  g_assert_null (stock->firmware_code);
  g_assert_null (stock->firmware_variables);
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

static void
test_json_refused (void)
{
  static const struct
  {
    const char *json;
    const char *message;
  } cases[] = {
    { "", "m.json: not JSON in UTF-8" },
    { "{\"name\":\"\xff\"}", "m.json: not JSON in UTF-8" },
    { "[]", "m.json: must be a JSON object with the options as members" },
    { "3", "m.json: must be a JSON object with the options as members" },
    { "{} {}", "m.json: has something after the end of its object" },
    { "{\"cpus\": 17}", "m.json: --cpus: \"17\" is not allowed: a number from 1 to 16, and how "
                        "many sockets, cores a socket and threads a core they are" },
    { "{\"cpus\": null}",
      "m.json: --cpus: null is of the wrong type; allowed is a number from 1 to "
      "16, and how many sockets, cores a socket and threads a core they are" },
    { "{\"cpus\": 1.5}", "m.json: --cpus: 1.5 is of the wrong type; allowed is a number from 1 to "
                         "16, and how many sockets, cores a socket and threads a core they are" },
    { "{\"cpus\": [1]}", "m.json: --cpus: [1] is of the wrong type; allowed is a number from 1 to "
                         "16, and how many sockets, cores a socket and threads a core they are" },
    { "{\"kernel\": {}}",
      "m.json: --kernel: {} is of the wrong type; allowed is the name of a file" },
    { "{\"disk\": [[]]}", "m.json: --disk: [] is of the wrong type; allowed is " DISK },
    { "{\"disk\": {}}", "m.json: --disk: \"\" is not allowed: " DISK },
    { "{\"bogus\": 1}", "m.json: \"bogus\" is not an option of a machine" },
    { "{\"config\": \"x\"}", "m.json: \"config\" is not an option of a machine" },
    { "{\"help\": true}", "m.json: \"help\" is not an option of a machine" },
    { "{\"cpus\": 1", "m.json: not JSON: it ends in the middle of a value" },
    { "{\"cpus\": 1 /* \" */}", "m.json: not JSON: it ends in the middle of a value" },
    { "{\"cpus\": 1 /* */}", "m.json: not JSON: it has a character that JSON has not" },
    { "{\"net\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}", "m.json: nested deeper than 16 levels" },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (VmConfig) config = vm_config_new ();
      g_autoptr (GError) error = NULL;
      g_assert_false (apply_json (config, cases[i].json, &error));
      g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE);
      g_assert_cmpstr (error->message, ==, cases[i].message);
    }
}

static void
test_json_syntax_error_is_one_line (void)
{
  g_autoptr (VmConfig) config = vm_config_new ();
  g_autoptr (GError) error = NULL;

  g_assert_false (apply_json (config, "{\n \"cpus\" 2,\n}\n", &error));
  g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE);
  g_assert_true (g_str_has_prefix (error->message, "m.json: not JSON: "));
  g_assert_null (strchr (error->message, '\n'));
}

static void
test_config_file_then_options (void)
{
  g_autofree char *folder = g_dir_make_tmp ("alcove-options-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "m.json", NULL);
  g_autofree char *words = g_strconcat ("--cpus|3|--disk|file=b,format=raw|--config|", path, NULL);

  g_assert_true (g_file_set_contents (
      path, "{\"kernel\":\"k\",\"cpus\":2,\"memory\":\"3G\",\"disk\":\"file=a,format=raw\"}", -1,
      NULL));
  g_autoptr (VmConfig) config = parse_good (words);
  g_assert_cmpuint (config->cpus, ==, 3);
  g_assert_cmpuint (config->memory_bytes, ==, UINT64_C (3) << 30);
  g_assert_cmpuint (config->n_disks, ==, 2);
  g_assert_cmpstr (config->disks[0].file, ==, "a");
  g_assert_cmpstr (config->disks[1].file, ==, "b");
  unlink (path);
  rmdir (folder);
}

static void
test_config_file_that_is_none (void)
{
  g_autoptr (GError) error = NULL;
  VmOptionsAction action;

  g_assert_null (parse ("--config|/nonexistent.json", &action, &error));
  g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST);
  g_assert_cmpstr (error->message, ==, "--config: /nonexistent.json: No such file or directory");
  g_clear_error (&error);
  /* A file without an end is read to the limit and no further. */
  g_assert_null (parse ("--config|/dev/zero", &action, &error));
  g_assert_cmpstr (error->message, ==, "/dev/zero: longer than 1048576 bytes: not a configuration");
}

int
main (int argc, char **argv)
{
  g_setenv ("LC_ALL", "C", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vm-options/everything", test_everything);
  g_test_add_func ("/vm-options/defaults", test_defaults);
  g_test_add_func ("/vm-options/sizes", test_sizes);
  g_test_add_func ("/vm-options/refused", test_refused);
  g_test_add_func ("/vm-options/cdrom", test_cdrom);
  g_test_add_func ("/vm-options/boot", test_boot);
  g_test_add_func ("/vm-options/long-value", test_long_value_is_one_short_line);
  g_test_add_func ("/vm-options/too-many-disks", test_too_many_disks);
  g_test_add_func ("/vm-options/help", test_help_names_every_option);
  g_test_add_func ("/vm-options/json", test_json_says_the_same);
  g_test_add_func ("/vm-options/json-refused", test_json_refused);
  g_test_add_func ("/vm-options/json-is-overridden", test_json_is_overridden);
  g_test_add_func ("/vm-options/json-syntax", test_json_syntax_error_is_one_line);
  g_test_add_func ("/vm-options/config-file", test_config_file_then_options);
  g_test_add_func ("/vm-options/config-file-bad", test_config_file_that_is_none);
  return g_test_run ();
}
