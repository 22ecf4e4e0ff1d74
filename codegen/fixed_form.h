/* The contract tflite in fixed-point instructions that round a doubled high product and a right
 * shift to nearest, ties up (SQRDMULH and SRSHL, vsmul and vnclip, or scalar recipes): which form
 * is exact for an op's channels, and its numbers. */
#ifndef QN_FIXED_FORM_H
#define QN_FIXED_FORM_H

#include "unit.h"

/* With h = (2*acc*mul + 2^31) >> 32, all exact for mul >= 0:
 *   relu     (h + 2^(right-1)) >> right: ties of negative values go up instead of away from zero,
 *            which a clamp at or above y_zero hides
 *   signed   the same of h - (h < 0), which puts those ties right; right >= 1. h >= -2^31 + 1, as
 *            mul < 2^31, so that the sum does not overflow
 *   general  acc << left first; h - (h < 0) only where right >= 1 */
typedef enum { QN_FORM_relu, QN_FORM_signed, QN_FORM_general } qn_fixed_form;

typedef struct {
  int32_t x_zero, y_zero, low, high;
  int32_t form; /* qn_fixed_form */
} qn_fixed;

/* What one channel adds and multiplies. */
typedef struct {
  int32_t bias; /* less x_zero * sum of weights, modulo 2^32: for sums of w * x */
  int32_t mul, right, left;
} qn_channel;

/* Fills *out for a convolution, depthwise convolution or dense layer. False: another contract, an
 * operand that is no constant, or a negative multiplier. */
bool qn_plan_fixed(const qn_unit *u, const qn_call *call, qn_fixed *out);
/* Channel o, whose `taps` weights stand `step` apart from w on. */
qn_channel qn_fixed_channel(const qn_unit *u, const qn_call *call, int32_t o, const int8_t *w,
                            int32_t taps, int32_t step);

/* Numbers as code reads them: arrays of one element per channel, each at a multiple of 16 bytes: 0
 * bias, 1 multiplier, 2 right shift (shift_bytes wide) and, in the general form, 3 left shift and 4
 * where to correct the sign, -1 or 0. Where array `which` begins; 5: where all end. */
int32_t qn_fixed_offset(const qn_fixed *f, int32_t channels, int32_t shift_bytes, int32_t which);
/* Writes a channel's numbers as element i of the arrays at `to`. right_sign: -1 stores right shifts
 * as negative left shifts. */
void qn_pack_fixed(const qn_fixed *f, int32_t channels, int32_t shift_bytes, int32_t right_sign,
                   int32_t i, const qn_channel *c, unsigned char *to);

#endif
