/* The stored weights of a quantized layer, and how a recovery pass changes them.
 *
 * The layer is what insert-qdq leaves:  %w.f = dequantize @w.q;  %y.r = conv2d %x.f, %w.f, @b.
 * Weights and scales are its own and get new data; a bias becomes a new constant, because the
 * teacher may read the old one. */
#include <math.h>
#include <stdlib.h>
#include "recover.h"

/* ------------------------------------------------------------------ reading */

static int count_uses_in_module(const qn_module *m, const qn_value *v) {
  int count = 0;
  for (const qn_func *f = m->funcs; f; f = f->next) count += qn_count_uses(f, v);
  return count;
}

/* Whether v's type and no other has its list of scales. */
static bool owns_scales(const qn_module *m, const qn_value *v) {
  const qn_value *scales = v->type.q.scales;
  int count = 0;
  for (const qn_value *c = m->consts; scales && c; c = c->next) count += c->type.q.scales == scales;
  for (const qn_func *f = m->funcs; scales && f; f = f->next) {
    for (const qn_op *op = f->first; op; op = op->next) count += op->out->type.q.scales == scales;
    count += qn_count_uses(f, scales);
  }
  return !scales || count == 1;
}

/* One scale for all with zero point 0, or one per channel of the result. */
static bool has_weight_scales(const qn_op *op, const qn_quant *q) {
  int axis = op->code == QN_OP_depthwise_conv2d ? op->in[1]->type.rank - 1 : 0;
  return q->on && (q->scales ? q->axis == axis : q->zero == 0);
}

static bool is_signs(const qn_value *v) {
  int64_t count = qn_count(&v->type);
  for (int64_t i = 0; i < count; i++)
    if (llabs(qn_int_at(v->type.elem, v->data, i)) != 1) return false;
  return true;
}

static int32_t largest_magnitude(const qn_value *v) {
  int64_t most = 0, count = qn_count(&v->type);
  for (int64_t i = 0; i < count; i++) {
    int64_t at = qn_int_at(v->type.elem, v->data, i);
    if (llabs(at) > most) most = llabs(at);
  }
  int64_t low, high;
  qn_elem_limits(v->type.elem, &low, &high);
  return (int32_t)(most > high ? high : most);
}

bool qn_has_known_bias(const qn_op *op) {
  if (op->in_count < 3 || qn_reals(op->in[2])) return true;
  const qn_op *back = qn_def(op->in[2], QN_OP_dequantize);
  return back && back->in[0]->kind == QN_CONST;
}

double qn_bias_at(const qn_op *op, int32_t channel) {
  if (op->in_count < 3) return 0;
  const float *real = qn_reals(op->in[2]);
  if (real) return real[channel];
  const qn_value *v = op->in[2]->def->in[0];
  double at = (double)(qn_int_at(v->type.elem, v->data, channel) - v->type.q.zero);
  return at * (double)qn_scale_at(&v->type, channel);
}

bool qn_pupil_of(qn_module *m, qn_func *f, qn_op *op, qn_pupil *out) {
  *out = (qn_pupil){.m = m, .op = op};
  if (!qn_layout_of(op, &out->layout) || !qn_has_known_bias(op)) return false;
  qn_op *back = qn_def(op->in[1], QN_OP_dequantize);
  if (!back || back->in[0]->kind != QN_CONST || qn_count_uses(f, back->out) != 1) return false;
  out->stored = back->in[0];
  if (!has_weight_scales(op, &out->stored->type.q) || !owns_scales(m, out->stored)) return false;
  out->most = largest_magnitude(out->stored);
  out->signs = is_signs(out->stored);
  return out->most > 0 && count_uses_in_module(m, out->stored) == 1;
}

float qn_pupil_scale(const qn_pupil *p, int32_t channel) {
  return qn_scale_at(&p->stored->type, channel);
}

int32_t qn_pupil_weight(const qn_pupil *p, int32_t channel, int32_t column) {
  int64_t at = qn_weight_at(&p->layout, channel, column);
  return (int32_t)qn_int_at(p->stored->type.elem, p->stored->data, at);
}

static qn_interval intersect(qn_interval a, qn_interval b) {
  return (qn_interval){fmaxf(a.low, b.low), fminf(a.high, b.high)};
}

/* The real values that a stored value can be. */
static qn_interval stored_interval(const qn_type *t) {
  int64_t low, high;
  qn_elem_limits(t->elem, &low, &high);
  return (qn_interval){t->q.scale * (float)(low - t->q.zero),
                       t->q.scale * (float)(high - t->q.zero)};
}

qn_interval qn_result_interval(const qn_func *f, qn_op *op) {
  qn_interval clamp, i = qn_activation_interval(*qn_activation_of(op));
  for (const qn_op *user = qn_only_user(f, op->out); user; user = qn_only_user(f, user->out)) {
    if (user->code == QN_OP_quantize && !user->out->type.q.scales)
      return intersect(i, stored_interval(&user->out->type));
    if (!qn_clamp_interval(user, &clamp)) break;
    i = qn_clamp_twice(i, clamp);
  }
  return i;
}

/* ------------------------------------------------------------------ writing */

static const float *round_to_floats(qn_arena *a, const double *x, int64_t count) {
  float *to = qn_alloc(a, (size_t)count * sizeof *to);
  for (int64_t i = 0; i < count; i++) to[i] = (float)x[i];
  return to;
}

void qn_set_bias(qn_pupil *p, const double *bias) {
  int64_t channels = p->layout.channels;
  qn_type type = qn_make_type(QN_f32, 1, &channels);
  const char *name =
      p->op->in_count > 2 ? p->op->in[2]->name : qn_format(&p->m->arena, "%s.b", p->op->out->name);
  p->op->in[2] = qn_add_const(p->m, name, &type, round_to_floats(&p->m->arena, bias, channels));
  p->op->in_count = 3;
}

void qn_set_scales(qn_pupil *p, const double *scales) {
  qn_quant *q = &p->stored->type.q;
  if (!q->scales) {
    q->scale = (float)scales[0];
    return;
  }
  q->scales->data = round_to_floats(&p->m->arena, scales, p->layout.channels);
}

void qn_set_weights(qn_pupil *p, const int32_t *integers) {
  int64_t count = qn_count(&p->stored->type);
  void *data = qn_alloc(&p->m->arena, (size_t)qn_bytes(&p->stored->type));
  for (int64_t i = 0; i < count; i++) qn_put_int(p->stored->type.elem, data, i, integers[i]);
  p->stored->data = data;
}
