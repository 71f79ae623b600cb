#include "view/display-geometry.h"

#include <math.h>

typedef struct
{
  int width, height, scale; /* of the widget */
  guint guest_width, guest_height;
  double x, y, shown_width, shown_height; /* of the picture, widget units */
  guint multiple;
} Case;

static const Case cases[] = {
  { 800, 600, 1, 800, 600, 0, 0, 800, 600, 1 },
  { 800, 600, 2, 1600, 1200, 0, 0, 800, 600, 1 },
  { 800, 600, 2, 800, 600, 0, 0, 800, 600, 2 },
  /* Odd device pixels: the picture's edges fall between them, though not between units. */
  { 800, 600, 2, 1599, 1199, 0, 0, 799.5, 599.5, 1 },
  { 801, 601, 1, 800, 600, 0, 0, 800, 600, 1 },
  { 803, 600, 1, 800, 600, 1, 0, 800, 600, 1 },
  /* Within an eighth: sharp with bars. Beyond: filled. */
  { 900, 675, 1, 800, 600, 50, 37, 800, 600, 1 },
  { 1000, 750, 1, 800, 600, 0, 0, 1000, 750, 0 },
  { 400, 300, 1, 800, 600, 0, 0, 400, 300, 0 },
  { 1000, 300, 1, 800, 600, 300, 0, 400, 300, 0 },
  { 100, 100, 1, 1, 1, 0, 0, 100, 100, 100 },
  /* Thinner than a pixel: still there. */
  { 100, 100, 1, 16384, 1, 0, 49, 100, 1, 0 },
};

static void
test_where_the_picture_is (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const Case *c = &cases[i];
      DisplayGeometry at =
          display_geometry_new (c->width, c->height, c->scale, c->guest_width, c->guest_height);
      g_test_message ("case %u", i);
      g_assert_cmpfloat (at.x, ==, c->x);
      g_assert_cmpfloat (at.y, ==, c->y);
      g_assert_cmpfloat (at.width, ==, c->shown_width);
      g_assert_cmpfloat (at.height, ==, c->shown_height);
      g_assert_cmpuint (at.multiple, ==, c->multiple);
    }
}

static void
test_it_fits_whatever_the_sizes (void)
{
  for (guint i = 0; i < 20000; i++)
    {
      int width = g_test_rand_int_range (1, 4000), height = g_test_rand_int_range (1, 4000);
      int scale = g_test_rand_int_range (1, 4);
      guint guest_width = (guint) g_test_rand_int_range (1, 16385);
      guint guest_height = (guint) g_test_rand_int_range (1, 16385);
      DisplayGeometry at = display_geometry_new (width, height, scale, guest_width, guest_height);

      g_assert_cmpfloat (at.x, >=, 0);
      g_assert_cmpfloat (at.y, >=, 0);
      g_assert_cmpfloat (at.x + at.width, <=, width);
      g_assert_cmpfloat (at.y + at.height, <=, height);
      g_assert_cmpfloat (at.width * scale, >=, 1);
      g_assert_cmpfloat (at.height * scale, >=, 1);
      /* Whole device pixels; floating point may be a hair off. */
      g_assert_cmpfloat_with_epsilon (at.x * scale, round (at.x * scale), 1e-6);
      g_assert_cmpfloat_with_epsilon (at.width * scale, round (at.width * scale), 1e-6);
      if (at.multiple > 0)
        g_assert_cmpfloat_with_epsilon (at.width * scale, guest_width * at.multiple, 1e-6);
    }
}

static void
test_points_to_guest_pixels (void)
{
  DisplayGeometry at = display_geometry_new (320, 200, 1, 100, 50); /* 300x150 at 10,25 */
  static const struct
  {
    double x, y;
    int guest_x, guest_y;
  } points[] = {
    { 10, 25, 0, 0 },
    { 12.9, 27.9, 0, 0 },
    { 13, 28, 1, 1 },
    { 309.9, 174, 99, 49 },
    { 0, 0, 0, 0 },
    { 319, 199, 99, 49 },
    { -1e300, 1e300, 0, 49 },
    { (double) NAN, 100, 0, 25 },
    { (double) INFINITY, 100, 99, 25 },
  };
  int x, y;

  for (guint i = 0; i < G_N_ELEMENTS (points); i++)
    {
      g_assert_true (display_geometry_to_guest (&at, points[i].x, points[i].y, &x, &y));
      g_assert_cmpint (x, ==, points[i].guest_x);
      g_assert_cmpint (y, ==, points[i].guest_y);
    }
}

static void
test_no_picture_or_no_room (void)
{
  static const int none[][5] = { { 0, 10, 1, 10, 10 },
                                 { 10, 0, 1, 10, 10 },
                                 { 10, 10, 1, 0, 10 },
                                 { 10, 10, 1, 10, 0 },
                                 { -1, 10, 1, 10, 10 } };
  int x, y;

  for (guint i = 0; i < G_N_ELEMENTS (none); i++)
    {
      DisplayGeometry at = display_geometry_new (none[i][0], none[i][1], none[i][2],
                                                 (guint) none[i][3], (guint) none[i][4]);
      g_assert_cmpuint (at.guest_width, ==, 0);
      g_assert_false (display_geometry_to_guest (&at, 1, 1, &x, &y));
      g_assert_cmpfloat (display_geometry_get_ratio (&at), ==, 1);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/display-geometry/where-the-picture-is", test_where_the_picture_is);
  g_test_add_func ("/display-geometry/it-fits-whatever-the-sizes", test_it_fits_whatever_the_sizes);
  g_test_add_func ("/display-geometry/points-to-guest-pixels", test_points_to_guest_pixels);
  g_test_add_func ("/display-geometry/no-picture-or-no-room", test_no_picture_or_no_room);
  return g_test_run ();
}
