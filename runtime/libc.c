/* memcpy, memmove and memset for objects that link with no C library: code generation adds, as
 * local functions, those that the back end calls.
 *
 * A count is declared as a pointer: that is what a size_t is to every target's calling convention,
 * while an integer type of the compiling machine would not be. Counts are below 2^32. The loops are
 * built with -fno-builtin, so that they do not become calls of these very functions. */
#include <stdint.h>

typedef const void *size;
typedef uint32_t __attribute__((may_alias)) word;

void *memcpy(void *restrict to, const void *restrict from, size count);
void *memmove(void *to, const void *from, size count);
void *memset(void *to, int32_t byte, size count);

static uint32_t number_of(size count) { return (uint32_t)(uintptr_t)count; }

/* Words where both ends are aligned, then bytes; from the start, so that `to` may overlap what is
 * behind it. */
static void copy_forward(uint8_t *to, const uint8_t *from, uint32_t count) {
  uint32_t i = 0;
  if ((((uint32_t)(uintptr_t)to | (uint32_t)(uintptr_t)from) & 3) == 0)
    for (; count - i >= 4; i += 4)
      *(word *)(void *)(to + i) = *(const word *)(const void *)(from + i);
  for (; i < count; i++) to[i] = from[i];
}

void *memcpy(void *restrict to, const void *restrict from, size count) {
  copy_forward(to, from, number_of(count));
  return to;
}

void *memmove(void *to, const void *from, size count) {
  uint8_t *y = to;
  const uint8_t *x = from;
  uint32_t n = number_of(count);
  if ((uintptr_t)y - (uintptr_t)x >= n)
    copy_forward(y, x, n);
  else
    while (n-- > 0) y[n] = x[n];
  return to;
}

void *memset(void *to, int32_t byte, size count) {
  uint8_t *y = to;
  uint32_t n = number_of(count), i = 0, four = (uint32_t)(uint8_t)byte * 0x01010101u;
  for (; i < n && (((uint32_t)(uintptr_t)(y + i)) & 3) != 0; i++) y[i] = (uint8_t)byte;
  for (; n - i >= 4; i += 4) *(word *)(void *)(y + i) = four;
  for (; i < n; i++) y[i] = (uint8_t)byte;
  return to;
}
