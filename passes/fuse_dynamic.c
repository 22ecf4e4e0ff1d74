/* conv2d, depthwise_conv2d and dense of a real x and dequantized int8 weights -> dynamic_conv2d and
 * its like, which quantize x by the range that it has at run time.
 *
 *   %w.f = dequantize @w.q;  %y = conv2d %x, %w.f, @b     becomes     %y = dynamic_conv2d %x, @w.q,
 * @b
 *
 * What the op computes changes: so it is run only for who asks for dynamic quantization.
 *
 * Requires: weights with zero 0, one scale or one per channel of the result. Leaves alone: layers
 * whose x is stored, which fuse-int8 makes integer; those of more than MOST_COLUMNS products in a
 * sum. The dequantize is left to dce. */
#include "recover.h"

enum { MOST_COLUMNS = INT32_MAX / (255 * 127) }; /* sums are int32 */

static qn_opcode dynamic_code(qn_opcode code) {
  return code == QN_OP_conv2d             ? QN_OP_dynamic_conv2d
         : code == QN_OP_depthwise_conv2d ? QN_OP_dynamic_depthwise_conv2d
                                          : QN_OP_dynamic_dense;
}

/* The integers of op's weights, where a dynamic op takes them; else NULL. */
static qn_value *stored_weights(const qn_op *op) {
  qn_layout l;
  if (!qn_layout_of(op, &l) || l.columns > MOST_COLUMNS) return NULL;
  const qn_op *back = qn_def(op->in[1], QN_OP_dequantize);
  qn_value *w = back ? back->in[0] : NULL;
  if (!w || w->kind != QN_CONST || w->type.elem != QN_i8) return NULL;
  int axis = op->code == QN_OP_depthwise_conv2d ? w->type.rank - 1 : 0;
  return (w->type.q.scales ? w->type.q.axis == axis : w->type.q.zero == 0) ? w : NULL;
}

qn_status pass_fuse_dynamic(qn_module *m, const qn_pass_options *options) {
  (void)options;
  for (qn_func *f = m->funcs; f; f = f->next) {
    for (qn_op *op = f->first; op; op = op->next) {
      qn_value *w = stored_weights(op);
      if (!w || qn_def(op->in[0], QN_OP_dequantize)) continue;
      op->code = dynamic_code(op->code); /* the attributes are the same */
      op->in[1] = w;
    }
  }
  return QN_OK;
}
