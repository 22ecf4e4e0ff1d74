/* relu, relu6 or clip after an op that can clamp -> the op's activation.
 *
 * Requires: only the clamp reads the op's result. An activation that the op has already is combined
 * with it: relu and then clip to at most 6 is relu6. Clamps that no activation means stay, as does
 * everything after ops without one. Leaves: the op in the clamp's place and under its name. */
#include "match.h"
#include "passes.h"

static void fuse(qn_func *f, const qn_reads *reads, qn_op *op) {
  qn_interval outer;
  qn_value *x = op->in[0];
  if (!qn_clamp_interval(op, &outer) || x->kind != QN_RESULT) return;
  qn_activation *inner = qn_activation_of(x->def), both;
  if (!inner || !qn_reads_alone(reads, op, x)) return;
  if (!qn_find_activation(qn_clamp_twice(qn_activation_interval(*inner), outer), &both)) return;
  *inner = both;
  qn_absorb(f, op, x->def);
}

qn_status pass_fuse_activation(qn_module *m, const qn_pass_options *options) {
  (void)options;
  for (qn_func *f = m->funcs; f; f = f->next) {
    qn_arena work = {0};
    qn_reads reads;
    qn_count_reads(&work, f, &reads);
    for (qn_op *op = f->first; op; op = op->next) fuse(f, &reads, op);
    qn_free_arena(&work);
  }
  return QN_OK;
}
