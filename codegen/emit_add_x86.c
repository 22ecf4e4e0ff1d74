/* add_x86: sums and differences of two int8 tensors of equal shape on x86, four vectors at a time,
 * by two float multiply-adds per result that are proven equal to the contract (rescale_add.c). */
#include <string.h>
#include "x86.h"

typedef struct {
  qn_isa isa;
  qn_clamping clamping;
  qn_add_numbers numbers;
  int32_t count;
} add_shape;

bool qn_take_add_x86(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_add_i8_params p;
  memcpy(&p, call->params, sizeof p);
  if (!qn_is_dense_walk(&p.walk) || qn_constant(u, call->in[0]) || qn_constant(u, call->in[1]))
    return false;
  add_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  s->isa = qn_isa_of(u);
  if (!qn_prove_add(&p, s->isa.fused, &s->numbers)) return false;
  s->clamping = (qn_clamping){p.y_zero, p.low, p.high};
  s->count = p.walk.dim[QN_KERNEL_RANK - 1];
  job->shape = s;
  job->shape_bytes = sizeof *s;
  return true;
}

static LLVMValueRef splat(qn_build *b, const qn_isa *isa, float x) {
  return qn_broadcast_value(b, LLVMConstReal(b->u->real, (double)x), isa->lanes);
}

/* x * scale + rest of a vector of stored values, or of the first `count`. */
static LLVMValueRef multiply_add(qn_build *b, const qn_isa *isa, LLVMValueRef x, int count,
                                 float scale, LLVMValueRef rest) {
  LLVMTypeRef real = qn_vector(b->u->real, isa->lanes);
  LLVMValueRef bytes = qn_read_bytes(b, x, isa->lanes, count);
  LLVMValueRef wide = LLVMBuildSExt(b->b, bytes, qn_lanes_of(b, isa), "");
  return qn_build_multiply_add(b, isa, LLVMBuildSIToFP(b->b, wide, real, ""), splat(b, isa, scale),
                               rest);
}

/* Up to four vectors. */
static void add_some(qn_build *b, const add_shape *s, LLVMValueRef *at, int count) {
  const qn_isa *isa = &s->isa;
  LLVMValueRef four[QN_MOST_GROUP];
  int vectors = 0;
  for (int i = 0; i < count; i += isa->lanes) {
    int some = count - i < isa->lanes ? count - i : isa->lanes;
    LLVMValueRef sum = multiply_add(b, isa, qn_at(b, at[1], i), some, s->numbers.b_scale,
                                    splat(b, isa, s->numbers.offset));
    sum = multiply_add(b, isa, qn_at(b, at[0], i), some, s->numbers.a_scale, sum);
    four[vectors++] = qn_round_lanes(b, isa, sum);
  }
  LLVMValueRef bytes = qn_narrow(b, isa, &s->clamping, four, vectors, false);
  qn_store_part(b, isa, bytes, 0, at[2], count);
}

/* arguments: a, b, y; y may be either operand. */
void qn_emit_add_x86(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const add_shape *s = job->shape;
  int32_t round = qn_vector_bytes(&s->isa), whole = s->count / round, rest = s->count % round;
  LLVMValueRef at[3];
  if (whole > 0) {
    qn_loop l = qn_begin_loop(b, whole, NULL, 0);
    for (int i = 0; i < 3; i++) at[i] = qn_at_index(b, arguments[i], qn_times(b, l.index, round));
    add_some(b, s, at, round);
    qn_end_loop(b, &l);
  }
  for (int i = 0; i < 3; i++) at[i] = qn_at(b, arguments[i], (int64_t)whole * round);
  if (rest > 0) add_some(b, s, at, rest);
}
