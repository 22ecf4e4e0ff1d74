/* Channels of float layers that are 0 whatever the inputs are -> gone, with the weights that made
 * them and the weights that read them. Results stay what they are in every bit, for finite inputs:
 * a product with 0 adds nothing to a sum that began with 0.
 *
 * Interval analysis, channel by channel, from the parameters, which can be anything: a layer's sum
 * lies within its bias and the sums of the least and largest products, and as much about that as
 * rounding n terms can add; sums of products of one sign keep it. A relu makes 0 of what is below 0
 * then; so are sums of weights that are all 0, with such a bias or none.
 *
 * Channels are the last dim. Values are tied where an op takes channel c to channel c: depthwise
 * convolutions, pools, clamps, reshapes that keep the last dim. Of a tie a channel goes when every
 * value of it that a convolution or dense layer reads is 0 there, those make it up, and nothing
 * else reads any of its values. One channel always stays.
 *
 * What eliminate-constants does for integers; constants other than 0 stay: they would change the
 * order of sums. */
#include <math.h>
#include "recover.h"

typedef struct {
  double low, high;
} bounds;

typedef struct {
  qn_arena arena;
  qn_func *f;
  qn_numbering numbers;
  bounds **at;     /* by number, by channel */
  int32_t *parent; /* by number: towards the value that stands for the tie */
  bool *stuck;     /* by standing value: something else makes or reads a value of the tie */
  bool **stays;    /* by standing value, by channel */
} work;

static int32_t channels_of(const qn_value *v) {
  return v->type.rank > 0 ? (int32_t)v->type.dim[v->type.rank - 1] : 1;
}

static int32_t number_of(const work *w, const qn_value *v) { return qn_number_of(&w->numbers, v); }

static bounds *bounds_of(const work *w, const qn_value *v) { return w->at[number_of(w, v)]; }

/* ------------------------------------------------------------------ what channels come from */

/* A convolution or dense layer of one group, or a depthwise one, whose weights and bias are known.
 */
static bool is_layer(const qn_op *op, qn_layout *l) {
  if (op->out->type.elem != QN_f32 || !qn_layout_of(op, l) || !qn_reals(op->in[1])) return false;
  if (op->in[0]->kind == QN_CONST || (op->in_count > 2 && !qn_reals(op->in[2]))) return false;
  return l->groups == 1 || op->code == QN_OP_depthwise_conv2d;
}

/* Channel c of its result is made of channel c of its operand, and 0 of 0. */
static bool keeps_channels(const qn_op *op) {
  qn_layout l;
  bool same = op->in_count > 0 && op->in[0]->kind != QN_CONST && op->out->type.elem == QN_f32 &&
              channels_of(op->out) == channels_of(op->in[0]);
  if (!same) return false;
  switch (op->code) {
  case QN_OP_depthwise_conv2d: return is_layer(op, &l);
  case QN_OP_relu:
  case QN_OP_relu6:
  case QN_OP_max_pool2d:
  case QN_OP_avg_pool2d: return true;
  case QN_OP_reshape:
  case QN_OP_flatten: return op->in[0]->type.rank > 0;
  default: return false;
  }
}

/* ------------------------------------------------------------------ intervals */

static bounds clamp(bounds b, qn_interval i) {
  b.low = fmin(fmax(b.low, (double)i.low), (double)i.high);
  b.high = fmin(fmax(b.high, (double)i.low), (double)i.high);
  return b;
}

/* w times x, or 0 where padding takes its place. */
static bounds product(double w, bounds x) {
  if (w == 0) return (bounds){0, 0};
  return (bounds){fmin(fmin(w * x.low, w * x.high), 0), fmax(fmax(w * x.low, w * x.high), 0)};
}

static bounds bound_channel(const work *w, const qn_op *op, const qn_layout *l, int32_t c) {
  const float *weights = qn_reals(op->in[1]), *bias = op->in_count > 2 ? qn_reals(op->in[2]) : NULL;
  const bounds *x = bounds_of(w, op->in[0]);
  bounds sum = {0, 0};
  for (int32_t k = 0; k < l->columns; k++) {
    int32_t from = c / l->outputs * l->inputs + k % l->inputs;
    bounds p = product((double)weights[qn_weight_at(l, c, k)], x[from]);
    sum.low += p.low;
    sum.high += p.high;
  }
  double b = bias ? (double)bias[c] : 0, size = fmax(-sum.low, sum.high) + fabs(b);
  /* 2^-23 a term is twice what rounding to nearest can add; below 2^-126 steps are 2^-149 */
  double error = size > 0 ? (l->columns + 2) * (ldexp(size, -23) + ldexp(1, -149)) : 0;
  return (bounds){sum.low == 0 ? b : sum.low + b - error, sum.high == 0 ? b : sum.high + b + error};
}

static bounds unknown(void) { return (bounds){-INFINITY, INFINITY}; }

static void bound_layer(const work *w, qn_op *op, const qn_layout *l, bounds *y) {
  qn_interval i = qn_activation_interval(*qn_activation_of(op));
  for (int32_t c = 0; c < l->channels; c++) y[c] = clamp(bound_channel(w, op, l, c), i);
}

static void bound_op(const work *w, qn_op *op) {
  bounds *y = bounds_of(w, op->out);
  int32_t count = channels_of(op->out);
  qn_layout l;
  qn_interval i;
  if (op->out->type.elem != QN_f32) return;
  if (is_layer(op, &l)) {
    bound_layer(w, op, &l, y);
  } else if (qn_clamp_interval(op, &i)) {
    for (int32_t c = 0; c < count; c++)
      y[c] = clamp(op->in[0]->kind == QN_CONST ? unknown() : bounds_of(w, op->in[0])[c], i);
  } else if (keeps_channels(op)) { /* a mean's rounding may go beyond */
    for (int32_t c = 0; c < count; c++) {
      y[c] = bounds_of(w, op->in[0])[c];
      y[c].low -= fabs(y[c].low) * 1e-3;
      y[c].high += fabs(y[c].high) * 1e-3;
    }
  } else if (op->code == QN_OP_logistic || op->code == QN_OP_tanh) {
    for (int32_t c = 0; c < count; c++) y[c] = (bounds){-1.001, 1.001};
  }
}

static void find_bounds(work *w) {
  for (int32_t n = 0; n < w->numbers.count; n++) {
    int32_t count = channels_of(w->numbers.values[n]);
    w->at[n] = qn_alloc(&w->arena, (size_t)count * sizeof *w->at[n]);
    for (int32_t c = 0; c < count; c++) w->at[n][c] = unknown();
  }
  for (qn_op *op = w->f->first; op; op = op->next) bound_op(w, op);
}

/* ------------------------------------------------------------------ ties */

static int32_t standing(const work *w, const qn_value *v) {
  int32_t n = number_of(w, v);
  while (w->parent[n] != n) n = w->parent[n];
  return n;
}

static void tie(work *w, const qn_value *a, const qn_value *b) {
  w->parent[standing(w, a)] = standing(w, b);
}

/* op reads v by the weights of all channels: those that are not 0 stay. */
static void keep_nonzero(work *w, const qn_value *v) {
  bool *stays = w->stays[standing(w, v)];
  const bounds *b = bounds_of(w, v);
  for (int32_t c = 0; c < channels_of(v); c++)
    if (b[c].low != 0 || b[c].high != 0) stays[c] = true;
}

/* Whether another op has the same weights: they are not cut then. */
static bool shares_weights(const work *w, const qn_op *op) {
  return qn_count_uses(w->f, op->in[1]) > 1;
}

static void find_stuck(work *w) {
  qn_layout l;
  for (const qn_value *p = w->f->params; p; p = p->next) w->stuck[standing(w, p)] = true;
  for (int i = 0; i < w->f->result_count; i++)
    if (w->f->results[i]->kind != QN_CONST) w->stuck[standing(w, w->f->results[i])] = true;
  for (const qn_op *op = w->f->first; op; op = op->next) {
    bool layer = is_layer(op, &l) && !shares_weights(w, op), kept = keeps_channels(op);
    bool dense = layer && op->code != QN_OP_depthwise_conv2d;
    if (!(dense || (kept && (layer || op->code != QN_OP_depthwise_conv2d))))
      w->stuck[standing(w, op->out)] = true;
    for (int i = 0; i < op->in_count; i++) {
      if (op->in[i]->kind == QN_CONST) continue;
      if (dense && i == 0)
        keep_nonzero(w, op->in[i]);
      else if (!kept || i > 0)
        w->stuck[standing(w, op->in[i])] = true;
    }
  }
}

static void find_ties(work *w) {
  for (int32_t n = 0; n < w->numbers.count; n++) {
    w->parent[n] = n;
    size_t count = (size_t)channels_of(w->numbers.values[n]);
    w->stays[n] = qn_alloc(&w->arena, count + 1);
  }
  for (const qn_op *op = w->f->first; op; op = op->next)
    if (keeps_channels(op)) tie(w, op->out, op->in[0]);
  find_stuck(w);
}

/* The channels of v that stay, in `out`; how many. */
static int32_t list_kept(const work *w, const qn_value *v, int32_t *out) {
  int32_t n = standing(w, v), all = channels_of(v), count = 0;
  for (int32_t c = 0; c < all; c++)
    if (w->stuck[n] || w->stays[n][c]) out[count++] = c;
  if (count == 0) out[count++] = 0;
  return count;
}

/* ------------------------------------------------------------------ rewriting */

typedef struct {
  int32_t *at, count;
} kept;

static kept kept_of(work *w, const qn_value *v) {
  kept k = {qn_alloc(&w->arena, (size_t)channels_of(v) * sizeof(int32_t)), 0};
  k.count = list_kept(w, v, k.at);
  return k;
}

static void cut_weights(qn_module *m, qn_op *op, const qn_layout *l, kept in, kept out) {
  bool depthwise = op->code == QN_OP_depthwise_conv2d;
  const float *from = qn_reals(op->in[1]);
  qn_type type = op->in[1]->type;
  int last = type.rank - 1;
  type.dim[depthwise ? last : 0] = out.count;
  if (!depthwise) type.dim[last] = in.count;
  float *to = qn_alloc(&m->arena, (size_t)qn_count(&type) * sizeof *to);
  int64_t tap_stride = depthwise ? out.count : in.count;
  int64_t out_stride = depthwise ? 1 : (int64_t)l->taps * in.count;
  for (int32_t o = 0; o < out.count; o++)
    for (int32_t t = 0; t < l->taps; t++)
      for (int32_t i = 0; i < (depthwise ? 1 : in.count); i++)
        to[o * out_stride + t * tap_stride + i] =
            from[out.at[o] * l->out_stride + t * l->tap_stride + (depthwise ? 0 : in.at[i])];
  op->in[1] = qn_add_const(m, op->in[1]->name, &type, to);
}

static void cut_bias(qn_module *m, qn_op *op, kept out) {
  const float *from = qn_reals(op->in[2]);
  int64_t count = out.count;
  qn_type type = qn_make_type(QN_f32, 1, &count);
  float *to = qn_alloc(&m->arena, (size_t)count * sizeof *to);
  for (int32_t o = 0; o < out.count; o++) to[o] = from[out.at[o]];
  op->in[2] = qn_add_const(m, op->in[2]->name, &type, to);
}

/* What op was before is known from its layout; the dims of what it reads are already new. */
typedef struct {
  bool is_layer;
  qn_layout layout;
  kept in, out;
  int32_t channels; /* of its result */
} before;

static qn_status cut_op(qn_module *m, qn_op *op, const before *b) {
  if (b->is_layer && (b->in.count < b->layout.g.in_c || b->out.count < b->channels))
    cut_weights(m, op, &b->layout, b->in, b->out);
  if (b->is_layer && op->in_count > 2 && b->out.count < b->channels) cut_bias(m, op, b->out);
  if (b->out.count == b->channels) return QN_OK;
  if (op->code == QN_OP_reshape) {
    qn_list *shape = &op->a.reshape.shape;
    if (shape->at[shape->count - 1] != -1) shape->at[shape->count - 1] = b->out.count;
  }
  return qn_infer(m, op);
}

static qn_status cut_function(qn_module *m, work *w, bool *out_changed) {
  int32_t count = 0, i = 0;
  for (const qn_op *op = w->f->first; op; op = op->next) count++;
  before *all = qn_alloc(&w->arena, ((size_t)count + 1) * sizeof *all);
  for (qn_op *op = w->f->first; op; op = op->next, i++) {
    all[i].is_layer = is_layer(op, &all[i].layout);
    if (all[i].is_layer) all[i].in = kept_of(w, op->in[0]);
    all[i].out = kept_of(w, op->out);
    all[i].channels = channels_of(op->out);
    *out_changed |= all[i].out.count < all[i].channels;
  }
  i = 0;
  for (qn_op *op = w->f->first; *out_changed && op; op = op->next) QN_TRY(cut_op(m, op, &all[i++]));
  return QN_OK;
}

static qn_status eliminate(qn_module *m, qn_func *f, bool *out_changed) {
  work w = {.f = f};
  *out_changed = false;
  qn_number_values(&w.arena, f, &w.numbers);
  size_t count = (size_t)w.numbers.count + 1;
  w.at = qn_alloc(&w.arena, count * sizeof *w.at);
  w.parent = qn_alloc(&w.arena, count * sizeof *w.parent);
  w.stuck = qn_alloc(&w.arena, count);
  w.stays = qn_alloc(&w.arena, count * sizeof *w.stays);
  find_bounds(&w);
  find_ties(&w);
  qn_status status = cut_function(m, &w, out_changed);
  qn_free_arena(&w.arena);
  return status;
}

qn_status pass_eliminate_zeros(qn_module *m, const qn_pass_options *options) {
  (void)options;
  for (qn_func *f = m->funcs; f; f = f->next) {
    bool changed = true;
    while (changed) QN_TRY(eliminate(m, f, &changed));
  }
  return QN_OK;
}
