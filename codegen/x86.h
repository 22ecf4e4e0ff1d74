/* What emitters for x86 share: vectors of int32 sums, from products to stored bytes, and copies of
 * inputs, with the registers and instructions that the target has.
 *
 * Lanes of int32 take products of four bytes of memory at once:
 *   vpdpbusd (AVX-512 VNNI, AVX-VNNI)  four unsigned bytes times four signed ones, modulo 2^32.
 *            Activations are taken as unsigned: x + 128, one bit flipped, and 128 * sum of weights
 *            leaves by the bias
 *   pmaddwd  (SSE2, AVX2), and an addition: two pairs of int16. Activations are widened. pmaddubsw
 *            takes four bytes too, but its int16 sums saturate */
#ifndef QN_X86_H
#define QN_X86_H

#include "build.h"
#include "rescale.h"

enum {
  QN_MOST_LANES = 16,  /* of int32 */
  QN_MOST_VECTOR = 64, /* bytes */
  QN_MOST_GROUP = 4,   /* vectors that are packed into one */
};

typedef struct {
  int32_t lanes, registers; /* of int32 in a vector; vectors */
  int32_t taps;             /* products that a lane takes at once: 4 or 2 */
  int32_t widened;          /* weights are int8 in memory and widened when they are read */
  int32_t fused;            /* products and sums of floats are rounded once */
} qn_isa;
qn_isa qn_isa_of(const qn_unit *u);
int32_t qn_vector_bytes(const qn_isa *isa);
int32_t qn_activation_bytes(const qn_isa *isa);  /* of one, as dot products read it */
int32_t qn_activation_offset(const qn_isa *isa); /* what is added to one */
int32_t qn_weights_bytes(const qn_isa *isa);     /* of a vector of weights in memory */
/* Writes weight number `tap` of a lane of such a vector. */
void qn_pack_weight(const qn_isa *isa, void *vector, int32_t lane, int32_t tap, int8_t w);

/* What the code multiplies and adds, as 32 bits, and what is to be added to the bias. */
typedef struct {
  int32_t a[QN_MOST_LANES], b[QN_MOST_LANES], shift[QN_MOST_LANES];
} qn_numbers;

/* Numbers for a vector; lane[i] is NULL where there is no channel. Takes the first form from *form
 * on that is exact for all of them. False: none is. */
bool qn_choose_rescale(const qn_isa *isa, const qn_rescaling *const *lane, qn_rescale *form,
                       qn_numbers *out);

/* -- code; vectors of int32 unless said otherwise */
LLVMTypeRef qn_lanes_of(qn_build *b, const qn_isa *isa);
LLVMValueRef qn_load_weights(qn_build *b, const qn_isa *isa, LLVMValueRef address);
/* acc + products of activations and weights. */
LLVMValueRef qn_dot(qn_build *b, const qn_isa *isa, LLVMValueRef acc, LLVMValueRef x,
                    LLVMValueRef w);
LLVMValueRef qn_build_multiply_add(qn_build *b, const qn_isa *isa, LLVMValueRef x, LLVMValueRef scale,
                             LLVMValueRef rest); /* of floats */
/* Floats to the nearest int32. */
LLVMValueRef qn_round_lanes(qn_build *b, const qn_isa *isa, LLVMValueRef x);
/* The contract tflite: acc below 2^30 in magnitude, mul not negative; shr 0, and then 1..31. */
LLVMValueRef qn_high_product(qn_build *b, const qn_isa *isa, LLVMValueRef acc, LLVMValueRef mul);
LLVMValueRef qn_rescale_integer(qn_build *b, const qn_isa *isa, LLVMValueRef acc, LLVMValueRef mul,
                                LLVMValueRef shr);
/* The stored values of accumulators, not yet narrowed; a, b_numbers: addresses of the numbers. */
LLVMValueRef qn_rescale_lanes(qn_build *b, const qn_isa *isa, qn_rescale form, const qn_clamping *c,
                              LLVMValueRef acc, LLVMValueRef a, LLVMValueRef b_numbers);
/* Narrows up to four vectors to bytes, clamps, and returns one vector of i8. interleaved: lane 4i+e
 * of vector j becomes byte 16i + 4j + e; else the vectors' bytes follow each other. */
LLVMValueRef qn_narrow(qn_build *b, const qn_isa *isa, const qn_clamping *c,
                       const LLVMValueRef *vectors, int count, bool interleaved);
/* The bytes from vector number `first` on, `count` of them, to the address. */
void qn_store_part(qn_build *b, const qn_isa *isa, LLVMValueRef bytes, int first,
                   LLVMValueRef address, int count);

/* Reads `count` stored values and writes them as dot products want them, and up to 63 more bytes;
 * none is read beyond. flipped: they are stored as unsigned bytes. */
void qn_copy_activations(qn_build *b, const qn_isa *isa, LLVMValueRef to, LLVMValueRef from,
                         int64_t count, bool flipped);
/* The same from a stored value. */
void qn_fill_activations(qn_build *b, const qn_isa *isa, LLVMValueRef to, int value, int64_t count);
/* Writes `bytes` bytes of that value and up to 63 more. */
void qn_fill(qn_build *b, const qn_isa *isa, LLVMValueRef to, int value, int64_t bytes);

/* Writes that value all over an image's margin, and nothing else; the margin begins at y. */
void qn_fill_margin(qn_build *b, const qn_isa *isa, const qn_margin *m, int32_t height,
                    int64_t row_bytes, int32_t channels, int value, LLVMValueRef y);

#endif
