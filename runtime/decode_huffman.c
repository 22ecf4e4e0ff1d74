/* Codec huffman: static prefix codes for the whole model. No state but a place in the stream, so
 * that decoding can begin at any image.
 *
 * Features: bits 0..4 width of the numbers in the stream, 5..6 the same of a table's number, and
 * what its tensors make use of, see below.
 *
 * The stream begins with the tables, as many as their number has values, each a byte for each 7
 * bits that may come next: its symbol's t << 6 | s << 3 | length of the code, 1..7. A table of
 * zeros makes zeros of no bits. Behind an image's sum come its tensors, until it is full; the next
 * image begins with a whole byte. Bits are read from the highest of each byte down; three zero
 * bytes end the stream.
 *
 *   tensor       1 bit, and if it is set the numbers rows and cols, which else are the last ones;
 *                2 bits kind; then
 *   WEIGHTS      1 bit transposed, 5 bits those of a peak; if any tensor is predicted, 6 bits
 *                phases behind the first, which has nothing to be predicted from; unless that is 0,
 *                4 lags, none above the tensor's place in the image, and for each of these phases 4
 *                factors in 1/16, 5 bits each, plus 16. Then the rows
 *   row          its table. With peaks, the peak's place; 1 bit, it is negative. Then the other
 *                weights
 *   weight       the code of the symbol of its distance from the prediction (which wraps to 8
 *                bits), the bits that this leaves open, and the sign unless it is 0
 *   symbol       4s + t are the distances from  (4 + t)*2^s - 4  on, with s bits left open
 *   INTEGERS     rows of them, int32, or int8 as kind 3; 6 bits k, 6 bits base; each less the base,
 *                the sign as its lowest bit, as a Rice code: high part, at most 31, in ones and a
 *                zero, k low bits
 *   MULTIPLIERS  factor, 40 bits; the mantissas' lower 23 bits */
#include <stdbool.h>
#include "decode.h"

enum { LONGEST = 7, CODES = 1 << LONGEST, INTEGERS_8 = 3, MOST_ONES = 31 };

typedef struct {
  const uint8_t *at;
  uint32_t pos;               /* in bits */
  uint32_t last;              /* place of the last 4 bytes */
  int32_t lag[QN_CODEC_LAGS]; /* negative */
  int8_t factor[QN_CODEC_PHASES * QN_CODEC_LAGS];
} reader;
_Static_assert(sizeof(reader) <= QN_SCRATCH_huffman, "codecs.def");

typedef struct {
  uint32_t cols, step;
  uint32_t peak_bits; /* of a peak's place and sign; 0: rows have none */
  uint32_t phases;    /* that are predicted: all but the first, or none */
  uint32_t phase;     /* weights in each of them */
} matrix;

COMPACT static uint32_t table_bits(uint32_t features) { return features >> 5 & 3; }

/* At least 25 bits from the reader's place on, at the top; past the end, any. */
COMPACT static inline uint32_t peek_at(const reader *r, uint32_t pos) {
  uint32_t place = pos >> 3;
  if (place > r->last) place = r->last;
  const uint8_t *at = r->at + place;
  return ((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3])
         << (pos & 7);
}

/* The next bits, at most 25. */
SMALL static uint32_t take(reader *r, uint32_t bits) {
  uint32_t pos = r->pos;
  r->pos = pos + bits;
  return peek_at(r, pos) >> 1 >> (31 - bits);
}

/* The weight at pos, less what is predicted. */
COMPACT static uint32_t read_weight(const reader *r, const uint8_t *table, uint32_t *pos) {
  uint32_t next = peek_at(r, *pos), entry = table[next >> (32 - LONGEST)];
  uint32_t open = entry >> 3 & 7, bits = entry & 7;
  next <<= bits;
  uint32_t x = (((entry >> 6 | 4) << 29 | next >> 3) >> (29 - open)) - 4;
  next <<= open;
  *pos += bits + open + (x > 0);
  uint32_t sign = (uint32_t)((int32_t)next >> 31);
  return (x ^ sign) - sign;
}

/* Makes weights of a row's distances, all but its peak. */
COMPACT static void add_predictions(const reader *r, const matrix *m, int8_t *at,
                                    const int8_t *peak) {
  int32_t lag_0 = r->lag[0], lag_1 = r->lag[1], lag_2 = r->lag[2], lag_3 = r->lag[3];
  const int8_t *factor = r->factor;
  uint32_t phases = m->phases;
  at += m->phase * m->step;
  do {
    int32_t a = *factor++, b = *factor++, c = *factor++, d = *factor++;
    uint32_t n = m->phase;
    do {
      int32_t sum = 8 + a * at[lag_0] + b * at[lag_1] + c * at[lag_2] + d * at[lag_3];
      if (at != peak) *at = (int8_t)(*at + (sum >> 4));
      at += m->step;
    } while (--n > 0);
  } while (--phases > 0);
}

COMPACT static void read_row(reader *r, const matrix *m, uint8_t *at, uint32_t features) {
  const uint8_t *table = r->at;
  uint32_t peak = m->cols, peak_weight = 0, k = 0;
  if (table_bits(features)) table += CODES * take(r, table_bits(features));
  if (m->peak_bits) {
    peak = take(r, m->peak_bits);
    peak_weight = QN_CODEC_PEAK + 2 * (peak & 1); /* 129 is -127 */
    peak >>= 1;
  }
  uint32_t pos = r->pos;
  uint8_t *to = at;
  do {
    *to = (uint8_t)(k == peak ? peak_weight : read_weight(r, table, &pos));
    to += m->step;
  } while (++k < m->cols);
  r->pos = pos;
  if (features & QN_HUFFMAN_PREDICTED && m->phases)
    add_predictions(r, m, (int8_t *)at, (int8_t *)at + peak * m->step);
}

/* What makes predictions; false when it makes no sense for a tensor at `place`. */
COMPACT static bool read_prediction(reader *r, matrix *m, uint32_t place, uint32_t width) {
  m->phases = take(r, 6);
  if (m->phases == 0) return true;
  uint32_t i = 0;
  do {
    uint32_t lag = take(r, width);
    if (lag > place) return false;
    r->lag[i] = -(int32_t)lag;
  } while (++i < QN_CODEC_LAGS);
  i = 0;
  do {
    r->factor[i] = (int8_t)(take(r, 5) - 16);
  } while (++i < m->phases * QN_CODEC_LAGS);
  m->phase = m->cols / (m->phases + 1);
  return m->phase * (m->phases + 1) == m->cols;
}

/* rows of cols weights each, to `place` in the image. */
COMPACT static bool read_weights(reader *r, uint8_t *image, uint32_t place, uint32_t rows,
                                 uint32_t cols, uint32_t features) {
  matrix m;
  uint32_t row_step = cols;
  m.cols = cols;
  m.step = 1;
  m.phases = 0;
  uint32_t head = take(r, 6);
  m.peak_bits = head & 31;
  if (features & QN_HUFFMAN_TRANSPOSED && head >> 5) {
    m.step = rows;
    row_step = 1;
  }
  if (features & QN_HUFFMAN_PREDICTED && !read_prediction(r, &m, place, features & 31))
    return false;
  uint8_t *at = image + place;
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
                                  bool multipliers) {
  uint32_t width = multipliers ? 20 : 6, first = take(r, width), second = take(r, width);
  do {
    uint32_t x;
    if (multipliers)
      x = qn_codec_multiplier(take(r, 23) | 0x800000, (uint64_t)first << 20 | second);
    else
      x = read_rice(r, first & 31, second);
    uint32_t bytes = size;
    do {
      *at++ = (uint8_t)x;
      x >>= 8;
    } while (--bytes > 0);
  } while (--count > 0);
}

SMALL int32_t qn_decode_huffman(const uint8_t *coded, uint32_t coded_bytes, uint32_t start,
                                uint8_t *image, uint32_t image_bytes, void *scratch,
                                uint32_t features) {
  uint32_t width = features & 31, tables = CODES << table_bits(features), rows = 0, cols = 0;
  if (coded_bytes < tables || !has_sum(coded_bytes, start, 4)) return QUERN_ECORRUPT;
  reader *r = scratch;
  r->at = coded;
  r->pos = 8 * (start + QN_CODEC_HEADER);
  r->last = coded_bytes - 4;
  clear_image(image, image_bytes);
  uint32_t end = 0;
  do {
    uint32_t head = take(r, 3), kind = features & QN_HUFFMAN_INTEGERS ? head & 3 : QN_CODED_WEIGHTS;
    uint32_t size = kind == INTEGERS_8 ? 1 : 4;
    if (head > 3) {
      rows = take(r, width);
      cols = take(r, width);
    }
    if (kind == QN_CODED_WEIGHTS) size = cols;
    if (width > 14 && !is_small(rows, size, image_bytes)) return QUERN_ECORRUPT;
    uint32_t place = qn_codec_place(end, rows * size);
    uint32_t words = place / 4 + count_words(rows * size);
    if (words > image_bytes / 4) return QUERN_ECORRUPT;
    end = 4 * words;
    if (kind != QN_CODED_WEIGHTS)
      read_integers(r, image + place, size, rows,
                    features & QN_HUFFMAN_MULTIPLIERS && kind == QN_CODED_MULTIPLIERS);
    else if (!read_weights(r, image, place, rows, cols, features))
      return QUERN_ECORRUPT;
  } while (end < image_bytes);
  return qn_codec_sum(0, image, image_bytes / 4) == qn_load_u32(coded + start) ? QUERN_OK
                                                                               : QUERN_ECORRUPT;
}
