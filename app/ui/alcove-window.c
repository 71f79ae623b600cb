#include "ui/alcove-window.h"

#include <glib/gi18n.h>
#include <string.h>
#include "ui/assistant/disc-window.h"
#include "ui/assistant/install-page.h"
#include "ui/gallery/gallery-page.h"
#include "ui/library/library-page.h"
#include "ui/machine/machine-actions.h"
#include "ui/machine/machine-disc.h"
#include "ui/machine/machine-page.h"

#define UNDO_SECONDS 12

struct _AlcoveWindow
{
  AdwApplicationWindow parent_instance;

  AdwToastOverlay *toasts;
  AdwLeaflet *leaflet;
  AdwLeafletPage *install_leaflet_page;
  GtkWidget *main_page;
  AdwViewStack *views;
  GtkToggleButton *search_button;
  GtkSearchBar *search_bar;
  GtkEditable *search_entry;
  LibraryPage *library_page;
  GalleryPage *gallery_page;
  InstallPage *install_page;
  MachinePage *machine_page;
};

G_DEFINE_FINAL_TYPE (AlcoveWindow, alcove_window, ADW_TYPE_APPLICATION_WINDOW)

static AlcoveApplication *
get_app (AlcoveWindow *self)
{
  return ALCOVE_APPLICATION (gtk_window_get_application (GTK_WINDOW (self)));
}

/* --- going about --------------------------------------------------------------------------- */

static const char *
get_place (AlcoveWindow *self)
{
  return adw_leaflet_get_visible_child_name (self->leaflet);
}

static void
leave_machine (AlcoveWindow *self)
{
  AlcoveMachine *machine = machine_page_get_machine (self->machine_page);

  if (machine == NULL)
    return;
  if (gtk_window_is_fullscreen (GTK_WINDOW (self)))
    gtk_window_unfullscreen (GTK_WINDOW (self));
  if (alcove_machine_is_active (machine) &&
      ui_state_tell_once (alcove_application_get_ui_state (get_app (self)), "runs-on"))
    {
      g_autofree char *text = g_strdup_printf (_ ("“%s” keeps running, also when you close Alcove"),
                                               alcove_machine_get_name (machine));

      alcove_window_tell (self, text);
    }
}

/* The pages that went out of sight let go of what they showed when the slide is over, so that
 * nothing disappears before the user's eyes. */
static void
on_settled (AlcoveWindow *self)
{
  const char *place = get_place (self);

  if (adw_leaflet_get_child_transition_running (self->leaflet))
    return;
  if (strcmp (place, "machine") != 0)
    machine_page_set_machine (self->machine_page, NULL);
  if (strcmp (place, "main") == 0)
    install_page_set_entry (self->install_page, NULL);
}

static void
update_title (AlcoveWindow *self)
{
  AlcoveMachine *machine = alcove_window_get_machine (self);

  gtk_window_set_title (GTK_WINDOW (self),
                        machine != NULL ? alcove_machine_get_name (machine) : "Alcove");
}

/* Where it was, if it is there: to focus a child once more moves on to the next. */
static void
focus_views (AlcoveWindow *self)
{
  GtkWidget *focus = gtk_window_get_focus (GTK_WINDOW (self));

  if (focus == NULL || !gtk_widget_is_ancestor (focus, GTK_WIDGET (self->views)))
    gtk_widget_child_focus (GTK_WIDGET (self->views), GTK_DIR_TAB_FORWARD);
}

static void
on_place_changed (AlcoveWindow *self)
{
  const char *place = get_place (self);
  gboolean machine = strcmp (place, "machine") == 0;

  if (!machine)
    leave_machine (self);
  library_page_set_live (self->library_page, !machine);
  /* A swipe inside a guest's screen is the guest's. */
  adw_leaflet_set_can_navigate_back (self->leaflet, !machine);
  update_title (self);
  if (strcmp (place, "main") == 0)
    focus_views (self);
  on_settled (self);
}

static void
show_view (AlcoveWindow *self, const char *view)
{
  adw_view_stack_set_visible_child_name (self->views, view);
  adw_leaflet_set_visible_child_name (self->leaflet, "main");
}

void
alcove_window_show_library (AlcoveWindow *self)
{
  show_view (self, "library");
}

void
alcove_window_show_gallery (AlcoveWindow *self)
{
  show_view (self, "gallery");
  gallery_page_focus (self->gallery_page);
}

void
alcove_window_show_entry (AlcoveWindow *self, GalleryEntry *entry)
{
  install_page_set_entry (self->install_page, entry);
  adw_leaflet_page_set_navigatable (self->install_leaflet_page, TRUE);
  adw_leaflet_set_visible_child_name (self->leaflet, "install");
  install_page_focus (self->install_page);
}

void
alcove_window_show_machine (AlcoveWindow *self, AlcoveMachine *machine)
{
  machine_page_set_machine (self->machine_page, machine);
  adw_leaflet_page_set_navigatable (self->install_leaflet_page, FALSE);
  adw_leaflet_set_visible_child_name (self->leaflet, "machine");
  update_title (self);
  machine_page_focus (self->machine_page);
}

void
alcove_window_let_go_of_machine (AlcoveWindow *self)
{
  alcove_window_show_library (self);
  machine_page_set_machine (self->machine_page, NULL);
}

char *
alcove_window_dup_place (AlcoveWindow *self)
{
  const char *view = adw_view_stack_get_visible_child_name (self->views);
  const char *face = strcmp (view, "library") == 0 ? library_page_get_face (self->library_page)
                                                   : gallery_page_get_face (self->gallery_page);

  if (strcmp (get_place (self), "main") != 0)
    return g_strdup (get_place (self));
  return g_strconcat (view, "/", face, NULL);
}

AlcoveMachine *
alcove_window_get_machine (AlcoveWindow *self)
{
  if (self->machine_page == NULL || g_strcmp0 (get_place (self), "machine") != 0)
    return NULL;
  return machine_page_get_machine (self->machine_page);
}

GtkWidget *
alcove_window_get_machine_page (AlcoveWindow *self)
{
  return alcove_window_get_machine (self) != NULL ? GTK_WIDGET (self->machine_page) : NULL;
}

gboolean
alcove_window_take_job (AlcoveWindow *self, InstallJob *job)
{
  AlcoveMachine *machine = install_job_get_machine (job);

  if (strcmp (get_place (self), "install") != 0 ||
      install_page_get_entry (self->install_page) != install_job_get_entry (job))
    return FALSE;
  alcove_window_show_machine (self, machine);
  machine_actions_run_command (machine, "start", "", GTK_WIDGET (self));
  return TRUE;
}

/* --- telling ------------------------------------------------------------------------------- */

void
alcove_window_tell (AlcoveWindow *self, const char *text)
{
  AdwToast *toast = adw_toast_new ("");
  g_autofree char *escaped = g_markup_escape_text (text, -1);

  adw_toast_set_title (toast, escaped);
  adw_toast_overlay_add_toast (self->toasts, toast);
}

static AdwToast *
new_machine_toast (const char *format_text, const char *button)
{
  g_autofree char *escaped = g_markup_escape_text (format_text, -1);
  AdwToast *toast = adw_toast_new (escaped);

  adw_toast_set_button_label (toast, button);
  return toast;
}

void
alcove_window_tell_ready (AlcoveWindow *self, AlcoveMachine *machine)
{
  g_autofree char *text =
      g_strdup_printf (_ ("“%s” is ready and starts"), alcove_machine_get_name (machine));
  AdwToast *toast = new_machine_toast (text, _ ("_Show"));

  adw_toast_set_action_name (toast, "app.open-machine");
  adw_toast_set_action_target (toast, "s", alcove_machine_get_id (machine));
  adw_toast_set_timeout (toast, 0);
  adw_toast_overlay_add_toast (self->toasts, toast);
}

void
alcove_window_tell_stubborn (AlcoveWindow *self, AlcoveMachine *machine)
{
  g_autofree char *text = g_strdup_printf (_ ("“%s” has not reacted to its power button yet"),
                                           alcove_machine_get_name (machine));
  AdwToast *toast = new_machine_toast (text, _ ("_Force Off"));

  adw_toast_set_action_name (toast, "app.machine-command");
  adw_toast_set_action_target (toast, "(sss)", "force-off", alcove_machine_get_id (machine), "");
  adw_toast_overlay_add_toast (self->toasts, toast);
}

/* One deleted machine that can still be brought back. */
typedef struct Undo
{
  MachineStore *store;
  GWeakRef window;
  char *name;
  char *trash_name;
} Undo;

static void
undo_free (gpointer data, GClosure *closure)
{
  Undo *undo = data;

  g_object_unref (undo->store);
  g_weak_ref_clear (&undo->window);
  g_free (undo->name);
  g_free (undo->trash_name);
  g_free (undo);
}

static void
on_undo (AdwToast *toast, Undo *undo)
{
  g_autofree char *trash_name = g_steal_pointer (&undo->trash_name);
  g_autoptr (AlcoveWindow) window = g_weak_ref_get (&undo->window);
  g_autoptr (GError) error = NULL;
  g_autoptr (AlcoveMachine) machine = machine_store_restore (undo->store, trash_name, &error);

  if (machine == NULL && window != NULL)
    alcove_window_tell (window, error->message);
}

static void
on_undo_over (AdwToast *toast, Undo *undo)
{
  g_debug ("%s: the undo is over%s", undo->name, undo->trash_name != NULL ? ", purged" : "");
  if (undo->trash_name != NULL)
    machine_store_purge_async (undo->store, undo->trash_name, NULL, NULL, NULL);
}

void
alcove_window_tell_deleted (AlcoveWindow *self, const char *name, const char *trash_name)
{
  g_autofree char *text = g_strdup_printf (_ ("“%s” was deleted"), name);
  AdwToast *toast = new_machine_toast (text, _ ("_Undo"));
  Undo *undo = g_new0 (Undo, 1);

  undo->store = g_object_ref (alcove_application_get_store (get_app (self)));
  undo->name = g_strdup (name);
  undo->trash_name = g_strdup (trash_name);
  g_weak_ref_init (&undo->window, self);
  adw_toast_set_timeout (toast, UNDO_SECONDS);
  adw_toast_set_priority (toast, ADW_TOAST_PRIORITY_HIGH);
  g_signal_connect_data (toast, "button-clicked", G_CALLBACK (on_undo), undo, undo_free, 0);
  g_signal_connect (toast, "dismissed", G_CALLBACK (on_undo_over), undo);
  adw_toast_overlay_add_toast (self->toasts, toast);
}

/* --- actions ------------------------------------------------------------------------------- */

static void
action_back (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AlcoveWindow *self = ALCOVE_WINDOW (widget);

  if (gtk_search_bar_get_search_mode (self->search_bar) && strcmp (get_place (self), "main") == 0)
    gtk_search_bar_set_search_mode (self->search_bar, FALSE);
  else
    adw_leaflet_navigate (self->leaflet, ADW_NAVIGATION_DIRECTION_BACK);
}

static void
action_view (GtkWidget *widget, const char *name, GVariant *parameter)
{
  if (strcmp (name, "win.gallery") == 0)
    alcove_window_show_gallery (ALCOVE_WINDOW (widget));
  else
    alcove_window_show_library (ALCOVE_WINDOW (widget));
}

static void
action_search (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AlcoveWindow *self = ALCOVE_WINDOW (widget);

  if (strcmp (get_place (self), "main") != 0)
    return;
  gtk_search_bar_set_search_mode (self->search_bar, TRUE);
  gtk_widget_grab_focus (GTK_WIDGET (self->search_entry));
}

static void
action_fullscreen (GtkWidget *widget, const char *name, GVariant *parameter)
{
  if (gtk_window_is_fullscreen (GTK_WINDOW (widget)))
    gtk_window_unfullscreen (GTK_WINDOW (widget));
  else if (alcove_window_get_machine (ALCOVE_WINDOW (widget)) != NULL)
    gtk_window_fullscreen (GTK_WINDOW (widget));
}

static void
action_new_from_disc (GtkWidget *widget, const char *name, GVariant *parameter)
{
  disc_window_choose (GTK_WINDOW (widget));
}

/* A disc image dropped on the library or the gallery becomes a machine; dropped on a machine that is off or on, it goes into its
 * drive. */
static gboolean
on_drop (AlcoveWindow *self, const GValue *value)
{
  const GSList *files = g_value_get_boxed (value);
  g_autofree char *path = files != NULL ? g_file_get_path (files->data) : NULL;
  AlcoveMachine *machine = alcove_window_get_machine (self);

  if (path == NULL || files->next != NULL)
    return FALSE;
  if (machine != NULL)
    machine_disc_insert_file (machine, path, GTK_WINDOW (self));
  else
    disc_window_present (path, GTK_WINDOW (self));
  return TRUE;
}

static void
add_drop_target (AlcoveWindow *self)
{
  GtkDropTarget *target = gtk_drop_target_new (GDK_TYPE_FILE_LIST, GDK_ACTION_COPY);

  g_signal_connect_swapped (target, "drop", G_CALLBACK (on_drop), self);
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (target));
}

/* Bubbling: the focused widget, and with it a guest's screen, comes first. */
static const struct
{
  const char *trigger;
  const char *action;
} shortcuts[] = {
  { "<Alt>Left", "win.back" },
  { "Escape", "win.back" },
  { "<Alt>1", "win.library" },
  { "<Alt>2", "win.gallery" },
  { "<Control>g", "win.gallery" },
  { "<Control>f", "win.search" },
  { "F11", "win.fullscreen" },
  { "<Control>n", "app.new-window" },
  { "<Control><Shift>n", "win.new-from-disc" },
  { "<Control>comma", "app.preferences" },
  { "<Control>question", "win.show-help-overlay" },
  { "<Control>w", "window.close" },
  { "<Control>q", "app.quit" },
};

static void
add_shortcuts (AlcoveWindow *self)
{
  GtkEventController *controller = gtk_shortcut_controller_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (shortcuts); i++)
    gtk_shortcut_controller_add_shortcut (
        GTK_SHORTCUT_CONTROLLER (controller),
        gtk_shortcut_new (gtk_shortcut_trigger_parse_string (shortcuts[i].trigger),
                          gtk_named_action_new (shortcuts[i].action)));
  gtk_widget_add_controller (GTK_WIDGET (self), controller);
}

/* --- the window ---------------------------------------------------------------------------- */

static void
on_search_changed (AlcoveWindow *self)
{
  const char *text = gtk_editable_get_text (self->search_entry);

  library_page_set_search (self->library_page, text);
  gallery_page_set_search (self->gallery_page, text);
}

static void
on_view_changed (AlcoveWindow *self)
{
  gboolean gallery =
      g_strcmp0 (adw_view_stack_get_visible_child_name (self->views), "gallery") == 0;

  gtk_search_entry_set_key_capture_widget (GTK_SEARCH_ENTRY (self->search_entry),
                                           gallery ? GTK_WIDGET (self->main_page) : NULL);
}

static gboolean
on_close_request (AlcoveWindow *self)
{
  AlcoveApplication *application = get_app (self);
  AlcoveMachine *machine = alcove_window_get_machine (self);
  UiState *state = alcove_application_get_ui_state (application);
  g_autoptr (GNotification) notification = NULL;
  g_autofree char *title = NULL;
  int width, height;

  gtk_window_get_default_size (GTK_WINDOW (self), &width, &height);
  if (!gtk_window_is_fullscreen (GTK_WINDOW (self)))
    ui_state_set_window_size (state, width, height, gtk_window_is_maximized (GTK_WINDOW (self)));
  if (machine == NULL || !alcove_machine_is_active (machine) ||
      !ui_state_tell_once (state, "runs-on"))
    return GDK_EVENT_PROPAGATE;
  title = g_strdup_printf (_ ("“%s” Keeps Running"), alcove_machine_get_name (machine));
  notification = g_notification_new (title);
  g_notification_set_body (notification, _ ("Open Alcove to use it again or to shut it down."));
  g_notification_set_default_action_and_target (notification, "app.open-machine", "s",
                                                alcove_machine_get_id (machine));
  g_application_send_notification (G_APPLICATION (application), "runs-on", notification);
  return GDK_EVENT_PROPAGATE;
}

static void
alcove_window_dispose (GObject *object)
{
  AlcoveWindow *self = ALCOVE_WINDOW (object);

  if (self->machine_page != NULL)
    machine_page_set_machine (self->machine_page, NULL);
  self->machine_page = NULL;
  G_OBJECT_CLASS (alcove_window_parent_class)->dispose (object);
}

static void
alcove_window_class_init (AlcoveWindowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = alcove_window_dispose;
  g_type_ensure (LIBRARY_TYPE_PAGE);
  g_type_ensure (GALLERY_TYPE_PAGE);
  g_type_ensure (INSTALL_TYPE_PAGE);
  g_type_ensure (MACHINE_TYPE_PAGE);
  gtk_widget_class_set_template_from_resource (widget_class, "/org/alcove/Alcove/alcove-window.ui");
  gtk_widget_class_bind_template_child (widget_class, AlcoveWindow, toasts);
  gtk_widget_class_bind_template_child (widget_class, AlcoveWindow, leaflet);
  gtk_widget_class_bind_template_child (widget_class, AlcoveWindow, install_leaflet_page);
  gtk_widget_class_bind_template_child (widget_class, AlcoveWindow, main_page);
  gtk_widget_class_bind_template_child (widget_class, AlcoveWindow, views);
  gtk_widget_class_bind_template_child (widget_class, AlcoveWindow, search_button);
  gtk_widget_class_bind_template_child (widget_class, AlcoveWindow, search_bar);
  gtk_widget_class_bind_template_child (widget_class, AlcoveWindow, search_entry);
  gtk_widget_class_bind_template_child (widget_class, AlcoveWindow, library_page);
  gtk_widget_class_bind_template_child (widget_class, AlcoveWindow, gallery_page);
  gtk_widget_class_bind_template_child (widget_class, AlcoveWindow, install_page);
  gtk_widget_class_bind_template_child (widget_class, AlcoveWindow, machine_page);
  gtk_widget_class_bind_template_callback (widget_class, on_search_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_view_changed);
  gtk_widget_class_install_action (widget_class, "win.back", NULL, action_back);
  gtk_widget_class_install_action (widget_class, "win.library", NULL, action_view);
  gtk_widget_class_install_action (widget_class, "win.gallery", NULL, action_view);
  gtk_widget_class_install_action (widget_class, "win.new-from-disc", NULL, action_new_from_disc);
  gtk_widget_class_install_action (widget_class, "win.search", NULL, action_search);
  gtk_widget_class_install_action (widget_class, "win.fullscreen", NULL, action_fullscreen);
}

/* Not the header bar, where GTK would begin: Enter is to do what the page is for. */
static void
on_map (AlcoveWindow *self)
{
  if (gtk_window_get_focus (GTK_WINDOW (self)) == NULL)
    gtk_widget_child_focus (GTK_WIDGET (self->views), GTK_DIR_TAB_FORWARD);
}

static void
alcove_window_init (AlcoveWindow *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_search_bar_connect_entry (self->search_bar, self->search_entry);
  add_shortcuts (self);
  add_drop_target (self);
  g_signal_connect_swapped (self->leaflet, "notify::visible-child", G_CALLBACK (on_place_changed),
                            self);
  g_signal_connect_swapped (self->leaflet, "notify::child-transition-running",
                            G_CALLBACK (on_settled), self);
  g_signal_connect (self, "map", G_CALLBACK (on_map), NULL);
  g_signal_connect (self, "close-request", G_CALLBACK (on_close_request), NULL);
}

AlcoveWindow *
alcove_window_new (AlcoveApplication *application)
{
  AlcoveWindow *self = g_object_new (ALCOVE_TYPE_WINDOW, "application", application, NULL);
  UiState *state = alcove_application_get_ui_state (application);
  int width, height;
  gboolean maximized;

  if (ui_state_get_window_size (state, &width, &height, &maximized))
    {
      gtk_window_set_default_size (GTK_WINDOW (self), width, height);
      if (maximized)
        gtk_window_maximize (GTK_WINDOW (self));
    }
  library_page_set_models (self->library_page, alcove_application_get_store (application),
                           alcove_application_get_jobs (application));
  gallery_page_set_catalog (self->gallery_page, alcove_application_get_catalog (application));
  return self;
}
