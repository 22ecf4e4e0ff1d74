/* Arithmetic of sizes and counts, none of which is negative. */
#ifndef QN_ARITHMETIC_H
#define QN_ARITHMETIC_H

#include <stdint.h>

static inline int32_t qn_least(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t qn_most(int32_t a, int32_t b) { return a > b ? a : b; }
/* a / b and a, to the next whole number and to the next multiple of b; a + b fits int32. */
static inline int32_t qn_divide_up(int32_t a, int32_t b) { return (a + b - 1) / b; }
static inline int32_t qn_round_up(int32_t a, int32_t b) { return qn_divide_up(a, b) * b; }
/* The first multiple of `to` that is no less than n, a place in memory. */
static inline int64_t qn_align_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
/* Vectors of so many lanes after which what repeats every `channels` elements begins with a vector
 * again; more than `most`: above that number. */
static inline int32_t qn_vector_period(int32_t lanes, int32_t channels, int32_t most) {
  int32_t period = 1;
  while (period <= most && (int64_t)period * lanes % channels != 0) period++;
  return period;
}

#endif
