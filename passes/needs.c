/* Which channels the function's results depend on, from the results backwards.
 *
 * Sets. Channels that an op can only drop together form a set, kept as a forest of slots: linked
 * channels of operand and result (both operands of an add, a channel before and behind a depthwise
 * convolution), all channels of a group, all channels of a parameter, of a result of an op that
 * mixes them, and the channels of ops that share their weights, so that these stay shared.
 *
 * Needs. A set is needed as soon as one of its channels is: parameters' and returned channels are,
 * and what a computed op reads for the sake of a needed channel. A sum of constant weights needs an
 * input channel only if its result channel varies and
 *   the weights of the taps that are ever inside are not all 0, and
 *   the input channel varies, or is constant, not the zero point, and padding makes a difference.
 * Everything else folds into the bias; a result channel that does not vary becomes all bias.
 *
 * Ops. An op is computed if something reads its result and that is not all constants, or is too
 * large to be written down. An elementwise pair reads one such operand as a constant per channel.
 *
 * All of that only ever grows, so it is repeated until nothing changes. Then a computed op may read
 * a value of which it needs nothing: it keeps its first channel, and the whole goes on. */
#include <stdlib.h>
#include "channels.h"

/* Results that are constants are written down as such up to this size. */
enum { SMALL_BYTES = 1024 };

static int32_t number_of(const qn_channels *c, const qn_value *v) {
  return qn_number_of(&c->numbers, v);
}

int32_t qn_slot_of(const qn_channels *c, const qn_value *v, int32_t channel) {
  return c->first[number_of(c, v)] + channel;
}

/* ------------------------------------------------------------------ sets */

static int32_t find_set(const qn_channels *c, int32_t slot) {
  while (c->parent[slot] != slot) {
    c->parent[slot] = c->parent[c->parent[slot]];
    slot = c->parent[slot];
  }
  return slot;
}

static void unite(qn_channels *c, int32_t a, int32_t b) {
  c->parent[find_set(c, a)] = find_set(c, b);
}

static void unite_range(qn_channels *c, int32_t first, int32_t count) {
  for (int32_t i = 1; i < count; i++) unite(c, first + i, first);
}

static void unite_values(qn_channels *c, const qn_value *a, const qn_value *b) {
  int32_t count = qn_channel_count(a);
  if (a->kind == QN_CONST || b->kind == QN_CONST || count != qn_channel_count(b)) return;
  for (int32_t i = 0; i < count; i++) unite(c, qn_slot_of(c, a, i), qn_slot_of(c, b, i));
}

static void unite_groups(qn_channels *c, const qn_op *op, const qn_weighted *p) {
  if (p->groups == 1) return;
  if (op->in[0]->kind == QN_CONST) {
    unite_range(c, qn_slot_of(c, op->out, 0), p->groups * p->outputs);
    return;
  }
  for (int32_t g = 0; g < p->groups; g++) {
    int32_t x = qn_slot_of(c, op->in[0], g * p->inputs);
    int32_t y = qn_slot_of(c, op->out, g * p->outputs);
    unite_range(c, x, p->inputs);
    unite_range(c, y, p->outputs);
    unite(c, x, y);
  }
}

static void unite_linked(qn_channels *c, const qn_op *op) {
  int32_t ys = qn_channel_count(op->out), y = qn_slot_of(c, op->out, 0);
  for (int k = 0; k < qn_linked_operands(op); k++) {
    qn_link l = qn_link_of(op, k);
    if (op->in[k]->kind == QN_CONST || l.spread) continue;
    int32_t xs = qn_channel_count(op->in[k]), x = qn_slot_of(c, op->in[k], 0);
    for (int32_t u = 0; u < l.count; u++) unite(c, x + (l.x + u) % xs, y + (l.y + u) % ys);
  }
}

static int by_weights(const void *a, const void *b) {
  const qn_op *const *p = a, *const *q = b;
  uintptr_t x = (uintptr_t)(*p)->in[1], y = (uintptr_t)(*q)->in[1];
  return (x > y) - (x < y);
}

/* Ops with the same weights drop the same channels. */
static void unite_shared_weights(qn_channels *c) {
  const qn_op **ops = qn_alloc(c->arena, ((size_t)c->numbers.count + 1) * sizeof(qn_op *));
  size_t count = 0;
  for (const qn_op *op = c->f->first; op; op = op->next) {
    if (c->weighted[number_of(c, op->out)]) ops[count++] = op;
  }
  qsort(ops, count, sizeof *ops, by_weights);
  for (size_t i = 1; i < count; i++) {
    if (ops[i]->in[1] != ops[i - 1]->in[1]) continue;
    c->weighted[number_of(c, ops[i]->out)]->shared = true;
    c->weighted[number_of(c, ops[i - 1]->out)]->shared = true;
    unite_values(c, ops[i]->in[0], ops[i - 1]->in[0]);
    unite_values(c, ops[i]->out, ops[i - 1]->out);
  }
}

static void find_sets(qn_channels *c) {
  int32_t slots = c->first[c->numbers.count];
  for (int32_t i = 0; i < slots; i++) c->parent[i] = i;
  for (const qn_value *p = c->f->params; p; p = p->next)
    unite_range(c, qn_slot_of(c, p, 0), qn_channel_count(p));
  for (const qn_op *op = c->f->first; op; op = op->next) {
    switch (qn_channel_kind_of(op)) {
    case QN_CHANNELS_WEIGHTED: unite_groups(c, op, c->weighted[number_of(c, op->out)]); break;
    case QN_CHANNELS_LINKED: unite_linked(c, op); break;
    default: unite_range(c, qn_slot_of(c, op->out, 0), qn_channel_count(op->out)); break;
    }
  }
  unite_shared_weights(c);
}

/* ------------------------------------------------------------------ questions */

static bool is_needed_slot(const qn_channels *c, int32_t slot) {
  return c->needed[find_set(c, slot)];
}

bool qn_is_needed(const qn_channels *c, const qn_value *v, int32_t channel) {
  return is_needed_slot(c, qn_slot_of(c, v, channel));
}

static bool is_constant_slot(const qn_channels *c, int32_t slot) {
  return c->bounds[slot].low == c->bounds[slot].high;
}

static bool any_needed(const qn_channels *c, const qn_value *v) {
  for (int32_t i = 0; i < qn_channel_count(v); i++) {
    if (qn_is_needed(c, v, i)) return true;
  }
  return false;
}

bool qn_is_uniform(const qn_channels *c, const qn_value *v) {
  if (v->kind != QN_RESULT) return false;
  for (int32_t i = 0; i < qn_channel_count(v); i++) {
    int32_t slot = qn_slot_of(c, v, i);
    if (is_needed_slot(c, slot) && !is_constant_slot(c, slot)) return false;
  }
  return true;
}

bool qn_is_blank(const qn_channels *c, const qn_op *op, int32_t channel) {
  int32_t y = number_of(c, op->out);
  return !c->weighted[y]->shared && is_constant_slot(c, c->first[y] + channel);
}

/* v has the dims of the op's result. */
static bool has_result_dims(const qn_op *op, const qn_value *v) {
  return qn_same_shape(&v->type, &op->out->type);
}

bool qn_reads_as_constant(const qn_channels *c, const qn_op *op, int i) {
  if (!qn_is_elementwise_pair(op) || qn_channel_kind_of(op) != QN_CHANNELS_LINKED) return false;
  const qn_value *other = op->in[1 - i];
  if (!qn_is_uniform(c, op->in[i]) || !has_result_dims(op, other)) return false;
  return i == 1 || !qn_is_uniform(c, other);
}

/* ------------------------------------------------------------------ needs */

/* Each returns whether anything is new. */
static bool need(qn_channels *c, int32_t slot) {
  bool *needed = &c->needed[find_set(c, slot)];
  bool is_new = !*needed;
  *needed = true;
  return is_new;
}

static bool need_all(qn_channels *c, const qn_value *v) {
  bool is_new = false;
  for (int32_t i = 0; i < qn_channel_count(v); i++) is_new |= need(c, qn_slot_of(c, v, i));
  return is_new;
}

static bool read_value(qn_channels *c, const qn_value *v) {
  bool *read = &c->read[number_of(c, v)];
  bool is_new = !*read;
  *read = true;
  return is_new;
}

/* Result channel o cannot do without input channel i; x is the input's slot. value is room for a
 * number per tap. */
static bool depends(const qn_channels *c, const qn_weighted *p, int32_t o, int32_t i, int32_t x,
                    int32_t zero, int64_t *value) {
  const int8_t *w = p->w + o * p->out_stride + i;
  bool constant = is_constant_slot(c, x), any = false;
  if (constant && c->bounds[x].low == zero) return false;
  for (int32_t t = 0; t < p->taps; t++) {
    value[t] = w[t * p->tap_stride];
    if (!constant && value[t] < 0) value[t] = -value[t]; /* the sum is 0 only if no tap counts */
    any |= value[t] != 0;
  }
  if (!any) return false;
  int64_t least, most;
  qn_sum_taps(p, value, &least, &most);
  return constant ? least != most : most > 0;
}

/* What a convolution of one group or a dense layer needs of its input. */
static bool need_inputs(qn_channels *c, const qn_op *op, const qn_weighted *p) {
  int32_t x = qn_slot_of(c, op->in[0], 0), y = qn_slot_of(c, op->out, 0), count = 0;
  int32_t *results = qn_alloc(c->arena, (size_t)p->outputs * sizeof *results);
  int64_t *value = qn_alloc(c->arena, (size_t)p->taps * sizeof *value);
  for (int32_t o = 0; o < p->outputs; o++) {
    if (is_needed_slot(c, y + o) && !qn_is_blank(c, op, o)) results[count++] = o;
  }
  bool is_new = false;
  for (int32_t i = 0; i < p->inputs; i++) {
    if (is_needed_slot(c, x + i)) continue;
    for (int32_t k = 0; k < count; k++) {
      if (!depends(c, p, results[k], i, x + i, op->in[0]->type.q.zero, value)) continue;
      is_new |= need(c, x + i);
      break;
    }
  }
  return is_new;
}

/* What op, which is computed, needs of operand k for its needed channels. */
static bool need_operand(qn_channels *c, const qn_op *op, int k) {
  switch (qn_channel_kind_of(op)) {
  case QN_CHANNELS_WEIGHTED: {
    const qn_weighted *p = c->weighted[number_of(c, op->out)];
    return p->groups == 1 && need_inputs(c, op, p);
  }
  case QN_CHANNELS_LINKED:
    return qn_link_of(op, k).spread && any_needed(c, op->out) && need_all(c, op->in[k]);
  default: return need_all(c, op->in[k]);
  }
}

static bool is_small(const qn_value *v) { return qn_bytes(&v->type) <= SMALL_BYTES; }

static bool is_computed(const qn_channels *c, const qn_op *op) {
  if (!c->read[number_of(c, op->out)] || !any_needed(c, op->out)) return false;
  return !is_small(op->out) || !qn_is_uniform(c, op->out);
}

static bool visit(qn_channels *c, const qn_op *op) {
  bool *computed = &c->computed[number_of(c, op->out)], is_new = false;
  if (!*computed) *computed = is_new = is_computed(c, op);
  if (!*computed) return false;
  for (int k = 0; k < op->in_count; k++) {
    const qn_value *x = op->in[k];
    if (x->kind == QN_CONST) continue;
    is_new |= need_operand(c, op, k);
    if (qn_reads_as_constant(c, op, k)) continue;
    if (op->code == QN_OP_concat && !any_needed(c, x)) continue; /* it will be left out */
    is_new |= read_value(c, x);
  }
  return is_new;
}

static void follow_needs(qn_channels *c) {
  bool is_new;
  do {
    is_new = false;
    for (const qn_op *op = c->f->last; op; op = op->prev) is_new |= visit(c, op);
  } while (is_new);
}

/* No tensor is without channels. */
static bool need_one_each(qn_channels *c) {
  for (const qn_op *op = c->f->last; op; op = op->prev) {
    const qn_value *v = op->out;
    if (c->read[number_of(c, v)] && !any_needed(c, v)) return need(c, qn_slot_of(c, v, 0));
  }
  return false;
}

void qn_find_needs(qn_channels *c) {
  find_sets(c);
  for (const qn_value *p = c->f->params; p; p = p->next) need_all(c, p);
  for (int i = 0; i < c->f->result_count; i++) {
    if (c->f->results[i]->kind == QN_CONST) continue;
    need_all(c, c->f->results[i]);
    read_value(c, c->f->results[i]);
  }
  do follow_needs(c);
  while (need_one_each(c));
}
