/* ONNX tensors as constants and values of the module, in either order of dims (onnx.h).
 *
 * Constants are decoded when a node uses them first and copied into the module in the order that
 * the node needs; uint8 becomes int8 by taking 128 off elements and zero point, which keeps every
 * real value. Values are converted by a transpose, or, where that moves nothing, by a reshape. */
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include "onnx.h"

enum { DIMS = 1, DATA_TYPE = 2, FLOAT_DATA = 4, INT32_DATA = 5, INT64_DATA = 7, RAW_DATA = 9 };
enum { EXTERNAL_DATA = 13, DATA_LOCATION = 14, MOST_COPIES = 16, COPIED_ANYWAY = 1 << 20 };

/* ------------------------------------------------------------------ decoding constants */

QN_PRINTF(3, 4)
static qn_status tensor_error(const qn_onnx *r, const qn_onnx_tensor *t, const char *format, ...) {
  char text[300];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return qn_error(r->pb.src, t->loc, "tensor '%s' (%s) %s", t->name,
                  qn_onnx_tensor_text(&r->m->arena, t), text);
}

/* 0: constants of that type are not supported */
static int bytes_of(int code) {
  switch (code) {
  case QN_ONNX_UINT8:
  case QN_ONNX_INT8:
  case QN_ONNX_BOOL: return 1;
  case QN_ONNX_FLOAT:
  case QN_ONNX_INT32: return 4;
  case QN_ONNX_INT64: return 8;
  default: return 0;
  }
}

void qn_onnx_read_shape(qn_onnx *r, qn_onnx_tensor *t) {
  qn_pb_list list = qn_pb_open_list(t->proto, DIMS, false);
  uint64_t size;
  t->rank = 0;
  t->code = t->stored = (int)qn_pb_int(&r->pb, t->proto, DATA_TYPE, 0);
  while (t->rank <= QN_MAX_RANK && qn_pb_next_number(&r->pb, &list, &size)) {
    if (t->rank < QN_MAX_RANK) t->dim[t->rank] = size > INT64_MAX ? -1 : (int64_t)size;
    t->rank++;
  }
}

static qn_status check_shape(qn_onnx *r, const qn_onnx_tensor *t) {
  int64_t count;
  QN_TRY(r->pb.status);
  if (t->rank > QN_MAX_RANK) return tensor_error(r, t, "has more than %d dims", QN_MAX_RANK);
  if (!qn_checked_count(t->dim, t->rank, &count))
    return tensor_error(r, t, "must have dims of at least 1, and at most %lld elements",
                        (long long)QN_MAX_COUNT);
  return QN_OK;
}

/* The elements of a list of the file, which must be as many as the dims say. */
static qn_status read_list(qn_onnx *r, const qn_onnx_tensor *t, unsigned char *to) {
  int number = t->code == QN_ONNX_FLOAT   ? FLOAT_DATA
               : t->code == QN_ONNX_INT64 ? INT64_DATA
                                          : INT32_DATA;
  qn_pb_list list = qn_pb_open_list(t->proto, number, number == FLOAT_DATA);
  int bytes = bytes_of(t->code);
  int64_t count = qn_onnx_count(t), i = 0;
  for (uint64_t bits; qn_pb_next_number(&r->pb, &list, &bits); i++) {
    if (i < count) memcpy(to + i * bytes, &bits, (size_t)bytes); /* little endian, as the IR is */
  }
  QN_TRY(r->pb.status);
  if (i != count)
    return tensor_error(r, t, "has %lld elements, the file lists %lld", (long long)count,
                        (long long)i);
  return QN_OK;
}

qn_status qn_onnx_decode(qn_onnx *r, qn_onnx_tensor *t) {
  qn_pb *pb = &r->pb;
  if (t->proto.size == 0 || t->data) return QN_OK;
  QN_TRY(check_shape(r, t));
  if (qn_pb_int(pb, t->proto, DATA_LOCATION, 0) != 0 || qn_pb_has(pb, t->proto, EXTERNAL_DATA))
    return tensor_error(r, t, "has its data in another file, which is not supported");
  int bytes = bytes_of(t->code);
  if (bytes == 0)
    return tensor_error(
        r, t, "is neither float32, int8, uint8, int32 nor int64: others are not supported");
  int64_t count = qn_onnx_count(t);
  qn_pb_bytes raw = qn_pb_child(pb, t->proto, RAW_DATA);
  QN_TRY(pb->status);
  /* the lists take at least a byte per element */
  if (raw.size ? raw.size != (size_t)(count * bytes) : t->proto.size < (size_t)count)
    return tensor_error(r, t, "takes %lld bytes, the file has %zu", (long long)(count * bytes),
                        raw.size);
  unsigned char *data = qn_alloc(&r->m->arena, (size_t)(count * bytes));
  if (raw.size)
    memcpy(data, pb->src->text + raw.at, raw.size);
  else
    QN_TRY(read_list(r, t, data));
  t->data = data;
  t->data_name = t->name;
  return pb->status;
}

int64_t qn_onnx_count(const qn_onnx_tensor *t) {
  int64_t count = 1;
  for (int i = 0; i < t->rank; i++) count *= t->dim[i];
  return count;
}

bool qn_onnx_is_const(const qn_onnx_tensor *t) { return t->data != NULL; }

bool qn_onnx_is_given(const qn_onnx_node *n, int i) { return i < n->in_count && n->in[i] != NULL; }

qn_status qn_onnx_operand(qn_onnx_node *n, int i, qn_onnx_tensor **out) {
  if (!qn_onnx_is_given(n, i)) return qn_onnx_error(n, "operand %d is left out", i + 1);
  qn_onnx_tensor *t = n->in[i];
  if (!t->is_defined)
    return qn_onnx_error(n, "operand %d, '%s', is used before a node has computed it", i + 1,
                         t->name);
  *out = t;
  return qn_onnx_decode(n->r, t);
}

qn_status qn_onnx_reserve(qn_onnx *r, const qn_onnx_tensor *t, int64_t bytes) {
  r->copied += (size_t)bytes;
  if (r->copied <= MOST_COPIES * r->pb.src->size + COPIED_ANYWAY) return QN_OK;
  return tensor_error(r, t,
                      "is used in too many ways: constants would be more than %d times the file",
                      MOST_COPIES);
}

/* ------------------------------------------------------------------ constants as numbers */

static qn_status need_const(qn_onnx_node *n, int i, qn_onnx_tensor **out) {
  QN_TRY(qn_onnx_operand(n, i, out));
  if (!qn_onnx_is_const(*out)) return qn_onnx_error(n, "operand %d must be a constant", i + 1);
  return QN_OK;
}

qn_status qn_onnx_numbers(qn_onnx_node *n, int i, int most, int32_t *out, int *count) {
  qn_onnx_tensor *t;
  QN_TRY(need_const(n, i, &t));
  if (t->code != QN_ONNX_INT32 && t->code != QN_ONNX_INT64)
    return qn_onnx_error(n, "operand %d must be int32 or int64", i + 1);
  int64_t size = qn_onnx_count(t);
  if (size > most || t->rank > 1)
    return qn_onnx_error(n, "operand %d must be a list of at most %d numbers", i + 1, most);
  qn_elem elem = t->code == QN_ONNX_INT32 ? QN_i32 : QN_i64;
  for (int64_t k = 0; k < size; k++) {
    int64_t x = qn_int_at(elem, t->data, k);
    out[k] = (int32_t)(x < INT32_MIN ? INT32_MIN : x > INT32_MAX ? INT32_MAX : x);
  }
  *count = (int)size;
  return QN_OK;
}

static double stored_at(const qn_onnx_tensor *t, int64_t i) {
  switch (t->stored) {
  case QN_ONNX_UINT8: return ((const uint8_t *)t->data)[i];
  case QN_ONNX_INT8: return ((const int8_t *)t->data)[i];
  case QN_ONNX_INT32: return ((const int32_t *)t->data)[i];
  case QN_ONNX_FLOAT: return ((const float *)t->data)[i];
  default: return 0;
  }
}

/* Of the scale of element i: its number. */
static int64_t channel_of(const qn_onnx_tensor *t, int64_t i) {
  if (t->scale_count <= 1) return 0;
  for (int d = t->rank - 1; d > t->axis; d--) i /= t->dim[d];
  return i % t->dim[t->axis];
}

qn_status qn_onnx_floats(qn_onnx_node *n, const qn_onnx_tensor *t, const float **out) {
  if (t->code != QN_ONNX_FLOAT || !qn_onnx_is_const(t))
    return qn_onnx_error(n, "'%s' must be a constant of float32", t->name);
  *out = t->data;
  if (t->scale_count == 0) return QN_OK;
  int64_t count = qn_onnx_count(t);
  QN_TRY(qn_onnx_reserve(n->r, t, count * (int64_t)sizeof **out));
  float *real = qn_alloc(&n->r->m->arena, (size_t)count * sizeof *real);
  for (int64_t i = 0; i < count; i++) {
    int64_t c = channel_of(t, i);
    real[i] = (float)(stored_at(t, i) - t->zeros[c]) * t->scales[c];
  }
  *out = real;
  return QN_OK;
}

qn_status qn_onnx_number(qn_onnx_node *n, int i, float *out) {
  qn_onnx_tensor *t;
  const float *at;
  QN_TRY(need_const(n, i, &t));
  if (qn_onnx_count(t) != 1) return qn_onnx_error(n, "operand %d must be one number", i + 1);
  QN_TRY(qn_onnx_floats(n, t, &at));
  *out = at[0];
  return QN_OK;
}

/* ------------------------------------------------------------------ constants as values */

qn_onnx_view qn_onnx_plain_view(const qn_onnx_tensor *t) {
  qn_onnx_view view = {.rank = t->rank, .axis = t->axis};
  for (int i = 0; i < t->rank; i++) {
    view.dim[i] = t->dim[i];
    view.perm[i] = i;
  }
  return view;
}

static qn_elem elem_of(const qn_onnx_tensor *t) {
  switch (t->stored) {
  case QN_ONNX_FLOAT: return QN_f32;
  case QN_ONNX_INT32: return QN_i32;
  default: return QN_i8;
  }
}

/* What is taken off the elements and the zero point. */
static int32_t shift_of(const qn_onnx_tensor *t) { return t->stored == QN_ONNX_UINT8 ? 128 : 0; }

static void copy_elements(const qn_onnx_tensor *t, const qn_onnx_view *view, unsigned char *to) {
  int bytes = bytes_of(t->stored);
  int64_t step[QN_MAX_RANK], at[QN_MAX_RANK] = {0}, from = 0, count = qn_onnx_count(t);
  int64_t stride[QN_MAX_RANK + 1];
  stride[view->rank] = 1;
  for (int i = view->rank - 1; i >= 0; i--) stride[i] = stride[i + 1] * view->dim[i];
  for (int i = 0; i < view->rank; i++) step[i] = stride[view->perm[i] + 1];
  const unsigned char *data = t->data;
  for (int64_t i = 0; i < count; i++) {
    memcpy(to + i * bytes, data + from * bytes, (size_t)bytes);
    for (int d = view->rank - 1; d >= 0; d--) {
      from += step[d];
      if (++at[d] < view->dim[view->perm[d]]) break;
      from -= step[d] * at[d];
      at[d] = 0;
    }
  }
}

static const char *const_name(const qn_onnx_tensor *t) {
  return t->data_name ? t->data_name : t->name;
}

static void set_scales(qn_onnx *r, const qn_onnx_tensor *t, const qn_onnx_view *view, qn_quant *q) {
  q->on = true;
  if (t->scale_count == 1) {
    q->scale = t->scales[0];
    q->zero = t->zeros[0] - shift_of(t);
    return;
  }
  for (int i = 0; i < view->rank; i++)
    if (view->perm[i] == view->axis) q->axis = i;
  int64_t dim = t->scale_count;
  qn_type type = qn_make_type(QN_f32, 1, &dim);
  q->scales = qn_add_const(r->m, qn_format(&r->m->arena, "%s.s", const_name(t)), &type, t->scales);
  q->scales->loc = t->loc;
}

/* A constant of the module that was made of a tensor. */
typedef struct qn_onnx_made {
  qn_onnx_view view;
  qn_value *value;
  struct qn_onnx_made *next;
} made;

static qn_value *find_made(const qn_onnx_tensor *t, const qn_onnx_view *view) {
  size_t dims = (size_t)view->rank * sizeof view->dim[0];
  for (const made *m = t->made; m; m = m->next) {
    const qn_onnx_view *v = &m->view;
    if (v->rank == view->rank && v->axis == view->axis && memcmp(v->dim, view->dim, dims) == 0 &&
        memcmp(v->perm, view->perm, (size_t)view->rank * sizeof view->perm[0]) == 0)
      return m->value;
  }
  return NULL;
}

qn_status qn_onnx_add_const(qn_onnx_node *n, qn_onnx_tensor *t, const qn_onnx_view *view,
                            qn_value **out) {
  qn_onnx *r = n->r;
  *out = find_made(t, view);
  if (*out) return QN_OK;
  if (t->stored != QN_ONNX_FLOAT && t->scale_count == 0)
    return qn_onnx_error(n, "'%s' is %s without a scale, where real numbers are needed", t->name,
                         qn_onnx_type_name(t->stored));
  int64_t dim[QN_MAX_RANK];
  for (int i = 0; i < view->rank; i++) dim[i] = view->dim[view->perm[i]];
  qn_type type = qn_make_type(elem_of(t), view->rank, dim);
  QN_TRY(qn_onnx_reserve(r, t, qn_bytes(&type)));
  if (t->scale_count) set_scales(r, t, view, &type.q);
  unsigned char *data = qn_alloc(&r->m->arena, (size_t)qn_bytes(&type));
  copy_elements(t, view, data);
  if (t->stored == QN_ONNX_UINT8)
    for (int64_t i = 0; i < qn_bytes(&type); i++) data[i] ^= 128;
  *out = qn_add_const(r->m, const_name(t), &type, data);
  (*out)->loc = t->loc;
  made *m = qn_alloc(&r->m->arena, sizeof *m);
  *m = (made){.view = *view, .value = *out, .next = t->made};
  t->made = m;
  return QN_OK;
}

qn_status qn_onnx_turn_const(qn_onnx_node *n, const qn_onnx_tensor *t, const int32_t *perm,
                             qn_onnx_tensor *out) {
  qn_onnx_view view = qn_onnx_plain_view(t);
  memcpy(view.perm, perm, sizeof view.perm);
  *out = *t;
  qn_onnx_forget_values(out);
  for (int i = 0; i < t->rank; i++) {
    out->dim[i] = t->dim[perm[i]];
    if (perm[i] == t->axis) out->axis = i;
  }
  size_t bytes = (size_t)qn_onnx_count(t) * (size_t)bytes_of(t->stored);
  QN_TRY(qn_onnx_reserve(n->r, t, (int64_t)bytes));
  unsigned char *data = qn_alloc(&n->r->m->arena, bytes);
  copy_elements(t, &view, data);
  out->data = data;
  return QN_OK;
}

void qn_onnx_forget_values(qn_onnx_tensor *t) {
  memset(t->as, 0, sizeof t->as);
  t->made = NULL;
}

qn_value *qn_onnx_add_floats(qn_onnx_node *n, const char *suffix, const float *at, int64_t count) {
  qn_arena *a = &n->r->m->arena;
  qn_type type = qn_make_type(QN_f32, 1, &count);
  float *copy = qn_alloc(a, (size_t)count * sizeof *copy);
  memcpy(copy, at, (size_t)count * sizeof *copy);
  const char *name = qn_format(a, "%s.%s", n->out[0]->name, suffix);
  qn_value *v = qn_add_const(n->r->m, name, &type, copy);
  v->loc = n->loc;
  return v;
}

/* ------------------------------------------------------------------ order of dims */

/* Whether a tensor of that kind has an order of its own with the channels last. */
static bool has_last(const qn_onnx_tensor *t) {
  return t->rank >= 3 || (t->rank == 2 && t->channels > 0);
}

void qn_onnx_fill_perm(qn_onnx_form to, int rank, int32_t *perm) {
  for (int i = 0; i < rank; i++) {
    bool moves = rank >= 3 && i > 0;
    if (to == QN_ONNX_LAST)
      perm[i] = !moves ? i : i == rank - 1 ? 1 : i + 1;
    else
      perm[i] = !moves ? i : i == 1 ? rank - 1 : i - 1;
  }
}

int qn_onnx_axis_in(qn_onnx_form form, int rank, int axis) {
  if (form == QN_ONNX_PLAIN || rank < 3 || axis == 0) return axis;
  return axis == 1 ? rank - 1 : axis - 1;
}

qn_onnx_form qn_onnx_form_of(const qn_onnx_tensor *t) {
  return has_last(t) && t->as[QN_ONNX_LAST] ? QN_ONNX_LAST : QN_ONNX_PLAIN;
}

/* A value of that rank into the other order: dims of 1 move by a reshape. */
static qn_status convert(qn_onnx_node *n, const char *name, qn_onnx_form to, qn_value **v) {
  const qn_type *type = &(*v)->type;
  int32_t perm[QN_MAX_RANK];
  int64_t dim[QN_MAX_RANK];
  qn_onnx_fill_perm(to, type->rank, perm);
  int last = 0;
  bool stays = true;
  for (int i = 0; i < type->rank; i++) {
    dim[i] = type->dim[perm[i]];
    if (dim[i] == 1) continue;
    stays &= perm[i] >= last;
    last = perm[i];
  }
  if (stays) return qn_onnx_reshape(n, name, type->rank, dim, v);
  return qn_onnx_transpose(n, name, perm, v);
}

/* Rank 2: through [n, C, HW] or [n, HW, C]. */
static qn_status convert_columns(qn_onnx_node *n, const qn_onnx_tensor *t, const char *name,
                                 qn_onnx_form to, qn_value **v) {
  int64_t c = t->channels, rest = t->dim[1] / c, blocks[3] = {t->dim[0], c, rest};
  if (to == QN_ONNX_PLAIN) {
    blocks[1] = rest;
    blocks[2] = c;
  }
  QN_TRY(qn_onnx_reshape(n, qn_format(&n->r->m->arena, "%s.blocks", name), 3, blocks, v));
  QN_TRY(convert(n, qn_format(&n->r->m->arena, "%s.turned", name), to, v));
  return qn_onnx_reshape(n, name, 2, t->dim, v);
}

qn_status qn_onnx_take(qn_onnx_node *n, qn_onnx_tensor *t, qn_onnx_form form, qn_value **out) {
  if (!has_last(t)) form = QN_ONNX_PLAIN;
  *out = t->as[form];
  if (*out) return QN_OK;
  if (qn_onnx_is_const(t)) {
    qn_onnx_view view = qn_onnx_plain_view(t);
    qn_onnx_fill_perm(form, t->rank, view.perm);
    if (form == QN_ONNX_PLAIN)
      for (int i = 0; i < t->rank; i++) view.perm[i] = i;
    QN_TRY(qn_onnx_add_const(n, t, &view, &t->as[form]));
    *out = t->as[form];
    return QN_OK;
  }
  qn_onnx_form other = form == QN_ONNX_LAST ? QN_ONNX_PLAIN : QN_ONNX_LAST;
  qn_value *v = t->as[other];
  const char *suffix = form == QN_ONNX_LAST ? "nhwc" : "nchw";
  const char *name = qn_format(&n->r->m->arena, "%s.%s", t->name, suffix);
  QN_TRY(t->rank == 2 ? convert_columns(n, t, name, form, &v) : convert(n, name, form, &v));
  *out = t->as[form] = v;
  return QN_OK;
}

qn_status qn_onnx_take_rank(qn_onnx_node *n, qn_onnx_tensor *t, qn_onnx_form form, int rank,
                            qn_value **out) {
  if (t->rank == rank) return qn_onnx_take(n, t, form, out);
  int more = rank - t->rank;
  int64_t dim[QN_MAX_RANK];
  for (int i = 0; i < rank; i++) dim[i] = i < more ? 1 : t->dim[i - more];
  if (qn_onnx_is_const(t)) {
    qn_onnx_view view = {.rank = rank, .axis = t->axis + more};
    memcpy(view.dim, dim, sizeof dim);
    for (int i = 0; i < rank; i++) view.perm[i] = i;
    if (form == QN_ONNX_LAST) qn_onnx_fill_perm(form, rank, view.perm);
    return qn_onnx_add_const(n, t, &view, out);
  }
  QN_TRY(qn_onnx_take(n, t, QN_ONNX_PLAIN, out));
  const char *name = qn_format(&n->r->m->arena, "%s.as%d", t->name, rank);
  QN_TRY(qn_onnx_reshape(n, name, rank, dim, out));
  if (form == QN_ONNX_PLAIN || rank < 3) return QN_OK;
  return convert(n, qn_format(&n->r->m->arena, "%s.nhwc", t->name), form, out);
}

/* ------------------------------------------------------------------ layers */

qn_layer qn_onnx_layer(const qn_onnx_node *n, qn_opcode code) {
  qn_layer l = {.code = code, .loc = n->loc, .name = n->out[0] ? n->out[0]->name : n->type};
  qn_default_attrs(code, &l.a);
  return l;
}

qn_status qn_onnx_add(qn_onnx_node *n, const qn_layer *l, qn_value **out) {
  QN_TRY(n->r->pb.status);
  qn_status status = qn_add_layer(n->r->m, n->r->f, l, out);
  if (status == QN_EINPUT) qn_note(n->r->pb.src, n->loc, "in %s", qn_onnx_describe(n));
  return status;
}

qn_status qn_onnx_add_before(qn_onnx_node *n, qn_layer *l, const char *suffix, qn_value **out) {
  l->name = qn_format(&n->r->m->arena, "%s.%s", l->name, suffix);
  return qn_onnx_add(n, l, out);
}

static qn_status check_result(const qn_onnx_node *n, int i) {
  if (n->out[i]->is_defined)
    return qn_onnx_error(n, "the result '%s' is there already", n->out[i]->name);
  return QN_OK;
}

/* Stored as operand 0 is where the operator only moves elements; else real. */
static int result_code(const qn_onnx_node *n, const qn_value *v) {
  const qn_onnx_tensor *x = n->in_count ? n->in[0] : NULL;
  return v->type.q.on && x && x->code != QN_ONNX_FLOAT ? x->code : QN_ONNX_FLOAT;
}

qn_status qn_onnx_define(qn_onnx_node *n, int i, qn_value *v, qn_onnx_form form) {
  qn_onnx_tensor *t = n->out[i];
  QN_TRY(check_result(n, i));
  t->is_defined = true;
  t->loc = n->loc;
  t->code = result_code(n, v);
  t->rank = v->type.rank;
  if (!has_last(t)) form = QN_ONNX_PLAIN;
  for (int d = 0; d < t->rank; d++) t->dim[d] = v->type.dim[qn_onnx_axis_in(form, t->rank, d)];
  t->as[form] = v;
  return QN_OK;
}

qn_status qn_onnx_add_result(qn_onnx_node *n, qn_layer *l, int i, qn_onnx_form form) {
  const qn_onnx_tensor *t = n->out[i];
  l->name = form == QN_ONNX_LAST && t->is_output ? qn_format(&n->r->m->arena, "%s.nhwc", t->name)
                                                 : t->name;
  qn_value *v;
  QN_TRY(qn_onnx_add(n, l, &v));
  n->out[i]->owns = true;
  return qn_onnx_define(n, i, v, form);
}

qn_status qn_onnx_define_alias(qn_onnx_node *n, const qn_onnx_tensor *t) {
  qn_onnx_tensor *to = n->out[0];
  QN_TRY(check_result(n, 0));
  qn_onnx_tensor copy = *t;
  copy.name = to->name;
  copy.text = to->text;
  copy.loc = n->loc;
  copy.uses = to->uses;
  copy.is_output = to->is_output;
  copy.owns = false;
  *to = copy;
  return QN_OK;
}

qn_status qn_onnx_reshape(qn_onnx_node *n, const char *name, int rank, const int64_t *dim,
                          qn_value **v) {
  qn_type as = qn_make_type((*v)->type.elem, rank, dim);
  if ((*v)->kind == QN_RESULT && (*v)->def->code == QN_OP_reshape) *v = (*v)->def->in[0];
  if (qn_same_shape(&as, &(*v)->type)) return QN_OK;
  qn_layer l = {.code = QN_OP_reshape, .loc = n->loc, .name = name, .in_count = 1, .in = {*v}};
  qn_default_attrs(l.code, &l.a);
  l.a.reshape.shape.count = rank;
  for (int i = 0; i < rank; i++) l.a.reshape.shape.at[i] = (int32_t)dim[i];
  return qn_onnx_add(n, &l, v);
}

qn_status qn_onnx_transpose(qn_onnx_node *n, const char *name, const int32_t *perm, qn_value **v) {
  int rank = (*v)->type.rank;
  qn_layer l = {.code = QN_OP_transpose, .loc = n->loc, .name = name, .in_count = 1, .in = {*v}};
  qn_default_attrs(l.code, &l.a);
  l.a.transpose.perm.count = rank;
  bool moves = false;
  for (int i = 0; i < rank; i++) {
    l.a.transpose.perm.at[i] = perm[i];
    moves |= perm[i] != i;
  }
  return moves ? qn_onnx_add(n, &l, v) : QN_OK;
}
