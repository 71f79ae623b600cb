/* What all targets share. libFuzzer calls LLVMFuzzerInitialize (), and so does the replayer's main. */
#include "fuzz-target.h"

#include <sys/prctl.h>
#include <glib.h>

/* A hostile input is complained about at length; here only a crash is news. */
static GLogWriterOutput
swallow (GLogLevelFlags level, const GLogField *fields, gsize n_fields, void *opaque)
{
  if ((level & (G_LOG_FLAG_FATAL | G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)) == 0)
    return G_LOG_WRITER_HANDLED;
  return g_log_writer_default (level, fields, n_fields, opaque);
}

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  g_log_set_writer_func (swallow, NULL, NULL);
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL);
  /* Each input has a memory of its own, of which it touches a few pages: not 2 MiB that the kernel would clear. */
  prctl (PR_SET_THP_DISABLE, 1, 0, 0, 0);
  return 0;
}
