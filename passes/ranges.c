/* Statistics of a value -> the range that its stored form shall cover, one function per method.
 *
 * All methods see the histogram's bins as sorted elements at the bins' centres, with the exact
 * zeros, which are stored without error, between the negative and the positive ones. Ranges end at
 * edges of bins, or at the extremes themselves. */
#include <math.h>
#include <stdlib.h>
#include "quantize.h"

static double width_of(const qn_statistic *s) { return ldexp(1, s->exponent); }

/* Where bin i begins and bin i-1 ends, within min..max. */
static double edge(const qn_statistic *s, int32_t i) {
  double x = (s->first + (double)i) * width_of(s);
  return fmin(fmax(x, s->min), s->max);
}

static double centre(const qn_statistic *s, int32_t i) {
  return (s->first + i + 0.5) * width_of(s);
}

static void range_minmax(const qn_statistic *s, const qn_scheme *scheme, double out[2]) {
  (void)scheme;
  out[0] = s->min;
  out[1] = s->max;
}

static void range_average(const qn_statistic *s, const qn_scheme *scheme, double out[2]) {
  (void)scheme;
  out[0] = s->sum_min / (double)s->samples;
  out[1] = s->sum_max / (double)s->samples;
}

/* Clips at most `tail` elements on either side. */
static void range_percentile(const qn_statistic *s, const qn_scheme *scheme, double out[2]) {
  double share = (100 - (double)scheme->percentile) / 200;
  int64_t tail = (int64_t)floor(share * (double)s->count), seen = 0;
  int32_t i = 0;
  for (; i < s->used && s->first + i < 0 && seen + s->bins[i] <= tail; i++) seen += s->bins[i];
  out[0] = edge(s, i);
  seen = 0;
  i = s->used;
  for (; i > 0 && s->first + i > 0 && seen + s->bins[i - 1] <= tail; i--) seen += s->bins[i - 1];
  out[1] = edge(s, i);
}

/* ------------------------------------------------------------------ least squares */

/* Sums over the bins on one side of an edge, of the elements x other than 0. */
typedef struct {
  double count, x, xx;
} moments;

static void add_bin(const qn_statistic *s, int32_t i, moments *to) {
  double x = centre(s, i), n = (double)s->bins[i], w = width_of(s);
  to->count += n;
  to->x += n * x;
  to->xx += n * (x * x + w * w / 12);
}

/* Squared error of storing all of these as `at`. */
static double clip_cost(const moments *m, double at) {
  return m->xx - 2 * at * m->x + at * at * m->count;
}

/* What ends at or begins from each edge costs: cost[i], clipped[i] elements. */
typedef struct {
  double at[QN_BINS + 1], cost[QN_BINS + 1], clipped[QN_BINS + 1];
  int32_t count;
} clips;

/* Lower ends: edges up to 0, from min on. */
static void find_low_clips(const qn_statistic *s, clips *out) {
  moments m = {0, 0, 0};
  out->count = 0;
  for (int32_t i = 0;; i++) {
    double at = fmin(edge(s, i), 0);
    out->at[out->count] = at;
    out->cost[out->count] = clip_cost(&m, at);
    out->clipped[out->count++] = m.count;
    if (i == s->used || s->first + i >= 0) return;
    add_bin(s, i, &m);
  }
}

/* Upper ends: edges down to 0, from max on. */
static void find_high_clips(const qn_statistic *s, clips *out) {
  moments m = {0, 0, 0};
  out->count = 0;
  for (int32_t i = s->used;; i--) {
    double at = fmax(edge(s, i), 0);
    out->at[out->count] = at;
    out->cost[out->count] = clip_cost(&m, at);
    out->clipped[out->count++] = m.count;
    if (i == 0 || s->first + i <= 0) return;
    add_bin(s, i - 1, &m);
  }
}

/* Rounding with steps of d costs d^2 / 12 for each element that is not clipped. */
static double total_cost(const qn_statistic *s, const qn_scheme *scheme, const clips *low,
                         int32_t l, const clips *high, int32_t h) {
  double span = high->at[h] - low->at[l];
  if (qn_is_symmetric(scheme)) span = 2 * fmax(high->at[h], -low->at[l]);
  double step = span / qn_activation_steps(scheme);
  double kept = (double)(s->count - s->zeros) - low->clipped[l] - high->clipped[h];
  return kept * step * step / 12 + low->cost[l] + high->cost[h];
}

static void range_mse(const qn_statistic *s, const qn_scheme *scheme, double out[2]) {
  clips low, high;
  find_low_clips(s, &low);
  find_high_clips(s, &high);
  double best = INFINITY;
  for (int32_t l = 0; l < low.count; l++) {
    for (int32_t h = 0; h < high.count; h++) {
      double cost = total_cost(s, scheme, &low, l, &high, h);
      if (cost >= best) continue;
      best = cost;
      out[0] = low.at[l];
      out[1] = high.at[h];
    }
  }
}

/* ------------------------------------------------------------------ entropy */

/* Kullback-Leibler divergence of q from p, bins begin..end-1 of s. p is what is stored when the
 * elements outside are clipped into the end bins; q is p without them, each of `levels` stretches
 * of bins spread evenly over those of its bins that are not empty. */
static double divergence(const qn_statistic *s, int32_t begin, int32_t end, int32_t levels) {
  double below = 0, above = 0, inside = 0, sum = 0;
  for (int32_t i = 0; i < begin; i++) below += (double)s->bins[i];
  for (int32_t i = end; i < s->used; i++) above += (double)s->bins[i];
  for (int32_t i = begin; i < end; i++) inside += (double)s->bins[i];
  double total = below + inside + above;
  if (inside == 0) return INFINITY;
  for (int32_t k = 0; k < levels; k++) {
    int32_t from = begin + (int32_t)((int64_t)(end - begin) * k / levels);
    int32_t to = begin + (int32_t)((int64_t)(end - begin) * (k + 1) / levels);
    double mass = 0, filled = 0;
    for (int32_t i = from; i < to; i++) {
      mass += (double)s->bins[i];
      filled += s->bins[i] > 0;
    }
    for (int32_t i = from; i < to; i++) {
      double p = (double)s->bins[i] + (i == begin ? below : 0) + (i == end - 1 ? above : 0);
      double q = s->bins[i] > 0 ? mass / filled : 0;
      if (p > 0) sum += p / total * log(p / total / (q > 0 ? q / inside : 1e-9));
    }
  }
  return sum;
}

/* Bins within -t..t, all of them first, then multiples of STRIDE. */
static void range_entropy(const qn_statistic *s, const qn_scheme *scheme, double out[2]) {
  enum { STRIDE = 16 };
  int32_t levels = qn_activation_steps(scheme) + 1, most = abs(s->first);
  if (most < abs(s->first + s->used)) most = abs(s->first + s->used);
  range_minmax(s, scheme, out);
  double best = INFINITY;
  for (int32_t t = most; t > 0; t = (t - 1) / STRIDE * STRIDE) {
    int32_t begin = -t - s->first, end = t - s->first;
    if (begin < 0) begin = 0;
    if (end > s->used) end = s->used;
    if (end - begin < levels) return;
    double cost = divergence(s, begin, end, levels);
    if (cost >= best) continue;
    best = cost;
    out[0] = edge(s, begin);
    out[1] = edge(s, end);
  }
}

/* ------------------------------------------------------------------ the choice */

static void (*const methods[])(const qn_statistic *s, const qn_scheme *scheme, double out[2]) = {
#define QN_METHOD(name, doc) range_##name,
#include "quantize.def"
};

void qn_choose_range(const qn_statistic *s, const qn_scheme *scheme, float out[2]) {
  double range[2] = {0, 0};
  methods[scheme->method](s, scheme, range);
  out[0] = (float)fmin(range[0], 0);
  out[1] = (float)fmax(range[1], 0);
}
