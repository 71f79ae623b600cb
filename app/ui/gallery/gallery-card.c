#include "ui/gallery/gallery-card.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include <string.h>
#include "ui/widgets/system-logo.h"

struct _GalleryCard
{
  GtkFlowBoxChild parent_instance;

  GalleryEntry *entry;
  SystemLogo *logo;
  GtkLabel *title_label;
  GtkLabel *detail_label;
  GtkLabel *size_label;
};

G_DEFINE_FINAL_TYPE (GalleryCard, gallery_card, GTK_TYPE_FLOW_BOX_CHILD)

GalleryEntry *
gallery_card_get_entry (GalleryCard *self)
{
  return self->entry;
}

const char *
gallery_card_describe_kind (const char *kind)
{
  static const struct
  {
    const char *kind;
    const char *name;
  } kinds[] = {
    { "disk-image", N_ ("Ready-made disk") },
    { "iso", N_ ("Installation disc") },
    { "live", N_ ("Live system") },
    { "installer", N_ ("Installer") },
  };

  for (gsize i = 0; kind != NULL && i < G_N_ELEMENTS (kinds); i++)
    if (strcmp (kinds[i].kind, kind) == 0)
      return _ (kinds[i].name);
  return kind;
}

char *
gallery_card_dup_size_text (GalleryEntry *entry)
{
  guint64 bytes = gallery_entry_get_download_size (entry);
  g_autofree char *missing = NULL;
  g_autofree char *size = NULL;

  if (gallery_entry_is_local (entry))
    return g_strdup (gallery_entry_is_available (entry, &missing) ? _ ("On this computer")
                                                                  : _ ("A package is missing"));
  if (bytes == 0)
    return g_strdup (_ ("Download of unknown size"));
  size = g_format_size (bytes);
  return g_strdup_printf (_ ("%s to download"), size);
}

GtkWidget *
gallery_card_new (GalleryEntry *entry)
{
  GalleryCard *self = g_object_new (GALLERY_TYPE_CARD, NULL);
  g_autofree char *title = gallery_entry_dup_title (entry);
  g_autofree char *size = gallery_card_dup_size_text (entry);
  const char *kind = gallery_card_describe_kind (gallery_entry_get_kind (entry));
  const char *variant = gallery_entry_get_variant (entry);
  g_autofree char *detail =
      variant != NULL ? g_strdup_printf ("%s · %s", kind, variant) : g_strdup (kind);
  g_autofree char *description =
      detail != NULL ? g_strdup_printf ("%s, %s, %s", title, detail, size) : g_strdup (title);

  self->entry = g_object_ref (entry);
  gtk_label_set_text (self->title_label, title);
  gtk_widget_set_tooltip_text (GTK_WIDGET (self), gallery_entry_get_summary (entry));
  gtk_label_set_text (self->detail_label, detail);
  gtk_label_set_text (self->size_label, size);
  system_logo_set_entry (self->logo, entry);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, description,
                                  -1);
  return GTK_WIDGET (self);
}

static void
gallery_card_dispose (GObject *object)
{
  g_clear_object (&GALLERY_CARD (object)->entry);
  G_OBJECT_CLASS (gallery_card_parent_class)->dispose (object);
}

static void
gallery_card_class_init (GalleryCardClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = gallery_card_dispose;
  g_type_ensure (SYSTEM_TYPE_LOGO);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/alcove/Alcove/gallery/gallery-card.ui");
  gtk_widget_class_bind_template_child (widget_class, GalleryCard, logo);
  gtk_widget_class_bind_template_child (widget_class, GalleryCard, title_label);
  gtk_widget_class_bind_template_child (widget_class, GalleryCard, detail_label);
  gtk_widget_class_bind_template_child (widget_class, GalleryCard, size_label);
}

static void
gallery_card_init (GalleryCard *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
