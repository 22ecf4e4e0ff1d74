/* Codec huffman: static prefix codes for the whole model. No state but a place in the stream, so
 * that decoding could begin at any row.
 *
 * The stream begins with the tables, as many as their number has values, each a byte for each 7
 * bits that may come next: its symbol's t << 6 | s << 3 | length of the code, 1..7. A table of
 * zeros makes zeros of no bits. An image's bits stand before its sum and are read from there
 * downwards, from the highest of each byte on. They are what static_model.h says; a distance is the
 * code of its symbol, the bits that this leaves open, and the sign unless it is 0. */
#include "decode.h"

enum { LONGEST = 7, CODES = 1 << LONGEST, AHEAD = 25 };

typedef struct {
  const uint8_t *at;
  int32_t pos; /* of the lowest of the next AHEAD bits; negative: past the end */
  int32_t number[QN_STATIC_NUMBERS];
} reader;
_Static_assert(sizeof(reader) <= QN_SCRATCH_huffman, "codecs.def");

#include "static_model.h"

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
COMPACT static uint32_t read_distance(const reader *r, const uint8_t *table, int32_t *pos) {
  uint32_t next = peek_at(r->at, *pos), entry = table[next >> (32 - LONGEST)];
  uint32_t open = entry >> 3 & 7, bits = entry & 7;
  next <<= bits;
  uint32_t x = ((entry >> 6 | 4) << open) + (next >> 1 >> (31 - open)) - 4;
  next <<= open;
  *pos -= (int32_t)(bits + open + (x > 0));
  uint32_t sign = (uint32_t)((int32_t)next >> 31);
  return (x ^ sign) - sign;
}

COMPACT static void read_distances(reader *r, const matrix *m, uint32_t table, int8_t *at,
                                   uint32_t peak, uint32_t weight) {
  int32_t pos = r->pos;
  uint32_t k = 0;
  const uint8_t *codes = r->at + CODES * table;
  do {
    *at = (int8_t)(k == peak ? weight : read_distance(r, codes, &pos));
    at += m->step;
  } while (++k < m->cols);
  r->pos = pos;
}

SMALL int32_t qn_decode_huffman(const uint8_t *coded, uint32_t coded_bytes, uint32_t start,
                                uint8_t *image, uint32_t image_bytes, void *scratch,
                                uint32_t features) {
  if (coded_bytes < (uint32_t)CODES << table_bits(features) || !has_sum(coded_bytes, start, 0))
    return QUERN_ECORRUPT;
  reader *r = scratch;
  r->at = coded;
  r->pos = (int32_t)(8 * start - AHEAD);
  if (!read_image(r, image, image_bytes, features)) return QUERN_ECORRUPT;
  return qn_codec_sum(0, image, image_bytes / 4) == qn_load_u32(coded + start) ? QUERN_OK
                                                                               : QUERN_ECORRUPT;
}
