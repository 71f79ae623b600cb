#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-http.h"

/* Without a byte for this long a connection counts as broken. */
#define IDLE_SECONDS 30

SoupSession *
gallery_http_session_new (void)
{
  SoupSession *session =
      soup_session_new_with_options ("user-agent", "Alcove/" ALCOVE_VERSION, "timeout",
                                     IDLE_SECONDS, "idle-timeout", IDLE_SECONDS, NULL);

  soup_session_remove_feature_by_type (session, SOUP_TYPE_CONTENT_DECODER);
  return session;
}

void
gallery_http_set_status_error (SoupMessage *message, GError **error)
{
  guint status = soup_message_get_status (message);
  g_autofree char *url =
      g_uri_to_string_partial (soup_message_get_uri (message), G_URI_HIDE_PASSWORD);
  const char *phrase = soup_status_get_phrase (status);
  int code = status == SOUP_STATUS_NOT_FOUND || status == SOUP_STATUS_GONE ? G_IO_ERROR_NOT_FOUND
             : status == SOUP_STATUS_FORBIDDEN || status == SOUP_STATUS_UNAUTHORIZED
                 ? G_IO_ERROR_PERMISSION_DENIED
                 : G_IO_ERROR_FAILED;

  g_set_error (error, G_IO_ERROR, code, "The server answers %u %s for %s", status, phrase, url);
}

gboolean
gallery_http_is_temporary (guint status)
{
  return status == SOUP_STATUS_REQUEST_TIMEOUT || status == 429 ||
         status == SOUP_STATUS_INTERNAL_SERVER_ERROR || status == SOUP_STATUS_BAD_GATEWAY ||
         status == SOUP_STATUS_SERVICE_UNAVAILABLE || status == SOUP_STATUS_GATEWAY_TIMEOUT;
}
