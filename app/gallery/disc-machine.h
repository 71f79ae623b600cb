#pragma once

#include "machine/disc-image.h"
#include "machine/machine-store.h"

G_BEGIN_DECLS

/* A machine that starts from the user's own disc image, with an empty disk to install to. The image stays where it is. */

#define DISC_MACHINE_DISK_SIZE                                                                     \
  (G_GUINT64_CONSTANT (32) << 30) /* bytes, none of which is taken yet */

typedef struct DiscMachine
{
  char *file; /* absolute */
  char *name;
  guint cpus;
  guint64 memory;    /* bytes */
  guint64 disk_size; /* bytes; 0: no disk */
  MachineNetwork network;
} DiscMachine;

/* A plan for the image in `file`, to be changed before it is made: the disc's name, half of this computer's processors and
 * memory within reason. NULL: the file is no disc, or none that UEFI starts. */
DiscMachine *disc_machine_new (const char *file, MachineStore *store, GError **error);
/* The same, with the image read in a thread. */
void disc_machine_new_async (const char *file, MachineStore *store, GAsyncReadyCallback callback,
                             gpointer data);
DiscMachine *disc_machine_new_finish (MachineStore *store, GAsyncResult *result, GError **error);
void disc_machine_free (DiscMachine *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DiscMachine, disc_machine_free)

/* Complete in the library, or not at all. Blocks for small writes. Returns a reference. */
AlcoveMachine *disc_machine_create (const DiscMachine *plan, MachineStore *store, GError **error);

G_END_DECLS
