#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

/* A byte stream between a device (a serial port, a virtio console) and something of the host (a
 * terminal, a file). Nothing in it ever blocks: what one side cannot take waits on the other.
 *
 * Thread: char_port_write () and _accept_input () come from any thread; everything else, and every
 * callback, belongs to the main thread. No lock of the port is held during a callback, so
 * callbacks may call back in; a device must not hold its own lock around char_port_accept_input () only
 * because of that: the callback comes later, from the main loop.
 */
typedef struct CharPort CharPort;

typedef struct CharClientOps
{
  /* Input. Returns how many bytes were taken; the rest is offered again after
   * char_port_accept_input (). */
  size_t (*receive) (void *opaque, const uint8_t *bytes, size_t size);
  /* There is room again after a char_port_write () that took less than it was given. */
  void (*writable) (void *opaque);
} CharClientOps;

/* Takes both fds, each of which may be -1: nothing ever arrives / output is thrown away. */
CharPort *char_port_new (int in_fd, int out_fd);
/* The process's own standard input and output; a terminal is set to raw mode (signals stay) until
 * char_port_free (). */
CharPort *char_port_new_stdio (void);
/* Output to a file, emptied first; no input. Error names the file. */
CharPort *char_port_new_file (const char *path, GError **error);
void char_port_free (CharPort *port);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CharPort, char_port_free)

/* ops and opaque are borrowed until another call replaces them; ops NULL: nobody. */
void char_port_set_client (CharPort *port, const CharClientOps *ops, void *opaque);

/* Returns how many bytes were taken. Where the reader is gone all are: output to nobody is lost, as on
 * an unplugged cable. */
size_t char_port_write (CharPort *port, const uint8_t *bytes, size_t size);

/* The client can take bytes again. */
void char_port_accept_input (CharPort *port);
