/* What emitters of float layers share: vectors of the target's width, copies, clamps. */
#ifndef QN_F32_H
#define QN_F32_H

#include "window.h"

/* sum + x * w, rounded once or, unless lanes.fused, twice. */
LLVMValueRef qn_add_product(qn_build *b, qn_lanes lanes, LLVMValueRef sum, LLVMValueRef x,
                            LLVMValueRef w);
/* Clamped as qn_clamp_f32 does. */
LLVMValueRef qn_clamp_lanes(qn_build *b, LLVMValueRef x, float low, float high);
/* The first `count` floats of a vector; other bytes of memory are not touched. */
void qn_write_floats(qn_build *b, LLVMValueRef vector, LLVMValueRef address, int count);
/* Makes the padded copy of the image at x, with zeros around it, at `to`, which it returns. */
LLVMValueRef qn_pad_floats(qn_build *b, const qn_padded *p, qn_lanes lanes, LLVMValueRef x,
                           LLVMValueRef to);

#endif
