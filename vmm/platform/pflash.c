#define G_LOG_DOMAIN "vmm-platform"

#include "platform/pflash.h"

#include <string.h>

#include "base/guest-log.h"

/* Theory of operation
 *
 * A chip that is in a mode other than "read array" answers reads with its status. Were that kept to the letter, each byte that is programmed would
 * take the contents out of guest-physical space and put them back. So they stay there, as read-only
 * memory, until the guest asks for the status expressly (0x70), and come back with "read array" (0xff): a program that
 * writes without looking, as firmware does, costs two exits a byte. Programming ends at once, so that one that looks finds it ended.
 *
 * Bytes that are programmed one behind the other are stored together, when the next command is another one: firmware ends each write
 * with "read array".
 *
 * The status is 0 from "clear status" on, not "ready": that is how firmware tells flash from RAM (and QEMU's answer).
 */
enum
{
  COMMAND_PROGRAM = 0x10,
  COMMAND_ERASE = 0x20,
  COMMAND_PROGRAM_TOO = 0x40,
  COMMAND_CLEAR_STATUS = 0x50,
  COMMAND_READ_STATUS = 0x70,
  COMMAND_CONFIRM = 0xd0,
  COMMAND_READ_ARRAY = 0xff,

  STATUS_PROGRAM_ERROR = 1 << 4,
  STATUS_ERASE_ERROR = 1 << 5,
  STATUS_READY = 1 << 7,
};

typedef enum
{
  NEXT_COMMAND,
  NEXT_DATA,    /* of a program command */
  NEXT_CONFIRM, /* of an erase command */
} Next;

struct Pflash
{
  PflashConfig config;
  AddressSpace *mmio;
  AddressRange *range;
  MemorySlots slots;
  GuestLog log;

  GMutex lock; /* guards all below, and the contents against other writers */
  int slot;    /* -1: reads come here */
  Next next;
  bool shows_status;
  uint8_t status;
  size_t pending_start; /* programmed, not stored yet */
  size_t pending_end;
};

/* Lock held. Where the guest has put something else in the place meanwhile, reads go on coming here. */
static void
show_contents (Pflash *flash)
{
  g_autoptr (GError) error = NULL;

  flash->shows_status = false;
  if (flash->slot >= 0 || !flash->slots.ops)
    return;
  flash->slot =
      flash->slots.ops->map (flash->slots.opaque, flash->config.gpa, flash->config.contents,
                             flash->config.size, true, false, &error);
  if (flash->slot < 0)
    guest_log (&flash->log, "the flash is read by exits: %s", error->message);
}

static void
show_status (Pflash *flash)
{
  flash->shows_status = true;
  if (flash->slot >= 0)
    flash->slots.ops->unmap (flash->slots.opaque, flash->slot);
  flash->slot = -1;
}

static bool
store (Pflash *flash, size_t offset, size_t size)
{
  return !flash->config.store || flash->config.store (flash->config.opaque, offset, size);
}

static void
store_pending (Pflash *flash)
{
  if (flash->pending_end > flash->pending_start &&
      !store (flash, flash->pending_start, flash->pending_end - flash->pending_start))
    flash->status |= STATUS_PROGRAM_ERROR;
  flash->pending_start = flash->pending_end = 0;
}

/* Programming clears bits; only erasing sets them. */
static void
program (Pflash *flash, size_t offset, unsigned size, uint64_t value)
{
  if (offset != flash->pending_end)
    {
      store_pending (flash);
      flash->pending_start = offset;
    }
  flash->pending_end = offset + size;
  for (unsigned i = 0; i < size; i++)
    flash->config.contents[offset + i] &= (uint8_t) (value >> (8 * i));
  flash->status |= STATUS_READY;
}

static void
erase (Pflash *flash, size_t offset)
{
  const size_t start = offset & ~(size_t) (PFLASH_BLOCK - 1);

  memset (flash->config.contents + start, 0xff, PFLASH_BLOCK);
  flash->status |= STATUS_READY;
  if (!store (flash, start, PFLASH_BLOCK))
    flash->status |= STATUS_ERASE_ERROR;
}

static void
begin_command (Pflash *flash, uint8_t command)
{
  if (command != COMMAND_PROGRAM && command != COMMAND_PROGRAM_TOO)
    store_pending (flash);
  switch (command)
    {
    case COMMAND_PROGRAM:
    case COMMAND_PROGRAM_TOO:
      flash->next = NEXT_DATA;
      break;
    case COMMAND_ERASE:
      flash->next = NEXT_CONFIRM;
      break;
    case COMMAND_CLEAR_STATUS:
      flash->status = 0;
      break;
    case COMMAND_READ_STATUS:
      show_status (flash);
      break;
    case COMMAND_CONFIRM: /* also "resume", of what was not suspended */
      break;
    default:
      guest_log (&flash->log, "command 0x%02x is not known", command);
      G_GNUC_FALLTHROUGH;
    case COMMAND_READ_ARRAY:
      show_contents (flash);
    }
}

static void
flash_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Pflash *flash = opaque;

  g_mutex_lock (&flash->lock);
  Next next = flash->next;
  flash->next = NEXT_COMMAND;
  if (next == NEXT_DATA)
    program (flash, (size_t) offset, size, value);
  else if (next == NEXT_COMMAND)
    begin_command (flash, (uint8_t) value);
  else if ((uint8_t) value == COMMAND_CONFIRM)
    erase (flash, (size_t) offset);
  else
    flash->status |= STATUS_READY | STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR;
  g_mutex_unlock (&flash->lock);
}

static uint64_t
flash_read (void *opaque, uint64_t offset, unsigned size)
{
  Pflash *flash = opaque;
  uint64_t value = 0;

  g_mutex_lock (&flash->lock);
  for (unsigned i = 0; i < size; i++)
    value |= (uint64_t) (flash->shows_status ? flash->status : flash->config.contents[offset + i])
             << (8 * i);
  g_mutex_unlock (&flash->lock);
  return value;
}

static const AddressOps flash_ops = { .read = flash_read, .write = flash_write };

void
pflash_reset (Pflash *flash)
{
  g_mutex_lock (&flash->lock);
  store_pending (flash);
  flash->next = NEXT_COMMAND;
  flash->status = 0;
  show_contents (flash);
  g_mutex_unlock (&flash->lock);
}

Pflash *
pflash_new (AddressSpace *mmio, MemorySlots slots, const PflashConfig *config, GError **error)
{
  int slot = -1;

  g_return_val_if_fail (config->size > 0 && config->size % PFLASH_BLOCK == 0, NULL);
  if (slots.ops)
    {
      slot = slots.ops->map (slots.opaque, config->gpa, config->contents, config->size, true, false,
                             error);
      if (slot < 0)
        return NULL;
    }
  Pflash *flash = g_new0 (Pflash, 1);
  flash->config = *config;
  flash->mmio = mmio;
  flash->slots = slots;
  flash->slot = slot;
  guest_log_init (&flash->log, "pflash");
  g_mutex_init (&flash->lock);
  flash->range = address_space_add (mmio, "pflash", config->gpa, config->size, &flash_ops, flash);
  return flash;
}

void
pflash_free (Pflash *flash)
{
  if (!flash)
    return;
  address_space_remove (flash->mmio, flash->range);
  store_pending (flash);
  if (flash->slot >= 0)
    flash->slots.ops->unmap (flash->slots.opaque, flash->slot);
  g_mutex_clear (&flash->lock);
  g_free (flash);
}
