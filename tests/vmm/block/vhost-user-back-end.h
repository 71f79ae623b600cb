#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* A disk served by vhost-user on a socket, in a thread. The disk's contents and what was seen belong to the test and
 * outlive it: several of them, one after the other, serve the same disk. It asserts what a driver has to keep to. */
typedef struct VhostUserBackEnd VhostUserBackEnd;

/* Told once, with the first request that is done. */
typedef enum
{
  VHOST_USER_BACK_END_HONEST,
  VHOST_USER_BACK_END_ID_BEYOND, /* done is a request beyond the ring */
  VHOST_USER_BACK_END_ID_HUGE,
  VHOST_USER_BACK_END_ID_OF_NOBODY,
  VHOST_USER_BACK_END_TWICE,
  VHOST_USER_BACK_END_INDEX_JUMPS,
  VHOST_USER_BACK_END_INDEX_GOES_BACK,
  VHOST_USER_BACK_END_LENGTH,    /* more was written than there is room */
  VHOST_USER_BACK_END_NO_STATUS, /* done, but how is not said */
  VHOST_USER_BACK_END_OVERWRITES /* all memory of the rings is 0xff; then it dies */
} VhostUserBackEndLie;

/* Sums over all that saw; written by their threads, read with __atomic_load_n (). */
typedef struct VhostUserBackEndSeen
{
  unsigned taken;         /* requests, held ones included */
  unsigned by_type[16];   /* VIRTIO_BLK_T_ */
  unsigned unmaps;        /* write zeroes that may give space back */
  unsigned most_segments; /* of one request's data */
  unsigned largest_range; /* sectors of one discard or write zeroes */
  unsigned kicks;
  unsigned calls;
} VhostUserBackEndSeen;

typedef struct VhostUserBackEndConfig
{
  uint64_t sectors;
  uint8_t *contents; /* borrowed, `sectors` of them; NULL if no request is going to come */
  VhostUserBackEndSeen *seen;
  uint64_t lacks; /* bits of virtio's features that it has not */
  bool readonly;
  bool no_config_space;
  uint32_t seg_max;             /* 0: 126 */
  uint32_t max_discard_sectors; /* 0: as many as there are */
  uint32_t max_write_zeroes_sectors;
  uint8_t status;    /* that a request is answered with */
  unsigned holds;    /* which request, the first is 1, is taken and not done; 0: none */
  unsigned dies_at;  /* which request is half done when it hangs up; 0: none */
  bool never_calls;  /* done is what the ring says, nobody is woken */
  bool never_sleeps; /* looks for requests, and wants no kick */
  VhostUserBackEndLie lie;
} VhostUserBackEndConfig;

/* fd: its side of a stream socket, borrowed; shut down when it dies. */
VhostUserBackEnd *vhost_user_back_end_new (const VhostUserBackEndConfig *config, int fd);
/* Dies, if it has not: hangs up in the middle of whatever it does. */
void vhost_user_back_end_free (VhostUserBackEnd *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostUserBackEnd, vhost_user_back_end_free)

/* Does the request that is held, or will be. Any thread. */
void vhost_user_back_end_let_go (VhostUserBackEnd *self);
/* Calls for nothing. Any thread. */
void vhost_user_back_end_call (VhostUserBackEnd *self);
