#define G_LOG_DOMAIN "vmm-platform"

#include "platform/ps2-mouse.h"

#include <linux/input-event-codes.h>

/* Theory of operation
 *
 * Movements add up until there is room for a packet; so a guest that is slow gets fewer and larger ones. Buttons are as they are
 * when a packet is made; a click that is shorter than the guest's reading is not lost while the queue has room for its two packets.
 */
enum
{
  COMMAND_SCALE_1 = 0xe6,
  COMMAND_SCALE_2 = 0xe7,
  COMMAND_RESOLUTION = 0xe8,
  COMMAND_STATUS = 0xe9,
  COMMAND_STREAM = 0xea,
  COMMAND_READ = 0xeb,
  COMMAND_UNWRAP = 0xec,
  COMMAND_WRAP = 0xee,
  COMMAND_REMOTE = 0xf0,
  COMMAND_ID = 0xf2,
  COMMAND_RATE = 0xf3,
  COMMAND_ENABLE = 0xf4,
  COMMAND_DISABLE = 0xf5,
  COMMAND_DEFAULT = 0xf6,
  COMMAND_RESEND = 0xfe,
  COMMAND_RESET = 0xff,

  ANSWER_ACK = 0xfa,
  ANSWER_RESEND = 0xfe,
  ANSWER_TEST_PASSED = 0xaa,

  ID_PLAIN = 0,
  ID_WHEEL = 3,
  ID_EXPLORER = 4,

  PACKET_ALWAYS = 1 << 3,
  PACKET_X_NEGATIVE = 1 << 4,
  PACKET_Y_NEGATIVE = 1 << 5,
  PACKET_MAX = 4,

  RATE_DEFAULT = 100,
  RESOLUTION_DEFAULT = 2,
};

/* Counts that one packet can carry, and no more packets than these are due however far the pointer went. */
#define STEP_MAX   255
#define WHEEL_MAX  7
#define COUNTS_MAX 4096

struct Ps2Mouse
{
  Ps2Queue queue;
  uint8_t command; /* waits for its argument; 0: none */
  uint8_t id;
  uint8_t rates[3]; /* the last ones that were set, newest last: how a driver asks for an ID */
  uint8_t resolution;
  bool double_scale;
  bool reporting;
  bool remote;
  bool wrap;

  int32_t position[2]; /* ABS_X, ABS_Y; -1: unknown */
  int32_t rest[2];     /* of the division to counts */
  int32_t counts[2];   /* not told yet; down is positive */
  int32_t wheel;       /* notches, towards the user positive */
  uint8_t buttons;     /* bit 0 left, 1 right, 2 middle, 3 side, 4 extra */
  uint8_t told_buttons;
};

static int32_t
take (int32_t *from, int32_t limit)
{
  const int32_t some = CLAMP (*from, -limit, limit);

  *from -= some;
  return some;
}

static unsigned
make_packet (Ps2Mouse *mouse, uint8_t *bytes)
{
  const int32_t x = take (&mouse->counts[0], STEP_MAX);
  const int32_t y = -take (&mouse->counts[1], STEP_MAX); /* up is positive */
  const int32_t z = take (&mouse->wheel, WHEEL_MAX);

  bytes[0] = PACKET_ALWAYS | (mouse->buttons & 7) | (x < 0 ? PACKET_X_NEGATIVE : 0) |
             (y < 0 ? PACKET_Y_NEGATIVE : 0);
  bytes[1] = (uint8_t) x;
  bytes[2] = (uint8_t) y;
  mouse->told_buttons = mouse->buttons;
  if (mouse->id == ID_PLAIN)
    return 3;
  bytes[3] = mouse->id == ID_WHEEL ? (uint8_t) z : (z & 0x0f) | (mouse->buttons >> 3 & 3) << 4;
  return 4;
}

static bool
has_news (const Ps2Mouse *mouse)
{
  return mouse->counts[0] != 0 || mouse->counts[1] != 0 || mouse->wheel != 0 ||
         mouse->buttons != mouse->told_buttons;
}

static void
tell (Ps2Mouse *mouse)
{
  while (mouse->reporting && !mouse->remote && has_news (mouse) &&
         ps2_queue_get_n_events (&mouse->queue) + PACKET_MAX <= PS2_QUEUE_EVENTS)
    {
      uint8_t bytes[PACKET_MAX];

      ps2_queue_put_event (&mouse->queue, bytes, make_packet (mouse, bytes));
    }
}

static void
move_axis (Ps2Mouse *mouse, unsigned axis, int32_t position)
{
  static const int32_t size[] = { PS2_MOUSE_WIDTH, PS2_MOUSE_HEIGHT };
  const int32_t at = CLAMP (position, 0, INPUT_ABS_MAX);

  if (mouse->position[axis] >= 0)
    {
      const int32_t way = (at - mouse->position[axis]) * size[axis] + mouse->rest[axis];

      mouse->rest[axis] = way % (INPUT_ABS_MAX + 1);
      mouse->counts[axis] =
          CLAMP (mouse->counts[axis] + way / (INPUT_ABS_MAX + 1), -COUNTS_MAX, COUNTS_MAX);
    }
  mouse->position[axis] = at;
}

static void
press (Ps2Mouse *mouse, uint16_t code, bool down)
{
  static const uint16_t codes[] = { BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA };

  for (unsigned i = 0; i < G_N_ELEMENTS (codes); i++)
    if (codes[i] == code)
      mouse->buttons = (uint8_t) ((mouse->buttons & ~(1u << i)) | (unsigned) down << i);
}

void
ps2_mouse_move (Ps2Mouse *mouse, const InputEvent *events, unsigned n_events)
{
  for (unsigned i = 0; i < n_events; i++)
    {
      const InputEvent *event = &events[i];

      if (event->type == EV_ABS && event->code <= ABS_Y)
        move_axis (mouse, event->code, event->value);
      else if (event->type == EV_KEY)
        press (mouse, event->code, event->value != 0);
      else if (event->type == EV_REL && event->code == REL_WHEEL)
        mouse->wheel = CLAMP (mouse->wheel - CLAMP (event->value, -100, 100), -100, 100);
    }
  if (!mouse->reporting)
    {
      mouse->counts[0] = mouse->counts[1] = mouse->wheel = 0;
      mouse->told_buttons = mouse->buttons;
    }
  tell (mouse);
}

/* --- commands --- */

static void
set_default (Ps2Mouse *mouse)
{
  ps2_queue_clear (&mouse->queue);
  mouse->rates[2] = RATE_DEFAULT;
  mouse->resolution = RESOLUTION_DEFAULT;
  mouse->double_scale = mouse->reporting = mouse->remote = false;
  mouse->counts[0] = mouse->counts[1] = mouse->wheel = 0;
  mouse->told_buttons = mouse->buttons;
}

void
ps2_mouse_reset (Ps2Mouse *mouse)
{
  set_default (mouse);
  mouse->command = 0;
  mouse->id = ID_PLAIN;
  mouse->wrap = false;
  mouse->rates[0] = mouse->rates[1] = 0;
}

static void
answer (Ps2Mouse *mouse, uint8_t byte)
{
  ps2_queue_put_answer (&mouse->queue, byte);
}

static void
answer_status (Ps2Mouse *mouse)
{
  /* Buttons in the order left, middle, right from bit 2 down. */
  answer (mouse, (uint8_t) (mouse->remote << 6 | mouse->reporting << 5 | mouse->double_scale << 4 |
                            (mouse->buttons & 1) << 2 | (mouse->buttons >> 2 & 1) << 1 |
                            (mouse->buttons >> 1 & 1)));
  answer (mouse, mouse->resolution);
  answer (mouse, mouse->rates[2]);
}

static void
answer_packet (Ps2Mouse *mouse)
{
  uint8_t bytes[PACKET_MAX];
  const unsigned n = make_packet (mouse, bytes);

  for (unsigned i = 0; i < n; i++)
    answer (mouse, bytes[i]);
}

static void
set_rate (Ps2Mouse *mouse, uint8_t rate)
{
  mouse->rates[0] = mouse->rates[1];
  mouse->rates[1] = mouse->rates[2];
  mouse->rates[2] = rate;
  if (mouse->rates[0] != 200 || rate != 80)
    return;
  if (mouse->rates[1] == 100)
    mouse->id = ID_WHEEL;
  else if (mouse->rates[1] == 200 && mouse->id == ID_WHEEL)
    mouse->id = ID_EXPLORER;
}

static void
take_argument (Ps2Mouse *mouse, uint8_t argument)
{
  if (mouse->command == COMMAND_RATE)
    set_rate (mouse, argument);
  else
    mouse->resolution = argument & 3;
  mouse->command = 0;
  answer (mouse, ANSWER_ACK);
}

static void
run_command (Ps2Mouse *mouse, uint8_t command)
{
  if (command == COMMAND_RESET)
    ps2_mouse_reset (mouse);
  else if (command == COMMAND_DEFAULT)
    set_default (mouse);
  else if (command == COMMAND_RESEND)
    {
      answer (mouse, mouse->queue.last);
      return;
    }
  answer (mouse, ANSWER_ACK);
  switch (command)
    {
    case COMMAND_SCALE_1:
    case COMMAND_SCALE_2:
      mouse->double_scale = command == COMMAND_SCALE_2;
      break;
    case COMMAND_RESOLUTION:
    case COMMAND_RATE:
      mouse->command = command;
      break;
    case COMMAND_STATUS:
      answer_status (mouse);
      break;
    case COMMAND_STREAM:
    case COMMAND_REMOTE:
      mouse->remote = command == COMMAND_REMOTE;
      break;
    case COMMAND_READ:
      answer_packet (mouse);
      break;
    case COMMAND_WRAP:
      mouse->wrap = true;
      break;
    case COMMAND_ID:
      answer (mouse, mouse->id);
      break;
    case COMMAND_ENABLE:
    case COMMAND_DISABLE:
      mouse->reporting = command == COMMAND_ENABLE;
      break;
    case COMMAND_RESET:
      answer (mouse, ANSWER_TEST_PASSED);
      answer (mouse, mouse->id);
      break;
    default:
      break;
    }
}

static bool
is_command (uint8_t byte)
{
  return (byte >= COMMAND_SCALE_1 && byte <= COMMAND_UNWRAP) || byte == COMMAND_WRAP ||
         byte == COMMAND_REMOTE || (byte >= COMMAND_ID && byte <= COMMAND_DEFAULT) ||
         byte >= COMMAND_RESEND;
}

void
ps2_mouse_write (Ps2Mouse *mouse, uint8_t byte)
{
  if (mouse->wrap && byte != COMMAND_UNWRAP && byte != COMMAND_RESET)
    {
      answer (mouse, byte);
      return;
    }
  mouse->wrap = false;
  if (mouse->command != 0 && !is_command (byte))
    {
      take_argument (mouse, byte);
      return;
    }
  mouse->command = 0;
  if (is_command (byte))
    run_command (mouse, byte);
  else
    answer (mouse, ANSWER_RESEND);
  tell (mouse);
}

bool
ps2_mouse_has_byte (const Ps2Mouse *mouse)
{
  return !ps2_queue_is_empty (&mouse->queue);
}

uint8_t
ps2_mouse_take_byte (Ps2Mouse *mouse)
{
  const uint8_t byte = ps2_queue_take (&mouse->queue);

  tell (mouse);
  return byte;
}

Ps2Mouse *
ps2_mouse_new (void)
{
  Ps2Mouse *mouse = g_new0 (Ps2Mouse, 1);

  mouse->position[0] = mouse->position[1] = -1;
  ps2_mouse_reset (mouse);
  return mouse;
}

void
ps2_mouse_free (Ps2Mouse *mouse)
{
  g_free (mouse);
}
