/* Weights -> codec rans: the inverse of runtime/decode_rans.c. States are filled in the order
 * opposite to that in which the decoder takes from them, so what is coded is listed first. */
#include <math.h>
#include "static_model.h"

enum { STATES = 4, SCALE = 12, SLOTS = 1 << SCALE, LEAST = 1 << 16 };

/* ------------------------------------------------------------------ tables */

/* Bits that a symbol costs more when it has one slot of n less: nearly count/n. */
static double loss(uint64_t count, uint32_t slots) { return (double)count / slots; }

/* Takes a slot from the symbol that misses it least, or gives one to that which gains most. */
static void move_slot(const uint64_t *count, uint16_t *slots, bool take) {
  int best = -1;
  for (uint32_t s = 0; s < QN_SYMBOLS; s++) {
    if (slots[s] == 0 || (take && slots[s] <= qn_count_distances(s))) continue;
    double now = loss(count[s], slots[s]);
    if (best < 0 ||
        (take ? now < loss(count[best], slots[best]) : now > loss(count[best], slots[best])))
      best = (int)s;
  }
  slots[best] = (uint16_t)(take ? slots[best] - 1 : slots[best] + 1);
}

/* In proportion to their counts, and each distance of a symbol that occurs gets a slot. */
static void share_slots(const uint64_t count[QN_SYMBOLS], uint16_t slots[QN_SYMBOLS],
                        uint32_t cost[QN_SYMBOLS]) {
  uint64_t total = 0, sum = 0;
  for (int s = 0; s < QN_SYMBOLS; s++) total += count[s];
  for (uint32_t s = 0; s < QN_SYMBOLS; s++) {
    uint64_t n = count[s] ? (count[s] * SLOTS + total / 2) / total : 0;
    if (count[s] && n < qn_count_distances(s)) n = qn_count_distances(s);
    slots[s] = (uint16_t)n;
    sum += n;
  }
  for (; sum > SLOTS; sum--) move_slot(count, slots, true);
  for (; total && sum < SLOTS; sum++) move_slot(count, slots, false);
  for (int s = 0; s < QN_SYMBOLS; s++)
    cost[s] = slots[s] ? (uint32_t)(256 * log2((double)SLOTS / slots[s]) + 0.5) : 0;
}

/* ------------------------------------------------------------------ the list */

/* A state's lowest `scale` bits get to be one of `slots` from `first` on. */
typedef struct {
  uint16_t slots, first;
  uint8_t scale, state;
} step;

typedef struct {
  qn_static_writer w;
  const qn_static_tables *tables;
  step *at;
  size_t count;
  double bits; /* of all of them */
} writer;

static void add_step(writer *w, uint32_t first, uint32_t slots, uint32_t scale, uint32_t state) {
  w->at[w->count++] = (step){(uint16_t)slots, (uint16_t)first, (uint8_t)scale, (uint8_t)state};
  w->bits += scale - (slots > 1 ? log2(slots) : 0);
}

static void put(qn_static_writer *static_writer, uint32_t x, uint32_t bits) {
  writer *w = (writer *)static_writer;
  if (bits > 16) add_step(w, x >> 16, 1, bits - 16, 0);
  add_step(w, x & 0xFFFF, 1, bits > 16 ? 16 : bits, 0);
}

static void put_run(qn_static_writer *static_writer, int table, const int8_t *distances,
                    uint32_t count) {
  writer *w = (writer *)static_writer;
  const uint16_t *slots = w->tables->code[table];
  uint32_t first[QN_SYMBOLS + 1] = {0};
  for (int s = 0; s < QN_SYMBOLS; s++) first[s + 1] = first[s] + slots[s];
  for (uint32_t i = 0; i < count; i++) {
    int8_t d = distances[i];
    uint32_t distance = (uint32_t)(d < 0 ? -d : d), s = qn_symbol_of(d);
    uint32_t n = qn_count_distances(s), place = 2 * (distance - qn_first_distance(s)) + (d < 0);
    uint32_t begin = slots[s] * place / n, end = slots[s] * (place + 1) / n;
    add_step(w, first[s] + begin, end - begin, SCALE, i % STATES);
  }
}

static void put_tables(writer *w) {
  put(&w->w, (uint32_t)w->tables->count, 3);
  for (int i = 0; i < w->tables->count; i++)
    for (int s = 0; s < QN_STATIC_SYMBOLS; s++) put(&w->w, w->tables->code[i][s], 13);
}

/* ------------------------------------------------------------------ the stream */

static void store_u16(uint8_t *at, uint32_t x) {
  at[0] = (uint8_t)x;
  at[1] = (uint8_t)(x >> 8);
}

/* The states and words of the list, from `end` down. Returns their begin. */
static uint8_t *fill_states(const writer *w, uint8_t *end) {
  uint32_t state[STATES] = {LEAST, LEAST, LEAST, LEAST};
  for (size_t i = w->count; i-- > 0;) {
    const step *s = &w->at[i];
    uint32_t *x = &state[s->state];
    if (*x >= (uint64_t)s->slots << (32 - s->scale)) {
      store_u16(end -= 2, *x);
      *x >>= 16;
    }
    *x = (*x / s->slots << s->scale) + *x % s->slots + s->first;
  }
  for (int i = STATES; i-- > 0;) qn_store_u32(end -= 4, state[i]);
  return end;
}

bool qn_encode_rans(qn_arena *a, qn_coded_tensor *tensors, int count, qn_stream *out) {
  uint32_t image_bytes;
  if (!qn_is_one_image(tensors, count)) return false; /* each would have tables of its own */
  const uint8_t *images = qn_build_images(a, tensors, count, &image_bytes);
  qn_static_model m;
  qn_static_tables tables;
  if (!qn_prepare_static(a, tensors, count, images, (qn_static_form){0}, &m)) return false;
  qn_fit_tables(a, share_slots, QN_STATIC_SYMBOLS * 13, m.rows, m.row_count, m.zeros, &tables);
  out->features = qn_static_features(&m, tables.number_bits);
  /* a weight is a step, an integer up to 34, a row 3, what precedes them 200 */
  size_t most = 256 + (size_t)image_bytes * 9 + (size_t)m.row_count * 3 + (size_t)count * 256;
  writer w = {.w = {put, put_run, out->features, tables.count},
              .tables = &tables,
              .at = qn_alloc(a, most * sizeof *w.at)};
  put_tables(&w);
  out->table_bytes = (size_t)(w.bits / 8);
  for (int i = 0; i < count; i++) {
    double before = w.bits;
    qn_put_static(&w.w, &m.at[i], i ? &m.at[i - 1] : NULL);
    tensors[i].coded_bits = (uint64_t)(w.bits - before + 0.5);
  }
  most = QN_CODEC_HEADER + 4 * STATES + 2 * w.count;
  uint8_t *end = (uint8_t *)qn_alloc(a, most) + most;
  uint8_t *stream = fill_states(&w, end) - QN_CODEC_HEADER;
  (void)qn_put_image(stream, stream, qn_list_images(a, tensors, count, images, out));
  out->bytes = stream;
  out->size = (size_t)(end - stream);
  return true;
}
