/* What emitters for AVX-512 VNNI share: from accumulators to stored bytes, and copies of inputs.
 *
 * vpdpbusd adds four products of an unsigned by a signed byte to an int32 lane, modulo 2^32. So
 * activations are taken as unsigned: x + 128, one bit flipped, and 128 * sum of weights leaves by
 * the bias. */
#ifndef QN_VNNI_H
#define QN_VNNI_H

#include "build.h"
#include "rescale.h"

enum {
  QN_LANES = 16,     /* of int32 */
  QN_ZMM = 64,       /* bytes */
  QN_MOST_GROUP = 4, /* vectors that are packed into one */
};

/* What the code multiplies and adds, as 32 bits, and what is to be added to the bias. */
typedef struct {
  int32_t a[QN_LANES], b[QN_LANES], shift[QN_LANES];
} qn_numbers;

/* Numbers for 16 lanes; lane[i] is NULL where there is no channel. Takes the first form from *form
 * on that is exact for all of them. False: none is. */
bool qn_choose_rescale(const qn_rescaling *const *lane, qn_rescale *form, qn_numbers *out);

/* -- code; vectors of 16 int32 unless said otherwise */
LLVMTypeRef qn_v16i32(qn_build *b);
LLVMValueRef qn_dot4(qn_build *b, LLVMValueRef acc, LLVMValueRef u8, LLVMValueRef s8);
/* The stored values of 16 accumulators, not yet narrowed; a_and_b: addresses of the numbers. */
LLVMValueRef qn_rescale_lanes(qn_build *b, qn_rescale form, const qn_clamping *c, LLVMValueRef acc,
                              LLVMValueRef a, LLVMValueRef b_numbers);
/* Narrows up to four vectors to bytes, clamps, and returns <64 x i8>. interleaved: lane 4i+e of
 * vector j becomes byte 16i + 4j + e; else vector j becomes bytes 16j .. 16j+15. */
LLVMValueRef qn_narrow(qn_build *b, const qn_clamping *c, const LLVMValueRef *vectors, int count,
                       bool interleaved);
/* Bytes 16*first .. of a <64 x i8>, `count` of them (at most 64 - 16*first), to the address. */
void qn_store_part(qn_build *b, LLVMValueRef bytes, int first, LLVMValueRef address, int count);

/* Reads `bytes` bytes, flips their highest bits, and writes them; beyond them up to 63 more bytes
 * are written, none read. */
void qn_copy_flipped(qn_build *b, LLVMValueRef to, LLVMValueRef from, int64_t bytes);
/* Writes `bytes` bytes of that value and up to 63 more. */
void qn_fill(qn_build *b, LLVMValueRef to, int value, int64_t bytes);

#endif
