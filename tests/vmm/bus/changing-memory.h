#pragma once

/* Guest memory whose owner changes it at the worst moment: as soon as iov_read () or guest_memory_read () has copied something, every bit of it
 * in the guest's memory is another. A device that looks a second time at what it has read sees that, however it looks. Both are wrapped
 * by the linker (changing_memory_dep), the calls of the test itself too. */
void changing_memory_begin (void);

/* Returns how many reads there were. */
unsigned changing_memory_end (void);
