/* The helpers against the processor's own instructions, on every pair of corner values and on many
 * more of all magnitudes. */
#include "helpers.c"
#include "check.h"

enum { CASES = 200000 };

static float real_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Every NaN is the one that the helpers make. */
static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return x != x ? NOT_A_NUMBER : bits;
}

static uint64_t wide(void) {
  uint64_t high = (uint64_t)(uint32_t)pick(INT32_MIN, INT32_MAX) << 32;
  return (high | (uint32_t)pick(INT32_MIN, INT32_MAX)) >> pick(0, 63);
}

/* Float bits: any, subnormal, or near 1 so that sums cancel and products do not overflow. */
static uint32_t float_bits(void) {
  uint32_t x = (uint32_t)pick(INT32_MIN, INT32_MAX);
  int32_t kind = pick(0, 3);
  return kind == 0   ? x
         : kind == 1 ? x & 0x807FFFFF
                     : (x & 0x80FFFFFF) | (uint32_t)pick(0x30, 0x4E) << 24;
}

static void check_floats(uint32_t a, uint32_t b) {
  volatile float x = real_of(a), y = real_of(b);
  expect("add", a, __addsf3(a, b), bits_of(x + y));
  expect("sub", a, __subsf3(a, b), bits_of(x - y));
  expect("mul", a, __mulsf3(a, b), bits_of(x * y));
  expect("div", a, __divsf3(a, b), bits_of(x / y));
  expect("lt", a, __ltsf2(a, b) < 0, x < y);
  expect("le", a, __lesf2(a, b) <= 0, x <= y);
  expect("gt", a, __gtsf2(a, b) > 0, x > y);
  expect("ge", a, __gesf2(a, b) >= 0, x >= y);
  expect("eq", a, __eqsf2(a, b) == 0, x == y);
  expect("ne", a, __nesf2(a, b) != 0, x != y);
  expect("unordered", a, __unordsf2(a, b) != 0, x != x || y != y);
  expect("aeabi lt", a, __aeabi_fcmplt(a, b), x < y);
  expect("aeabi le", a, __aeabi_fcmple(a, b), x <= y);
  expect("aeabi gt", a, __aeabi_fcmpgt(a, b), x > y);
  expect("aeabi ge", a, __aeabi_fcmpge(a, b), x >= y);
  expect("aeabi eq", a, __aeabi_fcmpeq(a, b), x == y);
  expect("aeabi unordered", a, __aeabi_fcmpun(a, b), x != x || y != y);
  if (x >= -0x1p31f && x < 0x1p31f) expect("to signed", a, __fixsfsi(a), (int32_t)x);
  if (x > -1 && x < 0x1p32f) expect("to unsigned", a, __fixunssfsi(a), (uint32_t)x);
  expect("from signed", a, __floatsisf((int32_t)a), bits_of((float)(int32_t)a));
  expect("from unsigned", a, __floatunsisf(a), bits_of((float)a));
}

static void check_words(uint32_t a, uint32_t b) {
  expect("clz", a, __clzsi2(a), a ? __builtin_clz(a) : 32);
  if (b == 0) return;
  expect("udiv", a, __udivsi3(a, b), a / b);
  expect("umod", a, __umodsi3(a, b), a % b);
  expect("udivmod", a, __aeabi_uidivmod(a, b) >> 32, a % b);
  int32_t n = (int32_t)a, d = (int32_t)b;
  if (n == INT32_MIN && d == -1) return;
  expect("div", a, __divsi3(n, d), n / d);
  expect("mod", a, __modsi3(n, d), n % d);
  expect("divmod", a, (uint32_t)__aeabi_idivmod(n, d), (uint32_t)(n / d));
}

static void check_wide(uint64_t a, uint64_t b, int32_t n) {
  int64_t i = (int64_t)a;
  expect("shl", n, __ashldi3(a, n) == a << n, 1);
  expect("shr", n, __lshrdi3(a, n) == a >> n, 1);
  expect("sar", n, __ashrdi3(i, n) == i >> n, 1);
  expect("mul", n, __muldi3(a, b) == a * b, 1);
  if (b == 0 || b == UINT64_MAX) return;
  expect("udiv64", n, __udivdi3(a, b) == a / b, 1);
  expect("umod64", n, __umoddi3(a, b) == a % b, 1);
  expect("div64", n, __divdi3(i, (int64_t)b) == i / (int64_t)b, 1);
  expect("mod64", n, __moddi3(i, (int64_t)b) == i % (int64_t)b, 1);
}

int main(void) {
  static const uint32_t corners[] = {0,          1,          2,          0x007FFFFF, 0x00800000,
                                     0x00800001, 0x01000000, 0x33800000, 0x3EFFFFFF, 0x3F000000,
                                     0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x4B000000, 0x4B7FFFFF,
                                     0x4EFFFFFF, 0x4F000000, 0x4F7FFFFF, 0x4F800000, 0x7F000000,
                                     0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FFFFFFF};
  enum { CORNERS = 2 * sizeof corners / sizeof *corners };
  for (int i = 0; i < CORNERS; i++)
    for (int j = 0; j < CORNERS; j++) {
      uint32_t a = corners[i / 2] | (i % 2 ? 0x80000000 : 0),
               b = corners[j / 2] | (j % 2 ? 0x80000000 : 0);
      check_floats(a, b);
      check_words(a, b);
    }
  for (int i = 0; i < CASES; i++) {
    check_floats(float_bits(), float_bits());
    check_words((uint32_t)wide(), (uint32_t)wide());
    check_wide(wide(), wide(), pick(0, 63));
  }
  return finish("helpers");
}
