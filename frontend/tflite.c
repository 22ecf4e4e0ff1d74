/* A TFLite file -> a module of float ops with dequantize and quantize around them.
 *
 * The file is a FlatBuffer (flatbuffer.h) of version 3 of TFLite's schema: operator codes,
 * buffers, and one subgraph of tensors and operators in the order in which they run. This file
 * reads all but the operators: tensors become parameters of @main, constants (copied, so that they
 * are aligned) or results of layers. Parameters and results keep their names; constants, whose
 * names in the file often are those of an activation, are named after the operator that uses them
 * first: y.w, y.b. Tensors are only judged when something uses them.
 *
 * Field numbers are the positions in schema.fbs. No recursion, no table deeper than the schema's,
 * and nothing allocated beyond a fixed multiple of the file's size. */
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include "tflite.h"

enum { SCHEMA_VERSION = 3, KEPT_NAME = 64, SHOWN_TENSORS = 6 };
enum { TFLITE_FLOAT32 = 0, TFLITE_INT32 = 2, TFLITE_INT8 = 9, TFLITE_CUSTOM = 32 };

static const struct {
  int code;
  const char *name;
} type_names[] = {
#define QN_TFLITE_TYPE(code, name) {code, #name},
#include "tflite.def"
};

const char *qn_tflite_type_name(int code) {
  for (size_t i = 0; i < sizeof type_names / sizeof type_names[0]; i++)
    if (type_names[i].code == code) return type_names[i].name;
  return "unknown";
}

/* ------------------------------------------------------------------ messages */

static const char *tensor_text(qn_arena *a, const qn_tflite_tensor *t) {
  char dims[16 * QN_MAX_RANK] = "";
  for (int i = 0; i < t->rank && i < QN_MAX_RANK; i++) {
    size_t used = strlen(dims);
    snprintf(dims + used, sizeof dims - used, i ? ",%d" : "%d", t->dim[i]);
  }
  return qn_format(a, "%s[%s%s]", qn_tflite_type_name(t->code), dims,
                   t->rank > QN_MAX_RANK ? ",..." : "");
}

static const char *list_tensors(const qn_tflite_node *n, const qn_fb_vector *v) {
  qn_arena *a = &n->r->m->arena;
  const char *text = "";
  for (uint32_t i = 0; i < v->count && i < SHOWN_TENSORS; i++) {
    int64_t index = qn_fb_int_at(&n->r->fb, v, i);
    const char *one = index < 0 ? "none" : tensor_text(a, &n->r->tensors[index]);
    text = i ? qn_format(a, "%s, %s", text, one) : one;
  }
  return v->count > SHOWN_TENSORS ? qn_format(a, "%s, ...", text) : text;
}

const char *qn_tflite_describe(const qn_tflite_node *n) {
  return qn_format(&n->r->m->arena, "operator %u, %s (%s -> %s)", n->index, n->name,
                   list_tensors(n, &n->in), list_tensors(n, &n->out));
}

qn_status qn_tflite_error(const qn_tflite_node *n, const char *format, ...) {
  QN_TRY(n->r->fb.status); /* it is what went wrong first */
  char text[400];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return qn_error(n->r->fb.src, n->loc, "%s: %s", qn_tflite_describe(n), text);
}

QN_PRINTF(3, 4)
static qn_status tensor_error(const qn_tflite *r, const qn_tflite_tensor *t, const char *format,
                              ...) {
  char text[300];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return qn_error(r->fb.src, t->loc, "tensor '%s' (%s) %s", t->name, tensor_text(&r->m->arena, t),
                  text);
}

/* ------------------------------------------------------------------ tensors as the file has them
 */

/* A tensor made of several by the converter is named after all of them, separated by ';': the first
 * is enough. Letters that the IR does not have are replaced where values get their names. */
static const char *short_name(qn_tflite *r, const qn_fb_vector *v, uint32_t index) {
  const char *text = r->fb.src->text + v->at;
  size_t size = 0;
  while (size < v->count && size < KEPT_NAME && text[size] != ';') size++;
  if (size == 0) return qn_format(&r->m->arena, "tensor_%u", index);
  return qn_strndup(&r->m->arena, text, size);
}

/* Where the elements are: in the buffer's table, or, in files above 2 GB, at a place of the file.
 */
static void find_data(qn_tflite *r, qn_tflite_tensor *t, const qn_fb_vector *buffers) {
  qn_fb_table buffer = qn_fb_table_at(&r->fb, buffers, t->buffer);
  qn_fb_vector data = qn_fb_list(&r->fb, &buffer, 0, 1);
  uint64_t at = qn_fb_uint(&r->fb, &buffer, 1, 8, 0), size = qn_fb_uint(&r->fb, &buffer, 2, 8, 0);
  t->at = data.at;
  t->size = data.count;
  if (data.count > 0 || at <= 1 || r->fb.status != QN_OK) return;
  if (at > r->fb.src->size || size > r->fb.src->size - at) {
    r->fb.status = tensor_error(r, t, "has %llu bytes of data at byte %llu of a file of %zu bytes",
                                (unsigned long long)size, (unsigned long long)at, r->fb.src->size);
    return;
  }
  t->at = (size_t)at;
  t->size = (size_t)size;
}

static void read_quantization(qn_tflite *r, qn_tflite_tensor *t, const qn_fb_table *table) {
  qn_fb_table q = qn_fb_child(&r->fb, table, 4);
  t->scales = qn_fb_list(&r->fb, &q, 2, 4);
  t->zeros = qn_fb_list(&r->fb, &q, 3, 8);
  t->has_custom_quant = qn_fb_uint(&r->fb, &q, 4, 1, 0) != 0;
  t->axis = (int32_t)qn_fb_int(&r->fb, &q, 6, 4, 0);
  r->scale_count += t->scales.count;
}

static qn_status read_tensor(qn_tflite *r, const qn_fb_table *table, uint32_t index,
                             const qn_fb_vector *buffers) {
  qn_fb *fb = &r->fb;
  qn_tflite_tensor *t = &r->tensors[index];
  t->loc = qn_byte(table->at);
  qn_fb_vector shape = qn_fb_list(fb, table, 0, 4), name = qn_fb_list(fb, table, 3, 1);
  t->name = short_name(r, &name, index);
  t->code = (int)qn_fb_int(fb, table, 1, 1, 0);
  t->rank = shape.count > QN_MAX_RANK ? QN_MAX_RANK + 1 : (int)shape.count;
  for (int i = 0; i < t->rank && i < QN_MAX_RANK; i++)
    t->dim[i] = (int32_t)qn_fb_int_at(fb, &shape, (uint32_t)i);
  t->buffer = (uint32_t)qn_fb_uint(fb, table, 2, 4, 0);
  t->is_variable = qn_fb_uint(fb, table, 5, 1, 0) != 0;
  t->is_sparse = qn_fb_child(fb, table, 6).at != 0;
  read_quantization(r, t, table);
  if (fb->status == QN_OK && t->buffer >= buffers->count)
    return tensor_error(r, t, "is in buffer %u, the file has %u", t->buffer, buffers->count);
  if (fb->status == QN_OK) find_data(r, t, buffers);
  t->is_const = t->size > 0;
  if (fb->status == QN_OK && r->scale_count > (int64_t)(fb->src->size / 4))
    return tensor_error(r, t, "shares its scales with others, more than the file can hold");
  return fb->status;
}

static qn_status read_tensors(qn_tflite *r, const qn_fb_table *graph, const qn_fb_vector *buffers) {
  qn_fb_vector tables = qn_fb_list(&r->fb, graph, 0, 4);
  QN_TRY(r->fb.status);
  if (tables.count > QN_MAX_OPS)
    return qn_error(r->fb.src, qn_byte(tables.at), "%u tensors, at most %d are taken", tables.count,
                    QN_MAX_OPS);
  r->tensor_count = tables.count;
  r->tensors = qn_alloc(&r->m->arena, tables.count * sizeof *r->tensors);
  for (uint32_t i = 0; i < tables.count; i++) {
    qn_fb_table table = qn_fb_table_at(&r->fb, &tables, i);
    QN_TRY(read_tensor(r, &table, i, buffers));
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ tensors as values */

static qn_status check_support(const qn_tflite *r, const qn_tflite_tensor *t) {
  if (t->is_variable)
    return tensor_error(r, t, "is a variable: a network's state is not supported");
  if (t->is_sparse) return tensor_error(r, t, "is sparse: only dense tensors are supported");
  if (t->rank > QN_MAX_RANK) return tensor_error(r, t, "has more than %d dims", QN_MAX_RANK);
  if (t->code != TFLITE_FLOAT32 && t->code != TFLITE_INT8 &&
      !(t->code == TFLITE_INT32 && t->is_const))
    return tensor_error(r, t,
                        "is neither float32 nor int8: other element types are only supported for "
                        "int32 biases and for shapes");
  if (t->code != TFLITE_FLOAT32 && t->has_custom_quant)
    return tensor_error(r, t, "has a quantization of its own kind: only scales are supported");
  return QN_OK;
}

static qn_status check_scale(const qn_tflite *r, const qn_tflite_tensor *t, uint32_t i) {
  float scale = qn_fb_float_at(&r->fb, &t->scales, i);
  if (!isfinite(scale) || scale <= 0)
    return tensor_error(r, t, "has the scale %g at %u: it must be positive", (double)scale, i);
  if (t->zeros.count == 0) return QN_OK;
  int64_t zero = qn_fb_int_at(&r->fb, &t->zeros, i);
  bool one = t->scales.count == 1 && t->code == TFLITE_INT8;
  if (one ? zero < INT8_MIN || zero > INT8_MAX : zero != 0)
    return tensor_error(r, t, "has the zero point %lld at %u: it must be %s", (long long)zero, i,
                        one ? "-128 to 127" : "0");
  return QN_OK;
}

/* The scales' axis; of biases, which have one dim, some converters write the weights' axis. */
static int scale_axis(const qn_tflite_tensor *t) { return t->rank == 1 ? 0 : t->axis; }

static qn_status check_quantization(const qn_tflite *r, const qn_tflite_tensor *t) {
  uint32_t count = t->scales.count;
  if (count == 0) return tensor_error(r, t, "has no scale");
  if (t->zeros.count != count && t->zeros.count != 0)
    return tensor_error(r, t, "has %u scales and %u zero points", count, t->zeros.count);
  if (count > 1) {
    int axis = scale_axis(t);
    if (!t->is_const) return tensor_error(r, t, "has %u scales: only constants may", count);
    if (axis < 0 || axis >= t->rank)
      return tensor_error(r, t, "has a scale for each index of axis %d", axis);
    if (count != (uint32_t)t->dim[axis])
      return tensor_error(r, t, "has %u scales for axis %d", count, axis);
  }
  for (uint32_t i = 0; i < count; i++) QN_TRY(check_scale(r, t, i));
  return QN_OK;
}

qn_status qn_tflite_type_of(qn_tflite *r, const qn_tflite_tensor *t, qn_type *out) {
  QN_TRY(r->fb.status);
  QN_TRY(check_support(r, t));
  int64_t dim[QN_MAX_RANK], count;
  for (int i = 0; i < t->rank; i++) dim[i] = t->dim[i];
  if (!qn_checked_count(dim, t->rank, &count))
    return tensor_error(r, t, "must have fixed dims, each at least 1, and at most %lld elements",
                        (long long)QN_MAX_COUNT);
  qn_elem elem = t->code == TFLITE_FLOAT32 ? QN_f32 : t->code == TFLITE_INT8 ? QN_i8 : QN_i32;
  *out = qn_make_type(elem, t->rank, dim);
  if (elem == QN_f32) return QN_OK;
  QN_TRY(check_quantization(r, t));
  out->q.on = true;
  out->q.scale = qn_fb_float_at(&r->fb, &t->scales, 0);
  out->q.zero = t->zeros.count ? (int32_t)qn_fb_int_at(&r->fb, &t->zeros, 0) : 0;
  return QN_OK;
}

static void add_scales(qn_tflite *r, const qn_tflite_tensor *t, const char *name, qn_quant *q) {
  float *scales = qn_alloc(&r->m->arena, t->scales.count * sizeof *scales);
  for (uint32_t i = 0; i < t->scales.count; i++) scales[i] = qn_fb_float_at(&r->fb, &t->scales, i);
  int64_t dim = t->scales.count;
  qn_type type = qn_make_type(QN_f32, 1, &dim);
  q->scale = 0;
  q->axis = scale_axis(t);
  q->scales = qn_add_const(r->m, qn_format(&r->m->arena, "%s.s", name), &type, scales);
  q->scales->loc = t->loc;
}

static qn_status add_constant(qn_tflite *r, qn_tflite_tensor *t, const char *name) {
  qn_type type;
  QN_TRY(qn_tflite_type_of(r, t, &type));
  if ((int64_t)t->size != qn_bytes(&type))
    return tensor_error(r, t, "takes %lld bytes, its buffer has %zu", (long long)qn_bytes(&type),
                        t->size);
  if (t->scales.count > 1 && type.q.on) add_scales(r, t, name, &type.q);
  if (!r->buffers[t->buffer]) {
    r->copied += t->size;
    if (r->copied > r->fb.src->size)
      return tensor_error(r, t, "shares its data with others, more than the file can hold");
    void *copy = qn_alloc(&r->m->arena, t->size);
    memcpy(copy, r->fb.src->text + t->at, t->size);
    r->buffers[t->buffer] = copy;
  }
  t->value = qn_add_const(r->m, name, &type, r->buffers[t->buffer]);
  t->value->loc = t->loc;
  return QN_OK;
}

/* `y.w`: the result and the operand's word in ops.def. */
static const char *constant_name(const qn_tflite_node *n, int i) {
  const char *word = qn_ops[n->row->op].operands, *result;
  result = n->r->tensors[qn_fb_int_at(&n->r->fb, &n->out, 0)].name;
  for (; i > 0 && strchr(word, ' '); i--) word = strchr(word, ' ') + 1;
  return qn_format(&n->r->m->arena, "%s.%.*s", result, (int)strcspn(word, " "), word);
}

qn_status qn_tflite_operand(qn_tflite_node *n, int i, qn_value **out) {
  QN_TRY(n->r->fb.status);
  int64_t index = qn_fb_int_at(&n->r->fb, &n->in, (uint32_t)i);
  if (index < 0) return qn_tflite_error(n, "operand %d is left out", i + 1);
  qn_tflite_tensor *t = &n->r->tensors[index];
  if (!t->value && t->is_const) QN_TRY(add_constant(n->r, t, constant_name(n, i)));
  if (!t->value)
    return qn_tflite_error(n, "operand %d, '%s', is used before an operator has computed it", i + 1,
                           t->name);
  *out = t->value;
  return QN_OK;
}

/* ------------------------------------------------------------------ the graph */

/* Tensor numbers of an operator or of the graph. */
static qn_status check_indices(const qn_tflite *r, const qn_fb_vector *v, int64_t least) {
  for (uint32_t i = 0; i < v->count; i++) {
    int64_t index = qn_fb_int_at(&r->fb, v, i);
    if (index < least || index >= r->tensor_count)
      return qn_error(r->fb.src, qn_byte(v->at + 4 * (size_t)i),
                      "tensor number %lld, but there are %u tensors", (long long)index,
                      r->tensor_count);
  }
  return QN_OK;
}

static qn_status read_inputs(qn_tflite *r, const qn_fb_vector *inputs) {
  QN_TRY(check_indices(r, inputs, 0));
  if (inputs->count < 1 || inputs->count > QN_MAX_IN)
    return qn_error(r->fb.src, qn_byte(inputs->at), "%u inputs: 1 to %d are supported",
                    inputs->count, QN_MAX_IN);
  for (uint32_t i = 0; i < inputs->count; i++) {
    qn_tflite_tensor *t = &r->tensors[qn_fb_int_at(&r->fb, inputs, i)];
    if (t->value) return tensor_error(r, t, "is an input twice");
    if (t->is_const) return tensor_error(r, t, "is an input, but has %zu bytes of data", t->size);
    qn_type type;
    QN_TRY(qn_tflite_type_of(r, t, &type));
    t->value = qn_add_param(r->m, r->f, t->name, &type);
    t->value->loc = t->loc;
  }
  return QN_OK;
}

static qn_status read_outputs(qn_tflite *r, const qn_fb_vector *outputs) {
  QN_TRY(check_indices(r, outputs, 0));
  if (outputs->count < 1 || outputs->count > QN_MAX_IN)
    return qn_error(r->fb.src, qn_byte(outputs->at), "%u outputs: 1 to %d are supported",
                    outputs->count, QN_MAX_IN);
  for (uint32_t i = 0; i < outputs->count; i++) {
    qn_tflite_tensor *t = &r->tensors[qn_fb_int_at(&r->fb, outputs, i)];
    if (!t->value && t->is_const) QN_TRY(add_constant(r, t, t->name));
    if (!t->value) return tensor_error(r, t, "is an output, but no operator computes it");
    r->f->results[r->f->result_count++] = t->value;
  }
  return QN_OK;
}

/* The operator's row and name. Old files have the code in the i8 field 0, new ones in the i32 field
 * 3: the larger one counts. */
static qn_status read_code(qn_tflite_node *n, const qn_fb_vector *codes, uint64_t index) {
  qn_fb *fb = &n->r->fb;
  qn_arena *a = &n->r->m->arena;
  if (index >= codes->count)
    return qn_error(fb->src, n->loc, "operator %u has code number %llu, the file has %u", n->index,
                    (unsigned long long)index, codes->count);
  qn_fb_table t = qn_fb_table_at(fb, codes, (uint32_t)index);
  int64_t code = qn_fb_int(fb, &t, 0, 1, 0), wide = qn_fb_int(fb, &t, 3, 4, 0);
  if (wide > code) code = wide;
  n->row = qn_find_tflite_op((int)code);
  n->name = qn_tflite_op_name((int)code);
  if (!n->name) n->name = qn_format(a, "code %lld", (long long)code);
  if (code == TFLITE_CUSTOM) {
    qn_fb_vector name = qn_fb_list(fb, &t, 1, 1);
    int shown = name.count < KEPT_NAME ? (int)name.count : KEPT_NAME;
    n->name = qn_format(a, "CUSTOM '%.*s'", shown, fb->src->text + name.at);
  }
  return fb->status;
}

static qn_status read_operator(qn_tflite *r, const qn_fb_table *t, uint32_t index,
                               const qn_fb_vector *codes) {
  qn_fb *fb = &r->fb;
  qn_tflite_node n = {.r = r, .index = index, .loc = qn_byte(t->at)};
  uint64_t code = qn_fb_uint(fb, t, 0, 4, 0);
  n.in = qn_fb_list(fb, t, 1, 4);
  n.out = qn_fb_list(fb, t, 2, 4);
  uint64_t options = qn_fb_uint(fb, t, 3, 1, 0);
  n.options = qn_fb_child(fb, t, 4);
  QN_TRY(fb->status);
  QN_TRY(check_indices(r, &n.in, -1));
  QN_TRY(check_indices(r, &n.out, 0));
  QN_TRY(read_code(&n, codes, code));
  if (!n.row) return qn_tflite_error(&n, "not supported");
  int least = n.row->least, most = n.row->most;
  if (n.in.count < (uint32_t)least || n.in.count > (uint32_t)most)
    return qn_tflite_error(&n, "takes %d%s operands, got %u", least,
                           least == most ? "" : qn_format(&r->m->arena, " to %d", most),
                           n.in.count);
  if (n.out.count != 1) return qn_tflite_error(&n, "must have one result, got %u", n.out.count);
  if (n.row->options && n.options.at && options != (uint64_t)n.row->options)
    return qn_tflite_error(&n, "has options of kind %llu, they must be of kind %d",
                           (unsigned long long)options, n.row->options);
  return qn_read_tflite_op(&n);
}

static qn_status read_operators(qn_tflite *r, const qn_fb_table *graph, const qn_fb_vector *codes) {
  qn_fb_vector tables = qn_fb_list(&r->fb, graph, 3, 4);
  QN_TRY(r->fb.status);
  if (tables.count > QN_MAX_OPS)
    return qn_error(r->fb.src, qn_byte(tables.at), "%u operators, at most %d are taken",
                    tables.count, QN_MAX_OPS);
  for (uint32_t i = 0; i < tables.count; i++) {
    qn_fb_table table = qn_fb_table_at(&r->fb, &tables, i);
    QN_TRY(r->fb.status);
    QN_TRY(read_operator(r, &table, i, codes));
  }
  return QN_OK;
}

static qn_status read_graph(qn_tflite *r, const qn_fb_table *model) {
  qn_fb *fb = &r->fb;
  qn_fb_vector codes = qn_fb_list(fb, model, 1, 4), graphs = qn_fb_list(fb, model, 2, 4);
  qn_fb_vector buffers = qn_fb_list(fb, model, 4, 4);
  uint64_t version = qn_fb_uint(fb, model, 0, 4, 0);
  QN_TRY(fb->status);
  if (version != SCHEMA_VERSION)
    return qn_error(fb->src, qn_byte(model->at), "schema version %llu: only %d is supported",
                    (unsigned long long)version, SCHEMA_VERSION);
  if (graphs.count != 1)
    return qn_error(fb->src, qn_byte(graphs.at), "%u subgraphs: only one is supported",
                    graphs.count);
  qn_fb_table graph = qn_fb_table_at(fb, &graphs, 0);
  qn_fb_vector inputs = qn_fb_list(fb, &graph, 1, 4), outputs = qn_fb_list(fb, &graph, 2, 4);
  QN_TRY(fb->status);
  r->buffers = qn_alloc(&r->m->arena, buffers.count * sizeof *r->buffers);
  QN_TRY(read_tensors(r, &graph, &buffers));
  QN_TRY(read_inputs(r, &inputs));
  QN_TRY(read_operators(r, &graph, &codes));
  return read_outputs(r, &outputs);
}

qn_status qn_read_tflite(qn_module *m, const qn_source *src) {
  m->src = *src;
  m->src.binary = true;
  m->name = "model";
  qn_tflite r = {.m = m, .fb = {.src = &m->src}};
  qn_fb_table model = qn_fb_root(&r.fb, "TFL3", "TFLite");
  QN_TRY(r.fb.status);
  r.f = qn_add_func(m, "main");
  QN_TRY(read_graph(&r, &model));
  return qn_verify(m);
}
