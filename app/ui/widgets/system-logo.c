#include "ui/widgets/system-logo.h"

#include <adwaita.h>

#define N_COLORS     8
#define DEFAULT_SIZE 56

struct _SystemLogo
{
  GtkWidget parent_instance;

  GtkWidget *label;
  GtkWidget *image;
  int size;
  char *color_class;
};

enum
{
  PROP_SIZE = 1,
};

G_DEFINE_FINAL_TYPE (SystemLogo, system_logo, GTK_TYPE_WIDGET)

/* "openSUSE Tumbleweed" gives "OT", "Debian" gives "D". */
static char *
make_initials (const char *name)
{
  g_auto (GStrv) words = g_strsplit (name, " ", -1);
  GString *initials = g_string_new (NULL);

  for (guint i = 0; words[i] != NULL && initials->len < 8 && g_utf8_strlen (initials->str, -1) < 2;
       i++)
    if (g_unichar_isalpha (g_utf8_get_char (words[i])))
      g_string_append_unichar (initials, g_unichar_toupper (g_utf8_get_char (words[i])));
  return g_string_free (initials, FALSE);
}

static gboolean
has_icon (SystemLogo *self, const char *icon)
{
  GtkIconTheme *theme = gtk_icon_theme_get_for_display (gtk_widget_get_display (GTK_WIDGET (self)));

  return icon != NULL && gtk_icon_theme_has_icon (theme, icon);
}

void
system_logo_set_entry (SystemLogo *self, GalleryEntry *entry)
{
  const char *name = gallery_entry_get_name (entry);
  const char *icon = gallery_entry_get_logo (entry);
  g_autofree char *initials = make_initials (name);
  gboolean drawn = has_icon (self, icon);

  if (self->color_class != NULL)
    gtk_widget_remove_css_class (GTK_WIDGET (self), self->color_class);
  g_free (self->color_class);
  self->color_class = g_strdup_printf ("color%u", g_str_hash (name) % N_COLORS);
  if (!drawn)
    gtk_widget_add_css_class (GTK_WIDGET (self), self->color_class);
  if (drawn)
    gtk_image_set_from_icon_name (GTK_IMAGE (self->image), icon);
  gtk_label_set_text (GTK_LABEL (self->label), initials);
  gtk_widget_set_visible (self->image, drawn);
  gtk_widget_set_visible (self->label, !drawn);
}

static void
set_size (SystemLogo *self, int size)
{
  PangoAttrList *attributes = pango_attr_list_new ();

  self->size = size;
  gtk_widget_set_size_request (GTK_WIDGET (self), size, size);
  gtk_image_set_pixel_size (GTK_IMAGE (self->image), size);
  pango_attr_list_insert (attributes, pango_attr_size_new_absolute (size * PANGO_SCALE * 2 / 5));
  pango_attr_list_insert (attributes, pango_attr_weight_new (PANGO_WEIGHT_HEAVY));
  gtk_label_set_attributes (GTK_LABEL (self->label), attributes);
  pango_attr_list_unref (attributes);
}

static void
system_logo_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  if (id == PROP_SIZE)
    set_size (SYSTEM_LOGO (object), g_value_get_int (value));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
system_logo_dispose (GObject *object)
{
  SystemLogo *self = SYSTEM_LOGO (object);

  g_clear_pointer (&self->label, gtk_widget_unparent);
  g_clear_pointer (&self->image, gtk_widget_unparent);
  g_clear_pointer (&self->color_class, g_free);
  G_OBJECT_CLASS (system_logo_parent_class)->dispose (object);
}

static void
system_logo_class_init (SystemLogoClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->set_property = system_logo_set_property;
  G_OBJECT_CLASS (klass)->dispose = system_logo_dispose;
  g_object_class_install_property (G_OBJECT_CLASS (klass), PROP_SIZE,
                                   g_param_spec_int ("size", NULL, NULL, 16, 512, DEFAULT_SIZE,
                                                     G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS));
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_css_name (widget_class, "systemlogo");
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_PRESENTATION);
}

static void
system_logo_init (SystemLogo *self)
{
  self->label = gtk_label_new (NULL);
  gtk_widget_set_parent (self->label, GTK_WIDGET (self));
  self->image = gtk_image_new ();
  gtk_widget_set_parent (self->image, GTK_WIDGET (self));
  gtk_widget_set_overflow (GTK_WIDGET (self), GTK_OVERFLOW_HIDDEN);
  gtk_widget_set_halign (GTK_WIDGET (self), GTK_ALIGN_CENTER);
  gtk_widget_set_valign (GTK_WIDGET (self), GTK_ALIGN_CENTER);
  set_size (self, DEFAULT_SIZE);
}
