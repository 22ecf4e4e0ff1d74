/* A sum of two int8 tensors under a contract -> two multiply-adds of floats or of integers, with
 * proof.
 *
 * There are 65536 pairs of operands: the runtime's own kernel gives all results, and candidates
 * near the real factors are tried on all pairs until one is right everywhere. */
#include "rescale.h"
#include <math.h>
#include "../runtime/fixed.h"

enum { VALUES = 256, PAIRS = VALUES * VALUES, SCALE_STEPS = 3 };

float qn_apply_add(qn_add_numbers n, int32_t a, int32_t b) {
  if (n.fused) return fmaf((float)a, n.a_scale, fmaf((float)b, n.b_scale, n.offset));
  return (float)a * n.a_scale + ((float)b * n.b_scale + n.offset); /* -ffp-contract=off */
}

int32_t qn_apply_add_integers(qn_add_integers n, int32_t a, int32_t b) {
  return (a * n.a_factor + n.offset + b * n.b_factor) >> n.shift;
}

bool qn_is_dense_walk(const qn_broadcast *w) {
  for (int i = 0; i < QN_KERNEL_RANK - 1; i++) {
    if (w->dim[i] != 1) return false;
  }
  int32_t count = w->dim[QN_KERNEL_RANK - 1];
  return count > 1 && w->a_stride[QN_KERNEL_RANK - 1] == 1 && w->b_stride[QN_KERNEL_RANK - 1] == 1;
}

/* The kernel's results for all a, b: of a + 128 in the high half of the index, b + 128 in the low.
 */
static void tabulate(const qn_add_i8_params *p, int8_t *out) {
  int8_t a[VALUES], b[VALUES];
  qn_add_i8_params row = *p;
  row.walk = (qn_broadcast){.dim = {1, 1, 1, 1, 1, VALUES}};
  row.walk.a_stride[QN_KERNEL_RANK - 1] = 0;
  row.walk.b_stride[QN_KERNEL_RANK - 1] = 1;
  for (int i = 0; i < VALUES; i++) b[i] = (int8_t)(i - 128);
  for (int i = 0; i < VALUES; i++) {
    const void *in[] = {a, b};
    a[0] = (int8_t)(i - 128);
    qn_kernel_add_i8(&row, in, out + i * VALUES, 0);
  }
}

static bool holds(const qn_add_i8_params *p, const int8_t *want, qn_add_numbers n) {
  for (int i = 0; i < PAIRS; i++) {
    int32_t a = i / VALUES - 128 + n.raised, b = i % VALUES - 128 + n.raised;
    int32_t sum = (int32_t)nearbyintf(qn_apply_add(n, a, b));
    if (qn_clamp(sum, p->low, p->high) != want[i]) return false;
  }
  return true;
}

/* What an operand is multiplied with in the end. */
static double factor(const qn_add_i8_params *p, int operand) {
  if (p->contract == QN_CONTRACT_float) return (double)p->scale[operand];
  int bits = p->contract == QN_CONTRACT_mulhi ? 32 : 31;
  double own = ldexp(p->mul[operand], p->left_shift - bits - p->shr[operand]);
  return own * ldexp(p->mul[2], -bits - p->shr[2]);
}

/* The scale `steps` floats away. */
static float beside(double real, int steps) {
  float x = (float)real;
  for (int i = 0; i < (steps < 0 ? -steps : steps); i++)
    x = nextafterf(x, steps < 0 ? -INFINITY : INFINITY);
  return x;
}

bool qn_prove_add(const qn_add_i8_params *p, bool fused, int32_t raised, qn_add_numbers *out) {
  /* fractions of a step of the smaller operand by which the offset is tried to be moved */
  static const double moves[] = {0, 0.001, -0.001, 0.01, -0.01, 0.0001, -0.0001, 0.05, -0.05};
  double ka = factor(p, 0), kb = p->op == QN_SUB ? -factor(p, 1) : factor(p, 1);
  double unit = fmin(fabs(ka), fabs(kb));
  if (!(fabs(ka) < 1000 && fabs(kb) < 1000)) return false;
  int8_t want[PAIRS];
  tabulate(p, want);
  for (int step = 0; step < (2 * SCALE_STEPS + 1) * (2 * SCALE_STEPS + 1); step++) {
    int i = step / (2 * SCALE_STEPS + 1), j = step % (2 * SCALE_STEPS + 1);
    float a = beside(ka, (i + 1) / 2 * (i % 2 ? 1 : -1)),
          b = beside(kb, (j + 1) / 2 * (j % 2 ? 1 : -1));
    double offset = p->y_zero - (p->a_zero + raised) * (double)a - (p->b_zero + raised) * (double)b;
    for (unsigned k = 0; k < sizeof moves / sizeof *moves; k++) {
      *out = (qn_add_numbers){a, b, (float)(offset + moves[k] * unit), fused, raised};
      if (holds(p, want, *out)) return true;
    }
  }
  return false;
}

/* ------------------------------------------------------------------ integers */

static bool holds_for_integers(const qn_add_i8_params *p, const int8_t *want, qn_add_integers n) {
  for (int i = 0; i < PAIRS; i++) {
    int32_t sum = qn_apply_add_integers(n, i / VALUES - 128, i % VALUES - 128);
    if (qn_clamp(sum, p->low, p->high) != want[i]) return false;
  }
  return true;
}

/* Numbers with so many bits of fraction, near ka, kb and 1/2 + zero points. False: too large. */
static bool round_numbers(const qn_add_i8_params *p, double ka, double kb, int shift, double move,
                          qn_add_integers *out) {
  double one = ldexp(1, shift), a = nearbyint(ka * one), b = nearbyint(kb * one);
  double offset = (p->y_zero + 0.5 + move) * one - p->a_zero * a - p->b_zero * b;
  if (128 * (fabs(a) + fabs(b)) + fabs(offset) + 1 > INT32_MAX) return false;
  *out = (qn_add_integers){(int32_t)a, (int32_t)b, (int32_t)nearbyint(offset), shift};
  return true;
}

bool qn_prove_add_integers(const qn_add_i8_params *p, qn_add_integers *out) {
  enum { MOST_SHIFT = 30, STEPS = 5 };
  /* fractions of a step of the smaller operand by which the offset is tried to be moved */
  static const double moves[] = {0, -0.0001, 0.0001, -0.001, 0.001, -0.01, 0.01, -0.05, 0.05};
  double ka = factor(p, 0), kb = p->op == QN_SUB ? -factor(p, 1) : factor(p, 1);
  double unit = fmin(fabs(ka), fabs(kb));
  int8_t want[PAIRS];
  if (!(fabs(ka) < 1000 && fabs(kb) < 1000)) return false;
  tabulate(p, want);
  int shift = MOST_SHIFT;
  while (shift > 0 && !round_numbers(p, ka, kb, shift, 0.5, out)) shift--;
  for (int step = 0; shift > 0 && step < STEPS * STEPS; step++) {
    double ulp = ldexp(1, -shift), a = ka + (step % STEPS - STEPS / 2) * ulp,
           b = kb + (step / STEPS - STEPS / 2) * ulp;
    for (unsigned k = 0; k < sizeof moves / sizeof *moves; k++) {
      if (round_numbers(p, a, b, shift, moves[k] * unit, out) && holds_for_integers(p, want, *out))
        return true;
    }
  }
  return false;
}
