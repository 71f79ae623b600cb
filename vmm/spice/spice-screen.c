/* Two threads meet here: the main thread, which hears the scanout port, and the server's worker, which takes commands and says
 * when a GL draw is done. The worker only sets flags and writes to an eventfd; everything else happens on the main thread, in
 * update (), which brings the server in line with what is wanted as far as that can be done now:
 *
 * - spice-server aborts when the GL scanout changes while a GL draw is unacknowledged, so a draw is an operation to wait for;
 * - before it destroys a primary surface its worker waits, up to 15 seconds, for clients that have not read what was sent, so long
 *   holds up whoever needs it (the main thread, for the next client), and crashes when such a client dies meanwhile. So we wait until
 *   they have read all or are gone, without blocking: then there is nothing left for it to wait for;
 * - QXL drawables come back only when later ones cover them, so the pace is the length of the queue, never what came back;
 * - damage that cannot be sent yet is collected, and what is sent is always the newest picture.
 *
 * Each flush waits in `owed` until its damage is on its way (QXL) or drawn by the client (GL); a timer answers for a client that has
 * stalled, and as long as it is stalled flushes are answered at once.
 */
#define G_LOG_DOMAIN "vmm-spice"

#include "spice/spice-screen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <pixman.h>

#include "base/fd-source.h"
#include "spice/spice-queue.h"

#define MEMSLOT_GROUP   0
#define PRIMARY_SURFACE 0
/* Damage of more rectangles than this is sent as one around them. */
#define MAX_RECTS 16
/* DRM_FORMAT_XRGB8888 */
#define FOURCC_XR24 0x34325258

/* How often it is looked whether clients have read, and how often in a row they must have: between two messages a socket is empty too. */
#define LOOK_PERIOD_MS     10
#define LOOK_PERIOD_MAX_MS 250
#define LOOKS_NEEDED       2

/* What has been begun and is not finished. One at a time: it may take as long as a client pleases. */
typedef enum
{
  OPERATION_NONE,
  OPERATION_GL_DRAW,
  OPERATION_DESTROY_PRIMARY,
} Operation;

typedef struct Owed
{
  ScanoutDoneFunc done;
  void *opaque;
} Owed;

struct SpiceScreen
{
  QXLInstance qxl;
  SpiceServer *server;
  ScanoutPort *port;
  SpiceConnections *connections;
  SpiceQueue *queue;
  int wakeup; /* eventfd: the worker did something */
  GSource *wakeup_source;

  /* What is wanted. */
  bool memfd;
  ScanoutSurface *surface;
  pixman_region32_t damage; /* of surface, not sent yet */
  unsigned n_clients;

  /* What the server has. */
  ScanoutSurface *primary; /* the surface that the primary was made for; NULL: none */
  uint8_t *primary_pixels; /* the server's own copy, which it draws into */
  ScanoutSurface *scanout; /* shown by GL; NULL: none */
  Operation operation;
  gint draw_done; /* atomic; by the worker */
  uint64_t next_cookie;
  GSource *look; /* in OPERATION_DESTROY_PRIMARY */
  unsigned looks, looks_read;

  GArray *owed;         /* of Owed: for damage not sent yet */
  GArray *owed_by_draw; /* of Owed: for the draw in flight */
  GSource *patience;
  bool stalled;
};

static void update (SpiceScreen *screen);

/* Answers to flushes */

static void
answer (GArray *owed)
{
  /* A done function may flush again and so add to the array. */
  g_autoptr (GArray) now = g_array_copy (owed);

  g_array_set_size (owed, 0);
  for (unsigned i = 0; i < now->len; i++)
    {
      const Owed *one = &g_array_index (now, Owed, i);
      one->done (one->opaque);
    }
}

static void
stop_patience (SpiceScreen *screen)
{
  if (screen->patience)
    g_source_destroy (screen->patience);
  g_clear_pointer (&screen->patience, g_source_unref);
}

static gboolean
on_patience_end (void *data)
{
  SpiceScreen *screen = data;

  stop_patience (screen);
  g_debug ("the client has not taken a frame for %u ms", SPICE_SCREEN_PATIENCE_MS);
  screen->stalled = true;
  answer (screen->owed_by_draw);
  answer (screen->owed);
  return G_SOURCE_REMOVE;
}

static void
start_patience (SpiceScreen *screen)
{
  if (screen->patience)
    return;
  screen->patience = g_timeout_source_new (SPICE_SCREEN_PATIENCE_MS);
  g_source_set_callback (screen->patience, on_patience_end, screen, NULL);
  g_source_attach (screen->patience, NULL);
}

/* After progress: whoever still waits has the whole time again. */
static void
renew_patience (SpiceScreen *screen)
{
  stop_patience (screen);
  if (screen->owed->len > 0 || screen->owed_by_draw->len > 0)
    start_patience (screen);
}

/* Bringing the server in line */

static void
clear_damage (SpiceScreen *screen)
{
  pixman_region32_fini (&screen->damage);
  pixman_region32_init (&screen->damage);
}

static void
damage_all (SpiceScreen *screen)
{
  clear_damage (screen);
  if (screen->surface)
    pixman_region32_union_rect (&screen->damage, &screen->damage, 0, 0,
                                scanout_surface_get_width (screen->surface),
                                scanout_surface_get_height (screen->surface));
}

/* Not spice_qxl_destroy_primary_surface (), nor the asynchronous ways to make and destroy one: with those the server tells clients of
 * another mouse mode, on the worker, over the main channel, which belongs to the main thread. A client that came at that moment was left
 * without an answer for good. The primary is the only surface. Returns when it is gone, so that no client comes between it and the
 * next one: such a client would be given its cursor twice. */
static void
destroy_primary (SpiceScreen *screen)
{
  spice_qxl_destroy_surfaces (&screen->qxl);
  g_clear_pointer (&screen->primary, scanout_surface_unref);
  g_clear_pointer (&screen->primary_pixels, g_free);
}

static void look_later (SpiceScreen *screen);

static gboolean
on_look (void *data)
{
  SpiceScreen *screen = data;

  g_clear_pointer (&screen->look, g_source_unref);
  screen->looks++;
  screen->looks_read =
      spice_connections_have_read (screen->connections) ? screen->looks_read + 1 : 0;
  if (screen->looks_read < LOOKS_NEEDED)
    {
      look_later (screen);
      return G_SOURCE_REMOVE;
    }
  screen->operation = OPERATION_NONE;
  destroy_primary (screen);
  update (screen);
  renew_patience (screen);
  return G_SOURCE_REMOVE;
}

/* More and more seldom: a client may hang for hours. */
static void
look_later (SpiceScreen *screen)
{
  screen->look = g_timeout_source_new (MIN (LOOK_PERIOD_MS + screen->looks, LOOK_PERIOD_MAX_MS));
  g_source_set_callback (screen->look, on_look, screen, NULL);
  g_source_attach (screen->look, NULL);
}

static void
start_destroying_primary (SpiceScreen *screen)
{
  spice_queue_drop_draws (screen->queue);
  screen->operation = OPERATION_DESTROY_PRIMARY;
  screen->looks = screen->looks_read = 0;
  look_later (screen);
}

static void
create_primary (SpiceScreen *screen)
{
  uint32_t width = scanout_surface_get_width (screen->surface);
  uint32_t height = scanout_surface_get_height (screen->surface);

  screen->primary = scanout_surface_ref (screen->surface);
  screen->primary_pixels = g_malloc0 ((size_t) width * height * 4);
  QXLDevSurfaceCreate create = {
    .width = width,
    .height = height,
    .stride = -(int32_t) width * 4,
    .format = SPICE_SURFACE_FMT_32_xRGB,
    .mouse_mode = TRUE,
    .type = QXL_SURF_TYPE_PRIMARY,
    .mem = (uintptr_t) screen->primary_pixels,
    .group_id = MEMSLOT_GROUP,
  };
  /* The worker has nothing else to do then, and waits for no client in this. */
  spice_qxl_create_primary_surface (&screen->qxl, PRIMARY_SURFACE, &create);
  damage_all (screen);
}

static bool
same_size (const ScanoutSurface *a, const ScanoutSurface *b)
{
  return a && b && scanout_surface_get_width (a) == scanout_surface_get_width (b) &&
         scanout_surface_get_height (a) == scanout_surface_get_height (b);
}

static void
set_scanout (SpiceScreen *screen, ScanoutSurface *surface)
{
  ScanoutSurface *old = screen->scanout;

  screen->scanout = surface ? scanout_surface_ref (surface) : NULL;
  /* The server owns what it is given. */
  int fd = surface ? fcntl (scanout_surface_get_fd (surface), F_DUPFD_CLOEXEC, 3) : -1;
  if (surface && fd < 0)
    g_warning ("cannot hand over the picture: no more file descriptors");
  g_debug ("scanout %ux%u", surface ? scanout_surface_get_width (surface) : 0,
           surface ? scanout_surface_get_height (surface) : 0);
  spice_qxl_gl_scanout (&screen->qxl, fd, surface ? scanout_surface_get_width (surface) : 0,
                        surface ? scanout_surface_get_height (surface) : 0,
                        surface ? scanout_surface_get_stride (surface) : 0, FOURCC_XR24, FALSE);
  g_clear_pointer (&old, scanout_surface_unref);
  damage_all (screen);
}

static void
start_gl_draw (SpiceScreen *screen)
{
  const pixman_box32_t *box = pixman_region32_extents (&screen->damage);

  g_array_append_vals (screen->owed_by_draw, screen->owed->data, screen->owed->len);
  g_array_set_size (screen->owed, 0);
  uint32_t x = box->x1, y = box->y1, width = box->x2 - box->x1, height = box->y2 - box->y1;
  clear_damage (screen);
  screen->operation = OPERATION_GL_DRAW;
  /* May complete, on the worker, before it returns. */
  spice_qxl_gl_draw_async (&screen->qxl, x, y, width, height, ++screen->next_cookie);
}

static void
push_draws (SpiceScreen *screen)
{
  int n_rects;
  pixman_box32_t *rects = pixman_region32_rectangles (&screen->damage, &n_rects);

  if (n_rects > MAX_RECTS)
    {
      rects = pixman_region32_extents (&screen->damage);
      n_rects = 1;
    }
  for (int i = 0; i < n_rects; i++)
    {
      ScanoutRect rect = { rects[i].x1, rects[i].y1, rects[i].x2 - rects[i].x1,
                           rects[i].y2 - rects[i].y1 };
      spice_queue_push_draw (screen->queue, screen->surface, &rect);
    }
  clear_damage (screen);
  spice_qxl_wakeup (&screen->qxl);
  screen->stalled = false;
  answer (screen->owed);
}

static void
update_gl (SpiceScreen *screen)
{
  if (screen->primary)
    {
      start_destroying_primary (screen);
      return;
    }
  if (screen->scanout != screen->surface)
    set_scanout (screen, screen->surface);
  if (screen->surface && pixman_region32_not_empty (&screen->damage))
    start_gl_draw (screen);
}

static void
update_qxl (SpiceScreen *screen)
{
  if (screen->scanout)
    set_scanout (screen, NULL);
  if (screen->primary && !same_size (screen->primary, screen->surface))
    start_destroying_primary (screen);
  else if (screen->surface && !screen->primary)
    create_primary (screen);
  if (screen->operation == OPERATION_NONE && screen->surface &&
      pixman_region32_not_empty (&screen->damage) && spice_queue_is_empty (screen->queue))
    push_draws (screen);
}

static void
update (SpiceScreen *screen)
{
  if (screen->operation != OPERATION_NONE)
    return;
  if (screen->n_clients == 0)
    answer (screen->owed);
  else if (screen->memfd)
    update_gl (screen);
  else
    update_qxl (screen);
}

/* From the worker */

static void
wake_main (void *opaque)
{
  SpiceScreen *screen = opaque;
  uint64_t one = 1;

  while (write (screen->wakeup, &one, sizeof one) < 0 && errno == EINTR)
    ;
}

static void
finish_gl_draw (SpiceScreen *screen)
{
  screen->operation = OPERATION_NONE;
  screen->stalled = false;
  answer (screen->owed_by_draw);
}

static gboolean
on_wakeup (int fd, GIOCondition condition, void *data)
{
  SpiceScreen *screen = data;
  uint64_t count;

  while (read (fd, &count, sizeof count) < 0 && errno == EINTR)
    ;
  if (g_atomic_int_compare_and_exchange (&screen->draw_done, TRUE, FALSE))
    finish_gl_draw (screen);
  update (screen);
  renew_patience (screen);
  return G_SOURCE_CONTINUE;
}

static SpiceScreen *
from_qxl (QXLInstance *qxl)
{
  return SPICE_CONTAINEROF (qxl, SpiceScreen, qxl);
}

static void
qxl_attached_worker (QXLInstance *qxl)
{
}

static void
qxl_set_compression_level (QXLInstance *qxl, int level)
{
}

static void
qxl_get_init_info (QXLInstance *qxl, QXLDevInitInfo *info)
{
  *info = (QXLDevInitInfo){
    .num_memslots_groups = 1,
    .num_memslots = 1,
    .memslot_gen_bits = 1,
    .memslot_id_bits = 1,
    .qxl_ram_size = 16 << 20,
    .n_surfaces = 1,
  };
}

static int
qxl_get_command (QXLInstance *qxl, QXLCommandExt *command)
{
  return spice_queue_take_draw (from_qxl (qxl)->queue, command);
}

static int
qxl_req_cmd_notification (QXLInstance *qxl)
{
  return spice_queue_is_empty (from_qxl (qxl)->queue);
}

static int
qxl_get_cursor_command (QXLInstance *qxl, QXLCommandExt *command)
{
  return spice_queue_take_cursor (from_qxl (qxl)->queue, command);
}

static int
qxl_req_cursor_notification (QXLInstance *qxl)
{
  return spice_queue_has_no_cursor (from_qxl (qxl)->queue);
}

static void
qxl_release_resource (QXLInstance *qxl, QXLReleaseInfoExt release)
{
  spice_queue_release (release.info->id);
}

static void
qxl_notify_update (QXLInstance *qxl, uint32_t id)
{
}

static int
qxl_flush_resources (QXLInstance *qxl)
{
  return 0;
}

static void
qxl_async_complete (QXLInstance *qxl, uint64_t cookie)
{
  SpiceScreen *screen = from_qxl (qxl);

  g_atomic_int_set (&screen->draw_done, TRUE);
  wake_main (screen);
}

static void
qxl_update_area_complete (QXLInstance *qxl, uint32_t surface, QXLRect *rects, uint32_t n_rects)
{
}

static void
qxl_set_client_capabilities (QXLInstance *qxl, uint8_t present,
                             uint8_t capabilities[SPICE_CAPABILITIES_SIZE])
{
}

/* On the main thread. */
static int
qxl_client_monitors_config (QXLInstance *qxl, VDAgentMonitorsConfig *config)
{
  if (config && config->num_of_monitors > 0)
    scanout_port_request_size (from_qxl (qxl)->port, config->monitors[0].width,
                               config->monitors[0].height);
  return 1;
}

static const QXLInterface qxl_interface = {
  .base = { SPICE_INTERFACE_QXL, "alcove screen", SPICE_INTERFACE_QXL_MAJOR,
            SPICE_INTERFACE_QXL_MINOR },
  .attached_worker = qxl_attached_worker,
  .set_compression_level = qxl_set_compression_level,
  .get_init_info = qxl_get_init_info,
  .get_command = qxl_get_command,
  .req_cmd_notification = qxl_req_cmd_notification,
  .release_resource = qxl_release_resource,
  .get_cursor_command = qxl_get_cursor_command,
  .req_cursor_notification = qxl_req_cursor_notification,
  .notify_update = qxl_notify_update,
  .flush_resources = qxl_flush_resources,
  .async_complete = qxl_async_complete,
  .update_area_complete = qxl_update_area_complete,
  .set_client_capabilities = qxl_set_client_capabilities,
  .client_monitors_config = qxl_client_monitors_config,
};

/* From the port */

static void
front_set_surface (void *opaque, ScanoutSurface *surface)
{
  SpiceScreen *screen = opaque;

  if (surface != screen->surface)
    {
      g_clear_pointer (&screen->surface, scanout_surface_unref);
      screen->surface = surface ? scanout_surface_ref (surface) : NULL;
    }
  damage_all (screen);
  update (screen);
}

static void
front_flush (void *opaque, const ScanoutRect *rect, ScanoutDoneFunc done, void *done_opaque)
{
  SpiceScreen *screen = opaque;
  Owed owed = { done, done_opaque };

  pixman_region32_union_rect (&screen->damage, &screen->damage, rect->x, rect->y, rect->width,
                              rect->height);
  if (screen->stalled)
    {
      done (done_opaque);
      update (screen);
      return;
    }
  g_array_append_val (screen->owed, owed);
  update (screen);
  if (screen->owed->len > 0 || screen->owed_by_draw->len > 0)
    start_patience (screen);
}

static void
front_set_cursor (void *opaque, const ScanoutCursor *cursor)
{
  SpiceScreen *screen = opaque;
  int32_t x, y;

  scanout_port_get_cursor (screen->port, &x, &y);
  spice_queue_push_cursor (screen->queue, cursor, x, y);
  spice_qxl_wakeup (&screen->qxl);
}

static void
front_move_cursor (void *opaque, int32_t x, int32_t y)
{
  SpiceScreen *screen = opaque;

  spice_queue_push_cursor_move (screen->queue, x, y);
  spice_qxl_wakeup (&screen->qxl);
}

static const ScanoutFrontOps front_ops = {
  .set_surface = front_set_surface,
  .flush = front_flush,
  .set_cursor = front_set_cursor,
  .move_cursor = front_move_cursor,
};

/* Life cycle */

SpiceScreen *
spice_screen_new (SpiceServer *server, ScanoutPort *port, SpiceConnections *connections,
                  const char *address)
{
  SpiceScreen *screen = g_new0 (SpiceScreen, 1);
  QXLDevMemSlot slot = { .slot_group_id = MEMSLOT_GROUP, .virt_end = ~(uintptr_t) 0 };

  screen->server = server;
  screen->port = port;
  screen->connections = connections;
  screen->queue = spice_queue_new (wake_main, screen);
  screen->owed = g_array_new (FALSE, FALSE, sizeof (Owed));
  screen->owed_by_draw = g_array_new (FALSE, FALSE, sizeof (Owed));
  pixman_region32_init (&screen->damage);
  screen->wakeup = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (screen->wakeup < 0)
    g_error ("eventfd: %s", g_strerror (errno));
  screen->wakeup_source = fd_source_new (screen->wakeup, G_IO_IN, "SPICE worker");
  g_source_set_callback (screen->wakeup_source, G_SOURCE_FUNC (on_wakeup), screen, NULL);
  g_source_attach (screen->wakeup_source, NULL);

  screen->qxl.base.sif = &qxl_interface.base;
  spice_server_add_interface (server, &screen->qxl.base);
  spice_qxl_set_device_info (&screen->qxl, address, 0, 1);
  spice_qxl_add_memslot (&screen->qxl, &slot);
  scanout_port_attach (port, &front_ops, screen);
  return screen;
}

void
spice_screen_detach (SpiceScreen *screen)
{
  scanout_port_attach (screen->port, NULL, NULL);
  stop_patience (screen);
  if (screen->look)
    g_source_destroy (screen->look);
  g_clear_pointer (&screen->look, g_source_unref);
  answer (screen->owed_by_draw);
  answer (screen->owed);
  g_source_destroy (screen->wakeup_source);
}

void
spice_screen_free (SpiceScreen *screen)
{
  if (!screen)
    return;
  spice_queue_free (screen->queue);
  g_clear_pointer (&screen->surface, scanout_surface_unref);
  g_clear_pointer (&screen->primary, scanout_surface_unref);
  g_clear_pointer (&screen->scanout, scanout_surface_unref);
  g_free (screen->primary_pixels);
  pixman_region32_fini (&screen->damage);
  g_array_unref (screen->owed);
  g_array_unref (screen->owed_by_draw);
  g_source_unref (screen->wakeup_source);
  close (screen->wakeup);
  g_free (screen);
}

void
spice_screen_set_memfd (SpiceScreen *screen, bool memfd)
{
  if (memfd == screen->memfd)
    return;
  screen->memfd = memfd;
  damage_all (screen);
  update (screen);
}

void
spice_screen_set_clients (SpiceScreen *screen, unsigned n_clients, bool is_new)
{
  is_new |= screen->n_clients == 0 && n_clients > 0;
  screen->n_clients = n_clients;
  if (is_new)
    {
      screen->stalled = false;
      damage_all (screen);
    }
  update (screen);
}
