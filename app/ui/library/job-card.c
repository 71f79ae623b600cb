#include "ui/library/job-card.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include "ui/alcove-window.h"
#include "ui/widgets/screen-thumbnail.h"
#include "ui/widgets/system-logo.h"

struct _JobCard
{
  GtkFlowBoxChild parent_instance;

  InstallJob *job;
  SystemLogo *logo;
  GtkProgressBar *progress;
  GtkLabel *name_label;
  GtkLabel *status_label;
  GtkButton *run_button;
  char *description; /* for who does not see it */
};

G_DEFINE_FINAL_TYPE (JobCard, job_card, GTK_TYPE_FLOW_BOX_CHILD)

/* What is told without looking: not the bytes, which change all the time. */
static void
update_description (JobCard *self)
{
  const char *name = install_job_get_plan (self->job)->name;
  const char *error = install_job_get_error (self->job);
  double fraction = install_job_get_fraction (self->job);
  g_autofree char *description = NULL;

  if (install_job_get_state (self->job) != INSTALL_JOB_RUNNING)
    description = g_strdup_printf ("%s, %s", name,
                                   error != NULL ? error : install_job_get_status (self->job));
  else if (fraction >= 0)
    description = g_strdup_printf (_ ("%s, being made: %d%%"), name, (int) (fraction * 100));
  else
    description = g_strdup_printf (_ ("%s, being made"), name);
  if (g_strcmp0 (self->description, description) == 0)
    return;
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, description,
                                  -1);
  g_free (self->description);
  self->description = g_steal_pointer (&description);
}

static void
update (JobCard *self)
{
  gboolean running = install_job_get_state (self->job) == INSTALL_JOB_RUNNING;
  const char *error = install_job_get_error (self->job);
  double fraction = install_job_get_fraction (self->job);

  gtk_label_set_text (self->status_label,
                      error != NULL ? error : install_job_get_status (self->job));
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->status_label), error);
  gtk_button_set_icon_name (self->run_button, running ? "media-playback-pause-symbolic"
                                                      : "media-playback-start-symbolic");
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->run_button),
                               running ? _ ("Pause") : _ ("Continue"));
  update_description (self);
  if (running && fraction < 0)
    gtk_progress_bar_pulse (self->progress);
  else
    gtk_progress_bar_set_fraction (self->progress, MAX (fraction, 0));
  if (error != NULL)
    gtk_widget_add_css_class (GTK_WIDGET (self->status_label), "error");
  else
    gtk_widget_remove_css_class (GTK_WIDGET (self->status_label), "error");
}

static void
action_run (GtkWidget *widget, const char *name, GVariant *parameter)
{
  JobCard *self = JOB_CARD (widget);

  if (install_job_get_state (self->job) == INSTALL_JOB_RUNNING)
    install_job_pause (self->job);
  else
    install_job_run (self->job);
}

static void
action_give_up (GtkWidget *widget, const char *name, GVariant *parameter)
{
  JobCard *self = JOB_CARD (widget);
  g_autoptr (InstallJob) job = g_object_ref (self->job);

  install_jobs_give_up (alcove_application_get_jobs (alcove_application_get ()), job);
}

void
job_card_open (JobCard *self)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));

  if (ALCOVE_IS_WINDOW (root))
    alcove_window_show_entry (ALCOVE_WINDOW (root), install_job_get_entry (self->job));
}

GtkWidget *
job_card_new (InstallJob *job)
{
  JobCard *self = g_object_new (JOB_TYPE_CARD, NULL);

  self->job = g_object_ref (job);
  gtk_label_set_text (self->name_label, install_job_get_plan (job)->name);
  system_logo_set_entry (self->logo, install_job_get_entry (job));
  g_signal_connect_object (job, "notify::status", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  update (self);
  return GTK_WIDGET (self);
}

static void
job_card_dispose (GObject *object)
{
  g_clear_object (&JOB_CARD (object)->job);
  g_clear_pointer (&JOB_CARD (object)->description, g_free);
  G_OBJECT_CLASS (job_card_parent_class)->dispose (object);
}

static void
job_card_class_init (JobCardClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = job_card_dispose;
  g_type_ensure (SCREEN_TYPE_THUMBNAIL);
  g_type_ensure (SYSTEM_TYPE_LOGO);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/alcove/Alcove/library/job-card.ui");
  gtk_widget_class_bind_template_child (widget_class, JobCard, logo);
  gtk_widget_class_bind_template_child (widget_class, JobCard, progress);
  gtk_widget_class_bind_template_child (widget_class, JobCard, name_label);
  gtk_widget_class_bind_template_child (widget_class, JobCard, status_label);
  gtk_widget_class_bind_template_child (widget_class, JobCard, run_button);
  gtk_widget_class_install_action (widget_class, "job.run", NULL, action_run);
  gtk_widget_class_install_action (widget_class, "job.give-up", NULL, action_give_up);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Delete, 0, "job.give-up", NULL);
}

static void
job_card_init (JobCard *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
