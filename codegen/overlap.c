/* What the kernels chosen for a function's ops let overlap -> the ops, and a memory plan that makes
 * use of it.
 *
 * Other kernels were chosen when the plan at hand was made, or none yet. If that changes what may
 * overlap, the memory is planned again; whoever brings a plan of their own has it checked. */
#include "unit.h"

/* Whether any op was otherwise. */
static bool set_overlaps(qn_unit *u) {
  bool changed = false;
  int i = 0;
  for (qn_op *op = qn_main_func(u->m)->first; op; op = op->next, i++) {
    const qn_job *job = u->jobs[i];
    qn_overlap overlap = job ? job->overlap : QN_APART;
    int64_t lead = job && overlap == QN_AHEAD ? job->lead : 0;
    changed |= op->overlap != overlap || op->lead != lead;
    op->overlap = overlap;
    op->lead = lead;
  }
  return changed;
}

qn_status qn_plan_overlaps(qn_unit *u) {
  if (!set_overlaps(u)) return QN_OK;
  return u->options->plan ? u->options->plan(u->m) : qn_check_memory(u->m, u->f);
}
