/* What the two forms of depthwise convolutions on x86 share: lines of interleaved rows in memory
 * (emit_depthwise_x86.c), and columns that slide through registers (emit_depthwise_slide.c).
 *
 * A dot product takes so many taps per lane (x86.h: 4 or 2); here a lane is a channel, and the taps
 * are vertical: the bytes of as many input rows. Windows of up to 3 rows that move by 1 give two
 * result rows from the same four rows, with weights (w0, w1, w2, 0) and (0, w0, w1, w2).
 *
 * In the constants each vector of a block has: bias with corrections, the two numbers of the
 * requantization, and weights [result row][line][column]. */
#ifndef QN_DEPTHWISE_X86_H
#define QN_DEPTHWISE_X86_H

#include "window.h"
#include "x86.h"

enum { QN_STRIP_VECTORS = 6, QN_STRIPS = 4 };

/* Blocks that are alike and follow each other: one loop. */
typedef struct {
  int32_t count;    /* of blocks */
  int32_t vectors;  /* of weights, in a block */
  int32_t repeats;  /* of them at each step */
  int32_t channels; /* that the last vector has; slide: that the block has */
  int32_t width;    /* ordered: channels from block to block, and after which lanes repeat */
  int32_t first;    /* element of a pixel, or of a row (flat: 0) */
  int32_t first_byte;
  int32_t form[QN_STRIP_VECTORS]; /* qn_rescale */
} qn_x86_strip;

typedef struct {
  qn_isa isa;
  qn_window g;
  int32_t x_zero;
  qn_layout x, y;
  qn_clamping clamping;
  int32_t rows;            /* results per line: 1 or 2 */
  int32_t lines;           /* of as many input rows as a lane takes taps */
  int32_t columns, copied; /* of a line; of the input */
  int32_t line_bytes;
  int32_t flat, ordered;
  int32_t awake; /* qn_job */
  int32_t strip_count;
  qn_x86_strip at[QN_STRIPS];
} qn_x86_depthwise;

/* Weight vectors per vector of results. */
int32_t qn_depthwise_taps(const qn_x86_depthwise *s);
/* Of constants, per vector. Weights are read where they are used, as often as from registers: none
 * is widened. */
int32_t qn_depthwise_vector_bytes(const qn_x86_depthwise *s);

/* The shape of the call's code, but for strips; NULL: no depthwise convolution with constants, or
 * one that is too large. */
qn_x86_depthwise *qn_measure_depthwise(qn_unit *u, const qn_call *call);
/* The constants of all strips, and their forms; the job's shape and constants. False: some channel
 * has no exact form. */
bool qn_pack_depthwise(qn_unit *u, const qn_call *call, qn_x86_depthwise *s, qn_job *job);

/* The input's zero point as it is stored; and bytes of the input, for dot products of four taps. */
int qn_stored_zero(const qn_x86_depthwise *s);
LLVMValueRef qn_unsigned_bytes(qn_build *b, const qn_x86_depthwise *s, LLVMValueRef bytes);
/* Four vectors of bytes of as many rows -> as many vectors whose lanes have a byte of each: lane
 * 4i+e of vector j is element 16i + 4j + e. */
void qn_interleave_rows(qn_build *b, const qn_isa *isa, const LLVMValueRef *rows,
                        LLVMValueRef *out);
/* The input row under tap row `tap` of result row `row`: its first element, or `padding`. */
LLVMValueRef qn_depthwise_row(qn_build *b, const qn_x86_depthwise *s, LLVMValueRef x,
                              LLVMValueRef padding, LLVMValueRef row, int32_t tap);

#endif
