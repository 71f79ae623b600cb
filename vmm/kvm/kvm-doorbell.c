#define G_LOG_DOMAIN "vmm-kvm"

#include <sys/ioctl.h>

#include "kvm/kvm-private.h"

/* len 0: a write of any size matches (KVM_CAP_IOEVENTFD_ANY_LENGTH), and on Intel the kernel need not even
 * decode the instruction. */
static int
assign (KvmVm *vm, uint64_t gpa, int eventfd, uint32_t flags)
{
  struct kvm_ioeventfd request = { .addr = gpa, .len = 0, .fd = eventfd, .flags = flags };

  return ioctl (vm->fd, KVM_IOEVENTFD, &request);
}

static bool
attach (void *opaque, uint64_t gpa, int eventfd, GError **error)
{
  return assign (opaque, gpa, eventfd, 0) == 0 || kvm_fail (error, "KVM_IOEVENTFD");
}

static void
detach (void *opaque, uint64_t gpa, int eventfd)
{
  assign (opaque, gpa, eventfd, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

const DoorbellOps kvm_doorbell_ops = { .attach = attach, .detach = detach };
