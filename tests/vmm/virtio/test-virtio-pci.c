#include <string.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "../pci/fake-host.h"
#include "virtio/virtio-device-private.h"
#include "virtio/virtio-pci.h"

/* A device that counts, in a machine that remembers (fake-host.h). Registers are reached as a guest does: through the BAR, or through
 * the window in config space. */
#define RAM         (1u << 20)
#define SLOT        3
#define DEVFN       (SLOT << 3)
#define QUEUES      3
#define QUEUE_SIZE  16
#define ISR         0x1000
#define DEVICE      0x2000
#define NOTIFY      0x3000
#define MSIX        0x4000
#define BAR_SIZE    0x8000
#define REGION      0x1000
#define COMMON_SIZE 0x38
#define RING(i)     (UINT64_C (0x10000) * (1 + (i)))
#define DOORBELL(i) (pci_device_get_bar_address (f->pci_device, VIRTIO_PCI_BAR) + NOTIFY + 4 * (i))
#define ALL_ACCEPTED                                                                               \
  (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

typedef struct Fixture
{
  FakeHost *fake;
  PciBus *bus;
  GuestMemory *memory;
  VirtioDevice *device;
  VirtioPci *pci;
  PciDevice *pci_device;
  unsigned notified[QUEUES];
  unsigned irqfd_changes;
  unsigned config_accesses;
  bool serves; /* writes into every buffer that it is given */
  VirtqueueElement element;
  uint8_t config[8];
} Fixture;

static void
notify (void *opaque, unsigned index)
{
  Fixture *f = opaque;
  Virtqueue *queue = virtio_device_get_queue (f->device, index);

  f->notified[index]++;
  while (f->serves && virtqueue_pop (queue, &f->element))
    {
      for (unsigned i = 0; i < f->element.n_in; i++)
        memset (f->element.in[i].iov_base, 0, f->element.in[i].iov_len);
      virtqueue_push (queue, &f->element, (uint32_t) f->element.in_bytes);
    }
}

static void
irqfd_changed (void *opaque, unsigned index)
{
  Fixture *f = opaque;

  f->irqfd_changes++;
}

static void
config_read (void *opaque, uint32_t offset, void *buffer, uint32_t size)
{
  Fixture *f = opaque;

  f->config_accesses++;
  memcpy (buffer, f->config + offset, size);
}

static void
config_write (void *opaque, uint32_t offset, const void *buffer, uint32_t size)
{
  Fixture *f = opaque;

  f->config_accesses++;
  memcpy (f->config + offset, buffer, size);
}

static void
reset (void *opaque)
{
}

static const VirtioDeviceType type = {
  .name = "counter",
  .id = 63,
  .max_queues = QUEUES,
  .queue_size = QUEUE_SIZE,
  .config_read = config_read,
  .config_write = config_write,
  .notify = notify,
  .irqfd_changed = irqfd_changed,
  .reset = reset,
};

static const PciWindows windows = { .mmio32 = { 0xc0000000, 0x1000000 }, .io = { 0xc000, 0x1000 } };

static void
setup (Fixture *f, gconstpointer n_queues)
{
  f->fake = fake_host_new ();
  f->bus = pci_bus_new (&f->fake->host);
  f->memory = guest_memory_new (RAM, RAM, 2 * RAM, NULL);
  f->device = virtio_device_new (&type, f, GPOINTER_TO_UINT (n_queues), sizeof f->config,
                                 type.features, f->memory, NULL);
  f->pci = virtio_pci_new (f->device, NULL);
  f->pci_device = virtio_pci_get_pci_device (f->pci);
  g_assert_true (pci_bus_add (f->bus, f->pci_device, SLOT, 0, NULL));
  g_assert_true (pci_bus_assign_resources (f->bus, &windows, NULL));
  pci_bus_config_write (f->bus, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  virtio_pci_free (f->pci);
  virtio_device_free (f->device);
  virtqueue_element_clear (&f->element);
  pci_bus_free (f->bus);
  fake_host_free (f->fake);
  guest_memory_free (f->memory);
}

static uint64_t
get (Fixture *f, unsigned offset, unsigned size)
{
  const uint64_t bar = pci_device_get_bar_address (f->pci_device, VIRTIO_PCI_BAR);

  return address_space_read (f->fake->mmio, bar + offset, size);
}

static void
set (Fixture *f, unsigned offset, unsigned size, uint64_t value)
{
  const uint64_t bar = pci_device_get_bar_address (f->pci_device, VIRTIO_PCI_BAR);

  address_space_write (f->fake->mmio, bar + offset, size, value);
}

static void
run (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
accept_features (Fixture *f)
{
  set (f, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
  set (f, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
  set (f, VIRTIO_PCI_COMMON_GF, 4, 1u << (VIRTIO_F_VERSION_1 - 32));
  set (f, VIRTIO_PCI_COMMON_STATUS, 1, ALL_ACCEPTED);
  g_assert_cmphex (get (f, VIRTIO_PCI_COMMON_STATUS, 1), ==, ALL_ACCEPTED);
}

static void
enable_queue (Fixture *f, unsigned index)
{
  set (f, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
  set (f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, RING (index));
  set (f, VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0);
  set (f, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, RING (index) + 0x1000);
  set (f, VIRTIO_PCI_COMMON_Q_USEDLO, 8, RING (index) + 0x2000);
  set (f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

/* Every queue but the last of several. */
static void
start (Fixture *f)
{
  const unsigned n = virtio_device_get_n_queues (f->device);

  accept_features (f);
  for (unsigned i = 0; i < MAX (n - 1, 1); i++)
    enable_queue (f, i);
  set (f, VIRTIO_PCI_COMMON_STATUS, 1, ALL_ACCEPTED | VIRTIO_CONFIG_S_DRIVER_OK);
  run ();
  memset (f->notified, 0, sizeof f->notified);
}

static bool
has_doorbell (Fixture *f, unsigned index)
{
  const FakeDoorbell *bell = fake_host_find_doorbell (f->fake, DOORBELL (index));

  return bell && bell->eventfd == virtio_device_get_queue_eventfd (f->device, index);
}

/* The offset of a capability of the given virtio type in config space. */
static unsigned
find_capability (Fixture *f, uint8_t wanted)
{
  unsigned at = pci_bus_config_read (f->bus, DEVFN, PCI_CAPABILITY_LIST, 1) & 0xff;

  while (at != 0)
    {
      if ((pci_bus_config_read (f->bus, DEVFN, at, 1) & 0xff) == PCI_CAP_ID_VNDR &&
          (pci_bus_config_read (f->bus, DEVFN, at + 3, 1) & 0xff) == wanted)
        return at;
      at = pci_bus_config_read (f->bus, DEVFN, at + 1, 1) & 0xff;
    }
  return 0;
}

static void
test_regions (Fixture *f, gconstpointer data)
{
  static const struct
  {
    uint8_t kind;
    uint32_t offset;
    uint32_t length;
  } regions[] = {
    { VIRTIO_PCI_CAP_COMMON_CFG, 0, COMMON_SIZE },
    { VIRTIO_PCI_CAP_ISR_CFG, ISR, 1 },
    { VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE, 8 },
    { VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY, 4 * QUEUES },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (regions); i++)
    {
      const unsigned at = find_capability (f, regions[i].kind);

      g_assert_cmpuint (at, !=, 0);
      g_assert_cmpuint (pci_bus_config_read (f->bus, DEVFN, at + 4, 1) & 0xff, ==, VIRTIO_PCI_BAR);
      g_assert_cmphex ((uint32_t) pci_bus_config_read (f->bus, DEVFN, at + 8, 4), ==,
                       regions[i].offset);
      g_assert_cmphex ((uint32_t) pci_bus_config_read (f->bus, DEVFN, at + 12, 4), ==,
                       regions[i].length);
    }
  g_assert_cmpuint (get (f, VIRTIO_PCI_COMMON_NUMQ, 2), ==, QUEUES);
  set (f, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
  g_assert_true (get (f, VIRTIO_PCI_COMMON_DF, 4) & 1u << (VIRTIO_F_VERSION_1 - 32));
}

/* One for each queue that is enabled while the device is live; they go with the device's life and move with the BAR. */
static void
test_doorbells (Fixture *f, gconstpointer data)
{
  accept_features (f);
  enable_queue (f, 0);
  enable_queue (f, 2);
  g_assert_cmpuint (fake_host_count_doorbells (f->fake), ==, 0);
  set (f, VIRTIO_PCI_COMMON_STATUS, 1, ALL_ACCEPTED | VIRTIO_CONFIG_S_DRIVER_OK);
  g_assert_cmpuint (fake_host_count_doorbells (f->fake), ==, 2);
  g_assert_true (has_doorbell (f, 0));
  g_assert_true (has_doorbell (f, 2));
  g_assert_false (has_doorbell (f, 1));

  pci_bus_config_write (f->bus, DEVFN, PCI_BASE_ADDRESS_4, 4, 0xd0000000);
  g_assert_cmphex (DOORBELL (0), ==, 0xd0000000 + NOTIFY);
  g_assert_true (has_doorbell (f, 0));
  g_assert_true (has_doorbell (f, 2));
  g_assert_cmpuint (fake_host_count_doorbells (f->fake), ==, 2);
  pci_bus_config_write (f->bus, DEVFN, PCI_COMMAND, 2, 0);
  g_assert_cmpuint (fake_host_count_doorbells (f->fake), ==, 0);
  pci_bus_config_write (f->bus, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
  g_assert_cmpuint (fake_host_count_doorbells (f->fake), ==, 2);

  set (f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
  g_assert_cmpuint (fake_host_count_doorbells (f->fake), ==, 0);
  start (f);
  g_assert_true (has_doorbell (f, 0));
  g_assert_true (has_doorbell (f, 1));
  pci_bus_reset (f->bus);
  g_assert_cmpuint (fake_host_count_doorbells (f->fake), ==, 0);
}

/* A machine without doorbells: the write reaches the registers, and the queue all the same. */
static void
test_notify (Fixture *f, gconstpointer data)
{
  start (f);
  set (f, NOTIFY + 4, 2, 1);
  run ();
  g_assert_cmpuint (f->notified[0], ==, 0);
  g_assert_cmpuint (f->notified[1], ==, 1);
}

/* Of one queue, the whole page of notifications: all but the first address are nobody's. */
static void
test_notify_anywhere (Fixture *f, gconstpointer data)
{
  start (f);
  for (unsigned offset = 4; offset < REGION; offset += 4)
    set (f, NOTIFY + offset, 2, 0);
  run ();
  g_assert_cmpuint (f->notified[0], ==, 0);
  set (f, NOTIFY, 8, UINT64_MAX);
  run ();
  g_assert_cmpuint (f->notified[0], ==, 1);
  g_assert_cmphex (get (f, VIRTIO_PCI_COMMON_STATUS, 1), ==,
                   ALL_ACCEPTED | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void
read_common (Fixture *f, uint8_t *bytes)
{
  for (unsigned i = 0; i < COMMON_SIZE; i++)
    bytes[i] = get (f, i, 1);
}

/* A queue that does not exist: every register of it reads as nothing and takes nothing. */
static void
test_queue_select (Fixture *f, gconstpointer data)
{
  static const uint16_t selects[] = { QUEUES, QUEUES + 1, 0x7fff, 0xffff };
  uint8_t before[COMMON_SIZE], after[COMMON_SIZE];

  accept_features (f);
  enable_queue (f, 0);
  read_common (f, before);
  for (unsigned i = 0; i < G_N_ELEMENTS (selects); i++)
    {
      set (f, VIRTIO_PCI_COMMON_Q_SELECT, 2, selects[i]);
      g_assert_cmphex (get (f, VIRTIO_PCI_COMMON_Q_SELECT, 2), ==, selects[i]);
      g_assert_cmphex (get (f, VIRTIO_PCI_COMMON_Q_SIZE, 2), ==, 0);
      for (unsigned at = VIRTIO_PCI_COMMON_Q_SIZE; at < COMMON_SIZE; at += 2)
        set (f, at, at < VIRTIO_PCI_COMMON_Q_DESCLO ? 2 : 4, 1);
      for (unsigned at = VIRTIO_PCI_COMMON_Q_SIZE; at < COMMON_SIZE; at += 2)
        g_assert_cmphex (get (f, at, 2), ==, at == VIRTIO_PCI_COMMON_Q_MSIX ? 0xffff : 0);
      set (f, VIRTIO_PCI_COMMON_Q_DESCLO, 8, UINT64_MAX);
    }
  set (f, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
  read_common (f, after);
  g_assert_cmpmem (after, COMMON_SIZE, before, COMMON_SIZE);
}

/* Once a queue is enabled, and once the device is live, its registers are what they were. */
static void
test_registers_after_enable (Fixture *f, gconstpointer data)
{
  uint8_t before[COMMON_SIZE], after[COMMON_SIZE];

  accept_features (f);
  for (unsigned round = 0; round < 2; round++)
    {
      if (round == 0)
        enable_queue (f, 0);
      else
        set (f, VIRTIO_PCI_COMMON_STATUS, 1, ALL_ACCEPTED | VIRTIO_CONFIG_S_DRIVER_OK);
      read_common (f, before);
      set (f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
      set (f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
      for (unsigned at = VIRTIO_PCI_COMMON_Q_DESCLO; at < COMMON_SIZE; at += 4)
        set (f, at, 4, 0xfffff000);
      read_common (f, after);
      g_assert_cmpmem (after, COMMON_SIZE, before, COMMON_SIZE);
    }
  /* One that was left out is too late. */
  set (f, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
  set (f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
  g_assert_cmpuint (get (f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), ==, 0);
  g_assert_cmpuint (fake_host_count_doorbells (f->fake), ==, 1);
}

/* 4.1.5.1.2: what cannot be had reads back as none. */
static void
test_vectors_out_of_range (Fixture *f, gconstpointer data)
{
  static const unsigned registers[] = { VIRTIO_PCI_COMMON_MSIX, VIRTIO_PCI_COMMON_Q_MSIX };
  static const uint16_t beyond[] = { QUEUES + 1, QUEUES + 2, 0x100, 0x7fff, 0xfffe, 0xffff };

  for (unsigned i = 0; i < G_N_ELEMENTS (registers); i++)
    {
      g_assert_cmphex (get (f, registers[i], 2), ==, 0xffff);
      for (unsigned n = 0; n < G_N_ELEMENTS (beyond); n++)
        {
          set (f, registers[i], 2, QUEUES);
          g_assert_cmphex (get (f, registers[i], 2), ==, QUEUES);
          set (f, registers[i], 2, beyond[n]);
          g_assert_cmphex (get (f, registers[i], 2), ==, 0xffff);
        }
    }
}

/* A read of any width is made of its bytes; a write that is not one register wide changes nothing. */
static void
test_common_any_width (Fixture *f, gconstpointer data)
{
  uint8_t bytes[COMMON_SIZE], after[COMMON_SIZE];

  accept_features (f);
  enable_queue (f, 1);
  read_common (f, bytes);
  for (unsigned size = 2; size <= 8; size *= 2)
    for (unsigned at = 0; at < 2 * COMMON_SIZE; at++)
      {
        const uint64_t value = get (f, at, size);

        for (unsigned i = 0; i < size; i++)
          g_assert_cmphex (value >> (8 * i) & 0xff, ==, at + i < COMMON_SIZE ? bytes[at + i] : 0);
      }
  for (unsigned at = 0; at < COMMON_SIZE; at++)
    {
      /* Every 2-byte register is at an address that divides by 2 and every 4-byte one by 4; status is the only byte. */
      if (at != VIRTIO_PCI_COMMON_STATUS)
        set (f, at, 1, 0x5a);
      set (f, at | 1, 2, 0x5a5a);
      set (f, at | 1, 4, 0x5a5a5a5a);
      set (f, at | 1, 8, UINT64_MAX);
    }
  for (unsigned at = VIRTIO_PCI_COMMON_MSIX; at < VIRTIO_PCI_COMMON_Q_DESCLO; at += 4)
    set (f, at, 4, UINT32_MAX);
  for (unsigned at = COMMON_SIZE; at < REGION; at += 4)
    set (f, at, 4, UINT32_MAX);
  read_common (f, after);
  g_assert_cmpmem (after, COMMON_SIZE, bytes, COMMON_SIZE);
}

static void
enable_msix (Fixture *f)
{
  unsigned at = pci_bus_config_read (f->bus, DEVFN, PCI_CAPABILITY_LIST, 1) & 0xff;

  while ((pci_bus_config_read (f->bus, DEVFN, at, 1) & 0xff) != PCI_CAP_ID_MSIX)
    at = pci_bus_config_read (f->bus, DEVFN, at + 1, 1) & 0xff;
  pci_bus_config_write (f->bus, DEVFN, at + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
  for (unsigned i = 0; i <= QUEUES; i++)
    {
      set (f, MSIX + 16 * i, 8, 0xfee00000);
      set (f, MSIX + 16 * i + 8, 4, 0x40 + i);
      set (f, MSIX + 16 * i + 12, 4, 0);
    }
}

static bool
take_signal (Fixture *f, unsigned vector)
{
  uint64_t count;

  return read (pci_device_get_msix_eventfd (f->pci_device, vector), &count, sizeof count) > 0;
}

static int
get_irqfd (Fixture *f, unsigned queue)
{
  virtio_device_lock (f->device);
  const int fd = virtio_device_get_queue_irqfd (f->device, queue);
  virtio_device_unlock (f->device);
  return fd;
}

/* Each queue has the eventfd of its vector, with a route of its own to the message that the driver wrote. */
static void
test_irqfds (Fixture *f, gconstpointer data)
{
  enable_msix (f);
  for (unsigned i = 0; i <= QUEUES; i++)
    {
      const FakeRoute *route =
          fake_host_find_route (f->fake, pci_device_get_msix_eventfd (f->pci_device, i));

      g_assert_nonnull (route);
      g_assert_true (route->open);
      g_assert_cmphex (route->message.data, ==, 0x40 + i);
    }
  set (f, VIRTIO_PCI_COMMON_MSIX, 2, 0);
  for (unsigned i = 0; i < 2; i++)
    {
      set (f, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
      set (f, VIRTIO_PCI_COMMON_Q_MSIX, 2, i + 1);
    }
  start (f);
  g_assert_cmpint (get_irqfd (f, 0), ==, pci_device_get_msix_eventfd (f->pci_device, 1));
  g_assert_cmpint (get_irqfd (f, 1), ==, pci_device_get_msix_eventfd (f->pci_device, 2));
  g_assert_cmpint (get_irqfd (f, 2), ==, -1);
  virtio_device_lock (f->device);
  virtio_device_interrupt_queue (f->device, 1);
  g_assert_true (take_signal (f, 2));
  virtio_device_signal_config (f->device);
  g_assert_true (take_signal (f, 0));
  g_assert_false (take_signal (f, 1) || take_signal (f, 2));
  virtio_device_unlock (f->device);
  /* As a kernel does that moves interrupts together. */
  set (f, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
  set (f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
  g_assert_cmpuint (f->irqfd_changes, ==, 1);
  g_assert_cmpint (get_irqfd (f, 1), ==, pci_device_get_msix_eventfd (f->pci_device, 1));
  set (f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
  g_assert_cmphex (get (f, VIRTIO_PCI_COMMON_Q_MSIX, 2), ==, 0xffff);
  g_assert_cmphex (get (f, VIRTIO_PCI_COMMON_MSIX, 2), ==, 0xffff);
}

/* Without MSI-X: the line, and a register that says why and by being read lowers it. */
static void
test_intx (Fixture *f, gconstpointer data)
{
  const unsigned gsi = pci_bus_get_gsi (f->bus, SLOT, 0);

  start (f);
  virtio_device_lock (f->device);
  virtio_device_interrupt_queue (f->device, 0);
  virtio_device_signal_config (f->device);
  virtio_device_unlock (f->device);
  g_assert_true (f->fake->levels[gsi]);
  g_assert_cmphex (get (f, ISR, 1), ==, 3);
  g_assert_false (f->fake->levels[gsi]);
  g_assert_cmphex (get (f, ISR, 1), ==, 0);
}

/* One request whose only buffer, which the device writes, is at gpa. */
static void
request_at (Fixture *f, uint64_t gpa, uint32_t size)
{
  const struct vring_desc descriptor = { .addr = GUINT64_TO_LE (gpa),
                                         .len = GUINT32_TO_LE (size),
                                         .flags = GUINT16_TO_LE (VRING_DESC_F_WRITE) };
  const uint16_t available[] = { 0, GUINT16_TO_LE (1), 0 };

  g_assert_true (guest_memory_write (f->memory, RING (0), &descriptor, sizeof descriptor));
  g_assert_true (guest_memory_write (f->memory, RING (0) + 0x1000, available, sizeof available));
}

static void
start_again (Fixture *f)
{
  set (f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
  memset (guest_memory_map (f->memory, RING (0), 0x3000), 0, 0x3000);
  start (f);
}

/* A buffer that is the device's own registers, its doorbell, or its neighbour's: none of them is touched, and the device is broken. */
static void
test_buffer_is_own_registers (Fixture *f, gconstpointer data)
{
  static const unsigned places[] = { 0, VIRTIO_PCI_COMMON_STATUS, ISR, DEVICE, NOTIFY, MSIX };

  f->serves = true;
  for (unsigned i = 0; i < G_N_ELEMENTS (places); i++)
    {
      start_again (f);
      memset (f->config, 0x5a, sizeof f->config);
      request_at (f, pci_device_get_bar_address (f->pci_device, VIRTIO_PCI_BAR) + places[i], 4);
      f->config_accesses = 0;
      set (f, NOTIFY, 2, 0);
      run ();
      g_assert_cmpuint (f->notified[0], ==, 1);
      g_assert_cmpuint (f->notified[1], ==, 0);
      g_assert_cmpuint (f->config_accesses, ==, 0);
      g_assert_cmphex (f->config[0], ==, 0x5a);
      g_assert_cmphex (get (f, VIRTIO_PCI_COMMON_STATUS, 1), ==,
                       ALL_ACCEPTED | VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET);
    }
  /* The same in RAM is served. */
  start_again (f);
  request_at (f, RING (1) + 0x8000, 4);
  set (f, NOTIFY, 2, 0);
  run ();
  g_assert_cmphex (get (f, VIRTIO_PCI_COMMON_STATUS, 1), ==,
                   ALL_ACCEPTED | VIRTIO_CONFIG_S_DRIVER_OK);
  uint16_t used[2];
  g_assert_true (guest_memory_read (f->memory, RING (0) + 0x2000, used, sizeof used));
  g_assert_cmpuint (GUINT16_FROM_LE (used[1]), ==, 1);
}

static void
aim (Fixture *f, uint8_t bar, uint32_t offset, uint32_t length)
{
  const unsigned at = find_capability (f, VIRTIO_PCI_CAP_PCI_CFG);

  pci_bus_config_write (f->bus, DEVFN, at + 4, 1, bar);
  pci_bus_config_write (f->bus, DEVFN, at + 8, 4, offset);
  pci_bus_config_write (f->bus, DEVFN, at + 12, 4, length);
}

static uint32_t
look (Fixture *f, unsigned size)
{
  return pci_bus_config_read (f->bus, DEVFN, find_capability (f, VIRTIO_PCI_CAP_PCI_CFG) + 16,
                              size);
}

static void
poke (Fixture *f, unsigned size, uint32_t value)
{
  pci_bus_config_write (f->bus, DEVFN, find_capability (f, VIRTIO_PCI_CAP_PCI_CFG) + 16, size,
                        value);
}

static void
test_window (Fixture *f, gconstpointer data)
{
  start (f);
  aim (f, VIRTIO_PCI_BAR, VIRTIO_PCI_COMMON_NUMQ, 2);
  g_assert_cmpuint (look (f, 2) & 0xffff, ==, QUEUES);
  aim (f, VIRTIO_PCI_BAR, DEVICE + 4, 4);
  poke (f, 4, 0x44332211);
  g_assert_cmphex (f->config[4], ==, 0x11);
  g_assert_cmphex (f->config[7], ==, 0x44);
  aim (f, VIRTIO_PCI_BAR, NOTIFY + 4, 2);
  poke (f, 2, 1);
  run ();
  g_assert_cmpuint (f->notified[1], ==, 1);
  aim (f, VIRTIO_PCI_BAR, VIRTIO_PCI_COMMON_STATUS, 1);
  poke (f, 1, 0);
  g_assert_cmphex (get (f, VIRTIO_PCI_COMMON_STATUS, 1), ==, 0);
}

/* The window of a device aimed at its own registers, from inside an access to config space: at each, in every width and beyond. */
static void
test_window_anywhere (Fixture *f, gconstpointer data)
{
  static const uint32_t wrong[] = { 0, 3, 5, 8, 0x10000, UINT32_MAX };

  start (f);
  for (uint32_t at = 0; at < BAR_SIZE + 16; at += at % REGION < 0x80 ? 1 : 0x7d)
    for (unsigned size = 1; size <= 4; size *= 2)
      {
        aim (f, VIRTIO_PCI_BAR, at, size);
        look (f, size);
        if (at != VIRTIO_PCI_COMMON_STATUS)
          poke (f, size, UINT32_MAX);
      }
  aim (f, VIRTIO_PCI_BAR, UINT32_MAX - 3, 4);
  poke (f, 4, 0);
  look (f, 4);
  g_assert_true (get (f, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_DRIVER_OK);
  /* Other BARs and sizes that are none. */
  for (unsigned i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      aim (f, VIRTIO_PCI_BAR, VIRTIO_PCI_COMMON_STATUS, wrong[i]);
      poke (f, 4, 0);
      aim (f, wrong[i] & 0xff, VIRTIO_PCI_COMMON_STATUS, 1);
      if ((wrong[i] & 0xff) != VIRTIO_PCI_BAR)
        poke (f, 1, 0);
    }
  g_assert_true (get (f, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_DRIVER_OK);
  run ();
}

#define ADD(name, func) ADD_WITH (name, func, QUEUES)
#define ADD_WITH(name, func, n_queues)                                                             \
  g_test_add ("/virtio-pci/" name, Fixture, GUINT_TO_POINTER (n_queues), setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL); /* guests are complained of */
  ADD ("regions", test_regions);
  ADD ("doorbells", test_doorbells);
  ADD ("notify", test_notify);
  ADD_WITH ("hostile-4-notify-anywhere", test_notify_anywhere, 1);
  ADD ("hostile-4-queue-select", test_queue_select);
  ADD ("hostile-1-registers-after-enable", test_registers_after_enable);
  ADD ("vectors-out-of-range", test_vectors_out_of_range);
  ADD ("hostile-5-common-any-width", test_common_any_width);
  ADD ("irqfds", test_irqfds);
  ADD ("intx", test_intx);
  ADD ("hostile-6-buffer-is-own-registers", test_buffer_is_own_registers);
  ADD ("window", test_window);
  ADD ("hostile-6-window-anywhere", test_window_anywhere);
  return g_test_run ();
}
