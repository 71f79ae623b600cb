/* The serial port, the clock and the reset ports: a row of [port][what][value]; what: width 2 bits, read 1 bit, and input from the
 * host 1 bit. */
#include "fuzz-target.h"

#include <fcntl.h>
#include <unistd.h>

#include "platform/reset-ports.h"
#include "platform/rtc.h"
#include "platform/serial.h"

static void
set_level (void *opaque, unsigned gsi, bool level)
{
}

static void
ignore_request (void *opaque, PlatformRequest request)
{
}

static void
run_step (AddressSpace *ports, const uint8_t *step, int host)
{
  static const uint16_t bases[] = { SERIAL_COM1, RTC_PORT, 0x60, 0xcf8 };
  const uint16_t port = bases[step[0] >> 3 & 3] + (step[0] & 7);
  const unsigned size = 1u << (step[1] & 3) % 3;

  if (step[1] & 8)
    g_assert_cmpint (write (host, step, 3), ==, 3);
  if (step[1] & 4)
    address_space_read (ports, port, size);
  else
    address_space_write (ports, port, size, step[2] * UINT64_C (0x01010101));
  g_main_context_iteration (NULL, FALSE);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const IrqLine line = { .set_level = set_level };
  const PlatformRequestSink sink = { .request = ignore_request };
  g_autoptr (AddressSpace) ports = address_space_new ("ports", 0x10000);
  int host[2];

  g_assert_cmpint (pipe2 (host, O_CLOEXEC), ==, 0);
  CharPort *port = char_port_new (host[0], open ("/dev/null", O_WRONLY | O_CLOEXEC));
  Serial *serial = serial_new (ports, SERIAL_COM1, line, port);
  Rtc *rtc = rtc_new (ports, NULL);
  ResetPorts *reset = reset_ports_new (ports, sink);

  /* What the host types has to fit into the pipe. */
  for (size_t i = 0; i + 2 < MIN (size, 3000); i += 3)
    run_step (ports, data + i, host[1]);
  reset_ports_reset (reset);
  rtc_reset (rtc);
  serial_reset (serial);
  reset_ports_free (reset);
  rtc_free (rtc);
  serial_free (serial);
  char_port_free (port);
  close (host[1]);
  return 0;
}
