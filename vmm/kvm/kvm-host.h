#pragma once

#include <stdbool.h>
#include <glib.h>

/* Can this host run machines on KVM? Each error is one sentence: what is wrong and what to do about it. */
#define KVM_HOST_ERROR (kvm_host_error_quark ())
typedef enum
{
  KVM_HOST_ERROR_ABSENT,     /* no /dev/kvm: no virtualisation, or no module */
  KVM_HOST_ERROR_PERMISSION, /* not for this user */
  KVM_HOST_ERROR_SOFTWARE,   /* a /dev/kvm without vmx or svm beneath: slower than TCG */
  KVM_HOST_ERROR_TOO_OLD,    /* a capability that we need is not there */
  KVM_HOST_ERROR_BUSY,       /* another hypervisor has the processor's virtualisation */
  KVM_HOST_ERROR_FAILED
} KvmHostError;
GQuark kvm_host_error_quark (void);

/* An open /dev/kvm of a usable API, or -1. A software KVM is let through: it is real enough for tests. */
int kvm_host_open (GError **error);

/* Real as well, and able to make a machine: what --accel auto asks. Leaves nothing open. Thread: any. */
bool kvm_host_is_usable (GError **error);

/* The same of any host: what it is asked by. open and control as open (2) for reading and writing and ioctl (2). */
typedef struct KvmHost
{
  const char *cpuinfo; /* the file, as /proc/cpuinfo */
  int (*open) (const char *path);
  int (*control) (int fd, unsigned long request, unsigned long argument);
} KvmHost;
bool kvm_host_check (const KvmHost *host, GError **error);
