/* What several passes ask of the ops around an op. */
#ifndef QN_MATCH_H
#define QN_MATCH_H

#include "../ir/ir.h"

/* The op that computes v when it is a `code`, else NULL. */
qn_op *qn_def(const qn_value *v, qn_opcode code);

/* How often each value of f is read, by number; a return counts as well. Made once, at the start of a
 * pass: it stays right where an op takes over the operands of one that goes (qn_absorb), and counts
 * too many where an operand is no longer read. */
typedef struct {
  qn_numbering numbers;
  int32_t *count;
} qn_reads;
void qn_count_reads(qn_arena *a, const qn_func *f, qn_reads *out);
/* op reads v and is all that does. */
bool qn_reads_alone(const qn_reads *r, const qn_op *op, const qn_value *v);

/* The elements of v when it is an f32 constant, else NULL. */
const float *qn_reals(const qn_value *v);

/* Turns op into a copy of `from`, whose result only op reads, and removes `from`. What was op's
 * result keeps its name, type and uses and is now computed by what `from` was. */
void qn_absorb(qn_func *f, qn_op *op, qn_op *from);

/* A clamp of real values: x -> min(max(x, low), high), low <= high. */
typedef struct {
  float low, high;
} qn_interval;

extern const qn_interval qn_unclamped;
qn_interval qn_activation_interval(qn_activation activation);
bool qn_find_activation(qn_interval i, qn_activation *out); /* false: no activation is this clamp */
/* What a relu, relu6 or clip does; false for other ops. */
bool qn_clamp_interval(const qn_op *op, qn_interval *out);
/* Where op keeps its activation; NULL when it has none. */
qn_activation *qn_activation_of(qn_op *op);
/* First `first`, then `then`, as one clamp. */
qn_interval qn_clamp_twice(qn_interval first, qn_interval then);

#endif
