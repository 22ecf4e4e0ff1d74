/* Statistics of calibration samples -> range(low, high) on the main function's f32 values, by the
 * scheme's method.
 *
 * Requires: statistics in the options, or a sampler that gives them. Leaves: ranges. Inputs of the
 * model have all that was seen, whatever the method, because clipping them does harm; where they
 * lie on a grid, the range that makes its step (or an integral part of it) the scale. Values of 16
 * bits have HEADROOM times what the method says: a bit of sixteen costs nothing beside the weights'
 * eight, clipping what the samples did not show does. Values that the statistics do not name stay
 * as they are. */
#include <float.h>
#include <math.h>
#include <string.h>
#include "passes.h"

enum { HEADROOM = 2 };

/* What a user should hear of a value, if anything. */
static void remark_constant(const qn_module *m, const qn_value *v, const qn_statistic *s) {
  if (s->min != s->max || s->count <= 1) return;
  qn_note(&m->src, v->loc, "'%s' is %g in all calibration samples: are they the right ones?",
          v->name, (double)s->min + 0); /* + 0: not -0 */
}

static const qn_statistic *find(const qn_statistics *all, const char *name) {
  for (int i = 0; i < all->count; i++)
    if (strcmp(all->at[i].name, name) == 0) return &all->at[i];
  return NULL;
}

/* low..high is to be a whole number of parts of a step. */
static void range_input(const qn_statistic *s, const qn_scheme *scheme, float range[2]) {
  double step, steps = qn_activation_steps(scheme);
  if (!qn_find_grid(s, &step)) return;
  double first = fmin(round(s->min / step), 0), last = fmax(round(s->max / step), 0);
  if (qn_is_symmetric(scheme)) first = -(last = fmax(last, -first));
  double parts = floor(steps / (last - first));
  if (parts < 1) return;
  range[0] = (float)(first * step);
  range[1] = (float)(first * step + steps * step / parts);
}

static void set_range(const qn_module *m, qn_value *v, const qn_statistics *all,
                      const qn_scheme *scheme) {
  const qn_statistic *s = find(all, v->name);
  if (!s || v->type.elem != QN_f32 || s->count == 0) return;
  qn_scheme chosen = *scheme;
  if (v->kind == QN_PARAM) chosen.method = QN_METHOD_minmax;
  v->has_range = true;
  qn_choose_range(s, &chosen, v->range);
  for (int i = 0; v->kind != QN_PARAM && qn_activation_elem(scheme) == QN_i16 && i < 2; i++)
    v->range[i] = fminf(fmaxf(v->range[i] * HEADROOM, -FLT_MAX), FLT_MAX);
  if (v->kind == QN_PARAM) range_input(s, scheme, v->range);
  remark_constant(m, v, s);
}

static qn_status get_statistics(qn_module *m, const qn_pass_options *options, qn_statistics *out) {
  if (options->statistics) {
    *out = *options->statistics;
    if (out->fingerprint == qn_fingerprint(m)) return QN_OK;
    return qn_error(&m->src, qn_nowhere,
                    "the statistics are of '%s', and not of this model as it is: run `quern "
                    "calibrate` again",
                    out->model);
  }
  if (options->sampler) return qn_collect_statistics(m, options->sampler, out);
  return qn_error(&m->src, qn_nowhere,
                  "no calibration data: give samples of typical inputs, --calibrate X.npy, or what "
                  "`quern calibrate` made of them, --calibrate STATS.yaml; without any, say what "
                  "the inputs can be, --input-range LOW:HIGH, or take a scheme that needs none: "
                  "--quantize dynamic, fp16 or bf16");
}

qn_status pass_calibrate(qn_module *m, const qn_pass_options *options) {
  qn_func *f = qn_main_func(m);
  if (!f) return qn_error(&m->src, qn_nowhere, "a model needs one function, or one named 'main'");
  qn_statistics all;
  QN_TRY(get_statistics(m, options, &all));
  if (all.samples == 1)
    qn_note(&m->src, qn_nowhere, "1 calibration sample: ranges will be poor; 100 are usual");
  const qn_scheme *scheme = options->scheme ? options->scheme : &qn_default_scheme;
  for (qn_value *p = f->params; p; p = p->next) set_range(m, p, &all, scheme);
  for (qn_op *op = f->first; op; op = op->next) set_range(m, op->out, &all, scheme);
  return QN_OK;
}
