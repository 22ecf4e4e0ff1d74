/* ONNX's quantization -> stored values with a scale in their type, between layers on reals.
 *
 * QuantizeLinear and DequantizeLinear: real = scale * (stored - zero). The IR stores int8, so what
 * ONNX stores as uint8 is 128 less, elements and zero point, and every real value stays. A
 * dequantized tensor is the stored value itself: who reads it as reals dequantizes it (build.c),
 * who only moves elements moves the stored ones. Constants likewise keep their integers and scales.
 *
 * QLinear operators are their float ones between the two, which is how they are read. */
#include <math.h>
#include <string.h>
#include "onnx.h"

/* ------------------------------------------------------------------ scales and zero points */

static qn_status read_scales(qn_onnx_node *n, int i, qn_onnx_quant *q) {
  qn_onnx_tensor *t;
  QN_TRY(qn_onnx_operand(n, i, &t));
  QN_TRY(qn_onnx_floats(n, t, &q->scales));
  q->count = (int)qn_onnx_count(t);
  if (t->rank > 1 && q->count > 1)
    return qn_onnx_error(n, "operand %d, the scales, must be a number or a list", i + 1);
  for (int k = 0; k < q->count; k++)
    if (!isfinite(q->scales[k]) || q->scales[k] <= 0)
      return qn_onnx_error(n, "operand %d holds the scale %g at %d: it must be positive", i + 1,
                           (double)q->scales[k], k);
  return QN_OK;
}

/* Without an operand: 0 of type `code`. */
static qn_status read_zeros(qn_onnx_node *n, int i, int code, qn_onnx_quant *q) {
  QN_TRY(qn_onnx_reserve(n->r, n->in[i - 1], q->count * (int64_t)sizeof *q->zeros));
  int32_t *zeros = qn_alloc(&n->r->m->arena, (size_t)q->count * sizeof *zeros);
  q->zeros = zeros;
  q->code = code;
  if (!qn_onnx_is_given(n, i)) return QN_OK;
  qn_onnx_tensor *t;
  QN_TRY(qn_onnx_operand(n, i, &t));
  q->code = t->code;
  bool is_known = t->code == QN_ONNX_UINT8 || t->code == QN_ONNX_INT8 || t->code == QN_ONNX_INT32;
  if (!qn_onnx_is_const(t) || !is_known)
    return qn_onnx_error(
        n, "operand %d, the zero point, must be a constant of int8, uint8 or int32", i + 1);
  if (qn_onnx_count(t) != q->count)
    return qn_onnx_error(n, "%d scales and %lld zero points", q->count,
                         (long long)qn_onnx_count(t));
  qn_elem elem = t->code == QN_ONNX_UINT8 ? QN_u8 : t->code == QN_ONNX_INT8 ? QN_i8 : QN_i32;
  for (int k = 0; k < q->count; k++) zeros[k] = (int32_t)qn_int_at(elem, t->data, k);
  return QN_OK;
}

qn_status qn_onnx_read_quant(qn_onnx_node *n, int i, int code, qn_onnx_quant *out) {
  QN_TRY(read_scales(n, i, out));
  return read_zeros(n, i + 1, code, out);
}

qn_quant qn_onnx_one_quant(const qn_onnx_quant *q) {
  int32_t shift = q->code == QN_ONNX_UINT8 ? 128 : 0;
  return (qn_quant){.on = true, .scale = q->scales[0], .zero = q->zeros[0] - shift};
}

/* The axis of several scales, and that they are as many as its indices. */
static qn_status set_axis(qn_onnx_node *n, const qn_onnx_tensor *x, int64_t axis,
                          qn_onnx_quant *q) {
  q->axis = 0;
  if (q->count == 1) return QN_OK;
  QN_TRY(qn_onnx_axis(n, axis, x->rank, &q->axis));
  if (x->dim[q->axis] != q->count)
    return qn_onnx_error(n, "%d scales for axis %d of %lld", q->count, q->axis,
                         (long long)x->dim[q->axis]);
  return QN_OK;
}

static qn_status read_axis(qn_onnx_node *n, const qn_onnx_tensor *x, qn_onnx_quant *q) {
  int64_t axis = 1, block = 0;
  QN_TRY(qn_onnx_int(n, "axis", &axis));
  QN_TRY(qn_onnx_int(n, "block_size", &block));
  if (block != 0) return qn_onnx_error(n, "scales per block are not supported");
  return set_axis(n, x, axis, q);
}

/* ------------------------------------------------------------------ quantize */

/* A constant is rounded here: to nearest, ties to even, as ONNX says. */
static qn_status quantize_const(qn_onnx_node *n, const qn_onnx_tensor *x, const qn_onnx_quant *q) {
  const float *at;
  QN_TRY(qn_onnx_floats(n, x, &at));
  int64_t count = qn_onnx_count(x), inner = 1;
  for (int i = q->axis + 1; i < x->rank; i++) inner *= x->dim[i];
  bool is_unsigned = q->code == QN_ONNX_UINT8;
  double low = is_unsigned ? 0 : -128, high = is_unsigned ? 255 : 127;
  QN_TRY(qn_onnx_reserve(n->r, x, count));
  uint8_t *data = qn_alloc(&n->r->m->arena, (size_t)count);
  for (int64_t i = 0; i < count; i++) {
    int64_t c = q->count == 1 ? 0 : i / inner % q->count;
    double stored = nearbyint((double)(at[i] / q->scales[c])) + q->zeros[c];
    data[i] = (uint8_t)(int)(stored >= low ? stored <= high ? stored : high : low);
  }
  QN_TRY(qn_onnx_define_alias(n, x));
  qn_onnx_tensor *y = n->out[0];
  qn_onnx_forget_values(y);
  y->data = data;
  y->code = y->stored = q->code;
  y->scale_count = 0;
  return QN_OK;
}

/* x, of reals or stored in another way, as the node's result. */
static qn_status quantize(qn_onnx_node *n, qn_onnx_tensor *x, const qn_onnx_quant *q) {
  if (q->code != QN_ONNX_UINT8 && q->code != QN_ONNX_INT8)
    return qn_onnx_error(n, "quantized to %s: only int8 and uint8 are supported",
                         qn_onnx_type_name(q->code));
  if (qn_onnx_is_const(x)) return quantize_const(n, x, q);
  if (q->count != 1)
    return qn_onnx_error(n, "%d scales: only constants may have several", q->count);
  qn_onnx_form form = qn_onnx_form_of(x);
  qn_layer l = qn_onnx_layer(n, QN_OP_quantize);
  l.in_count = 1;
  l.typed = true;
  l.type = (qn_type){.elem = QN_i8, .q = qn_onnx_one_quant(q)};
  QN_TRY(qn_onnx_take(n, x, form, &l.in[0]));
  const qn_type *type = &l.in[0]->type;
  n->out[0]->channels = x->channels;
  if (type->elem == QN_i8 && qn_same_quant(&type->q, &l.type.q))
    QN_TRY(qn_onnx_define(n, 0, l.in[0], form)); /* it is stored so already */
  else
    QN_TRY(qn_onnx_add_result(n, &l, 0, form));
  n->out[0]->code = q->code;
  return QN_OK;
}

qn_status qn_onnx_read_quantize(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  qn_onnx_quant q;
  int64_t code = 0;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  if (x->code != QN_ONNX_FLOAT)
    return qn_onnx_error(n, "operand 1 is %s, only float32 is supported here",
                         qn_onnx_type_name(x->code));
  QN_TRY(qn_onnx_int(n, "output_dtype", &code));
  QN_TRY(qn_onnx_read_quant(n, 1, code ? (int)(code & 255) : QN_ONNX_UINT8, &q));
  QN_TRY(read_axis(n, x, &q));
  return quantize(n, x, &q);
}

/* ------------------------------------------------------------------ dequantize */

/* Whether the IR's types can say it: of several scales, every zero point is 0. */
static bool has_type(const qn_onnx_tensor *x, const qn_onnx_quant *q) {
  int32_t shift = x->code == QN_ONNX_UINT8 ? 128 : 0;
  if (q->count == 1 && x->code != QN_ONNX_INT32) return true;
  for (int i = 0; i < q->count; i++)
    if (q->zeros[i] != shift) return false;
  return true;
}

/* x, stored, as reals: a copy of its record, with the scales. */
static qn_status dequantize(qn_onnx_node *n, const qn_onnx_tensor *x, const qn_onnx_quant *q,
                            qn_onnx_tensor *out) {
  *out = *x;
  out->code = QN_ONNX_FLOAT;
  if (q->code != x->code)
    return qn_onnx_error(n, "'%s' is %s, its zero point is %s", x->name, qn_onnx_type_name(x->code),
                         qn_onnx_type_name(q->code));
  if (qn_onnx_is_const(x)) {
    qn_onnx_forget_values(out);
    out->scale_count = q->count;
    out->scales = q->scales;
    out->zeros = q->zeros;
    out->axis = q->axis;
    if (has_type(x, q)) return QN_OK;
    const float *real;
    QN_TRY(qn_onnx_floats(n, out, &real));
    out->data = real;
    out->stored = QN_ONNX_FLOAT;
    out->scale_count = 0;
    return QN_OK;
  }
  const qn_value *v = x->as[qn_onnx_form_of(x)];
  qn_quant one = qn_onnx_one_quant(q);
  if (!v->type.q.on || q->count != 1 || v->type.q.scale != one.scale || v->type.q.zero != one.zero)
    return qn_onnx_error(n, "'%s' was not quantized with this scale, %g, and zero point, %d",
                         x->name, (double)q->scales[0], q->zeros[0]);
  return QN_OK;
}

static qn_status check_stored(const qn_onnx_node *n, const qn_onnx_tensor *x) {
  bool is_known = x->code == QN_ONNX_UINT8 || x->code == QN_ONNX_INT8 ||
                  (x->code == QN_ONNX_INT32 && qn_onnx_is_const(x));
  if (is_known) return QN_OK;
  return qn_onnx_error(n, "'%s' is %s: only int8, uint8 and constants of int32 can be dequantized",
                       x->name, qn_onnx_type_name(x->code));
}

qn_status qn_onnx_read_dequantize(qn_onnx_node *n) {
  qn_onnx_tensor *x, real;
  qn_onnx_quant q;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(check_stored(n, x));
  QN_TRY(qn_onnx_read_quant(n, 1, x->code, &q));
  QN_TRY(read_axis(n, x, &q));
  QN_TRY(dequantize(n, x, &q, &real));
  return qn_onnx_define_alias(n, &real);
}

/* ------------------------------------------------------------------ QLinear operators */

/* Operands in groups of tensor, scale, zero point; the result's scale and zero point; a bias, which
 * is stored with the product of the first two scales. */
static const struct {
  const char *name, *real;  /* the operator on reals */
  int groups, result, bias; /* numbers of operands; bias 0: none */
} qlinear[] = {{"QLinearConv", "Conv", 2, 6, 8},
               {"QLinearMatMul", "MatMul", 2, 6, 0},
               {"QGemm", "Gemm", 2, 7, 6},
               {"QLinearAdd", "Add", 2, 6, 0},
               {"QLinearMul", "Mul", 2, 6, 0},
               {"QLinearAveragePool", "AveragePool", 1, 3, 0},
               {"QLinearGlobalAveragePool", "GlobalAveragePool", 1, 3, 0},
               {"QLinearSigmoid", "Sigmoid", 1, 3, 0},
               {"QLinearLeakyRelu", "LeakyRelu", 1, 3, 0}};

/* Several scales of a second operand belong to its output channels. */
static qn_status channel_axis(qn_onnx_node *n, const qn_onnx_tensor *t, int64_t *out) {
  int64_t turned = 0;
  if (strcmp(n->type, "QGemm") == 0) QN_TRY(qn_onnx_int(n, "transB", &turned));
  *out = strcmp(n->type, "QLinearConv") == 0 || turned ? 0 : t->rank - 1;
  return QN_OK;
}

static qn_status read_group(qn_onnx_node *n, int group, qn_onnx_quant *q, qn_onnx_tensor *out) {
  qn_onnx_tensor *t;
  int64_t axis;
  QN_TRY(qn_onnx_operand(n, 3 * group, &t));
  QN_TRY(check_stored(n, t));
  QN_TRY(qn_onnx_read_quant(n, 3 * group + 1, t->code, q));
  QN_TRY(channel_axis(n, t, &axis));
  QN_TRY(set_axis(n, t, axis, q));
  return dequantize(n, t, q, out);
}

static qn_status read_bias(qn_onnx_node *n, int i, const qn_onnx_quant *x, const qn_onnx_quant *w,
                           qn_onnx_tensor *out) {
  qn_onnx_tensor *t;
  QN_TRY(qn_onnx_operand(n, i, &t));
  if (!qn_onnx_is_const(t) || t->code != QN_ONNX_INT32 || t->rank != 1)
    return qn_onnx_error(n, "operand %d, the bias, must be a constant list of int32", i + 1);
  if (x->count != 1) return qn_onnx_error(n, "operand 1 must have one scale");
  QN_TRY(qn_onnx_reserve(n->r, t, 2 * w->count * (int64_t)sizeof *w->scales));
  float *scales = qn_alloc(&n->r->m->arena, (size_t)w->count * sizeof *scales);
  int32_t *zeros = qn_alloc(&n->r->m->arena, (size_t)w->count * sizeof *zeros);
  for (int c = 0; c < w->count; c++) scales[c] = x->scales[0] * w->scales[c];
  qn_onnx_quant q = {.count = w->count, .scales = scales, .zeros = zeros, .code = t->code};
  QN_TRY(set_axis(n, t, 0, &q));
  return dequantize(n, t, &q, out);
}

qn_status qn_onnx_read_qlinear(qn_onnx_node *n) {
  size_t row = 0;
  while (strcmp(qlinear[row].name, n->type) != 0) row++; /* onnx.def names no other */
  int groups = qlinear[row].groups, bias = qlinear[row].bias;
  qn_onnx_tensor operands[3],
      result = {.name = qn_format(&n->r->m->arena, "%s.r", n->out[0]->name)};
  qn_onnx_quant q[2], y;
  int64_t last = 0;
  float alpha = 1;
  QN_TRY(qn_onnx_int(n, "channels_last", &last));
  if (strcmp(n->type, "QGemm") == 0) QN_TRY(qn_onnx_float(n, "alpha", &alpha));
  if (last != 0 || alpha != 1)
    return qn_onnx_error(n, "only channels_last=0 and alpha=1 are supported");

  qn_onnx_node on_reals = *n;
  on_reals.row = qn_onnx_find_op(qlinear[row].real);
  on_reals.in_count = groups;
  on_reals.out[0] = &result;
  for (int i = 0; i < groups; i++) {
    QN_TRY(read_group(n, i, &q[i], &operands[i]));
    on_reals.in[i] = &operands[i];
  }
  if (bias && qn_onnx_is_given(n, bias)) {
    QN_TRY(read_bias(n, bias, &q[0], &q[1], &operands[2]));
    on_reals.in[on_reals.in_count++] = &operands[2];
  }
  QN_TRY(on_reals.row->read(&on_reals));
  if (!qn_onnx_is_given(n, qlinear[row].result)) return qn_onnx_define_alias(n, &result);
  QN_TRY(qn_onnx_read_quant(n, qlinear[row].result, n->in[0]->code, &y));
  y.axis = 0;
  return quantize(n, &result, &y);
}
