#pragma once

#include "transport/fd-request.h"

G_BEGIN_DECLS

/* Answers each request with a new connection to the Unix socket at the path `data`. */
void path_provider_answer (FdRequest *request, gpointer data);

G_END_DECLS
