/* corrupt WEIGHTS_BYTES EVERY: init of a model `m` with split memories, with each of its bytes of
 * weights changed in turn, in one way; or with EVERY above 1 only each EVERYth byte, in all 255
 * ways. The model's code is built with an address sanitizer, m_weights can be written to, and
 * memories have exactly their sizes, so that any access beside them ends the program. Init must
 * report an error, or decode what it would have without the change (constants in front of the
 * stream are not coded). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "m.h"
#include "quern.h"

extern unsigned char m_weights[];

typedef struct {
  unsigned char *memory, *decoded, *good;
  long refused, same, wrong;
} state;

static void change_byte(state *s, size_t at, unsigned change) {
  m_weights[at] ^= (unsigned char)change;
  int status = m_init(s->memory, s->decoded);
  m_weights[at] ^= (unsigned char)change;
  if (status == QUERN_ECORRUPT)
    s->refused++;
  else if (status == QUERN_OK && memcmp(s->decoded, s->good, M_WEIGHTS_MEMORY_BYTES) == 0)
    s->same++;
  else
    s->wrong++;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  size_t bytes = (size_t)atol(argv[1]), every = (size_t)atol(argv[2]);
  state s = {aligned_alloc(64, M_MEMORY_BYTES),
             aligned_alloc(64, M_WEIGHTS_MEMORY_BYTES),
             malloc(M_WEIGHTS_MEMORY_BYTES),
             0,
             0,
             0};
  if (!s.memory || !s.decoded || !s.good) return 1;
  memset(s.decoded, 0, M_WEIGHTS_MEMORY_BYTES);
  if (m_init(s.memory, s.decoded) != QUERN_OK) return 1;
  memcpy(s.good, s.decoded, M_WEIGHTS_MEMORY_BYTES);
  for (size_t i = 0; i < bytes; i += every) {
    if (every == 1) change_byte(&s, i, 1 + (unsigned)(i * 37 % 255));
    for (unsigned change = 1; every > 1 && change < 256; change++) change_byte(&s, i, change);
  }
  printf("%ld refused, %ld without effect, %ld wrong\n", s.refused, s.same, s.wrong);
  free(s.memory);
  free(s.decoded);
  free(s.good);
  return s.wrong != 0;
}
