#pragma once

#include "pci/pci-bus.h"

/* A machine for a bus under test: remembers what devices asked of it. */
#define FAKE_ROUTES    64
#define FAKE_DOORBELLS 64
#define FAKE_GSIS      24
#define FAKE_SLOTS     8

typedef struct FakeRoute
{
  bool used;
  bool open;
  int eventfd;
  MsiMessage message;
  unsigned changes; /* route_set () calls */
} FakeRoute;

typedef struct FakeDoorbell
{
  uint64_t gpa; /* 0: none */
  int eventfd;
} FakeDoorbell;

typedef struct FakeSlot
{
  bool used;
  uint64_t gpa;
  uint64_t size;
  void *host;
} FakeSlot;

typedef struct FakeHost
{
  PciHost host;
  AddressSpace *mmio;
  AddressSpace *ports;
  FakeRoute routes[FAKE_ROUTES];
  FakeDoorbell doorbells[FAKE_DOORBELLS];
  FakeSlot slots[FAKE_SLOTS];
  bool levels[FAKE_GSIS];
  unsigned level_changes;
  unsigned resets;
  bool refuse_slots; /* as where the guest puts one over RAM */
} FakeHost;

FakeHost *fake_host_new (void);
/* After the bus. Fails the test if a route, doorbell or slot was not given back. */
void fake_host_free (FakeHost *fake);
/* How many are there. */
unsigned fake_host_count_doorbells (const FakeHost *fake);
FakeDoorbell *fake_host_find_doorbell (FakeHost *fake, uint64_t gpa);
FakeRoute *fake_host_find_route (FakeHost *fake, int eventfd);
