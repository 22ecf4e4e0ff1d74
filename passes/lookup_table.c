/* A function of one int8 value -> its table, which runtime/unary.c's lookup reads.
 *
 * Contract float: round((f(x.scale * (q - x.zero))) / y.scale) + y.zero in float, ties to even,
 * with f of runtime/real.h, so that the table is the same wherever it is made. The other contracts:
 * TFLite Micro's int8 reference kernels to the bit (reference/integer_ops/logistic.h and tanh.h,
 * reference/hard_swish.h, reference/leaky_relu.h, and the multipliers that micro/kernels prepare
 * for them). A quantization that those refuse, or for which they are undefined, has no table. */
#include <math.h>
#include "../runtime/fixed_point.h"
#include "../runtime/real.h"
#include "passes.h"

enum { LEAST = -128, MOST = 127 };

/* ------------------------------------------------------------------ logistic, tanh */

/* d = q - x.zero as Q4.27: d * mul * 2^(shift - 31), shift the exponent of x.scale * 2^27; all
 * |d| >= radius are beyond the function's last step. */
typedef struct {
  int32_t mul, shr, radius;
} to_q4;

/* False where TFLM's own shifts are undefined: scales below 2^-28 or from 2^35 on. */
static bool prepare_q4(const qn_quant *x, to_q4 *out) {
  enum { INTEGER_BITS = 4, MOST_SHIFT = 62 };
  int shift;
  double fraction = frexp(ldexp((double)x->scale, 31 - INTEGER_BITS), &shift);
  if (!(x->scale > 0) || shift < 0 || shift > MOST_SHIFT) return false;
  out->mul = (int32_t)llround(ldexp(fraction, 31)); /* below 2^31: a float has 24 bits */
  out->shr = -shift;
  out->radius = (int32_t)floor(ldexp(15, 31 - INTEGER_BITS - shift));
  return true;
}

/* function: Q4.27 -> Q0.31, of which the upper 31 - dropped bits are stored, + zero. */
static void tabulate_q4(const qn_quant *x, const to_q4 *in, int32_t (*function)(int32_t),
                        int32_t dropped, int32_t zero, int8_t out[256]) {
  for (int32_t q = LEAST; q <= MOST; q++) {
    int32_t d = q - x->zero, y = d < 0 ? LEAST : MOST;
    if (d <= -in->radius)
      y = LEAST;
    else if (d < in->radius)
      y = zero + qn_rounding_shift_right(
                     function(qn_requantize(d, in->mul, in->shr, QN_CONTRACT_tflite)), dropped);
    out[q - LEAST] = (int8_t)qn_clamp(y, LEAST, MOST);
  }
}

static int32_t logistic_q4(int32_t a) { return qn_logistic_q4(a); }
static int32_t tanh_q4(int32_t a) { return qn_tanh_q4(a); }

/* The result's quantization is fixed: all of [0, 1] or [-1, 1]. */
static bool has_quant(const qn_quant *y, float scale, int32_t zero) {
  return y->scale == scale && y->zero == zero;
}

static bool tabulate_logistic(const qn_quant *x, const qn_quant *y, int8_t out[256]) {
  to_q4 in;
  if (!has_quant(y, 1.0f / 256, -128) || !prepare_q4(x, &in)) return false;
  tabulate_q4(x, &in, logistic_q4, 31 - 8, -128, out);
  return true;
}

static bool tabulate_tanh(const qn_quant *x, const qn_quant *y, int8_t out[256]) {
  to_q4 in;
  if (!has_quant(y, 1.0f / 128, 0) || !prepare_q4(x, &in)) return false;
  tabulate_q4(x, &in, tanh_q4, 31 - 7, 0, out);
  return true;
}

/* ------------------------------------------------------------------ hard swish */

static int32_t saturate_16(int32_t x) { return qn_clamp(x, INT16_MIN, INT16_MAX); }

/* a*b / 2^15 of int16 values, neither of them -2^15 with the other: to nearest, ties up; and
 * towards zero. */
static int32_t high_product_16(int32_t a, int32_t b) { return (a * b + (1 << 14)) >> 15; }
static int32_t high_product_16_to_zero(int32_t a, int32_t b) { return a * b / (1 << 15); }

/* m = mul * 2^(exponent - 15), 2^14 <= mul < 2^15. */
typedef struct {
  int32_t mul;
  int exponent;
} factor_16;

/* The Q31 multiplier of tflite, its upper half rounded. A right shift of an int16 ends at 15. */
static bool split_16(float m, factor_16 *out) {
  int32_t mul, shr;
  if (!qn_split_multiplier((double)m, QN_CONTRACT_tflite, &mul, &shr) || shr > 15) return false;
  out->mul = mul >= INT32_MAX - (1 << 15) ? INT16_MAX : (mul + (1 << 15)) >> 16;
  out->exponent = -shr;
  return true;
}

/* (x + 3) / 6 in 0..1 as Q0.15, of x on a scale of 128 steps per stored one, times `m` so that
 * 3 becomes 2^15. A left shift saturates; all but its last bit goes before the multiplication. */
static int32_t relu6_part(int32_t x, factor_16 m) {
  if (m.exponent > 0) {
    int64_t shifted = (int64_t)x * ((int64_t)1 << (m.exponent - 1));
    x = shifted > INT16_MAX ? INT16_MAX : shifted < INT16_MIN ? INT16_MIN : (int32_t)shifted;
  }
  x = high_product_16(x, m.mul);
  if (m.exponent > 0) x = saturate_16(2 * x);
  if (m.exponent < 0) x = qn_rounding_shift_right(x, -m.exponent);
  return (x + (1 << 15)) >> 1;
}

static bool tabulate_hard_swish(const qn_quant *x, const qn_quant *y, int8_t out[256]) {
  factor_16 to_output, to_part;
  float fine = 1.0f / 128 * x->scale; /* the scale of 128 steps per stored one */
  if (!split_16(fine / y->scale, &to_output) || to_output.exponent > 0) return false;
  if (!split_16(fine / (3.0f / 32768), &to_part)) return false;
  for (int32_t q = LEAST; q <= MOST; q++) {
    int32_t input = (q - x->zero) * 128;
    int32_t output = high_product_16(input, to_output.mul);
    output = high_product_16_to_zero(relu6_part(input, to_part), output);
    output = qn_rounding_shift_right(output, -to_output.exponent);
    out[q - LEAST] = (int8_t)qn_clamp(output + y->zero, LEAST, MOST);
  }
  return true;
}

/* ------------------------------------------------------------------ leaky relu */

/* Multipliers x/y above 0 and alpha*x/y below, both computed in float; the sign of alpha apart. */
static bool tabulate_leaky_relu(const qn_quant *x, const qn_quant *y, float alpha,
                                int8_t out[256]) {
  int32_t mul[2], shr[2];
  float above = x->scale / y->scale, below = x->scale * alpha / y->scale;
  if (!qn_split_multiplier((double)above, QN_CONTRACT_tflite, &mul[0], &shr[0])) return false;
  if (!qn_split_multiplier(fabs((double)below), QN_CONTRACT_tflite, &mul[1], &shr[1])) return false;
  for (int32_t q = LEAST; q <= MOST; q++) {
    int32_t d = q - x->zero, side = d < 0;
    int32_t scaled = qn_requantize(d, mul[side], shr[side], QN_CONTRACT_tflite);
    if (side && below < 0) scaled = (int32_t)(0 - (uint32_t)scaled);
    out[q - LEAST] = (int8_t)qn_store_value(scaled, y->zero, LEAST, MOST);
  }
  return true;
}

/* ------------------------------------------------------------------ any, in float */

static float apply(const qn_op *op, float x) {
  switch (op->code) {
  case QN_OP_logistic: return qn_logistic(x);
  case QN_OP_tanh: return qn_tanh(x);
  case QN_OP_leaky_relu: return x >= 0 ? x : x * op->a.leaky_relu.alpha;
  default: return x * qn_clamp_f32(x + 3.0f, 0.0f, 6.0f) / 6.0f;
  }
}

static bool tabulate_float(const qn_op *op, const qn_quant *x, const qn_quant *y, int8_t out[256]) {
  for (int32_t q = LEAST; q <= MOST; q++) {
    float real = apply(op, x->scale * (float)(q - x->zero)) / y->scale;
    if (isnan(real)) return false; /* overflow on both sides of a division */
    out[q - LEAST] = (int8_t)qn_store_value(qn_round(real), y->zero, LEAST, MOST);
  }
  return true;
}

bool qn_lookup_table(const qn_op *op, const qn_quant *x, const qn_quant *y, qn_contract contract,
                     int8_t out[256]) {
  if (!x->on || !y->on || x->scales || y->scales) return false;
  bool integer = contract != QN_CONTRACT_float;
  switch (op->code) {
  case QN_OP_logistic:
    return integer ? tabulate_logistic(x, y, out) : tabulate_float(op, x, y, out);
  case QN_OP_tanh: return integer ? tabulate_tanh(x, y, out) : tabulate_float(op, x, y, out);
  case QN_OP_hard_swish:
    return integer ? tabulate_hard_swish(x, y, out) : tabulate_float(op, x, y, out);
  case QN_OP_leaky_relu:
    return integer ? tabulate_leaky_relu(x, y, op->a.leaky_relu.alpha, out)
                   : tabulate_float(op, x, y, out);
  default: return false;
  }
}
