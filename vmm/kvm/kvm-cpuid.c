#define G_LOG_DOMAIN "vmm-kvm"

#include <sys/ioctl.h>

#include "kvm/kvm-private.h"

/* Theory of operation
 *
 * A guest sees the host's processor as far as KVM can virtualise it, and a topology of our own: one
 * package, a core a vCPU, no hyper-threads, APIC id = index. Leaf numbers: Intel SDM volume 2, CPUID; AMD APM
 * volume 3, appendix E; KVM's own at 4000_0000h: Linux, virt/kvm/x86/cpuid.
 */
#define MAX_ENTRIES 256

#define ECX1_VMX          (1u << 5)
#define ECX1_X2APIC       (1u << 21)
#define ECX1_TSC_DEADLINE (1u << 24)
#define ECX1_HYPERVISOR   (1u << 31)
#define EDX1_HTT          (1u << 28)
#define ECX81_SVM         (1u << 2)
#define ECX81_CMP_LEGACY  (1u << 1)

/* How many bits of APIC id number n processors. */
static unsigned
id_bits (unsigned n)
{
  unsigned bits = 0;

  while ((1u << bits) < n)
    bits++;
  return bits;
}

static void
fix_features (struct kvm_cpuid_entry2 *e, const KvmVm *vm, unsigned apic_id)
{
  unsigned n = vm->config.n_cpus;

  e->ebx = (e->ebx & 0xffff) | apic_id << 24 | n << 16;
  e->ecx |= ECX1_HYPERVISOR | ECX1_X2APIC;
  if (ioctl (vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
    e->ecx |= ECX1_TSC_DEADLINE;
  /* No guest of a guest: it would be a large surface for something that nobody asked for. */
  e->ecx &= ~ECX1_VMX;
  e->edx = n > 1 ? e->edx | EDX1_HTT : e->edx & ~EDX1_HTT;
}

/* Intel, deterministic cache parameters: level 3 is shared by all, the others by nobody. */
static void
fix_caches (struct kvm_cpuid_entry2 *e, unsigned n)
{
  unsigned type = e->eax & 0x1f;
  unsigned level = e->eax >> 5 & 7;
  unsigned sharing = level >= 3 ? (1u << id_bits (n)) - 1 : 0;

  if (type != 0)
    e->eax = (e->eax & 0x3fff) | sharing << 14 | ((1u << id_bits (n)) - 1) << 26;
}

/* Leaves Bh and 1Fh: level 0 threads, level 1 cores. */
static void
fix_topology (struct kvm_cpuid_entry2 *e, unsigned n, unsigned apic_id)
{
  e->edx = apic_id;
  e->ecx = e->index;
  e->eax = e->ebx = 0;
  if (e->index == 0)
    {
      e->ebx = 1;
      e->ecx |= 1 << 8;
    }
  else if (e->index == 1)
    {
      e->eax = id_bits (n);
      e->ebx = n;
      e->ecx |= 2 << 8;
    }
}

/* AMD, cache properties: as fix_caches (). */
static void
fix_amd_caches (struct kvm_cpuid_entry2 *e, unsigned n)
{
  unsigned level = e->eax >> 5 & 7;

  if ((e->eax & 0x1f) != 0)
    e->eax = (e->eax & 0x3fff) | (level >= 3 ? n - 1 : 0) << 14;
}

static void
fix_entry (struct kvm_cpuid_entry2 *e, const KvmVm *vm, unsigned apic_id)
{
  unsigned n = vm->config.n_cpus;

  switch (e->function)
    {
    case 0x1:
      fix_features (e, vm, apic_id);
      break;
    case 0x4:
      fix_caches (e, n);
      break;
    case 0xb:
    case 0x1f:
      fix_topology (e, n, apic_id);
      break;
    case 0x80000001:
      e->ecx &= ~(ECX81_SVM | ECX81_CMP_LEGACY);
      if (n > 1)
        e->ecx |= ECX81_CMP_LEGACY;
      break;
    case 0x80000008: /* core count less one, bits of core id */
      e->ecx = (e->ecx & ~0xf0ffu) | id_bits (n) << 12 | (n - 1);
      break;
    case 0x8000001d:
      fix_amd_caches (e, n);
      break;
    case 0x8000001e: /* extended APIC id; core id, one thread; node 0 of 1 */
      e->eax = apic_id;
      e->ebx = apic_id & 0xff;
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

  cpuid->nent = MAX_ENTRIES - 6;
  if (ioctl (vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
    return kvm_fail (error, "KVM_GET_SUPPORTED_CPUID");
  replace_topology (cpuid, 0xb);
  replace_topology (cpuid, 0x1f);
  for (unsigned i = 0; i < cpuid->nent; i++)
    {
      fix_entry (&cpuid->entries[i], vm, vcpu->index);
      if (cpuid->entries[i].function == 0x80000008)
        vm->physical_bits = cpuid->entries[i].eax & 0xff;
    }
  if (ioctl (vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
    return kvm_fail (error, "KVM_SET_CPUID2");
  return true;
}
