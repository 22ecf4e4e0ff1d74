/* Ops whose operands are all constants -> constants, computed by the evaluator.
 *
 * Requires: a verified module. Leaves: the result as a constant of the same name and type
 * (quantization included); a constant of that name that exists already makes it name.1. Ops whose
 * result nothing uses are left to dce, which is cheaper than evaluating them. An op whose result is
 * not finite stays: no constant can hold that. Where fuse-int8 is still to come, dequantize stays
 * (options->keep_stored): it wants to see the integers. */
#include <math.h>
#include "passes.h"

static bool is_constant(const qn_op *op) {
  for (int i = 0; i < op->in_count; i++) {
    if (op->in[i]->kind != QN_CONST) return false;
  }
  return op->in_count > 0;
}

static bool is_finite(const qn_type *t, const void *data) {
  if (!qn_elem_is_float(t->elem)) return true;
  int64_t count = qn_count(t);
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(qn_float_at(t->elem, data, i))) return false;
  return true;
}

static void fold(qn_module *m, qn_func *f, qn_op *op) {
  const void *in[QN_MAX_IN];
  for (int i = 0; i < op->in_count; i++) in[i] = op->in[i]->data;
  void *data = qn_alloc(&m->arena, (size_t)qn_bytes(&op->out->type));
  qn_eval_op(op, in, data);
  if (!is_finite(&op->out->type, data)) return;
  qn_value *c = qn_add_const(m, op->out->name, &op->out->type, data);
  c->loc = op->loc;
  c->has_range = op->out->has_range;
  c->range[0] = op->out->range[0];
  c->range[1] = op->out->range[1];
  qn_replace_uses(f, op->out, c);
  qn_remove_op(f, op);
}

qn_status pass_fold_constants(qn_module *m, const qn_pass_options *options) {
  for (qn_func *f = m->funcs; f; f = f->next) {
    qn_op *next;
    for (qn_op *op = f->first; op; op = next) {
      next = op->next;
      if (options->keep_stored && op->code == QN_OP_dequantize) continue;
      if (is_constant(op) && qn_count_uses(f, op->out) > 0) fold(m, f, op);
    }
  }
  return QN_OK;
}
