#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "base/cpu-topology.h"
#include "bus/address-space.h"
#include "bus/doorbell.h"
#include "bus/guest-memory.h"
#include "bus/irq.h"
#include "bus/memory-slot.h"
#include "kvm/kvm-entry.h"

/* One virtual machine of KVM: its RAM, in-kernel interrupt controllers (two 8259, one I/O APIC with 24
 * lines, PIT) and vCPUs, each on a thread of its own; and KVM's bodies for the contracts of bus/.
 *
 * Thread: main, where not said otherwise.
 */
typedef struct KvmVm KvmVm;

#define KVM_VM_MAX_CPUS 16

typedef enum
{
  KVM_STOP_TRIPLE_FAULT,
  KVM_STOP_INTERNAL_ERROR,
  KVM_STOP_GUEST_SHUTDOWN, /* through a hypercall interface of KVM, not a device */
  KVM_STOP_GUEST_RESET,
} KvmStop;

typedef struct KvmVmConfig
{
  unsigned n_cpus;
  CpuTopology topology;      /* of n_cpus */
  bool hyperv;               /* Hyper-V's interfaces beside KVM's */
  const GuestMemory *memory; /* borrowed, as the address spaces */
  AddressSpace *mmio;
  AddressSpace *ports;
  /* A vCPU cannot or will not go on; all have been asked to pause. detail: one line. On the vCPU's thread. */
  void (*stopped) (void *opaque, KvmStop why, const char *detail);
  void *opaque;
} KvmVmConfig;

/* Where KVM on Intel keeps three pages and one page of its own in guest-physical space: below the
 * firmware, above everything that is placed. */
#define KVM_VM_IDENTITY_MAP UINT64_C (0xfeffc000)
#define KVM_VM_TSS          UINT64_C (0xfeffd000)
#define KVM_VM_RESERVED     UINT64_C (0x4000) /* bytes from KVM_VM_IDENTITY_MAP on */

/* Nothing runs yet: the vCPUs' threads are there, paused. */
KvmVm *kvm_vm_new (const KvmVmConfig *config, GError **error);
/* Stops and joins the vCPUs. Every route, doorbell and slot goes as well. */
void kvm_vm_free (KvmVm *vm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KvmVm, kvm_vm_free)

/* These may be used from any thread until kvm_vm_free (). */
IrqLine kvm_vm_get_irq_line (KvmVm *vm, unsigned gsi);
MsiSink kvm_vm_get_msi_sink (KvmVm *vm);
Doorbell kvm_vm_get_doorbell (KvmVm *vm);
MemorySlots kvm_vm_get_memory_slots (KvmVm *vm);

/* Paused only. Everything of KVM's (vCPUs, interrupt controllers, PIT) back to the state of power-on;
 * then the first vCPU to entry (NULL: stays at the processor's reset vector). */
bool kvm_vm_reset (KvmVm *vm, const KvmEntry *entry, GError **error);

void kvm_vm_resume (KvmVm *vm);
/* Returns at once, any thread: each vCPU stops before its next guest instruction, once the device access
 * it is in has ended. */
void kvm_vm_request_pause (KvmVm *vm);
/* The same, and waits: on return no vCPU runs guest code or a device's handler. */
void kvm_vm_pause (KvmVm *vm);

/* Bits of a guest-physical address, as the guest's CPUID says. */
unsigned kvm_vm_get_physical_bits (const KvmVm *vm);

/* Exits to this process since the start, over all vCPUs. Any thread. */
uint64_t kvm_vm_get_exits (const KvmVm *vm);
