/* Two models beside each other in one program: each answers, and neither touches the other. */
#include <stdio.h>
#include "first.h"
#include "second.h"

_Alignas(64) static unsigned char memory[FIRST_MEMORY_BYTES + SECOND_MEMORY_BYTES + 128];

int main(void) {
  unsigned char *other = memory + (FIRST_MEMORY_BYTES + 63) / 64 * 64;
  int8_t x[128], one[3], two[3];
  for (int i = 0; i < 128; i++) x[i] = (int8_t)(i * 37);
  if (first_init(memory) || second_init(other)) return 1;
  if (first_run(memory, x, one) || second_run(other, x, two)) return 1;
  for (int i = 0; i < 3; i++)
    if (one[i] != two[i]) return 1;
  printf("%d %d %d\n", one[0], one[1], one[2]);
  return 0;
}
