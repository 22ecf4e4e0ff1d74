/* Kernels that make one result of many elements, against their definitions: pools over windows with
 * taps outside, means over any dims, softmax in float. Sums of floats have a fixed order, so the
 * results are the same however the kernels were compiled. */
#include "kernels.h"
#include <math.h>
#include "check.h"

static uint32_t checksum = 1;

static void digest(const void *data, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) checksum = checksum * 31 + ((const uint8_t *)data)[i];
}

/* ------------------------------------------------------------------ pools */

static qn_window pick_window(void) {
  qn_window g = {.batch = pick(1, 2), .groups = 1, .dilation_h = 1, .dilation_w = 1};
  g.in_h = pick(1, 8), g.in_w = pick(1, 8), g.in_c = g.out_c = pick(1, 40);
  g.kernel_h = pick(1, 4), g.kernel_w = pick(1, 4);
  g.stride_h = pick(1, 3), g.stride_w = pick(1, 3);
  g.top = pick(0, 4), g.left = pick(0, 4); /* 4: windows wholly outside */
  g.out_h = pick(1, 4), g.out_w = pick(1, 4);
  return g;
}

static int32_t in_count(const qn_window *g) { return g->batch * g->in_h * g->in_w * g->in_c; }
static int32_t out_count(const qn_window *g) { return g->batch * g->out_h * g->out_w * g->in_c; }

/* The elements of x under result i; returns how many. */
static int32_t taps_of(const qn_window *g, int32_t i, int32_t at[16]) {
  int32_t c = i % g->in_c, ox = i / g->in_c % g->out_w, oy = i / g->in_c / g->out_w % g->out_h;
  int32_t n = i / g->in_c / g->out_w / g->out_h, count = 0;
  for (int32_t ky = 0; ky < g->kernel_h; ky++)
    for (int32_t kx = 0; kx < g->kernel_w; kx++) {
      int32_t y = oy * g->stride_h - g->top + ky, x = ox * g->stride_w - g->left + kx;
      if (y >= 0 && y < g->in_h && x >= 0 && x < g->in_w)
        at[count++] = ((n * g->in_h + y) * g->in_w + x) * g->in_c + c;
    }
  return count;
}

static void check_pools_i8(void) {
  qn_pool_i8_params p = {.g = pick_window()};
  p.low = pick(-128, 0), p.high = pick(0, 127);
  size_t count = (size_t)out_count(&p.g);
  int8_t *x = bytes_of((size_t)in_count(&p.g)), *mean = buffer(count), *most = buffer(count);
  const void *in[] = {x};
  qn_kernel_avg_pool_i8(&p, in, mean, buffer((size_t)p.g.in_c * 4));
  qn_kernel_max_pool_i8(&p, in, most, NULL);
  for (int32_t i = 0; i < (int32_t)count; i++) {
    int32_t at[16], taps = taps_of(&p.g, i, at), largest = p.low;
    double sum = 0;
    for (int32_t k = 0; k < taps; k++) {
      sum += x[at[k]];
      if (x[at[k]] > largest) largest = x[at[k]];
    }
    double rounded = taps ? round(sum / taps) : 0; /* ties away from 0 */
    expect("avg_pool_i8", i, mean[i], fmin(fmax(rounded, p.low), p.high));
    expect("max_pool_i8", i, most[i], fmin(largest, p.high));
  }
  free(x), free(mean), free(most);
}

static void check_pools_f32(void) {
  qn_pool_f32_params p = {.g = pick_window(), .low = -INFINITY, .high = INFINITY};
  if (pick(0, 1)) p.low = -0.2f, p.high = 0.3f;
  size_t count = (size_t)out_count(&p.g), bytes = count * sizeof(float);
  float *x = reals_of((size_t)in_count(&p.g), -1, 1), *mean = buffer(bytes), *most = buffer(bytes);
  const void *in[] = {x};
  qn_kernel_avg_pool_f32(&p, in, mean, NULL);
  qn_kernel_max_pool_f32(&p, in, most, NULL);
  digest(mean, bytes);
  digest(most, bytes);
  for (int32_t i = 0; i < (int32_t)count; i++) {
    int32_t at[16], taps = taps_of(&p.g, i, at);
    float sum = 0, largest = p.low;
    for (int32_t k = 0; k < taps; k++) {
      sum += x[at[k]];
      largest = fmaxf(largest, x[at[k]]);
    }
    float quotient = taps ? sum / (float)taps : 0;
    expect("avg_pool_f32", i, (double)mean[i], (double)fminf(fmaxf(quotient, p.low), p.high));
    expect("max_pool_f32", i, (double)most[i], (double)fminf(largest, p.high));
  }
  free(x), free(mean), free(most);
}

/* ------------------------------------------------------------------ means */

/* A dense tensor, each dim of which is kept or summed; the unused dims stay 1. */
static qn_reduction pick_reduction(int32_t *size) {
  qn_reduction r;
  int keep = QN_KERNEL_RANK, sum = QN_KERNEL_RANK;
  for (int d = 0; d < QN_KERNEL_RANK; d++) {
    r.keep_dim[d] = r.sum_dim[d] = 1;
    r.keep_stride[d] = r.sum_stride[d] = 0;
  }
  *size = 1;
  for (int d = pick(1, 5); d > 0; d--) {
    int32_t dim = d == 1 ? pick(1, 40) : pick(1, 5);
    if (pick(0, 1)) {
      r.keep_dim[--keep] = dim;
      r.keep_stride[keep] = *size;
    } else {
      r.sum_dim[--sum] = dim;
      r.sum_stride[sum] = *size;
    }
    *size *= dim;
  }
  return r;
}

static int32_t product(const int32_t *dim) {
  int32_t n = 1;
  for (int d = 0; d < QN_KERNEL_RANK; d++) n *= dim[d];
  return n;
}

static int32_t offset_of(const int32_t *dim, const int32_t *stride, int32_t i) {
  int32_t offset = 0;
  for (int d = QN_KERNEL_RANK - 1; d >= 0; d--) {
    offset += i % dim[d] * stride[d];
    i /= dim[d];
  }
  return offset;
}

static void check_mean_f32(void) {
  int32_t size;
  qn_mean_f32_params p = {pick_reduction(&size)};
  int32_t kept = product(p.r.keep_dim), summed = product(p.r.sum_dim);
  float *x = reals_of((size_t)size, -1, 1), *y = buffer((size_t)kept * sizeof *y);
  const void *in[] = {x};
  qn_kernel_mean_f32(&p, in, y, NULL);
  digest(y, (size_t)kept * sizeof *y);
  for (int32_t i = 0; i < kept; i++) {
    float sum = 0;
    for (int32_t k = 0; k < summed; k++)
      sum += x[offset_of(p.r.keep_dim, p.r.keep_stride, i) +
               offset_of(p.r.sum_dim, p.r.sum_stride, k)];
    expect("mean_f32", i, (double)y[i], (double)(sum / (float)summed));
  }
  free(x), free(y);
}

/* Contract float, whose definition is short: round((sum - n*zero) * m) + zero. The others differ
 * in qn_requantize alone. */
static void check_mean_i8(void) {
  int32_t size;
  qn_mean_i8_params p = {.r = pick_reduction(&size), .contract = QN_CONTRACT_float};
  int32_t kept = product(p.r.keep_dim), summed = product(p.r.sum_dim);
  p.x_zero = pick(-128, 127), p.y_zero = pick(-128, 127);
  p.low = pick(-128, 0), p.high = pick(0, 127);
  float m = pick_real(0.1f, 2) / (float)summed;
  memcpy(&p.mul, &m, sizeof m);
  int8_t *x = bytes_of((size_t)size), *y = buffer((size_t)kept);
  const void *in[] = {x};
  qn_kernel_mean_i8(&p, in, y, NULL);
  for (int32_t i = 0; i < kept; i++) {
    int32_t sum = 0;
    for (int32_t k = 0; k < summed; k++)
      sum += x[offset_of(p.r.keep_dim, p.r.keep_stride, i) +
               offset_of(p.r.sum_dim, p.r.sum_stride, k)] -
             p.x_zero;
    expect("mean_i8", i, y[i],
           fmin(fmax((double)(rintf((float)sum * m) + (float)p.y_zero), p.low), p.high));
  }
  free(x), free(y);
}

/* ------------------------------------------------------------------ softmax */

static void check_softmax(void) {
  qn_softmax_f32_params p = {.rows = pick(1, 3)};
  p.columns = pick(1, 30);
  p.beta = pick(0, 1) ? 1 : 0.5f;
  size_t count = (size_t)(p.rows * p.columns);
  float shift = pick(0, 1) ? 0 : 1000; /* what is too large for exp, but not its differences */
  float *x = reals_of(count, -6 + shift, 6 + shift), *y = buffer(count * sizeof *y);
  const void *in[] = {x};
  qn_kernel_softmax_f32(&p, in, y, NULL);
  digest(y, count * sizeof *y);
  for (int32_t i = 0; i < (int32_t)count; i++) {
    const float *row = x + i / p.columns * p.columns;
    double sum = 0;
    for (int32_t c = 0; c < p.columns; c++)
      sum += exp((double)p.beta * ((double)row[c] - (double)x[i]));
    expect("softmax_f32", i, fabs((double)y[i] * sum - 1) < 1e-6, 1);
  }
  qn_kernel_softmax_f32(&p, in, x, NULL);
  expect("softmax_f32 in place", 0, memcmp(x, y, count * sizeof *y), 0);
  free(x), free(y);
}

int main(void) {
  for (int i = 0; i < 400; i++) {
    check_pools_i8();
    check_pools_f32();
    check_mean_f32();
    check_mean_i8();
    check_softmax();
  }
  printf("checksum %08x\n", checksum);
  return finish("reductions");
}
