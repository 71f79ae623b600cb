/* A qcow2 image that somebody handed over: [number of questions][what the file is longer by, in units of 512 bytes, 2 bytes] [questions]... [image].
 * A question: [flags][offset, 5 bytes][size, 4 bytes]. What is found is inside the file, and what the tables say. */
#include "fuzz-target.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/qcow2-map.h"
#include "fuzz-input.h"

#define ENTRY_SIZE    8u
#define ENTRY_COPIED  (UINT64_C (1) << 63)
#define ENTRY_OTHERS  (UINT64_C (1) << 62 | 1) /* compressed, zeros */
#define ENTRY_OFFSET  UINT64_C (0x00fffffffffffe00)
#define QUESTIONS_MAX 64
#define L1_PLACE      40 /* in the header */

enum
{
  FLAG_OPERATION = 3 << 0, /* find, look at the header, forget, change the file */
  FLAG_SETTLED = 1 << 2,
  FLAG_FAR = 1 << 3,   /* offset in units of 4 MiB */
  FLAG_LARGE = 1 << 4, /* size, the same */
};

typedef struct Target
{
  BlockImage image;
  uint64_t size; /* of the file */
  Qcow2Map *map;
  uint64_t cluster;
  bool is_changed; /* the file, behind the map's back */
} Target;

typedef struct Question
{
  unsigned flags;
  uint64_t offset, size;
} Question;

static Question
take_question (FuzzInput *input)
{
  Question question = { .flags = fuzz_take (input, 1) };

  question.offset = fuzz_take (input, 5) << (question.flags & FLAG_FAR ? 22 : 0);
  question.size = fuzz_take (input, 4) << (question.flags & FLAG_LARGE ? 22 : 0);
  return question;
}

static void
make_image (Target *t, const uint8_t *bytes, size_t size, uint64_t more)
{
  const int fd = memfd_create ("fuzz-image", MFD_CLOEXEC);

  g_assert_cmpint (write (fd, bytes, size), ==, (ssize_t) size);
  t->size = size + more;
  g_assert_cmpint (ftruncate (fd, (off_t) t->size), ==, 0);
  t->image = (BlockImage){ .fd = fd, .direct_fd = -1 };
}

static uint64_t
load (const Target *t, uint64_t place)
{
  uint64_t value;

  g_assert_cmpint (pread (t->image.fd, &value, sizeof value, (off_t) place), ==, sizeof value);
  return GUINT64_FROM_BE (value);
}

/* The tables are read once more, the plain way. */
static void
check_entry (const Target *t, uint64_t offset, uint64_t place)
{
  const uint64_t cluster = offset / t->cluster;
  const uint64_t entries = t->cluster / ENTRY_SIZE;
  const uint64_t l1 = load (t, load (t, L1_PLACE) + cluster / entries * ENTRY_SIZE);
  const uint64_t l2 = load (t, (l1 & ENTRY_OFFSET) + cluster % entries * ENTRY_SIZE);

  g_assert_true (l1 & ENTRY_COPIED);
  g_assert_true ((l2 & (ENTRY_COPIED | ENTRY_OTHERS)) == ENTRY_COPIED);
  g_assert_cmpuint (l2 & ENTRY_OFFSET, ==, place - place % t->cluster);
  g_assert_cmpuint (place % t->cluster, ==, offset % t->cluster);
}

static void
find (Target *t, const Question *question)
{
  const uint64_t offset = question->offset, size = MAX (question->size, 1);
  uint64_t place = 0, again = 0;
  const uint64_t found =
      qcow2_map_find (t->map, offset, size, question->flags & FLAG_SETTLED, &place);

  if (found == 0)
    return;
  g_assert_cmpuint (found, <=, size);
  g_assert_cmpuint (place, >=, t->cluster);
  const uint64_t last = (place + found - 1) / t->cluster;
  g_assert_cmpuint ((last + 1) * t->cluster, <=, t->size);
  if (t->is_changed)
    return;
  check_entry (t, offset, place);
  check_entry (t, offset + found - 1, place + found - 1);
  g_assert_cmpuint (qcow2_map_find (t->map, offset, size, false, &again), ==, found);
  g_assert_cmpuint (again, ==, place);
}

static void
forget (Target *t, const Question *question)
{
  uint64_t place;

  qcow2_map_forget (t->map, question->offset, question->size);
  g_assert_cmpuint (qcow2_map_find (t->map, question->offset, 1, false, &place), ==, 0);
  if (question->size > 0)
    g_assert_cmpuint (
        qcow2_map_find (t->map, question->offset + question->size - 1, 1, false, &place), ==, 0);
}

/* The file as large as before. */
static void
change (Target *t, const Question *question)
{
  const uint64_t place = question->offset & ~UINT64_C (7);
  const uint64_t entry = GUINT64_TO_BE (question->size | ENTRY_COPIED);

  if (t->size < sizeof entry || place > t->size - sizeof entry)
    return;
  g_assert_cmpint (pwrite (t->image.fd, &entry, sizeof entry, (off_t) place), ==, sizeof entry);
  t->is_changed = true;
}

static void
ask (Target *t, const Question *question)
{
  switch (question->flags & FLAG_OPERATION)
    {
    case 0:
      find (t, question);
      break;
    case 1:
      g_assert_true (qcow2_map_is_valid (t->map) || t->is_changed);
      break;
    case 2:
      forget (t, question);
      break;
    case 3:
      change (t, question);
      break;
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  Question questions[QUESTIONS_MAX];
  const unsigned n = fuzz_take (&input, 1) % (QUESTIONS_MAX + 1);
  const uint64_t more = fuzz_take (&input, 2) * 512;
  Target t = { 0 };

  for (unsigned i = 0; i < n; i++)
    questions[i] = take_question (&input);
  make_image (&t, input.data, input.size, more);
  t.map = qcow2_map_new (&t.image);
  if (t.map)
    {
      t.cluster = qcow2_map_get_cluster_size (t.map);
      for (unsigned i = 0; i < n; i++)
        ask (&t, &questions[i]);
    }
  qcow2_map_free (t.map);
  block_image_close (&t.image);
  return 0;
}
