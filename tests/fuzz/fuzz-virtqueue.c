/* A ring as a hostile driver would leave it. Input: [flags][log2 of the size][operations, n][n operations][the ring's memory]. The
 * memory is descriptors, available ring and used ring one behind the other, then whatever indirect tables may point at. */
#include "fuzz-target.h"

#include <string.h>
#include <glib.h>

#include "virtio/virtqueue.h"

#define MEMORY_SIZE  0x10000
#define RING         0x1000
#define MAX_SIZE_LOG 6
#define MAX_HELD     4

enum
{
  FLAG_EVENT_IDX = 1 << 0,
  FLAG_INDIRECT = 1 << 1,
};

typedef struct Driver
{
  GuestMemory *memory;
  uint8_t *bytes; /* of all guest memory */
  Virtqueue *queue;
  VirtqueueLayout layout;
  VirtqueueElement held[MAX_HELD];
  unsigned n_held;
} Driver;

/* What a device does with a request: reads the one part and writes the other, all of it inside guest memory. */
static void
use_element (const Driver *driver, const VirtqueueElement *element)
{
  size_t out_bytes = 0, in_bytes = 0;

  g_assert_cmpuint (element->head, <, driver->layout.size);
  g_assert_cmpuint (element->n_out + element->n_in, <=, VIRTQUEUE_MAX_SIZE);
  for (unsigned i = 0; i < element->n_out + element->n_in; i++)
    {
      bool is_out = i < element->n_out;
      const struct iovec *iov = is_out ? &element->out[i] : &element->in[i - element->n_out];
      uint8_t *base = iov->iov_base;

      *(is_out ? &out_bytes : &in_bytes) += iov->iov_len;
      if (iov->iov_len == 0)
        continue;
      g_assert_true (base >= driver->bytes && iov->iov_len <= MEMORY_SIZE &&
                     base - driver->bytes <= (ptrdiff_t) (MEMORY_SIZE - iov->iov_len));
      if (!is_out)
        base[iov->iov_len - 1] = 0x5a;
    }
  g_assert_cmpuint (out_bytes, ==, element->out_bytes);
  g_assert_cmpuint (in_bytes, ==, element->in_bytes);
}

static void
pop (Driver *driver)
{
  VirtqueueElement element = { 0 };

  if (driver->n_held == MAX_HELD)
    return;
  if (virtqueue_pop (driver->queue, &element))
    {
      use_element (driver, &element);
      virtqueue_element_move (&driver->held[driver->n_held++], &element);
    }
  virtqueue_element_clear (&element);
}

static void
push (Driver *driver, uint32_t written)
{
  if (driver->n_held == 0)
    return;
  VirtqueueElement *element = &driver->held[--driver->n_held];
  virtqueue_push (driver->queue, element, written);
  virtqueue_element_clear (element);
}

/* Of two bytes: what, and with which value. */
static void
operate (Driver *driver, uint8_t operation, uint8_t value)
{
  uint8_t *index = driver->bytes + driver->layout.available + 2;

  switch (operation % 8)
    {
    case 0:
    case 1:
      pop (driver);
      break;
    case 2:
      push (driver, value);
      break;
    case 3:
      index[0] += value;
      break;
    case 4:
      index[1] = value;
      break;
    case 5:
      virtqueue_must_interrupt (driver->queue);
      break;
    case 6:
      virtqueue_set_notification (driver->queue, value & 1);
      break;
    case 7: /* the guest changes something under our hands */
      driver->bytes[RING + (operation >> 3) * 37 % 0x400] = value;
      break;
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  if (size < 3)
    return 0;
  uint16_t queue_size = 1 << data[1] % (MAX_SIZE_LOG + 1);
  size_t n_operations = MIN (data[2], size - 3);
  g_autoptr (GuestMemory) memory = guest_memory_new (MEMORY_SIZE, MEMORY_SIZE, 0x100000, NULL);
  Driver driver = { .memory = memory, .bytes = guest_memory_map (memory, 0, MEMORY_SIZE) };

  driver.layout = (VirtqueueLayout){
    .size = queue_size,
    .descriptors = RING,
    .available = RING + 16 * queue_size,
    .used = (RING + 16 * queue_size + 6 + 2 * queue_size + 3) & ~3,
    .event_idx = data[0] & FLAG_EVENT_IDX,
    .indirect = data[0] & FLAG_INDIRECT,
  };
  driver.queue = virtqueue_new (memory, &driver.layout, NULL);
  g_assert_nonnull (driver.queue);
  memcpy (driver.bytes + RING, data + 3 + n_operations,
          MIN (size - 3 - n_operations, MEMORY_SIZE - RING));
  for (size_t i = 0; i + 1 < n_operations; i += 2)
    operate (&driver, data[3 + i], data[4 + i]);
  while (driver.n_held > 0)
    virtqueue_element_clear (&driver.held[--driver.n_held]);
  g_assert_cmpint (virtqueue_is_broken (driver.queue), ==,
                   virtqueue_get_fault (driver.queue) != NULL);
  virtqueue_free (driver.queue);
  return 0;
}
