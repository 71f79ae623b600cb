#pragma once

#include <libsoup/soup.h>

G_BEGIN_DECLS

/* How Alcove speaks HTTP. Thread: a session belongs to the thread that made it. */

/* Bodies come as they are sent: a .gz is not unpacked under our hands, as it would be hashed
 * wrongly. */
SoupSession *gallery_http_session_new (void);

/* "The server answers 404 Not Found for URL", with a G_IO_ERROR that fits. */
void gallery_http_set_status_error (SoupMessage *message, GError **error);

/* Whether asking again later may help. */
gboolean gallery_http_is_temporary (guint status);

G_END_DECLS
