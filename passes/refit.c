/* Biases and weight scales -> those with which each channel's results come nearest to the
 * teacher's: least squares, with the integers as they are.
 *
 * With z the channel's sum over integer weights times its scale, clamp() what activation and
 * storage do to the result, and y the teacher's:  minimise  sum (clamp(y) - clamp(a*z + b))^2  over
 * the factor a and the bias b. Where clamp() is flat nothing pulls, so each step is the line
 * through the rows that lie between its bounds now; a step that does not help ends it. Channels
 * that share a scale share a: only their biases are fitted.
 *
 * What few samples gain by chance other inputs lose: p numbers fitted to n rows must lower the
 * error from e to less than e * exp(-2/n (p + p (p + 1) / (n - p - 1))), Akaike's criterion in its
 * form for small n (Hurvich and Tsai 1989), or the channel stays as it is.
 *
 * Requires: @teacher, samples. */
#include <math.h>
#include "recover.h"

enum { STEPS = 8 };

/* A channel's rows. */
typedef struct {
  const qn_lesson *lesson;
  float *const *z; /* by sample: answers with the bias as it was */
  int32_t channel;
  double bias; /* in them */
  qn_interval clamp;
  bool fixed; /* the factor is 1 */
} rows;

typedef struct {
  double factor, bias;
} line;

static double clamped(double x, qn_interval i) {
  return x < (double)i.low ? (double)i.low : x > (double)i.high ? (double)i.high : x;
}

typedef struct {
  double count, z, y, zz, zy; /* of the rows between the bounds */
  double cost;                /* of all */
} sums;

static sums sum_rows(const rows *r, line at) {
  const qn_layout *l = &r->lesson->pupil.layout;
  sums s = {0, 0, 0, 0, 0, 0};
  for (int64_t n = 0; n < r->lesson->samples; n++) {
    for (int64_t p = 0; p < l->pixels; p++) {
      int64_t i = p * l->channels + r->channel;
      double z = (double)r->z[n][i] - r->bias, got = at.factor * z + at.bias;
      double y = clamped(r->lesson->want[n][i], r->clamp), error = y - clamped(got, r->clamp);
      s.cost += error * error;
      if (got < (double)r->clamp.low || got > (double)r->clamp.high) continue;
      s.count++;
      s.z += z;
      s.y += y;
      s.zz += z * z;
      s.zy += z * y;
    }
  }
  return s;
}

/* The line through the rows of s; `at` where they do not give one. */
static line fit_line(const rows *r, const sums *s, line at) {
  if (s->count == 0) return at;
  double z = s->z / s->count, y = s->y / s->count;
  double variance = s->zz / s->count - z * z, both = s->zy / s->count - z * y;
  bool sloped = !r->fixed && s->count > 2 && variance > 1e-12 * (s->zz / s->count);
  double factor = sloped ? both / variance : at.factor;
  if (!(factor > 0.5 && factor < 2)) factor = at.factor;
  return (line){factor, y - factor * z};
}

/* The share of the error that must be gone. */
static double worth(const rows *r) {
  double p = r->fixed ? 1 : 2,
         n = (double)r->lesson->samples * (double)r->lesson->pupil.layout.pixels, left = n - p - 1;
  return left > 0 ? exp(-2 / n * (p + p * (p + 1) / left)) : 0;
}

static line refit_channel(const rows *r) {
  line start = {1, r->bias}, best = start;
  sums s = sum_rows(r, best);
  double most = s.cost * worth(r);
  for (int step = 0; step < STEPS; step++) {
    line next = fit_line(r, &s, best);
    sums after = sum_rows(r, next);
    if (!(after.cost < s.cost)) break;
    best = next;
    s = after;
  }
  return s.cost < most ? best : start;
}

static qn_status refit_layer(const qn_lesson *lesson, void *of) {
  qn_arena a = {0};
  qn_pupil p = lesson->pupil;
  size_t channels = (size_t)p.layout.channels;
  float **answers = qn_answer(&a, lesson);
  double *bias = qn_alloc(&a, channels * sizeof *bias),
         *scales = qn_alloc(&a, channels * sizeof *scales);
  bool fixed = !p.stored->type.q.scales;
  qn_interval clamp = qn_result_interval(of, p.op);
  for (int32_t c = 0; c < p.layout.channels; c++) {
    rows r = {lesson, answers, c, qn_bias_at(p.op, c), clamp, fixed};
    line best = refit_channel(&r);
    bias[c] = best.bias;
    scales[c] = best.factor * (double)qn_pupil_scale(&p, c);
  }
  qn_set_bias(&p, bias);
  qn_set_scales(&p, scales);
  qn_free_arena(&a);
  return QN_OK;
}

qn_status pass_refit(qn_module *m, const qn_pass_options *options) {
  return qn_replay(m, options, "refit", refit_layer, qn_main_func(m));
}
