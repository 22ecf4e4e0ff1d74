/* Codec range: what is coded, and with which chances. decode_range.c and codegen/encode_range.c
 * include this and define, each for itself,
 *
 *   coder                              the coder's state; before the inclusion
 *   code_bit(coder, estimate, bit)     one binary decision by its estimate, which adapts
 *   code_even(coder, count, x)         x < count, all equally likely; 1 <= count <= 2^16
 *   is_zero_row(tensor, row)           whether all weights of a row are 0
 *   find_peak(tensor, row)             the place of a row's first 127 or -127
 *
 * The first two take what the encoder codes and return it; a decoder ignores what it is given and
 * returns what it reads. So one text describes both: where the encoder reads image, it holds the
 * tensors, and where the decoder does, what it reads does not matter. is_zero_row and find_peak
 * are the encoder's; the decoder's may return anything.
 *
 * Stream: the sum, then one run of a range coder that holds tensors until the image is full.
 *   number      below 2^31: its bits, a tree of 5 decisions; then those below its highest one, even
 *   tensor      kind; then as code_tensor has it
 *   BYTES       each byte a tree of 8 decisions by its place in its element; only the two highest
 *               of an element are, the others are noise (of floats): even
 *   INTEGERS    int32, less slope/16 times the sum of the row of the latest weights with the same
 *               index: biases undo what weights do to inputs that are positive on average. The
 *               sign even, the rest as a number
 *   MULTIPLIERS the factor, then each mantissa below its highest bit, even
 *   WEIGHTS     by rows: whether all are 0; the peak; then for each weight a range by 5 decisions
 *               at edges that are multiples of the mean distance to expect, then even.
 *
 * The mean distance to the prediction, in 1/16, is that of the row so far (begun with the row
 * before, at a weight of 16) times the column's: the mean of its rows' quotients by the row's mean
 * (begun with 1, at a weight of 16). Edges lie so that the decisions are even for a normal
 * distribution, closer than it needs at its ends; each of 6 classes of means (and one for
 * transposed tensors) has estimates of its own, which learn the real distribution.
 *
 * An estimate is the chance, in 1/65536, that a bit is 1. It starts at 1/2 and moves by the n-th
 * bit by 1/(n + 1/2) of the way, from the 255th on by 1/255.5: the mean of what was seen, at first.
 * All of it carries over from tensor to tensor: networks are too small to learn it again. */
#ifndef QN_RANGE_MODEL_H
#define QN_RANGE_MODEL_H

#include <stdbool.h>
#include "codec.h"

#ifndef SMALL
#define SMALL /* decode.h's, of decoders */
#endif

enum {
  QN_RANGE_CLASSES = 7,
  QN_RANGE_EDGES = 32,
  QN_RANGE_COLUMNS = 1024, /* further columns share those */
  QN_RANGE_ONE = 4096,     /* a column like the others */
  QN_RANGE_PRIOR = 16,     /* weight of what is expected before the first row or column */
  QN_RANGE_SEEN = 256,     /* a row's statistics are halved at so many weights */
  QN_RANGE_MEAN = 30 * 16  /* of weights, to begin with */
};

typedef struct {
  uint16_t chance, count;
} qn_estimate;

typedef struct {
  qn_estimate bytes[2][256], numbers[2][32], zero[2];
  qn_estimate steps[QN_RANGE_CLASSES][QN_RANGE_EDGES];
  uint16_t column[QN_RANGE_COLUMNS];
  int8_t factor[QN_CODEC_PHASES][QN_CODEC_LAGS];
  uint32_t mean, seen_rows;
} qn_range_model;

typedef struct {
  uint8_t *at;
  uint32_t kind, rows, cols; /* not weights: cols elements of size rows */
  uint32_t transposed, peaks;
  uint32_t phase, lags, lag[QN_CODEC_LAGS];
  int32_t slope;   /* of integers: int16 */
  uint64_t factor; /* the encoder's, of multipliers */
  const uint32_t *mantissa;
} qn_range_tensor;

static uint32_t code_bit(coder *c, qn_estimate *e, uint32_t bit);
static uint32_t code_even(coder *c, uint32_t count, uint32_t x);
static bool is_zero_row(const qn_range_tensor *t, uint32_t row);
static uint32_t find_peak(const qn_range_tensor *t, uint32_t row);

static void start_model(qn_range_model *m) {
  qn_estimate *first = m->bytes[0], *end = m->steps[QN_RANGE_CLASSES - 1] + QN_RANGE_EDGES;
  for (qn_estimate *e = first; e < end; e++) *e = (qn_estimate){32768, 0};
  m->mean = QN_RANGE_MEAN;
}

/* e after bit. Stays within 1/2^9 of 0 and 1, where no decision costs nothing. */
static inline void adapt(qn_estimate *e, uint32_t bit) {
  uint32_t n = 2 * e->count + 3;
  if (bit)
    e->chance += (uint16_t)((65535 - 64 - e->chance) * 2 / n);
  else
    e->chance -= (uint16_t)((e->chance - 64) * 2 / n);
  if (e->count < 254) e->count++;
}

SMALL static uint32_t code_tree(coder *c, qn_estimate *tree, uint32_t bits, uint32_t x) {
  uint32_t node = 1;
  while (bits-- > 0) node = node << 1 | code_bit(c, &tree[node], x >> bits & 1);
  return node;
}

SMALL static uint32_t code_byte(coder *c, qn_estimate *tree, uint32_t x) {
  return code_tree(c, tree, 8, x) & 255;
}

/* x < 2^bits, all equally likely. */
SMALL static uint32_t code_plain(coder *c, uint32_t bits, uint32_t x) {
  if (bits <= 16) return code_even(c, (uint32_t)1 << bits, x);
  uint32_t high = code_even(c, (uint32_t)1 << (bits - 16), x >> 16);
  return high << 16 | code_even(c, 1 << 16, x & 0xFFFF);
}

SMALL static uint32_t code_number(coder *c, qn_estimate *tree, uint32_t x) {
  uint32_t bits = x ? 32 - (uint32_t)__builtin_clz(x) : 0;
  bits = code_tree(c, tree, 5, bits) & 31;
  if (bits <= 1) return bits;
  uint32_t high = (uint32_t)1 << (bits - 1);
  return high | code_plain(c, bits - 1, x & (high - 1));
}

/* ------------------------------------------------------------------ weights */

/* x, low <= x <= high, when the mean distance from 0 to expect is mean/16. */
static int32_t code_distance(coder *c, qn_estimate *tree, int32_t mean, int32_t low, int32_t high,
                             int32_t x) {
  /* in 1/16 of the mean: 15 quantiles of a normal distribution, and 8 edges beyond them */
  static const int8_t edges[QN_RANGE_EDGES] = {
      0, -127, -112, -97, -83, -70, -58, -48, -39, -31, -23, -18, -14, -10, -7,  -3,
      0, 3,    7,    10,  14,  18,  23,  31,  39,  48,  58,  70,  83,  97,  112, 127};
  uint32_t first = 0, end = QN_RANGE_EDGES;
  while (end - first > 1) {
    uint32_t middle = (first + end) / 2;
    int32_t edge = (edges[middle] * mean + 128) >> 8;
    if (edge <= low) {
      first = middle;
    } else if (edge > high) {
      end = middle;
    } else if (code_bit(c, &tree[middle], x >= edge)) {
      first = middle;
      low = edge;
    } else {
      end = middle;
      high = edge - 1;
    }
  }
  return low + (int32_t)code_even(c, (uint32_t)(high - low) + 1, (uint32_t)(x - low));
}

static int32_t predict(const qn_range_tensor *t, const int8_t *factor, uint32_t place) {
  int32_t sum = 16;
  for (uint32_t i = 0; i < t->lags; i++)
    if (t->lag[i] <= place) sum += factor[i] * (int8_t)t->at[place - t->lag[i]];
  sum >>= 5;
  return sum < -QN_CODEC_PEAK ? -QN_CODEC_PEAK : sum > QN_CODEC_PEAK ? QN_CODEC_PEAK : sum;
}

static uint32_t max_u32(uint32_t x, uint32_t y) { return x > y ? x : y; }

/* Takes a distance (in 1/16) into the column's mean quotient by the row's mean. */
static void learn_column(qn_range_model *m, uint16_t *column, uint32_t distance, uint32_t mean) {
  uint32_t quotient = distance * QN_RANGE_ONE / mean;
  if (quotient > 4 * QN_RANGE_ONE) quotient = 4 * QN_RANGE_ONE;
  *column +=
      (uint16_t)(((int32_t)quotient - *column) / (int32_t)(m->seen_rows + QN_RANGE_PRIOR + 1));
}

/* A row that is not all 0. */
static void code_row(coder *c, qn_range_model *m, const qn_range_tensor *t, uint32_t row) {
  uint32_t first = t->transposed ? row : row * t->cols, step = t->transposed ? t->rows : 1;
  uint32_t peak = t->cols;
  if (t->peaks) {
    peak = code_even(c, t->cols, find_peak(t, row));
    uint8_t *at = t->at + first + peak * step;
    *at = code_even(c, 2, *at >> 7) ? (uint8_t)-QN_CODEC_PEAK : QN_CODEC_PEAK;
  }
  uint32_t sum = m->mean * QN_RANGE_PRIOR, seen = QN_RANGE_PRIOR, phase = 0, left = t->phase;
  for (uint32_t k = 0, place = first; k < t->cols; k++, place += step, left--) {
    if (left == 0) {
      left = t->phase;
      phase++;
    }
    if (k == peak) continue;
    uint16_t *column = &m->column[k % QN_RANGE_COLUMNS];
    uint32_t row_mean = max_u32(sum / seen, 1);
    int32_t mean = (int32_t)max_u32(row_mean * *column / QN_RANGE_ONE, 1);
    int32_t class = QN_RANGE_CLASSES - 1;
    if (!t->transposed) {
      class = 29 - __builtin_clz((uint32_t)mean | 4); /* from 8, 16, 32, 64 and 128 on */
      if (class > QN_RANGE_CLASSES - 2) class = QN_RANGE_CLASSES - 2;
    }
    int32_t guess = predict(t, m->factor[phase], place);
    int32_t x = code_distance(c, m->steps[class], mean, -QN_CODEC_PEAK - guess,
                              QN_CODEC_PEAK - guess, (int8_t)t->at[place] - guess);
    t->at[place] = (uint8_t)(x + guess);
    uint32_t distance = 16 * (uint32_t)(x < 0 ? -x : x);
    learn_column(m, column, distance, row_mean);
    sum += distance;
    if (++seen == QN_RANGE_SEEN) {
      sum /= 2;
      seen /= 2;
    }
  }
  m->mean = sum / seen;
}

static void code_weights(coder *c, qn_range_model *m, const qn_range_tensor *t) {
  for (uint32_t i = 0; i < QN_RANGE_COLUMNS; i++) m->column[i] = QN_RANGE_ONE;
  m->seen_rows = 0;
  uint32_t step = t->transposed ? t->rows : 1, zero = 0;
  for (uint32_t row = 0; row < t->rows; row++) {
    zero = code_bit(c, &m->zero[zero], is_zero_row(t, row));
    if (!zero) {
      code_row(c, m, t, row);
      if (m->seen_rows < 255) m->seen_rows++;
    } else {
      uint8_t *at = t->at + (t->transposed ? row : row * t->cols);
      for (uint32_t k = 0; k < t->cols; k++) at[k * step] = 0;
    }
  }
}

/* ------------------------------------------------------------------ the other kinds */

static void code_bytes(coder *c, qn_range_model *m, const qn_range_tensor *t) {
  for (uint32_t i = 0; i < t->cols * t->rows; i++) {
    uint32_t from_top = t->rows - 1 - i % t->rows;
    t->at[i] = (uint8_t)(from_top < 2 ? code_byte(c, m->bytes[from_top], t->at[i])
                                      : code_even(c, 256, t->at[i]));
  }
}

static int32_t sum_row(const qn_range_tensor *t, uint32_t row) {
  const uint8_t *at = t->at + (t->transposed ? row : row * t->cols);
  int32_t sum = 0;
  for (uint32_t k = 0; k < t->cols; k++) sum += (int8_t)at[k * (t->transposed ? t->rows : 1)];
  return sum;
}

/* What the weights say of integer i. */
static uint32_t guess_integer(const qn_range_tensor *t, const qn_range_tensor *weights,
                              uint32_t i) {
  if (i >= weights->rows) return 0;
  return (uint32_t)((int32_t)((uint32_t)t->slope * (uint32_t)sum_row(weights, i)) >> 4);
}

static void code_integers(coder *c, qn_range_model *m, const qn_range_tensor *t,
                          const qn_range_tensor *weights) {
  for (uint32_t i = 0; i < t->cols; i++) {
    uint8_t *at = t->at + 4 * i;
    uint32_t guess = guess_integer(t, weights, i), x = qn_load_u32(at) - guess;
    uint32_t sign = code_even(c, 2, x >> 31);
    x = code_number(c, m->numbers[1], sign ? -x : x);
    qn_store_u32(at, guess + (sign ? -x : x));
  }
}

static void code_multipliers(coder *c, const qn_range_tensor *t) {
  uint64_t factor = t->factor;
  factor = (uint64_t)code_plain(c, 20, (uint32_t)(factor >> 20)) << 20;
  factor |= code_plain(c, 20, t->factor & 0xFFFFF);
  for (uint32_t i = 0; i < t->cols; i++) {
    uint32_t mantissa = code_plain(c, 23, t->mantissa ? t->mantissa[i] & 0x7FFFFF : 0) | 0x800000;
    qn_store_u32(t->at + 4 * i, qn_codec_multiplier(mantissa, factor));
  }
}

/* ------------------------------------------------------------------ a tensor */

SMALL static uint32_t code_field(coder *c, qn_range_model *m, uint32_t x) {
  return code_number(c, m->numbers[0], x);
}

/* Lags and factors; false when they are more than there is room for. */
static bool code_lags(coder *c, qn_range_model *m, qn_range_tensor *t) {
  t->lags = code_field(c, m, t->lags);
  if (t->lags == 0) t->phase = t->cols;
  if (t->lags == 0) return true;
  t->phase = code_field(c, m, t->phase);
  if (t->lags > QN_CODEC_LAGS || t->phase == 0 || (t->cols - 1) / t->phase >= QN_CODEC_PHASES)
    return false;
  for (uint32_t i = 0; i < t->lags; i++) t->lag[i] = code_field(c, m, t->lag[i]);
  for (uint32_t phase = 0; phase * t->phase < t->cols; phase++)
    for (uint32_t i = 0; i < t->lags; i++)
      m->factor[phase][i] = (int8_t)code_byte(c, m->bytes[0], (uint8_t)m->factor[phase][i]);
  return true;
}

/* What precedes a tensor's elements; false when it makes no sense. */
static bool code_head(coder *c, qn_range_model *m, qn_range_tensor *t) {
  t->kind = code_field(c, m, t->kind);
  t->cols = code_field(c, m, t->cols);
  if (t->kind == QN_CODED_INTEGERS || t->kind == QN_CODED_MULTIPLIERS)
    t->rows = 4;
  else
    t->rows = code_field(c, m, t->rows);
  if (t->kind > QN_CODED_BYTES || t->cols == 0) return false;
  if (t->kind == QN_CODED_INTEGERS) t->slope = (int16_t)code_plain(c, 16, t->slope & 0xFFFF);
  if (t->kind != QN_CODED_WEIGHTS) return true;
  t->transposed = code_even(c, 2, t->transposed);
  t->peaks = code_even(c, 2, t->peaks);
  return (!t->peaks || t->cols <= 1 << 16) && code_lags(c, m, t);
}

/* The tensor's elements, at t->at; `weights` are the latest ones. */
static void code_elements(coder *c, qn_range_model *m, const qn_range_tensor *t,
                          qn_range_tensor *weights) {
  switch (t->kind) {
  case QN_CODED_WEIGHTS:
    code_weights(c, m, t);
    *weights = *t;
    break;
  case QN_CODED_INTEGERS: code_integers(c, m, t, weights); break;
  case QN_CODED_MULTIPLIERS: code_multipliers(c, t); break;
  default: code_bytes(c, m, t);
  }
}

#endif
