/* What the kernels chosen for a function's ops want of memory -> the ops, and a memory plan that
 * gives it: scratch while they run, whether their results may overlap operands, and the margins
 * that these have.
 *
 * Other kernels were chosen when the plan at hand was made, or none yet. If they want something
 * else, the memory is planned again; whoever brings a plan of their own has it checked. */
#include "unit.h"

/* -1: op runs by the runtime's kernel. */
static int64_t needs_of(const qn_unit *u, int number) {
  const qn_panels *panels = u->panels[number];
  if (panels && !panels->by_init) return qn_panel_scratch_of(u, panels).bytes;
  return u->jobs[number] ? u->jobs[number]->scratch_bytes : -1;
}

/* Whether it was another. */
static bool set_margin(qn_value *v, const qn_job *job) {
  qn_margin margin = job && job->y_layout ? job->y_layout->margin : (qn_margin){0};
  bool changed = !qn_same_rows(&v->margin, &margin) || v->margin.beyond != margin.beyond;
  v->margin = margin;
  return changed;
}

/* Whether any op was otherwise. */
static bool set_wishes(qn_unit *u) {
  bool changed = false;
  int i = 0;
  for (qn_op *op = qn_main_func(u->m)->first; op; op = op->next, i++) {
    const qn_job *job = u->jobs[i];
    qn_overlap overlap = job ? job->overlap : QN_APART;
    int64_t lead = job && overlap == QN_AHEAD ? job->lead : 0, needs = needs_of(u, i);
    changed |= op->overlap != overlap || op->lead != lead || op->needs != needs;
    op->overlap = overlap;
    op->lead = lead;
    op->needs = needs;
    changed |= set_margin(op->out, job);
  }
  return changed;
}

qn_status qn_plan_wishes(qn_unit *u) {
  if (!set_wishes(u)) return QN_OK;
  return u->options->plan ? u->options->plan(u->m) : qn_check_memory(u->m, u->f);
}
