/* Runs a compiled model on every sample of a .npy file and compares with the answers of another:
 *   cc -DMODEL=kws_model golden.c kws.o -o golden && ./golden input.npy output.npy
 * Integer results must be equal in every byte, f32 results within 1e-5 of the answers' range.
 * Inputs stored as bytes feed an f32 input by value. Prints `N samples, W wrong`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "quern.h"

extern const quern_model MODEL;

typedef struct {
  char *data;
  size_t bytes;
  int elem_bytes;
} array;

static array read_npy(const char *path) {
  FILE *f = fopen(path, "rb");
  unsigned char head[10];
  if (!f || fread(head, 1, 10, f) != 10) exit(fprintf(stderr, "cannot read %s\n", path) != 0);
  int header = head[8] + 256 * head[9];
  char *text = calloc(1, (size_t)header + 1);
  if (fread(text, 1, (size_t)header, f) != (size_t)header) exit(1);
  array a = {malloc(64u << 20), 0, strstr(text, "4'") ? 4 : 1};
  a.bytes = fread(a.data, 1, 64u << 20, f);
  free(text);
  fclose(f);
  return a;
}

static int differs(const char *got, const char *want, size_t bytes, uint32_t type,
                   float tolerance) {
  if (type != QUERN_F32) return memcmp(got, want, bytes) != 0;
  for (size_t i = 0; i < bytes / 4; i++) {
    float a, b;
    memcpy(&a, got + 4 * i, 4);
    memcpy(&b, want + 4 * i, 4);
    if (!(fabsf(a - b) <= tolerance)) return 1;
  }
  return 0;
}

/* 1e-5 of the distance between the largest and the smallest answer */
static float tolerance_of(const array *want) {
  float low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i + 4 <= want->bytes && want->elem_bytes == 4; i += 4) {
    float x;
    memcpy(&x, want->data + i, 4);
    low = fminf(low, x);
    high = fmaxf(high, x);
  }
  return 1e-5f * (high - low);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  array input = read_npy(argv[1]), want = read_npy(argv[2]);
  const quern_tensor *in = &MODEL.inputs[0], *out = &MODEL.outputs[0];
  int widen = in->type == QUERN_F32 && input.elem_bytes == 1;
  size_t stride = widen ? in->bytes / 4 : in->bytes;
  size_t samples = input.bytes / stride, wrong = 0;
  void *memory = NULL;
  if (posix_memalign(&memory, MODEL.memory_align, MODEL.memory_bytes + 1) != 0) return 1;
  memset(memory, 0xa5, MODEL.memory_bytes);
  if (MODEL.init(memory) != QUERN_OK) return printf("init failed\n"), 1;
  float *real = malloc(in->bytes);
  char *got = malloc(out->bytes), *copy = malloc(in->bytes);
  for (size_t n = 0; n < samples; n++) {
    memcpy(copy, input.data + n * stride, stride);
    for (size_t i = 0; widen && i < stride; i++) real[i] = (unsigned char)copy[i];
    const void *ins[1] = {widen ? (void *)real : copy};
    void *outs[1] = {got};
    if (MODEL.run(memory, ins, outs) != QUERN_OK) return printf("run failed\n"), 1;
    wrong += (size_t)differs(got, want.data + n * out->bytes, out->bytes, out->type,
                             tolerance_of(&want));
  }
  printf("%zu samples, %zu wrong\n", samples, wrong);
  return wrong != 0 || samples * out->bytes != want.bytes;
}
