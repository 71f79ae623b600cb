#include "ports/input-port.h"

#include <stdbool.h>
#include <linux/input-event-codes.h>

#define KEY_WORDS ((KEY_CNT + 63) / 64)
/* A group longer than this is cut: no front sends one. */
#define GROUP_MAX 16

typedef struct InputListener
{
  InputFunc func;
  void *opaque;
  bool driven; /* atomic */
  InputFunc fallback;
  void *fallback_opaque;
  uint64_t down[KEY_WORDS];
} InputListener;

struct InputPort
{
  InputListener listeners[INPUT_N_KINDS];
  uint32_t leds;
  InputLedsFunc leds_func;
  void *leds_opaque;
};

InputPort *
input_port_new (void)
{
  return g_new0 (InputPort, 1);
}

void
input_port_free (InputPort *port)
{
  g_free (port);
}

void
input_port_set_listener (InputPort *port, InputKind kind, InputFunc func, void *opaque)
{
  g_return_if_fail (kind < INPUT_N_KINDS);
  port->listeners[kind].func = func;
  port->listeners[kind].opaque = opaque;
}

void
input_port_set_driven (InputPort *port, InputKind kind, bool driven)
{
  g_return_if_fail (kind < INPUT_N_KINDS);
  __atomic_store_n (&port->listeners[kind].driven, driven, __ATOMIC_RELAXED);
}

void
input_port_set_fallback (InputPort *port, InputKind kind, InputFunc func, void *opaque)
{
  g_return_if_fail (kind < INPUT_N_KINDS);
  port->listeners[kind].fallback = func;
  port->listeners[kind].fallback_opaque = opaque;
}

void
input_port_set_leds (InputPort *port, uint32_t leds)
{
  if (leds == port->leds)
    return;
  port->leds = leds;
  if (port->leds_func)
    port->leds_func (port->leds_opaque, leds);
}

void
input_port_watch_leds (InputPort *port, InputLedsFunc func, void *opaque)
{
  port->leds_func = func;
  port->leds_opaque = opaque;
  if (func)
    func (opaque, port->leds);
}

static bool
is_down (const InputListener *listener, uint16_t code)
{
  return listener->down[code / 64] >> (code % 64) & 1;
}

/* Whether the event says something new; keeps the record of what is down. */
static bool
take (InputListener *listener, const InputEvent *event)
{
  if (event->type != EV_KEY)
    return event->type == EV_ABS || event->type == EV_REL;
  if (event->code >= KEY_CNT || is_down (listener, event->code) == (event->value != 0))
    return false;
  listener->down[event->code / 64] ^= UINT64_C (1) << (event->code % 64);
  return true;
}

/* Changes group. */
static void
send_to_fallback (const InputListener *listener, InputEvent *group, unsigned n_group)
{
  unsigned n = n_group;

  if (__atomic_load_n (&listener->driven, __ATOMIC_RELAXED))
    {
      n = 0;
      for (unsigned i = 0; i < n_group; i++)
        if (group[i].type == EV_KEY && group[i].value == 0)
          group[n++] = group[i];
    }
  if (n > 0 && listener->fallback)
    listener->fallback (listener->fallback_opaque, group, n);
}

void
input_port_send (InputPort *port, InputKind kind, const InputEvent *events, unsigned n_events)
{
  InputEvent group[GROUP_MAX];
  unsigned n_group = 0;

  g_return_if_fail (kind < INPUT_N_KINDS);
  InputListener *listener = &port->listeners[kind];
  for (unsigned i = 0; i < n_events && n_group < GROUP_MAX; i++)
    if (take (listener, &events[i]))
      group[n_group++] = events[i];
  if (n_group > 0 && listener->func)
    listener->func (listener->opaque, group, n_group);
  send_to_fallback (listener, group, n_group);
}

void
input_port_release_all (InputPort *port)
{
  for (InputKind kind = 0; kind < INPUT_N_KINDS; kind++)
    for (unsigned code = 0; code < KEY_CNT; code++)
      if (is_down (&port->listeners[kind], code))
        {
          InputEvent up = { .type = EV_KEY, .code = code };
          input_port_send (port, kind, &up, 1);
        }
}
