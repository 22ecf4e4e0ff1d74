/* Accumulators to stored values by one float multiply-add that is proven equal to the contract. */
#ifndef QN_RESCALE_H
#define QN_RESCALE_H

#include "../runtime/kernels.h"
#include <stdbool.h>

/* How code makes stored values of int32 accumulators; every form saturates to -128..127 and then
 * clamps. In float, to nearest even everywhere,
 * acc with a constant added to it beforehand:
 *   fma      rint(fma(acc, scale, offset))                        zero is part of the offset
 *   signed   rint(fma(acc, scale, copysign(offset, acc))) + zero  offset: as if xor of sign bits
 *   integer  the contract tflite itself */
typedef enum { QN_RESCALE_fma, QN_RESCALE_signed, QN_RESCALE_integer } qn_rescale;

/* One channel: stored = clamp(requantize(acc, mul, shr) + zero) for acc in acc_low..acc_high. */
typedef struct {
  int32_t mul, shr; /* as in runtime/fixed.h */
  int32_t zero, low, high;
  qn_contract contract;
  int64_t acc_low, acc_high; /* what can occur; beyond int32 sums wrap, and all of int32 can */
} qn_rescaling;

/* How one op's accumulators become stored values: part of a job's shape. */
typedef struct {
  int32_t zero, low, high;
  int32_t flipped; /* x86: the results are stored as unsigned bytes, x + 128 */
} qn_clamping;

typedef struct {
  float scale, offset;
  int32_t
      shift; /* acc is acc + shift: to be added to the bias. The offset is then small, and fine */
} qn_multiply_add;

/* Finds scale and offset for which `form` (fma or signed) gives the contract's value for every
 * accumulator that can occur. fused: the code rounds product and sum once; else it rounds both.
 * False: none was found. */
bool qn_prove_rescale(const qn_rescaling *r, qn_rescale form, bool fused, qn_multiply_add *out);
/* What `form` with these numbers gives, before the clamp to low..high: the proof's model of the
 * code. */
int32_t qn_apply_rescale(const qn_rescaling *r, qn_rescale form, bool fused, qn_multiply_add m,
                         int32_t acc);
/* The code's integer form is exact for this channel. */
bool qn_can_rescale_integer(const qn_rescaling *r);

/* The same by the high half of one product (SMMLA) and a shift that saturates to -128..127:
 *   stored = clamp(((factor*acc + shift) * mul / 2^32 + add) / 2^bits), both divisions floored
 * factor is the scale on which sums are, which shift, a part of the bias, is on too. */
typedef struct {
  int32_t mul, add, shift;
} qn_high_multiply;
/* Finds numbers that give the contract's value for every accumulator that can occur, with all
 * intermediate values in int32. False: none was found. factor > 0, bits 1..31. */
bool qn_prove_high_multiply(const qn_rescaling *r, int32_t factor, int32_t bits,
                            qn_high_multiply *out);
/* What they give, before the clamp to low..high: the proof's model of the code. */
int64_t qn_apply_high_multiply(qn_high_multiply m, int32_t factor, int32_t bits, int32_t acc);

/* -- rescale_add.c */
/* Both operands are walked as the result is: from end to end. */
bool qn_is_dense_walk(const qn_broadcast *w);
/* A sum of two int8 values as  rint(a*a_scale + (b*b_scale + offset)),  each product
 * and sum one fma or (fused: 0) rounded each, the zero points in the offset; clamped afterwards. */
typedef struct {
  float a_scale, b_scale, offset;
  int32_t fused;
  int32_t raised; /* operands are given as x + raised: unsigned bytes with 128, or 0 */
} qn_add_numbers;
/* Finds numbers that give the kernel's result for all pairs of operands. False: none was found. */
bool qn_prove_add(const qn_add_i8_params *p, bool fused, int32_t raised, qn_add_numbers *out);
/* The code's value before it is rounded: the proof's model of it. */
float qn_apply_add(qn_add_numbers n, int32_t a, int32_t b);

/* The same in integers: (a*a_factor + b*b_factor + offset) >> shift, no intermediate of which
 * leaves int32. */
typedef struct {
  int32_t a_factor, b_factor, offset, shift;
} qn_add_integers;
bool qn_prove_add_integers(const qn_add_i8_params *p, qn_add_integers *out);
int32_t qn_apply_add_integers(qn_add_integers n, int32_t a, int32_t b);

#endif
