#define G_LOG_DOMAIN "vmm-platform"

#include "platform/i8042.h"

#include <linux/input-event-codes.h>

#include "platform/ps2-keyboard.h"
#include "platform/ps2-mouse.h"

/* Theory of operation
 *
 * One byte at a time is in the output buffer, for the guest to read, and an interrupt line is high while it is one that the guest wants
 * to be told of. When it is read the line falls, and the next byte, if there is one, raises it anew: the lines are edges to the
 * I/O APIC. The controller's own answers come before what the devices say.
 *
 * A held key repeats by the keyboard's doing, so there is a timer for it on the main context; and what the guest sets the lights to on
 * a vCPU's thread is told to the input port there.
 */
enum
{
  STATUS_OUTPUT_FULL = 1 << 0,
  STATUS_SYSTEM = 1 << 2,
  STATUS_COMMAND = 1 << 3, /* the last write was one */
  STATUS_UNLOCKED = 1 << 4,
  STATUS_MOUSE = 1 << 5, /* what is in the output buffer is the mouse's */

  MODE_KEYBOARD_IRQ = 1 << 0,
  MODE_MOUSE_IRQ = 1 << 1,
  MODE_SYSTEM = 1 << 2,
  MODE_NO_KEYBOARD = 1 << 4,
  MODE_NO_MOUSE = 1 << 5,
  MODE_TRANSLATE = 1 << 6,

  OUTPUT_NO_RESET = 1 << 0,
  OUTPUT_A20 = 1 << 1,

  COMMAND_READ_MODE = 0x20,
  COMMAND_WRITE_MODE = 0x60,
  COMMAND_MOUSE_OFF = 0xa7,
  COMMAND_MOUSE_ON = 0xa8,
  COMMAND_MOUSE_TEST = 0xa9,
  COMMAND_SELF_TEST = 0xaa,
  COMMAND_KEYBOARD_TEST = 0xab,
  COMMAND_KEYBOARD_OFF = 0xad,
  COMMAND_KEYBOARD_ON = 0xae,
  COMMAND_READ_INPUT = 0xc0,
  COMMAND_READ_OUTPUT = 0xd0,
  COMMAND_WRITE_OUTPUT = 0xd1,
  COMMAND_AS_KEYBOARD = 0xd2,
  COMMAND_AS_MOUSE = 0xd3,
  COMMAND_TO_MOUSE = 0xd4,
  COMMAND_PULSE = 0xf0, /* to 0xff: the lines whose bits are 0 */

  SELF_TEST_PASSED = 0x55,
  SET_2_BREAK = 0xf0,
  ANSWERS_FROM = 0xe0, /* no scan code, but prefixes and answers: not translated, 0xf0 excepted */
};

typedef enum
{
  SOURCE_NONE,
  SOURCE_CONTROLLER,
  SOURCE_KEYBOARD,
  SOURCE_MOUSE
} Source;

struct I8042
{
  I8042Config config;
  AddressRange *data_range;
  AddressRange *command_range;
  unsigned repeat_source; /* main thread; GSource id, 0: none */

  GMutex lock;
  Ps2Keyboard *keyboard;
  Ps2Mouse *mouse;
  uint8_t mode;
  uint8_t command; /* waits for its argument; 0: none */
  bool last_was_command;
  bool breaking; /* translation: 0xf0 was taken, the code's bit 7 will say it */
  Source source; /* of the byte in output; NONE: it is empty */
  uint8_t output;
  Source
      waiting_source; /* an answer of the controller that waits for output to be empty; as a device's: CONTROLLER or MOUSE */
  uint8_t waiting;
  GSource *leds_source; /* NULL: the lights are told */
};

/* --- the output buffer; lock held --- */

static void
update_irqs (I8042 *i8042)
{
  const bool is_mouse = i8042->source == SOURCE_MOUSE;
  const bool is_other = i8042->source != SOURCE_NONE && !is_mouse;

  irq_line_set (&i8042->config.keyboard_irq, is_other && (i8042->mode & MODE_KEYBOARD_IRQ));
  irq_line_set (&i8042->config.mouse_irq, is_mouse && (i8042->mode & MODE_MOUSE_IRQ));
}

static void
load (I8042 *i8042, Source source, uint8_t byte)
{
  i8042->source = source;
  i8042->output = byte;
}

/* False: the byte was a prefix that the next one carries. */
static bool
load_key (I8042 *i8042, uint8_t byte)
{
  if (!(i8042->mode & MODE_TRANSLATE))
    load (i8042, SOURCE_KEYBOARD, byte);
  else if (byte == SET_2_BREAK)
    {
      i8042->breaking = true;
      return false;
    }
  else if (byte >= ANSWERS_FROM)
    load (i8042, SOURCE_KEYBOARD, byte);
  else
    {
      load (i8042, SOURCE_KEYBOARD, ps2_keyboard_translate (byte) | (i8042->breaking ? 0x80 : 0));
      i8042->breaking = false;
    }
  return true;
}

/* Fills the output buffer if it is empty and there is something for it. */
static void
fill_output (I8042 *i8042)
{
  if (i8042->source == SOURCE_NONE && i8042->waiting_source != SOURCE_NONE)
    {
      load (i8042, i8042->waiting_source, i8042->waiting);
      i8042->waiting_source = SOURCE_NONE;
    }
  while (i8042->source == SOURCE_NONE && !(i8042->mode & MODE_NO_KEYBOARD) &&
         ps2_keyboard_has_byte (i8042->keyboard))
    if (load_key (i8042, ps2_keyboard_take_byte (i8042->keyboard)))
      break;
  if (i8042->source == SOURCE_NONE && !(i8042->mode & MODE_NO_MOUSE) &&
      ps2_mouse_has_byte (i8042->mouse))
    load (i8042, SOURCE_MOUSE, ps2_mouse_take_byte (i8042->mouse));
  update_irqs (i8042);
}

static void
answer_as (I8042 *i8042, Source source, uint8_t byte)
{
  i8042->waiting_source = source;
  i8042->waiting = byte;
}

static void
answer (I8042 *i8042, uint8_t byte)
{
  answer_as (i8042, SOURCE_CONTROLLER, byte);
}

/* --- lights --- */

static gboolean
tell_leds (void *opaque)
{
  I8042 *i8042 = opaque;

  g_mutex_lock (&i8042->lock);
  const uint32_t leds = ps2_keyboard_get_leds (i8042->keyboard);
  g_clear_pointer (&i8042->leds_source, g_source_unref);
  g_mutex_unlock (&i8042->lock);
  input_port_set_leds (i8042->config.input, leds);
  return G_SOURCE_REMOVE;
}

static void
write_keyboard (I8042 *i8042, uint8_t byte)
{
  const uint32_t before = ps2_keyboard_get_leds (i8042->keyboard);

  i8042->mode &= (uint8_t) ~MODE_NO_KEYBOARD;
  ps2_keyboard_write (i8042->keyboard, byte);
  if (ps2_keyboard_get_leds (i8042->keyboard) == before || i8042->leds_source)
    return;
  i8042->leds_source = g_idle_source_new ();
  g_source_set_callback (i8042->leds_source, tell_leds, i8042, NULL);
  g_source_attach (i8042->leds_source, NULL);
}

/* --- ports; lock held --- */

static void
request_reset (I8042 *i8042)
{
  i8042->config.sink.request (i8042->config.sink.opaque, PLATFORM_REQUEST_RESET);
}

static void
take_argument (I8042 *i8042, uint8_t command, uint8_t byte)
{
  switch (command)
    {
    case COMMAND_WRITE_MODE:
      i8042->mode = byte;
      break;
    case COMMAND_WRITE_OUTPUT:
      if (!(byte & OUTPUT_NO_RESET))
        request_reset (i8042);
      break;
    case COMMAND_AS_KEYBOARD:
      answer_as (i8042, SOURCE_KEYBOARD, byte);
      break;
    case COMMAND_AS_MOUSE:
      answer_as (i8042, SOURCE_MOUSE, byte);
      break;
    default:
      i8042->mode &= (uint8_t) ~MODE_NO_MOUSE;
      ps2_mouse_write (i8042->mouse, byte);
    }
}

static void
run_command (I8042 *i8042, uint8_t command)
{
  switch (command)
    {
    case COMMAND_READ_MODE:
      answer (i8042, i8042->mode);
      break;
    case COMMAND_WRITE_MODE:
    case COMMAND_WRITE_OUTPUT:
    case COMMAND_AS_KEYBOARD:
    case COMMAND_AS_MOUSE:
    case COMMAND_TO_MOUSE:
      i8042->command = command;
      break;
    case COMMAND_MOUSE_OFF:
      i8042->mode |= MODE_NO_MOUSE;
      break;
    case COMMAND_MOUSE_ON:
      i8042->mode &= (uint8_t) ~MODE_NO_MOUSE;
      break;
    case COMMAND_MOUSE_TEST:
    case COMMAND_KEYBOARD_TEST:
      answer (i8042, 0);
      break;
    case COMMAND_SELF_TEST:
      i8042->mode |= MODE_SYSTEM;
      answer (i8042, SELF_TEST_PASSED);
      break;
    case COMMAND_KEYBOARD_OFF:
      i8042->mode |= MODE_NO_KEYBOARD;
      break;
    case COMMAND_KEYBOARD_ON:
      i8042->mode &= (uint8_t) ~MODE_NO_KEYBOARD;
      break;
    case COMMAND_READ_INPUT:
      answer (i8042, 0x80); /* no keyboard lock */
      break;
    case COMMAND_READ_OUTPUT:
      answer (i8042, OUTPUT_NO_RESET | OUTPUT_A20);
      break;
    default:
      if (command >= COMMAND_PULSE && !(command & OUTPUT_NO_RESET))
        request_reset (i8042);
    }
}

static uint64_t
read_data (void *opaque, uint64_t offset, unsigned size)
{
  I8042 *i8042 = opaque;

  g_mutex_lock (&i8042->lock);
  /* An empty buffer gives again what was in it last. */
  const uint8_t byte = i8042->output;
  i8042->source = SOURCE_NONE;
  update_irqs (i8042);
  fill_output (i8042);
  g_mutex_unlock (&i8042->lock);
  return byte;
}

static void
write_data (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  I8042 *i8042 = opaque;

  g_mutex_lock (&i8042->lock);
  const uint8_t command = i8042->command;
  i8042->command = 0;
  i8042->last_was_command = false;
  if (command)
    take_argument (i8042, command, (uint8_t) value);
  else
    write_keyboard (i8042, (uint8_t) value);
  fill_output (i8042);
  g_mutex_unlock (&i8042->lock);
}

static uint64_t
read_status (void *opaque, uint64_t offset, unsigned size)
{
  I8042 *i8042 = opaque;

  g_mutex_lock (&i8042->lock);
  const unsigned status = STATUS_UNLOCKED | (i8042->last_was_command ? STATUS_COMMAND : 0) |
                          (i8042->mode & MODE_SYSTEM ? STATUS_SYSTEM : 0) |
                          (i8042->source != SOURCE_NONE ? STATUS_OUTPUT_FULL : 0) |
                          (i8042->source == SOURCE_MOUSE ? STATUS_MOUSE : 0);
  g_mutex_unlock (&i8042->lock);
  return status;
}

static void
write_command (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  I8042 *i8042 = opaque;

  g_mutex_lock (&i8042->lock);
  i8042->command = 0;
  i8042->last_was_command = true;
  run_command (i8042, (uint8_t) value);
  fill_output (i8042);
  g_mutex_unlock (&i8042->lock);
}

static const AddressOps data_ops = { .read = read_data, .write = write_data };
static const AddressOps command_ops = { .read = read_status, .write = write_command };

/* --- input; main thread --- */

static void schedule_repeat (I8042 *i8042, bool is_first);

static gboolean
on_repeat (void *opaque)
{
  I8042 *i8042 = opaque;

  i8042->repeat_source = 0;
  g_mutex_lock (&i8042->lock);
  ps2_keyboard_repeat (i8042->keyboard);
  fill_output (i8042);
  schedule_repeat (i8042, false);
  g_mutex_unlock (&i8042->lock);
  return G_SOURCE_REMOVE;
}

/* Lock held. */
static void
schedule_repeat (I8042 *i8042, bool is_first)
{
  unsigned delay, period;

  g_clear_handle_id (&i8042->repeat_source, g_source_remove);
  if (ps2_keyboard_get_repeat (i8042->keyboard, &delay, &period))
    i8042->repeat_source = g_timeout_add (is_first ? delay : period, on_repeat, i8042);
}

static void
on_keys (void *opaque, const InputEvent *events, unsigned n_events)
{
  I8042 *i8042 = opaque;

  g_mutex_lock (&i8042->lock);
  for (unsigned i = 0; i < n_events; i++)
    if (events[i].type == EV_KEY)
      ps2_keyboard_press (i8042->keyboard, events[i].code, events[i].value != 0);
  schedule_repeat (i8042, true);
  fill_output (i8042);
  g_mutex_unlock (&i8042->lock);
}

static void
on_pointer (void *opaque, const InputEvent *events, unsigned n_events)
{
  I8042 *i8042 = opaque;

  g_mutex_lock (&i8042->lock);
  ps2_mouse_move (i8042->mouse, events, n_events);
  fill_output (i8042);
  g_mutex_unlock (&i8042->lock);
}

/* --- life --- */

void
i8042_reset (I8042 *i8042)
{
  g_mutex_lock (&i8042->lock);
  ps2_keyboard_reset (i8042->keyboard);
  ps2_mouse_reset (i8042->mouse);
  i8042->mode = MODE_KEYBOARD_IRQ | MODE_MOUSE_IRQ;
  i8042->command = 0;
  i8042->last_was_command = i8042->breaking = false;
  i8042->source = i8042->waiting_source = SOURCE_NONE;
  i8042->output = 0;
  update_irqs (i8042);
  g_mutex_unlock (&i8042->lock);
  g_clear_handle_id (&i8042->repeat_source, g_source_remove);
}

I8042 *
i8042_new (const I8042Config *config)
{
  I8042 *i8042 = g_new0 (I8042, 1);

  i8042->config = *config;
  g_mutex_init (&i8042->lock);
  i8042->keyboard = ps2_keyboard_new ();
  i8042->mouse = ps2_mouse_new ();
  i8042_reset (i8042);
  i8042->data_range =
      address_space_add (config->ports, "i8042 data", I8042_DATA, 1, &data_ops, i8042);
  i8042->command_range =
      address_space_add (config->ports, "i8042 command", I8042_COMMAND, 1, &command_ops, i8042);
  input_port_set_fallback (config->input, INPUT_KEYBOARD, on_keys, i8042);
  input_port_set_fallback (config->input, INPUT_POINTER, on_pointer, i8042);
  return i8042;
}

void
i8042_free (I8042 *i8042)
{
  if (!i8042)
    return;
  for (InputKind kind = 0; kind < INPUT_N_KINDS; kind++)
    input_port_set_fallback (i8042->config.input, kind, NULL, NULL);
  address_space_remove (i8042->config.ports, i8042->data_range);
  address_space_remove (i8042->config.ports, i8042->command_range);
  g_clear_handle_id (&i8042->repeat_source, g_source_remove);
  if (i8042->leds_source)
    g_source_destroy (i8042->leds_source);
  g_clear_pointer (&i8042->leds_source, g_source_unref);
  ps2_keyboard_free (i8042->keyboard);
  ps2_mouse_free (i8042->mouse);
  g_mutex_clear (&i8042->lock);
  g_free (i8042);
}
