/* Softmax over rows: exp(beta * x) / sum of it. */
#include <stddef.h>

#include "fixed_point.h"
#include "real.h"

/* y = e / sum of e, e = exp((x - max) * beta); the sum in order of the columns. */
void qn_kernel_softmax_f32(const qn_softmax_f32_params *p, const void *const *in, void *out,
                           void *scratch) {
  (void)scratch;
  for (int32_t r = 0; r < p->rows; r++) {
    const float *x = (const float *)in[0] + r * p->columns;
    float *y = (float *)out + r * p->columns, most = x[0], sum = 0;
    for (int32_t c = 1; c < p->columns; c++) most = x[c] > most ? x[c] : most;
    for (int32_t c = 0; c < p->columns; c++) y[c] = qn_exp((x[c] - most) * p->beta);
    for (int32_t c = 0; c < p->columns; c++) sum += y[c];
    for (int32_t c = 0; c < p->columns; c++) y[c] /= sum;
  }
}

/* exp of a difference of stored values, not positive, as Q0.31; 0 of one that counts as nothing. */
QN_INLINE int32_t exp_of_difference(const qn_softmax_i8_params *p, int32_t difference) {
  if (difference < p->diff_min) return 0;
  int32_t scaled = qn_srdhm(qn_wrap_shift_left(difference, p->left_shift), p->mul);
  return qn_exp_not_positive(scaled, 5);
}

/* The same of -i in table[i], if there is a table. */
QN_INLINE int32_t exp_below(const qn_softmax_i8_params *p, const int32_t *table, int32_t i) {
  return table ? table[i] : exp_of_difference(p, -i);
}

/* The sum of the exponentials of the row as Q12.19; from 4096 on, where every result is 0, the
 * largest number there is. */
QN_INLINE int32_t sum_exps(const qn_softmax_i8_params *p, const int32_t *table, const void *x,
                           int32_t most, int32_t wide) {
  int32_t sum = 0;
  for (int32_t c = 0; c < p->columns; c++) {
    int32_t e = qn_rounding_shift_right(exp_below(p, table, most - qn_load(x, c, wide)), 12);
    sum = p->columns >= 4096 && sum > INT32_MAX - e ? INT32_MAX : sum + e;
  }
  return sum;
}

/* TFLite's Softmax of int8 (reference/softmax.h), under every contract. With d = x - max of the
 * row, those below diff_min count as nothing: e = exp(d * mul * 2^(left_shift - 31)),  Q5.26 ->
 * Q0.31 sum of e in Q12.19 = 2^(12 - zeros) * (1 + s), 0 <= s < 1, where zeros is its leading zeros
 *   y = e * (1 / (1 + s)) / 2^(35 - zeros) - 128, rounded, at most 127
 * The result's scale is 1/256, its zero point -128. int16 the same (TFLite's is made of tables, of
 * fewer bits): 1/32768 and 0, so 7 bits more of y and no 128 less. */
QN_INLINE void softmax_row(const qn_softmax_i8_params *p, const int32_t *table, const void *x,
                           void *y, int32_t wide) {
  int32_t most = qn_load(x, 0, wide), zero = wide ? 0 : -128, highest = wide ? 32767 : 127;
  for (int32_t c = 1; c < p->columns; c++) most = qn_max(most, qn_load(x, c, wide));
  int32_t sum = sum_exps(p, table, x, most, wide);
  int32_t zeros = sum > 0 ? __builtin_clz((uint32_t)sum) : 31, shift = (wide ? 28 : 35) - zeros;
  int32_t scale = qn_one_over_one_plus((int32_t)((uint32_t)sum << zeros & INT32_MAX));
  for (int32_t c = 0; c < p->columns; c++) {
    int32_t e = exp_below(p, table, most - qn_load(x, c, wide)), result = 0;
    if (shift <= 31) result = qn_rounding_shift_right(qn_srdhm(scale, e), shift);
    qn_save(y, c, wide, qn_clamp(result + zero, zero, highest));
  }
}

QN_INLINE void softmax_int(const qn_softmax_i8_params *p, const int32_t *table, const void *in,
                           void *out, int32_t wide) {
  for (int32_t r = 0; r < p->rows; r++)
    softmax_row(p, table, qn_from(in, r * p->columns, wide), qn_into(out, r * p->columns, wide),
                wide);
}

/* scratch: int32 table[QN_SOFTMAX_TABLE] if p->tabulate. */
void qn_kernel_softmax_i8(const qn_softmax_i8_params *p, const void *const *in, void *out,
                          void *scratch) {
  int32_t *table = p->tabulate ? scratch : NULL;
  for (int32_t i = 0; table && i < QN_SOFTMAX_TABLE; i++) table[i] = exp_of_difference(p, -i);
  softmax_int(p, table, in[0], out, 0);
}

void qn_kernel_softmax_i16(const qn_softmax_i8_params *p, const void *const *in, void *out,
                           void *scratch) {
  (void)scratch;
  softmax_int(p, NULL, in[0], out, 1);
}
