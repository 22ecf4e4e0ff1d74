/* ONNX's operators on pictures and signals -> layers with the channels last: Conv, pools, means
 * over all of a picture, BatchNormalization.
 *
 * Of one spatial dim, [N,C,W], they are layers on pictures of one row. Constant weights [O,I,KH,KW]
 * become [O,KH,KW,I]; depthwise ones, [C*m,1,KH,KW] in C groups, [1,KH,KW,C*m]. */
#include <math.h>
#include <string.h>
#include "onnx.h"

/* Rows, columns; of one spatial dim the rows are 1. */
typedef struct {
  int32_t size[2], stride[2], dilation[2];
  qn_padding padding;
} window;

/* ------------------------------------------------------------------ windows */

static bool is_sane(int32_t x, int32_t least) { return x >= least && x <= QN_MAX_COUNT; }

static qn_status read_pair(qn_onnx_node *n, const char *name, int spatial, int32_t out[2]) {
  int32_t at[2];
  int count = -1;
  QN_TRY(qn_onnx_ints(n, name, 2, at, &count));
  if (count == -1) return QN_OK;
  if (count != spatial)
    return qn_onnx_error(n, "%d numbers of '%s' for %d spatial dims", count, name, spatial);
  for (int i = 0; i < count; i++) out[2 - count + i] = at[i];
  return QN_OK;
}

static qn_status read_pads(qn_onnx_node *n, int spatial, qn_padding *out) {
  int32_t at[4] = {0};
  int count = 0;
  QN_TRY(qn_onnx_ints(n, "pads", 4, at, &count));
  if (count != 0 && count != 2 * spatial)
    return qn_onnx_error(n, "%d numbers of 'pads' for %d spatial dims", count, spatial);
  for (int i = 0; i < count; i++)
    if (!is_sane(at[i], 0)) return qn_onnx_error(n, "padding of %d is not supported", at[i]);
  *out = (qn_padding){.mode = QN_PADDING_explicit};
  out->left = at[spatial - 1];
  out->right = at[2 * spatial - 1];
  if (spatial == 2) {
    out->top = at[0];
    out->bottom = at[2];
  }
  return QN_OK;
}

/* As SAME_LOWER has it: an odd element of padding goes in front. */
static void pad_same_lower(int64_t in, int32_t size, int32_t stride, int32_t dilation,
                           int32_t *before, int32_t *after) {
  int64_t out = (in + stride - 1) / stride;
  int64_t total = (out - 1) * stride + (int64_t)(size - 1) * dilation + 1 - in;
  if (total < 0 || total > INT32_MAX) total = 0;
  *before = (int32_t)((total + 1) / 2);
  *after = (int32_t)(total / 2);
}

static qn_status read_padding(qn_onnx_node *n, const qn_type *x, int spatial, window *w) {
  qn_pb *pb = &n->r->pb;
  qn_pb_bytes word;
  QN_TRY(qn_onnx_text(n, "auto_pad", &word));
  if (word.size == 0 || qn_pb_is(pb, word, "NOTSET")) return read_pads(n, spatial, &w->padding);
  if (qn_pb_is(pb, word, "VALID")) {
    w->padding = (qn_padding){.mode = QN_PADDING_valid};
  } else if (qn_pb_is(pb, word, "SAME_UPPER")) {
    w->padding = (qn_padding){.mode = QN_PADDING_same};
  } else if (qn_pb_is(pb, word, "SAME_LOWER")) {
    qn_padding *p = &w->padding;
    *p = (qn_padding){.mode = QN_PADDING_explicit};
    pad_same_lower(x->dim[1], w->size[0], w->stride[0], w->dilation[0], &p->top, &p->bottom);
    pad_same_lower(x->dim[2], w->size[1], w->stride[1], w->dilation[1], &p->left, &p->right);
  } else {
    return qn_onnx_error(n, "auto_pad '%s' is unknown", qn_onnx_text_of(n->r, word));
  }
  return QN_OK;
}

/* x: the picture, channels last. known: rows and columns of the weights, or NULL. */
static qn_status read_window(qn_onnx_node *n, const qn_type *x, int spatial, const int64_t *known,
                             window *w) {
  *w = (window){.size = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
  for (int i = 0; i < 2 && known; i++) w->size[i] = (int32_t)known[i];
  QN_TRY(read_pair(n, "kernel_shape", spatial, w->size));
  if (known && (known[0] != w->size[0] || known[1] != w->size[1]))
    return qn_onnx_error(n, "kernel_shape is %dx%d, the weights are %lldx%lld", w->size[0],
                         w->size[1], (long long)known[0], (long long)known[1]);
  QN_TRY(read_pair(n, "strides", spatial, w->stride));
  QN_TRY(read_pair(n, "dilations", spatial, w->dilation));
  for (int i = 0; i < 2; i++)
    if (!is_sane(w->size[i], 1) || !is_sane(w->stride[i], 1) || !is_sane(w->dilation[i], 1))
      return qn_onnx_error(n, "a window of %d with stride %d and dilation %d", w->size[i],
                           w->stride[i], w->dilation[i]);
  QN_TRY(read_padding(n, x, spatial, w));
  const qn_padding *p = &w->padding;
  if (p->mode == QN_PADDING_explicit && !p->top && !p->bottom && !p->left && !p->right)
    w->padding.mode = QN_PADDING_valid;
  return QN_OK;
}

/* ------------------------------------------------------------------ pictures */

/* The operand as [N,H,W,C]. */
static qn_status take_picture(qn_onnx_node *n, qn_onnx_tensor *t, qn_value **out) {
  if (t->rank != 3 && t->rank != 4)
    return qn_onnx_error(n, "the input must have 1 or 2 spatial dims, got %d", t->rank - 2);
  QN_TRY(qn_onnx_take(n, t, QN_ONNX_LAST, out));
  const int64_t *dim = (*out)->type.dim;
  if (t->rank == 4) return QN_OK;
  const char *name = qn_format(&n->r->m->arena, "%s.row", t->name);
  return qn_onnx_reshape(n, name, 4, (int64_t[]){dim[0], 1, dim[1], dim[2]}, out);
}

/* The last layer; its picture is the node's result of that rank. */
static qn_status add_picture(qn_onnx_node *n, qn_layer *l, int rank) {
  if (rank == 4) return qn_onnx_add_result(n, l, 0, QN_ONNX_LAST);
  qn_value *v;
  QN_TRY(qn_onnx_add_before(n, l, "row", &v));
  const int64_t *dim = v->type.dim;
  QN_TRY(qn_onnx_reshape(n, n->out[0]->name, 3, (int64_t[]){dim[0], dim[2], dim[3]}, &v));
  return qn_onnx_define(n, 0, v, QN_ONNX_LAST);
}

/* ------------------------------------------------------------------ convolutions */

/* [O,I,KH,KW] or [O,I,KW] as [O,KH,KW,I]; depthwise: as [1,KH,KW,O]. */
static qn_status take_weights(qn_onnx_node *n, qn_onnx_tensor *w, bool depthwise, qn_value **out) {
  if (w->rank == 4 && !depthwise) return qn_onnx_take(n, w, QN_ONNX_LAST, out);
  int64_t rows = w->rank == 4 ? w->dim[2] : 1;
  if (w->scale_count > 1 && w->axis != 0)
    return qn_onnx_error(n, "weights with a scale for each index of dim %d: only dim 0 may",
                         w->axis);
  qn_onnx_view view = {.rank = 4, .axis = depthwise, .perm = {0, 2, 3, 1}};
  view.dim[0] = depthwise ? 1 : w->dim[0];
  view.dim[1] = depthwise ? w->dim[0] : w->dim[1];
  view.dim[2] = rows;
  view.dim[3] = w->dim[w->rank - 1];
  return qn_onnx_add_const(n, w, &view, out);
}

static qn_status check_weights(qn_onnx_node *n, const qn_onnx_tensor *x, const qn_onnx_tensor *w,
                               int64_t group) {
  if (!qn_onnx_is_const(w)) return qn_onnx_error(n, "weights must be constants");
  if (w->rank != x->rank)
    return qn_onnx_error(n, "weights must have %d dims, got %d", x->rank, w->rank);
  if (group < 1 || group > INT32_MAX || w->dim[0] % group != 0)
    return qn_onnx_error(n, "%lld output channels cannot be split into %lld groups",
                         (long long)w->dim[0], (long long)group);
  if (x->dim[1] != w->dim[1] * group)
    return qn_onnx_error(n, "the input has %lld channels, the weights take %lld x %lld groups",
                         (long long)x->dim[1], (long long)w->dim[1], (long long)group);
  return QN_OK;
}

qn_status qn_onnx_read_conv(qn_onnx_node *n) {
  qn_onnx_tensor *x, *weights, *bias;
  int64_t group = 1;
  qn_value *in[3];
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(qn_onnx_operand(n, 1, &weights));
  QN_TRY(qn_onnx_int(n, "group", &group));
  QN_TRY(take_picture(n, x, &in[0]));
  QN_TRY(check_weights(n, x, weights, group));
  bool depthwise = group > 1 && weights->dim[1] == 1;
  QN_TRY(take_weights(n, weights, depthwise, &in[1]));

  window w;
  QN_TRY(read_window(n, &in[0]->type, x->rank - 2, &in[1]->type.dim[1], &w));
  qn_layer l = qn_onnx_layer(n, depthwise ? QN_OP_depthwise_conv2d : QN_OP_conv2d);
  if (depthwise) {
    l.a.depthwise.padding = w.padding;
    memcpy(l.a.depthwise.stride, w.stride, sizeof w.stride);
    memcpy(l.a.depthwise.dilation, w.dilation, sizeof w.dilation);
  } else {
    l.a.conv.padding = w.padding;
    l.a.conv.groups = (int32_t)group;
    memcpy(l.a.conv.stride, w.stride, sizeof w.stride);
    memcpy(l.a.conv.dilation, w.dilation, sizeof w.dilation);
  }
  l.in_count = 2;
  if (qn_onnx_is_given(n, 2)) {
    QN_TRY(qn_onnx_operand(n, 2, &bias));
    QN_TRY(qn_onnx_take(n, bias, QN_ONNX_PLAIN, &in[2]));
    l.in_count = 3;
  }
  memcpy(l.in, in, sizeof in);
  return add_picture(n, &l, x->rank);
}

/* ------------------------------------------------------------------ pools */

/* ceil_mode: a last window that starts inside the input or in front of it counts, too. How many
 * elements more behind the padding that takes. */
static int32_t more_to_ceil(int64_t in, int32_t size, int32_t stride, int32_t before,
                            int32_t after) {
  int64_t room = in + before + after - size;
  if (room < 0) return 0;
  int64_t out = (room + stride - 1) / stride + 1;
  if ((out - 1) * stride >= in + before) out--;
  int64_t more = (out - 1) * stride - room;
  return more > 0 ? (int32_t)more : 0;
}

/* An average that counts the padding is one of a picture with zeros around it. */
static qn_status pad_with_zeros(qn_onnx_node *n, qn_padding *p, qn_value **x) {
  qn_layer l = qn_onnx_layer(n, QN_OP_pad);
  l.a.pad.before = (qn_list){.count = 4, .at = {0, p->top, p->left, 0}};
  l.a.pad.after = (qn_list){.count = 4, .at = {0, p->bottom, p->right, 0}};
  l.in_count = 1;
  l.in[0] = *x;
  *p = (qn_padding){.mode = QN_PADDING_valid};
  return qn_onnx_add_before(n, &l, "padded", x);
}

/* ceil_mode and count_include_pad, on padding that is written out or not there. */
static qn_status read_rounding(qn_onnx_node *n, qn_value **x, window *w) {
  int64_t ceil_mode = 0, count_pad = 0;
  QN_TRY(qn_onnx_int(n, "ceil_mode", &ceil_mode));
  QN_TRY(qn_onnx_int(n, "count_include_pad", &count_pad));
  if (count_pad && w->padding.mode == QN_PADDING_same)
    return qn_onnx_error(n, "count_include_pad with auto_pad SAME_UPPER is not supported");
  qn_padding *p = &w->padding;
  int32_t rows = 0, columns = 0;
  if (ceil_mode && p->mode != QN_PADDING_same) {
    const int64_t *dim = (*x)->type.dim;
    rows = more_to_ceil(dim[1], w->size[0], w->stride[0], p->top, p->bottom);
    columns = more_to_ceil(dim[2], w->size[1], w->stride[1], p->left, p->right);
  }
  if (count_pad && p->mode == QN_PADDING_explicit) QN_TRY(pad_with_zeros(n, p, x));
  p->bottom += rows;
  p->right += columns;
  if (rows || columns) p->mode = QN_PADDING_explicit;
  return QN_OK;
}

/* A maximum of stored values is one of them. */
static void keep_stored(qn_layer *l) {
  const qn_type *x = &l->in[0]->type;
  if (l->code != QN_OP_max_pool2d || !x->q.on) return;
  l->typed = true;
  l->type = (qn_type){.elem = x->elem, .q = x->q};
}

qn_status qn_onnx_read_pool(qn_onnx_node *n) {
  qn_onnx_tensor *t;
  qn_value *x;
  QN_TRY(qn_onnx_operand(n, 0, &t));
  QN_TRY(take_picture(n, t, &x));
  if (!qn_onnx_has_attr(n, "kernel_shape")) return qn_onnx_error(n, "kernel_shape is left out");
  window w;
  QN_TRY(read_window(n, &x->type, t->rank - 2, NULL, &w));
  if (w.dilation[0] != 1 || w.dilation[1] != 1)
    return qn_onnx_error(n, "a pool with dilation is not supported");
  QN_TRY(read_rounding(n, &x, &w));
  qn_layer l = qn_onnx_layer(n, n->row->op);
  l.a.pool.padding = w.padding;
  memcpy(l.a.pool.window, w.size, sizeof w.size);
  memcpy(l.a.pool.stride, w.stride, sizeof w.stride);
  l.in_count = 1;
  l.in[0] = x;
  keep_stored(&l);
  return add_picture(n, &l, t->rank);
}

qn_status qn_onnx_read_global_max(qn_onnx_node *n) {
  qn_onnx_tensor *t;
  qn_layer l = qn_onnx_layer(n, QN_OP_max_pool2d);
  l.in_count = 1;
  QN_TRY(qn_onnx_operand(n, 0, &t));
  QN_TRY(take_picture(n, t, &l.in[0]));
  for (int i = 0; i < 2; i++) l.a.pool.window[i] = (int32_t)l.in[0]->type.dim[1 + i];
  keep_stored(&l);
  return add_picture(n, &l, t->rank);
}

qn_status qn_onnx_read_global_average(qn_onnx_node *n) {
  qn_onnx_tensor *t;
  QN_TRY(qn_onnx_operand(n, 0, &t));
  if (t->rank < 3) return qn_onnx_error(n, "the input has no spatial dims");
  qn_onnx_form form = qn_onnx_form_of(t);
  qn_layer l = qn_onnx_layer(n, QN_OP_mean);
  l.a.mean.keep_dims = true;
  l.a.mean.axes.count = t->rank - 2;
  for (int i = 2; i < t->rank; i++) l.a.mean.axes.at[i - 2] = qn_onnx_axis_in(form, t->rank, i);
  l.in_count = 1;
  QN_TRY(qn_onnx_take(n, t, form, &l.in[0]));
  return qn_onnx_add_result(n, &l, 0, form);
}

/* ------------------------------------------------------------------ batch normalization */

/* The operands scale, B, mean, var, each a constant per channel. */
static qn_status read_channels(qn_onnx_node *n, int64_t channels, float epsilon,
                               const float *out[4]) {
  for (int i = 0; i < 4; i++) {
    qn_onnx_tensor *t;
    QN_TRY(qn_onnx_operand(n, 1 + i, &t));
    QN_TRY(qn_onnx_floats(n, t, &out[i]));
    if (qn_onnx_count(t) != channels)
      return qn_onnx_error(n, "operand %d must have %lld elements", 2 + i, (long long)channels);
  }
  for (int64_t i = 0; i < channels; i++)
    if (!(out[3][i] + epsilon > 0))
      return qn_onnx_error(n, "channel %lld has the variance %g and epsilon is %g", (long long)i,
                           (double)out[3][i], (double)epsilon);
  return QN_OK;
}

/* Whether only this node reads v, which is of an op that a batch_norm can be folded into. */
static bool follows_weights(const qn_onnx_tensor *t, const qn_value *v) {
  if (!t->owns || t->uses != 1 || t->is_output) return false;
  return v->def->code == QN_OP_conv2d || v->def->code == QN_OP_depthwise_conv2d ||
         v->def->code == QN_OP_dense;
}

qn_status qn_onnx_read_batch_norm(qn_onnx_node *n) {
  qn_onnx_tensor *t;
  const float *at[4]; /* scale, B, mean, var */
  float epsilon = 1e-5f;
  int64_t training = 0, spatial = 1;
  QN_TRY(qn_onnx_operand(n, 0, &t));
  QN_TRY(qn_onnx_float(n, "epsilon", &epsilon));
  QN_TRY(qn_onnx_int(n, "training_mode", &training));
  QN_TRY(qn_onnx_int(n, "spatial", &spatial));
  if (training != 0 || spatial != 1)
    return qn_onnx_error(n, "only training_mode=0 and spatial=1 are supported");
  if (t->rank < 2) return qn_onnx_error(n, "the input must have at least 2 dims");
  int64_t c = t->dim[1];
  QN_TRY(read_channels(n, c, epsilon, at));
  QN_TRY(qn_onnx_reserve(n->r, n->in[1], 4 * c * (int64_t)sizeof *at[0]));
  qn_value *x;
  QN_TRY(qn_onnx_take(n, t, t->rank > 2 ? QN_ONNX_LAST : QN_ONNX_PLAIN, &x));
  if (follows_weights(t, x)) {
    qn_layer l = qn_onnx_layer(n, QN_OP_batch_norm);
    l.a.batch_norm.epsilon = epsilon;
    l.in_count = 5;
    l.in[0] = x;
    l.in[1] = qn_onnx_add_floats(n, "mean", at[2], c);
    l.in[2] = qn_onnx_add_floats(n, "var", at[3], c);
    l.in[3] = qn_onnx_add_floats(n, "gamma", at[0], c);
    l.in[4] = qn_onnx_add_floats(n, "beta", at[1], c);
    return qn_onnx_add_result(n, &l, 0, QN_ONNX_LAST);
  }
  float *factor = qn_alloc(&n->r->m->arena, 2 * (size_t)c * sizeof *factor), *term = factor + c;
  for (int64_t i = 0; i < c; i++) {
    double f = at[0][i] / sqrt((double)at[3][i] + epsilon);
    factor[i] = (float)f;
    term[i] = (float)(at[1][i] - at[2][i] * f);
    if (!isfinite(factor[i]) || !isfinite(term[i]))
      return qn_onnx_error(n, "channel %lld has a factor of %g and a term of %g", (long long)i,
                           (double)factor[i], (double)term[i]);
  }
  qn_layer mul = qn_onnx_layer(n, QN_OP_mul), add = qn_onnx_layer(n, QN_OP_add);
  mul.in_count = add.in_count = 2;
  mul.in[0] = x;
  mul.in[1] = qn_onnx_add_floats(n, "factor", factor, c);
  QN_TRY(qn_onnx_add_before(n, &mul, "scaled", &add.in[0]));
  add.in[1] = qn_onnx_add_floats(n, "term", term, c);
  return qn_onnx_add_result(n, &add, 0, QN_ONNX_LAST);
}
