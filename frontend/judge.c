/* Candidates of a search, judged on what they lose against the float model.
 *
 * Part of the calibration samples is held back to judge by; a candidate is quantized with the rest,
 * its accuracy won back, compiled and run. What it loses, in points: right answers (the labels' or,
 * without, the float model's) and confidence in them; of results that are no classes, the share of
 * their power that is error, in percent. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "command.h"

enum { HELD_BACK = 2 /* one sample of so many */, LEAST_JUDGES = 8 };

/* ------------------------------------------------------------------ samples */

static qn_status split_samples(qn_judge *s, const qn_func *f) {
  const qn_texts *files = &s->q->files;
  bool samples = files->count > 0;
  if (files->count == 1) QN_TRY(qn_is_npy(s->a, files->at[0], &samples));
  if (!samples)
    return qn_io_error("quern", "a search needs calibration samples, --calibrate X.npy, to try its "
                                "candidates on");
  qn_inputs inputs;
  QN_TRY(qn_read_inputs(s->a, f, files, &inputs));
  s->samples = inputs.count / HELD_BACK;
  int64_t fit = inputs.count - s->samples;
  if (s->samples < LEAST_JUDGES)
    return qn_io_error("quern",
                       "%" PRId64 " calibration samples are too few: a search holds back "
                       "one of %d, and needs %d of those",
                       inputs.count, HELD_BACK, LEAST_JUDGES);
  s->fit.count = s->judge.count = files->count;
  for (int i = 0; i < files->count; i++) {
    s->fit.at[i] = qn_slice_stack(s->a, files->at[i], 0, fit);
    s->judge.at[i] = qn_slice_stack(s->a, files->at[i], fit, inputs.count);
  }
  double *labels;
  QN_TRY(qn_read_labels(s->a, s->q->labels, inputs.count, &labels));
  s->labels = labels ? labels + fit : NULL;
  return QN_OK;
}

/* ------------------------------------------------------------------ judging */

static bool is_class(const qn_value *v) {
  while (v->kind == QN_RESULT && v->def->code == QN_OP_dequantize) v = v->def->in[0];
  return v->kind == QN_RESULT && v->def->code == QN_OP_softmax;
}

/* The float model's results for the samples that are held back. */
static qn_status ask_teacher(qn_judge *s) {
  qn_options plain = qn_plain_options(&s->o);
  plain.target = NULL; /* candidates run here, wherever the object will */
  qn_runner r;
  QN_TRY(qn_open_runner(s->path, &plain, &r));
  void *results[QN_MAX_IN];
  int64_t count;
  qn_status status = qn_run_samples(&r, &s->judge, &count, results);
  if (status == QN_OK) {
    const qn_value *y = r.f->results[0];
    s->type = qn_make_type(y->type.elem, y->type.rank, y->type.dim);
    s->probabilities = is_class(y);
    s->classes = s->labels || s->probabilities;
    size_t bytes = (size_t)(count * qn_bytes(&y->type));
    s->reference = memcpy(qn_alloc(s->a, bytes), results[0], bytes);
    s->float_right = qn_count_right(&s->type, s->reference, s->labels, count);
  }
  qn_close_runner(&r);
  return status;
}

/* The right class of sample n. */
static int64_t class_of(const qn_judge *s, int64_t n) {
  return s->labels ? (int64_t)s->labels[n] : qn_argmax(&s->type, s->reference, n);
}

/* How much less probable x calls the right class than the reference does, in the mean, in points.
 * On a hundred samples one answer is a point, and a search finds the candidate that was lucky; this
 * moves with every sample. The drop is the mean of both. */
static double lost_confidence(const qn_judge *s, const qn_type *t, const void *x) {
  int64_t size = qn_count(t);
  double lost = 0;
  for (int64_t n = 0; n < s->samples; n++) {
    int64_t at = class_of(s, n);
    if (at < 0 || at >= size) continue;
    lost += qn_real_at(&s->type, s->reference, n * size + at) - qn_real_at(t, x, n * size + at);
  }
  return 100 * lost / (double)s->samples;
}

static qn_verdict judge(const qn_judge *s, const qn_type *t, const void *x) {
  qn_verdict v = {.sqnr = qn_sqnr(t, x, &s->type, s->reference, s->samples * qn_count(t))};
  if (!s->classes) {
    v.drop = 100 * pow(10, -v.sqnr / 10);
    return v;
  }
  int64_t lost = 0;
  if (s->labels)
    lost = s->float_right - qn_count_right(t, x, s->labels, s->samples);
  else
    for (int64_t n = 0; n < s->samples; n++)
      lost += qn_argmax(t, x, n) != qn_argmax(&s->type, s->reference, n);
  v.drop = 100 * (double)lost / (double)s->samples;
  if (s->probabilities) v.drop = (v.drop + fmax(lost_confidence(s, t, x), 0)) / 2;
  return v;
}

/* ------------------------------------------------------------------ candidates */

static qn_status run_candidate(const qn_judge *s, const qn_scheme *scheme, qn_runner *r,
                               qn_verdict *out) {
  qn_quantization q = *s->q;
  q.files = s->fit;
  q.scheme = *scheme;
  q.recovery_chosen = true;
  qn_pass_options passes;
  qn_compile_options options;
  QN_TRY(qn_get_pass_options(&s->o, &passes));
  QN_TRY(qn_load_model(s->path, r->m));
  QN_TRY(qn_apply_quantization(&s->o, &q, r->m));
  QN_TRY(qn_run_passes(r->m, qn_default_pipeline, &passes));
  r->f = qn_main_func(r->m);
  QN_TRY(qn_get_compile_options(&(qn_options){.name = "candidate"}, r->m, &options));
  QN_TRY(qn_load(r->m, &options, &r->program));
  void *results[QN_MAX_IN];
  int64_t count;
  QN_TRY(qn_run_samples(r, &s->judge, &count, results));
  *out = judge(s, &r->f->results[0]->type, results[0]);
  return QN_OK;
}

qn_status qn_try_scheme(const qn_judge *j, const qn_scheme *scheme, qn_verdict *out) {
  qn_runner r = {.m = qn_new_module()};
  qn_status status = run_candidate(j, scheme, &r, out);
  qn_close_runner(&r);
  return status;
}

/* ------------------------------------------------------------------ opening */

static qn_status open_judge(qn_judge *s, qn_module *again) {
  qn_pass_options passes;
  QN_TRY(qn_get_pass_options(&s->o, &passes));
  passes.scheme = &s->q->scheme;
  QN_TRY(qn_load_model(s->path, again));
  QN_TRY(qn_prepare_float(again, &passes));
  QN_TRY(qn_check_quantizable(again, &s->q->scheme));
  QN_TRY(split_samples(s, qn_main_func(again)));
  return ask_teacher(s);
}

qn_status qn_open_judge(const qn_options *o, const qn_quantization *q, const char *path,
                        qn_arena *a, qn_module *again, qn_judge *out) {
  if (!path || path[0] == '<')
    return qn_io_error("quern", "a search reads the model again and again: it must be a file");
  *out = (qn_judge){.o = *o, .path = path, .q = q, .a = a};
  out->o.watch = NULL; /* nobody watches candidates */
  return open_judge(out, again);
}
