#pragma once

#include "ports/input-port.h"
#include "virtio/virtio-device.h"

/* A keyboard, or a tablet: an absolute pointer with buttons and wheels (Virtual I/O Device 1.2, 5.8). Listens to its kind of the
 * input port and gives the keyboard's LEDs back. Thread: main.
 */
typedef struct VirtioInput VirtioInput;

/* port is borrowed. */
VirtioInput *virtio_input_new (const GuestMemory *memory, InputPort *port, InputKind kind);
void virtio_input_free (VirtioInput *input);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VirtioInput, virtio_input_free)

/* Borrowed. */
VirtioDevice *virtio_input_get_device (VirtioInput *input);
