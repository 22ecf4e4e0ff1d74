/* exp, logistic, tanh and sqrt against the C library's double functions, over all exponents and
 * both signs; error in units of the last place of a float. */
#include "real.h"
#include <math.h>
#include "check.h"

static double units(float got, double want) {
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0 : INFINITY;
  if (isinf((float)want) || isinf(got)) return (float)want == got ? 0 : INFINITY;
  int exponent;
  frexp(want, &exponent);
  return fabs(got - want) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

/* 1 / (1 + exp(-x)) without the loss of exp(-x) near infinity. */
static double logistic(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

int main(void) {
  double worst[3] = {0};
  for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 1009) {
    float x = qn_float_of_bits((int32_t)(uint32_t)bits);
    worst[0] = fmax(worst[0], units(qn_exp(x), exp((double)x)));
    worst[1] = fmax(worst[1], units(qn_logistic(x), logistic((double)x)));
    worst[2] = fmax(worst[2], units(qn_tanh(x), tanh((double)x)));
    expect("sqrt", (int64_t)bits, (double)qn_sqrt(x), (double)sqrtf(x));
    if (fabsf(x) < 4194304)
      expect("round", (int64_t)bits, qn_round_away_small(x), round((double)x));
  }
  for (int32_t whole = 0; whole < 4194304; whole += 257) { /* halves and their neighbours */
    float half = (float)whole + 0.5f, below = nextafterf(half, 0);
    expect("round a half", whole, qn_round_away_small(half), whole + 1);
    expect("round below a half", whole, qn_round_away_small(below), whole);
    expect("round a negative half", whole, qn_round_away_small(-half), -whole - 1);
    expect("round above a negative half", whole, qn_round_away_small(-below), -whole);
  }
  expect("exp: below 1 unit", 0, worst[0] < 1, 1);
  expect("logistic: below 2.5 units", 0, worst[1] < 2.5, 1);
  expect("tanh: below 2 units", 0, worst[2] < 2, 1);

  for (int32_t half = 0; half < 0x10000; half++) { /* fraction 2^10 and exponent 2^5, bias 15 */
    int32_t exponent = half >> 10 & 31, fraction = half & 1023;
    double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    if (exponent < 31)
      expect("half", half, (double)qn_float_of_half((uint16_t)half), half >> 15 ? -size : size);
  }

  expect("exp of 0", 0, (double)qn_exp(0), 1);
  expect("tanh of -0 is -0", 0, signbit(qn_tanh(-0.0f)) != 0, 1);
  expect("logistic of 0", 0, (double)qn_logistic(0), 0.5);
  expect("smallest float", 0, (double)qn_exp(-103.5f), 0x1p-149);
  expect("clamp keeps a NaN", 0, (double)qn_clamp_f32(NAN, 0, 6), NAN);
  return finish("real");
}
