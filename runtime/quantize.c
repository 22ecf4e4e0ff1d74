/* Between real and stored values, and from one scale to another. */
#include "fixed.h"
#include "real.h"

typedef int16_t __attribute__((may_alias)) any16;
typedef int32_t __attribute__((may_alias)) any32;

/* The least and the largest number of the stored type; wider ones than int32 hold int32's. */
QN_INLINE int32_t least_stored(const qn_quantize_params *p) {
  return p->elem_bytes >= 4 ? INT32_MIN : p->is_signed ? -(1 << (8 * p->elem_bytes - 1)) : 0;
}
QN_INLINE int32_t most_stored(const qn_quantize_params *p) {
  return p->elem_bytes >= 4 ? INT32_MAX : (1 << (8 * p->elem_bytes - (p->is_signed ? 1 : 0))) - 1;
}

/* value + zero within least..most, without overflow: narrow types have small limits. */
QN_INLINE int32_t offset_stored(const qn_quantize_params *p, int32_t value) {
  if (p->elem_bytes >= 4) {
    int64_t sum = (int64_t)value + p->zero;
    return sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : (int32_t)sum;
  }
  return qn_store_value(value, p->zero, least_stored(p), most_stored(p));
}

QN_INLINE void store(const qn_quantize_params *p, void *y, int32_t i, int32_t value) {
  switch (p->elem_bytes) {
  case 1: ((uint8_t *)y)[i] = (uint8_t)value; break;
  case 2: ((any16 *)y)[i] = (int16_t)value; break;
  case 4: ((any32 *)y)[i] = value; break;
  default: /* little endian: the low half first, then the sign */
    ((any32 *)y)[2 * i] = value;
    ((any32 *)y)[2 * i + 1] = value < 0 ? -1 : 0;
    break;
  }
}

QN_INLINE int32_t load(const qn_quantize_params *p, const void *x, int32_t i) {
  switch (p->elem_bytes) {
  case 1: return p->is_signed ? ((const int8_t *)x)[i] : ((const uint8_t *)x)[i];
  case 2: return p->is_signed ? ((const any16 *)x)[i] : (uint16_t)((const any16 *)x)[i];
  case 4: return ((const any32 *)x)[i];
  default: return ((const any32 *)x)[2 * i];
  }
}

QN_INLINE float scale_of(const qn_quantize_params *p, const void *const *in, int32_t channel) {
  return p->per_channel ? ((const float *)in[1])[channel] : p->scale;
}

/* A quotient as it is stored, without zero. Narrow types have ends that are small floats: what is
 * beyond them is cut off before it is rounded. */
QN_INLINE int32_t round_stored(const qn_quantize_params *p, float x) {
  if (p->elem_bytes >= 4) return offset_stored(p, qn_round_away(x));
  float least = (float)(least_stored(p) - p->zero), most = (float)(most_stored(p) - p->zero);
  x = x == x ? qn_clamp_f32(x, least, most) : 0.0f;
  return qn_round_away_small(x) + p->zero;
}

/* y = round(x / scale) + zero, the quotient in float, ties away from zero, clamped to the type; a
 * NaN gives zero. TFLite's AffineQuantize (reference/quantize.h). In place is safe where elements
 * of y are bytes: they are written in order, behind what is read. */
void qn_kernel_quantize(const qn_quantize_params *p, const void *const *in, void *out,
                        void *scratch) {
  (void)scratch;
  const float *x = in[0];
  int32_t i = 0;
  for (int32_t o = 0; o < p->outer; o++)
    for (int32_t c = 0; c < p->channels; c++) {
      float scale = scale_of(p, in, c);
      for (int32_t k = 0; k < p->inner; k++, i++)
        store(p, out, i, round_stored(p, x[i] / scale));
    }
}

/* y = scale * (x - zero), the product in float; the difference modulo 2^32. TFLite's Dequantize
 * (reference/dequantize.h): its product in double, rounded to float, is the same number for
 * differences below 2^24. Elements of 8 bytes count by their low half. */
void qn_kernel_dequantize(const qn_dequantize_params *p, const void *const *in, void *out,
                          void *scratch) {
  (void)scratch;
  float *y = out;
  int32_t i = 0;
  for (int32_t o = 0; o < p->outer; o++)
    for (int32_t c = 0; c < p->channels; c++) {
      float scale = scale_of(p, in, c);
      for (int32_t k = 0; k < p->inner; k++, i++)
        y[i] = scale * (float)(int32_t)((uint32_t)load(p, in[0], i) - (uint32_t)p->zero);
    }
}

/* y = x - x_zero, requantized, + y_zero, clamped: TFLite's Requantize (reference/requantize.h). */
QN_INLINE void requantize_int(const qn_requantize_i8_params *p, const void *x, void *y,
                              int32_t wide) {
  for (int32_t i = 0; i < p->count; i++) {
    int32_t real = qn_load(x, i, wide) - p->x_zero;
    int32_t scaled = qn_requantize(real, p->mul, p->shr, (qn_contract)p->contract);
    qn_save(y, i, wide, qn_store_value(scaled, p->y_zero, p->low, p->high));
  }
}

void qn_kernel_requantize_i8(const qn_requantize_i8_params *p, const void *const *in, void *out,
                             void *scratch) {
  (void)scratch;
  requantize_int(p, in[0], out, 0);
}

void qn_kernel_requantize_i16(const qn_requantize_i8_params *p, const void *const *in, void *out,
                              void *scratch) {
  (void)scratch;
  requantize_int(p, in[0], out, 1);
}
