/* Every rule that a pass, the evaluator and the code generator rely on, checked one by one: what
 * the signature letters of ops.def mean, that names are unique and values defined before their use,
 * that results have the inferred types, that scales make sense, and that attributes keep the
 * kernels' int32 arithmetic in range. Memory is checked by storage.c, at the end.
 *
 * Cost: linear in the ops, but for names and constants, which are sorted. */
#include "ir.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUM(x) ((long long)(x))

#define MAX_BYTES ((int64_t)1 << 30) /* of one tensor: byte counts are int32 in the kernels */

/* What is known while a module is checked; `arena` dies with the check. */
typedef struct {
  qn_module *m;
  qn_arena arena;
  const qn_value **consts; /* sorted by address */
  size_t const_count;
  const qn_func *f;
  qn_numbering numbers; /* of f */
} checker;

#define FAIL(loc, ...) return qn_error(&c->m->src, loc, __VA_ARGS__)

static char sigil(const qn_value *v) { return v->kind == QN_CONST ? '@' : '%'; }

static const char *type_text(checker *c, const qn_type *t) { return qn_type_text(&c->arena, t); }

static const char *float_text(checker *c, float x) {
  return isnan(x) ? "nan" : qn_format(&c->arena, "%.9g", (double)x);
}

/* ------------------------------------------------------------------ names */

typedef struct {
  const char *name;
  qn_loc loc;
  int32_t order;
} name_use;

static int compare_names(const void *a, const void *b) {
  const name_use *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order ? order : (x->order > y->order) - (x->order < y->order);
}

static qn_status check_name(checker *c, const char *what, const char *name, qn_loc loc) {
  if (!name) return qn_bug("a %s has no name", what);
  if (strcmp(qn_clean_name(&c->arena, name), name) != 0)
    FAIL(loc, "name '%s' must be 1 to %d letters, digits, '_' and '.'", name, QN_MAX_NAME);
  return QN_OK;
}

/* Names are clean and none occurs twice; of two, the later one is reported. */
static qn_status check_names(checker *c, const char *what, name_use *names, int32_t count) {
  for (int32_t i = 0; i < count; i++) {
    QN_TRY(check_name(c, what, names[i].name, names[i].loc));
    names[i].order = i;
  }
  qsort(names, (size_t)count, sizeof *names, compare_names);
  for (int32_t i = 1; i < count; i++) {
    if (strcmp(names[i - 1].name, names[i].name) == 0)
      FAIL(names[i].loc, "%s '%s' is defined twice", what, names[i].name);
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ types and constants */

static int compare_pointers(const void *a, const void *b) {
  const qn_value *const *v = a, *const *w = b;
  uintptr_t x = (uintptr_t)*v, y = (uintptr_t)*w;
  return (x > y) - (x < y);
}

static bool is_module_const(const checker *c, const qn_value *v) {
  return c->const_count > 0 &&
         bsearch(&v, c->consts, c->const_count, sizeof *c->consts, compare_pointers) != NULL;
}

static qn_status check_scale(checker *c, qn_loc loc, float scale) {
  if (isfinite(scale) && scale > 0) return QN_OK;
  FAIL(loc, "scale must be finite and above 0, got %s", float_text(c, scale));
}

static qn_status check_channel_scales(checker *c, const qn_type *t, qn_loc loc) {
  const qn_value *s = t->q.scales;
  if (!is_module_const(c, s)) FAIL(loc, "scales '@%s' are not a constant of the module", s->name);
  if (t->q.axis < 0 || t->q.axis >= t->rank)
    FAIL(loc, "axis %d of the scales is not within the %d dims", t->q.axis, t->rank);
  int64_t channels = t->dim[t->q.axis];
  if (s->type.elem != QN_f32 || s->type.rank != 1 || s->type.dim[0] != channels || !s->data)
    FAIL(loc, "'@%s' must be f32[%lld], one scale per index of axis %d, got %s", s->name,
         NUM(channels), t->q.axis, type_text(c, &s->type));
  if (t->q.zero != 0) FAIL(loc, "zero must be 0 with one scale per channel, got %d", t->q.zero);
  for (int64_t i = 0; i < channels; i++) QN_TRY(check_scale(c, loc, ((const float *)s->data)[i]));
  return QN_OK;
}

static qn_status check_type(checker *c, const qn_type *t, qn_loc loc) {
  int64_t count, low, high;
  if (!qn_checked_count(t->dim, t->rank, &count))
    FAIL(loc, "a tensor must have 1 to %lld elements in at most %d dims, got %s", NUM(QN_MAX_COUNT),
         QN_MAX_RANK, t->rank <= QN_MAX_RANK ? type_text(c, t) : "more dims");
  if (qn_bytes(t) > MAX_BYTES)
    FAIL(loc, "a tensor takes at most %lld bytes, %s takes %lld", NUM(MAX_BYTES), type_text(c, t),
         NUM(qn_bytes(t)));
  if (!t->q.on) return QN_OK;
  if (!qn_elem_is_int(t->elem)) FAIL(loc, "only integers have a scale, got %s", type_text(c, t));
  if (t->q.scales) return check_channel_scales(c, t, loc);
  QN_TRY(check_scale(c, loc, t->q.scale));
  qn_elem_limits(t->elem, &low, &high);
  if (t->q.zero < low || t->q.zero > high)
    FAIL(loc, "zero must be within %lld..%lld of %s, got %d", NUM(low), NUM(high),
         qn_elem_name(t->elem), t->q.zero);
  return QN_OK;
}

static qn_status check_value(checker *c, const qn_value *v, qn_loc loc) {
  QN_TRY(check_type(c, &v->type, loc));
  if (v->has_range &&
      !(isfinite(v->range[0]) && isfinite(v->range[1]) && v->range[0] <= v->range[1]))
    FAIL(loc, "range of '%c%s' must be finite and in order, got %s and %s", sigil(v), v->name,
         float_text(c, v->range[0]), float_text(c, v->range[1]));
  return QN_OK;
}

static qn_status check_const(checker *c, const qn_value *v) {
  if (v->kind != QN_CONST) return qn_bug("'@%s' is listed as a constant and is none", v->name);
  QN_TRY(check_value(c, v, v->loc));
  if (!v->data) FAIL(v->loc, "'@%s' has no data", v->name);
  if (v->offset >= 0)
    FAIL(v->loc, "'@%s' is a constant and cannot be at %lld in memory", v->name, NUM(v->offset));
  if (!qn_elem_is_float(v->type.elem)) return QN_OK;
  int64_t count = qn_count(&v->type);
  for (int64_t i = 0; i < count; i++) {
    float x = qn_float_at(v->type.elem, v->data, i);
    if (!isfinite(x))
      FAIL(v->loc, "element %lld of '@%s' must be finite, got %s", NUM(i), v->name,
           float_text(c, x));
  }
  return QN_OK;
}

static qn_status check_consts(checker *c) {
  size_t count = 0, i = 0;
  for (const qn_value *v = c->m->consts; v; v = v->next) count++;
  name_use *names = qn_alloc(&c->arena, (count + 1) * sizeof *names);
  c->consts = qn_alloc(&c->arena, (count + 1) * sizeof *c->consts);
  c->const_count = count;
  for (const qn_value *v = c->m->consts; v; v = v->next, i++) {
    c->consts[i] = v;
    names[i] = (name_use){v->name, v->loc, 0};
  }
  qsort(c->consts, count, sizeof *c->consts, compare_pointers);
  QN_TRY(check_names(c, "constant", names, (int32_t)count));
  for (const qn_value *v = c->m->consts; v; v = v->next) QN_TRY(check_const(c, v));
  return QN_OK;
}

/* ------------------------------------------------------------------ signatures */

static bool has_one_scale(const qn_type *t) { return t->q.on && !t->q.scales; }

static bool is_wide(const qn_type *t) { return t->elem == QN_i16 && t->q.zero == 0; }

/* The letters of ops.def: NULL when v fits, else what it must be. */
static const char *check_letter(char letter, const qn_value *v) {
  const qn_type *t = &v->type;
  switch (letter) {
  case 'f': return t->elem == QN_f32 ? NULL : "f32";
  case 'p':
    if (t->elem == QN_f32) return NULL;
    return v->kind == QN_CONST && qn_elem_is_float(t->elem) ? NULL
                                                            : "f32, or a constant f16 or bf16";
  case 'i': return t->elem == QN_i32 ? NULL : "i32";
  case 'q': return t->elem == QN_i8 && has_one_scale(t) ? NULL : "i8 with one scale";
  case 'h':
    return (t->elem == QN_i8 || is_wide(t)) && has_one_scale(t)
               ? NULL
               : "i8, or i16 with zero 0, with one scale";
  case 'b': return t->elem == QN_i32 || t->elem == QN_i64 ? NULL : "i32 or i64";
  case 'w': return t->elem == QN_i8 && t->q.on ? NULL : "i8 with one scale or one per channel";
  case 'm': return t->elem == QN_i32 || t->elem == QN_f32 ? NULL : "i32 or f32";
  case 's': return t->elem == QN_i8 ? NULL : "i8";
  case 't':
    if (v->kind == QN_CONST && t->elem == QN_i8 && t->rank == 1 && t->dim[0] == 256) return NULL;
    return "a constant i8[256]";
  case 'n':
    if (t->q.on && (t->elem == QN_i8 || t->elem == QN_u8 || t->elem == QN_i16 || t->elem == QN_i32))
      return NULL;
    return "i8, u8, i16 or i32 with a scale";
  case 'a':
    if (t->elem == QN_f32 || ((t->elem == QN_i8 || is_wide(t)) && has_one_scale(t))) return NULL;
    return "f32 or i8, or i16 with zero 0, with one scale";
  default: return NULL;
  }
}

/* Word `index` of a row's operand names; the last one also names what follows it. */
static const char *operand_name(checker *c, qn_opcode code, int index) {
  const char *at = qn_ops[code].operands;
  size_t size = strcspn(at, " ");
  for (; index > 0 && at[size]; index--) {
    at += size + 1;
    size = strcspn(at, " ");
  }
  return qn_strndup(&c->arena, at, size);
}

static qn_status check_signature(checker *c, const qn_op *op) {
  for (int i = 0; i < op->in_count; i++) {
    const char *wanted = check_letter(qn_sig_letter(op->code, i), op->in[i]);
    if (wanted)
      FAIL(op->loc, "operand '%s' must be %s, got %s", operand_name(c, op->code, i), wanted,
           type_text(c, &op->in[i]->type));
    const qn_type *first = &op->in[0]->type, *t = &op->in[i]->type;
    bool pair = qn_sig_letter(op->code, i) == 'h' && t->elem != first->elem;
    if (pair || (t->elem == QN_i64 && qn_sig_letter(op->code, i) == 'b' && first->elem != QN_i16))
      FAIL(op->loc, "operand '%s' does not go with %s: %s", operand_name(c, op->code, i),
           type_text(c, first), type_text(c, t));
  }
  return QN_OK;
}

/* The stated result type against the inferred one. */
static qn_status check_result(checker *c, qn_op *op) {
  qn_type stated = op->out->type;
  qn_status status = qn_infer(c->m, op);
  qn_type inferred = op->out->type;
  op->out->type = stated;
  QN_TRY(status);
  const char *wanted = check_letter(strchr(qn_ops[op->code].sig, ':')[1], op->out);
  if (!wanted && !qn_same_type(&stated, &inferred)) wanted = type_text(c, &inferred);
  if (wanted) FAIL(op->loc, "result must be %s, got %s", wanted, type_text(c, &stated));
  return QN_OK;
}

/* ------------------------------------------------------------------ attributes */

static qn_status check_int(checker *c, const qn_op *op, const char *name, int64_t x, int64_t low,
                           int64_t high) {
  if (x >= low && x <= high) return QN_OK;
  FAIL(op->loc, "%s must be %lld..%lld, got %lld", name, NUM(low), NUM(high), NUM(x));
}

static bool has_long_sums(const qn_op *op) {
  return op->in_count > 2 && op->in[2]->type.elem == QN_i64;
}

/* Right shifts that fixed.h computes as written. */
static qn_status check_shr(checker *c, const qn_op *op, qn_contract contract, int64_t shr) {
  int64_t low = has_long_sums(op) ? -7 : contract == QN_CONTRACT_single ? -30 : -31;
  return check_int(c, op, "shr", shr, low, contract == QN_CONTRACT_mulhi ? 0 : 31);
}

static qn_status check_real(checker *c, const qn_op *op, const char *name, float x) {
  bool is_scale = strcmp(name, "scale") == 0;
  if (isfinite(x) && (!is_scale || x >= 0)) return QN_OK;
  if (op->code == QN_OP_clip && !isnan(x)) return QN_OK;
  FAIL(op->loc, "%s must be finite%s, got %s", name, is_scale ? " and at least 0" : "",
       float_text(c, x));
}

/* Attributes that mean the same in every set that has them. */
static qn_status check_attr(checker *c, const qn_op *op, const qn_attr *attr) {
  const void *at = (const char *)&op->a + attr->offset;
  const qn_contract *contract = qn_attr_of(op, "contract");
  int64_t least, most;
  int count = attr->kind == QN_ATTR_ints || attr->kind == QN_ATTR_reals ? attr->count : 1;
  for (int i = 0; i < count; i++) {
    if (attr->kind == QN_ATTR_real || attr->kind == QN_ATTR_reals)
      QN_TRY(check_real(c, op, attr->name, ((const float *)at)[i]));
    if (strcmp(attr->name, "clamp") == 0) {
      qn_elem_limits(op->out->type.elem, &least, &most);
      QN_TRY(check_int(c, op, "clamp", ((const int32_t *)at)[i], least, most));
    }
    if (strcmp(attr->name, "mul") == 0)
      QN_TRY(check_int(c, op, "mul", ((const int32_t *)at)[i], 0, INT32_MAX));
    if (strcmp(attr->name, "shr") == 0 && contract)
      QN_TRY(check_shr(c, op, *contract, ((const int32_t *)at)[i]));
  }
  if (strcmp(attr->name, "clamp") == 0 && ((const int32_t *)at)[0] > ((const int32_t *)at)[1])
    FAIL(op->loc, "clamp must be in order, got %d and %d", ((const int32_t *)at)[0],
         ((const int32_t *)at)[1]);
  return QN_OK;
}

/* TFLite's softmax works on Q5.26: a difference that counts, shifted, stays below 31 * 2^26. */
static qn_status check_softmax(checker *c, const qn_op *op) {
  const qn_attrs_qsoftmax *a = &op->a.qsoftmax;
  const qn_quant *q = &op->out->type.q;
  QN_TRY(check_int(c, op, "left_shift", a->left_shift, 0, 31));
  QN_TRY(check_int(c, op, "diff_min", a->diff_min, -(((int64_t)31 << 26) >> a->left_shift), 0));
  bool wide = op->out->type.elem == QN_i16;
  if (q->scale == (wide ? 0x1p-15f : 0x1p-8f) && q->zero == (wide ? 0 : -128)) return QN_OK;
  FAIL(op->loc, "result must have scale %s, got %s",
       wide ? "3.0517578e-05 and zero 0" : "0.00390625 and zero -128",
       type_text(c, &op->out->type));
}

/* Constant multipliers and shifts of a convolution or dense. */
static qn_status check_multipliers(checker *c, const qn_op *op) {
  qn_contract contract = *(const qn_contract *)qn_attr_of(op, "contract");
  for (int k = 3; k < op->in_count; k++) {
    const qn_value *v = op->in[k];
    int64_t count = v->kind == QN_CONST ? qn_count(&v->type) : 0;
    for (int64_t i = 0; i < count; i++) {
      float real = qn_float_at(v->type.elem, v->data, i);
      if (k == 3 && real < 0) FAIL(op->loc, "mul must be at least 0, got %s", float_text(c, real));
      if (k == 4) QN_TRY(check_shr(c, op, contract, qn_int_at(v->type.elem, v->data, i)));
    }
  }
  return QN_OK;
}

/* Weights as integers: zero 0, and scales, if several, along the output channels. */
static qn_status check_weights(checker *c, const qn_op *op, int axis) {
  const qn_type *w = &op->in[1]->type;
  if (w->q.zero != 0) FAIL(op->loc, "weights must have zero 0, got %d", w->q.zero);
  if (w->q.scales && w->q.axis != axis)
    FAIL(op->loc, "weights must have their scales along axis %d, got axis %d", axis, w->q.axis);
  return QN_OK;
}

static qn_status check_summands(checker *c, const qn_op *op, int64_t count) {
  int most = qn_max_summands(op->out->type.elem);
  if (count <= most) return QN_OK;
  FAIL(op->loc, "a mean is of at most %d values, got %lld", most, NUM(count));
}

/* A pool does not rescale. */
static qn_status check_pool(checker *c, const qn_op *op) {
  const qn_type *x = &op->in[0]->type, *y = &op->out->type;
  if (!qn_same_quant(&x->q, &y->q))
    FAIL(op->loc, "input and result must have the same scale and zero, got %s and %s",
         type_text(c, x), type_text(c, y));
  qn_window g = qn_window_of(op);
  int64_t rows = g.kernel_h < g.in_h ? g.kernel_h : g.in_h;
  int64_t columns = g.kernel_w < g.in_w ? g.kernel_w : g.in_w;
  return check_summands(c, op, op->code == QN_OP_qavg_pool2d ? rows * columns : 1);
}

/* What one op has to keep beyond signature, shape and common attributes. */
static qn_status check_op_rules(checker *c, const qn_op *op) {
  for (const qn_attr *attr = qn_ops[op->code].attrs; attr->name; attr++)
    QN_TRY(check_attr(c, op, attr));
  switch (op->code) {
  case QN_OP_qconv2d:
  case QN_OP_qdense: QN_TRY(check_weights(c, op, 0)); return check_multipliers(c, op);
  case QN_OP_qdepthwise_conv2d: QN_TRY(check_weights(c, op, 3)); return check_multipliers(c, op);
  case QN_OP_dynamic_conv2d:
  case QN_OP_dynamic_dense: return check_weights(c, op, 0);
  case QN_OP_dynamic_depthwise_conv2d: return check_weights(c, op, 3);
  case QN_OP_qadd:
  case QN_OP_qsub: return check_int(c, op, "left_shift", op->a.qadd.left_shift, 0, 22);
  case QN_OP_qavg_pool2d:
  case QN_OP_qmax_pool2d: return check_pool(c, op);
  case QN_OP_qmean:
    return check_summands(c, op, qn_count(&op->in[0]->type) / qn_count(&op->out->type));
  case QN_OP_qsoftmax: return check_softmax(c, op);
  case QN_OP_clip:
    if (op->a.clip.min <= op->a.clip.max) return QN_OK;
    FAIL(op->loc, "min must not be above max, got %s and %s", float_text(c, op->a.clip.min),
         float_text(c, op->a.clip.max));
  default: return QN_OK;
  }
}

/* ------------------------------------------------------------------ functions */

/* v is a constant of the module or defined in front of number `now`. */
static bool is_defined(const checker *c, const qn_value *v, int32_t now) {
  if (!v) return false;
  if (v->kind == QN_CONST) return is_module_const(c, v);
  int32_t number = qn_number_of(&c->numbers, v);
  return number >= 0 && number < now;
}

static qn_status check_op(checker *c, qn_op *op) {
  if ((unsigned)op->code >= QN_OP_COUNT || op->in_count < 0 || op->in_count > QN_MAX_IN)
    return qn_bug("an op of '%s' has code %d and %d operands", c->f->name, (int)op->code,
                  op->in_count);
  int32_t now = qn_number_of(&c->numbers, op->out);
  for (int i = 0; i < op->in_count; i++) {
    if (!op->in[i]) return qn_bug("operand %d of '%%%s' is missing", i, op->out->name);
    if (!is_defined(c, op->in[i], now))
      FAIL(op->loc, "'%c%s' is not defined", sigil(op->in[i]), op->in[i]->name);
  }
  QN_TRY(check_value(c, op->out, op->loc));
  QN_TRY(check_signature(c, op));
  QN_TRY(check_result(c, op));
  return check_op_rules(c, op);
}

/* The list of ops is whole, and each op owns its result. */
static qn_status check_links(checker *c, const qn_func *f, int32_t *out_values) {
  const qn_op *before = NULL;
  if (f->op_count > QN_MAX_OPS)
    FAIL(f->loc, "'@%s' has %d ops, at most %d are taken", f->name, f->op_count, QN_MAX_OPS);
  int32_t count = 0;
  for (const qn_op *op = f->first; op; before = op, op = op->next) {
    if (op->prev != before) return qn_bug("the ops of '%s' are not linked", f->name);
    if (!op->out || op->out->def != op || op->out->kind != QN_RESULT)
      return qn_bug("op %d of '%s' has no result of its own", count, f->name);
    if (++count > f->op_count) return qn_bug("'%s' has more ops than its %d", f->name, f->op_count);
  }
  if (count < f->op_count) return qn_bug("'%s' has %d ops, not %d", f->name, count, f->op_count);
  if (f->last != before) return qn_bug("the last op of '%s' is not its last", f->name);
  int32_t params = 0;
  for (const qn_value *p = f->params; p; p = p->next) {
    if (p->kind != QN_PARAM) return qn_bug("'%%%s' is listed as a parameter and is none", p->name);
    if (++params > QN_MAX_IN)
      FAIL(p->loc, "'@%s' has more than %d parameters", f->name, (int)QN_MAX_IN);
  }
  *out_values = count + params;
  return QN_OK;
}

static qn_status check_value_names(checker *c, int32_t count) {
  name_use *names = qn_alloc(&c->arena, ((size_t)count + 1) * sizeof *names);
  int32_t n = 0;
  for (const qn_value *p = c->f->params; p; p = p->next)
    names[n++] = (name_use){p->name, p->loc, 0};
  for (const qn_op *op = c->f->first; op; op = op->next)
    names[n++] = (name_use){op->out->name, op->out->loc, 0};
  return check_names(c, "value", names, n);
}

static qn_status check_returns(checker *c) {
  const qn_func *f = c->f;
  if (f->result_count < 1 || f->result_count > QN_MAX_IN)
    FAIL(f->loc, "'@%s' must return 1 to %d values, got %d", f->name, (int)QN_MAX_IN,
         f->result_count);
  for (int i = 0; i < f->result_count; i++) {
    const qn_value *v = f->results[i];
    if (!v) return qn_bug("result %d of '%s' is missing", i, f->name);
    if (!is_defined(c, v, INT32_MAX)) FAIL(f->loc, "'%c%s' is not defined", sigil(v), v->name);
  }
  return QN_OK;
}

static qn_status check_func(checker *c, const qn_func *f) {
  int32_t values;
  c->f = f;
  QN_TRY(check_links(c, f, &values));
  qn_number_values(&c->arena, f, &c->numbers);
  if (c->numbers.count != values) return qn_bug("a value of '%s' is defined twice", f->name);
  QN_TRY(check_value_names(c, values));
  for (const qn_value *p = f->params; p; p = p->next) QN_TRY(check_value(c, p, p->loc));
  for (qn_op *op = f->first; op; op = op->next) QN_TRY(check_op(c, op));
  QN_TRY(check_returns(c));
  return qn_check_memory(c->m, f);
}

static qn_status check_module(checker *c) {
  int32_t count = 0;
  QN_TRY(check_consts(c));
  for (const qn_func *f = c->m->funcs; f; f = f->next) count++;
  name_use *names = qn_alloc(&c->arena, ((size_t)count + 1) * sizeof *names);
  count = 0;
  for (const qn_func *f = c->m->funcs; f; f = f->next)
    names[count++] = (name_use){f->name, f->loc, 0};
  QN_TRY(check_names(c, "function", names, count));
  for (const qn_func *f = c->m->funcs; f; f = f->next) QN_TRY(check_func(c, f));
  return QN_OK;
}

qn_status qn_verify(qn_module *m) {
  checker c = {.m = m};
  qn_status status = check_module(&c);
  qn_free_arena(&c.arena);
  return status;
}
