#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <glib.h>

#include "control/control-target.h"

/* The protocol on one QMP connection, without the connection: bytes in, lines out.
 *
 * The input is a stream of JSON values with anything or nothing between them. A value is parsed once it is whole and known to be
 * within QMP_VALUE_MAX and QMP_DEPTH_MAX; what is malformed is answered with an error, and the stream goes on after it. What is
 * too long or too deep is answered and the session is over, for nothing tells where such a value ends.
 *
 * Thread: the main thread.
 */
#define QMP_VALUE_MAX (1u << 20) /* bytes; QEMU: 64 MiB of tokens */
#define QMP_DEPTH_MAX 64u        /* QEMU: 1024 */
/* Descriptors that one message may bring. */
#define QMP_SESSION_FDS_MAX 16

typedef struct QmpSession QmpSession;

/* One or more whole lines. May be called from within every function below. */
typedef void (*QmpOutputFunc) (const char *bytes, size_t size, void *opaque);

/* Says the greeting. target is borrowed. */
QmpSession *qmp_session_new (const ControlTarget *target, QmpOutputFunc output, void *opaque);
void qmp_session_free (QmpSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (QmpSession, qmp_session_free)

/* Descriptors that came with the bytes of the next input; all are taken. */
void qmp_session_receive_fds (QmpSession *session, const int *fds, unsigned n);

/* False: the session is over, drop the connection (the reason has been output). */
bool qmp_session_input (QmpSession *session, const char *bytes, size_t size);

/* Passes an event on once the client has negotiated, as QEMU does. */
void qmp_session_event (QmpSession *session, const char *line);
