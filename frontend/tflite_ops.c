/* TFLite's operators -> layers. One read_<name>() per word in the `read` column of tflite.def: it
 * takes the options (field numbers are those of schema.fbs) and the operands that are shapes, and
 * adds one layer, or a few where TFLite's operator does two things at once.
 *
 * Weights have the same order of dims in both. Shapes are int32 or int64 constants. The result's
 * dims are inferred and compared with those that the file states. */
#include <math.h>
#include <string.h>
#include "tflite.h"

enum { TFLITE_INT32 = 2, TFLITE_INT64 = 4 };

/* ------------------------------------------------------------------ layers */

static const qn_tflite_tensor *tensor_at(const qn_tflite_node *n, const qn_fb_vector *v, int i) {
  return &n->r->tensors[qn_fb_int_at(&n->r->fb, v, (uint32_t)i)];
}

static const qn_tflite_tensor *result_of(const qn_tflite_node *n) {
  return tensor_at(n, &n->out, 0);
}

static qn_layer make_layer(const qn_tflite_node *n, qn_opcode code) {
  qn_layer l = {.code = code, .loc = n->loc, .name = result_of(n)->name};
  qn_default_attrs(code, &l.a);
  return l;
}

static void add_operand(qn_layer *l, qn_value *v) { l->in[l->in_count++] = v; }

/* The operator's operand i as the layer's next one; a left out one at the end is nothing. */
static qn_status take_operand(qn_tflite_node *n, int i, qn_layer *l) {
  if (i >= (int)n->in.count) return QN_OK;
  if (i == 2 && qn_fb_int_at(&n->r->fb, &n->in, 2) < 0) return QN_OK;
  qn_value *v;
  QN_TRY(qn_tflite_operand(n, i, &v));
  add_operand(l, v);
  return QN_OK;
}

static qn_status add_layer(qn_tflite_node *n, const qn_layer *l, qn_value **out) {
  QN_TRY(n->r->fb.status);
  qn_status status = qn_add_layer(n->r->m, n->r->f, l, out);
  if (status == QN_EINPUT) qn_note(n->r->fb.src, n->loc, "in %s", qn_tflite_describe(n));
  return status;
}

/* A layer in front of the last one: its result is stored like v, whose elements it moves. */
static qn_status add_mover(qn_tflite_node *n, qn_layer *l, const char *suffix, qn_value **v) {
  l->name = qn_format(&n->r->m->arena, "%s.%s", l->name, suffix);
  l->typed = true;
  l->type = (qn_type){.elem = (*v)->type.elem, .q = (*v)->type.q};
  add_operand(l, *v);
  return add_layer(n, l, v);
}

/* The last layer: its result is the operator's. */
static qn_status add_result(qn_tflite_node *n, qn_layer *l) {
  qn_tflite_tensor *t = &n->r->tensors[qn_fb_int_at(&n->r->fb, &n->out, 0)];
  if (t->value || t->is_const)
    return qn_tflite_error(n, "the result '%s' is %s already", t->name,
                           t->is_const ? "a constant" : "computed");
  l->typed = true;
  QN_TRY(qn_tflite_type_of(n->r, t, &l->type));
  return add_layer(n, l, &t->value);
}

/* ------------------------------------------------------------------ options and shapes */

static int32_t option(qn_tflite_node *n, int field, int bytes, int32_t absent) {
  return (int32_t)qn_fb_int(&n->r->fb, &n->options, field, bytes, absent);
}

/* TFLite's numbers of activations, in the order of the schema. */
static qn_status read_activation(qn_tflite_node *n, int field, qn_activation *out) {
  static const struct {
    const char *name;
    int activation; /* -1: not supported */
  } known[] = {{"NONE", QN_ACTIVATION_none},
               {"RELU", QN_ACTIVATION_relu},
               {"RELU_N1_TO_1", QN_ACTIVATION_relu_n1_to_1},
               {"RELU6", QN_ACTIVATION_relu6},
               {"TANH", -1},
               {"SIGN_BIT", -1}};
  int32_t code = option(n, field, 1, 0);
  bool found = code >= 0 && code < (int32_t)(sizeof known / sizeof known[0]);
  if (!found || known[code].activation < 0)
    return qn_tflite_error(n, "fused activation %d, %s, is not supported", code,
                           found ? known[code].name : "unknown");
  *out = (qn_activation)known[code].activation;
  return QN_OK;
}

static qn_status read_padding(qn_tflite_node *n, int field, qn_padding *out) {
  int32_t code = option(n, field, 1, 0);
  if (code != 0 && code != 1) return qn_tflite_error(n, "padding %d is unknown", code);
  out->mode = code == 0 ? QN_PADDING_same : QN_PADDING_valid;
  return QN_OK;
}

/* Two fields, columns first in the file, as rows, columns. */
static void read_pair(qn_tflite_node *n, int field, int32_t absent, int32_t out[2]) {
  out[1] = option(n, field, 4, absent);
  out[0] = option(n, field + 1, 4, absent);
}

/* A constant int32 or int64 tensor of at most `most` elements, each within int32. */
static qn_status read_numbers(qn_tflite_node *n, int operand, int most, int32_t *out, int *count) {
  int64_t index = qn_fb_int_at(&n->r->fb, &n->in, (uint32_t)operand);
  if (index < 0) return qn_tflite_error(n, "operand %d is left out", operand + 1);
  const qn_tflite_tensor *t = &n->r->tensors[index];
  if (t->code != TFLITE_INT32 && t->code != TFLITE_INT64)
    return qn_tflite_error(n, "operand %d must be int32 or int64, got %s", operand + 1,
                           qn_tflite_type_name(t->code));
  if (!t->is_const) return qn_tflite_error(n, "operand %d must be a constant", operand + 1);
  int bytes = t->code == TFLITE_INT32 ? 4 : 8;
  int64_t elements = 1;
  for (int i = 0; i < t->rank && i < QN_MAX_RANK && elements <= most; i++)
    elements = t->dim[i] < 0 || t->dim[i] > most ? most + 1 : elements * t->dim[i];
  if (elements > most || t->size != (size_t)(elements * bytes))
    return qn_tflite_error(n, "operand %d must have at most %d elements, and as many as its shape",
                           operand + 1, most);
  *count = (int)elements;
  qn_fb_vector v = {.at = t->at, .count = (uint32_t)elements, .elem_bytes = bytes};
  for (int i = 0; i < *count; i++) {
    int64_t x = qn_fb_int_at(&n->r->fb, &v, (uint32_t)i);
    if (x < INT32_MIN || x > INT32_MAX)
      return qn_tflite_error(n, "operand %d holds %lld, which is too large", operand + 1,
                             (long long)x);
    out[i] = (int32_t)x;
  }
  return QN_OK;
}

static qn_status read_list(qn_tflite_node *n, int operand, qn_list *out) {
  int count;
  QN_TRY(read_numbers(n, operand, QN_MAX_RANK, out->at, &count));
  out->count = count;
  return QN_OK;
}

/* ------------------------------------------------------------------ weights */

static qn_status read_conv(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_conv2d);
  QN_TRY(read_padding(n, 0, &l.a.conv.padding));
  read_pair(n, 1, 0, l.a.conv.stride);
  QN_TRY(read_activation(n, 3, &l.a.conv.activation));
  read_pair(n, 4, 1, l.a.conv.dilation);
  for (int i = 0; i < 3; i++) QN_TRY(take_operand(n, i, &l));
  /* groups are not written: weights that take a part of the input's channels say how many */
  const qn_type *x = &l.in[0]->type, *w = &l.in[1]->type;
  if (x->rank == 4 && w->rank == 4 && x->dim[3] % w->dim[3] == 0)
    l.a.conv.groups = (int32_t)(x->dim[3] / w->dim[3]);
  return add_result(n, &l);
}

static qn_status read_depthwise(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_depthwise_conv2d);
  QN_TRY(read_padding(n, 0, &l.a.depthwise.padding));
  read_pair(n, 1, 0, l.a.depthwise.stride);
  QN_TRY(read_activation(n, 4, &l.a.depthwise.activation));
  read_pair(n, 5, 1, l.a.depthwise.dilation);
  for (int i = 0; i < 3; i++) QN_TRY(take_operand(n, i, &l));
  return add_result(n, &l);
}

static void set_shape(qn_list *shape, const int64_t *dim, int rank) {
  shape->count = rank;
  for (int i = 0; i < rank; i++) shape->at[i] = (int32_t)dim[i];
}

/* x to [rows, K], where it is not and its dims are not to be kept. */
static qn_status flatten_rows(qn_tflite_node *n, int64_t k, qn_value **x) {
  const qn_type *t = &(*x)->type;
  if (t->rank == 2 && t->dim[1] == k) return QN_OK;
  int64_t count = qn_count(t);
  if (count % k != 0)
    return qn_tflite_error(n,
                           "the input has %lld elements, no multiple of the %lld that weights "
                           "take",
                           (long long)count, (long long)k);
  qn_layer l = make_layer(n, QN_OP_reshape);
  set_shape(&l.a.reshape.shape, (int64_t[]){count / k, k}, 2);
  return add_mover(n, &l, "rows", x);
}

/* The stated result may have the rows' dims in another form than [rows, O], e.g. [1, 1, O]. */
static qn_status read_dense(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_dense);
  QN_TRY(read_activation(n, 0, &l.a.activated.activation));
  int32_t format = option(n, 1, 1, 0);
  if (format != 0) return qn_tflite_error(n, "weights in format %d are not supported", format);
  bool keep_dims = option(n, 2, 1, 0) != 0;
  for (int i = 0; i < 3; i++) QN_TRY(take_operand(n, i, &l));
  const qn_type *w = &l.in[1]->type;
  if (w->rank != 2) return qn_tflite_error(n, "weights must have 2 dims, got %d", w->rank);
  if (!keep_dims) QN_TRY(flatten_rows(n, w->dim[1], &l.in[0]));

  qn_type stated;
  QN_TRY(qn_tflite_type_of(n->r, result_of(n), &stated));
  int64_t rows = qn_count(&l.in[0]->type) / w->dim[1];
  bool plain = stated.rank == 2 && stated.dim[0] == rows && stated.dim[1] == w->dim[0];
  if (keep_dims || plain || qn_count(&stated) != rows * w->dim[0]) return add_result(n, &l);
  qn_value *y;
  l.name = qn_format(&n->r->m->arena, "%s.rows", l.name);
  l.typed = true;
  l.type = (qn_type){.elem = stated.elem, .q = stated.q};
  QN_TRY(add_layer(n, &l, &y));
  qn_layer reshape = make_layer(n, QN_OP_reshape);
  set_shape(&reshape.a.reshape.shape, stated.dim, stated.rank);
  add_operand(&reshape, y);
  return add_result(n, &reshape);
}

/* matmul has transpose_b only: a transposed first operand is turned in front of it. */
static qn_status read_matmul(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_matmul);
  bool turn_a = option(n, 0, 1, 0) != 0;
  l.a.matmul.transpose_b = option(n, 1, 1, 0) != 0;
  for (int i = 0; i < 2; i++) QN_TRY(take_operand(n, i, &l));
  int rank = l.in[0]->type.rank;
  if (turn_a && rank >= 2) {
    qn_layer turn = make_layer(n, QN_OP_transpose);
    qn_list *perm = &turn.a.transpose.perm;
    perm->count = rank;
    for (int i = 0; i < rank; i++) perm->at[i] = i;
    perm->at[rank - 2] = rank - 1;
    perm->at[rank - 1] = rank - 2;
    QN_TRY(add_mover(n, &turn, "turned", &l.in[0]));
  }
  return add_result(n, &l);
}

/* ------------------------------------------------------------------ arithmetic */

/* No options that matter: logistic, tanh, relu, relu6, hard_swish, quantize, dequantize. */
static qn_status read_plain(qn_tflite_node *n) {
  qn_layer l = make_layer(n, n->row->op);
  QN_TRY(take_operand(n, 0, &l));
  return add_result(n, &l);
}

static qn_status read_binary(qn_tflite_node *n) {
  qn_layer l = make_layer(n, n->row->op);
  QN_TRY(read_activation(n, 0, &l.a.activated.activation));
  for (int i = 0; i < 2; i++) QN_TRY(take_operand(n, i, &l));
  return add_result(n, &l);
}

static qn_status read_pool(qn_tflite_node *n) {
  qn_layer l = make_layer(n, n->row->op);
  QN_TRY(read_padding(n, 0, &l.a.pool.padding));
  read_pair(n, 1, 0, l.a.pool.stride);
  read_pair(n, 3, 0, l.a.pool.window);
  QN_TRY(read_activation(n, 5, &l.a.pool.activation));
  QN_TRY(take_operand(n, 0, &l));
  return add_result(n, &l);
}

static qn_status read_mean(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_mean);
  QN_TRY(take_operand(n, 0, &l));
  QN_TRY(read_list(n, 1, &l.a.mean.axes));
  l.a.mean.keep_dims = option(n, 0, 1, 0) != 0;
  return add_result(n, &l);
}

static qn_status read_softmax(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_softmax);
  l.a.softmax.beta = qn_fb_float(&n->r->fb, &n->options, 0, 0);
  if (!isfinite(l.a.softmax.beta) || l.a.softmax.beta <= 0)
    return qn_tflite_error(n, "beta must be positive, got %g", (double)l.a.softmax.beta);
  QN_TRY(take_operand(n, 0, &l));
  return add_result(n, &l);
}

static qn_status read_relu_n1_to_1(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_clip);
  l.a.clip.min = -1;
  l.a.clip.max = 1;
  QN_TRY(take_operand(n, 0, &l));
  return add_result(n, &l);
}

static qn_status read_leaky_relu(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_leaky_relu);
  l.a.leaky_relu.alpha = qn_fb_float(&n->r->fb, &n->options, 0, 0);
  if (!isfinite(l.a.leaky_relu.alpha))
    return qn_tflite_error(n, "alpha must be finite, got %g", (double)l.a.leaky_relu.alpha);
  QN_TRY(take_operand(n, 0, &l));
  return add_result(n, &l);
}

/* ------------------------------------------------------------------ movement */

/* The real value of PADV2's third operand: one float32 or int8. */
static qn_status read_fill(qn_tflite_node *n, float *out) {
  qn_type type;
  if (qn_fb_int_at(&n->r->fb, &n->in, 2) < 0) return qn_tflite_error(n, "operand 3 is left out");
  const qn_tflite_tensor *t = tensor_at(n, &n->in, 2);
  QN_TRY(qn_tflite_type_of(n->r, t, &type));
  if (!t->is_const || qn_count(&type) != 1 || (int64_t)t->size != qn_bytes(&type))
    return qn_tflite_error(n, "operand 3, the value to pad with, must be a constant of 1 element");
  qn_fb_vector v = {.at = t->at, .count = 1, .elem_bytes = (int)t->size};
  if (type.elem == QN_f32)
    *out = qn_fb_float_at(&n->r->fb, &v, 0);
  else
    *out = (float)(qn_fb_int_at(&n->r->fb, &v, 0) - type.q.zero) * type.q.scale;
  if (!isfinite(*out)) return qn_tflite_error(n, "the value to pad with is %g", (double)*out);
  return QN_OK;
}

static qn_status read_pad(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_pad);
  QN_TRY(take_operand(n, 0, &l));
  int32_t pairs[2 * QN_MAX_RANK];
  int count;
  QN_TRY(read_numbers(n, 1, 2 * QN_MAX_RANK, pairs, &count));
  if (count != 2 * l.in[0]->type.rank)
    return qn_tflite_error(n, "%d numbers of padding for %d dims", count, l.in[0]->type.rank);
  l.a.pad.before.count = l.a.pad.after.count = count / 2;
  for (int i = 0; i < count / 2; i++) {
    l.a.pad.before.at[i] = pairs[2 * i];
    l.a.pad.after.at[i] = pairs[2 * i + 1];
  }
  if (n->in.count == 3) QN_TRY(read_fill(n, &l.a.pad.value));
  return add_result(n, &l);
}

static qn_status read_concat(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_concat);
  l.a.concat.axis = option(n, 0, 4, 0);
  qn_activation activation;
  QN_TRY(read_activation(n, 1, &activation));
  if (activation != QN_ACTIVATION_none)
    return qn_tflite_error(n, "it cannot have a fused activation");
  for (int i = 0; i < (int)n->in.count; i++) {
    qn_value *v;
    QN_TRY(qn_tflite_operand(n, i, &v));
    add_operand(&l, v);
  }
  return add_result(n, &l);
}

static qn_status read_slice(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_slice);
  QN_TRY(take_operand(n, 0, &l));
  QN_TRY(read_list(n, 1, &l.a.slice.begin));
  QN_TRY(read_list(n, 2, &l.a.slice.size));
  return add_result(n, &l);
}

/* Bit i of a mask of StridedSliceOptions. */
static bool has_bit(int32_t mask, int i) { return ((uint32_t)mask >> i & 1) != 0; }

/* Python's rule for one end of a slice with a positive step. */
static int64_t clamp_index(int64_t index, int64_t dim) {
  if (index < 0) index += dim;
  return index < 0 ? 0 : index > dim ? dim : index;
}

/* x[begin:end:step] of dim i. Dims past the lists are taken whole; shrink: one index. */
static qn_status slice_dim(qn_tflite_node *n, int i, int64_t dim, const qn_list *begin,
                           const qn_list *end, const qn_list *step, qn_list *out_begin,
                           qn_list *out_size) {
  out_begin->at[i] = 0;
  out_size->at[i] = (int32_t)dim;
  if (i >= begin->count) return QN_OK;
  int64_t from = has_bit(option(n, 0, 4, 0), i) ? 0 : clamp_index(begin->at[i], dim);
  int64_t to = has_bit(option(n, 1, 4, 0), i) ? dim : clamp_index(end->at[i], dim);
  if (has_bit(option(n, 4, 4, 0), i)) to = from + 1;
  if (step->at[i] < 1)
    return qn_tflite_error(n, "a step of %d in dim %d: only positive ones are supported",
                           step->at[i], i);
  if (from >= dim || to <= from)
    return qn_tflite_error(n, "the slice from %d to %d of dim %d, %lld elements, is empty",
                           begin->at[i], end->at[i], i, (long long)dim);
  out_begin->at[i] = (int32_t)from;
  out_size->at[i] = (int32_t)((to - from + step->at[i] - 1) / step->at[i]);
  return QN_OK;
}

static qn_status read_strided_slice(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_slice);
  QN_TRY(take_operand(n, 0, &l));
  const qn_type *x = &l.in[0]->type;
  qn_list begin, end, step;
  QN_TRY(read_list(n, 1, &begin));
  QN_TRY(read_list(n, 2, &end));
  QN_TRY(read_list(n, 3, &step));
  if (option(n, 2, 4, 0) || option(n, 3, 4, 0) || option(n, 5, 1, 0))
    return qn_tflite_error(n, "ellipsis, new axes and ends as offsets are not supported");
  if (begin.count > x->rank || end.count != begin.count || step.count != begin.count)
    return qn_tflite_error(n, "%d, %d and %d numbers for begin, end and step of %d dims",
                           begin.count, end.count, step.count, x->rank);
  l.a.slice.begin.count = l.a.slice.size.count = x->rank;
  int64_t kept[QN_MAX_RANK];
  int kept_rank = 0;
  for (int i = 0; i < x->rank; i++) {
    QN_TRY(slice_dim(n, i, x->dim[i], &begin, &end, &step, &l.a.slice.begin, &l.a.slice.size));
    l.a.slice.step.at[i] = i < step.count ? step.at[i] : 1;
    if (l.a.slice.step.at[i] > 1) l.a.slice.step.count = x->rank;
    if (i >= begin.count || !has_bit(option(n, 4, 4, 0), i))
      kept[kept_rank++] = l.a.slice.size.at[i];
  }
  if (kept_rank == x->rank) return add_result(n, &l);
  qn_value *y = l.in[0];
  l.in_count = 0;
  QN_TRY(add_mover(n, &l, "slice", &y));
  qn_layer reshape = make_layer(n, QN_OP_reshape);
  set_shape(&reshape.a.reshape.shape, kept, kept_rank);
  add_operand(&reshape, y);
  return add_result(n, &reshape);
}

/* The shape is an operand, an option, or only the result's. */
static qn_status read_reshape(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_reshape);
  QN_TRY(take_operand(n, 0, &l));
  qn_list *shape = &l.a.reshape.shape;
  qn_fb_vector option_list = qn_fb_list(&n->r->fb, &n->options, 0, 4);
  QN_TRY(n->r->fb.status);
  if (n->in.count == 2) {
    QN_TRY(read_list(n, 1, shape));
  } else if (option_list.at) {
    if (option_list.count > QN_MAX_RANK)
      return qn_tflite_error(n, "a shape of %u dims, at most %d are supported", option_list.count,
                             QN_MAX_RANK);
    shape->count = (int32_t)option_list.count;
    for (int i = 0; i < shape->count; i++)
      shape->at[i] = (int32_t)qn_fb_int_at(&n->r->fb, &option_list, (uint32_t)i);
  } else {
    qn_type stated;
    QN_TRY(qn_tflite_type_of(n->r, result_of(n), &stated));
    set_shape(shape, stated.dim, stated.rank);
  }
  return add_result(n, &l);
}

static qn_status check_axis(const qn_tflite_node *n, int64_t axis, int rank, int *out) {
  if (axis < -rank || axis >= rank)
    return qn_tflite_error(n, "axis %lld is not within %d dims", (long long)axis, rank);
  *out = (int)(axis < 0 ? axis + rank : axis);
  return QN_OK;
}

static qn_status read_squeeze(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_reshape);
  QN_TRY(take_operand(n, 0, &l));
  const qn_type *x = &l.in[0]->type;
  qn_fb_vector dims = qn_fb_list(&n->r->fb, &n->options, 0, 4);
  QN_TRY(n->r->fb.status);
  bool gone[QN_MAX_RANK] = {false};
  for (uint32_t i = 0; i < dims.count; i++) {
    int axis = 0;
    QN_TRY(check_axis(n, qn_fb_int_at(&n->r->fb, &dims, i), x->rank, &axis));
    if (x->dim[axis] != 1)
      return qn_tflite_error(n, "dim %d is %lld, only dims of 1 can go", axis,
                             (long long)x->dim[axis]);
    gone[axis] = true;
  }
  qn_list *shape = &l.a.reshape.shape;
  shape->count = 0;
  for (int i = 0; i < x->rank; i++)
    if (dims.count ? !gone[i] : x->dim[i] != 1) shape->at[shape->count++] = (int32_t)x->dim[i];
  return add_result(n, &l);
}

static qn_status read_expand_dims(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_reshape);
  QN_TRY(take_operand(n, 0, &l));
  const qn_type *x = &l.in[0]->type;
  int32_t number[1];
  int count, axis = 0;
  QN_TRY(read_numbers(n, 1, 1, number, &count));
  if (count != 1 || x->rank == QN_MAX_RANK)
    return qn_tflite_error(n, "%d axes and %d dims: 1 and at most %d are supported", count, x->rank,
                           QN_MAX_RANK - 1);
  QN_TRY(check_axis(n, number[0], x->rank + 1, &axis));
  qn_list *shape = &l.a.reshape.shape;
  shape->count = x->rank + 1;
  for (int i = 0; i < shape->count; i++)
    shape->at[i] = i == axis ? 1 : (int32_t)x->dim[i < axis ? i : i - 1];
  return add_result(n, &l);
}

static qn_status read_transpose(qn_tflite_node *n) {
  qn_layer l = make_layer(n, QN_OP_transpose);
  QN_TRY(take_operand(n, 0, &l));
  QN_TRY(read_list(n, 1, &l.a.transpose.perm));
  return add_result(n, &l);
}

/* ------------------------------------------------------------------ the table */

static const qn_tflite_op rows[] = {
#define QN_TFLITE_OP(code, name, op, read, least, most, options)                                   \
  {code, QN_OP_##op, least, most, options, read_##read},
#include "tflite.def"
};

static const struct {
  int code;
  const char *name;
} names[] = {
#define QN_TFLITE_OP(code, name, op, read, least, most, options) {code, #name},
#define QN_TFLITE_OTHER(code, name)                              {code, #name},
#include "tflite.def"
};

const qn_tflite_op *qn_find_tflite_op(int code) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].code == code) return &rows[i];
  return NULL;
}

const char *qn_tflite_op_name(int code) {
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (names[i].code == code) return names[i].name;
  return NULL;
}

qn_status qn_read_tflite_op(qn_tflite_node *n) { return n->row->read(n); }
