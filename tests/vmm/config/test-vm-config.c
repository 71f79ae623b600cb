#include "config/vm-config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

static void
add_forward (VmConfig *config, const char *text)
{
  VmForward forward;

  g_assert_true (vm_forward_parse (&forward, text, NULL));
  vm_config_add_forward (config, &forward);
}

static VmConfig *
new_full (void)
{
  VmConfig *config = vm_config_new ();

  config->kernel = g_strdup ("/k");
  config->initrd = g_strdup ("/i");
  config->cmdline = g_strdup ("quiet");
  config->cdrom = g_strdup ("/c");
  config->net = VM_NET_USER;
  config->serial.kind = VM_STREAM_FILE;
  config->serial.file = g_strdup ("/s");
  config->console.file = g_strdup ("/c");
  vm_config_add_port (config, "p", "/p");
  config->display = VM_DISPLAY_SPICE;
  config->spice_path = g_strdup ("/d");
  config->control_path = g_strdup ("/q");
  vm_config_add_disk (config, "/a", VM_DISK_FORMAT_RAW, false);
  vm_config_add_disk (config, "/b", VM_DISK_FORMAT_QCOW2, true);
  add_forward (config, "udp:53:5353");
  return config;
}

/* What is said, or "valid". */
static char *
validation (const VmConfig *config)
{
  g_autoptr (GError) error = NULL;

  if (vm_config_validate (config, &error))
    return g_strdup ("valid");
  g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE);
  g_assert_null (strchr (error->message, '\n'));
  return g_strdup (error->message);
}

#define assert_validation(config, expected)                                                        \
  do                                                                                               \
    {                                                                                              \
      g_autofree char *said = validation (config);                                                 \
      g_assert_cmpstr (said, ==, expected);                                                        \
    }                                                                                              \
  while (0)

static void
test_copy_shares_nothing (void)
{
  g_autoptr (VmConfig) copy = NULL;
  {
    g_autoptr (VmConfig) config = new_full ();
    copy = vm_config_copy (config);
    memset (config->disks[1].file, 'x', 2);
    memset (config->kernel, 'x', 2);
    config->forwards[0].host_port = 1;
  }
  g_assert_cmpstr (copy->kernel, ==, "/k");
  g_assert_cmpstr (copy->initrd, ==, "/i");
  g_assert_cmpstr (copy->cmdline, ==, "quiet");
  g_assert_cmpstr (copy->cdrom, ==, "/c");
  g_assert_cmpstr (copy->serial.file, ==, "/s");
  g_assert_cmpstr (copy->console.file, ==, "/c");
  g_assert_cmpuint (copy->n_ports, ==, 1);
  g_assert_cmpstr (copy->ports[0].name, ==, "p");
  g_assert_cmpstr (copy->ports[0].path, ==, "/p");
  g_assert_cmpstr (copy->spice_path, ==, "/d");
  g_assert_cmpstr (copy->control_path, ==, "/q");
  g_assert_cmpuint (copy->n_disks, ==, 2);
  g_assert_cmpstr (copy->disks[1].file, ==, "/b");
  g_assert_cmpint (copy->disks[1].format, ==, VM_DISK_FORMAT_QCOW2);
  g_assert_true (copy->disks[1].readonly);
  g_assert_cmpuint (copy->forwards[0].host_port, ==, 53);
  assert_validation (copy, "valid");
}

static void
test_what_belongs_together (void)
{
  g_autoptr (VmConfig) config = vm_config_new ();

  assert_validation (config, "nothing to start: give --kernel FILE or --firmware uefi");
  config->firmware = VM_FIRMWARE_UEFI;
  assert_validation (config, "valid");
  config->initrd = g_strdup ("/i");
  assert_validation (config, "--initrd: not allowed together with --firmware uefi, which finds its "
                             "own system on the disks");
  config->firmware = VM_FIRMWARE_LINUX;
  config->kernel = g_strdup ("/k");
  assert_validation (config, "valid");
  config->nvram = g_strdup ("/n");
  assert_validation (config, "--nvram: allowed only with --firmware uefi");
  g_clear_pointer (&config->nvram, g_free);
  add_forward (config, "tcp:1:2");
  assert_validation (config, "--net: forward= is allowed only with user and passt");
  config->net = VM_NET_USER;
  assert_validation (config, "valid");
  add_forward (config, "udp:1:2");
  assert_validation (config, "valid");
  config->net = VM_NET_PASST;
  assert_validation (config, "--net: forward=udp is allowed only with user: with passt no answer "
                             "would come back");
  config->net = VM_NET_USER;
  add_forward (config, "tcp:1:3");
  assert_validation (config, "--net: the host's tcp port 1 is forwarded twice");
}

/* What was said is kept, the rest follows; the product has to be right. */
static void
test_topology (void)
{
  static const struct
  {
    unsigned cpus;
    CpuTopology said, is;
  } good[] = {
    { 1, { 0, 0, 0 }, { 1, 1, 1 } },  { 6, { 0, 0, 0 }, { 1, 6, 1 } },
    { 8, { 2, 0, 0 }, { 2, 4, 1 } },  { 8, { 0, 2, 0 }, { 4, 2, 1 } },
    { 8, { 0, 0, 2 }, { 1, 4, 2 } },  { 16, { 2, 4, 0 }, { 2, 4, 2 } },
    { 12, { 2, 3, 2 }, { 2, 3, 2 } },
  };
  g_autoptr (VmConfig) config = new_full ();

  for (unsigned i = 0; i < G_N_ELEMENTS (good); i++)
    {
      config->cpus = good[i].cpus;
      config->topology = good[i].said;
      const CpuTopology topology = vm_config_get_topology (config);
      g_assert_cmpmem (&topology, sizeof topology, &good[i].is, sizeof topology);
      assert_validation (config, "valid");
    }
  config->cpus = 4;
  config->topology = (CpuTopology){ 3, 0, 0 };
  assert_validation (config, "--cpus: 3 sockets of 1 cores of 1 threads are not 4 CPUs");
  config->topology = (CpuTopology){ 2, 2, 2 };
  assert_validation (config, "--cpus: 2 sockets of 2 cores of 2 threads are not 4 CPUs");
}

static void
test_limits (void)
{
  g_autoptr (VmConfig) config = new_full ();

  config->cpus = VM_CPUS_MAX + 1;
  assert_validation (config, "--cpus: 17 is not allowed: a number from 1 to 16");
  config->cpus = VM_CPUS_MAX;
  config->memory_bytes = VM_MEMORY_MIN - VM_MEMORY_STEP;
  assert_validation (config, "--memory: 66060288 bytes is not allowed: 64M to 256G, in whole MiB");
  config->memory_bytes = VM_MEMORY_MIN + 1;
  assert_validation (config, "--memory: 67108865 bytes is not allowed: 64M to 256G, in whole MiB");
  config->memory_bytes = VM_MEMORY_MAX;
  assert_validation (config, "valid");
  g_free (config->name);
  config->name = g_strdup ("a\nb");
  assert_validation (config, "--name: control characters are not allowed");
  g_free (config->name);
  config->name = g_strnfill (VM_NAME_MAX + 1, 'n');
  assert_validation (config, "--name: must be 1 to 64 characters of UTF-8");
  config->name[VM_NAME_MAX] = '\0';
  g_free (config->control_path);
  config->control_path = g_strnfill (VM_SOCKET_PATH_MAX + 1, 's');
  assert_validation (config,
                     "--control: the path of the Unix socket has 108 bytes; at most 107 are "
                     "allowed");
  config->control_path[VM_SOCKET_PATH_MAX] = '\0';
  assert_validation (config, "valid");
}

/* What is said about a disk of that size, less the path; or "fit". */
static char *
disk_of_size (const char *folder, gssize size, VmDiskFormat format)
{
  g_autofree char *path = g_build_filename (folder, "disk", NULL);
  g_autofree char *kernel = g_build_filename (folder, "kernel", NULL);
  g_autofree char *bytes = g_malloc0 (size + 1);
  g_autoptr (VmConfig) config = vm_config_new ();
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (path, bytes, size, NULL));
  g_assert_true (g_file_set_contents (kernel, "k", 1, NULL));
  config->kernel = g_strdup (kernel);
  vm_config_add_disk (config, path, format, false);
  if (vm_config_check_files (config, &error))
    return g_strdup ("fit");
  g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST);
  g_assert_nonnull (strstr (error->message, path));
  return g_strdup (strstr (error->message, path) + strlen (path));
}

#define assert_disk(folder, size, format, expected)                                                \
  do                                                                                               \
    {                                                                                              \
      g_autofree char *said = disk_of_size (folder, size, format);                                 \
      g_assert_cmpstr (said, ==, expected);                                                        \
    }                                                                                              \
  while (0)

static void
test_disk_sizes (void)
{
  g_autofree char *folder = g_dir_make_tmp ("alcove-config-XXXXXX", NULL);

  assert_disk (folder, 1024, VM_DISK_FORMAT_RAW, "fit");
  assert_disk (folder, 0, VM_DISK_FORMAT_RAW,
               ": its size, 0 bytes, is not at least 512; is it a raw image?");
  assert_disk (folder, 1000, VM_DISK_FORMAT_RAW,
               ": its size, 1000 bytes, is not a multiple of 512; is it a raw image?");
  /* What a qcow2 file's length means is for its own reader to say. */
  assert_disk (folder, 1000, VM_DISK_FORMAT_QCOW2, "fit");
  g_autofree char *command = g_strdup_printf ("rm -r '%s'", folder);
  g_assert_cmpint (system (command), ==, 0);
}

static void
test_cdrom_sizes (void)
{
  static const struct
  {
    size_t size;
    const char *said; /* NULL: fit */
  } cases[] = {
    { 4096, NULL },
    { 0, "is not at least 2048: it is cut off, or no CD image; fetch it again" },
    { 5120, "is not a multiple of 2048: it is cut off, or no CD image; fetch it again" },
  };
  g_autofree char *folder = g_dir_make_tmp ("alcove-config-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "a.iso", NULL);

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (VmConfig) config = vm_config_new ();
      g_autoptr (GError) error = NULL;
      g_autofree char *bytes = g_malloc0 (cases[i].size + 1);

      g_assert_true (g_file_set_contents (path, bytes, cases[i].size, NULL));
      config->cdrom = g_strdup (path);
      g_assert_cmpint (vm_config_check_files (config, &error), ==, cases[i].said == NULL);
      if (cases[i].said)
        g_assert_true (g_str_has_suffix (error->message, cases[i].said));
    }
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

static bool
check_volume (const char *path, unsigned n_blocks, unsigned n_in_volume, GError **error)
{
  g_autofree uint8_t *bytes = g_malloc0 (n_blocks * 2048);
  g_autoptr (VmConfig) config = vm_config_new ();

  memcpy (bytes + 16 * 2048, "\1CD001", 6);
  for (unsigned i = 0; i < 4; i++)
    bytes[16 * 2048 + 80 + i] = n_in_volume >> 8 * i;
  g_assert_true (g_file_set_contents (path, (const char *) bytes, n_blocks * 2048, NULL));
  config->cdrom = g_strdup (path);
  return vm_config_check_files (config, error);
}

/* A download that broke off; padding may be missing. */
static void
test_cdrom_cut_off (void)
{
  g_autofree char *folder = g_dir_make_tmp ("alcove-config-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "a.iso", NULL);
  g_autofree char *said =
      g_strdup_printf ("--cdrom: %s: is cut off: its volume has 819200 bytes, the file 509952: "
                       "fetch it again",
                       path);
  g_autoptr (GError) error = NULL;

  g_assert_true (check_volume (path, 400, 400, NULL));
  g_assert_true (check_volume (path, 400, 17, NULL));
  g_assert_true (check_volume (path, 250, 400, NULL));
  g_assert_false (check_volume (path, 249, 400, &error));
  g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST);
  g_assert_cmpstr (error->message, ==, said);
  g_assert_false (check_volume (path, 249, UINT32_MAX, NULL));
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

static void
test_foreign_files (void)
{
  g_autoptr (VmConfig) config = vm_config_new ();
  g_autoptr (GError) error = NULL;

  config->kernel = g_strdup ("/nonexistent/vmlinuz");
  g_assert_false (vm_config_check_files (config, &error));
  g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST);
  g_assert_cmpstr (error->message, ==, "--kernel: /nonexistent/vmlinuz: No such file or directory");
  g_clear_error (&error);
  g_free (config->kernel);
  config->kernel = g_strdup ("/proc/self/exe");
  vm_config_add_disk (config, "/dev/null", VM_DISK_FORMAT_RAW, true);
  g_assert_false (vm_config_check_files (config, &error));
  g_assert_cmpstr (error->message, ==, "--disk: /dev/null: not a regular file or block device");
}

int
main (int argc, char **argv)
{
  g_setenv ("LC_ALL", "C", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vm-config/copy-shares-nothing", test_copy_shares_nothing);
  g_test_add_func ("/vm-config/what-belongs-together", test_what_belongs_together);
  g_test_add_func ("/vm-config/topology", test_topology);
  g_test_add_func ("/vm-config/limits", test_limits);
  g_test_add_func ("/vm-config/disk-sizes", test_disk_sizes);
  g_test_add_func ("/vm-config/cdrom-sizes", test_cdrom_sizes);
  g_test_add_func ("/vm-config/cdrom-cut-off", test_cdrom_cut_off);
  g_test_add_func ("/vm-config/foreign-files", test_foreign_files);
  return g_test_run ();
}
