/* Codec huffman: static prefix codes for the whole model. No state but a place in the stream, so
 * that decoding could begin at any row.
 *
 * Features: bits 0..4 width of the numbers in the stream, 5..6 how many tables it has, and what its
 * tensors make use of, see below.
 *
 * Bits are read from the highest of each byte down; three zero bytes end the stream. The sum is
 * followed by the tables and by tensors until the image is full:
 *   table        its codes in ascending order, each 3 bits length, 1..7, and 5 bits symbol
 *   tensor       2 bits kind, and
 *   WEIGHTS      numbers rows, cols; 1 bit transposed, 1 bit peaks, 1 bit predicted, where any
 *                tensor is. If predicted, numbers phase and 4 lags, not above the tensor's place in
 *                the image, and for each phase 4 factors in 1/16, 5 bits each. Then the rows
 *   row          2 bits its table; 0: all weights are 0. With peaks, the place, in as many bits as
 *                cols - 1 has; 1 bit, is negative. Then the other weights
 *   weight       the code of the symbol of its distance from the prediction (which wraps to 8
 *                bits), the bits that this leaves open, and the sign unless it is 0
 *   symbol       below 8 it is the distance. Others are 4s + t for the distances from
 *                (4 + t)*2^(s-1) on, with s - 1 bits left open
 *   INTEGERS     of int32, and as kind 3 of int8: 1 bit, and if it is set their number, else there
 *                are as many as of what came before; 5 bits k, 6 bits base; each less the base, the
 *                sign as its lowest bit, as a Rice code: high part in ones and a zero, k low bits
 *   MULTIPLIERS  their number in the same way; factor, 40 bits; the mantissas' lower 23 bits */
#include <stdbool.h>
#include "decode.h"

enum { LONGEST = 7, CODES = 1 << LONGEST, TABLES = 4, INTEGERS_8 = 3, CLOSED = 8 };

typedef struct {
  const uint8_t *at;
  uint32_t last;                  /* place of the last 4 bytes */
  uint32_t pos;                   /* in bits */
  uint16_t table[TABLES * CODES]; /* by the next bits: distance << 8 | open bits << 4 | length; the
                                   * first is all 0 */
  int8_t factor[QN_CODEC_PHASES * QN_CODEC_LAGS];
} reader;
_Static_assert(sizeof(reader) <= QN_SCRATCH_huffman, "codecs.def");

typedef struct {
  uint32_t cols, step, peaks;
  uint32_t phase; /* 0 when not predicted */
  uint32_t lag[QN_CODEC_LAGS];
} matrix;

/* At least 25 bits from pos on, at the top; past the end, any. */
static inline uint32_t peek(const reader *r, uint32_t pos) {
  uint32_t place = pos >> 3;
  if (place > r->last) place = r->last;
  const uint8_t *at = r->at + place;
  return ((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3])
         << (pos & 7);
}

/* The next bits, at most 25. */
SMALL static uint32_t take(reader *r, uint32_t bits) {
  uint32_t x = peek(r, r->pos) >> 1 >> (31 - bits);
  r->pos += bits;
  return x;
}

static void read_tables(reader *r, uint32_t count) {
  uint32_t next = 0, end = (count + 1) * CODES;
  for (; next < CODES; next++) r->table[next] = 0;
  while (next < end) {
    uint32_t entry = take(r, 8), bits = entry >> 5, distance = entry & 31, open = 0;
    if (distance >= CLOSED) {
      open = (distance >> 2) - 1;
      distance = (4 | (distance & 3)) << open;
    }
    for (uint32_t n = CODES >> bits; n > 0 && next < end; n--)
      r->table[next++] = (uint16_t)(distance << 8 | open << 4 | bits);
  }
}

static uint32_t predict(const matrix *m, const int8_t *factor, const uint8_t *at) {
  int32_t sum = 8 + factor[0] * *(const int8_t *)(at - m->lag[0]);
  sum += factor[1] * *(const int8_t *)(at - m->lag[1]);
  sum += factor[2] * *(const int8_t *)(at - m->lag[2]);
  sum += factor[3] * *(const int8_t *)(at - m->lag[3]);
  return (uint32_t)(sum >> 4);
}

static void read_row(reader *r, const matrix *m, uint8_t *at, bool predicted) {
  const uint16_t *table = r->table + CODES * take(r, 2);
  uint32_t cols = m->cols, step = m->step, peak = cols;
  if (m->peaks && table != r->table) {
    peak = take(r, 32 - (uint32_t)__builtin_clz((cols - 1) | 1));
    if (peak >= cols) peak = cols - 1;
    at[peak * step] = take(r, 1) ? (uint8_t)-QN_CODEC_PEAK : QN_CODEC_PEAK;
  }
  const int8_t *factor = r->factor;
  uint32_t pos = r->pos, phase_end = m->phase, end = peak;
  for (uint32_t k = 0;; k++, end = cols) { /* to the peak, and behind it */
    for (; k < end; k++) {
      uint32_t next = peek(r, pos), entry = table[next >> (32 - LONGEST)];
      uint32_t bits = entry & 15, open = entry >> 4 & 15;
      next <<= bits;
      uint32_t x = (entry >> 8) + (next >> 1 >> (31 - open));
      next <<= open;
      pos += bits + open + (x > 0);
      uint32_t sign = (uint32_t)((int32_t)next >> 31);
      x = (x ^ sign) - sign;
      if (predicted && phase_end) {
        for (; k >= phase_end; phase_end += m->phase) factor += QN_CODEC_LAGS;
        x += predict(m, factor, at + k * step);
      }
      at[k * step] = (uint8_t)x;
    }
    if (end == cols) break;
  }
  r->pos = pos;
}

/* What makes predictions; false when it makes no sense for a tensor at `place`. */
static bool read_prediction(reader *r, matrix *m, uint32_t place, uint32_t width) {
  m->phase = take(r, 1);
  if (!m->phase) return true;
  m->phase = take(r, width);
  if (m->phase == 0) return false;
  uint32_t phases = (m->cols - 1) / m->phase + 1;
  if (phases > QN_CODEC_PHASES) return false;
  for (uint32_t i = 0; i < QN_CODEC_LAGS; i++) {
    m->lag[i] = take(r, width);
    if (m->lag[i] > place) return false;
  }
  for (uint32_t i = 0; i < phases * QN_CODEC_LAGS; i++)
    r->factor[i] = (int8_t)(take(r, 5) << 3) >> 3;
  return true;
}

static bool read_weights(reader *r, uint8_t *image, uint32_t at, uint32_t rows, uint32_t cols,
                         uint32_t features) {
  bool predicted = features & QN_HUFFMAN_PREDICTED;
  matrix m;
  m.cols = cols;
  m.step = 1;
  uint32_t row_step = cols;
  if (features & QN_HUFFMAN_TRANSPOSED && take(r, 1)) {
    m.step = rows;
    row_step = 1;
  }
  m.peaks = take(r, 1);
  if (predicted && !read_prediction(r, &m, at, features & 31)) return false;
  for (; rows > 0; rows--, at += row_step) read_row(r, &m, image + at, predicted);
  return true;
}

static void read_integers(reader *r, uint8_t *at, uint32_t size, uint32_t count) {
  uint32_t k = take(r, 5), base = take(r, 6);
  for (; count > 0; count--) {
    uint32_t x = 0;
    while (take(r, 1) && x < 32) x++;
    x = x << k | take(r, k);
    x = base + (x >> 1 ^ -(x & 1));
    for (uint32_t i = 0; i < size; i++, x >>= 8) *at++ = (uint8_t)x;
  }
}

static void read_multipliers(reader *r, uint8_t *at, uint32_t count) {
  uint64_t factor = (uint64_t)take(r, 20) << 20;
  factor |= take(r, 20);
  for (; count > 0; count--, at += 4)
    qn_store_u32(at, qn_codec_multiplier(take(r, 23) | 0x800000, factor));
}

SMALL int32_t qn_decode_huffman(const uint8_t *coded, uint32_t coded_bytes, uint8_t *image,
                                uint32_t image_bytes, void *scratch, uint32_t features) {
  if (coded_bytes < QN_CODEC_HEADER + 4) return QUERN_ECORRUPT;
  uint32_t width = features & 31;
  reader *r = scratch;
  r->at = coded;
  r->last = coded_bytes - 4;
  r->pos = 8 * QN_CODEC_HEADER;
  read_tables(r, features >> 5 & 3);
  uint32_t sum = 0, rows = 1, words;
  for (uint32_t at = 0; at < image_bytes; at += 4 * words) {
    uint32_t kind = take(r, 2), cols = kind == INTEGERS_8 ? 1 : 4;
    if (kind == QN_CODED_WEIGHTS || take(r, 1)) rows = take(r, width);
    if (kind == QN_CODED_WEIGHTS) cols = take(r, width);
    at = place_tensor(image, image_bytes, at, rows, cols, &words);
    if (at == image_bytes) return QUERN_ECORRUPT;
    if (kind == QN_CODED_MULTIPLIERS && features & QN_HUFFMAN_MULTIPLIERS)
      read_multipliers(r, image + at, rows);
    else if (kind != QN_CODED_WEIGHTS)
      read_integers(r, image + at, cols, rows);
    else if (!read_weights(r, image, at, rows, cols, features))
      return QUERN_ECORRUPT;
    sum = qn_codec_sum(sum, image + at, words);
  }
  return sum == qn_load_u32(coded) ? QUERN_OK : QUERN_ECORRUPT;
}
