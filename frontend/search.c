/* Levels of weights by layer: as few as an accuracy budget allows.
 *
 * Rounding layer l's weights with step d adds noise g d^2 to the results, where g
 * is measured: one layer at a time has few levels. Bits are spent best where one more bit gains as
 * much in every layer, n log2(1/d) bits for n weights against g d^2 noise: d^2 is proportional to
 * n / g. That leaves one number for the whole model, the number of levels in the mean, which is
 * sought by bisection: each candidate is judged by what it loses on samples that are held back
 * (judge.c). Where the user gives budgets, too, the largest number of levels that fits them is
 * sought behind that; budgets without --max-drop count alone, and what that costs is told.
 *
 * Where `mixed` finds that even 255 levels everywhere cost too much, layers stay float: first those
 * without whose quantization the results have the least noise, as few as are enough. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "command.h"

enum { PROBE = 4, STEPS = 6 };
#define MOST_INT8 127
#define MOST_INT4 7

typedef struct {
  const char *name;
  int64_t weights;
  double noise;  /* of the results, relative, with 2 * PROBE + 1 levels here */
  double score;  /* levels are proportional to it */
  double relief; /* noise of the results when this layer alone stays float */
} layer;

typedef struct {
  qn_judge judge;
  int count;
  layer *at;
  qn_layer_levels *levels; /* of the candidate */
  const char **keep;       /* names that stay float: the user's, behind them the search's */
  int keep_count;
} search;

static void write_choice(const search *s, qn_scheme *out) {
  out->layers = s->levels;
  out->layer_count = s->count;
  out->keep = s->keep;
  out->keep_count = s->keep_count;
}

static qn_status try_levels(const search *s, bool recover, qn_verdict *out) {
  qn_scheme scheme = s->judge.q->scheme;
  write_choice(s, &scheme);
  if (!recover) memset(scheme.recover, 0, sizeof scheme.recover);
  return qn_try_scheme(&s->judge, &scheme, out);
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
  s->at = qn_alloc(s->judge.a, ((size_t)count + 1) * sizeof *s->at);
  s->levels = qn_alloc(s->judge.a, ((size_t)count + 1) * sizeof *s->levels);
  s->keep_count = s->judge.q->scheme.keep_count;
  s->keep = qn_alloc(s->judge.a, ((size_t)(s->keep_count + count) + 1) * sizeof *s->keep);
  for (int i = 0; i < s->keep_count; i++) s->keep[i] = s->judge.q->scheme.keep[i];
  for (const qn_op *op = f->first; op; op = op->next) {
    if (!has_constant_weights(op) || qn_is_kept(&s->judge.q->scheme, op)) continue;
    const char *name = qn_strndup(s->judge.a, op->out->name, strlen(op->out->name));
    s->levels[s->count] = (qn_layer_levels){name, MOST_INT8, 0};
    s->at[s->count++] = (layer){.name = name, .weights = qn_count(&op->in[1]->type)};
  }
}

static double noise_of(qn_verdict v) { return pow(10, -v.sqnr / 10); }

/* Each layer's noise, and from it its score: 1 in the mean of all weights. */
static qn_status measure_layers(search *s) {
  qn_verdict v;
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

/* ------------------------------------------------------------------ float layers */

static int by_relief(const void *a, const void *b) {
  const layer *const *x = a, *const *y = b;
  if ((*x)->relief != (*y)->relief) return (*x)->relief < (*y)->relief ? -1 : 1;
  return *x < *y ? -1 : *x > *y;
}

/* The layers, those that are best left float first. */
static qn_status rank_layers(search *s, layer **out) {
  qn_verdict v;
  int user = s->keep_count;
  for (int i = 0; i < s->count; i++) {
    s->keep[user] = s->at[i].name;
    s->keep_count = user + 1;
    QN_TRY(try_levels(s, false, &v));
    s->at[i].relief = noise_of(v);
    out[i] = &s->at[i];
  }
  s->keep_count = user;
  qsort(out, (size_t)s->count, sizeof *out, by_relief);
  return QN_OK;
}

/* With the first `count` of ranked layers float. */
static qn_status try_float(search *s, layer *const *ranked, int user, int count, qn_verdict *out) {
  for (int i = 0; i < count; i++) s->keep[user + i] = ranked[i]->name;
  s->keep_count = user + count;
  QN_TRY(try_levels(s, true, out));
  fprintf(stderr, "search: %d of %d layers stay float: drop %.2f points, %.1f dB: %s\n", count,
          s->count, out->drop, out->sqnr, out->drop <= s->judge.q->max_drop ? "holds" : "too much");
  return QN_OK;
}

/* As few float layers as hold; *out: what all but one lose, too much where none holds. Needs two
 * layers. */
static qn_status keep_some_float(search *s, qn_verdict *out) {
  layer **ranked = qn_alloc(s->judge.a, (size_t)s->count * sizeof *ranked);
  int user = s->keep_count, fails = 0, holds = s->count - 1;
  qn_verdict v;
  QN_TRY(rank_layers(s, ranked));
  QN_TRY(try_float(s, ranked, user, holds, out));
  if (out->drop > s->judge.q->max_drop) return QN_OK;
  while (holds - fails > 1) {
    int middle = (holds + fails) / 2;
    QN_TRY(try_float(s, ranked, user, middle, &v));
    *(v.drop <= s->judge.q->max_drop ? &holds : &fails) = middle;
  }
  for (int i = 0; i < holds; i++) s->keep[user + i] = ranked[i]->name;
  s->keep_count = user + holds;
  return QN_OK;
}

/* ------------------------------------------------------------------ the search */

static void set_levels(search *s, double mean) {
  for (int i = 0; i < s->count; i++) {
    double most = fmin(fmax(round(mean * s->at[i].score), 1), MOST_INT8);
    if (s->judge.q->search == QN_SEARCH_mixed) most = most > MOST_INT4 ? MOST_INT8 : MOST_INT4;
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

static qn_status try_mean(search *s, double mean, qn_verdict *out) {
  set_levels(s, mean);
  QN_TRY(try_levels(s, true, out));
  fprintf(stderr, "search: at most %.2f bits per weight: drop %.2f points, %.1f dB: %s\n",
          mean_bits(s), out->drop, out->sqnr,
          out->drop <= s->judge.q->max_drop ? "holds" : "too much");
  return QN_OK;
}

/* Whether two means give the same levels: what is known of one is known of the other. */
static bool is_same(search *s, double a, double b) {
  set_levels(s, a);
  double bits = mean_bits(s);
  set_levels(s, b);
  return bits == mean_bits(s);
}

/* The smallest mean that holds, to within some percent. */
static qn_status bisect(search *s, double *out) {
  double holds = MOST_INT8, fails = 1, failed = 0; /* the latter was tried */
  for (int i = 0; i < s->count; i++) holds = fmax(holds, MOST_INT8 / s->at[i].score);
  qn_verdict v;
  QN_TRY(try_mean(s, holds, &v));
  bool mixed = s->judge.q->search == QN_SEARCH_mixed && s->count > 1;
  if (mixed && v.drop > s->judge.q->max_drop) QN_TRY(keep_some_float(s, &v));
  if (v.drop > s->judge.q->max_drop)
    return qn_io_error("quern",
                       "even 255 levels %s cost %.2f points on the samples held "
                       "back, --max-drop is %.2f",
                       mixed ? "in a single layer" : "everywhere", v.drop, s->judge.q->max_drop);
  holds = fmin(holds, 2 * MOST_INT8);
  for (int i = 0; i < STEPS; i++) {
    double mean = sqrt(holds * fails);
    bool known = is_same(s, mean, holds), hopeless = failed > 0 && is_same(s, mean, failed);
    if (!known && !hopeless) QN_TRY(try_mean(s, mean, &v));
    if (known || (!hopeless && v.drop <= s->judge.q->max_drop))
      holds = mean;
    else
      failed = fails = mean;
  }
  set_levels(s, holds);
  *out = holds;
  return QN_OK;
}

static qn_status fits_with_mean(search *s, double mean, bool *out) {
  set_levels(s, mean);
  qn_scheme scheme = s->judge.q->scheme;
  write_choice(s, &scheme);
  int64_t flash, ram;
  QN_TRY(qn_try_size(&s->judge, &scheme, out, &flash, &ram));
  fprintf(stderr, "search: at most %.2f bits per weight: flash %" PRId64 ", RAM %" PRId64 ": %s\n",
          mean_bits(s), flash, ram, *out ? "fits" : "too much");
  return QN_OK;
}

/* Flash to spare is accuracy: *inout_mean becomes the largest mean that fits the budgets; it stays
 * where none does. */
static qn_status spend_budgets(search *s, double *inout_mean) {
  double fits = *inout_mean, fails = 2 * MOST_INT8;
  bool fit;
  QN_TRY(fits_with_mean(s, fails, &fit));
  if (fit) *inout_mean = fails;
  if (fit) return QN_OK;
  QN_TRY(fits_with_mean(s, fits, &fit));
  for (int i = 0; fit && i < STEPS; i++) {
    double mean = sqrt(fits * fails);
    bool next = is_same(s, mean, fits), known = next || is_same(s, mean, fails);
    if (!known) QN_TRY(fits_with_mean(s, mean, &next));
    if (next)
      fits = mean;
    else
      fails = mean;
  }
  set_levels(s, fits);
  *inout_mean = fits;
  return QN_OK;
}

static qn_status tell_cost(const search *s) {
  qn_verdict v;
  QN_TRY(try_levels(s, true, &v));
  fprintf(stderr,
          "search: %.2f bits per weight, what the budgets allow: drop %.2f points, %.1f dB\n",
          mean_bits(s), v.drop, v.sqnr);
  return QN_OK;
}

static bool is_float(const search *s, const layer *l) {
  for (int i = 0; i < s->keep_count; i++)
    if (strcmp(s->keep[i], l->name) == 0) return true;
  return false;
}

static void print_choice(const search *s) {
  fprintf(stderr, "search: %-40s %9s %10s %7s\n", "layer", "weights", "noise, dB", "levels");
  for (int i = 0; i < s->count; i++)
    fprintf(stderr, "search: %-40s %9" PRId64 " %10.1f %7s\n", s->at[i].name, s->at[i].weights,
            10 * log10(s->at[i].noise),
            is_float(s, &s->at[i]) ? "float"
                                   : qn_format(s->judge.a, "%d", 2 * s->levels[i].most + 1));
  fprintf(stderr,
          "search: noise is what %d levels in that layer alone do to the results; drop is "
          "judged on %" PRId64 " samples\n",
          2 * PROBE + 1, s->judge.samples);
}

static qn_status search_model(search *s, const qn_options *o, const qn_quantization *q,
                              const char *path, qn_arena *a, qn_module *again) {
  QN_TRY(qn_open_judge(o, q, path, a, again, &s->judge));
  list_layers(s, qn_main_func(again));
  QN_TRY(measure_layers(s));
  double least = 1;
  bool budgets = o->budget_flash || o->budget_ram;
  if (o->max_drop || !budgets) QN_TRY(bisect(s, &least));
  if (budgets) QN_TRY(spend_budgets(s, &least));
  if (budgets && !o->max_drop) QN_TRY(tell_cost(s));
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
  choose_recovery(q);
  search s = {.count = 0};
  qn_module *again = qn_new_module();
  qn_status status = search_model(&s, o, q, m->src.name, &m->arena, again);
  qn_free_module(again);
  if (status == QN_OK) write_choice(&s, &q->scheme);
  return status;
}
