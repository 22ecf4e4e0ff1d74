/* Kernels for ARMv6-M (Cortex-M0, M0+), as assembly: 16-bit instructions, eight registers that
 * compute and six that keep sums, one multiplication of 32 bits.
 *
 * Activations are words, widened once for all channels; those of two pixels alternate. Weights of
 * four channels, in the order of their use: bias x 4, per tap a word of four bytes, and per channel
 * the multiplier's low 16 and high bits, and shr. */
#ifndef QN_THUMB_H
#define QN_THUMB_H

#include "dsp.h"

/* The words in front of a stream. */
typedef struct {
  int32_t x_bytes;      /* of the activations: 8 per tap, 4 for one pixel */
  int32_t entry;        /* where the unrolled loop is entered, plus 1 */
  int32_t stream_bytes; /* of the blocks */
  int32_t pixel_bytes;  /* from a pixel's results to the next one's */
  int32_t zero, low, high;
  int32_t unused;
} qn_thumb_header;

enum { QN_THUMB_CHANNEL_BYTES = 12 }; /* of the numbers behind a block's weights */

/* The rounding is the contract's for this channel's sums:
 *   acc*mul = ah*mh*2^32 + (ah*ml + al*mh)*2^16 + al*ml, acc = ah*2^16 + al, mul = mh*2^16 + ml,
 * with al signed, and with |acc| < 2^29 the middle sum, al*ml/2^16 included, is in an int32. Halves
 * go up by the carry of a shift: none for shr 0. */
bool qn_thumb_is_exact(const qn_rescaling *r);
/* The number of taps rounded up to what the kernel's steps take. */
int32_t qn_thumb_round_taps(const qn_dsp_kernel *k, int32_t taps);
int32_t qn_thumb_entry(const qn_dsp_kernel *k, int32_t taps);

/* void kernel(const int32_t *x, const void *header_and_stream, int8_t *y) */
LLVMValueRef qn_thumb_kernel_function(qn_build *b, const qn_dsp_kernel *k);
/* void gather(int32_t *to, const int8_t *window, const qn_dsp_runs *, int row_step): all bytes of a
 * window as words, one after the other or with room for another pixel's between them; `words` is a
 * run's bytes. */
LLVMValueRef qn_thumb_gather_function(qn_build *b, int32_t pixels);

/* Parts of such functions: r4..r11 and lr are saved, and restored with the return.
 * r0, a sum -> r0, the value to store; ml, mh, zero, shift in r8..r11, low and high in r12 and lr;
 * r2..r5 change. Labels 7 and 8 are taken. */
void qn_write_thumb_entry(qn_assembly *a);
void qn_write_thumb_exit(qn_assembly *a);
void qn_write_thumb_rounding(qn_assembly *a, int32_t rounding);

#endif
