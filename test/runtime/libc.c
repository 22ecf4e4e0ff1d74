/* The copies and fills that objects carry with them, against the C library's, at all alignments,
 * lengths and overlaps. They are compiled under other names: see libc.test. */
#include "check.h"

void *own_memcpy(void *to, const void *from, size_t count);
void *own_memmove(void *to, const void *from, size_t count);
void *own_memset(void *to, int byte, size_t count);
void __aeabi_memmove(void *to, const void *from, size_t count);
void __aeabi_memcpy4(void *to, const void *from, size_t count);
void __aeabi_memset(void *to, size_t count, int byte);
void __aeabi_memclr8(void *to, size_t count);

enum { BYTES = 48 };
static _Alignas(16) uint8_t start[BYTES], got[BYTES], want[BYTES];

static void begin(void) {
  memcpy(got, start, BYTES);
  memcpy(want, start, BYTES);
}

static void same(const char *what, const void *result, const void *to) {
  expect(what, 0, memcmp(got, want, BYTES), 0);
  expect(what, 1, result == to, 1);
}

static void check(size_t to, size_t from, size_t count) {
  begin();
  memmove(want + to, want + from, count);
  same("memmove", own_memmove(got + to, got + from, count), got + to);
  begin();
  memmove(want + to, want + from, count);
  __aeabi_memmove(got + to, got + from, count);
  same("__aeabi_memmove", NULL, NULL);
  begin();
  memcpy(want + to, start + from, count);
  same("memcpy", own_memcpy(got + to, start + from, count), got + to);
  begin();
  memset(want + to, (int)from - 300, count); /* a byte is what counts */
  same("memset", own_memset(got + to, (int)from - 300, count), got + to);
  begin();
  memset(want + to, (int)from, count);
  __aeabi_memset(got + to, count, (int)from);
  same("__aeabi_memset", NULL, NULL);
}

int main(void) {
  for (int i = 0; i < BYTES; i++) start[i] = (uint8_t)pick(1, 255);
  for (size_t to = 0; to < 20; to++)
    for (size_t from = 0; from < 20; from++)
      for (size_t count = 0; count <= BYTES - 20; count++) check(to, from, count);
  begin();
  memset(want + 8, 0, 19);
  __aeabi_memclr8(got + 8, 19);
  same("__aeabi_memclr8", NULL, NULL);
  begin();
  memcpy(want + 4, start + 8, 19);
  __aeabi_memcpy4(got + 4, start + 8, 19);
  same("__aeabi_memcpy4", NULL, NULL);
  return finish("libc");
}
