/* Kernels for Helium (MVE), as assembly: VMLADAVA multiplies 16 bytes with 16 others and adds all
 * products to a core register, modulo 2^32.
 *
 * Weights of four channels, in the order of their use: bias x 4, per 16 taps 16 bytes of each
 * channel, multiplier x 4, and for tflite -shr x 4. */
#ifndef QN_MVE_H
#define QN_MVE_H

#include "dsp.h"

/* The words in front of a stream. */
typedef struct {
  int32_t rounds;       /* of the unrolled loop over 16 taps */
  int32_t skip_bytes;   /* where it is entered */
  int32_t stream_bytes; /* of the blocks */
  int32_t pixel_bytes;  /* from a pixel's results to the next one's */
  int32_t zero, low, high;
  int32_t unused;
} qn_mve_header;

/* How pixels become columns, in bytes: one; to the next row of the input; a column. */
typedef struct {
  int32_t pixel, row, column;
} qn_mve_copying;

/* How pixels of eight channels become eight planes of bytes. */
typedef struct {
  int32_t pairs, rest;             /* of pixels in a line; one more, or none */
  int32_t x_step, x_line;          /* bytes to the next pixel and line of the input, */
  int32_t pair_step;               /* to the next two pixels of a plane, */
  int32_t line_bytes, plane_bytes; /* to its next line, and to the next plane */
  int32_t first, second;           /* where a line's first two pixels are */
} qn_mve_filling;

int32_t qn_mve_rounds(int32_t chunks);
int32_t qn_mve_skip_bytes(const qn_dsp_kernel *k, int32_t chunks);
/* The rounding, by VQRDMULH and VRSHL, or VRMULH for mulhi, is the contract's for this channel. */
bool qn_mve_is_exact(const qn_rescaling *r, const qn_dsp_kernel *k);

/* void kernel(const int8_t *window, const int8_t *window of the second pixel,
 *             const void *header_and_stream, int8_t *y): windows are multiples of 16 bytes. */
LLVMValueRef qn_mve_kernel_function(qn_build *b, const qn_dsp_kernel *k);
/* void copy(int8_t *to, const int8_t *from, int rows, int columns, const qn_mve_copying *): may be
 * less than one row or column: nothing. */
LLVMValueRef qn_mve_copy_function(qn_build *b);
/* A call that sets so many bytes, an i32, maybe 0. */
void qn_emit_mve_set(qn_build *b, LLVMValueRef to, int32_t value, LLVMValueRef bytes);
/* void fill(const int8_t *pixel, int8_t *planes, const qn_mve_filling *, int lines): lines >= 0;
 * planes less than 2^16 bytes in all. */
LLVMValueRef qn_mve_fill_function(qn_build *b);

#endif
