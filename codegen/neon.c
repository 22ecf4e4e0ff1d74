/* neon.h. */
#include "neon.h"
#include <stdio.h>

/* ------------------------------------------------------------------ values */

LLVMTypeRef qn_q_type(qn_build *b, int bits, bool half) {
  LLVMTypeRef element = LLVMIntTypeInContext(b->u->context, (unsigned)bits);
  return qn_vector(element, (half ? 64 : 128) / bits);
}

LLVMValueRef qn_neon(qn_build *b, const char *name64, const char *name32, LLVMTypeRef overload,
                     LLVMValueRef *arguments, int count) {
  bool wide = qn_can(b->u, QN_NEEDS_aarch64);
  char name[64];
  snprintf(name, sizeof name, "llvm.%s.neon.%s", wide ? "aarch64" : "arm", wide ? name64 : name32);
  return qn_call_intrinsic(b, name, NULL, &overload, overload ? 1 : 0, arguments, count);
}

/* By name: LLVM would keep factors widened where they are used often, in twice the registers. */
LLVMValueRef qn_multiply_eight(qn_build *b, LLVMValueRef x, LLVMValueRef w) {
  LLVMValueRef of[] = {x, w};
  return qn_neon(b, "smull", "vmulls", qn_q_type(b, 16, false), of, 2);
}

/* ------------------------------------------------------------------ rescaling */

/* Alignment 16: blocks and their arrays begin at multiples of it. */
static LLVMValueRef read_four(qn_build *b, const qn_fixed *f, LLVMValueRef numbers,
                              int32_t channels, int32_t which, int32_t first) {
  int32_t at = qn_fixed_offset(f, channels, 4, which) + 4 * first;
  return qn_read(b, qn_q_type(b, 32, false), qn_at(b, numbers, at), QN_Q);
}

qn_q_numbers qn_read_numbers(qn_build *b, const qn_fixed *f, LLVMValueRef numbers, int32_t channels,
                             int32_t first) {
  qn_q_numbers n = {.mul = read_four(b, f, numbers, channels, 1, first),
                    .right = read_four(b, f, numbers, channels, 2, first)};
  if (f->form != QN_FORM_general) return n;
  n.left = read_four(b, f, numbers, channels, 3, first);
  n.mask = read_four(b, f, numbers, channels, 4, first);
  return n;
}

LLVMValueRef qn_rescale_q(qn_build *b, const qn_fixed *f, LLVMValueRef sum, const qn_q_numbers *n) {
  LLVMTypeRef lanes = qn_q_type(b, 32, false);
  if (n->left) sum = LLVMBuildShl(b->b, sum, n->left, "");
  LLVMValueRef product[] = {sum, n->mul};
  LLVMValueRef high = qn_neon(b, "sqrdmulh", "vqrdmulh", lanes, product, 2);
  if (f->form != QN_FORM_relu) {
    LLVMValueRef sign = LLVMBuildAShr(b->b, high, qn_splat_i32(b, 31, QN_Q_LANES), "");
    if (n->mask) sign = LLVMBuildAnd(b->b, sign, n->mask, "");
    high = LLVMBuildAdd(b->b, high, sign, "");
  }
  LLVMValueRef shifted[] = {high, n->right};
  return qn_neon(b, "srshl", "vrshifts", lanes, shifted, 2);
}

static LLVMValueRef saturate(qn_build *b, LLVMValueRef wide, int bits) {
  return qn_neon(b, "sqxtn", "vqmovns", qn_q_type(b, bits, true), &wide, 1);
}

static LLVMValueRef clamp(qn_build *b, const qn_fixed *f, LLVMValueRef bytes) {
  LLVMTypeRef type = LLVMTypeOf(bytes);
  LLVMValueRef low[] = {bytes, qn_splat_i8(b, f->low, QN_Q)};
  if (f->low > INT8_MIN) bytes = qn_call_intrinsic(b, "llvm.smax", NULL, &type, 1, low, 2);
  LLVMValueRef high[] = {bytes, qn_splat_i8(b, f->high, QN_Q)};
  if (f->high < INT8_MAX) bytes = qn_call_intrinsic(b, "llvm.smin", NULL, &type, 1, high, 2);
  return bytes;
}

LLVMValueRef qn_narrow_q(qn_build *b, const qn_fixed *f, const LLVMValueRef *vectors, int count) {
  LLVMTypeRef halves = qn_q_type(b, 16, false);
  LLVMValueRef zero[8], half[2];
  for (int i = 0; i < 8; i++)
    zero[i] = LLVMConstInt(LLVMGetElementType(halves), (unsigned long long)f->y_zero, 1);
  for (int i = 0; i < 2; i++) {
    LLVMValueRef four[2];
    for (int k = 0; k < 2; k++)
      four[k] = 2 * i + k < count ? saturate(b, vectors[2 * i + k], 16)
                                  : LLVMGetPoison(qn_q_type(b, 16, true));
    LLVMValueRef sum[] = {qn_concat(b, four[0], four[1]), LLVMConstVector(zero, 8)};
    if (f->y_zero != 0) sum[0] = qn_call_intrinsic(b, "llvm.sadd.sat", NULL, &halves, 1, sum, 2);
    half[i] = 2 * i < count ? saturate(b, sum[0], 8) : LLVMGetPoison(qn_q_type(b, 8, true));
  }
  return clamp(b, f, qn_concat(b, half[0], half[1]));
}

void qn_store_q(qn_build *b, LLVMValueRef bytes, int first, LLVMValueRef address, int count) {
  for (int size = QN_Q, done = 0; size > 0; size /= 2)
    for (; count - done >= size; done += size) {
      LLVMValueRef part = size == QN_Q ? bytes : qn_part(b, bytes, first + done, size);
      if (size < 8)
        part = LLVMBuildBitCast(b->b, part, LLVMIntTypeInContext(b->u->context, (unsigned)size * 8),
                                "");
      qn_write(b, part, qn_at(b, address, done), 1);
    }
}

/* ------------------------------------------------------------------ copies */

enum { UNROLLED = 4 };

/* The vectors at start .. start+count-1 bytes; `from` NULL: fill. Never reads beyond `count`. */
static void move_bytes(qn_build *b, LLVMValueRef to, LLVMValueRef from, LLVMValueRef fill,
                       int64_t count) {
  for (int64_t at = 0; at < count;) {
    int64_t left = count - at, size = QN_Q;
    while (from && size > left) size /= 2;
    LLVMTypeRef type =
        size == QN_Q ? LLVMTypeOf(fill) : LLVMIntTypeInContext(b->u->context, (unsigned)size * 8);
    LLVMValueRef data = from ? qn_read(b, type, qn_at(b, from, at), 1) : fill;
    qn_write(b, data, qn_at(b, to, at), 1);
    at += size;
  }
}

static void each_vector(qn_build *b, LLVMValueRef to, LLVMValueRef from, LLVMValueRef fill,
                        int64_t bytes) {
  int64_t round = UNROLLED * QN_Q, rounds = bytes / round;
  if (rounds > 0) {
    qn_loop l = qn_begin_loop(b, rounds, NULL, 0);
    LLVMValueRef at = qn_times(b, l.index, round);
    move_bytes(b, qn_at_index(b, to, at), from ? qn_at_index(b, from, at) : NULL, fill, round);
    qn_end_loop(b, &l);
  }
  if (rounds * round < bytes)
    move_bytes(b, qn_at(b, to, rounds * round), from ? qn_at(b, from, rounds * round) : NULL, fill,
               bytes - rounds * round);
}

void qn_copy_q(qn_build *b, const void *of, LLVMValueRef to, LLVMValueRef from, int64_t bytes) {
  (void)of;
  each_vector(b, to, from, qn_splat_i8(b, 0, QN_Q), bytes);
}

void qn_fill_q(qn_build *b, const void *x_zero, LLVMValueRef to, int64_t bytes) {
  each_vector(b, to, NULL, qn_splat_i8(b, *(const int32_t *)x_zero, QN_Q), bytes);
}
