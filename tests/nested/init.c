/* The first process of the appliance's outer Linux (L1).
 *
 * Loads the modules of the initrd in the order of /modules.list, makes the host's root (9p, read-only) its own
 * root, mounts what the kernel command line asks for, runs the command of the control folder with its output
 * on the virtio console, writes the exit status into the control folder and powers off.
 *
 * Kernel command line: alcove.share=TAG:PATH (repeat) mounts the 9p tag read-write at that path.
 * Two idle VMs are held open all the time, one with a CPU whose APIC no software has enabled. KVM toggles static keys when the first such VM or
 * CPU appears and the last one goes (kvm_usage_count, preempt_notifier_key; apic_sw_disabled, a second after each guest has enabled its APIC), and TCG
 * may go on executing the breakpoint by which another CPU patches kernel text: then this CPU takes it for ever, with interrupts disabled.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define ROOT             "/newroot"
#define CONTROL_FOLDER   "/run/alcove-appliance"
#define P9_OPTIONS       "trans=virtio,version=9p2000.L,msize=512000"
#define MAX_COMMAND_LINE 65536

static void
fail (const char *what)
{
  dprintf (2, "appliance init: %s: %s\n", what, strerror (errno));
  sync ();
  reboot (RB_POWER_OFF);
  _exit (1);
}

static void
load_modules (void)
{
  FILE *list = fopen ("/modules.list", "re");
  char name[256];

  if (!list)
    fail ("modules.list");
  while (fscanf (list, "%255s", name) == 1)
    {
      int fd = open (name, O_RDONLY | O_CLOEXEC);
      if (fd < 0 || (syscall (SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST))
        fail (name);
      close (fd);
    }
  fclose (list);
}

static void
mount_at (const char *source, const char *target, const char *type, unsigned long flags,
          const char *options)
{
  mkdir (target, 0755);
  if (mount (source, target, type, flags, options) != 0)
    fail (target);
}

static void
mount_root (void)
{
  mount_at ("hostroot", ROOT, "9p", MS_RDONLY, P9_OPTIONS ",cache=loose");
  mount_at ("proc", ROOT "/proc", "proc", 0, NULL);
  mount_at ("sys", ROOT "/sys", "sysfs", 0, NULL);
  mount_at ("dev", ROOT "/dev", "devtmpfs", 0, NULL);
  mount_at ("pts", ROOT "/dev/pts", "devpts", 0, "mode=620,ptmxmode=666");
  mount_at ("shm", ROOT "/dev/shm", "tmpfs", 0, "mode=1777");
  mount_at ("debug", ROOT "/sys/kernel/debug", "debugfs", 0, NULL);
  mount_at ("tmp", ROOT "/tmp", "tmpfs", 0, "mode=1777");
  mount_at ("run", ROOT "/run", "tmpfs", 0, "mode=755");
  mount_at ("root", ROOT "/root", "tmpfs", 0, "mode=700");
  if (chdir (ROOT) != 0 || mount (ROOT, "/", NULL, MS_MOVE, NULL) != 0 || chroot (".") != 0 ||
      chdir ("/") != 0)
    fail ("switch root");
  mkdir ("/run/lock", 0755);
  mkdir ("/run/user", 0755);
}

/* A folder below one of the fresh tmpfs mounts does not exist yet. */
static void
make_folders (char *path)
{
  for (char *slash = path + 1; (slash = strchr (slash, '/')); slash++)
    {
      *slash = '\0';
      mkdir (path, 0755);
      *slash = '/';
    }
  mkdir (path, 0755);
}

static void
mount_shares (void)
{
  static char line[MAX_COMMAND_LINE];
  FILE *file = fopen ("/proc/cmdline", "re");

  if (!file || !fgets (line, sizeof line, file))
    fail ("/proc/cmdline");
  fclose (file);
  for (char *word = strtok (line, " \n"); word; word = strtok (NULL, " \n"))
    {
      if (strncmp (word, "alcove.share=", 13) != 0)
        continue;
      char *tag = word + 13, *path = strchr (tag, ':');
      if (!path)
        continue;
      *path++ = '\0';
      make_folders (path);
      mount_at (tag, path, "9p", 0, P9_OPTIONS ",cache=mmap");
    }
}

static void
raise_loopback (void)
{
  struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  if (fd >= 0 && ioctl (fd, SIOCSIFFLAGS, &request) != 0)
    dprintf (2, "appliance init: lo: %s\n", strerror (errno));
  if (fd >= 0)
    close (fd);
}

static void
hold_idle_vms (void)
{
  int kvm = open ("/dev/kvm", O_RDWR | O_CLOEXEC);

  if (kvm < 0)
    fail ("/dev/kvm");
  const int vm = ioctl (kvm, KVM_CREATE_VM, 0);
  if (vm < 0 || ioctl (kvm, KVM_CREATE_VM, 0) < 0)
    fail ("KVM_CREATE_VM");
  if (ioctl (vm, KVM_CREATE_IRQCHIP, 0) != 0 || ioctl (vm, KVM_CREATE_VCPU, 0) < 0)
    fail ("a CPU with an APIC");
}

static void
run_command (void)
{
  int console = open ("/dev/hvc0", O_RDWR);

  if (console < 0)
    fail ("/dev/hvc0");
  setsid ();
  ioctl (console, TIOCSCTTY, 0);
  int null = open ("/dev/null", O_RDONLY);
  dup2 (null, 0);
  dup2 (console, 1);
  dup2 (console, 2);
  execl ("/bin/sh", "sh", CONTROL_FOLDER "/command", (char *) NULL);
  _exit (127);
}

static int
wait_for (pid_t child)
{
  for (;;)
    {
      int status;
      pid_t pid = wait (&status);
      if (pid == child)
        return WIFEXITED (status) ? WEXITSTATUS (status) : 128 + WTERMSIG (status);
      if (pid < 0 && errno != EINTR)
        fail ("wait");
    }
}

int
main (void)
{
  load_modules ();
  mount_root ();
  mount_shares ();
  raise_loopback ();
  hold_idle_vms ();

  pid_t child = fork ();
  if (child < 0)
    fail ("fork");
  if (child == 0)
    run_command ();
  int status = wait_for (child);

  FILE *file = fopen (CONTROL_FOLDER "/status.part", "we");
  if (!file || fprintf (file, "%d\n", status) < 0 || fclose (file) != 0 ||
      rename (CONTROL_FOLDER "/status.part", CONTROL_FOLDER "/status") != 0)
    fail ("status");
  /* Let the console drain before the power goes. */
  int console = open ("/dev/hvc0", O_WRONLY | O_CLOEXEC);
  if (console >= 0)
    ioctl (console, TCSBRK, 1);
  sync ();
  reboot (RB_POWER_OFF);
  return 1;
}
