#define G_LOG_DOMAIN "vmm-platform"

#include <string.h>

#include "platform/cd-drive-private.h"

/* The packets of a CD/DVD-ROM drive: MMC-6, and SPC-3 for those that all SCSI devices have. Multi-byte fields are big-endian.
 *
 * A medium is a CD up to what 80 minutes hold, else a DVD; either has one session with one data track.
 */
#define CD_BLOCKS_MAX    (80 * 60 * 75)
#define FRAMES           75  /* blocks of a second */
#define LEAD_IN          150 /* frames before block 0 */
#define TRACK            1
#define LEAD_OUT         0xaa
#define TRACK_CONTROL    0x14 /* ADR 1; a data track that may not be copied digitally */
#define SENSE_SIZE       18
#define RESPONSE_MAX     (4 + CD_BLOCK_SIZE)
#define PROFILE_CD       0x0008
#define PROFILE_DVD      0x0010
#define DVD_FIRST_SECTOR 0x030000
#define SPEED            5540 /* kB/s; 4 times a DVD */

/* A response that grows. */
typedef struct Response
{
  uint8_t bytes[RESPONSE_MAX];
  unsigned size;
} Response;

typedef struct CdCommand
{
  void (*run) (CdDrive *drive, AtaCommand *command);
  bool needs_medium;
  bool during_attention; /* is not kept from running by a unit attention */
} CdCommand;

static uint16_t
get_u16 (const uint8_t *bytes)
{
  return bytes[0] << 8 | bytes[1];
}

static uint32_t
get_u32 (const uint8_t *bytes)
{
  return (uint32_t) get_u16 (bytes) << 16 | get_u16 (bytes + 2);
}

static void
put_u16 (uint8_t *bytes, uint16_t value)
{
  bytes[0] = value >> 8;
  bytes[1] = value;
}

static void
put_u32 (uint8_t *bytes, uint32_t value)
{
  put_u16 (bytes, value >> 16);
  put_u16 (bytes + 2, value);
}

/* Zeroed. */
static uint8_t *
grow (Response *response, unsigned size)
{
  uint8_t *bytes = response->bytes + response->size;

  g_assert (size <= RESPONSE_MAX - response->size);
  memset (bytes, 0, size);
  response->size += size;
  return bytes;
}

/* Sets the length that stands first and does not count itself. */
static void
answer (AtaCommand *command, Response *response, uint32_t allowed)
{
  put_u16 (response->bytes, response->size - 2);
  cd_drive_answer (command, response->bytes, response->size, allowed);
}

static bool
is_dvd (const CdDrive *drive)
{
  return drive->n_blocks > CD_BLOCKS_MAX;
}

static bool
is_on_medium (const CdDrive *drive, uint32_t block, uint32_t n)
{
  return block <= drive->n_blocks && n <= drive->n_blocks - block;
}

/* --- SPC --- */

static void
run_test_unit_ready (CdDrive *drive, AtaCommand *command)
{
  cd_drive_good (command);
}

static void
run_request_sense (CdDrive *drive, AtaCommand *command)
{
  uint8_t bytes[SENSE_SIZE] = { 0x70, [7] = SENSE_SIZE - 8 };

  if (drive->sense == CD_SENSE_NONE && drive->attention)
    {
      drive->sense = CD_SENSE_MEDIUM_CHANGED;
      drive->attention = false;
    }
  bytes[2] = drive->sense >> 16;
  bytes[12] = drive->sense >> 8;
  bytes[13] = drive->sense;
  drive->sense = CD_SENSE_NONE;
  cd_drive_answer (command, bytes, sizeof bytes, command->cdb[4]);
}

static void
put_text (uint8_t *bytes, unsigned size, const char *text)
{
  const size_t length = strlen (text);

  for (unsigned i = 0; i < size; i++)
    bytes[i] = i < length ? (uint8_t) text[i] : ' ';
}

/* Vital product data: which pages there are, and the serial number. */
static void
answer_product_page (CdDrive *drive, AtaCommand *command)
{
  const unsigned length = strlen (drive->serial);
  Response response = { .size = 0 };
  uint8_t *head = grow (&response, 4);

  head[0] = 0x05;
  head[1] = command->cdb[2];
  if (command->cdb[2] == 0x00)
    {
      head[3] = 2;
      grow (&response, 2)[1] = 0x80;
    }
  else if (command->cdb[2] == 0x80)
    {
      head[3] = length;
      memcpy (grow (&response, length), drive->serial, length);
    }
  else
    {
      cd_drive_fail (drive, command, CD_SENSE_INVALID_FIELD);
      return;
    }
  cd_drive_answer (command, response.bytes, response.size, get_u16 (command->cdb + 3));
}

static void
run_inquiry (CdDrive *drive, AtaCommand *command)
{
  uint8_t bytes[36] = {
    0x05,         /* CD/DVD */
    0x80,         /* removable */
    0x00,   0x21, /* as ATAPI drives say it */
    36 - 5,
  };

  if (command->cdb[1] & 1)
    {
      answer_product_page (drive, command);
      return;
    }
  put_text (bytes + 8, 8, "ALCOVE");
  put_text (bytes + 16, 16, "DVD-ROM");
  put_text (bytes + 32, 4, "1.0");
  cd_drive_answer (command, bytes, sizeof bytes, get_u16 (command->cdb + 3));
}

static void
run_prevent (CdDrive *drive, AtaCommand *command)
{
  drive->locked = (command->cdb[4] & 1) && !drive->tray_open;
  cd_drive_good (command);
}

static void
run_start_stop (CdDrive *drive, AtaCommand *command)
{
  const bool load = command->cdb[4] & 1, move = command->cdb[4] & 2;
  const bool power = command->cdb[4] >> 4 != 0; /* only a power condition */

  if (power || !move)
    cd_drive_good (command);
  else if (!load && drive->locked)
    cd_drive_fail (drive, command, CD_SENSE_LOCKED);
  else
    {
      cd_drive_move_tray (drive, !load);
      cd_drive_good (command);
    }
}

/* Error recovery, and what the drive is able to do (MMC-3, 5.5.10: nothing newer, but everybody asks). */
static void
add_mode_page (const CdDrive *drive, Response *response, uint8_t page)
{
  if (page == 0x01)
    {
      uint8_t *bytes = grow (response, 8);

      bytes[0] = 0x01;
      bytes[1] = 6;
      bytes[3] = 5; /* retries */
    }
  else if (page == 0x2a)
    {
      uint8_t *bytes = grow (response, 20);

      bytes[0] = 0x2a;
      bytes[1] = 18;
      bytes[2] = 0x3b;                           /* reads CD-R, CD-RW, DVD-ROM, -R, -RAM */
      bytes[4] = 0x70;                           /* mode 2, several sessions */
      bytes[6] = 0x29 | (drive->locked ? 2 : 0); /* a tray, locks, ejects */
      put_u16 (bytes + 8, SPEED);
      put_u16 (bytes + 12, 512); /* KiB of buffer */
      put_u16 (bytes + 14, SPEED);
    }
}

static void
run_mode_sense (CdDrive *drive, AtaCommand *command)
{
  static const uint8_t pages[] = { 0x01, 0x2a };
  const uint8_t wanted = command->cdb[2] & 0x3f;
  Response response = { .size = 0 };

  grow (&response, 8);
  for (unsigned i = 0; i < G_N_ELEMENTS (pages); i++)
    if (wanted == pages[i] || wanted == 0x3f)
      add_mode_page (drive, &response, pages[i]);
  if (response.size == 8 || command->cdb[2] >> 6 == 3) /* saved values: there are none */
    cd_drive_fail (drive, command, CD_SENSE_INVALID_FIELD);
  else
    answer (command, &response, get_u16 (command->cdb + 7));
}

/* --- reading --- */

static void
run_read_capacity (CdDrive *drive, AtaCommand *command)
{
  uint8_t bytes[8];

  put_u32 (bytes, drive->n_blocks - 1);
  put_u32 (bytes + 4, CD_BLOCK_SIZE);
  cd_drive_answer (command, bytes, sizeof bytes, sizeof bytes);
}

static void
read_blocks (CdDrive *drive, AtaCommand *command, uint32_t n)
{
  const uint32_t block = get_u32 (command->cdb + 2);

  if (!is_on_medium (drive, block, n))
    cd_drive_fail (drive, command, CD_SENSE_OUT_OF_RANGE);
  else if (n == 0)
    cd_drive_good (command);
  else
    cd_drive_read (drive, command, block, n);
}

static void
run_read_10 (CdDrive *drive, AtaCommand *command)
{
  read_blocks (drive, command, get_u16 (command->cdb + 7));
}

static void
run_read_12 (CdDrive *drive, AtaCommand *command)
{
  read_blocks (drive, command, get_u32 (command->cdb + 6));
}

/* Only the user data of a block: there is nothing else in an ISO image. */
static void
run_read_cd (CdDrive *drive, AtaCommand *command)
{
  const unsigned type = command->cdb[1] >> 2 & 7, parts = command->cdb[9] & 0xf8;
  const uint32_t n = get_u32 (command->cdb + 5) & 0xffffff;

  if (type == 1) /* audio */
    cd_drive_fail (drive, command, CD_SENSE_WRONG_MODE);
  else if (parts != 0x10 && parts != 0)
    cd_drive_fail (drive, command, CD_SENSE_INVALID_FIELD);
  else
    read_blocks (drive, command, parts == 0 ? 0 : n);
}

/* SEEK, VERIFY: is it there? */
static void
run_seek (CdDrive *drive, AtaCommand *command)
{
  const uint32_t block = get_u32 (command->cdb + 2);

  if (is_on_medium (drive, block, 1))
    cd_drive_good (command);
  else
    cd_drive_fail (drive, command, CD_SENSE_OUT_OF_RANGE);
}

static void
run_nothing (CdDrive *drive, AtaCommand *command)
{
  cd_drive_good (command);
}

/* --- what is on the medium --- */

static void
put_msf (uint8_t *bytes, uint32_t block)
{
  const uint32_t frames = block + LEAD_IN;

  bytes[0] = frames / FRAMES / 60;
  bytes[1] = frames / FRAMES % 60;
  bytes[2] = frames % FRAMES;
}

static void
put_address (uint8_t *bytes, uint32_t block, bool msf)
{
  if (msf)
    put_msf (bytes + 1, block);
  else
    put_u32 (bytes, block);
}

static void
add_track (Response *response, uint8_t track, uint32_t block, bool msf)
{
  uint8_t *bytes = grow (response, 8);

  bytes[1] = TRACK_CONTROL;
  bytes[2] = track;
  put_address (bytes + 4, block, msf);
}

static void
add_point (Response *response, uint8_t point, uint8_t minute, uint8_t second, uint8_t frame)
{
  uint8_t *bytes = grow (response, 11);

  bytes[0] = 1; /* the session */
  bytes[1] = TRACK_CONTROL;
  bytes[3] = point;
  bytes[8] = minute;
  bytes[9] = second;
  bytes[10] = frame;
}

static void
add_full_toc (const CdDrive *drive, Response *response)
{
  uint8_t end[3], start[3];

  put_msf (end, drive->n_blocks);
  put_msf (start, 0);
  add_point (response, 0xa0, TRACK, 0, 0);
  add_point (response, 0xa1, TRACK, 0, 0);
  add_point (response, 0xa2, end[0], end[1], end[2]);
  add_point (response, TRACK, start[0], start[1], start[2]);
}

static void
run_read_toc (CdDrive *drive, AtaCommand *command)
{
  const bool msf = command->cdb[1] & 2;
  const unsigned told = command->cdb[2] & 0xf;
  const unsigned format = told != 0 ? told : command->cdb[9] >> 6; /* where ATAPI drives had it */
  const uint8_t first = command->cdb[6];
  Response response = { .size = 0 };
  uint8_t *head = grow (&response, 4);

  head[2] = head[3] = 1; /* first and last: track, session */
  if (format > 2 || (format == 0 && first > TRACK && first != LEAD_OUT))
    {
      cd_drive_fail (drive, command, CD_SENSE_INVALID_FIELD);
      return;
    }
  if (format == 0 && first <= TRACK)
    add_track (&response, TRACK, 0, msf);
  if (format == 0)
    add_track (&response, LEAD_OUT, drive->n_blocks, msf);
  if (format == 1)
    add_track (&response, TRACK, 0, msf);
  if (format == 2)
    add_full_toc (drive, &response);
  answer (command, &response, get_u16 (command->cdb + 7));
}

static void
run_read_disc (CdDrive *drive, AtaCommand *command)
{
  Response response = { .size = 0 };
  uint8_t *bytes = grow (&response, 34);

  if (command->cdb[1] & 7)
    {
      cd_drive_fail (drive, command, CD_SENSE_INVALID_FIELD);
      return;
    }
  bytes[2] = 0x0e;                               /* complete, and so is its last session */
  bytes[3] = bytes[4] = bytes[5] = bytes[6] = 1; /* tracks and sessions */
  bytes[7] = 0x20;                               /* of unrestricted use */
  answer (command, &response, get_u16 (command->cdb + 7));
}

static void
run_read_track (CdDrive *drive, AtaCommand *command)
{
  const uint32_t number = get_u32 (command->cdb + 2);
  const unsigned kind = command->cdb[1] & 3;
  const bool known = kind == 0 ? number < drive->n_blocks : kind < 3 && number == TRACK;
  Response response = { .size = 0 };
  uint8_t *bytes = grow (&response, 36);

  if (!known)
    {
      cd_drive_fail (drive, command, CD_SENSE_INVALID_FIELD);
      return;
    }
  bytes[2] = TRACK;
  bytes[3] = 1;    /* the session */
  bytes[5] = 0x04; /* a data track */
  bytes[6] = 0x01; /* in mode 1 */
  put_u32 (bytes + 24, drive->n_blocks);
  answer (command, &response, get_u16 (command->cdb + 7));
}

static void
run_dvd_structure (CdDrive *drive, AtaCommand *command)
{
  const uint8_t format = command->cdb[7];
  Response response = { .size = 0 };
  uint8_t *bytes;

  if (!is_dvd (drive))
    {
      cd_drive_fail (drive, command, CD_SENSE_WRONG_MODE);
      return;
    }
  switch (format)
    {
    case 0x00: /* physical format */
      bytes = grow (&response, 4 + CD_BLOCK_SIZE);
      bytes[4] = 0x01; /* DVD-ROM */
      bytes[5] = 0x0f; /* 120 mm */
      bytes[6] = 0x01; /* one layer, embossed */
      put_u32 (bytes + 8, DVD_FIRST_SECTOR);
      put_u32 (bytes + 12, MIN (DVD_FIRST_SECTOR + (uint64_t) drive->n_blocks - 1, 0xffffff));
      break;
    case 0x01: /* copyright: none */
      grow (&response, 8);
      break;
    case 0x04: /* the manufacturer's */
      grow (&response, 4 + CD_BLOCK_SIZE);
      break;
    default:
      cd_drive_fail (drive, command, CD_SENSE_INVALID_FIELD);
      return;
    }
  answer (command, &response, get_u16 (command->cdb + 8));
}

/* --- what the drive can do, and what happens to it --- */

/* MMC-6, 5.3. Returns the feature's own bytes. */
static uint8_t *
add_feature (Response *response, uint16_t code, unsigned version, bool persistent, bool current,
             unsigned size)
{
  uint8_t *bytes = grow (response, 4 + size);

  put_u16 (bytes, code);
  bytes[2] = version << 2 | (persistent ? 2 : 0) | (current ? 1 : 0);
  bytes[3] = size;
  return bytes + 4;
}

typedef struct Feature
{
  uint16_t code;
  bool persistent;
} Feature;

enum
{
  FEATURE_PROFILES = 0x0000,
  FEATURE_CORE = 0x0001,
  FEATURE_MORPHING = 0x0002,
  FEATURE_REMOVABLE = 0x0003,
  FEATURE_RANDOM_READ = 0x0010,
  FEATURE_CD_READ = 0x001e,
  FEATURE_DVD_READ = 0x001f,
  FEATURE_POWER = 0x0100,
  FEATURE_TIMEOUT = 0x0105,
};

static const Feature features[] = {
  { FEATURE_PROFILES, true },  { FEATURE_CORE, true },  { FEATURE_MORPHING, true },
  { FEATURE_REMOVABLE, true }, { FEATURE_RANDOM_READ }, { FEATURE_CD_READ },
  { FEATURE_DVD_READ },        { FEATURE_POWER, true }, { FEATURE_TIMEOUT, true },
};

static bool
is_current (const CdDrive *drive, const Feature *feature)
{
  const bool medium = cd_drive_has_medium (drive);

  if (feature->code == FEATURE_CD_READ)
    return medium && !is_dvd (drive);
  if (feature->code == FEATURE_DVD_READ)
    return medium && is_dvd (drive);
  return feature->persistent || medium;
}

static void
describe_feature (const CdDrive *drive, Response *response, const Feature *feature)
{
  const bool current = is_current (drive, feature), medium = cd_drive_has_medium (drive);
  uint8_t *bytes;

  switch (feature->code)
    {
    case FEATURE_PROFILES:
      bytes = add_feature (response, feature->code, 0, true, current, 8);
      put_u16 (bytes, PROFILE_DVD);
      bytes[2] = medium && is_dvd (drive);
      put_u16 (bytes + 4, PROFILE_CD);
      bytes[6] = medium && !is_dvd (drive);
      return;
    case FEATURE_CORE:
      bytes = add_feature (response, feature->code, 2, true, current, 8);
      put_u32 (bytes, 7); /* serial ATAPI */
      bytes[4] = 1;       /* tells events of the device */
      return;
    case FEATURE_MORPHING:
      add_feature (response, feature->code, 0, true, current, 4);
      return;
    case FEATURE_REMOVABLE:
      add_feature (response, feature->code, 0, true, current, 4)[0] =
          0x29; /* a tray, locks, ejects */
      return;
    case FEATURE_RANDOM_READ:
      bytes = add_feature (response, feature->code, 0, false, current, 8);
      put_u32 (bytes, CD_BLOCK_SIZE);
      put_u16 (bytes + 4, 1);
      return;
    case FEATURE_CD_READ:
      add_feature (response, feature->code, 0, false, current, 4);
      return;
    default:
      add_feature (response, feature->code, 0, feature->persistent, current, 0);
    }
}

static void
run_get_configuration (CdDrive *drive, AtaCommand *command)
{
  const unsigned which = command->cdb[1] & 3; /* all, current ones, the one that is named */
  const uint16_t first = get_u16 (command->cdb + 2);
  const bool medium = cd_drive_has_medium (drive);
  Response response = { .size = 0 };
  uint8_t *head = grow (&response, 8);

  if (which == 3)
    {
      cd_drive_fail (drive, command, CD_SENSE_INVALID_FIELD);
      return;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (features); i++)
    if (which == 2 ? features[i].code == first
                   : features[i].code >= first && (which == 0 || is_current (drive, &features[i])))
      describe_feature (drive, &response, &features[i]);
  put_u32 (head, response.size - 4);
  put_u16 (head + 6, !medium ? 0 : is_dvd (drive) ? PROFILE_DVD : PROFILE_CD);
  cd_drive_answer (command, response.bytes, response.size, get_u16 (command->cdb + 7));
}

static void
run_get_event (CdDrive *drive, AtaCommand *command)
{
  enum
  {
    CLASS_MEDIA = 4,
    NO_EVENT_AVAILABLE = 0x80,
  };
  const bool media = command->cdb[4] & 1 << CLASS_MEDIA;
  Response response = { .size = 0 };
  uint8_t *head = grow (&response, 4);

  if (!(command->cdb[1] & 1)) /* not polled: it would have to wait for an event */
    {
      cd_drive_fail (drive, command, CD_SENSE_INVALID_FIELD);
      return;
    }
  head[2] = media ? CLASS_MEDIA : NO_EVENT_AVAILABLE;
  head[3] = 1 << CLASS_MEDIA;
  if (media)
    {
      uint8_t *bytes = grow (&response, 4);

      bytes[0] = drive->event;
      bytes[1] = (drive->tray_open ? 1 : 0) | (cd_drive_has_medium (drive) ? 2 : 0);
      drive->event = CD_EVENT_NONE;
    }
  answer (command, &response, get_u16 (command->cdb + 7));
}

static void
run_mechanism_status (CdDrive *drive, AtaCommand *command)
{
  uint8_t bytes[8] = { [1] = drive->tray_open ? 0x10 : 0, [5] = 1 };

  cd_drive_answer (command, bytes, sizeof bytes, get_u16 (command->cdb + 8));
}

static void
run_get_performance (CdDrive *drive, AtaCommand *command)
{
  uint8_t bytes[24] = { [3] = 20 };

  if (command->cdb[10] != 0) /* something else than how quick it is */
    {
      cd_drive_fail (drive, command, CD_SENSE_INVALID_FIELD);
      return;
    }
  put_u32 (bytes + 12, SPEED);
  put_u32 (bytes + 16, drive->n_blocks - 1);
  put_u32 (bytes + 20, SPEED);
  cd_drive_answer (command, bytes, sizeof bytes, 8 + 16 * (uint32_t) get_u16 (command->cdb + 8));
}

static const CdCommand commands[256] = {
  [0x00] = { run_test_unit_ready, .needs_medium = true },
  [0x03] = { run_request_sense, .during_attention = true },
  [0x12] = { run_inquiry, .during_attention = true },
  [0x1b] = { run_start_stop },
  [0x1e] = { run_prevent },
  [0x25] = { run_read_capacity, .needs_medium = true },
  [0x28] = { run_read_10, .needs_medium = true },
  [0x2b] = { run_seek, .needs_medium = true },
  [0x2f] = { run_seek, .needs_medium = true },
  [0x43] = { run_read_toc, .needs_medium = true },
  [0x46] = { run_get_configuration, .during_attention = true },
  [0x4a] = { run_get_event, .during_attention = true },
  [0x51] = { run_read_disc, .needs_medium = true },
  [0x52] = { run_read_track, .needs_medium = true },
  [0x5a] = { run_mode_sense },
  [0xa8] = { run_read_12, .needs_medium = true },
  [0xac] = { run_get_performance, .needs_medium = true },
  [0xad] = { run_dvd_structure, .needs_medium = true },
  [0xbb] = { run_nothing }, /* SET CD SPEED */
  [0xbd] = { run_mechanism_status },
  [0xbe] = { run_read_cd, .needs_medium = true },
};

void
cd_command_run (CdDrive *drive, AtaCommand *command)
{
  const CdCommand *entry = &commands[command->cdb[0]];

  command->drive = drive;
  if (!entry->run)
    {
      cd_drive_fail (drive, command, CD_SENSE_INVALID_COMMAND);
      return;
    }
  if (drive->attention && !entry->during_attention)
    {
      drive->attention = false;
      cd_drive_fail (drive, command, CD_SENSE_MEDIUM_CHANGED);
      return;
    }
  if (entry->needs_medium && !cd_drive_has_medium (drive))
    {
      cd_drive_fail (drive, command,
                     drive->tray_open ? CD_SENSE_NO_MEDIUM_OPEN : CD_SENSE_NO_MEDIUM);
      return;
    }
  if (command->cdb[0] != 0x03)
    drive->sense = CD_SENSE_NONE;
  entry->run (drive, command);
}
