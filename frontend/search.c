/* Levels of weights by layer: as few as an accuracy budget allows.
 *
 * Part of the calibration samples is held back to judge by. Rounding layer l's weights with step d
 * adds noise g d^2 to the results, where g is measured: one layer at a time has few levels. Bits
 * are spent best where one more bit gains as much in every layer, n log2(1/d) bits for n weights
 * against g d^2 noise: d^2 is proportional to n / g. That leaves one number for the whole model,
 * the number of levels in the mean, which is sought by bisection: each candidate is quantized, its
 * accuracy won back, compiled and judged by what it loses against the float model: right answers
 * (the labels' or, without, the float model's) and confidence in them, in points; of results that
 * are no classes, the share of their power that is error, in percent. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "command.h"

enum { HELD_BACK = 2 /* one sample of so many */, LEAST_JUDGES = 8, PROBE = 4, STEPS = 6 };
#define MOST_INT8 127
#define MOST_INT4 7

typedef struct {
  const char *name;
  int64_t weights;
  double noise; /* of the results, relative, with 2 * PROBE + 1 levels here */
  double score; /* levels are proportional to it */
} layer;

typedef struct {
  double drop; /* points */
  double sqnr; /* dB, of the results against the float model's */
} verdict;

typedef struct {
  const qn_options *o;
  const char *path;
  const qn_quantization *q;
  qn_arena *a;
  qn_texts fit, judge;
  int64_t samples;       /* held back */
  const double *labels;  /* of those; NULL: the float model's answers */
  const void *reference; /* the float model's first result */
  qn_type type;
  bool classes, probabilities;
  int64_t float_right;
  int count;
  layer *at;
  qn_layer_levels *levels; /* of the candidate */
} search;

/* ------------------------------------------------------------------ samples */

/* `path` with the samples from..to of those that it has, which are `count`. */
static const char *slice(qn_arena *a, const char *path, int64_t from, int64_t to) {
  const char *at = strrchr(path, '@');
  long long first, end;
  if (at && sscanf(at, "@%lld:%lld", &first, &end) == 2)
    return qn_format(a, "%.*s@%lld:%lld", (int)(at - path), path, first + (long long)from,
                     first + (long long)to);
  return qn_format(a, "%s@%lld:%lld", path, (long long)from, (long long)to);
}

static qn_status split_samples(search *s, const qn_func *f) {
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
    s->fit.at[i] = slice(s->a, files->at[i], 0, fit);
    s->judge.at[i] = slice(s->a, files->at[i], fit, inputs.count);
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
static qn_status ask_teacher(search *s) {
  qn_options plain = qn_plain_options(s->o);
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
static int64_t class_of(const search *s, int64_t n) {
  return s->labels ? (int64_t)s->labels[n] : qn_argmax(&s->type, s->reference, n);
}

/* How much less probable x calls the right class than the reference does, in the mean, in points.
 * On a hundred samples one answer is a point, and a search finds the candidate that was lucky; this
 * moves with every sample. The drop is the mean of both. */
static double lost_confidence(const search *s, const qn_type *t, const void *x) {
  int64_t size = qn_count(t);
  double lost = 0;
  for (int64_t n = 0; n < s->samples; n++) {
    int64_t at = class_of(s, n);
    if (at < 0 || at >= size) continue;
    lost += qn_real_at(&s->type, s->reference, n * size + at) - qn_real_at(t, x, n * size + at);
  }
  return 100 * lost / (double)s->samples;
}

static verdict judge(const search *s, const qn_type *t, const void *x) {
  verdict v = {.sqnr = qn_sqnr(t, x, &s->type, s->reference, s->samples * qn_count(t))};
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

/* Quantizes with s->levels, runs and judges. */
static qn_status run_candidate(const search *s, bool recover, qn_runner *r, verdict *out) {
  qn_quantization q = *s->q;
  q.files = s->fit;
  q.scheme.layers = s->levels;
  q.scheme.layer_count = s->count;
  if (!recover) memset(q.scheme.recover, 0, sizeof q.scheme.recover);
  q.recovery_chosen = true;
  qn_pass_options passes;
  qn_compile_options options;
  QN_TRY(qn_get_pass_options(s->o, &passes));
  QN_TRY(qn_load_model(s->path, r->m));
  QN_TRY(qn_apply_quantization(s->o, &q, r->m));
  QN_TRY(qn_run_passes(r->m, qn_default_pipeline, &passes));
  r->f = qn_main_func(r->m);
  options = (qn_compile_options){.name = "candidate", .target = qn_find_target("host")};
  QN_TRY(qn_load(r->m, &options, &r->program));
  void *results[QN_MAX_IN];
  int64_t count;
  QN_TRY(qn_run_samples(r, &s->judge, &count, results));
  *out = judge(s, &r->f->results[0]->type, results[0]);
  return QN_OK;
}

static qn_status try_levels(const search *s, bool recover, verdict *out) {
  qn_runner r = {.m = qn_new_module()};
  qn_status status = run_candidate(s, recover, &r, out);
  qn_close_runner(&r);
  return status;
}

/* ------------------------------------------------------------------ what each layer costs */

static bool has_constant_weights(const qn_op *op) {
  if (op->in_count < 2 || !qn_is_weight(op, 1)) return false;
  const qn_value *w = op->in[1];
  while (w->kind == QN_RESULT && w->def->in_count == 1) w = w->def->in[0];
  return w->kind == QN_CONST;
}

static void list_layers(search *s, const qn_func *f) {
  int count = 0;
  for (const qn_op *op = f->first; op; op = op->next) count += has_constant_weights(op);
  s->at = qn_alloc(s->a, ((size_t)count + 1) * sizeof *s->at);
  s->levels = qn_alloc(s->a, ((size_t)count + 1) * sizeof *s->levels);
  for (const qn_op *op = f->first; op; op = op->next) {
    if (!has_constant_weights(op)) continue;
    const char *name = qn_strndup(s->a, op->out->name, strlen(op->out->name));
    s->levels[s->count] = (qn_layer_levels){name, MOST_INT8};
    s->at[s->count++] = (layer){.name = name, .weights = qn_count(&op->in[1]->type)};
  }
}

static double noise_of(verdict v) { return pow(10, -v.sqnr / 10); }

/* Each layer's noise, and from it its score: 1 in the mean of all weights. */
static qn_status measure_layers(search *s) {
  verdict v;
  QN_TRY(try_levels(s, false, &v));
  double none = noise_of(v), sum = 0, weights = 0;
  for (int i = 0; i < s->count; i++) {
    layer *l = &s->at[i];
    s->levels[i].most = PROBE;
    QN_TRY(try_levels(s, false, &v));
    s->levels[i].most = MOST_INT8;
    l->noise = fmax(noise_of(v) - none, 0.1 * none);
    sum += 0.5 * log(l->noise / (double)l->weights) * (double)l->weights;
    weights += (double)l->weights;
  }
  for (int i = 0; i < s->count; i++)
    s->at[i].score = sqrt(s->at[i].noise / (double)s->at[i].weights) / exp(sum / weights);
  return QN_OK;
}

/* ------------------------------------------------------------------ the search */

static void set_levels(search *s, double mean) {
  for (int i = 0; i < s->count; i++) {
    double most = fmin(fmax(round(mean * s->at[i].score), 1), MOST_INT8);
    if (s->q->search == QN_SEARCH_mixed) most = most > MOST_INT4 ? MOST_INT8 : MOST_INT4;
    s->levels[i].most = (int32_t)most;
  }
}

static double mean_bits(const search *s) {
  double bits = 0, weights = 0;
  for (int i = 0; i < s->count; i++) {
    bits += (double)s->at[i].weights * log2(2 * s->levels[i].most + 1);
    weights += (double)s->at[i].weights;
  }
  return bits / weights;
}

static qn_status try_mean(search *s, double mean, verdict *out) {
  set_levels(s, mean);
  QN_TRY(try_levels(s, true, out));
  fprintf(stderr, "search: at most %.2f bits per weight: drop %.2f points, %.1f dB: %s\n",
          mean_bits(s), out->drop, out->sqnr, out->drop <= s->q->max_drop ? "holds" : "too much");
  return QN_OK;
}

/* The smallest mean that holds, to within some percent. */
static qn_status bisect(search *s) {
  double holds = MOST_INT8, fails = 1;
  for (int i = 0; i < s->count; i++) holds = fmax(holds, MOST_INT8 / s->at[i].score);
  verdict v;
  QN_TRY(try_mean(s, holds, &v));
  if (v.drop > s->q->max_drop)
    return qn_io_error("quern",
                       "even 255 levels everywhere cost %.2f points on the samples held "
                       "back, --max-drop is %.2f",
                       v.drop, s->q->max_drop);
  holds = fmin(holds, 2 * MOST_INT8);
  for (int i = 0; i < STEPS; i++) {
    double mean = sqrt(holds * fails);
    QN_TRY(try_mean(s, mean, &v));
    if (v.drop <= s->q->max_drop)
      holds = mean;
    else
      fails = mean;
  }
  set_levels(s, holds);
  return QN_OK;
}

static void print_choice(const search *s) {
  fprintf(stderr, "search: %-40s %9s %10s %7s\n", "layer", "weights", "noise, dB", "levels");
  for (int i = 0; i < s->count; i++)
    fprintf(stderr, "search: %-40s %9" PRId64 " %10.1f %7d\n", s->at[i].name, s->at[i].weights,
            10 * log10(s->at[i].noise), 2 * s->levels[i].most + 1);
  fprintf(stderr,
          "search: noise is what %d levels in that layer alone do to the results; drop is "
          "judged on %" PRId64 " samples\n",
          2 * PROBE + 1, s->samples);
}

static qn_status search_model(search *s, qn_module *m) {
  qn_pass_options passes;
  QN_TRY(qn_get_pass_options(s->o, &passes));
  passes.scheme = &s->q->scheme;
  QN_TRY(qn_load_model(s->path, m));
  QN_TRY(qn_prepare_float(m, &passes));
  QN_TRY(qn_check_quantizable(m, &s->q->scheme));
  QN_TRY(split_samples(s, qn_main_func(m)));
  list_layers(s, qn_main_func(m));
  QN_TRY(ask_teacher(s));
  QN_TRY(measure_layers(s));
  QN_TRY(bisect(s));
  print_choice(s);
  return QN_OK;
}

/* Without a choice of the user's, what few levels need most. */
static void choose_recovery(qn_quantization *q) {
  bool *recover = q->scheme.recover;
  if (!q->recovery_chosen)
    recover[QN_RECOVERY_round_adaptive] = recover[QN_RECOVERY_correct_bias] = true;
  q->recovery_chosen = true;
}

qn_status qn_search_levels(const qn_options *o, qn_module *m, qn_quantization *q) {
  if (!m->src.name || m->src.name[0] == '<')
    return qn_io_error("quern", "a search reads the model again and again: it must be a file");
  choose_recovery(q);
  qn_options unseen = *o; /* nobody watches candidates */
  unseen.watch = NULL;
  search s = {.o = &unseen, .path = m->src.name, .q = q, .a = &m->arena};
  qn_module *again = qn_new_module();
  qn_status status = search_model(&s, again);
  qn_free_module(again);
  q->scheme.layers = s.levels;
  q->scheme.layer_count = s.count;
  return status;
}
