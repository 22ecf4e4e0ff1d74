/* The shape rules: the type of an op's result from its operands and attributes.
 *
 * infer_<name>() serves the ops with <name> in the `infer` column of ops.def. It sets the dims of
 * the result and checks every dim and attribute that they depend on; qn_infer then adds the element
 * and the quantization that the signature fixes. What is computed with the elements (signatures,
 * clamps, multipliers) is checked in verify.c. Dims are at most QN_MAX_COUNT and attributes int32,
 * so that products of two of them fit int64. */
#include "ir.h"
#include <string.h>

#define FAIL(...) return qn_error(&m->src, op->loc, __VA_ARGS__)
#define NUM(x)    ((long long)(x))

const void *qn_attr_of(const qn_op *op, const char *name) {
  const qn_attr *attr = qn_find_attr(op->code, name, strlen(name));
  return attr ? (const char *)&op->a + attr->offset : NULL;
}

static const char *text(qn_module *m, const qn_type *t) { return qn_type_text(&m->arena, t); }

static const qn_type *type_of(const qn_op *op, int operand) { return &op->in[operand]->type; }

/* The dims of the result; the count is checked by qn_infer. */
static void set_dims(qn_op *op, int rank, const int64_t *dim) {
  qn_type *y = &op->out->type;
  y->rank = rank;
  memset(y->dim, 0, sizeof y->dim);
  for (int i = 0; i < rank; i++) y->dim[i] = dim[i];
}

/* Operand `index`, when there, has the dims [count] of element e. */
static qn_status check_vector(qn_module *m, const qn_op *op, int index, const char *name, qn_elem e,
                              int64_t count) {
  if (index >= op->in_count) return QN_OK;
  const qn_type *t = type_of(op, index);
  if (t->rank == 1 && t->dim[0] == count) return QN_OK;
  FAIL("%s must be %s[%lld], got %s", name, qn_elem_name(e), NUM(count), text(m, t));
}

static qn_status check_rank(qn_module *m, const qn_op *op, int operand, const char *name,
                            int rank) {
  if (type_of(op, operand)->rank == rank) return QN_OK;
  FAIL("%s must have %d dims, got %s", name, rank, text(m, type_of(op, operand)));
}

/* An axis that may count from the end, as 0..rank-1. */
static qn_status normalize_axis(qn_module *m, const qn_op *op, int32_t axis, int rank, int *out) {
  if (axis < -rank || axis >= rank)
    FAIL("axis %d is not within the %d dims of %s", axis, rank, text(m, type_of(op, 0)));
  *out = axis < 0 ? axis + rank : axis;
  return QN_OK;
}

/* ------------------------------------------------------------------ windows */

/* A window along rows (direction 0) or columns (1). */
typedef struct {
  int64_t in, kernel, stride, dilation, before, after, out;
} span;

/* As written; before, after and out are not known yet. */
static span read_span(const qn_op *op, int direction) {
  const int32_t *stride = qn_attr_of(op, "stride");
  const int32_t *dilation = qn_attr_of(op, "dilation"), *window = qn_attr_of(op, "window");
  return (span){.in = type_of(op, 0)->dim[1 + direction],
                .kernel = window ? window[direction] : type_of(op, 1)->dim[1 + direction],
                .stride = stride[direction],
                .dilation = dilation ? dilation[direction] : 1};
}

static int64_t extent_of(const span *s) { return (s->kernel - 1) * s->dilation + 1; }

/* Padding and result size of a span with positive numbers; out is below 1 when nothing fits.
 * Mode same is TFLite's: ceil(in / stride) results, an odd element of padding goes behind. */
static void resolve_span(const qn_padding *padding, int direction, span *s) {
  int64_t extent = extent_of(s);
  if (s->kernel == 1) s->dilation = 1; /* whatever it was: the kernels compute with it */
  if (padding->mode == QN_PADDING_same) {
    s->out = (s->in + s->stride - 1) / s->stride;
    int64_t total = (s->out - 1) * s->stride + extent - s->in;
    if (total < 0) total = 0;
    s->before = total / 2;
    s->after = total - s->before;
    return;
  }
  if (padding->mode == QN_PADDING_explicit) {
    s->before = direction == 0 ? padding->top : padding->left;
    s->after = direction == 0 ? padding->bottom : padding->right;
  }
  int64_t room = s->in + s->before + s->after - extent;
  s->out = room < 0 ? 0 : room / s->stride + 1;
}

static qn_status infer_span(qn_module *m, const qn_op *op, int direction, span *out) {
  const char *what = direction == 0 ? "rows" : "columns";
  span s = read_span(op, direction);
  const qn_padding *padding = qn_attr_of(op, "padding");
  if (s.kernel < 1) FAIL("window must be at least 1, got %lld %s", NUM(s.kernel), what);
  if (s.stride < 1) FAIL("stride must be at least 1, got %lld for %s", NUM(s.stride), what);
  if (s.dilation < 1) FAIL("dilation must be at least 1, got %lld for %s", NUM(s.dilation), what);
  int64_t extent = extent_of(&s);
  if (extent > QN_MAX_COUNT) FAIL("window of %lld %s is too large", NUM(extent), what);
  resolve_span(padding, direction, &s);
  int64_t most = qn_attr_of(op, "window") ? s.kernel - 1 : QN_MAX_COUNT;
  if (padding->mode == QN_PADDING_explicit &&
      (s.before < 0 || s.after < 0 || s.before > most || s.after > most))
    FAIL("padding must be 0..%lld, got %lld and %lld for %s", NUM(most), NUM(s.before),
         NUM(s.after), what);
  if (s.out < 1)
    FAIL("window of %lld %s does not fit the input's %lld padded by %lld and %lld", NUM(extent),
         what, NUM(s.in), NUM(s.before), NUM(s.after));
  *out = s;
  return QN_OK;
}

/* The padded input is no larger than a tensor may be, so that the kernels' int32 count every tap,
 * outside ones included. */
static qn_status infer_window(qn_module *m, qn_op *op, int64_t channels) {
  const qn_type *x = type_of(op, 0);
  span rows, columns;
  QN_TRY(infer_span(m, op, 0, &rows));
  QN_TRY(infer_span(m, op, 1, &columns));
  int64_t padded[4] = {x->dim[0], rows.before + rows.in + rows.after,
                       columns.before + columns.in + columns.after, x->dim[3]};
  int64_t count;
  if (!qn_checked_count(padded, 4, &count))
    FAIL("%s padded to %lld rows and %lld columns has more than %lld elements", text(m, x),
         NUM(padded[1]), NUM(padded[2]), NUM(QN_MAX_COUNT));
  set_dims(op, 4, (int64_t[]){x->dim[0], rows.out, columns.out, channels});
  return QN_OK;
}

/* Dense: a 1x1 window over its rows. */
static qn_window dense_window(const qn_op *op) {
  const qn_type *x = type_of(op, 0), *w = type_of(op, 1);
  int32_t rows = (int32_t)(qn_count(x) / w->dim[1]);
  return (qn_window){.batch = 1,
                     .in_h = rows,
                     .in_w = 1,
                     .in_c = (int32_t)w->dim[1],
                     .out_h = rows,
                     .out_w = 1,
                     .out_c = (int32_t)w->dim[0],
                     .kernel_h = 1,
                     .kernel_w = 1,
                     .stride_h = 1,
                     .stride_w = 1,
                     .dilation_h = 1,
                     .dilation_w = 1,
                     .groups = 1};
}

qn_window qn_window_of(const qn_op *op) {
  if (op->code == QN_OP_dense || op->code == QN_OP_qdense || op->code == QN_OP_dynamic_dense)
    return dense_window(op);
  const qn_type *x = type_of(op, 0);
  span rows = read_span(op, 0), columns = read_span(op, 1);
  resolve_span(qn_attr_of(op, "padding"), 0, &rows);
  resolve_span(qn_attr_of(op, "padding"), 1, &columns);
  int64_t out_c = x->dim[3], groups = 1;
  if (qn_attr_of(op, "groups")) {
    out_c = type_of(op, 1)->dim[0];
    groups = *(const int32_t *)qn_attr_of(op, "groups");
  } else if (!qn_attr_of(op, "window")) {
    out_c = type_of(op, 1)->dim[3];
    groups = x->dim[3];
  }
  return (qn_window){.batch = (int32_t)x->dim[0],
                     .in_h = (int32_t)rows.in,
                     .in_w = (int32_t)columns.in,
                     .in_c = (int32_t)x->dim[3],
                     .out_h = (int32_t)rows.out,
                     .out_w = (int32_t)columns.out,
                     .out_c = (int32_t)out_c,
                     .kernel_h = (int32_t)rows.kernel,
                     .kernel_w = (int32_t)columns.kernel,
                     .stride_h = (int32_t)rows.stride,
                     .stride_w = (int32_t)columns.stride,
                     .dilation_h = (int32_t)rows.dilation,
                     .dilation_w = (int32_t)columns.dilation,
                     .top = (int32_t)rows.before,
                     .left = (int32_t)columns.before,
                     .groups = (int32_t)groups};
}

/* Bias, multipliers and shifts of an op with `channels` results per pixel. Contract float has f32
 * multipliers and no shifts; mulhi may leave out shifts of 0. */
static qn_status check_scaling(qn_module *m, const qn_op *op, int64_t channels) {
  const qn_contract *contract = qn_attr_of(op, "contract");
  QN_TRY(check_vector(m, op, 2, "bias", contract ? type_of(op, 2)->elem : QN_f32, channels));
  if (!contract) return QN_OK;
  const qn_type *mul = type_of(op, 3);
  const char *word = qn_attr_words(QN_ATTR_contract, (int)*contract);
  bool is_float = *contract == QN_CONTRACT_float;
  const char *elem = qn_elem_name(is_float ? QN_f32 : QN_i32);
  if (mul->rank != 1 || (mul->dim[0] != 1 && mul->dim[0] != channels))
    FAIL("mul must be %s[%lld] or %s[1], got %s", elem, NUM(channels), elem, text(m, mul));
  if (mul->elem != (is_float ? QN_f32 : QN_i32))
    FAIL("mul must be %s under the contract %s, got %s", elem, word, text(m, mul));
  if (op->in_count < 5 && !is_float && *contract != QN_CONTRACT_mulhi)
    FAIL("the contract %s needs shr as operand 5, got %d operands", word, op->in_count);
  if (op->in_count == 5 && is_float) FAIL("the contract float takes no shr, got 5 operands");
  return check_vector(m, op, 4, "shr", QN_i8, mul->dim[0]);
}

static qn_status infer_conv(qn_module *m, qn_op *op) {
  QN_TRY(check_rank(m, op, 0, "input", 4));
  QN_TRY(check_rank(m, op, 1, "weights", 4));
  const qn_type *x = type_of(op, 0), *w = type_of(op, 1);
  int32_t groups = *(const int32_t *)qn_attr_of(op, "groups");
  if (groups < 1) FAIL("groups must be at least 1, got %d", groups);
  if (x->dim[3] != w->dim[3] * groups)
    FAIL("input has %lld channels, weights take %lld x %d groups", NUM(x->dim[3]), NUM(w->dim[3]),
         groups);
  if (w->dim[0] % groups != 0)
    FAIL("%lld output channels cannot be split into %d groups", NUM(w->dim[0]), groups);
  QN_TRY(check_scaling(m, op, w->dim[0]));
  return infer_window(m, op, w->dim[0]);
}

static qn_status infer_depthwise(qn_module *m, qn_op *op) {
  QN_TRY(check_rank(m, op, 0, "input", 4));
  QN_TRY(check_rank(m, op, 1, "weights", 4));
  const qn_type *x = type_of(op, 0), *w = type_of(op, 1);
  if (w->dim[0] != 1) FAIL("first dim of the weights must be 1, got %s", text(m, w));
  if (w->dim[3] % x->dim[3] != 0)
    FAIL("input has %lld channels, weights have %lld, which is no multiple", NUM(x->dim[3]),
         NUM(w->dim[3]));
  QN_TRY(check_scaling(m, op, w->dim[3]));
  return infer_window(m, op, w->dim[3]);
}

static qn_status infer_dense(qn_module *m, qn_op *op) {
  QN_TRY(check_rank(m, op, 1, "weights", 2));
  const qn_type *x = type_of(op, 0), *w = type_of(op, 1);
  if (x->rank < 1) FAIL("input must have at least 1 dim, got %s", text(m, x));
  if (x->dim[x->rank - 1] != w->dim[1])
    FAIL("last dim of the input is %lld, weights take %lld", NUM(x->dim[x->rank - 1]),
         NUM(w->dim[1]));
  QN_TRY(check_scaling(m, op, w->dim[0]));
  int64_t dim[QN_MAX_RANK];
  memcpy(dim, x->dim, sizeof dim);
  dim[x->rank - 1] = w->dim[0];
  set_dims(op, x->rank, dim);
  return QN_OK;
}

static qn_status infer_pool(qn_module *m, qn_op *op) {
  QN_TRY(check_rank(m, op, 0, "input", 4));
  return infer_window(m, op, type_of(op, 0)->dim[3]);
}

/* ------------------------------------------------------------------ matmul, elementwise */

/* a [...,M,K], b [...,K,N]: the batch dims are the same, or all 1 on one side. */
static qn_status infer_matmul(qn_module *m, qn_op *op) {
  const qn_type *a = type_of(op, 0), *b = type_of(op, 1);
  if (a->rank < 2 || b->rank < 2)
    FAIL("operands must have at least 2 dims, got %s and %s", text(m, a), text(m, b));
  int turned = *(const bool *)qn_attr_of(op, "transpose_b");
  int64_t k = b->dim[b->rank - 2 + turned], n = b->dim[b->rank - 1 - turned];
  if (a->dim[a->rank - 1] != k)
    FAIL("inner dims differ: %lld of %s and %lld of %s", NUM(a->dim[a->rank - 1]), text(m, a),
         NUM(k), text(m, b));
  int rank = a->rank > b->rank ? a->rank : b->rank;
  int64_t dim[QN_MAX_RANK];
  bool same = true, a_once = true, b_once = true;
  for (int i = 0; i < rank - 2; i++) {
    int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
    int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
    same &= da == db;
    a_once &= da == 1;
    b_once &= db == 1;
    dim[i] = da > db ? da : db;
  }
  if (!same && !a_once && !b_once)
    FAIL("batch dims must be the same or all 1 on one side, got %s and %s", text(m, a), text(m, b));
  dim[rank - 2] = a->dim[a->rank - 2];
  dim[rank - 1] = n;
  set_dims(op, rank, dim);
  return QN_OK;
}

static qn_status infer_broadcast(qn_module *m, qn_op *op) {
  const qn_type *a = type_of(op, 0), *b = type_of(op, 1);
  int rank = a->rank > b->rank ? a->rank : b->rank;
  int64_t dim[QN_MAX_RANK];
  for (int i = 0; i < rank; i++) {
    int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
    int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
    if (da != db && da != 1 && db != 1)
      FAIL("%s and %s cannot be broadcast together", text(m, a), text(m, b));
    dim[i] = da == 1 ? db : da;
  }
  set_dims(op, rank, dim);
  return QN_OK;
}

static qn_status infer_same(qn_module *m, qn_op *op) {
  const qn_type *x = type_of(op, 0);
  bool by_rows = op->code == QN_OP_softmax || op->code == QN_OP_qsoftmax;
  if (by_rows && x->rank < 1) FAIL("input must have at least 1 dim, got %s", text(m, x));
  set_dims(op, x->rank, x->dim);
  return QN_OK;
}

/* u8 and i8, the zero points 128 apart as the elements are. */
static qn_status infer_flip_sign(qn_module *m, qn_op *op) {
  const qn_type *x = type_of(op, 0), *y = &op->out->type;
  bool from_u8 = x->elem == QN_u8 && y->elem == QN_i8, to_u8 = x->elem == QN_i8 && y->elem == QN_u8;
  bool one_scale = x->q.on && y->q.on && !x->q.scales && !y->q.scales && x->q.scale == y->q.scale;
  int64_t change = (int64_t)y->q.zero - x->q.zero;
  if (!one_scale || !(from_u8 || to_u8) || change != (from_u8 ? -128 : 128))
    FAIL("of u8 and i8 with the same scale and zeros 128 apart one must become the other, got %s "
         "and %s",
         text(m, x), text(m, y));
  set_dims(op, x->rank, x->dim);
  return QN_OK;
}

/* x [...,C]; every other operand is [C]. */
static qn_status infer_channels(qn_module *m, qn_op *op) {
  static const char *const names[] = {"mean", "var", "gamma", "beta"};
  const qn_type *x = type_of(op, 0);
  if (x->rank < 1) FAIL("input must have at least 1 dim, got %s", text(m, x));
  for (int i = 1; i < op->in_count; i++)
    QN_TRY(check_vector(m, op, i, names[i - 1], QN_f32, x->dim[x->rank - 1]));
  set_dims(op, x->rank, x->dim);
  return QN_OK;
}

static qn_status infer_mean(qn_module *m, qn_op *op) {
  const qn_type *x = type_of(op, 0);
  const qn_list *axes = qn_attr_of(op, "axes");
  bool keep = *(const bool *)qn_attr_of(op, "keep_dims"), gone[QN_MAX_RANK] = {false};
  if (axes->count < 1) FAIL("axes must name at least 1 dim, got none");
  for (int i = 0; i < axes->count; i++) {
    int axis;
    QN_TRY(normalize_axis(m, op, axes->at[i], x->rank, &axis));
    if (gone[axis]) FAIL("axis %d is named twice in axes", axis);
    gone[axis] = true;
  }
  int64_t dim[QN_MAX_RANK];
  int rank = 0;
  for (int i = 0; i < x->rank; i++) {
    if (!gone[i] || keep) dim[rank++] = gone[i] ? 1 : x->dim[i];
  }
  set_dims(op, rank, dim);
  return QN_OK;
}

/* ------------------------------------------------------------------ movement */

/* A list attribute with one number per dim of x. */
static qn_status check_list(qn_module *m, const qn_op *op, const char *name, const qn_list *list) {
  if (list->count == type_of(op, 0)->rank) return QN_OK;
  FAIL("%s has %d numbers, input is %s", name, list->count, text(m, type_of(op, 0)));
}

static qn_status infer_pad(qn_module *m, qn_op *op) {
  const qn_type *x = type_of(op, 0);
  const qn_list *before = &op->a.pad.before, *after = &op->a.pad.after;
  QN_TRY(check_list(m, op, "before", before));
  QN_TRY(check_list(m, op, "after", after));
  int64_t dim[QN_MAX_RANK];
  for (int i = 0; i < x->rank; i++) {
    if (before->at[i] < 0 || after->at[i] < 0)
      FAIL("before and after must be at least 0, got %d and %d for dim %d", before->at[i],
           after->at[i], i);
    dim[i] = x->dim[i] + before->at[i] + after->at[i];
  }
  set_dims(op, x->rank, dim);
  return QN_OK;
}

static qn_status infer_concat(qn_module *m, qn_op *op) {
  const qn_type *x = type_of(op, 0);
  int axis;
  QN_TRY(normalize_axis(m, op, op->a.concat.axis, x->rank, &axis));
  int64_t dim[QN_MAX_RANK];
  memcpy(dim, x->dim, sizeof dim);
  for (int i = 1; i < op->in_count; i++) {
    const qn_type *t = type_of(op, i);
    bool fits = t->rank == x->rank;
    for (int d = 0; fits && d < x->rank; d++) fits = d == axis || t->dim[d] == x->dim[d];
    if (!fits)
      FAIL("operands may differ in dim %d only, got %s and %s", axis, text(m, x), text(m, t));
    if (t->elem != x->elem || !qn_same_quant(&t->q, &x->q))
      FAIL("operands must agree in element and scale, got %s and %s", text(m, x), text(m, t));
    dim[axis] += t->dim[axis];
  }
  set_dims(op, x->rank, dim);
  return QN_OK;
}

static qn_status infer_slice(qn_module *m, qn_op *op) {
  const qn_type *x = type_of(op, 0);
  const qn_list *begin = &op->a.slice.begin, *size = &op->a.slice.size, *steps = &op->a.slice.step;
  QN_TRY(check_list(m, op, "begin", begin));
  QN_TRY(check_list(m, op, "size", size));
  if (steps->count != 0) QN_TRY(check_list(m, op, "step", steps));
  int64_t dim[QN_MAX_RANK];
  for (int i = 0; i < x->rank; i++) {
    int64_t from = begin->at[i], step = steps->count ? steps->at[i] : 1;
    if (from < 0 || from >= x->dim[i])
      FAIL("begin must be 0..%lld, got %lld for dim %d", NUM(x->dim[i] - 1), NUM(from), i);
    if (step < 1) FAIL("step must be at least 1, got %lld for dim %d", NUM(step), i);
    int64_t most = (x->dim[i] - from + step - 1) / step;
    dim[i] = size->at[i] == -1 ? most : size->at[i];
    if (dim[i] < 1 || dim[i] > most)
      FAIL("size must be 1..%lld or -1, got %d for dim %d", NUM(most), size->at[i], i);
  }
  set_dims(op, x->rank, dim);
  return QN_OK;
}

static qn_status infer_reshape(qn_module *m, qn_op *op) {
  const qn_type *x = type_of(op, 0);
  const qn_list *shape = &op->a.reshape.shape;
  int64_t dim[QN_MAX_RANK], known = 1, count = qn_count(x);
  int open = -1;
  for (int i = 0; i < shape->count; i++) {
    dim[i] = shape->at[i];
    if (dim[i] == -1 && open >= 0) FAIL("shape may hold one -1, got two");
    if (dim[i] == -1) open = i;
    if (dim[i] != -1 && dim[i] < 1)
      FAIL("shape must hold dims of at least 1 or -1, got %lld", NUM(dim[i]));
    if (dim[i] > 0 && known <= count) known *= dim[i]; /* stops above count: no overflow */
  }
  if (open >= 0) {
    dim[open] = count / known;
    known *= dim[open];
  }
  if (known != count) {
    FAIL("shape does not hold the %lld elements of %s", NUM(count), text(m, x));
  }
  set_dims(op, shape->count, dim);
  return QN_OK;
}

static qn_status infer_flatten(qn_module *m, qn_op *op) {
  const qn_type *x = type_of(op, 0);
  if (x->rank < 1) FAIL("input must have at least 1 dim, got %s", text(m, x));
  set_dims(op, 2, (int64_t[]){x->dim[0], qn_count(x) / x->dim[0]});
  return QN_OK;
}

static qn_status infer_transpose(qn_module *m, qn_op *op) {
  const qn_type *x = type_of(op, 0);
  const qn_list *perm = &op->a.transpose.perm;
  QN_TRY(check_list(m, op, "perm", perm));
  int64_t dim[QN_MAX_RANK];
  bool used[QN_MAX_RANK] = {false};
  for (int i = 0; i < x->rank; i++) {
    int32_t from = perm->at[i];
    if (from < 0 || from >= x->rank || used[from])
      FAIL("perm must hold each of 0..%d once, got %d at %d", x->rank - 1, from, i);
    used[from] = true;
    dim[i] = x->dim[from];
  }
  set_dims(op, x->rank, dim);
  return QN_OK;
}

/* ------------------------------------------------------------------ all ops */

/* Element and quantization of the result, as far as the signature fixes them. */
static qn_status set_element(qn_module *m, qn_op *op) {
  qn_type *y = &op->out->type;
  const char *result = strchr(qn_ops[op->code].sig, ':');
  switch (result ? result[1] : 0) {
  case 'f':
    y->elem = QN_f32;
    y->q = (qn_quant){0};
    return QN_OK;
  case 'i':
    y->elem = QN_i32;
    y->q = (qn_quant){0};
    return QN_OK;
  case 'h': y->elem = type_of(op, 0)->elem; return QN_OK;
  case '*':
  case 'a':
    if (type_of(op, 0)->q.on && type_of(op, 0)->q.scales)
      FAIL("input has one scale per channel, %s takes one scale", qn_ops[op->code].name);
    y->elem = type_of(op, 0)->elem;
    y->q = type_of(op, 0)->q;
    return QN_OK;
  default: return QN_OK;
  }
}

static qn_status (*const infer_ops[QN_OP_COUNT])(qn_module *, qn_op *) = {
#define QN_OP(name, operands, sig, attrs, infer, bind, fuse, doc) [QN_OP_##name] = infer_##infer,
#include "ops.def"
};

qn_status qn_infer(qn_module *m, qn_op *op) {
  int least = qn_min_operands(op->code), most = qn_max_operands(op->code);
  if (op->in_count < least || op->in_count > most) {
    const char *name = qn_ops[op->code].name;
    if (least == most) FAIL("%s takes %d operands, got %d", name, least, op->in_count);
    FAIL("%s takes %d to %d operands, got %d", name, least, most, op->in_count);
  }
  int64_t count;
  for (int i = 0; i < op->in_count; i++) {
    if (!qn_checked_count(type_of(op, i)->dim, type_of(op, i)->rank, &count))
      FAIL("operand %d does not have 1 to %lld elements: %s", i + 1, NUM(QN_MAX_COUNT),
           text(m, type_of(op, i)));
  }
  QN_TRY(infer_ops[op->code](m, op));
  const qn_type *y = &op->out->type;
  if (!qn_checked_count(y->dim, y->rank, &count))
    FAIL("result has more than %lld elements", NUM(QN_MAX_COUNT));
  return set_element(m, op);
}
