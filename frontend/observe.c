/* A model that runs as compiled code while every value can be looked at: in its memory plan each
 * value keeps a place of its own. So calibration costs hardly more than the inferences themselves.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>
#include "command.h"

static const qn_pass_options all_kept = {.keep_all = true};

static qn_status plan_all_kept(qn_module *m) { return qn_run_passes(m, "plan-memory", &all_kept); }

qn_status qn_open_observer(const qn_options *o, qn_module *m, qn_runner *out) {
  *out = (qn_runner){.m = m, .f = qn_main_func(m)};
  qn_compile_options options;
  QN_TRY(plan_all_kept(m));
  QN_TRY(qn_get_compile_options(o, m, &options));
  options.weights = QN_WEIGHTS_RAW;
  options.keep_values = true;
  options.plan = plan_all_kept;
  return qn_load(m, &options, &out->program);
}

void qn_close_observer(qn_runner *r) {
  if (r->program) qn_unload(r->program);
  *r = (qn_runner){0};
}

const void *qn_peek(const qn_runner *r, const qn_sample *s, const qn_value *v) {
  qn_place place = qn_place_of(r->f, v);
  switch (place.kind) {
  case QN_IN_CONST: return place.value->data;
  case QN_IN_INPUT: return s->in[place.index];
  case QN_IN_OUTPUT: return s->out[place.index];
  case QN_IN_MEMORY: break;
  }
  return (const char *)qn_memory_of(r->program) + place.offset;
}

void qn_alloc_outputs(qn_arena *a, const qn_func *f, qn_sample *s) {
  for (int i = 0; i < f->result_count; i++)
    s->out[i] = qn_alloc(a, (size_t)qn_bytes(&f->results[i]->type));
}

/* ------------------------------------------------------------------ calibration */

static void show_progress(int64_t done, int64_t count) {
  if (!isatty(STDERR_FILENO)) return;
  fprintf(stderr, done == count ? "\r\033[K" : "\rcalibrating: %" PRId64 " of %" PRId64 " samples",
          done, count);
}

static qn_status show_values(const qn_runner *r, const qn_sample *s, int64_t n, qn_see see,
                             void *of) {
  for (const qn_value *p = r->f->params; p; p = p->next) QN_TRY(see(of, n, p, qn_peek(r, s, p)));
  for (const qn_op *op = r->f->first; op; op = op->next)
    if (!qn_ops[op->code].view) QN_TRY(see(of, n, op->out, qn_peek(r, s, op->out)));
  return QN_OK;
}

/* An error that names the file, where a layer's would only name the input. */
static qn_status check_finite(const qn_func *f, const qn_texts *files, const qn_inputs *inputs) {
  int i = 0;
  for (const qn_value *p = f->params; p; p = p->next, i++) {
    int64_t size = qn_count(&p->type);
    const float *x = inputs->at[i];
    for (int64_t k = 0; p->type.elem == QN_f32 && k < inputs->count * size; k++) {
      if (isfinite(x[k])) continue;
      const qn_source file = {.name = files->at[i]};
      return qn_error(&file, qn_nowhere,
                      "sample %" PRId64 " of input '%s' has an element that is %s", k / size,
                      p->name, isnan(x[k]) ? "not a number" : "infinite");
    }
  }
  return QN_OK;
}

static qn_status read_inputs(const qn_calibration *c, qn_arena *a, const qn_func *f,
                             qn_inputs *out) {
  if (c->files) return qn_read_inputs(a, f, c->files, out);
  qn_make_noise(a, f, out);
  return QN_OK;
}

static qn_status run_observed(const qn_calibration *c, qn_runner *r, qn_arena *a, qn_see see,
                              void *of) {
  qn_inputs inputs;
  qn_sample s;
  QN_TRY(read_inputs(c, a, r->f, &inputs));
  if (c->files) QN_TRY(check_finite(r->f, c->files, &inputs));
  qn_alloc_outputs(a, r->f, &s);
  for (int64_t n = 0; n < inputs.count; n++) {
    show_progress(n, inputs.count);
    QN_TRY(qn_run_sample(r, &inputs, n, &s));
    QN_TRY(show_values(r, &s, n, see, of));
  }
  show_progress(inputs.count, inputs.count);
  return QN_OK;
}

static qn_status run_calibration(void *context, qn_module *m, qn_see see, void *of) {
  const qn_calibration *c = context;
  qn_arena a = {0};
  qn_runner r;
  qn_status status = qn_open_observer(c->o, m, &r);
  if (status == QN_OK) status = run_observed(c, &r, &a, see, of);
  qn_close_observer(&r);
  qn_free_arena(&a);
  return status;
}

static qn_status read_calibration(void *context, const qn_func *f, qn_see see, void *of) {
  const qn_calibration *c = context;
  qn_arena a = {0};
  qn_inputs inputs;
  qn_status status = read_inputs(c, &a, f, &inputs);
  for (int64_t n = 0; status == QN_OK && n < inputs.count; n++) {
    int i = 0;
    for (const qn_value *p = f->params; status == QN_OK && p; p = p->next, i++)
      status = see(of, n, p, (const char *)inputs.at[i] + n * qn_bytes(&p->type));
  }
  qn_free_arena(&a);
  return status;
}

qn_status qn_open_calibration(const qn_options *o, qn_module *m, const qn_texts *files,
                              qn_calibration *c, qn_pass_options *passes) {
  *c = (qn_calibration){.o = o, .files = files};
  if (files->count == 0) return QN_OK;
  bool samples = true;
  if (files->count == 1) QN_TRY(qn_is_npy(&m->arena, files->at[0], &samples));
  if (samples) {
    c->sampler = (qn_sampler){.context = c, .run = run_calibration, .read = read_calibration};
    passes->sampler = &c->sampler;
    return QN_OK;
  }
  passes->statistics = &c->statistics;
  return qn_read_statistics(m, files->at[0], &c->statistics);
}

void qn_open_noise(const qn_options *o, qn_calibration *c, qn_pass_options *passes) {
  *c = (qn_calibration){.o = o};
  c->sampler = (qn_sampler){.context = c, .run = run_calibration, .read = read_calibration};
  passes->sampler = &c->sampler;
}
