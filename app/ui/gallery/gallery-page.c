#include "ui/gallery/gallery-page.h"

#include <adwaita.h>
#include "ui/alcove-window.h"
#include "ui/gallery/gallery-card.h"

struct _GalleryPage
{
  GtkWidget parent_instance;

  GtkStack *stack;
  AdwStatusPage *empty_page;
  GtkFlowBox *grid;

  GalleryCatalog *catalog;
  GtkCustomFilter *filter;
  GtkFilterListModel *found;
  char *search;
};

G_DEFINE_FINAL_TYPE (GalleryPage, gallery_page, GTK_TYPE_WIDGET)

static gboolean
matches (gpointer item, gpointer data)
{
  GalleryPage *self = data;

  return self->search == NULL || gallery_entry_matches (item, self->search);
}

static GtkWidget *
create_card (gpointer item, gpointer data)
{
  return gallery_card_new (item);
}

static void
update_stack (GalleryPage *self)
{
  const char *name = "list";

  if (g_list_model_get_n_items (G_LIST_MODEL (self->found)) == 0)
    name = g_list_model_get_n_items (G_LIST_MODEL (self->catalog)) == 0 ? "empty" : "nothing-found";
  gtk_stack_set_visible_child_name (self->stack, name);
}

static void
on_child_activated (GalleryPage *self, GtkFlowBoxChild *child)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));

  if (ALCOVE_IS_WINDOW (root))
    alcove_window_show_entry (ALCOVE_WINDOW (root), gallery_card_get_entry (GALLERY_CARD (child)));
}

void
gallery_page_set_catalog (GalleryPage *self, GalleryCatalog *catalog)
{
  const char *const *problems = gallery_catalog_get_problems (catalog);
  g_autofree char *text =
      problems != NULL && problems[0] != NULL ? g_strjoinv ("\n", (GStrv) problems) : NULL;

  g_return_if_fail (self->catalog == NULL);
  self->catalog = g_object_ref (catalog);
  self->filter = gtk_custom_filter_new (matches, self, NULL);
  self->found = gtk_filter_list_model_new (G_LIST_MODEL (g_object_ref (catalog)),
                                           GTK_FILTER (g_object_ref (self->filter)));
  gtk_flow_box_bind_model (self->grid, G_LIST_MODEL (self->found), create_card, NULL, NULL);
  adw_status_page_set_description (self->empty_page, text);
  update_stack (self);
}

void
gallery_page_set_search (GalleryPage *self, const char *text)
{
  g_free (self->search);
  self->search = g_strdup (text);
  gtk_filter_changed (GTK_FILTER (self->filter), GTK_FILTER_CHANGE_DIFFERENT);
  update_stack (self);
}

const char *
gallery_page_get_face (GalleryPage *self)
{
  return gtk_stack_get_visible_child_name (self->stack);
}

void
gallery_page_focus (GalleryPage *self)
{
  GtkFlowBoxChild *first = gtk_flow_box_get_child_at_index (self->grid, 0);

  if (first != NULL)
    gtk_widget_grab_focus (GTK_WIDGET (first));
}

static void
gallery_page_dispose (GObject *object)
{
  GalleryPage *self = GALLERY_PAGE (object);

  if (self->grid != NULL)
    gtk_flow_box_bind_model (self->grid, NULL, NULL, NULL, NULL);
  if (self->filter != NULL)
    gtk_custom_filter_set_filter_func (self->filter, NULL, NULL, NULL);
  self->grid = NULL;
  g_clear_object (&self->found);
  g_clear_object (&self->filter);
  g_clear_object (&self->catalog);
  g_clear_pointer (&self->search, g_free);
  g_clear_pointer ((GtkWidget **) &self->stack, gtk_widget_unparent);
  G_OBJECT_CLASS (gallery_page_parent_class)->dispose (object);
}

static void
gallery_page_class_init (GalleryPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = gallery_page_dispose;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/alcove/Alcove/gallery/gallery-page.ui");
  gtk_widget_class_bind_template_child (widget_class, GalleryPage, stack);
  gtk_widget_class_bind_template_child (widget_class, GalleryPage, empty_page);
  gtk_widget_class_bind_template_child (widget_class, GalleryPage, grid);
  gtk_widget_class_bind_template_callback (widget_class, on_child_activated);
}

static void
gallery_page_init (GalleryPage *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
