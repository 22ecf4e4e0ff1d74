/* add_x86: sums and differences of two int8 tensors on x86, by two float multiply-adds per result
 * that are proven equal to the contract (rescale_add.c). Where no proof is found (factors whose
 * sums come close to ties, which the contract's first rounding then decides), and there are
 * products of 64 bits, by the contract tflite itself. */
#include <string.h>
#include "elementwise_x86.h"

typedef struct {
  qn_isa isa;
  qn_clamping clamping;
  qn_x86_walk walk;
  int32_t in_integers;
  qn_add_numbers numbers;
  int32_t awake; /* qn_job */
  /* in_integers: */
  int32_t op, left_shift, zero[2], mul[3], shr[3];
} add_shape;

/* Sums of operands below 2^28 are below 2^30. */
static bool take_integers(qn_unit *u, const qn_add_i8_params *p, add_shape *s) {
  if (p->contract != QN_CONTRACT_tflite || !qn_can(u, QN_NEEDS_avx2)) return false;
  if (p->left_shift < 1 || p->left_shift > 20 || p->shr[2] < 1) return false;
  for (int i = 0; i < 3; i++) {
    if (p->mul[i] < 0 || p->shr[i] < 0 || p->shr[i] > 31) return false;
    s->mul[i] = p->mul[i];
    s->shr[i] = p->shr[i];
  }
  s->in_integers = 1;
  s->op = p->op;
  s->left_shift = p->left_shift;
  s->zero[0] = p->a_zero;
  s->zero[1] = p->b_zero;
  return true;
}

bool qn_take_add_x86(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_add_i8_params p;
  memcpy(&p, call->params, sizeof p);
  if (qn_constant(u, call->in[0]) || qn_constant(u, call->in[1])) return false;
  add_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  if (!qn_plan_walk(&p.walk, &s->walk)) return false;
  s->isa = qn_isa_of(u);
  if (!qn_prove_add(&p, s->isa.fused, &s->numbers)) {
    s->numbers = (qn_add_numbers){0};
    if (!take_integers(u, &p, s)) return false;
  }
  s->clamping = (qn_clamping){.zero = p.y_zero, .low = p.low, .high = p.high};
  job->awake = qn_is_one_row(&s->walk) ? &s->awake : NULL;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  return true;
}

static LLVMValueRef splat(qn_build *b, const qn_isa *isa, float x) {
  return qn_broadcast_value(b, LLVMConstReal(b->u->real, (double)x), isa->lanes);
}

static LLVMValueRef multiply_add(qn_build *b, const qn_isa *isa, LLVMValueRef x, float scale,
                                 LLVMValueRef rest) {
  LLVMValueRef real = LLVMBuildSIToFP(b->b, x, qn_vector(b->u->real, isa->lanes), "");
  return qn_build_multiply_add(b, isa, real, splat(b, isa, scale), rest);
}

/* Number i of the contract's three rescalings. */
static LLVMValueRef rescale(qn_build *b, const add_shape *s, LLVMValueRef x, int i) {
  int lanes = s->isa.lanes;
  LLVMValueRef mul = qn_splat_i32(b, s->mul[i], lanes), shr = qn_splat_i32(b, s->shr[i], lanes);
  return s->shr[i] ? qn_rescale_integer(b, &s->isa, x, mul, shr)
                   : qn_high_product(b, &s->isa, x, mul);
}

/* (x - zero) << left_shift, rescaled. Half of it, which most often is the larger operand's, is a
 * shift: the low bit is 0. */
static LLVMValueRef rescale_operand(qn_build *b, const add_shape *s, LLVMValueRef x, int i) {
  int lanes = s->isa.lanes;
  bool half = s->shr[i] == 0 && s->mul[i] == 1 << 30;
  x = LLVMBuildSub(b->b, x, qn_splat_i32(b, s->zero[i], lanes), "");
  x = LLVMBuildShl(b->b, x, qn_splat_i32(b, s->left_shift - half, lanes), "");
  return half ? x : rescale(b, s, x, i);
}

static LLVMValueRef add_integers(qn_build *b, const add_shape *s, LLVMValueRef x, LLVMValueRef z) {
  x = rescale_operand(b, s, x, 0);
  z = rescale_operand(b, s, z, 1);
  LLVMValueRef sum = s->op == QN_ADD ? LLVMBuildAdd(b->b, x, z, "") : LLVMBuildSub(b->b, x, z, "");
  return LLVMBuildAdd(b->b, rescale(b, s, sum, 2), qn_splat_i32(b, s->clamping.zero, s->isa.lanes),
                      "");
}

static LLVMValueRef add_lanes(qn_build *b, const void *of, const LLVMValueRef *operands) {
  const add_shape *s = of;
  const qn_isa *isa = &s->isa;
  if (s->in_integers) return add_integers(b, s, operands[0], operands[1]);
  LLVMValueRef offset = splat(b, isa, s->numbers.offset);
  LLVMValueRef rest = multiply_add(b, isa, operands[1], s->numbers.b_scale, offset);
  return qn_round_lanes(b, isa, multiply_add(b, isa, operands[0], s->numbers.a_scale, rest));
}

/* arguments: a, b, y; y may be either operand that does not repeat. */
void qn_emit_add_x86(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const add_shape *s = job->shape;
  qn_emit_elementwise(b, &s->isa, &s->clamping, &s->walk, 2, add_lanes, s, arguments);
}
