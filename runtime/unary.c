/* Functions of one value, and batch normalization. */
#include "fixed.h"
#include "real.h"

QN_INLINE float apply(const qn_unary_f32_params *p, float x) {
  switch (p->op) {
  case QN_LOGISTIC: return qn_logistic(x);
  case QN_TANH: return qn_tanh(x);
  case QN_LEAKY_RELU: return x >= 0 ? x : x * p->alpha;
  case QN_HARD_SWISH: return x * qn_clamp_f32(x + 3.0f, 0.0f, 6.0f) / 6.0f;
  default: return qn_clamp_f32(x, p->low, p->high);
  }
}

/* y = 1 / (1 + exp(-x)); tanh(x); min(max(x, low), high); x >= 0 ? x : alpha * x;
 * x * min(max(x + 3, 0), 6) / 6. A NaN stays one. */
void qn_kernel_unary_f32(const qn_unary_f32_params *p, const void *const *in, void *out,
                         void *scratch) {
  (void)scratch;
  const float *x = in[0];
  float *y = out;
  for (int32_t i = 0; i < p->count; i++) y[i] = apply(p, x[i]);
}

/* y = table[x + 128]: any function of an int8 (see passes/lookup_table.c). */
void qn_kernel_lookup_i8(const qn_lookup_i8_params *p, const void *const *in, void *out,
                         void *scratch) {
  (void)scratch;
  const int8_t *x = in[0], *table = in[1];
  int8_t *y = out;
  for (int32_t i = 0; i < p->count; i++) y[i] = table[x[i] + 128];
}

/* y = x - 128 of u8 as i8, x + 128 of i8 as u8: the same bit changes. */
void qn_kernel_flip_sign(const qn_flip_sign_params *p, const void *const *in, void *out,
                         void *scratch) {
  (void)scratch;
  const uint8_t *x = in[0];
  uint8_t *y = out;
  for (int32_t i = 0; i < p->count; i++) y[i] = x[i] ^ 128;
}

/* Channels whose factors are at hand together. */
enum { BLOCK = 16 };

QN_INLINE void normalize_block(const qn_batch_norm_f32_params *p, const void *const *in, float *out,
                               int32_t first, int32_t count) {
  const float *mean = (const float *)in[1] + first, *variance = (const float *)in[2] + first;
  const float *gamma = (const float *)in[3] + first, *beta = (const float *)in[4] + first;
  float factor[BLOCK];
  for (int32_t c = 0; c < count; c++) factor[c] = gamma[c] / qn_sqrt(variance[c] + p->epsilon);
  for (int32_t r = 0; r < p->rows; r++) {
    const float *x = (const float *)in[0] + r * p->channels + first;
    float *y = out + r * p->channels + first;
    for (int32_t c = 0; c < count; c++) y[c] = (x[c] - mean[c]) * factor[c] + beta[c];
  }
}

/* y = (x - mean) * (gamma / sqrt(variance + epsilon)) + beta, per channel of the last dim. */
void qn_kernel_batch_norm_f32(const qn_batch_norm_f32_params *p, const void *const *in, void *out,
                              void *scratch) {
  (void)scratch;
  int32_t c = 0;
  for (; c + BLOCK <= p->channels; c += BLOCK) normalize_block(p, in, out, c, BLOCK);
  if (c < p->channels) normalize_block(p, in, out, c, p->channels - c);
}
