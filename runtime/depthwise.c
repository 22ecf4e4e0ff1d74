/* Depthwise convolution: depthwise_f32, depthwise_i8, depthwise_i16, depthwise_dynamic.
 *
 *   y[n,oy,ox,c] = b[c] + sum over ky, kx of x[n, iy, ix, c / multiplier] * w[0,ky,kx,c]
 *   iy = oy*stride_h - top + ky*dilation_h, ix alike, multiplier = out_c / in_c
 *
 * Taps outside the input are left out. int8: x - x_zero in place of x, everything modulo 2^32, then
 * the contract (fixed.h), + y_zero, clamp. int16: the same, or all in int64 (long_sums). float:
 * products are summed tap by tap, row by row, then the bias, then the clamp. dynamic: as in conv.c.
 *
 * Channels are contiguous in input, weights and output, so a block of them is summed tap by tap in
 * local accumulators. Pixels whose window is all inside run with constant bounds. */
#include "blocks.h"
#include "dynamic.h"

/* Where an output pixel's window lies: input element of tap (0, 0), channel 0 (maybe outside), and
 * the taps that are inside. */
typedef struct {
  int32_t origin;
  qn_span rows, columns;
} window;

QN_INLINE window find_window(const qn_window *g, int32_t n, int32_t oy, int32_t ox) {
  int32_t iy = oy * g->stride_h - g->top, ix = ox * g->stride_w - g->left;
  window at = {((n * g->in_h + iy) * g->in_w + ix) * g->in_c,
               qn_taps_inside(iy, g->dilation_h, g->kernel_h, g->in_h),
               qn_taps_inside(ix, g->dilation_w, g->kernel_w, g->in_w)};
  return at;
}

QN_INLINE int32_t is_whole(const qn_window *g, const window *at) {
  return at->rows.from == 0 && at->rows.to == g->kernel_h && at->columns.from == 0 &&
         at->columns.to == g->kernel_w;
}

/* The same window, known to be whole. */
QN_INLINE window whole_window(const qn_window *g, int32_t origin) {
  window at = {origin, {0, g->kernel_h}, {0, g->kernel_w}};
  return at;
}

QN_INLINE int32_t tap_offset(const qn_window *g, int32_t ky, int32_t kx) {
  return (ky * g->dilation_h * g->in_w + kx * g->dilation_w) * g->in_c;
}

/* One channel of a pixel in int64. */
QN_INLINE void channel_long(const qn_conv_i8_params *p, const void *const *in, window at,
                            int32_t channel, void *y) {
  const qn_window *g = &p->g;
  const int8_t *w = in[1];
  int32_t x_channel = channel / (p->y_c / g->in_c);
  int64_t acc = 0;
  for (int32_t ky = at.rows.from; ky < at.rows.to; ky++)
    for (int32_t kx = at.columns.from; kx < at.columns.to; kx++) {
      int32_t x = qn_load(in[0], at.origin + tap_offset(g, ky, kx) + x_channel, 1);
      acc += (x - p->x_zero) * (int32_t)w[(ky * g->kernel_w + kx) * g->out_c + channel];
    }
  qn_store_long(p, in, acc, channel, y);
}

/* acc[i] += the sum of channel first + i, modulo 2^32; `multiplier` channels read the same input.
 */
QN_INLINE void sum_channels(const qn_window *g, int32_t multiplier, int32_t zero, const void *x,
                            const int8_t *w, window at, int32_t first, int32_t count, uint32_t *acc,
                            int32_t wide) {
  for (int32_t ky = at.rows.from; ky < at.rows.to; ky++)
    for (int32_t kx = at.columns.from; kx < at.columns.to; kx++) {
      int32_t tap = at.origin + tap_offset(g, ky, kx);
      const int8_t *weight = w + (ky * g->kernel_w + kx) * g->out_c;
      for (int32_t i = 0; i < count; i++) {
        int32_t c = first + i;
        acc[i] += (uint32_t)((qn_load(x, tap + c / multiplier, wide) - zero) * (int32_t)weight[c]);
      }
    }
}

/* Channels first..first+count-1 of a pixel; count is at most QN_BLOCK. */
QN_INLINE void channels_int(const qn_conv_i8_params *p, const void *const *in, window at,
                            int32_t first, int32_t count, void *y, int32_t wide) {
  const int32_t *bias = in[2];
  uint32_t acc[QN_BLOCK];
  if (wide && p->long_sums) {
    for (int32_t i = 0; i < count; i++) channel_long(p, in, at, first + i, y);
    return;
  }
  for (int32_t i = 0; i < count; i++) acc[i] = bias ? (uint32_t)bias[first + i] : 0;
  sum_channels(&p->g, p->y_c / p->g.in_c, p->x_zero, in[0], in[1], at, first, count, acc, wide);
  qn_store_channels(p, in, acc, first, count, y, wide);
}

QN_INLINE void pixel_int(const qn_conv_i8_params *p, const void *const *in, window at, void *y,
                         int32_t wide) {
  int32_t whole = p->g.out_c / QN_BLOCK * QN_BLOCK;
  for (int32_t c = 0; c < whole; c += QN_BLOCK) channels_int(p, in, at, c, QN_BLOCK, y, wide);
  if (whole < p->g.out_c) channels_int(p, in, at, whole, p->g.out_c - whole, y, wide);
}

QN_INLINE void depthwise_int(const qn_conv_i8_params *p, const void *const *in, void *out,
                             int32_t wide) {
  const qn_window *g = &p->g;
  for (int32_t n = 0; n < g->batch; n++)
    for (int32_t oy = 0; oy < g->out_h; oy++)
      for (int32_t ox = 0; ox < g->out_w; ox++) {
        int32_t index = (n * g->out_h + oy) * g->out_w + ox;
        void *y = qn_into(out, index * p->y_c, wide);
        window at = find_window(g, n, oy, ox);
        if (is_whole(g, &at))
          pixel_int(p, in, whole_window(g, at.origin), y, wide);
        else
          pixel_int(p, in, at, y, wide);
      }
}

void qn_kernel_depthwise_i8(const qn_conv_i8_params *p, const void *const *in, void *out,
                            void *scratch) {
  (void)scratch;
  depthwise_int(p, in, out, 0);
}

void qn_kernel_depthwise_i16(const qn_conv_i8_params *p, const void *const *in, void *out,
                             void *scratch) {
  (void)scratch;
  depthwise_int(p, in, out, 1);
}

/* What all pixels have in common: the stored input with its zero point, the channels' units. */
typedef struct {
  const int8_t *x;
  int32_t zero;
  const float *units;
} found_input;

QN_INLINE void channels_dynamic(const qn_conv_dynamic_params *p, const void *const *in,
                                found_input from, window at, int32_t first, int32_t count,
                                float *y) {
  uint32_t acc[QN_BLOCK] = {0};
  const qn_window *g = &p->g;
  sum_channels(g, g->out_c / g->in_c, from.zero, from.x, in[1], at, first, count, acc, 0);
  for (int32_t i = 0; i < count; i++)
    y[first + i] = qn_real_sum(p, in, from.units, acc[i], first + i);
}

QN_INLINE void pixel_dynamic(const qn_conv_dynamic_params *p, const void *const *in,
                             found_input from, window at, float *y) {
  int32_t whole = p->g.out_c / QN_BLOCK * QN_BLOCK;
  for (int32_t c = 0; c < whole; c += QN_BLOCK) channels_dynamic(p, in, from, at, c, QN_BLOCK, y);
  if (whole < p->g.out_c) channels_dynamic(p, in, from, at, whole, p->g.out_c - whole, y);
}

/* scratch: out_c floats, then the stored input. */
void qn_kernel_depthwise_dynamic(const qn_conv_dynamic_params *p, const void *const *in, void *out,
                                 void *scratch) {
  const qn_window *g = &p->g;
  float *units = scratch, *y = out;
  int8_t *x = (int8_t *)(units + g->out_c);
  found_input from = {x, qn_quantize_now(p, in, x, units), units};
  for (int32_t n = 0; n < g->batch; n++)
    for (int32_t oy = 0; oy < g->out_h; oy++)
      for (int32_t ox = 0; ox < g->out_w; ox++, y += g->out_c) {
        window at = find_window(g, n, oy, ox);
        if (is_whole(g, &at))
          pixel_dynamic(p, in, from, whole_window(g, at.origin), y);
        else
          pixel_dynamic(p, in, from, at, y);
      }
}

QN_INLINE void channels_f32(const qn_conv_f32_params *p, const void *const *in, window at,
                            int32_t first, int32_t count, float *y, int32_t form) {
  const qn_window *g = &p->g;
  const float *x = in[0], *bias = in[2];
  int32_t multiplier = g->out_c / g->in_c;
  float acc[QN_BLOCK];
  for (int32_t i = 0; i < count; i++) acc[i] = 0;
  for (int32_t ky = at.rows.from; ky < at.rows.to; ky++)
    for (int32_t kx = at.columns.from; kx < at.columns.to; kx++) {
      int32_t tap = at.origin + tap_offset(g, ky, kx);
      int32_t weight = (ky * g->kernel_w + kx) * g->out_c;
      for (int32_t i = 0; i < count; i++) {
        int32_t c = first + i;
        acc[i] += x[tap + c / multiplier] * qn_float_in(in[1], weight + c, form);
      }
    }
  for (int32_t i = 0; i < count; i++)
    y[first + i] = qn_clamp_f32(bias ? acc[i] + bias[first + i] : acc[i], p->low, p->high);
}

QN_INLINE void pixel_f32(const qn_conv_f32_params *p, const void *const *in, window at, float *y,
                         int32_t form) {
  int32_t whole = p->g.out_c / QN_BLOCK * QN_BLOCK;
  for (int32_t c = 0; c < whole; c += QN_BLOCK) channels_f32(p, in, at, c, QN_BLOCK, y, form);
  if (whole < p->g.out_c) channels_f32(p, in, at, whole, p->g.out_c - whole, y, form);
}

QN_INLINE void depthwise_float(const qn_conv_f32_params *p, const void *const *in, void *out,
                               int32_t form) {
  const qn_window *g = &p->g;
  for (int32_t n = 0; n < g->batch; n++)
    for (int32_t oy = 0; oy < g->out_h; oy++)
      for (int32_t ox = 0; ox < g->out_w; ox++) {
        float *y = (float *)out + ((n * g->out_h + oy) * g->out_w + ox) * g->out_c;
        window at = find_window(g, n, oy, ox);
        if (is_whole(g, &at))
          pixel_f32(p, in, whole_window(g, at.origin), y, form);
        else
          pixel_f32(p, in, at, y, form);
      }
}

void qn_kernel_depthwise_f32(const qn_conv_f32_params *p, const void *const *in, void *out,
                             void *scratch) {
  (void)scratch;
  depthwise_float(p, in, out, QN_WHOLE);
}

void qn_kernel_depthwise_f16(const qn_conv_f32_params *p, const void *const *in, void *out,
                             void *scratch) {
  (void)scratch;
  depthwise_float(p, in, out, QN_HALF);
}

void qn_kernel_depthwise_bf16(const qn_conv_f32_params *p, const void *const *in, void *out,
                              void *scratch) {
  (void)scratch;
  depthwise_float(p, in, out, QN_BRAIN);
}
