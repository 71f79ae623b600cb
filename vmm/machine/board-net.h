#pragma once

#include "machine/board-private.h"
#include "config/vm-forward.h"

/* The machine's network card and what it is plugged into. */
bool board_net_create (Board *board, GError **error);
