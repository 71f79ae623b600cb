/* Nothing in devices belongs to the process: two machines live in it side by side, as one that is saved and the one it is loaded into would. */
#include <string.h>
#include <unistd.h>
#include <glib-unix.h>

#include "../pci/fake-host.h"
#include "../platform/fake-sink.h"
#include "../virtio/virtio-driver.h"
#include "platform/reset-ports.h"
#include "platform/rtc.h"
#include "platform/serial.h"
#include "virtio/virtio-pci.h"
#include "virtio/virtio-rng.h"

#define RAM            (4u << 20)
#define SERIAL_SCRATCH (SERIAL_COM1 + 7)
#define SERIAL_IER     (SERIAL_COM1 + 1)
#define RTC_INDEX      0x70
#define RTC_DATA       0x71
#define RTC_STATUS_B   0x0b
#define PCI_ADDRESS    0xcf8
#define PCI_COMMAND    4
#define RESET_CONTROL  0x92

typedef struct Set
{
  FakeHost *host;
  FakeSink sink, serial_sink;
  GuestMemory *memory;
  PciBus *bus;
  VirtioRng *rng;
  VirtioPci *rng_pci;
  CharPort *port;
  Serial *serial;
  Rtc *rtc;
  ResetPorts *reset;
  int typed, said; /* the host's ends of the serial port */
} Set;

static void
set_make (Set *set)
{
  int in[2], out[2];

  g_assert_true (g_unix_open_pipe (in, FD_CLOEXEC, NULL));
  g_assert_true (g_unix_open_pipe (out, FD_CLOEXEC, NULL));
  set->typed = in[1];
  set->said = out[0];
  set->host = fake_host_new ();
  set->memory = guest_memory_new (RAM, RAM, 2 * RAM, NULL);
  set->bus = pci_bus_new (&set->host->host);
  set->rng = virtio_rng_new (set->memory);
  set->rng_pci = virtio_pci_new (virtio_rng_get_device (set->rng), NULL);
  g_assert_true (
      pci_bus_add (set->bus, virtio_pci_get_pci_device (set->rng_pci), PCI_SLOT_ANY, 0, NULL));
  set->port = char_port_new (in[0], out[1]);
  set->serial =
      serial_new (set->host->ports, SERIAL_COM1, fake_sink_get_line (&set->serial_sink), set->port);
  set->rtc = rtc_new (set->host->ports, NULL);
  set->reset = reset_ports_new (set->host->ports, fake_sink_get (&set->sink));
}

static void
set_free (Set *set)
{
  reset_ports_free (set->reset);
  rtc_free (set->rtc);
  serial_free (set->serial);
  char_port_free (set->port);
  virtio_pci_free (set->rng_pci);
  virtio_rng_free (set->rng);
  pci_bus_free (set->bus);
  guest_memory_free (set->memory);
  fake_host_free (set->host);
  close (set->typed);
  close (set->said);
}

typedef struct Fixture
{
  Set one, other;
} Fixture;

static void
set_up (Fixture *f, const void *data)
{
  set_make (&f->one);
  set_make (&f->other);
}

static void
tear_down (Fixture *f, const void *data)
{
  set_free (&f->one);
  set_free (&f->other);
}

static uint64_t
get (Set *set, uint64_t port, unsigned size)
{
  return address_space_read (set->host->ports, port, size);
}

static void
put (Set *set, uint64_t port, unsigned size, uint64_t value)
{
  address_space_write (set->host->ports, port, size, value);
}

static unsigned
get_devfn (const Set *set)
{
  return pci_device_get_devfn (virtio_pci_get_pci_device (set->rng_pci));
}

static uint64_t
get_command (Set *set)
{
  return pci_bus_config_read (set->bus, get_devfn (set), PCI_COMMAND, 2);
}

static void
test_registers (Fixture *f, const void *data)
{
  const uint64_t scratch = get (&f->other, SERIAL_SCRATCH, 1);
  const uint64_t command = get_command (&f->other);

  put (&f->other, RTC_INDEX, 1, RTC_STATUS_B);
  const uint64_t status = get (&f->other, RTC_DATA, 1);

  put (&f->one, SERIAL_SCRATCH, 1, scratch ^ 0xff);
  put (&f->one, RTC_INDEX, 1, 0);
  put (&f->one, PCI_ADDRESS, 4, 0x80000004);
  pci_bus_config_write (f->one.bus, get_devfn (&f->one), PCI_COMMAND, 2, command ^ 4);

  g_assert_cmphex (get (&f->other, SERIAL_SCRATCH, 1), ==, scratch);
  g_assert_cmphex (get (&f->other, RTC_DATA, 1), ==, status);
  g_assert_cmphex (get (&f->other, PCI_ADDRESS, 4), ==, 0);
  g_assert_cmphex (get_command (&f->other), ==, command);
  g_assert_cmphex (get (&f->one, SERIAL_SCRATCH, 1), ==, scratch ^ 0xff);
  g_assert_cmphex (get_command (&f->one), ==, command ^ 4);
}

static void
test_lines_and_requests (Fixture *f, const void *data)
{
  char byte;

  put (&f->one, SERIAL_COM1 + 4, 1, 8); /* OUT2 lets interrupts through */
  put (&f->one, SERIAL_IER, 1, 2);      /* the transmitter is empty: at once */
  g_assert_true (f->one.serial_sink.level);
  g_assert_cmpuint (f->other.serial_sink.level_changes, ==, 0);

  put (&f->one, SERIAL_COM1, 1, 'x');
  g_assert_cmpint (read (f->one.said, &byte, 1), ==, 1);
  g_unix_set_fd_nonblocking (f->other.said, TRUE, NULL);
  g_assert_cmpint (read (f->other.said, &byte, 1), ==, -1);

  put (&f->one, RESET_CONTROL, 1, 1);
  g_assert_cmpuint (f->one.sink.requests[PLATFORM_REQUEST_RESET], ==, 1);
  g_assert_cmpuint (f->other.sink.requests[PLATFORM_REQUEST_RESET], ==, 0);
}

static void
use_rng (Set *set, VirtioDriver *driver)
{
  uint8_t bytes[16] = { 0 }, zero[16] = { 0 };

  g_assert_cmpuint (virtio_driver_request (driver, 0, NULL, 0, bytes, sizeof bytes), ==,
                    sizeof bytes);
  g_assert_cmpint (memcmp (bytes, zero, sizeof bytes), !=, 0);
}

/* The two take turns; then one ends, with a driver that still runs, and the other goes on. */
static void
test_one_ends (void)
{
  Set sets[2] = {};
  VirtioDriver *drivers[2];

  for (int i = 0; i < 2; i++)
    {
      set_make (&sets[i]);
      drivers[i] =
          virtio_driver_new (virtio_rng_get_device (sets[i].rng), sets[i].memory, 0, UINT64_MAX);
    }
  for (int i = 0; i < 6; i++)
    use_rng (&sets[i % 2], drivers[i % 2]);
  virtio_driver_free (drivers[0]);
  set_free (&sets[0]);

  use_rng (&sets[1], drivers[1]);
  put (&sets[1], SERIAL_SCRATCH, 1, 0x5a);
  g_assert_cmphex (get (&sets[1], SERIAL_SCRATCH, 1), ==, 0x5a);
  put (&sets[1], RESET_CONTROL, 1, 1);
  g_assert_cmpuint (sets[1].sink.requests[PLATFORM_REQUEST_RESET], ==, 1);
  virtio_driver_free (drivers[1]);
  set_free (&sets[1]);
}

#define ADD(name, function)                                                                        \
  g_test_add ("/two-machines/" name, Fixture, NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("registers", test_registers);
  ADD ("lines-and-requests", test_lines_and_requests);
  g_test_add_func ("/two-machines/one-ends", test_one_ends);
  return g_test_run ();
}
