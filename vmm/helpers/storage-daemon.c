#define G_LOG_DOMAIN "vmm-helpers"

#include "helpers/storage-daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <glib-unix.h>
#include <json-glib/json-glib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "block/block-nbd.h"

/* Theory of operation
 *
 * The listening socket is made here, in a folder that only this user can enter; we connect to it before the child is started (the
 * connection waits in the backlog) and remove its name at once. So there is nothing to wait or to poll for, nobody else can ever
 * connect, and no file is left behind by a process that was killed.
 *
 * PR_SET_PDEATHSIG sends the child SIGTERM when we are gone, whatever the reason: it then writes back what it caches of the image's
 * metadata and ends. A session of its own keeps a terminal's Ctrl-C from it, which is for us to handle.
 *
 * It caches the image's tables in its memory until a flush, as the guest expects of a disk with a write-back cache. What that would mean to a
 * guest that outlives it is taken care of by who has the requests (block/block-qcow2.h), who also goes past it where the tables are known. Nothing
 * changes tables by itself there: no detect-zeroes, no snapshots, no new size.
 *
 * stderr is a pipe that is emptied on the main context; its end is kept for the error message.
 */
#define PROGRAM            "qemu-storage-daemon"
#define PACKAGE            "qemu-system-common"
#define COMPLAINT_MAX      4096
#define END_PATIENCE_US    (20 * G_TIME_SPAN_SECOND)
#define END_STEP_US        5000
#define UNLOCK_PATIENCE_US (5 * G_TIME_SPAN_SECOND)
#define SOCKET_FD          3
/* Bytes of an image that QEMU's programs lock: what they do with it, and what they forbid others (QEMU, block/file-posix.c). */
#define LOCKS_START 100
#define LOCKS_SIZE  164

struct StorageDaemon
{
  const VmDiskConfig *disk;
  StorageDaemonProtocol protocol;

  GMutex lock; /* guards what follows */
  GSubprocess *process;
  int said; /* our end of its stderr; -1: none */
  GSource *source;
  GString *complaint;
  bool has_run;
};

/* --- what it is told --- */

static bool
can_use_io_uring (void)
{
  struct io_uring ring;

  if (io_uring_queue_init (1, &ring, 0) < 0)
    return false;
  io_uring_queue_exit (&ring);
  return true;
}

static bool
can_be_direct (const char *file)
{
  const int fd = open (file, O_RDONLY | O_DIRECT | O_CLOEXEC);

  if (fd >= 0)
    close (fd);
  return fd >= 0;
}

static void
set_common (JsonObject *node, bool readonly)
{
  json_object_set_boolean_member (node, "read-only", readonly);
  if (!readonly)
    json_object_set_string_member (node, "discard", "unmap");
}

/* Every file that may be opened is said: an image's own words about others are not followed. */
static JsonObject *
new_node (const char *format, const char *file, bool readonly)
{
  JsonObject *protocol = json_object_new ();
  JsonObject *cache = json_object_new ();
  JsonObject *node = json_object_new ();
  g_autofree char *name = g_utf8_make_valid (file, -1);

  json_object_set_string_member (protocol, "driver", "file");
  json_object_set_string_member (protocol, "filename", name);
  json_object_set_string_member (protocol, "aio", can_use_io_uring () ? "io_uring" : "threads");
  json_object_set_string_member (protocol, "locking", "auto");
  json_object_set_boolean_member (cache, "direct", can_be_direct (file));
  json_object_set_object_member (protocol, "cache", cache);
  set_common (protocol, readonly);
  json_object_set_string_member (node, "driver", format);
  set_common (node, readonly);
  json_object_set_object_member (node, "file", protocol);
  return node;
}

static char *
new_blockdev (const VmDiskConfig *disk)
{
  JsonObject *node = new_node (vm_disk_format_to_string (disk->format), disk->file, disk->readonly);
  g_autoptr (JsonNode) json = json_node_new (JSON_NODE_OBJECT);

  json_object_set_string_member (node, "node-name", "disk");
  if (disk->backing)
    {
      JsonObject *backing =
          new_node (vm_disk_format_to_string (disk->backing_format), disk->backing, true);
      if (disk->backing_format == VM_DISK_FORMAT_QCOW2)
        json_object_set_null_member (backing, "backing");
      json_object_set_object_member (node, "backing", backing);
    }
  else if (disk->format == VM_DISK_FORMAT_QCOW2 || disk->format == VM_DISK_FORMAT_VMDK)
    json_object_set_null_member (node, "backing");
  json_node_take_object (json, node);
  return json_to_string (json, FALSE);
}

/* --- a socket without a name --- */

static bool
fail (StorageDaemon *self, GError **error, const char *what, int code)
{
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "%s: %s: %s", self->disk->file,
               what, g_strerror (code));
  return false;
}

/* In a folder of our own below parent. */
static bool
bind_and_connect (const char *parent, int listener, int client)
{
  g_autofree char *folder = g_build_filename (parent, "alcove-XXXXXX", NULL);
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  bool good = false;

  if (!g_mkdtemp_full (folder, 0700))
    return false;
  g_autofree char *path = g_build_filename (folder, "disk", NULL);
  if (g_strlcpy (address.sun_path, path, sizeof address.sun_path) < sizeof address.sun_path)
    good = bind (listener, (struct sockaddr *) &address, sizeof address) == 0 &&
           listen (listener, 1) == 0 &&
           connect (client, (struct sockaddr *) &address, sizeof address) == 0;
  else
    errno = ENAMETOOLONG;
  const int problem = errno;
  unlink (path);
  rmdir (folder);
  errno = problem;
  return good;
}

static bool
make_sockets (StorageDaemon *self, int *listener, int *client, GError **error)
{
  *listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  *client = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (*listener >= 0 && *client >= 0 &&
      (bind_and_connect (g_get_user_runtime_dir (), *listener, *client) ||
       bind_and_connect (g_get_tmp_dir (), *listener, *client)))
    return true;
  fail (self, error, "a socket for " PROGRAM, errno);
  if (*listener >= 0)
    close (*listener);
  if (*client >= 0)
    close (*client);
  return false;
}

/* --- the child --- */

/* Between fork and exec. */
static void
set_up_child (gpointer opaque)
{
  const pid_t parent = GPOINTER_TO_INT (opaque);

  setsid ();
  sched_setscheduler (0, SCHED_BATCH, &(struct sched_param){ 0 }); /* loop-thread.h says what for */
  prctl (PR_SET_PDEATHSIG, SIGTERM);
  if (getppid () != parent)
    _exit (1); /* it was gone before */
}

static void
keep_words (StorageDaemon *self)
{
  char buffer[COMPLAINT_MAX];
  ssize_t n;

  while (self->said >= 0 && (n = read (self->said, buffer, sizeof buffer)) > 0)
    {
      g_string_append_len (self->complaint, buffer, n);
      if (self->complaint->len > COMPLAINT_MAX)
        g_string_erase (self->complaint, 0, (gssize) (self->complaint->len - COMPLAINT_MAX));
    }
}

static gboolean
on_said (gint fd, GIOCondition condition, gpointer opaque)
{
  StorageDaemon *self = opaque;

  g_mutex_lock (&self->lock);
  keep_words (self);
  g_mutex_unlock (&self->lock);
  return condition & G_IO_HUP ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

/* Lock held. */
static void
listen_to (StorageDaemon *self, GInputStream *stderr_pipe)
{
  self->said =
      fcntl (g_unix_input_stream_get_fd (G_UNIX_INPUT_STREAM (stderr_pipe)), F_DUPFD_CLOEXEC, 3);
  if (self->said < 0)
    return;
  g_unix_set_fd_nonblocking (self->said, TRUE, NULL);
  self->source = g_unix_fd_source_new (self->said, G_IO_IN | G_IO_HUP);
  g_source_set_callback (self->source, G_SOURCE_FUNC (on_said), self, NULL);
  g_source_attach (self->source, NULL);
}

/* Lock held; the child is gone. */
static void
forget_child (StorageDaemon *self)
{
  keep_words (self);
  if (self->source)
    g_source_destroy (self->source);
  g_clear_pointer (&self->source, g_source_unref);
  if (self->said >= 0)
    close (self->said);
  self->said = -1;
  g_clear_object (&self->process);
}

/* The arguments that say how it is served; NULL-terminated. */
static GStrv
new_export (const StorageDaemon *self)
{
  const char *writable = self->disk->readonly ? "off" : "on";
  g_autoptr (GStrvBuilder) words = g_strv_builder_new ();
  g_autofree char *export = NULL;

  if (self->protocol == STORAGE_DAEMON_NBD)
    {
      g_autofree char *server = g_strdup_printf ("addr.type=fd,addr.str=%u", SOCKET_FD);

      g_strv_builder_add_many (words, "--nbd-server", server, NULL);
      export = g_strdup_printf (
          "nbd,id=export,node-name=disk,name=" BLOCK_NBD_EXPORT ",writable=%s", writable);
    }
  else
    export = g_strdup_printf ("vhost-user-blk,id=export,node-name=disk,addr.type=fd,addr.str=%u,"
                              "writable=%s,num-queues=1",
                              SOCKET_FD, writable);
  g_strv_builder_add_many (words, "--export", export, NULL);
  return g_strv_builder_end (words);
}

static bool
spawn (StorageDaemon *self, int listener, GError **error)
{
  g_autofree char *program = g_find_program_in_path (PROGRAM);
  g_autofree char *blockdev = new_blockdev (self->disk);
  g_auto (GStrv) export = new_export (self);
  g_autoptr (GStrvBuilder) words = g_strv_builder_new ();

  if (!program)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                   "%s: " PROGRAM " is not installed, which serves disks that are not raw: install "
                   "the package " PACKAGE,
                   self->disk->file);
      return false;
    }
  g_strv_builder_add_many (words, program, "--blockdev", blockdev, NULL);
  g_strv_builder_addv (words, (const char **) export);
  g_auto (GStrv) arguments = g_strv_builder_end (words);
  g_autofree char *line = g_strjoinv (" ", arguments);
  g_debug ("%s", line);
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (
      G_SUBPROCESS_FLAGS_STDERR_PIPE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE);
  g_subprocess_launcher_set_child_setup (launcher, set_up_child, GINT_TO_POINTER (getpid ()), NULL);
  g_subprocess_launcher_take_fd (launcher, dup (listener), SOCKET_FD);
  self->process = g_subprocess_launcher_spawnv (launcher, (const char *const *) arguments, error);
  self->has_run = true;
  if (self->process)
    listen_to (self, g_subprocess_get_stderr_pipe (self->process));
  return self->process != NULL;
}

/* --- life --- */

StorageDaemon *
storage_daemon_new (const VmDiskConfig *disk, StorageDaemonProtocol protocol)
{
  StorageDaemon *self = g_new0 (StorageDaemon, 1);

  self->disk = disk;
  self->protocol = protocol;
  self->said = -1;
  self->complaint = g_string_new (NULL);
  g_mutex_init (&self->lock);
  return self;
}

/* The kernel takes a killed process's I/O to its end after the process, and keeps its locks as long: the next one would be refused. */
static void
wait_for_locks (const char *file)
{
  const gint64 end = g_get_monotonic_time () + UNLOCK_PATIENCE_US;
  const int fd = open (file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct flock locks;

  do
    {
      locks = (struct flock){
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCKS_START, .l_len = LOCKS_SIZE
      };
      if (fd < 0 || fcntl (fd, F_OFD_GETLK, &locks) < 0 || locks.l_type == F_UNLCK)
        break;
      g_usleep (END_STEP_US);
    }
  while (g_get_monotonic_time () < end);
  if (fd >= 0)
    close (fd);
}

static int
start (void *opaque, GError **error)
{
  StorageDaemon *self = opaque;
  int listener, client;

  storage_daemon_kill (self);
  if (self->has_run && !self->disk->readonly)
    wait_for_locks (self->disk->file);
  if (!make_sockets (self, &listener, &client, error))
    return -1;
  g_mutex_lock (&self->lock);
  g_string_truncate (self->complaint, 0);
  const bool good = spawn (self, listener, error);
  g_mutex_unlock (&self->lock);
  close (listener);
  if (good)
    return client;
  close (client);
  return -1;
}

void
storage_daemon_kill (StorageDaemon *self)
{
  g_mutex_lock (&self->lock);
  if (self->process)
    {
      g_subprocess_force_exit (self->process);
      g_subprocess_wait (self->process, NULL, NULL);
      forget_child (self);
    }
  g_mutex_unlock (&self->lock);
}

/* The reaper is another thread (GLib's), so looking is enough. */
static void
end_politely (StorageDaemon *self)
{
  const gint64 end = g_get_monotonic_time () + END_PATIENCE_US;

  g_subprocess_send_signal (self->process, SIGTERM);
  while (g_subprocess_get_identifier (self->process) && g_get_monotonic_time () < end)
    g_usleep (END_STEP_US);
}

void
storage_daemon_free (StorageDaemon *self)
{
  if (!self)
    return;
  if (self->process)
    end_politely (self);
  storage_daemon_kill (self);
  g_string_free (self->complaint, TRUE);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static char *
get_complaint (void *opaque)
{
  static const char option[] = PROGRAM ": --blockdev {";
  StorageDaemon *self = opaque;

  g_mutex_lock (&self->lock);
  keep_words (self);
  g_autofree char *words = g_strdup (g_strchomp (self->complaint->str));
  g_mutex_unlock (&self->lock);
  const char *line = strrchr (words, '\n') ? strrchr (words, '\n') + 1 : words;
  if (*line == '\0')
    return NULL;
  /* It repeats the whole option first. */
  const char *rest = g_str_has_prefix (line, option) ? g_strrstr (line, "}: ") : NULL;
  return g_strdup_printf ("%s: " PROGRAM ": %s", self->disk->file, rest ? rest + 3 : line);
}

static void
end (void *opaque)
{
  storage_daemon_kill (opaque);
}

BlockServer
storage_daemon_get_server (StorageDaemon *self)
{
  static const BlockServerOps ops = { .start = start, .end = end, .get_complaint = get_complaint };

  return (BlockServer){ &ops, self };
}
