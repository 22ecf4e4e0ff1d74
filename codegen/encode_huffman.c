/* Weights -> codec huffman: the inverse of runtime/decode_huffman.c. Codes of limited length are
 * found by the package-merge algorithm (Larmore and Hirschberg 1990, "A fast algorithm for optimal
 * length-limited Huffman codes"). */
#include <string.h>
#include "static_model.h"

enum {
  LONGEST = 7,
  CODES = 1 << LONGEST,
  MOST_BYTES = 1 << 25, /* of an image: positions have 31 bits, and a byte of a damaged one 63 */
  TABLE_BITS = 8 * 16,  /* about */
  BEFORE = 3,           /* bytes that the decoder may look at beyond the last bits */
  /* bytes of code, about: */
  ROWS_CODE = 60,
  TABLES_CODE = 10,
  SYMBOLS_CODE = 44 /* more than for levels */
};

/* ------------------------------------------------------------------ codes */

typedef struct {
  uint64_t weight;
  uint8_t used[QN_SYMBOLS]; /* how often each symbol is in the package */
} package;

static void sort_symbols(const uint64_t *count, int *order, int n) {
  for (int i = 1; i < n; i++) {
    int symbol = order[i], j = i;
    for (; j > 0 && count[order[j - 1]] > count[symbol]; j--) order[j] = order[j - 1];
    order[j] = symbol;
  }
}

/* Pairs of `from` as packages, merged with the symbols in ascending order of weight. */
static int merge_packages(const package *from, int from_count, const package *symbols, int n,
                          package *to) {
  int count = 0, next = 0;
  for (int pair = 0; pair + 1 < from_count; pair += 2) {
    package both = from[pair];
    both.weight += from[pair + 1].weight;
    for (int s = 0; s < QN_SYMBOLS; s++) both.used[s] += from[pair + 1].used[s];
    while (next < n && symbols[next].weight <= both.weight) to[count++] = symbols[next++];
    to[count++] = both;
  }
  while (next < n) to[count++] = symbols[next++];
  return count;
}

/* Lengths of an optimal prefix code of at most LONGEST bits; 1 when there is one symbol. */
static void find_lengths(const uint64_t count[QN_SYMBOLS], uint16_t length[QN_SYMBOLS]) {
  int order[QN_SYMBOLS], n = 0, items = 0;
  package symbols[QN_SYMBOLS] = {{0}}, lists[2][2 * QN_SYMBOLS];
  for (int s = 0; s < QN_SYMBOLS; s++)
    if (count[s]) order[n++] = s;
  sort_symbols(count, order, n);
  for (int i = 0; i < n; i++) {
    symbols[i].weight = count[order[i]];
    symbols[i].used[order[i]] = 1;
  }
  memset(length, 0, QN_SYMBOLS * sizeof *length);
  if (n == 1) length[order[0]] = 1;
  if (n < 2) return;
  for (int level = 0; level < LONGEST; level++)
    items = merge_packages(lists[level % 2], items, symbols, n, lists[(level + 1) % 2]);
  for (int i = 0; i < 2 * n - 2; i++)
    for (int s = 0; s < QN_SYMBOLS; s++)
      length[s] = (uint16_t)(length[s] + lists[LONGEST % 2][i].used[s]);
}

static void fit_code(const uint64_t count[QN_SYMBOLS], uint16_t length[QN_SYMBOLS],
                     uint32_t cost[QN_SYMBOLS]) {
  find_lengths(count, length);
  for (int s = 0; s < QN_SYMBOLS; s++) cost[s] = 256 * (uint32_t)length[s];
}

/* ------------------------------------------------------------------ the stream */

typedef struct {
  qn_static_writer w;
  const qn_static_tables *tables;
  bool levels;
  uint32_t code[QN_TABLES][QN_SYMBOLS];
  uint8_t *at;
  uint64_t pos; /* in bits */
} writer;

static void put(qn_static_writer *static_writer, uint32_t x, uint32_t bits) {
  writer *w = (writer *)static_writer;
  for (; bits > 0; bits--, w->pos++)
    if (x >> (bits - 1) & 1) w->at[w->pos / 8] |= (uint8_t)(128 >> w->pos % 8);
}

static void reverse_bytes(uint8_t *first, uint8_t *end) {
  while (first < end) {
    uint8_t byte = *first;
    *first++ = *--end;
    *end = byte;
  }
}

static void put_run(qn_static_writer *static_writer, int table, const int8_t *distances,
                    uint32_t count) {
  writer *w = (writer *)static_writer;
  for (uint32_t i = 0; i < count; i++) {
    int32_t d = distances[i];
    uint32_t s = w->levels ? (uint32_t)(d + QN_LEVEL_0) : qn_symbol_of(d);
    put(&w->w, w->code[table][s], w->tables->code[table][s]);
    if (w->levels || d == 0) continue;
    uint32_t x = 2 * (uint32_t)(d < 0 ? -d : d) + 6 + (d > 0), open = qn_open_bits(s) + 1;
    put(&w->w, x & ((1u << open) - 1), open);
  }
}

/* What the decoder's table says of a symbol. */
static uint32_t entry_of(const writer *w, uint32_t s, uint32_t bits) {
  if (w->levels) return ((s - QN_LEVEL_0) << 3 & 255) | bits;
  return s == 0 ? 3 << 6 | bits : ((s - 1) & 3) << 6 | (qn_open_bits(s) + 1) << 3 | bits;
}

/* The codes, in ascending order of length, and the table that finds them if it is to be put. One
 * that is not complete (of one symbol or none) is filled up. */
static void make_codes(writer *w, int table, bool is_put) {
  uint32_t next = 0, last = entry_of(w, w->levels ? QN_LEVEL_0 : 0, 0);
  for (uint32_t bits = 1; bits <= LONGEST; bits++) {
    for (uint32_t s = 0; s < QN_SYMBOLS; s++) {
      if (w->tables->code[table][s] != bits) continue;
      w->code[table][s] = next >> (LONGEST - bits);
      next += CODES >> bits;
      last = entry_of(w, s, bits);
      if (is_put) put(&w->w, last, 8);
    }
  }
  if (is_put && next < CODES) put(&w->w, last, 8);
}

/* As many as their number has values, read from the stream's end downwards. */
static void put_tables(writer *w, uint32_t count) {
  uint8_t *start = w->at + w->pos / 8;
  for (uint32_t i = 0; i < count; i++) make_codes(w, (int)i, true);
  reverse_bytes(start, w->at + w->pos / 8);
}

static void put_images(writer *w, const qn_static_model *m, qn_coded_tensor *tensors,
                       qn_coded_image *next) {
  for (int i = 0; i < m->count;) {
    uint8_t *start = w->at + w->pos / 8;
    const qn_static_tensor *before = NULL;
    do {
      uint64_t pos = w->pos;
      qn_put_static(&w->w, &m->at[i], before);
      tensors[i].coded_bits = w->pos - pos;
      before = &m->at[i++];
    } while (i < m->count && !qn_begins_image(tensors, i));
    uint8_t *end = w->at + (w->pos + 7) / 8;
    reverse_bytes(start, end);
    w->pos = 8 * (uint64_t)(qn_put_image(w->at, end, next++) - w->at);
  }
}

static bool encode(qn_arena *a, qn_coded_tensor *tensors, int count, qn_static_form form,
                   qn_stream *out) {
  uint32_t image_bytes;
  const uint8_t *images = qn_build_images(a, tensors, count, &image_bytes);
  qn_static_model m;
  qn_static_tables tables;
  *out = (qn_stream){0};
  if (!qn_prepare_static(a, tensors, count, images, form, &m)) return false;
  qn_fit_tables(a, fit_code, TABLE_BITS, m.rows, m.row_count, m.zeros, &tables);
  out->features = qn_static_features(&m, tables.number_bits);
  /* a weight takes at most 13 bits, an integer 56, a row 35, what precedes them 1.5 KB */
  size_t most = 1024 + (size_t)image_bytes * 7 + (size_t)m.row_count * 5 + (size_t)count * 1536;
  writer w = {.w = {put, put_run, out->features, tables.count},
              .tables = &tables,
              .levels = form.levels,
              .at = qn_alloc(a, most)};
  for (int i = 0; i < tables.count; i++) make_codes(&w, i, false);
  w.pos = 8 * BEFORE;
  put_images(&w, &m, tensors, qn_list_images(a, tensors, count, images, out));
  out->table_bytes = w.pos / 8;
  put_tables(&w, 1u << tables.number_bits);
  out->bytes = w.at;
  out->size = (size_t)w.pos / 8;
  out->table_bytes = out->size - out->table_bytes;
  return true;
}

/* Of a stream and of the code that its form needs. */
static size_t total_bytes(const qn_stream *s) {
  size_t bytes = s->size;
  if (!(s->features & QN_STATIC_FLAT)) bytes += ROWS_CODE;
  if (!(s->features & QN_STATIC_LEVELS)) bytes += SYMBOLS_CODE;
  if (s->features & QN_STATIC_PREDICTED) bytes += QN_PREDICTION_CODE;
  if (s->features & QN_STATIC_PEAKS) bytes += QN_PEAK_CODE;
  return bytes + (s->features >> 5 & 3 ? TABLES_CODE : 0);
}

/* Whether the images are small enough; what lies beyond is not coded. */
static bool are_in_reach(qn_coded_tensor *tensors, int count) {
  bool all = true;
  for (int i = 0; i < count; i++) {
    if ((uint64_t)tensors[i].offset + tensors[i].bytes <= MOST_BYTES) continue;
    tensors[i].coded_bits = QN_NOT_CODED;
    all = false;
  }
  return all;
}

/* The form that is the smallest with its code. */
bool qn_encode_huffman(qn_arena *a, qn_coded_tensor *tensors, int count, qn_stream *out) {
  size_t least = SIZE_MAX;
  qn_static_form best = {0}, form = {0};
  *out = (qn_stream){0};
  if (!are_in_reach(tensors, count)) return false;
  bool levels = qn_are_levels(tensors, count);
  for (int i = levels ? 3 : 1; i >= 0; i--) {
    form = (qn_static_form){.flat = i & 1, .levels = i & 2};
    if (!encode(a, tensors, count, form, out)) return false;
    if (total_bytes(out) >= least) continue;
    least = total_bytes(out);
    best = form;
  }
  bool is_last = best.flat == form.flat && best.levels == form.levels;
  return is_last || encode(a, tensors, count, best, out);
}
