/* A sum of two int8 tensors under a contract -> two float multiply-adds, with proof.
 *
 * There are 65536 pairs of operands: the runtime's own kernel gives all results, and candidates
 * near the real factors are tried on all pairs until one is right everywhere. */
#include "rescale.h"
#include <math.h>
#include "../runtime/fixed.h"

enum { VALUES = 256, PAIRS = VALUES * VALUES, SCALE_STEPS = 3 };

float qn_apply_add(qn_add_numbers n, int32_t a, int32_t b) {
  return fmaf((float)a, n.a_scale, fmaf((float)b, n.b_scale, n.offset));
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
    int32_t sum = (int32_t)nearbyintf(qn_apply_add(n, i / VALUES - 128, i % VALUES - 128));
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

bool qn_prove_add(const qn_add_i8_params *p, qn_add_numbers *out) {
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
    double offset = p->y_zero - p->a_zero * (double)a - p->b_zero * (double)b;
    for (unsigned k = 0; k < sizeof moves / sizeof *moves; k++) {
      *out = (qn_add_numbers){a, b, (float)(offset + moves[k] * unit)};
      if (holds(p, want, *out)) return true;
    }
  }
  return false;
}
