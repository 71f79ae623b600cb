#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a PS/2 device has to say: answers to commands, which come first, and what happened on it. Both are bounded; a piece that
 * does not fit whole is refused. Zeroed, it is empty. */
#define PS2_QUEUE_EVENTS  64
#define PS2_QUEUE_ANSWERS 16

typedef struct Ps2Ring
{
  uint8_t bytes[PS2_QUEUE_EVENTS];
  uint8_t first;
  uint8_t n;
} Ps2Ring;

typedef struct Ps2Queue
{
  Ps2Ring answers;
  Ps2Ring events;
  uint8_t last; /* that was taken: what RESEND asks for */
} Ps2Queue;

static inline bool
ps2_ring_put (Ps2Ring *ring, unsigned limit, const uint8_t *bytes, unsigned n)
{
  if (ring->n + n > limit)
    return false;
  for (unsigned i = 0; i < n; i++)
    ring->bytes[(ring->first + ring->n++) % PS2_QUEUE_EVENTS] = bytes[i];
  return true;
}

static inline bool
ps2_queue_put_event (Ps2Queue *queue, const uint8_t *bytes, unsigned n)
{
  return ps2_ring_put (&queue->events, PS2_QUEUE_EVENTS, bytes, n);
}

/* A driver that sends commands and never reads loses answers. */
static inline void
ps2_queue_put_answer (Ps2Queue *queue, uint8_t byte)
{
  ps2_ring_put (&queue->answers, PS2_QUEUE_ANSWERS, &byte, 1);
}

static inline unsigned
ps2_queue_get_n_events (const Ps2Queue *queue)
{
  return queue->events.n;
}

static inline bool
ps2_queue_is_empty (const Ps2Queue *queue)
{
  return queue->answers.n == 0 && queue->events.n == 0;
}

/* Not of an empty queue. */
static inline uint8_t
ps2_queue_take (Ps2Queue *queue)
{
  Ps2Ring *ring = queue->answers.n > 0 ? &queue->answers : &queue->events;

  queue->last = ring->bytes[ring->first];
  ring->first = (ring->first + 1) % PS2_QUEUE_EVENTS;
  ring->n--;
  return queue->last;
}

static inline void
ps2_queue_clear (Ps2Queue *queue)
{
  *queue = (Ps2Queue){ 0 };
}
