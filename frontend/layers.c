/* Two models side by side, layer by layer: the signal to quantization noise ratio of every value
 * of one that the other has by the same name,  10 log10(sum ref^2 / sum (ref - x)^2)  of real
 * values over all samples. So a layer's figure counts what the layers before it lost, too. */
#include <string.h>
#include "command.h"

/* A model and its observer. */
typedef struct {
  qn_module *m;
  qn_runner runner;
  qn_inputs inputs;
  qn_sample sample;
} side;

static qn_status open_side(const char *path, const qn_options *o, side *out) {
  qn_func *f;
  *out = (side){.m = qn_new_module()};
  QN_TRY(qn_prepare(path, o, out->m, &f));
  QN_TRY(qn_open_observer(o, out->m, &out->runner));
  QN_TRY(qn_read_inputs(&out->m->arena, f, &o->input, &out->inputs));
  qn_alloc_outputs(&out->m->arena, f, &out->sample);
  return QN_OK;
}

static void close_side(side *s) {
  qn_close_observer(&s->runner);
  if (s->m) qn_free_module(s->m);
}

static const qn_op *find_twin(const qn_func *f, const qn_op *op) {
  for (const qn_op *twin = f->first; twin; twin = twin->next) {
    bool same = strcmp(twin->out->name, op->out->name) == 0;
    if (same && qn_count(&twin->out->type) == qn_count(&op->out->type)) return twin;
  }
  return NULL;
}

/* A value of one model and the other's. */
typedef struct {
  const qn_op *op, *twin;
  double signal, noise;
} pair;

static int find_pairs(qn_arena *a, const side *x, const side *ref, pair **out) {
  int count = 0;
  for (const qn_op *op = x->runner.f->first; op; op = op->next) count++;
  *out = qn_alloc(a, (size_t)(count + 1) * sizeof **out);
  count = 0;
  for (const qn_op *op = x->runner.f->first; op; op = op->next) {
    const qn_op *twin = qn_ops[op->code].view ? NULL : find_twin(ref->runner.f, op);
    if (twin) (*out)[count++] = (pair){.op = op, .twin = twin};
  }
  return count;
}

static void compare(pair *p, const side *x, const side *ref) {
  const qn_value *v = p->op->out, *twin = p->twin->out;
  const void *got = qn_peek(&x->runner, &x->sample, v);
  const void *want = qn_peek(&ref->runner, &ref->sample, twin);
  int64_t count = qn_count(&v->type);
  for (int64_t i = 0; i < count; i++) {
    double real = qn_real_at(&twin->type, want, i), error = real - qn_real_at(&v->type, got, i);
    p->signal += real * real;
    p->noise += error * error;
  }
}

static qn_status run_both(side *x, side *ref, pair *pairs, int count) {
  for (int64_t n = 0; n < x->inputs.count; n++) {
    QN_TRY(qn_run_sample(&x->runner, &x->inputs, n, &x->sample));
    QN_TRY(qn_run_sample(&ref->runner, &ref->inputs, n, &ref->sample));
    for (int i = 0; i < count; i++) compare(&pairs[i], x, ref);
  }
  return QN_OK;
}

static qn_status score_pairs(qn_arena *a, side *x, side *ref, qn_layer_scores *out) {
  pair *pairs;
  int count = find_pairs(a, x, ref, &pairs);
  QN_TRY(run_both(x, ref, pairs, count));
  out->at = qn_alloc(a, (size_t)(count + 1) * sizeof *out->at);
  for (int i = 0; i < count; i++) {
    const pair *p = &pairs[i];
    const char *name = p->op->out->name;
    out->at[out->count++] = (qn_layer_score){.name = qn_strndup(a, name, strlen(name)),
                                             .op = qn_ops[p->op->code].name,
                                             .sqnr = qn_decibels(p->signal, p->noise)};
  }
  return QN_OK;
}

qn_status qn_score_layers(qn_arena *a, const char *path, const qn_options *o,
                          const qn_options *plain, qn_layer_scores *out) {
  side x, ref = {0};
  *out = (qn_layer_scores){0};
  qn_status status = open_side(path, o, &x);
  if (status == QN_OK) status = open_side(o->against, plain, &ref);
  if (status == QN_OK) status = score_pairs(a, &x, &ref, out);
  close_side(&x);
  close_side(&ref);
  return status;
}
