/* quern run --profile: how long each layer takes, and how near its multiply-adds come to what the
 * machine can do. */
#include <inttypes.h>
#include "command.h"

enum { PEAK_TYPES = 2 };

#define SECONDS 0.5 /* of running, at least */

typedef struct {
  qn_runner runner;
  qn_times times;
  qn_peak peak[PEAK_TYPES]; /* of floats, of int8 */
} profile;

static const qn_peak *peak_of(const profile *p, const qn_op *op) {
  if (op->in_count == 0) return &p->peak[0];
  return &p->peak[op->in[0]->type.elem != QN_f32];
}

static qn_status measure(const qn_options *o, profile *p) {
  qn_compile_options options;
  QN_TRY(qn_get_compile_options(o, p->runner.m, &options));
  QN_TRY(qn_time_layers(o, &options, SECONDS, &p->runner, &p->times));
  QN_TRY(qn_measure_peak(options.target, QN_f32, options.fused, &p->peak[0]));
  return qn_measure_peak(options.target, QN_i8, options.fused, &p->peak[1]);
}

/* ------------------------------------------------------------------ the report */

/* Seconds that a layer's multiply-adds would take at the peak; 0 when it is not known. */
static double least_of(const profile *p, const qn_op *op) {
  double rate = peak_of(p, op)->macs_per_second;
  return rate > 0 ? (double)qn_macs(op) / rate : 0;
}

static double least_seconds(const profile *p) {
  double sum = 0;
  for (const qn_op *op = p->runner.f->first; op; op = op->next) sum += least_of(p, op);
  return sum;
}

static void print_row(const char *op, const char *name, int width, int64_t macs, double time,
                      double least) {
  printf("%-18s  %-*s %11" PRId64 " %10.2f", op, width, name, macs, 1e6 * time);
  if (macs > 0 && time > 0)
    printf(" %8.2f", 1e-9 * (double)macs / time);
  else
    printf(" %8s", "-");
  if (macs > 0 && time > 0 && least > 0)
    printf(" %6.1f", 100 * least / time);
  else
    printf(" %6s", "-");
}

static void print_table(const profile *p) {
  const qn_func *f = p->runner.f;
  int width = qn_name_width(f), i = 0;
  printf("%-18s  %-*s %11s %10s %8s %6s  %s\n", "op", width, "name", "MACs", "us", "GMAC/s",
         "peak%", "kernel");
  for (const qn_op *op = f->first; op; op = op->next, i++) {
    if (!*p->times.kernels[i]) continue;
    print_row(qn_ops[op->code].name, op->out->name, width, qn_macs(op), p->times.layer[i],
              least_of(p, op));
    printf("  %s\n", p->times.kernels[i]);
  }
  print_row("all", "", width, qn_total_macs(f), p->times.whole, least_seconds(p));
  printf("\n");
  for (i = 0; i < PEAK_TYPES; i++)
    if (p->peak[i].macs_per_second > 0)
      printf("peak of %s: %.1f GMAC/s, %s, one thread\n", i ? "int8" : "f32",
             1e-9 * p->peak[i].macs_per_second, p->peak[i].instruction);
}

static void print_json(const profile *p) {
  const qn_func *f = p->runner.f;
  printf("{\"us\": %.3f, \"macs\": %" PRId64 ", \"peak_share\": %.4f,\n \"peaks\": {",
         1e6 * p->times.whole, qn_total_macs(f),
         p->times.whole > 0 ? least_seconds(p) / p->times.whole : 0);
  for (int i = 0; i < PEAK_TYPES; i++)
    printf("%s\"%s\": {\"gmacs\": %.2f, \"instruction\": \"%s\"}", i ? ", " : "",
           i ? "int8" : "f32", 1e-9 * p->peak[i].macs_per_second, p->peak[i].instruction);
  printf("},\n \"layers\": [");
  int i = 0;
  for (const qn_op *op = f->first; op; op = op->next, i++) {
    printf("%s\n  {\"op\": \"%s\", \"name\": ", i ? "," : "", qn_ops[op->code].name);
    qn_print_json_string(op->out->name);
    printf(", \"kernel\": \"%s\", \"macs\": %" PRId64 ", \"us\": %.3f}", p->times.kernels[i],
           qn_macs(op), *p->times.kernels[i] ? 1e6 * p->times.layer[i] : 0);
  }
  printf("]}\n");
}

qn_status qn_profile(const qn_options *o, const char *path) {
  profile p = {.runner.m = qn_new_module()};
  qn_status status = qn_prepare(path, o, p.runner.m, &p.runner.f);
  if (status == QN_OK) status = measure(o, &p);
  if (status == QN_OK && o->json) print_json(&p);
  if (status == QN_OK && !o->json) print_table(&p);
  qn_close_runner(&p.runner);
  return status;
}
