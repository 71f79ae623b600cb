#define G_LOG_DOMAIN "vmm-firmware"

#include "firmware/ovmf-files.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/firmware-descriptor.h"

static const struct
{
  const char *code;
  const char *template;
} known[] = {
  { "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd" }, /* Debian, Ubuntu */
  { "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd" }, /* Arch */
  { "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd" },     /* Fedora */
  { "/usr/share/qemu/ovmf-x86_64-4m-code.bin",
    "/usr/share/qemu/ovmf-x86_64-4m-vars.bin" }, /* SUSE */
};

#define FIRMWARE_MAX (16 << 20) /* bytes */
#define RESET_ADVICE "delete it, or name a new file, to start with fresh ones"

/* --- what is in them --- */

/* Theory of operation
 *
 * A file of variables is a firmware volume with a store in it, and behind that the working space of the fault-tolerant writer (edk2,
 * MdeModulePkg). The firmware takes the list of variables to end where it does not go on as it should, and loses what is behind
 * without a word; so the list is walked here, and the rest of the store has to be erased flash. What a machine that was killed
 * leaves behind is no damage: a variable whose header or contents are not complete yet, which the firmware skips, and a store that
 * was being written anew, which the fault-tolerant writer completes.
 */

/* A firmware volume's header (UEFI Platform Initialization 1.7, volume 3, 3.2.1). */
enum
{
  VOLUME_GUID = 16,
  VOLUME_LENGTH = 32,
  VOLUME_SIGNATURE = 40,
  VOLUME_HEADER_LENGTH = 48,
  VOLUME_HEADER_MIN = 56,
  STORE_SIZE = 16, /* the variable store's header, behind the volume's */
  STORE_FORMAT = 20,
  STORE_STATE = 21,
  STORE_HEADER = 28,
  STORE_FORMATTED = 0x5a,
  STORE_HEALTHY = 0xfe,
};

/* AUTHENTICATED_VARIABLE_HEADER; name, then contents follow, and the next header at a multiple of 4. */
enum
{
  VARIABLE_ID = 0x55aa,
  VARIABLE_STATE = 2,
  VARIABLE_ATTRIBUTES = 4,
  VARIABLE_NAME_SIZE = 36,
  VARIABLE_DATA_SIZE = 40,
  VARIABLE_HEADER = 60,
  ERASED_BYTE = 0xff,
};

/* The fault-tolerant writer's working block: its header, then records of writes; a bit of a record's first byte that is 0 is said. */
enum
{
  FLASH_BLOCK = 4096,
  FTW_HEADER = 32,
  FTW_ALLOCATED = 1 << 0,
  FTW_COMPLETE = 1 << 2,
  FTW_N_WRITES = 24,
  FTW_PRIVATE_SIZE = 32,
  FTW_WRITE_HEADER = 40,
  FTW_WRITE_RECORD = 40,
};

static const uint8_t nv_data_guid[16] = { 0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
                                          0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50 };
static const uint8_t authenticated_guid[16] = { 0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43,
                                                0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92 };

static const uint8_t working_block_guid[16] = { 0x2b, 0x29, 0x58, 0x9e, 0x68, 0x7c, 0x7d, 0x49,
                                                0xa0, 0xce, 0x65, 0x00, 0xfd, 0x9f, 0x1b, 0x95 };

static uint64_t
get (const uint8_t *bytes, unsigned size)
{
  uint64_t value = 0;

  for (unsigned i = 0; i < size; i++)
    value |= (uint64_t) bytes[i] << (8 * i);
  return value;
}

/* The header's length, or 0. */
static size_t
check_volume (const uint8_t *bytes, size_t size)
{
  if (size < VOLUME_HEADER_MIN || memcmp (bytes + VOLUME_SIGNATURE, "_FVH", 4) != 0)
    return 0;
  size_t header = (size_t) get (bytes + VOLUME_HEADER_LENGTH, 2);
  uint16_t sum = 0;
  if (header < VOLUME_HEADER_MIN || header % 2 != 0 || header > size ||
      get (bytes + VOLUME_LENGTH, 8) > size)
    return 0;
  for (size_t i = 0; i < header; i += 2)
    sum = (uint16_t) (sum + get (bytes + i, 2));
  return sum == 0 ? header : 0;
}

static bool
damaged (GError **error, const char *what)
{
  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "%s", what);
  return false;
}

/* A size that is not written yet. */
static uint32_t
get_size_of (const uint8_t *variable, unsigned offset)
{
  static const unsigned parts[] = { VARIABLE_ATTRIBUTES, VARIABLE_NAME_SIZE, VARIABLE_DATA_SIZE };

  if (variable[VARIABLE_STATE] == ERASED_BYTE)
    return 0;
  for (unsigned i = 0; i < G_N_ELEMENTS (parts); i++)
    if (get (variable + parts[i], 4) == UINT32_MAX)
      return 0;
  return (uint32_t) get (variable + offset, 4);
}

/* store: as large as its header says. */
static bool
walk_variables (const uint8_t *store, size_t size)
{
  uint64_t at = STORE_HEADER;

  while (at + VARIABLE_HEADER <= size && get (store + at, 2) == VARIABLE_ID)
    {
      const uint32_t name = get_size_of (store + at, VARIABLE_NAME_SIZE);

      if (name % 2 != 0)
        return false;
      at += (uint64_t) VARIABLE_HEADER + name + get_size_of (store + at, VARIABLE_DATA_SIZE);
      if (at > size)
        return false;
      at = (at + 3) / 4 * 4;
    }
  /* The first byte of a header that was never completed. */
  if (at < size && store[at] == (VARIABLE_ID & 0xff))
    at++;
  for (; at < size; at++)
    if (store[at] != ERASED_BYTE)
      return false;
  return true;
}

/* Was the store being written anew? block: at its signature, size bytes to the end of the file. */
static bool
has_unfinished_write (const uint8_t *block, size_t size)
{
  uint64_t at = FTW_HEADER;

  size = MIN (size, FLASH_BLOCK);
  while (at + FTW_WRITE_HEADER <= size && (block[at] & FTW_ALLOCATED) == 0)
    {
      const uint64_t n = get (block + at + FTW_N_WRITES, 8);
      const uint64_t private = get (block + at + FTW_PRIVATE_SIZE, 8);

      if ((block[at] & FTW_COMPLETE) != 0)
        return true;
      if (n > FLASH_BLOCK || private > FLASH_BLOCK)
        return false;
      at += FTW_WRITE_HEADER + n * (FTW_WRITE_RECORD + private);
    }
  return false;
}

static bool
will_be_completed (const uint8_t *bytes, size_t size)
{
  for (size_t at = FLASH_BLOCK; at + FTW_HEADER <= size; at += FLASH_BLOCK)
    if (memcmp (bytes + at, working_block_guid, sizeof working_block_guid) == 0)
      return has_unfinished_write (bytes + at, size - at);
  return false;
}

static bool
check_variables (const uint8_t *bytes, size_t size, GError **error)
{
  const size_t header = check_volume (bytes, size);

  if (header == 0 || memcmp (bytes + VOLUME_GUID, nv_data_guid, sizeof nv_data_guid) != 0)
    return damaged (error, "it does not begin with the header of firmware variables");
  const uint8_t *store = bytes + header;
  const size_t store_size = size - header < STORE_HEADER ? 0 : (size_t) get (store + STORE_SIZE, 4);
  /* It fills whole blocks of flash. */
  if (store_size < STORE_HEADER || store_size > size - header ||
      (header + store_size) % FLASH_BLOCK != 0 ||
      memcmp (store, authenticated_guid, sizeof authenticated_guid) != 0 ||
      store[STORE_FORMAT] != STORE_FORMATTED || store[STORE_STATE] != STORE_HEALTHY)
    return damaged (error, "the store of its variables is damaged");
  return walk_variables (store, store_size) ||
         damaged (error, "its variables are damaged: some of them would be lost");
}

bool
ovmf_files_check_variables (const uint8_t *bytes, size_t size, GError **error)
{
  g_autoptr (GError) problem = NULL;

  if (check_variables (bytes, size, &problem) || will_be_completed (bytes, size))
    return true;
  g_propagate_error (error, g_steal_pointer (&problem));
  return false;
}

/* The first volume's header, and at the end the reset vector: 16 bytes whose code jumps. */
bool
ovmf_files_check_code (const uint8_t *bytes, size_t size, GError **error)
{
  static const uint8_t nothing[16], erased[16] = { [0 ... 15] = 0xff };

  if (size < 65536 || size % 4096 != 0 || check_volume (bytes, size) == 0 ||
      memcmp (bytes + size - 16, nothing, 16) == 0 || memcmp (bytes + size - 16, erased, 16) == 0)
    return damaged (error, "it is not a UEFI firmware");
  return true;
}

/* --- where they are --- */

static bool
find (OvmfFiles *files, GError **error)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (known); i++)
    if (access (known[i].code, R_OK) == 0 && access (known[i].template, R_OK) == 0)
      {
        files->code = g_strdup (known[i].code);
        files->template = g_strdup (known[i].template);
        return true;
      }
  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST,
               "--firmware: the UEFI firmware for virtual machines is not installed: install the "
               "package ovmf (edk2-ovmf on some systems)");
  return false;
}

static bool
read_template (const OvmfFiles *files, char **bytes, size_t *size, GError **error)
{
  g_autoptr (GError) problem = NULL;

  if (g_file_get_contents (files->template, bytes, size, &problem))
    return true;
  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "--firmware: %s", problem->message);
  return false;
}

bool
ovmf_files_keep_in_memory (OvmfFiles *files, GError **error)
{
  g_autofree char *bytes = NULL;
  size_t size = 0;

  if (!read_template (files, &bytes, &size, error))
    return false;
  /* Without CLOEXEC: QEMU opens it by its name under /proc. */
  int fd = memfd_create ("alcove-nvram", 0);
  if (fd < 0 || write (fd, bytes, size) != (ssize_t) size)
    {
      g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST,
                   "no memory for the variables of the firmware: %s", g_strerror (errno));
      return false;
    }
  files->variables = g_strdup_printf ("/proc/self/fd/%d", fd);
  return true;
}

static bool
make_nvram (const OvmfFiles *files, const char *nvram, GError **error)
{
  g_autofree char *bytes = NULL;
  size_t size = 0;
  g_autoptr (GError) problem = NULL;

  if (!read_template (files, &bytes, &size, error))
    return false;
  g_message ("--nvram: %s: made, with fresh variables", nvram);
  /* Written beside it, then renamed: a half-written one is never met. */
  if (g_file_set_contents_full (nvram, bytes, (gssize) size, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                &problem))
    return true;
  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "--nvram: %s", problem->message);
  return false;
}

static bool
check_nvram (const OvmfFiles *files, const char *nvram, GError **error)
{
  struct stat info, wanted;
  g_autofree char *bytes = NULL;
  size_t size = 0;
  g_autoptr (GError) problem = NULL;

  if (stat (nvram, &info) < 0 || stat (files->template, &wanted) < 0 || !S_ISREG (info.st_mode) ||
      info.st_size != wanted.st_size)
    {
      g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST,
                   "--nvram: %s: not a file of %" G_GINT64_FORMAT
                   " bytes, which this firmware's variables have; " RESET_ADVICE,
                   nvram, (int64_t) wanted.st_size);
      return false;
    }
  if (!g_file_get_contents (nvram, &bytes, &size, &problem))
    {
      g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "--nvram: %s", problem->message);
      return false;
    }
  if (ovmf_files_check_variables ((const uint8_t *) bytes, size, &problem))
    return true;
  g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "--nvram: %s: %s; " RESET_ADVICE,
               nvram, problem->message);
  return false;
}

/* The user's own are looked at at once; the distribution's are taken to be what they are called until they are used. */
static bool
take (OvmfFiles *files, const VmConfig *config, GError **error)
{
  const struct
  {
    const char *path;
    bool (*check) (const uint8_t *bytes, size_t size, GError **error);
  } parts[] = {
    { config->firmware_code, ovmf_files_check_code },
    { config->firmware_variables, ovmf_files_check_variables },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (parts); i++)
    {
      g_autofree char *bytes = NULL;
      g_autoptr (GError) problem = NULL;
      size_t size = 0;
      struct stat info;

      if (stat (parts[i].path, &info) == 0 &&
          (!S_ISREG (info.st_mode) || info.st_size > FIRMWARE_MAX))
        damaged (&problem, "it is not a UEFI firmware");
      else if (g_file_get_contents (parts[i].path, &bytes, &size, &problem))
        parts[i].check ((const uint8_t *) bytes, size, &problem);
      if (problem)
        {
          g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST, "--firmware: %s: %s",
                       parts[i].path, problem->message);
          return false;
        }
    }
  if (firmware_descriptor_needs_smm (config->firmware_code, firmware_descriptor_folders))
    {
      g_set_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST,
                   "--firmware: %s: this build needs System Management Mode, which these machines "
                   "do not have; name one that does not (OVMF_CODE_4M.fd, which checks signatures "
                   "as well when the variables have keys)",
                   config->firmware_code);
      return false;
    }
  files->code = g_strdup (config->firmware_code);
  files->template = g_strdup (config->firmware_variables);
  return true;
}

bool
ovmf_files_prepare (OvmfFiles *files, const VmConfig *config, GError **error)
{
  const char *nvram = config->nvram;
  struct stat info;

  *files = (OvmfFiles){};
  if (!(config->firmware_code ? take (files, config, error) : find (files, error)))
    return false;
  if (nvram == NULL)
    return true;
  files->variables = g_strdup (nvram);
  if (stat (nvram, &info) < 0 && errno == ENOENT && !make_nvram (files, nvram, error))
    return false;
  return check_nvram (files, nvram, error);
}

void
ovmf_files_clear (OvmfFiles *files)
{
  g_clear_pointer (&files->code, g_free);
  g_clear_pointer (&files->template, g_free);
  g_clear_pointer (&files->variables, g_free);
}
