/* quantize(op(dequantize ...)) -> an integer op.
 *
 * Every `quantize` with an int8 result of one scale, or an int16 result of zero 0, is looked at,
 * together with the float op that computes its operand; relu, relu6 and clip between the two become
 * the integer op's clamp. Where the op's rule holds, the quantize turns into the integer op: its
 * result keeps name, type and uses. The float ops behind it are left to dce. Where no rule holds,
 * nothing changes: the ops stay float and correct.
 *
 * Requires of all: only the op behind it reads a float op's result; operands are `dequantize` of
 * values stored as the result is. fuse_conv says what weights and biases may be.
 *
 * A rule
 *   1. is fuse_<name>, name from the column `fuse` of ops.def;
 *   2. builds nothing before it is sure, and answers STAYS until then;
 *   3. narrows the clamp by its op's activation;
 *   4. computes multipliers in the precision that TFLite Micro's Prepare functions do (some in
 *      float32), because under the contract `tflite` the integers must be the same. The formulas
 *      stand above each rule; x, a, b, w, y mean the scales of the operands and the result. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "layer_constants.h"
#include "match.h"

typedef struct {
  qn_module *m;
  qn_func *f;
  const qn_reads *reads; /* of float values as they were at the start: enough */
  qn_op *op;             /* the quantize: becomes the integer op */
  const qn_type *y;      /* its result */
  qn_contract contract;
  int32_t least, most; /* that its element can be */
  int32_t low, high;   /* of the stored result, from the clamps seen so far */
  bool clamped;        /* a relu, relu6 or clip was seen */
} site;

typedef enum {
  STAYS,  /* no integer op means the same */
  DONE,   /* s->op is the integer op */
  GOES_ON /* a clamp: s knows it now, ask the op before */
} outcome;

/* ------------------------------------------------------------------ reading */

/* One scale; an int16 has no zero point. */
static bool is_plain(const qn_type *t) {
  return t->q.on && !t->q.scales && (t->elem == QN_i8 || (t->elem == QN_i16 && t->q.zero == 0));
}

static bool is_wide(const site *s) { return s->y->elem == QN_i16; }

/* The value, stored as y is, that v is the real value of, if that has one scale; else NULL. */
static qn_value *stored(const site *s, const qn_value *v) {
  const qn_op *op = qn_def(v, QN_OP_dequantize);
  const qn_type *t = op ? &op->in[0]->type : NULL;
  return t && t->elem == s->y->elem && is_plain(t) ? op->in[0] : NULL;
}

static double scale_of(const qn_value *v) { return v->type.q.scale; }

/* A real bound as y stores it: float32 division, ties away from zero, as TFLite's
 * CalculateActivationRangeQuantized; then saturated. */
static int32_t store_bound(const site *s, float real) {
  double at = (double)roundf(real / s->y->q.scale) + s->y->q.zero;
  return at < s->least ? s->least : at > s->most ? s->most : (int32_t)at;
}

static int32_t clamp(int32_t x, int32_t low, int32_t high) {
  return x < low ? low : x > high ? high : x;
}

/* The result is clamped to i first, then to what the site says already. */
static void narrow(site *s, qn_interval i) {
  int32_t low = store_bound(s, i.low), high = store_bound(s, i.high);
  low = clamp(low, s->low, s->high);
  high = clamp(high, s->low, s->high);
  s->low = low;
  s->high = high;
}

static void narrow_by_activation(site *s, qn_op *op) {
  narrow(s, qn_activation_interval(*qn_activation_of(op)));
}

static bool is_clamped(const site *s) { return s->low > s->least || s->high < s->most; }

/* ------------------------------------------------------------------ multipliers */

/* A stored value less its zero point is at most this. */
static int64_t max_stored(const site *s) { return is_wide(s) ? 32768 : 255; }

/* x's scale over the result's, for requantize. TFLite Micro's relu divides in float32, its quantize
 * in double. */
static bool make_ratio(const site *s, const qn_value *x, qn_multiplier *out) {
  double m = s->clamped ? (double)(x->type.q.scale / s->y->q.scale) : scale_of(x) / s->y->q.scale;
  return qn_make_factor(s->contract, m, max_stored(s), out);
}

/* ------------------------------------------------------------------ building */

static void *attr(qn_op *op, const char *name) { return (void *)qn_attr_of(op, name); }

static size_t bytes_of(const qn_attr *a) {
  switch (a->kind) {
  case QN_ATTR_int:
  case QN_ATTR_ints: return sizeof(int32_t) * (size_t)a->count;
  case QN_ATTR_real:
  case QN_ATTR_reals: return sizeof(float) * (size_t)a->count;
  case QN_ATTR_flag: return sizeof(bool);
  case QN_ATTR_list: return sizeof(qn_list);
  case QN_ATTR_padding: return sizeof(qn_padding);
  case QN_ATTR_activation: return sizeof(qn_activation);
  case QN_ATTR_contract: return sizeof(qn_contract);
  }
  return 0;
}

/* The attributes that both ops have: stride, padding, axes, ... */
static void copy_attrs(qn_op *to, qn_op *from) {
  for (const qn_attr *a = qn_ops[to->code].attrs; a->name; a++) {
    const qn_attr *b = qn_find_attr(from->code, a->name, strlen(a->name));
    if (b && b->kind == a->kind && b->count == a->count)
      memcpy((char *)&to->a + a->offset, (char *)&from->a + b->offset, bytes_of(a));
  }
}

static void set_factor(qn_op *op, qn_multiplier k) {
  *(int32_t *)attr(op, "mul") = k.mul;
  *(int32_t *)attr(op, "shr") = k.shr;
  *(float *)attr(op, "scale") = k.scale;
}

/* Turns the quantize into `code` of these operands, with the site's clamp and contract. */
static qn_op *become(site *s, qn_opcode code, qn_value *const *in, int count) {
  qn_op *op = s->op;
  op->code = code;
  op->in_count = count;
  for (int i = 0; i < QN_MAX_IN; i++) op->in[i] = i < count ? in[i] : NULL;
  qn_default_attrs(code, &op->a);
  int32_t *bounds = attr(op, "clamp");
  if (bounds) {
    bounds[0] = s->low;
    bounds[1] = s->high;
  }
  qn_contract *contract = attr(op, "contract");
  if (contract) *contract = s->contract;
  return op;
}

/* An op in front of the site's: type's dims, y's element with quantization q, named after the
 * result. It clamps nothing that its element can be. */
static qn_op *add_before(site *s, qn_opcode code, qn_value *const *in, int count,
                         const qn_type *type, const qn_quant *q) {
  const char *name = qn_format(&s->m->arena, "%s.%s", s->op->out->name, qn_ops[code].name);
  qn_op *op = qn_add_op(s->m, s->f, s->op, code, name, in, count);
  op->loc = op->out->loc = s->op->loc;
  op->out->type = *type;
  op->out->type.elem = s->y->elem;
  op->out->type.q = *q;
  int32_t *bounds = attr(op, "clamp");
  if (bounds) {
    bounds[0] = s->least;
    bounds[1] = s->most;
  }
  return op;
}

static outcome become_requantize(site *s, qn_value *x, qn_multiplier k) {
  set_factor(become(s, QN_OP_requantize, &x, 1), k);
  return DONE;
}

/* `code` in the quantization of its first operand: as the site's op where y has the same and code
 * can clamp as the site asks, else in front of a requantize. Attributes as from's. */
static outcome finish_in_operand_scale(site *s, qn_opcode code, qn_value *const *in, int count,
                                       qn_op *from) {
  bool can_clamp = qn_find_attr(code, "clamp", strlen("clamp")) != NULL;
  const qn_quant *q = &in[0]->type.q;
  if (qn_same_quant(q, &s->y->q) && (can_clamp || !is_clamped(s))) {
    copy_attrs(become(s, code, in, count), from);
    return DONE;
  }
  qn_multiplier k;
  if (!make_ratio(s, in[0], &k)) return STAYS;
  qn_op *op = add_before(s, code, in, count, &from->out->type, q);
  copy_attrs(op, from);
  return become_requantize(s, op->out, k);
}

static qn_value *add_list(site *s, const char *suffix, qn_elem elem, int64_t count,
                          const void *data) {
  qn_type type = qn_make_type(elem, 1, &count);
  return qn_add_const(s->m, qn_format(&s->m->arena, "%s.%s", s->op->out->name, suffix), &type,
                      data);
}

/* ------------------------------------------------------------------ convolution, dense */

/* Weights: an int8 constant with zero 0, one scale or one per output channel. */
static qn_value *stored_weights(const qn_op *op) {
  const qn_op *weights = qn_def(op->in[1], QN_OP_dequantize);
  qn_value *w = weights ? weights->in[0] : NULL;
  if (!w || w->kind != QN_CONST || w->type.elem != QN_i8) return NULL;
  int axis = op->code == QN_OP_depthwise_conv2d ? w->type.rank - 1 : 0;
  return (w->type.q.scales ? w->type.q.axis == axis : w->type.q.zero == 0) ? w : NULL;
}

/* The bias as an operand: i64 for long sums, else i32. */
static qn_value *add_bias(site *s, const qn_layer_constants *k, int64_t channels) {
  if (k->long_sums) return add_list(s, "b", QN_i64, channels, k->bias);
  int32_t *bias = qn_alloc(&s->m->arena, (size_t)channels * sizeof *bias);
  for (int64_t c = 0; c < channels; c++) bias[c] = (int32_t)k->bias[c];
  return add_list(s, "b", QN_i32, channels, bias);
}

static qn_opcode integer_code(qn_opcode code) {
  switch (code) {
  case QN_OP_depthwise_conv2d: return QN_OP_qdepthwise_conv2d;
  case QN_OP_dense: return QN_OP_qdense;
  case QN_OP_add: return QN_OP_qadd;
  case QN_OP_sub: return QN_OP_qsub;
  case QN_OP_avg_pool2d: return QN_OP_qavg_pool2d;
  case QN_OP_max_pool2d: return QN_OP_qmax_pool2d;
  default: return QN_OP_qconv2d;
  }
}

static outcome fuse_conv(site *s, qn_op *op) {
  qn_value *x = stored(s, op->in[0]), *w = stored_weights(op);
  if (!x || !w) return STAYS;
  qn_layer_reals reals = {.op = op,
                          .x = &x->type,
                          .w = w,
                          .y = s->y,
                          .contract = s->contract,
                          .largest = max_stored(s)};
  qn_layer_constants k;
  if (!qn_make_layer_constants(&s->m->arena, &reals, &k)) return STAYS;
  narrow_by_activation(s, op);
  qn_elem elem = s->contract == QN_CONTRACT_float ? QN_f32 : QN_i32;
  qn_value *in[] = {x, w, add_bias(s, &k, s->y->dim[s->y->rank - 1]),
                    add_list(s, "mul", elem, k.count, k.mul),
                    k.shifts ? add_list(s, "shr", QN_i8, k.count, k.shr) : NULL};
  copy_attrs(become(s, integer_code(op->code), in, k.shifts ? 5 : 4), op);
  return DONE;
}

/* ------------------------------------------------------------------ two operands */

/* m = a*b/y, a*b in float32. */
static outcome fuse_matmul(site *s, qn_op *op) {
  qn_value *in[] = {stored(s, op->in[0]), stored(s, op->in[1])};
  qn_multiplier k;
  if (!in[0] || !in[1] || is_wide(s)) return STAYS;
  float product = in[0]->type.q.scale * in[1]->type.q.scale;
  int64_t largest = max_stored(s) * max_stored(s) * in[0]->type.dim[in[0]->type.rank - 1];
  if (!qn_make_factor(s->contract, (double)product / s->y->q.scale, largest, &k)) return STAYS;
  qn_op *q = become(s, QN_OP_qmatmul, in, 2);
  copy_attrs(q, op);
  set_factor(q, k);
  return DONE;
}

/* Bits that a sum carries more on the way: as many as an int32 has room for. */
static int32_t sum_shift(const site *s) { return is_wide(s) ? 15 : 20; }

/* twice = 2*max(a, b); mul[0], mul[1] of a/twice, b/twice; mul[2] of twice / (2^20 * y), of int16
 * 2^15, which must be below 1. add divides in double, sub in float32. */
static bool make_sum_factors(const site *s, const qn_value *const *in, bool in_float,
                             qn_multiplier k[3]) {
  double a = scale_of(in[0]), b = scale_of(in[1]), twice = 2 * (a > b ? a : b);
  double m[3] = {a / twice, b / twice, twice / (ldexp(1, sum_shift(s)) * s->y->q.scale)};
  for (int i = 0; i < 3; i++) {
    double exact = m[i];
    if (in_float) exact = (float)exact;
    if (exact >= 1 || !qn_make_factor(s->contract, exact, max_stored(s) << sum_shift(s), &k[i]))
      return false;
  }
  return true;
}

static outcome fuse_add(site *s, qn_op *op) {
  qn_value *in[] = {stored(s, op->in[0]), stored(s, op->in[1])};
  qn_multiplier k[3] = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
  if (!in[0] || !in[1]) return STAYS;
  if (s->contract == QN_CONTRACT_float) {
    for (int i = 0; i < 2; i++) {
      if (!qn_make_factor(s->contract, scale_of(in[i]) / s->y->q.scale, max_stored(s), &k[i]))
        return STAYS;
    }
  } else if (!make_sum_factors(s, (const qn_value *const *)in, op->code == QN_OP_sub, k)) {
    return STAYS;
  }
  narrow_by_activation(s, op);
  qn_op *q = become(s, integer_code(op->code), in, 2);
  q->a.qadd.left_shift = sum_shift(s);
  for (int i = 0; i < 3; i++) {
    q->a.qadd.mul[i] = k[i].mul;
    q->a.qadd.shr[i] = k[i].shr;
    if (i < 2) q->a.qadd.scale[i] = k[i].scale;
  }
  return DONE;
}

/* m = a*b/y in double. */
static outcome fuse_mul(site *s, qn_op *op) {
  qn_value *in[] = {stored(s, op->in[0]), stored(s, op->in[1])};
  qn_multiplier k;
  if (!in[0] || !in[1]) return STAYS;
  double m = scale_of(in[0]) * scale_of(in[1]) / s->y->q.scale;
  if (!qn_make_factor(s->contract, m, max_stored(s) * max_stored(s), &k)) return STAYS;
  narrow_by_activation(s, op);
  set_factor(become(s, QN_OP_qmul, in, 2), k);
  return DONE;
}

/* ------------------------------------------------------------------ pools, mean */

static outcome fuse_pool(site *s, qn_op *op) {
  qn_value *x = stored(s, op->in[0]);
  qn_window g = qn_window_of(op);
  if (!x || (int64_t)g.kernel_h * g.kernel_w > qn_max_summands(s->y->elem)) return STAYS;
  narrow_by_activation(s, op);
  return finish_in_operand_scale(s, integer_code(op->code), &x, 1, op);
}

/* m = x/y, and the division by the count folded in: for mulhi and float exactly; else as TFLite
 * does, with the largest shift that keeps mul in 31 bits and shr at most 31:
 *   shift = min(floor(log2(count)), 32, 31 - shr);  mul = floor(mul * 2^shift / count) */
static bool make_mean_factor(const site *s, double m, int64_t count, qn_multiplier *out) {
  qn_contract contract = s->contract;
  if (contract == QN_CONTRACT_float || contract == QN_CONTRACT_mulhi)
    return qn_make_factor(contract, m / (double)count, max_stored(s) * count, out);
  if (!qn_make_factor(contract, m, 0, out)) return false;
  int shift = 0;
  while (shift < 32 && shift < 31 - out->shr && count >> (shift + 1)) shift++;
  out->mul = (int32_t)((out->mul * ((int64_t)1 << shift)) / count);
  out->shr += shift;
  return qn_has_room(out->shr, max_stored(s) * count);
}

static outcome fuse_mean(site *s, qn_op *op) {
  qn_value *x = stored(s, op->in[0]);
  qn_multiplier k;
  int64_t count = qn_count(&op->in[0]->type) / qn_count(&op->out->type);
  if (!x || count > qn_max_summands(s->y->elem)) return STAYS;
  double m = scale_of(x) / s->y->q.scale;
  if (!make_mean_factor(s, m, count, &k)) return STAYS;
  qn_op *q = become(s, QN_OP_qmean, &x, 1);
  copy_attrs(q, op);
  set_factor(q, k);
  return DONE;
}

/* ------------------------------------------------------------------ functions of one value */

/* Differences of stored values to Q5.26: m = min(beta*x * 2^26, 2^31 - 1), which must be above 1.
 * The smallest that counts: diff_min = -floor((2^5 - 1) * 2^26 / 2^left_shift). */
static outcome fuse_softmax(site *s, qn_op *op) {
  qn_value *x = stored(s, op->in[0]);
  float scale = is_wide(s) ? 0x1p-15f : 0x1p-8f;
  int32_t zero = is_wide(s) ? 0 : -128;
  if (!x || is_clamped(s) || s->y->q.scale != scale || s->y->q.zero != zero) return STAYS;
  double m = fmin((double)op->a.softmax.beta * scale_of(x) * 0x1p26, 0x1p31 - 1);
  int32_t mul, shr;
  if (!(m > 1) || !qn_split_multiplier(m, QN_CONTRACT_tflite, &mul, &shr)) return STAYS;
  qn_op *q = become(s, QN_OP_qsoftmax, &x, 1);
  q->a.qsoftmax.mul = mul;
  q->a.qsoftmax.left_shift = -shr;
  q->a.qsoftmax.diff_min = -(int32_t)floor(31 * ldexp(1, 26 + shr));
  return DONE;
}

static outcome fuse_lookup(site *s, qn_op *op) {
  qn_value *x = stored(s, op->in[0]);
  int8_t *table = qn_alloc(&s->m->arena, 256);
  if (!x || is_wide(s) || !qn_lookup_table(op, &x->type.q, &s->y->q, s->contract, table))
    return STAYS;
  for (int i = 0; i < 256; i++) table[i] = (int8_t)clamp(table[i], s->low, s->high);
  qn_value *in[] = {x, add_list(s, "table", QN_i8, 256, table)};
  become(s, QN_OP_lookup, in, 2);
  return DONE;
}

static outcome fuse_clamp(site *s, qn_op *op) {
  qn_interval i;
  if (!qn_clamp_interval(op, &i)) return STAYS;
  narrow(s, i);
  s->clamped = true;
  return GOES_ON;
}

/* The quantize goes and x takes its place, unless that would lose the name of a result. */
static bool drop(site *s, qn_value *x) {
  qn_value *y = s->op->out;
  if (qn_is_returned(s->f, y)) {
    if (x->kind != QN_RESULT || qn_is_returned(s->f, x)) return false;
    qn_rename(s->m, s->f, x, y->name);
  }
  qn_replace_uses(s->f, y, x);
  qn_remove_op(s->f, s->op);
  return true;
}

/* quantize(dequantize(x)), clamps between. */
static outcome fuse_requantize(site *s, qn_op *op) {
  qn_value *x = stored(s, op->out);
  qn_multiplier k;
  if (!x) return STAYS;
  if (qn_same_quant(&x->type.q, &s->y->q) && !is_clamped(s) && drop(s, x)) return DONE;
  return make_ratio(s, x, &k) ? become_requantize(s, x, k) : STAYS;
}

/* ------------------------------------------------------------------ movement */

/* The new elements are quantized by x's scale, then perhaps by y's: that is the real value's
 * quantization by y when the two scales are one, or when x represents the value exactly. */
static bool pad_value_fits(const site *s, const qn_op *op, const qn_value *x) {
  double at = (double)op->a.pad.value / scale_of(x) + x->type.q.zero;
  return qn_same_quant(&x->type.q, &s->y->q) ||
         (at >= s->least && at <= s->most && at == floor(at));
}

/* Operands of different scales: each in y's. */
static bool align_scales(site *s, qn_value **in, int count) {
  bool all_same = true;
  qn_multiplier k[QN_MAX_IN];
  for (int i = 0; i < count; i++) {
    all_same = all_same && qn_same_quant(&in[0]->type.q, &in[i]->type.q);
    if (!qn_make_factor(s->contract, scale_of(in[i]) / s->y->q.scale, max_stored(s), &k[i]))
      return false;
  }
  for (int i = 0; i < count && !all_same; i++) {
    if (qn_same_quant(&in[i]->type.q, &s->y->q)) continue;
    qn_op *op = add_before(s, QN_OP_requantize, &in[i], 1, &in[i]->type, &s->y->q);
    set_factor(op, k[i]);
    op->a.qscale.contract = s->contract;
    in[i] = op->out;
  }
  return true;
}

static outcome fuse_move(site *s, qn_op *op) {
  qn_value *in[QN_MAX_IN];
  for (int i = 0; i < op->in_count; i++) {
    in[i] = stored(s, op->in[i]);
    if (!in[i]) return STAYS;
  }
  if (op->code == QN_OP_pad && !pad_value_fits(s, op, in[0])) return STAYS;
  if (!align_scales(s, in, op->in_count)) return STAYS;
  return finish_in_operand_scale(s, op->code, in, op->in_count, op);
}

static outcome fuse_none(site *s, qn_op *op) {
  (void)s;
  (void)op;
  return STAYS;
}

/* ------------------------------------------------------------------ the pass */

static outcome (*const rules[QN_OP_COUNT])(site *s, qn_op *op) = {
#define QN_OP(name, operands, sig, attrs, infer, bind, fuse, doc) fuse_##fuse,
#include "../ir/ops.def"
};

static void fuse(site *s) {
  outcome now = GOES_ON;
  for (qn_op *user = s->op; now == GOES_ON;) {
    const qn_value *v = user->in[0];
    if (v->kind != QN_RESULT) return;
    if (v->def->code != QN_OP_dequantize && !qn_reads_alone(s->reads, user, v)) return;
    user = v->def;
    now = rules[user->code](s, user);
  }
}

qn_status pass_fuse_int8(qn_module *m, const qn_pass_options *options) {
  for (qn_func *f = m->funcs; f; f = f->next) {
    qn_arena work = {0};
    qn_reads reads;
    qn_count_reads(&work, f, &reads);
    qn_op *next;
    for (qn_op *op = f->first; op; op = next) {
      next = op->next;
      const qn_type *y = &op->out->type;
      int64_t least, most;
      if (op->code != QN_OP_quantize || !is_plain(y)) continue;
      qn_elem_limits(y->elem, &least, &most);
      fuse(&(site){.m = m,
                   .f = f,
                   .reads = &reads,
                   .op = op,
                   .y = y,
                   .contract = options->contract,
                   .least = (int32_t)least,
                   .most = (int32_t)most,
                   .low = (int32_t)least,
                   .high = (int32_t)most});
    }
    qn_free_arena(&work);
  }
  return QN_OK;
}
