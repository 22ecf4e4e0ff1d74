/* A compiled model -> a program for the instruction-counting harness (its bench.h) whose run is the
 * model's init: the decoding of its weights. Build with -DMODEL=NAME_model -DMEMORY_BYTES=N. */
#include "bench.h"
#include "quern.h"

extern const quern_model MODEL;
__attribute__((section(".arena"), aligned(64))) static unsigned char memory[MEMORY_BYTES];
static unsigned char none[16];

int bench_init(unsigned arg) {
  (void)arg;
  return MODEL.memory_bytes > sizeof memory;
}
void *bench_input(void) { return none; }
unsigned bench_input_bytes(void) { return sizeof none; }
void *bench_output(void) { return none; }
unsigned bench_output_bytes(void) { return sizeof none; }
unsigned bench_info(unsigned i) { return i ? 0 : (unsigned)MODEL.memory_bytes; }
int bench_run(void) { return (int)MODEL.init(memory); }
