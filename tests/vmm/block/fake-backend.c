#include "fake-backend.h"

#include <string.h>

#include "base/iov.h"

static void
submit (void *opaque, BlockRequest *request)
{
  FakeBackend *fake = opaque;

  g_ptr_array_add (fake->prepared, request);
  fake->n_flushes += request->operation == BLOCK_FLUSH;
}

/* As one that was continued: nothing of the request is as it was. */
static void
end (FakeBackend *fake, BlockRequest *request, int error)
{
  g_assert_true (g_ptr_array_remove (fake->started, request));
  if (request->operation == BLOCK_WRITE)
    iov_trim_front (&request->iov, &request->n_iov, request->size / 2);
  request->offset += request->size / 2;
  request->size -= request->size / 2;
  request->step = 7;
  request->buffered = true;
  request->done (request, error);
}

static void
kick (void *opaque)
{
  FakeBackend *fake = opaque;

  while (fake->prepared->len > 0)
    {
      BlockRequest *request = g_ptr_array_steal_index (fake->prepared, 0);

      g_ptr_array_add (fake->started, request);
      if (fake->at_once)
        end (fake, request, fake->error);
    }
}

static void
reap (void *opaque)
{
  FakeBackend *fake = opaque;

  if (fake->ending)
    end (fake, g_steal_pointer (&fake->ending), fake->error);
}

static void
look (void *opaque)
{
  FakeBackend *fake = opaque;

  fake->n_looks++;
  reap (fake);
}

static void
drain (void *opaque)
{
  FakeBackend *fake = opaque;

  for (kick (fake); fake->started->len > 0; kick (fake))
    end (fake, fake->started->pdata[0], fake->lost);
}

static void
free_fake (void *opaque)
{
  FakeBackend *fake = opaque;

  fake->n_frees++;
  g_assert_cmpuint (fake->prepared->len + fake->started->len, ==, 0);
}

static const BlockBackendOps ops = {
  .submit = submit,
  .kick = kick,
  .reap = reap,
  .look = look,
  .drain = drain,
  .free = free_fake,
};

void
fake_backend_init (FakeBackend *fake, uint64_t size, BlockBackend *backend)
{
  *fake = (FakeBackend){
    .prepared = g_ptr_array_new (),
    .started = g_ptr_array_new (),
  };
  *backend =
      (BlockBackend){ .ops = &ops, .opaque = fake, .fd = 42, .size = size, .alignment = 4096 };
}

void
fake_backend_clear (FakeBackend *fake)
{
  g_ptr_array_unref (fake->prepared);
  g_ptr_array_unref (fake->started);
}

BlockRequest *
fake_backend_find (const FakeBackend *fake, BlockOperation operation)
{
  for (unsigned i = 0; i < fake->started->len; i++)
    {
      BlockRequest *request = fake->started->pdata[i];

      if (request->operation == operation)
        return request;
    }
  return NULL;
}
