/* Which stored values each channel of an int8 function can hold, whatever its inputs: an interval,
 * op by op from the parameters, which hold anything, to the results.
 *
 *   sums        every tap's interval is the sum over its channels; where padding leaves taps out,
 *               the interval is over all sets of taps that some result pixel has
 *   rescaling   monotone in the accumulator, hence exact at the interval's ends (fixed.h); where a
 *               step could wrap around, nothing is known but the clamp
 *   one operand all 256 values through the op's own kernel
 *   two         the corners of both intervals through the kernel, monotone in each operand
 *   moves       the union of what moves there
 *
 * An interval of one value is that value exactly, wrapping included. */
#include <string.h>
#include "channels.h"
#include "../runtime/fixed.h"

static const qn_bounds anything = {-128, 127}, nothing = {INT32_MAX, INT32_MIN};

static void join(qn_bounds *b, qn_bounds with) {
  b->low = qn_min(b->low, with.low);
  b->high = qn_max(b->high, with.high);
}

static qn_bounds *bounds_of(const qn_channels *c, const qn_value *v) {
  return c->bounds + c->first[qn_number_of(&c->numbers, v)];
}

/* Of operand i, a constant or not, by channel. */
static const qn_bounds *operand_bounds(const qn_channels *c, const qn_op *op, int i) {
  const qn_value *v = op->in[i];
  if (v->kind != QN_CONST) return bounds_of(c, v);
  qn_bounds *out = qn_alloc(c->arena, (size_t)qn_channel_count(v) * sizeof *out);
  qn_bound_constant(v, out);
  return out;
}

void qn_bound_constant(const qn_value *v, qn_bounds *out) {
  int32_t channels = qn_channel_count(v);
  const int8_t *data = v->data;
  for (int32_t i = 0; i < channels; i++) out[i] = nothing;
  for (int64_t i = 0, count = qn_count(&v->type); i < count; i++)
    join(&out[i % channels], (qn_bounds){data[i], data[i]});
}

/* ------------------------------------------------------------------ accumulators */

/* How an accumulator is stored. */
typedef struct {
  qn_contract contract;
  int32_t mul, shr, zero; /* contract float: mul holds the float's bits */
  qn_bounds clamp;
} scaling;

static qn_bounds clamp_of(const qn_op *op) {
  const int32_t *clamp = qn_attr_of(op, "clamp");
  return clamp ? (qn_bounds){clamp[0], clamp[1]} : anything;
}

/* No step wraps around between the accumulators low and high, so that scaling is monotone. */
static bool is_monotone(const scaling *s, int64_t low, int64_t high) {
  if (low < INT32_MIN || high > INT32_MAX) return false;
  int shift = 0;
  switch (s->contract) {
  case QN_CONTRACT_float: return true;
  case QN_CONTRACT_single: shift = 31 + s->shr; break;
  case QN_CONTRACT_mulhi: shift = 32 + s->shr; break;
  default: return s->shr >= 0 || (low >= INT32_MIN >> -s->shr && high <= INT32_MAX >> -s->shr);
  }
  /* rounding adds at most 1 */
  return low * s->mul >> shift > INT32_MIN && high * s->mul >> shift < INT32_MAX;
}

static int32_t scale(const scaling *s, int64_t acc) {
  return qn_requantize((int32_t)(uint32_t)acc, s->mul, s->shr, s->contract);
}

static int32_t store(const scaling *s, int64_t acc) {
  return qn_store_value(scale(s, acc), s->zero, s->clamp.low, s->clamp.high);
}

/* What accumulators low..high, each modulo 2^32, are stored as. */
static qn_bounds store_all(const scaling *s, int64_t low, int64_t high) {
  if (low != high && !is_monotone(s, low, high)) return s->clamp;
  return (qn_bounds){store(s, low), store(s, high)};
}

/* ------------------------------------------------------------------ convolution, dense */

static scaling channel_scaling(const qn_op *op, int32_t channel) {
  scaling s = {.contract = *(const qn_contract *)qn_attr_of(op, "contract"),
               .zero = op->out->type.q.zero,
               .clamp = clamp_of(op)};
  const qn_value *mul = op->in[3], *shr = op->in_count > 4 ? op->in[4] : NULL;
  int64_t at = qn_count(&mul->type) > 1 ? channel : 0;
  if (mul->type.elem == QN_f32)
    s.mul = qn_bits_of_float(((const float *)mul->data)[at]);
  else
    s.mul = ((const int32_t *)mul->data)[at];
  if (shr) s.shr = ((const int8_t *)shr->data)[at];
  return s;
}

/* Adds weight * (a value of x, less zero) to the interval low..high. */
static void add_product(int64_t *low, int64_t *high, int32_t weight, qn_bounds x, int32_t zero) {
  int64_t a = (int64_t)weight * (x.low - zero), b = (int64_t)weight * (x.high - zero);
  *low += a < b ? a : b;
  *high += a < b ? b : a;
}

static void bound_weighted(qn_channels *c, const qn_op *op) {
  const qn_weighted *p = c->weighted[qn_number_of(&c->numbers, op->out)];
  const qn_bounds *x = operand_bounds(c, op, 0);
  const int32_t *bias = op->in[2]->data;
  int32_t zero = op->in[0]->type.q.zero;
  size_t bytes = (size_t)p->taps * sizeof(int64_t);
  int64_t *low = qn_alloc(c->arena, bytes), *high = qn_alloc(c->arena, bytes);
  qn_bounds *y = bounds_of(c, op->out);
  for (int32_t o = 0; o < p->groups * p->outputs; o++) {
    const qn_bounds *in = x + o / p->outputs * p->inputs;
    memset(low, 0, bytes);
    memset(high, 0, bytes);
    for (int32_t t = 0; t < p->taps; t++) {
      const int8_t *w = p->w + o * p->out_stride + t * p->tap_stride;
      for (int32_t i = 0; i < p->inputs; i++) add_product(&low[t], &high[t], w[i], in[i], zero);
    }
    int64_t least, most, other;
    qn_sum_taps(p, low, &least, &other);
    qn_sum_taps(p, high, &other, &most);
    scaling s = channel_scaling(op, o);
    y[o] = store_all(&s, least + bias[o], most + bias[o]);
    c->start[y - c->bounds + o] = (int32_t)(uint32_t)(least + bias[o]);
  }
}

/* ------------------------------------------------------------------ elementwise */

/* op, an elementwise one with one scale, on lists of stored values; b: NULL, or the second list. */
static void compute(const qn_op *op, int64_t count, const int8_t *a, const int8_t *b, int8_t *y) {
  qn_op list = *op;
  qn_value values[3] = {*op->in[0], *op->in[op->in_count - 1], *op->out};
  const void *in[2] = {a, b ? b : op->in[op->in_count - 1]->data};
  list.in[0] = &values[0];
  list.out = &values[2];
  if (b) list.in[1] = &values[1];
  for (int i = 0; i < 3; i++) {
    values[i].type.rank = 1;
    values[i].type.dim[0] = count;
  }
  qn_eval_op(&list, in, y);
}

static void bound_by_table(qn_channels *c, const qn_op *op) {
  int8_t x[256], table[256];
  for (int32_t i = 0; i < 256; i++) x[i] = (int8_t)(i - 128);
  compute(op, 256, x, NULL, table);
  const qn_bounds *in = bounds_of(c, op->in[0]);
  qn_bounds *y = bounds_of(c, op->out);
  for (int32_t i = 0; i < qn_channel_count(op->out); i++) {
    y[i] = nothing;
    for (int32_t k = in[i].low; k <= in[i].high; k++)
      join(&y[i], (qn_bounds){table[k + 128], table[k + 128]});
  }
}

/* A stored value less its zero point is within -255..255; so no step of op wraps around. */
static bool pair_is_monotone(const qn_op *op) {
  if (op->code == QN_OP_qmul) {
    const qn_attrs_qscale *a = &op->a.qscale;
    scaling s = {.contract = a->contract, .mul = a->mul, .shr = a->shr};
    return is_monotone(&s, -255 * 255, 255 * 255);
  }
  const qn_attrs_qadd *a = &op->a.qadd;
  if (a->contract == QN_CONTRACT_float) return true;
  int64_t most = (int64_t)255 << a->left_shift, sum = 0;
  for (int i = 0; i < 2; i++) {
    scaling s = {.contract = a->contract, .mul = a->mul[i], .shr = a->shr[i]};
    if (!is_monotone(&s, -most, most)) return false;
    sum += qn_max(scale(&s, most), -scale(&s, -most));
  }
  scaling s = {.contract = a->contract, .mul = a->mul[2], .shr = a->shr[2]};
  return is_monotone(&s, -sum, sum);
}

static void bound_pair(qn_channels *c, const qn_op *op) {
  int32_t channels = qn_channel_count(op->out);
  qn_bounds *y = bounds_of(c, op->out);
  for (int32_t i = 0; i < channels; i++) y[i] = clamp_of(op);
  if (!pair_is_monotone(op)) return;
  const qn_bounds *a = operand_bounds(c, op, 0), *b = operand_bounds(c, op, 1);
  int32_t a_count = qn_channel_count(op->in[0]), b_count = qn_channel_count(op->in[1]);
  int8_t *lists = qn_alloc(c->arena, (size_t)channels * 12);
  int8_t *as = lists, *bs = lists + 4 * (int64_t)channels, *ys = lists + 8 * (int64_t)channels;
  for (int32_t i = 0; i < channels; i++) {
    for (int k = 0; k < 4; k++) {
      qn_bounds ai = a[i % a_count], bi = b[i % b_count];
      as[4 * i + k] = (int8_t)(k & 1 ? ai.high : ai.low);
      bs[4 * i + k] = (int8_t)(k & 2 ? bi.high : bi.low);
    }
  }
  compute(op, 4 * (int64_t)channels, as, bs, ys);
  for (int32_t i = 0; i < channels; i++) {
    y[i] = nothing;
    for (int k = 0; k < 4; k++) join(&y[i], (qn_bounds){ys[4 * i + k], ys[4 * i + k]});
  }
}

/* ------------------------------------------------------------------ moves, pools, means */

/* What pad puts around x: bind.c's number. */
static qn_bounds fill_of(const qn_op *op) {
  qn_call call;
  qn_bind(op, &call);
  int32_t fill;
  memcpy(&fill, call.params + offsetof(qn_pad_params, fill), sizeof fill);
  return (qn_bounds){(int8_t)fill, (int8_t)fill};
}

static bool pads_other_dims(const qn_op *op) {
  for (int i = 0; i < op->in[0]->type.rank - 1; i++) {
    if (op->a.pad.before.at[i] || op->a.pad.after.at[i]) return true;
  }
  return false;
}

/* A mean rescales a sum of `count` values less their zero point. */
static void bound_mean(const qn_op *op, qn_bounds *y) {
  const qn_attrs_qmean *a = &op->a.qmean;
  scaling s = {a->contract, a->mul, a->shr, op->out->type.q.zero, clamp_of(op)};
  if (a->contract == QN_CONTRACT_float) s.mul = qn_bits_of_float(a->scale);
  int64_t count = qn_count(&op->in[0]->type) / qn_count(&op->out->type);
  int64_t zero = op->in[0]->type.q.zero;
  *y = store_all(&s, count * (y->low - zero), count * (y->high - zero));
}

/* The values that move to each channel, joined; then what the op does to them. An average is
 * rounded within its values' interval; every window of a verified pool has a tap inside. */
static void bound_moved(qn_channels *c, const qn_op *op) {
  int32_t ys = qn_channel_count(op->out);
  qn_bounds *y = bounds_of(c, op->out), clamp = clamp_of(op);
  bool is_pad = op->code == QN_OP_pad, joins = !is_pad || pads_other_dims(op);
  qn_bounds start = is_pad ? fill_of(op) : nothing;
  for (int32_t i = 0; i < ys; i++) y[i] = start;
  for (int k = 0; k < qn_linked_operands(op); k++) {
    qn_link l = qn_link_of(op, k);
    const qn_bounds *x = operand_bounds(c, op, k);
    int32_t xs = qn_channel_count(op->in[k]);
    for (int32_t u = 0; u < l.count; u++) {
      qn_bounds *at = &y[(l.y + u) % ys];
      if (!joins) *at = nothing;
      join(at, x[(l.x + u) % xs]);
    }
  }
  for (int32_t i = 0; i < ys; i++) {
    if (op->code == QN_OP_qmean) bound_mean(op, &y[i]);
    y[i].low = qn_clamp(y[i].low, clamp.low, clamp.high);
    y[i].high = qn_clamp(y[i].high, clamp.low, clamp.high);
  }
}

/* ------------------------------------------------------------------ all ops */

static void bound_linked(qn_channels *c, const qn_op *op) {
  if (qn_is_elementwise_pair(op))
    bound_pair(c, op);
  else if (op->code == QN_OP_lookup || op->code == QN_OP_requantize)
    bound_by_table(c, op);
  else
    bound_moved(c, op);
}

/* Of values that are not int8 nothing is known, clamped to one value or not. */
static void bound_mixed(qn_channels *c, const qn_op *op) {
  qn_bounds *y = bounds_of(c, op->out), known = anything;
  if (op->out->type.elem == QN_i8) known = clamp_of(op);
  for (int32_t i = 0; i < qn_channel_count(op->out); i++) y[i] = known;
}

void qn_find_bounds(qn_channels *c) {
  for (const qn_value *p = c->f->params; p; p = p->next) {
    for (int32_t i = 0; i < qn_channel_count(p); i++) bounds_of(c, p)[i] = anything;
  }
  for (const qn_op *op = c->f->first; op; op = op->next) {
    switch (qn_channel_kind_of(op)) {
    case QN_CHANNELS_WEIGHTED: bound_weighted(c, op); break;
    case QN_CHANNELS_LINKED: bound_linked(c, op); break;
    default: bound_mixed(c, op); break;
    }
  }
}
