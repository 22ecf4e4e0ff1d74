/* What was seen of one value: counts, extremes, and a histogram that merges exactly.
 *
 * Bins lie on a grid: their width is a power of two, and a bin starts at a multiple of it. A range
 * that outgrows the bins doubles the width as often as it takes: bins 2k and 2k+1 become bin k.
 * The grid is a function of the extremes alone, it only ever gets coarser as they grow, and a
 * count in a fine bin belongs to exactly one coarse bin. So the histogram of many elements is the
 * same whether they were seen at once, in any order, or in shards that were merged. */
#include <math.h>
#include <string.h>
#include "quantize.h"

enum {
  LEAST_EXPONENT = -126,
  INDEX_BITS = 22 /* x / width stays within so many, so that a float holds it exactly */
};

void qn_open_statistic(qn_arena *a, const char *name, qn_statistic *out) {
  *out = (qn_statistic){.name = name, .bins = qn_alloc(a, QN_BINS * sizeof *out->bins)};
}

static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

static int32_t bin_of(float x, int32_t exponent) {
  return (int32_t)floor(ldexp((double)x, -exponent));
}

void qn_fit_grid(float min, float max, int32_t *out_exponent, int32_t *out_first,
                 int32_t *out_used) {
  float magnitude = fmaxf(fabsf(min), fabsf(max));
  double range = (double)max - min;
  int32_t e = LEAST_EXPONENT;
  if (magnitude > 0) e = larger(e, ilogbf(magnitude) - INDEX_BITS);
  /* QN_BINS bins are at most 2^11 wide; this many may still not do when min is inside a bin */
  if (range > 0) e = larger(e, ilogb(range) - 11);
  while (bin_of(max, e) - bin_of(min, e) >= QN_BINS) e++;
  *out_exponent = e;
  *out_first = bin_of(min, e);
  *out_used = bin_of(max, e) - *out_first + 1;
}

/* Adds counts of another grid, as fine as s's or finer and inside it. */
static void add_bins(qn_statistic *s, int32_t exponent, int32_t first, int32_t used,
                     const int64_t *bins) {
  int32_t shift = s->exponent - exponent;
  if (shift > 31) shift = 31;
  for (int32_t i = 0; i < used; i++) s->bins[((first + i) >> shift) - s->first] += bins[i];
}

/* Makes room for min..max. */
static void widen(qn_statistic *s, float min, float max) {
  bool empty = s->count == 0;
  if (empty || min < s->min) s->min = min;
  if (empty || max > s->max) s->max = max;
  int32_t exponent, first, used;
  qn_fit_grid(s->min, s->max, &exponent, &first, &used);
  if (!empty && exponent == s->exponent && first == s->first) {
    s->used = used;
    return;
  }
  int64_t old[QN_BINS];
  int32_t old_exponent = s->exponent, old_first = s->first, old_used = s->used;
  memcpy(old, s->bins, (size_t)old_used * sizeof *old);
  memset(s->bins, 0, QN_BINS * sizeof *s->bins);
  s->exponent = exponent;
  s->first = first;
  s->used = used;
  add_bins(s, old_exponent, old_first, old_used, old);
}

void qn_see_elements(qn_statistic *s, const float *x, int64_t count) {
  float min = x[0], max = x[0];
  for (int64_t i = 1; i < count; i++) {
    min = x[i] < min ? x[i] : min;
    max = x[i] > max ? x[i] : max;
  }
  widen(s, min, max);
  double per_width = ldexp(1, -s->exponent);
  int64_t zeros = 0;
  for (int64_t i = 0; i < count; i++) {
    double at = x[i] * per_width;
    int32_t index = (int32_t)at;
    index -= at < index; /* towards minus infinity */
    s->bins[index - s->first]++;
    zeros += x[i] == 0;
  }
  if (zeros) s->bins[-s->first] -= zeros;
  s->zeros += zeros;
  s->count += count;
  s->samples++;
  s->sum_min += min;
  s->sum_max += max;
}

void qn_merge_statistic(qn_statistic *into, const qn_statistic *from) {
  if (from->count == 0) return;
  if (from->distinct)
    qn_see_distinct(into, from->distinct, from->distinct_count);
  else
    into->distinct = NULL;
  widen(into, from->min, from->max);
  add_bins(into, from->exponent, from->first, from->used, from->bins);
  into->zeros += from->zeros;
  into->count += from->count;
  into->samples += from->samples;
  into->sum_min += from->sum_min;
  into->sum_max += from->sum_max;
}
