/* Sums, differences and products of two tensors with broadcast. */
#include "fixed.h"
#include "real.h"
#include "walk.h"

QN_INLINE float combine_f32(int32_t op, float a, float b) {
  return op == QN_ADD ? a + b : op == QN_SUB ? a - b : a * b;
}

/* y = min(max(a op b, low), high); a NaN stays one. */
void qn_kernel_binary_f32(const qn_binary_f32_params *p, const void *const *in, void *out,
                          void *scratch) {
  (void)scratch;
  const qn_broadcast *w = &p->walk;
  int32_t rows = qn_row_count(w->dim), columns = w->dim[QN_KERNEL_RANK - 1];
  int32_t a_step = w->a_stride[QN_KERNEL_RANK - 1], b_step = w->b_stride[QN_KERNEL_RANK - 1];
  for (int32_t r = 0; r < rows; r++) {
    const float *a = (const float *)in[0] + qn_row_offset(w->dim, w->a_stride, r);
    const float *b = (const float *)in[1] + qn_row_offset(w->dim, w->b_stride, r);
    float *y = (float *)out + r * columns;
    for (int32_t i = 0; i < columns; i++)
      y[i] = qn_clamp_f32(combine_f32(p->op, a[i * a_step], b[i * b_step]), p->low, p->high);
  }
}

/* A sum in the result's scale, without its zero point. With v = stored - zero:
 *   float    round(v_a * scale[0] +- v_b * scale[1]), both products and the sum in float
 *   others   s(2, s(0, v_a << left_shift) +- s(1, v_b << left_shift)), where s(i, x) is x
 *            requantized by mul[i] and shr[i] under the contract
 * Under the contract tflite these are the bits of TFLite's AddFunc (reference/integer_ops/add.h)
 * and of its quantized Sub: scale a and b to twice the larger of their scales with 20 bits more. */
QN_INLINE int32_t add_stored(const qn_add_i8_params *p, int32_t a, int32_t b) {
  if (p->contract == QN_CONTRACT_float) {
    float x = (float)a * p->scale[0], z = (float)b * p->scale[1];
    return qn_round(p->op == QN_ADD ? x + z : x - z);
  }
  qn_contract contract = (qn_contract)p->contract;
  int32_t x = qn_wrap_shift_left(a, p->left_shift), z = qn_wrap_shift_left(b, p->left_shift);
  x = qn_requantize(x, p->mul[0], p->shr[0], contract);
  z = qn_requantize(z, p->mul[1], p->shr[1], contract);
  int32_t sum = p->op == QN_ADD ? qn_wrap_add(x, z) : (int32_t)((uint32_t)x - (uint32_t)z);
  return qn_requantize(sum, p->mul[2], p->shr[2], contract);
}

QN_INLINE void add_int(const qn_add_i8_params *p, const void *const *in, void *out, int32_t wide) {
  const qn_broadcast *w = &p->walk;
  int32_t rows = qn_row_count(w->dim), columns = w->dim[QN_KERNEL_RANK - 1];
  int32_t a_step = w->a_stride[QN_KERNEL_RANK - 1], b_step = w->b_stride[QN_KERNEL_RANK - 1];
  for (int32_t r = 0; r < rows; r++) {
    const void *a = qn_from(in[0], qn_row_offset(w->dim, w->a_stride, r), wide);
    const void *b = qn_from(in[1], qn_row_offset(w->dim, w->b_stride, r), wide);
    void *y = qn_into(out, r * columns, wide);
    for (int32_t i = 0; i < columns; i++) {
      int32_t sum = add_stored(p, qn_load(a, i * a_step, wide) - p->a_zero,
                               qn_load(b, i * b_step, wide) - p->b_zero);
      qn_save(y, i, wide, qn_store_value(sum, p->y_zero, p->low, p->high));
    }
  }
}

void qn_kernel_add_i8(const qn_add_i8_params *p, const void *const *in, void *out, void *scratch) {
  (void)scratch;
  add_int(p, in, out, 0);
}

void qn_kernel_add_i16(const qn_add_i8_params *p, const void *const *in, void *out, void *scratch) {
  (void)scratch;
  add_int(p, in, out, 1);
}

/* y = (a - a_zero) * (b - b_zero), requantized, + y_zero, clamped: TFLite's MulElementwise
 * (reference/integer_ops/mul.h) under the contract tflite. */
QN_INLINE void mul_int(const qn_mul_i8_params *p, const void *const *in, void *out, int32_t wide) {
  const qn_broadcast *w = &p->walk;
  int32_t rows = qn_row_count(w->dim), columns = w->dim[QN_KERNEL_RANK - 1];
  int32_t a_step = w->a_stride[QN_KERNEL_RANK - 1], b_step = w->b_stride[QN_KERNEL_RANK - 1];
  for (int32_t r = 0; r < rows; r++) {
    const void *a = qn_from(in[0], qn_row_offset(w->dim, w->a_stride, r), wide);
    const void *b = qn_from(in[1], qn_row_offset(w->dim, w->b_stride, r), wide);
    void *y = qn_into(out, r * columns, wide);
    for (int32_t i = 0; i < columns; i++) {
      int32_t product =
          (qn_load(a, i * a_step, wide) - p->a_zero) * (qn_load(b, i * b_step, wide) - p->b_zero);
      int32_t scaled = qn_requantize(product, p->mul, p->shr, (qn_contract)p->contract);
      qn_save(y, i, wide, qn_store_value(scaled, p->y_zero, p->low, p->high));
    }
  }
}

void qn_kernel_mul_i8(const qn_mul_i8_params *p, const void *const *in, void *out, void *scratch) {
  (void)scratch;
  mul_int(p, in, out, 0);
}

void qn_kernel_mul_i16(const qn_mul_i8_params *p, const void *const *in, void *out, void *scratch) {
  (void)scratch;
  mul_int(p, in, out, 1);
}
