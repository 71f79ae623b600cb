#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* One question for a descriptor of one SPICE channel, answered exactly once, also after who asked
 * is gone. The public header's AlcoveDisplayFdRequest; stated there. Thread: main. */
typedef struct _AlcoveDisplayFdRequest FdRequest;

/* Owns fd and error now; not called when `owner` is gone or the question was cancelled. */
typedef void (*FdRequestAnswered) (GObject *owner, GObject *channel, int fd, GError *error);

/* `name` is static; the channel is kept until the answer, the owner is not. */
FdRequest *fd_request_new (GObject *owner, GObject *channel, const char *name,
                           GCancellable *cancellable, FdRequestAnswered answered);

void fd_request_answer (FdRequest *self, int fd, GError *error);
GCancellable *fd_request_get_cancellable (FdRequest *self);
const char *fd_request_get_name (FdRequest *self);

typedef void (*FdRequestFunc) (FdRequest *request, gpointer data);

G_END_DECLS
