/* ONNX's operators that move elements or name them again -> reshapes, transposes, slices, and often
 * nothing at all.
 *
 * With the channels last, a reshape of dims past the channels is one, too; so is one that makes
 * rows of a picture, whose columns are then in another order than ONNX's (QN_ONNX_LAST of rank 2),
 * which the dense layer that follows has its weights in. */
#include <string.h>
#include "onnx.h"

/* ------------------------------------------------------------------ reshapes */

/* A constant with other dims; scales of several channels only survive where the dims before and of
 * theirs stay. */
static qn_status reshape_const(qn_onnx_node *n, const qn_onnx_tensor *x, int rank,
                               const int64_t *dim) {
  bool stays = x->scale_count <= 1 || rank > x->axis;
  for (int i = 0; stays && x->scale_count > 1 && i <= x->axis; i++) stays = x->dim[i] == dim[i];
  if (!stays) return qn_onnx_error(n, "weights with a scale per channel cannot change that dim");
  QN_TRY(qn_onnx_define_alias(n, x));
  qn_onnx_tensor *y = n->out[0];
  qn_onnx_forget_values(y);
  y->rank = rank;
  memcpy(y->dim, dim, (size_t)rank * sizeof *dim);
  return QN_OK;
}

/* The value whose elements are in ONNX's order, whatever its dims are. */
static qn_status take_flat(qn_onnx_node *n, qn_onnx_tensor *x, qn_value **out) {
  int64_t rest = 1;
  for (int i = 2; i < x->rank; i++) rest *= x->dim[i];
  bool same = x->rank >= 3 && (x->dim[1] == 1 || rest == 1);
  return qn_onnx_take(n, x, same ? qn_onnx_form_of(x) : QN_ONNX_PLAIN, out);
}

qn_status qn_onnx_reshape_to(qn_onnx_node *n, qn_onnx_tensor *x, int rank, const int64_t *dim) {
  int64_t count;
  if (!qn_checked_count(dim, rank, &count) || count != qn_onnx_count(x))
    return qn_onnx_error(n, "%lld elements do not fit the new dims", (long long)qn_onnx_count(x));
  if (qn_onnx_is_const(x)) return reshape_const(n, x, rank, dim);
  qn_onnx_tensor *y = n->out[0];
  const char *name = y->name;
  qn_value *v;
  if (x->rank >= 3 && qn_onnx_form_of(x) == QN_ONNX_LAST && dim[0] == x->dim[0]) {
    if (rank >= 3 && dim[1] == x->dim[1]) {
      int64_t last[QN_MAX_RANK];
      for (int i = 0; i < rank; i++) last[qn_onnx_axis_in(QN_ONNX_LAST, rank, i)] = dim[i];
      v = x->as[QN_ONNX_LAST];
      QN_TRY(qn_onnx_reshape(n, name, rank, last, &v));
      return qn_onnx_define(n, 0, v, QN_ONNX_LAST);
    }
    if (rank == 2 && x->dim[1] > 1 && x->dim[1] < dim[1]) {
      v = x->as[QN_ONNX_LAST];
      QN_TRY(qn_onnx_reshape(n, name, rank, dim, &v));
      y->channels = x->dim[1];
      return qn_onnx_define(n, 0, v, QN_ONNX_LAST);
    }
  }
  QN_TRY(take_flat(n, x, &v));
  QN_TRY(qn_onnx_reshape(n, name, rank, dim, &v));
  return qn_onnx_define(n, 0, v, QN_ONNX_PLAIN);
}

qn_status qn_onnx_read_reshape(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  int32_t at[QN_MAX_RANK];
  int64_t dim[QN_MAX_RANK], known = 1, allow_zero = 0;
  int rank, open = -1;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(qn_onnx_numbers(n, 1, QN_MAX_RANK, at, &rank));
  QN_TRY(qn_onnx_int(n, "allowzero", &allow_zero));
  for (int i = 0; i < rank; i++) {
    if (at[i] == 0 && (allow_zero || i >= x->rank))
      return qn_onnx_error(n, "dim %d of the new shape is 0", i);
    dim[i] = at[i] ? at[i] : x->dim[i];
    if (dim[i] < -1 || (dim[i] == -1 && open >= 0))
      return qn_onnx_error(n, "the new shape holds %lld%s", (long long)dim[i],
                           dim[i] == -1 ? " twice" : "");
    if (dim[i] == -1)
      open = i;
    else if (known <= QN_MAX_COUNT)
      known *= dim[i];
  }
  if (open >= 0) dim[open] = qn_onnx_count(x) / known;
  return qn_onnx_reshape_to(n, x, rank, dim);
}

qn_status qn_onnx_read_flatten(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  int64_t axis = 1, dim[2] = {1, 1};
  int at;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(qn_onnx_int(n, "axis", &axis));
  if (axis == x->rank)
    at = x->rank;
  else
    QN_TRY(qn_onnx_axis(n, axis, x->rank, &at));
  for (int i = 0; i < x->rank; i++) dim[i >= at] *= x->dim[i];
  return qn_onnx_reshape_to(n, x, 2, dim);
}

qn_status qn_onnx_read_squeeze(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  bool gone[QN_MAX_RANK] = {false};
  int64_t dim[QN_MAX_RANK];
  int count, rank = 0;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(qn_onnx_axes(n, x->rank, gone, &count));
  for (int i = 0; i < x->rank; i++) {
    if (gone[i] && x->dim[i] != 1)
      return qn_onnx_error(n, "dim %d is %lld, only dims of 1 can go", i, (long long)x->dim[i]);
    if (count ? !gone[i] : x->dim[i] != 1) dim[rank++] = x->dim[i];
  }
  return qn_onnx_reshape_to(n, x, rank, dim);
}

qn_status qn_onnx_read_unsqueeze(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  bool is_new[QN_MAX_RANK] = {false};
  int64_t dim[QN_MAX_RANK];
  int32_t axes[QN_MAX_RANK];
  int count = 0, from = 0;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(qn_onnx_ints(n, "axes", QN_MAX_RANK, axes, &count));
  if (qn_onnx_is_given(n, 1)) QN_TRY(qn_onnx_numbers(n, 1, QN_MAX_RANK, axes, &count));
  int rank = x->rank + count;
  if (count == 0 || rank > QN_MAX_RANK)
    return qn_onnx_error(n, "%d axes for %d dims, at most %d together are supported", count,
                         x->rank, QN_MAX_RANK);
  QN_TRY(qn_onnx_axes(n, rank, is_new, &count));
  for (int i = 0; i < rank; i++) dim[i] = is_new[i] ? 1 : x->dim[from++];
  return qn_onnx_reshape_to(n, x, rank, dim);
}

/* ------------------------------------------------------------------ transposes */

/* Whether perm is the one that makes that order of the other. */
static bool is_perm_to(qn_onnx_form to, int rank, const int32_t *perm) {
  int32_t known[QN_MAX_RANK];
  qn_onnx_fill_perm(to, rank, known);
  return rank >= 3 && memcmp(known, perm, (size_t)rank * sizeof *perm) == 0;
}

static qn_status read_perm(qn_onnx_node *n, int rank, int32_t *perm) {
  bool used[QN_MAX_RANK] = {false};
  int count = rank;
  for (int i = 0; i < rank; i++) perm[i] = rank - 1 - i;
  QN_TRY(qn_onnx_ints(n, "perm", QN_MAX_RANK, perm, &count));
  if (count != rank) return qn_onnx_error(n, "%d numbers of 'perm' for %d dims", count, rank);
  for (int i = 0; i < rank; i++) {
    if (perm[i] < 0 || perm[i] >= rank || used[perm[i]])
      return qn_onnx_error(n, "'perm' must name each of %d dims once, got %d at %d", rank, perm[i],
                           i);
    used[perm[i]] = true;
  }
  return QN_OK;
}

static qn_status transpose_const(qn_onnx_node *n, const qn_onnx_tensor *x, const int32_t *perm) {
  qn_onnx_tensor turned;
  QN_TRY(qn_onnx_turn_const(n, x, perm, &turned));
  return qn_onnx_define_alias(n, &turned);
}

qn_status qn_onnx_read_transpose(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  int32_t perm[QN_MAX_RANK];
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(read_perm(n, x->rank, perm));
  if (qn_onnx_is_const(x)) return transpose_const(n, x, perm);
  qn_onnx_form form = x->rank > 2 ? qn_onnx_form_of(x) : QN_ONNX_PLAIN;
  qn_value *last = x->as[QN_ONNX_LAST], *plain = x->as[QN_ONNX_PLAIN];
  if (last && is_perm_to(QN_ONNX_LAST, x->rank, perm))
    return qn_onnx_define(n, 0, last, QN_ONNX_PLAIN);
  if (plain && is_perm_to(QN_ONNX_PLAIN, x->rank, perm))
    return qn_onnx_define(n, 0, plain, QN_ONNX_LAST);
  qn_value *v;
  QN_TRY(qn_onnx_take(n, x, form, &v));
  for (int i = 0; i < x->rank; i++) perm[i] = qn_onnx_axis_in(form, x->rank, perm[i]);
  QN_TRY(qn_onnx_transpose(n, n->out[0]->name, perm, &v));
  return qn_onnx_define(n, 0, v, QN_ONNX_PLAIN);
}

/* ------------------------------------------------------------------ names */

qn_status qn_onnx_read_identity(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  return qn_onnx_define_alias(n, x);
}

/* Only the first operand matters where nothing is trained. */
qn_status qn_onnx_read_dropout(qn_onnx_node *n) {
  qn_onnx_tensor *training;
  if (qn_onnx_is_given(n, 2)) {
    QN_TRY(qn_onnx_operand(n, 2, &training));
    if (!qn_onnx_is_const(training) || training->code != QN_ONNX_BOOL ||
        *(const unsigned char *)training->data != 0)
      return qn_onnx_error(n, "operand 3, whether to train, must be a constant false");
  }
  return qn_onnx_read_identity(n);
}

qn_status qn_onnx_read_cast(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  int64_t to = 0;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(qn_onnx_int(n, "to", &to));
  if (to != x->code)
    return qn_onnx_error(n, "a cast from %s to %s is not supported", qn_onnx_type_name(x->code),
                         qn_onnx_type_name((int)(to & 255)));
  return qn_onnx_define_alias(n, x);
}

enum { ATTR_F = 2, ATTR_I = 3, ATTR_T = 5, ATTR_FLOATS = 7, ATTR_INTS = 8 };

/* The attribute's numbers as a constant; a single one has no dims. */
static qn_status read_constant_list(qn_onnx_node *n, qn_pb_bytes attr, int field, bool is_float,
                                    bool single) {
  qn_onnx_tensor *t = n->out[0];
  qn_pb *pb = &n->r->pb;
  qn_pb_list list = qn_pb_open_list(attr, field, is_float);
  uint64_t bits;
  int64_t count = 0;
  while (qn_pb_next_number(pb, &list, &bits)) count++;
  if (count < 1 || count > QN_MAX_COUNT || (single && count != 1))
    return qn_onnx_error(n, "a value of %lld numbers", (long long)count);
  size_t bytes = is_float ? 4 : 8;
  unsigned char *data = qn_alloc(&n->r->m->arena, (size_t)count * bytes);
  list = qn_pb_open_list(attr, field, is_float);
  for (int64_t i = 0; i < count && qn_pb_next_number(pb, &list, &bits); i++)
    memcpy(data + (size_t)i * bytes, &bits, bytes); /* little endian, as the IR is */
  t->code = t->stored = is_float ? QN_ONNX_FLOAT : QN_ONNX_INT64;
  t->rank = !single;
  t->dim[0] = count;
  t->data = data;
  t->loc = n->loc;
  t->is_defined = true;
  return pb->status;
}

qn_status qn_onnx_read_constant(qn_onnx_node *n) {
  qn_onnx_tensor *t = n->out[0];
  qn_pb_bytes attr;
  if (t->is_defined) return qn_onnx_error(n, "the result '%s' is there already", t->name);
  if (qn_onnx_find_attr(n, "value_float", &attr))
    return read_constant_list(n, attr, ATTR_F, true, true);
  if (qn_onnx_find_attr(n, "value_int", &attr))
    return read_constant_list(n, attr, ATTR_I, false, true);
  if (qn_onnx_find_attr(n, "value_floats", &attr))
    return read_constant_list(n, attr, ATTR_FLOATS, true, false);
  if (qn_onnx_find_attr(n, "value_ints", &attr))
    return read_constant_list(n, attr, ATTR_INTS, false, false);
  if (!qn_onnx_find_attr(n, "value", &attr)) return qn_onnx_error(n, "it has no value");
  t->proto = qn_pb_child(&n->r->pb, attr, ATTR_T);
  QN_TRY(n->r->pb.status);
  if (t->proto.size == 0) return qn_onnx_error(n, "it has no value");
  t->loc = qn_byte(t->proto.at);
  t->is_defined = true;
  qn_onnx_read_shape(n->r, t);
  return QN_OK;
}
