#define G_LOG_DOMAIN "vmm-kvm"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/kvm-private.h"

/* Theory of operation
 *
 * A GSI below 24 is a pin of the I/O APIC (and, below 16, of the 8259 pair); the others are MSI routes.
 * KVM takes the table of routes as a whole and makes every vCPU wait for it, so it is told only when a message
 * has changed, never for muting: a muted route merely has no irqfd, and its signals wait in the eventfd.
 */
#define ISA_IRQS    16
#define IOAPIC_PINS 24

static void
add_pin (struct kvm_irq_routing *table, uint32_t gsi, uint32_t chip, uint32_t pin)
{
  table->entries[table->nr++] = (struct kvm_irq_routing_entry){
    .gsi = gsi,
    .type = KVM_IRQ_ROUTING_IRQCHIP,
    .u.irqchip = { .irqchip = chip, .pin = pin },
  };
}

/* ISA interrupt 0, the PIT, is wired to pin 2 (the MADT says so); pin 2 of the 8259 is the cascade. */
static void
add_pins (struct kvm_irq_routing *table)
{
  for (uint32_t gsi = 0; gsi < ISA_IRQS; gsi++)
    if (gsi != 2)
      add_pin (table, gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi % 8);
  for (uint32_t gsi = 0; gsi < IOAPIC_PINS; gsi++)
    if (gsi != 2)
      add_pin (table, gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? 2 : gsi);
}

/* route_lock held. */
static bool
commit (KvmVm *vm)
{
  g_autofree struct kvm_irq_routing *table =
      g_malloc0 (sizeof (struct kvm_irq_routing) +
                 sizeof (struct kvm_irq_routing_entry) * (vm->n_routes + 2 * IOAPIC_PINS));

  add_pins (table);
  for (unsigned i = 0; i < vm->n_routes; i++)
    {
      const MsiMessage *message = &vm->routes[i].message;

      if (!vm->routes[i].used || message->address == 0)
        continue;
      table->entries[table->nr++] = (struct kvm_irq_routing_entry){
        .gsi = KVM_FIRST_MSI + i,
        .type = KVM_IRQ_ROUTING_MSI,
        .u.msi = { .address_lo = (uint32_t) message->address,
                   .address_hi = (uint32_t) (message->address >> 32),
                   .data = message->data },
      };
    }
  return ioctl (vm->fd, KVM_SET_GSI_ROUTING, table) == 0;
}

static int
assign (KvmVm *vm, unsigned route, uint32_t flags)
{
  struct kvm_irqfd request = {
    .fd = (uint32_t) vm->routes[route].eventfd,
    .gsi = KVM_FIRST_MSI + route,
    .flags = flags,
  };

  return ioctl (vm->fd, KVM_IRQFD, &request);
}

/* A signal that waited is taken out and given again, so that KVM delivers it once and the eventfd is empty
 * after. (On assignment KVM would inject for it too, and leave the count.) route_lock held. */
static void
unmute (KvmVm *vm, unsigned route)
{
  struct pollfd waiting = { .fd = vm->routes[route].eventfd, .events = POLLIN };
  uint64_t count = 0;

  if (poll (&waiting, 1, 0) == 1 && read (waiting.fd, &count, sizeof count) != sizeof count)
    count = 0;
  if (assign (vm, route, 0) < 0)
    g_warning ("KVM_IRQFD: %s", g_strerror (errno));
  else
    vm->routes[route].muted = false;
  if (count > 0)
    {
      count = 1;
      if (write (waiting.fd, &count, sizeof count) < 0)
        g_warning ("eventfd: %s", g_strerror (errno));
    }
}

static int
route_new (void *opaque, int eventfd, GError **error)
{
  KvmVm *vm = opaque;
  int route = -1;

  g_mutex_lock (&vm->route_lock);
  for (unsigned i = 0; i < KVM_MAX_ROUTES && route < 0; i++)
    if (!vm->routes[i].used)
      route = (int) i;
  if (route < 0)
    {
      errno = ENOSPC;
      kvm_fail (error, "KVM_SET_GSI_ROUTING");
    }
  else
    {
      vm->routes[route] = (KvmRoute){ .used = true, .muted = true, .eventfd = eventfd };
      vm->n_routes = MAX (vm->n_routes, (unsigned) route + 1);
    }
  g_mutex_unlock (&vm->route_lock);
  return route;
}

static void
route_set (void *opaque, int id, const MsiMessage *message)
{
  KvmVm *vm = opaque;

  g_return_if_fail (id >= 0 && id < KVM_MAX_ROUTES && vm->routes[id].used);
  g_mutex_lock (&vm->route_lock);
  KvmRoute *route = &vm->routes[id];
  if (!message)
    {
      if (!route->muted)
        assign (vm, (unsigned) id, KVM_IRQFD_FLAG_DEASSIGN);
      route->muted = true;
    }
  else
    {
      if (message->address != route->message.address || message->data != route->message.data)
        {
          route->message = *message;
          if (!commit (vm))
            g_warning ("KVM_SET_GSI_ROUTING: %s", g_strerror (errno));
        }
      if (route->muted)
        unmute (vm, (unsigned) id);
    }
  g_mutex_unlock (&vm->route_lock);
}

static void
route_free (void *opaque, int id)
{
  KvmVm *vm = opaque;

  route_set (vm, id, NULL);
  g_mutex_lock (&vm->route_lock);
  vm->routes[id] = (KvmRoute){ .used = false };
  while (vm->n_routes > 0 && !vm->routes[vm->n_routes - 1].used)
    vm->n_routes--;
  g_mutex_unlock (&vm->route_lock);
}

const MsiSinkOps kvm_msi_sink_ops = { .route_new = route_new,
                                      .route_set = route_set,
                                      .route_free = route_free };

bool
kvm_routes_init (KvmVm *vm, GError **error)
{
  return commit (vm) || kvm_fail (error, "KVM_SET_GSI_ROUTING");
}
