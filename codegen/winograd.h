/* Convolutions of three columns by Winograd's F(2,3) and F(4,3) along rows, in whole numbers, for
 * the DSP extension of ARMv7E-M and ARMv8-M, as assembly.
 *
 * A tile is 2 or 4 results side by side, which see 4 or 6 columns d of the input. Linear forms of
 * d, the tile's transforms, are multiplied by linear forms of the three weights g of a row, one by
 * one: as many products as columns, where the results as they are defined take 3 per result. A
 * phase is all products of one transform, summed over rows and input channels. With phases in this
 * order, A to D or A to F, their sums give:
 *
 *   F(2,3)  d1+d2 * g0+g1+g2    d2-d1 * g0-g1+g2    d0-d2 * g0    d3-d1 * g2
 *           y0 = (A+B)/2 + C    y1 = (A-B)/2 + D
 *   F(4,3)  d3+d4-4d1-4d2 * -4(g0+g1+g2)    d4-d3+4d1-4d2 * -4(g0-g1+g2)
 *           d4-d2+2(d3-d1) * g0+2g1+4g2     d4-d2-2(d3-d1) * g0-2g1+4g2
 *           d4-5d2+4d0 * 6g0                d5-5d3+4d1 * 24g2
 *           24y0 = A+B + C+D + E      24y1 = A-B + 2(C-D)
 *           24y2 = A+B + 4(C+D)       24y3 = A-B + 8(C-D) + F
 *
 * Every transform is in int16, as is every form of weights: at most 10*128 and 24*128. Sums are
 * exact modulo 2^32. A+B is even: half of it is exact where the whole is an int32. 24y modulo 2^32
 * gives 8y by the inverse of 3, and y where that is an int32. */
#ifndef QN_WINOGRAD_H
#define QN_WINOGRAD_H

#include "dsp.h"

enum { QN_WINOGRAD_PHASES = 6, QN_WINOGRAD_SLOTS = 4 };

typedef struct {
  int32_t outputs, phases;
  int32_t factor;                        /* of the bias: of A+B */
  int32_t first_phases;                  /* those before the first results */
  qn_dsp_scale scale;                    /* of results, when scaled */
  int32_t weight[QN_WINOGRAD_PHASES][3]; /* of g0, g1, g2, per phase */
} qn_winograd_form;
/* outputs: 2 or 4. */
const qn_winograd_form *qn_winograd_form_of(int32_t outputs);

/* In front of a stream of weights. Per block of four channels then follow factor * bias, the
 * weights of first_phases, numbers (as in dsp.h), those of the other
 * phase, the same numbers. Weights of a phase: per row and four input channels 0..3 the pairs (0,
 * 2), (1, 3), and per pair a word for each of the four channels. */
typedef struct {
  int32_t window_bytes; /* of the transforms of three rows for one phase */
  int32_t gap_bytes;    /* from there to the next phase's */
  int32_t stream_bytes; /* of the blocks */
  int32_t pixel_bytes;  /* from a result to its neighbour */
  int32_t zero, low, high;
  int32_t unused;
} qn_winograd_header;

/* Transforms of two tiles side by side: [phase][slot][pair of channels][tile] words of two int16,
 * pairs (0, 2), (1, 3) of every four channels. A slot is one row of the input; three that follow
 * each other are a window. */

/* void kernel(const void *transforms, const void *header_and_stream, int8_t *y): channels y[0..] of
 * the two tiles' results; the window's transforms. channels: of the input, a multiple of 4. */
LLVMValueRef qn_winograd_kernel_function(qn_build *b, const qn_winograd_form *form,
                                         const qn_dsp_kernel *k, int32_t channels);
/* void transform(void *transforms, const int8_t *columns): one row of the input into the slot. */
LLVMValueRef qn_winograd_transform_function(qn_build *b, const qn_winograd_form *form,
                                            int32_t channels);
/* Few enough for the function. */
bool qn_winograd_can_transform(int32_t channels);
/* void move(void *transforms, int blocks, int bytes): the second half of each block of 2*bytes, a
 * multiple of 64, becomes its first one. */
LLVMValueRef qn_winograd_move_function(qn_build *b);

#endif
