/* Stored weights of small magnitude -> 0, and the layer's others rounded again so that it answers
 * what the teacher's does as nearly as they can: those that stay take over what is lost.
 *
 *   prune: 0.5           of each layer's weights, the half that is smallest as real numbers
 *   prune_channels: 0.2  of each layer's output channels, the fifth whose weights have the smallest
 *                        norm: all weights 0 and no bias, so that behind a relu and in whatever
 *                        reads it the channel is the constant 0, and eliminate-constants removes it
 *
 * Zeros take hardly any bits once they are coded; channels that go take no multiply-adds either.
 *
 * Requires: @teacher, samples. Leaves alone: depthwise layers, of whose 9 weights none is small
 * without loss; channels of layers that no other layer with weights reads, because they are
 * results. Of equal magnitudes the first ones go. */
#include <math.h>
#include <stdlib.h>
#include "recover.h"

typedef struct {
  double size;
  int64_t at; /* channel * columns + column, or channel */
} ranked;

typedef struct {
  const qn_func *f;
  const qn_scheme *scheme;
  double weights, channels; /* the part that goes */
} plan;

static int by_size(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->size != y->size) return x->size < y->size ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

/* |w| of every weight. */
static ranked *rank_weights(qn_arena *a, const qn_pupil *p) {
  const qn_layout *l = &p->layout;
  ranked *list = qn_alloc(a, ((size_t)l->channels * (size_t)l->columns + 1) * sizeof *list);
  for (int32_t c = 0; c < l->channels; c++) {
    for (int32_t k = 0; k < l->columns; k++) {
      int64_t at = (int64_t)c * l->columns + k;
      list[at] = (ranked){fabs((double)qn_pupil_scale(p, c) * qn_pupil_weight(p, c, k)), at};
    }
  }
  return list;
}

static void mark_channels(qn_arena *a, const qn_pupil *p, const ranked *weights, double part,
                          bool *zero) {
  int32_t columns = p->layout.columns, channels = p->layout.channels;
  ranked *list = qn_alloc(a, (size_t)channels * sizeof *list);
  for (int32_t c = 0; c < channels; c++) {
    list[c].at = c;
    for (int32_t k = 0; k < columns; k++)
      list[c].size += pow(weights[(int64_t)c * columns + k].size, 2);
  }
  qsort(list, (size_t)channels, sizeof *list, by_size);
  for (int32_t i = 0; i < (int32_t)(part * channels); i++)
    for (int32_t k = 0; k < columns; k++) zero[list[i].at * columns + k] = true;
}

static void mark_weights(const qn_pupil *p, ranked *weights, double part, bool *zero) {
  int64_t count = (int64_t)p->layout.channels * p->layout.columns;
  qsort(weights, (size_t)count, sizeof *weights, by_size);
  for (int64_t i = 0; i < (int64_t)(part * (double)count); i++) zero[weights[i].at] = true;
}

/* Whether a layer with weights behind op reads what op leads to. */
static bool feeds_layer(const qn_func *f, const qn_op *op) {
  qn_arena a = {0};
  qn_numbering numbers;
  qn_number_values(&a, f, &numbers);
  bool found = false, *reached = qn_alloc(&a, (size_t)numbers.count + 1);
  reached[qn_number_of(&numbers, op->out)] = true;
  for (const qn_op *next = op->next; next && !found; next = next->next) {
    for (int i = 0; i < next->in_count; i++) {
      const qn_value *v = next->in[i];
      if (v->kind == QN_CONST || !reached[qn_number_of(&numbers, v)]) continue;
      reached[qn_number_of(&numbers, next->out)] = true;
      found = found || qn_has_weights(next);
    }
  }
  qn_free_arena(&a);
  return found;
}

static bool is_zero_channel(const qn_pupil *p, int32_t channel) {
  for (int32_t k = 0; k < p->layout.columns; k++)
    if (qn_pupil_weight(p, channel, k) != 0) return false;
  return true;
}

/* Channels without weights answer 0. */
static void drop_biases(qn_arena *a, qn_pupil *p) {
  double *bias = qn_alloc(a, (size_t)p->layout.channels * sizeof *bias);
  for (int32_t c = 0; c < p->layout.channels; c++)
    bias[c] = is_zero_channel(p, c) ? 0 : qn_bias_at(p->op, c);
  qn_set_bias(p, bias);
}

static qn_status prune_layer(const qn_lesson *lesson, void *of) {
  const plan *asked = of;
  qn_pupil p = lesson->pupil;
  bool rated = qn_weight_step(asked->scheme, lesson->twin) > 0;
  if (p.op->code == QN_OP_depthwise_conv2d) {
    qn_round_layer(lesson, &(qn_choices){.rated = rated});
    return QN_OK;
  }
  qn_arena a = {0};
  bool *zero = qn_alloc(&a, (size_t)p.layout.channels * (size_t)p.layout.columns + 1);
  bool channels = asked->channels > 0 && feeds_layer(asked->f, p.op);
  ranked *weights = rank_weights(&a, &p);
  if (channels) mark_channels(&a, &p, weights, asked->channels, zero);
  mark_weights(&p, weights, asked->weights, zero);
  qn_round_layer(lesson, &(qn_choices){.zero = zero, .rated = rated});
  if (channels) drop_biases(&a, &p);
  qn_free_arena(&a);
  return QN_OK;
}

qn_status pass_prune(qn_module *m, const qn_pass_options *options) {
  const qn_scheme *scheme = options->scheme ? options->scheme : &qn_default_scheme;
  plan asked = {qn_main_func(m), scheme, (double)scheme->prune, (double)scheme->prune_channels};
  return qn_replay(m, options, "prune", prune_layer, &asked);
}
