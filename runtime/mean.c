/* Means over any set of dims. */
#include "fixed.h"
#include "walk.h"

QN_INLINE int32_t count_summands(const qn_reduction *r) {
  return qn_row_count(r->sum_dim) * r->sum_dim[QN_KERNEL_RANK - 1];
}

/* y = sum of the elements, in the order in which they lie in the input, / their number. */
void qn_kernel_mean_f32(const qn_mean_f32_params *p, const void *const *in, void *out,
                        void *scratch) {
  (void)scratch;
  const qn_reduction *r = &p->r;
  int32_t width = r->keep_dim[QN_KERNEL_RANK - 1], step = r->keep_stride[QN_KERNEL_RANK - 1];
  int32_t length = r->sum_dim[QN_KERNEL_RANK - 1], stride = r->sum_stride[QN_KERNEL_RANK - 1];
  float *y = out, count = (float)count_summands(r);
  for (int32_t keep = 0; keep < qn_row_count(r->keep_dim); keep++, y += width) {
    const float *base = (const float *)in[0] + qn_row_offset(r->keep_dim, r->keep_stride, keep);
    for (int32_t i = 0; i < width; i++) y[i] = 0;
    for (int32_t row = 0; row < qn_row_count(r->sum_dim); row++) {
      const float *x = base + qn_row_offset(r->sum_dim, r->sum_stride, row);
      for (int32_t k = 0; k < length; k++)
        for (int32_t i = 0; i < width; i++) y[i] += x[k * stride + i * step];
    }
    for (int32_t i = 0; i < width; i++) y[i] /= count;
  }
}

/* Results that are summed side by side. */
enum { BLOCK = 16 };

/* y = sum of (x - x_zero), requantized, + y_zero, clamped; sums are modulo 2^32.
 *
 * TFLite's QuantizedMeanOrSum (reference/reduce.h), which divides by the count within the
 * multiplier. From mul, shr of the multiplier x.scale / y.scale (contract tflite or single):
 *   shift = min(floor(log2(count)), 32, 31 - shr)
 *   mul' = floor(mul * 2^shift / count),  shr' = shr + shift
 * are the mul and shr here. mulhi and float: those of x.scale / (y.scale * count). */
QN_INLINE void mean_block(const qn_mean_i8_params *p, const void *base, int32_t width, void *y,
                          int32_t wide) {
  const qn_reduction *r = &p->r;
  int32_t step = r->keep_stride[QN_KERNEL_RANK - 1];
  int32_t length = r->sum_dim[QN_KERNEL_RANK - 1], stride = r->sum_stride[QN_KERNEL_RANK - 1];
  uint32_t sum[BLOCK];
  for (int32_t i = 0; i < width; i++) sum[i] = (uint32_t)count_summands(r) * (uint32_t)-p->x_zero;
  for (int32_t row = 0; row < qn_row_count(r->sum_dim); row++) {
    const void *x = qn_from(base, qn_row_offset(r->sum_dim, r->sum_stride, row), wide);
    for (int32_t k = 0; k < length; k++)
      for (int32_t i = 0; i < width; i++)
        sum[i] += (uint32_t)qn_load(x, k * stride + i * step, wide);
  }
  for (int32_t i = 0; i < width; i++) {
    int32_t scaled = qn_requantize((int32_t)sum[i], p->mul, p->shr, (qn_contract)p->contract);
    qn_save(y, i, wide, qn_store_value(scaled, p->y_zero, p->low, p->high));
  }
}

QN_INLINE void mean_int(const qn_mean_i8_params *p, const void *in, void *out, int32_t wide) {
  const qn_reduction *r = &p->r;
  int32_t width = r->keep_dim[QN_KERNEL_RANK - 1], step = r->keep_stride[QN_KERNEL_RANK - 1];
  for (int32_t keep = 0; keep < qn_row_count(r->keep_dim); keep++) {
    const void *base = qn_from(in, qn_row_offset(r->keep_dim, r->keep_stride, keep), wide);
    void *y = qn_into(out, keep * width, wide);
    int32_t i = 0;
    for (; i + BLOCK <= width; i += BLOCK)
      mean_block(p, qn_from(base, i * step, wide), BLOCK, qn_into(y, i, wide), wide);
    if (i < width)
      mean_block(p, qn_from(base, i * step, wide), width - i, qn_into(y, i, wide), wide);
  }
}

void qn_kernel_mean_i8(const qn_mean_i8_params *p, const void *const *in, void *out,
                       void *scratch) {
  (void)scratch;
  mean_int(p, in[0], out, 0);
}

void qn_kernel_mean_i16(const qn_mean_i8_params *p, const void *const *in, void *out,
                        void *scratch) {
  (void)scratch;
  mean_int(p, in[0], out, 1);
}
