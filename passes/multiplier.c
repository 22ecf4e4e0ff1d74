/* A real multiplier -> the integers that a fixed-point contract multiplies with.
 *
 * tflite, single: m = mantissa * 2^exponent with 0.5 <= mantissa < 1, so that
 *   mul = round(mantissa * 2^31), shr = -exponent   gives   m ~= mul * 2^(-31-shr).
 * mulhi: mul = round(m * 2^(32+shr)) with shr = 0 while that is below 2^31.
 * Ties are rounded away from zero. Source: Jacob et al. 2018, arXiv 1712.05877, section 2.2; the
 * treatment of the corners is TFLite's. */
#include <math.h>
#include "passes.h"

/* In powers of two, as shr's range in runtime/fixed.h. */
enum { MAX_LEFT = 30, MAX_RIGHT = 31 };

static const int64_t too_large = (int64_t)1 << 31;

static bool split_q31(double m, int32_t *out_mul, int32_t *out_shr) {
  int exponent;
  int64_t mul = llround(ldexp(frexp(m, &exponent), 31));
  if (mul == too_large) {
    mul /= 2;
    exponent++;
  }
  /* a longer right shift would leave nothing of any accumulator */
  if (exponent < -MAX_RIGHT) mul = exponent = 0;
  *out_mul = (int32_t)mul;
  *out_shr = -exponent;
  return exponent <= MAX_LEFT;
}

static bool split_mulhi(double m, int32_t *out_mul, int32_t *out_shr) {
  int exponent, left = 0;
  frexp(m, &exponent);
  if (exponent >= 0) left = exponent + 1;
  if (left <= MAX_LEFT && llround(ldexp(m, 32 - left)) == too_large) left++;
  if (left > MAX_LEFT) return false;
  *out_mul = (int32_t)llround(ldexp(m, 32 - left));
  *out_shr = -left;
  return true;
}

bool qn_split_multiplier(double m, qn_contract contract, int32_t *out_mul, int32_t *out_shr) {
  *out_mul = *out_shr = 0;
  if (!isfinite(m) || m < 0) return false;
  switch (contract) {
  case QN_CONTRACT_tflite:
  case QN_CONTRACT_single: return split_q31(m, out_mul, out_shr);
  case QN_CONTRACT_mulhi: return m == 0 || split_mulhi(m, out_mul, out_shr);
  default: return false; /* float multiplies with m itself */
  }
}

bool qn_has_room(int32_t shr, int64_t largest) { return shr >= 0 || largest <= INT32_MAX >> -shr; }

bool qn_make_factor(qn_contract contract, double m, int64_t largest, qn_multiplier *out) {
  *out = (qn_multiplier){0, 0, 0};
  if (contract == QN_CONTRACT_float) {
    out->scale = (float)m;
    return isfinite(out->scale) && out->scale > 0;
  }
  return qn_split_multiplier(m, contract, &out->mul, &out->shr) && qn_has_room(out->shr, largest);
}
