#define G_LOG_DOMAIN "vmm-kvm"

#include <sys/ioctl.h>

#include "kvm/kvm-private.h"

/* Theory of operation
 *
 * A guest sees the host's processor as far as KVM can virtualise it, less what a machine of ours could not keep: virtualisation in
 * the guest, memory and traces that are the processor's secret (SGX, Processor Trace), and a TSC that never stands still, for it
 * does while the host sleeps (kvm-clock.c). Packages, cores and threads are as
 * they were asked for. Leaf numbers: Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E; KVM's own at 4000_0000h: Linux,
 * virt/kvm/x86/cpuid.
 */
#define MAX_ENTRIES 256

#define ECX1_VMX          (1u << 5)
#define ECX1_X2APIC       (1u << 21)
#define ECX1_TSC_DEADLINE (1u << 24)
#define ECX1_HYPERVISOR   (1u << 31)
#define EDX1_HTT          (1u << 28)
#define EBX7_SGX          (1u << 2)
#define EBX7_TRACE        (1u << 25)
#define ECX7_SGX_LAUNCH   (1u << 30)
#define ECX81_SVM         (1u << 2)
#define EDX87_INVARIANT   (1u << 8)
#define ECX81_CMP_LEGACY  (1u << 1)

static unsigned
count_in_package (const CpuTopology *topology)
{
  return topology->cores * topology->threads;
}

static void
fix_features (struct kvm_cpuid_entry2 *e, const KvmVm *vm, unsigned apic_id)
{
  const unsigned n = count_in_package (&vm->config.topology);

  e->ebx = (e->ebx & 0xffff) | apic_id << 24 | n << 16;
  e->ecx |= ECX1_HYPERVISOR | ECX1_X2APIC;
  if (ioctl (vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
    e->ecx |= ECX1_TSC_DEADLINE;
  /* No guest of a guest: it would be a large surface for something that nobody asked for. */
  e->ecx &= ~ECX1_VMX;
  e->edx = n > 1 ? e->edx | EDX1_HTT : e->edx & ~EDX1_HTT;
}

/* Intel, deterministic cache parameters: level 3 is shared by a package, the others by a core. */
static void
fix_caches (struct kvm_cpuid_entry2 *e, const CpuTopology *topology)
{
  const unsigned type = e->eax & 0x1f;
  const unsigned level = e->eax >> 5 & 7;
  const unsigned bits =
      level >= 3 ? cpu_topology_package_bits (topology) : cpu_topology_thread_bits (topology);

  if (type != 0)
    e->eax = (e->eax & 0x3fff) | ((1u << bits) - 1) << 14 |
             ((1u << cpu_topology_bits (topology->cores)) - 1) << 26;
}

/* Leaves Bh and 1Fh: level 0 threads, level 1 cores. */
static void
fix_topology (struct kvm_cpuid_entry2 *e, const CpuTopology *topology, unsigned apic_id)
{
  e->edx = apic_id;
  e->ecx = e->index;
  e->eax = e->ebx = 0;
  if (e->index == 0)
    {
      e->eax = cpu_topology_thread_bits (topology);
      e->ebx = topology->threads;
      e->ecx |= 1 << 8;
    }
  else if (e->index == 1)
    {
      e->eax = cpu_topology_package_bits (topology);
      e->ebx = count_in_package (topology);
      e->ecx |= 2 << 8;
    }
}

/* AMD, cache properties: as fix_caches (). */
static void
fix_amd_caches (struct kvm_cpuid_entry2 *e, const CpuTopology *topology)
{
  const unsigned level = e->eax >> 5 & 7;
  const unsigned n = level >= 3 ? count_in_package (topology) : topology->threads;

  if ((e->eax & 0x1f) != 0)
    e->eax = (e->eax & 0x3fff) | (n - 1) << 14;
}

static void
fix_amd_features (struct kvm_cpuid_entry2 *e, const CpuTopology *topology)
{
  e->ecx &= ~(ECX81_SVM | ECX81_CMP_LEGACY);
  if (count_in_package (topology) > 1)
    e->ecx |= ECX81_CMP_LEGACY;
}

/* Nothing is left of a leaf of what is not offered. */
static void
clear (struct kvm_cpuid_entry2 *e)
{
  e->eax = e->ebx = e->ecx = e->edx = 0;
}

static void
fix_entry (struct kvm_cpuid_entry2 *e, const KvmVm *vm, unsigned apic_id)
{
  const CpuTopology *topology = &vm->config.topology;

  switch (e->function)
    {
    case 0x1:
      fix_features (e, vm, apic_id);
      break;
    case 0x4:
      fix_caches (e, topology);
      break;
    case 0x7:
      if (e->index == 0)
        {
          e->ebx &= ~(EBX7_SGX | EBX7_TRACE);
          e->ecx &= ~ECX7_SGX_LAUNCH;
        }
      break;
    case 0xb:
    case 0x1f:
      fix_topology (e, topology, apic_id);
      break;
    case 0x12: /* SGX, Processor Trace, SVM */
    case 0x14:
    case 0x8000000a:
      clear (e);
      break;
    case 0x80000001:
      fix_amd_features (e, topology);
      break;
    case 0x80000007:
      e->edx &= ~EDX87_INVARIANT;
      break;
    case 0x80000008: /* threads of a package less one, bits of their ids */
      e->ecx = (e->ecx & ~0xf0ffu) | cpu_topology_package_bits (topology) << 12 |
               (count_in_package (topology) - 1);
      break;
    case 0x8000001d:
      fix_amd_caches (e, topology);
      break;
    case 0x8000001e: /* extended APIC id; core id, threads less one; node 0 of 1 */
      e->eax = apic_id;
      e->ebx =
          (topology->threads - 1) << 8 | (apic_id >> cpu_topology_thread_bits (topology) & 0xff);
      e->ecx = 0;
      break;
    default:
      break;
    }
}

/* KVM may give a topology leaf with one level or none: replace it by the two that we tell of and the end. */
static void
replace_topology (struct kvm_cpuid2 *cpuid, uint32_t function)
{
  unsigned kept = 0;
  bool found = false;

  for (unsigned i = 0; i < cpuid->nent; i++)
    {
      if (cpuid->entries[i].function == function)
        found = true;
      else
        cpuid->entries[kept++] = cpuid->entries[i];
    }
  cpuid->nent = kept;
  if (!found && function != 0xb)
    return;
  for (unsigned level = 0; level < 3 && cpuid->nent < MAX_ENTRIES; level++)
    cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
      .function = function,
      .index = level,
      .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
    };
}

bool
kvm_cpuid_set (KvmVm *vm, KvmVcpu *vcpu, GError **error)
{
  g_autofree struct kvm_cpuid2 *cpuid =
      g_malloc0 (sizeof (struct kvm_cpuid2) + MAX_ENTRIES * sizeof (struct kvm_cpuid_entry2));

  cpuid->nent = MAX_ENTRIES - 38; /* what is added below */
  if (ioctl (vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
    return kvm_fail (error, "KVM_GET_SUPPORTED_CPUID");
  replace_topology (cpuid, 0xb);
  replace_topology (cpuid, 0x1f);
  for (unsigned i = 0; i < cpuid->nent; i++)
    {
      fix_entry (&cpuid->entries[i], vm, vcpu->apic_id);
      if (cpuid->entries[i].function == 0x80000008)
        vm->physical_bits = cpuid->entries[i].eax & 0xff;
    }
  if (vm->config.hyperv && !kvm_hyperv_add (vcpu, cpuid, MAX_ENTRIES, error))
    return false;
  if (ioctl (vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
    return kvm_fail (error, "KVM_SET_CPUID2");
  return true;
}
