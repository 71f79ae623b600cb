#include <fcntl.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "helpers/room-watch.h"

#define MIB (UINT64_C (1) << 20)
#define GIB (UINT64_C (1) << 30)

typedef struct Fixture
{
  RoomWatchSight sight;
  bool is_hidden;
  unsigned n_low;
  RoomWatch *watch;
} Fixture;

static bool
see (void *opaque, RoomWatchSight *sight)
{
  Fixture *f = opaque;

  *sight = f->sight;
  return !f->is_hidden;
}

static void
on_low (void *opaque)
{
  Fixture *f = opaque;

  f->n_low++;
}

static void
set_up (Fixture *f, gconstpointer data)
{
  const RoomWatchConfig config = { .file = "image", .low = on_low, .opaque = f, .see = see };

  f->sight = (RoomWatchSight){ .size = 100 * GIB, .room = GIB, .image = GIB };
  f->watch = room_watch_new (&config);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  room_watch_free (f->watch);
}

/* How long the main loop would sleep, in milliseconds; -1: nothing is to be done. */
static int
get_wait (void)
{
  GMainContext *context = g_main_context_default ();
  GPollFD fds[16];
  int priority, wait;

  g_assert_true (g_main_context_acquire (context));
  g_main_context_prepare (context, &priority);
  g_main_context_query (context, priority, &wait, fds, G_N_ELEMENTS (fds));
  g_main_context_release (context);
  return wait;
}

static void
write_and_look (Fixture *f, uint64_t room, uint64_t growth)
{
  f->sight.room = room;
  f->sight.image += growth;
  room_watch_look (f->watch);
}

static void
test_judgement (void)
{
  RoomWatchSight sight = { .size = 100 * GIB, .room = 256 * MIB, .image = GIB };

  g_assert_false (room_watch_is_low (&sight, GIB - 1));
  sight.room--;
  g_assert_true (room_watch_is_low (&sight, GIB - 1));
  g_assert_false (room_watch_is_low (&sight, GIB));
  g_assert_false (room_watch_is_low (&sight, GIB + 1));
  sight = (RoomWatchSight){ .size = 64 * MIB, .room = 8 * MIB, .image = MIB };
  g_assert_false (room_watch_is_low (&sight, 0));
  sight.room--;
  g_assert_true (room_watch_is_low (&sight, 0));
  sight = (RoomWatchSight){ .image = MIB };
  g_assert_false (room_watch_is_low (&sight, 0));
}

static void
test_period (void)
{
  RoomWatchSight sight = { .size = 100 * GIB, .room = 90 * GIB };

  g_assert_cmpuint (room_watch_get_period (&sight), ==, 10000);
  sight.room = 256 * MIB + 2 * GIB;
  g_assert_cmpuint (room_watch_get_period (&sight), ==, 1000);
  sight.room = 257 * MIB;
  g_assert_cmpuint (room_watch_get_period (&sight), ==, 50);
  sight.room = 0;
  g_assert_cmpuint (room_watch_get_period (&sight), ==, 50);
}

static void
test_low_once (Fixture *f, gconstpointer data)
{
  write_and_look (f, GIB, MIB);
  g_assert_cmpuint (f->n_low, ==, 0);
  write_and_look (f, 200 * MIB, 0);
  g_assert_cmpuint (f->n_low, ==, 0);
  g_assert_cmpint (get_wait (), >=, 0);
  write_and_look (f, 199 * MIB, MIB);
  g_assert_cmpuint (f->n_low, ==, 1);
  g_assert_cmpint (get_wait (), ==, -1);
}

static void
test_resume (Fixture *f, gconstpointer data)
{
  write_and_look (f, 200 * MIB, MIB);
  g_assert_cmpuint (f->n_low, ==, 1);
  /* In flight when it was told. */
  f->sight.image += MIB;
  room_watch_resume (f->watch);
  g_assert_cmpint (get_wait (), >=, 0);
  g_assert_cmpint (get_wait (), <=, 50);
  write_and_look (f, 199 * MIB, 0);
  g_assert_cmpuint (f->n_low, ==, 1);
  write_and_look (f, 198 * MIB, MIB);
  g_assert_cmpuint (f->n_low, ==, 2);
  room_watch_resume (f->watch);
  write_and_look (f, GIB, MIB);
  g_assert_cmpuint (f->n_low, ==, 2);
}

static void
test_next_look (Fixture *f, gconstpointer data)
{
  g_assert_cmpint (get_wait (), <=, 50);
  write_and_look (f, 90 * GIB, MIB);
  g_assert_cmpint (get_wait (), >, 5000);
  write_and_look (f, 300 * MIB, MIB);
  g_assert_cmpint (get_wait (), <=, 50);
  f->is_hidden = true;
  write_and_look (f, 0, MIB);
  g_assert_cmpint (get_wait (), >, 5000);
  g_assert_cmpuint (f->n_low, ==, 0);
}

static void
test_timer (Fixture *f, gconstpointer data)
{
  f->sight.room = MIB;
  f->sight.image += MIB;
  while (f->n_low == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (get_wait (), ==, -1);
}

static void
test_see (void)
{
  g_autofree char *file = NULL;
  const int fd = g_file_open_tmp ("room-watch-XXXXXX", &file, NULL);
  RoomWatchSight before, after;

  g_assert_true (room_watch_see (file, &before));
  g_assert_cmpuint (before.size, >, 0);
  g_assert_cmpuint (before.room, <=, before.size);
  g_assert_no_errno (ftruncate (fd, 8 * MIB));
  g_assert_no_errno (posix_fallocate (fd, MIB, MIB));
  g_assert_true (room_watch_see (file, &after));
  g_assert_cmpuint (after.image, >=, before.image + MIB);
  g_assert_cmpuint (after.image, <, 8 * MIB);
  close (fd);
  g_unlink (file);
  g_assert_false (room_watch_see (file, &after));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/room-watch/judgement", test_judgement);
  g_test_add_func ("/room-watch/period", test_period);
  g_test_add_func ("/room-watch/see", test_see);
  g_test_add ("/room-watch/low-once", Fixture, NULL, set_up, test_low_once, tear_down);
  g_test_add ("/room-watch/resume", Fixture, NULL, set_up, test_resume, tear_down);
  g_test_add ("/room-watch/next-look", Fixture, NULL, set_up, test_next_look, tear_down);
  g_test_add ("/room-watch/timer", Fixture, NULL, set_up, test_timer, tear_down);
  return g_test_run ();
}
