/* quern run --tune: which kernel is the fastest for each shape of layer, by running them all.
 *
 * Round n compiles the whole model with every shape's n-th alternative and times its layers where
 * they are, with the caches as they are then. So there are as many compilations as one shape has
 * alternatives at most. An alternative must be faster by a margin that noise does not make. */
#include <math.h>
#include <string.h>
#include "command.h"

#define SECONDS 0.25 /* of running, at least, per round */
#define MARGIN  0.98

/* A shape: what can compute it, and how long all layers of that shape take so. */
typedef struct {
  const char *shape;
  const char *const *alternatives;
  int count, best;
  double first_seconds, best_seconds;
} candidate;

typedef struct {
  const qn_options *o;
  qn_runner runner;
  int count, rounds;
  candidate *at;
  int *of; /* per op: its candidate, or -1 */
} tuner;

static int find_candidate(const tuner *t, const char *shape) {
  for (int i = 0; i < t->count; i++)
    if (strcmp(t->at[i].shape, shape) == 0) return i;
  return -1;
}

/* From what the first round's object says. */
static void list_candidates(tuner *t, const qn_times *times) {
  qn_arena *a = &t->runner.m->arena;
  int ops = 0;
  for (const qn_op *op = t->runner.f->first; op; op = op->next) ops++;
  t->at = qn_alloc(a, ((size_t)ops + 1) * sizeof *t->at);
  t->of = qn_alloc(a, ((size_t)ops + 1) * sizeof *t->of);
  ops = 0;
  for (const qn_op *op = t->runner.f->first; op; op = op->next, ops++) {
    const char *const *names = times->alternatives[ops];
    t->of[ops] = -1;
    if (!names[1] || !*times->kernels[ops]) continue;
    const char *shape = qn_op_shape(a, op);
    t->of[ops] = find_candidate(t, shape);
    if (t->of[ops] >= 0) continue;
    candidate *c = &t->at[t->of[ops] = t->count++];
    *c = (candidate){.shape = shape, .alternatives = names, .best_seconds = INFINITY};
    while (names[c->count]) c->count++;
    if (c->count > t->rounds) t->rounds = c->count;
  }
}

static void note_times(tuner *t, const qn_times *times, int round) {
  for (int i = 0; i < t->count; i++) {
    candidate *c = &t->at[i];
    if (round >= c->count) continue;
    double seconds = 0;
    int op_index = 0;
    for (const qn_op *op = t->runner.f->first; op; op = op->next, op_index++)
      if (t->of[op_index] == i) seconds += times->layer[op_index];
    if (round == 0) c->first_seconds = seconds;
    if (seconds >= MARGIN * c->best_seconds) continue;
    c->best_seconds = seconds;
    c->best = round;
  }
}

/* The choice of round n; those that have no n-th alternative take their best. */
static qn_tuning choose(tuner *t, int round) {
  qn_choice *at = qn_alloc(&t->runner.m->arena, ((size_t)t->count + 1) * sizeof *at);
  for (int i = 0; i < t->count; i++) {
    const candidate *c = &t->at[i];
    at[i] = (qn_choice){c->shape, c->alternatives[round < c->count ? round : c->best]};
  }
  return (qn_tuning){t->count, at};
}

static qn_status run_rounds(tuner *t) {
  qn_compile_options options;
  QN_TRY(qn_get_compile_options(t->o, t->runner.m, &options));
  qn_times times;
  options.list_alternatives = true;
  QN_TRY(qn_time_layers(t->o, &options, SECONDS, &t->runner, &times));
  list_candidates(t, &times);
  note_times(t, &times, 0);
  options.list_alternatives = false;
  for (int round = 1; round < t->rounds; round++) {
    qn_tuning tuning = choose(t, round);
    options.tuning = &tuning;
    QN_TRY(qn_time_layers(t->o, &options, SECONDS, &t->runner, &times));
    note_times(t, &times, round);
  }
  return QN_OK;
}

static void print_choices(const tuner *t) {
  for (int i = 0; i < t->count; i++) {
    const candidate *c = &t->at[i];
    printf("%10.2f us  %5.2f x  %s  %s\n", 1e6 * c->best_seconds,
           c->best_seconds > 0 ? c->first_seconds / c->best_seconds : 1, c->alternatives[c->best],
           c->shape);
  }
}

qn_status qn_tune(const qn_options *o, const char *path) {
  tuner t = {.o = o, .runner.m = qn_new_module()};
  qn_status status = qn_prepare(path, o, t.runner.m, &t.runner.f);
  if (status == QN_OK) status = run_rounds(&t);
  if (status == QN_OK) {
    qn_tuning best = choose(&t, t.rounds);
    status = qn_write_tuning(o->tune, &best);
  }
  if (status == QN_OK) print_choices(&t);
  qn_close_runner(&t.runner);
  return status;
}
