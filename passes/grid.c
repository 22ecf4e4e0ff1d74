/* Inputs that lie on a grid: pixels of 8 bits, samples that were stored as integers once. Such an
 * input loses nothing when its scale is the grid's step (or an integral part of it), whereas the
 * range of what was seen gives a scale that fits none of the elements.
 *
 * Kept: the distinct elements, as long as they are few. They merge exactly, in whatever order. */
#include <math.h>
#include <string.h>
#include "quantize.h"

void qn_open_distinct(qn_arena *a, qn_statistic *s) {
  s->distinct = qn_alloc(a, QN_DISTINCT * sizeof *s->distinct);
}

void qn_see_distinct(qn_statistic *s, const float *x, int64_t count) {
  for (int64_t i = 0; i < count && s->distinct; i++) {
    int32_t low = 0, high = s->distinct_count;
    while (low < high) {
      int32_t middle = (low + high) / 2;
      if (s->distinct[middle] < x[i])
        low = middle + 1;
      else
        high = middle;
    }
    if (low < s->distinct_count && s->distinct[low] == x[i]) continue;
    if (s->distinct_count == QN_DISTINCT) {
      s->distinct = NULL;
      return;
    }
    memmove(&s->distinct[low + 1], &s->distinct[low],
            (size_t)(s->distinct_count - low) * sizeof *s->distinct);
    s->distinct[low] = x[i];
    s->distinct_count++;
  }
}

/* The least distance of two elements, 0 counted as one; 0: there is only 0. */
static double least_gap(const qn_statistic *s) {
  double gap = 0;
  for (int32_t i = 0; i < s->distinct_count; i++) {
    double x = s->distinct[i], before = i ? s->distinct[i - 1] : 0;
    double gaps[2] = {fabs(x), i ? x - before : 0};
    for (int k = 0; k < 2; k++)
      if (gaps[k] > 0 && (gap == 0 || gaps[k] < gap)) gap = gaps[k];
  }
  return gap;
}

/* The step that fits the elements best when each is its nearest multiple of `step`. */
static double refine(const qn_statistic *s, double step) {
  double xk = 0, kk = 0;
  for (int32_t i = 0; i < s->distinct_count; i++) {
    double x = s->distinct[i], k = round(x / step);
    xk += x * k;
    kk += k * k;
  }
  return xk / kk;
}

bool qn_find_grid(const qn_statistic *s, double *out_step) {
  if (!s->distinct || s->distinct_count < 2) return false;
  double gap = least_gap(s), most = QN_DISTINCT;
  if (s->max - (double)s->min > most * gap) return false;
  double step = refine(s, gap);
  for (int32_t i = 0; i < s->distinct_count; i++) {
    double at = s->distinct[i] / step;
    if (fabs(at - round(at)) > 1e-3) return false;
  }
  *out_step = step;
  return true;
}
