/* What the two ways of multiplying matrices on x86 share: vectors (emit_conv_x86.c) and tile
 * registers (emit_conv_amx.c). The shape of the code, its constants and the loops around a tile of
 * pixels. */
#ifndef QN_CONV_X86_H
#define QN_CONV_X86_H

#include "window.h"
#include "x86.h"

enum { QN_X86_SEGMENTS = 32, QN_X86_SUMS = 64, QN_AMX_STEPS = 16 };

typedef struct {
  int32_t vectors, blocks; /* vectors per block */
  int32_t first_channel;
  int32_t form[QN_MOST_GROUP];     /* qn_rescale, of each vector */
  int32_t tile;                    /* pixels */
  int32_t first_byte, block_bytes; /* of constants */
} qn_x86_segment;

typedef struct {
  qn_isa isa;
  qn_padded p;
  int32_t x_zero;
  qn_layout x, y;
  int32_t pixel_channels; /* of a result, pixels not folded */
  qn_clamping clamping;
  int32_t run_steps;   /* of 4 bytes in a run, a multiple of chunk_steps */
  int32_t chunk_steps; /* in the constants, steps whose weights of a vector follow each other: 1, or
                          QN_AMX_STEPS, as tile registers want them */
  int32_t tile_rows, tiles; /* AMX: pixels in a tile register; such tiles side by side */
  int32_t awake;            /* qn_job */
  int32_t segment_count;
  qn_x86_segment at[QN_X86_SEGMENTS];
} qn_x86_conv;

/* One tile while its code is written. */
typedef struct {
  qn_build *b;
  const qn_x86_conv *s;
  const qn_x86_segment *at;
  LLVMValueRef acc[QN_X86_SUMS]; /* [chain][pixel][vector] */
  int32_t chains;
  LLVMValueRef sums; /* AMX: room for the sums of all tile registers, in scratch */
} qn_x86_tile;

/* -- conv_x86.c: shape and constants */
/* amx: for tile registers; false also where vectors are estimated to be faster. */
bool qn_take_conv_x86(qn_unit *u, const qn_call *call, qn_job *job, bool amx);
int32_t qn_x86_step_count(const qn_x86_conv *s);
int32_t qn_x86_numbers_bytes(const qn_x86_conv *s, int32_t vectors);
/* The input is what dot products read, where it lies: s->x. */
bool qn_x86_in_place(const qn_x86_conv *s);
/* The results are stored so: s->y. */
qn_pitch qn_x86_result_pitch(const qn_x86_conv *s);
int64_t qn_x86_copy_bytes(const qn_x86_conv *s); /* of scratch, for the padded input */

/* -- emit_conv_x86.c */
/* arguments: x, y, constants, scratch. */
void qn_emit_conv_x86(qn_build *b, const qn_job *job, LLVMValueRef *arguments);
/* Stores t->acc, rescaled, at y; `channels` channels of the block exist. */
void qn_store_x86_tile(qn_x86_tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels);

/* -- emit_conv_amx.c */
bool qn_plan_amx(qn_x86_conv *s); /* tile_rows and tiles; whether it is worth it */
int32_t qn_amx_sum_bytes(const qn_x86_conv *s);
void qn_pack_amx(const qn_x86_conv *s, unsigned char *to); /* the tiles' sizes: 64 bytes */
/* One tile of pixels, the first of which is at x; w: the block's weights. */
void qn_emit_amx_tile(qn_x86_tile *t, LLVMValueRef x, LLVMValueRef w, LLVMValueRef numbers,
                      LLVMValueRef y, int32_t channels);
/* Before the first tile, with what qn_pack_amx has written; and after the last. */
void qn_begin_amx(qn_build *b, LLVMValueRef sizes);
void qn_end_amx(qn_build *b);

#endif
