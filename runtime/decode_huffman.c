/* Codec huffman: static prefix codes for the whole model. No state but a place in the stream, so
 * that decoding could begin at any row.
 *
 * A table has a byte for each 7 bits that may come next: t << 6 | s << 3 | length of the code,
 * 0..7. The code's distance d is what  t + 4  and s more bits make a number x = 2|d| + 6 of, one
 * more if d is positive (0: 7). Tables of levels say it themselves: d << 3 | length. At the end of
 * the stream stand as many tables as their number has values, read downwards: each entry once, for
 * all of the 128 >> length places that it has. An image's bits stand before its sum and are read
 * from there downwards, too, from the highest of each byte on. They are what static_model.h says.
 */
#include "decode.h"

enum { LONGEST = 7, CODES = 1 << LONGEST, AHEAD = 25 };

typedef struct {
  const uint8_t *at;
  int32_t pos;    /* of the lowest of the next AHEAD bits; negative: past the end */
  uint8_t *codes; /* tables, then factors */
} reader;

#include "static_model.h"

COMPACT static inline int32_t *factors_of(reader *r) {
  return (int32_t *)(void *)(r->codes + 5 * CODES);
}

/* The next 25 bits or more, at the top; past the end, any. */
COMPACT static inline uint32_t peek_at(const uint8_t *at, int32_t pos) {
  if (pos < 0) pos = 0;
  return qn_load_u32(at + (pos >> 3)) << (~pos & 7);
}

/* The next bits, at most 25. */
SMALL static uint32_t take(reader *r, uint32_t bits) {
  int32_t pos = r->pos;
  r->pos = pos - (int32_t)bits;
  return peek_at(r->at, pos) >> 1 >> (31 - bits);
}

/* The distance at pos. */
COMPACT static uint32_t read_distance(const uint8_t *at, const uint8_t *codes, int32_t *pos,
                                      uint32_t features) {
  uint32_t next = peek_at(at, *pos), entry = codes[next >> (32 - LONGEST)];
  uint32_t bits = entry & 7, open = entry >> 3 & 7;
  if (features & QN_STATIC_LEVELS) {
    *pos -= (int32_t)bits;
    return (uint32_t)((int8_t)entry >> 3);
  }
  next <<= bits;
  *pos -= (int32_t)(bits + open);
  uint32_t x = ((entry >> 6 | 4) << open) + (next >> 1 >> (31 - open)) - 7;
  return x >> 1 ^ (uint32_t)((int32_t)(x << 31) >> 31);
}

/* A row's peak is there already, and nothing else. */
COMPACT static int8_t *read_row(reader *r, const matrix *m, uint32_t table, int8_t *at,
                                uint32_t peak, uint32_t features) {
  (void)peak;
  int32_t pos = r->pos;
  const uint8_t *stream = r->at, *codes = r->codes + CODES * table;
  const int32_t *factor = factors_of(r) - QN_CODEC_LAGS;
  bool predicted = features & QN_STATIC_PREDICTED;
  uint32_t phases = m->phases;
  do {
    uint32_t n = m->phase;
    do {
      if (!(features & QN_STATIC_PEAKS) || *at == 0) {
        uint32_t x = read_distance(stream, codes, &pos, features);
        if (predicted) x += (uint32_t)predict(m, factor, at, features);
        *at = (int8_t)x;
      }
      at += m->step;
    } while (--n > 0);
    factor += QN_CODEC_LAGS;
  } while (predicted && phases-- > 0);
  r->pos = pos;
  return at;
}

/* Tables, from the end of the stream downwards. The last run may go on behind them. */
COMPACT static void read_tables(reader *r, uint32_t bits) {
  uint8_t *next = r->codes, *end = next + ((uint32_t)CODES << bits);
  do {
    uint32_t entry = take(r, 8);
    const uint8_t *stop = next + (CODES >> (entry & 7));
    do *next++ = (uint8_t)entry;
    while (next < stop);
  } while (next < end);
}

SMALL int32_t qn_decode_huffman(const uint8_t *coded, uint32_t coded_bytes, uint32_t start,
                                uint8_t *image, uint32_t image_bytes, void *scratch,
                                uint32_t features) {
  if (image_bytes < 4 || !has_sum(coded_bytes, start, 0)) return QUERN_ECORRUPT;
  reader state, *r = &state;
  r->at = coded;
  r->codes = scratch;
  r->pos = (int32_t)(8 * coded_bytes - AHEAD);
  read_tables(r, table_bits(features));
  r->pos = (int32_t)(8 * start - AHEAD);
  if (features & QN_STATIC_PREDICTED) {
    int32_t *first = factors_of(r) - QN_CODEC_LAGS;
    first[0] = first[1] = first[2] = first[3] = 0;
  }
  if (!read_image(r, image, image_bytes, features)) return QUERN_ECORRUPT;
  return qn_codec_sum(0, image, image_bytes / 4) == qn_load_u32(coded + start) ? QUERN_OK
                                                                               : QUERN_ECORRUPT;
}
