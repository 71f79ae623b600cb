#include "virtio/vhost-vsock.h"

#include <gio/gio.h>

#define RAM (1u << 20)

/* One line each that says what to do, and nothing left behind; what the kernel does is for a guest test. */
static void
test_refused (void)
{
  static const struct
  {
    const char *path;
    const char *message;
  } cases[] = {
    { "/nowhere/vhost-vsock", "*No such file*modprobe vhost_vsock*" },
    { "/dev/null", "*no vhost device*" },
  };
  g_autoptr (GuestMemory) memory = guest_memory_new (RAM, RAM, 2 * RAM, NULL);

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (vhost_vsock_new (cases[i].path, 3, memory, &error));
      g_assert_nonnull (error);
      g_assert_true (g_pattern_match_simple (cases[i].message, error->message));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vhost-vsock/refused", test_refused);
  return g_test_run ();
}
