#include "config/vm-option-table.h"

#include <assert.h>
#include <string.h>

static void
replace (char **place, const char *value)
{
  g_free (*place);
  *place = g_strdup (value);
}

static bool
set_string (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  const char *text = option_words_get_single (words);

  if (text == NULL || *text == '\0')
    return false;
  replace ((char **) ((char *) config + option->offset), text);
  return true;
}

static bool
set_cmdline (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  const char *text = option_words_get_single (words);

  if (text == NULL || strlen (text) > VM_CMDLINE_MAX)
    return false;
  replace (&config->cmdline, text);
  return true;
}

static bool
set_name (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  const char *text = option_words_get_single (words);

  if (text == NULL || *text == '\0' || !g_utf8_validate (text, -1, NULL) ||
      g_utf8_strlen (text, -1) > VM_NAME_MAX)
    return false;
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    if (g_unichar_iscntrl (g_utf8_get_char (p)))
      return false;
  replace (&config->name, text);
  return true;
}

static bool
parse_cpus (const char *text, unsigned *n)
{
  uint64_t value = 0;

  if (!g_ascii_string_to_unsigned (text, 10, 1, VM_CPUS_MAX, &value, NULL))
    return false;
  *n = (unsigned) value;
  return true;
}

static bool
set_cpus (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  CpuTopology *topology = &config->topology;
  bool said = false;

  *topology = (CpuTopology){ 0 };
  for (unsigned i = 0; i < option_words_get_length (words); i++)
    {
      const OptionWord *word = option_words_get (words, i);
      unsigned *part = word->key == NULL                    ? (said ? NULL : &config->cpus)
                       : strcmp (word->key, "sockets") == 0 ? &topology->sockets
                       : strcmp (word->key, "cores") == 0   ? &topology->cores
                       : strcmp (word->key, "threads") == 0 ? &topology->threads
                                                            : NULL;

      if (part == NULL || (word->key != NULL && *part != 0) || !parse_cpus (word->value, part))
        return false;
      said |= word->key == NULL;
    }
  return said;
}

/* "512M", "2G", "65536K" or plain bytes. */
static bool
parse_size (const char *text, uint64_t *bytes)
{
  size_t length = strlen (text);
  unsigned shift = 0;

  if (length == 0)
    return false;
  switch (g_ascii_toupper (text[length - 1]))
    {
    case 'K':
      shift = 10;
      break;
    case 'M':
      shift = 20;
      break;
    case 'G':
      shift = 30;
      break;
    }
  g_autofree char *digits = g_strndup (text, length - (shift > 0));
  uint64_t number = 0;
  if (!g_ascii_string_to_unsigned (digits, 10, 0, UINT64_MAX >> shift, &number, NULL))
    return false;
  *bytes = number << shift;
  return true;
}

static bool parse_switch (const char *text, bool *on);

static bool
set_memory (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  const unsigned n = option_words_get_length (words);
  const OptionWord *last = n == 2 ? option_words_get (words, 1) : NULL;
  const OptionWord *first = n == 0 ? NULL : option_words_get (words, 0);
  const char *text = n < 1 || n > 2 || first->key != NULL ? NULL : first->value;
  uint64_t bytes = 0;

  config->overcommit = false;
  if (last != NULL && (last->key == NULL || strcmp (last->key, "overcommit") != 0 ||
                       !parse_switch (last->value, &config->overcommit)))
    return false;
  if (text == NULL || !parse_size (text, &bytes) || bytes < VM_MEMORY_MIN ||
      bytes > VM_MEMORY_MAX || bytes % VM_MEMORY_STEP != 0)
    return false;
  config->memory_bytes = bytes;
  return true;
}

static bool
set_accel (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  const char *text = option_words_get_single (words);

  for (unsigned i = 0; text != NULL && i < VM_N_ACCELS; i++)
    if (strcmp (text, vm_accel_to_string (i)) == 0)
      {
        config->accel = i;
        return true;
      }
  return false;
}

static bool
set_hyperv (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  const char *text = option_words_get_single (words);

  return text != NULL && parse_switch (text, &config->hyperv);
}

static bool
set_vsock (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  const char *text = option_words_get_single (words);
  uint64_t cid = 0;

  if (text == NULL ||
      !g_ascii_string_to_unsigned (text, 10, VM_VSOCK_CID_MIN, VM_VSOCK_CID_MAX, &cid, NULL))
    return false;
  config->vsock_cid = (uint32_t) cid;
  return true;
}

static bool
set_firmware (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  bool said = false;

  g_clear_pointer (&config->firmware_code, g_free);
  g_clear_pointer (&config->firmware_variables, g_free);
  for (unsigned i = 0; i < option_words_get_length (words); i++)
    {
      const OptionWord *word = option_words_get (words, i);

      if (word->key == NULL && !said &&
          strcmp (word->value, vm_firmware_to_string (VM_FIRMWARE_UEFI)) == 0)
        said = true;
      else if (word->key == NULL || *word->value == '\0')
        return false;
      else if (strcmp (word->key, "code") == 0 && config->firmware_code == NULL)
        config->firmware_code = g_strdup (word->value);
      else if (strcmp (word->key, "variables") == 0 && config->firmware_variables == NULL)
        config->firmware_variables = g_strdup (word->value);
      else
        return false;
    }
  config->firmware = VM_FIRMWARE_UEFI;
  return said && (config->firmware_code == NULL) == (config->firmware_variables == NULL);
}

static bool
parse_format (const char *text, VmDiskFormat *format)
{
  for (unsigned i = 0; i < VM_N_DISK_FORMATS; i++)
    if (strcmp (text, vm_disk_format_to_string (i)) == 0)
      {
        *format = i;
        return true;
      }
  return false;
}

static bool
parse_bus (const char *text, VmDiskBus *bus)
{
  for (unsigned i = 0; i < VM_N_DISK_BUSES; i++)
    if (strcmp (text, vm_disk_bus_to_string (i)) == 0)
      {
        *bus = i;
        return true;
      }
  return false;
}

static bool
parse_switch (const char *text, bool *on)
{
  *on = strcmp (text, "on") == 0;
  return *on || strcmp (text, "off") == 0;
}

/* The device may be left out where a menu is asked for. */
static bool
set_boot (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  bool menu_said = false;

  config->boot = VM_BOOT_UNSAID;
  config->boot_menu = false;
  for (unsigned i = 0; i < option_words_get_length (words); i++)
    {
      const OptionWord *word = option_words_get (words, i);

      if (word->key == NULL && config->boot == VM_BOOT_UNSAID &&
          vm_boot_parse (word->value, &config->boot))
        continue;
      if (word->key == NULL || menu_said || strcmp (word->key, "menu") != 0 ||
          !parse_switch (word->value, &config->boot_menu))
        return false;
      menu_said = true;
    }
  return config->boot != VM_BOOT_UNSAID || menu_said;
}

static bool
set_disk (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  const char *file = NULL;
  const char *backing = NULL;
  VmDiskFormat format = VM_N_DISK_FORMATS;
  VmDiskFormat backing_format = VM_N_DISK_FORMATS;
  VmDiskBus bus = VM_N_DISK_BUSES;
  bool readonly = false;

  for (unsigned i = 0; i < option_words_get_length (words); i++)
    {
      const OptionWord *word = option_words_get (words, i);
      if (word->key == NULL)
        return false;
      if (strcmp (word->key, "file") == 0 && file == NULL && *word->value != '\0')
        file = word->value;
      else if (strcmp (word->key, "format") == 0 && format == VM_N_DISK_FORMATS &&
               parse_format (word->value, &format))
        continue;
      else if (strcmp (word->key, "backing") == 0 && backing == NULL && *word->value != '\0')
        backing = word->value;
      else if (strcmp (word->key, "backing-format") == 0 && backing_format == VM_N_DISK_FORMATS &&
               parse_format (word->value, &backing_format))
        continue;
      else if (strcmp (word->key, "bus") == 0 && bus == VM_N_DISK_BUSES &&
               parse_bus (word->value, &bus))
        continue;
      else if (strcmp (word->key, "readonly") != 0 || !parse_switch (word->value, &readonly))
        return false;
    }
  if (file == NULL || format == VM_N_DISK_FORMATS ||
      (backing == NULL) != (backing_format == VM_N_DISK_FORMATS) || config->n_disks == VM_DISKS_MAX)
    return false;
  vm_config_add_disk (config, file, format, readonly);
  VmDiskConfig *disk = &config->disks[config->n_disks - 1];
  if (bus != VM_N_DISK_BUSES)
    disk->bus = bus;
  if (backing != NULL)
    {
      disk->backing = g_strdup (backing);
      disk->backing_format = backing_format;
    }
  return true;
}

static bool
set_cdrom (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  const char *text = option_words_get_single (words);

  if (text == NULL || *text == '\0')
    return false;
  replace (&config->cdrom, strcmp (text, "none") == 0 ? "" : text);
  return true;
}

static bool
add_forward (VmConfig *config, const char *text)
{
  VmForward forward;

  if (config->n_forwards == VM_FORWARDS_MAX || !vm_forward_parse (&forward, text, NULL))
    return false;
  vm_config_add_forward (config, &forward);
  return true;
}

static bool
set_net_word (VmConfig *config, const OptionWord *word)
{
  if (word->key != NULL && strcmp (word->key, "restrict") == 0)
    return parse_switch (word->value, &config->net_restricted);
  return word->key != NULL && strcmp (word->key, "forward") == 0 &&
         add_forward (config, word->value);
}

static bool
parse_net (const char *text, VmNet *net)
{
  static const char *const words[] = {
    [VM_NET_NONE] = "none",
    [VM_NET_USER] = "user",
    [VM_NET_PASST] = "passt",
  };
  static_assert (G_N_ELEMENTS (words) == VM_N_NETS, "a word for each network");

  for (unsigned i = 0; i < VM_N_NETS; i++)
    if (strcmp (text, words[i]) == 0)
      {
        *net = i;
        return true;
      }
  return false;
}

static bool
set_net (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  bool said = false;

  config->n_forwards = 0;
  config->net_restricted = false;
  for (unsigned i = 0; i < option_words_get_length (words); i++)
    {
      const OptionWord *word = option_words_get (words, i);
      if (word->key == NULL && !said)
        {
          said = true;
          if (!parse_net (word->value, &config->net))
            return false;
        }
      else if (!set_net_word (config, word))
        return false;
    }
  return said && (config->net != VM_NET_NONE || config->n_forwards == 0) &&
         (config->net == VM_NET_USER || !config->net_restricted);
}

static bool
set_stream (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  VmStream *stream = G_STRUCT_MEMBER_P (config, option->offset);

  if (option_words_get_length (words) != 1)
    return false;
  const OptionWord *word = option_words_get (words, 0);
  if (word->key == NULL && strcmp (word->value, "none") == 0)
    stream->kind = VM_STREAM_NONE;
  else if (word->key == NULL && strcmp (word->value, "stdio") == 0)
    stream->kind = VM_STREAM_STDIO;
  else if (word->key != NULL && strcmp (word->key, "file") == 0 && *word->value != '\0')
    {
      stream->kind = VM_STREAM_FILE;
      replace (&stream->file, word->value);
    }
  else
    return false;
  return true;
}

/* The PATH of "unix:PATH" when it fits into a socket's address; else NULL. */
static const char *
parse_unix (const char *text)
{
  if (text == NULL || !g_str_has_prefix (text, "unix:"))
    return NULL;
  text += strlen ("unix:");
  return *text != '\0' && strlen (text) <= VM_SOCKET_PATH_MAX ? text : NULL;
}

static bool
set_port (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  const char *name = NULL;
  const char *path = NULL;

  for (unsigned i = 0; i < option_words_get_length (words); i++)
    {
      const OptionWord *word = option_words_get (words, i);

      if (word->key != NULL && name == NULL && strcmp (word->key, "name") == 0 &&
          vm_port_name_is_good (word->value))
        name = word->value;
      else if (word->key != NULL && path == NULL && strcmp (word->key, "socket") == 0 &&
               parse_unix (word->value) != NULL)
        path = parse_unix (word->value);
      else
        return false;
    }
  if (name == NULL || path == NULL || config->n_ports == VM_PORTS_MAX)
    return false;
  vm_config_add_port (config, name, path);
  return true;
}

static bool
set_display (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  if (option_words_get_length (words) != 1)
    return false;
  const OptionWord *word = option_words_get (words, 0);
  if (word->key == NULL && strcmp (word->value, "none") == 0)
    {
      config->display = VM_DISPLAY_NONE;
      return true;
    }
  if (word->key == NULL || strcmp (word->key, "spice") != 0 || parse_unix (word->value) == NULL)
    return false;
  config->display = VM_DISPLAY_SPICE;
  replace (&config->spice_path, parse_unix (word->value));
  return true;
}

static bool
set_control (VmConfig *config, const VmOption *option, const OptionWords *words)
{
  const char *path = parse_unix (option_words_get_single (words));

  if (path == NULL)
    return false;
  replace (&config->control_path, path);
  return true;
}

#define UNIX_SOCKET "PATH of at most " G_STRINGIFY (VM_SOCKET_PATH_MAX) " bytes"

const VmOption vm_option_table[] = {
  [VM_OPTION_NAME] = {
    .name = "name", .argument = "NAME", .whole = true, .set = set_name,
    .allowed = "1 to " G_STRINGIFY (VM_NAME_MAX) " characters, no control characters",
    .help = "what the machine is called",
  },
  [VM_OPTION_CPUS] = {
    .name = "cpus", .argument = "N[,sockets=S][,cores=C][,threads=T]", .set = set_cpus,
    .allowed = "a number from 1 to " G_STRINGIFY (VM_CPUS_MAX)
               ", and how many sockets, cores a socket and threads a core they are",
    .help = "virtual CPUs (1), and how they are packed (in one socket, of one thread each)",
  },
  [VM_OPTION_MEMORY] = {
    .name = "memory", .argument = "SIZE[,overcommit=on|off]", .set = set_memory,
    .allowed = "64M to 256G in whole MiB, and overcommit=on or off; the suffixes are K, M and G",
    .help = "the guest's memory, as 512M or 2G (1G); more than the host has only with overcommit",
  },
  [VM_OPTION_ACCEL] = {
    .name = "accel", .argument = "auto|kvm|tcg", .set = set_accel,
    .allowed = "auto, kvm or tcg",
    .help = "run on KVM, or emulated by QEMU; auto: KVM where it is usable (auto)",
  },
  [VM_OPTION_HYPERV] = {
    .name = "hyperv", .argument = "on|off", .set = set_hyperv,
    .allowed = "on or off",
    .help = "offer the guest Hyper-V's interfaces, for Windows (off)",
  },
  [VM_OPTION_FIRMWARE] = {
    .name = "firmware", .argument = "uefi[,code=FILE,variables=FILE]", .set = set_firmware,
    .allowed = "uefi[,code=FILE,variables=FILE]",
    .help = "start by firmware from a disk instead of by --kernel",
  },
  [VM_OPTION_NVRAM] = {
    .name = "nvram", .argument = "FILE", .whole = true, .set = set_string,
    .offset = offsetof (VmConfig, nvram),
    .allowed = "the name of a file",
    .help = "keeps the variables of the firmware; made when it does not exist",
  },
  [VM_OPTION_BOOT] = {
    .name = "boot", .argument = "disk|cdrom|network[,menu=on|off]", .set = set_boot,
    .allowed = "disk, cdrom or network, menu=on or menu=off, or both",
    .help = "what the firmware tries first, and whether it waits for a key that opens its menu",
  },
  [VM_OPTION_KERNEL] = {
    .name = "kernel", .argument = "FILE", .whole = true, .set = set_string,
    .offset = offsetof (VmConfig, kernel),
    .allowed = "the name of a file",
    .help = "a Linux kernel: bzImage or uncompressed vmlinux",
  },
  [VM_OPTION_INITRD] = {
    .name = "initrd", .argument = "FILE", .whole = true, .set = set_string,
    .offset = offsetof (VmConfig, initrd),
    .allowed = "the name of a file",
    .help = "its initial RAM disk",
  },
  [VM_OPTION_CMDLINE] = {
    .name = "cmdline", .argument = "TEXT", .whole = true, .set = set_cmdline,
    .allowed = "at most " G_STRINGIFY (VM_CMDLINE_MAX) " bytes",
    .help = "its command line, as \"console=ttyS0\"",
  },
  [VM_OPTION_DISK] = {
    .name = "disk",
    .argument = "file=FILE,format=raw|qcow2|vmdk|vdi|vhdx[,bus=virtio|ahci][,readonly=on|off]"
                "[,backing=FILE,backing-format=raw|qcow2]",
    .repeats = true, .set = set_disk,
    .allowed = "file=FILE,format=raw|qcow2|vmdk|vdi|vhdx[,bus=virtio|ahci][,readonly=on|off]"
               "[,backing=FILE,backing-format=raw|qcow2], at most " G_STRINGIFY (VM_DISKS_MAX) " times",
    .help = "a disk; repeat for more; the format is never guessed",
  },
  [VM_OPTION_CDROM] = {
    .name = "cdrom", .argument = "FILE|none", .whole = true, .set = set_cdrom,
    .allowed = "the name of a file, or none for an empty drive",
    .help = "a CD-ROM drive with this image in it, or with nothing",
  },
  [VM_OPTION_NET] = {
    .name = "net", .argument = "none|user|passt[,restrict=on|off][,forward=tcp|udp:HOSTPORT:GUESTPORT]...", .set = set_net,
    .allowed = "none, or user or passt[,forward=tcp|udp:HOSTPORT:GUESTPORT]... with ports from 1 to 65535, "
               "or with addresses of IPv4 or [IPv6] forward=tcp|udp:HOSTADDRESS:HOSTPORT-GUESTADDRESS:GUESTPORT, "
               "at most " G_STRINGIFY (VM_FORWARDS_MAX) " forwards; user also with restrict=on or off",
    .help = "a network card behind this user's own network; forwards listen on 127.0.0.1 unless they say an address (none)",
  },
  [VM_OPTION_VSOCK] = {
    .name = "vsock", .argument = "CID", .set = set_vsock,
    .allowed = "a number from 3 to 4294967294 that no other machine of this host has",
    .help = "sockets between guest and host: the guest's address",
  },
  [VM_OPTION_SERIAL] = {
    .name = "serial", .argument = "none|stdio|file=FILE", .set = set_stream,
    .offset = offsetof (VmConfig, serial),
    .allowed = "none, stdio or file=FILE",
    .help = "where the first serial port goes (none)",
  },
  [VM_OPTION_CONSOLE] = {
    .name = "console", .argument = "none|stdio|file=FILE", .set = set_stream,
    .offset = offsetof (VmConfig, console),
    .allowed = "none, stdio or file=FILE",
    .help = "add a virtio console, quicker than a serial port, and where it goes (none)",
  },
  [VM_OPTION_PORT] = {
    .name = "port", .argument = "name=NAME,socket=unix:PATH", .repeats = true, .set = set_port,
    .allowed = "name=NAME,socket=unix:PATH with a name of 1 to " G_STRINGIFY (VM_PORT_NAME_MAX)
               " letters, digits and . _ - and a " UNIX_SOCKET ", at most " G_STRINGIFY (VM_PORTS_MAX) " times",
    .help = "a port of this name in the guest, for who connects to the socket; repeat for more",
  },
  [VM_OPTION_DISPLAY] = {
    .name = "display", .argument = "none|spice=unix:PATH", .set = set_display,
    .allowed = "none or spice=unix:PATH with a " UNIX_SOCKET,
    .help = "listen for SPICE clients on a Unix socket (none)",
  },
  [VM_OPTION_CONTROL] = {
    .name = "control", .argument = "unix:PATH", .whole = true, .set = set_control,
    .allowed = "unix:PATH with a " UNIX_SOCKET,
    .help = "answer QMP on a Unix socket",
  },
  [VM_OPTION_CONFIG] = {
    .name = "config", .argument = "FILE.json", .whole = true,
    .allowed = "the name of a file",
    .help = "take these options from a JSON file first",
  },
  [VM_OPTION_HELP] = { .name = "help", .help = "show this" },
  [VM_OPTION_VERSION] = { .name = "version", .help = "show the version" },
};
static_assert (G_N_ELEMENTS (vm_option_table) == VM_N_OPTIONS, "an entry for each option");
static_assert (VM_MEMORY_MIN == UINT64_C (64) << 20 && VM_MEMORY_MAX == UINT64_C (256) << 30,
               "the limits that --memory tells");

const VmOption *
vm_option_find (const char *name)
{
  for (unsigned i = 0; i < VM_N_OPTIONS; i++)
    if (strcmp (vm_option_table[i].name, name) == 0)
      return &vm_option_table[i];
  return NULL;
}

bool
vm_option_refuse (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE, text);
  return false;
}

bool
vm_option_apply (VmConfig *config, const VmOption *option, const OptionWords *words,
                 const char *source, GError **error)
{
  if (option->set (config, option, words))
    return true;
  g_autofree char *value = option_words_to_message (words);
  return vm_option_refuse (error, "%s%s--%s: \"%s\" is not allowed: %s", source ? source : "",
                           source ? ": " : "", option->name, value, option->allowed);
}
