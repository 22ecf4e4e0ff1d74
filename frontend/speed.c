/* Estimates of a compiled model's speed as a table or as JSON. What is not known of a layer shows
 * "-" (null), cycles of most processors, and so do the sums of such; the totals say how many
 * layers' kernels have no costs. */
#include "speed.h"
#include <inttypes.h>

typedef struct {
  qn_cost sum;
  int64_t macs;
  int known, unknown;
  bool uncycled; /* cycles of a known layer are not known */
} totals;

static double per_mac(double instructions, int64_t macs) {
  return macs > 0 ? instructions / (double)macs : 0;
}

/* ------------------------------------------------------------------ a table */

static void print_count(double n) {
  if (n > 0)
    printf(" %12.0f", n);
  else
    printf(" %12s", "-");
}

/* c NULL: not known. */
static void print_numbers(int64_t macs, const qn_cost *c) {
  printf(" %10" PRId64, macs);
  print_count(c ? c->instructions : 0);
  print_count(c ? c->cycles : 0);
  if (c)
    printf(" %8.3f", per_mac(c->instructions, macs));
  else
    printf(" %8s", "-");
}

static void print_layer(const qn_op *op, int width, const char *kernel, const qn_cost *c) {
  printf("%-18s  %-*s", qn_ops[op->code].name, width, op->out->name);
  print_numbers(qn_macs(op), c);
  printf("  %s\n", kernel);
}

static void print_table(const qn_func *f, const qn_target *target, const qn_object *o) {
  int width = qn_name_width(f), i = 0;
  totals t = {0};
  printf("%-18s  %-*s %10s %12s %12s %8s  %s\n", "op", width, "name", "MACs", "instructions",
         "cycles", "per MAC", "kernel");
  for (const qn_op *op = f->first; op; op = op->next, i++) {
    qn_cost c;
    if (!*o->kernels[i]) continue;
    bool known = qn_estimate_cost(target, op, o->kernels[i], &c);
    print_layer(op, width, o->kernels[i], known ? &c : NULL);
    t.macs += qn_macs(op);
    t.known += known;
    t.unknown += !known;
    if (known) t.sum = (qn_cost){t.sum.instructions + c.instructions, t.sum.cycles + c.cycles};
    t.uncycled |= known && c.cycles == 0;
  }
  if (t.uncycled) t.sum.cycles = 0;
  printf("%-18s  %-*s", "all", width, "");
  print_numbers(t.macs, t.known ? &t.sum : NULL);
  printf("\n");
  if (t.unknown) printf("layers that are not estimated: %d\n", t.unknown);
}

/* ------------------------------------------------------------------ JSON */

static void print_json(const qn_func *f, const qn_target *target, const qn_object *o) {
  int i = 0;
  const char *separator = "";
  printf("{\"target\": \"%s\",\n \"layers\": [", target->name);
  for (const qn_op *op = f->first; op; op = op->next, i++) {
    qn_cost c = {0, 0};
    if (!*o->kernels[i]) continue;
    bool known = qn_estimate_cost(target, op, o->kernels[i], &c);
    qn_work w = qn_work_of(op);
    printf("%s\n  {\"op\": \"%s\", \"name\": ", separator, qn_ops[op->code].name);
    qn_print_json_string(op->out->name);
    printf(", \"kernel\": \"%s\", \"macs\": %" PRId64 ", \"pixels\": %" PRId64
           ", \"results\": %" PRId64 ", \"reads\": %" PRId64 ", \"rows\": %" PRId64
           ", \"point\": %s, \"known\": %s"
           ", \"instructions\": %.0f, \"cycles\": ",
           o->kernels[i], w.macs, w.pixels, w.results, w.reads, w.rows, w.point ? "true" : "false",
           known ? "true" : "false", c.instructions);
    if (c.cycles > 0)
      printf("%.0f}", c.cycles);
    else
      printf("null}");
    separator = ",";
  }
  printf("]}\n");
}

void qn_print_speed(const qn_func *f, const qn_target *target, const qn_object *object, bool json) {
  if (json)
    print_json(f, target, object);
  else
    print_table(f, target, object);
}
