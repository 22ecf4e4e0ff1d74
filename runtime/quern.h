/* The description of a compiled model, for programs that handle any model alike: harnesses,
 * benchmarks, loaders. A program that knows its model includes the generated MODEL.h instead.
 *
 * An object file made by quern exports `NAME_init`, `NAME_run` and `NAME_model`, needs no other
 * symbol, has no writable data, and keeps all of its state in the memory that the caller passes:
 *
 *   extern const quern_model kws_model;
 *   void *memory = aligned_alloc(kws_model.memory_align, kws_model.memory_bytes);
 *   if (kws_model.init(memory) == 0) kws_model.run(memory, inputs, outputs);
 */
#ifndef QUERN_H
#define QUERN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUERN_ABI 1

/* Element types of tensors, as stored. */
enum {
  QUERN_F32 = 1,
  QUERN_F16 = 2,
  QUERN_BF16 = 3,
  QUERN_I4 = 4,
  QUERN_I8 = 5,
  QUERN_U8 = 6,
  QUERN_I16 = 7,
  QUERN_I32 = 8,
  QUERN_I64 = 9,
  QUERN_BOOL = 10
};

/* What init and run return. */
enum {
  QUERN_OK = 0,
  QUERN_ECORRUPT = 1, /* the coded weights inside the object do not decode to what was compiled */
  QUERN_EALIGN = 2,   /* memory is NULL or not aligned to memory_align */
  QUERN_ESELFTEST = 3, /* NAME_selftest: another answer than was computed when the model was compiled */
  QUERN_ESPLIT = 4,   /* the description's init: decoded weights have a memory of their own (quern compile
                         --split-memory); call NAME_init, which takes both */
  QUERN_EMACHINE = 5  /* init: the processor or the system lacks what the object's row needs (AMX) */
};

typedef struct quern_tensor {
  const char *name;
  uint32_t type, rank;  /* QUERN_F32, ...; number of dims */
  const int32_t *dims;  /* NHWC, batch first */
  float scale;          /* real = scale * (stored - zero); 0 when the tensor is not quantized */
  int32_t zero;
  size_t bytes;
} quern_tensor;

typedef struct quern_model {
  uint32_t abi; /* QUERN_ABI */
  const char *name;
  size_t memory_bytes, memory_align; /* what init and run want; bytes may be 0 */
  uint32_t input_count, output_count;
  const quern_tensor *inputs, *outputs;
  int32_t (*init)(void *memory); /* once, before run; QUERN_OK or an error above */
  int32_t (*run)(void *memory, const void *const *inputs, void *const *outputs);
} quern_model;

#ifdef __cplusplus
}
#endif
#endif
