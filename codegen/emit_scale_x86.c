/* mul_x86, requantize_x86: products of two int8 tensors, and one tensor in another scale, on x86.
 * Either is an accumulator, of which a convolution's rescaling makes a stored value (rescale.h). */
#include <string.h>
#include "elementwise_x86.h"

typedef struct {
  qn_isa isa;
  qn_x86_walk walk;
  qn_clamping clamping;
  int32_t form, shift; /* qn_rescale; what is added to accumulators */
  int32_t operands, zero[QN_WALK_OPERANDS];
} scale_shape;

/* What the code of one emission reads besides. */
typedef struct {
  const scale_shape *s;
  LLVMValueRef numbers; /* two vectors */
} scaling;

/* The numbers become the job's constants. */
static bool choose_form(qn_unit *u, scale_shape *s, const qn_rescaling *r, qn_job *job) {
  const qn_rescaling *lanes[QN_MOST_LANES];
  qn_rescale form = QN_RESCALE_fma;
  qn_numbers numbers;
  for (int i = 0; i < QN_MOST_LANES; i++) lanes[i] = r;
  if (!qn_choose_rescale(&s->isa, lanes, &form, &numbers)) return false;
  s->form = (int32_t)form;
  s->shift = numbers.shift[0];
  s->clamping = (qn_clamping){.zero = r->zero, .low = r->low, .high = r->high};
  int32_t bytes = qn_vector_bytes(&s->isa);
  unsigned char *constants = qn_alloc(&u->m->arena, (size_t)(2 * bytes));
  memcpy(constants, numbers.a, (size_t)bytes);
  memcpy(constants + bytes, numbers.b, (size_t)bytes);
  job->constants = constants;
  job->constant_bytes = 2 * bytes;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  return true;
}

/* The stored value that is furthest from zero on one side. */
static int32_t end_of(int32_t zero, bool high) { return (high ? INT8_MAX : INT8_MIN) - zero; }

bool qn_take_mul_x86(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_mul_i8_params p;
  memcpy(&p, call->params, sizeof p);
  if (qn_constant(u, call->in[0]) || qn_constant(u, call->in[1])) return false;
  scale_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  *s = (scale_shape){.isa = qn_isa_of(u), .operands = 2, .zero = {p.a_zero, p.b_zero}};
  if (!qn_plan_walk(&p.walk, &s->walk)) return false;
  qn_rescaling r = {p.mul, p.shr, p.y_zero, p.low, p.high, (qn_contract)p.contract, 0, 0};
  for (int i = 0; i < 4; i++) {
    int64_t product = (int64_t)end_of(p.a_zero, i / 2) * end_of(p.b_zero, i % 2);
    if (product < r.acc_low) r.acc_low = product;
    if (product > r.acc_high) r.acc_high = product;
  }
  return choose_form(u, s, &r, job);
}

bool qn_take_requantize_x86(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_requantize_i8_params p;
  memcpy(&p, call->params, sizeof p);
  if (qn_constant(u, call->in[0])) return false;
  scale_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  *s = (scale_shape){.isa = qn_isa_of(u), .walk = qn_walk_along(p.count), .operands = 1};
  s->zero[0] = p.x_zero;
  const qn_rescaling r = {.mul = p.mul,
                          .shr = p.shr,
                          .zero = p.y_zero,
                          .low = p.low,
                          .high = p.high,
                          .contract = (qn_contract)p.contract,
                          .acc_low = end_of(p.x_zero, false),
                          .acc_high = end_of(p.x_zero, true)};
  return choose_form(u, s, &r, job);
}

/* ------------------------------------------------------------------ code */

static LLVMValueRef add_number(qn_build *b, const scale_shape *s, LLVMValueRef x, int32_t number) {
  return number ? LLVMBuildAdd(b->b, x, qn_splat_i32(b, number, s->isa.lanes), "") : x;
}

static LLVMValueRef scale_lanes(qn_build *b, const void *of, const LLVMValueRef *operands) {
  const scaling *scale = of;
  const scale_shape *s = scale->s;
  LLVMValueRef acc = add_number(b, s, operands[0], -s->zero[0]);
  if (s->operands == 2)
    acc = LLVMBuildMul(b->b, acc, add_number(b, s, operands[1], -s->zero[1]), "");
  acc = add_number(b, s, acc, s->shift);
  return qn_rescale_lanes(b, &s->isa, (qn_rescale)s->form, &s->clamping, acc, scale->numbers,
                          qn_at(b, scale->numbers, qn_vector_bytes(&s->isa)));
}

/* arguments: operands, y, constants; y may be an operand. */
static void emit(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const scale_shape *s = job->shape;
  const scaling scale = {s, arguments[s->operands + 1]};
  qn_emit_elementwise(b, &s->isa, &s->clamping, &s->walk, s->operands, scale_lanes, &scale,
                      arguments);
}

void qn_emit_mul_x86(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments);
}

void qn_emit_requantize_x86(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments);
}
