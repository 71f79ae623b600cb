/* How many pictures a second come from a machine's screen into the widget, and what they cost: display-figures, on a display.
 *
 * The machine is a process of its own, as in life; it draws again as soon as the last update was taken. For each way of the pixels
 * and each size one line: updates a second, flush -> taken by a snapshot (p50, p95), snapshots a second, MiB uploaded for each. */

#include "display.h"

#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "spice/spice-front.h"

#define SECONDS 2

/* From the window to the machine; answered by Report after a run. */
typedef struct
{
  enum
  {
    ADD_CLIENT, /* with a descriptor */
    SHOW,       /* a surface of width, height */
    RUN,        /* rect, for SECONDS */
  } what;
  gboolean memfd;
  guint width, height;
  ScanoutRect rect;
} Order;

typedef struct
{
  guint updates;
  double p50, p95; /* ms */
} Report;

/* ---- The machine ---- */

typedef struct
{
  int socket;
  ScanoutPort *scanout;
  SpiceFront *front;
  ScanoutSurface *surface;
  ScanoutRect rect;
  gint64 start, flushed;
  GArray *delays; /* double, ms */
} Machine;

static int
compare (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static void
report (Machine *m)
{
  Report told = { .updates = m->delays->len };

  g_array_sort (m->delays, compare);
  if (m->delays->len > 0)
    {
      told.p50 = g_array_index (m->delays, double, m->delays->len / 2);
      told.p95 = g_array_index (m->delays, double, (gsize) m->delays->len * 95 / 100);
    }
  if (write (m->socket, &told, sizeof told) != sizeof told)
    _exit (1);
}

static gboolean draw (gpointer data);

static void
on_taken (void *opaque)
{
  Machine *m = opaque;
  double delay = (double) (g_get_monotonic_time () - m->flushed) / 1000;

  if (m->start == 0)
    return;
  g_array_append_val (m->delays, delay);
  g_idle_add_full (G_PRIORITY_DEFAULT, draw, m, NULL);
}

static gboolean
draw (gpointer data)
{
  Machine *m = data;
  gint64 now = g_get_monotonic_time ();

  if (now - m->start > SECONDS * G_TIME_SPAN_SECOND)
    {
      m->start = 0;
      report (m);
      return G_SOURCE_REMOVE;
    }
  /* A line is enough to be another picture: what the machine paints is not what is measured. */
  memset (scanout_surface_get_pixels (m->surface) +
              (gsize) m->rect.y * scanout_surface_get_stride (m->surface),
          (int) m->delays->len, 4 * (gsize) m->rect.width);
  m->flushed = now;
  scanout_port_flush (m->scanout, &m->rect, on_taken, m);
  return G_SOURCE_REMOVE;
}

static void
obey (Machine *m, const Order *order, int fd)
{
  switch (order->what)
    {
    case ADD_CLIENT:
      spice_front_add_client (m->front, fd, true, order->memfd, NULL);
      break;
    case SHOW:
      g_clear_pointer (&m->surface, scanout_surface_unref);
      m->surface = scanout_surface_new (order->width, order->height, 0, NULL);
      scanout_port_set_surface (m->scanout, m->surface);
      scanout_port_flush (m->scanout, &(ScanoutRect){ 0, 0, order->width, order->height }, on_taken,
                          m);
      break;
    case RUN:
      m->rect = order->rect;
      m->start = g_get_monotonic_time ();
      g_array_set_size (m->delays, 0);
      draw (m);
      break;
    }
}

static gboolean
on_order (int socket, GIOCondition condition, gpointer data)
{
  Order order;
  union
  {
    struct cmsghdr header;
    char bytes[CMSG_SPACE (sizeof (int))];
  } control;
  struct iovec part = { &order, sizeof order };
  struct msghdr message = {
    .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
  };
  struct cmsghdr *first;
  int fd = -1;

  if (recvmsg (socket, &message, MSG_CMSG_CLOEXEC) != sizeof order)
    _exit (0);
  first = CMSG_FIRSTHDR (&message);
  if (first != NULL)
    memcpy (&fd, CMSG_DATA (first), sizeof fd);
  obey (data, &order, fd);
  return G_SOURCE_CONTINUE;
}

static void
run_machine (int socket)
{
  const SpiceFrontOptions options = { .name = "figures", .gpu_address = "pci/0000/01.0" };
  Machine m = { .socket = socket, .delays = g_array_new (FALSE, FALSE, sizeof (double)) };
  InputPort *input = input_port_new ();

  prctl (PR_SET_PDEATHSIG, SIGKILL);
  m.scanout = scanout_port_new ();
  m.front = spice_front_new (&options, m.scanout, input, NULL);
  g_unix_fd_add (socket, G_IO_IN | G_IO_HUP, on_order, &m);
  g_main_loop_run (g_main_loop_new (NULL, FALSE));
}

/* ---- The window ---- */

typedef struct
{
  AlcoveDisplay *display;
  int machine;
  gboolean memfd;
} Window;

static void
send_order (Window *w, Order order, int fd)
{
  union
  {
    struct cmsghdr header;
    char bytes[CMSG_SPACE (sizeof (int))];
  } control = { 0 };
  struct iovec part = { &order, sizeof order };
  struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

  if (fd >= 0)
    {
      message.msg_control = &control;
      message.msg_controllen = sizeof control;
      control.header = (struct cmsghdr){ CMSG_LEN (sizeof fd), SOL_SOCKET, SCM_RIGHTS };
      memcpy (CMSG_DATA (&control.header), &fd, sizeof fd);
    }
  g_assert_cmpint (sendmsg (w->machine, &message, 0), ==, sizeof order);
}

static void
provide (AlcoveDisplayFdRequest *request, gpointer data)
{
  Window *w = data;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  send_order (w, (Order){ .what = ADD_CLIENT, .memfd = w->memfd }, fds[1]);
  close (fds[1]);
  alcove_display_fd_request_answer (request, fds[0], NULL);
}

static gboolean
on_answer (int socket, GIOCondition condition, gpointer data)
{
  Report *told = data;

  if (read (socket, told, sizeof *told) != sizeof *told)
    g_error ("the machine ended");
  return G_SOURCE_REMOVE;
}

static void
measure (Window *w, guint width, guint height, ScanoutRect rect)
{
  AlcoveDisplayStats before, after;
  Report told = { .updates = G_MAXUINT };
  gint64 settle;
  double frames;

  send_order (w, (Order){ .what = SHOW, .width = width, .height = height }, -1);
  while (alcove_display_get_guest_width (w->display) != width)
    g_main_context_iteration (NULL, TRUE);
  /* Both textures are there. */
  for (settle = g_get_monotonic_time () + G_TIME_SPAN_SECOND / 2; g_get_monotonic_time () < settle;)
    if (!g_main_context_iteration (NULL, FALSE))
      g_usleep (1000);
  alcove_display_get_stats (w->display, &before);
  send_order (w, (Order){ .what = RUN, .rect = rect }, -1);
  g_unix_fd_add (w->machine, G_IO_IN, on_answer, &told);
  while (told.updates == G_MAXUINT)
    g_main_context_iteration (NULL, TRUE);
  alcove_display_get_stats (w->display, &after);
  frames = (double) (after.frames - before.frames);
  g_print ("%-5s %4ux%-4u %4ux%-4u  %6.0f updates/s  p50 %6.2f ms  p95 %6.2f ms  %6.1f pictures/s  "
           "%8.3f MiB uploaded each\n",
           w->memfd ? "memfd" : "draws", width, height, rect.width, rect.height,
           (double) told.updates / SECONDS, told.p50, told.p95, frames / SECONDS,
           (double) (after.uploaded_bytes - before.uploaded_bytes) / 1048576 / MAX (frames, 1));
}

int
main (int argc, char **argv)
{
  static const guint sizes[][2] = { { 1024, 768 }, { 1920, 1080 }, { 3840, 2160 } };
  Window w = { 0 };
  GtkWidget *window;
  int sockets[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), ==, 0);
  if (fork () == 0)
    {
      close (sockets[0]);
      run_machine (sockets[1]);
      return 1;
    }
  close (sockets[1]);
  w.machine = sockets[0];
  gtk_init ();
  window = gtk_window_new ();
  w.display = ALCOVE_DISPLAY (alcove_display_new ());
  alcove_display_set_resize_guest (w.display, FALSE);
  gtk_window_set_default_size (GTK_WINDOW (window), 1024, 768);
  gtk_window_set_child (GTK_WINDOW (window), GTK_WIDGET (w.display));
  gtk_window_present (GTK_WINDOW (window));
  alcove_display_set_fd_provider (w.display, provide, &w, NULL);
  for (int memfd = 1; memfd >= 0; memfd--)
    {
      w.memfd = memfd;
      alcove_display_connect (w.display);
      while (!alcove_display_is_connected (w.display))
        g_main_context_iteration (NULL, TRUE);
      for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
        measure (&w, sizes[i][0], sizes[i][1], (ScanoutRect){ 0, 0, sizes[i][0], sizes[i][1] });
      measure (&w, 3840, 2160, (ScanoutRect){ 64, 64, 64, 64 });
    }
  gtk_window_destroy (GTK_WINDOW (window));
  close (w.machine);
  return 0;
}
