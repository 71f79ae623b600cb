/* Ports of the keyboard controller and what the user does meanwhile: a row of [what][value]. However it goes, what the guest reads
 * comes to an end. */
#include "fuzz-target.h"

#include <linux/input-event-codes.h>

#include "platform/i8042.h"

#define BYTES_MAX 4096 /* more than both devices can have to say */

static void
set_level (void *opaque, unsigned gsi, bool level)
{
}

static void
ignore_request (void *opaque, PlatformRequest request)
{
}

static void
run_step (AddressSpace *ports, InputPort *input, uint8_t what, uint8_t value)
{
  const InputEvent key = { EV_KEY, (uint16_t) (value >> 1 | (what & 0xc0) << 1), value & 1 };
  const InputEvent axis = { EV_ABS, what >> 6 & 1, (int32_t) value << 7 };
  const InputEvent button = { EV_KEY, (uint16_t) (BTN_LEFT + (value >> 1)), value & 1 };
  const InputEvent wheel = { EV_REL, REL_WHEEL, (int8_t) value };

  switch (what & 7)
    {
    case 0:
      address_space_write (ports, I8042_DATA, 1, value);
      break;
    case 1:
      address_space_write (ports, I8042_COMMAND, 1, value);
      break;
    case 2: /* to the mouse */
      address_space_write (ports, I8042_COMMAND, 1, 0xd4);
      address_space_write (ports, I8042_DATA, 1, value);
      break;
    case 3:
      for (unsigned i = 0; i < value; i++)
        address_space_read (ports, I8042_DATA, 1);
      break;
    case 4:
      input_port_send (input, INPUT_KEYBOARD, &key, 1);
      break;
    case 5:
      input_port_send (input, INPUT_POINTER, &axis, 1);
      break;
    case 6:
      input_port_send (input, INPUT_POINTER, &button, 1);
      break;
    default:
      input_port_send (input, INPUT_POINTER, &wheel, 1);
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (AddressSpace) ports = address_space_new ("ports", 0x10000);
  g_autoptr (InputPort) input = input_port_new ();
  const IrqLine line = { .set_level = set_level };
  const I8042Config config = {
    .ports = ports,
    .keyboard_irq = line,
    .mouse_irq = line,
    .sink = { .request = ignore_request },
    .input = input,
  };
  I8042 *i8042 = i8042_new (&config);
  unsigned n = 0;

  for (size_t i = 0; i + 1 < size; i += 2)
    run_step (ports, input, data[i], data[i + 1]);
  for (; address_space_read (ports, I8042_COMMAND, 1) & 1; n++)
    {
      g_assert_cmpuint (n, <, BYTES_MAX);
      address_space_read (ports, I8042_DATA, 1);
    }
  i8042_free (i8042);
  return 0;
}
