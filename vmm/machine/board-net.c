#define G_LOG_DOMAIN "vmm-machine"

#include "machine/board-net.h"

#include "machine/device-table.h"
#include "virtio/virtio-net.h"

/* Every machine is alone on its network; the address is that of QEMU's first card, which the machine has when it is emulated. */
static const uint8_t mac[VIRTIO_NET_MAC_SIZE] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

static bool
add_forwards (NetUser *user, const VmConfig *vm, GError **error)
{
  for (unsigned i = 0; i < vm->n_forwards; i++)
    {
      const NetForward forward = {
        .protocol = vm->forwards[i].protocol,
        .host_address = NET_FORWARD_LOOPBACK,
        .host_port = vm->forwards[i].host_port,
        .guest_port = vm->forwards[i].guest_port,
      };

      if (!net_user_add_forward (user, &forward, error))
        {
          g_prefix_error (error, "--net: ");
          return false;
        }
    }
  return true;
}

bool
board_net_create (Board *board, GError **error)
{
  if (board->config.vm->net == VM_NET_NONE)
    return true;
  board->net_user = net_user_new (board->config.vm->net_restricted, NULL, error);
  if (!board->net_user)
    {
      g_prefix_error (error, "--net: ");
      return false;
    }
  board_attach (board, "user network", board->net_user, NULL, (void (*) (void *)) net_user_free);
  if (!add_forwards (board->net_user, board->config.vm, error))
    return false;
  const NetBackend backend = net_user_get_backend (board->net_user);
  VirtioNet *net = virtio_net_new (mac, &backend, board->memory);
  board_attach (board, "virtio-net", net, NULL, (void (*) (void *)) virtio_net_free);
  return device_table_plug_virtio (board, "virtio-net function", virtio_net_get_device (net),
                                   VM_BOOT_NETWORK, error);
}
