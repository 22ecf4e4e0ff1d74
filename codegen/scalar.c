/* scalar.h. */
#include "scalar.h"
#include <string.h>
#include "window.h"

enum { MOST_SHIFT = 22 };

bool qn_is_wide(const qn_unit *u) { return qn_can(u, QN_NEEDS_rv64); }

int32_t qn_scalar_bytes(const qn_unit *u) {
  return qn_is_wide(u) ? QN_SCALAR_BYTES_64 : QN_SCALAR_BYTES_32;
}

/* ------------------------------------------------------------------ constants */

static int64_t magnitude(int64_t n) { return n < 0 ? -n : n; }

static bool channel_fits(const qn_call *call, const qn_unit *u, int32_t o, const int8_t *w,
                         int32_t taps, int32_t step) {
  const qn_bounded of = qn_bound_channel(u, call, o, w, taps, step, 0);
  const qn_rescaling r = of.r;
  if (r.shr < 1 || r.shr > MOST_SHIFT) return false;
  if (r.acc_low < INT32_MIN || r.acc_high > INT32_MAX || magnitude(of.bias) > INT32_MAX / 2)
    return false;
  /* the bias less what may be in a sum */
  if (r.acc_low - of.bias < INT32_MIN || r.acc_high - of.bias > INT32_MAX) return false;
  int64_t most = magnitude(r.acc_low) > r.acc_high ? magnitude(r.acc_low) : r.acc_high;
  int64_t product = (most * r.mul + (1 << 30)) >> 31;
  int64_t round = (magnitude(r.zero) + 1) * ((int64_t)1 << r.shr);
  return product + round + 1 <= INT32_MAX;
}

bool qn_scalar_fits(const qn_unit *u, const qn_call *call, const qn_fixed *f, const int8_t *w,
                    int32_t taps, int32_t step, int32_t first_step) {
  qn_conv_i8_params p;
  memcpy(&p, call->params, sizeof p);
  if (f->form == QN_FORM_general) return false;
  for (int32_t o = 0; o < p.g.out_c; o++)
    if (!channel_fits(call, u, o, w + (int64_t)o * first_step, taps, step)) return false;
  return true;
}

static void put(unsigned char *to, int64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) to[i] = (unsigned char)((uint64_t)value >> (8 * i));
}

static void pack_wide(const qn_fixed *f, const qn_channel *c, int32_t excess, unsigned char *to) {
  int64_t add = ((int64_t)c->bias - excess) * c->mul;
  int64_t round = ((int64_t)1 << 30) + ((int64_t)1 << (30 + c->right)) +
                  (int64_t)f->y_zero * ((int64_t)1 << (31 + c->right));
  put(to, f->form == QN_FORM_relu ? add + round : add, 8);
  put(to + 8, round, 8);
  put(to + 16, c->mul, 4);
  put(to + 20, 31 + c->right, 4);
}

void qn_pack_scalar(const qn_unit *u, const qn_fixed *f, const qn_channel *c, int32_t excess,
                    unsigned char *to) {
  if (qn_is_wide(u)) {
    pack_wide(f, c, excess, to);
    return;
  }
  put(to, (int64_t)c->bias - excess, 4);
  put(to + 4, ((int64_t)1 << (c->right - 1)) + (int64_t)f->y_zero * (1 << c->right), 4);
  put(to + 8, 2 * (int64_t)c->mul, 4);
  put(to + 12, c->right, 4);
}

/* ------------------------------------------------------------------ code */

static LLVMValueRef read_number(qn_build *b, LLVMTypeRef type, LLVMValueRef record, int64_t at) {
  return qn_read(b, type, qn_at(b, record, at), 4);
}

qn_scalar_numbers qn_read_scalar(qn_build *b, const qn_fixed *f, LLVMValueRef record) {
  LLVMTypeRef wide = LLVMInt64TypeInContext(b->u->context), word = b->u->i32;
  if (!qn_is_wide(b->u))
    return (qn_scalar_numbers){read_number(b, word, record, 0), read_number(b, word, record, 4),
                               read_number(b, word, record, 8), read_number(b, word, record, 12)};
  qn_scalar_numbers n = {.add = qn_read(b, wide, record, 8)};
  if (f->form != QN_FORM_relu) n.round = qn_read(b, wide, qn_at(b, record, 8), 8);
  n.mul = LLVMBuildSExt(b->b, read_number(b, word, record, 16), wide, "");
  n.shift = LLVMBuildZExt(b->b, read_number(b, word, record, 20), wide, "");
  return n;
}

static LLVMValueRef bits(qn_build *b, LLVMTypeRef type, int64_t n) {
  (void)b;
  return LLVMConstInt(type, (unsigned long long)n, 1);
}

static LLVMValueRef rescale_wide(qn_build *b, const qn_fixed *f, LLVMValueRef sum,
                                 const qn_scalar_numbers *n) {
  LLVMTypeRef wide = LLVMInt64TypeInContext(b->u->context);
  LLVMValueRef p = LLVMBuildAdd(b->b, LLVMBuildMul(b->b, sum, n->mul, ""), n->add, "");
  if (f->form == QN_FORM_signed) {
    LLVMValueRef negative = LLVMBuildAShr(b->b, p, bits(b, wide, 63), "");
    LLVMValueRef less = LLVMBuildShl(b->b, negative, bits(b, wide, 31), "");
    p = LLVMBuildAdd(b->b, LLVMBuildAdd(b->b, p, n->round, ""), less, "");
  }
  return LLVMBuildAShr(b->b, p, n->shift, "");
}

static LLVMValueRef rescale_narrow(qn_build *b, const qn_fixed *f, LLVMValueRef sum,
                                   const qn_scalar_numbers *n) {
  LLVMTypeRef wide = LLVMInt64TypeInContext(b->u->context), word = b->u->i32;
  LLVMValueRef acc = LLVMBuildSExt(b->b, LLVMBuildAdd(b->b, sum, n->add, ""), wide, "");
  LLVMValueRef p = LLVMBuildMul(b->b, acc, LLVMBuildZExt(b->b, n->mul, wide, ""), "");
  LLVMValueRef high = LLVMBuildTrunc(b->b, LLVMBuildLShr(b->b, p, bits(b, wide, 32), ""), word, "");
  LLVMValueRef half = LLVMBuildLShr(b->b, LLVMBuildTrunc(b->b, p, word, ""), bits(b, word, 31), "");
  LLVMValueRef h = LLVMBuildAdd(b->b, high, half, "");
  if (f->form == QN_FORM_signed)
    h = LLVMBuildAdd(b->b, h, LLVMBuildAShr(b->b, h, bits(b, word, 31), ""), "");
  return LLVMBuildAShr(b->b, LLVMBuildAdd(b->b, h, n->round, ""), n->shift, "");
}

LLVMValueRef qn_rescale_scalar(qn_build *b, const qn_fixed *f, LLVMValueRef sum,
                               const qn_scalar_numbers *n) {
  LLVMValueRef y = qn_is_wide(b->u) ? rescale_wide(b, f, sum, n) : rescale_narrow(b, f, sum, n);
  LLVMTypeRef type = LLVMTypeOf(y);
  LLVMValueRef low[] = {y, bits(b, type, f->low)};
  y = qn_call_intrinsic(b, "llvm.smax", NULL, &type, 1, low, 2);
  LLVMValueRef high[] = {y, bits(b, type, f->high)};
  y = qn_call_intrinsic(b, "llvm.smin", NULL, &type, 1, high, 2);
  return LLVMBuildTrunc(b->b, y, b->u->i8, "");
}

LLVMValueRef qn_read_byte(qn_build *b, LLVMValueRef address) {
  return LLVMBuildSExt(b->b, qn_read(b, b->u->i8, address, 1), b->u->size, "");
}

/* ------------------------------------------------------------------ copies */

enum { UNROLLED = 8 };

static void move_bytes(qn_build *b, LLVMValueRef to, LLVMValueRef from, LLVMValueRef fill,
                       int64_t count) {
  LLVMValueRef byte[UNROLLED];
  for (int64_t i = 0; i < count; i++)
    byte[i] = from ? qn_read(b, b->u->i8, qn_at(b, from, i), 1) : fill;
  for (int64_t i = 0; i < count; i++) qn_write(b, byte[i], qn_at(b, to, i), 1);
}

static void each_byte(qn_build *b, LLVMValueRef to, LLVMValueRef from, LLVMValueRef fill,
                      int64_t bytes) {
  int64_t rounds = bytes / UNROLLED, done = rounds * UNROLLED;
  if (rounds > 0) {
    qn_loop l = qn_begin_loop(b, rounds, NULL, 0);
    LLVMValueRef at = qn_times(b, l.index, UNROLLED);
    move_bytes(b, qn_at_index(b, to, at), from ? qn_at_index(b, from, at) : NULL, fill, UNROLLED);
    qn_end_loop(b, &l);
  }
  move_bytes(b, qn_at(b, to, done), from ? qn_at(b, from, done) : NULL, fill, bytes - done);
}

void qn_copy_scalar(qn_build *b, const void *of, LLVMValueRef to, LLVMValueRef from,
                    int64_t bytes) {
  (void)of;
  each_byte(b, to, from, NULL, bytes);
}

void qn_fill_scalar(qn_build *b, const void *x_zero, LLVMValueRef to, int64_t bytes) {
  each_byte(b, to, NULL, bits(b, b->u->i8, *(const int32_t *)x_zero), bytes);
}
