/* Convolution, depthwise convolution and matrix product against direct definitions, floats summed
 * in the promised order and so to the bit, over random shapes: every kind of padding, stride,
 * dilation, groups, multipliers, batch, per tensor and per channel, with and without bias, every
 * contract; inputs of 8 and 16 bits, sums of 32 and 64; real inputs whose scale is found, NaNs and
 * nothing but 0 among them. Buffers have exactly the sizes that the
 * kernels may touch, so that an address sanitizer sees any other access.
 *
 * Prints a checksum of all outputs: it must not depend on how the kernels were compiled. */
#include "fixed.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t state = 7;
static uint32_t checksum = 1;
static int cases, failures;

static int32_t pick(int32_t low, int32_t high) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return low + (int32_t)((state >> 33) % (uint64_t)(high - low + 1));
}

static void *allocate(int64_t count, int64_t size) {
  void *p = malloc((size_t)(count * size));
  if (!p) exit(2);
  return p;
}

static int8_t *random_i8(int64_t count) {
  int8_t *p = allocate(count, 1);
  for (int64_t i = 0; i < count; i++) p[i] = (int8_t)pick(-128, 127);
  return p;
}

static void *random_stored(int64_t count, int32_t wide) {
  int16_t *p = wide ? allocate(count, 2) : NULL;
  for (int64_t i = 0; wide && i < count; i++) p[i] = (int16_t)pick(-32768, 32767);
  return wide ? (void *)p : random_i8(count);
}

static float *random_f32(int64_t count) {
  float *p = allocate(count, sizeof(float));
  for (int64_t i = 0; i < count; i++) p[i] = (float)pick(-32768, 32767) / 32768.0f;
  return p;
}

static void digest(const void *data, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i++) checksum = checksum * 31 + ((const uint8_t *)data)[i];
}

static void fail(const char *kernel, int64_t index, double got, double want, const qn_window *g) {
  if (failures++ > 10) return;
  printf("%s[%lld]: got %g, want %g\n", kernel, (long long)index, got, want);
  if (g)
    printf("  [%d,%d,%d,%d] -> [%d,%d,%d], window %dx%d, stride %dx%d, dilation %dx%d, top %d, "
           "left %d, "
           "groups %d\n",
           g->batch, g->in_h, g->in_w, g->in_c, g->out_h, g->out_w, g->out_c, g->kernel_h,
           g->kernel_w, g->stride_h, g->stride_w, g->dilation_h, g->dilation_w, g->top, g->left,
           g->groups);
}

/* ------------------------------------------------------------------ windows */

/* Output sizes with at least one row and column; taps may lie outside on every side, and windows
 * wholly outside occur. */
static qn_window random_window(int depthwise) {
  qn_window g = {0};
  g.batch = pick(1, 2);
  g.in_h = pick(1, 7), g.in_w = pick(1, 9);
  g.kernel_h = pick(1, 4), g.kernel_w = pick(1, 4);
  g.stride_h = pick(1, 3), g.stride_w = pick(1, 3);
  g.dilation_h = pick(0, 3) ? 1 : pick(1, 3), g.dilation_w = pick(0, 3) ? 1 : pick(1, 3);
  g.top = pick(0, 3), g.left = pick(0, 3);
  g.out_h = pick(1, 5), g.out_w = pick(1, 5);
  g.groups = 1;
  if (depthwise) {
    g.in_c = pick(1, 40);
    g.out_c = g.in_c * (pick(0, 2) ? 1 : pick(1, 3));
  } else {
    g.groups = pick(0, 3) ? 1 : pick(1, 4);
    g.in_c = g.groups * pick(1, 20);
    g.out_c = g.groups * pick(1, 37);
  }
  return g;
}

/* Input channels that one output channel sees. */
static int32_t depth(const qn_window *g, int depthwise) {
  return depthwise ? 1 : g->in_c / g->groups;
}

/* The index of the input element that tap (ky, kx, i) of an output reads; -1: outside. And of its
 * weight. */
static int64_t input_of(const qn_window *g, int depthwise, int64_t y, int32_t ky, int32_t kx,
                        int32_t i, int64_t *weight) {
  int64_t o = y % g->out_c, ox = y / g->out_c % g->out_w, oy = y / g->out_c / g->out_w % g->out_h;
  int64_t n = y / g->out_c / g->out_w / g->out_h;
  int64_t iy = oy * g->stride_h - g->top + ky * g->dilation_h;
  int64_t ix = ox * g->stride_w - g->left + kx * g->dilation_w;
  int64_t c;
  if (depthwise) {
    c = o / (g->out_c / g->in_c);
    *weight = (ky * g->kernel_w + kx) * g->out_c + o;
  } else {
    int64_t in = g->in_c / g->groups;
    c = o / (g->out_c / g->groups) * in + i;
    *weight = ((o * g->kernel_h + ky) * g->kernel_w + kx) * in + i;
  }
  if (iy < 0 || iy >= g->in_h || ix < 0 || ix >= g->in_w) return -1;
  return ((n * g->in_h + iy) * g->in_w + ix) * g->in_c + c;
}

/* The sum of products of output y, exactly. */
static int64_t sum_window_int(const qn_window *g, int depthwise, const void *x, int32_t wide,
                              const int8_t *w, int32_t zero, int64_t y) {
  int64_t sum = 0, at, weight;
  for (int32_t ky = 0; ky < g->kernel_h; ky++)
    for (int32_t kx = 0; kx < g->kernel_w; kx++)
      for (int32_t i = 0; i < depth(g, depthwise); i++)
        if ((at = input_of(g, depthwise, y, ky, kx, i, &weight)) >= 0)
          sum += (qn_load(x, (int32_t)at, wide) - zero) * w[weight];
  return sum;
}

/* The same of floats, in the order that is promised: rows, columns, channels. */
static float sum_window_f32(const qn_window *g, int depthwise, const float *x, const float *w,
                            int64_t y) {
  float sum = 0;
  int64_t at, weight;
  for (int32_t ky = 0; ky < g->kernel_h; ky++)
    for (int32_t kx = 0; kx < g->kernel_w; kx++)
      for (int32_t i = 0; i < depth(g, depthwise); i++)
        if ((at = input_of(g, depthwise, y, ky, kx, i, &weight)) >= 0) sum += x[at] * w[weight];
  return sum;
}

/* Multiplier and shift of a real multiplier near `scale`, in the form that the contract wants. */
static void random_scale(int32_t contract, int32_t *mul, int8_t *shr) {
  *mul = pick(1 << 30, INT32_MAX);
  *shr = (int8_t)pick(4, 12);
  if (contract == QN_CONTRACT_mulhi) {
    *mul = pick(1 << 18, 1 << 28);
    *shr = (int8_t)-pick(0, 2);
  }
  if (contract == QN_CONTRACT_float)
    *mul = qn_bits_of_float((float)pick(1, 1 << 20) / (float)(1 << 28)), *shr = 0;
}

static qn_conv_i8_params random_params(int depthwise, int32_t wide) {
  int32_t most = wide ? 32767 : 127;
  qn_conv_i8_params p = {.g = random_window(depthwise),
                         .x_zero = wide ? 0 : pick(-128, 127),
                         .y_zero = wide ? 0 : pick(-128, 127),
                         .low = -most - 1,
                         .high = most,
                         .contract = pick(0, QN_CONTRACT_COUNT - 1),
                         .per_channel = pick(0, 1)};
  p.long_sums = wide && pick(0, 1);
  p.y_c = p.g.out_c;
  if (pick(0, 1)) p.low = p.y_zero;
  return p;
}

/* Stored result o of a sum without bias; mul and shr are the channel's. */
static int64_t store_sum(const qn_conv_i8_params *p, int64_t sum, int32_t mul, int32_t shr) {
  qn_contract contract = (qn_contract)p->contract;
  int64_t want = p->long_sums ? qn_requantize_long(sum, mul, shr, contract)
                              : qn_requantize((int32_t)(uint32_t)sum, mul, shr, contract);
  want += p->y_zero;
  return want < p->low ? p->low : want > p->high ? p->high : want;
}

static const void *behind(const void *operand, int64_t bytes) {
  return operand ? (const char *)operand + bytes : NULL;
}

static void run_int(const qn_conv_i8_params *p, int depthwise, int32_t wide, const void *const *in,
                    void *y, void *scratch) {
  if (depthwise)
    (wide ? qn_kernel_depthwise_i16 : qn_kernel_depthwise_i8)(p, in, y, NULL);
  else
    (wide ? qn_kernel_conv2d_i16 : qn_kernel_conv2d_i8)(p, in, y, scratch);
}

/* Channels first..first+n-1 of what p computes, into y. */
static void compute_part(const qn_conv_i8_params *p, int depthwise, int32_t wide,
                         const void *const *in, int32_t first, int32_t n, void *y, void *scratch) {
  qn_conv_i8_params part = *p;
  const qn_window *g = &p->g;
  int32_t k = g->kernel_h * g->kernel_w * depth(g, depthwise);
  int32_t scale = p->per_channel ? first : 0,
          x_first = depthwise ? first / (g->out_c / g->in_c) : 0;
  int8_t *w = allocate((int64_t)n * k, 1);
  for (int32_t i = 0; i < n * k; i++)
    w[i] = ((const int8_t *)in[1])[depthwise ? i / n * g->out_c + first + i % n : first * k + i];
  part.g.out_c = n;
  const void *of[5] = {behind(in[0], (int64_t)x_first * (1 + wide)), w,
                       behind(in[2], (int64_t)first * (p->long_sums ? 8 : 4)),
                       behind(in[3], (int64_t)scale * 4), behind(in[4], scale)};
  run_int(&part, depthwise, wide, of, (char *)y + (int64_t)first * (1 + wide), scratch);
  free(w);
}

/* The same in two parts: a channel is the same whatever else is computed. */
static void compute_parts(const qn_conv_i8_params *p, int depthwise, int32_t wide,
                          const void *const *in, const void *y, int64_t count, void *scratch) {
  int32_t step = depthwise ? p->g.out_c / p->g.in_c : 1, half = p->g.out_c / step / 2 * step;
  void *got = allocate(count, 1 + wide);
  if (half) compute_part(p, depthwise, wide, in, 0, half, got, scratch);
  compute_part(p, depthwise, wide, in, half, p->g.out_c - half, got, scratch);
  for (int64_t i = 0; i < count; i++) {
    int32_t one = qn_load(got, (int32_t)i, wide), all = qn_load(y, (int32_t)i, wide);
    if (one != all) fail("parts", i, one, all, &p->g);
  }
  free(got);
}

static void window_int(int depthwise, int32_t wide) {
  qn_conv_i8_params p = random_params(depthwise, wide);
  const qn_window *g = &p.g;
  int64_t count = (int64_t)g->batch * g->out_h * g->out_w * g->out_c;
  int32_t k = g->kernel_h * g->kernel_w * depth(g, depthwise);
  int32_t scales = p.per_channel ? g->out_c : 1, has_bias = pick(0, 4) > 0;
  void *x = random_stored((int64_t)g->batch * g->in_h * g->in_w * g->in_c, wide);
  int8_t *w = random_i8((int64_t)g->out_c * k);
  void *y = allocate(count, 1 + wide);
  int32_t *b = allocate(g->out_c, sizeof(int32_t)), *mul = allocate(scales, sizeof(int32_t));
  int64_t *long_b = allocate(g->out_c, sizeof(int64_t));
  int8_t *shr = allocate(scales, 1);
  void *scratch = allocate(k, sizeof(int16_t));
  int32_t big = pick(0, 9) ? 1000000 : INT32_MAX - 1; /* big: sums wrap */
  for (int32_t i = 0; i < g->out_c; i++) {
    b[i] = pick(-(big / 2), big / 2) * 2;
    long_b[i] = (int64_t)b[i] * pick(1, 1000);
  }
  for (int32_t i = 0; i < scales; i++) random_scale(p.contract, &mul[i], &shr[i]);
  int needs_shr = p.contract != QN_CONTRACT_float && pick(0, 4) > 0;
  const void *bias = p.long_sums ? (void *)long_b : b;
  const void *in[5] = {x, w, has_bias ? bias : NULL, mul, needs_shr ? shr : NULL};
  run_int(&p, depthwise, wide, in, y, scratch);
  for (int64_t i = 0; i < count; i++) {
    int32_t o = (int32_t)(i % g->out_c), s = p.per_channel ? o : 0,
            got = qn_load(y, (int32_t)i, wide);
    int64_t sum = sum_window_int(g, depthwise, x, wide, w, p.x_zero, i);
    if (has_bias) sum += p.long_sums ? long_b[o] : b[o];
    int64_t want = store_sum(&p, sum, mul[s], needs_shr ? shr[s] : 0);
    if (got != want) fail(depthwise ? "depthwise" : "conv2d", i, got, (double)want, g);
  }
  if (depthwise || g->groups == 1) compute_parts(&p, depthwise, wide, in, y, count, scratch);
  digest(y, count * (1 + wide));
  cases++;
  free(x), free(w), free(y), free(b), free(long_b), free(mul), free(shr), free(scratch);
}

static void window_f32(int depthwise) {
  qn_conv_f32_params p = {random_window(depthwise), -INFINITY, INFINITY};
  const qn_window *g = &p.g;
  if (pick(0, 1)) p.low = 0, p.high = 6;
  int64_t count = (int64_t)g->batch * g->out_h * g->out_w * g->out_c;
  int32_t k = g->kernel_h * g->kernel_w * depth(g, depthwise), has_bias = pick(0, 4) > 0;
  float *x = random_f32((int64_t)g->batch * g->in_h * g->in_w * g->in_c);
  float *w = random_f32((int64_t)g->out_c * k), *b = random_f32(g->out_c);
  float *y = allocate(count, sizeof(float));
  void *scratch = allocate(k, sizeof(float));
  const void *in[3] = {x, w, has_bias ? b : NULL};
  if (depthwise)
    qn_kernel_depthwise_f32(&p, in, y, NULL);
  else
    qn_kernel_conv2d_f32(&p, in, y, scratch);
  for (int64_t i = 0; i < count; i++) {
    float want = sum_window_f32(g, depthwise, x, w, i);
    if (has_bias) want += b[i % g->out_c];
    want = fminf(fmaxf(want, p.low), p.high);
    if (y[i] != want)
      fail(depthwise ? "depthwise_f32" : "conv2d_f32", i, (double)y[i], (double)want, g);
  }
  digest(y, count * (int64_t)sizeof(float));
  cases++;
  free(x), free(w), free(b), free(y), free(scratch);
}

/* What dynamic.h says of all of x, in plain words; returns the zero point. */
static int32_t find_scale(const float *x, int64_t count, float *scale) {
  float low = 0, high = 0;
  for (int64_t i = 0; i < count; i++) {
    low = fminf(low, x[i]); /* of a number and a NaN the number */
    high = fmaxf(high, x[i]);
  }
  *scale = high / 255.0f - low / 255.0f;
  if (*scale < 0x1p-126f) *scale = 1;
  return (int32_t)fminf(roundf(-low / *scale), 255) - 128;
}

static void store_found(const float *x, int64_t count, float scale, int32_t zero, int8_t *stored) {
  for (int64_t i = 0; i < count; i++) {
    float at = isnan(x[i]) ? 0 : rintf(x[i] * (1.0f / scale));
    stored[i] = (int8_t)fminf(fmaxf(at + (float)zero, -128), 127);
  }
}

static void window_dynamic(int depthwise) {
  qn_conv_dynamic_params p = {random_window(depthwise), -INFINITY, INFINITY, pick(0, 1), 0.0123f};
  const qn_window *g = &p.g;
  if (pick(0, 1)) p.low = 0, p.high = 6;
  int64_t count = (int64_t)g->batch * g->out_h * g->out_w * g->out_c;
  int64_t x_count = (int64_t)g->batch * g->in_h * g->in_w * g->in_c;
  int32_t k = g->kernel_h * g->kernel_w * depth(g, depthwise), has_bias = pick(0, 4) > 0;
  float *x = random_f32(x_count), *b = random_f32(g->out_c), *scales = random_f32(g->out_c);
  int kind = pick(0, 9);
  for (int64_t i = 0; i < x_count && kind == 0; i++) x[i] = 0;
  if (kind == 1) x[pick(0, (int32_t)x_count - 1)] = NAN;
  int8_t *w = random_i8((int64_t)g->out_c * k), *stored = allocate(x_count, 1);
  float *y = allocate(count, sizeof(float)), scale;
  void *scratch = allocate(4 * g->out_c + (depthwise ? 0 : 2 * k) + x_count, 1);
  const void *in[4] = {x, w, has_bias ? b : NULL, p.per_channel ? scales : NULL};
  (depthwise ? qn_kernel_depthwise_dynamic : qn_kernel_conv2d_dynamic)(&p, in, y, scratch);
  int32_t zero = find_scale(x, x_count, &scale);
  store_found(x, x_count, scale, zero, stored);
  for (int64_t i = 0; i < count; i++) {
    int64_t o = i % g->out_c, sum = sum_window_int(g, depthwise, stored, 0, w, zero, i);
    float want = (float)sum * (scale * (p.per_channel ? scales[o] : p.w_scale));
    if (has_bias) want += b[o];
    want = fminf(fmaxf(want, p.low), p.high);
    if (y[i] != want) fail("dynamic", i, (double)y[i], (double)want, g);
  }
  digest(y, count * (int64_t)sizeof(float));
  cases++;
  free(x), free(w), free(b), free(y), free(scales), free(stored), free(scratch);
}

/* ------------------------------------------------------------------ matrices */

/* Indexes of a[t,m,k] and b[t,k,n], and the matrix's own output y = (t, m, n). */
static void factors_of(const qn_matmul_f32_params *p, int64_t y, int32_t k, int64_t *a,
                       int64_t *b) {
  int64_t n = y % p->n, m = y / p->n % p->m, t = y / p->n / p->m;
  *a = t * p->a_batch_stride + m * p->k + k;
  *b = t * p->b_batch_stride + (p->transpose_b ? n * p->k + k : (int64_t)k * p->n + n);
}

static qn_matmul_f32_params random_product(int64_t *a_count, int64_t *b_count) {
  qn_matmul_f32_params p = {.batch = pick(1, 3),
                            .m = pick(1, 6),
                            .n = pick(1, 40),
                            .k = pick(1, 40),
                            .transpose_b = pick(0, 1)};
  p.a_batch_stride = pick(0, 1) ? p.m * p.k : 0;
  p.b_batch_stride = pick(0, 1) ? p.k * p.n : 0;
  *a_count = (int64_t)p.m * p.k * (p.a_batch_stride ? p.batch : 1);
  *b_count = (int64_t)p.k * p.n * (p.b_batch_stride ? p.batch : 1);
  return p;
}

static void product_f32(void) {
  int64_t a_count, b_count;
  qn_matmul_f32_params p = random_product(&a_count, &b_count);
  int64_t count = (int64_t)p.batch * p.m * p.n;
  float *a = random_f32(a_count), *b = random_f32(b_count), *y = allocate(count, sizeof(float));
  const void *in[2] = {a, b};
  qn_kernel_matmul_f32(&p, in, y, NULL);
  for (int64_t i = 0; i < count; i++) {
    float want = 0;
    for (int32_t k = 0; k < p.k; k++) {
      int64_t ia, ib;
      factors_of(&p, i, k, &ia, &ib);
      want += a[ia] * b[ib];
    }
    if (y[i] != want) fail("matmul_f32", i, (double)y[i], (double)want, NULL);
  }
  digest(y, count * (int64_t)sizeof(float));
  cases++;
  free(a), free(b), free(y);
}

static void product_i8(void) {
  int64_t a_count, b_count;
  qn_matmul_f32_params f = random_product(&a_count, &b_count);
  qn_matmul_i8_params p = {f.batch,
                           f.m,
                           f.n,
                           f.k,
                           f.a_batch_stride,
                           f.b_batch_stride,
                           f.transpose_b,
                           pick(-128, 127),
                           pick(-128, 127),
                           pick(-128, 127),
                           pick(-128, 0),
                           pick(0, 127),
                           pick(0, QN_CONTRACT_COUNT - 1),
                           0,
                           0};
  int8_t shr;
  random_scale(p.contract, &p.mul, &shr);
  p.shr = shr;
  int64_t count = (int64_t)p.batch * p.m * p.n;
  int8_t *a = random_i8(a_count), *b = random_i8(b_count), *y = allocate(count, 1);
  void *scratch = allocate(p.k, sizeof(int16_t));
  const void *in[2] = {a, b};
  qn_kernel_matmul_i8(&p, in, y, scratch);
  for (int64_t i = 0; i < count; i++) {
    int32_t acc = 0;
    for (int32_t k = 0; k < p.k; k++) {
      int64_t ia, ib;
      factors_of(&f, i, k, &ia, &ib);
      acc += (a[ia] - p.a_zero) * (b[ib] - p.b_zero);
    }
    int32_t want = qn_requantize(acc, p.mul, p.shr, (qn_contract)p.contract) + p.y_zero;
    want = want < p.low ? p.low : want > p.high ? p.high : want;
    if (y[i] != want) fail("matmul_i8", i, y[i], want, NULL);
  }
  digest(y, count);
  cases++;
  free(a), free(b), free(y), free(scratch);
}

int main(void) {
  for (int i = 0; i < 400; i++) {
    for (int depthwise = 0; depthwise < 2; depthwise++) {
      window_int(depthwise, 0), window_int(depthwise, 1);
      window_f32(depthwise);
      window_dynamic(depthwise);
    }
    product_f32();
    product_i8();
  }
  printf("%d cases, %d failures, checksum %08x\n", cases, failures, checksum);
  return failures != 0;
}
