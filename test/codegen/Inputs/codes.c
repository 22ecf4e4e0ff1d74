/* What init and run of a compiled model return: with memory, without, and with memory that is not
 * aligned as it must be. */
#include <stdio.h>
#include "m.h"
#include "quern.h"

_Alignas(64) static unsigned char memory[M_MEMORY_BYTES + 64];
static int8_t x[M_INPUT0_COUNT], y[M_OUTPUT0_COUNT];
static float z[M_OUTPUT1_COUNT];

int main(void) {
  printf("init %d, without memory %d, misaligned %d; ", (int)m_init(memory), (int)m_init(NULL),
         (int)m_init(memory + 32));
  const void *in[] = {x};
  void *out[] = {y, z};
  printf("run %d, without memory %d, misaligned %d\n", (int)m_run(memory, x, y, z),
         (int)m_model.run(NULL, in, out), (int)m_model.run(memory + 1, in, out));
  return 0;
}
