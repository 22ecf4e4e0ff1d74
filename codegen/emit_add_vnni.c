/* add_vnni: sums and differences of two int8 tensors of equal shape, 64 at a time, by two float
 * multiply-adds per result that are proven equal to the contract (rescale_add.c). */
#include <string.h>
#include "vnni.h"

typedef struct {
  qn_clamping clamping;
  qn_add_numbers numbers;
  int32_t count;
} add_shape;

bool qn_take_add_vnni(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_add_i8_params p;
  memcpy(&p, call->params, sizeof p);
  if (!qn_is_dense_walk(&p.walk) || qn_constant(u, call->in[0]) || qn_constant(u, call->in[1]))
    return false;
  add_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  if (!qn_prove_add(&p, &s->numbers)) return false;
  s->clamping = (qn_clamping){p.y_zero, p.low, p.high};
  s->count = p.walk.dim[QN_KERNEL_RANK - 1];
  job->shape = s;
  job->shape_bytes = sizeof *s;
  return true;
}

static LLVMValueRef splat(qn_build *b, float x) {
  return qn_broadcast_value(b, LLVMConstReal(b->u->real, (double)x), QN_LANES);
}

/* x * scale + rest of up to 16 stored values. */
static LLVMValueRef multiply_add(qn_build *b, LLVMValueRef x, int count, float scale,
                                 LLVMValueRef rest) {
  LLVMTypeRef real = qn_vector(b->u->real, QN_LANES);
  LLVMValueRef bytes = qn_read_bytes(b, x, QN_LANES, count);
  LLVMValueRef arguments[] = {LLVMBuildSIToFP(b->b, bytes, real, ""), splat(b, scale), rest};
  return qn_call_intrinsic(b, "llvm.fma", NULL, &real, 1, arguments, 3);
}

/* Up to 64 values. */
static void add_some(qn_build *b, const add_shape *s, LLVMValueRef *at, int count) {
  LLVMTypeRef types[] = {qn_v16i32(b), qn_vector(b->u->real, QN_LANES)};
  LLVMValueRef four[QN_MOST_GROUP];
  int vectors = 0;
  for (int i = 0; i < count; i += QN_LANES) {
    int some = count - i < QN_LANES ? count - i : QN_LANES;
    LLVMValueRef sum =
        multiply_add(b, qn_at(b, at[1], i), some, s->numbers.b_scale, splat(b, s->numbers.offset));
    sum = multiply_add(b, qn_at(b, at[0], i), some, s->numbers.a_scale, sum);
    four[vectors++] = qn_call_intrinsic(b, "llvm.lrint", NULL, types, 2, &sum, 1);
  }
  LLVMValueRef bytes = qn_narrow(b, &s->clamping, four, vectors, false);
  qn_store_part(b, bytes, 0, at[2], count);
}

/* arguments: a, b, y; y may be either operand. */
void qn_emit_add_vnni(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const add_shape *s = job->shape;
  int32_t whole = s->count / QN_ZMM, rest = s->count % QN_ZMM;
  LLVMValueRef at[3];
  if (whole > 0) {
    qn_loop l = qn_begin_loop(b, whole, NULL, 0);
    for (int i = 0; i < 3; i++) at[i] = qn_at_index(b, arguments[i], qn_times(b, l.index, QN_ZMM));
    add_some(b, s, at, QN_ZMM);
    qn_end_loop(b, &l);
  }
  for (int i = 0; i < 3; i++) at[i] = qn_at(b, arguments[i], (int64_t)whole * QN_ZMM);
  if (rest > 0) add_some(b, s, at, rest);
}
