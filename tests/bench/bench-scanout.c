/* How fast the picture comes out: the SPICE front of the monitor in this process, an unmodified spice-client-glib in another,
 * connected by socketpairs as the app is.
 *
 * Usage: bench-scanout [SECONDS]      each measurement takes that long (1.5)
 *
 * Both frame paths (QXL draws; a memfd in a GL scanout), three sizes, whole frames and 64x64 of them:
 *   rate      updates that reached the client in a second, each flush made when the one before was taken
 *   p50, p95  milliseconds from the flush to the client's having the pixels, at 60 flushes a second
 * "Having the pixels" means what our widget does until it can upload them: out of a primary surface, which the library may free, the
 * damaged rows are copied; a mapped memfd is read where it is. Reading is one pass over the damaged rows in both. The server stamps its clock into the first pixels of each update; the client reads it there.
 * Ends 1 when the memfd path is not at least LIMIT times the QXL path for whole frames at 1080p. */

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <math.h>
#include <spice-client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spice/spice-front.h"

#define CHANNELS    4 /* main, display, inputs, cursor */
#define LIMIT       5.0
#define FIRST_FD    10
#define REQUEST_FD  (FIRST_FD + CHANNELS)
#define ANSWER_FD   (REQUEST_FD + 1)
#define STAMP_BITS  24
#define SAMPLES_MAX 200000
#define PACE_MS     16

typedef struct Answer
{
  uint32_t updates;
  double p50, p95; /* ms */
} Answer;

/* --- the client, in a process of its own --- */

typedef struct Client
{
  SpiceSession *session;
  GMainLoop *loop;
  int next_fd;
  uint8_t *mapping;
  size_t mapping_size;
  SpiceGlScanout scanout;
  uint8_t *copy;
  double *samples;
  uint32_t n_samples;
  uint64_t last_stamp;
  volatile uint64_t sum; /* so that the reading is not left out */
} Client;

static uint64_t
read_stamp (const uint8_t *pixels)
{
  uint32_t low, high;

  memcpy (&low, pixels, 4);
  memcpy (&high, pixels + 4, 4);
  return (low & 0xffffff) | (uint64_t) (high & 0xffffff) << STAMP_BITS;
}

/* As an upload does: every damaged pixel is read, once. */
static void
read_rows (Client *client, const uint8_t *row, size_t stride, const ScanoutRect *rect)
{
  uint64_t stamp = read_stamp (row), sum = 0;

  for (uint32_t y = 0; y < rect->height; y++, row += stride)
    for (uint32_t x = 0; x + 1 < rect->width; x += 2)
      {
        uint64_t pair;
        memcpy (&pair, row + (size_t) x * 4, 8);
        sum += pair;
      }
  client->sum = sum;
  if (stamp == 0 || stamp == client->last_stamp || client->n_samples == SAMPLES_MAX)
    return;
  client->last_stamp = stamp;
  client->samples[client->n_samples++] =
      (double) ((uint64_t) g_get_monotonic_time () - stamp) / 1000;
}

static void
on_invalidate (SpiceChannel *channel, int x, int y, int width, int height, void *data)
{
  Client *client = data;
  SpiceDisplayPrimary primary;
  ScanoutRect rect = { (uint32_t) x, (uint32_t) y, (uint32_t) width, (uint32_t) height };

  if (!spice_display_channel_get_primary (channel, 0, &primary))
    return;
  const uint8_t *row = primary.data + (size_t) y * (size_t) primary.stride + (size_t) x * 4;
  for (uint32_t i = 0; i < rect.height; i++)
    memcpy (client->copy + (size_t) i * rect.width * 4, row + i * (size_t) primary.stride,
            (size_t) rect.width * 4);
  read_rows (client, client->copy, (size_t) rect.width * 4, &rect);
}

static void
on_scanout (SpiceDisplayChannel *display, GParamSpec *spec, void *data)
{
  Client *client = data;
  const SpiceGlScanout *scanout = spice_display_channel_get_gl_scanout (display);
  struct stat info;

  if (client->mapping)
    munmap (client->mapping, client->mapping_size);
  client->mapping = NULL;
  if (!scanout || scanout->fd < 0 || fstat (scanout->fd, &info) != 0)
    return;
  client->scanout = *scanout;
  client->mapping_size = (size_t) info.st_size;
  client->mapping = mmap (NULL, client->mapping_size, PROT_READ, MAP_SHARED, scanout->fd, 0);
  g_assert (client->mapping != MAP_FAILED);
}

static void
on_gl_draw (SpiceDisplayChannel *display, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
            void *data)
{
  Client *client = data;
  ScanoutRect rect = { x, y, width, height };

  if (client->mapping)
    read_rows (client, client->mapping + (size_t) y * client->scanout.stride + (size_t) x * 4,
               client->scanout.stride, &rect);
  spice_display_channel_gl_draw_done (display);
}

static void
on_open_fd (SpiceChannel *channel, int with_tls, void *data)
{
  spice_channel_open_fd (channel, ((Client *) data)->next_fd++);
}

static void
on_channel_new (SpiceSession *session, SpiceChannel *channel, void *data)
{
  g_signal_connect (channel, "open-fd", G_CALLBACK (on_open_fd), data);
  if (SPICE_IS_MAIN_CHANNEL (channel))
    return;
  if (SPICE_IS_DISPLAY_CHANNEL (channel))
    {
      g_signal_connect (channel, "display-invalidate", G_CALLBACK (on_invalidate), data);
      g_signal_connect (channel, "notify::gl-scanout", G_CALLBACK (on_scanout), data);
      g_signal_connect (channel, "gl-draw", G_CALLBACK (on_gl_draw), data);
    }
  else if (!SPICE_IS_INPUTS_CHANNEL (channel) && !SPICE_IS_CURSOR_CHANNEL (channel))
    return;
  spice_channel_connect (channel);
}

static int
compare (const void *a, const void *b)
{
  return (*(const double *) a > *(const double *) b) - (*(const double *) a < *(const double *) b);
}

/* One byte asks for what was measured since the last; the end of the pipe ends the client. */
static gboolean
on_request (int fd, GIOCondition condition, void *data)
{
  Client *client = data;
  Answer answer = { .updates = client->n_samples };
  char byte;

  if (read (fd, &byte, 1) != 1)
    {
      g_main_loop_quit (client->loop);
      return G_SOURCE_REMOVE;
    }
  qsort (client->samples, client->n_samples, sizeof (double), compare);
  if (client->n_samples > 0)
    {
      answer.p50 = client->samples[client->n_samples / 2];
      answer.p95 = client->samples[(size_t) client->n_samples * 95 / 100];
    }
  client->n_samples = 0;
  g_assert (write (ANSWER_FD, &answer, sizeof answer) == sizeof answer);
  return G_SOURCE_CONTINUE;
}

static int
run_client (void)
{
  Client client = {
    .session = spice_session_new (),
    .loop = g_main_loop_new (NULL, FALSE),
    .next_fd = FIRST_FD + 1,
    .copy = g_malloc ((size_t) 3840 * 2160 * 4),
    .samples = g_new (double, SAMPLES_MAX),
  };

  g_object_set (client.session, "client-sockets", TRUE, NULL);
  g_signal_connect (client.session, "channel-new", G_CALLBACK (on_channel_new), &client);
  g_unix_fd_add (REQUEST_FD, G_IO_IN | G_IO_HUP, on_request, &client);
  g_assert (spice_session_open_fd (client.session, FIRST_FD));
  g_main_loop_run (client.loop);
  return EXIT_SUCCESS;
}

/* --- the server --- */

typedef struct Server
{
  ScanoutPort *scanout;
  InputPort *input;
  SpiceFront *front;
  ScanoutSurface *surface;
  GPid pid;
  int request, answer;
  bool flushing;
} Server;

static void
move_fds (void *data)
{
  const int *fds = data;

  for (int i = 0; i < CHANNELS + 2; i++)
    if (dup2 (fds[i], FIRST_FD + i) < 0)
      _exit (127);
}

static void
start_client (Server *server, bool memfd)
{
  int fds[CHANNELS + 2], ours[CHANNELS], request[2], answer[2];
  char program[] = "/proc/self/exe", word[] = "--client";
  char *argv[] = { program, word, NULL };
  g_autoptr (GError) error = NULL;

  for (int i = 0; i < CHANNELS; i++)
    {
      int pair[2];
      g_assert (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
      /* Above the numbers that the client expects its own at. */
      ours[i] = fcntl (pair[0], F_DUPFD_CLOEXEC, 64);
      fds[i] = fcntl (pair[1], F_DUPFD_CLOEXEC, 64);
      close (pair[0]);
      close (pair[1]);
    }
  g_assert (pipe2 (request, O_CLOEXEC) == 0 && pipe2 (answer, O_CLOEXEC) == 0);
  fds[CHANNELS] = fcntl (request[0], F_DUPFD_CLOEXEC, 64);
  fds[CHANNELS + 1] = fcntl (answer[1], F_DUPFD_CLOEXEC, 64);
  if (!g_spawn_async (NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_LEAVE_DESCRIPTORS_OPEN,
                      move_fds, fds, &server->pid, &error))
    g_error ("%s", error->message);
  server->request = request[1];
  server->answer = answer[0];
  close (request[0]);
  close (answer[1]);
  for (int i = 0; i < CHANNELS + 2; i++)
    close (fds[i]);
  for (int i = 0; i < CHANNELS; i++)
    if (!spice_front_add_client (server->front, ours[i], true, memfd, &error))
      g_error ("%s", error->message);
}

static void
stop_client (Server *server)
{
  int status;

  close (server->request);
  close (server->answer);
  waitpid (server->pid, &status, 0);
  g_spawn_close_pid (server->pid);
}

static void
on_done (void *opaque)
{
  ((Server *) opaque)->flushing = false;
}

static void
flush (Server *server, const ScanoutRect *rect)
{
  uint64_t now = (uint64_t) g_get_monotonic_time ();
  uint32_t stamp[2] = { now & 0xffffff, now >> STAMP_BITS & 0xffffff };

  memcpy (scanout_surface_get_pixels (server->surface) +
              (size_t) rect->y * scanout_surface_get_stride (server->surface) +
              (size_t) rect->x * 4,
          stamp, sizeof stamp);
  server->flushing = true;
  scanout_port_flush (server->scanout, rect, on_done, server);
}

/* Runs the loop until the time is over, flushing as fast as flushes are taken, or at a pace. */
static void
draw_for (Server *server, const ScanoutRect *rect, double seconds, bool paced)
{
  gint64 end = g_get_monotonic_time () + (gint64) (seconds * G_TIME_SPAN_SECOND), next = 0;

  while (g_get_monotonic_time () < end)
    {
      if (!server->flushing && g_get_monotonic_time () >= next)
        {
          next = paced ? g_get_monotonic_time () + PACE_MS * 1000 : 0;
          flush (server, rect);
        }
      g_main_context_iteration (NULL, FALSE);
      if (paced && !g_main_context_pending (NULL))
        g_usleep (100); /* leaves the processor to the client */
    }
}

static Answer
ask (Server *server)
{
  Answer answer;

  g_assert (write (server->request, "?", 1) == 1);
  g_assert (read (server->answer, &answer, sizeof answer) == sizeof answer);
  return answer;
}

/* Until the client shows updates of this surface. */
static void
warm_up (Server *server, const ScanoutRect *rect)
{
  for (int i = 0; i < 100; i++)
    {
      draw_for (server, rect, 0.1, true);
      if (ask (server).updates > 0)
        return;
    }
  g_error ("the client shows nothing");
}

typedef struct Result
{
  double rate, p50, p95;
} Result;

static Result
measure (Server *server, const ScanoutRect *rect, double seconds)
{
  Result result;

  warm_up (server, rect);
  draw_for (server, rect, seconds, false);
  result.rate = ask (server).updates / seconds;
  draw_for (server, rect, 0.3, true);
  ask (server);
  draw_for (server, rect, seconds, true);
  Answer answer = ask (server);
  result.p50 = answer.p50;
  result.p95 = answer.p95;
  return result;
}

static const struct
{
  const char *name;
  uint32_t width, height;
} sizes[] = {
  { "1024x768", 1024, 768 },
  { "1080p", 1920, 1080 },
  { "4K", 3840, 2160 },
};

/* results[size][0: whole, 1: 64x64] */
static void
measure_path (bool memfd, double seconds, Result results[][2])
{
  const SpiceFrontOptions options = { .name = "bench", .gpu_address = "pci/0000/01.0" };
  g_autoptr (GError) error = NULL;
  Server server = { .scanout = scanout_port_new (), .input = input_port_new () };

  server.front = spice_front_new (&options, server.scanout, server.input, &error);
  g_assert_no_error (error);
  for (unsigned i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      ScanoutRect rects[2] = { { 0, 0, sizes[i].width, sizes[i].height }, { 64, 64, 64, 64 } };
      ScanoutSurface *surface = scanout_surface_new (sizes[i].width, sizes[i].height, 0, &error);

      g_assert_no_error (error);
      memset (scanout_surface_get_pixels (surface), 0x40, scanout_surface_get_size (surface));
      server.surface = surface;
      scanout_port_set_surface (server.scanout, surface);
      if (i == 0)
        start_client (&server, memfd);
      for (unsigned kind = 0; kind < 2; kind++)
        results[i][kind] = measure (&server, &rects[kind], seconds);
      scanout_port_set_surface (server.scanout, NULL);
      scanout_surface_unref (surface);
    }
  stop_client (&server);
  spice_front_free (server.front);
  scanout_port_free (server.scanout);
  input_port_free (server.input);
}

int
main (int argc, char **argv)
{
  Result results[2][G_N_ELEMENTS (sizes)][2];
  double seconds = argc > 1 ? g_ascii_strtod (argv[1], NULL) : 1.5;

  if (argc > 1 && strcmp (argv[1], "--client") == 0)
    return run_client ();
  if (!(seconds >= 0.1 && seconds <= 60))
    {
      g_printerr ("bench-scanout: SECONDS is 0.1 to 60\n");
      return 2;
    }
  for (int memfd = 0; memfd < 2; memfd++)
    measure_path (memfd, seconds, results[memfd]);

  printf ("%-9s %-6s %10s %8s %8s   %10s %8s %8s   %s\n", "", "", "QXL /s", "p50 ms", "p95 ms",
          "memfd /s", "p50 ms", "p95 ms", "memfd/QXL");
  for (unsigned i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (unsigned kind = 0; kind < 2; kind++)
      {
        const Result *qxl = &results[0][i][kind], *memfd = &results[1][i][kind];
        printf ("%-9s %-6s %10.1f %8.2f %8.2f   %10.1f %8.2f %8.2f   %.1f\n", sizes[i].name,
                kind ? "64x64" : "whole", qxl->rate, qxl->p50, qxl->p95, memfd->rate, memfd->p50,
                memfd->p95, memfd->rate / qxl->rate);
      }
  double ratio = results[1][1][0].rate / results[0][1][0].rate;
  printf ("ratio 1080p whole frames: memfd / QXL = %.1f (limit %.0f) %s\n", ratio, LIMIT,
          ratio >= LIMIT ? "ok" : "MISSED");
  return ratio >= LIMIT ? EXIT_SUCCESS : EXIT_FAILURE;
}
