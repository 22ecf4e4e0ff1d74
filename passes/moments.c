/* Mean and variance of every channel of a float network, without samples: from the model's inputs,
 * taken as uniform over their ranges, through each op as if all elements were normal, the channels
 * independent, and the pixels under a kernel alike, as neighbours mostly are.
 *
 *   sums                  means by the weights; variances by the squares of each channel's sum of
 *                         weights (together all: deviations by the weights' magnitudes, the worst
 * case) a batch_norm          beta and gamma^2: what training saw a clamp (activation)  the moments
 * of a clamped normal a smooth function f   f(mean) and f'(mean)^2 * variance what moves elements
 * carries moments along where channels stay apart, else averages them
 *
 * An op outside these leaves its result unknown, unless that has a range: uniform again. */
#include <math.h>
#include <stdlib.h>
#include "recover.h"

/* ------------------------------------------------------------------ clamps */

static double density(double x) { return isinf(x) ? 0 : exp(-x * x / 2) / sqrt(2 * acos(-1)); }
static double below(double x) { return erfc(-x / sqrt(2)) / 2; }

/* x times a probability or density that is 0 where x is infinite. */
static double weigh(double x, double weight) { return weight == 0 ? 0 : x * weight; }

/* The moments of min(max(x, low), high), x normal. */
static void clamp_moments(qn_interval i, double *mean, double *variance) {
  double low = (double)i.low, high = (double)i.high, m = *mean, s = sqrt(*variance);
  if (isinf(low) && isinf(high)) return;
  if (s == 0) {
    *mean = fmin(fmax(m, low), high);
    return;
  }
  double a = (low - m) / s, b = (high - m) / s;
  double at_low = below(a), at_high = below(-b), inside = 1 - at_low - at_high;
  double first =
      weigh(low, at_low) + weigh(high, at_high) + m * inside + s * (density(a) - density(b));
  double second = weigh(low * low, at_low) + weigh(high * high, at_high) +
                  (m * m + s * s) * inside + 2 * m * s * (density(a) - density(b)) +
                  s * s * (weigh(a, density(a)) - weigh(b, density(b)));
  *mean = first;
  *variance = fmax(second - first * first, 0);
}

/* ------------------------------------------------------------------ the table */

static qn_moments new_moments(qn_arena *a, int32_t channels) {
  size_t bytes = (size_t)channels * sizeof(double);
  return (qn_moments){channels, qn_alloc(a, bytes), qn_alloc(a, bytes)};
}

static qn_moments copy_moments(qn_arena *a, const qn_moments *from) {
  qn_moments to = new_moments(a, from->channels);
  for (int32_t c = 0; c < to.channels; c++) {
    to.mean[c] = from->mean[c];
    to.variance[c] = from->variance[c];
  }
  return to;
}

static qn_moments of_range(qn_arena *a, double low, double high) {
  qn_moments to = new_moments(a, 1);
  to.mean[0] = (low + high) / 2;
  to.variance[0] = (high - low) * (high - low) / 12;
  return to;
}

/* All channels as one. */
static qn_moments average(qn_arena *a, const qn_moments *from) {
  qn_moments to = new_moments(a, 1);
  double square = 0;
  for (int32_t c = 0; c < from->channels; c++) {
    to.mean[0] += from->mean[c] / from->channels;
    square += (from->variance[c] + from->mean[c] * from->mean[c]) / from->channels;
  }
  to.variance[0] = fmax(square - to.mean[0] * to.mean[0], 0);
  return to;
}

const qn_moments *qn_moments_of(const qn_moment_table *t, const qn_value *v) {
  int32_t i = qn_number_of(&t->numbers, v);
  return i >= 0 && t->at[i].channels > 0 ? &t->at[i] : NULL;
}

/* ------------------------------------------------------------------ ops */

void qn_layer_moments(const qn_op *op, qn_together together, const qn_moments *x, double *mean,
                      double *variance) {
  qn_layout l;
  qn_layout_of(op, &l);
  const float *w = qn_reals(op->in[1]);
  for (int32_t c = 0; c < l.channels; c++) {
    double most = 0; /* deviation when everything errs to the same side */
    mean[c] = qn_bias_at(op, c);
    variance[c] = 0;
    for (int32_t i = 0; i < l.inputs; i++) {
      int32_t from = (c / l.outputs * l.inputs + i) % x->channels;
      double sum = 0, size = 0;
      for (int32_t tap = 0; tap < l.taps; tap++) {
        double weight = w[qn_weight_at(&l, c, tap * l.inputs + i)];
        sum += weight;
        size += fabs(weight);
      }
      mean[c] += sum * x->mean[from];
      variance[c] += sum * sum * x->variance[from];
      most += size * sqrt(x->variance[from]);
    }
    if (together == QN_TOGETHER_all) variance[c] = most * most;
  }
}

static bool is_known_layer(const qn_op *op) {
  qn_layout l;
  return qn_layout_of(op, &l) && qn_reals(op->in[1]) && qn_has_known_bias(op);
}

static void follow_batch_norm(qn_arena *a, const qn_op *op, qn_moments *out) {
  const float *gamma = qn_reals(op->in[3]), *beta = qn_reals(op->in[4]);
  if (!gamma || !beta) return;
  *out = new_moments(a, (int32_t)qn_count(&op->in[4]->type));
  for (int32_t c = 0; c < out->channels; c++) {
    out->mean[c] = beta[c];
    out->variance[c] = (double)gamma[c] * gamma[c];
  }
}

/* One operand of an elementwise pair: constants are known exactly. */
static bool find_term(qn_arena *a, const qn_moment_table *t, const qn_value *v, qn_moments *out) {
  if (v->kind != QN_CONST) {
    const qn_moments *known = qn_moments_of(t, v);
    if (known) *out = *known;
    return known != NULL;
  }
  const float *x = qn_reals(v);
  int64_t count = qn_count(&v->type), channels = v->type.rank ? v->type.dim[v->type.rank - 1] : 1;
  if (!x || count != channels) return false;
  *out = new_moments(a, (int32_t)channels);
  for (int32_t c = 0; c < out->channels; c++) out->mean[c] = x[c];
  return true;
}

static void combine(qn_opcode code, double am, double av, double bm, double bv, double *mean,
                    double *variance) {
  *mean = code == QN_OP_mul ? am * bm : code == QN_OP_add ? am + bm : am - bm;
  *variance = code == QN_OP_mul ? av * bv + av * bm * bm + bv * am * am : av + bv;
}

static void follow_pair(qn_arena *a, const qn_moment_table *t, const qn_op *op, qn_moments *out) {
  qn_moments p, q;
  if (!find_term(a, t, op->in[0], &p) || !find_term(a, t, op->in[1], &q)) return;
  bool apart = p.channels == q.channels || p.channels == 1 || q.channels == 1;
  if (!apart) return;
  *out = new_moments(a, p.channels > q.channels ? p.channels : q.channels);
  for (int32_t c = 0; c < out->channels; c++) {
    int32_t i = c % p.channels, k = c % q.channels;
    combine(op->code, p.mean[i], p.variance[i], q.mean[k], q.variance[k], &out->mean[c],
            &out->variance[c]);
  }
}

static void follow_average(qn_arena *a, const qn_op *op, const qn_moments *x, qn_moments *out) {
  int64_t count = qn_count(&op->in[0]->type) / qn_count(&op->out->type);
  bool pool = op->code == QN_OP_avg_pool2d;
  if (pool) count = (int64_t)op->a.pool.window[0] * op->a.pool.window[1];
  bool apart = pool || op->out->type.dim[op->out->type.rank - 1] % x->channels == 0;
  *out = apart ? copy_moments(a, x) : average(a, x);
  for (int32_t c = 0; c < out->channels; c++) out->variance[c] /= (double)count;
}

static double smooth(const qn_op *op, double x) {
  switch (op->code) {
  case QN_OP_logistic: return 1 / (1 + exp(-x));
  case QN_OP_tanh: return tanh(x);
  case QN_OP_leaky_relu: return x >= 0 ? x : (double)op->a.leaky_relu.alpha * x;
  default: return x * fmin(fmax(x + 3, 0), 6) / 6; /* hard_swish */
  }
}

static void follow_smooth(qn_arena *a, const qn_op *op, const qn_moments *x, qn_moments *out) {
  *out = copy_moments(a, x);
  for (int32_t c = 0; c < out->channels; c++) {
    double step = fmax(sqrt(x->variance[c]), 1e-3), at = x->mean[c];
    double slope = (smooth(op, at + step) - smooth(op, at - step)) / (2 * step);
    out->mean[c] = smooth(op, at);
    out->variance[c] *= slope * slope;
  }
}

/* Element i of the result is element i of x, or of another pixel of the same channel. */
static bool keeps_channels(const qn_op *op, const qn_moments *x) {
  const qn_type *from = &op->in[0]->type, *to = &op->out->type;
  if (op->code == QN_OP_transpose) return x->channels == 1;
  if (op->code == QN_OP_reshape || op->code == QN_OP_flatten) return true;
  return from->rank == to->rank && from->dim[from->rank - 1] == to->dim[to->rank - 1];
}

static void follow_one(qn_arena *a, const qn_op *op, const qn_moments *x, qn_moments *out) {
  switch (op->code) {
  case QN_OP_avg_pool2d:
  case QN_OP_mean: follow_average(a, op, x, out); break;
  case QN_OP_logistic:
  case QN_OP_tanh:
  case QN_OP_leaky_relu:
  case QN_OP_hard_swish: follow_smooth(a, op, x, out); break;
  case QN_OP_pad:
  case QN_OP_slice:
  case QN_OP_max_pool2d:
  case QN_OP_reshape:
  case QN_OP_flatten:
  case QN_OP_transpose: *out = keeps_channels(op, x) ? copy_moments(a, x) : average(a, x); break;
  case QN_OP_relu:
  case QN_OP_relu6:
  case QN_OP_clip:
  case QN_OP_quantize:
  case QN_OP_dequantize: *out = copy_moments(a, x); break;
  default: break;
  }
}

static void clamp_result(qn_op *op, qn_moments *out) {
  qn_interval i = qn_unclamped;
  const qn_activation *activation = qn_activation_of(op);
  if (activation) i = qn_activation_interval(*activation);
  qn_clamp_interval(op, &i);
  for (int32_t c = 0; c < out->channels; c++) clamp_moments(i, &out->mean[c], &out->variance[c]);
}

static void follow(qn_arena *a, const qn_moment_table *t, qn_op *op, qn_moments *out) {
  const qn_moments *x = op->in[0]->kind == QN_CONST ? NULL : qn_moments_of(t, op->in[0]);
  if (op->code == QN_OP_batch_norm)
    follow_batch_norm(a, op, out);
  else if (op->code == QN_OP_add || op->code == QN_OP_sub || op->code == QN_OP_mul)
    follow_pair(a, t, op, out);
  else if (x && is_known_layer(op)) {
    qn_layout l;
    qn_layout_of(op, &l);
    *out = new_moments(a, l.channels);
    qn_layer_moments(op, t->together, x, out->mean, out->variance);
  } else if (x) {
    follow_one(a, op, x, out);
  }
  if (out->channels)
    clamp_result(op, out);
  else if (op->out->has_range)
    *out = of_range(a, op->out->range[0], op->out->range[1]);
}

qn_status qn_find_moments(qn_arena *a, const qn_module *m, const qn_func *f, qn_together together,
                          qn_moment_table *out) {
  out->together = together;
  qn_number_values(a, f, &out->numbers);
  out->at = qn_alloc(a, ((size_t)out->numbers.count + 1) * sizeof *out->at);
  for (const qn_value *p = f->params; p; p = p->next) {
    if (p->type.elem != QN_f32) continue;
    if (!p->has_range)
      return qn_error(&m->src, p->loc,
                      "input '%s' has no range: without calibration samples, write what it can be, "
                      "like range(0, 1)",
                      p->name);
    out->at[qn_number_of(&out->numbers, p)] = of_range(a, p->range[0], p->range[1]);
  }
  for (qn_op *op = f->first; op; op = op->next)
    follow(a, out, op, &out->at[qn_number_of(&out->numbers, op->out)]);
  return QN_OK;
}
