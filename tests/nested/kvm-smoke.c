/* Runs a dozen guest instructions in real mode on /dev/kvm: ends 0 if the guest computed 7 x 6 and said so on a port. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define GUEST_BASE 0x1000
#define PORT       0x10

/* mov al, 7; mov bl, 6; mul bl; out PORT, al; hlt */
static const uint8_t code[] = { 0xb0, 7, 0xb3, 6, 0xf6, 0xe3, 0xe6, PORT, 0xf4 };

static int
give_up (const char *what)
{
  perror (what);
  return 1;
}

int
main (void)
{
  int kvm = open ("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0)
    return give_up ("/dev/kvm");
  int vm = ioctl (kvm, KVM_CREATE_VM, 0);
  if (vm < 0)
    return give_up ("KVM_CREATE_VM");
  void *memory = mmap (NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return give_up ("mmap");
  memcpy (memory, code, sizeof code);
  struct kvm_userspace_memory_region region = { .guest_phys_addr = GUEST_BASE,
                                                .memory_size = 4096,
                                                .userspace_addr = (uintptr_t) memory };
  if (ioctl (vm, KVM_SET_USER_MEMORY_REGION, &region) != 0)
    return give_up ("KVM_SET_USER_MEMORY_REGION");
  int vcpu = ioctl (vm, KVM_CREATE_VCPU, 0);
  int run_size = ioctl (kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  if (vcpu < 0 || run_size <= 0)
    return give_up ("KVM_CREATE_VCPU");
  struct kvm_run *run = mmap (NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  struct kvm_sregs sregs;
  if (run == MAP_FAILED || ioctl (vcpu, KVM_GET_SREGS, &sregs) != 0)
    return give_up ("KVM_GET_SREGS");
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  struct kvm_regs regs = { .rip = GUEST_BASE, .rflags = 2 };
  if (ioctl (vcpu, KVM_SET_SREGS, &sregs) != 0 || ioctl (vcpu, KVM_SET_REGS, &regs) != 0)
    return give_up ("KVM_SET_REGS");

  int product = 0;
  for (int exits = 0; exits < 16; exits++)
    {
      if (ioctl (vcpu, KVM_RUN, 0) != 0)
        return give_up ("KVM_RUN");
      if (run->exit_reason == KVM_EXIT_HLT)
        break;
      if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT)
        product = *((uint8_t *) run + run->io.data_offset);
    }
  printf ("the guest says %d\n", product);
  return product == 42 ? 0 : 1;
}
