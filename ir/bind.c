/* An op as a call of a runtime kernel: which one, with which parameters, how much scratch, and
 * whether the result may take an operand's bytes.
 *
 * bind_<name>() serves the ops with <name> in the `bind` column of ops.def. */
#include <math.h>
#include <string.h>
#include "strides.h"

const char *const qn_kernel_names[QN_KERNEL_COUNT] = {
#define QN_KERNEL(name, params) #name,
#include "../runtime/kernels.def"
};

static const int param_bytes[QN_KERNEL_COUNT] = {
#define QN_KERNEL(name, params) sizeof(qn_##params##_params),
#include "../runtime/kernels.def"
};

#define QN_KERNEL(name, params)                                                                    \
  _Static_assert(sizeof(qn_##params##_params) <= QN_MAX_PARAM_BYTES, "parameters of " #name);
#include "../runtime/kernels.def"

static void set_call(qn_call *c, qn_kernel kernel, const void *params) {
  c->kernel = kernel;
  c->param_bytes = param_bytes[kernel];
  memcpy(c->params, params, (size_t)c->param_bytes);
}

/* ------------------------------------------------------------------ attributes and types */

static const qn_type *type_of(const qn_op *op, int operand) { return &op->in[operand]->type; }

static int32_t count_of(const qn_type *t) { return (int32_t)qn_count(t); }

static int32_t elem_bytes(const qn_type *t) { return qn_elem_bits(t->elem) / 8; }

static int32_t bits_of_float(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

typedef struct {
  float low, high;
} float_range;

static float_range activation_range(const qn_op *op) {
  switch (*(const qn_activation *)qn_attr_of(op, "activation")) {
  case QN_ACTIVATION_relu: return (float_range){0, INFINITY};
  case QN_ACTIVATION_relu6: return (float_range){0, 6};
  case QN_ACTIVATION_relu_n1_to_1: return (float_range){-1, 1};
  default: return (float_range){-INFINITY, INFINITY};
  }
}

static int32_t contract_of(const qn_op *op) {
  return (int32_t) * (const qn_contract *)qn_attr_of(op, "contract");
}

/* The kernel for values of 8 or of 16 bits. */
#define BY_WIDTH(op, name)                                                                         \
  (type_of(op, 0)->elem == QN_i16 ? QN_KERNEL_##name##_i16 : QN_KERNEL_##name##_i8)

/* The kernel for weights as they are stored. */
#define BY_WEIGHTS(op, name)                                                                       \
  (type_of(op, 1)->elem == QN_f16    ? QN_KERNEL_##name##_f16                                      \
   : type_of(op, 1)->elem == QN_bf16 ? QN_KERNEL_##name##_bf16                                     \
                                     : QN_KERNEL_##name##_f32)

/* What ops that scale a tensor by one number have in their attributes. */
typedef struct {
  int32_t low, high, contract, mul, shr;
} scaling;

static scaling scaling_of(const qn_op *op) {
  const int32_t *clamp = qn_attr_of(op, "clamp");
  const int32_t *mul = qn_attr_of(op, "mul"), *shr = qn_attr_of(op, "shr");
  scaling s = {clamp[0], clamp[1], contract_of(op), *mul, *shr};
  if (s.contract == QN_CONTRACT_float) {
    s.mul = bits_of_float(*(const float *)qn_attr_of(op, "scale"));
    s.shr = 0;
  }
  return s;
}

/* These, in the parameters of a kernel. */
#define SCALED_BY(s)                                                                               \
  .low = (s).low, .high = (s).high, .contract = (s).contract, .mul = (s).mul, .shr = (s).shr

/* ------------------------------------------------------------------ walks */

static qn_broadcast broadcast_of(const qn_op *op) {
  const qn_type *y = &op->out->type;
  int64_t stride[2][QN_MAX_RANK];
  for (int k = 0; k < 2; k++) qn_dense_strides(type_of(op, k), stride[k]);
  qn_walk w = {0};
  for (int i = 0; i < y->rank; i++) {
    int64_t step[2];
    for (int k = 0; k < 2; k++) {
      const qn_type *t = type_of(op, k);
      int at = i - (y->rank - t->rank);
      step[k] = at < 0 || t->dim[at] == 1 ? 0 : stride[k][at];
    }
    qn_push_dim(&w, y->dim[i], step[0], step[1]);
  }
  qn_broadcast out;
  qn_align_walk(&w, out.dim, out.a_stride, out.b_stride);
  return out;
}

static qn_reduction reduction_of(const qn_op *op) {
  const qn_type *x = type_of(op, 0);
  const qn_list *axes = qn_attr_of(op, "axes");
  bool gone[QN_MAX_RANK] = {false};
  for (int i = 0; i < axes->count; i++)
    gone[axes->at[i] < 0 ? axes->at[i] + x->rank : axes->at[i]] = true;
  int64_t stride[QN_MAX_RANK];
  qn_dense_strides(x, stride);
  qn_walk keep = {0}, sum = {0};
  for (int i = 0; i < x->rank; i++) qn_push_dim(gone[i] ? &sum : &keep, x->dim[i], stride[i], 0);
  qn_reduction out;
  qn_align_walk(&keep, out.keep_dim, out.keep_stride, NULL);
  qn_align_walk(&sum, out.sum_dim, out.sum_stride, NULL);
  return out;
}

/* An elementwise kernel may write over every operand that is walked as the result is. */
static void allow_in_place(const qn_op *op, qn_call *c, int operands) {
  for (int i = 0; i < operands; i++) {
    const qn_type *x = type_of(op, i), *y = &op->out->type;
    c->in_place[i] = qn_count(x) == qn_count(y) && qn_elem_bits(x->elem) == qn_elem_bits(y->elem);
  }
}

/* ------------------------------------------------------------------ windows */

static void bind_float_window(const qn_op *op, qn_call *c, qn_kernel kernel) {
  float_range range = activation_range(op);
  qn_conv_f32_params p = {.g = qn_window_of(op), .low = range.low, .high = range.high};
  set_call(c, kernel, &p);
}

static void bind_int_window(const qn_op *op, qn_call *c, qn_kernel kernel) {
  const int32_t *clamp = qn_attr_of(op, "clamp");
  qn_conv_i8_params p = {.g = qn_window_of(op),
                         .x_zero = type_of(op, 0)->q.zero,
                         .y_zero = op->out->type.q.zero,
                         .low = clamp[0],
                         .high = clamp[1],
                         .contract = contract_of(op),
                         .per_channel = qn_count(type_of(op, 3)) > 1,
                         .long_sums = type_of(op, 2)->elem == QN_i64};
  p.y_c = p.g.out_c;
  set_call(c, kernel, &p);
}

/* in[3]: the weights' scales, where there are several. */
static void bind_dynamic(const qn_op *op, qn_call *c, qn_kernel kernel) {
  float_range range = activation_range(op);
  const qn_quant *q = &type_of(op, 1)->q;
  qn_conv_dynamic_params p = {.g = qn_window_of(op),
                              .low = range.low,
                              .high = range.high,
                              .per_channel = q->scales != NULL,
                              .w_scale = q->scales ? 0 : q->scale};
  set_call(c, kernel, &p);
  c->in_count = 4;
  c->in[3] = q->scales;
}

#define WINDOW(name, bind, kernel)                                                                 \
  static void bind_##name(const qn_op *op, qn_call *c) { bind(op, c, kernel); }
WINDOW(conv, bind_float_window, BY_WEIGHTS(op, conv2d))
WINDOW(depthwise, bind_float_window, BY_WEIGHTS(op, depthwise))
WINDOW(qconv, bind_int_window, BY_WIDTH(op, conv2d))
WINDOW(qdepthwise, bind_int_window, BY_WIDTH(op, depthwise))
WINDOW(dynamic_conv, bind_dynamic, QN_KERNEL_conv2d_dynamic)
WINDOW(dynamic_depthwise, bind_dynamic, QN_KERNEL_depthwise_dynamic)

static void bind_pool(const qn_op *op, qn_call *c) {
  float_range range = activation_range(op);
  qn_pool_f32_params p = {.g = qn_window_of(op), .low = range.low, .high = range.high};
  set_call(c, op->code == QN_OP_avg_pool2d ? QN_KERNEL_avg_pool_f32 : QN_KERNEL_max_pool_f32, &p);
}

static void bind_qpool(const qn_op *op, qn_call *c) {
  qn_pool_i8_params p = {
      .g = qn_window_of(op), .low = op->a.qpool.clamp[0], .high = op->a.qpool.clamp[1]};
  set_call(c, op->code == QN_OP_qavg_pool2d ? BY_WIDTH(op, avg_pool) : BY_WIDTH(op, max_pool), &p);
}

/* ------------------------------------------------------------------ matmul */

/* The product of the leading dims of a matrix operand. */
static int64_t batch_count(const qn_type *t) {
  return qn_count(t) / (t->dim[t->rank - 1] * t->dim[t->rank - 2]);
}

/* One b for every a makes one product of all rows of a. */
static qn_matmul_f32_params matmul_of(const qn_op *op) {
  const qn_type *a = type_of(op, 0), *b = type_of(op, 1);
  int64_t a_batch = batch_count(a), b_batch = batch_count(b);
  int64_t m = a->dim[a->rank - 2], k = a->dim[a->rank - 1];
  int64_t n = op->out->type.dim[op->out->type.rank - 1];
  if (b_batch == 1) {
    m *= a_batch;
    a_batch = 1;
  }
  return (qn_matmul_f32_params){.batch = (int32_t)(a_batch > b_batch ? a_batch : b_batch),
                                .m = (int32_t)m,
                                .n = (int32_t)n,
                                .k = (int32_t)k,
                                .a_batch_stride = a_batch == 1 ? 0 : (int32_t)(m * k),
                                .b_batch_stride = b_batch == 1 ? 0 : (int32_t)(k * n),
                                .transpose_b = *(const bool *)qn_attr_of(op, "transpose_b")};
}

static void bind_matmul(const qn_op *op, qn_call *c) {
  qn_matmul_f32_params p = matmul_of(op);
  set_call(c, QN_KERNEL_matmul_f32, &p);
}

static void bind_qmatmul(const qn_op *op, qn_call *c) {
  qn_matmul_f32_params g = matmul_of(op);
  scaling s = scaling_of(op);
  qn_matmul_i8_params p = {.batch = g.batch,
                           .m = g.m,
                           .n = g.n,
                           .k = g.k,
                           .a_batch_stride = g.a_batch_stride,
                           .b_batch_stride = g.b_batch_stride,
                           .transpose_b = g.transpose_b,
                           .a_zero = type_of(op, 0)->q.zero,
                           .b_zero = type_of(op, 1)->q.zero,
                           .y_zero = op->out->type.q.zero,
                           SCALED_BY(s)};
  set_call(c, QN_KERNEL_matmul_i8, &p);
}

/* ------------------------------------------------------------------ elementwise */

static void bind_binary(const qn_op *op, qn_call *c) {
  qn_binary code = op->code == QN_OP_add ? QN_ADD : op->code == QN_OP_sub ? QN_SUB : QN_MUL;
  float_range range = activation_range(op);
  qn_binary_f32_params p = {
      .walk = broadcast_of(op), .op = code, .low = range.low, .high = range.high};
  set_call(c, QN_KERNEL_binary_f32, &p);
  allow_in_place(op, c, 2);
}

static void bind_qadd(const qn_op *op, qn_call *c) {
  const qn_attrs_qadd *a = &op->a.qadd;
  qn_add_i8_params p = {.walk = broadcast_of(op),
                        .op = op->code == QN_OP_qadd ? QN_ADD : QN_SUB,
                        .a_zero = type_of(op, 0)->q.zero,
                        .b_zero = type_of(op, 1)->q.zero,
                        .y_zero = op->out->type.q.zero,
                        .low = a->clamp[0],
                        .high = a->clamp[1],
                        .contract = (int32_t)a->contract,
                        .left_shift = a->left_shift,
                        .mul = {a->mul[0], a->mul[1], a->mul[2]},
                        .shr = {a->shr[0], a->shr[1], a->shr[2]},
                        .scale = {a->scale[0], a->scale[1]}};
  set_call(c, BY_WIDTH(op, add), &p);
  allow_in_place(op, c, 2);
}

static void bind_qmul(const qn_op *op, qn_call *c) {
  scaling s = scaling_of(op);
  qn_mul_i8_params p = {.walk = broadcast_of(op),
                        .a_zero = type_of(op, 0)->q.zero,
                        .b_zero = type_of(op, 1)->q.zero,
                        .y_zero = op->out->type.q.zero,
                        SCALED_BY(s)};
  set_call(c, BY_WIDTH(op, mul), &p);
  allow_in_place(op, c, 2);
}

static void bind_requantize(const qn_op *op, qn_call *c) {
  scaling s = scaling_of(op);
  qn_requantize_i8_params p = {.count = count_of(&op->out->type),
                               .x_zero = type_of(op, 0)->q.zero,
                               .y_zero = op->out->type.q.zero,
                               SCALED_BY(s)};
  set_call(c, BY_WIDTH(op, requantize), &p);
  allow_in_place(op, c, 1);
}

static void bind_unary(const qn_op *op, qn_call *c) {
  qn_unary_f32_params p = {
      .op = QN_CLIP, .count = count_of(&op->out->type), .low = -INFINITY, .high = INFINITY};
  switch (op->code) {
  case QN_OP_logistic: p.op = QN_LOGISTIC; break;
  case QN_OP_tanh: p.op = QN_TANH; break;
  case QN_OP_hard_swish: p.op = QN_HARD_SWISH; break;
  case QN_OP_leaky_relu:
    p.op = QN_LEAKY_RELU;
    p.alpha = op->a.leaky_relu.alpha;
    break;
  case QN_OP_clip:
    p.low = op->a.clip.min;
    p.high = op->a.clip.max;
    break;
  case QN_OP_relu6: p.high = 6; /* fall through */
  default: p.low = 0; break;
  }
  set_call(c, QN_KERNEL_unary_f32, &p);
  allow_in_place(op, c, 1);
}

static void bind_lookup(const qn_op *op, qn_call *c) {
  qn_lookup_i8_params p = {.count = count_of(&op->out->type)};
  set_call(c, QN_KERNEL_lookup_i8, &p);
  allow_in_place(op, c, 1);
}

static void bind_flip_sign(const qn_op *op, qn_call *c) {
  qn_flip_sign_params p = {.count = count_of(&op->out->type)};
  set_call(c, QN_KERNEL_flip_sign, &p);
  allow_in_place(op, c, 1);
}

static void bind_batch_norm(const qn_op *op, qn_call *c) {
  const qn_type *x = type_of(op, 0);
  int32_t channels = (int32_t)x->dim[x->rank - 1];
  qn_batch_norm_f32_params p = {
      .rows = count_of(x) / channels, .channels = channels, .epsilon = op->a.batch_norm.epsilon};
  set_call(c, QN_KERNEL_batch_norm_f32, &p);
  allow_in_place(op, c, 1);
}

/* A row is read to its end before it is written, so in place is safe. */
static void bind_softmax(const qn_op *op, qn_call *c) {
  const qn_type *x = type_of(op, 0);
  int32_t columns = (int32_t)x->dim[x->rank - 1];
  qn_softmax_f32_params p = {
      .rows = count_of(x) / columns, .columns = columns, .beta = op->a.softmax.beta};
  set_call(c, QN_KERNEL_softmax_f32, &p);
  allow_in_place(op, c, 1);
}

static void bind_qsoftmax(const qn_op *op, qn_call *c) {
  const qn_type *x = type_of(op, 0);
  int32_t columns = (int32_t)x->dim[x->rank - 1];
  qn_softmax_i8_params p = {.rows = count_of(x) / columns,
                            .columns = columns,
                            .mul = op->a.qsoftmax.mul,
                            .left_shift = op->a.qsoftmax.left_shift,
                            .diff_min = op->a.qsoftmax.diff_min,
                            /* each value needs its exponential twice */
                            .tabulate = x->elem == QN_i8 && count_of(x) > QN_SOFTMAX_TABLE};
  set_call(c, BY_WIDTH(op, softmax), &p);
  allow_in_place(op, c, 1);
}

/* ------------------------------------------------------------------ quantize, dequantize */

/* t is the quantized side; its scales become the kernel's second operand. */
static void bind_scales(const qn_type *t, qn_call *c, qn_kernel kernel) {
  qn_quantize_params p = {.outer = 1,
                          .channels = 1,
                          .inner = count_of(t),
                          .elem_bytes = elem_bytes(t),
                          .is_signed = t->elem != QN_u8,
                          .zero = t->q.zero,
                          .scale = t->q.scale};
  if (t->q.scales) {
    p.per_channel = 1;
    p.zero = 0;
    p.scale = 0;
    p.channels = (int32_t)t->dim[t->q.axis];
    for (int i = 0; i < t->q.axis; i++) p.outer *= (int32_t)t->dim[i];
    p.inner /= p.outer * p.channels;
  }
  set_call(c, kernel, &p);
  c->in_count = 2;
  c->in[1] = t->q.scales;
}

/* Bytes fall behind the floats they are made from. Wider integers do not, as a C compiler may move
 * their stores in front of loads of another type. */
static void bind_quantize(const qn_op *op, qn_call *c) {
  bind_scales(&op->out->type, c, QN_KERNEL_quantize);
  c->in_place[0] = elem_bytes(&op->out->type) == 1;
}

static void bind_dequantize(const qn_op *op, qn_call *c) {
  bind_scales(type_of(op, 0), c, QN_KERNEL_dequantize);
}

/* ------------------------------------------------------------------ reduction, movement */

static void bind_mean(const qn_op *op, qn_call *c) {
  qn_mean_f32_params p = {.r = reduction_of(op)};
  set_call(c, QN_KERNEL_mean_f32, &p);
}

static void bind_qmean(const qn_op *op, qn_call *c) {
  scaling s = scaling_of(op);
  qn_mean_i8_params p = {.r = reduction_of(op),
                         .x_zero = type_of(op, 0)->q.zero,
                         .y_zero = op->out->type.q.zero,
                         SCALED_BY(s)};
  set_call(c, BY_WIDTH(op, mean), &p);
}

/* The bits of a real value as an element of t: f32, or i8 or i16 with one scale (0 is its zero
 * point). */
static int32_t fill_bits(const qn_type *t, float value) {
  if (t->elem == QN_f32) return bits_of_float(value);
  double stored = round((double)value / (double)t->q.scale) + t->q.zero;
  int64_t least, most;
  qn_elem_limits(t->elem, &least, &most);
  return (int32_t)fmin(fmax(stored, (double)least), (double)most) & (int32_t)(most - least);
}

/* Dims behind which nothing is added become part of the dim in front of them. */
static void bind_pad(const qn_op *op, qn_call *c) {
  const qn_type *x = type_of(op, 0);
  int64_t in[QN_MAX_RANK], before[QN_MAX_RANK], out[QN_MAX_RANK];
  int rank = 0;
  for (int i = 0; i < x->rank; i++) {
    int64_t size = x->dim[i], y = op->out->type.dim[i];
    if (rank > 0 && size == y) {
      in[rank - 1] *= size;
      before[rank - 1] *= size;
      out[rank - 1] *= size;
      continue;
    }
    in[rank] = size;
    before[rank] = op->a.pad.before.at[i];
    out[rank++] = y;
  }
  qn_pad_params p = {.elem_bytes = elem_bytes(x), .fill = fill_bits(x, op->a.pad.value)};
  for (int i = 0; i < QN_KERNEL_RANK; i++) {
    int from = i - (QN_KERNEL_RANK - rank);
    p.in_dim[i] = from < 0 ? 1 : (int32_t)in[from];
    p.before[i] = from < 0 ? 0 : (int32_t)before[from];
    p.out_dim[i] = from < 0 ? 1 : (int32_t)out[from];
  }
  set_call(c, QN_KERNEL_pad, &p);
}

static void bind_concat(const qn_op *op, qn_call *c) {
  const qn_type *x = type_of(op, 0);
  int axis = op->a.concat.axis < 0 ? op->a.concat.axis + x->rank : op->a.concat.axis;
  qn_concat_params p = {.count = op->in_count, .outer = 1};
  for (int i = 0; i < axis; i++) p.outer *= (int32_t)x->dim[i];
  for (int i = 0; i < op->in_count; i++)
    p.row_bytes[i] = (int32_t)(qn_bytes(type_of(op, i)) / p.outer);
  set_call(c, QN_KERNEL_concat, &p);
}

static void bind_slice(const qn_op *op, qn_call *c) {
  const qn_type *x = type_of(op, 0), *y = &op->out->type;
  const qn_list *steps = &op->a.slice.step;
  int64_t stride[QN_MAX_RANK], offset = 0;
  qn_dense_strides(x, stride);
  qn_walk w = {0};
  for (int i = 0; i < x->rank; i++) {
    offset += op->a.slice.begin.at[i] * stride[i];
    qn_push_dim(&w, y->dim[i], stride[i] * (steps->count ? steps->at[i] : 1), 0);
  }
  qn_strided_copy_params p = {.elem_bytes = elem_bytes(x), .offset = (int32_t)offset};
  qn_align_walk(&w, p.dim, p.stride, NULL);
  set_call(c, QN_KERNEL_strided_copy, &p);
}

static void bind_transpose(const qn_op *op, qn_call *c) {
  const qn_type *x = type_of(op, 0);
  int64_t stride[QN_MAX_RANK];
  qn_dense_strides(x, stride);
  qn_walk w = {0};
  for (int i = 0; i < x->rank; i++) {
    int32_t from = op->a.transpose.perm.at[i];
    qn_push_dim(&w, x->dim[from], stride[from], 0);
  }
  qn_strided_copy_params p = {.elem_bytes = elem_bytes(x)};
  qn_align_walk(&w, p.dim, p.stride, NULL);
  set_call(c, QN_KERNEL_strided_copy, &p);
}

static void bind_view(const qn_op *op, qn_call *c) {
  qn_copy_params p = {.bytes = (int32_t)qn_bytes(&op->out->type)};
  set_call(c, QN_KERNEL_copy, &p);
  c->in_place[0] = true;
}

/* ------------------------------------------------------------------ all ops */

static void (*const bind_ops[QN_OP_COUNT])(const qn_op *, qn_call *) = {
#define QN_OP(name, operands, sig, attrs, infer, bind, fuse, doc) [QN_OP_##name] = bind_##bind,
#include "ops.def"
};

void qn_bind(const qn_op *op, qn_call *out) {
  memset(out, 0, sizeof *out);
  int most = qn_max_operands(op->code);
  out->in_count = most < QN_MAX_IN ? most : op->in_count;
  for (int i = 0; i < op->in_count; i++) out->in[i] = op->in[i];
  bind_ops[op->code](op, out);
  out->scratch_bytes = qn_kernel_scratch(op, out);
}
