#pragma once

#include <stdbool.h>
#include <glib.h>

/* Can this host run machines on KVM? Each error is one sentence: what is wrong and what to do about it. */
#define KVM_HOST_ERROR (kvm_host_error_quark ())
typedef enum
{
  KVM_HOST_ERROR_ABSENT,     /* no /dev/kvm */
  KVM_HOST_ERROR_PERMISSION, /* not for this user */
  KVM_HOST_ERROR_SOFTWARE,   /* a /dev/kvm without vmx or svm beneath: slower than TCG */
  KVM_HOST_ERROR_TOO_OLD,    /* a capability that we need is not there */
  KVM_HOST_ERROR_FAILED
} KvmHostError;
GQuark kvm_host_error_quark (void);

/* An open /dev/kvm of a usable API, or -1. A software KVM is let through: it is real enough for tests. */
int kvm_host_open (GError **error);

/* As kvm_host_open (), and real: what --accel auto asks. Leaves nothing open. Thread: any. */
bool kvm_host_is_usable (GError **error);
