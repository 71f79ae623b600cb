#pragma once

#include "net/net-user.h"

/* The end of a user network where the guest is: what comes to it, and what it sends. On the default context, which the functions that wait run. */
typedef struct UserGuest
{
  NetUser *user;
  NetBackend backend;
  GPtrArray *got; /* GBytes: frames */
  bool flushed;
} UserGuest;

#define USER_GUEST_MAC      0x52, 0x54, 0, 0x12, 0x34, 0x56
#define USER_GUEST_PATIENCE (10 * G_TIME_SPAN_SECOND)

/* For g_test_add (): the network is restricted where data is not NULL. */
void user_guest_setup (UserGuest *guest, gconstpointer data);
void user_guest_teardown (UserGuest *guest, gconstpointer data);

/* Fills the checksums in. */
void user_guest_send (UserGuest *guest, uint8_t *frame, size_t size);

/* The transport's part of the first packet of the protocol to that port of the guest's, waited for; NULL: none came. Its size, where size is not NULL. */
const uint8_t *user_guest_wait (UserGuest *guest, bool ipv6, uint8_t protocol, uint16_t port,
                                size_t *size, gint64 patience_us);

/* In the words of vm_forward_parse (). */
VmForward user_guest_make_forward (const char *format, ...) G_GNUC_PRINTF (1, 2);
