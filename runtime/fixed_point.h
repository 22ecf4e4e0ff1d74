/* Fixed-point transcendental functions: gemmlowp's (fixedpoint/fixedpoint.h), which TFLite's
 * softmax, logistic and tanh of int8 are made of, to the bit.
 *
 * Qi.f is an int32 with i integer and f = 31 - i fraction bits: real = raw * 2^-f. A product of Qa
 * and Qb by qn_srdhm is a Q(a+b). Sums wrap, so that no argument is undefined, even where the
 * functions mean nothing. */
#ifndef QN_FIXED_POINT_H
#define QN_FIXED_POINT_H

#include "fixed.h"

/* x * 2^bits, bits 0..31, in the range of int32. */
QN_INLINE int32_t qn_saturating_shift_left(int32_t x, int32_t bits) {
  int32_t most = INT32_MAX >> bits;
  return x > most ? INT32_MAX : x < -most - 1 ? INT32_MIN : qn_wrap_shift_left(x, bits);
}

/* exp of a Q0.31 in [-1/4, 0) as Q0.31: Taylor's series around -1/8 up to the fourth power. */
QN_INLINE int32_t qn_exp_quarter(int32_t a) {
  const int32_t exp_of_minus_eighth = 1895147668, third = 715827883;
  int32_t x = qn_wrap_add(a, 1 << 28);
  int32_t x2 = qn_srdhm(x, x), x3 = qn_srdhm(x2, x), x4 = qn_srdhm(x2, x2);
  int32_t cubic = qn_srdhm(qn_wrap_add(qn_rounding_shift_right(x4, 2), x3), third);
  int32_t series = qn_wrap_add(x, qn_rounding_shift_right(qn_wrap_add(cubic, x2), 1));
  return qn_wrap_add(exp_of_minus_eighth, qn_srdhm(exp_of_minus_eighth, series));
}

/* exp of a, a Q`integer_bits` (2..5) that is not positive, as Q0.31: what is left below a multiple
 * of 1/4 by qn_exp_quarter, the multiple by a factor exp(-2^k) for each of its bits. */
QN_INLINE int32_t qn_exp_not_positive(int32_t a, int32_t integer_bits) {
  static const int32_t factor[] = {1672461947, 1302514674, 790015084, 290630308,
                                   39332535,   720401,     242}; /* exp(-2^k), k = -2..4 */
  int32_t fraction_bits = 31 - integer_bits, quarter = 1 << (fraction_bits - 2);
  int32_t below = (a & (quarter - 1)) - quarter; /* a mod 1/4, less 1/4 */
  int32_t result = qn_exp_quarter(qn_saturating_shift_left(below, integer_bits));
  uint32_t multiple = (uint32_t)below - (uint32_t)a;
  for (int32_t k = -2; k < integer_bits; k++)
    if (multiple >> (fraction_bits + k) & 1) result = qn_srdhm(result, factor[k + 2]);
  return a == 0 ? INT32_MAX : result;
}

/* 2 / (1 + a) as Q2.29, a a Q0.31 in [0, 1]: three of Newton's steps for the reciprocal of
 * h = (1 + a) / 2 from 48/17 - 32/17 h. */
QN_INLINE int32_t qn_twice_reciprocal(int32_t a) {
  const int32_t one = 1 << 29;
  int32_t h = (int32_t)(((int64_t)a + INT32_MAX + 1) >> 1); /* rounded; a >= 0 */
  int32_t x = qn_wrap_add(1515870810, qn_srdhm(h, -1010580540));
  for (int32_t i = 0; i < 3; i++) {
    int32_t rest = qn_wrap_add(one, -qn_srdhm(h, x));
    x = qn_wrap_add(x, qn_saturating_shift_left(qn_srdhm(x, rest), 2));
  }
  return x;
}

/* 1 / (1 + a) as Q0.31, a a Q0.31 in [0, 1]. */
QN_INLINE int32_t qn_one_over_one_plus(int32_t a) {
  return qn_saturating_shift_left(qn_twice_reciprocal(a), 1); /* half of Q2.29 is a Q1.30 */
}

/* (1 - a) / (1 + a) as Q0.31, a a Q0.31 in [0, 1]. */
QN_INLINE int32_t qn_one_minus_over_one_plus(int32_t a) {
  return qn_saturating_shift_left(qn_wrap_add(qn_twice_reciprocal(a), -(1 << 29)), 2);
}

/* 1 / (1 + exp(-a)) as Q0.31, a a Q4.27. */
QN_INLINE int32_t qn_logistic_q4(int32_t a) {
  if (a == 0) return 1 << 30;
  int32_t minus = a > 0 ? -a : a;
  int32_t result = qn_one_over_one_plus(qn_exp_not_positive(minus, 4));
  return a > 0 ? result : INT32_MAX - result;
}

/* tanh(a) as Q0.31, a a Q4.27: with e = exp(-2|a|), (1 - e) / (1 + e) in the sign of a. */
QN_INLINE int32_t qn_tanh_q4(int32_t a) {
  if (a == 0) return 0;
  int32_t minus = a > 0 ? -a : a; /* as Q5.26 it is 2 * minus */
  int32_t result = qn_one_minus_over_one_plus(qn_exp_not_positive(minus, 5));
  return a > 0 ? result : -result;
}

#endif
