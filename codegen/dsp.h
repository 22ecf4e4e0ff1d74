/* Kernels for the DSP extension of ARMv7E-M and ARMv8-M (SMLAD, SXTB16, SMMULR), as assembly.
 *
 * Activations are taken apart into words of two int16, "pairs" k, k'; one multiply-add adds both
 * products. Their order is as SXTB16 leaves it: of four bytes in a row 0 with 2, then 1 with 3; the
 * bytes that are left over at the end of every run come last, one after the other.
 *
 * Weights of four channels, in the order of their use:
 *   dual  per pair two words; a halfword is 256*a + b for two channels a, b. SMLAD sums 256*A + B,
 *         after SXTB16 of the word B: A is their difference / 256, exact while it is in 24 bits
 *   wide  per pair four words: one halfword per weight */
#ifndef QN_DSP_H
#define QN_DSP_H

#include "assembly.h"
#include "rescale.h"

/* How sums become stored values.
 *   relu    contract tflite, where nothing below zero is stored: two rounded high products
 *   signed  contract tflite: ties of negative numbers away from zero
 *   mulhi   contract mulhi, shr 0
 *   scaled  one high product by numbers that are proven for every channel of a block (rescale.h) */
typedef enum { QN_DSP_RELU, QN_DSP_SIGNED, QN_DSP_MULHI, QN_DSP_SCALED } qn_dsp_rounding;
/* scaled: the scale on which a block's channels are rounded, and the bits of their fractions. */
typedef struct {
  int32_t factor, bits;
} qn_dsp_scale;
/* channel: 0..3 of the block. Of a dual pair the first one is left on the scale of 256. */
qn_dsp_scale qn_dsp_scale_of(bool wide, int32_t channel);

typedef struct {
  int32_t pixels; /* 2, or 1 */
  int32_t wide;
  int32_t rounding; /* qn_dsp_rounding */
  int32_t clamps;   /* to less than -128..127 */
} qn_dsp_kernel;

/* The words in front of a stream of weights. Per block of four channels then follow bias, weights,
 * multipliers, and for tflite 2^(32-shr), four words each; bias: (256*a + b, b) twice when dual.
 * scaled: four times multiplier, add. */
typedef struct {
  int32_t pair_bytes;   /* of the activations: 8 per pair, 4 for one pixel */
  int32_t skip_bytes;   /* where the unrolled loop is entered */
  int32_t stream_bytes; /* of the blocks */
  int32_t pixel_bytes;  /* from a pixel's results to the next one's */
  int32_t zero, low, high;
  int32_t unused;
} qn_dsp_header;

/* The words in front of all: how windows become pairs. */
typedef struct {
  int32_t rows, runs;  /* of the window; runs of bytes per row */
  int32_t run_step;    /* from a run to the next one, in bytes */
  int32_t words, rest; /* of a run: of four bytes, and single bytes */
  int32_t run_rest;    /* run_step - 4*words */
} qn_dsp_runs;

/* The op's constants are constants, and its contract has a kernel. */
bool qn_dsp_takes(const qn_unit *u, const qn_call *call, const qn_conv_i8_params *p);
/* Its rounding and clamps. */
qn_dsp_kernel qn_dsp_choose_kernel(const qn_conv_i8_params *p);
/* The rounding is the contract's for this channel's sums. */
bool qn_dsp_is_exact(const qn_rescaling *r);

/* The number of pairs rounded up to what the kernel's steps take. */
int32_t qn_dsp_round_pairs(const qn_dsp_kernel *k, int32_t pairs);
int32_t qn_dsp_skip_bytes(const qn_dsp_kernel *k, int32_t pairs);

/* void kernel(const void *pairs, const void *header_and_stream, int8_t *y): channels y[0..] of one
 * pixel, or of two; pairs: aligned to 4. */
LLVMValueRef qn_dsp_kernel_function(qn_build *b, const qn_dsp_kernel *k);
/* void gather(void *pairs, const void *window, [const void *window of the second pixel,]
 *             const qn_dsp_runs *, int row_step[, int row_step of the second])
 * row_step: bytes from a row of the window to the next. Pairs of two pixels alternate; what
 * rounding up adds is not written. */
LLVMValueRef qn_dsp_gather_function(qn_build *b, int32_t pixels);
/* The same of two pixels for these runs alone, without loops; whether they are few, and so many
 * calls worth its code. */
LLVMValueRef qn_dsp_straight_gather_function(qn_build *b, const qn_dsp_runs *runs);
bool qn_dsp_is_gathered_straight(const qn_dsp_runs *runs, int64_t calls, bool for_speed);

/* -- pieces of kernels of two pixels: text behind what is there */
typedef struct {
  qn_assembly *a;
  const qn_dsp_kernel *k;
  const char *const *sum; /* registers: channels of pixel 0, then of pixel 1 */
  int count;
  const char *number[4]; /* registers for multipliers, and what else is needed for a while */
  const char *numbers;   /* the same as a list */
  int32_t at_y, at_zero, at_low; /* from sp: results of the pixels; zero; low and high */
  int32_t bits[4];               /* scaled: of the channels' fractions */
} qn_dsp_writer;
/* Sums in r6..r12, lr; numbers in r2..r5. The at_... are the caller's to set. */
qn_dsp_writer qn_dsp_write_two_pixels(qn_assembly *a, const qn_dsp_kernel *k);
/* One pair at r0 times its weights at r1, both of which move on; changes the numbers. The first
 * one adds to the second pixel's sums for both pixels. */
void qn_dsp_write_pair(const qn_dsp_writer *w, bool first);
/* Sums, doubled for tflite, on their scale when scaled, become stored bytes: multipliers at r1,
 * which moves on, as the addresses of results do by 4; changes r0, numbers and sums. */
void qn_dsp_write_results(const qn_dsp_writer *w);
/* For functions' names. */
const char *qn_dsp_rounding_name(int32_t rounding, bool clamps);

#endif
