/* Batched matrix product: matmul_f32, matmul_i8.
 *
 *   y[t,m,n] = sum over k of a[t,m,k] * b[t,k,n], or of a[t,m,k] * b[t,n,k] with transpose_b
 *
 * int8: a - a_zero and b - b_zero in place of a and b, everything modulo 2^32, then the contract
 * (fixed.h), + y_zero, clamp. A batch stride, in elements, of 0 repeats one matrix.
 *
 * With transpose_b each result is a product of two contiguous rows; without, a block of results is
 * summed k by k, so that b is read along its rows. float: products are summed in order of k. */
#include "blocks.h"

typedef struct {
  const int8_t *b;    /* one matrix */
  const int16_t *row; /* a row of a, less a_zero */
  uint32_t row_sum;
} operands_i8;

/* acc[i] = sum over k of row[k] * (b[k, first+i] - b_zero). */
QN_INLINE void sums_i8(const qn_matmul_i8_params *p, const operands_i8 *o, int32_t first,
                       int32_t count, uint32_t *acc) {
  if (p->transpose_b) {
    for (int32_t i = 0; i < count; i++) acc[i] = qn_dot_i8(o->row, o->b + (first + i) * p->k, p->k);
  } else {
    for (int32_t i = 0; i < count; i++) acc[i] = 0;
    for (int32_t k = 0; k < p->k; k++)
      for (int32_t i = 0; i < count; i++)
        acc[i] += (uint32_t)((int32_t)o->row[k] * (int32_t)o->b[k * p->n + first + i]);
  }
  for (int32_t i = 0; i < count; i++) acc[i] -= o->row_sum * (uint32_t)p->b_zero;
}

QN_INLINE void columns_i8(const qn_matmul_i8_params *p, const operands_i8 *o, int32_t first,
                          int32_t count, int8_t *y) {
  uint32_t acc[QN_BLOCK];
  sums_i8(p, o, first, count, acc);
  QN_KEEP_LOOP
  for (int32_t i = 0; i < count; i++) {
    int32_t scaled = qn_requantize((int32_t)acc[i], p->mul, p->shr, (qn_contract)p->contract);
    y[first + i] = (int8_t)qn_store_value(scaled, p->y_zero, p->low, p->high);
  }
}

QN_INLINE void row_i8(const qn_matmul_i8_params *p, const int8_t *a, const int8_t *b, int8_t *y,
                      int16_t *row) {
  operands_i8 o = {b, row, 0};
  for (int32_t k = 0; k < p->k; k++) {
    row[k] = (int16_t)(a[k] - p->a_zero);
    o.row_sum += (uint32_t)(a[k] - p->a_zero);
  }
  int32_t whole = p->n / QN_BLOCK * QN_BLOCK;
  for (int32_t n = 0; n < whole; n += QN_BLOCK) columns_i8(p, &o, n, QN_BLOCK, y);
  if (whole < p->n) columns_i8(p, &o, whole, p->n - whole, y);
}

/* scratch: k int16. */
void qn_kernel_matmul_i8(const qn_matmul_i8_params *p, const void *const *in, void *out,
                         void *scratch) {
  for (int32_t t = 0; t < p->batch; t++)
    for (int32_t m = 0; m < p->m; m++)
      row_i8(p, (const int8_t *)in[0] + t * p->a_batch_stride + m * p->k,
             (const int8_t *)in[1] + t * p->b_batch_stride, (int8_t *)out + (t * p->m + m) * p->n,
             scratch);
}

QN_INLINE void columns_f32(const qn_matmul_f32_params *p, const float *a, const float *b,
                           int32_t first, int32_t count, float *y) {
  float acc[QN_BLOCK];
  for (int32_t i = 0; i < count; i++) acc[i] = 0;
  for (int32_t k = 0; k < p->k; k++)
    for (int32_t i = 0; i < count; i++) acc[i] += a[k] * b[k * p->n + first + i];
  for (int32_t i = 0; i < count; i++) y[first + i] = acc[i];
}

QN_INLINE void row_f32(const qn_matmul_f32_params *p, const float *a, const float *b, float *y) {
  int32_t block = p->transpose_b ? QN_DOTS : QN_BLOCK, whole = p->n / block * block;
  if (p->transpose_b) {
    for (int32_t n = 0; n < whole; n += QN_DOTS)
      qn_dots_f32(a, b, n * p->k, p->k, QN_DOTS, QN_WHOLE, y + n);
    if (whole < p->n) qn_dots_f32(a, b, whole * p->k, p->k, p->n - whole, QN_WHOLE, y + whole);
  } else {
    for (int32_t n = 0; n < whole; n += QN_BLOCK) columns_f32(p, a, b, n, QN_BLOCK, y);
    if (whole < p->n) columns_f32(p, a, b, whole, p->n - whole, y);
  }
}

void qn_kernel_matmul_f32(const qn_matmul_f32_params *p, const void *const *in, void *out,
                          void *scratch) {
  (void)scratch;
  for (int32_t t = 0; t < p->batch; t++)
    for (int32_t m = 0; m < p->m; m++)
      row_f32(p, (const float *)in[0] + t * p->a_batch_stride + m * p->k,
              (const float *)in[1] + t * p->b_batch_stride, (float *)out + (t * p->m + m) * p->n);
}
