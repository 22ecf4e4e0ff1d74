/* depthwise_tiles: float depthwise convolutions with one result channel per input channel.
 *
 * A lane is one result, so every sum is made tap by tap in the order of the weights, with products
 * rounded on their own unless options.fused: the reference kernel's bits. The input is read in
 * place or, where it has padding, from a padded copy in scratch; a padding's product, 0, changes no
 * sum.
 *
 * Lanes are elements of a row in one of two ways:
 *   flat    (columns move by 1) elements in a row whatever their channel; weights repeat after
 *           lcm(C, lanes) elements. Nothing is wasted when C is small or odd
 *   pixels  channels of one pixel
 * A step is a few vectors whose weights are read once, of as many pixels (or repeats) as registers
 * hold. In the constants: [vector][bias and taps][lane]. */
#include <math.h>
#include <string.h>
#include "f32.h"

enum { MOST_STEP = 12, MOST_PERIOD = 6, MOST_UNROLLED_TAPS = 32 };

typedef struct {
  qn_padded p;
  qn_lanes lanes;
  float low, high;
  int32_t flat, has_bias, copied;
  int32_t vectors; /* of weights: of a pixel or, flat, until they repeat */
  int32_t repeats; /* in one step: pixels or, flat, periods */
} depthwise_shape;

static int32_t tap_count(const depthwise_shape *s) { return s->p.g.kernel_h * s->p.g.kernel_w; }
static int32_t vector_bytes(const depthwise_shape *s) {
  return 4 * s->lanes.count * (tap_count(s) + s->has_bias);
}

/* ------------------------------------------------------------------ plan */

static void plan(depthwise_shape *s) {
  const qn_window *g = &s->p.g;
  int32_t period = qn_vector_period(s->lanes.count, g->in_c, MOST_PERIOD), row = g->out_w * g->in_c;
  s->flat = g->stride_w == 1 && period <= MOST_PERIOD && period * s->lanes.count <= row;
  s->vectors = s->flat ? period : qn_divide_up(g->in_c, s->lanes.count);
  int32_t most = qn_least(MOST_STEP, s->lanes.registers - 6);
  int32_t all = s->flat ? row / (period * s->lanes.count) : g->out_w;
  s->repeats = qn_least(all, s->flat ? (most + period - 1) / period : most);
  while (s->repeats > 4 && all % s->repeats != 0) s->repeats--;
}

/* The channel of a lane, -1 if there is none. */
static int32_t channel_of(const depthwise_shape *s, int32_t vector, int32_t lane) {
  int32_t element = vector * s->lanes.count + lane;
  if (s->flat) return element % s->p.g.in_c;
  return element < s->p.g.in_c ? element : -1;
}

static void pack(const depthwise_shape *s, const float *w, const float *bias, float *to) {
  for (int32_t v = 0; v < s->vectors; v++)
    for (int32_t k = -s->has_bias; k < tap_count(s); k++)
      for (int32_t i = 0; i < s->lanes.count; i++) {
        int32_t c = channel_of(s, v, i);
        *to++ = c < 0 ? 0 : k < 0 ? bias[c] : w[k * s->p.g.in_c + c];
      }
}

/* 0 * w is 0 for all weights: no infinity, no NaN. */
static bool are_finite(const float *w, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(w[i])) return false;
  return true;
}

/* The reference kernel, compiled, needs no padded copy: it is faster where a copied element meets
 * few results and whole vectors of channels lie side by side (measured). */
static bool is_worth_copying(const depthwise_shape *s) {
  const qn_window *g = &s->p.g;
  bool sparse = g->stride_h * g->stride_w > 1 || g->out_h * g->out_w < 16;
  return !(sparse && g->in_c >= s->lanes.count);
}

bool qn_take_depthwise_tiles(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_conv_f32_params params;
  memcpy(&params, call->params, sizeof params);
  const float *w = qn_constant(u, call->in[1]), *bias = qn_constant(u, call->in[2]);
  if (params.g.in_c != params.g.out_c || qn_constant(u, call->in[0]) || !w ||
      (call->in[2] && !bias))
    return false;
  depthwise_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  s->lanes = qn_float_lanes(u);
  s->low = params.low;
  s->high = params.high;
  s->has_bias = bias != NULL;
  if (!qn_pad_window(&params.g, &s->p) || tap_count(s) > MOST_UNROLLED_TAPS) return false;
  if (!are_finite(w, (int64_t)tap_count(s) * s->p.g.in_c)) return false;
  s->copied = !qn_is_unpadded(&s->p);
  if (s->copied && !is_worth_copying(s)) return false;
  plan(s);
  job->constant_bytes = (int64_t)s->vectors * vector_bytes(s);
  float *constants = qn_alloc(&u->m->arena, (size_t)job->constant_bytes);
  pack(s, w, bias, constants);
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = constants;
  job->scratch_bytes = s->copied ? 4 * qn_padded_elems(&s->p) : 0;
  return true;
}

/* ------------------------------------------------------------------ code */

typedef struct {
  qn_build *b;
  const depthwise_shape *s;
  LLVMTypeRef vector;
  LLVMValueRef x, y; /* of the first element of the step */
  LLVMValueRef w;    /* of the first vector */
} step;

/* Floats from one repeat to the next, in the padded input. */
static int32_t repeat_elems(const depthwise_shape *s) {
  return s->flat ? s->vectors * s->lanes.count : s->p.g.stride_w * s->p.g.in_c;
}

/* The first `elems` elements of a vector; lanes beyond them are 0. The input ends there. */
static LLVMValueRef read_elems(step *t, LLVMValueRef address, int32_t elems) {
  qn_build *b = t->b;
  int32_t lanes = t->s->lanes.count;
  if (elems >= lanes) return qn_read(b, t->vector, address, 4);
  LLVMValueRef all = LLVMConstNull(t->vector);
  for (int32_t i = 0; i < elems; i++) {
    LLVMValueRef one = qn_read(b, b->u->real, qn_at(b, address, 4 * (int64_t)i), 4);
    all = LLVMBuildInsertElement(b->b, all, one, qn_i32(b, i), "");
  }
  return all;
}

/* Vector `v` of `repeats` repeats, of which `elems` lanes are results. */
static void emit_vector(step *t, LLVMValueRef w, LLVMValueRef x, LLVMValueRef y, int32_t repeats,
                        int32_t elems) {
  qn_build *b = t->b;
  const qn_padded *p = &t->s->p;
  int32_t bytes = 4 * t->s->lanes.count;
  LLVMValueRef sum[MOST_STEP];
  for (int32_t i = 0; i < repeats; i++) sum[i] = LLVMConstNull(t->vector);
  for (int32_t k = 0; k < tap_count(t->s); k++) {
    int64_t tap = (int64_t)k / p->g.kernel_w * p->g.dilation_h * p->row_elems +
                  (int64_t)(k % p->g.kernel_w) * p->g.dilation_w * p->g.in_c;
    LLVMValueRef weights =
        qn_read(b, t->vector, qn_at(b, w, (int64_t)(k + t->s->has_bias) * bytes), bytes);
    for (int32_t i = 0; i < repeats; i++) {
      int64_t at = 4 * (tap + (int64_t)i * repeat_elems(t->s));
      LLVMValueRef some = read_elems(t, qn_at(b, x, at), elems);
      sum[i] = qn_add_product(b, t->s->lanes, sum[i], some, weights);
    }
  }
  int64_t y_step = t->s->flat ? repeat_elems(t->s) : p->g.in_c;
  for (int32_t i = 0; i < repeats; i++) {
    if (t->s->has_bias) sum[i] = LLVMBuildFAdd(b->b, sum[i], qn_read(b, t->vector, w, bytes), "");
    qn_write_floats(b, qn_clamp_lanes(b, sum[i], t->s->low, t->s->high),
                    qn_at(b, y, 4 * (int64_t)i * y_step), elems);
  }
}

/* All vectors of one step; those that are alike in a loop. */
static void emit_step(step *t, int32_t repeats) {
  qn_build *b = t->b;
  const depthwise_shape *s = t->s;
  int32_t lanes = s->lanes.count, rest = s->flat ? 0 : s->p.g.in_c % lanes;
  int32_t whole = s->vectors - (rest > 0);
  if (whole > 0) {
    qn_loop v = qn_begin_loop(b, whole, NULL, 0);
    LLVMValueRef at = qn_times(b, v.index, 4 * (int64_t)lanes);
    emit_vector(t, qn_at_index(b, t->w, qn_times(b, v.index, vector_bytes(s))),
                qn_at_index(b, t->x, at), qn_at_index(b, t->y, at), repeats, lanes);
    qn_end_loop(b, &v);
  }
  if (rest > 0)
    emit_vector(t, qn_at(b, t->w, (int64_t)whole * vector_bytes(s)),
                qn_at(b, t->x, 4 * (int64_t)whole * lanes),
                qn_at(b, t->y, 4 * (int64_t)whole * lanes), repeats, rest);
}

/* What whole periods leave of a flat row: single vectors, the last one perhaps a part. */
static void emit_flat_rest(step *t, LLVMValueRef x, LLVMValueRef y, int32_t done) {
  const depthwise_shape *s = t->s;
  int32_t lanes = s->lanes.count, left = s->p.g.out_w * s->p.g.in_c - done;
  for (int32_t v = 0; left > 0; v++, left -= lanes, done += lanes)
    emit_vector(t, qn_at(t->b, t->w, (int64_t)v * vector_bytes(s)),
                qn_at(t->b, x, 4 * (int64_t)done), qn_at(t->b, y, 4 * (int64_t)done), 1,
                qn_least(left, lanes));
}

static void emit_row(qn_build *b, const depthwise_shape *s, LLVMValueRef x, LLVMValueRef y,
                     LLVMValueRef w) {
  const qn_window *g = &s->p.g;
  step t = {b, s, qn_vector(b->u->real, s->lanes.count), x, y, w};
  int32_t all = s->flat ? g->out_w * g->in_c / (s->vectors * s->lanes.count) : g->out_w;
  qn_loop steps = qn_begin_loop(b, qn_divide_up(all, s->repeats), NULL, 0);
  LLVMValueRef start = qn_tile_start(b, steps.index, s->repeats, all);
  t.x = qn_at_index(b, x, qn_times(b, start, 4 * (int64_t)repeat_elems(s)));
  t.y = qn_at_index(b, y, qn_times(b, start, 4 * (int64_t)(s->flat ? repeat_elems(s) : g->in_c)));
  emit_step(&t, s->repeats);
  qn_end_loop(b, &steps);
  if (s->flat) emit_flat_rest(&t, x, y, all * s->vectors * s->lanes.count);
}

/* arguments: x, y, constants, scratch if the input is copied. */
void qn_emit_depthwise_tiles(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const depthwise_shape *s = job->shape;
  const qn_window *g = &s->p.g;
  qn_images image = qn_begin_images(b, g, 4, arguments);
  LLVMValueRef x = image.x, y = image.y;
  if (s->copied) x = qn_pad_floats(b, &s->p, s->lanes, x, arguments[3]);
  qn_loop row = qn_begin_loop(b, g->out_h, NULL, 0);
  emit_row(
      b, s, qn_at_index(b, x, qn_times(b, row.index, (int64_t)4 * g->stride_h * s->p.row_elems)),
      qn_at_index(b, y, qn_times(b, row.index, (int64_t)4 * g->out_w * g->out_c)), arguments[2]);
  qn_end_loop(b, &row);
  qn_end_images(b, &image);
}
