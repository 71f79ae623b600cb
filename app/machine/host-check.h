#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

/* Can this computer run machines at full speed? Answers in sentences for people.
 *
 * Looks at the KVM device and at the flags of /proc/cpuinfo only; both paths can be given, so
 * that tests need neither. It is cheap (two small reads); the VMM makes its own final decision
 * when it starts. Thread: any. */

typedef enum
{
  HOST_CHECK_FULL_SPEED,
  HOST_CHECK_NO_VIRTUALISATION, /* none, off in the firmware, or a guest without nesting */
  HOST_CHECK_OFF_IN_FIRMWARE,   /* the processor has it, the kernel does not: no device */
  HOST_CHECK_NO_PERMISSION,     /* the KVM device is there but this user may not open it */
  HOST_CHECK_SOFTWARE_KVM,      /* a device without vmx or svm: slower than QEMU */
} HostCheckVerdict;

#define HOST_CHECK_TYPE_VERDICT (host_check_verdict_get_type ())
GType host_check_verdict_get_type (void);

/* NULL means /dev/kvm and /proc/cpuinfo. */
HostCheckVerdict host_check_run (const char *kvm_path, const char *cpuinfo_path);

/* One sentence that says how it is, and one that says what to do about it (empty at full speed).
 * Static strings. */
const char *host_check_get_sentence (HostCheckVerdict verdict);
const char *host_check_get_advice (HostCheckVerdict verdict);

G_END_DECLS
