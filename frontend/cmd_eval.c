/* quern eval: how good a model's answers are: top-1 accuracy on labelled samples, and against
 * another model on the same samples: agreement of the largest element, and the signal to
 * quantization noise ratio  10 log10(sum ref^2 / sum (ref - x)^2)  of real values. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "command.h"

typedef struct {
  int64_t samples;
  int64_t right;     /* top-1; -1: no labels */
  int64_t agreed;    /* -1: nothing to compare with */
  int64_t ref_right; /* top-1 of the other model */
  double sqnr[QN_MAX_IN];
  qn_layer_scores layers;
  qn_bisection bisection;
} qn_score;

static qn_status score_against(const qn_options *o, const qn_options *plain, qn_runner *r,
                               void *const *results, const double *labels, qn_score *score) {
  qn_runner ref;
  QN_TRY(qn_open_runner(o->against, plain, &ref));
  int64_t count;
  void *wanted[QN_MAX_IN];
  qn_status status = qn_run_samples(&ref, &o->input, &count, wanted);
  if (status == QN_OK && ref.f->result_count != r->f->result_count)
    status = qn_io_error(o->against, "has %d results, the model %d", ref.f->result_count,
                         r->f->result_count);
  for (int i = 0; status == QN_OK && i < r->f->result_count; i++) {
    const qn_type *t = &r->f->results[i]->type, *ref_type = &ref.f->results[i]->type;
    if (qn_count(t) != qn_count(ref_type)) {
      status = qn_io_error(o->against, "result %d is %s, the model's %s", i,
                           qn_type_text(&r->m->arena, ref_type), qn_type_text(&r->m->arena, t));
      break;
    }
    score->sqnr[i] = qn_sqnr(t, results[i], ref_type, wanted[i], count * qn_count(t));
  }
  if (status == QN_OK) {
    score->ref_right = qn_count_right(&ref.f->results[0]->type, wanted[0], labels, count);
    score->agreed = 0;
    for (int64_t n = 0; n < count; n++)
      score->agreed += qn_argmax(&r->f->results[0]->type, results[0], n) ==
                       qn_argmax(&ref.f->results[0]->type, wanted[0], n);
  }
  qn_close_runner(&ref);
  return status;
}

/* One number as JSON has it: infinite is null. */
static void print_json_real(const char *before, double x) {
  if (isfinite(x))
    printf("%s%.2f", before, x);
  else
    printf("%snull", before);
}

static void print_json_layers(const qn_layer_scores *layers) {
  printf(", \"layers\": [");
  for (int i = 0; i < layers->count; i++) {
    const qn_layer_score *l = &layers->at[i];
    printf("%s{\"name\": \"%s\", \"op\": \"%s\"", i ? ", " : "", l->name, l->op);
    print_json_real(", \"sqnr_db\": ", l->sqnr);
    printf("}");
  }
  printf("]");
}

static void print_json_bisection(const qn_bisection *b) {
  printf(", \"bisect\": {");
  print_json_real("\"threshold_db\": ", b->threshold);
  printf(", \"passes\": [");
  for (int i = 0; i < b->count; i++) {
    printf("%s{\"name\": \"%s\"", i ? ", " : "", b->at[i].name);
    print_json_real(", \"sqnr_db\": ", b->at[i].sqnr);
    printf("}");
  }
  printf("]");
  if (b->first >= 0) printf(", \"pass\": \"%s\"", b->at[b->first].name);
  if (b->layer.name) {
    printf(", \"layer\": \"%s\", \"op\": \"%s\"", b->layer.name, b->layer.op);
    print_json_real(", \"layer_sqnr_db\": ", b->layer.sqnr);
  }
  printf("}");
}

static void print_bisection(const qn_bisection *b) {
  for (int i = 0; i < b->count; i++) {
    if (b->at[i].same)
      printf("pass       unchanged %s\n", b->at[i].name);
    else
      printf("pass       %.2f dB %s\n", b->at[i].sqnr, b->at[i].name);
  }
  if (b->count == 0) return;
  if (b->first < 0)
    printf("first      no pass brings the answer below %.2f dB\n", b->threshold);
  else
    printf("first      %.2f dB %s\n", b->at[b->first].sqnr, b->at[b->first].name);
  if (b->layer.name)
    printf("in layer   %.2f dB %s %s\n", b->layer.sqnr, b->layer.op, b->layer.name);
}

static void print_score(const qn_score *s, const qn_func *f, bool json) {
  double percent = s->samples ? 100.0 / (double)s->samples : 0;
  if (json) {
    printf("{\"samples\": %" PRId64, s->samples);
    if (s->right >= 0) printf(", \"top1\": %.3f", (double)s->right * percent);
    if (s->agreed >= 0) {
      if (s->ref_right >= 0) printf(", \"against_top1\": %.3f", (double)s->ref_right * percent);
      printf(", \"agreement\": %.3f, \"sqnr_db\": [", (double)s->agreed * percent);
      for (int i = 0; i < f->result_count; i++) print_json_real(i ? ", " : "", s->sqnr[i]);
      printf("]");
    }
    if (s->layers.count) print_json_layers(&s->layers);
    if (s->bisection.count) print_json_bisection(&s->bisection);
    printf("}\n");
    return;
  }
  printf("samples    %" PRId64 "\n", s->samples);
  if (s->right >= 0)
    printf("top-1      %.2f %% (%" PRId64 ")\n", (double)s->right * percent, s->right);
  if (s->agreed < 0) return;
  if (s->ref_right >= 0)
    printf("against    %.2f %% (%" PRId64 ")\n", (double)s->ref_right * percent, s->ref_right);
  printf("agreement  %.2f %% (%" PRId64 ")\n", (double)s->agreed * percent, s->agreed);
  for (int i = 0; i < f->result_count; i++)
    printf("sqnr       %.2f dB (%s)\n", s->sqnr[i], f->results[i]->name);
  for (int i = 0; i < s->layers.count; i++)
    printf("layer      %.2f dB %s %s\n", s->layers.at[i].sqnr, s->layers.at[i].op,
           s->layers.at[i].name);
  print_bisection(&s->bisection);
}

static qn_status evaluate(const qn_options *o, const char *path, qn_runner *r) {
  qn_score score = {.right = -1, .agreed = -1};
  void *results[QN_MAX_IN];
  QN_TRY(qn_run_samples(r, &o->input, &score.samples, results));
  double *labels;
  QN_TRY(qn_read_labels(&r->m->arena, o->labels, score.samples, &labels));
  score.right = qn_count_right(&r->f->results[0]->type, results[0], labels, score.samples);
  qn_options plain = qn_plain_options(o);
  if (o->against) QN_TRY(score_against(o, &plain, r, results, labels, &score));
  if (o->layers) QN_TRY(qn_score_layers(&r->m->arena, path, o, &plain, &score.layers));
  if (o->bisect) QN_TRY(qn_bisect(&r->m->arena, path, o, &plain, &score.bisection));
  print_score(&score, r->f, o->json);
  return QN_OK;
}

qn_status command_eval(const qn_options *o) {
  const char *path;
  QN_TRY(qn_one_operand(o, &path));
  if (!o->labels && !o->against)
    return qn_io_error("quern",
                       "eval needs labels (-l LABELS.npy) or a model to compare with (--against)");
  qn_runner r;
  QN_TRY(qn_open_runner(path, o, &r));
  qn_status status = evaluate(o, path, &r);
  qn_close_runner(&r);
  return status;
}
