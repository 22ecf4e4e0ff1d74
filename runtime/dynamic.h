/* Activations that are quantized at run time, by the range that they turn out to have: what
 * convolutions of real tensors with int8 weights share.
 *
 *   low = min(0, least of x), high = max(0, most of x)
 *   scale = high/255 - low/255 (1 where that is no normal number)
 *   zero = round(-low/scale) - 128, ties away from 0
 *   stored = round(x * (1/scale)) + zero within -128..127, ties to even
 *   y = sum * (scale * w.scale) + b, clamped
 *
 * in float. NaNs do not count for the range and are stored as real 0. Scratch begins with scale *
 * w.scale of every channel. As few operations on floats as can be: there are cores without. */
#ifndef QN_DYNAMIC_H
#define QN_DYNAMIC_H

#include "real.h"

typedef struct {
  float scale;
  int32_t zero;
} qn_found_scale;

/* The bits of a float as an integer that is larger where the float is, and back; a NaN counts as 0.
 * Of integers LLVM finds the least in vectors, of floats, which may be NaNs, one by one. */
QN_INLINE int32_t qn_order_of_bits(int32_t bits) {
  int32_t order = bits ^ ((bits >> 31) & INT32_MAX);
  return (bits & INT32_MAX) > 0x7F800000 ? 0 : order;
}
QN_INLINE float qn_float_of_order(int32_t order) {
  return qn_float_of_bits(order ^ ((order >> 31) & INT32_MAX));
}

QN_INLINE qn_found_scale qn_find_scale(const float *x, int32_t count) {
  const qn_scale_bits *bits = (const qn_scale_bits *)x;
  int32_t least = 0, most = 0;
  for (int32_t i = 0; i < count; i++) {
    int32_t order = qn_order_of_bits(bits[i]);
    least = qn_min(least, order);
    most = qn_max(most, order);
  }
  float low = qn_float_of_order(least), high = qn_float_of_order(most);
  float scale = high / 255.0f - low / 255.0f;
  if (!(scale >= 0x1p-126f)) scale = 1.0f;
  qn_found_scale found = {scale, qn_clamp(qn_round_away(-low / scale), 0, 255) - 128};
  return found;
}

/* qn_round, cheaper where floats are functions: beyond 2^22 some number of x's sign, less than
 * 2^31 - 2^8 from 0; a NaN gives 0. */
QN_INLINE int32_t qn_round_small(float x) {
  const float magic = 12582912.0f; /* 1.5 * 2^23 */
  int32_t bits = qn_bits_of_float(x + magic);
  return (bits & INT32_MAX) > 0x7F800000 ? 0 : bits - qn_bits_of_float(magic);
}

/* stored: count bytes; units: one per channel. Returns the zero point. */
QN_INLINE int32_t qn_quantize_now(const qn_conv_dynamic_params *p, const void *const *in,
                                  int8_t *stored, float *units) {
  const qn_window *g = &p->g;
  const float *x = in[0], *scales = in[3];
  int32_t count = g->batch * g->in_h * g->in_w * g->in_c;
  qn_found_scale found = qn_find_scale(x, count);
  float inverse = 1.0f / found.scale;
  for (int32_t i = 0; i < count; i++)
    stored[i] = (int8_t)qn_clamp(qn_round_small(x[i] * inverse) + found.zero, -128, 127);
  for (int32_t c = 0; c < g->out_c; c++)
    units[c] = found.scale * (p->per_channel ? scales[c] : p->w_scale);
  return found.zero;
}

/* Channel c from its sum of products; in[2]: bias. */
QN_INLINE float qn_real_sum(const qn_conv_dynamic_params *p, const void *const *in,
                            const float *units, uint32_t sum, int32_t c) {
  const float *bias = in[2];
  float real = (float)(int32_t)sum * units[c];
  return qn_clamp_f32(bias ? real + bias[c] : real, p->low, p->high);
}

#endif
