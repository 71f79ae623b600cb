#define G_LOG_DOMAIN "vmm-kvm"

#include <gio/gio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/kvm-private.h"

/* Theory of operation
 *
 * Hyper-V's interfaces are KVM's work; what is done here is to say so in CPUID (Hypervisor Top Level Functional Specification 6.0, 2.4),
 * where Windows looks for them: from 4000_0000h on, so that KVM's own leaves move up by 100h, which Linux searches for. Offered
 * is what Windows runs quicker with; not what would need more of us (a VMBus, crash reports) or is for a guest of a guest.
 */
#define LEAF_FIRST    0x40000000u
#define LEAF_FEATURES 0x40000003u
#define LEAF_ADVICE   0x40000004u
#define LEAF_LAST     0x40000005u
#define KVM_LEAVES    0x40000100u

enum
{
  /* Bits 0-6: run time, reference counter, SynIC, its timers, APIC, hypercalls, VP index; 9: reference TSC; 11: frequencies. */
  FEATURES_EAX = 0x0a7f,
  FEATURES_EBX = 1 << 4 | 1 << 5, /* messages and events, as Windows wants them with a SynIC */
  /* Hypercall parameters in XMM registers, frequencies, timers that interrupt directly. */
  FEATURES_EDX = 1 << 3 | 1 << 4 | 1 << 8 | 1 << 19,
  /* TLB flushes, APIC by MSR, relaxed timing, no AutoEOI, IPIs by hypercall. */
  ADVICE_EAX = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 9 | 1 << 10,
  SPIN_RETRIES = 0xfff,

  STATUS_INVALID_CODE = 2,
  STATUS_INVALID_CONNECTION = 0x12,
  CALL_POST_MESSAGE = 0x5c,
  CALL_SIGNAL_EVENT = 0x5d,
};

static bool
unsupported (GError **error)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                       "--hyperv on: the KVM of this host has no interfaces of Hyper-V; leave it "
                       "off");
  return false;
}

static void
choose (struct kvm_cpuid_entry2 *entry)
{
  switch (entry->function)
    {
    case LEAF_FIRST:
      entry->eax = LEAF_LAST;
      /* Of other vendors Linux as a guest makes less. */
      memcpy (&entry->ebx, "Micr", 4);
      memcpy (&entry->ecx, "osof", 4);
      memcpy (&entry->edx, "t Hv", 4);
      break;
    case LEAF_FEATURES:
      entry->eax &= FEATURES_EAX;
      entry->ebx &= FEATURES_EBX;
      entry->edx &= FEATURES_EDX;
      break;
    case LEAF_ADVICE:
      entry->eax &= ADVICE_EAX;
      entry->ebx = SPIN_RETRIES;
      break;
    default:
      break;
    }
}

static void
move_kvm_leaves (struct kvm_cpuid2 *cpuid)
{
  for (unsigned i = 0; i < cpuid->nent; i++)
    {
      struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

      if (entry->function < LEAF_FIRST || entry->function >= KVM_LEAVES)
        continue;
      if (entry->function == LEAF_FIRST)
        entry->eax = MAX (entry->eax, LEAF_FIRST + 1) + (KVM_LEAVES - LEAF_FIRST);
      entry->function += KVM_LEAVES - LEAF_FIRST;
    }
}

bool
kvm_hyperv_add (KvmVcpu *vcpu, struct kvm_cpuid2 *cpuid, unsigned max, GError **error)
{
  struct
  {
    struct kvm_cpuid2 header;
    struct kvm_cpuid_entry2 entries[32];
  } hyperv = { .header.nent = G_N_ELEMENTS (hyperv.entries) };
  struct kvm_enable_cap synic = { .cap = KVM_CAP_HYPERV_SYNIC2 };

  if (ioctl (vcpu->vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_HYPERV_CPUID) <= 0)
    return unsupported (error);
  if (ioctl (vcpu->fd, KVM_ENABLE_CAP, &synic) < 0)
    return unsupported (error);
  if (ioctl (vcpu->fd, KVM_GET_SUPPORTED_HV_CPUID, &hyperv) < 0)
    return kvm_fail (error, "KVM_GET_SUPPORTED_HV_CPUID");
  move_kvm_leaves (cpuid);
  for (unsigned i = 0; i < hyperv.header.nent && cpuid->nent < max; i++)
    if (hyperv.entries[i].function <= LEAF_LAST)
      {
        choose (&hyperv.entries[i]);
        cpuid->entries[cpuid->nent++] = hyperv.entries[i];
      }
  return true;
}

void
kvm_hyperv_exit (struct kvm_run *run)
{
  const unsigned code = run->hyperv.u.hcall.input & 0xffff;

  if (run->hyperv.type == KVM_EXIT_HYPERV_HCALL)
    run->hyperv.u.hcall.result = code == CALL_POST_MESSAGE || code == CALL_SIGNAL_EVENT
                                     ? STATUS_INVALID_CONNECTION
                                     : STATUS_INVALID_CODE;
}
