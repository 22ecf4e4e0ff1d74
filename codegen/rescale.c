/* A channel's requantization -> scale and offset of one float multiply-add, or of one high product
 * of integers, with proof.
 *
 * Both the contract and the multiply-add are monotone in the accumulator: conversion to float, fma
 * and rounding to nearest never decrease, and neither does a multiplier >= 0. Two monotone
 * functions into low..high are equal everywhere iff for each value k the smallest accumulator T(k)
 * that gives at least k is the same: iff the multiply-add gives >= k at T(k) and < k at T(k) - 1.
 * That is at most 2 * 255 evaluations, not 2^32. The form signed with a negative offset steps down
 * from -1 to 0, so both sides of that step have conditions of their own.
 *
 * For a given scale each such condition bounds the offset from one side:
 *   fma     T*scale + offset >= k - 1/2 > (T-1)*scale + offset
 *   signed  the same, with -offset for negative accumulators
 * so the offset's interval is an intersection. Scales near the real multiplier are tried until the
 * interval is not empty and an offset from it passes all evaluations in float arithmetic. Most of
 * the interval comes from the contract's own first rounding: about 2^-(shr+1) for tflite. */
#include "rescale.h"
#include <math.h>
#include "../runtime/fixed.h"

enum { MOST_CONDITIONS = 516, SCALE_STEPS = 40 };

/* The result for acc must be at least k, or below it. */
typedef struct {
  int32_t acc, k;
  bool at_least;
} condition;

typedef struct {
  const qn_rescaling *r;
  qn_rescale form;
  bool fused;
  int64_t low, high; /* accumulators that can occur: within int32 */
  condition at[MOST_CONDITIONS];
  int count;
} proof;

static int32_t contract_value(const qn_rescaling *r, int32_t acc) {
  return qn_store_value(qn_requantize(acc, r->mul, r->shr, r->contract), r->zero, r->low, r->high);
}

/* What mul and shr mean. */
static double real_multiplier(const qn_rescaling *r) {
  if (r->contract == QN_CONTRACT_float) return (double)qn_float_of_bits(r->mul);
  return ldexp(r->mul, -(r->contract == QN_CONTRACT_mulhi ? 32 : 31) - r->shr);
}

/* Monotone, and no intermediate result that wraps; below 1, so that no float exceeds an int32. */
static bool is_monotone(const qn_rescaling *r) {
  double m = real_multiplier(r);
  if (r->contract == QN_CONTRACT_float) return m >= 0 && m < 0.999;
  int32_t most = r->contract == QN_CONTRACT_mulhi ? 0 : 31;
  return r->mul >= 0 && r->shr >= 0 && r->shr <= most && m < 0.999;
}

bool qn_can_rescale_integer(const qn_rescaling *r) {
  return r->contract == QN_CONTRACT_tflite && r->mul >= 0 && r->shr >= 1 && r->shr <= 31 &&
         r->acc_low >= -(1 << 30) && r->acc_high < 1 << 30; /* it doubles the accumulator */
}

/* Built with -ffp-contract=off: the second form rounds twice. */
static float multiply_add(bool fused, float x, float scale, float offset) {
  return fused ? fmaf(x, scale, offset) : x * scale + offset;
}

int32_t qn_apply_rescale(const qn_rescaling *r, qn_rescale form, bool fused, qn_multiply_add m,
                         int32_t acc) {
  acc = qn_wrap_add(acc, m.shift);
  float offset = form == QN_RESCALE_signed && acc < 0 ? -m.offset : m.offset;
  int32_t rounded = (int32_t)nearbyintf(multiply_add(fused, (float)acc, m.scale, offset));
  return form == QN_RESCALE_signed ? rounded + r->zero : rounded;
}

/* ------------------------------------------------------------------ conditions */

/* The smallest accumulator whose value is at least k; value(low) < k <= value(high), guess is in
 * low..high. Steps from the guess, each twice as long, then halves. */
static int64_t find_threshold(const qn_rescaling *r, int32_t k, int64_t low, int64_t high,
                              int64_t guess) {
  bool up = contract_value(r, (int32_t)guess) < k;
  *(up ? &low : &high) = guess;
  for (int64_t step = 1; low + 1 < high; step *= 2) {
    int64_t probe = up ? low + step : high - step;
    if (probe <= low || probe >= high) break;
    bool below = contract_value(r, (int32_t)probe) < k;
    *(below ? &low : &high) = probe;
    if (below != up) break;
  }
  while (low + 1 < high) {
    int64_t middle = low + (high - low) / 2;
    *(contract_value(r, (int32_t)middle) < k ? &low : &high) = middle;
  }
  return high;
}

static void add_condition(proof *p, int64_t acc, int32_t k, bool at_least) {
  p->at[p->count++] = (condition){(int32_t)acc, k, at_least};
}

/* The result for acc must be at least, at most what the contract gives, as far as no clamp sees to
 * that. */
static void add_value(proof *p, int64_t acc, bool at_least, bool at_most) {
  int32_t k = contract_value(p->r, (int32_t)acc);
  if (at_least && k > p->r->low) add_condition(p, acc, k, true);
  if (at_most && k < p->r->high) add_condition(p, acc, k + 1, false);
}

static void bound_accumulators(proof *p) {
  bool wraps = p->r->acc_low < INT32_MIN || p->r->acc_high > INT32_MAX;
  p->low = wraps ? INT32_MIN : p->r->acc_low;
  p->high = wraps ? INT32_MAX : p->r->acc_high;
}

static void collect(proof *p) {
  const qn_rescaling *r = p->r;
  int64_t low = p->low, high = p->high;
  double m = real_multiplier(r);
  int32_t k0 = contract_value(r, (int32_t)low), k1 = contract_value(r, (int32_t)high);
  add_value(p, low, true, false);
  add_value(p, high, false, true);
  if (p->form == QN_RESCALE_signed && low < 0 && high >= 0)
    for (int64_t acc = -1; acc <= 0; acc++) add_value(p, acc, true, true);
  for (int32_t k = k0 + 1; k <= k1; k++) {
    double guess = fmin(fmax(((double)(k - r->zero) - 0.5) / m, (double)low), (double)high);
    int64_t t = find_threshold(r, k, low, high, (int64_t)guess);
    add_condition(p, t, k, true);
    add_condition(p, t - 1, k, false);
  }
}

static bool holds(const proof *p, qn_multiply_add m) {
  for (int i = 0; i < p->count; i++) {
    const condition *c = &p->at[i];
    if ((qn_apply_rescale(p->r, p->form, p->fused, m, c->acc) >= c->k) != c->at_least) return false;
  }
  return true;
}

/* ------------------------------------------------------------------ search */

/* The offsets that satisfy all conditions in real arithmetic. */
static void offset_interval(const proof *p, float scale, double *out_low, double *out_high) {
  double low = -INFINITY, high = INFINITY;
  for (int i = 0; i < p->count; i++) {
    const condition *c = &p->at[i];
    int32_t k = p->form == QN_RESCALE_signed ? c->k - p->r->zero : c->k;
    double bound = (double)k - 0.5 - (double)(float)c->acc * (double)scale;
    bool negate = p->form == QN_RESCALE_signed && c->acc < 0;
    if (negate) bound = -bound;
    if (c->at_least != negate)
      low = fmax(low, bound);
    else
      high = fmin(high, bound);
  }
  if (isinf(low)) low = isinf(high) ? 0 : high - 1;
  if (isinf(high)) high = low + 1;
  *out_low = low;
  *out_high = high;
}

/* scale*acc + offset with most of the offset in what is added to acc, as far as that cannot wrap.
 */
static qn_multiply_add split_offset(const proof *p, float scale, double offset) {
  qn_multiply_add m = {scale, (float)offset, 0};
  if (p->form == QN_RESCALE_signed || scale == 0) return m;
  double shift = nearbyint(offset / (double)scale);
  double low = (double)p->low + shift, high = (double)p->high + shift;
  if (fabs(shift) > 1 << 30 || low < INT32_MIN || high > INT32_MAX) return m;
  m.shift = (int32_t)shift;
  m.offset = (float)(offset - shift * (double)scale);
  return m;
}

static bool try_scale(const proof *p, float scale, qn_multiply_add *out) {
  static const double parts[] = {0.5, 0.3, 0.7, 0.1, 0.9};
  double low, high;
  offset_interval(p, scale, &low, &high);
  if (low > high) return false;
  for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
    *out = split_offset(p, scale, low + (high - low) * parts[i]);
    if (holds(p, *out)) return true;
  }
  return false;
}

bool qn_prove_rescale(const qn_rescaling *r, qn_rescale form, bool fused, qn_multiply_add *out) {
  proof p = {.r = r, .form = form, .fused = fused};
  if (!is_monotone(r)) return false;
  bound_accumulators(&p);
  collect(&p);
  *out = (qn_multiply_add){0, 0, 0};
  if (holds(&p, *out)) return true;
  float middle = (float)real_multiplier(r), up = middle, down = middle;
  if (try_scale(&p, middle, out)) return true;
  for (int i = 0; i < SCALE_STEPS; i++) {
    up = nextafterf(up, 1);
    down = nextafterf(down, 0);
    if (try_scale(&p, up, out) || try_scale(&p, down, out)) return true;
  }
  return false;
}

/* ------------------------------------------------------------------ high products */

/* In integers there is no rounding to allow for, but numbers are few. With
 *   offset = shift*mul + add*2^32
 * each condition bounds the offset from one side,
 *   factor*T*mul + offset >= k * 2^(32+bits) > factor*(T-1)*mul + offset
 * and adds near the interval's middle are tried until some shift brings the offset into it: shifts
 * are multiples of mul, which is prime enough to 2^32 that a few thousand adds cover all. */
enum { MUL_STEPS = 4, ADD_STEPS = 4000, FARTHEST_SHIFT = 1 << 20 };

int64_t qn_apply_high_multiply(qn_high_multiply m, int32_t factor, int32_t bits, int32_t acc) {
  int64_t x = (int64_t)factor * acc + m.shift;
  return ((x * m.mul >> 32) + m.add) >> bits;
}

/* Everything in between is an int32 for the accumulators at the ends, and so for all. */
static bool stays_in_words(const proof *p, int32_t factor, qn_high_multiply m) {
  int64_t ends[] = {p->r->acc_low, p->r->acc_high};
  for (int i = 0; i < 2; i++) {
    if (ends[i] < INT32_MIN || ends[i] > INT32_MAX) return false;
    int64_t x = factor * ends[i] + m.shift;
    if (x < INT32_MIN || x > INT32_MAX) return false;
    int64_t sum = (x * m.mul >> 32) + m.add;
    if (sum < INT32_MIN || sum > INT32_MAX) return false;
  }
  return true;
}

static bool high_holds(const proof *p, int32_t factor, int32_t bits, qn_high_multiply m) {
  for (int i = 0; i < p->count; i++) {
    const condition *c = &p->at[i];
    if ((qn_apply_high_multiply(m, factor, bits, c->acc) >= c->k) != c->at_least) return false;
  }
  return true;
}

/* The offsets that satisfy all conditions; exact for those that matter, which are small. */
static void high_interval(const proof *p, double unit, double one, double *out_low,
                          double *out_high) {
  double low = -INFINITY, high = INFINITY;
  for (int i = 0; i < p->count; i++) {
    const condition *c = &p->at[i];
    double bound = (double)c->k * one - (double)c->acc * unit;
    if (c->at_least)
      low = fmax(low, bound);
    else
      high = fmin(high, bound);
  }
  if (isinf(low)) low = isinf(high) ? 0 : high - unit;
  if (isinf(high)) high = low + unit;
  *out_low = low;
  *out_high = high;
}

/* Shift and add whose offset is in the interval, with the smallest shift. */
static bool split_high_offset(int32_t mul, double low, double high, qn_high_multiply *out) {
  const double word = 4294967296.0;
  double middle = floor((low + high) / 2 / word);
  if (!(fabs(middle) < 1 << 30)) return false;
  for (int32_t i = 0; i <= 2 * ADD_STEPS; i++) {
    double add = middle + (i % 2 == 0 ? i / 2 : -(i + 1) / 2);
    double shift = ceil((low - add * word) / mul);
    if (fabs(shift) > FARTHEST_SHIFT || shift * mul + add * word >= high) continue;
    *out = (qn_high_multiply){mul, (int32_t)add, (int32_t)shift};
    return true;
  }
  return false;
}

bool qn_prove_high_multiply(const qn_rescaling *r, int32_t factor, int32_t bits,
                            qn_high_multiply *out) {
  proof p = {.r = r};
  if (!is_monotone(r)) return false;
  double one = ldexp(1, 32 + bits), middle = nearbyint(real_multiplier(r) / factor * one);
  if (middle < 1 || middle > INT32_MAX - MUL_STEPS) return false;
  bound_accumulators(&p);
  collect(&p);
  for (int32_t i = 0; i <= 2 * MUL_STEPS; i++) {
    int32_t mul = (int32_t)middle + (i % 2 == 0 ? i / 2 : -(i + 1) / 2);
    double low, high;
    if (mul < 1) continue;
    high_interval(&p, (double)factor * mul, one, &low, &high);
    if (low < high && split_high_offset(mul, low, high, out) && stays_in_words(&p, factor, *out) &&
        high_holds(&p, factor, bits, *out))
      return true;
  }
  return false;
}
