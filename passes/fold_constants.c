/* Ops whose operands are all constants -> constants, computed by the evaluator.
 *
 * Requires: a verified module. Leaves: the result as a constant of the same name and type
 * (quantization included); a constant of that name that exists already makes it name.1. Stay: ops
 * whose result nothing uses, as dce is cheaper than evaluating them; ops with a result that is not
 * finite, which no constant may be; and what would take too long, see MOST_WORK. Where fuse-int8 is
 * still to come, dequantize stays (options->keep_stored): it wants to see the integers. */
#include <math.h>
#include "match.h"
#include "passes.h"

/* Of all ops folded in a module, in steps of about a nanosecond. A few lines of text can ask for
 * years: padded to 2^28 elements, two constants make a product of 10^12 steps. */
#define MOST_WORK ((int64_t)1 << 31)

typedef struct {
  qn_module *m;
  qn_func *f;
  int64_t work_left;
} folder;

static bool is_constant(const qn_op *op) {
  for (int i = 0; i < op->in_count; i++) {
    if (op->in[i]->kind != QN_CONST) return false;
  }
  return op->in_count > 0;
}

/* Steps to compute op: products, taps of a pool, elements read, and 8 for an element written. */
static int64_t work_of(const qn_op *op) {
  int64_t results = qn_count(&op->out->type), work = qn_macs(op) + 8 * results;
  for (int i = 0; i < op->in_count; i++) work += qn_count(&op->in[i]->type);
  if (qn_attr_of(op, "window")) {
    qn_window g = qn_window_of(op);
    int64_t rows = g.kernel_h < g.in_h ? g.kernel_h : g.in_h;
    int64_t columns = g.kernel_w < g.in_w ? g.kernel_w : g.in_w;
    work += results * rows * columns;
  }
  return work;
}

static bool is_finite(const qn_type *t, const void *data) {
  int64_t count = qn_elem_is_float(t->elem) ? qn_count(t) : 0;
  for (int64_t i = 0; i < count; i++) {
    if (!isfinite(qn_float_at(t->elem, data, i))) return false;
  }
  return true;
}

/* The constant that op's result is, or NULL. */
static qn_value *fold(folder *s, const qn_op *op) {
  const qn_value *y = op->out;
  int64_t work = work_of(op);
  if (work > s->work_left) return NULL;
  s->work_left -= work;
  const void *in[QN_MAX_IN];
  for (int i = 0; i < op->in_count; i++) in[i] = op->in[i]->data;
  void *data = qn_alloc(&s->m->arena, (size_t)qn_bytes(&y->type));
  qn_eval_op(op, in, data);
  if (!is_finite(&y->type, data)) return NULL;
  qn_value *c = qn_add_const(s->m, y->name, &y->type, data);
  c->loc = op->loc;
  c->has_range = y->has_range;
  c->range[0] = y->range[0];
  c->range[1] = y->range[1];
  return c;
}

/* What v has become, by its number; v itself when nothing. */
static qn_value *latest(const qn_numbering *n, qn_value *const *folded, qn_value *v) {
  int32_t number = qn_number_of(n, v);
  return number >= 0 && folded[number] ? folded[number] : v;
}

static void fold_all(folder *s, qn_arena *work, bool keep_stored) {
  qn_reads reads;
  qn_count_reads(work, s->f, &reads);
  const qn_numbering *n = &reads.numbers;
  qn_value **folded = qn_alloc(work, ((size_t)n->count + 1) * sizeof *folded);
  qn_op *next;
  for (qn_op *op = s->f->first; op; op = next) {
    next = op->next;
    for (int i = 0; i < op->in_count; i++) op->in[i] = latest(n, folded, op->in[i]);
    int32_t number = qn_number_of(n, op->out);
    if (!is_constant(op) || reads.count[number] == 0) continue;
    if (keep_stored && op->code == QN_OP_dequantize) continue;
    folded[number] = fold(s, op);
    if (folded[number]) qn_remove_op(s->f, op);
  }
  for (int i = 0; i < s->f->result_count; i++)
    s->f->results[i] = latest(n, folded, s->f->results[i]);
}

qn_status pass_fold_constants(qn_module *m, const qn_pass_options *options) {
  folder s = {.m = m, .work_left = MOST_WORK};
  for (s.f = m->funcs; s.f; s.f = s.f->next) {
    qn_arena work = {0};
    fold_all(&s, &work, options->keep_stored);
    qn_free_arena(&work);
  }
  return QN_OK;
}
