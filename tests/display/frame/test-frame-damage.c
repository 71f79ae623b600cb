#include "frame/frame-damage.h"

#define SIDE 64

static void
test_overlaps_count_once (void)
{
  g_autoptr (FrameDamage) damage = frame_damage_new ();

  g_assert_true (frame_damage_is_empty (damage));
  frame_damage_add (damage, &(FrameRect){ 0, 0, 10, 10 });
  frame_damage_add (damage, &(FrameRect){ 5, 5, 10, 10 });
  frame_damage_add (damage, &(FrameRect){ 0, 0, 10, 10 });
  g_assert_cmpuint (frame_damage_count_pixels (damage), ==, 175);
  frame_damage_clear (damage);
  g_assert_true (frame_damage_is_empty (damage));
  g_assert_cmpuint (frame_damage_get_n_rects (damage), ==, 0);
}

/* Whatever is added: every damaged pixel is in the rectangles, no two of which overlap, and they stay few. */
static void
test_nothing_is_forgotten (void)
{
  for (guint round = 0; round < 200; round++)
    {
      g_autoptr (FrameDamage) damage = frame_damage_new ();
      gboolean dirty[SIDE][SIDE] = { 0 };
      guint covered[SIDE][SIDE] = { 0 };
      int n = g_test_rand_int_range (1, 60);

      for (int i = 0; i < n; i++)
        {
          FrameRect rect = { g_test_rand_int_range (0, SIDE), g_test_rand_int_range (0, SIDE), 0,
                             0 };
          rect.width = g_test_rand_int_range (1, MIN (8, SIDE - rect.x) + 1);
          rect.height = g_test_rand_int_range (1, MIN (8, SIDE - rect.y) + 1);
          frame_damage_add (damage, &rect);
          for (int y = rect.y; y < rect.y + rect.height; y++)
            for (int x = rect.x; x < rect.x + rect.width; x++)
              dirty[y][x] = TRUE;
        }
      g_assert_cmpuint (frame_damage_get_n_rects (damage), <=, FRAME_DAMAGE_MAX_RECTS);
      for (guint i = 0; i < frame_damage_get_n_rects (damage); i++)
        {
          FrameRect rect = frame_damage_get_rect (damage, i);
          g_assert_cmpint (rect.x, >=, 0);
          g_assert_cmpint (rect.x + rect.width, <=, SIDE);
          g_assert_cmpint (rect.y, >=, 0);
          g_assert_cmpint (rect.y + rect.height, <=, SIDE);
          for (int y = rect.y; y < rect.y + rect.height; y++)
            for (int x = rect.x; x < rect.x + rect.width; x++)
              covered[y][x]++;
        }
      for (int i = 0; i < SIDE * SIDE; i++)
        {
          g_assert_cmpuint (covered[i / SIDE][i % SIDE], <=, 1);
          if (dirty[i / SIDE][i % SIDE])
            g_assert_cmpuint (covered[i / SIDE][i % SIDE], ==, 1);
        }
    }
}

static void
test_too_many_become_one (void)
{
  g_autoptr (FrameDamage) damage = frame_damage_new ();

  for (int i = 0; i < FRAME_DAMAGE_MAX_RECTS; i++)
    frame_damage_add (damage, &(FrameRect){ 4 * i, 4 * i, 1, 1 });
  g_assert_cmpuint (frame_damage_get_n_rects (damage), ==, FRAME_DAMAGE_MAX_RECTS);
  g_assert_cmpuint (frame_damage_count_pixels (damage), ==, FRAME_DAMAGE_MAX_RECTS);
  frame_damage_add (damage, &(FrameRect){ 0, 200, 1, 1 });
  g_assert_cmpuint (frame_damage_get_n_rects (damage), ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/frame-damage/overlaps-count-once", test_overlaps_count_once);
  g_test_add_func ("/frame-damage/nothing-is-forgotten", test_nothing_is_forgotten);
  g_test_add_func ("/frame-damage/too-many-become-one", test_too_many_become_one);
  return g_test_run ();
}
