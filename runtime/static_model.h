/* Codecs huffman and rans: what is coded, in this order, by tables that do not change. Each of them
 * includes this and defines, each for itself,
 *
 *   reader            its state
 *   factors_of(r)     room for QN_STATIC_FACTORS numbers
 *   take(r, bits)     the next number below 2^bits, all equally likely; of more than 25 bits, any
 *   read_row(r, m, table, at, peak, features)
 *                     a row's weights but the one at its peak, by the table of that number
 *
 * Features: bits 0..4 width of the numbers in the stream, 5..6 the same of a table's number, what
 * its tensors make use of, and from bit 16 on 4 lags, ascending: weights are predicted from those
 * so many phases before them. Numbers are stored less one. Tensors, until the image is full:
 *
 *   tensor       1 bit transposed, if any tensor is; 1 bit, and if it is set the number of rows and
 *                that of weights in a phase, which else are the last ones; 2 bits kind; first, of 5
 *                bits, or 20 of MULTIPLIERS; second, the same, where any tensor has a use for it
 *   WEIGHTS      first: bits of a peak, 0 if rows have none. Second: phases behind the first one,
 *                which is not predicted; 16 less each of these phases' 4 factors, which are in
 *                1/16, in 5 bits. Then the rows
 *   row          its table. With peaks, the peak's place; 1 bit, it is negative. Then the other
 *                weights: distances from their predictions, which wrap to 8 bits. A zero row's
 *                table may be the one behind the others; its peak's place is cols
 *   flat         where weights have no rows: there is the tensor's number of weights only; first:
 *                their table. Then all of them, in the image's order
 *   INTEGERS     rows of them, int32, or int8 as kind 2; first: k, second: base; each less the
 *                base, the sign as its lowest bit, as a Rice code: high part, at most 31, in ones
 *                and a zero, k low bits
 *   MULTIPLIERS  kind 3; first and second: the factor's halves; the mantissas' lower 23 bits
 *
 * Distances are coded as symbols: 0, and 1 + 4s + t for those from  (4 + t)*2^s - 3  on, positive
 * or negative, with s bits left open. */
#ifndef QN_STATIC_MODEL_H
#define QN_STATIC_MODEL_H

#include "decode.h"

enum { WEIGHTS, INTEGERS, INTEGERS_8, MULTIPLIERS }; /* kinds */
enum { MOST_ONES = 31, ONE = 16 };

typedef struct {
  uint32_t cols, step;
  uint32_t phases; /* that are predicted: all but the first, or none */
  uint32_t phase;  /* weights in each of them */
  int32_t lag;     /* that lags are multiples of; negative */
} matrix;

static uint32_t take(reader *r, uint32_t bits);
static int32_t *factors_of(reader *r);
static int8_t *read_row(reader *r, const matrix *m, uint32_t table, int8_t *at, uint32_t peak,
                        uint32_t features);

COMPACT static uint32_t table_bits(uint32_t features) { return features >> 5 & 3; }

COMPACT static inline int32_t lagging(const matrix *m, const int8_t *at, uint32_t i,
                                      uint32_t features) {
  int32_t lags = (int32_t)(features >> (QN_STATIC_LAGS + 4 * i) & 15);
  return at[lags * m->lag];
}

/* What the weight at `at` is predicted to be. */
COMPACT static inline int32_t predict(const matrix *m, const int32_t *factor, const int8_t *at,
                                      uint32_t features) {
  return (8 + factor[0] * lagging(m, at, 0, features) + factor[1] * lagging(m, at, 1, features) +
          factor[2] * lagging(m, at, 2, features) + factor[3] * lagging(m, at, 3, features)) >>
         4;
}

/* The factors of all phases but the first. */
COMPACT static void read_factors(reader *r, uint32_t phases) {
  uint32_t n = phases * QN_CODEC_LAGS;
  int32_t *to = factors_of(r);
  for (; n > 0; n--) *to++ = (int32_t)(ONE - take(r, 5));
}

/* rows of m->cols weights each, to `place` in the image. What is not predicted has factors of 0,
 * but lags as well: none that lead out of the image. */
COMPACT static void read_weights(reader *r, matrix *m, uint8_t *image, uint32_t place,
                                 uint32_t rows, bool transposed, uint32_t peak_bits,
                                 uint32_t features) {
  bool down = features & QN_STATIC_TRANSPOSED && transposed;
  m->step = down ? rows : 1;
  if (features & QN_STATIC_PREDICTED) {
    m->lag = -(int32_t)(m->phase * m->step);
    if ((int32_t)place + (int32_t)(features >> QN_STATIC_LONGEST & 15) * m->lag < 0) m->lag = 0;
    read_factors(r, m->phases);
  }
  int8_t *at = (int8_t *)image + place, *next = at + 1;
  do {
    uint32_t table = 0, peak = m->cols;
    if (table_bits(features)) table = take(r, table_bits(features));
    if (features & QN_STATIC_PEAKS && peak_bits) {
      peak = take(r, peak_bits);
      int8_t weight = (int8_t)(QN_CODEC_PEAK + 2 * (peak & 1)); /* 129 is -127 */
      peak >>= 1;
      if (peak < m->cols) at[peak * m->step] = weight;
    }
    at = read_row(r, m, table, at, peak, features);
    if (down) at = next++;
  } while (--rows > 0);
}

COMPACT static void read_flat(reader *r, int8_t *at, uint32_t count, uint32_t table,
                              uint32_t features) {
  matrix m;
  m.cols = m.phase = count;
  m.step = 1;
  m.phases = 0;
  m.lag = 0;
  (void)read_row(r, &m, table & ((1u << table_bits(features)) - 1), at, count, features);
}

COMPACT static uint32_t read_rice(reader *r, uint32_t low_bits, uint32_t base) {
  uint32_t x = 0;
  while (take(r, 1) && x < MOST_ONES) x++;
  x = x << low_bits | take(r, low_bits);
  return base + (x >> 1 ^ (uint32_t)((int32_t)(x << 31) >> 31));
}

/* Integers of one byte or four. Of multipliers, the factor's halves are what the others' number of
 * low bits and base are. */
COMPACT static void read_integers(reader *r, uint8_t *at, uint32_t size, uint32_t count,
                                  uint32_t first, uint32_t second, bool multipliers) {
  do {
    uint32_t x;
    if (multipliers)
      x = qn_codec_multiplier(take(r, 23) | 0x800000, (uint64_t)first << 20 | second);
    else
      x = read_rice(r, first, second);
    *at = (uint8_t)x;
    if (size == 4) *(uint32_t *)(void *)at = x;
    at += size;
  } while (--count > 0);
}

/* All of an image; false when it makes no sense. */
COMPACT static bool read_image(reader *r, uint8_t *image, uint32_t image_bytes, uint32_t features) {
  uint32_t width = features & 31, rows = 1, end = 0, kinds = 0;
  matrix m;
  m.phase = 1;
  if (features & QN_STATIC_INTEGERS) kinds = 1;
  if (features & (QN_STATIC_BYTES | QN_STATIC_MULTIPLIERS)) kinds = 3;
  clear_image(image, image_bytes);
  do {
    uint32_t head = take(r, features & QN_STATIC_TRANSPOSED ? 4 : 3);
    uint32_t kind = head & kinds, size = kind & 1 ? 4 : 1;
    if (head & 4) {
      rows = take(r, width) + 1;
      if (!(features & QN_STATIC_FLAT)) m.phase = take(r, width) + 1;
    }
    bool multipliers = features & QN_STATIC_MULTIPLIERS && kind == MULTIPLIERS;
    uint32_t bits = multipliers ? 20 : 5, first = take(r, bits), second = 0;
    if (kinds == 3 || features & QN_STATIC_PREDICTED) second = take(r, bits);
    m.phases = features & QN_STATIC_PREDICTED ? second : 0;
    m.cols = m.phase + m.phases * m.phase;
    if (width > 13 && kind == WEIGHTS && !is_small(m.phase, m.phases + 1, image_bytes))
      return false;
    if (!(features & QN_STATIC_FLAT) && kind == WEIGHTS) size = m.cols;
    if (width > 13 && !is_small(rows, size, image_bytes)) return false;
    uint32_t place = qn_codec_place(end, rows * size, features);
    end = place + rows * size;
    if (end > image_bytes) return false;
    if (kind != WEIGHTS)
      read_integers(r, image + place, size, rows, first, second, multipliers);
    else if (features & QN_STATIC_FLAT)
      read_flat(r, (int8_t *)image + place, rows, first, features);
    else
      read_weights(r, &m, image, place, rows, head >> 3, first, features);
  } while (end + 3 < image_bytes);
  return true;
}

#endif
