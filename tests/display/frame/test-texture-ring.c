#include "frame/texture-ring.h"

#define SIDE 32

static TextureRingTarget
draw (TextureRing *ring)
{
  TextureRingTarget target = texture_ring_next (ring);

  texture_ring_submit (ring, &target);
  return target;
}

static void
test_a_small_change_stays_small (void)
{
  g_autoptr (TextureRing) ring = texture_ring_new ();
  TextureRingTarget first, second, target;

  texture_ring_reset (ring, 1000, 1000);
  g_assert_true (texture_ring_is_stale (ring));
  first = draw (ring);
  g_assert_true (first.is_new);
  g_assert_false (texture_ring_is_stale (ring));
  texture_ring_damage (ring, &(FrameRect){ 10, 10, 4, 4 });
  second = draw (ring);
  g_assert_true (second.is_new);
  g_assert_cmpuint (second.slot, !=, first.slot);
  texture_ring_release (ring, first.slot, first.generation);
  /* The first texture lacks what changed for the second, and this. */
  texture_ring_damage (ring, &(FrameRect){ 20, 20, 4, 4 });
  target = texture_ring_next (ring);
  g_assert_cmpuint (target.slot, ==, first.slot);
  g_assert_false (target.is_new);
  g_assert_cmpuint (frame_damage_count_pixels (target.damage), ==, 32);
  texture_ring_submit (ring, &target);
  texture_ring_release (ring, second.slot, second.generation);
  texture_ring_damage (ring, &(FrameRect){ 20, 20, 4, 4 });
  target = texture_ring_next (ring);
  g_assert_cmpuint (target.slot, ==, second.slot);
  g_assert_cmpuint (frame_damage_count_pixels (target.damage), ==, 16);
}

static void
test_a_holder_never_stops_the_screen (void)
{
  g_autoptr (TextureRing) ring = texture_ring_new ();
  TextureRingTarget targets[10];

  texture_ring_reset (ring, 8, 8);
  for (guint i = 0; i < G_N_ELEMENTS (targets); i++)
    {
      texture_ring_damage (ring, &(FrameRect){ 0, 0, 1, 1 });
      targets[i] = texture_ring_next (ring);
      /* Nobody let go of any: each is a texture of its own, whole. */
      g_assert_true (targets[i].is_new);
      g_assert_cmpuint (frame_damage_count_pixels (targets[i].damage), ==, 64);
      texture_ring_submit (ring, &targets[i]);
      for (guint j = 0; j < i; j++)
        g_assert_cmpuint (targets[j].generation, !=, targets[i].generation);
    }
  /* Late news of those that were given up change nothing. */
  for (guint i = 0; i + 2 < G_N_ELEMENTS (targets); i++)
    texture_ring_release (ring, targets[i].slot, targets[i].generation);
  g_assert_true (texture_ring_next (ring).is_new);
}

static void
test_what_failed_is_whole_again (void)
{
  g_autoptr (TextureRing) ring = texture_ring_new ();
  TextureRingTarget target;

  texture_ring_reset (ring, 8, 8);
  target = texture_ring_next (ring);
  texture_ring_abandon (ring, &target);
  target = texture_ring_next (ring);
  g_assert_true (target.is_new);
  g_assert_cmpuint (frame_damage_count_pixels (target.damage), ==, 64);
}

static void
copy_damage (const FrameDamage *damage, guint8 from[SIDE][SIDE], guint8 to[SIDE][SIDE])
{
  for (guint i = 0; i < frame_damage_get_n_rects (damage); i++)
    {
      FrameRect rect = frame_damage_get_rect (damage, i);
      for (int y = rect.y; y < rect.y + rect.height; y++)
        for (int x = rect.x; x < rect.x + rect.width; x++)
          to[y][x] = from[y][x];
    }
}

/* Whatever order of draws, frames and releases: what is handed out is the picture, and what is held does not change. */
static void
test_every_texture_handed_out_is_the_picture (void)
{
  g_autoptr (TextureRing) ring = texture_ring_new ();
  guint8 picture[SIDE][SIDE] = { 0 }, textures[TEXTURE_RING_SLOTS][SIDE][SIDE] = { 0 };
  guint64 generations[TEXTURE_RING_SLOTS] = { 0 };
  gboolean held[TEXTURE_RING_SLOTS] = { 0 };

  texture_ring_reset (ring, SIDE, SIDE);
  for (guint step = 0; step < 20000; step++)
    {
      int what = g_test_rand_int_range (0, 4);
      if (what < 2)
        {
          FrameRect rect = { g_test_rand_int_range (0, SIDE), g_test_rand_int_range (0, SIDE), 0,
                             0 };
          rect.width = g_test_rand_int_range (1, SIDE - rect.x + 1);
          rect.height = g_test_rand_int_range (1, SIDE - rect.y + 1);
          for (int y = rect.y; y < rect.y + rect.height; y++)
            for (int x = rect.x; x < rect.x + rect.width; x++)
              picture[y][x] = (guint8) step;
          texture_ring_damage (ring, &rect);
        }
      else if (what == 2 && texture_ring_is_stale (ring))
        {
          TextureRingTarget target = texture_ring_next (ring);
          g_assert_true (target.is_new || !held[target.slot]);
          copy_damage (target.damage, picture, textures[target.slot]);
          texture_ring_submit (ring, &target);
          generations[target.slot] = target.generation;
          held[target.slot] = TRUE;
          g_assert_cmpmem (textures[target.slot], sizeof picture, picture, sizeof picture);
        }
      else
        {
          guint slot = (guint) g_test_rand_int_range (0, TEXTURE_RING_SLOTS);
          texture_ring_release (ring, slot, generations[slot]);
          held[slot] = FALSE;
        }
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/texture-ring/a-small-change-stays-small", test_a_small_change_stays_small);
  g_test_add_func ("/texture-ring/a-holder-never-stops-the-screen",
                   test_a_holder_never_stops_the_screen);
  g_test_add_func ("/texture-ring/what-failed-is-whole-again", test_what_failed_is_whole_again);
  g_test_add_func ("/texture-ring/every-texture-handed-out-is-the-picture",
                   test_every_texture_handed_out_is_the_picture);
  return g_test_run ();
}
