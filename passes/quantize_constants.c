/* The float constants that an op reads -> integers behind a dequantize: weights by the scheme's
 * form, other operands by their extremes as activations are stored. Biases stay float: fuse-int8
 * stores them in the accumulator's unit, x.scale * w.scale.
 *
 * Weights are symmetric: scale = max |w| / most, per output channel or for all; most is the
 * layer's, the scheme's or the form's. Or their step is given, as a part of their root mean square:
 * coded, weights take bits by how they are spread, not by the largest one. Of three levels the
 * scale is that of the least squared error, the mean of the k largest magnitudes, k where (their
 * sum)^2 / k is largest; of two levels, the signs, the mean of all: Li et al. 2016, arXiv
 * 1605.04711; Rastegari et al. 2016, arXiv 1603.05279. A channel that hardly counts, all zero say,
 * would get a unit in which its bias overflows or its multiplier vanishes. So no channel's unit is
 * finer than 2^-20 of the result's scale: a whole product of such a channel is less than 1/32 of a
 * step then. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "match.h"
#include "passes.h"

static const qn_elem weight_elems[] = {
#define QN_WEIGHT_FORM(name, elem, most, doc) QN_##elem,
#include "quantize.def"
};
static const int32_t weight_limits[] = {
#define QN_WEIGHT_FORM(name, elem, most, doc) most,
#include "quantize.def"
};

/* Weights as channels of equally many elements. */
typedef struct {
  const float *w;
  int64_t count, channels;
  bool channel_is_last;
} weights;

static int64_t channel_of(const weights *p, int64_t i) {
  return p->channel_is_last ? i % p->channels : i / (p->count / p->channels);
}

/* The scale of what op's result is stored in, clamps between; 0: it is not stored. */
static double result_scale(const qn_func *f, const qn_op *op) {
  qn_interval unused;
  for (qn_op *user = qn_only_user(f, op->out); user; user = qn_only_user(f, user->out)) {
    if (user->code == QN_OP_quantize) return user->out->type.q.scale;
    if (!qn_clamp_interval(user, &unused)) break;
  }
  return 0;
}

/* The least scale of weights (see above): unit = x.scale * scale. */
static double least_scale(const qn_func *f, const qn_op *op) {
  const qn_op *x = qn_def(op->in[0], QN_OP_dequantize);
  double y = result_scale(f, op);
  return x && y > 0 ? ldexp(y, -20) / x->in[0]->type.q.scale : FLT_MIN;
}

static bool is_layer(const qn_op *op, const char *name) {
  return strcmp(name, op->out->name) == 0 || strcmp(name, qn_ops[op->code].name) == 0;
}

/* NULL: op has no levels of its own. */
static const qn_layer_levels *find_levels(const qn_scheme *scheme, const qn_op *op) {
  for (int i = scheme->layer_count - 1; op && i >= 0; i--)
    if (is_layer(op, scheme->layers[i].layer)) return &scheme->layers[i];
  return NULL;
}

float qn_weight_step(const qn_scheme *scheme, const qn_op *op) {
  const qn_layer_levels *own = find_levels(scheme, op);
  return own ? own->step : scheme->step;
}

int32_t qn_weight_most(const qn_scheme *scheme, const qn_op *op) {
  const qn_layer_levels *own = find_levels(scheme, op);
  if (qn_weight_step(scheme, op) > 0) return weight_limits[QN_WEIGHT_FORM_int8];
  if (own) return own->most;
  return scheme->most ? scheme->most : weight_limits[scheme->weights];
}

static int descending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x < y) - (x > y);
}

static double root_mean_square(const float *x, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
  return sqrt(sum / (double)count);
}

/* Of weights with these magnitudes, which it sorts. */
static double choose_scale(float *magnitudes, int64_t count, qn_layer_levels levels) {
  int32_t most = levels.most;
  qsort(magnitudes, (size_t)count, sizeof *magnitudes, descending);
  if (levels.step > 0)
    return fmax((double)levels.step * root_mean_square(magnitudes, count),
                (double)magnitudes[0] / most);
  if (most > 1) return (double)magnitudes[0] / most;
  double sum = 0, best = 0, scale = 0;
  for (int64_t k = 1; k <= count; k++) {
    sum += (double)magnitudes[k - 1];
    double taken = sum * sum / (double)k; /* of the sum of squares */
    if (most != QN_SIGNS && taken <= best) continue;
    best = taken;
    scale = sum / (double)k;
  }
  return scale;
}

/* scales[channel], or scales[0] for all. */
static void choose_scales(const weights *p, const qn_scheme *scheme, qn_layer_levels levels,
                          double least, float *scales) {
  qn_arena a = {0};
  int64_t count = scheme->per_tensor ? 1 : p->channels, size = p->count / count;
  float *magnitudes = qn_alloc(&a, (size_t)size * sizeof *magnitudes);
  for (int64_t c = 0; c < count; c++) {
    bool strided = count > 1 && p->channel_is_last;
    for (int64_t i = 0; i < size; i++)
      magnitudes[i] = fabsf(p->w[strided ? i * count + c : c * size + i]);
    scales[c] = (float)fmax(choose_scale(magnitudes, size, levels), least);
  }
  qn_free_arena(&a);
}

static void round_weights(const weights *p, const qn_scheme *scheme, int32_t most,
                          const float *scales, void *out) {
  for (int64_t i = 0; i < p->count; i++) {
    double scale = (double)scales[scheme->per_tensor ? 0 : channel_of(p, i)];
    double at = fmin(fmax(round((double)p->w[i] / scale), -most), most);
    if (most == QN_SIGNS) at = p->w[i] < 0 ? -1 : 1;
    qn_put_int(weight_elems[scheme->weights], out, i, (int64_t)at);
  }
}

/* Operand i of op: the real value of these integers instead. */
static void replace_operand(qn_module *m, qn_func *f, qn_op *op, int i, qn_value *stored) {
  qn_type real = op->in[i]->type;
  const char *name = qn_format(&m->arena, "%s.f", op->in[i]->name);
  qn_op *back = qn_add_op(m, f, op, QN_OP_dequantize, name, &stored, 1);
  back->loc = back->out->loc = op->loc;
  back->out->type = real;
  op->in[i] = back->out;
}

static void remark_zeros(const qn_module *m, const qn_op *op, const weights *p) {
  for (int64_t i = 0; i < p->count; i++)
    if (p->w[i] != 0) return;
  qn_note(&m->src, op->loc, "'%s', the weights of this %s, are all 0: are they the trained ones?",
          op->in[1]->name, qn_ops[op->code].name);
}

static void quantize_weights(qn_module *m, qn_func *f, qn_op *op, const qn_scheme *scheme,
                             qn_layer_levels levels) {
  const qn_value *w = op->in[1];
  weights p = {.w = qn_reals(w),
               .count = qn_count(&w->type),
               .channel_is_last = op->code == QN_OP_depthwise_conv2d};
  int axis = p.channel_is_last ? w->type.rank - 1 : 0;
  p.channels = w->type.dim[axis];
  remark_zeros(m, op, &p);
  float *scales = qn_alloc(&m->arena, (size_t)p.channels * sizeof *scales);
  choose_scales(&p, scheme, levels, least_scale(f, op), scales);
  qn_type type = w->type;
  type.elem = weight_elems[scheme->weights];
  type.q = (qn_quant){.on = true, .scale = scales[0]};
  if (!scheme->per_tensor) {
    qn_type list = qn_make_type(QN_f32, 1, &p.channels);
    type.q.axis = axis;
    type.q.scales = qn_add_const(m, qn_format(&m->arena, "%s.s", w->name), &list, scales);
  }
  void *data = qn_alloc(&m->arena, (size_t)qn_bytes(&type));
  round_weights(&p, scheme, levels.most, scales, data);
  replace_operand(m, f, op, 1, qn_add_const(m, qn_format(&m->arena, "%s.q", w->name), &type, data));
}

/* A constant that is no weight: any other operand. */
static void quantize_operand(qn_module *m, qn_func *f, qn_op *op, int i, const qn_scheme *scheme) {
  const qn_value *v = op->in[i];
  const float *x = qn_reals(v);
  int64_t count = qn_count(&v->type), least, most;
  float low = 0, high = 0;
  for (int64_t k = 0; k < count; k++) {
    low = fminf(low, x[k]);
    high = fmaxf(high, x[k]);
  }
  qn_type type = v->type;
  type.elem = qn_activation_elem(scheme);
  type.q = qn_range_quant(type.elem, qn_is_symmetric(scheme), low, high);
  qn_elem_limits(type.elem, &least, &most);
  void *data = qn_alloc(&m->arena, (size_t)qn_bytes(&type));
  for (int64_t k = 0; k < count; k++) {
    double at = round((double)x[k] / type.q.scale) + type.q.zero;
    qn_put_int(type.elem, data, k, (int64_t)fmin(fmax(at, (double)least), (double)most));
  }
  replace_operand(m, f, op, i, qn_add_const(m, qn_format(&m->arena, "%s.q", v->name), &type, data));
}

bool qn_has_weights(const qn_op *op) {
  return op->code == QN_OP_conv2d || op->code == QN_OP_depthwise_conv2d || op->code == QN_OP_dense;
}

void qn_quantize_constants(qn_module *m, qn_func *f, qn_op *op, const qn_scheme *scheme,
                           qn_layer_levels levels) {
  bool is_weighted = qn_has_weights(op);
  if (is_weighted && qn_reals(op->in[1])) quantize_weights(m, f, op, scheme, levels);
  for (int i = 0; !is_weighted && i < op->in_count; i++)
    if (qn_reals(op->in[i])) quantize_operand(m, f, op, i, scheme);
}
