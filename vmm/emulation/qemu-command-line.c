#include "emulation/qemu-command-line.h"

#include <sys/stat.h>
#include <json-glib/json-glib.h>

static void
add (GPtrArray *argv, const char *option, const char *value)
{
  g_ptr_array_add (argv, g_strdup (option));
  if (value != NULL)
    g_ptr_array_add (argv, g_strdup (value));
}

G_GNUC_PRINTF (3, 4)
static void
addf (GPtrArray *argv, const char *option, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *value = g_strdup_vprintf (format, args);
  va_end (args);
  add (argv, option, value);
}

/* A value inside of one of QEMU's lists of key=value: there a comma is said twice. */
static char *
quote (const char *value)
{
  g_autoptr (GString) text = g_string_new (value);

  g_string_replace (text, ",", ",,", 0);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* Takes object. JSON needs no quoting of its own and can say what the other syntax cannot: that there is no backing file. */
static void
add_json (GPtrArray *argv, const char *option, JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);

  json_node_take_object (node, object);
  g_autofree char *text = json_to_string (node, FALSE);
  add (argv, option, text);
}

static bool
is_block_device (const char *file)
{
  struct stat info;

  return stat (file, &info) == 0 && S_ISBLK (info.st_mode);
}

/* A path as JSON can carry it. QEMU has no way to take other bytes in JSON; they do not occur where the app makes the
 * names, and elsewhere the file is then not found and QEMU says so. */
static JsonObject *
new_blockdev (const char *node_name, VmDiskFormat format, const char *file, bool readonly)
{
  JsonObject *protocol = json_object_new ();
  JsonObject *node = json_object_new ();
  g_autofree char *name = g_utf8_make_valid (file, -1);

  json_object_set_string_member (protocol, "driver",
                                 is_block_device (file) ? "host_device" : "file");
  json_object_set_string_member (protocol, "filename", name);
  json_object_set_boolean_member (protocol, "read-only", readonly);
  if (!readonly)
    json_object_set_string_member (protocol, "discard", "unmap");
  json_object_set_string_member (node, "driver", vm_disk_format_to_string (format));
  json_object_set_string_member (node, "node-name", node_name);
  json_object_set_boolean_member (node, "read-only", readonly);
  if (!readonly)
    json_object_set_string_member (node, "discard", "unmap");
  if (format == VM_DISK_FORMAT_QCOW2 || format == VM_DISK_FORMAT_VMDK)
    json_object_set_null_member (node, "backing");
  json_object_set_object_member (node, "file", protocol);
  return node;
}

static void
add_machine (GPtrArray *argv, const VmConfig *config)
{
  g_autofree char *name = quote (config->name);

  add (argv, "-nodefaults", NULL);
  add (argv, "-no-user-config", NULL);
  addf (argv, "-name", "guest=%s", name);
  addf (argv, "-machine", "q35,hpet=off,vmport=off,smm=off%s",
        config->firmware == VM_FIRMWARE_UEFI ? ",pflash0=ovmf-code,pflash1=ovmf-variables" : "");
  add (argv, "-accel", "tcg,thread=multi");
  /* Everything that TCG emulates but five-level paging, which makes each of its page walks longer. */
  add (argv, "-cpu", "max,la57=off");
  const CpuTopology topology = vm_config_get_topology (config);
  addf (argv, "-smp", "%u,sockets=%u,cores=%u,threads=%u", config->cpus, topology.sockets,
        topology.cores, topology.threads);
  addf (argv, "-m", "%" G_GUINT64_FORMAT "M", config->memory_bytes >> 20);
  add (argv, "-global", "ICH9-LPC.disable_s3=1");
  add (argv, "-global", "ICH9-LPC.disable_s4=1");
  add (argv, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
  add (argv, "-action", "reboot=reset,shutdown=poweroff,panic=exit-failure");
  add (argv, "-device", "pvpanic");
}

static void
add_firmware (GPtrArray *argv, const VmConfig *config, const OvmfFiles *ovmf)
{
  if (config->firmware == VM_FIRMWARE_UEFI)
    {
      add_json (argv, "-blockdev",
                new_blockdev ("ovmf-code", VM_DISK_FORMAT_RAW, ovmf->code, true));
      add_json (argv, "-blockdev",
                new_blockdev ("ovmf-variables", VM_DISK_FORMAT_RAW, ovmf->variables, false));
      if (config->boot_menu)
        add (argv, "-boot", "menu=on,splash-time=10000");
      return;
    }
  add (argv, "-kernel", config->kernel);
  if (config->initrd != NULL)
    add (argv, "-initrd", config->initrd);
  if (config->cmdline != NULL)
    add (argv, "-append", config->cmdline);
}

/* QEMU's numbers begin at 1. What --boot names comes first, then disks, CD, network. */
static unsigned
boot_index (const VmConfig *config, VmBoot kind, unsigned n)
{
  unsigned before = 0;

  if (config->boot == kind)
    return n + 1;
  if (config->boot == VM_BOOT_CDROM && config->cdrom != NULL)
    before = 1;
  else if (config->boot == VM_BOOT_NETWORK && config->net != VM_NET_NONE)
    before = 1;
  if (kind != VM_BOOT_DISK)
    before += config->n_disks;
  return before + n + 1;
}

/* The id is what QMP's commands for trays and media name it by. */
static void
add_cdrom (GPtrArray *argv, const VmConfig *config)
{
  const bool is_empty = *config->cdrom == '\0';

  if (!is_empty)
    add_json (argv, "-blockdev", new_blockdev ("cdrom0", VM_DISK_FORMAT_RAW, config->cdrom, true));
  addf (argv, "-device", "ide-cd,%sid=cdrom0,serial=cdrom0,bus=ide.0,bootindex=%u",
        is_empty ? "" : "drive=cdrom0,", boot_index (config, VM_BOOT_CDROM, 0));
}

static void
add_disks (GPtrArray *argv, const VmConfig *config)
{
  unsigned port = config->cdrom != NULL ? 1 : 0;

  for (unsigned i = 0; i < config->n_disks; i++)
    {
      const VmDiskConfig *disk = &config->disks[i];
      g_autofree char *name = g_strdup_printf ("disk%u", i);
      JsonObject *node = new_blockdev (name, disk->format, disk->file, disk->readonly);
      if (disk->backing != NULL)
        {
          g_autofree char *below = g_strdup_printf ("disk%u-backing", i);
          json_object_set_object_member (
              node, "backing", new_blockdev (below, disk->backing_format, disk->backing, true));
        }
      add_json (argv, "-blockdev", node);
      const unsigned index = boot_index (config, VM_BOOT_DISK, i);
      if (disk->bus == VM_DISK_BUS_AHCI)
        addf (argv, "-device", "ide-hd,drive=%s,serial=%s,bus=ide.%u,bootindex=%u", name, name,
              port++, index);
      else
        addf (argv, "-device", "virtio-blk-pci,drive=%s,serial=%s,num-queues=%u,bootindex=%u", name,
              name, config->cpus, index);
    }
}

static void
add_net (GPtrArray *argv, const VmConfig *config)
{
  if (config->net == VM_NET_NONE)
    return;
  g_autoptr (GString) netdev = g_string_new ("user,id=net0");
  if (config->net_restricted)
    g_string_append (netdev, ",restrict=on");
  for (unsigned i = 0; i < config->n_forwards; i++)
    {
      g_autofree char *forward = vm_forward_to_string (&config->forwards[i]);
      g_string_append_printf (netdev, ",hostfwd=%s", forward);
    }
  add (argv, "-netdev", netdev->str);
  if (config->boot == VM_BOOT_NETWORK)
    add (argv, "-device", "virtio-net-pci,netdev=net0,romfile=,bootindex=1");
  else
    add (argv, "-device", "virtio-net-pci,netdev=net0,romfile=");
}

static void
add_stream (GPtrArray *argv, const VmStream *stream, const char *id)
{
  if (stream->kind == VM_STREAM_FILE)
    {
      g_autofree char *path = quote (stream->file);
      addf (argv, "-chardev", "file,id=%s,path=%s", id, path);
    }
  else
    addf (argv, "-chardev", "%s,id=%s", stream->kind == VM_STREAM_STDIO ? "stdio" : "null", id);
}

static void
add_serial (GPtrArray *argv, const VmConfig *config)
{
  add_stream (argv, &config->serial, "serial0");
  add (argv, "-serial", "chardev:serial0");
}

/* With the numbers that they have on KVM. The agent's port is there always: without it a client's monitor configuration is not passed on. */
static void
add_ports (GPtrArray *argv, const VmConfig *config)
{
  add (argv, "-device", "virtio-serial-pci,id=ports");
  if (config->console.kind != VM_STREAM_NONE)
    {
      add_stream (argv, &config->console, "console0");
      add (argv, "-device", "virtconsole,bus=ports.0,nr=0,chardev=console0");
    }
  add (argv, "-chardev", "spicevmc,id=agent,name=vdagent");
  add (argv, "-device", "virtserialport,bus=ports.0,nr=1,chardev=agent,name=" VM_PORT_AGENT);
  for (unsigned i = 0; i < config->n_ports; i++)
    {
      g_autofree char *path = quote (config->ports[i].path);
      addf (argv, "-chardev", "socket,id=port%u,path=%s,server=on,wait=off", i, path);
      addf (argv, "-device", "virtserialport,bus=ports.0,nr=%u,chardev=port%u,name=%s", i + 2, i,
            config->ports[i].name);
    }
}

/* virtio-vga is a virtio-gpu that is also a VGA card: firmware and a kernel without the driver have a screen. The pointer must not go
 * to the guest's agent. */
static void
add_display (GPtrArray *argv, const VmConfig *config)
{
  add (argv, "-display", "none");
  add (argv, "-device", "virtio-vga");
  add (argv, "-device", "virtio-keyboard-pci");
  add (argv, "-device", "virtio-tablet-pci");
  g_autoptr (GString) spice = g_string_new ("disable-ticketing=on,image-compression=off,"
                                            "streaming-video=off,agent-mouse=off,"
                                            "seamless-migration=off");
  if (config->display == VM_DISPLAY_SPICE)
    {
      g_autofree char *path = quote (config->spice_path);
      g_string_append_printf (spice, ",unix=on,addr=%s", path);
    }
  else /* Listens nowhere; QMP add_client still brings clients. */
    g_string_append (spice, ",port=0");
  add (argv, "-spice", spice->str);
}

static void
add_control (GPtrArray *argv, const VmConfig *config)
{
  if (config->control_path == NULL)
    return;
  g_autofree char *path = quote (config->control_path);
  addf (argv, "-chardev", "socket,id=control,path=%s,server=on,wait=off", path);
  add (argv, "-mon", "chardev=control,mode=control");
}

char **
qemu_command_line_new (const VmConfig *config, const char *program, const OvmfFiles *ovmf)
{
  GPtrArray *argv = g_ptr_array_new ();

  add (argv, program, NULL);
  add_machine (argv, config);
  add_firmware (argv, config, ovmf);
  add_disks (argv, config);
  if (config->cdrom != NULL)
    add_cdrom (argv, config);
  add_net (argv, config);
  add_serial (argv, config);
  add_display (argv, config);
  add_ports (argv, config);
  add (argv, "-object", "rng-random,id=rng0,filename=/dev/urandom");
  add (argv, "-device", "virtio-rng-pci,rng=rng0");
  add (argv, "-device", "virtio-balloon-pci,id=balloon0,deflate-on-oom=on,free-page-reporting=on");
  if (config->vsock_cid != 0)
    addf (argv, "-device", "vhost-vsock-pci,guest-cid=%u", config->vsock_cid);
  add_control (argv, config);
  g_ptr_array_add (argv, NULL);
  return (char **) g_ptr_array_free (argv, FALSE);
}
