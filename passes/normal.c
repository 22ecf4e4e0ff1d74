/* Least squares with the normal equations: moments of the rows that a group of channels reads and
 * of what they should answer, Cholesky's factor, and the solution. All in double, in a fixed order.
 *
 * Moments are about the mean: a bias takes up whatever the means are. */
#include <math.h>
#include "normal.h"

enum { ROWS_AT_ONCE = 4 };

/* ------------------------------------------------------------------ moments */

void qn_open_normal(qn_arena *a, int32_t columns, int32_t outputs, qn_normal *out) {
  size_t n = (size_t)columns;
  *out = (qn_normal){.columns = columns, .outputs = outputs};
  out->xx = qn_alloc(a, n * n * sizeof(double));
  out->xy = qn_alloc(a, n * (size_t)outputs * sizeof(double));
  out->x = qn_alloc(a, n * sizeof(double));
  out->y = qn_alloc(a, (size_t)outputs * sizeof(double));
  out->pending = qn_alloc(a, ROWS_AT_ONCE * n * sizeof(double));
}

/* xx += the outer products of the rows that wait, upper triangle. Four at once: each sum is loaded
 * and stored once for all of them. */
static void add_pending(qn_normal *s) {
  int32_t n = s->columns;
  const double *r0 = s->pending, *r1 = r0 + n, *r2 = r1 + n, *r3 = r2 + n;
  for (int32_t i = 0; i < n; i++) {
    double a = r0[i], b = r1[i], c = r2[i], d = r3[i], *to = s->xx + (size_t)i * (size_t)n;
    if (a == 0 && b == 0 && c == 0 && d == 0) continue; /* often, behind a relu */
    for (int32_t k = i; k < n; k++) to[k] += (a * r0[k] + b * r1[k]) + (c * r2[k] + d * r3[k]);
  }
  for (int32_t i = 0; i < ROWS_AT_ONCE * n; i++) s->pending[i] = 0;
  s->waiting = 0;
}

void qn_add_row(qn_normal *s, const float *x, const float *y) {
  double *row = s->pending + (size_t)s->waiting * (size_t)s->columns;
  for (int32_t k = 0; k < s->columns; k++) {
    row[k] = x[k];
    s->x[k] += row[k];
  }
  for (int32_t o = 0; o < s->outputs; o++) {
    double want = y[o], *to = s->xy + (size_t)o * (size_t)s->columns;
    s->y[o] += want;
    for (int32_t k = 0; k < s->columns; k++) to[k] += want * row[k];
  }
  s->count++;
  if (++s->waiting == ROWS_AT_ONCE) add_pending(s);
}

void qn_close_normal(qn_normal *s) {
  int32_t n = s->columns;
  if (s->waiting) add_pending(s);
  double scale = 1 / (double)(s->count ? s->count : 1);
  for (int32_t k = 0; k < n; k++) s->x[k] *= scale;
  for (int32_t o = 0; o < s->outputs; o++) s->y[o] *= scale;
  for (int32_t i = 0; i < n; i++) {
    for (int32_t k = i; k < n; k++) {
      double *at = s->xx + (size_t)i * (size_t)n + k;
      *at = *at * scale - s->x[i] * s->x[k];
      s->xx[(size_t)k * (size_t)n + i] = *at;
    }
  }
  for (int32_t o = 0; o < s->outputs; o++) {
    double *to = s->xy + (size_t)o * (size_t)n;
    for (int32_t k = 0; k < n; k++) to[k] = to[k] * scale - s->x[k] * s->y[o];
  }
}

/* ------------------------------------------------------------------ solving */

bool qn_factor(int32_t n, const double *a, double *r) {
  for (int32_t i = 0; i < n; i++) {
    double *ri = r + (size_t)i * (size_t)n;
    for (int32_t k = i; k < n; k++) ri[k] = a[(size_t)i * (size_t)n + k];
  }
  /* row i is done once every row above has been taken off it */
  for (int32_t i = 0; i < n; i++) {
    double *ri = r + (size_t)i * (size_t)n;
    if (!(ri[i] > 0)) return false;
    double inverse = 1 / sqrt(ri[i]);
    for (int32_t k = i; k < n; k++) ri[k] *= inverse;
    for (int32_t j = i + 1; j < n; j++) {
      double *rj = r + (size_t)j * (size_t)n, factor = ri[j];
      if (factor == 0) continue;
      for (int32_t k = j; k < n; k++) rj[k] -= factor * ri[k];
    }
  }
  return true;
}

void qn_solve(int32_t n, const double *r, double *x) {
  for (int32_t i = 0; i < n; i++) { /* transposed r, downwards */
    const double *ri = r + (size_t)i * (size_t)n;
    x[i] /= ri[i];
    for (int32_t k = i + 1; k < n; k++) x[k] -= ri[k] * x[i];
  }
  for (int32_t i = n - 1; i >= 0; i--) {
    const double *ri = r + (size_t)i * (size_t)n;
    for (int32_t k = i + 1; k < n; k++) x[i] -= ri[k] * x[k];
    x[i] /= ri[i];
  }
}
