/* What emitters for RISC-V's vector extension share. Registers may have any size of at least 128
 * bits: vectors are groups of registers that hold `lanes` (at most 16, or 32) elements at 128 bits,
 * and each instruction is given the number of elements it works on, a constant.
 *
 * Rounding is stated per instruction: LLVM sets vxrm in front of them. vxsat may become set. No
 * convention promises either to a caller. */
#ifndef QN_RVV_H
#define QN_RVV_H

#include "build.h"
#include "fixed_form.h"

enum { QN_RVV_SHIFT_BYTES = 2, QN_RVV_MOST_LANES = 32 };

/* Scalable vectors of `bits`-bit integers for up to `lanes` elements. */
LLVMTypeRef qn_rvv_type(qn_build *b, int bits, int lanes);
LLVMValueRef qn_rvv_read(qn_build *b, int bits, int lanes, LLVMValueRef address);
void qn_rvv_write(qn_build *b, int lanes, LLVMValueRef bytes, LLVMValueRef address);
/* llvm.riscv.<name> of a result of `bits` bits and the operands, of which the second may be a
 * vector or an integer; result lanes beyond `lanes` are anything. */
LLVMValueRef qn_rvv(qn_build *b, const char *name, int bits, int lanes, LLVMValueRef first,
                    LLVMValueRef second);
/* sum + first * second, of elements of half the size: llvm.riscv.vwmacc. */
LLVMValueRef qn_rvv_add_product(qn_build *b, int bits, int lanes, LLVMValueRef sum,
                                LLVMValueRef first, LLVMValueRef second);
LLVMValueRef qn_rvv_widen(qn_build *b, int bits, int lanes, LLVMValueRef vector);
/* The stored bytes of accumulators. numbers: a block's of `lanes` channels (fixed_form.h); _by: its
 * arrays, read already, number 0 (the bias) aside. */
LLVMValueRef qn_rvv_rescale(qn_build *b, const qn_fixed *f, int lanes, LLVMValueRef sum,
                            LLVMValueRef numbers);
LLVMValueRef qn_rvv_rescale_by(qn_build *b, const qn_fixed *f, int lanes, LLVMValueRef sum,
                               const LLVMValueRef *numbers);

/* As a qn_copier needs them; nothing beyond the end is touched. */
void qn_rvv_copy(qn_build *b, const void *of, LLVMValueRef to, LLVMValueRef from, int64_t bytes);
void qn_rvv_fill(qn_build *b, const void *x_zero, LLVMValueRef to, int64_t bytes);

#endif
