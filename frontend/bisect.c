/* quern eval --bisect: the model runs after every pass that it goes through, by the evaluator, and
 * its answers are compared with another model's. The first pass that leaves them too far away is
 * the culprit; within it, the first layer whose value is as far from the value of that name that
 * the module had before the pass. So what passes do to layers without a change of the answers, as
 * equalize does, counts for nothing.
 *
 * Distances are signal to noise ratios, 10 log10(sum ref^2 / sum (ref - x)^2) of real values over
 * the samples; of several results the worst one counts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "command.h"

#define MOST_BYTES ((int64_t)1 << 28) /* of layers' values that are kept */

/* Values of one layer, as floats, of the first samples. */
typedef struct {
  const char *name, *op;
  int64_t count; /* of one sample */
  float *real;
} trace;

/* What one module computes. */
typedef struct {
  qn_arena a;
  int count;
  trace *at;
  int64_t samples, sample; /* whose layers are kept, and which runs now */
  int next;                /* layer that comes next in that run */
} traces;

typedef struct {
  qn_arena *a;
  const qn_options *o;
  const char *hash; /* of the module before */
  int result_count;
  int64_t samples, counts[QN_MAX_IN];
  double *wanted[QN_MAX_IN]; /* real values, all samples */
  traces before;
  int room;
  qn_bisection *out;
} bisection;

/* ------------------------------------------------------------------ the other model */

static double *keep_reals(qn_arena *a, const qn_type *t, const void *data, int64_t count) {
  double *real = qn_alloc(a, (size_t)count * sizeof *real);
  for (int64_t i = 0; i < count; i++) real[i] = qn_real_at(t, data, i);
  return real;
}

static qn_status ask_reference(bisection *b, const qn_options *plain) {
  qn_runner r;
  void *results[QN_MAX_IN];
  QN_TRY(qn_open_runner(b->o->against, plain, &r));
  qn_status status = qn_run_samples(&r, &b->o->input, &b->samples, results);
  b->result_count = r.f->result_count;
  for (int i = 0; status == QN_OK && i < b->result_count; i++) {
    const qn_type *t = &r.f->results[i]->type;
    b->counts[i] = b->samples * qn_count(t);
    b->wanted[i] = keep_reals(b->a, t, results[i], b->counts[i]);
  }
  qn_close_runner(&r);
  return status;
}

/* ------------------------------------------------------------------ running a module */

static void open_traces(traces *t, const qn_func *f, int64_t samples) {
  int64_t bytes = 1;
  *t = (traces){0};
  for (const qn_op *op = f->first; op; op = op->next)
    bytes += qn_count(&op->out->type) * (int64_t)sizeof(float);
  t->samples = samples < MOST_BYTES / bytes + 1 ? samples : MOST_BYTES / bytes + 1;
  t->at = qn_alloc(&t->a, ((size_t)f->op_count + 1) * sizeof *t->at);
  for (const qn_op *op = f->first; op; op = op->next) {
    int64_t count = qn_count(&op->out->type);
    const char *name = op->out->name;
    t->at[t->count++] =
        (trace){.name = qn_strndup(&t->a, name, strlen(name)),
                .op = qn_ops[op->code].name,
                .count = count,
                .real = qn_alloc(&t->a, (size_t)(count * t->samples) * sizeof(float))};
  }
}

static void keep_layer(void *of, const qn_value *v, const void *data) {
  traces *t = of;
  const trace *layer = &t->at[t->next++];
  float *real = layer->real + t->sample * layer->count;
  for (int64_t i = 0; i < layer->count; i++) real[i] = (float)qn_real_at(&v->type, data, i);
}

/* The answers to all samples, and the layers of the first of them in t. */
static void run_module(const qn_func *f, const qn_inputs *inputs, void *const *results, traces *t) {
  for (int64_t n = 0; n < inputs->count; n++) {
    const void *in[QN_MAX_IN];
    void *out[QN_MAX_IN];
    int i = 0;
    for (const qn_value *p = f->params; p; p = p->next, i++)
      in[i] = (const char *)inputs->at[i] + n * qn_bytes(&p->type);
    for (i = 0; i < f->result_count; i++)
      out[i] = (char *)results[i] + n * qn_bytes(&f->results[i]->type);
    t->sample = n;
    t->next = 0;
    qn_eval_seen(f, in, out, n < t->samples ? keep_layer : NULL, t);
  }
}

static qn_status compare_answers(const bisection *b, const qn_func *f, void *const *results,
                                 double *out) {
  *out = INFINITY;
  if (f->result_count != b->result_count)
    return qn_io_error(b->o->against, "has %d results, the model %d", b->result_count,
                       f->result_count);
  for (int i = 0; i < f->result_count; i++) {
    const qn_type *t = &f->results[i]->type;
    double signal = 0, noise = 0;
    if (b->samples * qn_count(t) != b->counts[i])
      return qn_io_error(b->o->against, "result %d has %lld elements, the model's %lld", i,
                         (long long)(b->counts[i] / b->samples), (long long)qn_count(t));
    for (int64_t k = 0; k < b->counts[i]; k++) {
      double want = b->wanted[i][k], error = want - qn_real_at(t, results[i], k);
      signal += want * want;
      noise += error * error;
    }
    *out = fmin(*out, qn_decibels(signal, noise));
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ the first layer */

static const trace *find_trace(const traces *t, const trace *like) {
  for (int i = 0; i < t->count; i++)
    if (t->at[i].count == like->count && strcmp(t->at[i].name, like->name) == 0) return &t->at[i];
  return NULL;
}

static double compare_layers(const trace *now, const trace *was, int64_t samples) {
  double signal = 0, noise = 0;
  for (int64_t k = 0; k < samples * now->count; k++) {
    double want = (double)was->real[k], error = want - (double)now->real[k];
    signal += want * want;
    noise += error * error;
  }
  return qn_decibels(signal, noise);
}

static void find_layer(bisection *b, const traces *now) {
  qn_layer_score *found = &b->out->layer;
  int64_t samples = now->samples < b->before.samples ? now->samples : b->before.samples;
  found->sqnr = INFINITY;
  for (int i = 0; i < now->count && found->sqnr >= b->out->threshold; i++) {
    const trace *t = &now->at[i], *was = find_trace(&b->before, t);
    double sqnr = was ? compare_layers(t, was, samples) : INFINITY;
    if (sqnr >= found->sqnr) continue;
    *found = (qn_layer_score){qn_strndup(b->a, t->name, strlen(t->name)), t->op, sqnr};
  }
}

/* ------------------------------------------------------------------ pass by pass */

static qn_pass_score *add_score(bisection *b, const char *pass) {
  qn_bisection *out = b->out;
  if (out->count == b->room) {
    b->room = 2 * b->room + 16;
    qn_pass_score *at = qn_alloc(b->a, (size_t)b->room * sizeof *at);
    for (int i = 0; i < out->count; i++) at[i] = out->at[i];
    out->at = at;
  }
  out->at[out->count] = (qn_pass_score){.name = pass};
  return &out->at[out->count++];
}

static qn_status score_module(bisection *b, const qn_func *f, qn_pass_score *score) {
  qn_arena a = {0};
  qn_inputs inputs;
  void *results[QN_MAX_IN];
  traces now;
  qn_status status = qn_read_inputs(&a, f, &b->o->input, &inputs);
  if (status == QN_OK) {
    for (int i = 0; i < f->result_count; i++)
      results[i] = qn_alloc(&a, (size_t)(inputs.count * qn_bytes(&f->results[i]->type)));
    open_traces(&now, f, inputs.count);
    run_module(f, &inputs, results, &now);
    status = compare_answers(b, f, results, &score->sqnr);
    if (b->out->first < 0 && score->sqnr < b->out->threshold) {
      b->out->first = b->out->count - 1;
      find_layer(b, &now);
    }
    qn_free_arena(&b->before.a);
    b->before = now;
  }
  qn_free_arena(&a);
  return status;
}

static qn_status after_pass(void *of, qn_module *m, const char *pass) {
  bisection *b = of;
  const qn_func *f = qn_main_func(m);
  if (!f) return qn_error(&m->src, qn_nowhere, "a model needs one function, or one named 'main'");
  const char *hash = qn_hash_module(m);
  qn_pass_score *score = add_score(b, pass);
  score->same = b->hash && strcmp(hash, b->hash) == 0;
  if (score->same) {
    score->sqnr = score[-1].sqnr;
    return QN_OK;
  }
  b->hash = qn_strndup(b->a, hash, strlen(hash));
  return score_module(b, f, score);
}

qn_status qn_bisect(qn_arena *a, const char *path, const qn_options *o, const qn_options *plain,
                    qn_bisection *out) {
  char *end;
  *out = (qn_bisection){.first = -1, .threshold = strtod(o->bisect, &end)};
  if (*end || end == o->bisect || !isfinite(out->threshold))
    return qn_io_error("quern", "--bisect '%s' is no number of decibels", o->bisect);
  bisection b = {.a = a, .o = o, .out = out};
  QN_TRY(ask_reference(&b, plain));
  qn_watch watch = {&b, after_pass};
  qn_options watched = *o;
  watched.watch = &watch;
  qn_module *m = qn_new_module();
  qn_func *unused;
  qn_status status = qn_prepare(path, &watched, m, &unused);
  qn_free_module(m);
  qn_free_arena(&b.before.a);
  return status;
}
