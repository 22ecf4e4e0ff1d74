/* What harness.c wants of the system it runs on: linux.c, board.c. */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdint.h>

int run_all(void); /* the exit status */

/* Bytes of the samples; 0 at their end. */
int read_bytes(void *to, uintptr_t bytes);
void write_bytes(const void *from, uintptr_t bytes);
void report(const char *text, uintptr_t size);
/* Of the stack, how much below the caller's frame may be painted. */
uintptr_t stack_room(void);

/* Whether memory has pages that can be protected, and the bytes of one, or what stands for one. */
#ifndef PAGES
#define PAGES 0
#endif
enum { PAGE = PAGES ? 4096 : 16, MAY_READ = 1, MAY_WRITE = 2 };
/* Says what may be done with whole pages, where there are any. */
void protect(void *from, uintptr_t bytes, long may);

#endif
