/* Weights of float layers -> weights of the same network whose channels are of like sizes, so that
 * one scale for a tensor fits all of its channels: cross-layer equalization, without samples.
 *
 * relu(s*x) = s*relu(x) for s > 0. So between layers that write a value and layers that read it,
 * each channel c may be made smaller by s[c] where it is written and larger where it is read:
 *   W1[c,...] /= s[c],  b1[c] /= s[c],  W2[...,c] *= s[c],   s[c] = sqrt(r1[c] / r2[c])
 * with r1[c], r2[c] the largest weights of the channel, which become equal. Values that an add, a
 * pool, a reshape or the like links channel by channel are scaled together: r1 and r2 are then the
 * largest of all layers that write, and that read, any of them. One pair of layers spoils what was
 * done for the next, so all groups of values take turns until nothing moves.
 *
 * Then biases are absorbed: where a relu's input is mean - 3*deviation > 0, by moments.c in the
 * worst case (what is absorbed wrongly changes what the network answers), that much of it passes as
 * if there were no relu, and belongs into the bias of the layers that read it:
 *   b1[c] -= a[c],  b2 += W2[...,c] a[c]
 * for layers that read no padding. It needs the ranges of the model's inputs (else: none).
 *
 * Leaves alone: values that are inputs or results of the model or meet an op for which scaling does
 * not commute (relu6, softmax, a constant operand, ...), and weights that several ops read.
 * Source: Nagel et al. 2019, arXiv 1906.04721, sections 4.1.1 to 4.1.3. */
#include <math.h>
#include "recover.h"

enum { ROUNDS = 100, DEVIATIONS = 3 };
static const double settled = 1e-4; /* |log s| that counts as none */
static const double widest = 1024;  /* s is 1 where r1 and r2 are further apart: a dead channel */

/* A layer whose weights may change. */
typedef struct {
  qn_op *op;
  qn_layout layout;
  double *w, *b;
  int32_t reads, writes; /* groups: of its operand, of its result; -1: fixed */
  bool changed;
} layer;

/* Values whose channels are scaled together stand under one of them, the root. Element i of any of
 * them belongs to channel i % channels. */
typedef struct {
  qn_module *m;
  qn_func *f;
  qn_arena *arena;
  qn_numbering numbers;
  int32_t *parent;
  int32_t *channels; /* of a root */
  bool *fixed;       /* of a root */
  layer *layers;
  int32_t count;
} work;

/* ------------------------------------------------------------------ groups */

static int32_t root(const work *w, int32_t i) {
  while (w->parent[i] != i) i = w->parent[i];
  return i;
}

static int32_t root_of(const work *w, const qn_value *v) {
  return root(w, qn_number_of(&w->numbers, v));
}

static void fix(work *w, const qn_value *v) {
  if (v->kind != QN_CONST) w->fixed[root_of(w, v)] = true;
}

static void unite(work *w, const qn_value *a, const qn_value *b) {
  int32_t x = root_of(w, a), y = root_of(w, b);
  bool same = w->channels[x] == w->channels[y];
  if (!same) w->fixed[x] = w->fixed[y] = true;
  if (!same || x == y) return;
  w->parent[y] = x;
  w->fixed[x] = w->fixed[x] || w->fixed[y];
}

static int64_t last_dim(const qn_value *v) {
  return v->type.rank ? v->type.dim[v->type.rank - 1] : 1;
}

/* Whether relu or nothing follows. */
static bool is_homogeneous(qn_op *op) {
  const qn_activation *a = qn_activation_of(op);
  return !a || *a == QN_ACTIVATION_none || *a == QN_ACTIVATION_relu;
}

static bool averages_last_dim(const qn_op *op) {
  int rank = op->in[0]->type.rank;
  for (int i = 0; i < op->a.mean.axes.count; i++)
    if ((op->a.mean.axes.at[i] + rank) % rank == rank - 1) return true;
  return false;
}

/* Element i of the result comes from elements of channel i % channels only, and op(s*x) = s*op(x).
 */
static bool keeps_channels(qn_op *op) {
  switch (op->code) {
  case QN_OP_relu:
  case QN_OP_leaky_relu:
  case QN_OP_reshape:
  case QN_OP_flatten: return true;
  case QN_OP_avg_pool2d:
  case QN_OP_max_pool2d: return is_homogeneous(op);
  case QN_OP_mean: return !averages_last_dim(op);
  case QN_OP_pad: return op->a.pad.value == 0 && last_dim(op->in[0]) == last_dim(op->out);
  case QN_OP_slice: return last_dim(op->in[0]) == last_dim(op->out);
  case QN_OP_transpose:
    return op->a.transpose.perm.at[op->out->type.rank - 1] == op->out->type.rank - 1;
  default: return false;
  }
}

/* Whether the op works on the last dim as channels, which must be whole groups of them then. */
static bool divides(const work *w, const qn_value *v) {
  return last_dim(v) % w->channels[root_of(w, v)] == 0;
}

static bool links_pair(const work *w, qn_op *op) {
  if ((op->code != QN_OP_add && op->code != QN_OP_sub) || !is_homogeneous(op)) return false;
  for (int i = 0; i < 2; i++) {
    bool whole = op->in[i]->kind != QN_CONST && last_dim(op->in[i]) == last_dim(op->out);
    if (!whole || !divides(w, op->in[i])) return false;
  }
  return true;
}

static int count_readers(const qn_module *m, const qn_value *v) {
  int count = 0;
  for (const qn_func *f = m->funcs; f; f = f->next) count += qn_count_uses(f, v);
  return count;
}

static double *to_doubles(qn_arena *a, const float *from, int64_t count) {
  double *to = qn_alloc(a, (size_t)count * sizeof *to);
  for (int64_t i = 0; from && i < count; i++) to[i] = (double)from[i];
  return to;
}

/* A layer with weights and bias of its own, as the next of the list. */
static bool add_layer(work *w, qn_op *op) {
  layer *l = &w->layers[w->count];
  *l = (layer){.op = op};
  if (!qn_layout_of(op, &l->layout) || !qn_reals(op->in[1])) return false;
  if (count_readers(w->m, op->in[1]) != 1 || (op->in_count > 2 && !qn_reals(op->in[2])))
    return false;
  if (op->in[0]->kind == QN_CONST || !divides(w, op->in[0])) return false;
  l->w = to_doubles(w->arena, qn_reals(op->in[1]), qn_count(&op->in[1]->type));
  l->b = to_doubles(w->arena, op->in_count > 2 ? qn_reals(op->in[2]) : NULL, l->layout.channels);
  w->count++;
  return true;
}

static void link(work *w, qn_op *op) {
  int32_t y = qn_number_of(&w->numbers, op->out);
  bool one = op->in[0]->kind != QN_CONST && keeps_channels(op);
  w->channels[y] = (int32_t)last_dim(op->out);
  if (one) w->channels[y] = w->channels[root_of(w, op->in[0])];
  bool any = op->code == QN_OP_reshape || op->code == QN_OP_flatten || op->code == QN_OP_relu ||
             op->code == QN_OP_leaky_relu;
  if (one && (any || divides(w, op->in[0]))) {
    unite(w, op->in[0], op->out);
  } else if (links_pair(w, op)) {
    w->channels[y] = w->channels[root_of(w, op->in[0])];
    unite(w, op->in[0], op->in[1]);
    unite(w, op->in[0], op->out);
  } else if (add_layer(w, op)) {
    if (!is_homogeneous(op)) fix(w, op->out);
  } else {
    for (int i = 0; i < op->in_count; i++) fix(w, op->in[i]);
    fix(w, op->out);
  }
}

static void find_groups(work *w) {
  for (int32_t i = 0; i < w->numbers.count; i++) w->parent[i] = i;
  for (const qn_value *p = w->f->params; p; p = p->next) {
    w->channels[qn_number_of(&w->numbers, p)] = (int32_t)last_dim(p);
    fix(w, p);
  }
  for (qn_op *op = w->f->first; op; op = op->next) link(w, op);
  for (int i = 0; i < w->f->result_count; i++) fix(w, w->f->results[i]);
  for (int32_t i = 0; i < w->count; i++) {
    layer *l = &w->layers[i];
    int32_t x = root_of(w, l->op->in[0]), y = root_of(w, l->op->out);
    l->reads = w->fixed[x] ? -1 : x;
    l->writes = w->fixed[y] ? -1 : y;
  }
}

/* ------------------------------------------------------------------ scaling */

/* Largest weights of one group's channels, where they are written and where they are read. */
typedef struct {
  int32_t channels;
  double *written, *read, *scale;
} ranges;

/* What of the operand a column of channel c reads. */
static int32_t channel_read(const qn_layout *l, int32_t c, int32_t column) {
  return c / l->outputs * l->inputs + column % l->inputs;
}

static void see_layer(const layer *l, int32_t group, ranges *r) {
  for (int32_t c = 0; c < l->layout.channels; c++) {
    for (int32_t k = 0; k < l->layout.columns; k++) {
      double size = fabs(l->w[qn_weight_at(&l->layout, c, k)]);
      double *written = &r->written[c % r->channels];
      double *read = &r->read[channel_read(&l->layout, c, k) % r->channels];
      if (l->writes == group) *written = fmax(*written, size);
      if (l->reads == group) *read = fmax(*read, size);
    }
  }
}

static void scale_layer(layer *l, int32_t group, const ranges *r) {
  l->changed = true;
  for (int32_t c = 0; c < l->layout.channels; c++) {
    if (l->writes == group) l->b[c] /= r->scale[c % r->channels];
    for (int32_t k = 0; k < l->layout.columns; k++) {
      double *at = &l->w[qn_weight_at(&l->layout, c, k)];
      if (l->writes == group) *at /= r->scale[c % r->channels];
      if (l->reads == group) *at *= r->scale[channel_read(&l->layout, c, k) % r->channels];
    }
  }
}

/* The largest |log s|. */
static double choose_scales(ranges *r) {
  double most = 0;
  for (int32_t c = 0; c < r->channels; c++) {
    double ratio = r->written[c] / r->read[c];
    bool alive = r->written[c] > 0 && r->read[c] > 0 && fmax(ratio, 1 / ratio) <= widest;
    r->scale[c] = alive ? sqrt(ratio) : 1;
    most = fmax(most, fabs(log(r->scale[c])));
  }
  return most;
}

static bool is_complete(const work *w, int32_t group) {
  bool written = false, read = false;
  for (int32_t i = 0; i < w->count; i++) {
    written = written || w->layers[i].writes == group;
    read = read || w->layers[i].reads == group;
  }
  return written && read;
}

static double scale_group(work *w, int32_t group) {
  qn_arena a = {0};
  ranges r = {.channels = w->channels[group]};
  size_t bytes = (size_t)r.channels * sizeof(double);
  r.written = qn_alloc(&a, bytes);
  r.read = qn_alloc(&a, bytes);
  r.scale = qn_alloc(&a, bytes);
  for (int32_t i = 0; i < w->count; i++) see_layer(&w->layers[i], group, &r);
  double most = choose_scales(&r);
  for (int32_t i = 0; most > 0 && i < w->count; i++) {
    layer *l = &w->layers[i];
    if (l->reads == group || l->writes == group) scale_layer(l, group, &r);
  }
  qn_free_arena(&a);
  return most;
}

static void scale_all(work *w) {
  double most = 1;
  for (int round = 0; round < ROUNDS && most > settled; round++) {
    most = 0;
    for (int32_t g = 0; g < w->numbers.count; g++) {
      bool free_group = w->parent[g] == g && !w->fixed[g] && is_complete(w, g);
      if (free_group) most = fmax(most, scale_group(w, g));
    }
  }
}

static float *to_floats(qn_arena *a, const double *from, int64_t count) {
  float *to = qn_alloc(a, (size_t)count * sizeof *to);
  for (int64_t i = 0; i < count; i++) to[i] = (float)from[i];
  return to;
}

/* Weights keep their names, biases too where nobody else reads them. */
static void write_layer(work *w, layer *l) {
  qn_arena *a = &w->m->arena;
  int64_t channels = l->layout.channels;
  qn_value *weights = l->op->in[1];
  weights->data = to_floats(a, l->w, qn_count(&weights->type));
  const float *bias = to_floats(a, l->b, channels);
  if (l->op->in_count > 2 && count_readers(w->m, l->op->in[2]) == 1) {
    l->op->in[2]->data = bias;
    return;
  }
  bool any = l->op->in_count > 2;
  for (int64_t c = 0; c < channels; c++) any = any || bias[c] != 0;
  if (!any) return;
  qn_type type = qn_make_type(QN_f32, 1, &channels);
  l->op->in[2] = qn_add_const(w->m, qn_format(a, "%s.b", l->op->out->name), &type, bias);
  l->op->in_count = 3;
}

static void write_all(work *w) {
  for (int32_t i = 0; i < w->count; i++)
    if (w->layers[i].changed) write_layer(w, &w->layers[i]);
}

/* ------------------------------------------------------------------ biases */

/* Every tap of every pixel of the result lies inside the operand. */
static bool reads_no_padding(const qn_window *g) {
  int32_t rows = (g->out_h - 1) * g->stride_h + (g->kernel_h - 1) * g->dilation_h + 1;
  int32_t columns = (g->out_w - 1) * g->stride_w + (g->kernel_w - 1) * g->dilation_w + 1;
  return g->top == 0 && g->left == 0 && rows <= g->in_h && columns <= g->in_w;
}

static layer *layer_of(const work *w, const qn_op *op) {
  for (int32_t i = 0; i < w->count; i++)
    if (w->layers[i].op == op) return &w->layers[i];
  return NULL;
}

/* All that reads v is layers that can take up a constant. */
static bool has_absorbers(const work *w, const qn_value *v) {
  if (qn_is_returned(w->f, v)) return false;
  int32_t readers = 0;
  for (const qn_op *op = w->f->first; op; op = op->next) {
    for (int i = 0; i < op->in_count; i++) {
      if (op->in[i] != v) continue;
      const layer *l = layer_of(w, op);
      if (!l || i != 0 || !reads_no_padding(&l->layout.g)) return false;
      readers++;
    }
  }
  return readers > 0;
}

/* A relu's input is above 0 by this much, all but DEVIATIONS of its deviations. */
static double surplus(double mean, double variance) {
  return fmax(mean - DEVIATIONS * sqrt(variance), 0);
}

static void absorb(work *w, layer *from, const double *amount) {
  for (int32_t i = 0; i < w->count; i++) {
    layer *to = &w->layers[i];
    if (to->op->in[0] != from->op->out) continue;
    to->changed = true;
    for (int32_t c = 0; c < to->layout.channels; c++)
      for (int32_t k = 0; k < to->layout.columns; k++)
        to->b[c] +=
            to->w[qn_weight_at(&to->layout, c, k)] * amount[channel_read(&to->layout, c, k)];
  }
  from->changed = true;
  for (int32_t c = 0; c < from->layout.channels; c++) from->b[c] -= amount[c];
}

static void absorb_layer(work *w, layer *l, const qn_moment_table *moments) {
  const qn_moments *x = qn_moments_of(moments, l->op->in[0]);
  if (!x || *qn_activation_of(l->op) != QN_ACTIVATION_relu || !has_absorbers(w, l->op->out)) return;
  qn_arena a = {0};
  size_t bytes = (size_t)l->layout.channels * sizeof(double);
  double *mean = qn_alloc(&a, bytes), *variance = qn_alloc(&a, bytes);
  qn_layer_moments(l->op, QN_TOGETHER_all, x, mean, variance);
  double most = 0;
  for (int32_t c = 0; c < l->layout.channels; c++) {
    mean[c] = surplus(mean[c], variance[c]);
    most = fmax(most, mean[c]);
  }
  if (most > 0) absorb(w, l, mean);
  qn_free_arena(&a);
}

static bool has_ranges(const qn_func *f) {
  for (const qn_value *p = f->params; p; p = p->next)
    if (p->type.elem == QN_f32 && !p->has_range) return false;
  return true;
}

/* Of the network as it is written already: what is absorbed changes no layer's moments but its
 * own's. */
static qn_status absorb_all(work *w) {
  qn_moment_table moments;
  if (!has_ranges(w->f)) return QN_OK;
  QN_TRY(qn_find_moments(w->arena, w->m, w->f, QN_TOGETHER_all, &moments));
  for (int32_t i = 0; i < w->count; i++) absorb_layer(w, &w->layers[i], &moments);
  write_all(w);
  return QN_OK;
}

/* ------------------------------------------------------------------ the pass */

static qn_status equalize(qn_module *m, qn_func *f) {
  qn_arena a = {0};
  work w = {.m = m, .f = f, .arena = &a};
  qn_number_values(&a, f, &w.numbers);
  size_t count = (size_t)w.numbers.count + 1;
  w.parent = qn_alloc(&a, count * sizeof *w.parent);
  w.channels = qn_alloc(&a, count * sizeof *w.channels);
  w.fixed = qn_alloc(&a, count * sizeof *w.fixed);
  w.layers = qn_alloc(&a, count * sizeof *w.layers);
  find_groups(&w);
  scale_all(&w);
  write_all(&w);
  qn_status status = absorb_all(&w);
  qn_free_arena(&a);
  return status;
}

qn_status pass_equalize(qn_module *m, const qn_pass_options *options) {
  (void)options;
  for (qn_func *f = m->funcs; f; f = f->next) QN_TRY(equalize(m, f));
  return QN_OK;
}
