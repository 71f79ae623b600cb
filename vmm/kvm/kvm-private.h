#pragma once

#include <linux/kvm.h>
#include <pthread.h>

#include "kvm/kvm-vm.h"

/* What the files of kvm/ share. */
#define KVM_N_GSIS     4096 /* KVM_MAX_IRQ_ROUTES */
#define KVM_FIRST_MSI  24   /* GSIs below are the pins of the I/O APIC */
#define KVM_MAX_ROUTES 1024
#define KVM_MAX_SLOTS  64

typedef struct KvmVcpu
{
  KvmVm *vm;
  unsigned index;
  unsigned apic_id;
  int fd;
  struct kvm_run *run; /* shared with the kernel */
  GThread *thread;
  pthread_t pthread; /* valid once started */
  uint64_t exits;
  struct KvmVcpuState *power_on;

  /* Guarded by vm->lock */
  bool started;
  bool parked;
  bool dead; /* must not enter the guest before a reset */
} KvmVcpu;

typedef struct KvmRoute
{
  bool used;
  bool muted;
  int eventfd;
  MsiMessage message;
} KvmRoute;

struct KvmVm
{
  KvmVmConfig config;
  int kvm_fd;
  int fd;
  size_t run_size;
  unsigned physical_bits;
  int clock_fd; /* kvm-clock.c's, as the next two */
  GSource *clock_source;
  int64_t clock_offset; /* ns */
  KvmVcpu vcpus[KVM_VM_MAX_CPUS];
  struct KvmChips *power_on;

  GMutex lock;
  GCond changed;
  bool pausing; /* guarded by lock; also read without it, as a hint */
  bool ending;

  GMutex route_lock;
  KvmRoute routes[KVM_MAX_ROUTES]; /* guarded by route_lock; route i is GSI KVM_FIRST_MSI + i */
  unsigned n_routes;               /* one past the last one used */

  GMutex slot_lock;
  struct kvm_userspace_memory_region slots[KVM_MAX_SLOTS]; /* guarded by slot_lock; size 0: free */
};

/* kvm-vm.c. Returns false with error: "KVM: what: errno". */
bool kvm_fail (GError **error, const char *what);

/* kvm-cpuid.c */
bool kvm_cpuid_set (KvmVm *vm, KvmVcpu *vcpu, GError **error);

/* kvm-clock.c: keeps KVM's clock right over the host's sleeps, from the main context. */
void kvm_clock_watch (KvmVm *vm);
void kvm_clock_unwatch (KvmVm *vm);
/* The host may have slept. True: the clock had fallen behind and was set forward. */
bool kvm_clock_catch_up (KvmVm *vm);

/* kvm-hyperv.c: appends to cpuid, which has room for max; and what of Hyper-V's KVM leaves to us, which is to refuse. */
bool kvm_hyperv_add (KvmVcpu *vcpu, struct kvm_cpuid2 *cpuid, unsigned max, GError **error);
void kvm_hyperv_exit (struct kvm_run *run);

/* kvm-vcpu.c */
bool kvm_vcpu_open (KvmVm *vm, unsigned index, GError **error);
void kvm_vcpu_start (KvmVcpu *vcpu);
void kvm_vcpu_kick (KvmVcpu *vcpu);
void kvm_vcpu_close (KvmVcpu *vcpu);

/* kvm-state.c: what a machine is at power-on, taken when it is made, put back at a reset. */
bool kvm_state_take (KvmVm *vm, GError **error);
bool kvm_state_put (KvmVm *vm, GError **error);
bool kvm_state_enter (KvmVcpu *vcpu, const KvmEntry *entry, GError **error);
void kvm_state_free (KvmVm *vm);

/* kvm-routes.c */
bool kvm_routes_init (KvmVm *vm, GError **error);
extern const MsiSinkOps kvm_msi_sink_ops;

/* kvm-slots.c */
bool kvm_slots_add_ram (KvmVm *vm, GError **error);
extern const MemorySlotOps kvm_memory_slot_ops;

/* kvm-doorbell.c */
extern const DoorbellOps kvm_doorbell_ops;
