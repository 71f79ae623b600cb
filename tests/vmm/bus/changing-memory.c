#include "changing-memory.h"

#include "base/iov.h"
#include "bus/guest-memory.h"

static bool changing;
static unsigned reads;

size_t __real_iov_read (const struct iovec *, unsigned, size_t, void *, size_t);
bool __real_guest_memory_read (const GuestMemory *, uint64_t, void *, size_t);

size_t __wrap_iov_read (const struct iovec *, unsigned, size_t, void *, size_t);
bool __wrap_guest_memory_read (const GuestMemory *, uint64_t, void *, size_t);

static uint8_t *
invert (const uint8_t *bytes, size_t size)
{
  uint8_t *inverted = g_malloc (size);

  for (size_t i = 0; i < size; i++)
    inverted[i] = ~bytes[i];
  reads++;
  return inverted;
}

size_t
__wrap_iov_read (const struct iovec *iov, unsigned n_iov, size_t offset, void *buffer, size_t size)
{
  const size_t n = __real_iov_read (iov, n_iov, offset, buffer, size);

  if (changing && n > 0)
    {
      g_autofree uint8_t *inverted = invert (buffer, n);

      iov_write (iov, n_iov, offset, inverted, n);
    }
  return n;
}

bool
__wrap_guest_memory_read (const GuestMemory *memory, uint64_t gpa, void *buffer, size_t size)
{
  const bool good = __real_guest_memory_read (memory, gpa, buffer, size);

  if (changing && good && size > 0)
    {
      g_autofree uint8_t *inverted = invert (buffer, size);

      guest_memory_write (memory, gpa, inverted, size);
    }
  return good;
}

void
changing_memory_begin (void)
{
  changing = true;
  reads = 0;
}

unsigned
changing_memory_end (void)
{
  changing = false;
  return reads;
}
