#pragma once

#include <glib.h>

#include "block/block-backend.h"

/* A backend that completes what the test says, in its order. */
typedef struct FakeBackend
{
  GPtrArray *prepared; /* BlockRequest */
  GPtrArray *started;
  BlockRequest *ending; /* by the next reap */
  int error;
  bool at_once; /* whatever is kicked is completed */
  int lost;     /* drain: all of it ends so */
  unsigned n_flushes;
  unsigned n_looks;
  unsigned n_frees;
} FakeBackend;

void fake_backend_init (FakeBackend *fake, uint64_t size, BlockBackend *backend);
void fake_backend_clear (FakeBackend *fake);
/* The oldest of its kind that was started, or NULL. */
BlockRequest *fake_backend_find (const FakeBackend *fake, BlockOperation operation);
