#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* A small HTTP server on 127.0.0.1 that misbehaves as it is told: each connection is one request
 * and is answered in a thread of its own. Change the fields while no request is under way. */
typedef struct HttpServer
{
  GSocketService *service;
  guint16 port;
  GBytes *content;
  const char *validator; /* "ETag: ..." or "Last-Modified: ..."; NULL: none */
  gboolean ranges;       /* answers Range with 206 */
  guint status;          /* this instead of 200; 0: as it should be */
  guint64 claim;         /* Content-Length of this instead of the truth */
  gsize break_after;     /* the connection breaks after so many bytes of the body */
  gint breaks;           /* so many times; -1: always (atomic) */
  guint pause_ms;        /* before each piece of 64 KiB */
  gsize hang_after;      /* after so many bytes it sends no more until it is stopped; 0: never */
  guint n_requests;      /* so far; atomic, wakes the main context */
  /* Under the lock */
  GMutex lock;
  GCond stopped_cond;
  gboolean stopped;
  char *last_range;   /* of the last request; NULL: it had none */
  guint64 bytes_sent; /* of bodies */
} HttpServer;

HttpServer *http_server_new (GBytes *content);
void http_server_free (HttpServer *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HttpServer, http_server_free)

char *http_server_dup_url (HttpServer *self, const char *name);

G_END_DECLS
