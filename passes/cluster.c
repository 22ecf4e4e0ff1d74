/* Stored weights of a layer -> a few different integers, as many as its codebook has entries:
 * k-means over the integers as they are, then each weight rounded again to an entry, so that the
 * layer answers what the teacher's does as nearly as they can.
 *
 * Of integers in -127..127 the best codebook is found, not approached: with a and b the first and
 * the last integer of a cluster, cost(a, b) the squared distances from its rounded mean, weighted
 * by the squared scales of the channels, best(k, b) = min over a of  best(k - 1, a - 1) + cost(a,
 * b). Where prune came before, 0 is an entry and what is 0 stays so.
 *
 * Requires: @teacher, samples. Leaves alone: layers that have no more different weights than
 * entries; depthwise layers, as prune does. */
#include <math.h>
#include "recover.h"

enum { LEAST = -128, INTEGERS = 256 };

/* Sums over the integers below each one. */
typedef struct {
  double count[INTEGERS + 1], sum[INTEGERS + 1], square[INTEGERS + 1];
} moments;

typedef struct {
  int32_t entries;
  bool keep_zeros;
} plan;

static int32_t count_weights(const qn_pupil *p, bool skip_zeros, moments *out) {
  double weight[INTEGERS] = {0};
  int32_t different = 0;
  for (int32_t c = 0; c < p->layout.channels; c++) {
    double scale = qn_pupil_scale(p, c);
    for (int32_t k = 0; k < p->layout.columns; k++) {
      int32_t q = qn_pupil_weight(p, c, k);
      if (q != 0 || !skip_zeros) weight[q - LEAST] += scale * scale;
    }
  }
  *out = (moments){.count = {0}};
  for (int32_t i = 0; i < INTEGERS; i++) {
    double q = i + LEAST;
    different += weight[i] > 0;
    out->count[i + 1] = out->count[i] + weight[i];
    out->sum[i + 1] = out->sum[i] + weight[i] * q;
    out->square[i + 1] = out->square[i] + weight[i] * q * q;
  }
  return different;
}

/* The entry of the integers first..last, as indices, and what they cost. */
static int32_t entry_of(const moments *m, int32_t first, int32_t last, double *out_cost) {
  double count = m->count[last + 1] - m->count[first], sum = m->sum[last + 1] - m->sum[first];
  double square = m->square[last + 1] - m->square[first];
  *out_cost = 0;
  if (!(count > 0)) return first + LEAST;
  double entry = round(sum / count);
  *out_cost = fmax(square - 2 * entry * sum + entry * entry * count, 0);
  return (int32_t)entry;
}

/* Ascending; returns how many. */
static int32_t choose_entries(qn_arena *a, const moments *m, int32_t count, int32_t *out) {
  double *best = qn_alloc(a, ((size_t)count + 1) * (INTEGERS + 1) * sizeof *best);
  int32_t *from = qn_alloc(a, ((size_t)count + 1) * (INTEGERS + 1) * sizeof *from);
  for (int32_t i = 1; i <= INTEGERS; i++) best[i] = INFINITY;
  for (int32_t k = 1; k <= count; k++) {
    double *row = best + (size_t)k * (INTEGERS + 1), *above = row - (INTEGERS + 1);
    for (int32_t end = 1; end <= INTEGERS; end++) {
      row[end] = INFINITY;
      for (int32_t first = 0; first < end; first++) {
        double cost;
        entry_of(m, first, end - 1, &cost);
        if (!(above[first] + cost < row[end])) continue;
        row[end] = above[first] + cost;
        from[(size_t)k * (INTEGERS + 1) + (size_t)end] = first;
      }
    }
  }
  int32_t end = INTEGERS;
  for (int32_t k = count; k > 0; k--) {
    double unused;
    int32_t first = from[(size_t)k * (INTEGERS + 1) + (size_t)end];
    out[k - 1] = entry_of(m, first, end - 1, &unused);
    end = first;
  }
  return count;
}

/* Puts 0 among ascending entries. */
static int32_t insert_zero(int32_t *entries, int32_t count) {
  int32_t at = count;
  for (; at > 0 && entries[at - 1] > 0; at--) entries[at] = entries[at - 1];
  entries[at] = 0;
  return count + 1;
}

static const bool *zeros_of(qn_arena *a, const qn_pupil *p) {
  const qn_layout *l = &p->layout;
  bool *zero = qn_alloc(a, (size_t)l->channels * (size_t)l->columns + 1);
  for (int32_t c = 0; c < l->channels; c++)
    for (int32_t k = 0; k < l->columns; k++)
      zero[(int64_t)c * l->columns + k] = qn_pupil_weight(p, c, k) == 0;
  return zero;
}

static qn_status cluster_layer(const qn_lesson *lesson, void *of) {
  const plan *asked = of;
  const qn_pupil *p = &lesson->pupil;
  moments m;
  int32_t entries[INTEGERS + 1], count = asked->entries - asked->keep_zeros;
  if (p->op->code == QN_OP_depthwise_conv2d || qn_elem_bits(p->stored->type.elem) > 8) return QN_OK;
  if (count_weights(p, asked->keep_zeros, &m) <= count) return QN_OK;
  qn_arena a = {0};
  qn_choices choices = {.values = entries};
  choices.count = choose_entries(&a, &m, count, entries);
  if (asked->keep_zeros) {
    choices.count = insert_zero(entries, choices.count);
    choices.zero = zeros_of(&a, p);
  }
  qn_round_layer(lesson, &choices);
  qn_free_arena(&a);
  return QN_OK;
}

qn_status pass_cluster(qn_module *m, const qn_pass_options *options) {
  const qn_scheme *scheme = options->scheme ? options->scheme : &qn_default_scheme;
  if (!scheme->cluster) return QN_OK;
  plan asked = {scheme->cluster, scheme->prune > 0 || scheme->prune_channels > 0};
  return qn_replay(m, options, "cluster", cluster_layer, &asked);
}
