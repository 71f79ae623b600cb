#define G_LOG_DOMAIN "vmm-kvm"

#include "kvm/kvm-vm.h"

#include <errno.h>
#include <gio/gio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/kvm-host.h"
#include "kvm/kvm-private.h"

/* Theory of operation
 *
 * Each vCPU thread is either parked, waiting on `changed`, or in its run loop (kvm-vcpu.c). To pause,
 * `pausing` is set and every running vCPU kicked out of KVM_RUN; a pause has happened when all are parked.
 * Whoever wants a thing done to the whole machine (reset, power off) from inside a device handler asks for
 * the pause, tells the main thread, and returns: the main thread then finds the machine still.
 */
bool
kvm_fail (GError **error, const char *what)
{
  int saved = errno;

  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "KVM: %s: %s", what,
               g_strerror (saved));
  return false;
}

static bool
create_vm (KvmVm *vm, GError **error)
{
  uint64_t identity_map = KVM_VM_IDENTITY_MAP;
  struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

  vm->kvm_fd = kvm_host_open (error);
  if (vm->kvm_fd < 0)
    return false;
  do
    vm->fd = ioctl (vm->kvm_fd, KVM_CREATE_VM, 0);
  while (vm->fd < 0 && errno == EINTR);
  if (vm->fd < 0)
    return kvm_fail (error, "KVM_CREATE_VM");
  if (ioctl (vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
    return kvm_fail (error, "KVM_SET_IDENTITY_MAP_ADDR");
  if (ioctl (vm->fd, KVM_SET_TSS_ADDR, KVM_VM_TSS) < 0)
    return kvm_fail (error, "KVM_SET_TSS_ADDR");
  if (ioctl (vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
    return kvm_fail (error, "KVM_CREATE_IRQCHIP");
  if (ioctl (vm->fd, KVM_CREATE_PIT2, &pit) < 0)
    return kvm_fail (error, "KVM_CREATE_PIT2");
  int run_size = ioctl (vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
  if (run_size < (int) sizeof (struct kvm_run))
    return kvm_fail (error, "KVM_GET_VCPU_MMAP_SIZE");
  vm->run_size = (size_t) run_size;
  return true;
}

KvmVm *
kvm_vm_new (const KvmVmConfig *config, GError **error)
{
  g_return_val_if_fail (config->n_cpus >= 1 && config->n_cpus <= KVM_VM_MAX_CPUS, NULL);

  g_autoptr (KvmVm) vm = g_new0 (KvmVm, 1);
  vm->config = *config;
  vm->kvm_fd = vm->fd = vm->clock_fd = -1;
  vm->pausing = true;
  vm->physical_bits = 36; /* of a processor that does not say */
  g_mutex_init (&vm->lock);
  g_cond_init (&vm->changed);
  g_mutex_init (&vm->route_lock);
  g_mutex_init (&vm->slot_lock);
  for (unsigned i = 0; i < KVM_VM_MAX_CPUS; i++)
    vm->vcpus[i].fd = -1;
  if (!create_vm (vm, error) || !kvm_slots_add_ram (vm, error) || !kvm_routes_init (vm, error))
    return NULL;
  for (unsigned i = 0; i < config->n_cpus; i++)
    if (!kvm_vcpu_open (vm, i, error))
      return NULL;
  if (!kvm_state_take (vm, error))
    return NULL;
  for (unsigned i = 0; i < config->n_cpus; i++)
    kvm_vcpu_start (&vm->vcpus[i]);
  kvm_clock_watch (vm);
  kvm_vm_pause (vm);
  return g_steal_pointer (&vm);
}

void
kvm_vm_free (KvmVm *vm)
{
  if (!vm)
    return;
  kvm_clock_unwatch (vm);
  kvm_vm_pause (vm);
  g_mutex_lock (&vm->lock);
  vm->ending = true;
  g_cond_broadcast (&vm->changed);
  g_mutex_unlock (&vm->lock);
  g_debug ("%" G_GUINT64_FORMAT " exits to user space", kvm_vm_get_exits (vm));
  for (unsigned i = 0; i < KVM_VM_MAX_CPUS; i++)
    kvm_vcpu_close (&vm->vcpus[i]);
  kvm_state_free (vm);
  if (vm->fd >= 0)
    close (vm->fd);
  if (vm->kvm_fd >= 0)
    close (vm->kvm_fd);
  g_mutex_clear (&vm->lock);
  g_cond_clear (&vm->changed);
  g_mutex_clear (&vm->route_lock);
  g_mutex_clear (&vm->slot_lock);
  g_free (vm);
}

static void
set_level (void *opaque, unsigned gsi, bool level)
{
  KvmVm *vm = opaque;
  struct kvm_irq_level request = { .irq = gsi, .level = level };

  if (ioctl (vm->fd, KVM_IRQ_LINE, &request) < 0)
    g_warning ("KVM_IRQ_LINE %u: %s", gsi, g_strerror (errno));
}

IrqLine
kvm_vm_get_irq_line (KvmVm *vm, unsigned gsi)
{
  return (IrqLine){ .set_level = set_level, .opaque = vm, .gsi = gsi };
}

MsiSink
kvm_vm_get_msi_sink (KvmVm *vm)
{
  return (MsiSink){ .ops = &kvm_msi_sink_ops, .opaque = vm };
}

Doorbell
kvm_vm_get_doorbell (KvmVm *vm)
{
  return (Doorbell){ .ops = &kvm_doorbell_ops, .opaque = vm };
}

MemorySlots
kvm_vm_get_memory_slots (KvmVm *vm)
{
  return (MemorySlots){ .ops = &kvm_memory_slot_ops, .opaque = vm };
}

bool
kvm_vm_reset (KvmVm *vm, const KvmEntry *entry, GError **error)
{
  g_return_val_if_fail (vm->pausing, false);

  if (!kvm_state_put (vm, error))
    return false;
  for (unsigned i = 0; i < vm->config.n_cpus; i++)
    vm->vcpus[i].dead = false;
  return !entry || kvm_state_enter (&vm->vcpus[0], entry, error);
}

/* Time went on while the machine stood still, and the guest's clock with it, so that it is right again at once; the guest's watchdogs are
 * told not to mind. A guest that does not use KVM's clock has none that could be told, and the call fails. */
static void
excuse_pause (const KvmVm *vm)
{
  for (unsigned i = 0; i < vm->config.n_cpus; i++)
    if (ioctl (vm->vcpus[i].fd, KVM_KVMCLOCK_CTRL) < 0)
      g_debug ("vCPU %u: KVM_KVMCLOCK_CTRL: %s", i, g_strerror (errno));
}

void
kvm_vm_resume (KvmVm *vm)
{
  if (vm->pausing)
    excuse_pause (vm);
  g_mutex_lock (&vm->lock);
  for (unsigned i = 0; i < vm->config.n_cpus; i++)
    __atomic_store_n (&vm->vcpus[i].run->immediate_exit, 0, __ATOMIC_RELAXED);
  __atomic_store_n (&vm->pausing, false, __ATOMIC_RELEASE);
  g_cond_broadcast (&vm->changed);
  g_mutex_unlock (&vm->lock);
}

void
kvm_vm_request_pause (KvmVm *vm)
{
  g_mutex_lock (&vm->lock);
  __atomic_store_n (&vm->pausing, true, __ATOMIC_RELEASE);
  for (unsigned i = 0; i < vm->config.n_cpus; i++)
    kvm_vcpu_kick (&vm->vcpus[i]);
  g_mutex_unlock (&vm->lock);
}

static bool
all_parked (const KvmVm *vm)
{
  for (unsigned i = 0; i < vm->config.n_cpus; i++)
    if (vm->vcpus[i].started && !vm->vcpus[i].parked)
      return false;
  return true;
}

void
kvm_vm_pause (KvmVm *vm)
{
  kvm_vm_request_pause (vm);
  g_mutex_lock (&vm->lock);
  while (!all_parked (vm))
    g_cond_wait (&vm->changed, &vm->lock);
  g_mutex_unlock (&vm->lock);
}

unsigned
kvm_vm_get_physical_bits (const KvmVm *vm)
{
  return vm->physical_bits;
}

uint64_t
kvm_vm_get_exits (const KvmVm *vm)
{
  uint64_t sum = 0;

  for (unsigned i = 0; i < vm->config.n_cpus; i++)
    sum += __atomic_load_n (&vm->vcpus[i].exits, __ATOMIC_RELAXED);
  return sum;
}
