/* Histograms of rows -> up to 4 tables that together make them shortest.
 *
 * Rows begin in groups of similar mean symbol; each group gets its best table and each row moves to
 * the table that makes it shortest, until none moves. */
#include <stdlib.h>
#include <string.h>
#include "static_model.h"

enum { ROUNDS = 20, PARTS = 8 };

/* The tables that are sought, and for what. */
typedef struct {
  qn_fit_table *fit;
  uint32_t table_bits;
  qn_histogram *rows;
  int count;
  uint32_t *sorted; /* mean symbols, ascending */
} problem;

/* Of the symbols of a row, in 1/256 bits; UINT64_MAX when table i lacks one of them. */
static uint64_t row_cost(const qn_histogram *row, const qn_static_tables *t, int i) {
  uint64_t cost = 0;
  uint32_t lacking = 0; /* no early return: lanes add up the symbols */
  for (int s = 0; s < QN_SYMBOLS; s++) {
    lacking |= t->code[i][s] ? 0 : row->count[s];
    cost += (uint64_t)row->count[s] * t->cost[i][s];
  }
  return lacking ? UINT64_MAX : cost;
}

static uint32_t mean_symbol(const qn_histogram *row) {
  uint64_t sum = 0, n = 1;
  for (uint32_t s = 0; s < QN_SYMBOLS; s++) {
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
static void start_groups(const problem *p, const int *begin, int tables) {
  for (int i = 0; i < p->count; i++) {
    p->rows[i].table = 0;
    for (int t = 1; t < tables; t++)
      if (mean_symbol(&p->rows[i]) >= p->sorted[(int64_t)p->count * begin[t] / PARTS])
        p->rows[i].table = t;
  }
}

static void fit_groups(const problem *p, qn_static_tables *t) {
  uint64_t sum[QN_TABLES][QN_SYMBOLS] = {{0}};
  for (int i = 0; i < p->count; i++)
    for (int s = 0; s < QN_SYMBOLS; s++) sum[p->rows[i].table][s] += p->rows[i].count[s];
  for (int i = 0; i < t->count; i++) p->fit(sum[i], t->code[i], t->cost[i]);
}

/* Moves rows to their shortest tables; sets t->bits. Returns whether any has moved. */
static bool move_rows(const problem *p, qn_static_tables *t) {
  bool moved = false;
  t->bits = 0;
  for (int i = 0; i < p->count; i++) {
    qn_histogram *row = &p->rows[i];
    int old = row->table;
    uint64_t least = row_cost(row, t, old);
    for (int j = 0; j < t->count; j++) {
      if (j == old) continue;
      uint64_t cost = row_cost(row, t, j);
      if (cost >= least) continue;
      least = cost;
      row->table = j;
      moved = true;
    }
    t->bits += least;
  }
  return moved;
}

static void fit_tables(const problem *p, const int *begin, qn_static_tables *t) {
  start_groups(p, begin, t->count);
  for (int round = 0; round < ROUNDS; round++) {
    fit_groups(p, t);
    if (!move_rows(p, t)) return;
  }
  fit_groups(p, t);
  move_rows(p, t);
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
static void try_count(const problem *p, int tables, qn_static_tables *least, int best[QN_TABLES]) {
  int begin[QN_TABLES] = {0, 1, 2, 3};
  int number_bits = least->zeros + tables > 2 ? 2 : least->zeros + tables - 1;
  uint64_t fixed = ((uint64_t)p->table_bits << number_bits) + (uint64_t)(p->count * number_bits);
  do {
    qn_static_tables t = {.count = tables, .number_bits = number_bits, .zeros = least->zeros};
    fit_tables(p, begin, &t);
    t.bits += 256 * fixed;
    if (t.bits >= least->bits) continue;
    *least = t;
    memcpy(best, begin, sizeof begin);
  } while (next_division(begin, tables));
}

void qn_fit_tables(qn_arena *a, qn_fit_table *fit, uint32_t table_bits, qn_histogram *rows,
                   int count, bool zeros, qn_static_tables *out) {
  problem p = {fit, table_bits, rows, count, NULL};
  p.sorted = qn_alloc(a, ((size_t)count + 1) * sizeof *p.sorted);
  for (int i = 0; i < count; i++) p.sorted[i] = mean_symbol(&rows[i]);
  qsort(p.sorted, (size_t)count, sizeof *p.sorted, compare_numbers);
  *out = (qn_static_tables){.bits = UINT64_MAX, .zeros = zeros};
  int best[QN_TABLES] = {0};
  for (int tables = 1; tables + zeros <= QN_TABLES; tables++)
    if (tables + zeros != 3) try_count(&p, tables, out, best);
  uint64_t bits = out->bits;
  fit_tables(&p, best, out); /* once more, for the rows' tables */
  out->bits = bits;
}
