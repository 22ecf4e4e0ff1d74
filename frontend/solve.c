/* --weights auto under --budget-flash and --budget-ram: which layers' constants are stored raw,
 * which are decoded by init and which by run, by which codec, and whether code is made small, too.
 *
 * The model is compiled with everything raw and, by each codec, with everything coded: that tells
 * what each layer takes in either form. Coding a layer saves flash, takes RAM as large as the layer
 * and time to decode it in init, both by its size: so for one codec the layers to code are a
 * knapsack, of sizes up to what RAM is left and of the most flash saved. Dynamic programming solves
 * it for all sizes at once, which is the frontier.
 *
 * Layers that are streamed take no RAM but the scratch for the largest panel; they take time of
 * every run, as much as init takes for them, which counts a thousandfold. So they are the last
 * resort, and come in steps: first those that save most for their size, up to all that a model with
 * everything streamed has; for each step the other layers are a knapsack of their own.
 *
 * Of all choices within the budgets the one with
 * the least time is taken: raw, if that fits. What the layers share, code and tables, makes sums
 * of their parts inexact: a choice is compiled, and what it takes corrects what is predicted of the
 * others. Where the user leaves --optimize open, the whole is tried with small code as well, but
 * only when nothing fits without. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "command.h"

enum { LEAST_UNITS = 1024, TRIES = 8, FRONTIER = 10, STEPS = 6, RUNS = 1000 };

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
  const qn_weights *forms; /* by layer; NULL: all are coded */
  int64_t work, run;       /* decoding in init and in run, instructions, about */
  qn_object object;
} solution;

/* A choice: for one codec, the layers whose sizes add up to at most so many units. */
typedef struct {
  int table; /* -1: all raw */
  int32_t units;
  int64_t flash, ram, work, run; /* as predicted */
} choice;

/* What is known of a codec, or of a codec with some layers streamed. */
typedef struct {
  const coder *coder;
  const bool *streamed; /* by layer; NULL: none */
  int64_t run;          /* what these take of it */
  int64_t *saving;      /* flash, by layer */
  int64_t *most;        /* by units: the most that can be saved */
  bool *takes;          /* [layers, units + 1]: layer l is coded when layers 0..l have so many */
  int64_t flash, ram;   /* what comes with the decoder, whatever is coded */
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
  table tables[CODERS * (STEPS + 1)];
  solution coded[CODERS]; /* all that the codec makes smaller */
  int coded_count;
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

static qn_weights form_of(const solution *s, int layer) {
  if (!s->coder) return QN_WEIGHTS_RAW;
  return s->forms ? s->forms[layer] : QN_WEIGHTS_CODED;
}

static qn_status compile_as(const solver *s, solution *form) {
  qn_compile_options options = s->options;
  set_form(form, &options);
  options.emit = QN_EMIT_OBJ;
  form->work = form->run = 0;
  for (int l = 0; l < s->layers; l++) {
    int64_t work = form->coder ? s->size[l] * form->coder->work : 0;
    if (form_of(form, l) != QN_WEIGHTS_RAW) form->work += work;
    if (form_of(form, l) == QN_WEIGHTS_STREAM) form->run += work;
  }
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

static int64_t *savings(const solver *s, const solution *form) {
  int64_t *saving = qn_alloc(&s->m->arena, ((size_t)s->layers + 1) * sizeof *saving);
  for (int l = 0; l < s->layers; l++) saving[l] = constants_of(&s->raw, l) - constants_of(form, l);
  return saving;
}

static qn_status measure_codec(solver *s, const coder *by) {
  solution *all = &s->coded[s->coded_count++];
  table *t = &s->tables[s->table_count++];
  *all = (solution){.coder = by};
  *t = (table){.coder = by};
  QN_TRY(compile_as(s, all));
  const qn_object *o = &all->object;
  t->saving = savings(s, all);
  t->flash = o->decoder_bytes + o->table_bytes;
  t->ram =
      qn_ram_of(o) - qn_ram_of(&s->raw.object) - (o->split_bytes ? o->split_bytes : o->plan_offset);
  fill_table(s, t);
  return QN_OK;
}

/* The layer not yet streamed that saves most for its size; -1: there is none. */
static int next_streamed(const solver *s, const solution *all, const int64_t *saving,
                         const bool *streamed) {
  int best = -1;
  for (int l = 0; l < s->layers; l++) {
    if (streamed[l] || all->object.layers[l].stored != QN_WEIGHTS_STREAM) continue;
    if (best < 0 || saving[l] * s->size[best] > saving[best] * s->size[l]) best = l;
  }
  return best;
}

/* Table `from` with these layers streamed; what they save is part of its flash. */
static void add_streams(solver *s, const table *from, const solution *all, const bool *streamed,
                        const int64_t *saving) {
  table *t = &s->tables[s->table_count++];
  *t = (table){.coder = from->coder, .streamed = streamed, .flash = from->flash};
  t->saving = qn_alloc(&s->m->arena, ((size_t)s->layers + 1) * sizeof *t->saving);
  for (int l = 0; l < s->layers; l++) {
    t->saving[l] = streamed[l] ? 0 : from->saving[l];
    if (!streamed[l]) continue;
    t->flash -= saving[l];
    t->run += s->size[l] * t->coder->work;
  }
  t->ram = qn_ram_of(&all->object) - qn_ram_of(&s->raw.object);
  if (t->ram < from->ram) t->ram = from->ram;
  fill_table(s, t);
}

/* Tables of the codec with ever more layers streamed. */
static qn_status measure_streams(solver *s, const table *from) {
  qn_arena *a = &s->m->arena;
  qn_weights *forms = qn_alloc(a, ((size_t)s->layers + 1) * sizeof *forms);
  for (int l = 0; l < s->layers; l++) forms[l] = QN_WEIGHTS_STREAM;
  solution all = {.coder = from->coder, .forms = forms};
  QN_TRY(compile_as(s, &all));
  const int64_t *saving = savings(s, &all);
  int64_t bytes = 0, done = 0;
  for (int l = 0; l < s->layers; l++)
    if (all.object.layers[l].stored == QN_WEIGHTS_STREAM) bytes += s->size[l];
  bool *streamed = qn_alloc(a, (size_t)s->layers + 1);
  for (int step = 1; bytes && step <= STEPS; step++) {
    for (int l; done * STEPS < bytes * step; done += s->size[l]) {
      l = next_streamed(s, &all, saving, streamed);
      streamed[l] = true;
    }
    bool *kept = qn_alloc(a, (size_t)s->layers + 1);
    memcpy(kept, streamed, (size_t)s->layers);
    add_streams(s, from, &all, kept, saving);
  }
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
    QN_TRY(measure_streams(s, &s->tables[s->table_count - 1]));
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
                  .work = units * s->unit * t->coder->work + t->run,
                  .run = t->run};
}

/* Every choice that saves more than a smaller one of the same codec. */
static void list_choices(solver *s) {
  size_t most = 1 + (size_t)s->table_count * ((size_t)s->units + 1);
  s->at = qn_alloc(&s->m->arena, most * sizeof *s->at);
  s->at[0] = (choice){-1, 0, s->raw.object.flash_bytes, qn_ram_of(&s->raw.object), 0, 0};
  s->count = 1;
  for (int i = 0; i < s->table_count; i++) {
    const int64_t *saved = s->tables[i].most;
    if (s->tables[i].streamed) s->at[s->count++] = predict(s, i, 0);
    for (int32_t u = 1; u <= s->units; u++)
      if (saved[u] > saved[u - 1]) s->at[s->count++] = predict(s, i, u);
  }
}

/* In how many runs the work counts as init's. */
static int64_t total_work(int64_t work, int64_t run) { return work + RUNS * run; }

static int by_work(const void *a, const void *b) {
  const choice *x = a, *y = b;
  int64_t p = total_work(x->work, x->run), q = total_work(y->work, y->run);
  if (p != q) return p < q ? -1 : 1;
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

/* How layers are stored. */
static const qn_weights *choose_forms(const solver *s, const choice *c) {
  const table *t = &s->tables[c->table];
  qn_weights *forms = qn_alloc(&s->m->arena, ((size_t)s->layers + 1) * sizeof *forms);
  int64_t units = c->units;
  for (int l = s->layers - 1; l >= 0; l--) {
    if (t->streamed && t->streamed[l]) forms[l] = QN_WEIGHTS_STREAM;
    if (!t->takes[(size_t)l * ((size_t)s->units + 1) + (size_t)units]) continue;
    forms[l] = QN_WEIGHTS_CODED;
    units -= units_of(s, l);
  }
  return forms;
}

/* ------------------------------------------------------------------ telling */

static void print_frontier(const solver *s) {
  fprintf(stderr, "solver: %-10s %10s %10s %14s %14s\n", "codec", "flash", "RAM", "init, about",
          "run, about");
  int step = (s->count + FRONTIER - 1) / FRONTIER;
  for (int i = 0; i < s->count; i++) {
    const choice *c = &s->at[i];
    if (i % step && i < s->count - 1) continue;
    const char *name = c->table < 0 ? "none" : s->tables[c->table].coder->name;
    fprintf(stderr, "solver: %-10s %10" PRId64 " %10" PRId64 " %14" PRId64 " %14" PRId64 "%s\n",
            name, c->flash, c->ram, c->work, c->run,
            fits(s->budgets, c->flash, c->ram) ? "  fits" : "");
  }
}

/* "raw", "huffman", "huffman, by run". */
static const char *form_text(const solver *s, const solution *best, int layer) {
  qn_weights form = form_of(best, layer);
  if (form == QN_WEIGHTS_STREAM && best->object.layers[layer].stored == QN_WEIGHTS_STREAM)
    return qn_format(&s->m->arena, "%s, by run", best->coder->name);
  return form == QN_WEIGHTS_CODED ? best->coder->name : "raw";
}

static void print_solution(const solver *s, const solution *best) {
  int l = 0, width = qn_name_width(s->f);
  const qn_object *o = &best->object;
  for (const qn_op *op = s->f->first; op; op = op->next, l++) {
    if (!s->size[l]) continue;
    fprintf(stderr, "solver: %-*s %-10s %9" PRId64 " bytes in %" PRId64 "\n", width, op->out->name,
            form_text(s, best, l), s->size[l], constants_of(best, l));
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
  if (b < a ||
      (b == a && a == 0 && total_work(other->work, other->run) < total_work(best->work, best->run)))
    *best = *other;
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
    solution next = {.coder = t->coder, .forms = choose_forms(s, c)};
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
  for (int i = 0; i < s->coded_count; i++) keep_better(s, best, &s->coded[i]);
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
