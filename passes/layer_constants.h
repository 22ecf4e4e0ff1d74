/* The integers of a convolution, depthwise convolution or dense layer beside its weights. */
#ifndef QN_LAYER_CONSTANTS_H
#define QN_LAYER_CONSTANTS_H

#include "passes.h"

/* The float layer, and how its input, weights and result are stored. */
typedef struct {
  const qn_op *op;
  const qn_type *x, *y; /* i8, or i16: then sums are int32 only where that provably holds them */
  const qn_value *w;    /* an i8 constant, one scale or one per channel of the result */
  qn_contract contract;
  int64_t largest; /* of an input less its zero point */
} qn_layer_reals;

typedef struct {
  int64_t *bias;  /* one per channel, in units of x.scale * w.scale; int32 unless long_sums */
  bool long_sums; /* accumulators and bias are int64 */
  int64_t count;  /* of mul and shr: 1 or one per channel */
  int32_t *mul;   /* of contract float: the bits of floats */
  int8_t *shr;
  bool shifts; /* shr is needed */
} qn_layer_constants;

/* In a. False: the contract or the accumulators cannot express the layer. */
bool qn_make_layer_constants(qn_arena *a, const qn_layer_reals *l, qn_layer_constants *out);

#endif
