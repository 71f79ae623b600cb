#include <spice/vd_agent.h>
#include <string.h>

#include "spice-client.h"

#define WAIT      (60 * G_TIME_SPAN_SECOND)
#define CLIPBOARD VD_AGENT_CLIPBOARD_SELECTION_CLIPBOARD
#define LARGE     (300u << 10)

/* The client is a real one; the device and the agent behind it are ours: what is written to the port is what the agent says. */
typedef struct Fixture
{
  ScanoutPort *scanout;
  InputPort *input;
  ScanoutSurface *surface;
  CharPort *port;
  SpiceFront *front;
  GByteArray *said;  /* what the agent has to say and the port did not take yet */
  GByteArray *heard; /* chunks as they arrive at the agent */
  bool is_deaf;      /* the agent does not read */
  uint32_t asked_width;
  unsigned requested, grabbed; /* signals of the client */
} Fixture;

static size_t
receive (void *opaque, const uint8_t *bytes, size_t size)
{
  Fixture *f = opaque;

  if (f->is_deaf)
    return 0;
  g_byte_array_append (f->heard, bytes, size);
  return size;
}

static void
writable (void *opaque)
{
  Fixture *f = opaque;

  if (f->said->len > 0)
    g_byte_array_remove_range (f->said, 0, char_port_write (f->port, f->said->data, f->said->len));
}

static const CharClientOps client_ops = { .receive = receive, .writable = writable };

static void
on_resize (void *opaque, uint32_t width, uint32_t height)
{
  ((Fixture *) opaque)->asked_width = width;
}

static void
on_done (void *opaque)
{
}

static void
set_up (Fixture *f, const void *data)
{
  f->scanout = scanout_port_new ();
  f->input = input_port_new ();
  f->surface = scanout_surface_new (320, 200, 0, NULL);
  f->port = char_port_new (-1, -1);
  f->said = g_byte_array_new ();
  f->heard = g_byte_array_new ();
  char_port_set_client (f->port, &client_ops, f);
  scanout_port_set_resize_func (f->scanout, on_resize, f);
  scanout_port_set_surface (f->scanout, f->surface);
  const SpiceFrontOptions options = { .name = "test",
                                      .gpu_address = "pci/0000/01.0",
                                      .agent = f->port };
  f->front = spice_front_new (&options, f->scanout, f->input, NULL);
  g_assert_nonnull (f->front);
}

static void
tear_down (Fixture *f, const void *data)
{
  spice_front_free (f->front);
  char_port_set_client (f->port, NULL, NULL);
  char_port_free (f->port);
  scanout_surface_unref (f->surface);
  scanout_port_free (f->scanout);
  input_port_free (f->input);
  g_byte_array_unref (f->said);
  g_byte_array_unref (f->heard);
}

static void
send_bytes (Fixture *f, const void *bytes, size_t size)
{
  g_byte_array_append (f->said, bytes, size);
  writable (f);
}

static void
say (Fixture *f, uint32_t type, const void *bytes, uint32_t size)
{
  const VDIChunkHeader chunk = { VDP_CLIENT_PORT, sizeof (VDAgentMessage) + size };
  const VDAgentMessage message = { .protocol = VD_AGENT_PROTOCOL, .type = type, .size = size };

  send_bytes (f, &chunk, sizeof chunk);
  send_bytes (f, &message, sizeof message);
  send_bytes (f, bytes, size);
}

/* The size of the first message of this type that has arrived whole; *bytes is where its data begins, in pieces of chunks. -1: not yet. */
static ssize_t
find (Fixture *f, uint32_t type)
{
  size_t at = 0;
  size_t left = 0; /* of a message that the next chunk goes on with */
  uint32_t current = 0, size = 0;

  while (at + sizeof (VDIChunkHeader) <= f->heard->len)
    {
      VDIChunkHeader chunk;
      VDAgentMessage message;

      memcpy (&chunk, f->heard->data + at, sizeof chunk);
      at += sizeof chunk;
      if (at + chunk.size > f->heard->len)
        return -1;
      if (left == 0)
        {
          g_assert_cmpuint (chunk.size, >=, sizeof message);
          memcpy (&message, f->heard->data + at, sizeof message);
          g_assert_cmpuint (message.protocol, ==, VD_AGENT_PROTOCOL);
          current = message.type;
          size = message.size;
          left = sizeof message + size;
        }
      g_assert_cmpuint (chunk.size, <=, left);
      left -= chunk.size;
      at += chunk.size;
      if (left == 0 && current == type)
        return size;
    }
  return -1;
}

static bool
can_wait (gint64 end)
{
  g_assert_cmpint (g_get_monotonic_time (), <, end);
  g_main_context_iteration (NULL, FALSE);
  return true;
}

static size_t
wait_heard (Fixture *f, uint32_t type)
{
  const gint64 end = g_get_monotonic_time () + WAIT;

  while (find (f, type) < 0 && can_wait (end))
    ;
  return find (f, type);
}

static void
announce (Fixture *f)
{
  struct
  {
    uint32_t request, caps;
  } capabilities = { 1, 1 << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND |
                            1 << VD_AGENT_CAP_CLIPBOARD_SELECTION };

  say (f, VD_AGENT_ANNOUNCE_CAPABILITIES, &capabilities, sizeof capabilities);
}

static gboolean
on_request (SpiceMainChannel *main, unsigned selection, unsigned type, void *data)
{
  ((Fixture *) data)->requested++;
  return TRUE;
}

static gboolean
on_grab (SpiceMainChannel *main, unsigned selection, uint32_t *types, unsigned n, void *data)
{
  ((Fixture *) data)->grabbed++;
  return TRUE;
}

static void
check_picture (Fixture *f, SpiceClient *client)
{
  uint32_t *pixel = (uint32_t *) scanout_surface_get_pixels (f->surface);

  *pixel = (*pixel + 0x111111) & 0xffffff;
  scanout_port_flush (f->scanout, &(ScanoutRect){ 0, 0, 1, 1 }, on_done, f);
  spice_client_wait_pixel (client, 0, 0, *pixel);
}

static SpiceClient *
connect_client (Fixture *f)
{
  SpiceClient *client = spice_client_new (f->front, false);
  SpiceMainChannel *main = spice_client_get_main (client);

  g_signal_connect (main, "main-clipboard-selection-request", G_CALLBACK (on_request), f);
  g_signal_connect (main, "main-clipboard-selection-grab", G_CALLBACK (on_grab), f);
  check_picture (f, client);
  return client;
}

/* The client and an agent that has just been started find each other, and a clipboard goes each way. */
static void
check_clipboard (Fixture *f, SpiceClient *client)
{
  SpiceMainChannel *main = spice_client_get_main (client);
  const struct
  {
    uint8_t selection, reserved[3];
    uint32_t type;
  } text = { CLIPBOARD, { 0 }, VD_AGENT_CLIPBOARD_UTF8_TEXT };
  g_autofree uint8_t *bytes = g_malloc (LARGE);
  uint32_t type = VD_AGENT_CLIPBOARD_UTF8_TEXT;
  const gint64 end = g_get_monotonic_time () + WAIT;

  f->requested = f->grabbed = 0;
  announce (f);
  wait_heard (f, VD_AGENT_ANNOUNCE_CAPABILITIES);
  while (!spice_main_channel_agent_test_capability (main, VD_AGENT_CAP_CLIPBOARD_BY_DEMAND) &&
         can_wait (end))
    ;
  spice_main_channel_clipboard_selection_grab (main, CLIPBOARD, &type, 1);
  wait_heard (f, VD_AGENT_CLIPBOARD_GRAB);
  say (f, VD_AGENT_CLIPBOARD_REQUEST, &text, sizeof text);
  while (f->requested == 0 && can_wait (end))
    ;
  memset (bytes, 'x', LARGE);
  spice_main_channel_clipboard_selection_notify (main, CLIPBOARD, type, bytes, LARGE);
  g_assert_cmpuint (wait_heard (f, VD_AGENT_CLIPBOARD), ==, sizeof text + LARGE);
  say (f, VD_AGENT_CLIPBOARD_GRAB, &text, sizeof text);
  while (f->grabbed == 0 && can_wait (end))
    ;
  /* The client is still in the signal. */
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

/* A client's wish for a size is the screen's affair, with an agent or without. */
static void
check_size (Fixture *f, SpiceClient *client, unsigned width)
{
  SpiceMainChannel *main = spice_client_get_main (client);
  const gint64 end = g_get_monotonic_time () + WAIT;

  spice_main_channel_update_display_enabled (main, 0, TRUE, FALSE);
  spice_main_channel_update_display (main, 0, 0, 0, width, 600, FALSE);
  while (f->asked_width != width && can_wait (end))
    spice_main_channel_send_monitor_config (main);
}

static void
run_until_taken (Fixture *f)
{
  const gint64 end = g_get_monotonic_time () + WAIT;

  while (f->said->len > 0 && can_wait (end))
    ;
}

static void
test_both_ways (Fixture *f, const void *data)
{
  g_autoptr (SpiceClient) client = connect_client (f);

  check_size (f, client, 800);
  g_assert_cmpuint (f->heard->len, ==, 0);
  char_port_set_open (f->port, true);
  check_clipboard (f, client);
  check_size (f, client, 900);
}

/* An agent that is there before the screen is looked at, and another client after the first. */
static void
test_clients_come_and_go (Fixture *f, const void *data)
{
  char_port_set_open (f->port, true);
  for (unsigned i = 0; i < 2; i++)
    {
      g_autoptr (SpiceClient) client = connect_client (f);

      check_clipboard (f, client);
      g_clear_pointer (&client, spice_client_free);
      wait_heard (f, VD_AGENT_CLIENT_DISCONNECTED);
      g_byte_array_set_size (f->heard, 0);
    }
}

/* The last words of an agent that was ended are not taken for the first ones of the next. */
static void
test_restart (Fixture *f, const void *data)
{
  g_autoptr (SpiceClient) client = connect_client (f);
  const VDIChunkHeader chunk = { VDP_CLIENT_PORT, 1000 };

  char_port_set_open (f->port, true);
  check_clipboard (f, client);
  send_bytes (f, &chunk, sizeof chunk);
  run_until_taken (f);
  char_port_set_open (f->port, false);
  char_port_set_open (f->port, true);
  g_byte_array_set_size (f->heard, 0);
  check_clipboard (f, client);
}

/* Garbage ends what the agent has to say until it is started again, and nothing else; too much of it ends it for good. */
static void
test_broken_protocol (Fixture *f, const void *data)
{
  g_autoptr (SpiceClient) client = connect_client (f);
  uint8_t garbage[4096];

  for (unsigned i = 0; i < 20; i++)
    {
      memset (garbage, i % 2 ? 1 : 0xff, sizeof garbage);
      if (i % 3 == 0)
        memcpy (garbage, &(VDIChunkHeader){ VDP_CLIENT_PORT, i % 16 }, sizeof (VDIChunkHeader));
      char_port_set_open (f->port, true);
      send_bytes (f, garbage, sizeof garbage);
      run_until_taken (f);
      while (g_main_context_iteration (NULL, FALSE))
        ;
      if (i == 7)
        {
          check_size (f, client, 800);
          char_port_set_open (f->port, false);
          char_port_set_open (f->port, true);
          g_byte_array_set_size (f->heard, 0);
          check_clipboard (f, client);
        }
      char_port_set_open (f->port, false);
    }
  /* The picture and the next client are none the worse for it. */
  g_clear_pointer (&client, spice_client_free);
  client = connect_client (f);
}

/* Chunks of no size, messages without an end, floods: with a client and without. */
static void
test_floods (Fixture *f, const void *data)
{
  const VDIChunkHeader empty = { VDP_CLIENT_PORT, 0 };
  const VDIChunkHeader huge = { VDP_CLIENT_PORT, UINT32_MAX };
  g_autofree uint8_t *zeros = g_malloc0 (1000);
  g_autoptr (SpiceClient) client = NULL;

  for (unsigned round = 0; round < 2; round++)
    {
      char_port_set_open (f->port, true);
      for (unsigned i = 0; i < 4000; i++)
        say (f, 99, zeros, 1000);
      run_until_taken (f);
      char_port_set_open (f->port, false);
      char_port_set_open (f->port, true);
      send_bytes (f, &huge, sizeof huge);
      send_bytes (f, zeros, 1000);
      run_until_taken (f);
      char_port_set_open (f->port, false);
      char_port_set_open (f->port, true);
      send_bytes (f, &empty, sizeof empty);
      send_bytes (f, &empty, sizeof empty);
      run_until_taken (f);
      char_port_set_open (f->port, false);
      if (!client)
        client = connect_client (f);
    }
  char_port_set_open (f->port, true);
  g_byte_array_set_size (f->heard, 0);
  check_clipboard (f, client);
}

/* A deaf agent, and one that comes and goes without end, keep the server from nothing. */
static void
test_never_read (Fixture *f, const void *data)
{
  g_autoptr (SpiceClient) client = connect_client (f);
  SpiceMainChannel *main = spice_client_get_main (client);
  uint32_t type = VD_AGENT_CLIPBOARD_UTF8_TEXT;
  g_autofree uint8_t *bytes = g_malloc0 (4 << 20);

  char_port_set_open (f->port, true);
  check_clipboard (f, client);
  f->is_deaf = true;
  spice_main_channel_clipboard_selection_grab (main, CLIPBOARD, &type, 1);
  spice_main_channel_clipboard_selection_notify (main, CLIPBOARD, type, bytes, 4 << 20);
  check_picture (f, client);
  for (unsigned i = 0; i < 1000; i++)
    {
      char_port_set_open (f->port, i % 2);
      announce (f);
      g_main_context_iteration (NULL, FALSE);
    }
  f->is_deaf = false;
  char_port_set_open (f->port, false);
  run_until_taken (f);
  char_port_set_open (f->port, true);
  g_byte_array_set_size (f->heard, 0);
  check_clipboard (f, client);
}

#define ADD(NAME, FUNC) g_test_add ("/spice-agent/" NAME, Fixture, NULL, set_up, FUNC, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
  ADD ("both-ways", test_both_ways);
  ADD ("clients-come-and-go", test_clients_come_and_go);
  ADD ("restart", test_restart);
  ADD ("hostile-18-broken-protocol", test_broken_protocol);
  ADD ("hostile-18-floods", test_floods);
  ADD ("hostile-18-never-read", test_never_read);
  return g_test_run ();
}
