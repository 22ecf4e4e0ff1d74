/* A seed -> the bytes of a tensor: a few instructions instead of a stored sample.
 *
 * Each byte is the high one of a linear congruential generator's state (Knuth's multiplier of
 * "Numerical Recipes"). Of a float, the last byte holds the sign and most of the exponent: there
 * all but the sign and what keeps the magnitude within 2^-3..2^-1 is fixed. */
#include "selftest.h"

#ifdef __clang__
#define SMALL __attribute__((noinline, minsize))
#else
#define SMALL
#endif

SMALL uint32_t qn_crc32(const uint8_t *bytes, uint32_t count) {
  uint32_t crc = 0xFFFFFFFF;
  for (uint32_t i = 0; i < count; i++) {
    crc ^= bytes[i];
    for (int32_t bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return ~crc;
}

SMALL void qn_fill_noise(uint8_t *at, uint32_t bytes, uint32_t type, uint32_t seed) {
  uint32_t state = seed;
  uint32_t last = type == QUERN_F32 ? 3 : type == QUERN_F16 || type == QUERN_BF16 ? 1 : 0;
  uint32_t free_bits = type == QUERN_F16 ? 0x87 : last ? 0x80 : type == QUERN_BOOL ? 1 : 0xFF;
  uint32_t fixed_bits = type == QUERN_F16 ? 0x30 : last ? 0x3E : 0;
  for (uint32_t i = 0; i < bytes; i++) {
    state = state * 1664525 + 1013904223;
    uint32_t noise = state >> 24;
    at[i] = (uint8_t)((i & last) == last ? (noise & free_bits) | fixed_bits : noise);
  }
}
