/* The numeric contracts of runtime/fixed.h: corner values worked out by hand from the definitions,
 * then random arguments against the definitions written with 128-bit integers and divisions. */
#include "fixed.h"
#include <stdio.h>

__extension__ typedef __int128 wide;

static int failures;

static void expect(const char *what, int64_t got, int64_t want) {
  if (got == want) return;
  printf("%s: got %lld, want %lld\n", what, (long long)got, (long long)want);
  failures++;
}
#define EXPECT(call, want) expect(#call, call, want)

enum { MIN = INT32_MIN, MAX = INT32_MAX, HALF = 1 << 30 }; /* HALF: the multiplier 0.5 in Q31 */

/* a * b / 2^31, ties up */
static void high_product(void) {
  EXPECT(qn_srdhm(1, HALF), 1);        /*  0.5 */
  EXPECT(qn_srdhm(-1, HALF), 0);       /* -0.5 */
  EXPECT(qn_srdhm(3, HALF), 2);        /*  1.5 */
  EXPECT(qn_srdhm(-3, HALF), -1);      /* -1.5 */
  EXPECT(qn_srdhm(1, HALF - 1), 0);    /* just below 0.5 */
  EXPECT(qn_srdhm(-1, HALF + 1), -1);  /* just below -0.5 */
  EXPECT(qn_srdhm(MAX, MAX), MAX - 1); /* 2^31 - 2 + 2^-31 */
  EXPECT(qn_srdhm(MIN, MAX), -MAX);    /* exact */
  EXPECT(qn_srdhm(MIN, HALF), -HALF);  /* exact */
  EXPECT(qn_srdhm(MIN, MIN), MAX);     /* 2^31 saturates */
  EXPECT(qn_srdhm(MIN, MIN + 1), MAX); /* 2^31 - 1: nothing saturates */
  EXPECT(qn_srdhm(MIN + 1, MIN), MAX);
}

/* x / 2^bits, ties away from zero */
static void rounding_shift(void) {
  EXPECT(qn_rounding_shift_right(1, 1), 1);   /*  0.5 */
  EXPECT(qn_rounding_shift_right(-1, 1), -1); /* -0.5 */
  EXPECT(qn_rounding_shift_right(3, 1), 2);   /*  1.5 */
  EXPECT(qn_rounding_shift_right(-3, 1), -2); /* -1.5 */
  EXPECT(qn_rounding_shift_right(5, 2), 1);   /*  1.25 */
  EXPECT(qn_rounding_shift_right(-5, 2), -1);
  EXPECT(qn_rounding_shift_right(7, 2), 2); /*  1.75 */
  EXPECT(qn_rounding_shift_right(-7, 2), -2);
  EXPECT(qn_rounding_shift_right(-6, 2), -2);    /* -1.5 */
  EXPECT(qn_rounding_shift_right(MAX, 1), HALF); /* 2^30 - 0.5 */
  EXPECT(qn_rounding_shift_right(MIN, 1), -HALF);
  EXPECT(qn_rounding_shift_right(MAX, 0), MAX);
  EXPECT(qn_rounding_shift_right(MIN, 0), MIN);
  EXPECT(qn_rounding_shift_right(HALF, 31), 1);   /*  0.5 */
  EXPECT(qn_rounding_shift_right(-HALF, 31), -1); /* -0.5 */
  EXPECT(qn_rounding_shift_right(HALF - 1, 31), 0);
  EXPECT(qn_rounding_shift_right(1 - HALF, 31), 0);
  EXPECT(qn_rounding_shift_right(MIN, 31), -1);
  EXPECT(qn_rounding_shift_right(5, -1), 5); /* out of range: 0 and 31 */
  EXPECT(qn_rounding_shift_right(HALF, 200), 1);
}

static void integer_contracts(void) {
  /* 0.25 of 1: tflite rounds 0.5 to 1 and then 0.5 to 1 again; the others see 0.25 */
  EXPECT(qn_requantize(1, HALF, 1, QN_CONTRACT_tflite), 1);
  EXPECT(qn_requantize(1, HALF, 1, QN_CONTRACT_single), 0);
  EXPECT(qn_requantize(1, HALF, 0, QN_CONTRACT_mulhi), 0);
  /* 0.25 of -2 = -0.5: away from zero in tflite's second rounding, up in the others */
  EXPECT(qn_requantize(-2, HALF, 1, QN_CONTRACT_tflite), -1);
  EXPECT(qn_requantize(-2, HALF, 1, QN_CONTRACT_single), 0);
  EXPECT(qn_requantize(-2, HALF, 0, QN_CONTRACT_mulhi), 0);
  /* 0.25 of -6 = -1.5: tflite has -3 and then -1.5 */
  EXPECT(qn_requantize(-6, HALF, 1, QN_CONTRACT_tflite), -2);
  EXPECT(qn_requantize(-6, HALF, 1, QN_CONTRACT_single), -1);
  EXPECT(qn_requantize(-6, HALF, 0, QN_CONTRACT_mulhi), -1);
  /* a multiplier of 2: left shifts */
  EXPECT(qn_requantize(3, HALF, -2, QN_CONTRACT_tflite), 6);
  EXPECT(qn_requantize(3, HALF, -2, QN_CONTRACT_single), 6);
  EXPECT(qn_requantize(3, HALF, -3, QN_CONTRACT_mulhi), 6);
  EXPECT(qn_requantize(HALF, HALF, -2, QN_CONTRACT_tflite), 0);   /* 2^32 wraps before */
  EXPECT(qn_requantize(HALF, HALF, -2, QN_CONTRACT_single), MIN); /* 2^31 wraps after */
  EXPECT(qn_requantize(MIN, MIN, 0, QN_CONTRACT_tflite), MAX);
  EXPECT(qn_requantize(MIN, MIN, 0, QN_CONTRACT_single), MIN); /* 2^31 wraps */
  EXPECT(qn_requantize(MIN, MIN, 0, QN_CONTRACT_mulhi), HALF);
  EXPECT(qn_requantize(MIN, MAX, 0, QN_CONTRACT_single), -MAX);
  EXPECT(qn_requantize(MIN, MAX, 0, QN_CONTRACT_mulhi), 1 - HALF); /* -(2^30 - 0.5), up */
  EXPECT(qn_requantize(MAX, MAX, 31, QN_CONTRACT_tflite), 1);
  EXPECT(qn_requantize(MIN, MAX, 31, QN_CONTRACT_single), -1);
}

/* Accumulators of 64 bits, multipliers of 15: 0.5 is 2^14 of them, and 0x7FFF8000 / 2^31 rounds to
 * 1, which has none: it is 0x7FFF / 2^15. */
static void long_contracts(void) {
  EXPECT(qn_requantize_long(1, HALF, 0, QN_CONTRACT_tflite), 1);  /*  0.5 */
  EXPECT(qn_requantize_long(-1, HALF, 0, QN_CONTRACT_single), 0); /* -0.5 */
  EXPECT(qn_requantize_long(6, HALF, 0, QN_CONTRACT_mulhi), 2);   /* 0.25 of 6: 1.5 */
  EXPECT(qn_requantize_long(-6, HALF, 0, QN_CONTRACT_mulhi), -1);
  EXPECT(qn_requantize_long((int64_t)1 << 40, 100, 0, QN_CONTRACT_mulhi),
         25600); /* all of mul counts */
  EXPECT(qn_requantize_long((int64_t)1 << 46, HALF, 31, QN_CONTRACT_tflite), 1 << 14);
  EXPECT(qn_requantize_long(-((int64_t)1 << 46), HALF, 31, QN_CONTRACT_tflite), -(1 << 14));
  EXPECT(qn_requantize_long(1 << 16, 0x7FFF8000, 0, QN_CONTRACT_tflite), 65534);
  EXPECT(qn_requantize_long(1 << 16, HALF + 0x7FFF, 0, QN_CONTRACT_tflite), 32768); /* dropped */
  EXPECT(qn_requantize_long(1 << 16, HALF + 0x8000, 0, QN_CONTRACT_tflite), 32770);
  EXPECT(qn_requantize_long(3, HALF, -7, QN_CONTRACT_tflite), 192);
  EXPECT(qn_requantize_long(3, HALF, -99, QN_CONTRACT_tflite), 192); /* the nearest: -7 */
  /* 2^40 + 1 has no float: 2^24 * 2^16, and the 1 is lost; times 2^-26 */
  EXPECT(
      qn_requantize_long(((int64_t)1 << 40) + 1, qn_bits_of_float(0x1p-26f), 0, QN_CONTRACT_float),
      1 << 14);
  EXPECT(qn_requantize_long(-5, qn_bits_of_float(0.5f), 0, QN_CONTRACT_float), -2); /* to even */
}

static int32_t scale_f32(int32_t acc, float m) {
  return qn_requantize(acc, qn_bits_of_float(m), 99, QN_CONTRACT_float);
}

static void float_contract(void) {
  EXPECT(scale_f32(1, 0.5f), 0); /* ties to even */
  EXPECT(scale_f32(3, 0.5f), 2);
  EXPECT(scale_f32(5, 0.5f), 2);
  EXPECT(scale_f32(-1, 0.5f), 0);
  EXPECT(scale_f32(-3, 0.5f), -2);
  EXPECT(scale_f32(-5, 0.5f), -2);
  EXPECT(scale_f32(7, 0.25f), 2);
  EXPECT(scale_f32(-7, 0.25f), -2);
  EXPECT(scale_f32(0, 1.0f), 0);
  /* 3 * 2^22 + 1 has a float; times 2^-3 it is 1572864.125 */
  EXPECT(scale_f32(12582913, 0.125f), 1572864);
  /* 2^24 + 3 has none: it becomes 2^24 + 4, which times 2^-3 is 2097152.5 */
  EXPECT(scale_f32(16777219, 0.125f), 2097152);
  EXPECT(scale_f32(4194303, 1.0f), 4194303);
  EXPECT(scale_f32(-4194303, 1.0f), -4194303);
  EXPECT(scale_f32(4194304, 1.0f), 4194303);
  EXPECT(scale_f32(MAX, 1.0f), 4194303);
  EXPECT(scale_f32(MIN, 1.0f), -4194303);
  EXPECT(scale_f32(MIN, 3e38f), -4194303);
  EXPECT(qn_requantize(MAX, 0x7f800000, 0, QN_CONTRACT_float), 4194303); /* infinity */
  EXPECT(qn_requantize(MAX, 0x7fc00000, 0, QN_CONTRACT_float), 4194303); /* NaN */
}

static void stored_values(void) {
  EXPECT(qn_store_value(5, -10, -128, 127), -5);
  EXPECT(qn_store_value(137, -10, -128, 127), 127);
  EXPECT(qn_store_value(138, -10, -128, 127), 127);
  EXPECT(qn_store_value(-1, -10, -10, 127), -10);
  EXPECT(qn_store_value(MAX, 127, -128, 127), 127); /* the sum would overflow */
  EXPECT(qn_store_value(MIN, -128, -128, 127), -128);
}

/* The definitions. */
static wide floor_div(wide a, wide b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
static wide power(int n) { return (wide)1 << n; }
static int32_t clamp(int32_t x, int32_t low, int32_t high) {
  return x < low ? low : x > high ? high : x;
}
static int32_t wrap(wide x) { return (int32_t)(uint32_t)x; }

static int32_t define_tflite(int32_t acc, int32_t mul, int32_t shr) {
  int32_t left = clamp(-shr, 0, 31), right = clamp(shr, 0, 31);
  wide ab = (wide)wrap(acc * power(left)) * mul;
  wide high = (ab + (ab >= 0 ? HALF : 1 - HALF)) / power(31); /* towards zero, as gemmlowp */
  if (high > MAX) high = MAX;
  wide unit = power(right);
  return wrap(high >= 0 ? (2 * high + unit) / (2 * unit) : -((unit - 2 * high) / (2 * unit)));
}
static int32_t define_single(int32_t acc, int32_t mul, int32_t shr) {
  wide unit = power(31 + clamp(shr, -30, 31));
  return wrap(floor_div(2 * ((wide)acc * mul) + unit, 2 * unit));
}
static int32_t define_mulhi(int32_t acc, int32_t mul, int32_t shr) {
  wide unit = power(32 + clamp(shr, -31, 0));
  return wrap(floor_div(2 * ((wide)acc * mul) + unit, 2 * unit));
}

static int32_t define_long(int64_t acc, int32_t mul, int32_t n) {
  wide half = mul >= 0x7FFF0000 ? 0x7FFF : floor_div((wide)mul + 0x8000, 0x10000);
  return wrap(floor_div(2 * (acc * half) + power(n), 2 * power(n)));
}

static int32_t define_long_mulhi(int64_t acc, int32_t mul, int32_t n) {
  return wrap(floor_div(2 * ((wide)acc * mul) + power(n), 2 * power(n)));
}

static uint32_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 32);
}

/* Small, large, near powers of two and near the ends, in equal parts. */
static int32_t next_value(uint64_t *state) {
  int32_t x = (int32_t)next_random(state), n = (int32_t)(next_random(state) % 32);
  switch (next_random(state) % 4) {
  case 0: return x;
  case 1: return x >> n;
  case 2: return (int32_t)(((uint32_t)1 << n) + (uint32_t)((x & 3) - 2));
  default: return (int32_t)((x & 1 ? (uint32_t)MAX : (uint32_t)MIN) + ((uint32_t)x >> 29));
  }
}

int main(void) {
  high_product();
  rounding_shift();
  integer_contracts();
  long_contracts();
  float_contract();
  stored_values();
  uint64_t state = 1;
  for (int i = 0; i < 2000000 && failures < 20; i++) {
    int32_t acc = next_value(&state), mul = next_value(&state);
    int32_t shr = (int32_t)(next_random(&state) % 80) - 40;
    EXPECT(qn_requantize(acc, mul, shr, QN_CONTRACT_tflite), define_tflite(acc, mul, shr));
    EXPECT(qn_requantize(acc, mul, shr, QN_CONTRACT_single), define_single(acc, mul, shr));
    EXPECT(qn_requantize(acc, mul, shr, QN_CONTRACT_mulhi), define_mulhi(acc, mul, shr));
    qn_requantize(acc, mul, shr, QN_CONTRACT_float); /* any bits: nothing undefined */
    int64_t sum = (int64_t)acc * (1 << (shr & 15));
    EXPECT(qn_requantize_long(sum, mul, shr, QN_CONTRACT_tflite),
           define_long(sum, mul, 15 + clamp(shr, -7, 31)));
    EXPECT(qn_requantize_long(sum, mul, shr, QN_CONTRACT_mulhi),
           define_long_mulhi(sum, mul, 32 + clamp(shr, -7, 0)));
    qn_requantize_long(sum * 32768, mul, shr, QN_CONTRACT_float);
    qn_requantize_long(sum * 131072, mul, shr, QN_CONTRACT_single);
  }
  printf("contracts: %d failures\n", failures);
  return failures != 0;
}
