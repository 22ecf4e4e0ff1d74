/* What the call of a kernel takes: memory beside its operands, and multiplications. */
#include <string.h>
#include "ir.h"

static const qn_type *type_of(const qn_op *op, int operand) { return &op->in[operand]->type; }

static int64_t patch_count(const qn_window *g) {
  return (int64_t)g->kernel_h * g->kernel_w * (g->in_c / g->groups);
}

/* What the kernels use between their start and end; other kernels use nothing.
 *   conv2d_f32   the patch under one result pixel, floats: kernel_h*kernel_w*in_c/groups;
 *                so conv2d_f16, conv2d_bf16
 *   conv2d_i8    the same, int16; so conv2d_i16
 *   conv2d_dynamic  a float per channel of the result, the patch, int16, and the whole input,
 *                   int8; depthwise_dynamic the same without the patch
 *   avg_pool_i8  an int32 accumulator per channel; so avg_pool_i16
 *   matmul_i8    a row of k int16
 *   softmax_i8   a table of int32 if tabulated */
int64_t qn_kernel_scratch(const qn_op *op, const qn_call *c) {
  int64_t bytes = 0;
  switch (c->kernel) {
  case QN_KERNEL_conv2d_f32:
  case QN_KERNEL_conv2d_f16:
  case QN_KERNEL_conv2d_bf16:
  case QN_KERNEL_conv2d_i8:
  case QN_KERNEL_conv2d_i16: {
    qn_window g = qn_window_of(op);
    bytes = qn_elem_bits(type_of(op, 0)->elem) / 8 * patch_count(&g);
    if (type_of(op, 0)->elem == QN_i8) bytes *= 2;
    break;
  }
  case QN_KERNEL_conv2d_dynamic: {
    qn_window g = qn_window_of(op);
    bytes = 4 * g.out_c + 2 * patch_count(&g) + qn_count(type_of(op, 0));
    break;
  }
  case QN_KERNEL_depthwise_dynamic:
    bytes = 4 * (int64_t)qn_window_of(op).out_c + qn_count(type_of(op, 0));
    break;
  case QN_KERNEL_avg_pool_i8:
  case QN_KERNEL_avg_pool_i16: bytes = 4 * (int64_t)qn_window_of(op).out_c; break;
  case QN_KERNEL_matmul_i8: bytes = 2 * type_of(op, 0)->dim[type_of(op, 0)->rank - 1]; break;
  case QN_KERNEL_softmax_i8: {
    qn_softmax_i8_params p;
    memcpy(&p, c->params, sizeof p);
    bytes = p.tabulate ? 4 * QN_SOFTMAX_TABLE : 0;
    break;
  }
  default: break;
  }
  return (bytes + 15) / 16 * 16;
}

int64_t qn_macs(const qn_op *op) {
  qn_call c;
  qn_bind(op, &c);
  switch (c.kernel) {
  case QN_KERNEL_conv2d_f32:
  case QN_KERNEL_conv2d_i8:
  case QN_KERNEL_conv2d_i16:
  case QN_KERNEL_conv2d_f16:
  case QN_KERNEL_conv2d_bf16:
  case QN_KERNEL_depthwise_f16:
  case QN_KERNEL_depthwise_bf16:
  case QN_KERNEL_depthwise_f32:
  case QN_KERNEL_depthwise_i8:
  case QN_KERNEL_depthwise_i16:
  case QN_KERNEL_conv2d_dynamic:
  case QN_KERNEL_depthwise_dynamic: {
    qn_window g = qn_window_of(op);
    return qn_count(&op->out->type) * patch_count(&g);
  }
  case QN_KERNEL_matmul_f32:
  case QN_KERNEL_matmul_i8:
    return qn_count(&op->out->type) * type_of(op, 0)->dim[type_of(op, 0)->rank - 1];
  default: return 0;
  }
}
