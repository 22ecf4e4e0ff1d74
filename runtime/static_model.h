/* Codecs huffman and rans: what is coded, in this order, by tables that do not change. Each of them
 * includes this and defines, each for itself,
 *
 *   reader            its state, with a member  int32_t number[QN_STATIC_NUMBERS]
 *   take(r, bits)     the next number below 2^bits, all equally likely; of more than 25 bits, any
 *   read_distances(r, m, table, at, peak, weight)
 *                     a row's distances by the table of that number, and what is at its peak
 *
 * Features: bits 0..4 width of the numbers in the stream, 5..6 the same of a table's number, and
 * what its tensors make use of. Tensors, until the image is full:
 *
 *   tensor       1 bit transposed, if any tensor is; 1 bit, and if it is set the numbers rows and
 *                cols, which else are the last ones; 2 bits kind; first and second, of 5 bits, or
 *                20 of MULTIPLIERS
 *   WEIGHTS      first: bits of a peak, 0 if rows have none. Second: phases behind the first one,
 *                which has nothing to be predicted from; unless it is 0, 4 lags, none above the
 *                tensor's place in the image, plus 16; and 16 less each of these phases' 4
 *                factors, which are in 1/16, in 5 bits. Then the rows
 *   row          its table. With peaks, the peak's place; 1 bit, it is negative. Then the other
 *                weights: distances from their predictions, which wrap to 8 bits. A zero row's
 *                table may be the one behind the others; its peak's place is cols
 *   INTEGERS     rows of them, int32, or int8 as kind 3; first: k, second: base; each less the
 *                base, the sign as its lowest bit, as a Rice code: high part, at most 31, in ones
 *                and a zero, k low bits
 *   MULTIPLIERS  first and second: the factor's halves; the mantissas' lower 23 bits
 *
 * Distances are coded as symbols: 4s + t are those from  (4 + t)*2^s - 4  on, positive or negative,
 * with s bits left open. */
#ifndef QN_STATIC_MODEL_H
#define QN_STATIC_MODEL_H

#include "decode.h"

enum { INTEGERS_8 = 3, MOST_ONES = 31, ONE = 16 };

typedef struct {
  uint32_t cols, step;
  uint32_t peak_bits; /* of a peak's place and sign; 0: rows have none */
  uint32_t phases;    /* that are predicted: all but the first, or none */
  uint32_t phase;     /* weights in each of them */
} matrix;

static uint32_t take(reader *r, uint32_t bits);
static void read_distances(reader *r, const matrix *m, uint32_t table, int8_t *at, uint32_t peak,
                           uint32_t weight);

COMPACT static uint32_t table_bits(uint32_t features) { return features >> 5 & 3; }

/* Makes weights of a row's distances; what is at `peak` stays. */
COMPACT static void add_predictions(const reader *r, const matrix *m, int8_t *at,
                                    const int8_t *peak) {
  const int32_t *factor = r->number + QN_CODEC_LAGS;
  uint32_t phases = m->phases;
  at += m->phase * m->step;
  do {
    int32_t a = *factor++, b = *factor++, c = *factor++, d = *factor++;
    uint32_t n = m->phase;
    do {
      int32_t sum = 8 + a * at[r->number[0]] + b * at[r->number[1]] + c * at[r->number[2]] +
                    d * at[r->number[3]];
      if (at != peak) *at = (int8_t)(*at + (sum >> 4));
      at += m->step;
    } while (--n > 0);
  } while (--phases > 0);
}

COMPACT static void read_row(reader *r, const matrix *m, int8_t *at, uint32_t features) {
  uint32_t table = 0, peak = m->cols, weight = 0;
  if (table_bits(features)) table = take(r, table_bits(features));
  if (features & QN_STATIC_PEAKS && m->peak_bits) {
    peak = take(r, m->peak_bits);
    weight = QN_CODEC_PEAK + 2 * (peak & 1); /* 129 is -127 */
    peak >>= 1;
  }
  read_distances(r, m, table, at, peak, weight);
  if (features & QN_STATIC_PREDICTED && m->phases) add_predictions(r, m, at, at + peak * m->step);
}

/* What makes predictions; false when it makes no sense for a tensor at `place`. */
COMPACT static bool read_prediction(reader *r, matrix *m, uint32_t place, uint32_t bits) {
  uint32_t i = 0;
  m->phase = m->cols / (m->phases + 1);
  if (m->phases == 0) return true;
  do {
    if (i == QN_CODEC_LAGS) bits = 5;
    uint32_t x = ONE - take(r, bits);
    if (i < QN_CODEC_LAGS && place + x > place) return false;
    r->number[i] = (int32_t)x;
  } while (++i < (m->phases + 1) * QN_CODEC_LAGS);
  return m->phase > 0;
}

/* rows of cols weights each, to `place` in the image. */
COMPACT static bool read_weights(reader *r, uint8_t *image, uint32_t place, uint32_t rows,
                                 uint32_t cols, bool transposed, uint32_t first, uint32_t second,
                                 uint32_t features) {
  matrix m;
  uint32_t row_step = cols;
  m.cols = cols;
  m.step = 1;
  m.phases = second;
  m.peak_bits = first;
  if (features & QN_STATIC_TRANSPOSED && transposed) {
    m.step = rows;
    row_step = 1;
  }
  if (features & QN_STATIC_PREDICTED && !read_prediction(r, &m, place, features & 31)) return false;
  int8_t *at = (int8_t *)image + place;
  do {
    read_row(r, &m, at, features);
    at += row_step;
  } while (--rows > 0);
  return true;
}

COMPACT static uint32_t read_rice(reader *r, uint32_t low_bits, uint32_t base) {
  uint32_t x = 0;
  while (take(r, 1) && x < MOST_ONES) x++;
  x = x << low_bits | take(r, low_bits);
  return base + (x >> 1 ^ -(x & 1));
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
  uint32_t width = features & 31, rows = 0, cols = 0;
  clear_image(image, image_bytes);
  uint32_t end = 0;
  do {
    uint32_t head = take(r, features & QN_STATIC_TRANSPOSED ? 4 : 3);
    uint32_t kind = features & QN_STATIC_INTEGERS ? head & 3 : QN_CODED_WEIGHTS;
    uint32_t size = kind == INTEGERS_8 ? 1 : 4;
    if (head & 4) {
      rows = take(r, width);
      cols = take(r, width);
    }
    if (kind == QN_CODED_WEIGHTS) size = cols;
    if (width > 14 && !is_small(rows, size, image_bytes)) return false;
    uint32_t place = qn_codec_place(end, rows * size);
    uint32_t words = place / 4 + count_words(rows * size);
    if (words > image_bytes / 4) return false;
    end = 4 * words;
    bool multipliers = features & QN_STATIC_MULTIPLIERS && kind == QN_CODED_MULTIPLIERS;
    uint32_t bits = multipliers ? 20 : 5, first = take(r, bits), second = take(r, bits);
    if (kind != QN_CODED_WEIGHTS)
      read_integers(r, image + place, size, rows, first, second, multipliers);
    else if (!read_weights(r, image, place, rows, cols, head >> 3, first, second, features))
      return false;
  } while (end < image_bytes);
  return true;
}

#endif
