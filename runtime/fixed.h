/* Fixed-point arithmetic: how an int32 accumulator becomes an output, on every target the same.
 *
 * Four contracts (contracts.def) scale an accumulator by a real multiplier m >= 0:
 *   tflite  m = mul * 2^(-31-shr). A rounded high product, then a rounded shift: two roundings.
 *           gemmlowp (Jacob et al., "Quantization and Training of Neural Networks for Efficient
 *           Integer-Arithmetic-Only Inference", CVPR 2018, appendix B), as TFLite's and TFLM's
 *           MultiplyByQuantizedMultiplier composes it; bit-exact with both.
 *   single  the same m; the 64-bit product rounded once: TFLite built with TFLITE_SINGLE_ROUNDING.
 *   mulhi   m = mul * 2^(-32-shr), shr <= 0: with shr = 0 one SMMULR of a Cortex-M4.
 *   float   m is a float, its bits are in mul: what XNNPACK and ONNX Runtime compute.
 *
 * shr is a right shift, the negative of TFLite's `shift`. Every function is defined for every
 * argument: sums and left shifts wrap to 32 bits, shifts out of range count as the nearest one in
 * range. int64 accumulators have functions of their own, under tflite and single with multipliers of
 * 15 bits. The forms are chosen so that a loop over channels becomes vector code. Right shifts of
 * negative numbers are arithmetic and conversions to int32_t wrap, as gcc and clang promise. */
#ifndef QN_FIXED_H
#define QN_FIXED_H

#include "kernels.h"

#define QN_INLINE static inline __attribute__((always_inline))

/* Multipliers as they are stored: int32, or the bits of floats under the contract float. */
typedef int32_t __attribute__((may_alias)) qn_scale_bits;

QN_INLINE int32_t qn_min(int32_t a, int32_t b) { return a < b ? a : b; }
QN_INLINE int32_t qn_max(int32_t a, int32_t b) { return a > b ? a : b; }

/* x in low..high; low <= high. */
QN_INLINE int32_t qn_clamp(int32_t x, int32_t low, int32_t high) {
  return qn_min(qn_max(x, low), high);
}

/* a + b and x << bits, both modulo 2^32. */
QN_INLINE int32_t qn_wrap_add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
QN_INLINE int32_t qn_wrap_shift_left(int32_t x, int32_t bits) {
  return (int32_t)((uint32_t)x << qn_clamp(bits, 0, 31));
}

/* a * b / 2^31 to nearest, ties up: floor((a*b + 2^30) / 2^31). INT32_MIN * INT32_MIN, the only
 * product that does not fit, gives INT32_MAX. gemmlowp's SaturatingRoundingDoublingHighMul: its
 * nudge of 1 - 2^30 and division towards zero for negative products come to the same floor. */
QN_INLINE int32_t qn_srdhm(int32_t a, int32_t b) {
  int32_t high = (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
  return ((a == INT32_MIN) & (b == INT32_MIN)) ? INT32_MAX : high; /* & not &&: no branch */
}

/* x / 2^bits to nearest, ties away from zero; bits 0..31. gemmlowp's RoundingDivideByPOT. */
QN_INLINE int32_t qn_rounding_shift_right(int32_t x, int32_t bits) {
  int32_t n = qn_clamp(bits, 0, 31);
  int32_t mask = (int32_t)(((uint32_t)1 << n) - 1);
  int32_t threshold = (mask >> 1) + (x < 0);
  return (x >> n) + ((x & mask) > threshold);
}

QN_INLINE float qn_float_of_bits(int32_t bits) {
  union {
    int32_t i;
    float f;
  } u = {.i = bits};
  return u.f;
}

QN_INLINE int32_t qn_bits_of_float(float x) {
  union {
    float f;
    int32_t i;
  } u = {.f = x};
  return u.i;
}

/* x to the nearest integer, ties to even; beyond +-4194303 (2^22 - 1), and for a NaN, 4194303 of
 * that sign. Adding 1.5 * 2^23 leaves no bits for a fraction, so that the sum's low bits are the
 * integer; no library call and no rounding mode but the default is needed. */
QN_INLINE int32_t qn_round(float x) {
  const float limit = 4194303.0f, magic = 12582912.0f;
  x = x < limit ? x : limit;
  x = x > -limit ? x : -limit;
  return qn_bits_of_float(x + magic) - qn_bits_of_float(magic);
}

/* Contract float: acc, rounded to a float, times m, both to nearest even; then qn_round. */
QN_INLINE int32_t qn_requantize_f32(int32_t acc, float m) { return qn_round((float)acc * m); }

/* Contract tflite; shr -31..31. */
QN_INLINE int32_t qn_requantize_tflite(int32_t acc, int32_t mul, int32_t shr) {
  return qn_rounding_shift_right(qn_srdhm(qn_wrap_shift_left(acc, -qn_max(shr, -31)), mul), shr);
}

/* Contract single: (acc*mul + 2^(30+shr)) >> (31+shr), modulo 2^32; shr -30..31. */
QN_INLINE int32_t qn_requantize_single(int32_t acc, int32_t mul, int32_t shr) {
  int32_t n = 31 + qn_clamp(shr, -30, 31);
  return (int32_t)(((int64_t)acc * mul + ((int64_t)1 << (n - 1))) >> n);
}

/* Contract mulhi: (acc*mul + 2^(31+shr)) >> (32+shr), modulo 2^32; shr -31..0. */
QN_INLINE int32_t qn_requantize_mulhi(int32_t acc, int32_t mul, int32_t shr) {
  int32_t n = 32 + qn_clamp(shr, -31, 0);
  return (int32_t)(((int64_t)acc * mul + ((int64_t)1 << (n - 1))) >> n);
}

/* acc scaled under any contract; mul holds a float's bits under the contract float. */
QN_INLINE int32_t qn_requantize(int32_t acc, int32_t mul, int32_t shr, qn_contract contract) {
  switch (contract) {
  case QN_CONTRACT_single: return qn_requantize_single(acc, mul, shr);
  case QN_CONTRACT_mulhi: return qn_requantize_mulhi(acc, mul, shr);
  case QN_CONTRACT_float: return qn_requantize_f32(acc, qn_float_of_bits(mul));
  default: return qn_requantize_tflite(acc, mul, shr);
  }
}

/* int64 accumulators, of tensors of 16 bits whose sums int32 cannot hold: TFLite's
 * MultiplyByQuantizedMultiplier of int64 (kernels/internal/common.cc), one rounding, with the upper
 * half of mul, rounded; bit-exact with it for |acc| below 2^47 and shr -7..31. */
QN_INLINE int32_t qn_requantize_long_by(int64_t acc, int32_t mul, int32_t n) {
  int64_t half = mul < 0x7FFF0000 ? (mul + (1 << 15)) >> 16 : 0x7FFF;
  int64_t product = (int64_t)((uint64_t)acc * (uint64_t)half + ((uint64_t)1 << (n - 1)));
  return (int32_t)(product >> n);
}

/* The float that an int64 is under the contract float: its upper and its lower part, added. */
QN_INLINE float qn_float_of_long(int64_t acc) {
  return (float)(int32_t)(acc >> 16) * 65536.0f + (float)(int32_t)(acc & 65535);
}

/* Contract mulhi, with all of mul, which has few bits where the multiplier is small:
 * (acc*mul + 2^(31+shr)) >> (32+shr), modulo 2^32; |acc| below 2^47, shr -7..0. acc in two parts,
 * so that no product has more than 63 bits. */
QN_INLINE int32_t qn_requantize_long_mulhi(int64_t acc, int32_t mul, int32_t shr) {
  int32_t n = 16 + qn_clamp(shr, -7, 0);
  int64_t low = ((acc & 65535) * mul + ((int64_t)1 << (n + 15))) >> 16;
  int64_t high = (int64_t)((uint64_t)(acc >> 16) * (uint64_t)(int64_t)mul);
  return (int32_t)((int64_t)((uint64_t)high + (uint64_t)low) >> n);
}

/* acc scaled under any contract: tflite and single alike. */
QN_INLINE int32_t qn_requantize_long(int64_t acc, int32_t mul, int32_t shr, qn_contract contract) {
  switch (contract) {
  case QN_CONTRACT_mulhi: return qn_requantize_long_mulhi(acc, mul, shr);
  case QN_CONTRACT_float: return qn_round(qn_float_of_long(acc) * qn_float_of_bits(mul));
  default: return qn_requantize_long_by(acc, mul, 15 + qn_clamp(shr, -7, 31));
  }
}

/* scaled + zero in low..high, the sum without overflow; zero, low and high within -2^30..2^30. */
QN_INLINE int32_t qn_store_value(int32_t scaled, int32_t zero, int32_t low, int32_t high) {
  return qn_clamp(scaled, low - zero, high - zero) + zero;
}

/* Element i of a tensor of int8 or, `wide`, of int16. */
typedef int16_t __attribute__((may_alias)) qn_wide;
QN_INLINE int32_t qn_load(const void *x, int32_t i, int32_t wide) {
  return wide ? ((const qn_wide *)x)[i] : ((const int8_t *)x)[i];
}
QN_INLINE void qn_save(void *y, int32_t i, int32_t wide, int32_t value) {
  if (wide)
    ((qn_wide *)y)[i] = (int16_t)value;
  else
    ((int8_t *)y)[i] = (int8_t)value;
}
/* The same tensor from element `offset` on. */
QN_INLINE const void *qn_from(const void *x, int32_t offset, int32_t wide) {
  return (const char *)x + (wide ? 2 * offset : offset);
}
QN_INLINE void *qn_into(void *y, int32_t offset, int32_t wide) {
  return (char *)y + (wide ? 2 * offset : offset);
}

#endif
