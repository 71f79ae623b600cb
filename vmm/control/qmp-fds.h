#pragma once

#include <stdbool.h>
#include <glib.h>

/* File descriptors that a client handed over. As in QEMU, those that came with one message wait for a getfd and are
 * closed when the next message brings others; getfd gives the first a name, under which another command takes it. Everything
 * left is closed with the session. Bounded: a client cannot use up the process's descriptors.
 */
#define QMP_FDS_RECEIVED_MAX 4
#define QMP_FDS_NAMED_MAX    16

typedef struct QmpFds QmpFds;

QmpFds *qmp_fds_new (void);
void qmp_fds_free (QmpFds *fds);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (QmpFds, qmp_fds_free)

/* Takes all n; closes what is beyond QMP_FDS_RECEIVED_MAX. */
void qmp_fds_receive (QmpFds *fds, const int *received, unsigned n);

/* Errors are QMP_ERRORs, as QEMU words them. */
bool qmp_fds_name (QmpFds *fds, const char *name, GError **error);
bool qmp_fds_close (QmpFds *fds, const char *name, GError **error);
/* The descriptor is the caller's from then on; -1 with error. */
int qmp_fds_steal (QmpFds *fds, const char *name, GError **error);
