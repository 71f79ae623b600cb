/* A driver of a console with ports and who is at their other ends: a row of steps, [queue 3 bits, what 3 bits, number 2 bits] and then a chain of
 * [page][offset][length * 64][writable], a control message [port][event][value], an access to the configuration space [offset][byte], bytes from
 * the host ([number]), somebody who connects, hangs up or reads, or a driver that begins anew, with ports or without. */
#include "fuzz-target.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>

#include "virtio-driver.h"
#include "virtio/virtio-console.h"

#define MEMORY_SIZE (UINT64_C (1) << 20)
#define MESSAGE     UINT64_C (0x80000)
/* Above the rings, which are the test driver's; its end lies beyond the memory. */
#define DATA           UINT64_C (0x90000)
#define MAX_STEPS      64
#define CONTROL_QUEUE  3
#define NAMED_PORT     2
#define HOST_BYTES_MAX 4096

enum
{
  STEP_CHAIN,
  STEP_LONG_CHAIN,
  STEP_CONTROL,
  STEP_CONFIG,
  STEP_HOST_WRITES,
  STEP_PEER,
  STEP_RUN,
  STEP_START,
};

typedef struct Input
{
  const uint8_t *data;
  size_t size;
} Input;

typedef struct World
{
  GuestMemory *memory;
  CharPort *chars;
  CharPort *named;
  int host; /* what the console hears */
  int peer; /* who is connected to the named port; -1: nobody */
  VirtioConsole *console;
  VirtioDriver *driver;
} World;

static uint8_t
take (Input *input)
{
  if (input->size == 0)
    return 0;
  input->size--;
  return *input->data++;
}

static void
start (World *world, bool has_ports)
{
  const uint64_t ports = UINT64_C (1) << VIRTIO_CONSOLE_F_MULTIPORT;

  virtio_driver_free (world->driver);
  world->driver = virtio_driver_new (virtio_console_get_device (world->console), world->memory, 0,
                                     has_ports ? UINT64_MAX : ~ports);
}

static void
add (World *world, unsigned queue, const DriverSegment *segments, unsigned n)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (world->driver, queue);

  if (virtqueue_driver_get_n_free (ring) >= n)
    virtqueue_driver_add (ring, segments, n);
  virtio_driver_kick (world->driver, queue);
  while (virtqueue_driver_take_used (ring, NULL, NULL))
    ;
}

static void
chain_step (World *world, Input *input, unsigned queue, unsigned n)
{
  DriverSegment segments[8];

  for (unsigned i = 0; i < n; i++)
    {
      segments[i].gpa = DATA + ((uint64_t) take (input) << 11) + take (input);
      segments[i].size = (uint32_t) take (input) * 64;
      segments[i].writable = take (input) & 1;
    }
  add (world, queue, segments, n);
}

/* Small numbers are what a driver would say; the others wrap around. */
static void
control_step (World *world, Input *input)
{
  const struct virtio_console_control message = { (uint32_t) (int8_t) take (input),
                                                  (uint16_t) (int8_t) take (input), take (input) };
  const DriverSegment segment = { MESSAGE, sizeof message, false };

  g_assert_true (guest_memory_write (world->memory, MESSAGE, &message, sizeof message));
  add (world, CONTROL_QUEUE, &segment, 1);
}

static void
peer_step (World *world, unsigned what)
{
  uint8_t bytes[HOST_BYTES_MAX];
  int fds[2];

  if (what == 0 && world->peer >= 0)
    {
      close (world->peer);
      world->peer = -1;
    }
  else if (what == 1)
    char_port_connect (world->named, -1);
  else if (what == 2 && world->peer >= 0)
    g_assert_cmpint (read (world->peer, bytes, sizeof bytes), >=, -1);
  else if (what == 3)
    {
      g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==,
                       0);
      if (world->peer >= 0)
        close (world->peer);
      world->peer = fds[0];
      char_port_connect (world->named, fds[1]);
    }
}

static void
run_step (World *world, Input *input)
{
  const uint8_t head = take (input);
  const unsigned queue = head & 7;
  const unsigned number = head >> 6;
  uint8_t bytes[HOST_BYTES_MAX] = { 0 };

  switch (head >> 3 & 7)
    {
    case STEP_CHAIN:
      chain_step (world, input, queue, 1 + number);
      break;
    case STEP_LONG_CHAIN:
      chain_step (world, input, queue, 5 + number);
      break;
    case STEP_CONTROL:
      control_step (world, input);
      break;
    case STEP_CONFIG:
      bytes[0] = take (input);
      bytes[1] = take (input);
      virtio_driver_write_config (world->driver, queue + 8 * number, bytes, 2);
      virtio_driver_read_config (world->driver, bytes[0], bytes, 8);
      break;
    case STEP_HOST_WRITES:
      {
        const size_t size = (size_t) take (input) * 16;
        const int fd = number & 1 ? world->host : world->peer;

        if (fd >= 0) /* what does not go now does not go */
          g_assert_cmpint (send (fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL), >=, -1);
        break;
      }
    case STEP_PEER:
      peer_step (world, number);
      break;
    case STEP_RUN:
      virtio_driver_run (world->driver);
      break;
    default:
      start (world, number != 0);
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Input input = { data, size };
  World world = { .peer = -1 };
  int host[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, host), ==, 0);
  world.memory = guest_memory_new (MEMORY_SIZE, MEMORY_SIZE, UINT64_C (4) << 30, NULL);
  world.host = host[1];
  world.chars = char_port_new (host[0], open ("/dev/null", O_WRONLY | O_CLOEXEC));
  world.named = char_port_new_vacant ();
  const VirtioConsolePort ports[NAMED_PORT + 1] = { { NULL, world.chars },
                                                    { "none", NULL },
                                                    { "name", world.named } };
  world.console = virtio_console_new (world.memory, ports, G_N_ELEMENTS (ports));
  start (&world, true);
  for (unsigned i = 0; i < MAX_STEPS && input.size > 0; i++)
    {
      if (virtio_driver_get_status (world.driver) & VIRTIO_CONFIG_S_NEEDS_RESET)
        start (&world, true);
      run_step (&world, &input);
    }
  virtio_driver_free (world.driver);
  virtio_console_free (world.console);
  char_port_free (world.chars);
  char_port_free (world.named);
  if (world.peer >= 0)
    close (world.peer);
  close (world.host);
  guest_memory_free (world.memory);
  return 0;
}
