/* Kernels chosen -> which values are stored with the sign bit of every byte flipped: as unsigned
 * bytes, as vpdpbusd takes activations, so that who reads them needs no copy or no xor.
 *
 * It costs the producer one xor per vector of results. A value is stored so where the code that
 * computes it and the code of every op that reads it agree (qn_job), and nobody else sees it: it is
 * no tensor of the caller's, no constant, no view of another value and has none. */
#include "unit.h"

typedef struct {
  qn_job *producer; /* NULL: cannot */
  bool refused;
  int32_t readers;
} candidate;

static bool can_write(const qn_unit *u, const qn_op *op, const qn_job *job) {
  qn_place place = qn_place_of(u->f, op->out);
  return job && job->flip_y && place.kind == QN_IN_MEMORY && place.value == op->out;
}

/* Operands that op does not want flipped, or wants elsewhere too. */
static void visit_operands(const qn_numbering *n, const qn_op *op, const qn_job *job,
                           candidate *at) {
  for (int i = 0; i < op->in_count; i++) {
    int32_t number = op->in[i] ? qn_number_of(n, op->in[i]) : -1;
    if (number < 0) continue;
    if (i > 0 || !job || !job->flip_x) at[number].refused = true;
    at[number].readers++;
  }
}

int32_t qn_flip_values(qn_unit *u) {
  qn_arena *a = &u->m->arena;
  qn_numbering n;
  int32_t step = 0, flipped = 0;
  if (u->options->keep_values) return 0;
  qn_number_values(a, u->f, &n);
  candidate *at = qn_alloc(a, ((size_t)n.count + 1) * sizeof *at);
  for (const qn_op *op = u->f->first; op; op = op->next, step++) {
    qn_job *job = u->jobs[step];
    if (can_write(u, op, job)) at[qn_number_of(&n, op->out)].producer = job;
    visit_operands(&n, op, job, at);
  }
  for (int i = 0; i < u->f->result_count; i++) {
    int32_t number = qn_number_of(&n, u->f->results[i]);
    if (number >= 0) at[number].refused = true;
  }
  step = 0;
  for (const qn_op *op = u->f->first; op; op = op->next, step++) {
    qn_job *job = u->jobs[step];
    const candidate *y = &at[qn_number_of(&n, op->out)];
    if (y->producer && !y->refused && y->readers > 0) {
      *job->flip_y = 1;
      flipped++;
    }
    int32_t x = job && job->flip_x ? qn_number_of(&n, op->in[0]) : -1;
    if (x < 0 || !at[x].producer || at[x].refused) continue;
    *job->flip_x = 1;
    job->scratch_bytes = job->flipped_scratch;
  }
  return flipped;
}
