/* --quantize auto: the schemes in order of their cost, each as it is and then with one recovery
 * after the other, until one costs no more accuracy than the user allows on samples that are held
 * back (judge.c). A recovery stays where it helps. When all fail, the model stays float.
 *
 * Schemes that only make coded weights smaller are left out where weights are not coded; those of
 * two and three levels always, as hardly a network that was not trained for them bears them. */
#include <string.h>
#include "command.h"

typedef struct {
  qn_judge judge;
  qn_scheme scheme; /* of the candidate */
  const char *name; /* of its row */
  bool chosen;      /* the user said which recoveries */
} chooser;

static const char *const recovery_names[QN_RECOVERY_COUNT] = {
#define QN_RECOVERY(name, pass, doc) pass,
#include "../passes/quantize.def"
};

/* "round-adaptive,refit": as --recover takes it. */
static const char *list_recoveries(qn_arena *a, const qn_scheme *scheme) {
  const char *list = "";
  for (int i = 0; i < QN_RECOVERY_COUNT; i++)
    if (scheme->recover[i])
      list = qn_format(a, "%s%s%s", list, *list ? "," : "", recovery_names[i]);
  return list;
}

static bool holds(const chooser *c, qn_verdict v) { return v.drop <= c->judge.q->max_drop; }

static qn_status try_first(chooser *c, qn_verdict *out) {
  const char *list = list_recoveries(c->judge.a, &c->scheme);
  QN_TRY(qn_try_scheme(&c->judge, &c->scheme, out));
  fprintf(stderr, "auto: %s%s%s: drop %.2f points, %.1f dB: %s\n", c->name, *list ? " with " : "",
          list, out->drop, out->sqnr, holds(c, *out) ? "holds" : "too much");
  return QN_OK;
}

/* One recovery more; it stays when it is enough, or gains more than samples vary. */
static qn_status try_recovery(chooser *c, int i, qn_verdict *best) {
  qn_verdict v;
  c->scheme.recover[i] = true;
  QN_TRY(qn_try_scheme(&c->judge, &c->scheme, &v));
  bool gains = v.drop < 0.99 * best->drop || v.sqnr > best->sqnr + 0.1;
  bool better = holds(c, v) || (v.drop <= best->drop && gains);
  const char *verdict = !better ? "left out" : holds(c, v) ? "holds" : "stays, still too much";
  fprintf(stderr, "auto: %s and %s: drop %.2f points, %.1f dB; gains %.2f points, %.1f dB: %s\n",
          c->name, recovery_names[i], v.drop, v.sqnr, best->drop - v.drop, v.sqnr - best->sqnr,
          verdict);
  c->scheme.recover[i] = better;
  if (better) *best = v;
  return QN_OK;
}

static bool can_recover(const chooser *c) { return !c->chosen && !qn_is_halved(&c->scheme); }

/* *out: whether the scheme holds, with what c->scheme.recover says then. */
static qn_status try_row(chooser *c, bool *out) {
  qn_verdict best;
  QN_TRY(try_first(c, &best));
  for (int i = 0; i < QN_RECOVERY_COUNT && can_recover(c) && !holds(c, best); i++)
    QN_TRY(try_recovery(c, i, &best));
  *out = holds(c, best);
  return QN_OK;
}

/* What the choice does to each layer, on the samples that are held back. */
static qn_status print_layers(const chooser *c) {
  qn_options o = c->judge.o;
  o.quantize = c->name;
  o.recover = list_recoveries(c->judge.a, &c->scheme);
  o.max_drop = o.calibrate_labels = NULL;
  o.calibrate = c->judge.fit;
  o.input = c->judge.judge;
  o.against = c->judge.path;
  o.target = NULL;
  qn_options plain = qn_plain_options(&o);
  qn_layer_scores scores;
  QN_TRY(qn_score_layers(c->judge.a, c->judge.path, &o, &plain, &scores));
  for (int i = 0; i < scores.count; i++)
    fprintf(stderr, "auto: layer %.1f dB %s %s\n", scores.at[i].sqnr, scores.at[i].op,
            scores.at[i].name);
  fprintf(stderr, "auto: %s%s%s\n", c->name, *o.recover ? " with " : "", o.recover);
  return QN_OK;
}

/* Whether a scheme is worth its name here: see above; and inputs and outputs are to be stored as
 * the user says. */
static bool is_candidate(const qn_options *o, const qn_quantization *q, qn_weight_form weights,
                         qn_activation_form activations) {
  bool raw = !o->weights || strcmp(o->weights, "raw") == 0;
  if (weights == QN_WEIGHT_FORM_binary || weights == QN_WEIGHT_FORM_ternary) return false;
  if (raw && weights == QN_WEIGHT_FORM_int4) return false;
  return !q->scheme.stored_io || strcmp(q->io, qn_activation_name(activations)) == 0;
}

static qn_status choose(chooser *c, qn_quantization *q) {
  const qn_scheme asked = q->scheme;
  bool found = false;
  qn_weight_form weights;
  qn_activation_form activations;
  for (int i = 0; !found && qn_scheme_row(i, &c->name, &weights, &activations); i++) {
    if (!is_candidate(&c->judge.o, c->judge.q, weights, activations)) continue;
    c->scheme = asked;
    c->scheme.weights = weights;
    c->scheme.activations = activations;
    if (qn_is_halved(&c->scheme)) memset(c->scheme.recover, 0, sizeof c->scheme.recover);
    QN_TRY(try_row(c, &found));
  }
  q->on = found;
  q->scheme = c->scheme;
  q->recovery_chosen = true;
  if (found) return print_layers(c);
  fprintf(stderr, "auto: no scheme holds %.2f points: the model stays float\n", q->max_drop);
  return QN_OK;
}

qn_status qn_search_scheme(const qn_options *o, qn_module *m, qn_quantization *q) {
  chooser c = {.chosen = q->recovery_chosen};
  qn_quantization asked = *q;
  qn_module *again = qn_new_module();
  qn_status status = qn_open_judge(o, &asked, m->src.name, &m->arena, again, &c.judge);
  if (status == QN_OK) status = choose(&c, q);
  qn_free_module(again);
  return status;
}
