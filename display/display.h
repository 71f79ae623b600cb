#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* AlcoveDisplay: the screen of a running machine as a widget, over SPICE.
 *
 * The one header that the application includes. The widget does not know which program serves the
 * screen: alcove-vmm (pixels in a sealed memfd), QEMU, or any SPICE server (QXL draws) are the same.
 *
 *   GtkWidget *display = alcove_display_new ();
 *   alcove_display_set_fd_provider (ALCOVE_DISPLAY (display), provide_fd, machine, NULL);
 *   alcove_display_connect (ALCOVE_DISPLAY (display));
 *
 * Thread: the GTK thread, all of it. Nothing here blocks.
 *
 * Picture. Scaled to fit, centred, black bars around it. The unit is the device pixel: a guest of
 * the widget's size in device pixels is shown 1:1, also with a scale factor of 2. When a whole
 * multiple (1, 2, 3...) of the guest's size comes within an eighth of what would fit, the picture
 * takes that multiple and stays sharp; else it fills the widget, smoothed.
 *
 * Properties, all notifying:
 *   "connected"          boolean, read: the connection's channels are usable
 *   "connecting"         boolean, read: from alcove_display_connect () to "connected" or "disconnected"
 *   "has-picture"        boolean, read: there is something to show (it stays after a disconnect, so
 *                        that the last picture remains visible, until the next connect)
 *   "guest-width", "guest-height"  uint, read: pixels of the guest's screen; 0 without a picture
 *   "resize-guest"       boolean, read-write, TRUE: ask the guest for the widget's size (device pixels)
 *   "capture-keyboard"   boolean, read-write, FALSE: while it has the focus, ask the desktop to leave
 *                        its own shortcuts (Alt+Tab, Super) to the guest
 *   "keyboard-captured"  boolean, read: the desktop's shortcuts go to the guest now. Show it, with the
 *                        way out: ALCOVE_DISPLAY_RELEASE_KEYS. Given back by a click into the picture.
 *
 * Signals:
 *   "connected"      (void)             each time "connected" becomes TRUE
 *   "disconnected"   (GError *error)    the connection ended or could not be made; `error` is a whole
 *                                       sentence for the user, NULL when alcove_display_disconnect ()
 *                                       asked for it. Once for each connect; nothing is retried.
 *   "first-picture"  (void)             once a connection, when the guest has drawn something
 */
#define ALCOVE_TYPE_DISPLAY (alcove_display_get_type ())
G_DECLARE_FINAL_TYPE (AlcoveDisplay, alcove_display, ALCOVE, DISPLAY, GtkWidget)

/* Pressed together and let go, with no other key in between, they end the capture. For people. */
#define ALCOVE_DISPLAY_RELEASE_KEYS "Ctrl+Alt"

GtkWidget *alcove_display_new (void);

/* ---- Connecting ----
 *
 * SPICE uses one connection for each channel (main, display, inputs, cursor). The widget opens no
 * socket: each time that it needs one, four times in a connect, it asks the provider. With QMP the
 * provider makes a socketpair, gives one end away (getfd, add_client with protocol "spice") and
 * answers with the other. Requests may overlap; each is answered on its own, at once or later, in
 * any order. The server reads from the connection itself which channel it is. */
typedef struct _AlcoveDisplayFdRequest AlcoveDisplayFdRequest;

/* `request` is the provider's until it is answered, and it must be answered exactly once. */
typedef void (*AlcoveDisplayFdProvider) (AlcoveDisplayFdRequest *request, gpointer data);

/* Consumes the request, `fd` (a connected stream socket, AF_UNIX for the fast path) and `error`.
 * fd -1: it could not be had; `error` says why and is what "disconnected" then carries. Safe when
 * the display was disconnected or is gone: the descriptor is closed. */
void alcove_display_fd_request_answer (AlcoveDisplayFdRequest *request, int fd, GError *error);

/* Cancelled when the answer is of no use any more; it must be answered all the same. Borrowed. */
GCancellable *alcove_display_fd_request_get_cancellable (AlcoveDisplayFdRequest *request);

/* "main", "display", "inputs", "cursor": for messages and logs. Borrowed, static. */
const char *alcove_display_fd_request_get_channel (AlcoveDisplayFdRequest *request);

/* Used from the next connect on. `destroy` (may be NULL) frees `data` with the provider. */
void alcove_display_set_fd_provider (AlcoveDisplay *self, AlcoveDisplayFdProvider provider,
                                     gpointer data, GDestroyNotify destroy);

/* A provider that connects to the Unix socket of a SPICE server. Instead of the above. */
void alcove_display_set_path (AlcoveDisplay *self, const char *path);

/* Starts connecting; "connected" or "disconnected" follows, not before this has returned. A
 * connection that there was is ended first, without "disconnected". */
void alcove_display_connect (AlcoveDisplay *self);

/* "disconnected" follows with NULL, not before this has returned. Harmless when there is no
 * connection. Every key that the guest thinks is down is let go first. */
void alcove_display_disconnect (AlcoveDisplay *self);

gboolean alcove_display_is_connected (AlcoveDisplay *self);
gboolean alcove_display_has_picture (AlcoveDisplay *self);
guint alcove_display_get_guest_width (AlcoveDisplay *self);
guint alcove_display_get_guest_height (AlcoveDisplay *self);

/* ---- The picture ---- */

/* A copy of what the guest shows now, in guest pixels: it does not change later. NULL when there is
 * no picture. Owned. It costs one copy of the frame: for thumbnails, not for each frame. */
GdkTexture *alcove_display_dup_texture (AlcoveDisplay *self);

/* The same as a PNG, encoded by a worker thread, complete whenever it is there (temporary and
 * rename). `max_size` bounds the longer side, smoothly scaled down; 0: as it is. */
void alcove_display_save_png_async (AlcoveDisplay *self, const char *path, guint max_size,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer data);
gboolean alcove_display_save_png_finish (AlcoveDisplay *self, GAsyncResult *result, GError **error);

/* ---- Input ---- */

/* Presses the keys in their order and lets them go in reverse: for menu items such as Ctrl+Alt+Del
 * { GDK_KEY_Control_L, GDK_KEY_Alt_L, GDK_KEY_Delete }. A keyval that no key of a PC keyboard makes
 * is left out. No effect without a connection. */
void alcove_display_send_keys (AlcoveDisplay *self, const guint *keyvals, gsize n_keyvals);

gboolean alcove_display_get_resize_guest (AlcoveDisplay *self);
void alcove_display_set_resize_guest (AlcoveDisplay *self, gboolean resize_guest);
gboolean alcove_display_get_capture_keyboard (AlcoveDisplay *self);
void alcove_display_set_capture_keyboard (AlcoveDisplay *self, gboolean capture_keyboard);
gboolean alcove_display_is_keyboard_captured (AlcoveDisplay *self);

/* ---- Figures ---- */

/* Since the widget was made. Times are g_get_monotonic_time (). */
typedef struct
{
  guint64 updates;        /* rectangles that the server announced */
  guint64 frames;         /* snapshots that took new pixels over */
  guint64 uploaded_bytes; /* pixels brought to the renderer: GL uploads, or copies without GL */
  guint64 full_uploads;   /* of those, whole pictures: a new size or a new texture */
  gint64 last_update;     /* the newest update arrived */
  gint64 last_frame;      /* its pixels were handed to the renderer */
  gboolean gl;            /* the pictures go through GL textures */
  gboolean shared_memory; /* the pixels come in a memfd rather than through the socket */
} AlcoveDisplayStats;

void alcove_display_get_stats (AlcoveDisplay *self, AlcoveDisplayStats *stats);

G_END_DECLS
