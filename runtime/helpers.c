/* What a back end calls where the processor has no instruction for it: 64-bit shifts and products,
 * division, and IEEE binary32 on cores without an FPU. The names and registers are the ABIs': of
 * libgcc, and of ARM's "Run-time ABI for the ARM Architecture" (IHI 0043) with __aeabi_ in front.
 *
 * Only the helpers that an object needs are linked into it, each on its own.
 *
 * Floats come and go as their bits. Results are rounded to nearest even, subnormals included, so
 * that code without an FPU computes the same bits as code with one; NaNs come out as 0x7FC00000.
 * No function here may contain what it stands for: the compiler would make it call itself. */
#include <stdint.h>

/* ------------------------------------------------------------------ 64 bits in halves */

typedef struct {
  uint32_t low, high;
} halves;

static inline halves split(uint64_t x) { return (halves){(uint32_t)x, (uint32_t)(x >> 32)}; }
static inline uint64_t join(uint32_t low, uint32_t high) { return low | (uint64_t)high << 32; }

static inline uint64_t shift_left(uint64_t x, int32_t n) {
  halves h = split(x);
  if (n >= 32) return join(0, h.low << (n - 32));
  if (n == 0) return x;
  return join(h.low << n, h.high << n | h.low >> (32 - n));
}

/* fill: 0, or all ones for a negative number. */
static inline uint64_t shift_right(uint64_t x, int32_t n, uint32_t fill) {
  halves h = split(x);
  if (n == 0) return x;
  if (n == 32) return join(h.high, fill);
  if (n > 32) return join(h.high >> (n - 32) | fill << (64 - n), fill);
  return join(h.low >> n | h.high << (32 - n), h.high >> n | fill << (32 - n));
}

static inline uint32_t sign_fill(int64_t x) {
  return split((uint64_t)x).high >> 31 ? 0xFFFFFFFF : 0;
}

uint64_t __ashldi3(uint64_t x, int32_t n) { return shift_left(x, n); }
uint64_t __lshrdi3(uint64_t x, int32_t n) { return shift_right(x, n, 0); }
int64_t __ashrdi3(int64_t x, int32_t n) {
  return (int64_t)shift_right((uint64_t)x, n, sign_fill(x));
}
uint64_t __aeabi_llsl(uint64_t x, int32_t n) { return shift_left(x, n); }
uint64_t __aeabi_llsr(uint64_t x, int32_t n) { return shift_right(x, n, 0); }
int64_t __aeabi_lasr(int64_t x, int32_t n) {
  return (int64_t)shift_right((uint64_t)x, n, sign_fill(x));
}

/* The 64-bit product of 32-bit numbers by 16-bit halves: Cortex-M0 multiplies 32 bits to 32. */
static inline halves multiply_wide(uint32_t a, uint32_t b) {
  uint32_t a0 = a & 0xFFFF, a1 = a >> 16, b0 = b & 0xFFFF, b1 = b >> 16;
  uint32_t low = a0 * b0, middle = a1 * b0 + (low >> 16);
  uint32_t middle2 = a0 * b1 + (middle & 0xFFFF);
  return (halves){(middle2 << 16) | (low & 0xFFFF), a1 * b1 + (middle >> 16) + (middle2 >> 16)};
}

static inline uint64_t multiply(uint64_t a, uint64_t b) {
  halves x = split(a), y = split(b), p = multiply_wide(x.low, y.low);
  return join(p.low, p.high + x.low * y.high + x.high * y.low);
}

uint64_t __muldi3(uint64_t a, uint64_t b) { return multiply(a, b); }
uint64_t __aeabi_lmul(uint64_t a, uint64_t b) { return multiply(a, b); }

/* Leading zeros, 32 of 0. In steps and not in a loop, which the compiler would take for a clz. */
int32_t __clzsi2(uint32_t x) {
  int32_t n = 0;
  if (x == 0) return 32;
  if (x >> 16 == 0) n += 16, x <<= 16;
  if (x >> 24 == 0) n += 8, x <<= 8;
  if (x >> 28 == 0) n += 4, x <<= 4;
  if (x >> 30 == 0) n += 2, x <<= 2;
  return n + (x >> 31 == 0);
}

/* ------------------------------------------------------------------ division */

typedef struct {
  uint32_t quotient, remainder;
} division;

typedef struct {
  uint64_t quotient, remainder;
} wide_division;

/* Bit by bit. By 0: quotient 0, remainder n. */
static inline division divide(uint32_t n, uint32_t d) {
  division r = {0, 0};
  for (int32_t i = 31; i >= 0; i--) {
    uint32_t carry = r.remainder >> 31;
    r.remainder = r.remainder << 1 | (n >> i & 1);
    if (d == 0 || (!carry && r.remainder < d)) continue;
    r.remainder -= d;
    r.quotient |= 1u << i;
  }
  return r;
}

/* The sign of the quotient is the signs' product, the remainder's is n's. */
static inline division divide_signed(int32_t n, int32_t d) {
  uint32_t un = n < 0 ? 0 - (uint32_t)n : (uint32_t)n, ud = d < 0 ? 0 - (uint32_t)d : (uint32_t)d;
  division r = divide(un, ud);
  if ((n < 0) != (d < 0)) r.quotient = 0 - r.quotient;
  if (n < 0) r.remainder = 0 - r.remainder;
  return r;
}

static inline wide_division divide_wide(uint64_t n, uint64_t d) {
  wide_division r = {0, 0};
  halves bits = split(n), quotient = {0, 0};
  for (int32_t i = 0; i < 64; i++) {
    uint32_t carry = (uint32_t)(r.remainder >> 63);
    r.remainder = r.remainder << 1 | bits.high >> 31;
    bits = (halves){bits.low << 1, bits.high << 1 | bits.low >> 31};
    uint32_t one = d != 0 && (carry || r.remainder >= d);
    if (one) r.remainder -= d;
    quotient = (halves){quotient.low << 1 | one, quotient.high << 1 | quotient.low >> 31};
  }
  r.quotient = join(quotient.low, quotient.high);
  return r;
}

static inline wide_division divide_wide_signed(int64_t n, int64_t d) {
  uint64_t un = n < 0 ? 0 - (uint64_t)n : (uint64_t)n, ud = d < 0 ? 0 - (uint64_t)d : (uint64_t)d;
  wide_division r = divide_wide(un, ud);
  if ((n < 0) != (d < 0)) r.quotient = 0 - r.quotient;
  if (n < 0) r.remainder = 0 - r.remainder;
  return r;
}

uint32_t __udivsi3(uint32_t n, uint32_t d) { return divide(n, d).quotient; }
uint32_t __umodsi3(uint32_t n, uint32_t d) { return divide(n, d).remainder; }
int32_t __divsi3(int32_t n, int32_t d) { return (int32_t)divide_signed(n, d).quotient; }
int32_t __modsi3(int32_t n, int32_t d) { return (int32_t)divide_signed(n, d).remainder; }
uint64_t __udivdi3(uint64_t n, uint64_t d) { return divide_wide(n, d).quotient; }
uint64_t __umoddi3(uint64_t n, uint64_t d) { return divide_wide(n, d).remainder; }
int64_t __divdi3(int64_t n, int64_t d) { return (int64_t)divide_wide_signed(n, d).quotient; }
int64_t __moddi3(int64_t n, int64_t d) { return (int64_t)divide_wide_signed(n, d).remainder; }
uint32_t __aeabi_uidiv(uint32_t n, uint32_t d) { return divide(n, d).quotient; }
int32_t __aeabi_idiv(int32_t n, int32_t d) { return (int32_t)divide_signed(n, d).quotient; }
/* Pairs return in r0 and r1, and in r0 to r3. */
uint64_t __aeabi_uidivmod(uint32_t n, uint32_t d) {
  division r = divide(n, d);
  return join(r.quotient, r.remainder);
}
uint64_t __aeabi_idivmod(int32_t n, int32_t d) {
  division r = divide_signed(n, d);
  return join(r.quotient, r.remainder);
}
wide_division __aeabi_uldivmod(uint64_t n, uint64_t d) { return divide_wide(n, d); }
wide_division __aeabi_ldivmod(int64_t n, int64_t d) { return divide_wide_signed(n, d); }

/* ------------------------------------------------------------------ binary32 */

enum { NOT_A_NUMBER = 0x7FC00000, INFINITE = 0x7F800000, ONE = 0x00800000 };

static inline int32_t is_nan(uint32_t x) { return (x & 0x7FFFFFFF) > INFINITE; }
static inline int32_t is_infinite(uint32_t x) { return (x & 0x7FFFFFFF) == INFINITE; }
static inline int32_t is_zero(uint32_t x) { return (x & 0x7FFFFFFF) == 0; }
static inline uint32_t sign_of(uint32_t x) { return x & 0x80000000; }

/* m * 2^(e - 157) with m in [2^30, 2^31): e is the biased exponent of a normal number. */
typedef struct {
  int32_t e;
  uint32_t m;
} parts;

static inline parts normalise(int32_t e, uint32_t m) {
  while (m < 1u << 30) {
    m <<= 1;
    e--;
  }
  return (parts){e, m};
}

/* Of a finite number that is not 0. */
static inline parts unpack(uint32_t x) {
  int32_t e = (int32_t)(x >> 23 & 255);
  uint32_t m = x & (ONE - 1);
  return e ? (parts){e, (m | ONE) << 7} : normalise(1, m << 7);
}

/* m >> n, its lowest bit set when a bit that went out was. */
static inline uint32_t shift_sticky(uint32_t m, int32_t n) {
  if (n == 0) return m;
  if (n > 31) return m != 0;
  return m >> n | ((m << (32 - n)) != 0);
}

/* Rounds to nearest even. Bit 0 of m may stand for any lower bits. */
static inline uint32_t pack(uint32_t sign, parts p) {
  if (p.e >= 255) return sign | INFINITE;
  if (p.e <= 0) {
    p.m = shift_sticky(p.m, 1 - p.e);
    p.e = 1;
  }
  uint32_t rest = p.m & 127, m = (p.m + 64) >> 7;
  if (rest == 64) m &= ~1u;
  /* the leading one of m adds 1 to the exponent; a subnormal has none */
  return sign | (((uint32_t)(p.e - 1) << 23) + m);
}

static inline uint32_t add_parts(uint32_t sign_a, parts a, uint32_t sign_b, parts b) {
  if (a.e < b.e || (a.e == b.e && a.m < b.m)) {
    parts p = a;
    uint32_t s = sign_a;
    a = b;
    b = p;
    sign_a = sign_b;
    sign_b = s;
  }
  uint32_t m = shift_sticky(b.m, a.e - b.e);
  if (sign_a == sign_b) {
    m = a.m + m; /* below 2^32 */
    return pack(sign_a, m >> 31 ? (parts){a.e + 1, shift_sticky(m, 1)} : (parts){a.e, m});
  }
  m = a.m - m;
  return m ? pack(sign_a, normalise(a.e, m)) : 0;
}

static inline uint32_t add(uint32_t a, uint32_t b) {
  if (is_nan(a) || is_nan(b)) return NOT_A_NUMBER;
  if (is_infinite(a)) return is_infinite(b) && a != b ? NOT_A_NUMBER : a;
  if (is_infinite(b)) return b;
  if (is_zero(b)) return is_zero(a) ? a & b : a;
  if (is_zero(a)) return b;
  return add_parts(sign_of(a), unpack(a), sign_of(b), unpack(b));
}

static inline uint32_t subtract(uint32_t a, uint32_t b) {
  return add(a, is_nan(b) ? b : b ^ 0x80000000);
}

static inline uint32_t multiply_floats(uint32_t a, uint32_t b) {
  uint32_t sign = sign_of(a ^ b);
  if (is_nan(a) || is_nan(b)) return NOT_A_NUMBER;
  if (is_infinite(a) || is_infinite(b))
    return is_zero(a) || is_zero(b) ? NOT_A_NUMBER : sign | INFINITE;
  if (is_zero(a) || is_zero(b)) return sign;
  parts x = unpack(a), y = unpack(b);
  halves p = multiply_wide(x.m, y.m); /* [2^60, 2^62) */
  uint32_t m = p.high << 2 | p.low >> 30 | ((p.low << 2) != 0);
  int32_t e = x.e + y.e - 127;
  return pack(sign, m >> 31 ? (parts){e + 1, shift_sticky(m, 1)} : (parts){e, m});
}

static inline uint32_t divide_floats(uint32_t a, uint32_t b) {
  uint32_t sign = sign_of(a ^ b);
  if (is_nan(a) || is_nan(b)) return NOT_A_NUMBER;
  if (is_infinite(a)) return is_infinite(b) ? NOT_A_NUMBER : sign | INFINITE;
  if (is_infinite(b)) return sign;
  if (is_zero(b)) return is_zero(a) ? NOT_A_NUMBER : sign | INFINITE;
  if (is_zero(a)) return sign;
  parts x = unpack(a), y = unpack(b);
  int32_t e = x.e - y.e + 127;
  uint32_t n = x.m, m = 0;
  if (n < y.m) {
    n <<= 1;
    e--;
  }
  for (int32_t i = 0; i < 31; i++) { /* n < 2 * y.m: the next bit of the quotient */
    uint32_t one = n >= y.m;
    m = m << 1 | one;
    n = (n - (one ? y.m : 0)) << 1;
  }
  return pack(sign, (parts){e, m | (n != 0)});
}

uint32_t __addsf3(uint32_t a, uint32_t b) { return add(a, b); }
uint32_t __subsf3(uint32_t a, uint32_t b) { return subtract(a, b); }
uint32_t __mulsf3(uint32_t a, uint32_t b) { return multiply_floats(a, b); }
uint32_t __divsf3(uint32_t a, uint32_t b) { return divide_floats(a, b); }
uint32_t __aeabi_fadd(uint32_t a, uint32_t b) { return add(a, b); }
uint32_t __aeabi_fsub(uint32_t a, uint32_t b) { return subtract(a, b); }
uint32_t __aeabi_fmul(uint32_t a, uint32_t b) { return multiply_floats(a, b); }
uint32_t __aeabi_fdiv(uint32_t a, uint32_t b) { return divide_floats(a, b); }

/* -1, 0, 1 as a is less than, equal to, greater than b; neither is NaN. */
static inline int32_t compare(uint32_t a, uint32_t b) {
  int32_t x = (int32_t)(a & 0x7FFFFFFF), y = (int32_t)(b & 0x7FFFFFFF);
  if (sign_of(a)) x = -x;
  if (sign_of(b)) y = -y;
  return (x > y) - (x < y);
}

static inline int32_t unordered(uint32_t a, uint32_t b) { return is_nan(a) || is_nan(b); }

/* libgcc's: the comparison against 0 has the answer, false for NaN. */
int32_t __unordsf2(uint32_t a, uint32_t b) { return unordered(a, b); }
int32_t __eqsf2(uint32_t a, uint32_t b) { return unordered(a, b) ? 1 : compare(a, b); }
int32_t __nesf2(uint32_t a, uint32_t b) { return unordered(a, b) ? 1 : compare(a, b); }
int32_t __ltsf2(uint32_t a, uint32_t b) { return unordered(a, b) ? 1 : compare(a, b); }
int32_t __lesf2(uint32_t a, uint32_t b) { return unordered(a, b) ? 1 : compare(a, b); }
int32_t __gtsf2(uint32_t a, uint32_t b) { return unordered(a, b) ? -1 : compare(a, b); }
int32_t __gesf2(uint32_t a, uint32_t b) { return unordered(a, b) ? -1 : compare(a, b); }
/* ARM's: 1 or 0. */
int32_t __aeabi_fcmpun(uint32_t a, uint32_t b) { return unordered(a, b); }
int32_t __aeabi_fcmpeq(uint32_t a, uint32_t b) { return !unordered(a, b) && compare(a, b) == 0; }
int32_t __aeabi_fcmplt(uint32_t a, uint32_t b) { return !unordered(a, b) && compare(a, b) < 0; }
int32_t __aeabi_fcmple(uint32_t a, uint32_t b) { return !unordered(a, b) && compare(a, b) <= 0; }
int32_t __aeabi_fcmpgt(uint32_t a, uint32_t b) { return !unordered(a, b) && compare(a, b) > 0; }
int32_t __aeabi_fcmpge(uint32_t a, uint32_t b) { return !unordered(a, b) && compare(a, b) >= 0; }

/* Towards 0; what does not fit becomes the nearest that does, NaN 0. `most` is the largest. */
static inline uint32_t magnitude(uint32_t x, uint32_t most) {
  int32_t e = (int32_t)(x >> 23 & 255);
  if (e < 127 || is_nan(x)) return 0;
  if (e > 158) return most;
  uint32_t m = ((x & (ONE - 1)) | ONE) << 8;
  m >>= 158 - e;
  return m < most ? m : most;
}

static inline int32_t to_signed(uint32_t x) {
  if (sign_of(x)) return (int32_t)(0 - magnitude(x, 0x80000000));
  return (int32_t)magnitude(x, 0x7FFFFFFF);
}

static inline uint32_t to_unsigned(uint32_t x) { return sign_of(x) ? 0 : magnitude(x, 0xFFFFFFFF); }

static inline uint32_t from_magnitude(uint32_t sign, uint32_t n) {
  if (n == 0) return 0;
  return pack(sign, n >> 31 ? (parts){158, shift_sticky(n, 1)} : normalise(157, n));
}

static inline uint32_t from_signed(int32_t n) {
  return from_magnitude(n < 0 ? 0x80000000 : 0, n < 0 ? 0 - (uint32_t)n : (uint32_t)n);
}

int32_t __fixsfsi(uint32_t x) { return to_signed(x); }
uint32_t __fixunssfsi(uint32_t x) { return to_unsigned(x); }
uint32_t __floatsisf(int32_t n) { return from_signed(n); }
uint32_t __floatunsisf(uint32_t n) { return from_magnitude(0, n); }
int32_t __aeabi_f2iz(uint32_t x) { return to_signed(x); }
uint32_t __aeabi_f2uiz(uint32_t x) { return to_unsigned(x); }
uint32_t __aeabi_i2f(int32_t n) { return from_signed(n); }
uint32_t __aeabi_ui2f(uint32_t n) { return from_magnitude(0, n); }
