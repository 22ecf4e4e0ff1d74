/* add_x86: sums and differences of two int8 tensors on x86, by two float multiply-adds per result
 * that are proven equal to the contract (rescale_add.c). Where no proof is found (factors whose
 * sums come close to ties, which the contract's first rounding then decides), and there are
 * products of 64 bits, by the contract tflite itself. Tensors of one shape may be stored as
 * unsigned bytes and with margins (layout.c). */
#include <string.h>
#include "elementwise_x86.h"
#include "window.h"

typedef struct {
  qn_isa isa;
  qn_clamping clamping;
  qn_x86_walk walk;
  int32_t in_integers;
  qn_add_numbers numbers[2]; /* for int8, and for unsigned bytes */
  qn_layout x[QN_LAYOUTS], y;
  int32_t batch, height, width, channels; /* of tensors of rank 4, else 0 */
  int32_t awake;                          /* qn_job */
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

/* Numbers for both forms of operands, or none. */
static bool take_floats(const qn_add_i8_params *p, add_shape *s) {
  for (int i = 0; i < 2; i++) {
    if (qn_prove_add(p, s->isa.fused, 128 * i, &s->numbers[i])) continue;
    memset(s->numbers, 0, sizeof s->numbers);
    return false;
  }
  return true;
}

static qn_pitch pitch_of(const add_shape *s, const qn_layout *layout) {
  return qn_pitch_of(&layout->margin, s->height, s->width, s->channels);
}

/* What is read of operand 0 is read in front of what is written in its place, if no row of results
 * begins behind the operand's. */
static void settle(qn_job *job) {
  const add_shape *s = job->shape;
  qn_pitch x = pitch_of(s, &s->x[0]), y = pitch_of(s, &s->y);
  job->overlap = qn_same_rows(&s->x[0].margin, &s->y.margin) ? QN_APART : QN_AHEAD;
  job->lead = 0;
  for (int32_t image = 0; image < s->batch; image++)
    for (int32_t row = 0; row < s->height; row++) {
      int64_t behind = image * (y.image - x.image) + y.first - x.first + row * (y.row - x.row);
      if (behind > job->lead) job->lead = behind;
    }
}

static void offer_layouts(const qn_value *x, add_shape *s, qn_job *job) {
  if (s->isa.taps != 4 || !qn_is_one_row(&s->walk)) return;
  for (int i = 0; i < QN_LAYOUTS; i++) job->x_layout[i] = &s->x[i];
  job->y_layout = &s->y;
  if (x->type.rank != 4) return;
  s->batch = x->type.dim[0];
  s->height = x->type.dim[1];
  s->width = x->type.dim[2];
  s->channels = x->type.dim[3];
  job->reads_margins = job->writes_margins = true;
  job->settle = settle;
}

bool qn_take_add_x86(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_add_i8_params p;
  memcpy(&p, call->params, sizeof p);
  if (qn_constant(u, call->in[0]) || qn_constant(u, call->in[1])) return false;
  add_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  if (!qn_plan_walk(&p.walk, &s->walk)) return false;
  s->isa = qn_isa_of(u);
  if (!take_floats(&p, s) && !take_integers(u, &p, s)) return false;
  s->clamping = (qn_clamping){.zero = p.y_zero, .low = p.low, .high = p.high};
  job->awake = qn_is_one_row(&s->walk) ? &s->awake : NULL;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  offer_layouts(call->in[0], s, job);
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
  x = LLVMBuildSub(b->b, x, qn_splat_i32(b, s->zero[i] + (qn_is_raised(&s->walk) ? 128 : 0), lanes),
                   "");
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
  const qn_add_numbers *n = &s->numbers[qn_is_raised(&s->walk)];
  LLVMValueRef rest = multiply_add(b, isa, operands[1], n->b_scale, splat(b, isa, n->offset));
  return qn_round_lanes(b, isa, multiply_add(b, isa, operands[0], n->a_scale, rest));
}

/* The walk row by row, where a margin is between rows. */
static void walk_rows(add_shape *s) {
  qn_x86_walk *w = &s->walk;
  qn_pitch y = pitch_of(s, &s->y);
  *w = (qn_x86_walk){.dim = {s->batch, s->height, s->width * s->channels},
                     .y_step = {(int32_t)y.image, (int32_t)y.row},
                     .y_first = (int32_t)y.first};
  for (int i = 0; i < QN_WALK_OPERANDS; i++) {
    qn_pitch x = pitch_of(s, &s->x[i]);
    w->first[i] = (int32_t)x.first;
    w->step[i][0] = (int32_t)x.image;
    w->step[i][1] = (int32_t)x.row;
    w->step[i][2] = 1;
  }
}

static void fill_margins(qn_build *b, const add_shape *s, LLVMValueRef y) {
  qn_loop l = qn_begin_loop(b, s->batch, NULL, 0);
  y = qn_at_index(b, y, qn_times(b, l.index, pitch_of(s, &s->y).image));
  qn_fill_margin(b, &s->isa, &s->y.margin, s->height, (int64_t)s->width * s->channels, s->channels,
                 s->clamping.zero + 128, y);
  qn_end_loop(b, &l);
}

/* arguments: a, b, y; y may be either operand that does not repeat. */
void qn_emit_add_x86(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  static const qn_margin none = {0};
  add_shape here, *s = &here;
  memcpy(s, job->shape, sizeof *s);
  bool padded = !qn_same_rows(&s->y.margin, &none), rows = padded;
  s->clamping.flipped = s->y.flipped;
  for (int i = 0; i < QN_LAYOUTS; i++) rows |= !qn_same_rows(&s->x[i].margin, &none);
  if (rows) walk_rows(s);
  for (int i = 0; i < QN_LAYOUTS; i++) s->walk.flipped[i] = s->x[i].flipped;
  qn_emit_elementwise(b, &s->isa, &s->clamping, &s->walk, 2, add_lanes, s, arguments);
  if (padded) fill_margins(b, s, arguments[2]);
}
