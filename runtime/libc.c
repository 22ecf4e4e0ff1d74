/* memcpy, memmove and memset, under C's names and under those of ARM's run-time ABI (IHI 0043), for
 * objects that link with no C library: code generation adds, as local functions, those that the
 * back end calls.
 *
 * A count is declared as a pointer: that is what a size_t is to every target's calling convention,
 * while an integer type of the compiling machine would not be. Counts are below 2^32. Built with
 * -fno-builtin, so that no loop becomes a call of the very function that it is in. */
#include <stdint.h>

typedef const void *size;
typedef uint32_t __attribute__((may_alias)) word;

static inline uint32_t number_of(size count) { return (uint32_t)(uintptr_t)count; }
static inline uint32_t misaligned(const void *at) { return (uint32_t)(uintptr_t)at & 3; }

/* From the start, so that `to` may overlap what is behind it. */
static inline void copy_forward(uint8_t *to, const uint8_t *from, uint32_t count) {
  uint32_t i = 0;
  if (!misaligned(to) && !misaligned(from))
    for (; count - i >= 4; i += 4)
      *(word *)(void *)(to + i) = *(const word *)(const void *)(from + i);
  for (; i < count; i++) to[i] = from[i];
}

static inline void move(uint8_t *to, const uint8_t *from, uint32_t count) {
  if ((uintptr_t)to - (uintptr_t)from >= count)
    copy_forward(to, from, count);
  else
    while (count-- > 0) to[count] = from[count];
}

static inline void fill(uint8_t *to, int32_t byte, uint32_t count) {
  uint32_t i = 0, four = (uint32_t)(uint8_t)byte * 0x01010101u;
  for (; i < count && misaligned(to + i); i++) to[i] = (uint8_t)byte;
  for (; count - i >= 4; i += 4) *(word *)(void *)(to + i) = four;
  for (; i < count; i++) to[i] = (uint8_t)byte;
}

void *memcpy(void *to, const void *from, size count);
void *memcpy(void *to, const void *from, size count) {
  copy_forward(to, from, number_of(count));
  return to;
}

void *memmove(void *to, const void *from, size count);
void *memmove(void *to, const void *from, size count) {
  move(to, from, number_of(count));
  return to;
}

void *memset(void *to, int32_t byte, size count);
void *memset(void *to, int32_t byte, size count) {
  fill(to, byte, number_of(count));
  return to;
}

/* ARM: nothing is returned, count and byte of memset change places, memclr fills with 0. With a
 * number behind the name both ends are aligned to it. */
#define AEABI(alignment)                                                                           \
  void __aeabi_memcpy##alignment(void *to, const void *from, size count);                          \
  void __aeabi_memcpy##alignment(void *to, const void *from, size count) {                         \
    copy_forward(to, from, number_of(count));                                                      \
  }                                                                                                \
  void __aeabi_memmove##alignment(void *to, const void *from, size count);                         \
  void __aeabi_memmove##alignment(void *to, const void *from, size count) {                        \
    move(to, from, number_of(count));                                                              \
  }                                                                                                \
  void __aeabi_memset##alignment(void *to, size count, int32_t byte);                              \
  void __aeabi_memset##alignment(void *to, size count, int32_t byte) {                             \
    fill(to, byte, number_of(count));                                                              \
  }                                                                                                \
  void __aeabi_memclr##alignment(void *to, size count);                                            \
  void __aeabi_memclr##alignment(void *to, size count) { fill(to, 0, number_of(count)); }
AEABI()
AEABI(4)
AEABI(8)
