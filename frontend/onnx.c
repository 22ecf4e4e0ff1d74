/* An ONNX file -> a module of float ops with dequantize and quantize around them.
 *
 * The file is a ModelProto (protobuf.h): the versions of the operator sets that it uses, and a
 * graph of nodes in the order in which they run, which name their operands and results;
 * initializers, named too, are the constants. This file reads all but the nodes' operators: it
 * numbers the names, makes the graph's inputs parameters of @main, and returns its outputs; names
 * and shapes of both are ONNX's. A first dim that is left open, the number of samples, is 1.
 *
 * Field numbers are those of onnx.proto. Nothing recurses, graphs inside nodes are not looked at,
 * and nothing is allocated beyond a fixed multiple of the file's size. */
#include <string.h>
#include "../passes/passes.h"
#include "onnx.h"

enum { OLDEST_OPSET = 7, NEWEST_OPSET = 25, MOST_NAMES = 8 * QN_MAX_OPS };
enum { MODEL_GRAPH = 7, MODEL_OPSET = 8, OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
enum {
  GRAPH_NODE = 1,
  GRAPH_INITIALIZER = 5,
  GRAPH_INPUT = 11,
  GRAPH_OUTPUT = 12,
  GRAPH_SPARSE = 15
};
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP_TYPE = 4, NODE_DOMAIN = 7 };
enum { VALUE_NAME = 1, VALUE_TYPE = 2, TYPE_TENSOR = 1, TENSOR_ELEM = 1, TENSOR_SHAPE = 2 };
enum { SHAPE_DIM = 1, DIM_VALUE = 1, DIM_PARAM = 2, INITIALIZER_NAME = 8 };

static const char *const type_names[] = {"undefined",  "float32", "uint8",  "int8",   "uint16",
                                         "int16",      "int32",   "int64",  "string", "bool",
                                         "float16",    "float64", "uint32", "uint64", "complex64",
                                         "complex128", "bfloat16"};

const char *qn_onnx_type_name(int code) {
  bool known = code >= 0 && code < (int)(sizeof type_names / sizeof type_names[0]);
  return known ? type_names[code] : "unknown";
}

const char *qn_onnx_text_of(qn_onnx *r, qn_pb_bytes text) {
  size_t size = text.size < QN_MAX_NAME ? text.size : QN_MAX_NAME;
  return qn_clean_name(&r->m->arena, qn_strndup(&r->m->arena, r->pb.src->text + text.at, size));
}

/* ------------------------------------------------------------------ names */

static uint32_t hash_text(const qn_onnx *r, qn_pb_bytes text) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < text.size; i++)
    hash = (hash ^ (unsigned char)r->pb.src->text[text.at + i]) * 16777619u;
  return hash;
}

/* The tensor of that name, new or not. Room for all names was made by open_names. */
static qn_onnx_tensor *find_name(qn_onnx *r, qn_pb_bytes text) {
  const char *all = r->pb.src->text;
  uint32_t slot = hash_text(r, text) & r->slot_mask;
  for (; r->slots[slot]; slot = (slot + 1) & r->slot_mask) {
    qn_onnx_tensor *t = &r->tensors[r->slots[slot] - 1];
    if (t->text.size == text.size && memcmp(all + t->text.at, all + text.at, text.size) == 0)
      return t;
  }
  qn_onnx_tensor *t = &r->tensors[r->tensor_count++];
  t->text = text;
  t->name = qn_onnx_text_of(r, text);
  t->loc = qn_byte(text.at);
  r->slots[slot] = r->tensor_count;
  return t;
}

/* Counts what can bring a name and makes room for as many. */
static qn_status open_names(qn_onnx *r) {
  qn_pb *pb = &r->pb;
  qn_pb_bytes rest = r->graph;
  qn_pb_field f, g;
  size_t names = 0, nodes = 0;
  while (qn_pb_next(pb, &rest, &f)) {
    names += f.number == GRAPH_INITIALIZER || f.number == GRAPH_INPUT || f.number == GRAPH_OUTPUT;
    if (f.number != GRAPH_NODE) continue;
    nodes++;
    qn_pb_bytes node = f.bytes;
    while (qn_pb_next(pb, &node, &g)) names += g.number == NODE_INPUT || g.number == NODE_OUTPUT;
  }
  QN_TRY(pb->status);
  if (nodes > QN_MAX_OPS || names > MOST_NAMES)
    return qn_error(pb->src, qn_byte(r->graph.at),
                    "%zu nodes with %zu operands and results, at most %d with %d are taken", nodes,
                    names, QN_MAX_OPS, MOST_NAMES);
  uint32_t slots = 16;
  while (slots < 2 * names) slots *= 2;
  r->tensors = qn_alloc(&r->m->arena, names * sizeof *r->tensors);
  r->slots = qn_alloc(&r->m->arena, slots * sizeof *r->slots);
  r->slot_mask = slots - 1;
  return QN_OK;
}

static qn_status read_initializers(qn_onnx *r) {
  qn_pb *pb = &r->pb;
  qn_pb_bytes rest = r->graph, proto;
  while (qn_pb_next_bytes(pb, &rest, GRAPH_INITIALIZER, &proto)) {
    qn_onnx_tensor *t = find_name(r, qn_pb_child(pb, proto, INITIALIZER_NAME));
    QN_TRY(pb->status);
    if (t->is_defined)
      return qn_error(pb->src, qn_byte(proto.at), "initializer '%s' stands twice", t->name);
    t->loc = qn_byte(proto.at);
    t->proto = proto;
    t->is_defined = true;
    qn_onnx_read_shape(r, t);
  }
  return pb->status;
}

/* ------------------------------------------------------------------ nodes */

enum { TAKES_real = 0, TAKES_stored = 1 };

static const qn_onnx_op rows[] = {
#define QN_ONNX_OP(domain, name, op, takes, read, least, most, results, attrs)                     \
  {domain, #name, QN_OP_##op, TAKES_##takes, least, most, results, attrs, qn_onnx_read_##read},
#include "onnx.def"
};

static const qn_onnx_op *find_row(const qn_pb *pb, qn_pb_bytes domain, qn_pb_bytes type) {
  if (qn_pb_is(pb, domain, "ai.onnx")) domain.size = 0;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (qn_pb_is(pb, domain, rows[i].domain) && qn_pb_is(pb, type, rows[i].name)) return &rows[i];
  return NULL;
}

const qn_onnx_op *qn_onnx_find_op(const char *name) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].domain[0] == '\0' && strcmp(rows[i].name, name) == 0) return &rows[i];
  return NULL;
}

static qn_status read_names(qn_onnx *r, qn_pb_bytes node, int number, qn_onnx_tensor **out,
                            int *count) {
  qn_pb_bytes rest = node, text;
  for (*count = 0; qn_pb_next_bytes(&r->pb, &rest, number, &text); (*count)++) {
    if (*count == QN_MAX_IN)
      return qn_error(r->pb.src, qn_byte(node.at), "a node has more than %d operands or results",
                      QN_MAX_IN);
    out[*count] = text.size ? find_name(r, text) : NULL;
  }
  return r->pb.status;
}

static qn_status open_node(qn_onnx *r, qn_pb_bytes message, uint32_t index, qn_onnx_node *n) {
  qn_pb *pb = &r->pb;
  *n = (qn_onnx_node){.r = r, .index = index, .loc = qn_byte(message.at), .message = message};
  qn_pb_bytes name = qn_pb_child(pb, message, NODE_NAME);
  qn_pb_bytes type = qn_pb_child(pb, message, NODE_OP_TYPE);
  n->name = name.size ? qn_onnx_text_of(r, name) : "";
  n->type = qn_onnx_text_of(r, type);
  n->domain = qn_pb_child(pb, message, NODE_DOMAIN);
  n->row = find_row(pb, n->domain, type);
  QN_TRY(pb->status);
  QN_TRY(read_names(r, message, NODE_INPUT, n->in, &n->in_count));
  return read_names(r, message, NODE_OUTPUT, n->out, &n->out_count);
}

/* ------------------------------------------------------------------ inputs and outputs */

typedef struct {
  qn_onnx_tensor *t;
  qn_pb_bytes message;
  int code, rank;
  int64_t dim[QN_MAX_RANK]; /* -1: open */
} value_info;

/* An open dim, or one that is below 1, is -1. */
static qn_status read_value_info(qn_onnx *r, qn_pb_bytes message, value_info *out) {
  qn_pb *pb = &r->pb;
  *out = (value_info){.message = message};
  out->t = find_name(r, qn_pb_child(pb, message, VALUE_NAME));
  qn_pb_bytes tensor = qn_pb_child(pb, qn_pb_child(pb, message, VALUE_TYPE), TYPE_TENSOR);
  qn_pb_bytes rest = qn_pb_child(pb, tensor, TENSOR_SHAPE), dim;
  QN_TRY(pb->status);
  if (tensor.size == 0)
    return qn_error(pb->src, qn_byte(message.at), "'%s' is no tensor: only tensors are supported",
                    out->t->name);
  out->code = (int)qn_pb_int(pb, tensor, TENSOR_ELEM, 0);
  for (; qn_pb_next_bytes(pb, &rest, SHAPE_DIM, &dim); out->rank++) {
    if (out->rank == QN_MAX_RANK)
      return qn_error(pb->src, qn_byte(message.at), "'%s' has more than %d dims", out->t->name,
                      QN_MAX_RANK);
    int64_t size = qn_pb_int(pb, dim, DIM_VALUE, -1);
    out->dim[out->rank] = size < 1 ? -1 : size;
  }
  return pb->status;
}

/* The number of samples is 1 when it is open. */
static qn_status close_dims(qn_onnx *r, value_info *v) {
  const qn_source *src = r->pb.src;
  qn_loc loc = qn_byte(v->message.at);
  for (int i = 0; i < v->rank; i++) {
    if (v->dim[i] > 0) continue;
    if (i > 0)
      return qn_error(src, loc, "input '%s' leaves dim %d open: only the first one may be",
                      v->t->name, i);
    qn_note(src, loc, "input '%s' leaves its first dim open, which is taken as 1", v->t->name);
    v->dim[i] = 1;
  }
  int64_t count;
  if (!qn_checked_count(v->dim, v->rank, &count))
    return qn_error(src, loc, "input '%s' has more than %lld elements", v->t->name,
                    (long long)QN_MAX_COUNT);
  return QN_OK;
}

/* The node that stands for the graph's ends in messages. */
static qn_onnx_node end_node(qn_onnx *r, const char *type, qn_onnx_tensor *t, qn_loc loc) {
  return (qn_onnx_node){.r = r, .loc = loc, .name = "", .type = type, .in_count = 1, .in = {t}};
}

/* How an input of integers is stored: as the first node says that makes reals of them, or of what
 * only moves them. */
static qn_status find_quant(qn_onnx *r, const qn_onnx_tensor *t, qn_onnx_quant *out, bool *found) {
  qn_pb_bytes rest = r->graph, message;
  const qn_onnx_tensor *now = t;
  *found = false;
  for (uint32_t i = 0; qn_pb_next_bytes(&r->pb, &rest, GRAPH_NODE, &message); i++) {
    qn_onnx_node n;
    QN_TRY(open_node(r, message, i, &n));
    if (!n.row || n.in_count < 1 || n.in[0] != now || !n.row->takes_stored) continue;
    if (n.row->read == qn_onnx_read_dequantize || n.row->read == qn_onnx_read_qlinear) {
      *found = true;
      return qn_onnx_read_quant(&n, 1, t->code, out);
    }
    if (n.out_count > 0 && n.row->read != qn_onnx_read_quantize) now = n.out[0];
  }
  return r->pb.status;
}

/* The parameter. One of uint8 is so for the caller, and int8 for the nodes. */
static qn_status add_input(qn_onnx *r, qn_onnx_tensor *t) {
  const qn_source *src = r->pb.src;
  qn_type type = qn_make_type(QN_f32, t->rank, t->dim);
  bool is_unsigned = t->code == QN_ONNX_UINT8, found;
  qn_onnx_quant q;
  if (is_unsigned || t->code == QN_ONNX_INT8) {
    QN_TRY(find_quant(r, t, &q, &found));
    if (!found || q.count != 1)
      return qn_error(src, t->loc, "input '%s' is %s, and no node says its one scale", t->name,
                      qn_onnx_type_name(t->code));
    type.elem = is_unsigned ? QN_u8 : QN_i8;
    type.q = (qn_quant){.on = true, .scale = q.scales[0], .zero = q.zeros[0]};
  } else if (t->code != QN_ONNX_FLOAT) {
    return qn_error(src, t->loc, "input '%s' is %s: only float32, int8 and uint8 are supported",
                    t->name, qn_onnx_type_name(t->code));
  }
  qn_value *v = qn_add_param(r->m, r->f, t->name, &type);
  v->loc = t->loc;
  if (is_unsigned) {
    qn_onnx_node n = end_node(r, "input", t, t->loc);
    const char *name = qn_format(&r->m->arena, "%s.i8", t->name);
    qn_layer l = {.code = QN_OP_flip_sign, .loc = t->loc, .name = name, .in_count = 1, .in = {v}};
    l.typed = true;
    l.type = (qn_type){.elem = QN_i8, .q = qn_onnx_one_quant(&q)};
    QN_TRY(qn_onnx_add(&n, &l, &v));
  }
  t->as[QN_ONNX_PLAIN] = v;
  return QN_OK;
}

static qn_status read_input(qn_onnx *r, qn_pb_bytes message) {
  value_info v;
  QN_TRY(read_value_info(r, message, &v));
  qn_onnx_tensor *t = v.t;
  if (t->proto.size > 0) return QN_OK; /* an initializer's, as old files list them */
  const qn_source *src = r->pb.src;
  qn_loc loc = qn_byte(message.at);
  if (t->is_defined) return qn_error(src, loc, "'%s' is an input twice", t->name);
  QN_TRY(close_dims(r, &v));
  t->loc = loc;
  t->is_defined = true;
  t->code = v.code;
  t->rank = v.rank;
  memcpy(t->dim, v.dim, sizeof t->dim);
  return add_input(r, t);
}

static int count_params(const qn_func *f) {
  int count = 0;
  for (const qn_value *v = f->params; v; v = v->next) count++;
  return count;
}

/* Stops at the first one too many, since each may search all nodes for its scale. */
static qn_status read_inputs(qn_onnx *r) {
  qn_pb_bytes rest = r->graph, message;
  while (count_params(r->f) <= QN_MAX_IN && qn_pb_next_bytes(&r->pb, &rest, GRAPH_INPUT, &message))
    QN_TRY(read_input(r, message));
  QN_TRY(r->pb.status);
  int count = count_params(r->f);
  if (count < 1 || count > QN_MAX_IN)
    return qn_error(r->pb.src, qn_byte(r->graph.at), "%d%s inputs: 1 to %d are supported", count,
                    count > QN_MAX_IN ? " or more" : "", QN_MAX_IN);
  return QN_OK;
}

/* Numbers the outputs' names before the nodes are read, so that these know them. */
static qn_status mark_outputs(qn_onnx *r) {
  qn_pb_bytes rest = r->graph, message;
  int count = 0;
  for (; qn_pb_next_bytes(&r->pb, &rest, GRAPH_OUTPUT, &message); count++) {
    qn_onnx_tensor *t = find_name(r, qn_pb_child(&r->pb, message, VALUE_NAME));
    t->is_output = true;
  }
  QN_TRY(r->pb.status);
  if (count < 1 || count > QN_MAX_IN)
    return qn_error(r->pb.src, qn_byte(r->graph.at), "%d outputs: 1 to %d are supported", count,
                    QN_MAX_IN);
  return QN_OK;
}

/* What the file states of an output must be what the nodes compute. */
static qn_status check_output(qn_onnx *r, const value_info *v) {
  const qn_onnx_tensor *t = v->t;
  bool same = v->rank == t->rank || v->rank == 0;
  for (int i = 0; same && i < v->rank; i++) same = v->dim[i] < 1 || v->dim[i] == t->dim[i];
  if (same && v->code == t->code) return QN_OK;
  qn_onnx_tensor stated = {.code = v->code, .rank = v->rank};
  memcpy(stated.dim, v->dim, sizeof stated.dim);
  qn_arena *a = &r->m->arena;
  return qn_error(r->pb.src, qn_byte(v->message.at), "output '%s' is %s, but the file says %s",
                  t->name, qn_onnx_tensor_text(a, t), qn_onnx_tensor_text(a, &stated));
}

/* v under another name, and with it what build.c named after it: v.r, which it is quantized from,
 * and v.f, itself dequantized. */
static void rename_value(qn_onnx *r, qn_value *v, const char *name) {
  qn_arena *a = &r->m->arena;
  const char *old_real = qn_format(a, "%s.r", v->name), *old_float = qn_format(a, "%s.f", v->name);
  for (qn_op *op = r->f->first; op; op = op->next) {
    bool is_real =
        v->kind == QN_RESULT && v->def->code == QN_OP_quantize && v->def->in[0] == op->out;
    bool is_float = op->code == QN_OP_dequantize && op->in[0] == v;
    const char *suffix = is_real && strcmp(op->out->name, old_real) == 0     ? "r"
                         : is_float && strcmp(op->out->name, old_float) == 0 ? "f"
                                                                             : NULL;
    if (!suffix) continue;
    const char *now = qn_format(a, "%s.%s", name, suffix);
    qn_rename(r->m, r->f, op->out, qn_unique_name(r->m, r->f, now));
  }
  qn_rename(r->m, r->f, v, name);
}

/* Gives v the output's name; who has it so far, such as the same in the other order, another. */
static void name_output(qn_onnx *r, qn_value *v, const char *name) {
  if (strcmp(v->name, name) == 0) return;
  for (const qn_value *p = r->f->params; p; p = p->next)
    if (strcmp(p->name, name) == 0) return;
  const char *other = qn_format(&r->m->arena, "%s.inner", name);
  for (qn_op *op = r->f->first; op; op = op->next)
    if (strcmp(op->out->name, name) == 0)
      rename_value(r, op->out, qn_unique_name(r->m, r->f, other));
  rename_value(r, v, name);
}

/* A stored value as the caller gets it: real, or uint8. */
static qn_status unstore(qn_onnx_node *n, const qn_onnx_tensor *t, qn_value **y) {
  const qn_quant *q = &(*y)->type.q;
  if (!q->on || t->code == QN_ONNX_INT8) return QN_OK;
  bool is_real = t->code == QN_ONNX_FLOAT;
  qn_layer l = {
      .code = is_real ? QN_OP_dequantize : QN_OP_flip_sign, .loc = n->loc, .name = t->name};
  l.in_count = 1;
  l.in[0] = *y;
  l.typed = !is_real;
  l.type = (qn_type){.elem = QN_u8, .q = {.on = true, .scale = q->scale, .zero = q->zero + 128}};
  return qn_onnx_add(n, &l, y);
}

static qn_status read_output(qn_onnx *r, qn_pb_bytes message) {
  value_info v;
  QN_TRY(read_value_info(r, message, &v));
  qn_loc loc = qn_byte(message.at);
  if (!v.t->is_defined)
    return qn_error(r->pb.src, loc, "output '%s' is computed by no node", v.t->name);
  qn_onnx_node n = end_node(r, "output", v.t, loc);
  qn_value *y;
  QN_TRY(qn_onnx_operand(&n, 0, &v.t));
  QN_TRY(qn_onnx_take(&n, v.t, QN_ONNX_PLAIN, &y));
  QN_TRY(check_output(r, &v));
  QN_TRY(unstore(&n, v.t, &y));
  if (y->kind == QN_RESULT && !qn_is_returned(r->f, y)) name_output(r, y, v.t->name);
  r->f->results[r->f->result_count++] = y;
  return QN_OK;
}

/* ------------------------------------------------------------------ the graph */

static bool is_unused(const qn_onnx_tensor *t) { return !t || (t->uses == 0 && !t->is_output); }

/* Leaves out operands or results at the end that have no name. */
static void trim(qn_onnx_tensor *const *at, int *count) {
  while (*count > 0 && !at[*count - 1]) --*count;
}

/* Integers that a scale belongs to are only for operators that know of it. */
static qn_status check_operands(const qn_onnx_node *n) {
  for (int i = 0; i < n->in_count && !n->row->takes_stored; i++) {
    const qn_onnx_tensor *t = n->in[i];
    if (t && t->is_defined && t->proto.size == 0 && !t->data && t->code != QN_ONNX_FLOAT)
      return qn_onnx_error(n, "operand %d is %s, only float32 is supported here", i + 1,
                           qn_onnx_type_name(t->code));
  }
  return QN_OK;
}

static qn_status read_node(qn_onnx_node *n) {
  qn_onnx *r = n->r;
  if (!n->row && n->domain.size)
    return qn_onnx_error(n, "not supported (of the domain '%s')", qn_onnx_text_of(r, n->domain));
  if (!n->row) return qn_onnx_error(n, "not supported");
  trim(n->in, &n->in_count);
  if (n->row->results == 1) trim(n->out, &n->out_count); /* of several the number counts */
  while (n->out_count > 1 && n->row->results == 1 && is_unused(n->out[n->out_count - 1]))
    n->out_count--;
  int least = n->row->least, most = n->row->most, results = n->row->results;
  if (n->in_count < least || n->in_count > most)
    return qn_onnx_error(n, "takes %d%s operands, got %d", least,
                         least == most ? "" : qn_format(&r->m->arena, " to %d", most), n->in_count);
  if (n->out_count < 1 || n->out_count > results || !n->out[0])
    return qn_onnx_error(n, "%d results are used, 1%s supported, the first one always",
                         n->out_count,
                         results == 1 ? " is" : qn_format(&r->m->arena, " to %d are", results));
  QN_TRY(check_operands(n));
  QN_TRY(qn_onnx_check_attrs(n));
  bool done;
  QN_TRY(qn_onnx_fold_ints(n, &done));
  if (!done) QN_TRY(n->row->read(n));
  return r->pb.status;
}

/* Counts how often each name is an operand. */
static qn_status count_uses(qn_onnx *r) {
  qn_pb_bytes rest = r->graph, node, text;
  while (qn_pb_next_bytes(&r->pb, &rest, GRAPH_NODE, &node))
    while (qn_pb_next_bytes(&r->pb, &node, NODE_INPUT, &text)) find_name(r, text)->uses++;
  return r->pb.status;
}

/* Constant nodes, or all others. */
static qn_status read_nodes(qn_onnx *r, bool constants) {
  qn_pb_bytes rest = r->graph, message;
  for (uint32_t i = 0; qn_pb_next_bytes(&r->pb, &rest, GRAPH_NODE, &message); i++) {
    qn_onnx_node n;
    QN_TRY(open_node(r, message, i, &n));
    bool is_constant = n.row && n.row->read == qn_onnx_read_constant;
    if (is_constant == constants) QN_TRY(read_node(&n));
  }
  return r->pb.status;
}

static qn_status read_graph(qn_onnx *r) {
  qn_pb *pb = &r->pb;
  QN_TRY(open_names(r));
  if (qn_pb_has(pb, r->graph, GRAPH_SPARSE))
    return qn_error(pb->src, qn_byte(r->graph.at), "sparse initializers are not supported");
  QN_TRY(read_initializers(r));
  QN_TRY(mark_outputs(r));
  QN_TRY(count_uses(r));
  QN_TRY(read_nodes(r, true)); /* an input's scale may be one */
  QN_TRY(read_inputs(r));
  QN_TRY(read_nodes(r, false));
  qn_pb_bytes rest = r->graph, message;
  while (qn_pb_next_bytes(pb, &rest, GRAPH_OUTPUT, &message)) QN_TRY(read_output(r, message));
  return pb->status;
}

/* ------------------------------------------------------------------ the file */

static qn_status read_opsets(qn_onnx *r) {
  qn_pb *pb = &r->pb;
  qn_pb_bytes rest = qn_pb_root(pb), opset;
  while (qn_pb_next_bytes(pb, &rest, MODEL_OPSET, &opset)) {
    qn_pb_bytes domain = qn_pb_child(pb, opset, OPSET_DOMAIN);
    if (domain.size && !qn_pb_is(pb, domain, "ai.onnx")) continue;
    r->opset = qn_pb_int(pb, opset, OPSET_VERSION, 0);
    QN_TRY(pb->status);
    if (r->opset < OLDEST_OPSET || r->opset > NEWEST_OPSET)
      return qn_error(pb->src, qn_byte(opset.at), "opset %lld: %d to %d are supported",
                      (long long)r->opset, OLDEST_OPSET, NEWEST_OPSET);
  }
  QN_TRY(pb->status);
  if (r->opset == 0)
    return qn_error(pb->src, qn_byte(0), "not an ONNX file: it names no version of the operators");
  return QN_OK;
}

qn_status qn_read_onnx(qn_module *m, const qn_source *src) {
  m->src = *src;
  m->src.binary = true;
  m->name = "model";
  qn_onnx r = {.m = m, .pb = {.src = &m->src}};
  QN_TRY(read_opsets(&r));
  r.graph = qn_pb_child(&r.pb, qn_pb_root(&r.pb), MODEL_GRAPH);
  QN_TRY(r.pb.status);
  if (r.graph.size == 0) return qn_error(r.pb.src, qn_byte(0), "not an ONNX file: it has no graph");
  r.f = qn_add_func(m, "main");
  QN_TRY(read_graph(&r));
  QN_TRY(qn_verify(m));
  return pass_dce(m, &(qn_pass_options){0}); /* values that were made in an order that none reads */
}
