/* Channels of an int8 network that always hold one value, or that no result depends on -> gone,
 * with the weights that made them and the weights that read them. Results stay what they are in
 * every bit.
 *
 *   a constant channel that is read   into the bias of what reads it, where padding allows
 *   a constant channel that stays     all its weights 0, its value from the bias
 *   an op with constant channels only a constant, if small; an operand of add, sub or mul: one
 *                                     constant per channel
 *   an op that nothing needs          gone
 *
 * intervals.c says which values a channel can hold, needs.c which channels have to stay; a channel
 * of a value goes with all its elements, or stays.
 *
 * Requires: fuse-int8 before it; whatever is still float keeps its channels. Leaves: parameters and
 * results as they are; new constants beside the old ones, for dce; a second run finds nothing. */
#include <stdlib.h>
#include <string.h>
#include "channels.h"
#include "passes.h"

typedef struct {
  int32_t *at, count;
} channel_list;

typedef struct {
  qn_value *old, *now;
} exchange;

typedef struct {
  qn_module *m;
  qn_channels c;
  qn_value **constant; /* by number: what stands for an op that is not computed; NULL: not made */
  exchange *exchanges; /* constants made from constants: equal ones stay shared */
  size_t exchange_count;
  bool changed;
} rewriter;

/* ------------------------------------------------------------------ lists of channels */

/* The channels of v that stay. */
static channel_list kept_channels(rewriter *r, const qn_value *v) {
  int32_t all = qn_channel_count(v);
  channel_list kept = {qn_alloc(r->c.arena, (size_t)all * sizeof *kept.at), 0};
  for (int32_t i = 0; i < all; i++) {
    if (v->kind == QN_CONST || qn_is_needed(&r->c, v, i)) kept.at[kept.count++] = i;
  }
  return kept;
}

/* The channels of a constant operand that are linked to result channels that stay. */
static channel_list linked_channels(rewriter *r, const qn_op *op, int operand) {
  qn_link l = qn_link_of(op, operand);
  int32_t all = qn_channel_count(op->in[operand]), ys = qn_channel_count(op->out);
  channel_list kept = {qn_alloc(r->c.arena, (size_t)all * sizeof *kept.at), 0};
  for (int32_t u = 0; u < all; u++) {
    if (l.spread || qn_is_needed(&r->c, op->out, (l.y + u) % ys)) kept.at[kept.count++] = u;
  }
  return kept;
}

/* How many channels of v before `end` stay. */
static int32_t count_kept(const rewriter *r, const qn_value *v, int32_t from, int32_t end) {
  int32_t count = 0;
  for (int32_t i = from; i < end; i++) count += qn_is_needed(&r->c, v, i);
  return count;
}

/* ------------------------------------------------------------------ constants */

/* A constant in place of `old`; the one that was made before if it is the same. */
static qn_value *exchange_constant(rewriter *r, qn_value *old, const qn_type *type,
                                   const void *data) {
  for (size_t i = 0; i < r->exchange_count; i++) {
    const exchange *e = &r->exchanges[i];
    if (e->old == old && qn_same_type(&e->now->type, type) &&
        memcmp(e->now->data, data, (size_t)qn_bytes(type)) == 0)
      return e->now;
  }
  qn_value *now = qn_add_const(r->m, old->name, type, data);
  now->loc = old->loc;
  r->changed = true;
  r->exchanges = qn_grow(r->exchanges, (r->exchange_count + 1) * sizeof *r->exchanges);
  r->exchanges[r->exchange_count++] = (exchange){old, now};
  return now;
}

/* The elements `kept` of a list of numbers: bias, multipliers, shifts, scales. */
static qn_value *pick(rewriter *r, qn_value *list, const channel_list *kept) {
  if (qn_count(&list->type) == kept->count) return list;
  size_t size = (size_t)qn_elem_bits(list->type.elem) / 8;
  qn_type type = list->type;
  type.dim[0] = kept->count;
  char *data = qn_alloc(&r->m->arena, (size_t)kept->count * size);
  for (int32_t i = 0; i < kept->count; i++)
    memcpy(data + (size_t)i * size, (const char *)list->data + (size_t)kept->at[i] * size, size);
  return exchange_constant(r, list, &type, data);
}

/* The channels `kept` of an int8 constant. */
static qn_value *pick_channels(rewriter *r, qn_value *v, const channel_list *kept) {
  int32_t all = qn_channel_count(v);
  if (kept->count == all) return v;
  qn_type type = v->type;
  type.dim[type.rank - 1] = kept->count;
  int64_t rows = qn_count(&v->type) / all;
  int8_t *data = qn_alloc(&r->m->arena, (size_t)(rows * kept->count));
  for (int64_t row = 0; row < rows; row++) {
    for (int32_t i = 0; i < kept->count; i++)
      data[row * kept->count + i] = ((const int8_t *)v->data)[row * all + kept->at[i]];
  }
  return exchange_constant(r, v, &type, data);
}

/* v, whose channels that stay are all constant, as a constant of `type`. */
static qn_value *add_uniform(rewriter *r, const qn_value *v, const channel_list *kept,
                             const qn_type *type) {
  int64_t count = qn_count(type);
  int8_t *data = qn_alloc(&r->m->arena, (size_t)count);
  for (int64_t i = 0; i < count; i++)
    data[i] = (int8_t)r->c.bounds[qn_slot_of(&r->c, v, kept->at[i % kept->count])].low;
  qn_value *now = qn_add_const(r->m, v->name, type, data);
  now->loc = v->loc;
  r->changed = true;
  return now;
}

static qn_value *constant_per_channel(rewriter *r, const qn_value *v) {
  channel_list kept = kept_channels(r, v);
  qn_type type = qn_make_type(QN_i8, 1, &(int64_t){kept.count});
  type.q = v->type.q;
  return add_uniform(r, v, &kept, &type);
}

static qn_value *whole_constant(rewriter *r, const qn_value *v) {
  qn_value **made = &r->constant[qn_number_of(&r->c.numbers, v)];
  if (*made) return *made;
  channel_list kept = kept_channels(r, v);
  qn_type type = v->type;
  if (type.rank > 0) type.dim[type.rank - 1] = kept.count;
  return *made = add_uniform(r, v, &kept, &type);
}

static bool is_computed(const rewriter *r, const qn_value *v) {
  return v->kind != QN_RESULT || r->c.computed[qn_number_of(&r->c.numbers, v)];
}

/* ------------------------------------------------------------------ convolution, dense */

/* The weights of the channels that stay, those of blank ones 0. */
static qn_value *keep_weights(rewriter *r, const qn_op *op, const qn_weighted *p,
                              const channel_list *inputs, const channel_list *outputs) {
  qn_value *w = op->in[1];
  qn_type type = w->type;
  int last = type.rank - 1;
  bool is_depthwise = op->code == QN_OP_qdepthwise_conv2d;
  type.dim[is_depthwise ? last : 0] = outputs->count;
  if (!is_depthwise) type.dim[last] = inputs->count;
  if (type.q.scales) type.q.scales = pick(r, type.q.scales, outputs);
  int64_t tap_stride = is_depthwise ? outputs->count : inputs->count;
  int64_t out_stride = is_depthwise ? 1 : (int64_t)p->taps * inputs->count;
  int8_t *data = qn_alloc(&r->m->arena, (size_t)qn_count(&type));
  for (int32_t o = 0; o < outputs->count; o++) {
    if (qn_is_blank(&r->c, op, outputs->at[o])) continue;
    const int8_t *from = p->w + outputs->at[o] * p->out_stride;
    int8_t *to = data + o * out_stride;
    for (int32_t t = 0; t < p->taps; t++) {
      for (int32_t i = 0; i < inputs->count; i++)
        to[t * tap_stride + i] = from[t * p->tap_stride + inputs->at[i]];
    }
  }
  bool same = qn_same_type(&type, &w->type) && memcmp(data, w->data, (size_t)qn_count(&type)) == 0;
  return same ? w : exchange_constant(r, w, &type, data);
}

/* What constant input channels that go add to result channel o's accumulators. */
static uint32_t folded_sum(const rewriter *r, const qn_op *op, const qn_weighted *p, int32_t o,
                           int64_t *value) {
  uint32_t sum = 0;
  int64_t least, most;
  for (int32_t i = 0; i < p->inputs; i++) {
    if (qn_is_needed(&r->c, op->in[0], i)) continue;
    qn_bounds x = r->c.bounds[qn_slot_of(&r->c, op->in[0], i)];
    if (x.low != x.high) continue; /* all its weights are 0 */
    for (int32_t t = 0; t < p->taps; t++)
      value[t] = p->w[o * p->out_stride + t * p->tap_stride + i];
    qn_sum_taps(p, value, &least, &most); /* they are the same, or x.low is the zero point */
    sum += (uint32_t)least * (uint32_t)(x.low - op->in[0]->type.q.zero);
  }
  return sum;
}

static qn_value *keep_bias(rewriter *r, const qn_op *op, const qn_weighted *p,
                           const channel_list *outputs) {
  qn_value *bias = op->in[2];
  const int32_t *from = bias->data;
  int32_t *data = qn_alloc(&r->m->arena, (size_t)outputs->count * sizeof *data);
  int64_t *value = qn_alloc(r->c.arena, (size_t)p->taps * sizeof *value);
  bool folds = p->groups == 1 && op->in[0]->kind != QN_CONST;
  for (int32_t i = 0; i < outputs->count; i++) {
    int32_t o = outputs->at[i];
    uint32_t sum = (uint32_t)from[o];
    if (folds) sum += folded_sum(r, op, p, o, value);
    if (qn_is_blank(&r->c, op, o)) sum = (uint32_t)r->c.start[qn_slot_of(&r->c, op->out, o)];
    data[i] = (int32_t)sum;
  }
  qn_type type = bias->type;
  type.dim[0] = outputs->count;
  bool same = outputs->count == bias->type.dim[0] &&
              memcmp(data, from, (size_t)outputs->count * sizeof *data) == 0;
  return same ? bias : exchange_constant(r, bias, &type, data);
}

static void rewrite_weighted(rewriter *r, qn_op *op) {
  const qn_weighted *p = r->c.weighted[qn_number_of(&r->c.numbers, op->out)];
  channel_list outputs = kept_channels(r, op->out), inputs = kept_channels(r, op->in[0]);
  if (p->groups > 1) { /* a group stays whole or goes */
    inputs.count = p->inputs;
    for (int32_t i = 0; i < p->inputs; i++) inputs.at[i] = i;
    if (op->code == QN_OP_qconv2d) op->a.qconv.groups = outputs.count / p->outputs;
  }
  qn_value *bias = keep_bias(r, op, p, &outputs);
  op->in[1] = keep_weights(r, op, p, &inputs, &outputs);
  op->in[2] = bias;
  for (int k = 3; k < op->in_count; k++) {
    if (qn_count(&op->in[k]->type) > 1) op->in[k] = pick(r, op->in[k], &outputs);
  }
}

/* ------------------------------------------------------------------ linked ops */

/* The attributes that count channels. */
static void rewrite_attrs(const rewriter *r, qn_op *op) {
  int32_t ys = qn_channel_count(op->out), xs = qn_channel_count(op->in[0]);
  int last = op->out->type.rank - 1;
  qn_link l = qn_link_of(op, 0);
  if (op->code == QN_OP_slice) {
    op->a.slice.begin.at[last] = count_kept(r, op->in[0], 0, l.x);
    op->a.slice.size.at[last] = count_kept(r, op->out, 0, ys);
  } else if (op->code == QN_OP_pad) {
    op->a.pad.before.at[last] = count_kept(r, op->out, 0, l.y);
    op->a.pad.after.at[last] = count_kept(r, op->out, l.y + xs, ys);
  } else if (op->code == QN_OP_reshape && op->a.reshape.shape.at[last] != -1) {
    op->a.reshape.shape.at[last] = count_kept(r, op->out, 0, ys);
  }
}

/* What op reads in place of linked operand k; NULL: nothing of it. */
static qn_value *rewrite_operand(rewriter *r, const qn_op *op, int k, bool as_constant) {
  qn_value *v = op->in[k];
  if (as_constant) return constant_per_channel(r, v);
  channel_list kept = v->kind == QN_CONST ? linked_channels(r, op, k) : kept_channels(r, v);
  if (kept.count == 0) return NULL;
  return v->kind == QN_CONST ? pick_channels(r, v, &kept) : v;
}

/* Operands of which nothing is left are a concat's along the channels. */
static void rewrite_linked(rewriter *r, qn_op *op) {
  qn_value *now[QN_MAX_IN];
  bool as_constant[QN_MAX_IN];
  int linked = qn_linked_operands(op), count = 0;
  for (int k = 0; k < linked; k++) as_constant[k] = qn_reads_as_constant(&r->c, op, k);
  for (int k = 0; k < linked; k++) now[k] = rewrite_operand(r, op, k, as_constant[k]);
  rewrite_attrs(r, op);
  for (int k = 0; k < linked; k++) {
    if (now[k]) op->in[count++] = now[k];
  }
  op->in_count -= linked - count;
}

/* ------------------------------------------------------------------ functions */

/* A concat, slice or pad of which only a copy of its operand is left. Of the result `kept` channels
 * stay. */
static bool is_copy(const rewriter *r, const qn_op *op, int32_t kept) {
  const qn_value *x = op->in[0];
  if (op->code == QN_OP_concat) return op->in_count == 1;
  if (op->code != QN_OP_slice && op->code != QN_OP_pad) return false;
  for (int i = 0; i < x->type.rank - 1; i++) {
    if (x->type.dim[i] != op->out->type.dim[i]) return false;
  }
  return count_kept(r, x, 0, qn_channel_count(x)) == kept;
}

/* op stays: its operands, attributes and the dims of its result. Ops are rewritten last first, so
 * that the types of operands are still the old ones. */
static void rewrite_op(rewriter *r, qn_op *op) {
  qn_channel_kind kind = qn_channel_kind_of(op);
  int32_t all = qn_channel_count(op->out), kept = count_kept(r, op->out, 0, all);
  if (kind == QN_CHANNELS_WEIGHTED) rewrite_weighted(r, op);
  if (kind == QN_CHANNELS_LINKED) rewrite_linked(r, op);
  bool copies = kept < all && is_copy(r, op, kept);
  for (int k = 0; k < op->in_count; k++) {
    if (!is_computed(r, op->in[k])) op->in[k] = whole_constant(r, op->in[k]);
  }
  if (kept == all) return;
  op->out->type.dim[op->out->type.rank - 1] = kept;
  r->changed = true;
  if (!copies) return;
  qn_replace_uses(r->c.f, op->out, op->in[0]);
  qn_remove_op(r->c.f, op);
}

static void rewrite_function(rewriter *r) {
  qn_func *f = r->c.f;
  for (int i = 0; i < f->result_count; i++) {
    if (!is_computed(r, f->results[i])) f->results[i] = whole_constant(r, f->results[i]);
  }
  qn_op *before;
  for (qn_op *op = f->last; op; op = before) {
    before = op->prev;
    if (is_computed(r, op->out)) {
      rewrite_op(r, op);
    } else {
      qn_remove_op(f, op);
      r->changed = true;
    }
  }
}

/* Whether anything changed. */
static bool eliminate(qn_module *m, qn_func *f) {
  qn_arena work = {0};
  rewriter r = {.m = m};
  if (qn_find_channels(&work, f, &r.c)) {
    r.constant = qn_alloc(&work, ((size_t)r.c.numbers.count + 1) * sizeof *r.constant);
    rewrite_function(&r);
  }
  free(r.exchanges);
  qn_free_arena(&work);
  return r.changed;
}

/* ------------------------------------------------------------------ remarks */

/* Of convolutions and dense layers. */
typedef struct {
  int64_t channels, weights, macs;
} totals;

static totals count_all(const qn_func *f) {
  totals t = {0, 0, 0};
  for (const qn_op *op = f->first; op; op = op->next) {
    if (op->code != QN_OP_qconv2d && op->code != QN_OP_qdepthwise_conv2d &&
        op->code != QN_OP_qdense)
      continue;
    t.channels += qn_channel_count(op->out);
    t.weights += qn_count(&op->in[1]->type);
    t.macs += qn_macs(op);
  }
  return t;
}

static void report(const qn_func *f, totals before, totals after) {
  fprintf(stderr,
          "eliminate-constants: '@%s': channels %lld -> %lld, weights %lld -> %lld, "
          "MACs %lld -> %lld\n",
          f->name, (long long)before.channels, (long long)after.channels, (long long)before.weights,
          (long long)after.weights, (long long)before.macs, (long long)after.macs);
}

qn_status pass_eliminate_constants(qn_module *m, const qn_pass_options *options) {
  for (qn_func *f = m->funcs; f; f = f->next) {
    totals before = count_all(f);
    while (eliminate(m, f)) {
    } /* an op's going may free channels that it tied to others */
    if (options->remarks && before.channels > 0) report(f, before, count_all(f));
  }
  return QN_OK;
}
