/* ONNX's operators that take tensors apart and put them together -> concat, pad, slice, in the
 * order of dims in which they find their operands; DepthToSpace and SpaceToDepth by way of a
 * transpose. */
#include <string.h>
#include "onnx.h"

qn_status qn_onnx_read_concat(qn_onnx_node *n) {
  qn_onnx_tensor *t[QN_MAX_IN];
  qn_onnx_form form = QN_ONNX_PLAIN;
  int64_t axis = 0;
  int at;
  for (int i = 0; i < n->in_count; i++) {
    QN_TRY(qn_onnx_operand(n, i, &t[i]));
    if (t[i]->rank != t[0]->rank) return qn_onnx_error(n, "operands must have as many dims");
    if (!qn_onnx_is_const(t[i]) && t[i]->rank > 2 && qn_onnx_form_of(t[i]) == QN_ONNX_LAST)
      form = QN_ONNX_LAST;
  }
  QN_TRY(qn_onnx_int(n, "axis", &axis));
  QN_TRY(qn_onnx_axis(n, axis, t[0]->rank, &at));
  qn_layer l = qn_onnx_layer(n, QN_OP_concat);
  l.a.concat.axis = qn_onnx_axis_in(form, t[0]->rank, at);
  l.in_count = n->in_count;
  for (int i = 0; i < n->in_count; i++) QN_TRY(qn_onnx_take(n, t[i], form, &l.in[i]));
  return qn_onnx_add_result(n, &l, 0, form);
}

/* Operand 4, from version 18 on, names the dims of `pads`; else these are all. */
static qn_status read_pad_pairs(qn_onnx_node *n, int rank, int32_t before[QN_MAX_RANK],
                                int32_t after[QN_MAX_RANK]) {
  int32_t pads[2 * QN_MAX_RANK], axes[QN_MAX_RANK];
  int count = 0, axis_count = rank;
  for (int i = 0; i < rank; i++) {
    axes[i] = i;
    before[i] = after[i] = 0;
  }
  QN_TRY(qn_onnx_ints(n, "pads", 2 * QN_MAX_RANK, pads, &count));
  if (qn_onnx_is_given(n, 1)) QN_TRY(qn_onnx_numbers(n, 1, 2 * QN_MAX_RANK, pads, &count));
  if (qn_onnx_is_given(n, 3)) QN_TRY(qn_onnx_numbers(n, 3, QN_MAX_RANK, axes, &axis_count));
  if (count != 2 * axis_count)
    return qn_onnx_error(n, "%d numbers of padding for %d dims", count, axis_count);
  for (int i = 0; i < axis_count; i++) {
    int axis;
    QN_TRY(qn_onnx_axis(n, axes[i], rank, &axis));
    before[axis] = pads[i];
    after[axis] = pads[axis_count + i];
  }
  return QN_OK;
}

qn_status qn_onnx_read_pad(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  qn_pb_bytes mode;
  int32_t before[QN_MAX_RANK], after[QN_MAX_RANK];
  qn_layer l = qn_onnx_layer(n, QN_OP_pad);
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(qn_onnx_text(n, "mode", &mode));
  if (mode.size && !qn_pb_is(&n->r->pb, mode, "constant"))
    return qn_onnx_error(n, "mode '%s' is not supported, only constant is",
                         qn_onnx_text_of(n->r, mode));
  QN_TRY(read_pad_pairs(n, x->rank, before, after));
  QN_TRY(qn_onnx_float(n, "value", &l.a.pad.value));
  if (qn_onnx_is_given(n, 2)) QN_TRY(qn_onnx_number(n, 2, &l.a.pad.value));
  qn_onnx_form form = x->rank > 2 ? qn_onnx_form_of(x) : QN_ONNX_PLAIN;
  l.a.pad.before.count = l.a.pad.after.count = x->rank;
  for (int i = 0; i < x->rank; i++) {
    int at = qn_onnx_axis_in(form, x->rank, i);
    l.a.pad.before.at[at] = before[i];
    l.a.pad.after.at[at] = after[i];
  }
  l.in_count = 1;
  QN_TRY(qn_onnx_take(n, x, form, &l.in[0]));
  if (l.in[0]->type.q.on && l.a.pad.value != 0) { /* a number that cannot be stored alike */
    l.typed = true;
    l.type = (qn_type){.elem = QN_f32};
  }
  return qn_onnx_add_result(n, &l, 0, form);
}

/* A slice of all of x, in the order in which it is found. */
static qn_status open_slice(qn_onnx_node *n, qn_onnx_tensor *x, qn_onnx_form *form, qn_layer *l) {
  *form = x->rank > 2 ? qn_onnx_form_of(x) : QN_ONNX_PLAIN;
  *l = qn_onnx_layer(n, QN_OP_slice);
  l->in_count = 1;
  QN_TRY(qn_onnx_take(n, x, *form, &l->in[0]));
  qn_list *begin = &l->a.slice.begin, *size = &l->a.slice.size, *step = &l->a.slice.step;
  begin->count = size->count = x->rank;
  step->count = 0;
  for (int i = 0; i < x->rank; i++) {
    begin->at[i] = 0;
    step->at[i] = 1;
    size->at[i] = (int32_t)l->in[0]->type.dim[i];
  }
  return QN_OK;
}

/* Python's rule for one end of a slice with a positive step. */
static int64_t clamp_index(int64_t index, int64_t dim) {
  if (index < 0) index += dim;
  return index < 0 ? 0 : index > dim ? dim : index;
}

qn_status qn_onnx_read_slice(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  qn_onnx_form form;
  qn_layer l;
  int32_t list[4][QN_MAX_RANK]; /* starts, ends, axes, steps */
  int count[4];
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(open_slice(n, x, &form, &l));
  for (int i = 0; i < 4; i++) {
    count[i] = -1;
    if (i < 2 || qn_onnx_is_given(n, 1 + i)) /* starts and ends must be there */
      QN_TRY(qn_onnx_numbers(n, 1 + i, QN_MAX_RANK, list[i], &count[i]));
    if (count[i] != count[0] && count[i] != -1)
      return qn_onnx_error(n, "%d starts, but operand %d has %d numbers", count[0], i + 2,
                           count[i]);
  }
  for (int i = 0; i < count[0]; i++) {
    int axis;
    QN_TRY(qn_onnx_axis(n, count[2] < 0 ? i : list[2][i], x->rank, &axis));
    int64_t step = count[3] < 0 ? 1 : list[3][i];
    int64_t from = clamp_index(list[0][i], x->dim[axis]),
            to = clamp_index(list[1][i], x->dim[axis]);
    if (step < 1 || from >= to)
      return qn_onnx_error(n, "dim %d: from %d to %d in steps of %lld takes nothing, or backwards",
                           axis, list[0][i], list[1][i], (long long)step);
    int at = qn_onnx_axis_in(form, x->rank, axis);
    l.a.slice.begin.at[at] = (int32_t)from;
    l.a.slice.step.at[at] = (int32_t)step;
    l.a.slice.size.at[at] = (int32_t)((to - from + step - 1) / step);
    if (step > 1) l.a.slice.step.count = x->rank;
  }
  return qn_onnx_add_result(n, &l, 0, form);
}

/* How many indices each result takes of a dim: as stated, or alike with the last one smaller. */
static qn_status read_parts(qn_onnx_node *n, int64_t dim, int32_t parts[QN_MAX_IN]) {
  int count = 0;
  int64_t sum = 0;
  QN_TRY(qn_onnx_ints(n, "split", QN_MAX_IN, parts, &count));
  if (qn_onnx_is_given(n, 1)) QN_TRY(qn_onnx_numbers(n, 1, QN_MAX_IN, parts, &count));
  if (count == 0) {
    int64_t results = n->out_count;
    QN_TRY(qn_onnx_int(n, "num_outputs", &results));
    if (results != n->out_count)
      return qn_onnx_error(n, "num_outputs is %lld, there are %d", (long long)results,
                           n->out_count);
    int64_t each = (dim + results - 1) / results;
    for (; count < n->out_count; count++)
      parts[count] = (int32_t)(dim - count * each < each ? dim - count * each : each);
  }
  for (int i = 0; i < count; i++) {
    if (parts[i] < 1) return qn_onnx_error(n, "part %d would have %d indices", i, parts[i]);
    sum += parts[i];
  }
  if (count != n->out_count || sum != dim)
    return qn_onnx_error(n, "%d parts of together %lld for %d results of together %lld", count,
                         (long long)sum, n->out_count, (long long)dim);
  return QN_OK;
}

/* Constant indices that follow each other: a slice; of one number the dim goes. */
qn_status qn_onnx_read_gather(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  qn_onnx_form form;
  qn_layer l;
  int64_t axis = 0, dim[QN_MAX_RANK];
  int32_t index[QN_MAX_RANK];
  int at, count, rank = 0;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(qn_onnx_int(n, "axis", &axis));
  QN_TRY(qn_onnx_axis(n, axis, x->rank, &at));
  QN_TRY(qn_onnx_numbers(n, 1, QN_MAX_RANK, index, &count));
  QN_TRY(open_slice(n, x, &form, &l));
  for (int i = 0; i < count; i++) {
    if (index[i] < 0) index[i] += (int32_t)x->dim[at];
    if (index[i] < 0 || index[i] >= x->dim[at] || index[i] != index[0] + i)
      return qn_onnx_error(n, "index %d of %lld: only indices that follow each other are supported",
                           index[i], (long long)x->dim[at]);
  }
  int place = qn_onnx_axis_in(form, x->rank, at);
  l.a.slice.begin.at[place] = index[0];
  l.a.slice.size.at[place] = count;
  if (n->in[1]->rank == 1) return qn_onnx_add_result(n, &l, 0, form);
  qn_onnx_tensor block = {.name = qn_format(&n->r->m->arena, "%s.block", n->out[0]->name)};
  qn_onnx_tensor *y = n->out[0];
  n->out[0] = &block;
  QN_TRY(qn_onnx_add_result(n, &l, 0, form));
  n->out[0] = y;
  for (int i = 0; i < x->rank; i++)
    if (i != at) dim[rank++] = x->dim[i];
  return qn_onnx_reshape_to(n, &block, rank, dim);
}

qn_status qn_onnx_read_split(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  qn_onnx_form form;
  qn_layer l;
  int64_t axis = 0;
  int32_t parts[QN_MAX_IN], from = 0;
  int at;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(qn_onnx_int(n, "axis", &axis));
  QN_TRY(qn_onnx_axis(n, axis, x->rank, &at));
  QN_TRY(read_parts(n, x->dim[at], parts));
  QN_TRY(open_slice(n, x, &form, &l));
  at = qn_onnx_axis_in(form, x->rank, at);
  for (int i = 0; i < n->out_count; from += parts[i++]) {
    if (!n->out[i]) continue;
    l.a.slice.begin.at[at] = from;
    l.a.slice.size.at[at] = parts[i];
    QN_TRY(qn_onnx_add_result(n, &l, i, form));
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ depth and space */

/* x, in ONNX's order, as 6 dims, these in another order, and as a picture again. */
static qn_status shuffle(qn_onnx_node *n, qn_onnx_tensor *x, const int64_t *cut,
                         const int32_t *perm, const int64_t *picture) {
  qn_arena *a = &n->r->m->arena;
  const char *name = n->out[0]->name;
  qn_value *v;
  QN_TRY(qn_onnx_take(n, x, QN_ONNX_PLAIN, &v));
  QN_TRY(qn_onnx_reshape(n, qn_format(a, "%s.cut", name), 6, cut, &v));
  QN_TRY(qn_onnx_transpose(n, qn_format(a, "%s.turned", name), perm, &v));
  QN_TRY(qn_onnx_reshape(n, name, 4, picture, &v));
  return qn_onnx_define(n, 0, v, QN_ONNX_PLAIN);
}

static qn_status read_block(qn_onnx_node *n, qn_onnx_tensor **x, int64_t *block) {
  *block = 0;
  QN_TRY(qn_onnx_operand(n, 0, x));
  QN_TRY(qn_onnx_int(n, "blocksize", block));
  if ((*x)->rank != 4 || qn_onnx_is_const(*x))
    return qn_onnx_error(n, "the input must be a picture, of 4 dims");
  if (*block < 1 || *block > INT16_MAX)
    return qn_onnx_error(n, "a block of %lld", (long long)*block);
  return QN_OK;
}

/* mode DCR: the channels are [block, block, C]; CRD: [C, block, block]. */
qn_status qn_onnx_read_depth_to_space(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  qn_pb_bytes mode;
  int64_t b;
  QN_TRY(read_block(n, &x, &b));
  QN_TRY(qn_onnx_text(n, "mode", &mode));
  bool crd = qn_pb_is(&n->r->pb, mode, "CRD");
  if (mode.size && !crd && !qn_pb_is(&n->r->pb, mode, "DCR"))
    return qn_onnx_error(n, "mode '%s' is unknown", qn_onnx_text_of(n->r, mode));
  const int64_t *d = x->dim;
  if (d[1] % (b * b) != 0)
    return qn_onnx_error(n, "%lld channels for blocks of %lldx%lld", (long long)d[1], (long long)b,
                         (long long)b);
  int64_t c = d[1] / (b * b), dcr_cut[6] = {d[0], b, b, c, d[2], d[3]};
  int64_t crd_cut[6] = {d[0], c, b, b, d[2], d[3]}, picture[4] = {d[0], c, d[2] * b, d[3] * b};
  const int32_t dcr_perm[6] = {0, 3, 4, 1, 5, 2}, crd_perm[6] = {0, 1, 4, 2, 5, 3};
  return shuffle(n, x, crd ? crd_cut : dcr_cut, crd ? crd_perm : dcr_perm, picture);
}

/* The result's channels are [block, block, C]. */
qn_status qn_onnx_read_space_to_depth(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  int64_t b;
  QN_TRY(read_block(n, &x, &b));
  const int64_t *d = x->dim;
  if (d[2] % b != 0 || d[3] % b != 0)
    return qn_onnx_error(n, "%lldx%lld is no multiple of a block of %lld", (long long)d[2],
                         (long long)d[3], (long long)b);
  int64_t h = d[2] / b, w = d[3] / b, cut[6] = {d[0], d[1], h, b, w, b};
  int64_t picture[4] = {d[0], d[1] * b * b, h, w};
  const int32_t perm[6] = {0, 3, 5, 1, 2, 4};
  return shuffle(n, x, cut, perm, picture);
}
