/* Float weights of convolutions and dense layers -> f16 or bf16 constants, which their kernels
 * widen as they read them: half the bytes, and products and sums of f32 as before.
 *
 * Requires: a scheme with weights of 16 bits. Leaves alone: biases, layers that the scheme keeps
 * float, weights that are no constants, and those that f16 cannot hold (from 65520 on). An error
 * when that leaves nothing. */
#include <math.h>
#include "match.h"
#include "passes.h"

static qn_elem elem_of(const qn_scheme *s) {
  return s->weights == QN_WEIGHT_FORM_bf16 ? QN_bf16 : QN_f16;
}

/* w's elements as stored; NULL: one of them becomes infinite. */
static void *halve(qn_arena *a, const qn_value *w, qn_elem elem) {
  int64_t count = qn_count(&w->type);
  void *data = qn_alloc(a, (size_t)count * 2);
  for (int64_t i = 0; i < count; i++) {
    qn_put_float(elem, data, i, qn_reals(w)[i]);
    if (!isfinite(qn_float_at(elem, data, i))) return NULL;
  }
  return data;
}

static bool halve_layer(qn_module *m, qn_op *op, const qn_scheme *scheme) {
  const qn_value *w = op->in[1];
  qn_type type = w->type;
  type.elem = elem_of(scheme);
  void *data = halve(&m->arena, w, type.elem);
  if (!data) return false;
  const char *name = qn_format(&m->arena, "%s.h", w->name);
  op->in[1] = qn_add_const(m, name, &type, data);
  return true;
}

qn_status pass_halve_weights(qn_module *m, const qn_pass_options *options) {
  const qn_scheme *scheme = options->scheme ? options->scheme : &qn_default_scheme;
  int count = 0;
  for (qn_func *f = m->funcs; f; f = f->next) {
    for (qn_op *op = f->first; op; op = op->next)
      if (qn_has_weights(op) && qn_reals(op->in[1]) && !qn_is_kept(scheme, op))
        count += halve_layer(m, op, scheme);
  }
  if (count) return QN_OK;
  return qn_error(&m->src, qn_nowhere,
                  "no weights to store in 16 bits: no layer has float ones, or all are kept");
}
