#pragma once

#include "virtio/virtio-device.h"

/* Sockets between guest and host (Virtual I/O Device 1.2, 5.10), by the host kernel's vhost-vsock: it moves the packets, and no byte of them
 * passes through this process. Runs on the main context.
 */
typedef struct VhostVsock VhostVsock;

/* path: /dev/vhost-vsock, or what stands in for it. cid: the guest's address, which no other machine of the host may have. Errors say what
 * to do; they name no option. */
VhostVsock *vhost_vsock_new (const char *path, uint32_t cid, const GuestMemory *memory,
                             GError **error);
void vhost_vsock_free (VhostVsock *vsock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostVsock, vhost_vsock_free)

/* Borrowed. */
VirtioDevice *vhost_vsock_get_device (VhostVsock *vsock);
