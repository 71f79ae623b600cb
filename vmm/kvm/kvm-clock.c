#define G_LOG_DOMAIN "vmm-kvm"

#include <errno.h>
#include <glib-unix.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "kvm/kvm-private.h"

/* Theory of operation
 *
 * What keeps a guest's wall clock right while the host sleeps. Linux reads a wall clock once, when it starts; from there on its time is
 * what its clock source counted. Of the two that it has here:
 *
 * - The TSC stands still while the host sleeps (suspend to RAM resets it, and KVM then goes on where it was), and with it the
 *   guest's time, which would lag by the whole sleep until somebody sets it.
 * - KVM's clock is the host's CLOCK_MONOTONIC_RAW and the time that the host has slept (CLOCK_BOOTTIME less CLOCK_MONOTONIC). It
 *   jumps by the sleep when the host wakes, and CLOCK_MONOTONIC and CLOCK_REALTIME of the guest with it.
 *
 * Linux prefers the TSC where the processor says that its rate never changes; so that is not said (kvm-cpuid.c).
 *
 * That KVM's clock did jump is not left to chance, for it depends on what the host's TSC did meanwhile. A timer that the kernel cancels
 * when the wall clock is set or the host has slept (timerfd_create (2), TFD_TIMER_CANCEL_ON_SET) wakes the main thread; if KVM's
 * clock has fallen behind since the machine was made, it is set forward. It is never set back. That a guest's watchdogs do not
 * mind is KVM's own doing at a sleep, kvm-vm.c's at a pause.
 */
#define NS_PER_S INT64_C (1000000000)
#define LAG_MIN  (NS_PER_S / 10) /* less is the rates' rounding over days */

static int64_t
get_ns (clockid_t clock)
{
  struct timespec now;

  clock_gettime (clock, &now);
  return (int64_t) now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* The host's clock, its sleep included. A thread can be held up between any two of these lines: the first is then told too early, the second
 * too late, so that together they never make a lag that is none. */
static int64_t
get_host_at_most (void)
{
  const int64_t raw = get_ns (CLOCK_MONOTONIC_RAW);
  const int64_t boot = get_ns (CLOCK_BOOTTIME);

  return raw + (boot - get_ns (CLOCK_MONOTONIC));
}

static int64_t
get_host_at_least (void)
{
  const int64_t monotonic = get_ns (CLOCK_MONOTONIC);
  const int64_t slept = get_ns (CLOCK_BOOTTIME) - monotonic;

  return slept + get_ns (CLOCK_MONOTONIC_RAW);
}

static bool
get_guest (const KvmVm *vm, int64_t *guest)
{
  struct kvm_clock_data data = { 0 };

  if (ioctl (vm->fd, KVM_GET_CLOCK, &data) < 0)
    {
      g_debug ("KVM_GET_CLOCK: %s", g_strerror (errno));
      return false;
    }
  *guest = (int64_t) data.clock;
  return true;
}

bool
kvm_clock_catch_up (KvmVm *vm)
{
  const int64_t host = get_host_at_most ();
  struct kvm_clock_data data = { 0 };
  int64_t guest;

  if (!get_guest (vm, &guest))
    return false;
  const int64_t lag = host - guest - vm->clock_offset;
  if (lag < LAG_MIN)
    return false;
  data.clock = (uint64_t) (guest + lag);
  if (ioctl (vm->fd, KVM_SET_CLOCK, &data) < 0)
    {
      g_warning ("the guest's clock stays behind: KVM_SET_CLOCK: %s", g_strerror (errno));
      return false;
    }
  g_debug ("the guest's clock was %" G_GINT64_FORMAT " ms behind", lag / 1000000);
  return true;
}

static void
arm (int fd)
{
  const struct itimerspec never = { .it_value.tv_sec = LONG_MAX };

  if (timerfd_settime (fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0)
    g_debug ("timerfd_settime: %s", g_strerror (errno));
}

static gboolean
on_clock_set (gint fd, GIOCondition condition, gpointer opaque)
{
  uint64_t times;

  if (read (fd, &times, sizeof times) < 0 && errno == ECANCELED)
    arm (fd);
  kvm_clock_catch_up (opaque);
  return G_SOURCE_CONTINUE;
}

/* Without the timer the machine runs all the same. */
void
kvm_clock_watch (KvmVm *vm)
{
  int64_t guest;

  vm->clock_fd = timerfd_create (CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  if (vm->clock_fd < 0 || !get_guest (vm, &guest))
    return;
  vm->clock_offset = get_host_at_least () - guest;
  arm (vm->clock_fd);
  vm->clock_source = g_unix_fd_source_new (vm->clock_fd, G_IO_IN);
  g_source_set_callback (vm->clock_source, G_SOURCE_FUNC (on_clock_set), vm, NULL);
  g_source_set_name (vm->clock_source, "host's clock");
  g_source_attach (vm->clock_source, NULL);
}

void
kvm_clock_unwatch (KvmVm *vm)
{
  if (vm->clock_source)
    g_source_destroy (vm->clock_source);
  g_clear_pointer (&vm->clock_source, g_source_unref);
  if (vm->clock_fd >= 0)
    close (vm->clock_fd);
}
