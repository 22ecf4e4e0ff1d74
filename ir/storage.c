/* Where the bytes of a value are when its function runs: in the object's constants, in the caller's
 * inputs and outputs, or in memory at an offset. ir.h states the rules of qn_place_of.
 *
 * Views form trees: the root is computed, a parameter or a constant, every other node holds the
 * root's bytes. A computed root may write straight into an output that one of its views returns,
 * and no other tree wants that output, because a returned value belongs to one tree.
 *
 * The check of a plan walks the ops with the values that are alive; the result of an op may overlap
 * an operand that dies there when qn_bind or the op itself allows it. */
#include "ir.h"

static bool is_view(const qn_value *v) { return v->kind == QN_RESULT && qn_ops[v->def->code].view; }

/* The first result that returns v, or -1. */
static int result_index(const qn_func *f, const qn_value *v) {
  for (int i = 0; i < f->result_count; i++) {
    if (f->results[i] == v) return i;
  }
  return -1;
}

static int param_index(const qn_func *f, const qn_value *v) {
  int i = 0;
  for (const qn_value *p = f->params; p && p != v; p = p->next) i++;
  return i;
}

/* Rule 3: a view that is not returned. */
static bool is_elsewhere(const qn_func *f, const qn_value *v) {
  return is_view(v) && result_index(f, v) < 0;
}

/* The value that result i is a view of through views that are not returned, or is itself; NULL when
 * an earlier result returns it as well. */
static const qn_value *root_of_result(const qn_func *f, int i) {
  const qn_value *v = f->results[i];
  if (result_index(f, v) != i) return NULL;
  if (is_view(v)) v = v->def->in[0];
  while (is_elsewhere(f, v)) v = v->def->in[0];
  return v;
}

/* Rules 1, 2, 4 and 5. index: of a parameter; of a result, the output that rule 4 gives it or -1.
 */
static qn_place own_place(const qn_func *f, const qn_value *v, int index) {
  if (v->kind == QN_CONST) return (qn_place){QN_IN_CONST, 0, v, -1};
  if (v->kind == QN_PARAM) return (qn_place){QN_IN_INPUT, index, NULL, -1};
  if (result_index(f, v) >= 0) index = result_index(f, v);
  if (index >= 0) return (qn_place){QN_IN_OUTPUT, index, NULL, -1};
  return (qn_place){QN_IN_MEMORY, 0, v, v->offset};
}

qn_place qn_place_of(const qn_func *f, const qn_value *v) {
  while (is_elsewhere(f, v)) v = v->def->in[0];
  if (v->kind == QN_PARAM) return own_place(f, v, param_index(f, v));
  int output = -1;
  for (int i = 0; i < f->result_count && output < 0; i++) {
    if (root_of_result(f, i) == v) output = i;
  }
  return own_place(f, v, output);
}

bool qn_same_place(const qn_place *a, const qn_place *b) {
  return a->kind == b->kind && a->index == b->index && a->value == b->value;
}

int64_t qn_room(const qn_value *v) {
  const qn_margin *m = &v->margin;
  const qn_type *t = &v->type;
  int64_t bytes = qn_bytes(t);
  if (m->top + m->left + m->bottom + m->right > 0)
    bytes = bytes / ((int64_t)t->dim[1] * t->dim[2]) * (t->dim[1] + m->top + m->bottom) *
            (t->dim[2] + m->left + m->right);
  return bytes + m->beyond;
}

bool qn_same_rows(const qn_margin *a, const qn_margin *b) {
  return a->top == b->top && a->left == b->left && a->bottom == b->bottom && a->right == b->right;
}

int64_t qn_memory_bytes(const qn_func *f) {
  int64_t end = 0;
  for (const qn_op *op = f->first; op; op = op->next) {
    const qn_value *v = op->out;
    if (!is_view(v) && v->offset >= 0 && v->offset + qn_room(v) > end) end = v->offset + qn_room(v);
    if (op->scratch < 0) continue;
    qn_call call;
    qn_bind(op, &call);
    int64_t bytes = qn_scratch_of(op, &call).bytes;
    if (op->scratch + bytes > end) end = op->scratch + bytes;
  }
  return end;
}

qn_scratch qn_scratch_of(const qn_op *op, const qn_call *call) {
  if (op->needs >= 0) return (qn_scratch){op->needs, QN_SCRATCH_ALIGN};
  return (qn_scratch){call->scratch_bytes, QN_RUNTIME_SCRATCH_ALIGN};
}

bool qn_may_overlap(const qn_op *op, const qn_call *call, int i, int64_t y, int64_t x) {
  if (call->in_place[i] && x == y && qn_same_rows(&op->in[i]->margin, &op->out->margin))
    return true;
  if (i > 0) return false;
  return op->overlap == QN_IN_PLACE ? x == y : op->overlap == QN_AHEAD && x - y >= op->lead;
}

/* ------------------------------------------------------------------ numbering */

static uint32_t hash_pointer(const void *p) {
  uint64_t x = (uint64_t)(uintptr_t)p * 0x9E3779B97F4A7C15u;
  return (uint32_t)(x >> 32);
}

/* The slot that holds v's number + 1, or the empty one where it belongs. */
static int32_t *find_slot(const qn_numbering *n, const qn_value *v) {
  uint32_t i = hash_pointer(v) & n->mask;
  while (n->slots[i] && n->values[n->slots[i] - 1] != v) i = (i + 1) & n->mask;
  return &n->slots[i];
}

static void add_number(qn_numbering *n, const qn_value *v) {
  int32_t *slot = find_slot(n, v);
  if (*slot) return;
  n->values[n->count] = v;
  *slot = ++n->count;
}

void qn_number_values(qn_arena *a, const qn_func *f, qn_numbering *out) {
  size_t total = 0;
  for (const qn_value *p = f->params; p; p = p->next) total++;
  for (const qn_op *op = f->first; op; op = op->next) total++;
  uint32_t slots = 16;
  while (slots < 2 * total) slots *= 2;
  *out = (qn_numbering){.values = qn_alloc(a, (total + 1) * sizeof *out->values),
                        .slots = qn_alloc(a, slots * sizeof *out->slots),
                        .mask = slots - 1};
  for (const qn_value *p = f->params; p; p = p->next) add_number(out, p);
  for (const qn_op *op = f->first; op; op = op->next) add_number(out, op->out);
}

int32_t qn_number_of(const qn_numbering *n, const qn_value *v) { return *find_slot(n, v) - 1; }

const qn_place *qn_find_places(qn_arena *a, const qn_func *f, const qn_numbering *n) {
  qn_place *at = qn_alloc(a, ((size_t)n->count + 1) * sizeof *at);
  int32_t *index = qn_alloc(a, ((size_t)n->count + 1) * sizeof *index);
  for (int32_t i = 0; i < n->count; i++) index[i] = n->values[i]->kind == QN_PARAM ? i : -1;
  for (int i = f->result_count - 1; i >= 0; i--) { /* the lowest one stands */
    const qn_value *root = root_of_result(f, i);
    int32_t number = root && root->kind == QN_RESULT ? qn_number_of(n, root) : -1;
    if (number >= 0) index[number] = i;
  }
  for (int32_t i = 0; i < n->count; i++) {
    const qn_value *v = n->values[i], *x = is_elsewhere(f, v) ? v->def->in[0] : v;
    int32_t number = qn_number_of(n, x); /* -1: a view of a constant */
    at[i] = number >= 0 && number < i ? at[number] : own_place(f, x, index[i]);
  }
  return at;
}

/* ------------------------------------------------------------------ overlaps */

#define NUM(x)    ((long long)(x))
#define FAIL(...) return qn_error(&c->m->src, __VA_ARGS__)

/* A value in memory, from its op to the last one that reads it or a view of it. */
typedef struct {
  const qn_value *v;
  int64_t begin, end; /* bytes */
  int32_t last;       /* index of an op */
} tenant;

/* A walk over the ops of f that keeps the values alive. */
typedef struct {
  qn_module *m;
  const qn_func *f;
  qn_numbering numbers;
  const qn_place *places; /* by number */
  tenant *alive;
  int32_t count;
} sweep;

/* The value whose bytes in memory v uses, or NULL. */
static const qn_value *tenant_of(const sweep *c, const qn_value *v) {
  int32_t number = qn_number_of(&c->numbers, v);
  return number >= 0 && c->places[number].kind == QN_IN_MEMORY ? c->places[number].value : NULL;
}

static bool overlap(const tenant *x, int64_t begin, int64_t end) {
  return x->begin < end && begin < x->end;
}

/* Index of the last op that reads each value's bytes, by the value's number; -1: none. */
static int32_t *find_last_uses(qn_arena *a, const sweep *c) {
  int32_t *last = qn_alloc(a, ((size_t)c->numbers.count + 1) * sizeof *last), index = 0;
  for (int32_t i = 0; i < c->numbers.count; i++) last[i] = -1;
  for (const qn_op *op = c->f->first; op; op = op->next, index++) {
    for (int i = 0; i < op->in_count; i++) {
      const qn_value *v = tenant_of(c, op->in[i]);
      if (v) last[qn_number_of(&c->numbers, v)] = index;
    }
  }
  return last;
}

/* Values that are not a place of their own carry no offset. */
static qn_status check_offsets(sweep *c, bool *out_planned) {
  *out_planned = false;
  for (int32_t i = 0; i < c->numbers.count; i++) {
    const qn_value *v = c->numbers.values[i];
    if (v->offset < 0) continue;
    *out_planned = true;
    if (tenant_of(c, v) != v)
      FAIL(v->kind == QN_RESULT ? v->def->loc : v->loc,
           "'%%%s' is an input, an output or a view and cannot be at %lld in memory", v->name,
           NUM(v->offset));
  }
  for (const qn_op *op = c->f->first; op; op = op->next) *out_planned |= op->scratch >= 0;
  return QN_OK;
}

static qn_status check_bounds(sweep *c, const qn_op *op, const char *what, int64_t begin,
                              int64_t bytes, int64_t align) {
  if (begin % align != 0)
    FAIL(op->loc, "%s must be at a multiple of %lld, got %lld", what, NUM(align), NUM(begin));
  if (begin > INT32_MAX - bytes)
    FAIL(op->loc, "%s of %lld bytes at %lld is beyond the %d bytes of memory", what, NUM(bytes),
         NUM(begin), INT32_MAX);
  return QN_OK;
}

/* The scratch of op overlaps nothing that is alive while it runs, its result included. */
static qn_status check_scratch(sweep *c, const qn_op *op, qn_scratch s, const tenant *result) {
  int64_t begin = op->scratch, bytes = s.bytes;
  if (bytes == 0 && begin >= 0)
    FAIL(op->loc, "'%%%s' needs no scratch, got it at %lld", op->out->name, NUM(begin));
  if (bytes == 0) return QN_OK;
  if (begin < 0) FAIL(op->loc, "'%%%s' needs %lld bytes of scratch", op->out->name, NUM(bytes));
  QN_TRY(check_bounds(c, op, "scratch", begin, bytes, s.align));
  if (result && overlap(result, begin, begin + bytes))
    FAIL(op->loc, "scratch at %lld overlaps the result at %lld", NUM(begin), NUM(result->begin));
  for (int32_t i = 0; i < c->count; i++) {
    const tenant *x = &c->alive[i];
    if (overlap(x, begin, begin + bytes))
      FAIL(op->loc, "scratch at %lld overlaps '%%%s' at %lld", NUM(begin), x->v->name,
           NUM(x->begin));
  }
  return QN_OK;
}

/* op, number `now`, is the last to read x, and may write over it wherever it reads it. */
static bool may_replace(const sweep *c, const qn_op *op, int32_t now, const qn_call *call,
                        const tenant *x) {
  if (x->last != now) return false;
  for (int i = 0; i < op->in_count; i++) {
    if (tenant_of(c, op->in[i]) == x->v && !qn_may_overlap(op, call, i, op->out->offset, x->begin))
      return false;
  }
  return true;
}

static qn_status check_result(sweep *c, const qn_op *op, int32_t now, const qn_call *call,
                              const tenant *result) {
  for (int32_t i = 0; i < c->count; i++) {
    const tenant *x = &c->alive[i];
    if (overlap(x, result->begin, result->end) && !may_replace(c, op, now, call, x))
      FAIL(op->loc, "result at %lld overlaps '%%%s' at %lld", NUM(result->begin), x->v->name,
           NUM(x->begin));
  }
  return QN_OK;
}

static qn_status check_op(sweep *c, const qn_op *op, int32_t now, int32_t last) {
  qn_call call;
  qn_bind(op, &call);
  const qn_value *y = op->out;
  int64_t bytes = qn_room(y);
  bool in_memory = tenant_of(c, y) == y;
  if (in_memory && y->offset < 0)
    FAIL(op->loc, "'%%%s' has no offset in memory, others have", y->name);
  if (in_memory)
    QN_TRY(check_bounds(c, op, "result", y->offset, bytes, (qn_elem_bits(y->type.elem) + 7) / 8));
  tenant own = {y, y->offset, y->offset + bytes, last};
  int32_t kept = 0;
  for (int32_t i = 0; i < c->count; i++) {
    if (c->alive[i].last >= now) c->alive[kept++] = c->alive[i];
  }
  c->count = kept;
  QN_TRY(check_scratch(c, op, qn_scratch_of(op, &call), in_memory ? &own : NULL));
  if (!in_memory) return QN_OK;
  QN_TRY(check_result(c, op, now, &call, &own));
  c->alive[c->count++] = own;
  return QN_OK;
}

static qn_status check_sweep(sweep *c, qn_arena *a) {
  bool planned;
  qn_number_values(a, c->f, &c->numbers);
  c->places = qn_find_places(a, c->f, &c->numbers);
  QN_TRY(check_offsets(c, &planned));
  if (!planned) return QN_OK;
  const int32_t *last = find_last_uses(a, c);
  c->alive = qn_alloc(a, ((size_t)c->numbers.count + 1) * sizeof *c->alive);
  int32_t now = 0;
  for (const qn_op *op = c->f->first; op; op = op->next, now++)
    QN_TRY(check_op(c, op, now, last[qn_number_of(&c->numbers, op->out)]));
  return QN_OK;
}

qn_status qn_check_memory(qn_module *m, const qn_func *f) {
  qn_arena a = {0};
  sweep c = {.m = m, .f = f};
  qn_status status = check_sweep(&c, &a);
  qn_free_arena(&a);
  return status;
}
