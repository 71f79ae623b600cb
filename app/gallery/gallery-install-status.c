#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-install-private.h"

GalleryStage
gallery_install_get_stage (GalleryInstall *self)
{
  return self->stage;
}

double
gallery_install_get_progress (GalleryInstall *self)
{
  if (self->stage == GALLERY_STAGE_DONE)
    return 1;
  return self->progress.total > 0
             ? CLAMP ((double) self->progress.done / self->progress.total, 0, 1)
             : -1;
}

guint64
gallery_install_get_bytes_done (GalleryInstall *self)
{
  return self->progress.done;
}

guint64
gallery_install_get_bytes_total (GalleryInstall *self)
{
  return self->progress.total;
}

double
gallery_install_get_rate (GalleryInstall *self)
{
  return self->progress.rate;
}

double
gallery_install_get_seconds_left (GalleryInstall *self)
{
  return self->progress.seconds_left;
}

double
gallery_install_get_stage_seconds (GalleryInstall *self, GalleryStage stage)
{
  double seconds;

  g_return_val_if_fail ((guint) stage < N_STAGES, 0);
  seconds = self->stage_seconds[stage];
  if (stage == self->stage && self->task != NULL)
    seconds += (double) (g_get_monotonic_time () - self->stage_since_us) / G_USEC_PER_SEC;
  return seconds;
}

static char *
dup_seconds_left (double seconds)
{
  guint whole = (guint) MIN (seconds, 359999);

  if (whole >= 3600)
    return g_strdup_printf ("%u h %u min left", whole / 3600, whole / 60 % 60);
  if (whole >= 60)
    return g_strdup_printf ("%u min %u s left", whole / 60, whole % 60);
  return g_strdup_printf ("%u s left", whole);
}

static char *
dup_download_status (GalleryInstall *self)
{
  g_autofree char *done = g_format_size (self->progress.done);
  g_autofree char *total = g_format_size (self->progress.total);
  g_autofree char *rate = g_format_size ((guint64) self->progress.rate);
  GString *text = g_string_new ("Downloading");

  if (self->progress.total > 0)
    g_string_append_printf (text, ": %s of %s", done, total);
  else if (self->progress.done > 0)
    g_string_append_printf (text, ": %s", done);
  if (self->progress.rate > 0)
    g_string_append_printf (text, ", %s/s", rate);
  if (self->progress.seconds_left >= 0)
    {
      g_autofree char *left = dup_seconds_left (self->progress.seconds_left);

      g_string_append_printf (text, ", %s", left);
    }
  return g_string_free (text, FALSE);
}

char *
gallery_install_dup_status (GalleryInstall *self)
{
  static const char *const texts[] = {
    [GALLERY_STAGE_WAITING] = "Waiting",
    [GALLERY_STAGE_DOWNLOAD] = "Downloading",
    [GALLERY_STAGE_VERIFY] = "Comparing with what the vendor published",
    [GALLERY_STAGE_UNPACK] = "Unpacking",
    [GALLERY_STAGE_CREATE] = "Making the machine",
    [GALLERY_STAGE_DONE] = "Done",
    [GALLERY_STAGE_FAILED] = "Failed",
  };
  double progress = gallery_install_get_progress (self);

  G_STATIC_ASSERT (G_N_ELEMENTS (texts) == N_STAGES);
  if (self->stage == GALLERY_STAGE_DOWNLOAD)
    return dup_download_status (self);
  if (progress >= 0 && self->stage != GALLERY_STAGE_DONE && self->stage != GALLERY_STAGE_FAILED)
    return g_strdup_printf ("%s: %d%%", texts[self->stage], (int) (progress * 100));
  return g_strdup (texts[self->stage]);
}
