/* How long each layer of a compiled model takes on this machine.
 *
 * The model runs as it would anyhow, in one thread, and reads the clock between its layers. Other
 * processes only ever make it slower, so the fastest of many runs counts, for each layer by itself
 * and for the whole. What reading the clock takes is taken off. */
#include <math.h>
#include <time.h>
#include "command.h"

enum { LEAST_RUNS = 20 };

typedef struct {
  double last;  /* when the clock was read last */
  double *best; /* seconds, per op of the main function */
} stopwatch;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void on_tick(void *of, int32_t op) {
  stopwatch *watch = of;
  double time = now();
  if (op >= 0 && time - watch->last < watch->best[op]) watch->best[op] = time - watch->last;
  watch->last = now();
}

/* What a tick adds to the time between two of them. */
static double tick_seconds(void) {
  double best[] = {1};
  stopwatch watch = {now(), best};
  for (int i = 0; i < 1000; i++) on_tick(&watch, 0);
  return best[0];
}

/* Zeros, where no samples are given: the code takes the same time for all values. */
static void use_zeros(qn_arena *a, const qn_func *f, qn_inputs *out) {
  int i = 0;
  for (const qn_value *p = f->params; p; p = p->next)
    out->at[i++] = qn_alloc(a, (size_t)qn_bytes(&p->type));
  out->count = 1;
}

static qn_status time_runs(const qn_options *o, const qn_runner *r, double least,
                           double *out_whole) {
  qn_arena *a = &r->m->arena;
  qn_inputs inputs;
  qn_sample sample;
  if (o->input.count)
    QN_TRY(qn_read_inputs(a, r->f, &o->input, &inputs));
  else
    use_zeros(a, r->f, &inputs);
  qn_alloc_outputs(a, r->f, &sample);
  double begin = now();
  *out_whole = INFINITY;
  for (int64_t n = 0; n < LEAST_RUNS || now() - begin < least; n++) {
    double start = now();
    QN_TRY(qn_run_sample(r, &inputs, n % inputs.count, &sample));
    *out_whole = fmin(*out_whole, now() - start);
  }
  return QN_OK;
}

qn_status qn_time_layers(const qn_options *o, const qn_compile_options *options, double least,
                         qn_runner *r, qn_times *out) {
  int count = 0;
  for (const qn_op *op = r->f->first; op; op = op->next) count++;
  stopwatch watch = {0, qn_alloc(&r->m->arena, ((size_t)count + 1) * sizeof(double))};
  for (int i = 0; i < count; i++) watch.best[i] = INFINITY;
  const qn_ticks ticks = {on_tick, &watch};
  qn_compile_options ticking = *options;
  ticking.ticks = &ticks;
  ticking.as_row = true;
  QN_TRY(qn_load(r->m, &ticking, &r->program));
  out->layer = watch.best;
  out->kernels = qn_kernels_of(r->program);
  out->alternatives = qn_alternatives_of(r->program);
  qn_status status = time_runs(o, r, least, &out->whole);
  qn_unload(r->program);
  r->program = NULL;
  double tick = tick_seconds();
  for (int i = 0; i < count; i++) watch.best[i] = fmax(0, watch.best[i] - tick);
  out->whole = fmax(0, out->whole - (count + 1) * tick);
  return status;
}
