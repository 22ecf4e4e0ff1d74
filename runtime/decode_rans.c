/* Codec rans: asymmetric numeral systems (Duda 2013, "Asymmetric numeral systems: entropy coding
 * combining speed of Huffman coding with compression rate of arithmetic coding"), with tables that
 * do not change and four states that take turns, so that processors that do several things at a
 * time can: for PCs and phones.
 *
 * Behind the sum stand the states, 32 bits each, and 16-bit words, read in order; past the end they
 * are 0. A state is kept at 2^16 or more: when it falls below, it moves up by 16 bits and a word
 * comes in. It holds the next number below 2^n in its n lowest bits, and then those above them. Or
 * it holds a distance: its 12 lowest bits are a slot of the table; the distance that the slot
 * belongs to has so many of the 4096 slots, from its first one on, and what remains is  slots *
 * (state >> 12)
 * + slot - first.
 *
 * Numbers are of the first state; runs of distances take the states in turn, from the first one on.
 * Of more than 16 bits, the high ones come first, then 16. Before what static_model.h says there
 * are 3 bits how many tables; for each symbol of each, 13 bits how many slots. They are shared
 * among the symbol's distances, 0 or from the lowest on, the positive one first, as evenly as can
 * be: of n distances that have k slots, the i-th one ends with slot k*(i + 1)/n. */
#include "decode.h"

enum { STATES = 4, SCALE = 12, SLOTS = 1 << SCALE, LEAST = 1 << 16, TABLES = 4 };

typedef struct {
  uint16_t slots, first;
} share;

typedef struct {
  share of[256]; /* of a distance, as a byte */
  uint8_t at[SLOTS];
} rans_table;

typedef struct {
  const uint8_t *at, *end;
  uint32_t state[STATES];
  int32_t factor[QN_STATIC_FACTORS];
  uint32_t table_count;
  rans_table table[TABLES];
} reader;
_Static_assert(sizeof(reader) <= QN_SCRATCH_rans, "codecs.def");

#include "static_model.h"

static inline uint32_t next_word(const uint8_t **at) {
  uint32_t word = (*at)[0] | (uint32_t)(*at)[1] << 8;
  *at += 2;
  return word;
}

COMPACT static inline void refill(reader *r, uint32_t i) {
  if (r->state[i] < LEAST)
    r->state[i] = r->state[i] << 16 | (r->end - r->at >= 2 ? next_word(&r->at) : 0);
}

SMALL static uint32_t take(reader *r, uint32_t bits) {
  uint32_t x = 0;
  do {
    uint32_t part = bits > 16 ? bits - 16 : bits;
    x = x << part | (r->state[0] & (((uint32_t)1 << part) - 1));
    r->state[0] >>= part;
    refill(r, 0);
    bits -= part;
  } while (bits > 0);
  return x;
}

/* Takes a distance from a state; returns what remains of it. */
static inline uint32_t take_distance(const rans_table *t, uint32_t state, int8_t *to) {
  uint32_t slot = state & (SLOTS - 1), distance = t->at[slot];
  share s = t->of[distance];
  *to = (int8_t)distance;
  return s.slots * (state >> SCALE) + slot - s.first;
}

/* The same, and a word if it needs one: at least two bytes are left. */
static inline uint32_t next_state(const rans_table *t, uint32_t state, int8_t *to,
                                  const uint8_t **at) {
  state = take_distance(t, state, to);
  return state < LEAST ? state << 16 | next_word(at) : state;
}

/* count distances, `step` apart. As many as there are surely words for go without looking. */
QUICK static void read_run(reader *r, const rans_table *t, int8_t *to, uint32_t step,
                           uint32_t count) {
  uint32_t a = r->state[0], b = r->state[1], c = r->state[2], d = r->state[3];
  const uint8_t *at = r->at;
  for (;;) {
    uint32_t rounds = (uint32_t)(r->end - at) / (2 * STATES);
    if (rounds > count / STATES) rounds = count / STATES;
    if (rounds == 0) break;
    count -= rounds * STATES;
    for (; rounds > 0; rounds--) {
      a = next_state(t, a, to, &at);
      b = next_state(t, b, to + step, &at);
      c = next_state(t, c, to + 2 * step, &at);
      d = next_state(t, d, to + 3 * step, &at);
      to += STATES * step;
    }
  }
  r->state[0] = a, r->state[1] = b, r->state[2] = c, r->state[3] = d;
  r->at = at;
  for (uint32_t i = 0; i < count; i++, to += step) {
    r->state[i % STATES] = take_distance(t, r->state[i % STATES], to);
    refill(r, i % STATES);
  }
}

COMPACT static inline int32_t *factors_of(reader *r) { return r->factor; }

/* Makes weights of a row's distances; what is at `peak` stays. */
COMPACT static void add_predictions(reader *r, const matrix *m, int8_t *at, const int8_t *peak,
                                    uint32_t features) {
  const int32_t *factor = r->factor;
  uint32_t phases = m->phases;
  at += m->phase * m->step;
  do {
    uint32_t n = m->phase;
    do {
      if (at != peak) *at = (int8_t)(*at + predict(m, factor, at, features));
      at += m->step;
    } while (--n > 0);
    factor += QN_CODEC_LAGS;
  } while (--phases > 0);
}

/* Rows without a table are 0, as the image is. */
COMPACT static int8_t *read_row(reader *r, const matrix *m, uint32_t table, int8_t *at,
                                uint32_t peak, uint32_t features) {
  int8_t *end = at + m->cols * m->step;
  if (table >= r->table_count) return end;
  const rans_table *t = &r->table[table];
  uint32_t before = peak < m->cols ? peak : m->cols;
  read_run(r, t, at, m->step, before);
  if (before < m->cols) read_run(r, t, at + (before + 1) * m->step, m->step, m->cols - before - 1);
  if (features & QN_STATIC_PREDICTED && m->phases)
    add_predictions(r, m, at, at + peak * m->step, features);
  return end;
}

/* Slots that the stream does not give away are those of 0, so that all are something. */
COMPACT static void read_table(reader *r, rans_table *t) {
  uint32_t slot = 0;
  for (uint32_t i = 0; i < 256; i++) t->of[i] = (share){0, 0};
  for (uint32_t symbol = 0; symbol < QN_STATIC_SYMBOLS; symbol++) {
    uint32_t slots = take(r, 13), n = qn_count_distances(symbol), begin = slot;
    for (uint32_t i = 0; i < n; i++) {
      uint32_t distance = qn_first_distance(symbol) + (i >> 1), end = begin + slots * (i + 1) / n;
      if (i & 1) distance = 0 - distance;
      if (end > SLOTS) end = SLOTS;
      t->of[distance & 255] = (share){(uint16_t)(end - slot), (uint16_t)slot};
      while (slot < end) t->at[slot++] = (uint8_t)distance;
    }
  }
  while (slot < SLOTS) t->at[slot++] = 0;
}

SMALL int32_t qn_decode_rans(const uint8_t *coded, uint32_t coded_bytes, uint32_t start,
                             uint8_t *image, uint32_t image_bytes, void *scratch,
                             uint32_t features) {
  if (!has_sum(coded_bytes, start, 4 * STATES)) return QUERN_ECORRUPT;
  reader *r = scratch;
  r->at = coded + start + QN_CODEC_HEADER;
  r->end = coded + coded_bytes;
  for (uint32_t i = 0; i < STATES; i++, r->at += 4) r->state[i] = qn_load_u32(r->at);
  r->table_count = take(r, 3);
  if (r->table_count > TABLES) return QUERN_ECORRUPT;
  for (uint32_t i = 0; i < r->table_count; i++) read_table(r, &r->table[i]);
  if (!read_image(r, image, image_bytes, features)) return QUERN_ECORRUPT;
  return qn_codec_sum(0, image, image_bytes / 4) == qn_load_u32(coded + start) ? QUERN_OK
                                                                               : QUERN_ECORRUPT;
}
