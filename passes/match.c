/* The questions of match.h. */
#include <math.h>
#include "match.h"

qn_op *qn_def(const qn_value *v, qn_opcode code) {
  return v->kind == QN_RESULT && v->def->code == code ? v->def : NULL;
}

static void count_read(qn_reads *r, const qn_value *v) {
  int32_t number = qn_number_of(&r->numbers, v);
  if (number >= 0) r->count[number]++;
}

void qn_count_reads(qn_arena *a, const qn_func *f, qn_reads *out) {
  qn_number_values(a, f, &out->numbers);
  out->count = qn_alloc(a, ((size_t)out->numbers.count + 1) * sizeof *out->count);
  for (const qn_op *op = f->first; op; op = op->next)
    for (int i = 0; i < op->in_count; i++) count_read(out, op->in[i]);
  for (int i = 0; i < f->result_count; i++) count_read(out, f->results[i]);
}

bool qn_reads_alone(const qn_reads *r, const qn_op *op, const qn_value *v) {
  int32_t number = qn_number_of(&r->numbers, v), count = 0;
  for (int i = 0; i < op->in_count; i++) count += op->in[i] == v;
  return number >= 0 && count > 0 && r->count[number] == count;
}

const float *qn_reals(const qn_value *v) {
  return v->kind == QN_CONST && v->type.elem == QN_f32 ? v->data : NULL;
}

void qn_absorb(qn_func *f, qn_op *op, qn_op *from) {
  op->code = from->code;
  op->in_count = from->in_count;
  for (int i = 0; i < QN_MAX_IN; i++) op->in[i] = from->in[i];
  op->a = from->a;
  qn_remove_op(f, from);
}

/* ------------------------------------------------------------------ clamps */

const qn_interval qn_unclamped = {-INFINITY, INFINITY};

qn_interval qn_activation_interval(qn_activation activation) {
  switch (activation) {
  case QN_ACTIVATION_relu: return (qn_interval){0, INFINITY};
  case QN_ACTIVATION_relu6: return (qn_interval){0, 6};
  case QN_ACTIVATION_relu_n1_to_1: return (qn_interval){-1, 1};
  default: return qn_unclamped;
  }
}

bool qn_find_activation(qn_interval i, qn_activation *out) {
  for (int a = 0; a < QN_ACTIVATION_COUNT; a++) {
    qn_interval known = qn_activation_interval((qn_activation)a);
    *out = (qn_activation)a;
    if (known.low == i.low && known.high == i.high) return true;
  }
  return false;
}

bool qn_clamp_interval(const qn_op *op, qn_interval *out) {
  switch (op->code) {
  case QN_OP_relu: *out = qn_activation_interval(QN_ACTIVATION_relu); return true;
  case QN_OP_relu6: *out = qn_activation_interval(QN_ACTIVATION_relu6); return true;
  case QN_OP_clip: *out = (qn_interval){op->a.clip.min, op->a.clip.max}; return true;
  default: return false;
  }
}

qn_activation *qn_activation_of(qn_op *op) {
  return (qn_activation *)qn_attr_of(op, "activation"); /* op is not const here */
}

static float clamp(float x, qn_interval i) { return fminf(fmaxf(x, i.low), i.high); }

qn_interval qn_clamp_twice(qn_interval first, qn_interval then) {
  return (qn_interval){clamp(first.low, then), clamp(first.high, then)};
}
