/* What a layer takes on a processor without running it: a sum of products, per row of costs.def. */
#include <ctype.h>
#include <string.h>
#include "codegen.h"

typedef enum { any, point, single } layer_kind;

typedef struct {
  const char *target, *kernel;
  layer_kind of;
  int taps, channels;
  double call, pixel, result, read, mac, cycles;
} cost_row;

static const cost_row rows[] = {
#define QN_COST(target, kernel, of, taps, channels, call, pixel, result, read, mac, cycles)        \
  {target, kernel, of, taps, channels, call, pixel, result, read, mac, cycles},
#include "costs.def"
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* The row of targets.def whose costs are another's too; NULL: none. */
static const char *like(const char *target) {
  static const char *const pairs[][2] = {
#define QN_COST(target, kernel, of, taps, channels, call, pixel, result, read, mac, cycles)
#define QN_COSTS_LIKE(target, like) {target, like},
#include "costs.def"
  };
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
    if (strcmp(pairs[i][0], target) == 0) return pairs[i][1];
  return NULL;
}

bool qn_has_costs(const qn_target *target) {
  if (like(target->name)) return true;
  for (int i = 0; i < ROWS; i++)
    if (strcmp(rows[i].target, target->name) == 0) return true;
  return false;
}

static bool is_pool(const qn_op *op) {
  return op->code == QN_OP_avg_pool2d || op->code == QN_OP_max_pool2d ||
         op->code == QN_OP_qavg_pool2d || op->code == QN_OP_qmax_pool2d;
}

/* Taps of the windows along one dimension that are inside the image. */
static int64_t taps_along(int32_t results, int32_t stride, int32_t before, int32_t kernel,
                          int32_t size) {
  int64_t taps = 0;
  for (int32_t i = 0; i < results; i++) {
    int32_t from = i * stride - before, to = from + kernel;
    taps += (to < size ? to : size) - (from > 0 ? from : 0);
  }
  return taps;
}

static int64_t pool_taps(const qn_op *op) {
  qn_window g = qn_window_of(op);
  return g.batch * g.out_c * taps_along(g.out_h, g.stride_h, g.top, g.kernel_h, g.in_h) *
         taps_along(g.out_w, g.stride_w, g.left, g.kernel_w, g.in_w);
}

qn_work qn_work_of(const qn_op *op) {
  qn_work w = {.macs = qn_macs(op), .results = qn_count(&op->out->type)};
  const qn_type *y = &op->out->type;
  int64_t channels = y->rank > 0 ? y->dim[y->rank - 1] : 1;
  w.pixels = channels > 0 ? w.results / channels : 0;
  w.reads = op->in_count > 0 ? qn_count(&op->in[0]->type) : 0;
  if (w.macs > 0 && op->code != QN_OP_qdepthwise_conv2d && channels > 0)
    w.reads = w.macs / channels;
  if (is_pool(op)) w.reads = pool_taps(op);
  const qn_type *x = op->in_count > 0 ? &op->in[0]->type : y;
  const qn_type *weights = w.macs > 0 && op->in_count > 1 ? &op->in[1]->type : NULL;
  w.rows = weights && weights->rank == 4 ? weights->dim[1] : 1;
  w.point = w.macs > 0 && x->rank > 0 && w.macs == w.results * x->dim[x->rank - 1];
  return w;
}

/* `kernel` is the row's name, with or without a number behind it: conv2d_dsp_3. */
static bool names_kernel(const char *kernel, const char *name) {
  size_t size = strlen(name);
  return strncmp(kernel, name, size) == 0 &&
         (!kernel[size] || (kernel[size] == '_' && isdigit((unsigned char)kernel[size + 1])));
}

static const cost_row *find_row(const char *target, const qn_work *w, const char *kernel) {
  for (int i = 0; i < ROWS; i++) {
    const cost_row *r = &rows[i];
    if (strcmp(r->target, target) != 0 || !names_kernel(kernel, r->kernel)) continue;
    if (r->of == any || (r->of == point && w->point) || (r->of == single && w->pixels == 1))
      return r;
  }
  return NULL;
}

static double rounded_up(int64_t n, int by) { return (double)((n + by - 1) / by * by); }

bool qn_estimate_work(const qn_target *target, const qn_work *w, const char *kernel, qn_cost *out) {
  const cost_row *r = find_row(target->name, w, kernel);
  bool own = r != NULL;
  if (!own && like(target->name)) r = find_row(like(target->name), w, kernel);
  if (!r) return false;
  int64_t channels = w->pixels > 0 ? w->results / w->pixels : 0;
  int64_t taps = w->results > 0 ? w->macs / w->results : 0;
  double results = (double)w->pixels * rounded_up(channels, r->channels);
  double macs = results * (double)w->rows * rounded_up(taps / w->rows, r->taps);
  out->instructions = r->call + r->pixel * (double)w->pixels + r->result * results +
                      r->read * (double)w->reads + r->mac * macs;
  out->cycles = own ? out->instructions * r->cycles : 0;
  return true;
}

bool qn_estimate_cost(const qn_target *target, const qn_op *op, const char *kernel, qn_cost *out) {
  qn_work w = qn_work_of(op);
  return qn_estimate_work(target, &w, kernel, out);
}
