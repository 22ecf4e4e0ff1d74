/* How channels pass through ops: links between the same channels of operands and results, and the
 * weights of convolutions and dense layers in one form. The only place that knows ops by name but
 * for the arithmetic of intervals.c and the attributes that eliminate_constants.c rewrites. */
#include "channels.h"

enum { MAX_SLOTS = 1 << 24 };

static bool has_channels(const qn_value *v) {
  const qn_type *t = &v->type;
  return t->elem == QN_i8 && t->q.on && !t->q.scales && t->rank > 0;
}

int32_t qn_channel_count(const qn_value *v) {
  return has_channels(v) ? (int32_t)v->type.dim[v->type.rank - 1] : 1;
}

/* ------------------------------------------------------------------ kinds and links */

static bool means_over_channels(const qn_op *op) {
  int rank = op->in[0]->type.rank;
  const qn_list *axes = &op->a.qmean.axes;
  for (int i = 0; i < axes->count; i++) {
    if (axes->at[i] == rank - 1 || axes->at[i] == -1) return true;
  }
  return false;
}

bool qn_is_elementwise_pair(const qn_op *op) {
  return op->code == QN_OP_qadd || op->code == QN_OP_qsub || op->code == QN_OP_qmul;
}

bool qn_changes_last_dim(const qn_op *op) {
  int last = op->in[0]->type.rank - 1;
  switch (op->code) {
  case QN_OP_concat: return op->a.concat.axis == last || op->a.concat.axis == -1;
  case QN_OP_slice: return op->in[0]->type.dim[last] != op->out->type.dim[last];
  case QN_OP_pad: return op->a.pad.before.at[last] > 0 || op->a.pad.after.at[last] > 0;
  default: return false;
  }
}

static bool has_constant_weights(const qn_op *op) {
  for (int i = 1; i < op->in_count; i++) {
    if (op->in[i]->kind != QN_CONST) return false;
  }
  return true;
}

/* An op that has its channels in the last dim of operand 0 and of the result. */
static bool keeps_channels_apart(const qn_op *op) {
  int last = op->in[0]->type.rank - 1;
  int32_t xs = qn_channel_count(op->in[0]), ys = qn_channel_count(op->out);
  switch (op->code) {
  case QN_OP_qavg_pool2d:
  case QN_OP_qmax_pool2d:
  case QN_OP_lookup:
  case QN_OP_requantize:
  case QN_OP_pad: return true;
  case QN_OP_qmean: return !means_over_channels(op);
  case QN_OP_slice: return !op->a.slice.step.count || op->a.slice.step.at[last] == 1;
  case QN_OP_transpose: return op->a.transpose.perm.at[last] == last;
  case QN_OP_reshape:
  case QN_OP_flatten: return xs % ys == 0 || ys % xs == 0; /* an element's index mod both */
  default: return false;
  }
}

qn_channel_kind qn_channel_kind_of(const qn_op *op) {
  if (!has_channels(op->out) || !has_channels(op->in[0])) return QN_CHANNELS_MIXED;
  if (op->code == QN_OP_qconv2d || op->code == QN_OP_qdepthwise_conv2d || op->code == QN_OP_qdense)
    return has_constant_weights(op) ? QN_CHANNELS_WEIGHTED : QN_CHANNELS_MIXED;
  if (qn_is_elementwise_pair(op) || op->code == QN_OP_concat) return QN_CHANNELS_LINKED;
  /* fold-constants has dealt with the rest of what reads constants only */
  bool linked = op->in[0]->kind != QN_CONST && keeps_channels_apart(op);
  return linked ? QN_CHANNELS_LINKED : QN_CHANNELS_MIXED;
}

int qn_linked_operands(const qn_op *op) {
  return qn_is_elementwise_pair(op) || op->code == QN_OP_concat ? op->in_count : 1;
}

qn_link qn_link_of(const qn_op *op, int operand) {
  int last = op->in[0]->type.rank - 1;
  int32_t xs = qn_channel_count(op->in[operand]), ys = qn_channel_count(op->out);
  qn_link l = {.count = xs > ys ? xs : ys};
  if (qn_is_elementwise_pair(op)) l.spread = xs < ys;
  if (op->code == QN_OP_slice) {
    l.x = op->a.slice.begin.at[last];
    l.count = ys;
  } else if (op->code == QN_OP_pad) {
    l.y = op->a.pad.before.at[last];
    l.count = xs;
  } else if (op->code == QN_OP_concat && qn_changes_last_dim(op)) {
    for (int i = 0; i < operand; i++) l.y += qn_channel_count(op->in[i]);
    l.count = xs;
  }
  return l;
}

/* ------------------------------------------------------------------ weights */

/* The different spans of taps inside, over `results` places. From one place to the next neither end
 * grows, so that equal spans are neighbours and at most 2*taps + 1 differ. */
static int32_t find_spans(qn_arena *a, int32_t results, int32_t stride, int32_t before,
                          int32_t taps, int32_t dilation, int32_t size, qn_tap_span **out) {
  qn_tap_span *spans = qn_alloc(a, ((size_t)taps * 2 + 1) * sizeof *spans);
  int32_t count = 0;
  for (int32_t i = 0; i < results; i++) {
    int64_t at = (int64_t)i * stride - before, room = size - at;
    int64_t from = at < 0 ? (-at + dilation - 1) / dilation : 0;
    int64_t to = room > 0 ? (room + dilation - 1) / dilation : 0;
    if (to > taps) to = taps;
    if (from >= to) from = to = 0;
    qn_tap_span s = {(int32_t)from, (int32_t)to};
    if (count && spans[count - 1].from == s.from && spans[count - 1].to == s.to) continue;
    spans[count++] = s;
  }
  *out = spans;
  return count;
}

void qn_weighted_of(qn_arena *a, const qn_op *op, qn_weighted *out) {
  qn_window g = qn_window_of(op);
  bool is_depthwise = op->code == QN_OP_qdepthwise_conv2d;
  *out = (qn_weighted){.w = op->in[1]->data,
                       .groups = g.groups,
                       .inputs = g.in_c / g.groups,
                       .outputs = g.out_c / g.groups,
                       .taps = g.kernel_h * g.kernel_w,
                       .kernel_w = g.kernel_w};
  out->tap_stride = is_depthwise ? g.out_c : out->inputs;
  out->out_stride = is_depthwise ? 1 : (int64_t)out->taps * out->inputs;
  out->row_spans =
      find_spans(a, g.out_h, g.stride_h, g.top, g.kernel_h, g.dilation_h, g.in_h, &out->rows);
  out->column_spans =
      find_spans(a, g.out_w, g.stride_w, g.left, g.kernel_w, g.dilation_w, g.in_w, &out->columns);
  size_t sums = (size_t)(g.kernel_h + 1) * (size_t)(g.kernel_w + 1);
  out->sums = qn_alloc(a, sums * sizeof *out->sums);
}

/* sums[y][x] is the sum of the taps above row y and left of column x. */
void qn_sum_taps(const qn_weighted *p, const int64_t *value, int64_t *out_least,
                 int64_t *out_most) {
  int32_t width = p->kernel_w + 1, height = p->taps / p->kernel_w + 1;
  int64_t *sums = p->sums;
  for (int32_t y = 1; y < height; y++) {
    int64_t row = 0;
    for (int32_t x = 1; x < width; x++) {
      row += value[(y - 1) * p->kernel_w + x - 1];
      sums[y * width + x] = sums[(y - 1) * width + x] + row;
    }
  }
  *out_least = INT64_MAX;
  *out_most = INT64_MIN;
  for (int32_t r = 0; r < p->row_spans; r++) {
    const int64_t *above = sums + p->rows[r].from * width, *below = sums + p->rows[r].to * width;
    for (int32_t k = 0; k < p->column_spans; k++) {
      int32_t left = p->columns[k].from, right = p->columns[k].to;
      int64_t sum = below[right] - below[left] - above[right] + above[left];
      if (sum < *out_least) *out_least = sum;
      if (sum > *out_most) *out_most = sum;
    }
  }
}

/* ------------------------------------------------------------------ slots */

static void number_slots(qn_channels *c) {
  int64_t slots = 0;
  for (int32_t i = 0; i < c->numbers.count && slots <= MAX_SLOTS; i++) {
    c->first[i] = (int32_t)slots;
    slots += qn_channel_count(c->numbers.values[i]);
  }
  c->first[c->numbers.count] = slots > MAX_SLOTS ? -1 : (int32_t)slots;
}

bool qn_find_channels(qn_arena *a, qn_func *f, qn_channels *out) {
  *out = (qn_channels){.arena = a, .f = f};
  qn_number_values(a, f, &out->numbers);
  size_t values = (size_t)out->numbers.count;
  out->first = qn_alloc(a, (values + 1) * sizeof *out->first);
  number_slots(out);
  if (out->first[values] < 0) return false;
  size_t slots = (size_t)out->first[values];
  out->weighted = qn_alloc(a, (values + 1) * sizeof(qn_weighted *));
  out->bounds = qn_alloc(a, (slots + 1) * sizeof *out->bounds);
  out->start = qn_alloc(a, (slots + 1) * sizeof *out->start);
  out->parent = qn_alloc(a, (slots + 1) * sizeof *out->parent);
  out->needed = qn_alloc(a, slots + 1);
  out->read = qn_alloc(a, values + 1);
  out->computed = qn_alloc(a, values + 1);
  for (const qn_op *op = f->first; op; op = op->next) {
    if (qn_channel_kind_of(op) != QN_CHANNELS_WEIGHTED) continue;
    qn_weighted **p = &out->weighted[qn_number_of(&out->numbers, op->out)];
    *p = qn_alloc(a, sizeof **p);
    qn_weighted_of(a, op, *p);
  }
  qn_find_bounds(out);
  qn_find_needs(out);
  return true;
}
