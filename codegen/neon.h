/* What emitters for NEON share, 64-bit and 32-bit ARM: accumulators to stored bytes, and copies. */
#ifndef QN_NEON_H
#define QN_NEON_H

#include "build.h"
#include "fixed_form.h"

enum { QN_Q = 16 /* bytes of a register */, QN_Q_LANES = 4 /* of int32 */ };

/* Vectors of `bits`-bit integers that fill a register or, `half`, its lower half. */
LLVMTypeRef qn_q_type(qn_build *b, int bits, bool half);
/* llvm.aarch64.neon.<name64> or llvm.arm.neon.<name32>, whichever the target has; overloaded for
 * one type if there is one. */
LLVMValueRef qn_neon(qn_build *b, const char *name64, const char *name32, LLVMTypeRef overload,
                     LLVMValueRef *arguments, int count);
/* Eight products of int8, in int16. */
LLVMValueRef qn_multiply_eight(qn_build *b, LLVMValueRef x, LLVMValueRef w);

/* The numbers of four channels: addresses into a block's arrays (tiles.h). NULL where the form has
 * none. */
typedef struct {
  LLVMValueRef mul, right, left, mask;
} qn_q_numbers;
qn_q_numbers qn_read_numbers(qn_build *b, const qn_fixed *f, LLVMValueRef numbers, int32_t channels,
                             int32_t first);
/* Four accumulators, scaled, the zero point not yet added. Right shifts are negative. */
LLVMValueRef qn_rescale_q(qn_build *b, const qn_fixed *f, LLVMValueRef sum, const qn_q_numbers *n);
/* Up to four vectors of four as 16 stored bytes: zero point, saturation, clamp. */
LLVMValueRef qn_narrow_q(qn_build *b, const qn_fixed *f, const LLVMValueRef *vectors, int count);
/* Bytes first .. first+count-1 of 16. */
void qn_store_q(qn_build *b, LLVMValueRef bytes, int first, LLVMValueRef address, int count);

/* As a qn_copier needs them; up to 15 bytes beyond the end are written, none read. */
void qn_copy_q(qn_build *b, const void *of, LLVMValueRef to, LLVMValueRef from, int64_t bytes);
void qn_fill_q(qn_build *b, const void *x_zero, LLVMValueRef to, int64_t bytes);

#endif
