#pragma once

#include "cli/cli.h"
#include "ui/alcove-application.h"

/* Carries out `alcove show`: opens the window on what was asked for, starts the machine, waits for
 * its picture, saves the window, closes it. Takes `show`. The command line's exit status is set and
 * its process ends when all is done.
 *
 * Each step that is reached is printed as one JSON object on one line:
 *   {"stage":"window","seconds":0.41}
 *   {"stage":"running","seconds":...,"accelerator":"kvm"|"emulated"}
 *   {"stage":"connected","seconds":...}
 *   {"stage":"picture","seconds":...,"width":...,"height":...,"colors":...,"shared-memory":bool,
 *    "gl":bool}
 *   {"stage":"screenshot","seconds":...,"file":...}
 * Seconds count from the start of the request. */
void show_request_run (AlcoveApplication *application, GApplicationCommandLine *command_line,
                       CliShow *show);
