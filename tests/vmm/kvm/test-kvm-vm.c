#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/kvm-host.h"
#include "kvm/kvm-private.h"

/* A few instructions on whatever /dev/kvm there is, also a software one; without one, nothing to test. */
#define MIB       UINT64_C (0x100000)
#define CODE      0x1000
#define MMIO_BASE 0xd0000000
#define BELL_GPA  0xd0001000
#define DONE_PORT 0x80

typedef struct
{
  GuestMemory *memory;
  AddressSpace *mmio;
  AddressSpace *ports;
  KvmVm *vm;
  GMutex lock;
  GCond changed;
  uint8_t out[16];
  unsigned n_out;
  uint64_t mmio_written;
  bool done;
  bool stopped;
  KvmStop why;
} Fixture;

static uint64_t
port_read (void *opaque, uint64_t offset, unsigned size)
{
  return 0x5a;
}

static void
port_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Fixture *f = opaque;

  f->out[f->n_out++ % sizeof f->out] = (uint8_t) value;
}

static uint64_t
mmio_read (void *opaque, uint64_t offset, unsigned size)
{
  return 0x11223344 + offset;
}

static void
mmio_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Fixture *f = opaque;

  f->mmio_written = value;
}

static void
done_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Fixture *f = opaque;

  kvm_vm_request_pause (f->vm);
  g_mutex_lock (&f->lock);
  f->done = true;
  g_cond_broadcast (&f->changed);
  g_mutex_unlock (&f->lock);
}

static void
stopped (void *opaque, KvmStop why, const char *detail)
{
  Fixture *f = opaque;

  g_test_message ("%s", detail);
  g_mutex_lock (&f->lock);
  f->stopped = true;
  f->why = why;
  g_cond_broadcast (&f->changed);
  g_mutex_unlock (&f->lock);
}

static const AddressOps port_ops = { port_read, port_write };
static const AddressOps mmio_ops = { mmio_read, mmio_write };
static const AddressOps done_ops = { port_read, done_write };

/* False: no KVM here, the test is skipped. */
static bool
fixture_init (Fixture *f, unsigned n_cpus)
{
  g_autoptr (GError) error = NULL;

  memset (f, 0, sizeof *f);
  g_mutex_init (&f->lock);
  g_cond_init (&f->changed);
  int fd = kvm_host_open (&error);
  if (fd < 0)
    {
      g_test_skip (error->message);
      return false;
    }
  close (fd);
  f->memory = guest_memory_new (2 * MIB, 16 * MIB, 32 * MIB, &error);
  g_assert_no_error (error);
  f->mmio = address_space_new ("mmio", UINT64_MAX);
  f->ports = address_space_new ("ports", 0x10000);
  address_space_add (f->ports, "port", 0x3f8, 8, &port_ops, f);
  address_space_add (f->ports, "done", DONE_PORT, 1, &done_ops, f);
  address_space_add (f->mmio, "mmio", MMIO_BASE, 0x2000, &mmio_ops, f);
  KvmVmConfig config = {
    .n_cpus = n_cpus,
    .topology = { 1, n_cpus, 1 },
    .memory = f->memory,
    .mmio = f->mmio,
    .ports = f->ports,
    .stopped = stopped,
    .opaque = f,
  };
  f->vm = kvm_vm_new (&config, &error);
  g_assert_no_error (error);
  return true;
}

static void
fixture_clear (Fixture *f)
{
  g_clear_pointer (&f->vm, kvm_vm_free);
  g_clear_pointer (&f->mmio, address_space_free);
  g_clear_pointer (&f->ports, address_space_free);
  g_clear_pointer (&f->memory, guest_memory_free);
  g_mutex_clear (&f->lock);
  g_cond_clear (&f->changed);
}

static void
load (Fixture *f, const void *code, size_t size)
{
  g_autoptr (GError) error = NULL;
  KvmEntry entry = { .rip = CODE, .rbx = 0x3000 };

  f->done = f->stopped = false;
  g_assert_true (guest_memory_write (f->memory, CODE, code, size));
  g_assert_true (kvm_vm_reset (f->vm, &entry, &error));
  g_assert_no_error (error);
}

/* Runs until the guest says done or a vCPU stops. */
static void
run (Fixture *f)
{
  gint64 until = g_get_monotonic_time () + 20 * G_TIME_SPAN_SECOND;

  kvm_vm_resume (f->vm);
  g_mutex_lock (&f->lock);
  while (!f->done && !f->stopped)
    if (!g_cond_wait_until (&f->changed, &f->lock, until))
      g_error ("the guest did not end");
  g_mutex_unlock (&f->lock);
  kvm_vm_pause (f->vm);
}

static const uint8_t access_code[] = {
  0xb0, 0x41,                               /* mov $0x41, %al */
  0x66, 0xba, 0xf8, 0x03,                   /* mov $0x3f8, %dx */
  0xee,                                     /* out %al, (%dx) */
  0xec,                                     /* in (%dx), %al */
  0xa2, 0x00, 0x20, 0x00, 0x00,             /* mov %al, 0x2000 */
  0xa1, 0x08, 0x00, 0x00, 0xd0,             /* mov 0xd0000008, %eax */
  0xa3, 0x04, 0x20, 0x00, 0x00,             /* mov %eax, 0x2004 */
  0xa3, 0x10, 0x00, 0x00, 0xd0,             /* mov %eax, 0xd0000010 */
  0x89, 0x1d, 0x08, 0x20, 0x00, 0x00,       /* mov %ebx, 0x2008 */
  0xe6, 0x80,                               /* out %al, $0x80 */
  0xc6, 0x05, 0x0c, 0x20, 0x00, 0x00, 0x77, /* movb $0x77, 0x200c */
  0xe6, 0x80,                               /* out %al, $0x80 */
  0xeb, 0xfe,                               /* jmp . */
};

/* Ports, MMIO, memory and entry registers; then a pause inside an access ends exactly after it, and the
 * machine goes on from there; then a reset starts from the entry again. */
static void
test_accesses (void)
{
  Fixture f;
  uint32_t words[4];

  if (!fixture_init (&f, 1))
    return;
  for (unsigned round = 0; round < 2; round++)
    {
      memset (words, 0, sizeof words);
      guest_memory_write (f.memory, 0x2000, words, sizeof words);
      f.n_out = 0;
      load (&f, access_code, sizeof access_code);
      run (&f);
      g_assert_false (f.stopped);
      g_assert_cmpuint (f.n_out, ==, 1);
      g_assert_cmphex (f.out[0], ==, 0x41);
      g_assert_cmphex (f.mmio_written, ==, 0x1122334c);
      g_assert_true (guest_memory_read (f.memory, 0x2000, words, sizeof words));
      g_assert_cmphex (words[0], ==, 0x5a);
      g_assert_cmphex (words[1], ==, 0x1122334c);
      g_assert_cmphex (words[2], ==, 0x3000);
      g_assert_cmphex (words[3], ==, 0);
      f.done = false;
      run (&f);
      g_assert_true (guest_memory_read (f.memory, 0x2000, words, sizeof words));
      g_assert_cmphex (words[3], ==, 0x77);
    }
  g_assert_cmpuint (kvm_vm_get_exits (f.vm), >=, 10);
  fixture_clear (&f);
}

/* A guest that never exits by itself is paused and continued all the same. */
static void
test_pause_spinning (void)
{
  static const uint8_t spin[] = { 0xff, 0x05, 0x00, 0x20, 0x00, 0x00, 0xeb, 0xf8 };
  Fixture f;
  uint32_t count = 0, last = 0;

  if (!fixture_init (&f, 2))
    return;
  load (&f, spin, sizeof spin);
  for (unsigned i = 0; i < 3; i++)
    {
      kvm_vm_resume (f.vm);
      while (count == last)
        guest_memory_read (f.memory, 0x2000, &count, sizeof count);
      kvm_vm_pause (f.vm);
      guest_memory_read (f.memory, 0x2000, &count, sizeof count);
      guest_memory_read (f.memory, 0x2000, &last, sizeof last);
      g_assert_cmpuint (count, ==, last);
    }
  fixture_clear (&f);
}

/* No IDT: an exception is a triple fault, told once, and after a reset the machine runs again. */
static void
test_triple_fault (void)
{
  static const uint8_t crash[] = { 0x0f, 0x0b };
  Fixture f;

  if (!fixture_init (&f, 1))
    return;
  load (&f, crash, sizeof crash);
  run (&f);
  g_assert_true (f.stopped);
  g_assert_cmpint (f.why, ==, KVM_STOP_TRIPLE_FAULT);
  kvm_vm_resume (f.vm);
  kvm_vm_pause (f.vm);
  load (&f, access_code, sizeof access_code);
  run (&f);
  g_assert_true (f.done);
  g_assert_false (f.stopped);
  fixture_clear (&f);
}

/* What wedges a guest leaves the machine in our hands: it is paused at once, and runs again after a reset. */
static void
assert_still_ours (Fixture *f, const void *code, size_t size)
{
  load (f, code, size);
  kvm_vm_resume (f->vm);
  g_usleep (20000);
  kvm_vm_pause (f->vm);
  load (f, access_code, sizeof access_code);
  run (f);
  g_assert_true (f->done);
  g_assert_false (f->stopped);
}

static void
test_halt_without_interrupts (void)
{
  static const uint8_t halt[] = { 0xfa, 0xf4, 0xeb, 0xfc }; /* cli; hlt; jmp */
  Fixture f;

  if (!fixture_init (&f, 2))
    return;
  assert_still_ours (&f, halt, sizeof halt);
  fixture_clear (&f);
}

/* INIT and SIPI to all others, without end: ICR of the local APIC. */
static void
test_init_storm (void)
{
  static const uint8_t storm[] = {
    0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x0c, 0x00, /* movl $0xc4500, 0xfee00300 */
    0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x01, 0x46, 0x0c, 0x00, /* movl $0xc4601, 0xfee00300 */
    0xff, 0x05, 0x00, 0x20, 0x00, 0x00,                         /* incl 0x2000 */
    0xeb, 0xe4,
  };
  const uint32_t none = 0;
  uint32_t rounds = 0;
  Fixture f;

  if (!fixture_init (&f, 2))
    return;
  guest_memory_write (f.memory, 0x2000, &none, sizeof none);
  load (&f, storm, sizeof storm);
  kvm_vm_resume (f.vm);
  while (rounds < 100)
    guest_memory_read (f.memory, 0x2000, &rounds, sizeof rounds);
  kvm_vm_pause (f.vm);
  assert_still_ours (&f, storm, sizeof storm);
  fixture_clear (&f);
}

/* Instructions fetched from a device's registers: KVM cannot go on, and says so. */
static void
test_code_in_registers (void)
{
  static const uint8_t jump[] = { 0xb8, 0x00, 0x00, 0x00, 0xd0, 0xff, 0xe0 };
  Fixture f;

  if (!fixture_init (&f, 1))
    return;
  load (&f, jump, sizeof jump);
  run (&f);
  g_assert_true (f.stopped);
  g_assert_cmpint (f.why, ==, KVM_STOP_INTERNAL_ERROR);
  load (&f, access_code, sizeof access_code);
  run (&f);
  g_assert_true (f.done);
  fixture_clear (&f);
}

/* The write at the bell's address reaches the eventfd and not the range; detached, the range. */
static void
test_doorbell (void)
{
  static const uint8_t ring[] = {
    0xa3, 0x00, 0x10, 0x00, 0xd0, /* mov %eax, 0xd0001000 */
    0xe6, 0x80, 0xeb, 0xfe,
  };
  g_autoptr (GError) error = NULL;
  Fixture f;
  uint64_t count = 0;

  if (!fixture_init (&f, 1))
    return;
  int bell = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  Doorbell doorbell = kvm_vm_get_doorbell (f.vm);
  g_assert_true (doorbell.ops->attach (doorbell.opaque, BELL_GPA, bell, &error));
  g_assert_no_error (error);
  f.mmio_written = 99;
  load (&f, ring, sizeof ring);
  run (&f);
  g_assert_cmpint (read (bell, &count, sizeof count), ==, sizeof count);
  g_assert_cmpuint (f.mmio_written, ==, 99);
  doorbell.ops->detach (doorbell.opaque, BELL_GPA, bell);
  load (&f, ring, sizeof ring);
  run (&f);
  g_assert_cmpint (read (bell, &count, sizeof count), ==, -1);
  g_assert_cmpuint (f.mmio_written, !=, 99);
  close (bell);
  fixture_clear (&f);
}

/* Muted, a signal stays in the eventfd; with a message it is KVM's and is gone from there. */
static void
test_msi_route (void)
{
  static const MsiMessage message = { .address = 0xfee00000, .data = 0x40 };
  g_autoptr (GError) error = NULL;
  uint64_t one = 1;
  Fixture f;

  if (!fixture_init (&f, 1))
    return;
  int eventfds[2] = { eventfd (0, EFD_NONBLOCK), eventfd (0, EFD_NONBLOCK) };
  MsiSink sink = kvm_vm_get_msi_sink (f.vm);
  int first = sink.ops->route_new (sink.opaque, eventfds[0], &error);
  int second = sink.ops->route_new (sink.opaque, eventfds[1], &error);
  g_assert_no_error (error);
  g_assert_cmpint (first, >=, 0);
  g_assert_cmpint (second, !=, first);
  g_assert_cmpint (write (eventfds[0], &one, sizeof one), ==, sizeof one);
  sink.ops->route_set (sink.opaque, first, NULL);
  sink.ops->route_set (sink.opaque, first, &message);
  g_assert_cmpint (read (eventfds[0], &one, sizeof one), ==, -1);
  one = 1;
  g_assert_cmpint (write (eventfds[1], &one, sizeof one), ==, sizeof one);
  g_assert_cmpint (read (eventfds[1], &one, sizeof one), ==, sizeof one);
  sink.ops->route_free (sink.opaque, first);
  g_assert_cmpint (sink.ops->route_new (sink.opaque, eventfds[0], &error), ==, first);
  sink.ops->route_free (sink.opaque, first);
  sink.ops->route_free (sink.opaque, second);
  fixture_clear (&f);
  close (eventfds[0]);
  close (eventfds[1]);
}

/* Guest memory of a device, with its record of written pages. */
static void
test_slot (void)
{
  static const uint8_t store[] = {
    0xa3, 0x00, 0x20, 0x00, 0xc0, /* mov %eax, 0xc0002000 */
    0xe6, 0x80, 0xeb, 0xfe,
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (GuestMemory) backing = NULL;
  uint64_t dirty = 0;
  Fixture f;

  if (!fixture_init (&f, 1))
    return;
  backing = guest_memory_new (0x10000, 0x10000, 0x10000, &error);
  MemorySlots slots = kvm_vm_get_memory_slots (f.vm);
  int slot = slots.ops->map (slots.opaque, 0xc0000000, guest_memory_map (backing, 0, 0x10000),
                             0x10000, false, true, &error);
  g_assert_no_error (error);
  load (&f, store, sizeof store);
  run (&f);
  g_assert_true (slots.ops->get_dirty (slots.opaque, slot, &dirty));
  g_assert_cmphex (dirty, ==, 1 << 2);
  g_assert_true (slots.ops->get_dirty (slots.opaque, slot, &dirty));
  g_assert_cmphex (dirty, ==, 0);
  slots.ops->unmap (slots.opaque, slot);
  fixture_clear (&f);
}

/* A device's memory over what cannot be covered: RAM, the interrupt controllers, KVM's own pages, another device's. */
static void
test_slot_over_ram (void)
{
  static const uint64_t taken[] = {
    0,          0x100000,   2 * MIB - 0x1000, 0xfec00000, 0xfee00000, KVM_VM_IDENTITY_MAP,
    KVM_VM_TSS, 0xfff00000,
  };
  g_autoptr (GuestMemory) backing = NULL;
  g_autoptr (GError) error = NULL;
  Fixture f;

  if (!fixture_init (&f, 1))
    return;
  backing = guest_memory_new (0x10000, 0x10000, 0x10000, NULL);
  void *host = guest_memory_map (backing, 0, 0x10000);
  MemorySlots slots = kvm_vm_get_memory_slots (f.vm);
  /* As firmware in flash. */
  int flash = slots.ops->map (slots.opaque, 0xfff00000, host, 0x1000, true, false, &error);
  g_assert_no_error (error);
  for (unsigned i = 0; i < G_N_ELEMENTS (taken); i++)
    {
      g_assert_cmpint (slots.ops->map (slots.opaque, taken[i], host, 0x1000, false, false, &error),
                       ==, -1);
      g_assert_nonnull (error);
      g_clear_error (&error);
      /* From before it into it. */
      if (taken[i] >= 0xfec00000)
        g_assert_cmpint (
            slots.ops->map (slots.opaque, taken[i] - 0xf000, host, 0x10000, false, true, NULL), ==,
            -1);
    }
  /* Beside them is room. */
  int slot = slots.ops->map (slots.opaque, 2 * MIB, host, 0x10000, false, false, &error);
  g_assert_no_error (error);
  slots.ops->unmap (slots.opaque, slot);
  slots.ops->unmap (slots.opaque, flash);
  load (&f, access_code, sizeof access_code);
  run (&f);
  g_assert_true (f.done);
  fixture_clear (&f);
}

/* Registers over RAM: the RAM is what the guest reaches, so that nothing of it is lost. */
static void
test_registers_over_ram (void)
{
  static const uint8_t store[] = {
    0xb8, 0x78, 0x56, 0x34, 0x12, /* mov $0x12345678, %eax */
    0xa3, 0x00, 0x20, 0x00, 0x00, /* mov %eax, 0x2000 */
    0xe6, 0x80, 0xeb, 0xfe,
  };
  uint32_t word = 0;
  Fixture f;

  if (!fixture_init (&f, 1))
    return;
  address_space_add (f.mmio, "over-ram", 0x2000, 0x1000, &mmio_ops, &f);
  f.mmio_written = 99;
  load (&f, store, sizeof store);
  run (&f);
  g_assert_cmpuint (f.mmio_written, ==, 99);
  g_assert_true (guest_memory_read (f.memory, 0x2000, &word, sizeof word));
  g_assert_cmphex (word, ==, 0x12345678);
  fixture_clear (&f);
}

static uint64_t
get_clock (Fixture *f)
{
  struct kvm_clock_data data = { 0 };

  g_assert_cmpint (ioctl (f->vm->fd, KVM_GET_CLOCK, &data), ==, 0);
  return data.clock;
}

/* As if the host had slept for an hour and KVM's clock had stood still: it is set forward, and only once. */
static void
test_clock_catches_up (void)
{
  const int64_t hour = INT64_C (3600) * G_USEC_PER_SEC * 1000;
  Fixture f;

  if (!fixture_init (&f, 1))
    return;
  g_assert_nonnull (f.vm->clock_source);
  g_assert_false (kvm_clock_catch_up (f.vm));
  const uint64_t before = get_clock (&f);
  f.vm->clock_offset -= hour;
  g_assert_true (kvm_clock_catch_up (f.vm));
  g_assert_cmpuint (get_clock (&f), >, before + hour - hour / 10);
  g_assert_cmpuint (get_clock (&f), <, before + hour + hour / 10);
  g_assert_false (kvm_clock_catch_up (f.vm));
  /* Behind the machine's: nobody's time runs backwards. */
  f.vm->clock_offset += hour;
  g_assert_false (kvm_clock_catch_up (f.vm));
  fixture_clear (&f);
}

/* A guest that believed in its TSC would be late by each sleep of the host. */
static void
test_tsc_is_not_said_to_be_invariant (void)
{
  struct
  {
    struct kvm_cpuid2 header;
    struct kvm_cpuid_entry2 entries[256];
  } cpuid = { .header.nent = 256 };
  Fixture f;

  if (!fixture_init (&f, 1))
    return;
  g_assert_cmpint (ioctl (f.vm->vcpus[0].fd, KVM_GET_CPUID2, &cpuid), ==, 0);
  g_assert_cmpuint (cpuid.header.nent, >, 0);
  for (unsigned i = 0; i < cpuid.header.nent; i++)
    if (cpuid.entries[i].function == 0x80000007)
      g_assert_cmphex (cpuid.entries[i].edx & 1u << 8, ==, 0);
  fixture_clear (&f);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kvm-vm/accesses", test_accesses);
  g_test_add_func ("/kvm-vm/pause-spinning", test_pause_spinning);
  g_test_add_func ("/kvm-vm/hostile-20-triple-fault", test_triple_fault);
  g_test_add_func ("/kvm-vm/hostile-20-halt-without-interrupts", test_halt_without_interrupts);
  g_test_add_func ("/kvm-vm/hostile-20-init-storm", test_init_storm);
  g_test_add_func ("/kvm-vm/hostile-20-code-in-registers", test_code_in_registers);
  g_test_add_func ("/kvm-vm/doorbell", test_doorbell);
  g_test_add_func ("/kvm-vm/msi-route", test_msi_route);
  g_test_add_func ("/kvm-vm/slot", test_slot);
  g_test_add_func ("/kvm-vm/hostile-16-slot-over-ram", test_slot_over_ram);
  g_test_add_func ("/kvm-vm/hostile-16-registers-over-ram", test_registers_over_ram);
  g_test_add_func ("/kvm-vm/clock-catches-up", test_clock_catches_up);
  g_test_add_func ("/kvm-vm/no-invariant-tsc", test_tsc_is_not_said_to_be_invariant);
  return g_test_run ();
}
