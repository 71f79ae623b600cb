#include "ui/widgets/size-text.h"

char *
size_text_new (guint64 bytes)
{
  const guint64 gib = G_GUINT64_CONSTANT (1) << 30;

  if (bytes < gib)
    return g_strdup_printf ("%" G_GUINT64_FORMAT " MiB", bytes >> 20);
  if (bytes % gib == 0)
    return g_strdup_printf ("%" G_GUINT64_FORMAT " GiB", bytes / gib);
  return g_strdup_printf ("%.1f GiB", (double) bytes / gib);
}
