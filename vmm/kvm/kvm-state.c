#define G_LOG_DOMAIN "vmm-kvm"

#include <string.h>
#include <sys/ioctl.h>

#include "kvm/kvm-private.h"

/* Theory of operation
 *
 * What KVM gives to a machine when it is made is its state of power-on, so it is read once, before anything runs, and written
 * back at every reset, rather than described here a second time. Two additions: memory is
 * write-back by MTRR, as firmware leaves it, and LINT0/LINT1 of the local APICs are wired as on a PC.
 *
 * The order of writing is that of the kernel's documentation for restoring: CPUID stays, MP_STATE,
 * registers, FPU, LAPIC, MSRs (those of the LAPIC need its base), events last.
 */
#define MAX_MSRS 512

#define MSR_TSC             0x10
#define MSR_MISC_ENABLE     0x1a0
#define MISC_ENABLE_STRINGS 1
#define MSR_MTRR_DEF_TYPE   0x2ff
#define MTRR_ENABLED_WB     (1 << 11 | 6)
#define MSR_TSC_ADJUST      0x3b
#define LAPIC_LVT0          0x350
#define LAPIC_LVT1          0x360
#define LVT_DELIVERY_NMI    (4 << 8)
#define LVT_DELIVERY_EXTINT (7 << 8)
#define N_IRQCHIPS          3

typedef struct KvmVcpuState
{
  struct kvm_mp_state mp_state;
  struct kvm_regs regs;
  struct kvm_sregs sregs;
  struct kvm_xsave xsave;
  struct kvm_xcrs xcrs;
  struct kvm_debugregs debugregs;
  struct kvm_lapic_state lapic;
  struct kvm_vcpu_events events;
  struct kvm_msr_entry msrs[MAX_MSRS];
  unsigned n_msrs;
} KvmVcpuState;

typedef struct KvmChips
{
  struct kvm_irqchip chips[N_IRQCHIPS];
  struct kvm_pit_state2 pit;
} KvmChips;

static bool
msr_io (KvmVcpu *vcpu, unsigned long request, struct kvm_msr_entry *entry)
{
  struct
  {
    struct kvm_msrs header;
    struct kvm_msr_entry entry;
  } one = { .header.nmsrs = 1, .entry = *entry };

  if (ioctl (vcpu->fd, request, &one) != 1)
    return false;
  *entry = one.entry;
  return true;
}

/* Of a machine's time only the counter's rate is state; to set it back would part the vCPUs' counters. */
static bool
is_kept_over_reset (uint32_t index)
{
  return index == MSR_TSC || index == MSR_TSC_ADJUST;
}

/* Each alone: one that the host lists but refuses stops only itself. */
static bool
take_msrs (KvmVm *vm, KvmVcpu *vcpu, KvmVcpuState *state, GError **error)
{
  g_autofree struct kvm_msr_list *list =
      g_malloc0 (sizeof (struct kvm_msr_list) + MAX_MSRS * sizeof (uint32_t));

  list->nmsrs = MAX_MSRS;
  if (ioctl (vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, list) < 0)
    return kvm_fail (error, "KVM_GET_MSR_INDEX_LIST");
  for (unsigned i = 0; i < list->nmsrs; i++)
    {
      struct kvm_msr_entry entry = { .index = list->indices[i] };

      if (is_kept_over_reset (entry.index) || entry.index == MSR_MTRR_DEF_TYPE ||
          !msr_io (vcpu, KVM_GET_MSRS, &entry))
        continue;
      if (entry.index == MSR_MISC_ENABLE)
        entry.data |= MISC_ENABLE_STRINGS;
      state->msrs[state->n_msrs++] = entry;
    }
  if (state->n_msrs < MAX_MSRS)
    state->msrs[state->n_msrs++] =
        (struct kvm_msr_entry){ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WB };
  return true;
}

static void
wire_lapic (struct kvm_lapic_state *lapic, bool is_first)
{
  uint32_t lvt0 = LVT_DELIVERY_EXTINT;
  uint32_t lvt1 = LVT_DELIVERY_NMI;

  if (is_first)
    memcpy (lapic->regs + LAPIC_LVT0, &lvt0, sizeof lvt0);
  memcpy (lapic->regs + LAPIC_LVT1, &lvt1, sizeof lvt1);
}

typedef struct StatePart
{
  const char *name;
  unsigned long get, set;
  size_t offset;
} StatePart;

#define PART(name, field)                                                                          \
  {                                                                                                \
#name, KVM_GET_##name, KVM_SET_##name, G_STRUCT_OFFSET(KvmVcpuState, field)                    \
  }

static const StatePart parts[] = {
  PART (MP_STATE, mp_state), PART (REGS, regs),           PART (SREGS, sregs), PART (XSAVE, xsave),
  PART (XCRS, xcrs),         PART (DEBUGREGS, debugregs), PART (LAPIC, lapic),
};

static bool
take_vcpu (KvmVm *vm, KvmVcpu *vcpu, GError **error)
{
  KvmVcpuState *state = vcpu->power_on = g_new0 (KvmVcpuState, 1);

  for (unsigned i = 0; i < G_N_ELEMENTS (parts); i++)
    if (ioctl (vcpu->fd, parts[i].get, G_STRUCT_MEMBER_P (state, parts[i].offset)) < 0)
      return kvm_fail (error, parts[i].name);
  if (ioctl (vcpu->fd, KVM_GET_VCPU_EVENTS, &state->events) < 0)
    return kvm_fail (error, "VCPU_EVENTS");
  wire_lapic (&state->lapic, vcpu->index == 0);
  return take_msrs (vm, vcpu, state, error);
}

static bool
put_vcpu (KvmVcpu *vcpu, GError **error)
{
  KvmVcpuState *state = vcpu->power_on;

  for (unsigned i = 0; i < G_N_ELEMENTS (parts); i++)
    if (ioctl (vcpu->fd, parts[i].set, G_STRUCT_MEMBER_P (state, parts[i].offset)) < 0)
      return kvm_fail (error, parts[i].name);
  for (unsigned i = 0; i < state->n_msrs; i++)
    {
      struct kvm_msr_entry entry = state->msrs[i];

      if (!msr_io (vcpu, KVM_SET_MSRS, &entry))
        g_debug ("vCPU %u: MSR 0x%x cannot be set to 0x%llx", vcpu->index, entry.index, entry.data);
    }
  if (ioctl (vcpu->fd, KVM_SET_VCPU_EVENTS, &state->events) < 0)
    return kvm_fail (error, "VCPU_EVENTS");
  return true;
}

bool
kvm_state_take (KvmVm *vm, GError **error)
{
  vm->power_on = g_new0 (KvmChips, 1);
  for (uint32_t i = 0; i < N_IRQCHIPS; i++)
    {
      vm->power_on->chips[i].chip_id = i;
      if (ioctl (vm->fd, KVM_GET_IRQCHIP, &vm->power_on->chips[i]) < 0)
        return kvm_fail (error, "KVM_GET_IRQCHIP");
    }
  if (ioctl (vm->fd, KVM_GET_PIT2, &vm->power_on->pit) < 0)
    return kvm_fail (error, "KVM_GET_PIT2");
  for (unsigned i = 0; i < vm->config.n_cpus; i++)
    if (!take_vcpu (vm, &vm->vcpus[i], error))
      return false;
  return true;
}

bool
kvm_state_put (KvmVm *vm, GError **error)
{
  for (unsigned i = 0; i < vm->config.n_cpus; i++)
    if (!put_vcpu (&vm->vcpus[i], error))
      return false;
  for (uint32_t i = 0; i < N_IRQCHIPS; i++)
    if (ioctl (vm->fd, KVM_SET_IRQCHIP, &vm->power_on->chips[i]) < 0)
      return kvm_fail (error, "KVM_SET_IRQCHIP");
  if (ioctl (vm->fd, KVM_SET_PIT2, &vm->power_on->pit) < 0)
    return kvm_fail (error, "KVM_SET_PIT2");
  return true;
}

void
kvm_state_free (KvmVm *vm)
{
  g_clear_pointer (&vm->power_on, g_free);
  for (unsigned i = 0; i < KVM_VM_MAX_CPUS; i++)
    g_clear_pointer (&vm->vcpus[i].power_on, g_free);
}

/* Segment types: 0xb code, execute/read, accessed, or a busy TSS; 0x3 data, read/write, accessed. */
static void
set_segments (struct kvm_sregs *sregs, const KvmEntry *entry)
{
  struct kvm_segment code = {
    .limit = 0xffffffff,
    .selector = 0x10,
    .type = 0xb,
    .present = 1,
    .db = !entry->long_mode,
    .s = 1,
    .l = entry->long_mode,
    .g = 1,
  };
  struct kvm_segment data = code;

  data.selector = 0x18;
  data.type = 0x3;
  data.db = 1;
  data.l = 0;
  sregs->cs = code;
  sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
  sregs->tr = (struct kvm_segment){ .limit = 0x67, .selector = 0x20, .type = 0xb, .present = 1 };
  sregs->gdt = (struct kvm_dtable){ .base = entry->gdt_base, .limit = entry->gdt_limit };
  sregs->idt = (struct kvm_dtable){ 0 };
}

bool
kvm_state_enter (KvmVcpu *vcpu, const KvmEntry *entry, GError **error)
{
  enum
  {
    CR0_PE = 1,
    CR0_ET = 1 << 4,
    CR4_PAE = 1 << 5,
    EFER_LME_LMA = 1 << 8 | 1 << 10,
  };
  struct kvm_sregs sregs = vcpu->power_on->sregs;
  struct kvm_regs regs = {
    .rip = entry->rip,
    .rbx = entry->rbx,
    .rsi = entry->rsi,
    .rsp = entry->rsp,
    .rflags = 2,
  };

  set_segments (&sregs, entry);
  sregs.cr0 = CR0_PE | CR0_ET;
  if (entry->long_mode)
    {
      sregs.cr0 |= UINT64_C (1) << 31;
      sregs.cr3 = entry->cr3;
      sregs.cr4 = CR4_PAE;
      sregs.efer = EFER_LME_LMA;
    }
  if (ioctl (vcpu->fd, KVM_SET_SREGS, &sregs) < 0)
    return kvm_fail (error, "KVM_SET_SREGS");
  if (ioctl (vcpu->fd, KVM_SET_REGS, &regs) < 0)
    return kvm_fail (error, "KVM_SET_REGS");
  return true;
}
