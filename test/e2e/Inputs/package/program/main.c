/* Runs three compiled models on (1, 2); where there is a C library, prints what they answer. */
#include "integer.h"
#include "other.h"
#include "quern.h"
#include "tiny.h"
#if __STDC_HOSTED__
#include <stdio.h>
#endif

_Alignas(64) static unsigned char memory[TINY_MEMORY_BYTES + OTHER_MEMORY_BYTES +
                                         INTEGER_MEMORY_BYTES + 64];
extern const quern_model tiny_model;

int main(void) {
  const float in[2] = {1, 2};
  float out[2], again[2], rounded[2];
  if (tiny_model.abi != QUERN_ABI || tiny_init(memory) != QUERN_OK ||
      tiny_run(memory, in, out) != QUERN_OK)
    return 1;
  if (integer_init(memory) != QUERN_OK || integer_run(memory, in, rounded) != QUERN_OK) return 1;
  if (other_init(memory) != QUERN_OK || other_run(memory, in, again) != QUERN_OK) return 1;
#if __STDC_HOSTED__
  printf("answer %g %g, %g %g, %.0f %.0f\n", out[0], out[1], again[0], again[1], rounded[0],
         rounded[1]);
#endif
  return out[0] != again[0];
}
