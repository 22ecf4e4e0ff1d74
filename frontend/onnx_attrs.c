/* A node's attributes by name, and what messages say of a node.
 *
 * An AttributeProto is a name (1), a kind (20) and a value: f (2), i (3), s (4), t (5), floats (7)
 * or ints (8). A file of before the kinds says them by which value is there, so they are not read.
 */
#include <stdarg.h>
#include <string.h>
#include "onnx.h"

enum { NAME = 1, F = 2, I = 3, S = 4, INTS = 8, NODE_ATTRIBUTE = 5, SHOWN_TENSORS = 6 };

/* ------------------------------------------------------------------ messages */

const char *qn_onnx_tensor_text(qn_arena *a, const qn_onnx_tensor *t) {
  char dims[24 * QN_MAX_RANK] = "";
  for (int i = 0; i < t->rank && i < QN_MAX_RANK; i++) {
    size_t used = strlen(dims);
    snprintf(dims + used, sizeof dims - used, i ? ",%lld" : "%lld", (long long)t->dim[i]);
  }
  return qn_format(a, "%s[%s]", qn_onnx_type_name(t->code), dims);
}

const char *qn_onnx_describe(const qn_onnx_node *n) {
  qn_arena *a = &n->r->m->arena;
  if (n->message.size == 0) return qn_format(a, "%s '%s'", n->type, n->in[0]->name); /* an end */
  const char *text = "", *name = n->name[0] ? qn_format(a, " '%s'", n->name) : "";
  for (int i = 0; i < n->in_count && i <= SHOWN_TENSORS; i++) {
    const qn_onnx_tensor *t = n->in[i];
    const char *one = i == SHOWN_TENSORS ? "..."
                      : !t               ? "none"
                      : !t->is_defined   ? t->name
                                         : qn_onnx_tensor_text(a, t);
    text = qn_format(a, i ? "%s, %s" : "%s%s", text, one);
  }
  const char *result = n->out_count && n->out[0] ? n->out[0]->name : "nothing";
  return qn_format(a, "node %u%s, %s (%s -> %s)", n->index, name, n->type, text, result);
}

qn_status qn_onnx_error(const qn_onnx_node *n, const char *format, ...) {
  QN_TRY(n->r->pb.status); /* it is what went wrong first */
  char text[400];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return qn_error(n->r->pb.src, n->loc, "%s: %s", qn_onnx_describe(n), text);
}

/* ------------------------------------------------------------------ attributes */

/* Whether words, separated by spaces, hold the name. */
static bool holds_word(const char *words, const char *name, size_t size) {
  for (const char *w = words; *w; w += strcspn(w, " ")) {
    w += strspn(w, " ");
    if (strcspn(w, " ") == size && memcmp(w, name, size) == 0) return true;
  }
  return false;
}

qn_status qn_onnx_check_attrs(qn_onnx_node *n) {
  qn_pb *pb = &n->r->pb;
  qn_pb_bytes rest = n->message, attr;
  while (qn_pb_next_bytes(pb, &rest, NODE_ATTRIBUTE, &attr)) {
    qn_pb_bytes name = qn_pb_child(pb, attr, NAME);
    QN_TRY(pb->status);
    const char *text = pb->src->text + name.at;
    if (!holds_word(n->row->attrs, text, name.size))
      return qn_onnx_error(n, "the attribute '%s' is not supported", qn_onnx_text_of(n->r, name));
  }
  return pb->status;
}

bool qn_onnx_find_attr(qn_onnx_node *n, const char *name, qn_pb_bytes *out) {
  qn_pb *pb = &n->r->pb;
  qn_pb_bytes rest = n->message, attr;
  while (qn_pb_next_bytes(pb, &rest, NODE_ATTRIBUTE, &attr)) {
    if (!qn_pb_is(pb, qn_pb_child(pb, attr, NAME), name)) continue;
    *out = attr;
    return pb->status == QN_OK;
  }
  return false;
}

bool qn_onnx_has_attr(qn_onnx_node *n, const char *name) {
  qn_pb_bytes attr;
  return qn_onnx_find_attr(n, name, &attr);
}

qn_status qn_onnx_int(qn_onnx_node *n, const char *name, int64_t *out) {
  qn_pb_bytes attr;
  if (!qn_onnx_find_attr(n, name, &attr)) return n->r->pb.status;
  *out = qn_pb_int(&n->r->pb, attr, I, 0); /* some writers leave out a 0 */
  return n->r->pb.status;
}

qn_status qn_onnx_float(qn_onnx_node *n, const char *name, float *out) {
  qn_pb_bytes attr;
  if (!qn_onnx_find_attr(n, name, &attr)) return n->r->pb.status;
  *out = qn_pb_float(&n->r->pb, attr, F, 0);
  return n->r->pb.status;
}

qn_status qn_onnx_text(qn_onnx_node *n, const char *name, qn_pb_bytes *out) {
  qn_pb_bytes attr;
  *out = (qn_pb_bytes){0};
  if (!qn_onnx_find_attr(n, name, &attr)) return n->r->pb.status;
  *out = qn_pb_child(&n->r->pb, attr, S);
  return n->r->pb.status;
}

qn_status qn_onnx_ints(qn_onnx_node *n, const char *name, int most, int32_t *out, int *count) {
  qn_pb_bytes attr;
  if (!qn_onnx_find_attr(n, name, &attr)) return n->r->pb.status;
  qn_pb_list list = qn_pb_open_list(attr, INTS, false);
  uint64_t bits;
  for (*count = 0; qn_pb_next_number(&n->r->pb, &list, &bits); (*count)++) {
    if (*count == most)
      return qn_onnx_error(n, "the attribute '%s' has more than %d numbers", name, most);
    int64_t x = (int64_t)bits;
    if (x < INT32_MIN || x > INT32_MAX)
      return qn_onnx_error(n, "the attribute '%s' holds %lld, which is too large", name,
                           (long long)x);
    out[*count] = (int32_t)x;
  }
  return n->r->pb.status;
}

qn_status qn_onnx_axis(const qn_onnx_node *n, int64_t axis, int rank, int *out) {
  if (axis < -rank || axis >= rank)
    return qn_onnx_error(n, "axis %lld is not within %d dims", (long long)axis, rank);
  *out = (int)(axis < 0 ? axis + rank : axis);
  return QN_OK;
}

qn_status qn_onnx_axes(qn_onnx_node *n, int rank, bool named[QN_MAX_RANK], int *count) {
  int32_t axes[QN_MAX_RANK];
  *count = 0;
  QN_TRY(qn_onnx_ints(n, "axes", QN_MAX_RANK, axes, count));
  if (qn_onnx_is_given(n, 1)) QN_TRY(qn_onnx_numbers(n, 1, QN_MAX_RANK, axes, count));
  for (int i = 0; i < *count; i++) {
    int axis;
    QN_TRY(qn_onnx_axis(n, axes[i], rank, &axis));
    if (named[axis]) return qn_onnx_error(n, "axis %d stands twice", axis);
    named[axis] = true;
  }
  return QN_OK;
}
