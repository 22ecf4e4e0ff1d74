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

int32_t qn_mve_rounds(int32_t chunks);
int32_t qn_mve_skip_bytes(const qn_dsp_kernel *k, int32_t chunks);
/* The rounding, by VQRDMULH and VRSHL, or VRMULH for mulhi, is the contract's for this channel. */
bool qn_mve_is_exact(const qn_rescaling *r, const qn_dsp_kernel *k);

/* void kernel(const int8_t *window, const int8_t *window of the second pixel,
 *             const void *header_and_stream, int8_t *y): windows are multiples of 16 bytes. */
LLVMValueRef qn_mve_kernel_function(qn_build *b, const qn_dsp_kernel *k);
/* void gather(int8_t *to, const int8_t *window, const qn_dsp_runs *, int row_step): all bytes of a
 * window, one after the other; `words` is a run's bytes. */
LLVMValueRef qn_mve_gather_function(qn_build *b);

#endif
