/* Stored weights -> stored weights whose layer answers what the teacher's does, as nearly as the
 * grid allows: second-order rounding on calibration data.
 *
 * Of each channel, with x the rows that the pupil's layer reads and y the teacher's answers, both
 * about their means (the bias is a column of its own that always reads 1 and is never rounded):
 *   1. the best real weights v minimise  mean (y - v x)^2 + d |v - w|^2,  w the teacher's weights:
 *      (C + d) (v - w) = mean(x y) - C w,  C = mean(x x').
 *      They take back errors of the layers before, but of few samples also what is only theirs:
 *      the target is t = w + h (v - w). With so few rows that 8 and less come on a column, h = 1/2
 *      and d = 1/10 of C's mean diagonal; with many more h = 1 and d = 1/50 (doubt_of).
 *      Levels do well with the former always;
 *   2. with C + d = R'R, R upper, |R (t - q)|^2 is what integers q cost. From the last column to
 *      the first each one is rounded to where it pays best for what those behind it did wrong:
 *      q[j] = round(t[j] + sum over k > j of R[j,k] / R[j,j] * (t[k] - q[k])).
 *      Columns that matter most, by C's diagonal, come last, and are rounded first: all others can
 * pay for them;
 *   3. single columns move to the integer that is best given all others, until none does.
 * Grids of few levels also choose their scale: of those between the largest weight and half of it
 * (two and three levels: a tenth) the one that costs least. prune and cluster have the same done
 * with integers that they allow.
 *
 * Weights of a given step (scheme.step) keep their scale s, and bits count: what is minimised in
 * steps 2 and 3 is  cost + l * bits.  A step's error is s^2 R[j,j]^2 / 12 in the mean and falls by
 * a factor of 4 per bit, so a bit is worth  l = 2 ln(2) / 12 * s^2 * R[j,j]^2,  R[j,j] as the
 * layer's geometric mean: columns that hardly count get small weights, which take few bits. An
 * integer's bits are those of its magnitude's frequency in the layer, rounded so before, and a
 * sign.
 *
 * Requires: @teacher, samples. Leaves alone: layers of more than MOST_COLUMNS columns.
 * Source: Hassibi and Stork 1993; Frantar and Alistarh 2022, arXiv 2208.11580; Frantar et al. 2022,
 * arXiv 2210.17323; step 2 is Babai's nearest plane. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "normal.h"
#include "recover.h"

enum {
  MOST_COLUMNS = 6144,
  LEAST_ROWS = 2048,
  ENOUGH_ROWS = 16384, /* and 64 per column: more say hardly more */
  FEW_LEVELS = 31,     /* grids up to -31..31 choose their scale */
  SCALES = 11,
  LOW_SCALES = 22, /* of two or three levels, whose best scale is far below the largest weight */
  MAGNITUDES = 128,
  RATINGS = 3,  /* roundings that count frequencies, the first one without */
  DOUBTFUL = 8, /* rows by column */
  SWEEPS = 20
};
static const double damping = 0.1, least_damping = 0.02;
static const double bit_cost =
    1.5 * 2 * 0.6931 / 12;           /* half as much again: codes take whole bits */
static const double most_work = 4e9; /* multiplications for the moments of one layer */

/* One group of channels. Columns are in the order of rounding: column j is order[j] of the layer.
 */
typedef struct {
  int32_t columns, outputs;
  int32_t *order;
  double *c, *r;  /* [columns, columns]: C + d and its factor */
  double *target; /* [outputs, columns] */
  double *x, *y;  /* means: [columns], [outputs] */
} group;

typedef struct {
  qn_arena *arena;
  qn_pupil pupil;
  const qn_choices *choices;
  const float *w; /* the teacher's */
  group *groups;
  double *scales;  /* per channel */
  int32_t *chosen; /* [channels, columns], in the order of rounding */
  int32_t *trial;  /* [columns] */
  double *error, *gradient;
  double bit;                  /* what one bit costs; 0: nothing */
  double bits[MAGNITUDES];     /* of each magnitude, with the sign */
  int64_t counted[MAGNITUDES]; /* how often it was chosen */
} work;

/* ------------------------------------------------------------------ moments */

/* One row of so many is enough, where there are very many. */
static int64_t row_stride(const qn_layout *l, int64_t rows, bool rated) {
  double of_one = (double)l->groups * l->columns * l->columns;
  double enough = fmax(most_work / of_one, LEAST_ROWS + 2 * (double)l->columns);
  if (rated) enough = fmin(enough, ENOUGH_ROWS + 64 * (double)l->columns);
  return (int64_t)ceil((double)rows / enough);
}

/* Of rows first..first+stride-1 the one to see. A fixed step would fall into step with a picture's
 * width, and see some of its columns only. */
static int64_t pick_row(int64_t first, int64_t stride) {
  uint64_t x = ((uint64_t)first + 1) * UINT64_C(0x9e3779b97f4a7c15);
  return first + (int64_t)((x >> 33) % (uint64_t)stride);
}

static void see_rows(const work *w, const qn_lesson *lesson, int32_t index, qn_normal *s) {
  const qn_layout *l = &lesson->pupil.layout;
  int64_t rows = lesson->samples * l->pixels, stride = row_stride(l, rows, w->choices->rated);
  qn_arena a = {0};
  float *row = qn_alloc(&a, (size_t)l->columns * sizeof *row);
  for (int64_t i = 0; i + stride <= rows; i += stride) {
    int64_t row_at = pick_row(i, stride), sample = row_at / l->pixels, pixel = row_at % l->pixels;
    qn_gather_row(l, lesson->x[sample], index, pixel, row);
    qn_add_row(s, row, lesson->want[sample] + pixel * l->channels + index * l->outputs);
  }
  qn_free_arena(&a);
  qn_close_normal(s);
}

/* ------------------------------------------------------------------ the best real weights */

typedef struct {
  double weight;
  int32_t column;
} ranked;

static int by_weight(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->weight != y->weight) return x->weight < y->weight ? -1 : 1;
  return x->column < y->column ? -1 : x->column > y->column;
}

/* What counts most comes last, and so is rounded first. */
static void choose_order(qn_arena *a, const qn_normal *s, int32_t *order) {
  int32_t n = s->columns;
  ranked *list = qn_alloc(a, (size_t)n * sizeof *list);
  for (int32_t k = 0; k < n; k++) list[k] = (ranked){s->xx[(size_t)k * (size_t)n + k], k};
  qsort(list, (size_t)n, sizeof *list, by_weight);
  for (int32_t k = 0; k < n; k++) order[k] = list[k].column;
}

/* 1: the rows say little about so many columns; near 0: they are very many. */
static double doubt_of(const work *w, const qn_normal *s) {
  if (!w->choices->rated) return 1;
  return fmin(1, DOUBTFUL * (double)s->columns / (double)(s->count + 1));
}

static double damping_of(const work *w, const qn_normal *s) {
  double trace = 0, share = least_damping + (damping - least_damping) * doubt_of(w, s);
  for (int32_t k = 0; k < s->columns; k++) trace += s->xx[(size_t)k * (size_t)s->columns + k];
  return trace > 0 ? share * trace / s->columns : 1;
}

static void fill_group(const work *w, const qn_normal *s, group *g) {
  int32_t n = s->columns;
  double d = damping_of(w, s);
  for (int32_t i = 0; i < n; i++) {
    g->x[i] = s->x[g->order[i]];
    for (int32_t k = 0; k < n; k++)
      g->c[(size_t)i * (size_t)n + k] = s->xx[(size_t)g->order[i] * (size_t)n + g->order[k]];
    g->c[(size_t)i * (size_t)n + i] += d;
  }
  for (int32_t o = 0; o < s->outputs; o++) g->y[o] = s->y[o];
}

/* t of channel `first + o`; e is scratch. */
static void find_target(const work *w, const qn_normal *s, const group *g, int32_t first, int32_t o,
                        double *e) {
  int32_t n = g->columns;
  double *t = g->target + (size_t)o * (size_t)n, d = damping_of(w, s);
  for (int32_t k = 0; k < n; k++)
    t[k] = w->w[qn_weight_at(&w->pupil.layout, first + o, g->order[k])];
  for (int32_t i = 0; i < n; i++) {
    const double *ci = g->c + (size_t)i * (size_t)n;
    e[i] = s->xy[(size_t)o * (size_t)n + g->order[i]] + d * t[i];
    for (int32_t k = 0; k < n; k++) e[i] -= ci[k] * t[k];
  }
  qn_solve(n, g->r, e);
  for (int32_t k = 0; k < n; k++) t[k] += e[k] * (1 - doubt_of(w, s) / 2);
}

static bool open_group(work *w, const qn_lesson *lesson, int32_t index) {
  const qn_layout *l = &w->pupil.layout;
  group *g = &w->groups[index];
  size_t n = (size_t)l->columns;
  *g = (group){.columns = l->columns, .outputs = l->outputs};
  g->order = qn_alloc(w->arena, n * sizeof *g->order);
  g->c = qn_alloc(w->arena, n * n * sizeof *g->c);
  g->r = qn_alloc(w->arena, n * n * sizeof *g->r);
  g->target = qn_alloc(w->arena, n * (size_t)g->outputs * sizeof *g->target);
  g->x = qn_alloc(w->arena, n * sizeof *g->x);
  g->y = qn_alloc(w->arena, (size_t)g->outputs * sizeof *g->y);
  qn_arena a = {0};
  qn_normal s;
  qn_open_normal(&a, l->columns, l->outputs, &s);
  see_rows(w, lesson, index, &s);
  choose_order(&a, &s, g->order);
  fill_group(w, &s, g);
  bool ok = qn_factor(g->columns, g->c, g->r);
  for (int32_t o = 0; ok && o < g->outputs; o++)
    find_target(w, &s, g, index * g->outputs, o, w->error);
  qn_free_arena(&a);
  return ok;
}

/* ------------------------------------------------------------------ rounding */

static const group *group_of(const work *w, int32_t channel) {
  return &w->groups[channel / w->pupil.layout.outputs];
}

static const double *target_of(const work *w, int32_t channel) {
  const group *g = group_of(w, channel);
  return g->target + (size_t)(channel % g->outputs) * (size_t)g->columns;
}

/* The nearest of ascending integers. */
static int32_t nearest_of(const int32_t *values, int32_t count, double x) {
  int32_t i = 0, end = count - 1;
  while (i < end) {
    int32_t middle = (i + end) / 2;
    if (x > (values[middle] + values[middle + 1]) / 2.0)
      i = middle + 1;
    else
      end = middle;
  }
  return values[i];
}

/* The integer that is best for x where a distance of 1 costs `weight`: the nearest one, or one
 * towards 0 that takes fewer bits. */
static int32_t cheapest(const work *w, double x, double weight) {
  int32_t nearest = (int32_t)fmin(fmax(round(x), 1 - MAGNITUDES), MAGNITUDES - 1), best = nearest;
  double least = INFINITY;
  for (int32_t towards = nearest < 0 ? 1 : -1, q = nearest;; q += towards) {
    double cost = weight * (x - q) * (x - q) + w->bit * w->bits[abs(q)];
    if (cost < least) best = q;
    least = fmin(least, cost);
    if (q == 0 || abs(nearest - q) == 2) return best;
  }
}

/* The best integer that the channel's column j, in the order of rounding, may have, for x; weight:
 * what a distance of 1 costs. */
static int32_t round_to(const work *w, int32_t channel, int32_t j, double x, double weight) {
  const qn_choices *c = w->choices;
  size_t row = (size_t)channel * (size_t)w->pupil.layout.columns;
  if (c->zero && c->zero[row + (size_t)group_of(w, channel)->order[j]]) return 0;
  if (c->count) return nearest_of(c->values, c->count, x);
  if (c->rated) return cheapest(w, x, weight);
  return (int32_t)fmin(fmax(round(x), -(double)w->pupil.most), w->pupil.most);
}

/* Step 2: q and w->error = t - scale*q; what it costs. */
static double round_columns(const work *w, int32_t channel, double scale, int32_t *q) {
  const group *g = group_of(w, channel);
  const double *t = target_of(w, channel);
  double *e = w->error;
  int32_t n = g->columns;
  double cost = 0;
  for (int32_t j = n - 1; j >= 0; j--) {
    const double *rj = g->r + (size_t)j * (size_t)n;
    double pull = 0;
    for (int32_t k = j + 1; k < n; k++) pull += rj[k] * e[k];
    q[j] = round_to(w, channel, j, (t[j] + pull / rj[j]) / scale, pow(rj[j] * scale, 2));
    e[j] = t[j] - scale * q[j];
    double rest = rj[j] * e[j] + pull;
    cost += rest * rest;
  }
  return cost;
}

/* Step 3. */
static void move_columns(const work *w, int32_t channel, double scale, int32_t *q) {
  const group *g = group_of(w, channel);
  const double *t = target_of(w, channel);
  double *e = w->error, *gradient = w->gradient;
  int32_t n = g->columns;
  for (int32_t i = 0; i < n; i++) {
    gradient[i] = 0;
    for (int32_t k = 0; k < n; k++) gradient[i] += g->c[(size_t)i * (size_t)n + k] * e[k];
  }
  bool moved = true;
  for (int32_t sweep = 0; moved && sweep < SWEEPS; sweep++) {
    moved = false;
    for (int32_t j = 0; j < n; j++) {
      const double *cj = g->c + (size_t)j * (size_t)n;
      double at = (t[j] - e[j] + gradient[j] / cj[j]) / scale;
      int32_t best = round_to(w, channel, j, at, cj[j] * scale * scale);
      if (best == q[j]) continue;
      double step = scale * (q[j] - best);
      q[j] = best;
      e[j] += step;
      for (int32_t k = 0; k < n; k++) gradient[k] += step * cj[k];
      moved = true;
    }
  }
}

/* ------------------------------------------------------------------ scales */

/* Channels that share a scale: all, or one. */
typedef struct {
  int32_t first, count;
} span;

static double cost_of(const work *w, span s, double scale) {
  double cost = 0;
  for (int32_t c = s.first; c < s.first + s.count; c++)
    cost += round_columns(w, c, scale, w->trial);
  return cost;
}

static double choose_scale(const work *w, span s) {
  double largest = 0, old = qn_pupil_scale(&w->pupil, s.first);
  if (w->pupil.most > FEW_LEVELS || (w->choices->count && !w->pupil.signs)) return old;
  for (int32_t c = s.first; c < s.first + s.count; c++)
    for (int32_t k = 0; k < w->pupil.layout.columns; k++)
      largest = fmax(largest, fabs(target_of(w, c)[k]));
  double best = INFINITY, chosen = old;
  bool low = w->pupil.most == 1;
  for (int32_t i = 0; i < (low ? LOW_SCALES : SCALES); i++) {
    double share = low ? pow(0.9, i) : 1 - 0.05 * i;
    double scale = (float)(largest / w->pupil.most * share);
    if (scale < old / 4)
      break; /* insert-qdq knows why not to go lower: a channel that hardly counts */
    double cost = cost_of(w, s, scale);
    if (cost >= best) continue;
    best = cost;
    chosen = scale;
  }
  return chosen;
}

static void round_span(work *w, span s) {
  double scale = choose_scale(w, s);
  int32_t columns = w->pupil.layout.columns;
  for (int32_t c = s.first; c < s.first + s.count; c++) {
    int32_t *q = w->chosen + (size_t)c * (size_t)columns;
    round_columns(w, c, scale, q);
    move_columns(w, c, scale, q);
    w->scales[c] = scale;
  }
}

/* ------------------------------------------------------------------ bits */

/* What a bit is worth, by the geometric mean of R's diagonals. */
static double price_bit(const work *w) {
  const qn_layout *l = &w->pupil.layout;
  double sum = 0, scales = 0;
  for (int32_t i = 0; i < l->groups; i++)
    for (int32_t k = 0; k < l->columns; k++)
      sum += log(w->groups[i].r[(size_t)k * (size_t)l->columns + (size_t)k]);
  for (int32_t c = 0; c < l->channels; c++) scales += log((double)qn_pupil_scale(&w->pupil, c));
  return bit_cost *
         exp(2 * (sum / ((double)l->groups * (double)l->columns) + scales / l->channels));
}

/* Bits from frequencies; magnitudes that did not occur as if each one were half as frequent as the
 * one before, and once at most. */
static void fit_bits(work *w) {
  double all = 1, missing = 1;
  for (int32_t i = 0; i < MAGNITUDES; i++) all += (double)w->counted[i];
  for (int32_t i = 0; i < MAGNITUDES; i++) {
    if (!w->counted[i]) missing /= 2;
    w->bits[i] = log2(all / (w->counted[i] ? (double)w->counted[i] : missing)) + (i > 0);
  }
}

/* All channels, each with the scale that it has. */
static void round_rated(work *w) {
  const qn_layout *l = &w->pupil.layout;
  for (int32_t round = 0; round <= RATINGS; round++) {
    memset(w->counted, 0, sizeof w->counted);
    for (int32_t c = 0; c < l->channels; c++) {
      int32_t *q = w->chosen + (size_t)c * (size_t)l->columns;
      w->scales[c] = (double)qn_pupil_scale(&w->pupil, c);
      round_columns(w, c, w->scales[c], q);
      if (round == RATINGS) move_columns(w, c, w->scales[c], q);
      for (int32_t k = 0; k < l->columns; k++) w->counted[abs(q[k])]++;
    }
    fit_bits(w);
    w->bit = price_bit(w);
  }
}

/* ------------------------------------------------------------------ the layer */

static void write_back(work *w) {
  const qn_layout *l = &w->pupil.layout;
  size_t count = (size_t)qn_count(&w->pupil.stored->type);
  int32_t *integers = qn_alloc(w->arena, count * sizeof *integers);
  double *bias = qn_alloc(w->arena, (size_t)l->channels * sizeof *bias);
  for (int32_t c = 0; c < l->channels; c++) {
    const group *g = group_of(w, c);
    bias[c] = g->y[c % g->outputs];
    for (int32_t k = 0; k < l->columns; k++) {
      int32_t q = w->chosen[(size_t)c * (size_t)l->columns + (size_t)k];
      integers[qn_weight_at(l, c, g->order[k])] = q;
      bias[c] -= w->scales[c] * q * g->x[k];
    }
  }
  qn_set_weights(&w->pupil, integers);
  qn_set_scales(&w->pupil, w->scales);
  qn_set_bias(&w->pupil, bias);
}

static void open_work(qn_arena *a, const qn_lesson *lesson, const qn_choices *choices, work *out) {
  const qn_layout *l = &lesson->pupil.layout;
  size_t columns = (size_t)l->columns, channels = (size_t)l->channels;
  *out = (work){
      .arena = a, .pupil = lesson->pupil, .choices = choices, .w = qn_reals(lesson->twin->in[1])};
  out->groups = qn_alloc(a, (size_t)l->groups * sizeof *out->groups);
  out->scales = qn_alloc(a, channels * sizeof *out->scales);
  out->chosen = qn_alloc(a, channels * columns * sizeof *out->chosen);
  out->trial = qn_alloc(a, columns * sizeof *out->trial);
  out->error = qn_alloc(a, columns * sizeof *out->error);
  out->gradient = qn_alloc(a, columns * sizeof *out->gradient);
}

/* Signs stay signs, but for those that go; of a given step they are like any others. */
static qn_choices settle(const qn_pupil *p, const qn_choices *asked) {
  static const int32_t signs[] = {-1, 1};
  qn_choices c = *asked;
  if (!p->signs || c.count || c.rated) return c;
  c.values = signs;
  c.count = 2;
  return c;
}

void qn_round_layer(const qn_lesson *lesson, const qn_choices *asked) {
  const qn_layout *l = &lesson->pupil.layout;
  if (!qn_reals(lesson->twin->in[1]) || l->columns > MOST_COLUMNS) return;
  qn_arena a = {0};
  work w;
  const qn_choices choices = settle(&lesson->pupil, asked);
  open_work(&a, lesson, &choices, &w);
  bool ok = true;
  for (int32_t i = 0; ok && i < l->groups; i++) ok = open_group(&w, lesson, i);
  int32_t together = w.pupil.stored->type.q.scales ? 1 : l->channels;
  if (ok && choices.rated) round_rated(&w);
  for (int32_t c = 0; ok && !choices.rated && c < l->channels; c += together)
    round_span(&w, (span){c, together});
  if (ok) write_back(&w);
  qn_free_arena(&a);
}

static qn_status round_any(const qn_lesson *lesson, void *of) {
  qn_choices any = {.rated = qn_weight_step(of, lesson->twin) > 0};
  qn_round_layer(lesson, &any);
  return QN_OK;
}

qn_status pass_round_adaptive(qn_module *m, const qn_pass_options *options) {
  qn_scheme scheme = options->scheme ? *options->scheme : qn_default_scheme;
  return qn_replay(m, options, "round-adaptive", round_any, &scheme);
}
