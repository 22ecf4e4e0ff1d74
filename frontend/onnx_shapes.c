/* What ONNX files compute of shapes -> constants.
 *
 * Every dim is known here, so Shape is a constant, and what exporters do with it until a Reshape
 * takes it (Gather, Slice, Concat, sums and products, of int32 or int64 lists) is computed as the
 * file is read. Lists are short: at most MOST_INTS numbers. */
#include <string.h>
#include "onnx.h"

enum { MOST_INTS = 1024 };

/* A constant of integers: one number, or a list. */
typedef struct {
  bool is_list;
  int count;
  int64_t at[MOST_INTS];
} ints;

static bool is_ints(const qn_onnx_tensor *t) {
  return qn_onnx_is_const(t) && t->scale_count == 0 && t->rank <= 1 &&
         (t->code == QN_ONNX_INT32 || t->code == QN_ONNX_INT64);
}

static qn_status read_ints(qn_onnx_node *n, int i, ints *out) {
  qn_onnx_tensor *t;
  QN_TRY(qn_onnx_operand(n, i, &t));
  int64_t count = qn_onnx_count(t);
  if (count > MOST_INTS)
    return qn_onnx_error(n, "arithmetic on lists of more than %d integers is not supported",
                         MOST_INTS);
  qn_elem elem = t->code == QN_ONNX_INT32 ? QN_i32 : QN_i64;
  out->is_list = t->rank == 1;
  out->count = (int)count;
  for (int k = 0; k < out->count; k++) out->at[k] = qn_int_at(elem, t->data, k);
  return QN_OK;
}

/* The node's result, of int64; an int32 result is one, too: nothing here tells them apart. */
static qn_status define_ints(qn_onnx_node *n, const ints *list) {
  qn_onnx_tensor *t = n->out[0];
  if (t->is_defined) return qn_onnx_error(n, "the result '%s' is there already", t->name);
  if (list->count < 1) return qn_onnx_error(n, "a list without a number is not supported");
  size_t bytes = (size_t)list->count * sizeof list->at[0];
  QN_TRY(qn_onnx_reserve(n->r, n->in[0], (int64_t)bytes));
  int64_t *data = qn_alloc(&n->r->m->arena, bytes);
  memcpy(data, list->at, bytes);
  t->code = t->stored = QN_ONNX_INT64;
  t->rank = list->is_list;
  t->dim[0] = list->count;
  t->data = data;
  t->loc = n->loc;
  t->is_defined = true;
  return QN_OK;
}

qn_status qn_onnx_read_shape_of(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  ints y = {.is_list = true};
  QN_TRY(qn_onnx_operand(n, 0, &x));
  int64_t start = 0, end = x->rank;
  QN_TRY(qn_onnx_int(n, "start", &start));
  QN_TRY(qn_onnx_int(n, "end", &end));
  if (start < 0) start += x->rank;
  if (end < 0) end += x->rank;
  for (int i = 0; i < x->rank; i++)
    if (i >= start && i < end) y.at[y.count++] = x->dim[i];
  return define_ints(n, &y);
}

/* ------------------------------------------------------------------ on lists */

static qn_status gather(qn_onnx_node *n) {
  ints from, index, y;
  QN_TRY(read_ints(n, 0, &from));
  QN_TRY(read_ints(n, 1, &index));
  y.is_list = index.is_list;
  y.count = index.count;
  for (int i = 0; i < index.count; i++) {
    int64_t at = index.at[i] < 0 ? index.at[i] + from.count : index.at[i];
    if (at < 0 || at >= from.count)
      return qn_onnx_error(n, "index %lld of a list of %d", (long long)index.at[i], from.count);
    y.at[i] = from.at[at];
  }
  return define_ints(n, &y);
}

static qn_status concat(qn_onnx_node *n) {
  ints part, y = {.is_list = true};
  for (int i = 0; i < n->in_count; i++) {
    QN_TRY(read_ints(n, i, &part));
    if (y.count + part.count > MOST_INTS)
      return qn_onnx_error(n, "lists of more than %d integers are not supported", MOST_INTS);
    memcpy(y.at + y.count, part.at, (size_t)part.count * sizeof part.at[0]);
    y.count += part.count;
  }
  return define_ints(n, &y);
}

/* Python's rule for one end of a slice with a positive step. */
static int64_t clamp_index(int64_t index, int64_t dim) {
  if (index < 0) index = index < -dim ? 0 : index + dim;
  return index > dim ? dim : index;
}

static qn_status slice(qn_onnx_node *n) {
  ints from, bound[2], step = {.at = {1}}, y = {.is_list = true};
  QN_TRY(read_ints(n, 0, &from));
  for (int i = 0; i < 2; i++) QN_TRY(read_ints(n, 1 + i, &bound[i]));
  if (qn_onnx_is_given(n, 4)) QN_TRY(read_ints(n, 4, &step));
  if (step.at[0] < 1) return qn_onnx_error(n, "steps of %lld", (long long)step.at[0]);
  int64_t end = clamp_index(bound[1].at[0], from.count), by = step.at[0];
  for (int64_t i = clamp_index(bound[0].at[0], from.count); i < end; i += by < end ? by : end)
    y.at[y.count++] = from.at[i];
  return define_ints(n, &y);
}

static qn_status combine(qn_onnx_node *n) {
  ints a, b, y;
  QN_TRY(read_ints(n, 0, &a));
  QN_TRY(read_ints(n, 1, &b));
  if (a.count != b.count && a.count != 1 && b.count != 1)
    return qn_onnx_error(n, "lists of %d and of %d integers", a.count, b.count);
  y.is_list = a.is_list || b.is_list;
  y.count = a.count > b.count ? a.count : b.count;
  for (int i = 0; i < y.count; i++) {
    int64_t p = a.at[a.count == 1 ? 0 : i], q = b.at[b.count == 1 ? 0 : i];
    uint64_t u = (uint64_t)p, v = (uint64_t)q; /* overflow wraps */
    if (strcmp(n->type, "Div") == 0 && (q == 0 || (q == -1 && p == INT64_MIN)))
      return qn_onnx_error(n, "%lld divided by %lld", (long long)p, (long long)q);
    y.at[i] = strcmp(n->type, "Add") == 0   ? (int64_t)(u + v)
              : strcmp(n->type, "Sub") == 0 ? (int64_t)(u - v)
              : strcmp(n->type, "Mul") == 0 ? (int64_t)(u * v)
                                            : p / q;
  }
  return define_ints(n, &y);
}

static qn_status same(qn_onnx_node *n) {
  ints x;
  int64_t to = 0;
  QN_TRY(qn_onnx_int(n, "to", &to));
  if (to != QN_ONNX_INT32 && to != QN_ONNX_INT64)
    return qn_onnx_error(n, "integers can only be cast to int32 and int64");
  QN_TRY(read_ints(n, 0, &x));
  return define_ints(n, &x);
}

static const struct {
  const char *name;
  qn_status (*fold)(qn_onnx_node *n);
} folds[] = {{"Gather", gather}, {"Concat", concat}, {"Slice", slice}, {"Add", combine},
             {"Sub", combine},   {"Mul", combine},   {"Div", combine}, {"Cast", same}};

qn_status qn_onnx_fold_ints(qn_onnx_node *n, bool *done) {
  size_t row = 0, rows = sizeof folds / sizeof folds[0];
  while (row < rows && strcmp(folds[row].name, n->type) != 0) row++;
  *done = false;
  if (row == rows) return QN_OK;
  for (int i = 0; i < n->in_count; i++) {
    qn_onnx_tensor *t;
    if (!n->in[i]) continue;
    QN_TRY(qn_onnx_operand(n, i, &t));
    if (!is_ints(t)) return QN_OK;
  }
  *done = true;
  return folds[row].fold(n);
}
