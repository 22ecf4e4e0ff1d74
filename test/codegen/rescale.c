/* The proof against brute force: whatever it accepts must agree with the contract at every
 * accumulator in reach, and it must accept nearly all of what networks have. */
#include <math.h>
#include "../runtime/check.h"
#include "../../codegen/rescale.h"
#include "../../runtime/fixed.h"

static int32_t want(const qn_rescaling *r, int32_t acc) {
  return qn_store_value(qn_requantize(acc, r->mul, r->shr, r->contract), r->zero, r->low, r->high);
}

static bool fused; /* products and sums are rounded once, or one after the other */

static int32_t got(const qn_rescaling *r, qn_rescale form, qn_multiply_add m, int32_t acc) {
  return qn_clamp(qn_apply_rescale(r, form, fused, m, acc), r->low, r->high);
}

static void compare(const qn_rescaling *r, qn_rescale form, qn_multiply_add m, int64_t from,
                    int64_t to) {
  for (int64_t acc = from; acc <= to; acc++) {
    check_cases++;
    if (want(r, (int32_t)acc) == got(r, form, m, (int32_t)acc)) continue;
    if (check_failures++ < 5)
      printf("acc %d, mul %d, shr %d, form %d: got %d, want %d\n", (int)acc, r->mul, r->shr, form,
             got(r, form, m, (int32_t)acc), want(r, (int32_t)acc));
  }
}

static qn_rescaling make(qn_contract contract, int32_t zero, int32_t low) {
  qn_rescaling r = {.mul = pick(1 << 30, INT32_MAX), .shr = pick(3, 8), .zero = zero, .low = low,
                    .high = 127, .contract = contract, .acc_low = -(1 << 28), .acc_high = 1 << 28};
  if (contract == QN_CONTRACT_mulhi) r.shr = 0, r.mul >>= pick(3, 8);
  if (contract == QN_CONTRACT_float) r.shr = 0, r.mul = qn_bits_of_float(pick_real(0.001f, 0.1f));
  return r;
}

/* All accumulators around the range of results, and noise far from it. */
static void check_channel(const qn_rescaling *r, qn_rescale form, int *accepted) {
  qn_multiply_add m;
  if (!qn_prove_rescale(r, form, fused, &m)) return;
  ++*accepted;
  compare(r, form, m, -60000, 60000);
  for (int i = 0; i < 1000; i++) {
    int32_t acc = pick(-(1 << 28), 1 << 28);
    compare(r, form, m, acc, acc);
  }
  compare(r, form, m, r->acc_low, r->acc_low + 9);
  compare(r, form, m, r->acc_high - 9, r->acc_high);
}

static void check_contract(const char *name, qn_contract contract, int count) {
  int relu = 0, linear = 0;
  for (int i = 0; i < count; i++) {
    qn_rescaling r = make(contract, -128, -128);
    check_channel(&r, QN_RESCALE_fma, &relu);
    r = make(contract, pick(-128, 127), -128);
    check_channel(&r, QN_RESCALE_signed, &linear);
  }
  printf("%s: %s of the clamped, %s of the others\n", name, 10 * relu >= 9 * count ? "most" : "few",
         10 * linear >= 9 * count ? "most" : "few");
}

/* Within a small reach fewer conditions count: more is accepted, and it is still exact there. */
static void check_reach(void) {
  int accepted = 0;
  for (int i = 0; i < 200; i++) {
    qn_rescaling r = make(QN_CONTRACT_tflite, pick(-128, 127), -128);
    r.acc_low = pick(-5000, 5000);
    r.acc_high = r.acc_low + pick(0, 300);
    qn_multiply_add m;
    if (!qn_prove_rescale(&r, QN_RESCALE_signed, fused, &m)) continue;
    accepted++;
    compare(&r, QN_RESCALE_signed, m, r.acc_low, r.acc_high);
  }
  printf("reach: %s\n", accepted > 190 ? "nearly all" : "few");
}

/* Sums that exceed int32 wrap: any accumulator occurs, and no shift moves one beyond the ends. */
static void check_wrapping(void) {
  int accepted = 0;
  for (int i = 0; i < 40; i++) {
    qn_rescaling r = make(QN_CONTRACT_tflite, -128, -128);
    r.acc_low =
        INT32_MAX - pick(0, 1 << 20); /* the excess is less than the offset, 128 steps or more */
    r.acc_high = INT32_MAX + (int64_t)pick(1, 500);
    qn_multiply_add m;
    if (!qn_prove_rescale(&r, QN_RESCALE_fma, fused, &m)) continue;
    accepted++;
    compare(&r, QN_RESCALE_fma, m, INT32_MIN, INT32_MIN + 60000ll);
    compare(&r, QN_RESCALE_fma, m, -60000, 60000);
    compare(&r, QN_RESCALE_fma, m, INT32_MAX - 60000, INT32_MAX);
  }
  printf("wrapping: %s\n", accepted > 20 ? "most" : "few");
}

/* Left shifts wrap, and multipliers of 1 or more leave int32: not for these forms. */
static void check_refusals(void) {
  qn_multiply_add m;
  qn_rescaling r = make(QN_CONTRACT_tflite, 0, -128);
  r.shr = -1;
  printf("left shift: %d\n",
         qn_prove_rescale(&r, QN_RESCALE_fma, fused, &m) || qn_can_rescale_integer(&r));
  r = make(QN_CONTRACT_float, 0, -128);
  r.mul = qn_bits_of_float(1.5f);
  printf("above 1: %d\n", qn_prove_rescale(&r, QN_RESCALE_signed, fused, &m));
  r = make(QN_CONTRACT_single, 0, -128);
  printf("integer form of another contract: %d\n", qn_can_rescale_integer(&r));
}

/* High products on the scales that kernels have: all channels of which nothing below zero is
 * stored. */
static void check_high(const char *name, int32_t zero, int32_t factor, int32_t bits, int count) {
  int accepted = 0;
  for (int i = 0; i < count; i++) {
    qn_rescaling r = make(QN_CONTRACT_tflite, zero, -128);
    qn_high_multiply m;
    r.shr = pick(5, 8);
    r.acc_low = -(1 << 22);
    r.acc_high = 1 << 22;
    if (!qn_prove_high_multiply(&r, factor, bits, &m)) continue;
    accepted++;
    for (int64_t acc = r.acc_low; acc <= r.acc_high; acc += acc < -70000 || acc > 70000 ? 997 : 1) {
      int64_t got = qn_apply_high_multiply(m, factor, bits, (int32_t)acc);
      check_cases++;
      if (want(&r, (int32_t)acc) != (got < r.low ? r.low : got > r.high ? r.high : got))
        check_failures++;
    }
  }
  printf("%s: %s\n", name, accepted * 10 >= count * 9 ? "nearly all" : accepted ? "some" : "none");
}

static void check_high_products(void) {
  check_high("high products", -128, 1, 3, 40);
  check_high("on the scale of 256", -128, 256, 10, 40);
  check_high("on the scale of 24", -128, 24, 8, 40);
  check_high("of both signs", 0, 1, 3, 40);
  qn_rescaling r = make(QN_CONTRACT_tflite, -128, -128);
  qn_high_multiply m;
  r.mul = INT32_MAX; /* times 2^(32 + 3 - 31 - 3) is no int32 */
  r.shr = 3;
  printf("factor of more than 31 bits: %d\n", qn_prove_high_multiply(&r, 1, 3, &m));
  r.shr = 8;
  r.acc_low = 0;
  r.acc_high = (1 << 23) - 100; /* 256 times that is an int32, with a small shift */
  printf("sums: %d", qn_prove_high_multiply(&r, 256, 10, &m));
  r.acc_high = 1 << 24;
  printf(", sums of more than 31 bits: %d\n", qn_prove_high_multiply(&r, 256, 10, &m));
}

/* As TFLite scales a sum: both operands to twice the larger scale, with 20 bits more. */
static qn_add_i8_params make_add(void) {
  qn_add_i8_params p = {.walk = {.dim = {1, 1, 1, 1, 1, 1}}, .left_shift = 20, .high = 127};
  float a = pick_real(0.01f, 0.2f), b = pick_real(0.01f, 0.2f), most = 2 * (a > b ? a : b);
  float real[3] = {a / most, b / most, most / (pick_real(0.05f, 0.4f) * (1 << 20))};
  for (int i = 0; i < 3; i++) {
    int exponent;
    p.mul[i] = (int32_t)(frexpf(real[i], &exponent) * 2147483647.0);
    p.shr[i] = -exponent;
  }
  p.op = pick(0, 1) ? QN_ADD : QN_SUB;
  p.a_zero = pick(-128, 127);
  p.b_zero = pick(-128, 127);
  p.y_zero = pick(-128, 127);
  p.low = pick(0, 1) ? -128 : p.y_zero;
  return p;
}

/* All pairs of operands through the kernel, one at a time. */
static void check_adds(void) {
  int accepted = 0;
  for (int i = 0; i < 40; i++) {
    qn_add_i8_params p = make_add();
    qn_add_numbers n;
    int32_t raised = i % 2 ? 128 : 0;
    if (!qn_prove_add(&p, fused, raised, &n)) continue;
    accepted++;
    for (int pair = 0; pair < 65536; pair++) {
      int8_t a = (int8_t)(pair / 256 - 128), b = (int8_t)(pair % 256 - 128), y;
      const void *in[] = {&a, &b};
      qn_kernel_add_i8(&p, in, &y, NULL);
      check_cases++;
      float sum = qn_apply_add(n, a + raised, b + raised);
      if (qn_clamp((int32_t)nearbyintf(sum), p.low, p.high) != y) check_failures++;
    }
  }
  printf("adds: %s\n", accepted >= 36 ? "nearly all" : "few");
}

static void check_all(void) {
  check_contract("tflite", QN_CONTRACT_tflite, 40);
  check_contract("single", QN_CONTRACT_single, 40);
  check_contract("mulhi", QN_CONTRACT_mulhi, 40);
  check_contract("float", QN_CONTRACT_float, 40);
  check_reach();
  check_wrapping();
  check_refusals();
  check_adds();
  qn_add_i8_params huge = make_add();
  huge.shr[2] = -30;
  qn_add_numbers n;
  printf("factors above 1000: %d\n", qn_prove_add(&huge, fused, 0, &n));
}

int main(void) {
  for (int i = 0; i < 2; i++) {
    fused = i == 0;
    printf("%s:\n", fused ? "fused" : "rounded twice");
    check_all();
  }
  check_high_products();
  printf("rescale: %d failures\n", check_failures);
  return 0;
}
