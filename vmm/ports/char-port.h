#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

/* A byte stream between a device (a serial port, a virtio console) and something of the host (a
 * terminal, a file, who connects to a socket). Nothing in it ever blocks: what one side cannot take waits on the other.
 *
 * Thread: char_port_write (), _accept_input () and _set_open () come from any thread; everything else, and every
 * callback, belongs to the main thread. No lock of the port is held during a callback, so
 * callbacks may call back in. Of what a device calls with its own lock held, nothing but char_port_write () has an effect before
 * the main loop runs again.
 */
typedef struct CharPort CharPort;

typedef struct CharClientOps
{
  /* Input. Returns how many bytes were taken; the rest is offered again after
   * char_port_accept_input (). */
  size_t (*receive) (void *opaque, const uint8_t *bytes, size_t size);
  /* There is room again after a char_port_write () that took less than it was given. */
  void (*writable) (void *opaque);
  /* Of a vacant port: somebody is connected now, or nobody any more. NULL: of no interest. */
  void (*connected) (void *opaque, bool is_connected);
} CharClientOps;

/* For who connects something to the port. */
typedef struct CharHostOps
{
  /* Whoever was connected has hung up, and is not connected any more. */
  void (*gone) (void *opaque);
  /* char_port_set_open () by the device; what it writes waits until this has been called. */
  void (*opened) (void *opaque, bool is_open);
} CharHostOps;

/* Takes both fds, each of which may be -1: nothing ever arrives / output is thrown away. */
CharPort *char_port_new (int in_fd, int out_fd);
/* The process's own standard input and output; a terminal is set to raw mode (signals stay) until
 * char_port_free (). */
CharPort *char_port_new_stdio (void);
/* Output to a file, emptied first; no input. Error names the file. */
CharPort *char_port_new_file (const char *path, GError **error);
/* With nobody at its other end until char_port_connect (), which the client is told; meanwhile output is lost. */
CharPort *char_port_new_vacant (void);
void char_port_free (CharPort *port);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CharPort, char_port_free)

/* ops and opaque are borrowed until another call replaces them; ops NULL: nobody. */
void char_port_set_client (CharPort *port, const CharClientOps *ops, void *opaque);

/* Any of the two may be NULL. A port that the device has open already tells so at once. */
void char_port_set_host (CharPort *port, const CharHostOps *ops, void *opaque);
/* Takes fd, a connected stream socket, which is at the other end from now on in the place of what was there; -1: nobody. Bytes of one that
 * has hung up still reach a device that is open; else they are dropped. */
void char_port_connect (CharPort *port, int fd);
bool char_port_is_connected (const CharPort *port);

/* Who uses the device (a program in the guest) is there or not. Told to the host in the main loop, and not oftener than it can bear. */
void char_port_set_open (CharPort *port, bool is_open);

/* Returns how many bytes were taken. Where the reader is gone all are: output to nobody is lost, as on
 * an unplugged cable. */
size_t char_port_write (CharPort *port, const uint8_t *bytes, size_t size);

/* The client can take bytes again. */
void char_port_accept_input (CharPort *port);
