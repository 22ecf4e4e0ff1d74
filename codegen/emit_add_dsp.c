/* add_dsp: sums and differences of two int8 tensors of equal shape by two integer multiply-adds per
 * result, proven equal to the contract for all pairs of operands (rescale_add.c); one by one, or in
 * four lanes with MVE. */
#include <string.h>
#include "build.h"
#include "rescale.h"

enum { MOST_LANES = 4, UNROLLED = 4 };

typedef struct {
  qn_clamping clamping;
  qn_add_integers numbers;
  int32_t count, lanes;
} add_shape;

bool qn_take_add_dsp(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_add_i8_params p;
  memcpy(&p, call->params, sizeof p);
  if (u->options->optimize == QN_OPTIMIZE_SIZE || !qn_is_dense_walk(&p.walk)) return false;
  if (qn_constant(u, call->in[0]) || qn_constant(u, call->in[1])) return false;
  add_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  if (!qn_prove_add_integers(&p, &s->numbers)) return false;
  s->clamping = (qn_clamping){.zero = p.y_zero, .low = p.low, .high = p.high};
  s->count = p.walk.dim[QN_KERNEL_RANK - 1];
  s->lanes = qn_can(u, QN_NEEDS_mve) ? MOST_LANES : 1;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  return true;
}

static LLVMValueRef splat(qn_build *b, int64_t n, int lanes) {
  return lanes == 1 ? qn_i32(b, n) : qn_splat_i32(b, n, lanes);
}

static LLVMTypeRef lanes_of(LLVMTypeRef element, int lanes) {
  return lanes == 1 ? element : qn_vector(element, lanes);
}

static LLVMValueRef limit(qn_build *b, LLVMValueRef x, LLVMIntPredicate keep, LLVMValueRef bound) {
  return LLVMBuildSelect(b->b, LLVMBuildICmp(b->b, keep, x, bound, ""), x, bound, "");
}

/* `lanes` results at at[2], of operands at at[0] and at[1]. */
static void add_lanes(qn_build *b, const add_shape *s, LLVMValueRef *at, int lanes) {
  const qn_add_integers *n = &s->numbers;
  const int32_t factor[2] = {n->a_factor, n->b_factor};
  LLVMTypeRef bytes = lanes_of(b->u->i8, lanes), words = lanes_of(b->u->i32, lanes);
  LLVMValueRef sum = splat(b, n->offset, lanes);
  for (int i = 0; i < 2; i++) {
    LLVMValueRef x = LLVMBuildSExt(b->b, qn_read(b, bytes, at[i], 1), words, "");
    sum = LLVMBuildAdd(b->b, LLVMBuildMul(b->b, x, splat(b, factor[i], lanes), ""), sum, "");
  }
  sum = LLVMBuildAShr(b->b, sum, splat(b, n->shift, lanes), "");
  sum = limit(b, sum, LLVMIntSGT, splat(b, s->clamping.low, lanes));
  sum = limit(b, sum, LLVMIntSLT, splat(b, s->clamping.high, lanes));
  qn_write(b, LLVMBuildTrunc(b->b, sum, bytes, ""), at[2], 1);
}

/* arguments: a, b, y; y may be either operand. */
void qn_emit_add_dsp(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const add_shape *s = job->shape;
  int32_t step = s->lanes * UNROLLED, whole = s->count / step;
  LLVMValueRef at[3], from[3];
  if (whole > 0) {
    qn_loop l = qn_begin_loop(b, whole, NULL, 0);
    for (int i = 0; i < 3; i++) from[i] = qn_at_index(b, arguments[i], qn_times(b, l.index, step));
    for (int k = 0; k < UNROLLED; k++) {
      for (int i = 0; i < 3; i++) at[i] = qn_at(b, from[i], k * s->lanes);
      add_lanes(b, s, at, s->lanes);
    }
    qn_end_loop(b, &l);
  }
  for (int32_t done = whole * step, lanes; done < s->count; done += lanes) {
    lanes = s->count - done >= s->lanes ? s->lanes : 1;
    for (int i = 0; i < 3; i++) at[i] = qn_at(b, arguments[i], done);
    add_lanes(b, s, at, lanes);
  }
}
