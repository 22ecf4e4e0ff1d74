/* rvv.h. */
#include "rvv.h"
#include <stdio.h>

/* ------------------------------------------------------------------ values */

/* vscale counts 64 bits, so that 8 elements per vscale are 16 at 128 bits. */
LLVMTypeRef qn_rvv_type(qn_build *b, int bits, int lanes) {
  LLVMTypeRef element = LLVMIntTypeInContext(b->u->context, (unsigned)bits);
  return LLVMScalableVectorType(element, lanes > 16 ? 16 : 8);
}

static LLVMValueRef every_lane(qn_build *b, int lanes) {
  return LLVMConstAllOnes(qn_rvv_type(b, 1, lanes));
}

LLVMValueRef qn_rvv_read(qn_build *b, int bits, int lanes, LLVMValueRef address) {
  LLVMTypeRef types[] = {qn_rvv_type(b, bits, lanes), b->u->pointer};
  LLVMValueRef arguments[] = {address, every_lane(b, lanes), qn_i32(b, lanes)};
  return qn_call_intrinsic(b, "llvm.vp.load", NULL, types, 2, arguments, 3);
}

void qn_rvv_write(qn_build *b, int lanes, LLVMValueRef bytes, LLVMValueRef address) {
  LLVMTypeRef types[] = {LLVMTypeOf(bytes), b->u->pointer};
  LLVMValueRef arguments[] = {bytes, address, every_lane(b, lanes), qn_i32(b, lanes)};
  qn_call_intrinsic(b, "llvm.vp.store", NULL, types, 2, arguments, 4);
}

static LLVMValueRef call(qn_build *b, const char *name, LLVMTypeRef *types, int type_count,
                         LLVMValueRef *arguments, int count) {
  char full[64];
  snprintf(full, sizeof full, "llvm.riscv.%s", name);
  return qn_call_intrinsic(b, full, NULL, types, type_count, arguments, count);
}

LLVMValueRef qn_rvv(qn_build *b, const char *name, int bits, int lanes, LLVMValueRef first,
                    LLVMValueRef second) {
  LLVMTypeRef type = qn_rvv_type(b, bits, lanes), one = LLVMTypeOf(first), two = LLVMTypeOf(second);
  LLVMTypeRef alike[] = {type, two, b->u->size}, wide[] = {type, one, two, b->u->size};
  LLVMValueRef arguments[] = {LLVMGetPoison(type), first, second, qn_index(b, lanes)};
  bool widens = one != type;
  return call(b, name, widens ? wide : alike, widens ? 4 : 3, arguments, 4);
}

LLVMValueRef qn_rvv_add_product(qn_build *b, int bits, int lanes, LLVMValueRef sum,
                                LLVMValueRef first, LLVMValueRef second) {
  LLVMTypeRef types[] = {qn_rvv_type(b, bits, lanes), LLVMTypeOf(first), LLVMTypeOf(second),
                         b->u->size};
  LLVMValueRef arguments[] = {sum, first, second, qn_index(b, lanes), qn_index(b, 3)};
  return call(b, "vwmacc", types, 4, arguments, 5);
}

LLVMValueRef qn_rvv_widen(qn_build *b, int bits, int lanes, LLVMValueRef vector) {
  LLVMTypeRef types[] = {qn_rvv_type(b, bits, lanes), LLVMTypeOf(vector), b->u->size};
  LLVMValueRef arguments[] = {LLVMGetPoison(types[0]), vector, qn_index(b, lanes)};
  return call(b, "vsext", types, 3, arguments, 3);
}

/* ------------------------------------------------------------------ rescaling */

enum { TO_NEAREST_UP = 0 }; /* vxrm */

static LLVMValueRef high_product(qn_build *b, int lanes, LLVMValueRef x, LLVMValueRef y) {
  LLVMTypeRef types[] = {LLVMTypeOf(x), LLVMTypeOf(y), b->u->size};
  LLVMValueRef arguments[] = {LLVMGetPoison(types[0]), x, y, qn_index(b, TO_NEAREST_UP),
                              qn_index(b, lanes)};
  return call(b, "vsmul", types, 3, arguments, 5);
}

/* Shifted right, to nearest, saturated to half the size. */
static LLVMValueRef narrow(qn_build *b, int bits, int lanes, LLVMValueRef x, LLVMValueRef shift) {
  LLVMTypeRef types[] = {qn_rvv_type(b, bits, lanes), LLVMTypeOf(x), LLVMTypeOf(shift), b->u->size};
  LLVMValueRef arguments[] = {LLVMGetPoison(types[0]), x, shift, qn_index(b, TO_NEAREST_UP),
                              qn_index(b, lanes)};
  return call(b, "vnclip", types, 4, arguments, 5);
}

static LLVMValueRef integer(qn_build *b, int bits, int32_t n) {
  LLVMTypeRef type = LLVMIntTypeInContext(b->u->context, (unsigned)bits);
  return LLVMConstInt(type, (unsigned long long)n, 1);
}

LLVMValueRef qn_rvv_rescale_by(qn_build *b, const qn_fixed *f, int lanes, LLVMValueRef sum,
                               const LLVMValueRef *numbers) {
  bool general = f->form == QN_FORM_general;
  if (general) sum = qn_rvv(b, "vsll", 32, lanes, sum, numbers[3]);
  LLVMValueRef high = high_product(b, lanes, sum, numbers[1]);
  if (f->form != QN_FORM_relu) {
    LLVMValueRef sign = qn_rvv(b, "vsra", 32, lanes, high, qn_index(b, 31));
    if (general) sign = qn_rvv(b, "vand", 32, lanes, sign, numbers[4]);
    high = qn_rvv(b, "vadd", 32, lanes, high, sign);
  }
  LLVMValueRef half = narrow(b, 16, lanes, high, numbers[2]);
  if (f->y_zero != 0) half = qn_rvv(b, "vsadd", 16, lanes, half, integer(b, 16, f->y_zero));
  LLVMValueRef bytes = narrow(b, 8, lanes, half, qn_index(b, 0));
  if (f->low > INT8_MIN) bytes = qn_rvv(b, "vmax", 8, lanes, bytes, integer(b, 8, f->low));
  if (f->high < INT8_MAX) bytes = qn_rvv(b, "vmin", 8, lanes, bytes, integer(b, 8, f->high));
  return bytes;
}

LLVMValueRef qn_rvv_rescale(qn_build *b, const qn_fixed *f, int lanes, LLVMValueRef sum,
                            LLVMValueRef numbers) {
  LLVMValueRef of[5] = {NULL};
  for (int i = 1; i < (f->form == QN_FORM_general ? 5 : 3); i++)
    of[i] = qn_rvv_read(b, i == 2 ? 8 * QN_RVV_SHIFT_BYTES : 32, lanes,
                        qn_at(b, numbers, qn_fixed_offset(f, lanes, QN_RVV_SHIFT_BYTES, i)));
  return qn_rvv_rescale_by(b, f, lanes, sum, of);
}

/* ------------------------------------------------------------------ copies */

/* Rounds of 32 bytes, then the rest. `from` NULL: fill. */
static void each_vector(qn_build *b, LLVMValueRef to, LLVMValueRef from, int32_t value,
                        int64_t bytes) {
  int64_t rounds = bytes / QN_RVV_MOST_LANES;
  for (int part = 0; part < 2; part++) {
    int lanes = part ? (int)(bytes % QN_RVV_MOST_LANES) : QN_RVV_MOST_LANES;
    if (lanes == 0 || (!part && rounds == 0)) continue;
    qn_loop l = qn_begin_loop(b, part ? 1 : rounds, NULL, 0);
    LLVMValueRef start =
        part ? qn_index(b, rounds * QN_RVV_MOST_LANES) : qn_times(b, l.index, QN_RVV_MOST_LANES);
    LLVMTypeRef types[] = {qn_rvv_type(b, 8, lanes), b->u->size};
    LLVMValueRef splat[] = {LLVMGetPoison(types[0]), integer(b, 8, value), qn_index(b, lanes)};
    LLVMValueRef data = from ? qn_rvv_read(b, 8, lanes, qn_at_index(b, from, start))
                             : call(b, "vmv.v.x", types, 2, splat, 3);
    qn_rvv_write(b, lanes, data, qn_at_index(b, to, start));
    qn_end_loop(b, &l);
  }
}

void qn_rvv_copy(qn_build *b, const void *of, LLVMValueRef to, LLVMValueRef from, int64_t bytes) {
  (void)of;
  each_vector(b, to, from, 0, bytes);
}

void qn_rvv_fill(qn_build *b, const void *x_zero, LLVMValueRef to, int64_t bytes) {
  each_vector(b, to, NULL, *(const int32_t *)x_zero, bytes);
}
