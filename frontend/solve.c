/* --weights auto under --budget-flash and --budget-ram: which layers' constants are stored raw and
 * which are coded, by which codec, and whether code is made small, too.
 *
 * The model is compiled with everything raw and, by each codec, with everything coded: that tells
 * what each layer takes in either form. Coding a layer saves flash, takes RAM as large as the layer
 * and time to decode it in init, both by its size: so for one codec the layers to code are a
 * knapsack, of sizes up to what RAM is left and of the most flash saved. Dynamic programming solves
 * it for all sizes at once, which is the frontier. Of all choices within the budgets the one with
 * the fastest init is taken: raw, if that fits. What the layers share, code and tables, makes sums
 * of their parts inexact: a choice is compiled, and what it takes corrects what is predicted of the
 * others. Where the user leaves --optimize open, the whole is tried with small code as well, but
 * only when nothing fits without. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "command.h"

enum { LEAST_UNITS = 1024, TRIES = 8, FRONTIER = 10 };

/* A row of codecs.def. */
typedef struct {
  const char *name;
  int64_t work; /* instructions per byte */
} coder;

static const coder coders[] = {
#define QN_CODEC(name, scratch_bytes, work, doc) {#name, work},
#include "../runtime/codecs.def"
};
enum { CODERS = sizeof coders / sizeof coders[0] };

/* How all layers are stored, and what that takes. */
typedef struct {
  const coder *coder;      /* NULL: all raw */
  const qn_weights *forms; /* by layer: raw or coded; NULL: all are coded */
  int64_t work;            /* of init, instructions, about */
  qn_object object;
} solution;

/* A choice: for one codec, the layers whose sizes add up to at most so many units. */
typedef struct {
  int table; /* -1: all raw */
  int32_t units;
  int64_t flash, ram, work; /* as predicted */
} choice;

/* What is known of a codec. */
typedef struct {
  solution all;
  int64_t *saving;    /* flash, by layer */
  int64_t *most;      /* by units: the most that can be saved */
  bool *takes;        /* [layers, units + 1]: layer l is coded when layers 0..l have so many */
  int64_t flash, ram; /* what comes with the decoder, whatever is coded */
} table;

typedef struct {
  qn_module *m;
  const qn_func *f;
  qn_compile_options options; /* with which it is solved */
  const qn_budgets *budgets;
  int layers;
  int64_t *size; /* of constants, by layer */
  int64_t unit;  /* bytes, */
  int32_t units; /* of which all layers have at most so many */
  solution raw;
  int table_count;
  table tables[CODERS];
  int count;
  choice *at;
} solver;

/* ------------------------------------------------------------------ what layers take */

static bool fits(const qn_budgets *b, int64_t flash, int64_t ram) {
  return flash <= b->flash && ram <= b->ram;
}

static void set_form(const solution *form, qn_compile_options *options) {
  options->weights = form->coder ? QN_WEIGHTS_CODED : QN_WEIGHTS_RAW;
  options->codec = form->coder ? qn_find_codec(form->coder->name) : NULL;
  options->forms = form->forms;
}

static bool is_coded(const solution *form, int layer) {
  return form->coder && !(form->forms && form->forms[layer] == QN_WEIGHTS_RAW);
}

static qn_status compile_as(const solver *s, solution *form) {
  qn_compile_options options = s->options;
  set_form(form, &options);
  options.emit = QN_EMIT_OBJ;
  form->work = 0;
  for (int l = 0; l < s->layers; l++)
    if (is_coded(form, l)) form->work += s->size[l] * form->coder->work;
  return qn_compile(s->m, &options, &form->object);
}

static int64_t constants_of(const solution *form, int layer) {
  const qn_layer_size *l = &form->object.layers[layer];
  return (l->weight_bits + l->side_bits + 7) / 8;
}

static int64_t units_of(const solver *s, int layer) {
  return (s->size[layer] + s->unit - 1) / s->unit;
}

/* The knapsack of t's savings. */
static void fill_table(const solver *s, table *t) {
  size_t width = (size_t)s->units + 1;
  t->most = qn_alloc(&s->m->arena, width * sizeof *t->most);
  t->takes = qn_alloc(&s->m->arena, ((size_t)s->layers + 1) * width * sizeof *t->takes);
  for (int l = 0; l < s->layers; l++) {
    int64_t size = units_of(s, l);
    if (t->saving[l] <= 0 || size == 0) continue;
    for (int64_t u = s->units; u >= size; u--) {
      int64_t with = t->most[u - size] + t->saving[l];
      if (with <= t->most[u]) continue;
      t->most[u] = with;
      t->takes[(size_t)l * width + (size_t)u] = true;
    }
  }
}

static qn_status measure_codec(solver *s, const coder *by) {
  table *t = &s->tables[s->table_count];
  *t = (table){.all = {.coder = by}};
  QN_TRY(compile_as(s, &t->all));
  const qn_object *o = &t->all.object;
  t->saving = qn_alloc(&s->m->arena, ((size_t)s->layers + 1) * sizeof *t->saving);
  for (int l = 0; l < s->layers; l++)
    t->saving[l] = constants_of(&s->raw, l) - constants_of(&t->all, l);
  t->flash = o->decoder_bytes + o->table_bytes;
  t->ram =
      qn_ram_of(o) - qn_ram_of(&s->raw.object) - (o->split_bytes ? o->split_bytes : o->plan_offset);
  fill_table(s, t);
  s->table_count++;
  return QN_OK;
}

static qn_status measure(solver *s) {
  int64_t all = 0;
  int l = 0;
  for (const qn_op *op = s->f->first; op; op = op->next) s->layers++;
  s->size = qn_alloc(&s->m->arena, ((size_t)s->layers + 1) * sizeof *s->size);
  for (const qn_op *op = s->f->first; op; op = op->next) all += s->size[l++] = qn_layer_weights(op);
  s->unit = all / LEAST_UNITS + 1;
  s->units = LEAST_UNITS + s->layers;
  QN_TRY(compile_as(s, &s->raw));
  for (int i = 0; i < CODERS; i++) {
    if (strcmp(coders[i].name, "raw") == 0) continue; /* a copy saves nothing */
    if (s->options.codec && s->options.codec != qn_find_codec(coders[i].name)) continue;
    QN_TRY(measure_codec(s, &coders[i]));
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ choices */

static choice predict(const solver *s, int table_index, int32_t units) {
  const table *t = &s->tables[table_index];
  return (choice){.table = table_index,
                  .units = units,
                  .flash = s->raw.object.flash_bytes + t->flash - t->most[units],
                  .ram = qn_ram_of(&s->raw.object) + t->ram + units * s->unit,
                  .work = units * s->unit * t->all.coder->work};
}

/* Every choice that saves more than a smaller one of the same codec. */
static void list_choices(solver *s) {
  size_t most = 1 + (size_t)s->table_count * (size_t)s->units;
  s->at = qn_alloc(&s->m->arena, most * sizeof *s->at);
  s->at[0] = (choice){-1, 0, s->raw.object.flash_bytes, qn_ram_of(&s->raw.object), 0};
  s->count = 1;
  for (int i = 0; i < s->table_count; i++) {
    const int64_t *saved = s->tables[i].most;
    for (int32_t u = 1; u <= s->units; u++)
      if (saved[u] > saved[u - 1]) s->at[s->count++] = predict(s, i, u);
  }
}

static int by_work(const void *a, const void *b) {
  const choice *x = a, *y = b;
  if (x->work != y->work) return x->work < y->work ? -1 : 1;
  if (x->flash != y->flash) return x->flash < y->flash ? -1 : 1;
  return x->ram < y->ram ? -1 : x->ram > y->ram;
}

/* Leaves those that take less flash or less RAM than all faster ones; the fastest first. */
static void keep_frontier(solver *s) {
  int kept = 0;
  qsort(s->at, (size_t)s->count, sizeof *s->at, by_work);
  for (int i = 0; i < s->count; i++) {
    bool covered = false;
    for (int j = 0; j < kept && !covered; j++)
      covered = s->at[j].flash <= s->at[i].flash && s->at[j].ram <= s->at[i].ram;
    if (!covered) s->at[kept++] = s->at[i];
  }
  s->count = kept;
}

/* The layers that are coded; others stay raw. */
static const qn_weights *choose_forms(const solver *s, const choice *c) {
  const table *t = &s->tables[c->table];
  qn_weights *forms = qn_alloc(&s->m->arena, ((size_t)s->layers + 1) * sizeof *forms);
  int64_t units = c->units;
  for (int l = s->layers - 1; l >= 0; l--) {
    if (!t->takes[(size_t)l * ((size_t)s->units + 1) + (size_t)units]) continue;
    forms[l] = QN_WEIGHTS_CODED;
    units -= units_of(s, l);
  }
  return forms;
}

/* ------------------------------------------------------------------ telling */

static void print_frontier(const solver *s) {
  fprintf(stderr, "solver: %-10s %10s %10s %14s\n", "codec", "flash", "RAM", "init, about");
  int step = (s->count + FRONTIER - 1) / FRONTIER;
  for (int i = 0; i < s->count; i++) {
    const choice *c = &s->at[i];
    if (i % step && i < s->count - 1) continue;
    const char *name = c->table < 0 ? "none" : s->tables[c->table].all.coder->name;
    fprintf(stderr, "solver: %-10s %10" PRId64 " %10" PRId64 " %14" PRId64 "%s\n", name, c->flash,
            c->ram, c->work, fits(s->budgets, c->flash, c->ram) ? "  fits" : "");
  }
}

static void print_solution(const solver *s, const solution *best) {
  int l = 0, width = qn_name_width(s->f);
  const qn_object *o = &best->object;
  for (const qn_op *op = s->f->first; op; op = op->next, l++) {
    if (!s->size[l]) continue;
    fprintf(stderr, "solver: %-*s %-10s %9" PRId64 " bytes in %" PRId64 "\n", width, op->out->name,
            is_coded(best, l) ? best->coder->name : "raw", s->size[l], constants_of(best, l));
  }
  fprintf(stderr, "solver: %s: flash %" PRId64 ", RAM %" PRId64 "\n",
          fits(s->budgets, o->flash_bytes, qn_ram_of(o)) ? "chosen" : "nothing fits; nearest",
          o->flash_bytes, qn_ram_of(o));
}

/* ------------------------------------------------------------------ the solution */

/* How many bytes a solution is above the budgets. */
static int64_t excess(const solver *s, const solution *a) {
  int64_t flash = a->object.flash_bytes - s->budgets->flash;
  int64_t ram = qn_ram_of(&a->object) - s->budgets->ram;
  return (flash > 0 ? flash : 0) + (ram > 0 ? ram : 0);
}

static void keep_better(const solver *s, solution *best, const solution *other) {
  int64_t a = excess(s, best), b = excess(s, other);
  if (b < a || (b == a && a == 0 && other->work < best->work)) *best = *other;
}

/* The fastest choice that is predicted to fit. */
static const choice *find_fitting(const solver *s) {
  for (int i = 0; i < s->count; i++)
    if (fits(s->budgets, s->at[i].flash, s->at[i].ram)) return &s->at[i];
  return NULL;
}

/* Compiles what is predicted to fit and corrects the predictions until one is right. */
static qn_status try_choices(solver *s, solution *best) {
  for (int i = 0; i < TRIES; i++) {
    list_choices(s);
    keep_frontier(s);
    const choice *c = find_fitting(s);
    if (!c || c->table < 0) return QN_OK;
    table *t = &s->tables[c->table];
    solution next = {.coder = t->all.coder, .forms = choose_forms(s, c)};
    int64_t flash = c->flash, ram = c->ram;
    QN_TRY(compile_as(s, &next));
    keep_better(s, best, &next);
    if (excess(s, &next) == 0) return QN_OK;
    if (next.object.flash_bytes > s->budgets->flash) t->flash += next.object.flash_bytes - flash;
    if (qn_ram_of(&next.object) > s->budgets->ram) t->ram += qn_ram_of(&next.object) - ram;
  }
  return QN_OK;
}

static qn_status solve(solver *s, solution *best) {
  QN_TRY(measure(s));
  *best = s->raw;
  for (int i = 0; i < s->table_count; i++) keep_better(s, best, &s->tables[i].all);
  return try_choices(s, best);
}

qn_status qn_solve_weights(const qn_budgets *budgets, qn_module *m, const qn_func *f, bool tell,
                           bool any_size, qn_compile_options *options, qn_object *out) {
  solver s = {.m = m, .f = f, .options = *options, .budgets = budgets};
  solution best;
  QN_TRY(solve(&s, &best));
  if (any_size && excess(&s, &best) > 0) {
    solver small = {.m = m, .f = f, .options = *options, .budgets = budgets};
    solution other;
    small.options.optimize = QN_OPTIMIZE_SIZE;
    QN_TRY(solve(&small, &other));
    if (excess(&small, &other) < excess(&s, &best)) {
      best = other;
      s = small;
      if (tell) fprintf(stderr, "solver: with --optimize size\n");
    }
  }
  if (tell) print_frontier(&s);
  if (tell) print_solution(&s, &best);
  options->optimize = s.options.optimize;
  set_form(&best, options);
  *out = best.object;
  return QN_OK;
}
