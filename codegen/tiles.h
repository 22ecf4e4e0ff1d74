/* Int8 convolutions and dense layers as tiles of pixels x blocks of channels, whatever the
 * instructions: the shape, the order of the constants and the loops. What is done with one tile is
 * the target's (qn_tile_code).
 *
 * The input is read in place or, where it has padding or runs must be rounded up, from a padded
 * copy in scratch. Channels are cut into segments of blocks that are alike. In the constants each
 * block has its numbers (fixed_form.h) and the weights in the order of their use,
 * [run][step][channel][tap]: a step is `taps` taps, runs are rounded up to whole steps with weights
 * 0. Where a multiplication does several channels at once, their weights are one word. */
#ifndef QN_TILES_H
#define QN_TILES_H

#include "fixed_form.h"
#include "window.h"

enum { QN_MOST_SEGMENTS = 4, QN_MOST_SUMS = 64, QN_MOST_TAPS = 8 };

typedef struct {
  int32_t first_channel, channels, blocks; /* channels per block, the last may lack some */
  int32_t tile;                            /* pixels of a row; the row's last tile is moved back */
  int32_t first_byte, block_bytes;         /* of constants */
} qn_segment;

typedef struct {
  qn_padded p;
  qn_fixed fixed;
  int32_t copied;             /* the input, into scratch; 16 bytes beyond its end may be read */
  int32_t run_taps;           /* of a run, rounded up to whole steps */
  int32_t flush_taps, totals; /* (scalar code) taps of a run until lanes are full, or 0; scratch */
  int32_t group; /* so many taps of a run (1, 2, 4, 8), from a multiple on, have an int16 sum */
  int32_t segment_count;
  qn_segment at[QN_MOST_SEGMENTS];
} qn_tiles;

/* One tile while its code is written. */
typedef struct {
  qn_build *b;
  const qn_tiles *s;
  const qn_segment *at;
  LLVMValueRef sum[QN_MOST_SUMS];
  int32_t sum_count;
  LLVMValueRef totals; /* in scratch, if the code plans for it */
} qn_tile;

typedef struct qn_tile_code {
  int32_t taps;        /* of a step */
  int32_t round_taps;  /* taps that add does in one round of the loop, a multiple of `taps` */
  int32_t shift_bytes; /* of a number that is a shift: 2 or 4 */
  int32_t right_sign;  /* -1: right shifts are stored as negative left shifts; or 1 */
  /* Sets channels and tile of the next segment, of which at most `left` channels are left. False:
   * the shape is not for this code. */
  bool (*choose)(const qn_tiles *s, int32_t left, qn_segment *out);
  /* Sets t->sum[0..sum_count) from the bias; adds `taps` taps of every pixel from x on; stores the
   * first `channels` channels of all pixels at y. numbers: the block's. */
  void (*start)(qn_tile *t, LLVMValueRef numbers);
  void (*add)(qn_tile *t, LLVMValueRef x, LLVMValueRef w, int32_t taps);
  void (*store)(qn_tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels);
  void (*copy)(qn_build *b, const void *of, LLVMValueRef to, LLVMValueRef from, int64_t elems);
  void (*fill)(qn_build *b, const void *x_zero, LLVMValueRef to, int64_t elems);
  int32_t unrolled_taps; /* windows of up to so many taps make no loop */
  /* Channels of a word of weights, the sum of w << lane_bits * lane; 0, 0, 0: bytes. A block has a
   * multiple of them; a step has one tap. */
  int32_t lanes, lane_bits, word_bytes;
  /* What follows may be NULL.
   * Whether the weights and numbers allow this code; completes the shape. Returns bytes of scratch
   * for totals, or -1. */
  int32_t (*plan)(qn_unit *u, const qn_call *call, qn_tiles *s, const int8_t *w);
  /* Numbers of another layout than fixed_form.h's: bytes of a channel, and how they are packed. */
  int32_t record_bytes;
  void (*pack)(const qn_unit *u, const qn_tiles *s, const qn_channel *c, unsigned char *to);
  /* Adds t->sum to the totals and starts it anew: every flush_taps taps and at the end of a run. */
  void (*flush)(qn_tile *t);
} qn_tile_code;

bool qn_take_tiles(qn_unit *u, const qn_call *call, qn_job *job, const qn_tile_code *code);
/* arguments: x, y, constants, scratch if the input is copied. */
void qn_emit_tiles(qn_build *b, const qn_job *job, LLVMValueRef *arguments,
                   const qn_tile_code *code);

#endif
