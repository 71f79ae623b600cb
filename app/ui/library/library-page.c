#include "ui/library/library-page.h"

#include <adwaita.h>
#include "ui/alcove-window.h"
#include "ui/library/job-card.h"
#include "ui/library/machine-card.h"

struct _LibraryPage
{
  GtkWidget parent_instance;

  GtkStack *stack;
  GtkFlowBox *grid;

  MachineStore *store;
  GtkFilterListModel *machines; /* those that the search finds */
  GListModel *items;            /* the jobs, then the machines */
  GtkCustomFilter *filter;
  GPtrArray *watched; /* the machines whose thumbnails are kept new for this page */
  char **words;       /* folded */
  gboolean live;
};

G_DEFINE_FINAL_TYPE (LibraryPage, library_page, GTK_TYPE_WIDGET)

static gboolean
matches (gpointer item, gpointer data)
{
  LibraryPage *self = data;
  g_autofree char *name = NULL;

  if (self->words == NULL || !ALCOVE_IS_MACHINE (item))
    return TRUE;
  name = g_utf8_casefold (alcove_machine_get_name (item), -1);
  for (char **word = self->words; *word != NULL; word++)
    if (strstr (name, *word) == NULL)
      return FALSE;
  return TRUE;
}

static GtkWidget *
create_card (gpointer item, gpointer data)
{
  if (INSTALL_IS_JOB (item))
    return job_card_new (item);
  return machine_card_new (item);
}

static void
update_stack (LibraryPage *self)
{
  const char *name = "grid";

  if (g_list_model_get_n_items (self->items) == 0)
    name = g_list_model_get_n_items (G_LIST_MODEL (self->store)) == 0 ? "empty" : "nothing-found";
  gtk_stack_set_visible_child_name (self->stack, name);
}

static void
update_thumbnails (LibraryPage *self)
{
  gboolean on = self->store != NULL && self->live && gtk_widget_get_mapped (GTK_WIDGET (self));
  g_autoptr (GPtrArray) before = g_steal_pointer (&self->watched);
  guint n_machines = on ? g_list_model_get_n_items (G_LIST_MODEL (self->store)) : 0;

  self->watched = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < n_machines; i++)
    {
      AlcoveMachine *machine = g_list_model_get_item (G_LIST_MODEL (self->store), i);

      alcove_machine_watch_thumbnail (machine);
      g_ptr_array_add (self->watched, machine);
    }
  for (guint i = 0; i < before->len; i++)
    alcove_machine_unwatch_thumbnail (before->pdata[i]);
}

static void
on_items_changed (LibraryPage *self)
{
  update_stack (self);
  update_thumbnails (self);
}

static void
on_child_activated (LibraryPage *self, GtkFlowBoxChild *child)
{
  if (MACHINE_IS_CARD (child))
    machine_card_open (MACHINE_CARD (child));
  else if (JOB_IS_CARD (child))
    job_card_open (JOB_CARD (child));
}

void
library_page_set_models (LibraryPage *self, MachineStore *store, InstallJobs *jobs)
{
  GListStore *models = g_list_store_new (G_TYPE_LIST_MODEL);

  g_return_if_fail (self->store == NULL);
  self->store = g_object_ref (store);
  self->filter = gtk_custom_filter_new (matches, self, NULL);
  self->machines = gtk_filter_list_model_new (G_LIST_MODEL (g_object_ref (store)),
                                              GTK_FILTER (g_object_ref (self->filter)));
  g_list_store_append (models, jobs);
  g_list_store_append (models, self->machines);
  self->items = G_LIST_MODEL (gtk_flatten_list_model_new (G_LIST_MODEL (models)));
  gtk_flow_box_bind_model (self->grid, self->items, create_card, self, NULL);
  g_signal_connect_object (self->items, "items-changed", G_CALLBACK (on_items_changed), self,
                           G_CONNECT_SWAPPED);
  on_items_changed (self);
}

void
library_page_set_search (LibraryPage *self, const char *text)
{
  g_autofree char *folded = g_utf8_casefold (text, -1);

  g_clear_pointer (&self->words, g_strfreev);
  if (folded[0] != '\0')
    self->words = g_strsplit (folded, " ", -1);
  gtk_filter_changed (GTK_FILTER (self->filter), GTK_FILTER_CHANGE_DIFFERENT);
  update_stack (self);
}

const char *
library_page_get_face (LibraryPage *self)
{
  return gtk_stack_get_visible_child_name (self->stack);
}

void
library_page_set_live (LibraryPage *self, gboolean live)
{
  self->live = live;
  update_thumbnails (self);
}

static void
library_page_map (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (library_page_parent_class)->map (widget);
  update_thumbnails (LIBRARY_PAGE (widget));
}

static void
library_page_unmap (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (library_page_parent_class)->unmap (widget);
  update_thumbnails (LIBRARY_PAGE (widget));
}

static void
library_page_dispose (GObject *object)
{
  LibraryPage *self = LIBRARY_PAGE (object);

  if (self->grid != NULL)
    gtk_flow_box_bind_model (self->grid, NULL, NULL, NULL, NULL);
  if (self->filter != NULL)
    gtk_custom_filter_set_filter_func (self->filter, NULL, NULL, NULL);
  g_clear_object (&self->items);
  g_clear_object (&self->machines);
  g_clear_object (&self->filter);
  g_clear_object (&self->store);
  update_thumbnails (self);
  g_clear_pointer (&self->words, g_strfreev);
  self->grid = NULL;
  g_clear_pointer ((GtkWidget **) &self->stack, gtk_widget_unparent);
  G_OBJECT_CLASS (library_page_parent_class)->dispose (object);
}

static void
library_page_finalize (GObject *object)
{
  g_ptr_array_unref (LIBRARY_PAGE (object)->watched);
  G_OBJECT_CLASS (library_page_parent_class)->finalize (object);
}

static void
library_page_class_init (LibraryPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = library_page_dispose;
  G_OBJECT_CLASS (klass)->finalize = library_page_finalize;
  widget_class->map = library_page_map;
  widget_class->unmap = library_page_unmap;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/alcove/Alcove/library/library-page.ui");
  gtk_widget_class_bind_template_child (widget_class, LibraryPage, stack);
  gtk_widget_class_bind_template_child (widget_class, LibraryPage, grid);
  gtk_widget_class_bind_template_callback (widget_class, on_child_activated);
}

static void
library_page_init (LibraryPage *self)
{
  self->live = TRUE;
  self->watched = g_ptr_array_new_with_free_func (g_object_unref);
  gtk_widget_init_template (GTK_WIDGET (self));
}
