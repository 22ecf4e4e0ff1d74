/* The int8 functions that TFLite computes in fixed point: softmax, and the tables of logistic,
 * tanh, hard_swish and leaky_relu. Their definition is TFLite's code, so what they must give stands
 * here as the CRC-32 of what TFLite Micro's reference kernels (90b983c2) gave for the same numbers.
 */
#include "selftest.h"
#include "../../passes/passes.h"
#include <math.h>
#include "check.h"

enum { TABLES = 200, ROWS = 300, MOST_COLUMNS = 40 };

static uint8_t results[TABLES * 256];

/* 2^low to 2^(high + 1), all bits of a float at random. */
static float pick_scale(int32_t low, int32_t high) {
  float mantissa = (float)pick(1 << 23, (1 << 24) - 1);
  return ldexpf(mantissa, pick(low, high) - 23);
}

static bool tabulate(qn_opcode code, qn_quant x, qn_quant y, float alpha, int8_t *out) {
  qn_op op = {.code = code};
  if (code == QN_OP_leaky_relu) op.a.leaky_relu.alpha = alpha;
  return qn_lookup_table(&op, &x, &y, QN_CONTRACT_tflite, out);
}

/* The result's scale is up to 2^6 times finer than x's and 2^3 times coarser. */
static void check_tables(const char *what, qn_opcode code, uint32_t want) {
  check_state = 11;
  for (int i = 0; i < TABLES; i++) {
    qn_quant x = {.on = true, .scale = pick_scale(-14, 3)}, y = {.on = true};
    x.zero = pick(-128, 127);
    y.scale = x.scale * pick_scale(-6, 2);
    y.zero = pick(-128, 127);
    float alpha = pick_real(-2, 2);
    if (code == QN_OP_logistic) y = (qn_quant){.on = true, .scale = 1.0f / 256, .zero = -128};
    if (code == QN_OP_tanh) y = (qn_quant){.on = true, .scale = 1.0f / 128};
    uint8_t *table = results + 256 * i;
    if (!tabulate(code, x, y, alpha, (int8_t *)table)) memset(table, 0, 256);
  }
  expect(what, 0, qn_crc32(results, TABLES * 256), want);
}

static void check_softmax(uint32_t want) {
  check_state = 11;
  memset(results, 0, sizeof results);
  for (int i = 0; i < ROWS; i++) {
    qn_softmax_i8_params p = {.rows = 1, .columns = pick(1, MOST_COLUMNS)};
    int32_t low = pick(-128, 127), shr;
    double m = fmin((double)pick_scale(-12, 2) * 0x1p26, 0x1p31 - 1);
    expect("multiplier", i, qn_split_multiplier(m, QN_CONTRACT_tflite, &p.mul, &shr), true);
    p.left_shift = -shr;
    p.diff_min = -(int32_t)floor(31 * ldexp(1, 26 - p.left_shift));
    int8_t x[MOST_COLUMNS];
    for (int c = 0; c < p.columns; c++) x[c] = (int8_t)pick(low, 127);
    const void *in[] = {x};
    int32_t table[QN_SOFTMAX_TABLE];
    p.tabulate = i % 2;
    qn_kernel_softmax_i8(&p, in, results + i * MOST_COLUMNS, table);
  }
  expect("softmax", 0, qn_crc32(results, ROWS * MOST_COLUMNS), want);
}

/* n equal values: 1/n each, 256/n - 128 stored, at most 127. From 512 on that is 1/2 or less,
 * which TFLite does not compute any more (it stops) and counts as 0 here. */
static void check_equal_values(void) {
  static const int32_t counts[] = {1, 2, 4, 64, 256, 512, 600, 5000, 20000};
  static const int32_t stored[] = {127, 0, -64, -124, -127, -128, -128, -128, -128};
  static int8_t x[20000], y[20000];
  const void *in[] = {x};
  for (int i = 0; i < 9; i++) {
    qn_softmax_i8_params p = {1, counts[i], 1 << 30, 23, -248, 0};
    qn_kernel_softmax_i8(&p, in, y, NULL);
    expect("softmax of equal values", counts[i], y[counts[i] - 1], stored[i]);
  }
}

/* Any parameters: nothing is undefined. */
static void check_softmax_extremes(void) {
  static const int32_t odd[] = {0, 1, -1, 31, 32, INT32_MAX, INT32_MIN, 1 << 30, 22, -300};
  int8_t x[] = {5, 5, 0, -128}, y[4];
  const void *in[] = {x};
  for (int i = 0; i < 1000; i++) {
    qn_softmax_i8_params p = {1, 4, odd[i % 10], odd[i / 10 % 10], odd[i / 100], 0};
    qn_kernel_softmax_i8(&p, in, y, NULL);
    expect("softmax of equal values", i, y[0], y[1]);
  }
}

/* What TFLite does not represent has no table, so that the op stays float. */
static void check_refusals(void) {
  int8_t table[256];
  qn_quant x = {.on = true, .scale = 0.05f},
           probability = {.on = true, .scale = 1.0f / 256, .zero = -128};
  qn_quant other = {.on = true, .scale = 0.004f, .zero = -128},
           tiny = {.on = true, .scale = 0x1p-29f};
  qn_quant fine = {.on = true, .scale = 0.05f / 127}, off = {0};
  expect("logistic", 0, tabulate(QN_OP_logistic, x, probability, 0, table), true);
  expect("logistic: scale is not 1/256", 0, tabulate(QN_OP_logistic, x, other, 0, table), false);
  expect("tanh: zero is not 0", 0, tabulate(QN_OP_tanh, x, probability, 0, table), false);
  expect("logistic: scale below 2^-28", 0, tabulate(QN_OP_logistic, tiny, probability, 0, table),
         false);
  expect("hard_swish: result up to 128 times finer", 0,
         tabulate(QN_OP_hard_swish, x, fine, 0, table), true);
  fine.scale = 0.05f / 129;
  expect("hard_swish: finer still", 0, tabulate(QN_OP_hard_swish, x, fine, 0, table), false);
  expect("leaky_relu: alpha is infinite", 0, tabulate(QN_OP_leaky_relu, x, x, INFINITY, table),
         false);
  expect("not quantized", 0, tabulate(QN_OP_leaky_relu, x, off, 0, table), false);
  expect("relu has no table", 0, tabulate(QN_OP_relu, x, x, 0, table), false);
}

/* Contract float: the real function, to nearest even. leaky_relu with x = 2y and alpha = 1/4: above
 * 0 the stored value doubles, below it halves: -3 / 2 = -1.5 -> -2, -1 / 2 -> 0, -5 / 2 -> -2. */
static void check_float_tables(void) {
  int8_t table[256];
  qn_op op = {.code = QN_OP_leaky_relu};
  op.a.leaky_relu.alpha = 0.25f;
  qn_quant x = {.on = true, .scale = 0.5f, .zero = 10},
           y = {.on = true, .scale = 0.25f, .zero = 20};
  static const int32_t in[] = {10, 11, 13, 63, 64, 127, 9, 8, 7, 5, -128};
  static const int32_t out[] = {20, 22, 26, 126, 127, 127, 20, 19, 18, 18, -49};
  expect("float table", 0, qn_lookup_table(&op, &x, &y, QN_CONTRACT_float, table), true);
  for (int i = 0; i < 11; i++) expect("float leaky_relu", in[i], table[in[i] + 128], out[i]);
  op.code = QN_OP_tanh;
  y = (qn_quant){.on = true, .scale = 1.0f / 64, .zero = 1};
  expect("float table", 1, qn_lookup_table(&op, &x, &y, QN_CONTRACT_float, table), true);
  for (int32_t q = -128; q < 128; q++)
    expect("float tanh", q, table[q + 128], rint(tanh(0.5 * (q - 10)) * 64) + 1);
}

int main(void) {
  check_tables("logistic", QN_OP_logistic, 0x0C608857);
  check_tables("tanh", QN_OP_tanh, 0xECB10360);
  check_tables("hard_swish", QN_OP_hard_swish, 0xF1E62C01);
  check_tables("leaky_relu", QN_OP_leaky_relu, 0xC8D81059);
  check_softmax(0x4BE8D625);
  check_equal_values();
  check_softmax_extremes();
  check_refusals();
  check_float_tables();
  return finish("tflite kernels");
}
