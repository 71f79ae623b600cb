#pragma once

#include <gtk/gtk.h>
#include "ui/assistant/install-job.h"

G_BEGIN_DECLS

/* An install under way, in the grid where its machine will be. */
#define JOB_TYPE_CARD (job_card_get_type ())
G_DECLARE_FINAL_TYPE (JobCard, job_card, JOB, CARD, GtkFlowBoxChild)

GtkWidget *job_card_new (InstallJob *job);
void job_card_open (JobCard *self);

G_END_DECLS
