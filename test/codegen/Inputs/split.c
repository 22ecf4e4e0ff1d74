/* A model with one memory for all, with split memories, and with raw weights: equal answers. */
#include <stdio.h>
#include <string.h>
#include "one.h"
#include "quern.h"
#include "raw.h"
#include "two.h"

_Alignas(64) static unsigned char a[ONE_MEMORY_BYTES], b[TWO_MEMORY_BYTES], c[RAW_MEMORY_BYTES];
_Alignas(64) static unsigned char weights[TWO_WEIGHTS_MEMORY_BYTES + 1];
static int8_t x[ONE_INPUT0_COUNT], y[3][ONE_OUTPUT0_COUNT];
static float z[3][ONE_OUTPUT1_COUNT];

int main(void) {
  for (int i = 0; i < ONE_INPUT0_COUNT; i++) x[i] = (int8_t)(37 * i);
  printf("one memory of %d\n", ONE_MEMORY_BYTES);
  printf("two memories of %d\n", TWO_MEMORY_BYTES + TWO_WEIGHTS_MEMORY_BYTES);
  printf("raw weights: the other of %d\n", RAW_WEIGHTS_MEMORY_BYTES);
  if (one_init(a) || two_init(b, weights) || raw_init(c, NULL)) return 1;
  if (one_run(a, x, y[0], z[0]) || two_run(b, x, y[1], z[1]) || raw_run(c, x, y[2], z[2])) return 1;
  for (int i = 1; i < 3; i++)
    if (memcmp(y[0], y[i], sizeof y[0]) || memcmp(z[0], z[i], sizeof z[0])) return 1;
  const void *in[] = {x};
  void *out[] = {y[2], z[2]};
  if (two_model.run(b, in, out) || memcmp(y[0], y[2], sizeof y[0])) return 1;
  printf("equal\n");
  printf("without weights' memory %d, misaligned %d, by the description %d, by raw's %d\n",
         (int)two_init(b, NULL), (int)two_init(b, weights + 1), (int)two_model.init(b),
         (int)raw_model.init(c));
  return 0;
}
