#include "config/vm-config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/cd-image.h"

G_DEFINE_QUARK (vm - config - error - quark, vm_config_error)

static const char *const firmware_words[] = {
  [VM_FIRMWARE_LINUX] = "linux",
  [VM_FIRMWARE_UEFI] = "uefi",
};
static_assert (G_N_ELEMENTS (firmware_words) == VM_N_FIRMWARES, "a word for each firmware");

static const char *const boot_words[] = {
  [VM_BOOT_DISK] = "disk",
  [VM_BOOT_CDROM] = "cdrom",
  [VM_BOOT_NETWORK] = "network",
};
static_assert (G_N_ELEMENTS (boot_words) == VM_N_BOOTS, "a word for each kind of device");

static const char *const disk_format_words[] = {
  [VM_DISK_FORMAT_RAW] = "raw", [VM_DISK_FORMAT_QCOW2] = "qcow2", [VM_DISK_FORMAT_VMDK] = "vmdk",
  [VM_DISK_FORMAT_VDI] = "vdi", [VM_DISK_FORMAT_VHDX] = "vhdx",
};
static_assert (G_N_ELEMENTS (disk_format_words) == VM_N_DISK_FORMATS, "a word for each format");

static const char *const disk_bus_words[] = {
  [VM_DISK_BUS_VIRTIO] = "virtio",
  [VM_DISK_BUS_AHCI] = "ahci",
};
static_assert (G_N_ELEMENTS (disk_bus_words) == VM_N_DISK_BUSES, "a word for each bus");

static const char *const accel_words[] = {
  [VM_ACCEL_AUTO] = "auto",
  [VM_ACCEL_KVM] = "kvm",
  [VM_ACCEL_TCG] = "tcg",
};
static_assert (G_N_ELEMENTS (accel_words) == VM_N_ACCELS, "a word for each accelerator");

const char *
vm_firmware_to_string (VmFirmware firmware)
{
  g_return_val_if_fail ((unsigned) firmware < VM_N_FIRMWARES, NULL);
  return firmware_words[firmware];
}

const char *
vm_boot_to_string (VmBoot boot)
{
  g_return_val_if_fail (boot > VM_BOOT_UNSAID && boot < VM_N_BOOTS, NULL);
  return boot_words[boot];
}

bool
vm_boot_parse (const char *text, VmBoot *boot)
{
  for (*boot = VM_BOOT_UNSAID + 1; *boot < VM_N_BOOTS; (*boot)++)
    if (strcmp (text, boot_words[*boot]) == 0)
      return true;
  return false;
}

const char *
vm_disk_format_to_string (VmDiskFormat format)
{
  g_return_val_if_fail ((unsigned) format < VM_N_DISK_FORMATS, NULL);
  return disk_format_words[format];
}

const char *
vm_disk_bus_to_string (VmDiskBus bus)
{
  g_return_val_if_fail ((unsigned) bus < VM_N_DISK_BUSES, NULL);
  return disk_bus_words[bus];
}

const char *
vm_accel_to_string (VmAccel accel)
{
  g_return_val_if_fail ((unsigned) accel < VM_N_ACCELS, NULL);
  return accel_words[accel];
}

VmConfig *
vm_config_new (void)
{
  VmConfig *config = g_new0 (VmConfig, 1);

  config->name = g_strdup ("alcove");
  config->cpus = 1;
  config->memory_bytes = UINT64_C (1) << 30;
  return config;
}

VmConfig *
vm_config_copy (const VmConfig *config)
{
  VmConfig *copy = g_new (VmConfig, 1);

  *copy = *config;
  copy->name = g_strdup (config->name);
  copy->kernel = g_strdup (config->kernel);
  copy->initrd = g_strdup (config->initrd);
  copy->cmdline = g_strdup (config->cmdline);
  copy->firmware_code = g_strdup (config->firmware_code);
  copy->firmware_variables = g_strdup (config->firmware_variables);
  copy->nvram = g_strdup (config->nvram);
  copy->cdrom = g_strdup (config->cdrom);
  copy->serial.file = g_strdup (config->serial.file);
  copy->console.file = g_strdup (config->console.file);
  copy->spice_path = g_strdup (config->spice_path);
  copy->control_path = g_strdup (config->control_path);
  copy->disks = NULL;
  copy->n_disks = 0;
  for (unsigned i = 0; i < config->n_disks; i++)
    {
      vm_config_add_disk (copy, config->disks[i].file, config->disks[i].format,
                          config->disks[i].readonly);
      copy->disks[i].bus = config->disks[i].bus;
      copy->disks[i].backing = g_strdup (config->disks[i].backing);
      copy->disks[i].backing_format = config->disks[i].backing_format;
    }
  copy->ports = NULL;
  copy->n_ports = 0;
  for (unsigned i = 0; i < config->n_ports; i++)
    vm_config_add_port (copy, config->ports[i].name, config->ports[i].path);
  copy->forwards = g_memdup2 (config->forwards, sizeof *config->forwards * config->n_forwards);
  return copy;
}

void
vm_config_free (VmConfig *config)
{
  if (config == NULL)
    return;
  for (unsigned i = 0; i < config->n_disks; i++)
    {
      g_free (config->disks[i].file);
      g_free (config->disks[i].backing);
    }
  g_free (config->disks);
  for (unsigned i = 0; i < config->n_ports; i++)
    {
      g_free (config->ports[i].name);
      g_free (config->ports[i].path);
    }
  g_free (config->ports);
  g_free (config->forwards);
  g_free (config->name);
  g_free (config->kernel);
  g_free (config->initrd);
  g_free (config->cmdline);
  g_free (config->firmware_code);
  g_free (config->firmware_variables);
  g_free (config->nvram);
  g_free (config->cdrom);
  g_free (config->serial.file);
  g_free (config->console.file);
  g_free (config->spice_path);
  g_free (config->control_path);
  g_free (config);
}

void
vm_config_add_disk (VmConfig *config, const char *file, VmDiskFormat format, bool readonly)
{
  config->disks = g_renew (VmDiskConfig, config->disks, config->n_disks + 1);
  config->disks[config->n_disks++] =
      (VmDiskConfig){ .file = g_strdup (file), .format = format, .readonly = readonly };
}

void
vm_config_add_port (VmConfig *config, const char *name, const char *path)
{
  config->ports = g_renew (VmPortConfig, config->ports, config->n_ports + 1);
  config->ports[config->n_ports++] =
      (VmPortConfig){ .name = g_strdup (name), .path = g_strdup (path) };
}

void
vm_config_add_forward (VmConfig *config, const VmForward *forward)
{
  config->forwards = g_renew (VmForward, config->forwards, config->n_forwards + 1);
  config->forwards[config->n_forwards++] = *forward;
}

G_GNUC_PRINTF (2, 3)
static bool
refuse (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE, text);
  return false;
}

static bool
validate_name (const char *name, GError **error)
{
  if (name == NULL || *name == '\0' || !g_utf8_validate (name, -1, NULL) ||
      g_utf8_strlen (name, -1) > VM_NAME_MAX)
    return refuse (error, "--name: must be 1 to %u characters of UTF-8", VM_NAME_MAX);
  for (const char *p = name; *p != '\0'; p = g_utf8_next_char (p))
    if (g_unichar_iscntrl (g_utf8_get_char (p)))
      return refuse (error, "--name: control characters are not allowed");
  return true;
}

static bool
validate_socket_path (const char *option, const char *path, GError **error)
{
  if (path == NULL || *path == '\0')
    return refuse (error, "%s: the path of the Unix socket is empty", option);
  if (strlen (path) > VM_SOCKET_PATH_MAX)
    return refuse (error, "%s: the path of the Unix socket has %zu bytes; at most %u are allowed",
                   option, strlen (path), VM_SOCKET_PATH_MAX);
  return true;
}

static bool
validate_firmware (const VmConfig *config, GError **error)
{
  if (config->firmware == VM_FIRMWARE_LINUX)
    {
      if (config->kernel == NULL)
        return refuse (error, "nothing to start: give --kernel FILE or --firmware uefi");
      if (config->nvram != NULL)
        return refuse (error, "--nvram: allowed only with --firmware uefi");
      if (config->boot != VM_BOOT_UNSAID || config->boot_menu)
        return refuse (error, "--boot: allowed only with --firmware uefi");
      if (config->cmdline != NULL && strlen (config->cmdline) > VM_CMDLINE_MAX)
        return refuse (error, "--cmdline: has %zu bytes; at most %u are allowed",
                       strlen (config->cmdline), VM_CMDLINE_MAX);
      return true;
    }
  if (config->kernel != NULL || config->initrd != NULL || config->cmdline != NULL)
    return refuse (error,
                   "--%s: not allowed together with --firmware uefi, which finds its own "
                   "system on the disks",
                   config->kernel != NULL   ? "kernel"
                   : config->initrd != NULL ? "initrd"
                                            : "cmdline");
  return true;
}

CpuTopology
vm_config_get_topology (const VmConfig *config)
{
  CpuTopology topology = config->topology;
  const unsigned threads = MAX (topology.threads, 1);

  if (topology.sockets == 0)
    topology.sockets = topology.cores == 0 ? 1 : MAX (config->cpus / (topology.cores * threads), 1);
  if (topology.cores == 0)
    topology.cores = MAX (config->cpus / (topology.sockets * threads), 1);
  if (topology.threads == 0)
    topology.threads = MAX (config->cpus / (topology.sockets * topology.cores), 1);
  return topology;
}

static bool
validate_topology (const VmConfig *config, GError **error)
{
  const CpuTopology topology = vm_config_get_topology (config);

  if (topology.sockets <= VM_CPUS_MAX && topology.cores <= VM_CPUS_MAX &&
      topology.threads <= VM_CPUS_MAX &&
      topology.sockets * topology.cores * topology.threads == config->cpus)
    return true;
  return refuse (error, "--cpus: %u sockets of %u cores of %u threads are not %u CPUs",
                 topology.sockets, topology.cores, topology.threads, config->cpus);
}

static bool
validate_numbers (const VmConfig *config, GError **error)
{
  if (config->cpus < 1 || config->cpus > VM_CPUS_MAX)
    return refuse (error, "--cpus: %u is not allowed: a number from 1 to %u", config->cpus,
                   VM_CPUS_MAX);
  if (!validate_topology (config, error))
    return false;
  if (config->memory_bytes < VM_MEMORY_MIN || config->memory_bytes > VM_MEMORY_MAX ||
      config->memory_bytes % VM_MEMORY_STEP != 0)
    return refuse (error,
                   "--memory: %" G_GUINT64_FORMAT " bytes is not allowed: 64M to 256G, in whole "
                   "MiB",
                   config->memory_bytes);
  if (config->n_disks > VM_DISKS_MAX)
    return refuse (error, "--disk: given %u times; at most %u are allowed", config->n_disks,
                   VM_DISKS_MAX);
  return true;
}

static bool
validate_disks (const VmConfig *config, GError **error)
{
  unsigned ports = config->cdrom != NULL ? 1 : 0;

  for (unsigned i = 0; i < config->n_disks; i++)
    {
      const VmDiskConfig *disk = &config->disks[i];
      if (disk->file == NULL || *disk->file == '\0')
        return refuse (error, "--disk: needs file=FILE");
      if (disk->backing != NULL && disk->format != VM_DISK_FORMAT_QCOW2)
        return refuse (error, "--disk %s: backing=FILE is for format=qcow2", disk->file);
      if (disk->backing != NULL && disk->backing_format != VM_DISK_FORMAT_RAW &&
          disk->backing_format != VM_DISK_FORMAT_QCOW2)
        return refuse (error, "--disk %s: backing-format is raw or qcow2", disk->file);
      if (disk->bus != VM_DISK_BUS_AHCI)
        continue;
      ports++;
      if (disk->readonly)
        return refuse (error,
                       "--disk %s: readonly=on is not possible with bus=ahci, which knows no "
                       "write-protected disks; use bus=virtio",
                       disk->file);
    }
  if (ports > VM_AHCI_PORTS)
    return refuse (error,
                   "--disk: the CD-ROM drive and the disks with bus=ahci are %u together; at "
                   "most %u are allowed",
                   ports, VM_AHCI_PORTS);
  return true;
}

static bool
validate_passt_forward (const VmForward *forward, GError **error)
{
  if (forward->protocol == VM_FORWARD_UDP)
    return refuse (error, "--net: forward=udp is allowed only with user: with passt no answer "
                          "would come back");
  if (!IN6_IS_ADDR_UNSPECIFIED (&forward->guest_address))
    return refuse (error, "--net: an address of the guest in forward= is allowed only with user: "
                          "with passt it has this computer's");
  return true;
}

static bool
validate_forwards (const VmConfig *config, GError **error)
{
  if (config->n_forwards > VM_FORWARDS_MAX)
    return refuse (error, "--net: %u forwards; at most %u are allowed", config->n_forwards,
                   VM_FORWARDS_MAX);
  if (config->n_forwards > 0 && config->net == VM_NET_NONE)
    return refuse (error, "--net: forward= is allowed only with user and passt");
  for (unsigned i = 0; i < config->n_forwards; i++)
    {
      if (!vm_forward_validate (&config->forwards[i], error))
        {
          g_prefix_error (error, "--net: ");
          return false;
        }
      if (config->net == VM_NET_PASST && !validate_passt_forward (&config->forwards[i], error))
        return false;
      for (unsigned j = 0; j < i; j++)
        if (vm_forward_same_host (&config->forwards[i], &config->forwards[j]))
          return refuse (error, "--net: the host's %s port %u is forwarded twice",
                         vm_forward_protocol_to_string (config->forwards[i].protocol),
                         config->forwards[i].host_port);
    }
  return true;
}

bool
vm_port_name_is_good (const char *name)
{
  const size_t length = strspn (name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-");

  return length > 0 && length <= VM_PORT_NAME_MAX && name[length] == '\0';
}

static bool
validate_ports (const VmConfig *config, GError **error)
{
  if (config->n_ports > VM_PORTS_MAX)
    return refuse (error, "--port: given %u times; at most %u are allowed", config->n_ports,
                   VM_PORTS_MAX);
  for (unsigned i = 0; i < config->n_ports; i++)
    {
      const VmPortConfig *port = &config->ports[i];

      if (!vm_port_name_is_good (port->name))
        return refuse (error, "--port: a name is 1 to %u letters, digits and . _ -",
                       VM_PORT_NAME_MAX);
      if (strcmp (port->name, VM_PORT_AGENT) == 0)
        return refuse (error, "--port: %s is the display's: each machine has it", port->name);
      for (unsigned j = 0; j < i; j++)
        if (strcmp (port->name, config->ports[j].name) == 0)
          return refuse (error, "--port: there are two of the name %s", port->name);
      if (!validate_socket_path ("--port", port->path, error))
        return false;
    }
  return true;
}

static bool
validate_stream (const char *option, const VmStream *stream, GError **error)
{
  if (stream->kind == VM_STREAM_FILE && (stream->file == NULL || *stream->file == '\0'))
    return refuse (error, "%s: needs the name of a file", option);
  return true;
}

bool
vm_config_validate (const VmConfig *config, GError **error)
{
  if (!validate_name (config->name, error) || !validate_numbers (config, error) ||
      !validate_firmware (config, error))
    return false;
  if (!validate_disks (config, error) || !validate_forwards (config, error) ||
      !validate_ports (config, error))
    return false;
  if (!validate_stream ("--serial", &config->serial, error) ||
      !validate_stream ("--console", &config->console, error))
    return false;
  if (config->serial.kind == VM_STREAM_STDIO && config->console.kind == VM_STREAM_STDIO)
    return refuse (error, "--console: stdio is the serial port's already: give one of them a file");
  if (config->display == VM_DISPLAY_SPICE &&
      !validate_socket_path ("--display", config->spice_path, error))
    return false;
  if (config->control_path != NULL &&
      !validate_socket_path ("--control", config->control_path, error))
    return false;
  return true;
}

G_GNUC_PRINTF (2, 3)
static bool
fail (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, text);
  return false;
}

/* Asks by opening, which also sees a read-only file system and what the superuser may not write. Returns an errno or 0. */
static int
try_open (const char *file, int mode)
{
  int fd = open (file, mode | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

  if (fd < 0)
    return errno;
  close (fd);
  return 0;
}

/* A disk of this computer as the guest's; *size is its length in bytes. O_EXCL: not one whose file systems this computer uses. */
static bool
check_device (const VmDiskConfig *disk, uint64_t *size, GError **error)
{
  const int mode = (disk->readonly ? O_RDONLY : O_RDWR | O_EXCL) | O_CLOEXEC | O_NONBLOCK;
  const int fd = open (disk->file, mode);
  const off_t end = fd < 0 ? -1 : lseek (fd, 0, SEEK_END);
  const int failure = errno;

  if (fd >= 0)
    close (fd);
  *size = end;
  if (end >= 0)
    return true;
  if (failure == EBUSY)
    return fail (error,
                 "--disk: %s: is in use by this computer: unmount what is on it, or say "
                 "readonly=on",
                 disk->file);
  return fail (error, "--disk: %s: cannot be %s: %s", disk->file,
               disk->readonly ? "read" : "written", g_strerror (failure));
}

/* A file that a machine takes as a whole: there, regular, readable; *size is its length in bytes. */
static bool
check_regular (const char *option, const char *file, bool write, uint64_t *size, GError **error)
{
  struct stat info;
  int failure;

  if (stat (file, &info) < 0)
    return fail (error, "%s: %s: %s", option, file, g_strerror (errno));
  if (!S_ISREG (info.st_mode))
    return fail (error, "%s: %s: not a regular file", option, file);
  if ((failure = try_open (file, O_RDONLY)) != 0)
    return fail (error, "%s: %s: cannot be read: %s", option, file, g_strerror (failure));
  if (write && (failure = try_open (file, O_RDWR)) != 0)
    return fail (error, "%s: %s: cannot be written: %s; add readonly=on to use it read-only",
                 option, file, g_strerror (failure));
  *size = info.st_size;
  return true;
}

static bool
check_disk_file (const VmDiskConfig *disk, uint64_t *size, GError **error)
{
  struct stat info;

  if (disk->format != VM_DISK_FORMAT_RAW || stat (disk->file, &info) < 0 || S_ISREG (info.st_mode))
    return check_regular ("--disk", disk->file, !disk->readonly, size, error);
  if (S_ISBLK (info.st_mode))
    return check_device (disk, size, error);
  return fail (error, "--disk: %s: not a regular file or block device", disk->file);
}

static bool
check_sectors (const char *option, const char *file, uint64_t size, GError **error)
{
  if (size > 0 && size % VM_DISK_SECTOR_SIZE == 0)
    return true;
  return fail (error, "%s: %s: its size, %" G_GUINT64_FORMAT " bytes, is %s%u; is it a raw image?",
               option, file, size, size == 0 ? "not at least " : "not a multiple of ",
               VM_DISK_SECTOR_SIZE);
}

static bool
check_cdrom (const char *file, GError **error)
{
  uint64_t size = 0;

  if (!check_regular ("--cdrom", file, false, &size, error))
    return false;
  if (size > 0 && size % VM_CDROM_BLOCK_SIZE == 0)
    {
      if (cd_image_check (file, error))
        return true;
      g_prefix_error (error, "--cdrom: ");
      return false;
    }
  return fail (error,
               "--cdrom: %s: its size, %" G_GUINT64_FORMAT
               " bytes, is %s%u: it is cut off, or no CD "
               "image; fetch it again",
               file, size, size == 0 ? "not at least " : "not a multiple of ", VM_CDROM_BLOCK_SIZE);
}

/* A file or socket that the machine makes: NULL, or its folder is there and open to us. */
static bool
check_place (const char *option, const char *file, GError **error)
{
  g_autofree char *folder = file != NULL ? g_path_get_dirname (file) : NULL;

  if (file == NULL || access (folder, W_OK | X_OK) == 0)
    return true;
  return fail (error, "%s: %s: nothing can be made in the folder %s: %s", option, file, folder,
               g_strerror (errno));
}

/* A device or FIFO is not opened: whoever is at its other end would see that. */
static bool
check_stream (const char *option, const VmStream *stream, GError **error)
{
  struct stat info;
  int failure;

  if (stream->kind != VM_STREAM_FILE)
    return true;
  if (stat (stream->file, &info) < 0)
    return check_place (option, stream->file, error);
  if (S_ISREG (info.st_mode) || S_ISDIR (info.st_mode))
    failure = try_open (stream->file, O_WRONLY);
  else
    failure = access (stream->file, W_OK) < 0 ? errno : 0;
  return failure == 0 ||
         fail (error, "%s: %s: cannot be written: %s", option, stream->file, g_strerror (failure));
}

static bool
check_outputs (const VmConfig *config, GError **error)
{
  for (unsigned i = 0; i < config->n_ports; i++)
    if (!check_place ("--port", config->ports[i].path, error))
      return false;
  return check_stream ("--serial", &config->serial, error) &&
         check_stream ("--console", &config->console, error) &&
         check_place ("--control", config->control_path, error) &&
         check_place ("--display", config->display == VM_DISPLAY_SPICE ? config->spice_path : NULL,
                      error);
}

bool
vm_config_check_files (const VmConfig *config, GError **error)
{
  uint64_t size = 0, backing_size = 0;

  if (config->kernel != NULL && !check_regular ("--kernel", config->kernel, false, &size, error))
    return false;
  if (config->initrd != NULL && !check_regular ("--initrd", config->initrd, false, &size, error))
    return false;
  for (unsigned i = 0; i < config->n_disks; i++)
    {
      const VmDiskConfig *disk = &config->disks[i];
      if (!check_disk_file (disk, &size, error))
        return false;
      if (disk->backing != NULL &&
          !check_regular ("--disk: backing", disk->backing, false, &backing_size, error))
        return false;
      if (disk->format == VM_DISK_FORMAT_RAW && !check_sectors ("--disk", disk->file, size, error))
        return false;
    }
  if (config->cdrom != NULL && *config->cdrom != '\0' && !check_cdrom (config->cdrom, error))
    return false;
  return check_outputs (config, error);
}
