#include "fake-host.h"

static int
route_new (void *opaque, int eventfd, GError **error)
{
  FakeHost *fake = opaque;

  for (unsigned i = 0; i < FAKE_ROUTES; i++)
    if (!fake->routes[i].used)
      {
        fake->routes[i] = (FakeRoute){ .used = true, .eventfd = eventfd };
        return i;
      }
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "no more routes");
  return -1;
}

static void
route_set (void *opaque, int route, const MsiMessage *message)
{
  FakeHost *fake = opaque;

  g_assert_true (fake->routes[route].used);
  fake->routes[route].changes++;
  fake->routes[route].open = message != NULL;
  if (message)
    fake->routes[route].message = *message;
}

static void
route_free (void *opaque, int route)
{
  FakeHost *fake = opaque;

  g_assert_true (fake->routes[route].used);
  fake->routes[route].used = false;
}

static const MsiSinkOps msi_ops = { route_new, route_set, route_free };

static bool
attach (void *opaque, uint64_t gpa, int eventfd, GError **error)
{
  FakeHost *fake = opaque;

  for (unsigned i = 0; i < FAKE_DOORBELLS; i++)
    if (fake->doorbells[i].gpa == 0)
      {
        fake->doorbells[i] = (FakeDoorbell){ gpa, eventfd };
        return true;
      }
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "no more doorbells");
  return false;
}

static void
detach (void *opaque, uint64_t gpa, int eventfd)
{
  FakeDoorbell *bell = fake_host_find_doorbell (opaque, gpa);

  g_assert_nonnull (bell);
  g_assert_cmpint (bell->eventfd, ==, eventfd);
  bell->gpa = 0;
}

static const DoorbellOps doorbell_ops = { attach, detach };

static int
map (void *opaque, uint64_t gpa, void *host, uint64_t size, bool readonly, bool log_dirty,
     GError **error)
{
  FakeHost *fake = opaque;

  for (unsigned i = 0; !fake->refuse_slots && i < FAKE_SLOTS; i++)
    if (!fake->slots[i].used)
      {
        fake->slots[i] = (FakeSlot){ true, gpa, size, host };
        return i;
      }
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_EXIST, "refused");
  return -1;
}

static void
unmap (void *opaque, int slot)
{
  FakeHost *fake = opaque;

  g_assert_true (fake->slots[slot].used);
  fake->slots[slot].used = false;
}

static bool
get_dirty (void *opaque, int slot, uint64_t *bitmap)
{
  bitmap[0] = 0x5;
  return true;
}

static const MemorySlotOps slot_ops = { map, unmap, get_dirty };

static void
set_level (void *opaque, unsigned gsi, bool level)
{
  FakeHost *fake = opaque;

  g_assert_cmpuint (gsi, <, FAKE_GSIS);
  g_assert_cmpint (fake->levels[gsi], !=, level);
  fake->levels[gsi] = level;
  fake->level_changes++;
}

static void
reset (void *opaque)
{
  FakeHost *fake = opaque;
  fake->resets++;
}

FakeHost *
fake_host_new (void)
{
  FakeHost *fake = g_new0 (FakeHost, 1);

  fake->mmio = address_space_new ("mmio", UINT64_C (1) << 52);
  fake->ports = address_space_new ("ports", 0x10000);
  fake->host = (PciHost){
    .mmio = fake->mmio,
    .ports = fake->ports,
    .msi = { &msi_ops, fake },
    .doorbell = { &doorbell_ops, fake },
    .slots = { &slot_ops, fake },
    .intx = { .set_level = set_level, .opaque = fake },
    .intx_gsi = { 16, 17, 18, 19 },
    .reset = reset,
    .reset_opaque = fake,
  };
  return fake;
}

void
fake_host_free (FakeHost *fake)
{
  for (unsigned i = 0; i < FAKE_ROUTES; i++)
    g_assert_false (fake->routes[i].used);
  for (unsigned i = 0; i < FAKE_SLOTS; i++)
    g_assert_false (fake->slots[i].used);
  for (unsigned i = 0; i < FAKE_GSIS; i++)
    g_assert_false (fake->levels[i]);
  g_assert_cmpuint (fake_host_count_doorbells (fake), ==, 0);
  address_space_free (fake->mmio);
  address_space_free (fake->ports);
  g_free (fake);
}

unsigned
fake_host_count_doorbells (const FakeHost *fake)
{
  unsigned n = 0;

  for (unsigned i = 0; i < FAKE_DOORBELLS; i++)
    n += fake->doorbells[i].gpa != 0;
  return n;
}

FakeDoorbell *
fake_host_find_doorbell (FakeHost *fake, uint64_t gpa)
{
  for (unsigned i = 0; i < FAKE_DOORBELLS; i++)
    if (fake->doorbells[i].gpa == gpa)
      return &fake->doorbells[i];
  return NULL;
}

FakeRoute *
fake_host_find_route (FakeHost *fake, int eventfd)
{
  for (unsigned i = 0; i < FAKE_ROUTES; i++)
    if (fake->routes[i].used && fake->routes[i].eventfd == eventfd)
      return &fake->routes[i];
  return NULL;
}
