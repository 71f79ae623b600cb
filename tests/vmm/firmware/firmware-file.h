#pragma once

#include <stddef.h>
#include <stdint.h>
#include <glib.h>

/* Files that look like a UEFI firmware's: its variables, none of them there yet, and its code. Owned by the caller. */
#define FIRMWARE_FILE_SIZE                                                                         \
  0x5000u /* of the variables: the store, and the fault-tolerant writer's blocks */
#define FIRMWARE_FILE_FIRST                                                                        \
  0x64u /* where the first variable goes: behind the headers of volume and store */
#define FIRMWARE_FILE_STORE_END 0x2000u
#define FIRMWARE_FILE_FTW       0x3000u
#define FIRMWARE_FILE_CODE_SIZE 0x10000u

uint8_t *firmware_file_variables (void);
uint8_t *firmware_file_code (void);

/* Little-endian. */
void firmware_file_put (uint8_t *bytes, uint64_t value, unsigned size);
