/* The main function -> a second function @teacher that computes the same, op for op under the same
 * names: what insert-qdq does to `main` leaves it alone, so that recovery passes can see what each
 * layer should have answered. drop-teacher removes it again.
 *
 * Requires: float ops. Leaves: a main function called `main`. Constants are shared. */
#include <string.h>
#include "recover.h"

static const char teacher_name[] = "teacher";

/* ------------------------------------------------------------------ copying */

typedef struct {
  qn_numbering numbers;
  qn_value **copies; /* by number in the main function */
} copying;

static qn_value *copy_of(const copying *c, qn_value *v) {
  return v->kind == QN_CONST ? v : c->copies[qn_number_of(&c->numbers, v)];
}

static void remember(copying *c, const qn_value *v, qn_value *copy) {
  c->copies[qn_number_of(&c->numbers, v)] = copy;
  copy->type = v->type;
  copy->loc = v->loc;
  copy->has_range = v->has_range;
  memcpy(copy->range, v->range, sizeof copy->range);
}

static void copy_op(qn_module *m, qn_func *to, copying *c, const qn_op *op) {
  qn_value *in[QN_MAX_IN];
  for (int i = 0; i < op->in_count; i++) in[i] = copy_of(c, op->in[i]);
  qn_op *copy = qn_add_op(m, to, NULL, op->code, op->out->name, in, op->in_count);
  copy->a = op->a;
  copy->loc = op->loc;
  remember(c, op->out, copy->out);
}

static void copy_func(qn_module *m, const qn_func *f, qn_func *to) {
  qn_arena a = {0};
  copying c;
  qn_number_values(&a, f, &c.numbers);
  c.copies = qn_alloc(&a, ((size_t)c.numbers.count + 1) * sizeof *c.copies);
  for (const qn_value *p = f->params; p; p = p->next)
    remember(&c, p, qn_add_param(m, to, p->name, &p->type));
  for (const qn_op *op = f->first; op; op = op->next) copy_op(m, to, &c, op);
  to->loc = f->loc;
  to->result_count = f->result_count;
  for (int i = 0; i < f->result_count; i++) to->results[i] = copy_of(&c, f->results[i]);
  qn_free_arena(&a);
}

qn_status pass_keep_teacher(qn_module *m, const qn_pass_options *options) {
  (void)options;
  qn_func *f = qn_main_func(m);
  if (!f) return qn_error(&m->src, qn_nowhere, "a model needs one function, or one named 'main'");
  f->name = "main";
  const qn_func *old = qn_find_func(m, teacher_name);
  if (old) return qn_error(&m->src, old->loc, "there is a function '%s' already", teacher_name);
  copy_func(m, f, qn_add_func(m, teacher_name));
  return QN_OK;
}

/* ------------------------------------------------------------------ finding */

bool qn_is_teacher(const qn_module *m, const qn_func *f) {
  const qn_func *main_func = qn_main_func(m);
  return strcmp(f->name, teacher_name) == 0 && main_func && f != main_func;
}

qn_status qn_find_teacher(const qn_module *m, const qn_func **out) {
  *out = qn_find_func(m, teacher_name);
  if (*out && qn_is_teacher(m, *out)) return QN_OK;
  return qn_error(&m->src, qn_nowhere,
                  "there is no float network to learn from: run keep-teacher before insert-qdq");
}

static const qn_op *find_result(const qn_func *f, const char *name) {
  for (const qn_op *op = f->first; op; op = op->next)
    if (strcmp(op->out->name, name) == 0) return op;
  return NULL;
}

/* Both have the same op, of operands and result of the same shapes: what a pass may compare. A
 * bias may be there or not. */
static bool are_alike(const qn_op *a, const qn_op *b) {
  if (a->code != b->code || !qn_same_shape(&a->out->type, &b->out->type)) return false;
  for (int i = 0; i < 2 && i < a->in_count && i < b->in_count; i++)
    if (!qn_same_shape(&a->in[i]->type, &b->in[i]->type)) return false;
  return true;
}

/* insert-qdq gives a layer's name to its stored value, or to the real value of that. */
const qn_op *qn_twin_of(const qn_func *teacher, const qn_func *f, const qn_op *op) {
  const qn_value *v = op->out;
  for (int i = 0; i < 3; i++) {
    const qn_op *twin = find_result(teacher, v->name);
    if (twin && are_alike(twin, op)) return twin;
    const qn_op *user = qn_only_user(f, v);
    bool names = user && (user->code == QN_OP_quantize || user->code == QN_OP_dequantize);
    if (!names) return NULL;
    v = user->out;
  }
  return NULL;
}
