#include "user-guest.h"

#include "net/net-frame.h"
#include "net/net-offload.h"

static void
receive (void *opaque, const uint8_t *frame, size_t size)
{
  g_ptr_array_add (((UserGuest *) opaque)->got, g_bytes_new (frame, size));
}

static void
flush (void *opaque)
{
  ((UserGuest *) opaque)->flushed = true;
}

void
user_guest_setup (UserGuest *guest, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  guest->got = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  guest->user = net_user_new (data != NULL, g_main_context_default (), &error);
  g_assert_no_error (error);
  guest->backend = net_user_get_backend (guest->user);
  guest->backend.ops->set_receiver (
      guest->backend.opaque, &(NetReceiver){ .receive = receive, .flush = flush, .opaque = guest });
}

void
user_guest_teardown (UserGuest *guest, gconstpointer data)
{
  guest->backend.ops->stop (guest->backend.opaque);
  net_user_free (guest->user);
  g_ptr_array_unref (guest->got);
}

void
user_guest_send (UserGuest *guest, uint8_t *frame, size_t size)
{
  net_offload_fill_checksums (frame, size);
  guest->backend.ops->send (guest->backend.opaque, frame, size);
}

static const uint8_t *
find_packet (UserGuest *guest, bool ipv6, uint8_t protocol, uint16_t port, size_t *size)
{
  for (unsigned i = 0; i < guest->got->len; i++)
    {
      gsize length;
      const uint8_t *bytes = g_bytes_get_data (guest->got->pdata[i], &length);
      NetFrame frame;

      if (!net_frame_parse (&frame, bytes, length) || frame.ipv6 != ipv6 ||
          frame.protocol != protocol || frame.end - frame.transport < 8 ||
          net_get_u16 (bytes + frame.transport + 2) != port)
        continue;
      if (size)
        *size = frame.end - frame.transport;
      return bytes + frame.transport;
    }
  return NULL;
}

const uint8_t *
user_guest_wait (UserGuest *guest, bool ipv6, uint8_t protocol, uint16_t port, size_t *size,
                 gint64 patience_us)
{
  const gint64 end = g_get_monotonic_time () + patience_us;

  for (;;)
    {
      const uint8_t *found = find_packet (guest, ipv6, protocol, port, size);

      if (found || g_get_monotonic_time () > end)
        return found;
      if (!g_main_context_iteration (NULL, FALSE))
        g_usleep (1000);
    }
}

VmForward
user_guest_make_forward (const char *format, ...)
{
  g_autoptr (GError) error = NULL;
  VmForward forward;
  va_list arguments;

  va_start (arguments, format);
  g_autofree char *text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_assert_true (vm_forward_parse (&forward, text, &error));
  g_assert_true (vm_forward_validate (&forward, &error));
  return forward;
}
