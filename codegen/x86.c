/* x86.h. */
#include "x86.h"
#include <string.h>

/* ------------------------------------------------------------------ instructions */

qn_isa qn_isa_of(const qn_unit *u) {
  if (qn_can(u, QN_NEEDS_avx512vnni)) return (qn_isa){16, 32, 4, 0, 1};
  if (qn_can(u, QN_NEEDS_vnni)) return (qn_isa){8, 16, 4, 0, 1};
  if (qn_can(u, QN_NEEDS_avx2)) return (qn_isa){8, 16, 2, 1, 1};
  return (qn_isa){4, 16, 2, 1, 0};
}

int32_t qn_vector_bytes(const qn_isa *isa) { return 4 * isa->lanes; }
int32_t qn_activation_bytes(const qn_isa *isa) { return 4 / isa->taps; }
int32_t qn_activation_offset(const qn_isa *isa) { return isa->taps == 4 ? 128 : 0; }
int32_t qn_weights_bytes(const qn_isa *isa) { return (isa->widened ? 2 : 4) * isa->lanes; }

void qn_pack_weight(const qn_isa *isa, void *vector, int32_t lane, int32_t tap, int8_t w) {
  int32_t at = lane * isa->taps + tap;
  if (isa->taps == 4 || isa->widened)
    ((int8_t *)vector)[at] = w;
  else
    memcpy((char *)vector + 2 * at, &(int16_t){w}, 2);
}

/* ------------------------------------------------------------------ constants */

static bool fill_numbers(const qn_isa *isa, const qn_rescaling *r, qn_rescale form, qn_numbers *out,
                         int lane) {
  if (form == QN_RESCALE_integer) {
    out->a[lane] = r->mul;
    out->b[lane] = r->shr;
    return qn_can_rescale_integer(r);
  }
  qn_multiply_add m;
  if (!qn_prove_rescale(r, form, isa->fused, &m)) return false;
  memcpy(&out->a[lane], &m.scale, sizeof m.scale);
  memcpy(&out->b[lane], &m.offset, sizeof m.offset);
  out->shift[lane] = m.shift;
  return true;
}

bool qn_choose_rescale(const qn_isa *isa, const qn_rescaling *const *lane, qn_rescale *form,
                       qn_numbers *out) {
  for (int f = (int)*form; f <= QN_RESCALE_integer; f++) {
    bool all = true;
    *out = (qn_numbers){0};
    for (int i = 0; i < isa->lanes && all; i++) {
      if (lane[i]) all = fill_numbers(isa, lane[i], (qn_rescale)f, out, i);
    }
    *form = (qn_rescale)f;
    if (all) return true;
  }
  return false;
}

/* ------------------------------------------------------------------ rescaling */

LLVMTypeRef qn_lanes_of(qn_build *b, const qn_isa *isa) { return qn_vector(b->u->i32, isa->lanes); }

static LLVMTypeRef words_of(qn_build *b, const qn_isa *isa) {
  return qn_vector(LLVMInt16TypeInContext(b->u->context), 2 * isa->lanes);
}

LLVMValueRef qn_load_weights(qn_build *b, const qn_isa *isa, LLVMValueRef address) {
  if (!isa->widened) return qn_read(b, qn_lanes_of(b, isa), address, qn_weights_bytes(isa));
  LLVMTypeRef bytes = qn_vector(b->u->i8, 2 * isa->lanes);
  LLVMValueRef narrow = qn_read(b, bytes, address, qn_weights_bytes(isa));
  return LLVMBuildSExt(b->b, narrow, words_of(b, isa), "");
}

LLVMValueRef qn_dot(qn_build *b, const qn_isa *isa, LLVMValueRef acc, LLVMValueRef x,
                    LLVMValueRef w) {
  LLVMValueRef arguments[] = {acc, x, w};
  if (isa->taps == 4)
    return qn_call_intrinsic(
        b, isa->lanes == 16 ? "llvm.x86.avx512.vpdpbusd.512" : "llvm.x86.avx512.vpdpbusd.256", NULL,
        NULL, 0, arguments, 3);
  LLVMValueRef products =
      qn_call_intrinsic(b, isa->lanes == 8 ? "llvm.x86.avx2.pmadd.wd" : "llvm.x86.sse2.pmadd.wd",
                        NULL, NULL, 0, &arguments[1], 2);
  /* products would be summed first, and their sums held until they are added: too many to hold */
  return qn_opaque(b, LLVMBuildAdd(b->b, acc, products, ""));
}

LLVMValueRef qn_build_multiply_add(qn_build *b, const qn_isa *isa, LLVMValueRef x,
                                   LLVMValueRef scale, LLVMValueRef rest) {
  LLVMTypeRef real = qn_vector(b->u->real, isa->lanes);
  LLVMValueRef arguments[] = {x, scale, rest};
  if (isa->fused) return qn_call_intrinsic(b, "llvm.fma", NULL, &real, 1, arguments, 3);
  return LLVMBuildFAdd(b->b, LLVMBuildFMul(b->b, x, scale, ""), rest, "");
}

/* llvm.lrint of vectors is not one instruction below AVX2. */
LLVMValueRef qn_round_lanes(qn_build *b, const qn_isa *isa, LLVMValueRef x) {
  LLVMTypeRef types[] = {qn_lanes_of(b, isa), qn_vector(b->u->real, isa->lanes)};
  if (isa->lanes == 4) return qn_call_intrinsic(b, "llvm.x86.sse2.cvtps2dq", NULL, NULL, 0, &x, 1);
  return qn_call_intrinsic(b, "llvm.lrint", NULL, types, 2, &x, 1);
}

/* The product of the low halves of 64-bit lanes, + 2^31: one vpmuldq and one addition. */
static LLVMValueRef wide_product(qn_build *b, LLVMValueRef x, LLVMValueRef y) {
  LLVMTypeRef wide = LLVMTypeOf(x);
  unsigned lanes = LLVMGetVectorSize(wide);
  LLVMValueRef low[] = {x, y}, at[QN_MOST_LANES / 2];
  for (unsigned i = 0; i < lanes; i++) at[i] = LLVMConstInt(LLVMGetElementType(wide), 32, 0);
  LLVMValueRef bits = LLVMConstVector(at, lanes);
  for (int i = 0; i < 2; i++)
    low[i] = LLVMBuildAShr(b->b, LLVMBuildShl(b->b, low[i], bits, ""), bits, "");
  for (unsigned i = 0; i < lanes; i++) at[i] = LLVMConstInt(LLVMGetElementType(wide), 1u << 31, 0);
  return LLVMBuildAdd(b->b, LLVMBuildMul(b->b, low[0], low[1], ""), LLVMConstVector(at, lanes), "");
}

/* (2*acc*mul + 2^31) >> 32 */
LLVMValueRef qn_high_product(qn_build *b, const qn_isa *isa, LLVMValueRef acc, LLVMValueRef mul) {
  int count = isa->lanes;
  LLVMTypeRef wide = qn_vector(LLVMInt64TypeInContext(b->u->context), count / 2);
  LLVMTypeRef lanes = qn_lanes_of(b, isa);
  LLVMValueRef product[2];
  LLVMValueRef factor[] = {LLVMBuildAdd(b->b, acc, acc, ""), mul};
  int odd_of[QN_MOST_LANES], high_of[QN_MOST_LANES];
  for (int i = 0; i < count; i++) {
    odd_of[i] = i | 1;
    high_of[i] = i % 2 ? count + i : i + 1;
  }
  for (int odd = 0; odd < 2; odd++) {
    LLVMValueRef half[2];
    for (int i = 0; i < 2; i++) {
      half[i] = factor[i];
      if (odd)
        half[i] = LLVMBuildShuffleVector(b->b, factor[i], LLVMGetPoison(lanes),
                                         qn_indices(b, odd_of, count), "");
      half[i] = LLVMBuildBitCast(b->b, half[i], wide, "");
    }
    product[odd] = LLVMBuildBitCast(b->b, wide_product(b, half[0], half[1]), lanes, "");
  }
  return LLVMBuildShuffleVector(b->b, product[0], product[1], qn_indices(b, high_of, count), "");
}

/* (high + 2^(shr-1) - (acc < 0)) >> shr, which rounds ties away from zero. */
LLVMValueRef qn_rescale_integer(qn_build *b, const qn_isa *isa, LLVMValueRef acc, LLVMValueRef mul,
                                LLVMValueRef shr) {
  int count = isa->lanes;
  LLVMValueRef one = qn_splat_i32(b, 1, count), high = qn_high_product(b, isa, acc, mul);
  LLVMValueRef tie = LLVMBuildLShr(b->b, LLVMBuildShl(b->b, one, shr, ""), one, "");
  LLVMValueRef sign = LLVMBuildAShr(b->b, acc, qn_splat_i32(b, 31, count), "");
  LLVMValueRef sum = LLVMBuildAdd(b->b, LLVMBuildAdd(b->b, high, sign, ""), tie, "");
  return LLVMBuildAShr(b->b, sum, shr, "");
}

LLVMValueRef qn_rescale_lanes(qn_build *b, const qn_isa *isa, qn_rescale form, const qn_clamping *c,
                              LLVMValueRef acc, LLVMValueRef a, LLVMValueRef b_numbers) {
  LLVMTypeRef lanes = qn_lanes_of(b, isa), real = qn_vector(b->u->real, isa->lanes);
  LLVMValueRef scaled, first = qn_read(b, lanes, a, qn_vector_bytes(isa)),
                       second = qn_read(b, lanes, b_numbers, qn_vector_bytes(isa));
  if (form == QN_RESCALE_integer) {
    scaled = qn_rescale_integer(b, isa, acc, first, second);
  } else {
    if (form == QN_RESCALE_signed) {
      LLVMValueRef sign = LLVMBuildAnd(b->b, acc, qn_splat_i32(b, INT32_MIN, isa->lanes), "");
      second = LLVMBuildXor(b->b, second, sign, "");
    }
    scaled = qn_build_multiply_add(b, isa, LLVMBuildSIToFP(b->b, acc, real, ""),
                                   LLVMBuildBitCast(b->b, first, real, ""),
                                   LLVMBuildBitCast(b->b, second, real, ""));
    scaled = qn_round_lanes(b, isa, scaled);
  }
  if (form == QN_RESCALE_fma || c->zero == 0) return scaled;
  return LLVMBuildAdd(b->b, scaled, qn_splat_i32(b, c->zero, isa->lanes), "");
}

/* ------------------------------------------------------------------ narrowing */

static LLVMValueRef clamp(qn_build *b, const qn_clamping *c, LLVMValueRef bytes) {
  LLVMTypeRef type = LLVMTypeOf(bytes);
  int count = (int)LLVMGetVectorSize(type);
  LLVMValueRef low[] = {bytes, qn_splat_i8(b, c->low, count)};
  if (c->low > INT8_MIN) bytes = qn_call_intrinsic(b, "llvm.smax", NULL, &type, 1, low, 2);
  LLVMValueRef high[] = {bytes, qn_splat_i8(b, c->high, count)};
  if (c->high < INT8_MAX) bytes = qn_call_intrinsic(b, "llvm.smin", NULL, &type, 1, high, 2);
  if (c->flipped) bytes = LLVMBuildXor(b->b, bytes, qn_splat_i8(b, 128, count), "");
  return bytes;
}

/* Two vectors to one of elements half as wide, saturated; within each 128 bits. */
static LLVMValueRef pack(qn_build *b, const qn_isa *isa, bool words, LLVMValueRef *two) {
  static const char *const names[][2] = {
      {"llvm.x86.sse2.packsswb.128", "llvm.x86.sse2.packssdw.128"},
      {"llvm.x86.avx2.packsswb", "llvm.x86.avx2.packssdw"},
      {"llvm.x86.avx512.packsswb.512", "llvm.x86.avx512.packssdw.512"}};
  int which = isa->lanes == 16 ? 2 : isa->lanes == 8 ? 1 : 0;
  return qn_call_intrinsic(b, names[which][words], NULL, NULL, 0, two, 2);
}

/* The packs work within 128 bits: of those number i of all vectors become those number i. */
LLVMValueRef qn_narrow(qn_build *b, const qn_isa *isa, const qn_clamping *c,
                       const LLVMValueRef *vectors, int count, bool interleaved) {
  LLVMTypeRef bytes = qn_vector(b->u->i8, qn_vector_bytes(isa)), lanes = qn_lanes_of(b, isa);
  LLVMValueRef half[2], four[4];
  for (int i = 0; i < 4; i++) four[i] = vectors[i < count ? i : count - 1];
  for (int i = 0; i < 2; i++) half[i] = pack(b, isa, true, &four[2 * i]);
  LLVMValueRef all = LLVMBuildBitCast(b->b, pack(b, isa, false, half), lanes, "");
  if (!interleaved && isa->lanes > 4) {
    int order[QN_MOST_LANES], parts = isa->lanes / 4;
    for (int i = 0; i < isa->lanes; i++) order[i] = i % parts * 4 + i / parts;
    all = LLVMBuildShuffleVector(b->b, all, LLVMGetPoison(lanes), qn_indices(b, order, isa->lanes),
                                 "");
  }
  return clamp(b, c, LLVMBuildBitCast(b->b, all, bytes, ""));
}

void qn_store_part(qn_build *b, const qn_isa *isa, LLVMValueRef bytes, int first,
                   LLVMValueRef address, int count) {
  int all = qn_vector_bytes(isa), at[QN_MOST_VECTOR];
  int width = count <= 16 ? 16 : count <= 32 ? 32 : 64;
  for (int i = 0; i < width; i++) at[i] = (isa->lanes * first + i) % all;
  if (width < all || first > 0)
    bytes = LLVMBuildShuffleVector(b->b, bytes, LLVMGetPoison(LLVMTypeOf(bytes)),
                                   qn_indices(b, at, width), "");
  qn_write_bytes(b, bytes, address, count);
}

/* ------------------------------------------------------------------ copies */

enum { UNROLLED = 4 };

/* `count` (at least one) stored values as dot products want them: a vector of bytes. */
static LLVMValueRef read_activations(qn_build *b, const qn_isa *isa, LLVMValueRef from, int count,
                                     bool flipped) {
  int bytes = qn_vector_bytes(isa) / qn_activation_bytes(isa);
  LLVMValueRef data = qn_read_bytes(b, from, bytes, count < bytes ? count : bytes);
  if (flipped) return data;
  if (isa->taps == 4) return LLVMBuildXor(b->b, data, qn_splat_i8(b, 128, bytes), "");
  return LLVMBuildSExt(b->b, data, words_of(b, isa), "");
}

/* Every vector of `count` values: rounds of a few vectors, then the rest. What is written is
 * `fill`, or read; the values are of so many bytes where they are written. */
static void each_vector(qn_build *b, const qn_isa *isa, LLVMValueRef to, int32_t elem_bytes,
                        LLVMValueRef from, int64_t count, LLVMValueRef fill, bool flipped) {
  int64_t some = qn_vector_bytes(isa) / elem_bytes, round = UNROLLED * some;
  int64_t whole = count / round, done = whole * round;
  for (int part = 0; part < 2; part++) {
    int64_t end = part ? count - done : round;
    if (end == 0 || (!part && whole == 0)) continue;
    qn_loop l = qn_begin_loop(b, part ? 1 : whole, NULL, 0);
    LLVMValueRef start = part ? qn_index(b, done) : qn_times(b, l.index, round);
    LLVMValueRef at = qn_at_index(b, to, qn_times(b, start, elem_bytes)), data = fill;
    for (int64_t i = 0; i < end; i += some) {
      LLVMValueRef address = from ? qn_at(b, qn_at_index(b, from, start), i) : NULL;
      if (from) data = read_activations(b, isa, address, (int)(end - i), flipped);
      qn_write(b, data, qn_at(b, at, i * elem_bytes), 1);
    }
    qn_end_loop(b, &l);
  }
}

void qn_copy_activations(qn_build *b, const qn_isa *isa, LLVMValueRef to, LLVMValueRef from,
                         int64_t count, bool flipped) {
  each_vector(b, isa, to, qn_activation_bytes(isa), from, count, NULL, flipped);
}

void qn_fill(qn_build *b, const qn_isa *isa, LLVMValueRef to, int value, int64_t bytes) {
  each_vector(b, isa, to, 1, NULL, bytes, qn_splat_i8(b, value, qn_vector_bytes(isa)), false);
}

void qn_fill_activations(qn_build *b, const qn_isa *isa, LLVMValueRef to, int value,
                         int64_t count) {
  if (isa->taps == 4) {
    qn_fill(b, isa, to, value + qn_activation_offset(isa), count);
    return;
  }
  LLVMValueRef pair = qn_splat_i32(b, (value & 0xffff) * 0x10001ll, isa->lanes);
  each_vector(b, isa, to, 2, NULL, count, pair, false);
}

/* ------------------------------------------------------------------ margins */

/* Exactly so many bytes. */
static void fill_gap(qn_build *b, const qn_isa *isa, LLVMValueRef to, int value, int64_t bytes) {
  int64_t some = qn_vector_bytes(isa), whole = bytes / some, done = whole * some;
  if (whole > 0) {
    qn_loop l = qn_begin_loop(b, whole, NULL, 0);
    qn_write(b, qn_splat_i8(b, value, (int)some), qn_at_index(b, to, qn_times(b, l.index, some)),
             1);
    qn_end_loop(b, &l);
  }
  for (int64_t part = some / 2; part > 0; part /= 2) {
    if (!((bytes - done) & part)) continue;
    qn_write(b, qn_splat_i8(b, value, (int)part), qn_at(b, to, done), 1);
    done += part;
  }
}

void qn_fill_margin(qn_build *b, const qn_isa *isa, const qn_margin *m, int32_t height,
                    int64_t row_bytes, int32_t channels, int value, LLVMValueRef y) {
  int64_t gap = (int64_t)(m->left + m->right) * channels, pitch = row_bytes + gap;
  int64_t before = m->top * pitch + (int64_t)m->left * channels;
  int64_t after = m->bottom * pitch + (int64_t)m->right * channels;
  if (before > 0) fill_gap(b, isa, y, value, before);
  LLVMValueRef end = qn_at(b, y, before + row_bytes); /* of the first row */
  if (gap > 0 && height > 1) {
    qn_loop l = qn_begin_loop(b, height - 1, NULL, 0);
    fill_gap(b, isa, qn_at_index(b, end, qn_times(b, l.index, pitch)), value, gap);
    qn_end_loop(b, &l);
  }
  if (after > 0) fill_gap(b, isa, qn_at(b, end, (height - 1) * pitch), value, after);
}
