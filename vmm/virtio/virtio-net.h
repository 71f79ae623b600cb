#pragma once

#include "net/net-backend.h"
#include "virtio/virtio-device.h"

/* A network card (Virtual I/O Device 1.2, 5.1): one pair of queues, checksums and long TCP segments both ways where the driver takes them,
 * mergeable receive buffers. It works on the context of its back end; no vCPU waits for it, but to reset the device.
 */
typedef struct VirtioNet VirtioNet;

#define VIRTIO_NET_MAC_SIZE 6
#define VIRTIO_NET_RX       0 /* queues */
#define VIRTIO_NET_TX       1

/* backend must live longer and gets its receiver here. */
VirtioNet *virtio_net_new (const uint8_t mac[VIRTIO_NET_MAC_SIZE], const NetBackend *backend,
                           const GuestMemory *memory);
/* Stops the back end. */
void virtio_net_free (VirtioNet *net);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VirtioNet, virtio_net_free)

/* Borrowed. */
VirtioDevice *virtio_net_get_device (VirtioNet *net);
