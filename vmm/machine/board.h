#pragma once

#include <stdbool.h>
#include <glib.h>

#include "config/vm-config.h"
#include "net/net-user.h"
#include "platform/cd-drive.h"
#include "platform/platform-request.h"
#include "ports/char-port.h"
#include "ports/input-port.h"
#include "ports/scanout-port.h"
#include "virtio/virtio-balloon.h"

/* The hardware of one machine, put together and connected: memory, KVM, devices and what is in memory at the first
 * instruction. What it does when is machine.c's affair.
 *
 * Thread: main.
 */
typedef struct Board Board;

/* A disk cannot go on; its requests are kept. */
typedef struct BoardDiskError
{
  unsigned index;
  bool is_write;
  bool nospace;       /* the host's file system is full */
  const char *reason; /* one line */
} BoardDiskError;

typedef struct BoardConfig
{
  const VmConfig *vm; /* borrowed for the board's life */
  PlatformRequestSink sink;
  /* See KvmVmConfig.stopped: on a vCPU's thread. failure: one line; crashed: by the guest, not by the host. */
  void (*stopped) (void *opaque, bool crashed, const char *failure);
  /* See CdDriveConfig.tray_moved. */
  void (*tray_moved) (void *opaque, bool is_open);
  /* The machine is to be paused; board_resume () makes the disk try again. Any thread. */
  void (*disk_failed) (void *opaque, const BoardDiskError *error);
  void (*balloon_changed) (void *opaque); /* see virtio_balloon_new () */
  void *opaque;
} BoardConfig;

/* Opens every file and device. Errors name the option. board_power_on () before the vCPUs first run. */
Board *board_new (const BoardConfig *config, GError **error);
/* Stops the vCPUs. */
void board_free (Board *board);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Board, board_free)

/* Paused only: all of the hardware to its first state, kernel and tables into memory, vCPUs to the first instruction. */
bool board_power_on (Board *board, GError **error);

/* Of UEFI firmware, from the next power-on on. */
bool board_set_boot (Board *board, VmBoot first, bool menu, GError **error);

/* Error: a disk cannot go on; nothing runs then. */
bool board_resume (Board *board, GError **error);
/* Bytes that the guest sees of a disk; 0: as many as its file has. */
uint64_t board_get_disk_size (const Board *board, unsigned index);
void board_request_pause (Board *board); /* any thread */
void board_pause (Board *board);
void board_press_power_button (Board *board);

/* Borrowed: where a front looks and types. */
#define BOARD_GPU_SLOT    1
#define BOARD_GPU_ADDRESS "pci/0000/01.0" /* as SPICE names it */
ScanoutPort *board_get_scanout (const Board *board);
InputPort *board_get_input (const Board *board);
CharPort *board_get_agent (const Board *board);
/* Borrowed; NULL: there is no such drive. */
CdDrive *board_get_cdrom (const Board *board);
/* Borrowed; NULL: the machine has none. */
NetUser *board_get_net_user (const Board *board);
VirtioBalloon *board_get_balloon (const Board *board);
