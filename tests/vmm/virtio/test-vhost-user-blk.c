#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "vhost-user-back-end.h"
#include "virtio-driver.h"
#include "virtio/vhost-user-blk.h"
#include "virtio/virtio-device-private.h"

#define MEMORY_SIZE (UINT64_C (8) << 20)
#define HOLE_START  (UINT64_C (4) << 20)
#define HOLE_END    (UINT64_C (16) << 20)
#define DATA        UINT64_C (0x300000)
#define SECTORS     2048

/* A disk whose back ends are of these tests. */
typedef struct Fixture
{
  GuestMemory *memory;
  VhostUserBackEndConfig config; /* of the next one */
  VhostUserBackEnd *back_end;
  unsigned starts;
  unsigned ends;
  unsigned failures;
  const char *complaint;
  VhostUserBlk *blk;
  VirtioDriver *driver;
} Fixture;

static int
start (void *opaque, GError **error)
{
  Fixture *fixture = opaque;
  int fd;

  vhost_user_back_end_free (fixture->back_end);
  fixture->back_end = vhost_user_back_end_new (&fixture->config, &fd);
  fixture->starts++;
  return fd;
}

static void
end (void *opaque)
{
  Fixture *fixture = opaque;

  fixture->ends++;
  g_clear_pointer (&fixture->back_end, vhost_user_back_end_free);
}

static char *
get_complaint (void *opaque)
{
  Fixture *fixture = opaque;

  return g_strdup (fixture->complaint);
}

static void
failed (void *opaque, const char *reason)
{
  Fixture *fixture = opaque;

  g_assert_nonnull (reason);
  fixture->failures++;
}

static VhostUserBlk *
new_blk (Fixture *fixture, bool readonly, GError **error)
{
  const VhostUserBlkConfig config = {
    .readonly = readonly,
    .n_queues = 2,
    .start = start,
    .end = end,
    .get_complaint = get_complaint,
    .failed = failed,
    .opaque = fixture,
  };

  return vhost_user_blk_new (&config, fixture->memory, NULL, error);
}

static void
prepare (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  *fixture = (Fixture){ .config = { .sectors = SECTORS, .n_queues = 2 } };
  fixture->memory = guest_memory_new_shared (MEMORY_SIZE, HOLE_START, HOLE_END, &error);
  g_assert_no_error (error);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  prepare (fixture);
  fixture->blk = new_blk (fixture, false, &error);
  g_assert_no_error (error);
  fixture->driver = virtio_driver_new (vhost_user_blk_get_device (fixture->blk), fixture->memory,
                                       0x1000, UINT64_MAX);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  virtio_driver_free (fixture->driver);
  vhost_user_blk_free (fixture->blk);
  vhost_user_back_end_free (fixture->back_end);
  guest_memory_free (fixture->memory);
}

/* Makes a read of one sector available. In the region above the hole when high: its fd has another offset. */
static void
add_read (Fixture *fixture, unsigned index, bool high)
{
  static const struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN };
  const uint64_t in = (high ? HOLE_END : DATA) + 0x1000 * (index + 1);
  const DriverSegment segments[] = { { DATA, sizeof header, false }, { in, 513, true } };

  g_assert_true (guest_memory_write (fixture->memory, DATA, &header, sizeof header));
  *(uint8_t *) guest_memory_map (fixture->memory, in, 1) = 0;
  virtqueue_driver_add (virtio_driver_get_queue (fixture->driver, 0), segments, 2);
  virtio_driver_kick (fixture->driver, 0);
}

static uint8_t
get_byte (Fixture *fixture, unsigned index, bool high)
{
  return *(uint8_t *) guest_memory_map (fixture->memory,
                                        (high ? HOLE_END : DATA) + 0x1000 * (index + 1), 1);
}

static void
wait_taken (Fixture *fixture, unsigned n)
{
  while (vhost_user_back_end_get_taken (fixture->back_end) < n)
    g_thread_yield ();
}

static uint16_t
get_used (Fixture *fixture)
{
  return virtqueue_driver_get_used_index (virtio_driver_get_queue (fixture->driver, 0));
}

/* --- */

static void
test_what_is_offered (Fixture *fixture, gconstpointer data)
{
  VirtioDevice *device = vhost_user_blk_get_device (fixture->blk);
  struct virtio_blk_config space;
  const uint64_t features = (uint64_t) virtio_device_get_offered_features (device, 1) << 32 |
                            virtio_device_get_offered_features (device, 0);

  virtio_driver_read_config (fixture->driver, 0, &space, 60);
  g_assert_cmpuint (space.capacity, ==, SECTORS);
  g_assert_cmpuint (space.num_queues, ==, 2);
  /* A guest that believes in no cache does not flush. */
  g_assert_cmpuint (space.wce, ==, 1);
  g_assert_false (features >> VIRTIO_BLK_F_CONFIG_WCE & 1);
  g_assert_true (features >> VIRTIO_BLK_F_FLUSH & 1);
  g_assert_true (features >> VIRTIO_BLK_F_MQ & 1);
  g_assert_false (features >> 30 & 1);
  g_assert_false (features >> 40 & 1);
  g_assert_cmpuint (vhost_user_blk_get_size (fixture->blk), ==, SECTORS * 512);
}

static void
test_requests (Fixture *fixture, gconstpointer data)
{
  add_read (fixture, 0, false);
  virtio_driver_wait (fixture->driver, 0, 1);
  add_read (fixture, 1, true);
  virtio_driver_wait (fixture->driver, 0, 2);
  virtio_driver_run (fixture->driver);
  g_assert_cmpint (get_byte (fixture, 0, false), ==, 'r');
  g_assert_cmpint (get_byte (fixture, 1, true), ==, 'r');
  g_assert_cmpuint (virtio_driver_get_interrupts (fixture->driver, 0), >=, 1);
  g_assert_cmpuint (fixture->starts, ==, 1);
}

static void
lose (Fixture *fixture)
{
  g_clear_pointer (&fixture->back_end, vhost_user_back_end_free);
  while (fixture->failures == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (fixture->failures, ==, 1);
  g_assert_cmpuint (fixture->ends, ==, 1);
}

static bool
resume (Fixture *fixture, GError **error)
{
  return vhost_user_blk_resume (fixture->blk, error);
}

/* The first request is in flight, a later one done: only the first is done again, and what came meanwhile once. */
static void
test_death (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  virtio_driver_reset (fixture->driver);
  virtio_driver_free (fixture->driver);
  vhost_user_blk_free (fixture->blk);
  fixture->config.hold_first = true;
  fixture->blk = new_blk (fixture, false, &error);
  g_assert_no_error (error);
  fixture->driver = virtio_driver_new (vhost_user_blk_get_device (fixture->blk), fixture->memory,
                                       0x1000, UINT64_MAX);
  add_read (fixture, 0, false);
  add_read (fixture, 1, false);
  virtio_driver_wait (fixture->driver, 0, 1);
  wait_taken (fixture, 2);
  lose (fixture);
  add_read (fixture, 2, false);
  g_assert_cmpint (get_byte (fixture, 0, false), ==, 0);
  *(uint8_t *) guest_memory_map (fixture->memory, DATA + 0x2000, 1) = 'k'; /* of request 1 */

  fixture->config.hold_first = false;
  g_assert_true (resume (fixture, &error));
  g_assert_no_error (error);
  virtio_driver_wait (fixture->driver, 0, 3);
  wait_taken (fixture, 2);
  g_assert_cmpint (get_byte (fixture, 0, false), ==, 'r');
  g_assert_cmpint (get_byte (fixture, 1, false), ==, 'k');
  g_assert_cmpint (get_byte (fixture, 2, false), ==, 'r');
  g_assert_cmpuint (vhost_user_back_end_get_taken (fixture->back_end), ==, 2);
  /* It is a whole one. */
  add_read (fixture, 3, true);
  virtio_driver_wait (fixture->driver, 0, 4);
  g_assert_true (resume (fixture, &error)); /* does nothing */
  g_assert_cmpuint (fixture->failures, ==, 1);
}

static void
test_death_before_the_driver (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  virtio_driver_free (fixture->driver);
  lose (fixture);
  /* A driver that comes while it is lost finds the disk at work after resume. */
  fixture->driver = virtio_driver_new (vhost_user_blk_get_device (fixture->blk), fixture->memory,
                                       0x1000, UINT64_MAX);
  add_read (fixture, 0, false);
  g_assert_cmpuint (get_used (fixture), ==, 0);
  g_assert_true (resume (fixture, &error));
  virtio_driver_wait (fixture->driver, 0, 1);
}

static void
test_another_image (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  lose (fixture);
  fixture->config.sectors++;
  g_assert_false (resume (fixture, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED);
  g_assert_cmpstr (error->message, ==, "the image is not the same any more");
  g_assert_null (fixture->back_end);
  fixture->config.sectors--;
  g_clear_error (&error);
  g_assert_true (resume (fixture, &error));
  add_read (fixture, 0, false);
  virtio_driver_wait (fixture->driver, 0, 1);
}

/* Whoever resets the device may use the memory for something else: what is in flight is waited for. */
static gpointer
let_go (gpointer data)
{
  Fixture *fixture = data;

  while (vhost_user_back_end_get_stops (fixture->back_end) < 2)
    g_thread_yield ();
  vhost_user_back_end_let_go (fixture->back_end);
  return NULL;
}

static void
test_reset (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  virtio_driver_free (fixture->driver);
  vhost_user_blk_free (fixture->blk);
  fixture->config.hold_first = true;
  fixture->blk = new_blk (fixture, false, &error);
  fixture->driver = virtio_driver_new (vhost_user_blk_get_device (fixture->blk), fixture->memory,
                                       0x1000, UINT64_MAX);
  add_read (fixture, 0, false);
  wait_taken (fixture, 1);
  GThread *thread = g_thread_new ("let go", let_go, fixture);
  virtio_driver_reset (fixture->driver);
  g_assert_cmpint (get_byte (fixture, 0, false), ==, 'r');
  g_thread_join (thread);
  g_assert_cmpuint (vhost_user_back_end_get_stops (fixture->back_end), ==, 2);
  g_assert_cmpuint (fixture->failures, ==, 0);
  /* And from the start again, on the same back end. */
  virtio_driver_free (fixture->driver);
  fixture->driver = virtio_driver_new (vhost_user_blk_get_device (fixture->blk), fixture->memory,
                                       0x1000, UINT64_MAX);
  add_read (fixture, 0, false);
  virtio_driver_wait (fixture->driver, 0, 1);
  g_assert_cmpuint (fixture->starts, ==, 2);
}

/* A back end that cannot keep the record is used without; then requests in flight at its death cannot be done again. */
static void
test_no_record (void)
{
  g_autoptr (GError) error = NULL;
  Fixture fixture;

  prepare (&fixture);
  fixture.config.no_record = true;
  fixture.config.hold_first = true;
  fixture.blk = new_blk (&fixture, false, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (fixture.starts, ==, 2);
  fixture.driver = virtio_driver_new (vhost_user_blk_get_device (fixture.blk), fixture.memory,
                                      0x1000, UINT64_MAX);
  add_read (&fixture, 0, false);
  wait_taken (&fixture, 1);
  lose (&fixture);
  g_assert_false (resume (&fixture, &error));
  g_assert_nonnull (strstr (error->message, "reset the machine"));
  g_clear_error (&error);
  virtio_driver_reset (fixture.driver);
  fixture.config.hold_first = false;
  g_assert_true (resume (&fixture, &error));
  tear_down (&fixture, NULL);
}

static int
refuse_to_start (void *opaque, GError **error)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "not installed");
  return -1;
}

static void
test_refused (void)
{
  g_autoptr (GError) error = NULL;
  Fixture fixture;

  prepare (&fixture);
  fixture.config.sectors = 0;
  g_assert_null (new_blk (&fixture, false, &error));
  g_assert_cmpstr (error->message, ==, "the image has an impossible size");
  g_clear_error (&error);
  fixture.config.sectors = UINT64_MAX;
  g_assert_null (new_blk (&fixture, false, &error));
  g_clear_error (&error);
  fixture.config.sectors = 8;
  fixture.config.readonly = true;
  g_assert_null (new_blk (&fixture, false, &error));
  g_assert_nonnull (strstr (error->message, "cannot be written"));
  g_clear_error (&error);
  fixture.config.n_queues = 1;
  g_assert_null (new_blk (&fixture, true, &error));
  g_assert_nonnull (strstr (error->message, "too few queues"));
  g_clear_error (&error);
  const VhostUserBlkConfig config = { .n_queues = 1,
                                      .start = refuse_to_start,
                                      .end = end,
                                      .get_complaint = get_complaint,
                                      .failed = failed,
                                      .opaque = &fixture };
  g_assert_null (vhost_user_blk_new (&config, fixture.memory, NULL, &error));
  g_assert_cmpstr (error->message, ==, "not installed");
  g_clear_error (&error);
  /* What the back end says of itself is the better reason. */
  fixture.complaint = "the image is broken";
  g_assert_null (vhost_user_blk_new (&config, fixture.memory, NULL, &error));
  g_assert_cmpstr (error->message, ==, "the image is broken");
  vhost_user_back_end_free (fixture.back_end);
  guest_memory_free (fixture.memory);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(path, test) g_test_add (path, Fixture, NULL, set_up, test, tear_down)
  ADD ("/vhost-user-blk/what-is-offered", test_what_is_offered);
  ADD ("/vhost-user-blk/requests", test_requests);
  ADD ("/vhost-user-blk/death", test_death);
  ADD ("/vhost-user-blk/death-before-the-driver", test_death_before_the_driver);
  ADD ("/vhost-user-blk/another-image", test_another_image);
  ADD ("/vhost-user-blk/reset", test_reset);
  g_test_add_func ("/vhost-user-blk/no-record", test_no_record);
  g_test_add_func ("/vhost-user-blk/refused", test_refused);
  return g_test_run ();
}
