/* Average and maximum over windows. Taps outside the input do not count. A window with no tap
 * inside, which only an explicit padding can make, gives 0 as average (of stored values in int8 and
 * int16) and `low` as maximum. dilation_h and dilation_w are 1. */
#include "fixed.h"
#include "real.h"

/* The taps of one result pixel that are inside the input: rows y0..y1-1, columns x0..x1-1, and the
 * element of the input where image n starts. */
typedef struct {
  int32_t image, y0, y1, x0, x1;
} view;

QN_INLINE int32_t count_pixels(const qn_window *g) { return g->batch * g->out_h * g->out_w; }

QN_INLINE view view_of(const qn_window *g, int32_t pixel) {
  int32_t oy = pixel / g->out_w % g->out_h, ox = pixel % g->out_w;
  int32_t y = oy * g->stride_h - g->top, x = ox * g->stride_w - g->left;
  view v = {pixel / (g->out_w * g->out_h) * (g->in_h * g->in_w * g->in_c), qn_clamp(y, 0, g->in_h),
            qn_clamp(y + g->kernel_h, 0, g->in_h), qn_clamp(x, 0, g->in_w),
            qn_clamp(x + g->kernel_w, 0, g->in_w)};
  return v;
}

QN_INLINE int32_t tap_of(const qn_window *g, const view *v, int32_t y, int32_t x) {
  return v->image + (y * g->in_w + x) * g->in_c;
}

/* ------------------------------------------------------------------ average */

/* y = sum of the taps, in order of rows and columns, / their number, clamped. */
void qn_kernel_avg_pool_f32(const qn_pool_f32_params *p, const void *const *in, void *out,
                            void *scratch) {
  (void)scratch;
  const qn_window *g = &p->g;
  float *y = out;
  for (int32_t pixel = 0; pixel < count_pixels(g); pixel++, y += g->in_c) {
    view v = view_of(g, pixel);
    for (int32_t c = 0; c < g->in_c; c++) y[c] = 0;
    for (int32_t iy = v.y0; iy < v.y1; iy++)
      for (int32_t ix = v.x0; ix < v.x1; ix++) {
        const float *tap = (const float *)in[0] + tap_of(g, &v, iy, ix);
        for (int32_t c = 0; c < g->in_c; c++) y[c] += tap[c];
      }
    float count = (float)qn_max((v.y1 - v.y0) * (v.x1 - v.x0), 1);
    for (int32_t c = 0; c < g->in_c; c++) y[c] = qn_clamp_f32(y[c] / count, p->low, p->high);
  }
}

/* sum / count to nearest, ties away from zero, clamped. */
QN_INLINE void divide(const qn_pool_i8_params *p, const int32_t *sum, int32_t count, void *y,
                      int32_t wide) {
  for (int32_t c = 0; c < p->g.in_c; c++) {
    int32_t half = sum[c] > 0 ? count / 2 : -(count / 2);
    qn_save(y, c, wide, qn_clamp((sum[c] + half) / count, p->low, p->high));
  }
}

/* TFLite's AveragePool (reference/integer_ops/pooling.h), under every contract.
 * scratch: in_c int32, the sums. */
QN_INLINE void avg_pool_int(const qn_pool_i8_params *p, const void *in, void *out, int32_t *sum,
                            int32_t wide) {
  const qn_window *g = &p->g;
  for (int32_t pixel = 0; pixel < count_pixels(g); pixel++) {
    void *y = qn_into(out, pixel * g->in_c, wide);
    view v = view_of(g, pixel);
    for (int32_t c = 0; c < g->in_c; c++) sum[c] = 0;
    for (int32_t iy = v.y0; iy < v.y1; iy++)
      for (int32_t ix = v.x0; ix < v.x1; ix++) {
        const void *tap = qn_from(in, tap_of(g, &v, iy, ix), wide);
        for (int32_t c = 0; c < g->in_c; c++) sum[c] += qn_load(tap, c, wide);
      }
    int32_t rows = v.y1 - v.y0, columns = v.x1 - v.x0;
    if (rows == g->kernel_h && columns == g->kernel_w)
      divide(p, sum, g->kernel_h * g->kernel_w, y, wide); /* by a constant: a multiplication */
    else
      divide(p, sum, qn_max(rows * columns, 1), y, wide);
  }
}

void qn_kernel_avg_pool_i8(const qn_pool_i8_params *p, const void *const *in, void *out,
                           void *scratch) {
  avg_pool_int(p, in[0], out, scratch, 0);
}

void qn_kernel_avg_pool_i16(const qn_pool_i8_params *p, const void *const *in, void *out,
                            void *scratch) {
  avg_pool_int(p, in[0], out, scratch, 1);
}

/* ------------------------------------------------------------------ maximum */

/* y = the largest tap, clamped; a NaN is never the larger one. */
void qn_kernel_max_pool_f32(const qn_pool_f32_params *p, const void *const *in, void *out,
                            void *scratch) {
  (void)scratch;
  const qn_window *g = &p->g;
  float *y = out;
  for (int32_t pixel = 0; pixel < count_pixels(g); pixel++, y += g->in_c) {
    view v = view_of(g, pixel);
    for (int32_t c = 0; c < g->in_c; c++) y[c] = p->low;
    for (int32_t iy = v.y0; iy < v.y1; iy++)
      for (int32_t ix = v.x0; ix < v.x1; ix++) {
        const float *tap = (const float *)in[0] + tap_of(g, &v, iy, ix);
        for (int32_t c = 0; c < g->in_c; c++) y[c] = tap[c] > y[c] ? tap[c] : y[c];
      }
    for (int32_t c = 0; c < g->in_c; c++) y[c] = y[c] < p->high ? y[c] : p->high;
  }
}

/* The same of stored values: TFLite's MaxPool (reference/integer_ops/pooling.h). */
QN_INLINE void max_pool_int(const qn_pool_i8_params *p, const void *in, void *out, int32_t wide) {
  const qn_window *g = &p->g;
  for (int32_t pixel = 0; pixel < count_pixels(g); pixel++) {
    void *y = qn_into(out, pixel * g->in_c, wide);
    view v = view_of(g, pixel);
    for (int32_t c = 0; c < g->in_c; c++) qn_save(y, c, wide, p->low);
    for (int32_t iy = v.y0; iy < v.y1; iy++)
      for (int32_t ix = v.x0; ix < v.x1; ix++) {
        const void *tap = qn_from(in, tap_of(g, &v, iy, ix), wide);
        for (int32_t c = 0; c < g->in_c; c++)
          qn_save(y, c, wide, qn_max(qn_load(tap, c, wide), qn_load(y, c, wide)));
      }
    for (int32_t c = 0; c < g->in_c; c++) qn_save(y, c, wide, qn_min(qn_load(y, c, wide), p->high));
  }
}

void qn_kernel_max_pool_i8(const qn_pool_i8_params *p, const void *const *in, void *out,
                           void *scratch) {
  (void)scratch;
  max_pool_int(p, in[0], out, 0);
}

void qn_kernel_max_pool_i16(const qn_pool_i8_params *p, const void *const *in, void *out,
                            void *scratch) {
  (void)scratch;
  max_pool_int(p, in[0], out, 1);
}
