/* Kernels chosen -> how values between them are stored, where it is not densely and as int8: with
 * the sign bit of every byte flipped, as unsigned bytes, and with a margin around the pixels that
 * holds the zero point, as vpdpbusd's convolutions read activations without a copy.
 *
 * It costs the producer one xor per vector of results, and a margin's few bytes in every run. A
 * value is stored so where the code that computes it and the code of every op that reads it agree
 * (qn_job), and nobody else sees it: it is no tensor of the caller's, no constant, no view of
 * another value and has none. Its margin is the largest that a reader wants; one of these reads in
 * place then, the others know of it. */
#include "arithmetic.h"
#include "unit.h"

typedef struct {
  qn_job *producer; /* NULL: cannot */
  bool refused;     /* to be flipped */
  bool rigid;       /* to have pixels around it */
  int32_t readers;
  qn_margin wanted;
} candidate;

typedef struct {
  qn_unit *u;
  qn_numbering numbers;
  candidate *at; /* by number */
} decision;

static candidate *find(const decision *d, const qn_value *v) {
  int32_t number = v ? qn_number_of(&d->numbers, v) : -1;
  return number < 0 ? NULL : &d->at[number];
}

static bool can_write(const decision *d, const qn_op *op, const qn_job *job) {
  qn_place place = qn_place_of(d->u->f, op->out);
  return job && job->y_layout && place.kind == QN_IN_MEMORY && place.value == op->out;
}

static void widen(qn_margin *m, const qn_margin *by) {
  m->top = qn_most(m->top, by->top);
  m->left = qn_most(m->left, by->left);
  m->bottom = qn_most(m->bottom, by->bottom);
  m->right = qn_most(m->right, by->right);
  m->beyond = qn_most(m->beyond, by->beyond);
}

/* What op thinks of its operands. */
static void visit_operands(const decision *d, const qn_op *op, const qn_job *job) {
  for (int i = 0; i < op->in_count; i++) {
    candidate *x = find(d, op->in[i]);
    if (!x) continue;
    x->readers++;
    x->refused |= i >= QN_LAYOUTS || !job || !job->x_layout[i];
    x->rigid |= !job || !job->reads_margins;
    if (i == 0 && job) widen(&x->wanted, &job->wanted);
  }
}

static void collect(decision *d) {
  const qn_func *f = d->u->f;
  int32_t step = 0;
  for (const qn_op *op = f->first; op; op = op->next, step++) {
    qn_job *job = d->u->jobs[step];
    if (can_write(d, op, job)) find(d, op->out)->producer = job;
    if (op->out->type.rank != 4) find(d, op->out)->rigid = true;
    visit_operands(d, op, job);
  }
  for (int i = 0; i < f->result_count; i++) {
    candidate *x = find(d, f->results[i]);
    if (x) x->refused = true;
  }
}

/* The layout of a value; all 0: dense int8. A plan that stands has no room for margins. */
static qn_layout choose(const decision *d, const candidate *v) {
  qn_layout out = {0};
  if (!v->producer || v->refused || v->readers == 0) return out;
  out.flipped = 1;
  if (!d->u->options->plan) return out;
  out.margin.beyond = v->wanted.beyond;
  if (!v->rigid && v->producer->writes_margins) out.margin = v->wanted;
  return out;
}

void qn_decide_layouts(qn_unit *u) {
  decision d = {.u = u};
  int32_t step = 0;
  u->flipped = u->padded = 0;
  if (u->options->keep_values) return;
  qn_number_values(&u->m->arena, u->f, &d.numbers);
  d.at = qn_alloc(&u->m->arena, ((size_t)d.numbers.count + 1) * sizeof *d.at);
  collect(&d);
  for (const qn_op *op = u->f->first; op; op = op->next, step++) {
    qn_job *job = u->jobs[step];
    qn_layout y = choose(&d, find(&d, op->out));
    if (y.flipped) *job->y_layout = y;
    u->flipped += y.flipped;
    u->padded += !qn_same_rows(&y.margin, &(qn_margin){0});
    for (int i = 0; job && i < op->in_count && i < QN_LAYOUTS; i++) {
      const candidate *x = find(&d, op->in[i]);
      if (x && job->x_layout[i]) *job->x_layout[i] = choose(&d, x);
    }
    if (job && job->settle) job->settle(job);
  }
}
