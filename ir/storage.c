/* Where the bytes of a value are when its function runs: in the object's constants, in the caller's
 * inputs and outputs, or in memory at an offset. ir.h states the rules of qn_place_of.
 *
 * Views form trees: the root is computed, a parameter or a constant, every other node holds the
 * root's bytes. A computed root may write straight into an output that one of its views returns,
 * and no other tree wants that output, because a returned value belongs to one tree. */
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

/* The lowest output that returns a view of v through views that are not returned, or -1. */
static int output_of_views(const qn_func *f, const qn_value *v) {
  for (int i = 0; i < f->result_count; i++) {
    const qn_value *u = f->results[i];
    if (result_index(f, u) != i) continue;
    while (is_view(u)) {
      u = u->def->in[0];
      if (u == v) return i;
      if (result_index(f, u) >= 0) break;
    }
  }
  return -1;
}

qn_place qn_place_of(const qn_func *f, const qn_value *v) {
  int output = -1;
  while (v->kind == QN_RESULT) {
    output = result_index(f, v);
    if (output >= 0 || !is_view(v)) break;
    v = v->def->in[0];
  }
  if (v->kind == QN_CONST) return (qn_place){QN_IN_CONST, 0, v, -1};
  if (v->kind == QN_PARAM) return (qn_place){QN_IN_INPUT, param_index(f, v), NULL, -1};
  if (output < 0) output = output_of_views(f, v);
  if (output >= 0) return (qn_place){QN_IN_OUTPUT, output, NULL, -1};
  return (qn_place){QN_IN_MEMORY, 0, v, v->offset};
}

bool qn_same_place(const qn_place *a, const qn_place *b) {
  return a->kind == b->kind && a->index == b->index && a->value == b->value;
}

int64_t qn_memory_bytes(const qn_func *f) {
  int64_t end = 0;
  for (const qn_op *op = f->first; op; op = op->next) {
    const qn_value *v = op->out;
    if (!is_view(v) && v->offset >= 0 && v->offset + qn_bytes(&v->type) > end)
      end = v->offset + qn_bytes(&v->type);
    if (op->scratch < 0) continue;
    qn_call call;
    qn_bind(op, &call);
    if (op->scratch + call.scratch_bytes > end) end = op->scratch + call.scratch_bytes;
  }
  return end;
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
