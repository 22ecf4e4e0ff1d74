/* Functions of real numbers in float arithmetic: no library, no tables, no branches, so that loops
 * over them become vector code. Only +, -, * and /, each rounded to float (built with
 * -ffp-contract=off), and operations on bits: the same bits on every target. */
#ifndef QN_REAL_H
#define QN_REAL_H

#include "fixed.h"

/* x in low..high; a NaN stays one. */
QN_INLINE float qn_clamp_f32(float x, float low, float high) {
  return x < low ? low : x > high ? high : x;
}

/* x to the nearest integer, ties away from zero: the integer part and what it leaves are exact.
 * Beyond int32 its ends; a NaN gives 0. */
QN_INLINE int32_t qn_round_away(float x) {
  const float end = 2147483648.0f;
  float inside = x < end ? x : 0.0f;
  inside = x >= -end ? inside : 0.0f;
  int32_t whole = (int32_t)inside;
  float rest = inside - (float)whole;
  whole += (rest >= 0.5f) - (rest <= -0.5f);
  return x >= end ? INT32_MAX : x < -end ? INT32_MIN : whole;
}

/* |x| with y's sign. */
QN_INLINE float qn_copy_sign(float x, float y) {
  return qn_float_of_bits((qn_bits_of_float(x) & INT32_MAX) | (qn_bits_of_float(y) & INT32_MIN));
}

/* qn_round_away for |x| below 2^22, by one addition: of less than a half, so that what lies just
 * below a half stays below one; from a half on, the sum rounds as if a half had been added. */
QN_INLINE int32_t qn_round_away_small(float x) {
  return (int32_t)(x + qn_copy_sign(0.49999997f, x));
}

QN_INLINE float qn_abs(float x) { return qn_float_of_bits(qn_bits_of_float(x) & INT32_MAX); }

/* 2^n, n -126..127. */
QN_INLINE float qn_power_of_two(int32_t n) {
  return qn_float_of_bits((int32_t)((uint32_t)(n + 127) << 23));
}

/* How a float is stored: as it is, as IEEE binary16, or as its upper half. */
typedef enum { QN_WHOLE, QN_HALF, QN_BRAIN } qn_float_form;

/* A finite binary16: for exponents above 0 the bits, moved, with 112 more in the exponent; else
 * the fraction times 2^-24. No denormal float on the way. */
QN_INLINE float qn_float_of_half(uint16_t half) {
  int32_t size = half & 0x7FFF;
  int32_t normal = (size << 13) + (112 << 23), tiny = qn_bits_of_float((float)size * 0x1p-24f);
  return qn_float_of_bits((size >= 0x400 ? normal : tiny) | (int32_t)((uint32_t)half >> 15 << 31));
}

/* Element i of stored floats; form is a constant of every kernel. */
typedef uint16_t __attribute__((may_alias)) qn_half_bits;
QN_INLINE float qn_float_in(const void *w, int32_t i, int32_t form) {
  if (form == QN_WHOLE) return ((const float *)w)[i];
  uint16_t bits = ((const qn_half_bits *)w)[i];
  return form == QN_HALF ? qn_float_of_half(bits)
                         : qn_float_of_bits((int32_t)((uint32_t)bits << 16));
}

/* exp(x), error below 1 ulp: x = n*ln2 + r with |r| <= ln2/2, exp(r) = 1 + r + r^2 P(r) with P
 * fitted for the least relative error (3e-9). 2^n is two factors, since n is -150..129. */
QN_INLINE float qn_exp(float x) {
  const float magic = 12582912.0f;                                /* 1.5 * 2^23: see qn_round */
  const float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f; /* n * ln2_high is exact */
  x = qn_clamp_f32(x, -104.0f, 89.0f);
  float shifted = x * 1.44269504f + magic, n = shifted - magic;
  float r = (x - n * ln2_high) - n * ln2_low;
  float series = 0.00138144661f;
  series = series * r + 0.00836878084f;
  series = series * r + 0.0416683927f;
  series = series * r + 0.166665196f;
  series = series * r + 0.49999994f;
  series = r * r * series + r + 1.0f;
  int32_t power = qn_bits_of_float(shifted) - qn_bits_of_float(magic), half = power >> 1;
  return series * qn_power_of_two(half) * qn_power_of_two(power - half);
}

/* 1 / (1 + exp(-x)), error below 2.5 ulp; e = exp(-|x|) does not overflow. */
QN_INLINE float qn_logistic(float x) {
  float e = qn_exp(-qn_abs(x));
  return (x < 0 ? e : 1.0f) / (1.0f + e);
}

/* tanh(x), error below 2 ulp: x + x^3 Q(x^2) near 0, Q fitted for the least relative error (5e-9),
 * else 1 - 2 / (1 + exp(2|x|)) in the sign of x. */
QN_INLINE float qn_tanh(float x) {
  float size = qn_abs(x), square = x * x;
  float series = -0.00568127865f;
  series = series * square + 0.0206186213f;
  series = series * square + -0.0537336953f;
  series = series * square + 0.13331373f;
  series = series * square + -0.333332807f;
  float near = series * square * x + x;
  float far = 1.0f - 2.0f / (1.0f + qn_exp(2.0f * size));
  return qn_copy_sign(size < 0.625f ? near : far, x);
}

/* -- real.c: the root of x, correctly rounded; a NaN for negative x. */
float qn_sqrt(float x);

#endif
