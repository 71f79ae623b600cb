#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "base/cpu-topology.h"
#include "config/vm-forward.h"

/* One machine as the user asked for it: plain data, no host resource is held. The command line and the JSON file are
 * two spellings of it (config/vm-options.h); machine/ builds it on KVM, emulation/ says it in QEMU's words.
 *
 * Every string is UTF-8 or a path in the file system's encoding and is owned by the config. Values in a config that came through
 * vm_config_validate () keep the limits below.
 */
#define VM_CPUS_MAX         16
#define VM_VSOCK_CID_MIN    3 /* below: hypervisor, loopback, host */
#define VM_VSOCK_CID_MAX    (UINT32_MAX - 1)
#define VM_MEMORY_MIN       (UINT64_C (64) << 20) /* bytes */
#define VM_MEMORY_MAX       (UINT64_C (256) << 30)
#define VM_MEMORY_STEP      (UINT64_C (1) << 20)
#define VM_DISKS_MAX        16
#define VM_AHCI_PORTS       6 /* disks with bus=ahci, and the CD-ROM drive */
#define VM_FORWARDS_MAX     64
#define VM_PORTS_MAX        8
#define VM_PORT_NAME_MAX    63   /* bytes */
#define VM_NAME_MAX         64   /* characters */
#define VM_CMDLINE_MAX      2047 /* bytes; COMMAND_LINE_SIZE of Linux on x86 less the NUL */
#define VM_SOCKET_PATH_MAX  107  /* bytes; sun_path of unix(7) less the NUL */
#define VM_DISK_SECTOR_SIZE 512u
#define VM_CDROM_BLOCK_SIZE 2048u

typedef enum
{
  VM_FIRMWARE_LINUX, /* no firmware: kernel, initrd and cmdline are handed to the first instruction */
  VM_FIRMWARE_UEFI,
  VM_N_FIRMWARES
} VmFirmware;

typedef enum
{
  VM_DISK_FORMAT_RAW,
  VM_DISK_FORMAT_QCOW2,
  VM_DISK_FORMAT_VMDK,
  VM_DISK_FORMAT_VDI,
  VM_DISK_FORMAT_VHDX,
  VM_N_DISK_FORMATS
} VmDiskFormat;

typedef enum
{
  VM_DISK_BUS_VIRTIO,
  VM_DISK_BUS_AHCI, /* for guests without virtio drivers */
  VM_N_DISK_BUSES
} VmDiskBus;

typedef enum
{
  VM_NET_NONE,
  VM_NET_USER,
  VM_NET_PASST, /* the same by the program passt; on KVM */
  VM_N_NETS
} VmNet;

/* What the firmware tries first. */
typedef enum
{
  VM_BOOT_UNSAID, /* in the order that the machine's variables say */
  VM_BOOT_DISK,
  VM_BOOT_CDROM,
  VM_BOOT_NETWORK,
  VM_N_BOOTS
} VmBoot;

typedef enum
{
  VM_STREAM_NONE,
  VM_STREAM_STDIO,
  VM_STREAM_FILE,
  VM_N_STREAMS
} VmStreamKind;

/* Where a port that carries text goes. */
typedef struct VmStream
{
  VmStreamKind kind;
  char *file; /* VM_STREAM_FILE */
} VmStream;

typedef enum
{
  VM_DISPLAY_NONE,  /* no socket; a client can still be handed over with QMP add_client */
  VM_DISPLAY_SPICE, /* the same, and a listening Unix socket */
  VM_N_DISPLAYS
} VmDisplay;

typedef enum
{
  VM_ACCEL_AUTO,
  VM_ACCEL_KVM,
  VM_ACCEL_TCG,
  VM_N_ACCELS
} VmAccel;

typedef struct VmDiskConfig
{
  char *file;
  VmDiskFormat format; /* always said, never guessed */
  VmDiskBus bus;
  bool readonly;
  char *backing; /* qcow2: the file that it may stand on; NULL: none */
  VmDiskFormat backing_format;
} VmDiskConfig;

/* A port by which a program in the guest talks to who connects to a socket of the host. */
typedef struct VmPortConfig
{
  char *name;
  char *path; /* the Unix socket to listen on */
} VmPortConfig;
#define VM_PORT_AGENT                                                                              \
  "com.redhat.spice.0" /* each machine has it, for the guest's agent of the display */

typedef struct VmConfig
{
  char *name; /* never NULL: "alcove" when not said */
  unsigned cpus;
  CpuTopology
      topology; /* as far as it was said: a part that is 0 was not; see vm_config_get_topology () */
  bool hyperv;  /* the guest may use Hyper-V's interfaces, which Windows is quicker with */
  uint64_t memory_bytes;
  uint32_t vsock_cid; /* 0: no vsock */
  bool overcommit;    /* memory may be more than the host has */
  VmAccel accel;

  VmFirmware firmware;
  char *kernel;             /* VM_FIRMWARE_LINUX: never NULL after validation */
  char *initrd;             /* or NULL */
  char *cmdline;            /* or NULL */
  char *firmware_code;      /* VM_FIRMWARE_UEFI: instead of the distribution's, both or none */
  char *firmware_variables; /* the template of its variables */
  char *nvram;              /* VM_FIRMWARE_UEFI: the machine's own variables; NULL: not kept */
  VmBoot boot;              /* VM_FIRMWARE_UEFI */
  bool boot_menu;           /* the firmware waits for a key that opens its menu */

  VmDiskConfig *disks;
  unsigned n_disks;
  char *cdrom; /* a raw image; "": a drive with nothing in it; NULL: no drive */

  VmNet net;
  VmForward *forwards; /* not of VM_NET_NONE */
  unsigned n_forwards;
  bool net_restricted; /* VM_NET_USER: the guest reaches nothing but those who come by a forward */

  VmStream serial;
  VmStream console; /* virtio; VM_STREAM_NONE: there is none */
  VmPortConfig *ports;
  unsigned n_ports;
  VmDisplay display;
  char *spice_path;   /* VM_DISPLAY_SPICE: the Unix socket to listen on */
  char *control_path; /* the QMP server's Unix socket, or NULL: no control */
} VmConfig;

/* VM_CONFIG_ERROR_USAGE: the user asked for something that is never allowed (exit status 2).
 * VM_CONFIG_ERROR_HOST: this host cannot do it now: a file is missing, unreadable or unfit (exit status 1).
 * Each message is one line: what, the value, what is allowed or what to do. */
#define VM_CONFIG_ERROR (vm_config_error_quark ())
typedef enum
{
  VM_CONFIG_ERROR_USAGE,
  VM_CONFIG_ERROR_HOST
} VmConfigError;
GQuark vm_config_error_quark (void);

/* Defaults: 1 CPU, 1 GiB, direct Linux, no disk, no network, no serial port, no display socket, no control. */
VmConfig *vm_config_new (void);
VmConfig *vm_config_copy (const VmConfig *config);
void vm_config_free (VmConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmConfig, vm_config_free)

/* On virtio, without a backing file; the caller may change that in the entry, which owns the name. */
void vm_config_add_disk (VmConfig *config, const char *file, VmDiskFormat format, bool readonly);
void vm_config_add_port (VmConfig *config, const char *name, const char *path);
void vm_config_add_forward (VmConfig *config, const VmForward *forward);

/* 1 to VM_PORT_NAME_MAX letters, digits and . _ -: the guest makes a file of that name. */
bool vm_port_name_is_good (const char *name);

/* The limits above, and what belongs together. Looks at no file. */
bool vm_config_validate (const VmConfig *config, GError **error);

/* The files that the machine reads are there and fit: a kernel and a disk are regular files (or a raw disk a block device that is not in use), a raw disk is not empty and a multiple
 * of VM_DISK_SECTOR_SIZE, a disk that is not read-only can be written; what it writes and listens on has a folder. A courtesy for good errors: whoever opens a file checks again. */
bool vm_config_check_files (const VmConfig *config, GError **error);

/* Every part, of which cpus is the product: where nothing else was said one socket of cores of one thread. */
CpuTopology vm_config_get_topology (const VmConfig *config);

/* The words of the command line. */
const char *vm_firmware_to_string (VmFirmware firmware);
const char *vm_boot_to_string (VmBoot boot); /* not of VM_BOOT_UNSAID */
bool vm_boot_parse (const char *text, VmBoot *boot);
const char *vm_disk_format_to_string (VmDiskFormat format);
const char *vm_disk_bus_to_string (VmDiskBus bus);
const char *vm_accel_to_string (VmAccel accel);
