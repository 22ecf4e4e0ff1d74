/* A module from layers, as a model file states them.
 *
 * A layer computes on real values. An operand that is stored as integers with a scale is
 * dequantized in front of it, a result that is stored so is quantized behind it:
 *
 *   layer  y : i8 q = conv2d x : i8 q, w : i8 q      becomes
 *   %x.f = dequantize %x;  %w.f = dequantize @w;  %y.r = conv2d %x.f, %w.f;  %y = quantize %y.r
 *
 * which fuse-int8 turns into one integer op. Which operands and results are real is the signature's
 * say (ops.def): f, a and * are, so that reshape and its like go the same way; n, q, w are not, so
 * that quantize, dequantize and the integer ops are added as they are.
 *
 * A layer that only moves elements (result letter a or *) and whose type the file leaves out is
 * stored as its operands are: between integer layers `flatten` needs no more than its name. */
#include <string.h>
#include "frontend.h"

static bool is_real(char letter) {
  return letter == 'f' || letter == 'p' || letter == 'a' || letter == '*';
}

static char result_letter(qn_opcode code) { return strchr(qn_ops[code].sig, ':')[1]; }

/* The operand as the op reads it. */
static qn_status read_operand(qn_module *m, qn_func *f, const qn_layer *l, int i, qn_value **out) {
  qn_value *v = l->in[i];
  *out = v;
  if (!v->type.q.on || !is_real(qn_sig_letter(l->code, i))) return QN_OK;
  const char *name = qn_format(&m->arena, "%s.f", v->name);
  qn_op *op = qn_add_op(m, f, NULL, QN_OP_dequantize, name, &v, 1);
  op->loc = l->loc;
  QN_TRY(qn_infer(m, op));
  *out = op->out;
  return QN_OK;
}

/* Compares what the file states of the result with what the op computes. */
static qn_status check_result(qn_module *m, const qn_layer *l, const qn_type *real) {
  if (!l->typed) return QN_OK;
  if (l->type.rank > 0 && !qn_same_shape(&l->type, real))
    return qn_error(&m->src, l->loc, "'%s' is %s, but the file says %s", l->name,
                    qn_type_text(&m->arena, real), qn_type_text(&m->arena, &l->type));
  if (!l->type.q.on && l->type.elem != real->elem)
    return qn_error(&m->src, l->loc, "'%s' is %s, but the file says %s%s", l->name,
                    qn_elem_name(real->elem), qn_elem_name(l->type.elem),
                    qn_elem_is_int(l->type.elem) ? " without a scale" : "");
  return QN_OK;
}

static void set_stored(qn_type *type, const qn_type *stored) {
  type->elem = stored->elem;
  type->q = stored->q;
}

/* Whether the layer moves elements that are all stored with one and the same scale. */
static bool moves_stored(const qn_layer *l) {
  char letter = result_letter(l->code);
  if ((letter != 'a' && letter != '*') || l->in_count == 0) return false;
  const qn_type *first = &l->in[0]->type;
  for (int i = 0; i < l->in_count; i++) {
    const qn_type *t = &l->in[i]->type;
    if (!t->q.on || t->q.scales || t->elem != first->elem || !qn_same_quant(&t->q, &first->q))
      return false;
  }
  return true;
}

qn_status qn_add_layer(qn_module *m, qn_func *f, const qn_layer *layer, qn_value **out) {
  qn_layer typed = *layer;
  const qn_layer *l = &typed;
  if (!typed.typed && moves_stored(layer)) {
    typed.typed = true;
    typed.type = qn_make_type(QN_f32, 0, NULL); /* dims are inferred */
    set_stored(&typed.type, &layer->in[0]->type);
  }
  bool real = is_real(result_letter(l->code));
  if (f->op_count >= QN_MAX_OPS)
    return qn_error(&m->src, l->loc, "more than %d ops, of which a layer on integers takes several",
                    QN_MAX_OPS);
  if (!real && !l->typed)
    return qn_error(&m->src, l->loc, "'%s' needs the type of its result", qn_ops[l->code].name);
  qn_value *in[QN_MAX_IN];
  for (int i = 0; i < l->in_count; i++) QN_TRY(read_operand(m, f, l, i, &in[i]));

  bool stored = real && l->typed && l->type.q.on;
  const char *name = stored ? qn_format(&m->arena, "%s.r", l->name) : l->name;
  qn_op *op = qn_add_op(m, f, NULL, l->code, name, in, l->in_count);
  op->loc = l->loc;
  op->a = l->a;
  if (!real) set_stored(&op->out->type, &l->type);
  QN_TRY(qn_infer(m, op));
  QN_TRY(check_result(m, l, &op->out->type));
  if (stored) {
    op = qn_add_op(m, f, NULL, QN_OP_quantize, l->name, &op->out, 1);
    op->loc = l->loc;
    set_stored(&op->out->type, &l->type);
    QN_TRY(qn_infer(m, op));
  }
  *out = op->out;
  return QN_OK;
}
