/* What a layer takes on a processor without running it: a sum of products, per row of costs.def. */
#include <ctype.h>
#include <string.h>
#include "codegen.h"

typedef struct {
  const char *target, *kernel;
  bool single;
  double call, pixel, result, read, mac, cycles;
} cost_row;

static const cost_row rows[] = {
#define QN_COST(target, kernel, single, call, pixel, result, read, mac, cycles)                    \
  {target, kernel, single, call, pixel, result, read, mac, cycles},
#include "costs.def"
};
enum { ROWS = sizeof rows / sizeof rows[0] };

bool qn_has_costs(const qn_target *target) {
  for (int i = 0; i < ROWS; i++)
    if (strcmp(rows[i].target, target->name) == 0) return true;
  return false;
}

qn_work qn_work_of(const qn_op *op) {
  qn_work w = {.macs = qn_macs(op), .results = qn_count(&op->out->type)};
  const qn_type *y = &op->out->type;
  int64_t channels = y->rank > 0 ? y->dim[y->rank - 1] : 1;
  w.pixels = channels > 0 ? w.results / channels : 0;
  w.reads = op->in_count > 0 ? qn_count(&op->in[0]->type) : 0;
  if (w.macs > 0 && op->code != QN_OP_qdepthwise_conv2d && channels > 0)
    w.reads = w.macs / channels;
  return w;
}

/* `kernel` is the row's name, with or without a number behind it: conv2d_dsp_3. */
static bool names_kernel(const char *kernel, const char *name) {
  size_t size = strlen(name);
  return strncmp(kernel, name, size) == 0 &&
         (!kernel[size] || (kernel[size] == '_' && isdigit((unsigned char)kernel[size + 1])));
}

bool qn_estimate_work(const qn_target *target, const qn_work *w, const char *kernel, qn_cost *out) {
  for (int i = 0; i < ROWS; i++) {
    const cost_row *r = &rows[i];
    if (strcmp(r->target, target->name) != 0 || !names_kernel(kernel, r->kernel)) continue;
    if (r->single && w->pixels != 1) continue;
    out->instructions = r->call + r->pixel * (double)w->pixels + r->result * (double)w->results +
                        r->read * (double)w->reads + r->mac * (double)w->macs;
    out->cycles = out->instructions * r->cycles;
    return true;
  }
  return false;
}

bool qn_estimate_cost(const qn_target *target, const qn_op *op, const char *kernel, qn_cost *out) {
  qn_work w = qn_work_of(op);
  return qn_estimate_work(target, &w, kernel, out);
}
