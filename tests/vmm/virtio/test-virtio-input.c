#include <string.h>
#include <linux/input-event-codes.h>
#include <linux/virtio_input.h>

#include "changing-memory.h"
#include "virtio-driver.h"
#include "virtio/virtio-input.h"

#define RAM     (4u << 20)
#define BUFFERS 32

typedef struct Fixture
{
  GuestMemory *memory;
  InputPort *port;
  VirtioInput *input;
  VirtioDriver *driver;
  struct virtio_input_event *events; /* guest memory: BUFFERS of them */
  uint64_t events_gpa;
  unsigned n_read;
} Fixture;

static void
setup (Fixture *f, gconstpointer data)
{
  f->memory = guest_memory_new (RAM, RAM, 2 * RAM, NULL);
  f->port = input_port_new ();
  f->input = virtio_input_new (f->memory, f->port, GPOINTER_TO_INT (data));
  f->driver = virtio_driver_new (virtio_input_get_device (f->input), f->memory, 0, UINT64_MAX);
  f->events_gpa = virtio_driver_alloc (f->driver, BUFFERS * 8, (void **) &f->events);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  virtio_driver_free (f->driver);
  virtio_input_free (f->input);
  input_port_free (f->port);
  guest_memory_free (f->memory);
}

static void
give_buffers (Fixture *f, unsigned n)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);

  for (unsigned i = 0; i < n; i++)
    {
      const DriverSegment segment = { f->events_gpa + 8 * i, 8, true };
      virtqueue_driver_add (ring, &segment, 1);
    }
  virtio_driver_kick (f->driver, 0);
}

/* What the device wrote next; buffers are used in the order in which they were given. */
static bool
next_event (Fixture *f, uint16_t *type, uint16_t *code, int32_t *value)
{
  uint32_t written;

  if (!virtqueue_driver_take_used (virtio_driver_get_queue (f->driver, 0), NULL, &written))
    return false;
  g_assert_cmpuint (written, ==, 8);
  const struct virtio_input_event *event = &f->events[f->n_read++ % BUFFERS];
  *type = GUINT16_FROM_LE (event->type);
  *code = GUINT16_FROM_LE (event->code);
  *value = (int32_t) GUINT32_FROM_LE (event->value);
  return true;
}

static void
assert_next (Fixture *f, uint16_t type, uint16_t code, int32_t value)
{
  uint16_t got_type = 0, got_code = 0;
  int32_t got_value = 0;

  g_assert_true (next_event (f, &got_type, &got_code, &got_value));
  g_assert_cmpuint (got_type, ==, type);
  g_assert_cmpuint (got_code, ==, code);
  g_assert_cmpint (got_value, ==, value);
}

static void
send_key (Fixture *f, uint16_t code, bool down)
{
  const InputEvent event = { EV_KEY, code, down };
  input_port_send (f->port, INPUT_KEYBOARD, &event, 1);
}

static void
test_key (Fixture *f, gconstpointer data)
{
  give_buffers (f, BUFFERS);
  send_key (f, KEY_A, true);
  assert_next (f, EV_KEY, KEY_A, 1);
  assert_next (f, EV_SYN, SYN_REPORT, 0);
  send_key (f, KEY_A, false);
  assert_next (f, EV_KEY, KEY_A, 0);
  assert_next (f, EV_SYN, SYN_REPORT, 0);
  g_assert_cmpuint (virtio_driver_get_interrupts (f->driver, 0), ==, 1);
}

/* Without buffers events wait, and come in order when there are some. */
static void
test_late_buffers (Fixture *f, gconstpointer data)
{
  send_key (f, KEY_A, true);
  send_key (f, KEY_A, false);
  give_buffers (f, 3);
  assert_next (f, EV_KEY, KEY_A, 1);
  assert_next (f, EV_SYN, SYN_REPORT, 0);
  assert_next (f, EV_KEY, KEY_A, 0);
  f->n_read = 0;
  give_buffers (f, 1);
  assert_next (f, EV_SYN, SYN_REPORT, 0);
}

/* CVE-2020-16843's kind: a guest that takes nothing for long neither stalls the device nor keeps a key for ever. */
static void
test_flood_leaves_no_key_stuck (Fixture *f, gconstpointer data)
{
  give_buffers (f, 2);
  send_key (f, KEY_LEFTSHIFT, true);
  assert_next (f, EV_KEY, KEY_LEFTSHIFT, 1);
  assert_next (f, EV_SYN, SYN_REPORT, 0);
  for (unsigned i = 0; i < 5000; i++)
    {
      send_key (f, KEY_B, true);
      send_key (f, KEY_B, false);
    }
  send_key (f, KEY_LEFTSHIFT, false);
  send_key (f, KEY_C, true);
  f->n_read = 0;
  give_buffers (f, BUFFERS);
  assert_next (f, EV_KEY, KEY_LEFTSHIFT, 0);
  assert_next (f, EV_KEY, KEY_C, 1);
  assert_next (f, EV_SYN, SYN_REPORT, 0);
  send_key (f, KEY_C, false);
  assert_next (f, EV_KEY, KEY_C, 0);
}

static void
test_tablet (Fixture *f, gconstpointer data)
{
  const InputEvent events[] = {
    { EV_ABS, ABS_X, 100 },
    { EV_ABS, ABS_Y, INPUT_ABS_MAX },
    { EV_KEY, BTN_LEFT, 1 },
    { EV_REL, REL_WHEEL, -1 },
  };

  give_buffers (f, BUFFERS);
  input_port_send (f->port, INPUT_POINTER, events, 4);
  for (unsigned i = 0; i < 4; i++)
    assert_next (f, events[i].type, events[i].code, events[i].value);
  assert_next (f, EV_SYN, SYN_REPORT, 0);
  /* The keyboard's events are not the tablet's. */
  send_key (f, KEY_A, true);
  g_assert_false (virtqueue_driver_take_used (virtio_driver_get_queue (f->driver, 0), NULL, NULL));
}

static void
on_leds (void *opaque, uint32_t leds)
{
  *(uint32_t *) opaque = leds;
}

static void
test_leds (Fixture *f, gconstpointer data)
{
  struct virtio_input_event event = { GUINT16_TO_LE (EV_LED), GUINT16_TO_LE (LED_CAPSL),
                                      GUINT32_TO_LE (1) };
  uint32_t leds = 99;

  input_port_watch_leds (f->port, on_leds, &leds);
  g_assert_cmpuint (leds, ==, 0);
  virtio_driver_request (f->driver, 1, &event, sizeof event, NULL, 0);
  g_assert_cmpuint (leds, ==, 1u << LED_CAPSL);
  event.code = GUINT16_TO_LE (1000);
  virtio_driver_request (f->driver, 1, &event, sizeof event, NULL, 0);
  g_assert_cmpuint (leds, ==, 1u << LED_CAPSL);
  event = (struct virtio_input_event){ GUINT16_TO_LE (EV_LED), GUINT16_TO_LE (LED_CAPSL), 0 };
  virtio_driver_request (f->driver, 1, &event, sizeof event, NULL, 0);
  g_assert_cmpuint (leds, ==, 0);
  input_port_watch_leds (f->port, NULL, NULL);
}

static void
select_config (Fixture *f, uint8_t select, uint8_t subsel, struct virtio_input_config *config)
{
  const uint8_t both[] = { select, subsel };

  virtio_driver_write_config (f->driver, 0, both, 2);
  virtio_driver_read_config (f->driver, 0, config, sizeof *config);
}

static bool
has_bit (const struct virtio_input_config *config, unsigned bit)
{
  return bit / 8 < config->size && config->u.bitmap[bit / 8] >> (bit % 8) & 1;
}

static void
test_keyboard_config (Fixture *f, gconstpointer data)
{
  struct virtio_input_config config;

  select_config (f, VIRTIO_INPUT_CFG_ID_NAME, 0, &config);
  g_assert_cmpmem (config.u.string, config.size, "Alcove Virtual Keyboard", 23);
  select_config (f, VIRTIO_INPUT_CFG_ID_DEVIDS, 0, &config);
  g_assert_cmpuint (config.size, ==, sizeof config.u.ids);
  select_config (f, VIRTIO_INPUT_CFG_EV_BITS, EV_KEY, &config);
  g_assert_true (has_bit (&config, KEY_ESC));
  g_assert_true (has_bit (&config, KEY_MICMUTE));
  g_assert_false (has_bit (&config, 0));
  g_assert_false (has_bit (&config, BTN_LEFT));
  select_config (f, VIRTIO_INPUT_CFG_EV_BITS, EV_LED, &config);
  g_assert_true (has_bit (&config, LED_SCROLLL));
  select_config (f, VIRTIO_INPUT_CFG_EV_BITS, EV_REP, &config);
  g_assert_cmpuint (config.size, >, 0);
  select_config (f, VIRTIO_INPUT_CFG_EV_BITS, EV_ABS, &config);
  g_assert_cmpuint (config.size, ==, 0);
}

static void
test_tablet_config (Fixture *f, gconstpointer data)
{
  struct virtio_input_config config;

  select_config (f, VIRTIO_INPUT_CFG_EV_BITS, EV_ABS, &config);
  g_assert_true (has_bit (&config, ABS_X) && has_bit (&config, ABS_Y));
  g_assert_false (has_bit (&config, ABS_Z));
  select_config (f, VIRTIO_INPUT_CFG_EV_BITS, EV_REL, &config);
  g_assert_true (has_bit (&config, REL_WHEEL) && has_bit (&config, REL_WHEEL_HI_RES));
  g_assert_false (has_bit (&config, REL_X));
  select_config (f, VIRTIO_INPUT_CFG_EV_BITS, EV_KEY, &config);
  g_assert_true (has_bit (&config, BTN_LEFT) && has_bit (&config, BTN_EXTRA));
  g_assert_false (has_bit (&config, KEY_A));
  select_config (f, VIRTIO_INPUT_CFG_ABS_INFO, ABS_Y, &config);
  g_assert_cmpuint (config.size, ==, sizeof config.u.abs);
  g_assert_cmpuint (GUINT32_FROM_LE (config.u.abs.max), ==, INPUT_ABS_MAX);
  select_config (f, VIRTIO_INPUT_CFG_ABS_INFO, ABS_Z, &config);
  g_assert_cmpuint (config.size, ==, 0);
}

/* Every selection, known or not, is answered within its 128 bytes. */
static void
test_any_selection (Fixture *f, gconstpointer data)
{
  struct virtio_input_config config;

  for (unsigned select = 0; select < 256; select++)
    for (unsigned subsel = 0; subsel < 256; subsel++)
      {
        select_config (f, select, subsel, &config);
        g_assert_cmpuint (config.size, <=, sizeof config.u);
        g_assert_cmpuint (config.select, ==, select);
        g_assert_cmpuint (config.subsel, ==, subsel);
      }
}

#define KEYBOARD GINT_TO_POINTER (INPUT_KEYBOARD)
#define TABLET   GINT_TO_POINTER (INPUT_POINTER)
/* What the device was told is gone as soon as it has read it: it goes by its copy. */
static void
setup_changing (Fixture *f, gconstpointer data)
{
  setup (f, data);
  changing_memory_begin ();
}

static void
teardown_changing (Fixture *f, gconstpointer data)
{
  g_assert_cmpuint (changing_memory_end (), >, 0);
  teardown (f, data);
}

#define ADD_CHANGING(name, data, func)                                                             \
  g_test_add ("/virtio-input/hostile-8-memory-changes/" name, Fixture, data, setup_changing, func, \
              teardown_changing)

#define ADD(name, kind, func)                                                                      \
  g_test_add ("/virtio-input/" name, Fixture, kind, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("key", KEYBOARD, test_key);
  ADD ("hostile-11-late-buffers", KEYBOARD, test_late_buffers);
  ADD ("hostile-11-flood-leaves-no-key-stuck", KEYBOARD, test_flood_leaves_no_key_stuck);
  ADD ("tablet", TABLET, test_tablet);
  ADD ("leds", KEYBOARD, test_leds);
  ADD ("keyboard-config", KEYBOARD, test_keyboard_config);
  ADD ("tablet-config", TABLET, test_tablet_config);
  ADD ("hostile-5-any-selection", TABLET, test_any_selection);
  ADD_CHANGING ("leds", KEYBOARD, test_leds);
  return g_test_run ();
}
