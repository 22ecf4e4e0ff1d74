/* A float layer with stored weights -> bias, multipliers and shifts of the integer layer:
 *   unit = x.scale * w.scale   the real value of the accumulator's 1, per channel
 *   b    = round(bias / unit),  m = unit / y.scale = mul and shr under the contract
 *
 * Accumulators are int32. Products of int16 inputs have 23 bits and a sign: where a channel's
 * weights and bias do not prove that the sums fit, the layer's bias and sums are int64. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "layer_constants.h"
#include "match.h"

/* int64 accumulators are at most this: what fixed.h multiplies exactly. */
#define MOST_LONG 0x1p46

static int64_t channels_of(const qn_layer_reals *l) { return l->y->dim[l->y->rank - 1]; }

static bool is_wide(const qn_layer_reals *l) { return l->x->elem == QN_i16; }

static double unit_of(const qn_layer_reals *l, int64_t channel) {
  return (double)l->x->q.scale * (double)qn_scale_at(&l->w->type, channel);
}

/* m = x*w/y in double; of a dense with one weight scale, x*w in float32 and the rest in double. */
static double multiplier_of(const qn_layer_reals *l, int64_t channel) {
  double unit = unit_of(l, channel);
  bool one = !l->w->type.q.scales || channels_of(l) == 1;
  if (l->op->code == QN_OP_dense && one) unit = (float)unit;
  return unit / (double)l->y->q.scale;
}

/* Element c of the bias in the accumulator's unit. The integers of an int32 bias with that very
 * scale are taken as they are; other biases are rounded, ties away from zero. */
static bool store_bias(const qn_value *b, int64_t c, double unit, int64_t *out) {
  double real = 0;
  if (b && qn_reals(b)) {
    real = qn_reals(b)[c];
  } else if (b) {
    const qn_op *op = qn_def(b, QN_OP_dequantize);
    if (!op || op->in[0]->kind != QN_CONST || op->in[0]->type.elem != QN_i32) return false;
    const qn_type *t = &op->in[0]->type;
    int32_t at = ((const int32_t *)op->in[0]->data)[c];
    double scale = (double)qn_scale_at(t, c);
    if (t->q.zero == 0 && fabs(scale - unit) <= 1e-6 * unit) {
      *out = at;
      return true;
    }
    real = ((double)at - t->q.zero) * scale;
  }
  double rounded = round(real / unit);
  if (!(fabs(rounded) <= MOST_LONG)) return false;
  *out = (int64_t)rounded;
  return true;
}

/* The largest accumulator of a channel: every input as far from its zero point as can be. */
static int64_t largest_sum(const qn_layer_reals *l, int64_t channel, int64_t bias) {
  const int8_t *w = l->w->data;
  bool last = l->op->code == QN_OP_depthwise_conv2d; /* the channel's dim, else the first */
  int64_t channels = channels_of(l), sum = 0, count = qn_count(&l->w->type) / channels;
  int64_t first = last ? channel : channel * count, step = last ? channels : 1;
  for (int64_t i = 0; i < count; i++) sum += abs(w[first + i * step]);
  return l->largest * sum + llabs(bias);
}

/* False where int32 is too short and int64 no way out. int8 sums may wrap: who wrote such a layer
 * means it. */
static bool choose_sums(const qn_layer_reals *l, qn_layer_constants *k) {
  bool fits = true;
  for (int64_t c = 0; c < channels_of(l); c++) {
    int64_t largest = is_wide(l) ? largest_sum(l, c, k->bias[c]) : llabs(k->bias[c]);
    fits = fits && largest <= INT32_MAX;
    if ((double)largest > MOST_LONG) return false;
  }
  k->long_sums = !fits;
  return fits || is_wide(l);
}

static bool make_factor(const qn_layer_reals *l, const qn_layer_constants *k, int64_t channel,
                        qn_multiplier *out) {
  double m = multiplier_of(l, channel);
  if (!k->long_sums)
    return qn_make_factor(l->contract, m, largest_sum(l, channel, k->bias[channel]), out);
  if (!qn_make_factor(l->contract, m, 0, out)) return false;
  return l->contract == QN_CONTRACT_float || out->shr >= -7; /* what fixed.h takes */
}

static bool make_factors(const qn_layer_reals *l, qn_layer_constants *out) {
  out->shifts = l->contract == QN_CONTRACT_tflite || l->contract == QN_CONTRACT_single;
  for (int64_t c = 0; c < channels_of(l); c++) {
    qn_multiplier k;
    if (!make_factor(l, out, c, &k)) return false;
    int64_t at = out->count == 1 ? 0 : c;
    out->mul[at] = k.mul;
    if (l->contract == QN_CONTRACT_float) memcpy(&out->mul[at], &k.scale, sizeof k.scale);
    out->shr[at] = (int8_t)k.shr;
    out->shifts = out->shifts || k.shr != 0;
  }
  return true;
}

bool qn_make_layer_constants(qn_arena *a, const qn_layer_reals *l, qn_layer_constants *out) {
  int64_t channels = channels_of(l);
  const qn_value *b = l->op->in_count > 2 ? l->op->in[2] : NULL;
  *out = (qn_layer_constants){.count = l->w->type.q.scales ? channels : 1};
  out->bias = qn_alloc(a, (size_t)channels * sizeof *out->bias);
  out->mul = qn_alloc(a, (size_t)out->count * sizeof *out->mul);
  out->shr = qn_alloc(a, (size_t)out->count * sizeof *out->shr);
  for (int64_t c = 0; c < channels; c++) {
    if (!store_bias(b, c, unit_of(l, c), &out->bias[c])) return false;
  }
  return choose_sums(l, out) && make_factors(l, out);
}
