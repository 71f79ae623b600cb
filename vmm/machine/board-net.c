#define G_LOG_DOMAIN "vmm-machine"

#include "machine/board-net.h"

#include "helpers/passt.h"
#include "machine/device-table.h"
#include "net/net-stream.h"
#include "virtio/virtio-net.h"

/* Every machine is alone on its network; the address is that of QEMU's first card, which the machine has when it is emulated. */
static const uint8_t mac[VIRTIO_NET_MAC_SIZE] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

static bool
add_forwards (NetUser *user, const VmConfig *vm, GError **error)
{
  for (unsigned i = 0; i < vm->n_forwards; i++)
    if (!net_user_add_forward (user, &vm->forwards[i], error))
      return false;
  return true;
}

static bool
create_user (Board *board, NetBackend *backend, GError **error)
{
  const VmConfig *vm = board->config.vm;

  board->net_user = net_user_new (vm->net_restricted, NULL, error);
  if (!board->net_user)
    return false;
  board_attach (board, "user network", board->net_user, NULL, (void (*) (void *)) net_user_free);
  *backend = net_user_get_backend (board->net_user);
  return add_forwards (board->net_user, vm, error);
}

/* On the network's thread. The machine goes on, as a computer whose cable was pulled. */
static void
on_passt_ended (void *opaque, const char *reason)
{
  g_autofree char *complaint = passt_get_complaint (opaque);

  g_printerr ("alcove-vmm: --net: the guest has no network any more: %s\n",
              complaint ? complaint : reason);
}

static bool
create_passt (Board *board, NetBackend *backend, GError **error)
{
  int fd;
  Passt *passt = passt_new (board->config.vm, &fd, error);

  if (!passt)
    return false;
  board_attach (board, "passt", passt, NULL, (void (*) (void *)) passt_free);
  NetStream *stream = net_stream_new (fd, true, NULL, on_passt_ended, passt);
  board_attach (board, "network stream", stream, NULL, (void (*) (void *)) net_stream_free);
  *backend = net_stream_get_backend (stream);
  return true;
}

bool
board_net_create (Board *board, GError **error)
{
  const VmNet kind = board->config.vm->net;
  NetBackend backend;

  if (kind == VM_NET_NONE)
    return true;
  if (!(kind == VM_NET_PASST ? create_passt : create_user) (board, &backend, error))
    {
      g_prefix_error (error, "--net: ");
      return false;
    }
  VirtioNet *net = virtio_net_new (mac, &backend, board->memory);
  board_attach (board, "virtio-net", net, NULL, (void (*) (void *)) virtio_net_free);
  return device_table_plug_virtio (board, "virtio-net function", virtio_net_get_device (net),
                                   VM_BOOT_NETWORK, error);
}
