/* Histograms of rows -> up to 4 prefix codes that together make them shortest.
 *
 * Rows begin in groups of similar mean symbol; each group gets its best code and each row moves to
 * the code that makes it shortest, until none moves. Codes of limited length are found by the
 * package-merge algorithm (Larmore and Hirschberg 1990, "A fast algorithm for optimal
 * length-limited Huffman codes"). */
#include <stdlib.h>
#include <string.h>
#include "encode.h"

enum { ROUNDS = 20, PARTS = 8, TABLE_BITS = 8 << QN_HUFFMAN_LONGEST };

/* ------------------------------------------------------------------ one code */

typedef struct {
  uint64_t weight;
  uint8_t used[QN_HUFFMAN_SYMBOLS]; /* how often each symbol is in the package */
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
    for (int s = 0; s < QN_HUFFMAN_SYMBOLS; s++) both.used[s] += from[pair + 1].used[s];
    while (next < n && symbols[next].weight <= both.weight) to[count++] = symbols[next++];
    to[count++] = both;
  }
  while (next < n) to[count++] = symbols[next++];
  return count;
}

void qn_fit_code(const uint64_t count[QN_HUFFMAN_SYMBOLS], uint8_t length[QN_HUFFMAN_SYMBOLS]) {
  int order[QN_HUFFMAN_SYMBOLS], n = 0, items = 0;
  package symbols[QN_HUFFMAN_SYMBOLS] = {{0}}, lists[2][2 * QN_HUFFMAN_SYMBOLS];
  for (int s = 0; s < QN_HUFFMAN_SYMBOLS; s++)
    if (count[s]) order[n++] = s;
  sort_symbols(count, order, n);
  for (int i = 0; i < n; i++) {
    symbols[i].weight = count[order[i]];
    symbols[i].used[order[i]] = 1;
  }
  memset(length, 0, QN_HUFFMAN_SYMBOLS);
  if (n == 1) length[order[0]] = 1;
  if (n < 2) return;
  for (int level = 0; level < QN_HUFFMAN_LONGEST; level++)
    items = merge_packages(lists[level % 2], items, symbols, n, lists[(level + 1) % 2]);
  for (int i = 0; i < 2 * n - 2; i++)
    for (int s = 0; s < QN_HUFFMAN_SYMBOLS; s++)
      length[s] += lists[QN_HUFFMAN_LONGEST % 2][i].used[s];
}

/* ------------------------------------------------------------------ several */

/* Bits of the symbols of a row; UINT64_MAX when the code lacks one of them. */
static uint64_t row_bits(const qn_histogram *row, const uint8_t length[QN_HUFFMAN_SYMBOLS]) {
  uint64_t bits = 0;
  for (int s = 0; s < QN_HUFFMAN_SYMBOLS; s++) {
    if (row->count[s] && length[s] == 0) return UINT64_MAX;
    bits += (uint64_t)row->count[s] * length[s];
  }
  return bits;
}

static uint32_t mean_symbol(const qn_histogram *row) {
  uint64_t sum = 0, n = 1;
  for (uint32_t s = 0; s < QN_HUFFMAN_SYMBOLS; s++) {
    sum += (uint64_t)row->count[s] * s;
    n += row->count[s];
  }
  return (uint32_t)(sum * 256 / n);
}

static int compare_numbers(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* Groups begin behind so many of PARTS parts of the rows; the first behind none. */
static void start_groups(qn_histogram *rows, int count, const uint32_t *sorted, const int *begin,
                         int tables) {
  for (int i = 0; i < count; i++) {
    rows[i].table = 0;
    for (int t = 1; t < tables; t++)
      if (mean_symbol(&rows[i]) >= sorted[(int64_t)count * begin[t] / PARTS]) rows[i].table = t;
  }
}

static void fit_groups(const qn_histogram *rows, int count, qn_huffman_tables *t) {
  uint64_t sum[QN_HUFFMAN_TABLES][QN_HUFFMAN_SYMBOLS] = {{0}};
  for (int i = 0; i < count; i++)
    for (int s = 0; s < QN_HUFFMAN_SYMBOLS; s++) sum[rows[i].table][s] += rows[i].count[s];
  for (int i = 0; i < t->count; i++) qn_fit_code(sum[i], t->length[i]);
}

/* Moves rows to their shortest codes; sets t->bits. Returns whether any has moved. */
static bool move_rows(qn_histogram *rows, int count, qn_huffman_tables *t) {
  bool moved = false;
  t->bits = 0;
  for (int i = 0; i < count; i++) {
    uint64_t least = row_bits(&rows[i], t->length[rows[i].table]);
    for (int j = 0; j < t->count; j++) {
      uint64_t bits = row_bits(&rows[i], t->length[j]);
      if (bits >= least) continue;
      least = bits;
      rows[i].table = j;
      moved = true;
    }
    t->bits += least;
  }
  return moved;
}

static void fit_tables(qn_histogram *rows, int count, const uint32_t *sorted, const int *begin,
                       qn_huffman_tables *t) {
  start_groups(rows, count, sorted, begin, t->count);
  for (int round = 0; round < ROUNDS; round++) {
    fit_groups(rows, count, t);
    if (!move_rows(rows, count, t)) return;
  }
  fit_groups(rows, count, t);
  move_rows(rows, count, t);
}

/* The next choice of `begin`, ascending, within PARTS; false after the last. */
static bool next_division(int *begin, int tables) {
  int i = tables - 1;
  while (i > 0 && begin[i] == PARTS - tables + i) i--;
  if (i < 1) return false;
  for (begin[i]++; i + 1 < tables; i++) begin[i + 1] = begin[i] + 1;
  return true;
}

/* What rows end up in depends on where they begin: every division into parts is tried. */
static void try_count(qn_histogram *rows, int count, const uint32_t *sorted, int tables,
                      qn_huffman_tables *least, int best[QN_HUFFMAN_TABLES]) {
  int begin[QN_HUFFMAN_TABLES] = {0, 1, 2, 3};
  int number_bits = least->zeros + tables > 2 ? 2 : least->zeros + tables - 1;
  uint64_t fixed = ((uint64_t)TABLE_BITS << number_bits) + (uint64_t)(count * number_bits);
  do {
    qn_huffman_tables t = {.count = tables, .number_bits = number_bits, .zeros = least->zeros};
    fit_tables(rows, count, sorted, begin, &t);
    t.bits += fixed;
    if (t.bits >= least->bits) continue;
    *least = t;
    memcpy(best, begin, sizeof begin);
  } while (next_division(begin, tables));
}

void qn_fit_tables(qn_arena *a, qn_histogram *rows, int count, bool zeros, qn_huffman_tables *out) {
  uint32_t *sorted = qn_alloc(a, ((size_t)count + 1) * sizeof *sorted);
  for (int i = 0; i < count; i++) sorted[i] = mean_symbol(&rows[i]);
  qsort(sorted, (size_t)count, sizeof *sorted, compare_numbers);
  *out = (qn_huffman_tables){.bits = UINT64_MAX, .zeros = zeros};
  int best[QN_HUFFMAN_TABLES] = {0};
  for (int tables = 1; tables + zeros <= QN_HUFFMAN_TABLES; tables++)
    if (tables + zeros != 3) try_count(rows, count, sorted, tables, out, best);
  uint64_t bits = out->bits;
  fit_tables(rows, count, sorted, best, out); /* once more, for the rows' tables */
  out->bits = bits;
}
