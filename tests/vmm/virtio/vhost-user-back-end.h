#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* A disk served by vhost-user on the other end of a socketpair, in a thread: every request succeeds, reads give the byte 'r'. It keeps the
 * record of requests in flight, and what a record that it is given says is in flight it does first. */
typedef struct VhostUserBackEnd VhostUserBackEnd;

typedef struct VhostUserBackEndConfig
{
  uint64_t sectors;
  bool readonly;
  bool no_record;  /* hangs up when asked for the record of requests */
  bool hold_first; /* the first request is taken and not done, not even when it is told to stop */
  uint16_t n_queues;
} VhostUserBackEndConfig;

/* *fd: the front end's side, owned by the caller. */
VhostUserBackEnd *vhost_user_back_end_new (const VhostUserBackEndConfig *config, int *fd);
/* Dies, if it has not: hangs up in the middle of whatever it does. */
void vhost_user_back_end_free (VhostUserBackEnd *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostUserBackEnd, vhost_user_back_end_free)

/* Requests that it has taken, held ones included. Any thread. */
unsigned vhost_user_back_end_get_taken (VhostUserBackEnd *self);
/* Does the request that is held. */
void vhost_user_back_end_let_go (VhostUserBackEnd *self);
/* How often it was asked to stop a queue. */
unsigned vhost_user_back_end_get_stops (VhostUserBackEnd *self);
