/* Convolution over rows and columns: conv2d_f32, conv2d_i8, conv2d_i16, conv2d_dynamic; also dense
 * layers, as 1x1 windows.
 *
 *   y[n,oy,ox,o] = b[o] + sum over ky, kx, i of x[n, iy, ix, group*I + i] * w[o,ky,kx,i]
 *   iy = oy*stride_h - top + ky*dilation_h, ix alike, I = in_c / groups,
 *   group = o / (out_c / groups)
 *
 * where taps outside the input count as real 0. int8: x - x_zero in place of x, everything modulo
 * 2^32, then the contract (fixed.h), + y_zero, clamp. int16: the same, or all in int64 (long_sums).
 * float: products are summed in the order of the weights, then the bias, then the clamp; conv2d_f16
 * and conv2d_bf16 read weights of 16 bits. dynamic: x as int8 with the scale that dynamic.h finds
 * for all of it, sums as int8's, then times both scales, the bias and the clamp in float.
 *
 * Per output pixel and group the window's K = kernel_h*kernel_w*I inputs are gathered into a row in
 * scratch, in the order of the weights; each output channel is then the product of two contiguous
 * rows. The gathered row is used out_c / groups times. */
#include "blocks.h"
#include "dynamic.h"

/* An output pixel. */
typedef struct {
  int32_t n, y, x;
} pixel;

/* Elements that lie side by side both in the window and in the input: `count` elements that begin
 * at element `offset` of the input; only those of `inside` exist. */
typedef struct {
  int32_t count, offset;
  qn_span inside;
} run;

/* Taps of a window's row that make one run: all, unless something lies between them. */
QN_INLINE int32_t taps_per_run(const qn_window *g) {
  return g->groups == 1 && g->dilation_w == 1 ? g->kernel_w : 1;
}

QN_INLINE run find_run(const qn_window *g, pixel at, int32_t group, int32_t ky, int32_t kx) {
  int32_t channels = g->in_c / g->groups;
  int32_t iy = at.y * g->stride_h - g->top + ky * g->dilation_h;
  int32_t ix = at.x * g->stride_w - g->left + kx * g->dilation_w;
  qn_span taps = qn_taps_inside(ix, 1, taps_per_run(g), g->in_w);
  if (iy < 0 || iy >= g->in_h) taps.to = taps.from = 0;
  run r = {taps_per_run(g) * channels,
           ((at.n * g->in_h + iy) * g->in_w + ix) * g->in_c + group * channels,
           {taps.from * channels, taps.to * channels}};
  return r;
}

QN_INLINE void gather_int(const qn_window *g, int32_t zero, const void *x, pixel at, int32_t group,
                          int16_t *row, int32_t wide) {
  for (int32_t ky = 0; ky < g->kernel_h; ky++)
    for (int32_t kx = 0; kx < g->kernel_w; kx += taps_per_run(g)) {
      run r = find_run(g, at, group, ky, kx);
      if (r.inside.from == 0 && r.inside.to == r.count) { /* the count is a constant */
        for (int32_t k = 0; k < r.count; k++)
          row[k] = (int16_t)(qn_load(x, r.offset + k, wide) - zero);
      } else {
        for (int32_t k = 0; k < r.count; k++) row[k] = 0;
        for (int32_t k = r.inside.from; k < r.inside.to; k++)
          row[k] = (int16_t)(qn_load(x, r.offset + k, wide) - zero);
      }
      row += r.count;
    }
}

/* Output channels first..first+count-1 of a pixel; count is at most QN_BLOCK. */
QN_INLINE void channels_int(const qn_conv_i8_params *p, const void *const *in, const int16_t *row,
                            int32_t k_count, int32_t first, int32_t count, void *y, int32_t wide) {
  const int8_t *w = in[1];
  if (wide && p->long_sums) {
    for (int32_t c = first; c < first + count; c++)
      qn_store_long(p, in, qn_dot_long(row, w + c * k_count, k_count), c, y);
    return;
  }
  const int32_t *bias = in[2];
  uint32_t acc[QN_BLOCK];
  for (int32_t i = 0; i < count; i++) acc[i] = qn_dot_i8(row, w + (first + i) * k_count, k_count);
  if (bias)
    for (int32_t i = 0; i < count; i++) acc[i] += (uint32_t)bias[first + i];
  qn_store_channels(p, in, acc, first, count, y, wide);
}

QN_INLINE void pixel_int(const qn_conv_i8_params *p, const void *const *in, pixel at, void *y,
                         int16_t *row, int32_t wide) {
  const qn_window *g = &p->g;
  int32_t k_count = g->kernel_h * g->kernel_w * (g->in_c / g->groups);
  int32_t channels = g->out_c / g->groups, whole = channels / QN_BLOCK * QN_BLOCK;
  for (int32_t group = 0; group < g->groups; group++) {
    gather_int(g, p->x_zero, in[0], at, group, row, wide);
    int32_t first = group * channels;
    for (int32_t c = 0; c < whole; c += QN_BLOCK)
      channels_int(p, in, row, k_count, first + c, QN_BLOCK, y, wide);
    if (whole < channels)
      channels_int(p, in, row, k_count, first + whole, channels - whole, y, wide);
  }
}

/* scratch: K int16. */
QN_INLINE void conv2d_int(const qn_conv_i8_params *p, const void *const *in, void *out,
                          void *scratch, int32_t wide) {
  const qn_window *g = &p->g;
  pixel at;
  for (at.n = 0; at.n < g->batch; at.n++)
    for (at.y = 0; at.y < g->out_h; at.y++)
      for (at.x = 0; at.x < g->out_w; at.x++) {
        int32_t index = (at.n * g->out_h + at.y) * g->out_w + at.x;
        pixel_int(p, in, at, qn_into(out, index * p->y_c, wide), scratch, wide);
      }
}

void qn_kernel_conv2d_i8(const qn_conv_i8_params *p, const void *const *in, void *out,
                         void *scratch) {
  conv2d_int(p, in, out, scratch, 0);
}

void qn_kernel_conv2d_i16(const qn_conv_i8_params *p, const void *const *in, void *out,
                          void *scratch) {
  conv2d_int(p, in, out, scratch, 1);
}

/* One pixel's results from all groups' rows; x is stored. */
QN_INLINE void pixel_dynamic(const qn_conv_dynamic_params *p, const void *const *in,
                             const float *units, int32_t zero, const int8_t *x, pixel at, float *y,
                             int16_t *row) {
  const qn_window *g = &p->g;
  const int8_t *w = in[1];
  int32_t k_count = g->kernel_h * g->kernel_w * (g->in_c / g->groups);
  int32_t channels = g->out_c / g->groups;
  for (int32_t group = 0; group < g->groups; group++) {
    gather_int(g, zero, x, at, group, row, 0);
    for (int32_t c = group * channels; c < (group + 1) * channels; c++)
      y[c] = qn_real_sum(p, in, units, qn_dot_i8(row, w + c * k_count, k_count), c);
  }
}

/* scratch: out_c floats, K int16, the stored input. */
void qn_kernel_conv2d_dynamic(const qn_conv_dynamic_params *p, const void *const *in, void *out,
                              void *scratch) {
  const qn_window *g = &p->g;
  float *units = scratch;
  int16_t *row = (int16_t *)(units + g->out_c);
  int8_t *x = (int8_t *)(row + g->kernel_h * g->kernel_w * (g->in_c / g->groups));
  int32_t zero = qn_quantize_now(p, in, x, units);
  float *y = out;
  pixel at;
  for (at.n = 0; at.n < g->batch; at.n++)
    for (at.y = 0; at.y < g->out_h; at.y++)
      for (at.x = 0; at.x < g->out_w; at.x++, y += g->out_c)
        pixel_dynamic(p, in, units, zero, x, at, y, row);
}

QN_INLINE void gather_f32(const qn_window *g, const float *x, pixel at, int32_t group, float *row) {
  for (int32_t ky = 0; ky < g->kernel_h; ky++)
    for (int32_t kx = 0; kx < g->kernel_w; kx += taps_per_run(g)) {
      run r = find_run(g, at, group, ky, kx);
      for (int32_t k = 0; k < r.count; k++) row[k] = 0;
      for (int32_t k = r.inside.from; k < r.inside.to; k++) row[k] = x[r.offset + k];
      row += r.count;
    }
}

/* Output channels first..first+count-1 of a pixel; count is at most QN_DOTS. */
QN_INLINE void channels_f32(const qn_conv_f32_params *p, const void *const *in, const float *row,
                            int32_t k_count, int32_t first, int32_t count, float *y, int32_t form) {
  const float *bias = in[2];
  float sum[QN_DOTS];
  qn_dots_f32(row, in[1], first * k_count, k_count, count, form, sum);
  for (int32_t i = 0; i < count; i++)
    y[first + i] = qn_clamp_f32(bias ? sum[i] + bias[first + i] : sum[i], p->low, p->high);
}

QN_INLINE void pixel_f32(const qn_conv_f32_params *p, const void *const *in, pixel at, float *y,
                         float *row, int32_t form) {
  const qn_window *g = &p->g;
  int32_t k_count = g->kernel_h * g->kernel_w * (g->in_c / g->groups);
  int32_t channels = g->out_c / g->groups, whole = channels / QN_DOTS * QN_DOTS;
  for (int32_t group = 0; group < g->groups; group++) {
    gather_f32(g, in[0], at, group, row);
    int32_t first = group * channels;
    for (int32_t c = 0; c < whole; c += QN_DOTS)
      channels_f32(p, in, row, k_count, first + c, QN_DOTS, y, form);
    if (whole < channels)
      channels_f32(p, in, row, k_count, first + whole, channels - whole, y, form);
  }
}

/* scratch: K floats. */
QN_INLINE void conv2d_float(const qn_conv_f32_params *p, const void *const *in, void *out,
                            void *scratch, int32_t form) {
  const qn_window *g = &p->g;
  pixel at;
  for (at.n = 0; at.n < g->batch; at.n++)
    for (at.y = 0; at.y < g->out_h; at.y++)
      for (at.x = 0; at.x < g->out_w; at.x++) {
        int32_t index = (at.n * g->out_h + at.y) * g->out_w + at.x;
        pixel_f32(p, in, at, (float *)out + index * g->out_c, scratch, form);
      }
}

void qn_kernel_conv2d_f32(const qn_conv_f32_params *p, const void *const *in, void *out,
                          void *scratch) {
  conv2d_float(p, in, out, scratch, QN_WHOLE);
}

void qn_kernel_conv2d_f16(const qn_conv_f32_params *p, const void *const *in, void *out,
                          void *scratch) {
  conv2d_float(p, in, out, scratch, QN_HALF);
}

void qn_kernel_conv2d_bf16(const qn_conv_f32_params *p, const void *const *in, void *out,
                           void *scratch) {
  conv2d_float(p, in, out, scratch, QN_BRAIN);
}
