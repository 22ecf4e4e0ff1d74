/* The reference semantics: every op is its runtime kernel, called natively.
 *
 * qn_eval gives every value that is not an input or output bytes of its own and frees them after
 * the last use, so that a long network needs the memory of its widest place only. */
#include "ir.h"
#include <string.h>

/* The kernels behind one type of function: a call through another type is undefined in C. */
#define QN_KERNEL(name, params)                                                                    \
  static void run_##name(const void *p, const void *const *in, void *out, void *scratch) {         \
    qn_kernel_##name(p, in, out, scratch);                                                         \
  }
#include "../runtime/kernels.def"

static void (*const run_kernels[QN_KERNEL_COUNT])(const void *, const void *const *, void *,
                                                  void *) = {
#define QN_KERNEL(name, params) [QN_KERNEL_##name] = run_##name,
#include "../runtime/kernels.def"
};

enum { SCRATCH_ALIGN = 64 };

void qn_eval_op(const qn_op *op, const void *const *in, void *out) {
  qn_call call;
  qn_bind(op, &call);
  const void *operands[QN_MAX_IN] = {NULL};
  for (int i = 0; i < call.in_count; i++) {
    if (i < op->in_count)
      operands[i] = in[i];
    else if (call.in[i])
      operands[i] = call.in[i]->data; /* scales of a type */
  }
  qn_arena a = {0};
  char *scratch = NULL;
  if (call.scratch_bytes > 0) {
    scratch = qn_alloc(&a, (size_t)call.scratch_bytes + SCRATCH_ALIGN);
    scratch += SCRATCH_ALIGN - (uintptr_t)scratch % SCRATCH_ALIGN;
  }
  run_kernels[call.kernel](call.params, operands, out, scratch);
  qn_free_arena(&a);
}

/* Where a value is while the function runs. */
typedef struct {
  const void *data;
  qn_arena own; /* empty for inputs and outputs */
  int32_t last; /* index of the last op that reads it; -1: none */
} place;

typedef struct {
  const qn_func *f;
  qn_numbering numbers;
  place *places;
  qn_see_value see; /* or NULL */
  void *of;
} frame;

static const void *data_of(const frame *r, const qn_value *v) {
  return v->kind == QN_CONST ? v->data : r->places[qn_number_of(&r->numbers, v)].data;
}

static void find_last_uses(frame *r) {
  int32_t index = 0;
  for (int32_t i = 0; i < r->numbers.count; i++) r->places[i].last = -1;
  for (const qn_op *op = r->f->first; op; op = op->next, index++) {
    for (int i = 0; i < op->in_count; i++) {
      if (op->in[i]->kind != QN_CONST) r->places[qn_number_of(&r->numbers, op->in[i])].last = index;
    }
  }
}

static void *output_of(const frame *r, const qn_value *v, void *const *outputs) {
  for (int i = 0; i < r->f->result_count; i++) {
    if (r->f->results[i] == v) return outputs[i];
  }
  return NULL;
}

static void run_op(frame *r, const qn_op *op, int32_t index, void *const *outputs) {
  const void *in[QN_MAX_IN];
  for (int i = 0; i < op->in_count; i++) in[i] = data_of(r, op->in[i]);
  place *y = &r->places[qn_number_of(&r->numbers, op->out)];
  void *out = output_of(r, op->out, outputs);
  if (!out) out = qn_alloc(&y->own, (size_t)qn_bytes(&op->out->type));
  y->data = out;
  qn_eval_op(op, in, out);
  if (r->see) r->see(r->of, op->out, out);
  for (int i = 0; i < op->in_count; i++) {
    if (op->in[i]->kind == QN_CONST) continue;
    place *x = &r->places[qn_number_of(&r->numbers, op->in[i])];
    if (x->last == index) qn_free_arena(&x->own);
  }
  if (y->last < 0) qn_free_arena(&y->own);
}

void qn_eval(const qn_func *f, const void *const *inputs, void *const *outputs) {
  qn_eval_seen(f, inputs, outputs, NULL, NULL);
}

void qn_eval_seen(const qn_func *f, const void *const *inputs, void *const *outputs,
                  qn_see_value see, void *of) {
  qn_arena a = {0};
  frame r = {.f = f, .see = see, .of = of};
  qn_number_values(&a, f, &r.numbers);
  r.places = qn_alloc(&a, (size_t)(r.numbers.count + 1) * sizeof *r.places);
  find_last_uses(&r);
  int32_t param = 0, index = 0;
  for (const qn_value *p = f->params; p; p = p->next, param++) r.places[param].data = inputs[param];
  for (const qn_op *op = f->first; op; op = op->next) run_op(&r, op, index++, outputs);
  for (int i = 0; i < f->result_count; i++) {
    const void *from = data_of(&r, f->results[i]);
    if (from != outputs[i]) memmove(outputs[i], from, (size_t)qn_bytes(&f->results[i]->type));
  }
  qn_free_arena(&a);
}
