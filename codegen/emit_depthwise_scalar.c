/* depthwise_rv64, depthwise_rv32: depthwise convolutions on cores without vectors, channel by
 * channel.
 *
 * With stride 1 a row of pixels is walked once: a column of the input takes part in as many results
 * as the window is wide, whose sums are carried along. On 64 bits they are the lanes of one word,
 * 21 bits each, as in emit_conv_scalar.c: a column costs one multiplication per row of the window,
 * by a word of that row's weights, last first; the lowest lane is then complete, and the word is
 * shifted down by a lane. On 32 bits each has a register. Otherwise every result reads its window.
 *
 * In the constants each channel has its numbers (scalar.h) and its weights, bytes or
 * words of lanes. */
#include <string.h>
#include "scalar.h"
#include "window.h"

enum { MOST_CARRIED = 3, MOST_RESIDENT = 9, LANE_BITS = 21 };
static const int64_t LANE_START = (int64_t)1 << 20, LANE_MASK = ((int64_t)1 << 21) - 1;

typedef struct {
  qn_padded p;
  qn_fixed fixed;
  int32_t copied;
  int32_t walked;        /* the results' sums are carried along the row, */
  int32_t lanes;         /* in lanes of one word */
  int32_t word_bytes;    /* of a weight: 1, or of a row's weights in lanes: 8 */
  int32_t channel_bytes; /* of constants */
} depthwise_shape;

/* ------------------------------------------------------------------ constants */

static int32_t weight_count(const depthwise_shape *s) {
  return s->p.g.kernel_h * (s->lanes ? 1 : s->p.g.kernel_w);
}

static int64_t packed_weight(const depthwise_shape *s, const int8_t *w, int32_t i) {
  int32_t columns = s->p.g.kernel_w, channels = s->p.g.out_c;
  if (!s->lanes) return w[(int64_t)i * channels];
  int64_t word = 0;
  for (int32_t k = 0; k < columns; k++)
    word = word * (1 << LANE_BITS) + w[((int64_t)i * columns + k) * channels];
  return word;
}

static void pack_channel(const qn_unit *u, const qn_call *call, const depthwise_shape *s, int32_t o,
                         unsigned char *to) {
  const int8_t *w = (const int8_t *)qn_constant(u, call->in[1]) + o;
  int32_t taps = s->p.g.kernel_h * s->p.g.kernel_w;
  qn_channel c = qn_fixed_channel(u, call, o, w, taps, s->p.g.out_c);
  qn_pack_scalar(u, &s->fixed, &c, s->lanes ? (int32_t)LANE_START : 0, to);
  for (int32_t i = 0; i < weight_count(s); i++) {
    uint64_t word = (uint64_t)packed_weight(s, w, i);
    unsigned char *at = to + qn_scalar_bytes(u) + i * s->word_bytes;
    for (int32_t k = 0; k < s->word_bytes; k++) at[k] = (unsigned char)(word >> (8 * k));
  }
}

/* 128 * sum of |w| stays below 2^20 for any 64 taps but 64 times -128. */
static void plan(const qn_unit *u, depthwise_shape *s) {
  const qn_window *g = &s->p.g;
  bool slides =
      g->stride_w == 1 && g->dilation_w == 1 && g->kernel_w > 1 && g->kernel_w <= MOST_CARRIED;
  s->lanes = qn_is_wide(u) && slides && g->kernel_h * g->kernel_w < 64 ? g->kernel_w : 0;
  s->walked = slides && (s->lanes || g->kernel_h * g->kernel_w <= MOST_RESIDENT);
  s->word_bytes = s->lanes ? 8 : 1;
  s->channel_bytes = (qn_scalar_bytes(u) + weight_count(s) * s->word_bytes + 7) / 8 * 8;
}

static bool take(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  depthwise_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  int32_t taps = params.g.kernel_h * params.g.kernel_w, channels = params.g.out_c;
  if (params.g.in_c != channels || (int64_t)taps * channels > INT32_MAX / 64) return false;
  if (!qn_plan_fixed(u, call, &s->fixed) || !qn_pad_window(&params.g, &s->p)) return false;
  const int8_t *w = qn_constant(u, call->in[1]);
  if (!qn_scalar_fits(u, call, &s->fixed, w, taps, channels, 1)) return false;
  s->copied = !qn_is_unpadded(&s->p);
  plan(u, s);
  job->constant_bytes = (int64_t)s->channel_bytes * channels;
  unsigned char *to = qn_alloc(&u->m->arena, (size_t)job->constant_bytes);
  for (int32_t o = 0; o < channels; o++)
    pack_channel(u, call, s, o, to + (int64_t)o * s->channel_bytes);
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = to;
  job->scratch_bytes = s->copied ? qn_padded_elems(&s->p) : 0;
  job->overlap = s->copied ? QN_AHEAD : QN_APART;
  job->lead = qn_image_lead(&s->p.g);
  return true;
}

/* ------------------------------------------------------------------ code */

typedef struct {
  qn_build *b;
  const depthwise_shape *s;
  qn_scalar_numbers numbers;
  LLVMValueRef weights[MOST_RESIDENT], packed; /* in registers, if they all fit; where they are */
} channel;

static LLVMValueRef read_weight(const channel *t, int32_t i) {
  LLVMValueRef at = qn_at(t->b, t->packed, (int64_t)i * t->s->word_bytes);
  return t->s->lanes ? qn_read(t->b, t->b->u->size, at, 8) : qn_read_byte(t->b, at);
}

static void read_channel(channel *t, LLVMValueRef record) {
  t->numbers = qn_read_scalar(t->b, &t->s->fixed, record);
  t->packed = qn_at(t->b, record, qn_scalar_bytes(t->b->u));
  for (int32_t i = 0; i < weight_count(t->s) && weight_count(t->s) <= MOST_RESIDENT; i++)
    t->weights[i] = read_weight(t, i);
}

static LLVMValueRef weight(const channel *t, int32_t i) {
  return weight_count(t->s) <= MOST_RESIDENT ? t->weights[i] : read_weight(t, i);
}

/* sum + x * weight i; sum NULL: none yet. */
static LLVMValueRef add_product(const channel *t, LLVMValueRef sum, LLVMValueRef x, int32_t i) {
  LLVMValueRef product = LLVMBuildMul(t->b->b, x, weight(t, i), "");
  return sum ? LLVMBuildAdd(t->b->b, sum, product, "") : product;
}

static LLVMValueRef tap(const channel *t, LLVMValueRef x, int32_t row, int32_t column) {
  const qn_window *g = &t->s->p.g;
  int64_t at =
      (int64_t)row * g->dilation_h * t->s->p.row_elems + (int64_t)column * g->dilation_w * g->in_c;
  return qn_read_byte(t->b, qn_at(t->b, x, at));
}

/* The sum of the window at x. */
static LLVMValueRef add_window(const channel *t, LLVMValueRef x) {
  const qn_window *g = &t->s->p.g;
  LLVMValueRef sum = NULL;
  for (int32_t i = 0; i < g->kernel_h * g->kernel_w; i++)
    sum = add_product(t, sum, tap(t, x, i / g->kernel_w, i % g->kernel_w), i);
  return sum;
}

/* The column at x, in lanes. Returns the sum of the results that it completes. */
static LLVMValueRef add_column_of_lanes(const channel *t, LLVMValueRef x, LLVMValueRef *carried) {
  qn_build *b = t->b;
  LLVMValueRef start = qn_index(b, LANE_START << LANE_BITS * (t->s->lanes - 1));
  LLVMValueRef word = LLVMBuildAdd(b->b, *carried, start, "");
  for (int32_t y = 0; y < t->s->p.g.kernel_h; y++) word = add_product(t, word, tap(t, x, y, 0), y);
  *carried = LLVMBuildLShr(b->b, word, qn_index(b, LANE_BITS), "");
  return LLVMBuildAnd(b->b, word, qn_index(b, LANE_MASK), "");
}

/* The same with a register per sum: carried[k] lacks k columns beside this one. */
static LLVMValueRef add_column(const channel *t, LLVMValueRef x, LLVMValueRef *carried) {
  const qn_window *g = &t->s->p.g;
  int32_t columns = g->kernel_w;
  LLVMValueRef sum[MOST_CARRIED] = {NULL};
  for (int32_t k = 0; k < columns - 1; k++) sum[k] = carried[k];
  for (int32_t y = 0; y < g->kernel_h; y++) {
    LLVMValueRef pixel = tap(t, x, y, 0);
    for (int32_t k = 0; k < columns; k++)
      sum[k] = add_product(t, sum[k], pixel, y * columns + columns - 1 - k);
  }
  for (int32_t k = 0; k < columns - 1; k++) carried[k] = sum[k + 1];
  return sum[0];
}

static void store(const channel *t, LLVMValueRef sum, LLVMValueRef y) {
  qn_write(t->b, qn_rescale_scalar(t->b, &t->s->fixed, sum, &t->numbers), y, 1);
}

/* What is carried into a row: sums that begin in front of it and are never complete. In lanes they
 * have their start, so that none is negative. */
static int32_t start_row(const channel *t, LLVMValueRef *carried) {
  int64_t started = 0;
  for (int32_t k = 0; k < t->s->lanes - 1; k++) started += LANE_START << LANE_BITS * k;
  int32_t count = !t->s->walked ? 0 : t->s->lanes ? 1 : t->s->p.g.kernel_w - 1;
  for (int32_t k = 0; k < count; k++) carried[k] = qn_index(t->b, started);
  return count;
}

/* A row of results. */
static void emit_row(const channel *t, LLVMValueRef x, LLVMValueRef y) {
  qn_build *b = t->b;
  const qn_window *g = &t->s->p.g;
  LLVMValueRef carried[MOST_CARRIED], (*add)(const channel *, LLVMValueRef, LLVMValueRef *) =
                                          t->s->lanes ? add_column_of_lanes : add_column;
  int32_t count = start_row(t, carried), first = 0;
  for (; t->s->walked && first < g->kernel_w - 1; first++)
    add(t, qn_at(b, x, (int64_t)first * g->in_c), carried);
  qn_loop pixel = qn_begin_loop(b, g->out_w, carried, count);
  LLVMValueRef at = qn_at_index(b, qn_at(b, x, (int64_t)first * g->in_c),
                                qn_times(b, pixel.index, (int64_t)g->stride_w * g->in_c));
  LLVMValueRef sum = t->s->walked ? add(t, at, carried) : add_window(t, at);
  store(t, sum, qn_at_index(b, y, qn_times(b, pixel.index, g->out_c)));
  qn_end_loop(b, &pixel);
}

/* arguments: x, y, constants, scratch if the input is copied. */
static void emit(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const depthwise_shape *s = job->shape;
  const qn_window *g = &s->p.g;
  qn_images image = qn_begin_images(b, g, 1, arguments);
  LLVMValueRef x = image.x, y = image.y;
  if (s->copied) {
    qn_copier how = {1, 1, &s->fixed.x_zero, qn_copy_scalar, qn_fill_scalar};
    x = qn_emit_padded_copy(b, &s->p, &how, x, arguments[3]);
  }
  qn_loop c = qn_begin_loop(b, g->out_c, NULL, 0);
  channel t = {.b = b, .s = s};
  read_channel(&t, qn_at_index(b, arguments[2], qn_times(b, c.index, s->channel_bytes)));
  qn_loop row = qn_begin_loop(b, g->out_h, NULL, 0);
  emit_row(&t,
           qn_at_index(b, qn_at_index(b, x, c.index),
                       qn_times(b, row.index, (int64_t)g->stride_h * s->p.row_elems)),
           qn_at_index(b, qn_at_index(b, y, c.index),
                       qn_times(b, row.index, (int64_t)g->out_w * g->out_c)));
  qn_end_loop(b, &row);
  qn_end_loop(b, &c);
  qn_end_images(b, &image);
}

bool qn_take_depthwise_rv64(qn_unit *u, const qn_call *call, qn_job *job) {
  return take(u, call, job);
}

void qn_emit_depthwise_rv64(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments);
}

bool qn_take_depthwise_rv32(qn_unit *u, const qn_call *call, qn_job *job) {
  return take(u, call, job);
}

void qn_emit_depthwise_rv32(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments);
}
