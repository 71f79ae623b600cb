#define G_LOG_DOMAIN "vmm-net"

#include "net/net-user.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <slirp/libslirp.h>
#include <sys/socket.h>

#include "base/guest-log.h"
#include "base/loop-thread.h"
#include "config/vm-config.h"
#include "net/net-forward.h"
#include "net/net-guard.h"
#include "net/net-udp.h"

/* Theory of operation
 *
 * libslirp is a TCP/IP stack without a thread or a lock: one GSource on the network's context asks it before each poll which sockets it
 * waits for and hands it the result after; its timers are sources there too. Everything that touches it runs while that context
 * is owned, so by one thread at a time. The other threads' questions (forwards) are queued there and waited for.
 *
 * It is told of a large MTU, so that it takes and gives long segments: see net-offload.h. The guest's own MTU remains NET_MTU.
 *
 * UDP forwards are net-udp.c's: here the guest's answers would go to the host's loopback, which is closed, and none would leave a
 * restricted network.
 *
 * What it would let through and must not, net-guard.c stops before it.
 */
#define SLIRP_MTU     65520
#define NETWORK       0x0a000200u
#define ADDRESS(x)    ((struct in_addr){ .s_addr = GUINT32_TO_BE (NETWORK + (x)) })
#define HOST_GATEWAY  2
#define HOST_DNS      3
#define HOST_FIRST    15
#define ADDRESS6(x)   ((struct in6_addr){ .s6_addr = { 0xfe, 0xc0, [15] = (x) } })
#define PREFIX6_BYTES 8

typedef struct SlirpSource
{
  GSource source;
  NetUser *user;
} SlirpSource;

struct NetUser
{
  LoopThread *thread; /* NULL: the context is another's */
  GMainContext *context;
  GSource *source;
  NetReceiver receiver;
  GuestLog log;
  NetGuard *guard;

  /* The context's owner only. */
  Slirp *slirp;
  GPtrArray *polls; /* GPollFD, as libslirp named them before the last poll */
  unsigned n_polls;
  bool sending;
  bool received;          /* frames that were not flushed yet */
  GArray *forwards;       /* UserForward */
  bool has_guest;         /* it has sent a frame */
  uint8_t guest_mac[6];   /* of the last one */
  struct in6_addr guest6; /* the last address that it gave itself, or :: */
};

typedef struct UserForward
{
  VmForward forward;
  NetUdp *udp; /* NULL: TCP, which libslirp does */
} UserForward;

typedef struct UserTimer
{
  NetUser *user;
  SlirpTimerId id;
  void *opaque;
  GSource *source; /* NULL: not set */
} UserTimer;

/* --- what libslirp calls --- */

static ssize_t
on_packet (const void *frame, size_t size, void *opaque)
{
  NetUser *user = opaque;

  if (user->receiver.receive && size <= NET_FRAME_MAX)
    {
      user->receiver.receive (user->receiver.opaque, frame, size);
      user->received |= !user->sending;
    }
  return size;
}

static void
on_guest_error (const char *message, void *opaque)
{
  NetUser *user = opaque;

  guest_log (&user->log, "%s", message);
}

static int64_t
on_clock (void *opaque)
{
  return g_get_monotonic_time () * 1000;
}

static void *
on_timer_new (SlirpTimerId id, void *timer_opaque, void *opaque)
{
  UserTimer *timer = g_new0 (UserTimer, 1);

  timer->user = opaque;
  timer->id = id;
  timer->opaque = timer_opaque;
  return timer;
}

static void
disarm (UserTimer *timer)
{
  if (timer->source)
    g_source_destroy (timer->source);
  g_clear_pointer (&timer->source, g_source_unref);
}

static void
on_timer_free (void *opaque_timer, void *opaque)
{
  disarm (opaque_timer);
  g_free (opaque_timer);
}

static void
flush (NetUser *user)
{
  if (user->received && user->receiver.flush)
    user->receiver.flush (user->receiver.opaque);
  user->received = false;
}

static gboolean
on_timer (gpointer opaque)
{
  UserTimer *timer = opaque;
  NetUser *user = timer->user;

  g_clear_pointer (&timer->source, g_source_unref);
  slirp_handle_timer (user->slirp, timer->id, timer->opaque);
  flush (user);
  return G_SOURCE_REMOVE;
}

static void
on_timer_mod (void *opaque_timer, int64_t expire_ms, void *opaque)
{
  UserTimer *timer = opaque_timer;
  const int64_t now_ms = g_get_monotonic_time () / 1000;

  disarm (timer);
  timer->source = g_timeout_source_new (CLAMP (expire_ms - now_ms, 0, G_MAXINT));
  g_source_set_callback (timer->source, on_timer, timer, NULL);
  g_source_attach (timer->source, timer->user->context);
}

static void
on_poll_fd (int fd, void *opaque)
{
}

/* There is something new to wait for: which is asked anyway before the context waits again, and it is the context's owner that is here. */
static void
on_notify (void *opaque)
{
}

static const SlirpCb callbacks = {
  .send_packet = on_packet,
  .guest_error = on_guest_error,
  .clock_get_ns = on_clock,
  .timer_free = on_timer_free,
  .timer_mod = on_timer_mod,
  .register_poll_fd = on_poll_fd,
  .unregister_poll_fd = on_poll_fd,
  .notify = on_notify,
  .timer_new_opaque = on_timer_new,
};

/* --- sockets --- */

static GIOCondition
to_condition (int events)
{
  return (events & SLIRP_POLL_IN ? G_IO_IN : 0) | (events & SLIRP_POLL_OUT ? G_IO_OUT : 0) |
         (events & SLIRP_POLL_PRI ? G_IO_PRI : 0) | (events & SLIRP_POLL_ERR ? G_IO_ERR : 0) |
         (events & SLIRP_POLL_HUP ? G_IO_HUP : 0);
}

/* libslirp names its sockets in the same order each time, so most entries are those of before. What an entry waits for is changed in place:
 * it is about to be asked for anyway, and g_source_modify_unix_fd () would wake the loop for another round. */
static int
on_add_poll (int fd, int events, void *opaque)
{
  NetUser *user = opaque;

  if (user->n_polls == user->polls->len)
    {
      GPollFD *made = g_new0 (GPollFD, 1);

      made->fd = -1;
      g_ptr_array_add (user->polls, made);
    }
  GPollFD *entry = g_ptr_array_index (user->polls, user->n_polls);
  if (entry->fd != fd)
    {
      if (entry->fd >= 0)
        g_source_remove_poll (user->source, entry);
      *entry = (GPollFD){ .fd = fd };
      g_source_add_poll (user->source, entry);
    }
  entry->events = to_condition (events);
  return user->n_polls++;
}

static int
on_get_revents (int index, void *opaque)
{
  NetUser *user = opaque;

  g_return_val_if_fail (index >= 0 && index < (int) user->n_polls, 0);
  const GPollFD *entry = g_ptr_array_index (user->polls, index);
  const GIOCondition got = entry->revents;
  return (got & G_IO_IN ? SLIRP_POLL_IN : 0) | (got & G_IO_OUT ? SLIRP_POLL_OUT : 0) |
         (got & G_IO_PRI ? SLIRP_POLL_PRI : 0) | (got & G_IO_ERR ? SLIRP_POLL_ERR : 0) |
         (got & G_IO_HUP ? SLIRP_POLL_HUP : 0);
}

static gboolean
prepare (GSource *source, gint *timeout)
{
  NetUser *user = ((SlirpSource *) source)->user;
  uint32_t wait = UINT32_MAX;

  user->n_polls = 0;
  slirp_pollfds_fill (user->slirp, &wait, on_add_poll, user);
  while (user->polls->len > user->n_polls)
    {
      g_source_remove_poll (source, g_ptr_array_index (user->polls, user->polls->len - 1));
      g_ptr_array_set_size (user->polls, user->polls->len - 1);
    }
  *timeout = wait == UINT32_MAX ? -1 : (gint) MIN (wait, G_MAXINT);
  return FALSE;
}

/* libslirp has work of its own after each poll: timers of its connections. */
static gboolean
check (GSource *source)
{
  return TRUE;
}

static gboolean
dispatch (GSource *source, GSourceFunc func, gpointer data)
{
  NetUser *user = ((SlirpSource *) source)->user;

  slirp_pollfds_poll (user->slirp, 0, on_get_revents, user);
  flush (user);
  return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = { .prepare = prepare, .check = check, .dispatch = dispatch };

/* --- TCP forwards, which are libslirp's --- */

static struct in6_addr
map_ipv4 (uint32_t address)
{
  struct in6_addr mapped = { .s6_addr = { [10] = 0xff, 0xff } };

  net_put_u32 (mapped.s6_addr + 12, address);
  return mapped;
}

static NetUdpGuest
get_guest (const NetUser *user, bool ipv6)
{
  NetUdpGuest guest = { .address = ipv6 ? user->guest6 : map_ipv4 (NETWORK + HOST_FIRST) };

  memcpy (guest.mac, user->guest_mac, sizeof guest.mac);
  return guest;
}

/* Returns an errno or 0. Before the guest's IPv6 address is known it is the one that libslirp saw first. */
static int
start_tcp_forward (NetUser *user, const VmForward *forward)
{
  const NetUdpGuest guest = get_guest (user, vm_forward_is_ipv6 (forward));
  const bool unsaid = IN6_IS_ADDR_UNSPECIFIED (&forward->guest_address);
  struct sockaddr_storage from, to;
  const socklen_t from_size =
      net_forward_to_sockaddr (&forward->host_address, forward->host_port, &from);
  const socklen_t to_size = net_forward_to_sockaddr (
      unsaid ? &guest.address : &forward->guest_address, forward->guest_port, &to);

  errno = 0;
  if (slirp_add_hostxfwd (user->slirp, (struct sockaddr *) &from, from_size,
                          (struct sockaddr *) &to, to_size, SLIRP_HOSTFWD_V6ONLY) == 0)
    return 0;
  return errno ? errno : EADDRINUSE;
}

static void
stop_tcp_forward (NetUser *user, const VmForward *forward)
{
  struct sockaddr_storage from;
  const socklen_t size =
      net_forward_to_sockaddr (&forward->host_address, forward->host_port, &from);

  slirp_remove_hostxfwd (user->slirp, (struct sockaddr *) &from, size, SLIRP_HOSTFWD_V6ONLY);
}

/* --- the back end --- */

/* Where the guest is has changed. libslirp would keep to the address that a connection found first, be it of a system that was there
 * before: so such a forward is made anew. */
static void
tell_forwards (NetUser *user, bool moved6)
{
  for (unsigned i = 0; i < user->forwards->len; i++)
    {
      UserForward *entry = &g_array_index (user->forwards, UserForward, i);
      const bool ipv6 = vm_forward_is_ipv6 (&entry->forward);
      const NetUdpGuest guest = get_guest (user, ipv6);

      if (entry->udp)
        net_udp_set_guest (entry->udp, &guest);
      else if (moved6 && ipv6 && IN6_IS_ADDR_UNSPECIFIED (&entry->forward.guest_address))
        {
          stop_tcp_forward (user, &entry->forward);
          const int failure = start_tcp_forward (user, &entry->forward);
          if (failure != 0)
            guest_log (&user->log, "its forwards cannot follow its address: %s",
                       g_strerror (failure));
        }
    }
}

static void
learn_mac (NetUser *user, const uint8_t *bytes)
{
  const uint8_t *mac = bytes + 6;

  if (user->has_guest && memcmp (user->guest_mac, mac, sizeof user->guest_mac) == 0)
    return;
  user->has_guest = true;
  memcpy (user->guest_mac, mac, sizeof user->guest_mac);
  tell_forwards (user, false);
}

/* A guest makes its IPv6 addresses itself, and asks whether somebody else has one before it takes it (RFC 4862, 5.4). What it sends from is
 * less telling, for that changes all the time where it has several (RFC 8981). */
static void
learn_address (NetUser *user, const NetFrame *frame, const uint8_t *bytes)
{
  const struct in6_addr network = ADDRESS6 (0);
  struct in6_addr address;

  if (!net_frame_get_tentative (frame, bytes, address.s6_addr))
    {
      if (!frame->ipv6 || !IN6_IS_ADDR_UNSPECIFIED (&user->guest6))
        return;
      memcpy (&address, bytes + frame->network + 8, sizeof address);
    }
  if (memcmp (&address, &network, PREFIX6_BYTES) != 0 ||
      memcmp (&address, &user->guest6, sizeof address) == 0)
    return;
  user->guest6 = address;
  tell_forwards (user, true);
}

static bool
is_answer (NetUser *user, const NetFrame *frame, const uint8_t *bytes)
{
  for (unsigned i = 0; i < user->forwards->len; i++)
    {
      const UserForward *entry = &g_array_index (user->forwards, UserForward, i);

      if (entry->udp && net_udp_take (entry->udp, frame, bytes))
        return true;
    }
  return false;
}

static GMainContext *
get_context (void *opaque)
{
  NetUser *user = opaque;

  return user->context;
}

static void
set_receiver (void *opaque, const NetReceiver *receiver)
{
  NetUser *user = opaque;

  user->receiver = receiver ? *receiver : (NetReceiver){ 0 };
}

static void
send_frame (void *opaque, const uint8_t *frame, size_t size)
{
  NetUser *user = opaque;
  NetFrame parsed;

  if (size >= NET_ETH_HEADER)
    learn_mac (user, frame);
  if (!net_guard_check (user->guard, &frame, &size, &parsed, user->n_polls,
                        g_get_monotonic_time ()))
    return;
  if (parsed.end > 0)
    learn_address (user, &parsed, frame);
  if ((parsed.end > 0 && is_answer (user, &parsed, frame)) || size > SLIRP_MTU + NET_ETH_HEADER)
    return;
  user->sending = true;
  slirp_input (user->slirp, frame, size);
  user->sending = false;
}

static void
stop (void *opaque)
{
  NetUser *user = opaque;

  g_clear_pointer (&user->thread, loop_thread_free);
  user->receiver = (NetReceiver){ 0 };
}

static const NetBackendOps backend_ops = {
  .frame_max = SLIRP_MTU + NET_ETH_HEADER,
  .terminates_tcp = true,
  .get_context = get_context,
  .set_receiver = set_receiver,
  .send = send_frame,
  .stop = stop,
};

NetBackend
net_user_get_backend (NetUser *user)
{
  return (NetBackend){ .ops = &backend_ops, .opaque = user };
}

/* --- forwards --- */

static void
deliver_datagram (void *opaque, const uint8_t *frame, size_t size)
{
  on_packet (frame, size, opaque);
}

static void
flush_datagrams (void *opaque)
{
  flush (opaque);
}

static void
clear_forward (void *data)
{
  net_udp_free (((UserForward *) data)->udp);
}

typedef struct Call
{
  NetUser *user;
  bool (*func) (NetUser *user, const VmForward *forward, GError **error);
  const VmForward *forward;
  GError **error;
  bool result;
  GMutex lock;
  GCond cond;
  bool done;
} Call;

static gboolean
on_call (gpointer opaque)
{
  Call *call = opaque;

  call->result = call->func (call->user, call->forward, call->error);
  g_mutex_lock (&call->lock);
  call->done = true;
  g_cond_signal (&call->cond);
  g_mutex_unlock (&call->lock);
  return G_SOURCE_REMOVE;
}

/* Calls func as the context's owner. */
static bool
call_in_context (NetUser *user,
                 bool (*func) (NetUser *user, const VmForward *forward, GError **error),
                 const VmForward *forward, GError **error)
{
  Call call = { .user = user, .func = func, .forward = forward, .error = error };

  if (g_main_context_acquire (user->context))
    {
      bool result = func (user, forward, error);

      g_main_context_release (user->context);
      g_main_context_wakeup (user->context); /* there may be another socket to wait for */
      return result;
    }
  g_mutex_init (&call.lock);
  g_cond_init (&call.cond);
  g_main_context_invoke_full (user->context, G_PRIORITY_HIGH, on_call, &call, NULL);
  g_mutex_lock (&call.lock);
  while (!call.done)
    g_cond_wait (&call.cond, &call.lock);
  g_mutex_unlock (&call.lock);
  g_mutex_clear (&call.lock);
  g_cond_clear (&call.cond);
  return call.result;
}

static int
find_forward (NetUser *user, const VmForward *forward)
{
  for (unsigned i = 0; i < user->forwards->len; i++)
    if (vm_forward_same_host (&g_array_index (user->forwards, UserForward, i).forward, forward))
      return i;
  return -1;
}

static int
add_udp_forward (NetUser *user, const VmForward *forward, NetUdp **udp)
{
  const bool ipv6 = vm_forward_is_ipv6 (forward);
  const NetUdpGuest guest = get_guest (user, ipv6);
  const NetUdpWire wire = {
    .gateway_mac = { 0x52, ipv6 ? 0x56 : 0x55, ipv6 ? 0 : 0x0a, 0, ipv6 ? 0 : 2, HOST_GATEWAY },
    .gateway = ipv6 ? ADDRESS6 (HOST_GATEWAY) : map_ipv4 (NETWORK + HOST_GATEWAY),
    .deliver = deliver_datagram,
    .flush = flush_datagrams,
    .opaque = user,
  };
  int failure;

  *udp = net_udp_new (forward, &wire, user->context, &failure);
  if (*udp && user->has_guest)
    net_udp_set_guest (*udp, &guest);
  return *udp ? 0 : failure;
}

static bool
add_forward (NetUser *user, const VmForward *forward, GError **error)
{
  UserForward entry = { .forward = *forward };
  int failure;

  if (user->forwards->len == VM_FORWARDS_MAX)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "there are %u forwards; no more fit",
                   VM_FORWARDS_MAX);
      return false;
    }
  if (find_forward (user, forward) >= 0)
    failure = EADDRINUSE;
  else if (forward->protocol == VM_FORWARD_TCP)
    /* libslirp does not always say what went wrong: so it is tried out before. */
    failure = net_forward_try (forward) ?: start_tcp_forward (user, forward);
  else
    failure = add_udp_forward (user, forward, &entry.udp);
  if (failure != 0)
    return net_forward_refuse (forward, failure, error);
  g_array_append_val (user->forwards, entry);
  return true;
}

static bool
remove_forward (NetUser *user, const VmForward *forward, GError **error)
{
  const int index = find_forward (user, forward);

  if (index < 0)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "there is no such forward");
      return false;
    }
  if (forward->protocol == VM_FORWARD_TCP)
    stop_tcp_forward (user, forward);
  g_array_remove_index (user->forwards, index);
  return true;
}

bool
net_user_add_forward (NetUser *user, const VmForward *forward, GError **error)
{
  return call_in_context (user, add_forward, forward, error);
}

bool
net_user_remove_forward (NetUser *user, const VmForward *forward, GError **error)
{
  return call_in_context (user, remove_forward, forward, error);
}

/* --- life --- */

static Slirp *
start (NetUser *user, bool restricted)
{
  const SlirpConfig config = {
    .version = SLIRP_CONFIG_VERSION_MAX,
    .restricted = restricted,
    .in_enabled = true,
    .vnetwork = ADDRESS (0),
    .vnetmask = { .s_addr = GUINT32_TO_BE (0xffffff00u) },
    .vhost = ADDRESS (HOST_GATEWAY),
    .in6_enabled = true,
    .vprefix_addr6 = ADDRESS6 (0),
    .vprefix_len = 64,
    .vhost6 = ADDRESS6 (HOST_GATEWAY),
    .vdhcp_start = ADDRESS (HOST_FIRST),
    .vnameserver = ADDRESS (HOST_DNS),
    .vnameserver6 = ADDRESS6 (HOST_DNS),
    .if_mtu = SLIRP_MTU,
    .if_mru = SLIRP_MTU,
    .disable_host_loopback = true,
  };

  return slirp_new (&config, &callbacks, user);
}

NetUser *
net_user_new (bool restricted, GMainContext *context, GError **error)
{
  g_autoptr (NetUser) user = g_new0 (NetUser, 1);

  guest_log_init (&user->log, "net-user");
  user->polls = g_ptr_array_new_with_free_func (g_free);
  user->forwards = g_array_new (FALSE, FALSE, sizeof (UserForward));
  g_array_set_clear_func (user->forwards, clear_forward);
  if (!context)
    user->thread = loop_thread_new ("net");
  user->context = g_main_context_ref (context ? context : loop_thread_get_context (user->thread));
  user->guard = net_guard_new (NETWORK + HOST_DNS, ADDRESS6 (HOST_DNS).s6_addr,
                               ADDRESS6 (HOST_GATEWAY).s6_addr);
  user->slirp = start (user, restricted);
  if (!user->slirp)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED,
                   "the user network cannot start: libslirp %s refused", slirp_version_string ());
      return NULL;
    }
  user->source = g_source_new (&source_funcs, sizeof (SlirpSource));
  ((SlirpSource *) user->source)->user = user;
  g_source_set_name (user->source, "user network");
  g_source_set_can_recurse (user->source,
                            TRUE); /* as fd-source.h says; the callbacks do not run the context */
  g_source_attach (user->source, user->context);
  g_debug ("user network, libslirp %s%s", slirp_version_string (),
           restricted ? ", restricted" : "");
  return g_steal_pointer (&user);
}

void
net_user_free (NetUser *user)
{
  if (!user)
    return;
  stop (user);
  g_array_unref (user->forwards);
  if (user->source)
    g_source_destroy (user->source);
  if (user->slirp)
    slirp_cleanup (user->slirp);
  g_clear_pointer (&user->source, g_source_unref);
  g_clear_pointer (&user->context, g_main_context_unref);
  g_ptr_array_unref (user->polls);
  net_guard_free (user->guard);
  g_free (user);
}
