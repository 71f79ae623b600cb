#include "ui/assistant/install-page.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include "gallery/gallery-seed.h"
#include "ui/alcove-window.h"
#include "ui/assistant/entry-facts.h"
#include "ui/gallery/gallery-card.h"
#include "ui/widgets/size-text.h"
#include "ui/widgets/system-logo.h"

#define MIB            (G_GUINT64_CONSTANT (1) << 20)
#define GIB            (G_GUINT64_CONSTANT (1) << 30)
#define PULSE_MS       120
#define N_SHOWN_STAGES 4

struct _InstallPage
{
  GtkWidget parent_instance;

  AdwWindowTitle *window_title;
  GtkScrolledWindow *scroller;
  SystemLogo *logo;
  GtkLabel *title_label;
  GtkLabel *subtitle_label;
  GtkLabel *summary_label;
  GtkStack *stack;
  GtkWidget *create_button;
  GtkLabel *plan_label;
  GtkBox *stages;
  GtkProgressBar *progress;
  GtkLabel *status_label;
  GtkButton *pause_button;
  GtkLabel *error_label;
  GtkWidget *retry_button;
  GtkWidget *settings_group;
  AdwExpanderRow *settings_row;
  GtkEditable *name_row;
  GtkAdjustment *cpus;
  AdwActionRow *memory_row;
  GtkAdjustment *memory;
  GtkWidget *disk_row;
  GtkAdjustment *disk;
  GtkSwitch *network;
  GtkWidget *user_group;
  GtkEditable *user_row;
  GtkEditable *password_row;
  GtkWidget *login_group;
  GtkLabel *login_label;
  GtkListBox *facts;

  GtkWidget *stage_labels[N_SHOWN_STAGES];
  GalleryEntry *entry;
  InstallJob *job; /* the entry's, NULL if there is none */
  gulong job_handler;
  guint pulse;
  gboolean filling; /* the form is being set, not edited */
};

G_DEFINE_FINAL_TYPE (InstallPage, install_page, GTK_TYPE_WIDGET)

static const struct
{
  GalleryStage stage;
  const char *name;
} shown_stages[N_SHOWN_STAGES] = {
  { GALLERY_STAGE_DOWNLOAD, N_ ("Download") },
  { GALLERY_STAGE_VERIFY, N_ ("Verify") },
  { GALLERY_STAGE_UNPACK, N_ ("Unpack") },
  { GALLERY_STAGE_CREATE, N_ ("Create") },
};

static InstallJobs *
get_jobs (void)
{
  return alcove_application_get_jobs (alcove_application_get ());
}

/* --- the plan ------------------------------------------------------------------------------ */

static gboolean
makes_user (InstallPage *self)
{
  return gallery_entry_get_cloud_user (self->entry) != NULL;
}

/* Without the password's hash, which takes its time. */
static InstallPlan *
read_plan (InstallPage *self)
{
  InstallPlan *plan = g_new0 (InstallPlan, 1);

  plan->name = g_strstrip (g_strdup (gtk_editable_get_text (self->name_row)));
  plan->cpus = (guint) gtk_adjustment_get_value (self->cpus);
  plan->memory = (guint64) gtk_adjustment_get_value (self->memory) * MIB;
  if (gtk_widget_get_visible (self->disk_row))
    plan->disk_size = (guint64) gtk_adjustment_get_value (self->disk) * GIB;
  plan->network =
      gtk_switch_get_active (self->network) ? MACHINE_NETWORK_USER : MACHINE_NETWORK_NONE;
  if (makes_user (self))
    plan->user = g_strdup (gtk_editable_get_text (self->user_row));
  return plan;
}

static void
update_plan_label (InstallPage *self)
{
  g_autoptr (InstallPlan) plan = read_plan (self);
  g_autofree char *memory = size_text_new (plan->memory);
  g_autofree char *host = size_text_new (install_plan_get_host_memory ());
  g_autofree char *disk = plan->disk_size != 0 ? size_text_new (plan->disk_size) : NULL;
  g_autofree char *hardware =
      g_strdup_printf (g_dngettext (NULL, "%u CPU · %s memory", "%u CPUs · %s memory", plan->cpus),
                       plan->cpus, memory);
  g_autofree char *with_disk =
      disk != NULL ? g_strdup_printf (_ ("%s · %s disk"), hardware, disk) : g_strdup (hardware);
  g_autofree char *text = plan->network == MACHINE_NETWORK_NONE
                              ? g_strdup_printf (_ ("%s · no network"), with_disk)
                              : g_strdup (with_disk);
  g_autofree char *of_host = g_strdup_printf (_ ("%s of this computer’s %s"), memory, host);

  gtk_label_set_text (self->plan_label, text);
  adw_expander_row_set_subtitle (self->settings_row, text);
  adw_action_row_set_subtitle (self->memory_row, of_host);
}

static void
mark_row (GtkEditable *row, gboolean valid)
{
  if (valid)
    gtk_widget_remove_css_class (GTK_WIDGET (row), "error");
  else
    gtk_widget_add_css_class (GTK_WIDGET (row), "error");
}

/* A password that is not typed yet is no mistake: it is asked for, not marked. */
static gboolean
user_is_valid (InstallPage *self, GError **error)
{
  const char *password = gtk_editable_get_text (self->password_row);
  g_autoptr (GError) user_error = NULL;
  g_autoptr (GError) password_error = NULL;

  if (!makes_user (self))
    return TRUE;
  gallery_seed_check_user (gtk_editable_get_text (self->user_row), &user_error);
  if (*password == '\0')
    g_set_error_literal (&password_error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                         _ ("Choose the first user’s password"));
  else
    gallery_seed_check_password (password, &password_error);
  mark_row (self->user_row, user_error == NULL);
  mark_row (self->password_row, password_error == NULL || *password == '\0');
  if (user_error != NULL)
    g_propagate_error (error, g_steal_pointer (&user_error));
  else if (password_error != NULL)
    g_propagate_error (error, g_steal_pointer (&password_error));
  else
    return TRUE;
  return FALSE;
}

static gboolean
name_is_valid (InstallPage *self, GError **error)
{
  g_autofree char *name = g_strstrip (g_strdup (gtk_editable_get_text (self->name_row)));
  gboolean valid = *name != '\0' && g_utf8_strlen (name, -1) <= MACHINE_NAME_MAX;

  mark_row (self->name_row, valid);
  if (!valid)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                 _ ("The name has to have 1 to %d characters"), MACHINE_NAME_MAX);
  return valid;
}

/* Each row is looked at, so that each is marked; the error is that of the first. */
static gboolean
plan_is_valid (InstallPage *self, GError **error)
{
  g_autoptr (GError) name_error = NULL;
  g_autoptr (GError) user_error = NULL;
  gboolean valid = name_is_valid (self, &name_error);

  valid = user_is_valid (self, &user_error) && valid;
  if (name_error != NULL)
    g_propagate_error (error, g_steal_pointer (&name_error));
  else if (user_error != NULL)
    g_propagate_error (error, g_steal_pointer (&user_error));
  return valid;
}

static void
on_plan_changed (InstallPage *self)
{
  g_autofree char *missing = NULL;
  g_autoptr (GError) error = NULL;
  gboolean ready;

  if (self->filling || self->entry == NULL)
    return;
  update_plan_label (self);
  ready = plan_is_valid (self, &error);
  if (!gallery_entry_is_available (self->entry, &missing))
    gtk_label_set_text (self->plan_label, missing);
  else if (!ready)
    gtk_label_set_text (self->plan_label, error->message);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "install.create", ready && missing == NULL);
}

static void
fill_plan (InstallPage *self)
{
  AlcoveApplication *application = alcove_application_get ();
  g_autoptr (InstallPlan) plan =
      install_plan_new (self->entry, alcove_application_get_store (application));
  guint64 least_memory = MAX (gallery_entry_get_minimum_memory (self->entry), MACHINE_MEMORY_MIN);
  guint64 most_memory =
      MAX (MIN (install_plan_get_host_memory (), MACHINE_MEMORY_MAX), plan->memory);
  guint64 least_disk = MAX (gallery_entry_get_minimum_disk_size (self->entry), GIB);

  self->filling = TRUE;
  gtk_editable_set_text (self->name_row, plan->name);
  gtk_adjustment_set_upper (self->cpus,
                            MAX (MIN (g_get_num_processors (), MACHINE_CPUS_MAX), plan->cpus));
  gtk_adjustment_set_lower (self->cpus, MAX (gallery_entry_get_minimum_cpus (self->entry), 1));
  gtk_adjustment_set_value (self->cpus, plan->cpus);
  gtk_adjustment_set_lower (self->memory, (double) (least_memory / MIB));
  gtk_adjustment_set_upper (self->memory, (double) (most_memory / MIB));
  gtk_adjustment_set_value (self->memory, (double) (plan->memory / MIB));
  gtk_adjustment_set_lower (self->disk, (double) ((least_disk + GIB - 1) / GIB));
  gtk_adjustment_set_value (self->disk, (double) (plan->disk_size / GIB));
  gtk_widget_set_visible (self->disk_row, plan->disk_size != 0);
  gtk_switch_set_active (self->network, plan->network == MACHINE_NETWORK_USER);
  gtk_editable_set_text (self->user_row, plan->user != NULL ? plan->user : "");
  gtk_editable_set_text (self->password_row, "");
  adw_expander_row_set_expanded (self->settings_row, FALSE);
  self->filling = FALSE;
  on_plan_changed (self);
}

/* --- progress ------------------------------------------------------------------------------ */

static void
update_stages (InstallPage *self)
{
  GalleryStage stage = install_job_get_stage (self->job);

  for (guint i = 0; i < N_SHOWN_STAGES; i++)
    {
      gtk_widget_remove_css_class (self->stage_labels[i], "current");
      gtk_widget_remove_css_class (self->stage_labels[i], "done");
      if (shown_stages[i].stage == stage)
        gtk_widget_add_css_class (self->stage_labels[i], "current");
      else if (shown_stages[i].stage < stage && stage <= GALLERY_STAGE_DONE)
        gtk_widget_add_css_class (self->stage_labels[i], "done");
    }
}

static gboolean
on_pulse (gpointer data)
{
  gtk_progress_bar_pulse (INSTALL_PAGE (data)->progress);
  return G_SOURCE_CONTINUE;
}

static void
update_fraction (InstallPage *self)
{
  double fraction = install_job_get_fraction (self->job);
  gboolean pulsing = fraction < 0 && install_job_get_state (self->job) == INSTALL_JOB_RUNNING;

  if (pulsing && self->pulse == 0)
    self->pulse = g_timeout_add (PULSE_MS, on_pulse, self);
  else if (!pulsing)
    g_clear_handle_id (&self->pulse, g_source_remove);
  if (!pulsing)
    gtk_progress_bar_set_fraction (self->progress, CLAMP (fraction, 0, 1));
}

static void
on_job_changed (InstallPage *self)
{
  InstallJobState state = install_job_get_state (self->job);
  gboolean running = state == INSTALL_JOB_RUNNING;

  update_stages (self);
  update_fraction (self);
  gtk_label_set_text (self->status_label, install_job_get_status (self->job));
  gtk_button_set_label (self->pause_button, running ? _ ("_Pause") : _ ("_Continue"));
  if (state == INSTALL_JOB_FAILED)
    gtk_label_set_text (self->error_label, install_job_get_error (self->job));
  gtk_stack_set_visible_child_name (self->stack,
                                    state == INSTALL_JOB_FAILED ? "failed" : "progress");
}

static void
set_job (InstallPage *self, InstallJob *job)
{
  if (self->job != NULL)
    g_clear_signal_handler (&self->job_handler, self->job);
  g_clear_handle_id (&self->pulse, g_source_remove);
  g_set_object (&self->job, job);
  gtk_widget_set_visible (self->settings_group, job == NULL);
  gtk_widget_set_visible (self->user_group,
                          job == NULL && self->entry != NULL && makes_user (self));
  if (job == NULL)
    {
      gtk_stack_set_visible_child_name (self->stack, "ready");
      return;
    }
  self->job_handler = g_signal_connect_swapped (job, "notify", G_CALLBACK (on_job_changed), self);
  on_job_changed (self);
}

/* --- actions ------------------------------------------------------------------------------- */

static void
action_create (GtkWidget *widget, const char *name, GVariant *parameter)
{
  InstallPage *self = INSTALL_PAGE (widget);
  g_autoptr (InstallPlan) plan = NULL;
  g_autoptr (GError) error = NULL;

  if (self->entry == NULL || self->job != NULL || !plan_is_valid (self, NULL))
    return;
  plan = read_plan (self);
  if (makes_user (self))
    plan->password_hash =
        gallery_seed_hash_password (gtk_editable_get_text (self->password_row), &error);
  if (error != NULL)
    {
      gtk_label_set_text (self->plan_label, error->message);
      return;
    }
  gtk_editable_set_text (self->password_row, "");
  set_job (self, install_jobs_add (get_jobs (), self->entry, plan));
  gtk_widget_grab_focus (GTK_WIDGET (self->pause_button));
}

static void
action_pause (GtkWidget *widget, const char *name, GVariant *parameter)
{
  InstallPage *self = INSTALL_PAGE (widget);

  if (self->job != NULL && install_job_get_state (self->job) == INSTALL_JOB_RUNNING)
    install_job_pause (self->job);
  else if (self->job != NULL)
    install_job_run (self->job);
}

static void
action_give_up (GtkWidget *widget, const char *name, GVariant *parameter)
{
  InstallPage *self = INSTALL_PAGE (widget);
  g_autoptr (InstallJob) job = self->job != NULL ? g_object_ref (self->job) : NULL;

  if (job == NULL)
    return;
  set_job (self, NULL);
  install_jobs_give_up (get_jobs (), job);
  gtk_widget_grab_focus (self->create_button);
}

/* Enter in a row of the user's. */
static void
on_user_activated (InstallPage *self)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "install.create", NULL);
}

/* --- the page ------------------------------------------------------------------------------ */

static void
show_entry (InstallPage *self)
{
  g_autofree char *title = gallery_entry_dup_title (self->entry);
  const char *kind = gallery_card_describe_kind (gallery_entry_get_kind (self->entry));
  const char *vendor = gallery_entry_get_vendor (self->entry);
  const char *login = gallery_entry_get_login (self->entry);
  g_autofree char *subtitle = vendor != NULL && kind != NULL
                                  ? g_strdup_printf ("%s · %s", vendor, kind)
                                  : g_strdup (vendor);

  system_logo_set_entry (self->logo, self->entry);
  adw_window_title_set_title (self->window_title, title);
  gtk_label_set_text (self->title_label, title);
  gtk_label_set_text (self->subtitle_label, subtitle);
  gtk_label_set_text (self->summary_label, gallery_entry_get_summary (self->entry));
  gtk_label_set_text (self->login_label, login);
  gtk_widget_set_visible (self->login_group, login != NULL);
  entry_facts_fill (self->facts, self->entry);
  fill_plan (self);
}

void
install_page_set_entry (InstallPage *self, GalleryEntry *entry)
{
  g_return_if_fail (INSTALL_IS_PAGE (self));
  g_set_object (&self->entry, entry);
  if (entry == NULL)
    {
      set_job (self, NULL);
      gtk_editable_set_text (self->password_row, "");
      return;
    }
  show_entry (self);
  set_job (self, install_jobs_find (get_jobs (), entry));
  gtk_adjustment_set_value (gtk_scrolled_window_get_vadjustment (self->scroller), 0);
}

GalleryEntry *
install_page_get_entry (InstallPage *self)
{
  return self->entry;
}

void
install_page_focus (InstallPage *self)
{
  if (self->job != NULL)
    gtk_widget_grab_focus (GTK_WIDGET (self->pause_button));
  else if (self->entry != NULL && makes_user (self))
    gtk_widget_grab_focus (GTK_WIDGET (self->password_row));
  else
    gtk_widget_grab_focus (self->create_button);
}

static void
install_page_dispose (GObject *object)
{
  InstallPage *self = INSTALL_PAGE (object);
  GtkWidget *child;

  if (self->job != NULL)
    g_clear_signal_handler (&self->job_handler, self->job);
  g_clear_handle_id (&self->pulse, g_source_remove);
  g_clear_object (&self->job);
  g_clear_object (&self->entry);
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))) != NULL)
    gtk_widget_unparent (child);
  G_OBJECT_CLASS (install_page_parent_class)->dispose (object);
}

static void
bind_children (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_child (widget_class, InstallPage, window_title);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, scroller);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, logo);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, title_label);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, subtitle_label);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, summary_label);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, stack);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, create_button);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, plan_label);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, stages);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, progress);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, status_label);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, pause_button);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, error_label);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, retry_button);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, settings_group);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, settings_row);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, name_row);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, cpus);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, memory_row);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, memory);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, disk_row);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, disk);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, network);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, user_group);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, user_row);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, password_row);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, login_group);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, login_label);
  gtk_widget_class_bind_template_child (widget_class, InstallPage, facts);
}

static void
install_page_class_init (InstallPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = install_page_dispose;
  g_type_ensure (SYSTEM_TYPE_LOGO);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/alcove/Alcove/assistant/install-page.ui");
  bind_children (widget_class);
  gtk_widget_class_bind_template_callback (widget_class, on_plan_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_user_activated);
  gtk_widget_class_install_action (widget_class, "install.create", NULL, action_create);
  gtk_widget_class_install_action (widget_class, "install.pause", NULL, action_pause);
  gtk_widget_class_install_action (widget_class, "install.retry", NULL, action_pause);
  gtk_widget_class_install_action (widget_class, "install.give-up", NULL, action_give_up);
}

static void
install_page_init (InstallPage *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  for (guint i = 0; i < N_SHOWN_STAGES; i++)
    {
      self->stage_labels[i] = gtk_label_new (_ (shown_stages[i].name));
      gtk_widget_add_css_class (self->stage_labels[i], "stage");
      gtk_box_append (self->stages, self->stage_labels[i]);
    }
}
