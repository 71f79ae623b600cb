#define G_LOG_DOMAIN "vmm-platform"

#include "platform/fw-cfg.h"

#include <string.h>

#include "base/guest-log.h"

/* Theory of operation
 *
 * A file keeps its number for life; one that is removed leaves its number unused. What is selected is held by reference, so that its
 * contents may be replaced while it is read. A read beyond the end gives zeros, as long as the guest likes: by DMA
 * the loop ends with the guest's memory.
 */
#define KEY_SIGNATURE  0x00
#define KEY_ID         0x01
#define KEY_DIRECTORY  0x19
#define KEYS           (FW_CFG_FIRST_FILE + FW_CFG_FILES_MAX)
#define ID_TRADITIONAL 1
#define ID_DMA         2
#define ENTRY_SIZE     64
#define DMA_SIGNATURE  UINT64_C (0x51454d5520434647) /* "QEMU CFG" */

enum
{
  PORT_SELECTOR = 0,
  PORT_DATA = 1,
  PORT_DMA_HIGH = 4,
  PORT_DMA_LOW = 8,

  DMA_ERROR = 1 << 0,
  DMA_READ = 1 << 1,
  DMA_SKIP = 1 << 2,
  DMA_SELECT = 1 << 3,
  DMA_WRITE = 1 << 4,
};

typedef struct Item
{
  char *name; /* a file's; NULL: a numbered item, or not there */
  GBytes *bytes;
  FwCfgSelectFunc selected;
  void *opaque;
} Item;

/* In the guest's memory, big-endian. */
typedef struct DmaAccess
{
  uint32_t control;
  uint32_t length;
  uint64_t address;
} DmaAccess;

struct FwCfg
{
  AddressSpace *ports;
  AddressRange *range;
  const GuestMemory *memory;
  GuestLog log;

  GMutex lock; /* guards all below */
  Item items[KEYS];
  GBytes *current; /* or NULL */
  size_t position; /* in it; never beyond its end */
  uint32_t dma_high;
};

/* --- items --- */

static void
set_bytes (FwCfg *cfg, uint16_t key, GBytes *bytes)
{
  g_mutex_lock (&cfg->lock);
  g_clear_pointer (&cfg->items[key].bytes, g_bytes_unref);
  cfg->items[key].bytes = bytes;
  g_mutex_unlock (&cfg->lock);
}

void
fw_cfg_set_number (FwCfg *cfg, uint16_t key, uint64_t value, unsigned size)
{
  g_return_if_fail (key < FW_CFG_FIRST_FILE && size <= sizeof value);
  value = GUINT64_TO_LE (value);
  set_bytes (cfg, key, g_bytes_new (&value, size));
}

/* name NULL: a free number. KEYS: none. */
static uint16_t
find_file (const FwCfg *cfg, const char *name)
{
  uint16_t key = FW_CFG_FIRST_FILE;

  while (key < KEYS && g_strcmp0 (cfg->items[key].name, name) != 0)
    key++;
  return key;
}

void
fw_cfg_set_file (FwCfg *cfg, const char *name, GBytes *bytes)
{
  uint16_t key = find_file (cfg, name);

  if (key == KEYS)
    key = find_file (cfg, NULL);
  g_return_if_fail (key < KEYS && strlen (name) <= FW_CFG_NAME_MAX);
  if (!cfg->items[key].name)
    cfg->items[key].name = g_strdup (name);
  set_bytes (cfg, key, bytes);
}

static void
clear_item (Item *item)
{
  g_free (item->name);
  g_clear_pointer (&item->bytes, g_bytes_unref);
  *item = (Item){ 0 };
}

void
fw_cfg_remove_file (FwCfg *cfg, const char *name)
{
  uint16_t key = find_file (cfg, name);

  g_mutex_lock (&cfg->lock);
  if (key < KEYS)
    clear_item (&cfg->items[key]);
  g_mutex_unlock (&cfg->lock);
}

void
fw_cfg_set_select_func (FwCfg *cfg, const char *name, FwCfgSelectFunc func, void *opaque)
{
  uint16_t key = find_file (cfg, name);

  g_return_if_fail (key < KEYS);
  cfg->items[key].selected = func;
  cfg->items[key].opaque = opaque;
}

static void
put_be (uint8_t *to, unsigned size, uint64_t value)
{
  for (unsigned i = 0; i < size; i++)
    to[i] = (uint8_t) (value >> (8 * (size - 1 - i)));
}

/* Lock held. */
static GBytes *
make_directory (const FwCfg *cfg)
{
  uint8_t *directory = g_malloc0 (4 + FW_CFG_FILES_MAX * ENTRY_SIZE);
  unsigned n = 0;

  for (uint16_t key = FW_CFG_FIRST_FILE; key < KEYS; key++)
    if (cfg->items[key].name)
      {
        uint8_t *entry = directory + 4 + n++ * ENTRY_SIZE;

        put_be (entry, 4, g_bytes_get_size (cfg->items[key].bytes));
        put_be (entry + 4, 2, key);
        g_strlcpy ((char *) entry + 8, cfg->items[key].name, FW_CFG_NAME_MAX + 1);
      }
  put_be (directory, 4, n);
  return g_bytes_new_take (directory, 4 + n * ENTRY_SIZE);
}

/* --- what the guest does --- */

static void
select_item (FwCfg *cfg, uint16_t key)
{
  Item item = { 0 };

  g_mutex_lock (&cfg->lock);
  if (key < KEYS)
    item = cfg->items[key];
  g_mutex_unlock (&cfg->lock);
  if (item.selected)
    item.selected (item.opaque);

  g_mutex_lock (&cfg->lock);
  g_clear_pointer (&cfg->current, g_bytes_unref);
  cfg->position = 0;
  if (key == KEY_DIRECTORY)
    cfg->current = make_directory (cfg);
  else if (key < KEYS && cfg->items[key].bytes)
    cfg->current = g_bytes_ref (cfg->items[key].bytes);
  g_mutex_unlock (&cfg->lock);
}

/* The next bytes of the selected item, at most size; *bytes stays valid while the caller holds the return value. */
static GBytes *
advance (FwCfg *cfg, size_t size, const uint8_t **bytes, size_t *n)
{
  GBytes *current = NULL;

  *n = 0;
  g_mutex_lock (&cfg->lock);
  if (cfg->current)
    {
      size_t all;

      current = g_bytes_ref (cfg->current);
      *bytes = g_bytes_get_data (current, &all);
      *bytes += cfg->position;
      *n = MIN (size, all - cfg->position);
      cfg->position += *n;
    }
  g_mutex_unlock (&cfg->lock);
  return current;
}

static bool
fill_zero (const FwCfg *cfg, uint64_t gpa, uint32_t size)
{
  static const uint8_t zeros[4096];

  for (uint32_t done = 0, piece; done < size; done += piece)
    {
      piece = MIN (size - done, (uint32_t) sizeof zeros);
      if (gpa + done < gpa || !guest_memory_write (cfg->memory, gpa + done, zeros, piece))
        return false;
    }
  return true;
}

static bool
dma_read (FwCfg *cfg, const DmaAccess *access)
{
  const uint8_t *bytes = NULL;
  size_t n;
  g_autoptr (GBytes) held = advance (cfg, access->length, &bytes, &n);

  if (n > 0 && !guest_memory_write (cfg->memory, access->address, bytes, n))
    return false;
  return n == access->length ||
         (access->address + n >= access->address &&
          fill_zero (cfg, access->address + n, access->length - (uint32_t) n));
}

static bool
carry_out (FwCfg *cfg, const DmaAccess *access)
{
  if (access->control & DMA_SELECT)
    select_item (cfg, access->control >> 16);
  if (access->control & DMA_READ)
    return dma_read (cfg, access);
  if (access->control & DMA_WRITE)
    return false;
  if (access->control & DMA_SKIP)
    {
      const uint8_t *bytes;
      size_t n;
      g_autoptr (GBytes) held = advance (cfg, access->length, &bytes, &n);
    }
  return true;
}

static void
dma (FwCfg *cfg, uint64_t gpa)
{
  DmaAccess access;

  if (!guest_memory_read (cfg->memory, gpa, &access, sizeof access))
    {
      guest_log (&cfg->log, "DMA descriptor at 0x%" G_GINT64_MODIFIER "x is not in RAM", gpa);
      return;
    }
  access.control = GUINT32_FROM_BE (access.control);
  access.length = GUINT32_FROM_BE (access.length);
  access.address = GUINT64_FROM_BE (access.address);
  uint32_t result = GUINT32_TO_BE (carry_out (cfg, &access) ? 0u : (uint32_t) DMA_ERROR);
  if (result)
    guest_log (&cfg->log, "DMA 0x%x of %u bytes at 0x%" G_GINT64_MODIFIER "x is refused",
               access.control, access.length, access.address);
  guest_memory_write (cfg->memory, gpa, &result, sizeof result);
}

static uint64_t
cfg_read (void *opaque, uint64_t offset, unsigned size)
{
  FwCfg *cfg = opaque;
  const uint8_t *bytes = NULL;
  size_t n;

  if (size == 4 && (offset == PORT_DMA_HIGH || offset == PORT_DMA_LOW))
    return GUINT32_SWAP_LE_BE ((uint32_t) (DMA_SIGNATURE >> (offset == PORT_DMA_HIGH ? 32 : 0)));
  if (offset != PORT_DATA || size != 1)
    return UINT64_MAX;
  g_autoptr (GBytes) held = advance (cfg, 1, &bytes, &n);
  return n > 0 ? *bytes : 0;
}

static void
cfg_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  FwCfg *cfg = opaque;
  uint32_t swapped = GUINT32_SWAP_LE_BE ((uint32_t) value);

  if (offset == PORT_SELECTOR && size == 2)
    select_item (cfg, (uint16_t) value);
  else if (offset == PORT_DMA_HIGH && size == 4)
    {
      g_mutex_lock (&cfg->lock);
      cfg->dma_high = swapped;
      g_mutex_unlock (&cfg->lock);
    }
  else if (offset == PORT_DMA_LOW && size == 4)
    {
      g_mutex_lock (&cfg->lock);
      uint64_t gpa = (uint64_t) cfg->dma_high << 32 | swapped;
      cfg->dma_high = 0;
      g_mutex_unlock (&cfg->lock);
      dma (cfg, gpa);
    }
}

static const AddressOps cfg_ops = { .read = cfg_read, .write = cfg_write };

void
fw_cfg_reset (FwCfg *cfg)
{
  g_mutex_lock (&cfg->lock);
  g_clear_pointer (&cfg->current, g_bytes_unref);
  cfg->position = 0;
  cfg->dma_high = 0;
  g_mutex_unlock (&cfg->lock);
}

FwCfg *
fw_cfg_new (AddressSpace *ports, const GuestMemory *memory)
{
  FwCfg *cfg = g_new0 (FwCfg, 1);

  cfg->ports = ports;
  cfg->memory = memory;
  guest_log_init (&cfg->log, "fw_cfg");
  g_mutex_init (&cfg->lock);
  set_bytes (cfg, KEY_SIGNATURE, g_bytes_new_static ("QEMU", 4));
  fw_cfg_set_number (cfg, KEY_ID, ID_TRADITIONAL | ID_DMA, 4);
  cfg->range = address_space_add (ports, "fw_cfg", FW_CFG_PORT, FW_CFG_PORTS, &cfg_ops, cfg);
  return cfg;
}

void
fw_cfg_free (FwCfg *cfg)
{
  if (!cfg)
    return;
  address_space_remove (cfg->ports, cfg->range);
  for (unsigned key = 0; key < KEYS; key++)
    clear_item (&cfg->items[key]);
  g_clear_pointer (&cfg->current, g_bytes_unref);
  g_mutex_clear (&cfg->lock);
  g_free (cfg);
}
