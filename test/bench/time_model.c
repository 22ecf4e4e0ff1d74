/* Times a compiled model: time_model SECONDS prints the smallest time of one run in microseconds.
 * Build with -DMODEL=kws_model and the object; input bytes are fixed noise. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "quern.h"

extern const quern_model MODEL;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Noise: any byte for integers; small reals for f32. */
static void *make_input(const quern_tensor *t) {
  char *data = malloc(t->bytes);
  unsigned state = 1;
  for (size_t i = 0; i < t->bytes; i++)
    data[i] = (char)((state = state * 1664525u + 1013904223u) >> 24);
  for (size_t i = 0; t->type == QUERN_F32 && i < t->bytes / 4; i++) {
    float real = (float)(signed char)data[4 * i] / 64;
    memcpy(data + 4 * i, &real, 4);
  }
  return data;
}

int main(int argc, char **argv) {
  double seconds = argc > 1 ? atof(argv[1]) : 0.3, best = 1e9;
  void *memory = NULL;
  if (posix_memalign(&memory, MODEL.memory_align, MODEL.memory_bytes + 1) != 0) return 1;
  if (MODEL.init(memory) != QUERN_OK) return 1;
  const void *in[16];
  void *out[16];
  for (unsigned i = 0; i < MODEL.input_count; i++) in[i] = make_input(&MODEL.inputs[i]);
  for (unsigned i = 0; i < MODEL.output_count; i++) out[i] = malloc(MODEL.outputs[i].bytes);
  for (double end = now() + seconds; now() < end;) {
    double start = now();
    if (MODEL.run(memory, in, out) != QUERN_OK) return 1;
    double took = now() - start;
    if (took < best) best = took;
  }
  printf("%.3f\n", best * 1e6);
  return 0;
}
