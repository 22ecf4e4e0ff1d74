/* vnni.h. */
#include "vnni.h"
#include <string.h>

/* ------------------------------------------------------------------ constants */

static bool fill_numbers(const qn_rescaling *r, qn_rescale form, qn_numbers *out, int lane) {
  if (form == QN_RESCALE_integer) {
    out->a[lane] = r->mul;
    out->b[lane] = r->shr;
    return qn_can_rescale_integer(r);
  }
  qn_multiply_add m;
  if (!qn_prove_rescale(r, form, &m)) return false;
  memcpy(&out->a[lane], &m.scale, sizeof m.scale);
  memcpy(&out->b[lane], &m.offset, sizeof m.offset);
  out->shift[lane] = m.shift;
  return true;
}

bool qn_choose_rescale(const qn_rescaling *const *lane, qn_rescale *form, qn_numbers *out) {
  for (int f = (int)*form; f <= QN_RESCALE_integer; f++) {
    bool all = true;
    *out = (qn_numbers){0};
    for (int i = 0; i < QN_LANES && all; i++) {
      if (lane[i]) all = fill_numbers(lane[i], (qn_rescale)f, out, i);
    }
    *form = (qn_rescale)f;
    if (all) return true;
  }
  return false;
}

/* ------------------------------------------------------------------ rescaling */

LLVMTypeRef qn_v16i32(qn_build *b) { return qn_vector(b->u->i32, QN_LANES); }

LLVMValueRef qn_dot4(qn_build *b, LLVMValueRef acc, LLVMValueRef u8, LLVMValueRef s8) {
  LLVMValueRef arguments[] = {acc, u8, s8};
  return qn_call_intrinsic(b, "llvm.x86.avx512.vpdpbusd.512", NULL, NULL, 0, arguments, 3);
}

static LLVMValueRef multiply_add(qn_build *b, LLVMValueRef acc, LLVMValueRef scale,
                                 LLVMValueRef offset) {
  LLVMTypeRef real = qn_vector(b->u->real, QN_LANES), types[] = {qn_v16i32(b), real};
  LLVMValueRef arguments[] = {LLVMBuildSIToFP(b->b, acc, real, ""), scale, offset};
  LLVMValueRef sum = qn_call_intrinsic(b, "llvm.fma", NULL, &real, 1, arguments, 3);
  return qn_call_intrinsic(b, "llvm.lrint", NULL, types, 2, &sum, 1);
}

/* The product of the low halves of 64-bit lanes, + 2^31: one vpmuldq and one addition. */
static LLVMValueRef wide_product(qn_build *b, LLVMValueRef x, LLVMValueRef y) {
  LLVMTypeRef wide = LLVMTypeOf(x);
  LLVMValueRef low[] = {x, y}, at[8];
  for (int i = 0; i < 8; i++) at[i] = LLVMConstInt(LLVMGetElementType(wide), 32, 0);
  LLVMValueRef bits = LLVMConstVector(at, 8);
  for (int i = 0; i < 2; i++)
    low[i] = LLVMBuildAShr(b->b, LLVMBuildShl(b->b, low[i], bits, ""), bits, "");
  for (int i = 0; i < 8; i++) at[i] = LLVMConstInt(LLVMGetElementType(wide), 1u << 31, 0);
  return LLVMBuildAdd(b->b, LLVMBuildMul(b->b, low[0], low[1], ""), LLVMConstVector(at, 8), "");
}

/* The contract tflite: h = (2*acc*mul + 2^31) >> 32, then (h + 2^(shr-1) - (acc < 0)) >> shr, which
 * rounds ties away from zero. */
static LLVMValueRef rescale_integer(qn_build *b, LLVMValueRef acc, LLVMValueRef mul,
                                    LLVMValueRef shr) {
  LLVMTypeRef wide = qn_vector(LLVMInt64TypeInContext(b->u->context), QN_LANES / 2);
  LLVMTypeRef lanes = qn_v16i32(b);
  LLVMValueRef product[2], one = qn_splat_i32(b, 1, QN_LANES);
  LLVMValueRef factor[] = {LLVMBuildAdd(b->b, acc, acc, ""), mul};
  int odd_of[QN_LANES], high_of[QN_LANES];
  for (int i = 0; i < QN_LANES; i++) {
    odd_of[i] = i | 1;
    high_of[i] = i % 2 ? QN_LANES + i : i + 1;
  }
  for (int odd = 0; odd < 2; odd++) {
    LLVMValueRef half[2];
    for (int i = 0; i < 2; i++) {
      half[i] = factor[i];
      if (odd)
        half[i] = LLVMBuildShuffleVector(b->b, factor[i], LLVMGetPoison(lanes),
                                         qn_indices(b, odd_of, QN_LANES), "");
      half[i] = LLVMBuildBitCast(b->b, half[i], wide, "");
    }
    product[odd] = LLVMBuildBitCast(b->b, wide_product(b, half[0], half[1]), lanes, "");
  }
  LLVMValueRef high =
      LLVMBuildShuffleVector(b->b, product[0], product[1], qn_indices(b, high_of, QN_LANES), "");
  LLVMValueRef tie = LLVMBuildLShr(b->b, LLVMBuildShl(b->b, one, shr, ""), one, "");
  LLVMValueRef sign = LLVMBuildAShr(b->b, acc, qn_splat_i32(b, 31, QN_LANES), "");
  LLVMValueRef sum = LLVMBuildAdd(b->b, LLVMBuildAdd(b->b, high, sign, ""), tie, "");
  return LLVMBuildAShr(b->b, sum, shr, "");
}

LLVMValueRef qn_rescale_lanes(qn_build *b, qn_rescale form, const qn_clamping *c, LLVMValueRef acc,
                              LLVMValueRef a, LLVMValueRef b_numbers) {
  LLVMTypeRef lanes = qn_v16i32(b), real = qn_vector(b->u->real, QN_LANES);
  LLVMValueRef scaled, first = qn_read(b, lanes, a, 64), second = qn_read(b, lanes, b_numbers, 64);
  if (form == QN_RESCALE_integer) {
    scaled = rescale_integer(b, acc, first, second);
  } else {
    if (form == QN_RESCALE_signed) {
      LLVMValueRef sign = LLVMBuildAnd(b->b, acc, qn_splat_i32(b, INT32_MIN, QN_LANES), "");
      second = LLVMBuildXor(b->b, second, sign, "");
    }
    scaled = multiply_add(b, acc, LLVMBuildBitCast(b->b, first, real, ""),
                          LLVMBuildBitCast(b->b, second, real, ""));
  }
  if (form == QN_RESCALE_fma || c->zero == 0) return scaled;
  return LLVMBuildAdd(b->b, scaled, qn_splat_i32(b, c->zero, QN_LANES), "");
}

/* ------------------------------------------------------------------ narrowing */

static LLVMValueRef clamp(qn_build *b, const qn_clamping *c, LLVMValueRef bytes) {
  LLVMTypeRef type = LLVMTypeOf(bytes);
  LLVMValueRef low[] = {bytes, qn_splat_i8(b, c->low, QN_ZMM)};
  if (c->low > INT8_MIN) bytes = qn_call_intrinsic(b, "llvm.smax", NULL, &type, 1, low, 2);
  LLVMValueRef high[] = {bytes, qn_splat_i8(b, c->high, QN_ZMM)};
  if (c->high < INT8_MAX) bytes = qn_call_intrinsic(b, "llvm.smin", NULL, &type, 1, high, 2);
  return bytes;
}

/* The packs work within 128 bits: of those number i of all vectors become those number i. */
LLVMValueRef qn_narrow(qn_build *b, const qn_clamping *c, const LLVMValueRef *vectors, int count,
                       bool interleaved) {
  LLVMTypeRef bytes = qn_vector(b->u->i8, QN_ZMM);
  LLVMValueRef half[2], four[4];
  for (int i = 0; i < 4; i++) four[i] = vectors[i < count ? i : count - 1];
  for (int i = 0; i < 2; i++)
    half[i] = qn_call_intrinsic(b, "llvm.x86.avx512.packssdw.512", NULL, NULL, 0, &four[2 * i], 2);
  LLVMValueRef all =
      qn_call_intrinsic(b, "llvm.x86.avx512.packsswb.512", qn_v16i32(b), NULL, 0, half, 2);
  if (!interleaved) {
    int order[QN_LANES];
    for (int i = 0; i < QN_LANES; i++) order[i] = i % 4 * 4 + i / 4;
    all = LLVMBuildShuffleVector(b->b, all, LLVMGetPoison(qn_v16i32(b)),
                                 qn_indices(b, order, QN_LANES), "");
  }
  return clamp(b, c, LLVMBuildBitCast(b->b, all, bytes, ""));
}

void qn_store_part(qn_build *b, LLVMValueRef bytes, int first, LLVMValueRef address, int count) {
  int width = count <= 16 ? 16 : count <= 32 ? 32 : 64, at[QN_ZMM];
  for (int i = 0; i < width; i++) at[i] = (16 * first + i) % QN_ZMM;
  if (width < QN_ZMM || first > 0)
    bytes = LLVMBuildShuffleVector(b->b, bytes, LLVMGetPoison(LLVMTypeOf(bytes)),
                                   qn_indices(b, at, width), "");
  qn_write_bytes(b, bytes, address, count);
}

/* ------------------------------------------------------------------ copies */

enum { UNROLLED = 4 };

/* Every 64 bytes: rounds of four vectors, then the rest. What is written is `fill`, or read. */
static void each_vector(qn_build *b, LLVMValueRef to, LLVMValueRef from, int64_t bytes,
                        LLVMValueRef fill) {
  int64_t whole = bytes / (UNROLLED * QN_ZMM), done = whole * UNROLLED * QN_ZMM;
  LLVMValueRef flip = qn_splat_i8(b, 128, QN_ZMM);
  for (int part = 0; part < 2; part++) {
    int64_t end = part ? bytes - done : UNROLLED * QN_ZMM;
    if (end == 0 || (!part && whole == 0)) continue;
    qn_loop l = qn_begin_loop(b, part ? 1 : whole, NULL, 0);
    LLVMValueRef start = part ? qn_index(b, done) : qn_times(b, l.index, UNROLLED * QN_ZMM);
    LLVMValueRef at = qn_at_index(b, to, start), data = fill;
    for (int64_t i = 0; i < end; i += QN_ZMM) {
      int64_t count = end - i;
      if (from) {
        LLVMValueRef address = qn_at(b, qn_at_index(b, from, start), i);
        data = qn_read_bytes(b, address, QN_ZMM, (int)(count < QN_ZMM ? count : QN_ZMM));
        data = LLVMBuildXor(b->b, data, flip, "");
      }
      qn_write(b, data, qn_at(b, at, i), 1);
    }
    qn_end_loop(b, &l);
  }
}

void qn_copy_flipped(qn_build *b, LLVMValueRef to, LLVMValueRef from, int64_t bytes) {
  each_vector(b, to, from, bytes, NULL);
}

void qn_fill(qn_build *b, LLVMValueRef to, int value, int64_t bytes) {
  each_vector(b, to, NULL, bytes, qn_splat_i8(b, value, QN_ZMM));
}
