#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-catalog.h"

#include "base/app-dirs.h"

#include <string.h>

struct _GalleryCatalog
{
  GObject parent;
  GPtrArray *entries;  /* of GalleryEntry */
  GPtrArray *problems; /* of char *; NULL-terminated */
};

static void gallery_catalog_list_model_init (GListModelInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (GalleryCatalog, gallery_catalog, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL,
                                                      gallery_catalog_list_model_init))

static void
add_problem (GalleryCatalog *self, const char *text)
{
  g_debug ("catalog: %s", text);
  g_ptr_array_insert (self->problems, self->problems->len - 1, g_strdup (text));
}

static int
compare_entries (GalleryEntry *one, GalleryEntry *other)
{
  g_autofree char *one_title = gallery_entry_dup_title (one);
  g_autofree char *other_title = gallery_entry_dup_title (other);
  int order = g_utf8_collate (one_title, other_title);

  return order != 0 ? order : strcmp (gallery_entry_get_id (one), gallery_entry_get_id (other));
}

static void
add_entry (GalleryCatalog *self, GalleryEntry *entry)
{
  guint position = 0;

  for (guint i = 0; i < self->entries->len; i++)
    if (g_str_equal (gallery_entry_get_id (self->entries->pdata[i]), gallery_entry_get_id (entry)))
      {
        g_ptr_array_remove_index (self->entries, i);
        g_list_model_items_changed (G_LIST_MODEL (self), i, 1, 0);
        break;
      }
  while (position < self->entries->len &&
         compare_entries (self->entries->pdata[position], entry) < 0)
    position++;
  g_ptr_array_insert (self->entries, position, g_object_ref (entry));
  g_list_model_items_changed (G_LIST_MODEL (self), position, 0, 1);
}

gboolean
gallery_catalog_load_file (GalleryCatalog *self, const char *path, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *data = g_malloc (GALLERY_CATALOG_FILE_MAX + 1);
  g_autoptr (GFileInputStream) stream = NULL;
  g_autoptr (GalleryEntry) entry = NULL;
  gsize length;

  stream = g_file_read (file, NULL, error);
  if (stream == NULL ||
      !g_input_stream_read_all (G_INPUT_STREAM (stream), data, GALLERY_CATALOG_FILE_MAX + 1,
                                &length, NULL, error))
    {
      g_prefix_error (error, "%s: ", name);
      return FALSE;
    }
  if (self->entries->len >= GALLERY_CATALOG_MAX)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "%s: the gallery has %d entries already",
                   name, GALLERY_CATALOG_MAX);
      return FALSE;
    }
  entry = gallery_entry_parse (data, length, name, error);
  if (entry == NULL)
    return FALSE;
  add_entry (self, entry);
  return TRUE;
}

guint
gallery_catalog_load_folder (GalleryCatalog *self, const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  guint loaded = 0;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_autoptr (GError) error = NULL;

      if (name[0] == '.' || !g_str_has_suffix (name, ".json"))
        continue;
      if (gallery_catalog_load_file (self, path, &error))
        loaded++;
      else
        add_problem (self, error->message);
    }
  return loaded;
}

GalleryCatalog *
gallery_catalog_new (void)
{
  return g_object_new (GALLERY_TYPE_CATALOG, NULL);
}

GalleryCatalog *
gallery_catalog_new_default (void)
{
  GalleryCatalog *self = gallery_catalog_new ();
  g_auto (GStrv) folders = app_dirs_dup_gallery ();

  for (guint i = 0; folders[i] != NULL; i++)
    gallery_catalog_load_folder (self, folders[i]);
  return self;
}

GalleryEntry *
gallery_catalog_find (GalleryCatalog *self, const char *id)
{
  for (guint i = 0; i < self->entries->len; i++)
    if (g_str_equal (gallery_entry_get_id (self->entries->pdata[i]), id))
      return self->entries->pdata[i];
  return NULL;
}

const char *const *
gallery_catalog_get_problems (GalleryCatalog *self)
{
  return (const char *const *) self->problems->pdata;
}

static GType
gallery_catalog_get_item_type (GListModel *model)
{
  return GALLERY_TYPE_ENTRY;
}

static guint
gallery_catalog_get_n_items (GListModel *model)
{
  return GALLERY_CATALOG (model)->entries->len;
}

static gpointer
gallery_catalog_get_item (GListModel *model, guint position)
{
  GPtrArray *entries = GALLERY_CATALOG (model)->entries;

  return position < entries->len ? g_object_ref (entries->pdata[position]) : NULL;
}

static void
gallery_catalog_list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = gallery_catalog_get_item_type;
  iface->get_n_items = gallery_catalog_get_n_items;
  iface->get_item = gallery_catalog_get_item;
}

static void
gallery_catalog_finalize (GObject *object)
{
  GalleryCatalog *self = GALLERY_CATALOG (object);

  g_ptr_array_unref (self->entries);
  g_ptr_array_unref (self->problems);
  G_OBJECT_CLASS (gallery_catalog_parent_class)->finalize (object);
}

static void
gallery_catalog_class_init (GalleryCatalogClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = gallery_catalog_finalize;
}

static void
gallery_catalog_init (GalleryCatalog *self)
{
  self->entries = g_ptr_array_new_with_free_func (g_object_unref);
  self->problems = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (self->problems, NULL);
}
