/* The square root, digit by digit in integers: correctly rounded, and never a call of a library. */
#include "real.h"

/* floor(sqrt(x)): for each bit from the top, is the root with it still small enough? */
static uint32_t root_of(uint64_t x) {
  uint64_t root = 0;
  for (uint64_t bit = (uint64_t)1 << 50; bit; bit >>= 2) {
    uint64_t trial = root + bit;
    root >>= 1;
    if (x >= trial) {
      x -= trial;
      root += bit;
    }
  }
  return (uint32_t)root;
}

/* x = m * 2^e with e even and 2^50 <= m < 2^52. The root of m has 26 bits, two more than a float;
 * a root that lies half way between two floats would need a square with 49 bits, and m's last 26
 * are zeros, so adding 2 and dropping two bits rounds to nearest. */
float qn_sqrt(float x) {
  int32_t bits = qn_bits_of_float(x);
  if (bits < 0 && x != 0) return qn_float_of_bits(0x7FC00000);
  if (x == 0 || !(x < qn_float_of_bits(0x7F800000))) return x; /* zeros, infinity, NaN */
  int32_t exponent = bits >> 23;
  uint32_t fraction = (uint32_t)bits & 0x7FFFFF;
  if (exponent > 0)
    fraction |= 0x800000;
  else
    for (exponent = 1; !(fraction & 0x800000); exponent--) fraction <<= 1;
  int32_t power = exponent - 150; /* x = fraction * 2^power */
  int32_t shift = 27 + (power & 1 ? 0 : 1);
  uint32_t root = root_of((uint64_t)fraction << shift);
  int32_t half = (power - shift) >> 1; /* sqrt(x) = root * 2^half, 2^25 <= root < 2^26 */
  uint32_t rounded = (root + 2) >> 2;
  return (float)rounded * qn_power_of_two(half + 2);
}
