/* Codec range: what is coded, and with which chances. decode_range.c and codegen/encode_range.c
 * include this and define, each for itself,
 *
 *   coder                              the coder's state; before the inclusion
 *   code_bit(coder, estimate, bit)     one binary decision by its estimate, which adapts
 *   code_even(coder, count, x)         x < count, all equally likely; 1 <= count <= 2^16
 *   is_zero_row(matrix, row)           whether all weights of a row are 0
 *   find_peak(matrix, row)             the place of a row's first 127 or -127
 *
 * The first two take what the encoder codes and return it; a decoder ignores what it is given and
 * returns what it reads. So one text describes both: where the encoder reads image, it holds the
 * tensors, and where the decoder does, what it reads does not matter. is_zero_row and find_peak
 * are the encoder's; the decoder's may return anything.
 *
 * Stream: the sum, then one run of a range coder that holds tensors until the image is full.
 *   number      below 2^31: its bits, a tree of 5 decisions; then those below its highest one, even
 *   tensor      kind; then as code_head has it
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
  int8_t factor[QN_CODEC_PHASES * QN_CODEC_LAGS];
  uint32_t mean;
} qn_range_model;
_Static_assert(sizeof(qn_range_model) <= QN_SCRATCH_range, "codecs.def");

/* Fields of a tensor's head. ROWS counts the elements of tensors that are no weights and COLS is
 * their size; PHASE is 0 of weights that are not predicted; the slope is zigzag coded. */
enum {
  QN_RANGE_ROWS,
  QN_RANGE_COLS,
  QN_RANGE_TRANSPOSED,
  QN_RANGE_HAS_PEAKS,
  QN_RANGE_PHASE,
  QN_RANGE_LAG,
  QN_RANGE_FIELDS = QN_RANGE_LAG + QN_CODEC_LAGS,
  QN_RANGE_SLOPE = 2,            /* of integers */
  QN_RANGE_FACTOR = 2,           /* of multipliers: its upper 20 bits, then the lower */
  QN_RANGE_FIELD_COUNTS = 0x2439 /* a digit for each kind, the lowest one of weights */
};

typedef struct {
  uint8_t *at;
  uint32_t kind, field[QN_RANGE_FIELDS];
  const uint32_t *mantissa; /* the encoder's, of multipliers */
} qn_range_tensor;

/* Weights, as far as places go: weight k of row r is at  row_step*r + step*k. */
typedef struct {
  const uint8_t *at;
  uint32_t rows, cols, row_step, step;
} qn_range_matrix;

static uint32_t code_bit(coder *c, qn_estimate *e, uint32_t bit);
static uint32_t code_even(coder *c, uint32_t count, uint32_t x);
static bool is_zero_row(const qn_range_matrix *w, uint32_t row);
static uint32_t find_peak(const qn_range_matrix *w, uint32_t row);

static void start_model(qn_range_model *m) {
  qn_estimate *first = m->bytes[0], *end = m->steps[QN_RANGE_CLASSES - 1] + QN_RANGE_EDGES;
  for (qn_estimate *e = first; e < end; e++) {
    e->chance = 32768;
    e->count = 0;
  }
  m->mean = QN_RANGE_MEAN;
}

/* e after bit. Stays within 2^-10 of 0 and 1, where no decision costs nothing. */
static inline void adapt(qn_estimate *e, uint32_t bit) {
  int32_t target = bit ? 65536 - 64 : 64;
  e->chance = (uint16_t)(e->chance + (target - e->chance) * 2 / (2 * e->count + 3));
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
  for (uint32_t i = 0; i < QN_CODEC_LAGS; i++) {
    uint32_t lag = t->field[QN_RANGE_LAG + i];
    if (lag <= place) sum += factor[i] * (int8_t)t->at[place - lag];
  }
  sum >>= 5;
  return sum < -QN_CODEC_PEAK ? -QN_CODEC_PEAK : sum > QN_CODEC_PEAK ? QN_CODEC_PEAK : sum;
}

static uint32_t at_least_1(uint32_t x) { return x ? x : 1; }

/* A row that is not all 0, the seen_rows-th one. */
static void code_row(coder *c, qn_range_model *m, const qn_range_tensor *t,
                     const qn_range_matrix *w, uint32_t row, uint32_t seen_rows,
                     uint32_t features) {
  bool predicted = features & QN_RANGE_PREDICTED && t->field[QN_RANGE_PHASE];
  uint32_t place = row * w->row_step, peak = w->cols;
  if (features & QN_RANGE_PEAKS && t->field[QN_RANGE_HAS_PEAKS]) {
    peak = code_even(c, w->cols, find_peak(w, row));
    uint8_t *at = t->at + place + peak * w->step;
    *at = code_even(c, 2, *at >> 7) ? (uint8_t)-QN_CODEC_PEAK : QN_CODEC_PEAK;
  }
  uint32_t sum = m->mean * QN_RANGE_PRIOR, seen = QN_RANGE_PRIOR;
  for (uint32_t k = 0; k < w->cols; k++, place += w->step) {
    if (k == peak) continue;
    uint16_t *column = &m->column[k % QN_RANGE_COLUMNS];
    uint32_t row_mean = at_least_1(sum / seen);
    uint32_t mean = at_least_1(row_mean * *column / QN_RANGE_ONE);
    uint32_t class = 29 - (uint32_t)__builtin_clz(mean | 4); /* from 8, 16, 32, 64 and 128 on */
    if (class > QN_RANGE_CLASSES - 2) class = QN_RANGE_CLASSES - 2;
    if (features & QN_RANGE_DEPTHWISE && t->field[QN_RANGE_TRANSPOSED])
      class = QN_RANGE_CLASSES - 1;
    int32_t guess = 0;
    if (predicted)
      guess = predict(t, m->factor + k / t->field[QN_RANGE_PHASE] * QN_CODEC_LAGS, place);
    int32_t x = code_distance(c, m->steps[class], (int32_t)mean, -QN_CODEC_PEAK - guess,
                              QN_CODEC_PEAK - guess, (int8_t)t->at[place] - guess);
    t->at[place] = (uint8_t)(x + guess);
    uint32_t distance = 16 * (uint32_t)(x < 0 ? -x : x);
    uint32_t quotient = distance * QN_RANGE_ONE / row_mean;
    if (quotient > 4 * QN_RANGE_ONE) quotient = 4 * QN_RANGE_ONE;
    *column += (uint16_t)((int32_t)(quotient - *column) / (int32_t)(seen_rows + QN_RANGE_PRIOR));
    sum += distance;
    if (++seen == QN_RANGE_SEEN) {
      sum /= 2;
      seen /= 2;
    }
  }
  m->mean = sum / seen;
}

static void code_weights(coder *c, qn_range_model *m, const qn_range_tensor *t,
                         const qn_range_matrix *w, uint32_t features) {
  for (uint32_t i = 0; i < QN_RANGE_COLUMNS; i++) m->column[i] = QN_RANGE_ONE;
  uint32_t seen_rows = 1, zero = 0;
  for (uint32_t row = 0; row < w->rows; row++) {
    zero = code_bit(c, &m->zero[zero], is_zero_row(w, row));
    uint8_t *at = t->at + row * w->row_step;
    if (!zero) {
      code_row(c, m, t, w, row, seen_rows, features);
      if (seen_rows < QN_RANGE_SEEN) seen_rows++;
    } else {
      for (uint32_t k = 0; k < w->cols; k++) at[k * w->step] = 0;
    }
  }
}

/* ------------------------------------------------------------------ the other kinds */

static void code_bytes(coder *c, qn_range_model *m, const qn_range_tensor *t) {
  uint8_t *at = t->at;
  for (uint32_t n = t->field[QN_RANGE_ROWS]; n > 0; n--) {
    for (uint32_t from_top = t->field[QN_RANGE_COLS]; from_top-- > 0; at++)
      *at =
          (uint8_t)(from_top < 2 ? code_byte(c, m->bytes[from_top], *at) : code_even(c, 256, *at));
  }
}

static int32_t sum_row(const qn_range_matrix *w, uint32_t row) {
  int32_t sum = 0;
  for (uint32_t k = 0; k < w->cols; k++) sum += (int8_t)w->at[row * w->row_step + k * w->step];
  return sum;
}

/* What the weights say of integer i. */
static uint32_t guess_integer(const qn_range_tensor *t, const qn_range_matrix *w, uint32_t i) {
  uint32_t slope = t->field[QN_RANGE_SLOPE];
  if (i >= w->rows) return 0;
  slope = slope >> 1 ^ -(slope & 1);
  return (uint32_t)((int32_t)(slope * (uint32_t)sum_row(w, i)) >> 4);
}

static void code_integers(coder *c, qn_range_model *m, const qn_range_tensor *t,
                          const qn_range_matrix *w, uint32_t features) {
  uint8_t *at = t->at;
  for (uint32_t i = 0; i < t->field[QN_RANGE_ROWS]; i++, at += 4) {
    uint32_t guess = features & QN_RANGE_SUMS ? guess_integer(t, w, i) : 0;
    uint32_t x = qn_load_u32(at) - guess, sign = code_even(c, 2, x >> 31);
    x = code_number(c, m->numbers[1], sign ? -x : x);
    qn_store_u32(at, guess + (sign ? -x : x));
  }
}

static void code_multipliers(coder *c, const qn_range_tensor *t) {
  uint64_t factor = (uint64_t)t->field[QN_RANGE_FACTOR] << 20 | t->field[QN_RANGE_FACTOR + 1];
  uint8_t *at = t->at;
  for (uint32_t i = 0; i < t->field[QN_RANGE_ROWS]; i++, at += 4) {
    uint32_t mantissa = code_plain(c, 23, t->mantissa ? t->mantissa[i] & 0x7FFFFF : 0) | 0x800000;
    qn_store_u32(at, qn_codec_multiplier(mantissa, factor));
  }
}

/* ------------------------------------------------------------------ a tensor */

/* What precedes a tensor's elements; false when it makes no sense. Sizes are not looked at. */
static bool code_head(coder *c, qn_range_model *m, qn_range_tensor *t, uint32_t features) {
  t->kind = code_number(c, m->numbers[0], t->kind) & 3;
  for (uint32_t i = 0; i < (QN_RANGE_FIELD_COUNTS >> 4 * t->kind & 15); i++)
    t->field[i] = code_number(c, m->numbers[0], t->field[i]);
  if (t->kind == QN_CODED_INTEGERS || t->kind == QN_CODED_MULTIPLIERS) t->field[QN_RANGE_COLS] = 4;
  uint32_t cols = t->field[QN_RANGE_COLS], phase = t->field[QN_RANGE_PHASE];
  if (cols == 0 || cols > 1 << 16) return false;
  if (t->kind != QN_CODED_WEIGHTS || !(features & QN_RANGE_PREDICTED) || phase == 0) return true;
  uint32_t factors = ((cols - 1) / phase + 1) * QN_CODEC_LAGS;
  if (factors > sizeof m->factor) return false;
  for (uint32_t i = 0; i < factors; i++)
    m->factor[i] = (int8_t)code_byte(c, m->bytes[0], (uint8_t)m->factor[i]);
  return true;
}

/* The tensor's elements, at t->at; *w are the latest weights. */
static void code_elements(coder *c, qn_range_model *m, const qn_range_tensor *t, qn_range_matrix *w,
                          uint32_t features) {
  if (t->kind == QN_CODED_WEIGHTS) {
    bool transposed = features & QN_RANGE_DEPTHWISE && t->field[QN_RANGE_TRANSPOSED];
    w->at = t->at;
    w->rows = t->field[QN_RANGE_ROWS];
    w->cols = t->field[QN_RANGE_COLS];
    w->row_step = transposed ? 1 : w->cols;
    w->step = transposed ? w->rows : 1;
    code_weights(c, m, t, w, features);
  } else if (t->kind == QN_CODED_INTEGERS) {
    code_integers(c, m, t, w, features);
  } else if (t->kind == QN_CODED_MULTIPLIERS && features & QN_RANGE_MULTIPLIERS) {
    code_multipliers(c, t);
  } else {
    code_bytes(c, m, t);
  }
}

#endif
