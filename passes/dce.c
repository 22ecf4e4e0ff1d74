/* Removes ops whose results nothing uses, last first so that a chain goes at once, and constants
 * that nothing refers to: no operand, no return, and no type for its scales.
 *
 * Requires: a verified module. Leaves: parameters and functions as they are. */
#include <stdlib.h>
#include "match.h"
#include "passes.h"

/* ------------------------------------------------------------------ ops */

static void remove_ops(qn_func *f) {
  qn_arena work = {0};
  qn_reads reads;
  qn_count_reads(&work, f, &reads);
  qn_op *before;
  for (qn_op *op = f->last; op; op = before) {
    before = op->prev;
    if (reads.count[qn_number_of(&reads.numbers, op->out)] > 0) continue;
    for (int i = 0; i < op->in_count; i++) {
      int32_t at = qn_number_of(&reads.numbers, op->in[i]);
      if (at >= 0) reads.count[at]--;
    }
    qn_remove_op(f, op);
  }
  qn_free_arena(&work);
}

/* ------------------------------------------------------------------ constants */

typedef struct {
  const qn_value **at; /* NULL: only counting */
  size_t count;
} value_list;

static void add_constant(value_list *list, const qn_value *v) {
  if (!v || v->kind != QN_CONST) return;
  if (list->at) list->at[list->count] = v;
  list->count++;
}

static void add_references(value_list *list, const qn_module *m) {
  for (const qn_value *c = m->consts; c; c = c->next) add_constant(list, c->type.q.scales);
  for (const qn_func *f = m->funcs; f; f = f->next) {
    for (const qn_value *p = f->params; p; p = p->next) add_constant(list, p->type.q.scales);
    for (const qn_op *op = f->first; op; op = op->next) {
      add_constant(list, op->out->type.q.scales);
      for (int i = 0; i < op->in_count; i++) add_constant(list, op->in[i]);
    }
    for (int i = 0; i < f->result_count; i++) add_constant(list, f->results[i]);
  }
}

static int by_address(const void *a, const void *b) {
  uintptr_t x = (uintptr_t) * (const qn_value *const *)a,
            y = (uintptr_t) * (const qn_value *const *)b;
  return (x > y) - (x < y);
}

/* Whether any went. */
static bool remove_constants(qn_module *m) {
  qn_arena work = {0};
  value_list list = {0};
  add_references(&list, m);
  list.at = qn_alloc(&work, (list.count + 1) * sizeof *list.at);
  list.count = 0;
  add_references(&list, m);
  qsort(list.at, list.count, sizeof *list.at, by_address);
  bool changed = false;
  for (qn_value **link = &m->consts; *link;) {
    if (bsearch(link, list.at, list.count, sizeof *list.at, by_address)) {
      link = &(*link)->next;
    } else {
      *link = (*link)->next;
      changed = true;
    }
  }
  qn_free_arena(&work);
  return changed;
}

qn_status pass_dce(qn_module *m, const qn_pass_options *options) {
  (void)options;
  for (qn_func *f = m->funcs; f; f = f->next) remove_ops(f);
  while (remove_constants(m)) {
  } /* a constant's going may free its scales */
  qn_forget_names(m);
  return QN_OK;
}
