/* An operand of an op with stored weights -> what it is to a codec: weights by output channel,
 * biases, shifts, multipliers that come from scales. */
#include "unit.h"

enum { X, W, B, MUL, SHR }; /* operands of the integer convolutions and of qdense */

static qn_coded_tensor weights_role(const qn_op *op, qn_coded_tensor t) {
  const qn_type *w = &op->in[W]->type;
  t.kind = QN_CODED_WEIGHTS;
  t.transposed = op->code == QN_OP_qdepthwise_conv2d || op->code == QN_OP_dynamic_depthwise_conv2d;
  t.rows = (uint32_t)w->dim[t.transposed ? w->rank - 1 : 0];
  t.cols = t.bytes / t.rows;
  if (w->rank != 4) return t;
  t.taps_h = (uint32_t)w->dim[1];
  t.taps_w = (uint32_t)w->dim[2];
  return t;
}

/* A channel's multiplier is its weights' scale times x's over y's: see passes/fuse_int8.c. */
static qn_coded_tensor multipliers_role(qn_arena *a, const qn_op *op, qn_coded_tensor t) {
  uint32_t count = t.bytes / 4;
  const qn_type *w = &op->in[W]->type;
  if (!w->q.scales || qn_count(&w->q.scales->type) != count) return t;
  float *scales = qn_alloc(a, count * sizeof *scales);
  for (uint32_t i = 0; i < count; i++) scales[i] = qn_scale_at(w, i);
  t.kind = QN_CODED_MULTIPLIERS;
  t.scales = scales;
  t.ratio = (double)op->in[X]->type.q.scale / (double)op->out->type.q.scale;
  return t;
}

qn_coded_tensor qn_coded_role(qn_arena *a, const qn_op *op, int i, const qn_value *v) {
  int bits = qn_elem_bits(v->type.elem);
  qn_coded_tensor t = {
      .data = v->data, .bytes = (uint32_t)qn_bytes(&v->type), .kind = QN_CODED_BYTES};
  t.elem_bytes = bits < 8 ? 1 : (uint32_t)bits / 8;
  t.taps_h = t.taps_w = 1;
  bool known = op && (op->code == QN_OP_qconv2d || op->code == QN_OP_qdepthwise_conv2d ||
                      op->code == QN_OP_qdense);
  bool dynamic = op && (op->code == QN_OP_dynamic_conv2d || op->code == QN_OP_dynamic_dense ||
                        op->code == QN_OP_dynamic_depthwise_conv2d);
  if (dynamic && i == W) return weights_role(op, t);
  if (!known || i >= op->in_count) return t;
  if (i == W && v->type.elem == QN_i8) return weights_role(op, t);
  if (i == MUL && v->type.elem == QN_i32) return multipliers_role(a, op, t);
  bool short_enough = t.elem_bytes <= 4; /* biases of int64 are bytes */
  if (short_enough && (i == B || i == MUL || i == SHR)) t.kind = QN_CODED_INTEGERS;
  return t;
}
