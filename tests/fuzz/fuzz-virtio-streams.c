/* Requests to the entropy device, a keyboard and a tablet: [device] and a row of steps, each [queue 2 bits, what 6 bits] with
 * a chain of [page][offset][length * 64][writable] or a selection of the configuration space [offset][byte], or a key or a move of the host's. */
#include "fuzz-target.h"

#include <linux/input-event-codes.h>
#include <linux/virtio_config.h>

#include "virtio-driver.h"
#include "virtio/virtio-input.h"
#include "virtio/virtio-rng.h"

#define MEMORY_SIZE (UINT64_C (1) << 20)
/* Above the rings, which are the test driver's; its end lies beyond the memory. */
#define DATA      UINT64_C (0x90000)
#define MAX_STEPS 64

enum
{
  DEVICE_RNG,
  DEVICE_KEYBOARD,
  DEVICE_TABLET,
  DEVICES
};

typedef struct Input
{
  const uint8_t *data;
  size_t size;
} Input;

typedef struct Machine
{
  GuestMemory *memory;
  InputPort *port;
  VirtioRng *rng;
  VirtioInput *keys;
  VirtioDevice *device;
  unsigned queues;
} Machine;

static uint8_t
take (Input *input)
{
  if (input->size == 0)
    return 0;
  input->size--;
  return *input->data++;
}

static void
make (Machine *machine, unsigned kind)
{
  machine->memory = guest_memory_new (MEMORY_SIZE, MEMORY_SIZE, UINT64_C (4) << 30, NULL);
  machine->port = input_port_new ();
  machine->queues = kind == DEVICE_RNG ? 1 : 2;
  if (kind == DEVICE_RNG)
    {
      machine->rng = virtio_rng_new (machine->memory);
      machine->device = virtio_rng_get_device (machine->rng);
    }
  else
    {
      machine->keys = virtio_input_new (machine->memory, machine->port,
                                        kind == DEVICE_KEYBOARD ? INPUT_KEYBOARD : INPUT_POINTER);
      machine->device = virtio_input_get_device (machine->keys);
    }
}

static void
clear (Machine *machine)
{
  virtio_rng_free (machine->rng);
  virtio_input_free (machine->keys);
  input_port_free (machine->port);
  guest_memory_free (machine->memory);
}

static void
add_chain (Input *input, Machine *machine, VirtioDriver *driver, unsigned queue, unsigned n)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (driver, queue);
  DriverSegment segments[4];

  if (virtqueue_driver_get_n_free (ring) < n)
    return;
  for (unsigned i = 0; i < n; i++)
    {
      segments[i].gpa = DATA + ((uint64_t) take (input) << 11) + take (input);
      segments[i].size = (uint32_t) take (input) * 64;
      segments[i].writable = take (input) & 1;
    }
  virtqueue_driver_add (ring, segments, n);
  virtio_driver_kick (driver, queue);
}

static void
run_step (Input *input, Machine *machine, VirtioDriver *driver)
{
  const uint8_t head = take (input);
  const unsigned queue = (head & 3) % machine->queues;
  uint8_t bytes[2];

  switch (head >> 2 & 3)
    {
    case 0:
    case 1:
      add_chain (input, machine, driver, queue, 1 + (head >> 4 & 3));
      break;
    case 2:
      bytes[0] = take (input);
      bytes[1] = take (input);
      virtio_driver_write_config (driver, head >> 4, bytes, 2);
      virtio_driver_read_config (driver, bytes[0], bytes, 2);
      break;
    default:
      {
        const InputEvent event = { head & 16 ? EV_KEY : EV_ABS, take (input), take (input) };

        input_port_send (machine->port, head & 32 ? INPUT_KEYBOARD : INPUT_POINTER, &event, 1);
      }
    }
  while (virtqueue_driver_take_used (virtio_driver_get_queue (driver, queue), NULL, NULL))
    ;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Input input = { data, size };
  Machine machine = { 0 };

  make (&machine, take (&input) % DEVICES);
  VirtioDriver *driver = virtio_driver_new (machine.device, machine.memory, 0, UINT64_MAX);
  for (unsigned i = 0; i < MAX_STEPS && input.size > 0; i++)
    {
      if (virtio_driver_get_status (driver) & VIRTIO_CONFIG_S_NEEDS_RESET)
        break;
      run_step (&input, &machine, driver);
    }
  virtio_driver_free (driver);
  clear (&machine);
  return 0;
}
