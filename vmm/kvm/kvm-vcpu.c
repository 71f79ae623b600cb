#define G_LOG_DOMAIN "vmm-kvm"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm/kvm-private.h"

/* Theory of operation
 *
 * A kick sets immediate_exit in the shared page and sends a signal. The order matters: a vCPU on its way into
 * KVM_RUN sees the flag, one that is inside is interrupted by the signal, so no kick is lost.
 *
 * A vCPU parks only after KVM_RUN has returned EINTR. After an exit for a device access the rest of the guest's
 * instruction is still to be done, by the next KVM_RUN: with immediate_exit it does that and
 * nothing else. Parked earlier, a reset would be followed by half an old instruction.
 */
#define KICK_SIGNAL (SIGRTMIN + 1)

static void
on_kick (int number)
{
}

/* The handler is the process's and does nothing; setting it again does no harm. */
static void
install_kick (void)
{
  struct sigaction action = { .sa_handler = on_kick };

  sigemptyset (&action.sa_mask);
  sigaction (KICK_SIGNAL, &action, NULL);
}

/* vm->lock held, so that the thread is not ending. */
void
kvm_vcpu_kick (KvmVcpu *vcpu)
{
  if (!vcpu->started)
    return;
  __atomic_store_n (&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
  if (!vcpu->parked)
    pthread_kill (vcpu->pthread, KICK_SIGNAL);
}

/* An instruction that crosses a page makes pieces of odd sizes: handlers see powers of two only. */
static unsigned
piece_size (uint64_t address, unsigned left)
{
  unsigned size = 8;

  while (size > left || (left != 1 && left != 2 && left != 4 && left != 8 && address % size != 0))
    size /= 2;
  return size;
}

static void
access_space (AddressSpace *space, uint64_t address, uint8_t *data, unsigned size, bool is_write)
{
  while (size > 0)
    {
      unsigned piece = piece_size (address, size);
      uint64_t value = 0;

      if (is_write)
        {
          memcpy (&value, data, piece);
          address_space_write (space, address, piece, value);
        }
      else
        {
          value = address_space_read (space, address, piece);
          memcpy (data, &value, piece);
        }
      address += piece;
      data += piece;
      size -= piece;
    }
}

static void
handle_io (KvmVcpu *vcpu)
{
  struct kvm_run *run = vcpu->run;
  uint8_t *data = (uint8_t *) run + run->io.data_offset;

  for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
    access_space (vcpu->vm->config.ports, run->io.port, data, run->io.size,
                  run->io.direction == KVM_EXIT_IO_OUT);
}

static void stop (KvmVcpu *vcpu, KvmStop why, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* This vCPU enters the guest no more before a reset. */
static void
stop (KvmVcpu *vcpu, KvmStop why, const char *format, ...)
{
  KvmVm *vm = vcpu->vm;
  va_list args;

  va_start (args, format);
  g_autofree char *what = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *detail = g_strdup_printf ("vCPU %u: %s", vcpu->index, what);

  g_mutex_lock (&vm->lock);
  vcpu->dead = true;
  g_mutex_unlock (&vm->lock);
  kvm_vm_request_pause (vm);
  vm->config.stopped (vm->config.opaque, why, detail);
}

static void
handle_system_event (KvmVcpu *vcpu)
{
  switch (vcpu->run->system_event.type)
    {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
      stop (vcpu, KVM_STOP_GUEST_SHUTDOWN, "shut down");
      break;
    case KVM_SYSTEM_EVENT_RESET:
      stop (vcpu, KVM_STOP_GUEST_RESET, "reset");
      break;
    default:
      stop (vcpu, KVM_STOP_INTERNAL_ERROR, "system event %u", vcpu->run->system_event.type);
    }
}

static uint64_t
get_rip (KvmVcpu *vcpu)
{
  struct kvm_regs regs = { 0 };

  return ioctl (vcpu->fd, KVM_GET_REGS, &regs) == 0 ? regs.rip : 0;
}

static void
handle_exit (KvmVcpu *vcpu)
{
  struct kvm_run *run = vcpu->run;

  __atomic_store_n (&vcpu->exits, vcpu->exits + 1, __ATOMIC_RELAXED);
  switch (run->exit_reason)
    {
    case KVM_EXIT_IO:
      handle_io (vcpu);
      break;
    case KVM_EXIT_MMIO:
      access_space (vcpu->vm->config.mmio, run->mmio.phys_addr, run->mmio.data,
                    MIN (run->mmio.len, sizeof run->mmio.data), run->mmio.is_write);
      break;
    case KVM_EXIT_HYPERV:
      kvm_hyperv_exit (run);
      break;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      break;
    case KVM_EXIT_SHUTDOWN:
      /* Where, only Intel's KVM could say: AMD's has put the vCPU into its state after INIT by now, and all happened at 0xfff0. */
      stop (vcpu, KVM_STOP_TRIPLE_FAULT, "triple fault");
      break;
    case KVM_EXIT_SYSTEM_EVENT:
      handle_system_event (vcpu);
      break;
    case KVM_EXIT_FAIL_ENTRY:
      stop (vcpu, KVM_STOP_INTERNAL_ERROR,
            "the processor refused to enter the guest, reason 0x%llx",
            run->fail_entry.hardware_entry_failure_reason);
      break;
    case KVM_EXIT_INTERNAL_ERROR:
      stop (vcpu, KVM_STOP_INTERNAL_ERROR,
            "KVM internal error, suberror %u, at 0x%" G_GINT64_MODIFIER "x", run->internal.suberror,
            get_rip (vcpu));
      break;
    default:
      stop (vcpu, KVM_STOP_INTERNAL_ERROR, "unexpected exit %u from KVM", run->exit_reason);
    }
}

/* Waits while the machine is paused or this vCPU is dead. False: the machine ends. */
static bool
park (KvmVcpu *vcpu)
{
  KvmVm *vm = vcpu->vm;

  g_mutex_lock (&vm->lock);
  vcpu->parked = true;
  g_cond_broadcast (&vm->changed);
  while (!vm->ending && (vm->pausing || vcpu->dead))
    g_cond_wait (&vm->changed, &vm->lock);
  vcpu->parked = false;
  bool go_on = !vm->ending;
  g_mutex_unlock (&vm->lock);
  return go_on;
}

static void *
vcpu_thread (void *data)
{
  KvmVcpu *vcpu = data;
  KvmVm *vm = vcpu->vm;

  g_mutex_lock (&vm->lock);
  vcpu->pthread = pthread_self ();
  vcpu->started = true;
  g_cond_broadcast (&vm->changed);
  g_mutex_unlock (&vm->lock);

  while (park (vcpu))
    while (!vcpu->dead)
      {
        int result = ioctl (vcpu->fd, KVM_RUN, 0);
        int saved = errno;

        if (result == 0)
          handle_exit (vcpu);
        else if (saved == EINTR && __atomic_load_n (&vm->pausing, __ATOMIC_ACQUIRE))
          break;
        else if (saved != EINTR && saved != EAGAIN)
          stop (vcpu, KVM_STOP_INTERNAL_ERROR, "KVM_RUN: %s", g_strerror (saved));
      }
  return NULL;
}

/* One bank of machine-check registers instead of KVM's thirty-two: the host's errors are the host's affair, and a guest
 * reads and writes each bank at its start. KVM that cannot do it leaves what it has. */
static void
limit_machine_check (const KvmVcpu *vcpu)
{
  uint64_t capability = 0;

  if (ioctl (vcpu->vm->kvm_fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &capability) < 0)
    return;
  capability = (capability & ~UINT64_C (0xff)) | 1;
  if (ioctl (vcpu->fd, KVM_X86_SETUP_MCE, &capability) < 0)
    g_debug ("KVM_X86_SETUP_MCE: %s", g_strerror (errno));
}

bool
kvm_vcpu_open (KvmVm *vm, unsigned index, GError **error)
{
  KvmVcpu *vcpu = &vm->vcpus[index];

  vcpu->vm = vm;
  vcpu->index = index;
  vcpu->apic_id = cpu_topology_apic_id (&vm->config.topology, index);
  vcpu->fd = ioctl (vm->fd, KVM_CREATE_VCPU, vcpu->apic_id);
  if (vcpu->fd < 0)
    return kvm_fail (error, "KVM_CREATE_VCPU");
  vcpu->run = mmap (NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
  if (vcpu->run == MAP_FAILED)
    {
      vcpu->run = NULL;
      return kvm_fail (error, "mmap of a vCPU");
    }
  limit_machine_check (vcpu);
  return kvm_cpuid_set (vm, vcpu, error);
}

void
kvm_vcpu_start (KvmVcpu *vcpu)
{
  g_autofree char *name = g_strdup_printf ("vcpu%u", vcpu->index);

  install_kick ();
  vcpu->thread = g_thread_new (name, vcpu_thread, vcpu);
  g_mutex_lock (&vcpu->vm->lock);
  while (!vcpu->started)
    g_cond_wait (&vcpu->vm->changed, &vcpu->vm->lock);
  g_mutex_unlock (&vcpu->vm->lock);
}

void
kvm_vcpu_close (KvmVcpu *vcpu)
{
  if (vcpu->thread)
    g_thread_join (vcpu->thread);
  if (vcpu->run)
    munmap (vcpu->run, vcpu->vm->run_size);
  if (vcpu->fd >= 0)
    close (vcpu->fd);
}
