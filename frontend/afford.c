/* --optimize speed under --budget-flash -> which kernel computes the layers of which shape: where
 * the fastest ones take too much flash, slower ones with less.
 *
 * Kernels of known costs compete (costs.def). What each takes of flash is found out by compiling
 * the model with the fastest ones, with the next ones, and so on. From the fastest on, the exchange
 * is made that costs the fewest instructions per byte, until the sum is predicted to fit; then
 * those that turn out not to be needed are taken back. Layers share code, so sums are not exact:
 * the choice is compiled, and what it takes beyond the budget is missing the next time. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "command.h"

enum { MOST_WAYS = 8, TRIES = 8 };

/* A kernel for all layers of a shape. */
typedef struct {
  const char *kernel;
  int64_t flash; /* -1: not known */
  double instructions;
} way;

/* Layers of one shape, which take the same kernel. */
typedef struct {
  const char *shape;
  const qn_op *op;
  int layers;
  way ways[MOST_WAYS];  /* the first is what computes them without a budget */
  int count, now, kept; /* ways; the one considered, the one chosen */
} group;

typedef struct {
  qn_module *m;
  const qn_func *f;
  const qn_compile_options *options;
  int64_t budget, missing;
  qn_object fast;
  group *groups;
  int count, *group_of; /* by layer; -1: none */
} purse;

typedef struct {
  const qn_tuning *tuning; /* NULL: none */
  double instructions;
} choice;

/* ------------------------------------------------------------------ what there is */

static group *find_group(purse *p, const qn_op *op) {
  const char *shape = qn_op_shape(&p->m->arena, op);
  for (int i = 0; i < p->count; i++)
    if (strcmp(p->groups[i].shape, shape) == 0) return &p->groups[i];
  p->groups[p->count] = (group){.shape = shape, .op = op};
  return &p->groups[p->count++];
}

/* Those of known costs. The runtime's kernel, the last, is no way to save flash where there are
 * others: made for speed, it is the largest. */
static void add_ways(const purse *p, group *g, const char *const *kernels) {
  for (int i = 0; kernels[i] && g->count < MOST_WAYS; i++) {
    qn_cost cost;
    bool known = qn_estimate_cost(p->options->target, g->op, kernels[i], &cost);
    if (i > 0 && (!known || !kernels[i + 1])) continue;
    if (!known) return;
    g->ways[g->count++] = (way){kernels[i], -1, cost.instructions};
  }
}

static void list_groups(purse *p) {
  size_t layers = 1;
  int l = 0;
  for (const qn_op *op = p->f->first; op; op = op->next) layers++;
  p->groups = qn_alloc(&p->m->arena, layers * sizeof *p->groups);
  p->group_of = qn_alloc(&p->m->arena, layers * sizeof *p->group_of);
  for (const qn_op *op = p->f->first; op; op = op->next, l++) {
    p->group_of[l] = -1;
    if (!*p->fast.kernels[l]) continue;
    int known = p->count;
    group *g = find_group(p, op);
    if (p->count > known) add_ways(p, g, p->fast.alternatives[l]);
    p->group_of[l] = (int)(g - p->groups);
    g->layers++;
  }
}

/* "conv2d_dsp_3" is a function of kernel "conv2d_dsp". */
static bool is_of(const char *function, const char *kernel) {
  size_t size = strlen(kernel);
  return strncmp(function, kernel, size) == 0 && function[size] == '_';
}

static qn_status compile_with(const purse *p, const qn_tuning *tuning, qn_object *out) {
  qn_compile_options options = *p->options;
  options.tuning = tuning;
  options.list_alternatives = !tuning;
  return qn_compile(p->m, &options, out);
}

static const qn_tuning *tuning_of(const purse *p) {
  qn_tuning *tuning = qn_alloc(&p->m->arena, sizeof *tuning);
  qn_choice *at = qn_alloc(&p->m->arena, ((size_t)p->count + 1) * sizeof *at);
  *tuning = (qn_tuning){0, at};
  for (int g = 0; g < p->count; g++) {
    const group *x = &p->groups[g];
    if (x->now) at[tuning->count++] = (qn_choice){x->shape, x->ways[x->now].kernel};
  }
  return tuning;
}

/* What layers take whose groups have so many ways. */
static void add_flash(purse *p, const qn_object *o, int level) {
  int l = 0;
  for (const qn_op *op = p->f->first; op; op = op->next, l++) {
    group *g = p->group_of[l] < 0 ? NULL : &p->groups[p->group_of[l]];
    if (!g || level >= g->count || !is_of(o->kernels[l], g->ways[level].kernel)) continue;
    const qn_layer_size *size = &o->layers[l];
    way *w = &g->ways[level];
    w->flash = w->flash < 0 ? 0 : w->flash;
    w->flash += (size->weight_bits + size->side_bits + 7) / 8 + size->code_bytes;
  }
}

static qn_status measure(purse *p) {
  int most = 0;
  list_groups(p);
  for (int g = 0; g < p->count; g++)
    for (int i = 0; i < p->groups[g].count; i++)
      p->groups[g].ways[i].instructions *= p->groups[g].layers;
  for (int g = 0; g < p->count; g++)
    if (p->groups[g].count > most) most = p->groups[g].count;
  add_flash(p, &p->fast, 0);
  for (int level = 1; level < most; level++) {
    qn_object object;
    for (int g = 0; g < p->count; g++) {
      group *x = &p->groups[g];
      x->now = level < x->count ? level : x->count - (x->count > 0);
    }
    QN_TRY(compile_with(p, tuning_of(p), &object));
    add_flash(p, &object, level);
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ the choice */

static int64_t predict(const purse *p) {
  int64_t flash = p->fast.flash_bytes + p->missing;
  for (int g = 0; g < p->count; g++) {
    const group *x = &p->groups[g];
    if (x->now) flash -= x->ways[0].flash - x->ways[x->now].flash;
  }
  return flash;
}

/* Makes the exchange that loses the fewest instructions per byte. False: there is none. */
static bool save(purse *p) {
  double least = 0;
  group *best = NULL;
  int to = 0;
  for (int g = 0; g < p->count; g++) {
    group *x = &p->groups[g];
    const way *now = &x->ways[x->now];
    for (int i = 0; i < x->count; i++) {
      int64_t saved = now->flash - x->ways[i].flash;
      if (x->ways[i].flash < 0 || now->flash < 0 || saved <= 0) continue;
      double loss = (x->ways[i].instructions - now->instructions) / (double)saved;
      if (best && loss >= least) continue;
      least = loss;
      best = x;
      to = i;
    }
  }
  if (best) best->now = to;
  return best != NULL;
}

/* Takes an exchange back, the one that gains most, if there is room for it. */
static bool spend(purse *p) {
  int64_t room = p->budget - predict(p);
  double most = 0;
  group *best = NULL;
  int to = 0;
  for (int g = 0; g < p->count; g++) {
    group *x = &p->groups[g];
    const way *now = &x->ways[x->now];
    for (int i = 0; i < x->count; i++) {
      double gain = now->instructions - x->ways[i].instructions;
      if (x->ways[i].flash < 0 || x->ways[i].flash - now->flash > room || gain <= most) continue;
      most = gain;
      best = x;
      to = i;
    }
  }
  if (best) best->now = to;
  return best != NULL;
}

/* What is predicted to fit, or the least. */
static void choose(purse *p) {
  for (int g = 0; g < p->count; g++) p->groups[g].now = 0;
  while (predict(p) > p->budget && save(p)) continue;
  while (spend(p)) continue;
}

static bool are_equal(const qn_tuning *a, const qn_tuning *b) {
  bool equal = a && a->count == b->count;
  for (int i = 0; equal && i < b->count; i++)
    equal = a->at[i].shape == b->at[i].shape && a->at[i].kernel == b->at[i].kernel;
  return equal;
}

static double instructions_of(const purse *p) {
  double sum = 0;
  for (int g = 0; g < p->count; g++)
    if (p->groups[g].count) sum += p->groups[g].ways[p->groups[g].now].instructions;
  return sum;
}

static void keep_choice(purse *p, choice *best) {
  best->instructions = instructions_of(p);
  for (int g = 0; g < p->count; g++) p->groups[g].kept = p->groups[g].now;
}

static qn_status search(purse *p, choice *best) {
  const qn_tuning *last = NULL;
  for (int i = 0; i < TRIES; i++) {
    choose(p);
    const qn_tuning *tuning = tuning_of(p);
    qn_object object;
    if (are_equal(last, tuning)) return QN_OK;
    last = tuning;
    QN_TRY(compile_with(p, tuning, &object));
    if (object.flash_bytes <= p->budget &&
        (!best->tuning || instructions_of(p) < best->instructions)) {
      best->tuning = tuning;
      keep_choice(p, best);
    }
    p->missing += object.flash_bytes - predict(p);
  }
  return QN_OK;
}

static void tell_choice(const purse *p) {
  for (int g = 0; g < p->count; g++) {
    const group *x = &p->groups[g];
    const way *from = &x->ways[0], *to = &x->ways[x->kept];
    if (!x->kept) continue;
    fprintf(stderr,
            "budget: '%s'%s by %s instead of %s: %" PRId64
            " bytes of flash less, %.0f instructions more\n",
            x->op->out->name, x->layers > 1 ? " and others of that shape" : "", to->kernel,
            from->kernel, from->flash - to->flash, to->instructions - from->instructions);
  }
}

qn_status qn_afford_kernels(qn_module *m, const qn_func *f, int64_t flash, bool tell,
                            qn_compile_options *options, qn_object *out) {
  purse p = {.m = m, .f = f, .options = options, .budget = flash};
  choice best = {NULL, 0};
  QN_TRY(compile_with(&p, NULL, &p.fast));
  if (p.fast.flash_bytes > flash) {
    QN_TRY(measure(&p));
    QN_TRY(search(&p, &best));
    options->tuning = best.tuning;
    if (best.tuning && tell) tell_choice(&p);
  }
  return qn_compile(m, options, out);
}
