/* Weights -> from which earlier ones they can be predicted, and by which factors.
 *
 * Taps of a filter resemble their neighbours: of a filter of several taps the weights of the same
 * input left, above, above left and above right of a tap are tried, with factors for each tap.
 * Other matrices may have inputs or outputs that resemble each other at a distance (frames that
 * were stacked, say): the lag along the row or across rows that explains most is taken, then the
 * one that explains most of what is left, and so on; few matrices have any.
 *
 * Factors are the least squares' solution over all rows. Sums are exact, in integers. */
#include <math.h>
#include <string.h>
#include "encode.h"

enum {
  SAMPLE = 1 << 15, /* weights that lags are sought in */
  FARTHEST = 1024   /* lag, in weights or in rows */
};

/* Sums of products of what predicts (and the weight itself, last). */
typedef struct {
  int64_t product[QN_CODEC_LAGS][QN_CODEC_LAGS + 1];
  int64_t count;
} moments;

typedef struct {
  const qn_coded_tensor *t;
  const int8_t *w;
  uint32_t row_step, col_step;
} matrix;

static matrix view(const qn_coded_tensor *t) {
  return (matrix){t, t->data, t->transposed ? 1 : t->cols, t->transposed ? t->rows : 1};
}

static int8_t before(const matrix *x, uint32_t place, uint32_t lag) {
  return lag <= place ? x->w[place - lag] : 0;
}

static void add_moments(moments *sums, const int8_t v[QN_CODEC_LAGS + 1]) {
  sums->count++;
  for (int i = 0; i < QN_CODEC_LAGS; i++)
    for (int j = i; j <= QN_CODEC_LAGS; j++) sums->product[i][j] += v[i] * v[j];
}

/* x of  product x = last column, a little drawn to 0. */
static void solve(const moments *sums, double x[QN_CODEC_LAGS]) {
  enum { N = QN_CODEC_LAGS };
  double a[N][N + 1];
  for (int i = 0; i < N; i++) {
    for (int j = 0; j <= N; j++) a[i][j] = (double)sums->product[i <= j ? i : j][i <= j ? j : i];
    a[i][i] += 1 + (double)sums->count / 64;
  }
  for (int i = 0; i < N; i++) { /* positive definite: no pivoting */
    for (int row = 0; row < N; row++) {
      double factor = a[row][i] / a[i][i];
      for (int j = i; j <= N && row != i; j++) a[row][j] -= factor * a[i][j];
    }
  }
  for (int i = 0; i < N; i++) x[i] = a[i][N] / a[i][i];
}

/* Factors of p's lags for phase number `phase`; 0 for lags that leave the row where they must not.
 */
static void fit_phase(const matrix *x, qn_prediction *p, uint32_t phase, bool across_rows, int one,
                      int limit) {
  moments sums = {0};
  uint32_t first = phase * p->phase, end = first + p->phase;
  if (end > x->t->cols) end = x->t->cols;
  bool usable[QN_CODEC_LAGS] = {false};
  for (uint32_t i = 0; i < p->lags; i++)
    usable[i] = across_rows || p->lag[i] <= first * x->col_step;
  for (uint32_t r = 0; r < x->t->rows; r++) {
    for (uint32_t k = first; k < end; k++) {
      uint32_t place = r * x->row_step + k * x->col_step;
      int8_t v[QN_CODEC_LAGS + 1] = {0};
      for (uint32_t i = 0; i < p->lags; i++)
        if (usable[i]) v[i] = before(x, place, p->lag[i]);
      v[QN_CODEC_LAGS] = x->w[place];
      add_moments(&sums, v);
    }
  }
  double factor[QN_CODEC_LAGS];
  solve(&sums, factor);
  for (uint32_t i = 0; i < p->lags; i++) {
    double scaled = floor(factor[i] * one + 0.5);
    p->factor[phase][i] = (int8_t)fmin(fmax(scaled, -limit), limit);
  }
}

/* Returns whether any factor is not 0. */
static bool fit(const matrix *x, qn_prediction *p, bool across_rows, int one, int limit) {
  bool any = false;
  for (uint32_t phase = 0; phase * p->phase < x->t->cols; phase++) {
    fit_phase(x, p, phase, across_rows, one, limit);
    for (uint32_t i = 0; i < p->lags; i++) any = any || p->factor[phase][i];
  }
  return any;
}

static bool find_taps(const matrix *x, qn_prediction *p) {
  uint32_t h = x->t->taps_h, w = x->t->taps_w;
  if (h * w < 2 || h * w > QN_CODEC_PHASES) return false;
  uint32_t step = x->t->cols / (h * w);
  *p = (qn_prediction){.phase = step};
  if (w > 1) p->lag[p->lags++] = step;
  if (h > 1) p->lag[p->lags++] = w * step;
  if (h > 1 && w > 1) {
    p->lag[p->lags++] = (w + 1) * step;
    p->lag[p->lags++] = (w - 1) * step;
  }
  for (uint32_t i = 0; i < p->lags; i++) p->lag[i] *= x->col_step;
  return true;
}

/* ------------------------------------------------------------------ lags */

/* Every so many rows, and what is left to explain of their weights. */
typedef struct {
  const matrix *x;
  uint32_t row_step;
  int32_t *left;
} sample;

/* The part of what is left that weights at a lag explain: (sum left*w)^2 / sum w^2. */
static double explained(const sample *s, uint32_t lag) {
  const qn_coded_tensor *t = s->x->t;
  int64_t product = 0, square = 1;
  const int32_t *left = s->left;
  for (uint32_t r = 0; r < t->rows; r += s->row_step) {
    for (uint32_t k = 0; k < t->cols; k++, left++) {
      int32_t v = before(s->x, r * t->cols + k, lag);
      product += v * *left;
      square += v * v;
    }
  }
  return (double)product / (double)square * (double)product;
}

/* Sets s->left to the error of the best prediction by p's lags; returns the sum of its squares. */
static double explain(sample *s, const qn_prediction *p) {
  const qn_coded_tensor *t = s->x->t;
  moments sums = {0};
  double factor[QN_CODEC_LAGS], squares = 0;
  for (int pass = 0; pass < 2; pass++) {
    int32_t *left = s->left;
    for (uint32_t r = 0; r < t->rows; r += s->row_step) {
      for (uint32_t k = 0; k < t->cols; k++, left++) {
        int8_t v[QN_CODEC_LAGS + 1] = {0};
        for (uint32_t i = 0; i < p->lags; i++) v[i] = before(s->x, r * t->cols + k, p->lag[i]);
        v[QN_CODEC_LAGS] = s->x->w[r * t->cols + k];
        if (pass == 0) {
          add_moments(&sums, v);
          continue;
        }
        double error = v[QN_CODEC_LAGS];
        for (uint32_t i = 0; i < p->lags; i++) error -= factor[i] * v[i];
        *left = (int32_t)floor(error + 0.5);
        squares += (double)*left * *left;
      }
    }
    if (pass == 0) solve(&sums, factor);
  }
  return squares;
}

static void try_lag(const sample *s, uint32_t lag, double *best, uint32_t *best_lag) {
  double score = explained(s, lag);
  if (score > *best) {
    *best = score;
    *best_lag = lag;
  }
}

/* The next lag, when it explains at least 1/50 of what is left; else 0. */
static uint32_t find_lag(const sample *s, const qn_prediction *p, bool across_rows,
                         double squares) {
  const qn_coded_tensor *t = s->x->t;
  double best = squares / 50;
  uint32_t lag = 0;
  for (uint32_t d = 1; d <= t->cols / 2 && d <= FARTHEST; d++) try_lag(s, d, &best, &lag);
  for (uint32_t d = 1; across_rows && d <= t->rows / 2 && d <= FARTHEST; d++)
    try_lag(s, d * t->cols, &best, &lag);
  for (uint32_t i = 0; i < p->lags; i++)
    for (uint32_t j = 0; j < i; j++) try_lag(s, p->lag[i] + p->lag[j], &best, &lag);
  return lag;
}

static bool find_lags(qn_arena *a, const matrix *x, bool across_rows, qn_prediction *p) {
  const qn_coded_tensor *t = x->t;
  if (t->transposed || t->bytes < 2048) return false;
  sample s = {.x = x, .row_step = 1 + t->bytes / SAMPLE};
  s.left = qn_alloc(a, ((size_t)t->rows / s.row_step + 1) * t->cols * sizeof *s.left);
  *p = (qn_prediction){.phase = t->cols};
  while (p->lags < QN_CODEC_LAGS) {
    double squares = explain(&s, p);
    uint32_t lag = find_lag(&s, p, across_rows, squares);
    if (lag == 0) break;
    p->lag[p->lags++] = lag;
    bool divides = lag < t->cols && t->cols % lag == 0 && t->cols / lag <= QN_CODEC_PHASES;
    if (divides && (lag > p->phase || p->phase == t->cols)) p->phase = lag;
  }
  return p->lags > 0;
}

int qn_find_predictions(qn_arena *a, const qn_coded_tensor *t, bool across_rows, int one, int limit,
                        qn_prediction at[3]) {
  matrix x = view(t);
  int count = 1;
  at[0] = (qn_prediction){.phase = t->cols};
  if (find_taps(&x, &at[count]) && fit(&x, &at[count], across_rows, one, limit)) count++;
  if (find_lags(a, &x, across_rows, &at[count]) && fit(&x, &at[count], across_rows, one, limit))
    count++;
  return count;
}
