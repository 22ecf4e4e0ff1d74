/* f32.h on LLVM's builder. */
#include "f32.h"
#include <math.h>

static LLVMValueRef splat(qn_build *b, LLVMTypeRef vector, float value) {
  LLVMValueRef one = LLVMConstReal(b->u->real, value);
  return qn_broadcast_value(b, one, (int)LLVMGetVectorSize(vector));
}

LLVMValueRef qn_add_product(qn_build *b, qn_lanes lanes, LLVMValueRef sum, LLVMValueRef x,
                            LLVMValueRef w) {
  LLVMTypeRef type = LLVMTypeOf(sum);
  LLVMValueRef arguments[] = {x, w, sum};
  if (lanes.fused) return qn_call_intrinsic(b, "llvm.fma", NULL, &type, 1, arguments, 3);
  return LLVMBuildFAdd(b->b, sum, LLVMBuildFMul(b->b, x, w, ""), "");
}

LLVMValueRef qn_clamp_lanes(qn_build *b, LLVMValueRef x, float low, float high) {
  LLVMTypeRef vector = LLVMTypeOf(x);
  LLVMValueRef least = splat(b, vector, low), most = splat(b, vector, high), result = x;
  if (high < INFINITY)
    result = LLVMBuildSelect(b->b, LLVMBuildFCmp(b->b, LLVMRealOGT, x, most, ""), most, result, "");
  if (low > -INFINITY)
    result =
        LLVMBuildSelect(b->b, LLVMBuildFCmp(b->b, LLVMRealOLT, x, least, ""), least, result, "");
  return result;
}

void qn_write_floats(qn_build *b, LLVMValueRef vector, LLVMValueRef address, int count) {
  if (count >= (int)LLVMGetVectorSize(LLVMTypeOf(vector))) {
    qn_write(b, vector, address, 4);
    return;
  }
  int done = 0;
  for (int width = 16; width > 0; width /= 2) { /* parts of 8, 4, 2, 1 */
    if (width > count - done) continue;
    int at[16];
    for (int i = 0; i < width; i++) at[i] = done + i;
    LLVMValueRef part = LLVMBuildShuffleVector(b->b, vector, LLVMGetPoison(LLVMTypeOf(vector)),
                                               qn_indices(b, at, width), "");
    qn_write(b, part, qn_at(b, address, 4 * (int64_t)done), 4);
    done += width;
  }
}

/* ------------------------------------------------------------------ the padded copy */

/* Whole vectors in a loop, then smaller ones; of zeros where there is no `from`. */
static void move_floats(qn_build *b, int lanes, LLVMValueRef to, LLVMValueRef from, int64_t elems) {
  int64_t done = 0;
  for (int width = lanes; width > 0; width /= 2) {
    int64_t rounds = (elems - done) / width;
    if (rounds == 0) continue;
    LLVMTypeRef vector = qn_vector(b->u->real, width);
    qn_loop l = qn_begin_loop(b, rounds, NULL, 0);
    LLVMValueRef at = qn_times(b, l.index, 4 * (int64_t)width), data = LLVMConstNull(vector);
    if (from) data = qn_read(b, vector, qn_at_index(b, qn_at(b, from, 4 * done), at), 4);
    qn_write(b, data, qn_at_index(b, qn_at(b, to, 4 * done), at), 4);
    qn_end_loop(b, &l);
    done += rounds * width;
  }
}

static void copy_floats(qn_build *b, const void *lanes, LLVMValueRef to, LLVMValueRef from,
                        int64_t elems) {
  move_floats(b, *(const int *)lanes, to, from, elems);
}

static void fill_zeros(qn_build *b, const void *lanes, LLVMValueRef to, int64_t elems) {
  move_floats(b, *(const int *)lanes, to, NULL, elems);
}

LLVMValueRef qn_pad_floats(qn_build *b, const qn_padded *p, qn_lanes lanes, LLVMValueRef x,
                           LLVMValueRef to) {
  const int width = lanes.count;
  qn_copier how = {4, 4, &width, copy_floats, fill_zeros};
  return qn_emit_padded_copy(b, p, &how, x, to);
}
