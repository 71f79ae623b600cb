/* What a guest may do to fw_cfg: its ports at any width, DMA descriptors anywhere. Input: a row of [operation 1 byte][port 1 byte][value 6
 * bytes]; operation 0x40 puts the value where descriptors are. */
#include "fuzz-target.h"

#include "platform/fw-cfg.h"

#define MEMORY      UINT64_C (0x10000)
#define DESCRIPTORS 0x1000
#define STEP        8
#define MAX_STEPS   512

typedef struct Machine
{
  AddressSpace *ports;
  GuestMemory *memory;
  FwCfg *cfg;
} Machine;

static void
selected (void *opaque)
{
  Machine *machine = opaque;

  fw_cfg_set_file (machine->cfg, "etc/late", g_bytes_new_static ("late", 4));
  fw_cfg_set_file (machine->cfg, "etc/other", g_bytes_new_static ("other", 5));
}

static void
step (Machine *machine, const uint8_t *data)
{
  uint64_t port = FW_CFG_PORT - 2 + data[1] % 20;
  unsigned width = 1u << (data[0] & 3) % 3;
  uint64_t value = 0;

  for (unsigned i = 2; i < STEP; i++)
    value = value << 8 | data[i];
  if (data[0] & 0x40)
    guest_memory_write (machine->memory, DESCRIPTORS + data[1], data + 2, STEP - 2);
  else if (data[0] & 0x20)
    address_space_write (machine->ports, FW_CFG_PORT + 8, 4,
                         GUINT32_SWAP_LE_BE (DESCRIPTORS + data[1]));
  else if (data[0] & 0x80)
    address_space_read (machine->ports, port, width);
  else
    address_space_write (machine->ports, port, width, value);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Machine machine = { .ports = address_space_new ("ports", 0x10000),
                      .memory = guest_memory_new (MEMORY, MEMORY, UINT64_C (1) << 32, NULL) };

  machine.cfg = fw_cfg_new (machine.ports, machine.memory);
  fw_cfg_set_number (machine.cfg, FW_CFG_N_CPUS, 2, 2);
  fw_cfg_set_file (machine.cfg, "etc/late", g_bytes_new_static ("none", 4));
  fw_cfg_set_file (machine.cfg, "etc/other", g_bytes_new_static ("", 0));
  fw_cfg_set_select_func (machine.cfg, "etc/late", selected, &machine);
  for (unsigned i = 0; i < MAX_STEPS && size >= STEP; i++, data += STEP, size -= STEP)
    step (&machine, data);
  fw_cfg_free (machine.cfg);
  guest_memory_free (machine.memory);
  address_space_free (machine.ports);
  return 0;
}
