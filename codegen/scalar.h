/* What emitters for cores without vectors share (RV64, RV32): accumulators to stored bytes in the
 * registers' own size, and copies. */
#ifndef QN_SCALAR_H
#define QN_SCALAR_H

#include "build.h"
#include "fixed_form.h"

/* In the constants a channel has a record of QN_SCALAR_BYTES_64 or _32. With s = right shift and
 * z = y_zero << s, acc = sum + bias:
 *   64 bits  int64 add, int64 round, int32 mul, int32 31+s. (sum*mul + add + round) >> 31+s with
 *            add = bias*mul, round = 2^30 + 2^(30+s) + z << 31: both roundings in one, as floors
 *            nest. relu: add holds their sum. signed: 2^31 less where acc < 0
 *   32 bits  int32 bias, round, 2*mul, s. h = (acc * 2*mul + 2^31) >> 32, then (h + round) >> s
 *            with round = 2^(s-1) + z. signed: h - (h < 0) */
enum { QN_SCALAR_BYTES_64 = 24, QN_SCALAR_BYTES_32 = 16 };

/* All of the channels' shifts, sums and roundings are in the ranges for which that is exact: form
 * relu or signed, 1 <= s <= 22, no accumulator or rounded product overflows. w: [out_c][taps], or
 * `step` apart and first_step from channel to channel. */
bool qn_scalar_fits(const qn_unit *u, const qn_call *call, const qn_fixed *f, const int8_t *w,
                    int32_t taps, int32_t step, int32_t first_step);
/* `excess` is in every sum beside the products. */
void qn_pack_scalar(const qn_unit *u, const qn_fixed *f, const qn_channel *c, int32_t excess,
                    unsigned char *to);

typedef struct {
  LLVMValueRef add, round, mul, shift;
} qn_scalar_numbers;
bool qn_is_wide(const qn_unit *u); /* registers of 64 bits */
int32_t qn_scalar_bytes(const qn_unit *u);
qn_scalar_numbers qn_read_scalar(qn_build *b, const qn_fixed *f, LLVMValueRef record);
/* The stored byte of a sum, which is of the registers' size. */
LLVMValueRef qn_rescale_scalar(qn_build *b, const qn_fixed *f, LLVMValueRef sum,
                               const qn_scalar_numbers *n);
/* A byte of memory as a number of the registers' size. */
LLVMValueRef qn_read_byte(qn_build *b, LLVMValueRef address);

/* As a qn_copier needs them; nothing beyond the end is touched. */
void qn_copy_scalar(qn_build *b, const void *of, LLVMValueRef to, LLVMValueRef from, int64_t bytes);
void qn_fill_scalar(qn_build *b, const void *x_zero, LLVMValueRef to, int64_t bytes);

#endif
