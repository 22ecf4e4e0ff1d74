/* What convolution, depthwise convolution and matrix product share: taps, sums of products, and the
 * way from accumulators to stored values. */
#ifndef QN_BLOCKS_H
#define QN_BLOCKS_H

#include "fixed.h"
#include "real.h"

/* Channels whose accumulators are kept together: a few vectors of any target. */
enum { QN_BLOCK = 16 };

/* Marks a loop that LLVM should turn into vector code as it stands, not unroll first. */
#ifdef __clang__
#define QN_KEEP_LOOP _Pragma("clang loop unroll(disable)")
#else
#define QN_KEEP_LOOP
#endif

/* from..to-1; empty when to <= from. */
typedef struct {
  int32_t from, to;
} qn_span;

/* The taps k of 0..taps-1 whose place origin + k*dilation is in 0..size-1. */
QN_INLINE qn_span qn_taps_inside(int32_t origin, int32_t dilation, int32_t taps, int32_t size) {
  int32_t before = qn_max(-origin, 0), room = qn_max(size - origin, 0);
  qn_span s = {qn_min((before + dilation - 1) / dilation, taps),
               qn_min((room + dilation - 1) / dilation, taps)};
  return s;
}

/* Sum over k of x[k] * w[k], modulo 2^32. The sum of one output: LLVM makes multiply-add
 * instructions of the 16-bit products only as long as neither factor is shared with another sum,
 * which gains more than the loads that sharing would save. */
QN_INLINE uint32_t qn_dot_i8(const int16_t *x, const int8_t *w, int32_t count) {
  uint32_t sum = 0;
  for (int32_t k = 0; k < count; k++) sum += (uint32_t)((int32_t)x[k] * (int32_t)w[k]);
  return sum;
}

QN_INLINE int64_t qn_dot_long(const int16_t *x, const int8_t *w, int32_t count) {
  int64_t sum = 0;
  for (int32_t k = 0; k < count; k++) sum += (int32_t)x[k] * (int32_t)w[k];
  return sum;
}

/* y[r] = sum over k of x[k] * w[first + r*count + k] for `rows` (at most QN_DOTS) rows of w. Floats
 * are summed strictly in order of k, as TFLite's reference kernels do, so that results are theirs
 * to the bit and do not depend on the target's vectors; the rows are what can run side by side, and
 * runs of 8 elements keep LLVM from gathering w column by column. */
enum { QN_DOTS = 4 };
QN_INLINE void qn_dots_f32(const float *x, const void *w, int32_t first, int32_t count,
                           int32_t rows, int32_t form, float *y) {
  float sum[QN_DOTS] = {0};
  int32_t whole = count / 8 * 8;
  QN_KEEP_LOOP
  for (int32_t k = 0; k < whole; k += 8)
    for (int32_t r = 0; r < rows; r++)
      for (int32_t j = 0; j < 8; j++)
        sum[r] += x[k + j] * qn_float_in(w, first + r * count + k + j, form);
  for (int32_t k = whole; k < count; k++)
    for (int32_t r = 0; r < rows; r++) sum[r] += x[k] * qn_float_in(w, first + r * count + k, form);
  for (int32_t r = 0; r < rows; r++) y[r] = sum[r];
}

/* The stored values of channels first..first+count-1 from their accumulators, bias included;
 * in[3], in[4]: mul and shr. */
QN_INLINE void qn_store_channels(const qn_conv_i8_params *p, const void *const *in,
                                 const uint32_t *acc, int32_t first, int32_t count, void *y,
                                 int32_t wide) {
  const qn_scale_bits *mul = in[3];
  const int8_t *shr = in[4];
  QN_KEEP_LOOP
  for (int32_t i = 0; i < count; i++) {
    int32_t s = p->per_channel ? first + i : 0;
    int32_t scaled =
        qn_requantize((int32_t)acc[i], mul[s], shr ? shr[s] : 0, (qn_contract)p->contract);
    qn_save(y, first + i, wide, qn_store_value(scaled, p->y_zero, p->low, p->high));
  }
}

typedef int64_t __attribute__((may_alias)) qn_long;

/* One channel from its int64 accumulator, bias not included. */
QN_INLINE void qn_store_long(const qn_conv_i8_params *p, const void *const *in, int64_t acc,
                             int32_t channel, void *y) {
  const qn_long *bias = in[2];
  const qn_scale_bits *mul = in[3];
  const int8_t *shr = in[4];
  int32_t s = p->per_channel ? channel : 0;
  if (bias) acc = (int64_t)((uint64_t)acc + (uint64_t)bias[channel]);
  int32_t scaled = qn_requantize_long(acc, mul[s], shr ? shr[s] : 0, (qn_contract)p->contract);
  qn_save(y, channel, 1, qn_store_value(scaled, p->y_zero, p->low, p->high));
}

#endif
