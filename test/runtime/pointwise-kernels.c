/* Kernels that make one result of one element of each operand, against their definitions in exact
 * (64-bit or double) arithmetic: sums and products with broadcast under every contract, changes of
 * scale, quantize, dequantize, functions of one value, lookup, change of sign, batch normalization.
 */
#include "kernels.h"
#include <math.h>
#include "check.h"

/* ------------------------------------------------------------------ contracts, by definition */

static int64_t clamp(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}

/* floor(x / 2^bits), not by a shift. */
static int64_t floor_shift(int64_t x, int bits) {
  int64_t unit = (int64_t)1 << bits;
  return (x - (x % unit + unit) % unit) / unit;
}

static int64_t nearest_up(int64_t x, int bits) {
  return floor_shift(x + ((int64_t)1 << (bits - 1)), bits);
}

static int64_t nearest_away(int64_t x, int bits) {
  if (bits == 0) return x;
  return x < 0 ? -nearest_up(-x, bits) : nearest_up(x, bits);
}

/* x scaled: mul and shr as kernels.h has them. */
static int64_t scaled(int64_t x, int32_t mul, int32_t shr, int32_t contract) {
  float m;
  memcpy(&m, &mul, sizeof m);
  switch (contract) {
  case QN_CONTRACT_float: return (int64_t)rintf((float)x * m);
  case QN_CONTRACT_mulhi: return nearest_up(x * mul, 32 + shr);
  case QN_CONTRACT_single: return nearest_up(x * mul, 31 + shr);
  default:
    return nearest_away(nearest_up((shr < 0 ? x * ((int64_t)1 << -shr) : x) * mul, 31),
                        shr > 0 ? shr : 0);
  }
}

/* A factor of about 2^-(2..8), in the contract's form. */
static void pick_factor(int32_t contract, int32_t *mul, int32_t *shr) {
  *mul = pick(1 << 30, INT32_MAX);
  *shr = pick(2, 8);
  if (contract == QN_CONTRACT_mulhi) {
    *mul >>= *shr;
    *shr = pick(-1, 0);
  }
  if (contract == QN_CONTRACT_float) {
    float m = ldexpf(pick_real(0.5f, 1), -*shr);
    memcpy(mul, &m, sizeof m);
  }
}

/* ------------------------------------------------------------------ two operands */

static int32_t count_of(const qn_broadcast *w) {
  int32_t count = 1;
  for (int d = 0; d < QN_KERNEL_RANK; d++) count *= w->dim[d];
  return count;
}

/* Both operands dense, except for dims that repeat. Sizes are those of the operands. */
static qn_broadcast pick_walk(int32_t *a_size, int32_t *b_size) {
  qn_broadcast w;
  *a_size = *b_size = 1;
  for (int d = QN_KERNEL_RANK - 1; d >= 0; d--) {
    w.dim[d] = d == QN_KERNEL_RANK - 1 ? pick(1, 40) : pick(0, 2) ? 1 : pick(1, 3);
    int repeat = pick(0, 4);
    w.a_stride[d] = repeat == 0 ? 0 : *a_size;
    w.b_stride[d] = repeat == 1 ? 0 : *b_size;
    if (repeat != 0) *a_size *= w.dim[d];
    if (repeat != 1) *b_size *= w.dim[d];
  }
  return w;
}

/* Where element i of the result finds its operands. */
static void find(const qn_broadcast *w, int32_t i, int32_t *a, int32_t *b) {
  *a = *b = 0;
  for (int d = QN_KERNEL_RANK - 1; d >= 0; d--) {
    *a += i % w->dim[d] * w->a_stride[d];
    *b += i % w->dim[d] * w->b_stride[d];
    i /= w->dim[d];
  }
}

static void check_binary(void) {
  int32_t a_size, b_size, at, bt;
  qn_binary_f32_params p = {.walk = pick_walk(&a_size, &b_size), .op = pick(QN_ADD, QN_MUL)};
  p.low = pick(0, 1) ? -INFINITY : -1;
  p.high = pick(0, 1) ? INFINITY : 1;
  int32_t count = count_of(&p.walk);
  float *a = reals_of((size_t)a_size, -2, 2), *b = reals_of((size_t)b_size, -2, 2);
  float *y = buffer((size_t)count * sizeof *y);
  const void *in[] = {a, b};
  qn_kernel_binary_f32(&p, in, y, NULL);
  for (int32_t i = 0; i < count; i++) {
    find(&p.walk, i, &at, &bt);
    float want = p.op == QN_ADD ? a[at] + b[bt] : p.op == QN_SUB ? a[at] - b[bt] : a[at] * b[bt];
    expect("binary_f32", i, (double)y[i], fmin(fmax((double)want, (double)p.low), (double)p.high));
  }
  free(a), free(b), free(y);
}

static void check_add(int32_t contract) {
  int32_t a_size, b_size, at, bt;
  qn_add_i8_params p = {.walk = pick_walk(&a_size, &b_size), .op = pick(QN_ADD, QN_SUB)};
  p.a_zero = pick(-128, 127), p.b_zero = pick(-128, 127), p.y_zero = pick(-128, 127);
  p.low = pick(-128, 0), p.high = pick(0, 127);
  p.contract = contract;
  p.left_shift = 18;
  for (int i = 0; i < 3; i++) pick_factor(contract, &p.mul[i], &p.shr[i]);
  if (contract == QN_CONTRACT_mulhi)
    p.mul[2] >>= 8; /* 2^18 more than the operands are */
  else
    p.shr[2] += 8;
  for (int i = 0; i < 2; i++) p.scale[i] = pick_real(0, 1.5f);
  int32_t count = count_of(&p.walk);
  int8_t *a = bytes_of((size_t)a_size), *b = bytes_of((size_t)b_size), *y = buffer((size_t)count);
  const void *in[] = {a, b};
  qn_kernel_add_i8(&p, in, y, NULL);
  for (int32_t i = 0; i < count; i++) {
    find(&p.walk, i, &at, &bt);
    int32_t x = a[at] - p.a_zero, z = b[bt] - p.b_zero, sign = p.op == QN_ADD ? 1 : -1;
    int64_t want;
    if (contract == QN_CONTRACT_float) {
      float xs = (float)x * p.scale[0], zs = (float)z * p.scale[1];
      want = (int64_t)rintf(xs + (float)sign * zs);
    } else {
      int64_t unit = 1 << 18;
      want = scaled(x * unit, p.mul[0], p.shr[0], contract) +
             sign * scaled(z * unit, p.mul[1], p.shr[1], contract);
      want = scaled(want, p.mul[2], p.shr[2], contract);
    }
    expect("add_i8", i, y[i], (double)clamp(want + p.y_zero, p.low, p.high));
  }
  free(a), free(b), free(y);
}

static void check_mul(int32_t contract) {
  int32_t a_size, b_size, at, bt;
  qn_mul_i8_params p = {.walk = pick_walk(&a_size, &b_size), .contract = contract};
  p.a_zero = pick(-128, 127), p.b_zero = pick(-128, 127), p.y_zero = pick(-128, 127);
  p.low = pick(-128, 0), p.high = pick(0, 127);
  pick_factor(contract, &p.mul, &p.shr);
  int32_t count = count_of(&p.walk);
  int8_t *a = bytes_of((size_t)a_size), *b = bytes_of((size_t)b_size), *y = buffer((size_t)count);
  const void *in[] = {a, b};
  qn_kernel_mul_i8(&p, in, y, NULL);
  for (int32_t i = 0; i < count; i++) {
    find(&p.walk, i, &at, &bt);
    int64_t product = (a[at] - p.a_zero) * (b[bt] - p.b_zero);
    int64_t want = scaled(product, p.mul, p.shr, contract) + p.y_zero;
    expect("mul_i8", i, y[i], (double)clamp(want, p.low, p.high));
  }
  free(a), free(b), free(y);
}

/* ------------------------------------------------------------------ scales */

static void check_requantize(int32_t contract) {
  qn_requantize_i8_params p = {.count = 256, .contract = contract};
  p.x_zero = pick(-128, 127), p.y_zero = pick(-128, 127);
  p.low = pick(-128, 0), p.high = pick(0, 127);
  pick_factor(contract, &p.mul, &p.shr);
  if (contract != QN_CONTRACT_mulhi) p.shr -= pick(0, 8);
  int8_t x[256];
  for (int i = 0; i < 256; i++) x[i] = (int8_t)(i - 128);
  const void *in[] = {x};
  int8_t *y = buffer(256);
  qn_kernel_requantize_i8(&p, in, y, NULL);
  for (int i = 0; i < 256; i++) {
    int64_t want = scaled(x[i] - p.x_zero, p.mul, p.shr, contract) + p.y_zero;
    expect("requantize_i8", i, y[i], (double)clamp(want, p.low, p.high));
  }
  free(y);
}

/* An element of the stored type, as a number. */
static int64_t stored(const qn_quantize_params *p, const uint8_t *y, int32_t i) {
  int64_t value = 0;
  memcpy(&value, y + i * p->elem_bytes, (size_t)p->elem_bytes);
  int64_t bound = (int64_t)1 << (p->elem_bytes == 8 ? 62 : 8 * p->elem_bytes - 1);
  return p->is_signed && p->elem_bytes < 8 && value >= bound ? value - 2 * bound : value;
}

static qn_quantize_params pick_quantize(void) {
  static const int32_t sizes[] = {1, 1, 2, 4, 8};
  qn_quantize_params p = {.outer = pick(1, 3), .channels = pick(1, 5), .inner = pick(1, 4)};
  p.elem_bytes = sizes[pick(0, 4)];
  p.is_signed = p.elem_bytes == 1 ? pick(0, 1) : 1;
  p.per_channel = pick(0, 1);
  p.zero = p.per_channel ? 0 : p.is_signed ? pick(-128, 127) : pick(0, 255);
  p.scale = pick_real(0.001f, 2);
  return p;
}

/* Halves and their neighbours, what no integer holds, and what no number is. */
static void spice(float *x, int32_t count, float scale) {
  static const float odd[] = {0.5f,        -0.5f,      1.5f,           -2.5f, 126.5f,
                              0.49999997f, 8388609.0f, -2147483648.0f, 3e9f,  -3e9f,
                              1e30f,       INFINITY,   -INFINITY,      NAN};
  for (int32_t i = 0; i < count; i += 3) x[i] = odd[pick(0, 13)] * scale;
}

static void check_quantize(void) {
  qn_quantize_params p = pick_quantize();
  int32_t count = p.outer * p.channels * p.inner;
  float *x = reals_of((size_t)count, -300, 300), *scales = reals_of((size_t)p.channels, 0.01f, 2);
  spice(x, count, p.scale);
  uint8_t *y = buffer((size_t)(count * p.elem_bytes));
  const void *in[] = {x, p.per_channel ? scales : NULL};
  qn_kernel_quantize(&p, in, y, NULL);
  int bits = p.elem_bytes > 4 ? 32 : 8 * p.elem_bytes;
  double low = p.is_signed ? -ldexp(1, bits - 1) : 0;
  double high = ldexp(1, bits - (p.is_signed ? 1 : 0)) - 1;
  for (int32_t i = 0; i < count; i++) {
    float quotient = x[i] / (p.per_channel ? scales[i / p.inner % p.channels] : p.scale);
    double whole = isnan(quotient) ? 0 : round((double)quotient); /* ties away from 0 */
    whole = fmin(fmax(whole, -2147483648.0), 2147483647.0);
    expect("quantize", i, (double)stored(&p, y, i), fmin(fmax(whole + p.zero, low), high));
  }
  free(x), free(scales), free(y);
}

static void check_dequantize(void) {
  qn_quantize_params p = pick_quantize();
  int32_t count = p.outer * p.channels * p.inner;
  uint8_t *x = (uint8_t *)bytes_of((size_t)(count * p.elem_bytes));
  if (p.elem_bytes > 2) /* small enough that a float holds the difference */
    for (int32_t i = 0; i < count; i++)
      memset(x + i * p.elem_bytes + 2, x[i * p.elem_bytes + 1] >> 7 ? 255 : 0,
             (size_t)p.elem_bytes - 2);
  if (p.elem_bytes == 8) p.is_signed = 1;
  float *scales = reals_of((size_t)p.channels, 0.01f, 2), *y = buffer((size_t)count * sizeof *y);
  const void *in[] = {x, p.per_channel ? scales : NULL};
  qn_kernel_dequantize(&p, in, y, NULL);
  for (int32_t i = 0; i < count; i++) {
    float scale = p.per_channel ? scales[i / p.inner % p.channels] : p.scale;
    double want = (double)scale * (double)(stored(&p, x, i) - p.zero);
    expect("dequantize", i, (double)y[i], (double)(float)want);
  }
  free(x), free(scales), free(y);
}

/* ------------------------------------------------------------------ one operand */

static double function_of(const qn_unary_f32_params *p, double x) {
  switch (p->op) {
  case QN_LOGISTIC: return 1 / (1 + exp(-x));
  case QN_TANH: return tanh(x);
  case QN_LEAKY_RELU: return x >= 0 ? x : (double)p->alpha * x;
  case QN_HARD_SWISH: return x * fmin(fmax(x + 3, 0), 6) / 6;
  default: return fmin(fmax(x, (double)p->low), (double)p->high);
  }
}

static void check_unary(void) {
  qn_unary_f32_params p = {.op = pick(QN_LOGISTIC, QN_HARD_SWISH), .count = 64, .alpha = -0.3f};
  p.low = -1;
  p.high = pick(0, 1) ? 2 : INFINITY;
  float *x = reals_of(64, -5, 5), *y = buffer(64 * sizeof *y);
  const void *in[] = {x};
  qn_kernel_unary_f32(&p, in, y, NULL);
  for (int i = 0; i < 64; i++) {
    double want = function_of(&p, (double)x[i]);
    expect("unary_f32", i, fabs((double)y[i] - want) <= 3e-7 * fabs(want) + 1e-7, 1);
  }
  free(x), free(y);
}

static void check_lookup(void) {
  qn_lookup_i8_params p = {256};
  int8_t *x = bytes_of(256), *table = bytes_of(256), *y = buffer(256);
  const void *in[] = {x, table};
  qn_kernel_lookup_i8(&p, in, y, NULL);
  for (int i = 0; i < 256; i++) expect("lookup_i8", i, y[i], table[x[i] + 128]);
  free(x), free(table), free(y);
}

static void check_flip_sign(void) {
  qn_flip_sign_params p = {256};
  int8_t *x = bytes_of(256), *y = buffer(256);
  const void *in[] = {x};
  qn_kernel_flip_sign(&p, in, y, NULL);
  for (int i = 0; i < 256; i++) expect("flip_sign", i, (uint8_t)y[i], x[i] + 128);
  free(x), free(y);
}

static void check_batch_norm(void) {
  qn_batch_norm_f32_params p = {.rows = pick(1, 5), .channels = pick(1, 40), .epsilon = 0.001f};
  size_t n = (size_t)p.channels;
  float *x = reals_of(n * (size_t)p.rows, -2, 2), *mean = reals_of(n, -1, 1);
  float *variance = reals_of(n, 0, 3), *gamma = reals_of(n, -2, 2), *beta = reals_of(n, -1, 1);
  const void *in[] = {x, mean, variance, gamma, beta};
  float *y = buffer(n * (size_t)p.rows * sizeof *y);
  qn_kernel_batch_norm_f32(&p, in, y, NULL);
  for (int i = 0; i < p.rows * p.channels; i++) {
    int c = i % p.channels;
    double deviation = sqrt((double)variance[c] + (double)p.epsilon);
    double want = (double)gamma[c] * ((double)x[i] - (double)mean[c]) / deviation + (double)beta[c];
    expect("batch_norm_f32", i, fabs((double)y[i] - want) < 1e-6 * (1 + fabs(want) + 6 / deviation),
           1);
  }
  free(x), free(mean), free(variance), free(gamma), free(beta), free(y);
}

int main(void) {
  for (int i = 0; i < 400; i++) {
    check_binary();
    for (int32_t contract = 0; contract < QN_CONTRACT_COUNT; contract++) {
      check_add(contract);
      check_mul(contract);
      check_requantize(contract);
    }
    check_quantize();
    check_dequantize();
    check_unary();
    check_lookup();
    check_flip_sign();
    check_batch_norm();
  }
  return finish("pointwise");
}
