/* Weights -> codec huffman: the inverse of runtime/decode_huffman.c. Codes of limited length are
 * found by the package-merge algorithm (Larmore and Hirschberg 1990, "A fast algorithm for optimal
 * length-limited Huffman codes"). */
#include <string.h>
#include "static_model.h"

enum { LONGEST = 7, TABLE_BITS = 8 << LONGEST };

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
  uint32_t code[QN_TABLES][QN_SYMBOLS];
  uint8_t *at;
  uint64_t pos; /* in bits */
} writer;

static void put(qn_static_writer *static_writer, uint32_t x, uint32_t bits) {
  writer *w = (writer *)static_writer;
  for (; bits > 0; bits--, w->pos++)
    if (x >> (bits - 1) & 1) w->at[w->pos / 8] |= (uint8_t)(128 >> w->pos % 8);
}

static void put_run(qn_static_writer *static_writer, int table, const int8_t *distances,
                    uint32_t count) {
  writer *w = (writer *)static_writer;
  for (uint32_t i = 0; i < count; i++) {
    int8_t d = distances[i];
    uint32_t distance = (uint32_t)(d < 0 ? -d : d), s = qn_symbol_of(distance);
    put(&w->w, w->code[table][s], w->tables->code[table][s]);
    put(&w->w, (distance + 4) & ((1u << qn_open_bits(s)) - 1), qn_open_bits(s));
    if (distance) put(&w->w, d < 0, 1);
  }
}

/* The codes, in ascending order of length, and the table that finds them. One that is not complete
 * (of one symbol or none) is filled up by zeros. */
static void put_table(writer *w, int table) {
  uint32_t next = 0;
  for (uint32_t bits = 1; bits <= LONGEST; bits++) {
    for (uint32_t s = 0; s < QN_SYMBOLS; s++) {
      if (w->tables->code[table][s] != bits) continue;
      w->code[table][s] = next >> (LONGEST - bits);
      for (uint32_t n = 1u << (LONGEST - bits); n > 0; n--, next++)
        put(&w->w, (s & 3) << 6 | qn_open_bits(s) << 3 | bits, 8);
    }
  }
  for (; next < 1u << LONGEST; next++) put(&w->w, 0, 8);
}

static void reverse_bytes(uint8_t *first, uint8_t *end) {
  while (first < end) {
    uint8_t byte = *first;
    *first++ = *--end;
    *end = byte;
  }
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

bool qn_encode_huffman(qn_arena *a, qn_coded_tensor *tensors, int count, qn_stream *out) {
  uint32_t image_bytes;
  const uint8_t *images = qn_build_images(a, tensors, count, &image_bytes);
  qn_static_model m;
  qn_static_tables tables;
  if (!qn_prepare_static(a, tensors, count, images, &m)) return false;
  qn_fit_tables(a, fit_code, TABLE_BITS, m.rows, m.row_count, m.zeros, &tables);
  out->features = qn_static_features(&m, tables.number_bits);
  /* a weight takes at most 12 bits, an integer 56, a row 35, what precedes them 1.5 KB */
  size_t most = 1024 + (size_t)image_bytes * 7 + (size_t)m.row_count * 5 + (size_t)count * 1536;
  writer w = {
      .w = {put, put_run, out->features, tables.count}, .tables = &tables, .at = qn_alloc(a, most)};
  for (int i = 0; i < tables.count; i++) put_table(&w, i);
  w.pos = (uint64_t)TABLE_BITS << tables.number_bits;
  out->table_bytes = w.pos / 8;
  put_images(&w, &m, tensors, qn_list_images(a, tensors, count, images, out));
  out->bytes = w.at;
  out->size = (size_t)w.pos / 8;
  return true;
}
