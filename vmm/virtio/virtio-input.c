#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/virtio-input.h"

#include <assert.h>
#include <string.h>
#include <linux/input-event-codes.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_input.h>

#include "base/iov.h"

/* Theory of operation
 *
 * The driver keeps the event queue filled with empty buffers of one event each. What finds no buffer waits in a list of its own. If
 * a guest takes nothing for so long that the list is full, the list is thrown away and what must not be lost is told from
 * state instead: the keys and buttons that are down on the host but not in the guest and the reverse, and where the pointer is. A
 * key that was let go meanwhile is thus never stuck in the guest.
 */
#define QUEUE_EVENTS   0
#define QUEUE_STATUS   1
#define QUEUES         2
#define QUEUE_SIZE     64
#define PENDING_MAX    1024 /* more than KEY_CNT and some axes: resynchronise () always fits */
#define STATUS_AT_ONCE QUEUE_SIZE
#define KEY_BYTES      (KEY_CNT / 8)
#define CONFIG_SIZE    sizeof (struct virtio_input_config)
static_assert (PENDING_MAX >= KEY_CNT + 8, "see above");

typedef struct Model
{
  const char *name;
  const char *serial;
  uint16_t product;
  bool all_keys; /* every code that a keyboard can have */
  const uint16_t *buttons;
  unsigned n_buttons;
  const uint8_t *relative;
  unsigned n_relative;
  const uint8_t *absolute;
  unsigned n_absolute;
  const uint8_t *leds;
  unsigned n_leds;
  bool repeats;
} Model;

static const uint8_t keyboard_leds[] = { LED_NUML, LED_CAPSL, LED_SCROLLL };
static const uint16_t tablet_buttons[] = { BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA };
static const uint8_t tablet_axes[] = { ABS_X, ABS_Y };
static const uint8_t tablet_wheels[] = { REL_HWHEEL, REL_WHEEL, REL_WHEEL_HI_RES,
                                         REL_HWHEEL_HI_RES };

static const Model models[] = {
  [INPUT_KEYBOARD] = {
    .name = "Alcove Virtual Keyboard",
    .serial = "keyboard",
    .product = 1,
    .all_keys = true,
    .leds = keyboard_leds,
    .n_leds = G_N_ELEMENTS (keyboard_leds),
    .repeats = true,
  },
  [INPUT_POINTER] = {
    .name = "Alcove Virtual Tablet",
    .serial = "tablet",
    .product = 3,
    .buttons = tablet_buttons,
    .n_buttons = G_N_ELEMENTS (tablet_buttons),
    .relative = tablet_wheels,
    .n_relative = G_N_ELEMENTS (tablet_wheels),
    .absolute = tablet_axes,
    .n_absolute = G_N_ELEMENTS (tablet_axes),
  },
};
static_assert (G_N_ELEMENTS (models) == INPUT_N_KINDS, "one model a kind");

typedef struct KeySet
{
  uint8_t bytes[KEY_BYTES];
} KeySet;

struct VirtioInput
{
  VirtioDevice *device;
  InputPort *port;
  InputKind kind;
  const Model *model;

  /* Guarded by the device's lock. */
  bool active;
  uint8_t select;
  uint8_t subsel;
  InputEvent pending[PENDING_MAX];
  unsigned n_pending;
  bool lost;           /* pending overflowed: resynchronise from state */
  KeySet host;         /* what is down */
  KeySet guest;        /* what the guest was told is down */
  int32_t position[2]; /* ABS_X, ABS_Y; -1: unknown */
  uint32_t leds;
  VirtqueueElement element;
};

static bool
key_set_has (const KeySet *set, unsigned code)
{
  return set->bytes[code / 8] >> (code % 8) & 1;
}

static void
key_set_put (KeySet *set, unsigned code, bool down)
{
  set->bytes[code / 8] &= ~(1u << (code % 8));
  set->bytes[code / 8] |= down << (code % 8);
}

/* Config space (5.8.4): what select and subsel ask for appears in the union. */

static void
set_bit (struct virtio_input_config *config, unsigned bit)
{
  config->u.bitmap[bit / 8] |= 1u << (bit % 8);
  config->size = MAX (config->size, bit / 8 + 1);
}

static void
set_bits (struct virtio_input_config *config, const uint8_t *bits, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    set_bit (config, bits[i]);
}

static void
describe_events (const Model *model, struct virtio_input_config *config)
{
  switch (config->subsel)
    {
    case EV_KEY:
      for (unsigned code = KEY_ESC; model->all_keys && code < BTN_MISC; code++)
        set_bit (config, code);
      for (unsigned i = 0; i < model->n_buttons; i++)
        set_bit (config, model->buttons[i]);
      break;
    case EV_REL:
      set_bits (config, model->relative, model->n_relative);
      break;
    case EV_ABS:
      set_bits (config, model->absolute, model->n_absolute);
      break;
    case EV_LED:
      set_bits (config, model->leds, model->n_leds);
      break;
    case EV_REP:
      /* The guest repeats held keys by itself; a size is all that it looks at. */
      config->size = model->repeats;
      break;
    default:
      break;
    }
}

static void
describe_axis (const Model *model, struct virtio_input_config *config)
{
  for (unsigned i = 0; i < model->n_absolute; i++)
    if (model->absolute[i] == config->subsel)
      {
        config->u.abs.max = GUINT32_TO_LE (INPUT_ABS_MAX);
        config->size = sizeof config->u.abs;
      }
}

static void
set_text (struct virtio_input_config *config, const char *text)
{
  config->size = strlen (text);
  memcpy (config->u.string, text, config->size);
}

static void
describe (const VirtioInput *input, struct virtio_input_config *config)
{
  *config = (struct virtio_input_config){ .select = input->select, .subsel = input->subsel };
  if (config->subsel != 0 && config->select < VIRTIO_INPUT_CFG_EV_BITS)
    return;
  switch (config->select)
    {
    case VIRTIO_INPUT_CFG_ID_NAME:
      set_text (config, input->model->name);
      break;
    case VIRTIO_INPUT_CFG_ID_SERIAL:
      set_text (config, input->model->serial);
      break;
    case VIRTIO_INPUT_CFG_ID_DEVIDS:
      config->u.ids = (struct virtio_input_devids){
        .bustype = GUINT16_TO_LE (0x06), /* BUS_VIRTUAL */
        .vendor = GUINT16_TO_LE (0x0627),
        .product = GUINT16_TO_LE (input->model->product),
        .version = GUINT16_TO_LE (1),
      };
      config->size = sizeof config->u.ids;
      break;
    case VIRTIO_INPUT_CFG_EV_BITS:
      describe_events (input->model, config);
      break;
    case VIRTIO_INPUT_CFG_ABS_INFO:
      describe_axis (input->model, config);
      break;
    default:
      break;
    }
}

static void
config_read (void *opaque, uint32_t offset, void *buffer, uint32_t size)
{
  struct virtio_input_config config;

  describe (opaque, &config);
  memcpy (buffer, (const uint8_t *) &config + offset, size);
}

static void
config_write (void *opaque, uint32_t offset, const void *buffer, uint32_t size)
{
  VirtioInput *input = opaque;
  const uint8_t *bytes = buffer;

  for (uint32_t i = 0; i < size; i++)
    if (offset + i == offsetof (struct virtio_input_config, select))
      input->select = bytes[i];
    else if (offset + i == offsetof (struct virtio_input_config, subsel))
      input->subsel = bytes[i];
}

/* Events. */

static void
put (VirtioInput *input, uint16_t event_type, uint16_t code, int32_t value)
{
  if (input->n_pending == PENDING_MAX)
    input->lost = true;
  else
    input->pending[input->n_pending++] =
        (InputEvent){ .type = event_type, .code = code, .value = value };
}

/* Replaces what was lost by the difference that it made. */
static void
resynchronise (VirtioInput *input)
{
  input->lost = false;
  for (unsigned code = 0; code < KEY_CNT; code++)
    if (key_set_has (&input->host, code) != key_set_has (&input->guest, code))
      put (input, EV_KEY, code, key_set_has (&input->host, code));
  for (unsigned axis = 0; axis < G_N_ELEMENTS (input->position); axis++)
    if (input->position[axis] >= 0)
      put (input, EV_ABS, axis, input->position[axis]);
  if (input->n_pending > 0)
    put (input, EV_SYN, SYN_REPORT, 0);
}

static bool
give (VirtioInput *input, Virtqueue *queue, const InputEvent *event)
{
  const struct virtio_input_event bytes = {
    .type = GUINT16_TO_LE (event->type),
    .code = GUINT16_TO_LE (event->code),
    .value = GUINT32_TO_LE ((uint32_t) event->value),
  };

  if (!virtqueue_pop (queue, &input->element))
    return false;
  virtqueue_push (queue, &input->element,
                  iov_write (input->element.in, input->element.n_in, 0, &bytes, sizeof bytes));
  if (event->type == EV_KEY)
    key_set_put (&input->guest, event->code, event->value != 0);
  return true;
}

/* Lock held. */
static void
flush (VirtioInput *input)
{
  Virtqueue *queue = virtio_device_get_queue (input->device, QUEUE_EVENTS);
  unsigned given = 0;

  if (!queue)
    return;
  while (given < input->n_pending && give (input, queue, &input->pending[given]))
    given++;
  input->n_pending -= given;
  memmove (input->pending, input->pending + given, input->n_pending * sizeof *input->pending);
  virtio_device_signal_queue (input->device, QUEUE_EVENTS);
}

static void
remember (VirtioInput *input, const InputEvent *event)
{
  if (event->type == EV_KEY && event->code < KEY_CNT)
    key_set_put (&input->host, event->code, event->value != 0);
  else if (event->type == EV_ABS && event->code < G_N_ELEMENTS (input->position))
    input->position[event->code] = event->value;
}

static void
on_input (void *opaque, const InputEvent *events, unsigned n_events)
{
  VirtioInput *input = opaque;

  virtio_device_lock (input->device);
  for (unsigned i = 0; i < n_events; i++)
    {
      remember (input, &events[i]);
      if (input->active && !input->lost)
        put (input, events[i].type, events[i].code, events[i].value);
    }
  if (input->active && !input->lost)
    put (input, EV_SYN, SYN_REPORT, 0);
  if (input->lost)
    input->n_pending = 0;
  else
    flush (input);
  virtio_device_unlock (input->device);
}

/* The LEDs (5.8.6.2: the driver's events). */
static void
take_status (VirtioInput *input)
{
  Virtqueue *queue = virtio_device_get_queue (input->device, QUEUE_STATUS);
  unsigned done = 0;

  for (; done < STATUS_AT_ONCE && virtqueue_pop (queue, &input->element); done++)
    {
      struct virtio_input_event event = { 0 };

      iov_read (input->element.out, input->element.n_out, 0, &event, sizeof event);
      virtqueue_push (queue, &input->element, 0);
      const unsigned led = GUINT16_FROM_LE (event.code);
      if (GUINT16_FROM_LE (event.type) == EV_LED && led <= LED_SCROLLL)
        input->leds = (input->leds & ~(1u << led)) | (event.value != 0) << led;
    }
  if (done == STATUS_AT_ONCE)
    virtio_device_notify_again (input->device, QUEUE_STATUS);
  virtio_device_signal_queue (input->device, QUEUE_STATUS);
  if (input->kind == INPUT_KEYBOARD)
    input_port_set_leds (input->port, input->leds);
}

static void
notify (void *opaque, unsigned index)
{
  VirtioInput *input = opaque;

  if (index == QUEUE_STATUS)
    {
      take_status (input);
      return;
    }
  if (input->lost)
    resynchronise (input);
  flush (input);
}

static void
activate (void *opaque)
{
  VirtioInput *input = opaque;

  input->active = true;
  input_port_set_driven (input->port, input->kind, true);
}

static void
reset (void *opaque)
{
  VirtioInput *input = opaque;

  input->active = false;
  input_port_set_driven (input->port, input->kind, false);
  input->select = input->subsel = 0;
  input->n_pending = 0;
  input->lost = false;
  input->guest = (KeySet){ 0 };
  input->leds = 0;
}

#define INPUT_TYPE(device_name, class_code)                                                        \
  {                                                                                                \
    .name = device_name, .id = VIRTIO_ID_INPUT, .pci_class = class_code, .max_queues = QUEUES,     \
    .queue_size = QUEUE_SIZE, .config_read = config_read, .config_write = config_write,            \
    .activate = activate, .notify = notify, .reset = reset,                                        \
  }

static const VirtioDeviceType types[] = {
  [INPUT_KEYBOARD] = INPUT_TYPE ("virtio-keyboard", 0x090000),
  [INPUT_POINTER] = INPUT_TYPE ("virtio-tablet", 0x098000),
};
static_assert (G_N_ELEMENTS (types) == INPUT_N_KINDS, "one type a kind");

VirtioInput *
virtio_input_new (const GuestMemory *memory, InputPort *port, InputKind kind)
{
  VirtioInput *input = g_new0 (VirtioInput, 1);

  input->port = port;
  input->kind = kind;
  input->model = &models[kind];
  input->position[0] = input->position[1] = -1;
  input->device = virtio_device_new (&types[kind], input, QUEUES, CONFIG_SIZE, types[kind].features,
                                     memory, NULL);
  input_port_set_listener (port, kind, on_input, input);
  return input;
}

void
virtio_input_free (VirtioInput *input)
{
  if (!input)
    return;
  input_port_set_listener (input->port, input->kind, NULL, NULL);
  virtio_device_free (input->device);
  virtqueue_element_clear (&input->element);
  g_free (input);
}

VirtioDevice *
virtio_input_get_device (VirtioInput *input)
{
  return input->device;
}
