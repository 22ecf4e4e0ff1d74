/* depthwise_neon, depthwise_neon32, depthwise_rvv: depthwise convolutions with channels in lanes.
 *
 * Products of `group` taps are summed in int16 where no sum can leave that type (proven from the
 * weights), and their sum added to int32 lanes. A block of channels goes through all pixels, with
 * its numbers and, of small windows, its weights in registers. The input is read in place or, where
 * it has padding or blocks reach beyond the last channel, from a padded copy in scratch.
 *
 * In the constants each block has its numbers (fixed_form.h) and its weights, [tap][channel]. */
#include <string.h>
#include "neon.h"
#include "rvv.h"
#include "window.h"

enum { MOST_GROUP = 8, MOST_RESIDENT = 9, MOST_NUMBERS = 5, BLOCK_ALIGN = 16, SLACK = 64 };

typedef struct {
  int32_t channels, blocks, first_channel, first_byte, block_bytes;
} segment;

typedef struct {
  qn_padded p;
  qn_fixed fixed;
  int32_t copied, group;
  int32_t segment_count;
  segment at[2];
} depthwise_shape;

/* What the two kinds of vectors do; n: the channels of a block. */
typedef struct {
  int32_t shift_bytes, right_sign;
  int32_t (*block_channels)(int32_t left);
  LLVMValueRef (*read)(qn_build *b, int bits, int n, LLVMValueRef address, int align);
  LLVMValueRef (*product)(qn_build *b, int n, LLVMValueRef sum, LLVMValueRef x, LLVMValueRef w);
  LLVMValueRef (*add)(qn_build *b, int n, LLVMValueRef sum, LLVMValueRef part);
  void (*store)(qn_build *b, const qn_fixed *f, int n, LLVMValueRef sum,
                const LLVMValueRef *numbers, LLVMValueRef y, int32_t channels);
  void (*copy)(qn_build *b, const void *of, LLVMValueRef to, LLVMValueRef from, int64_t elems);
  void (*fill)(qn_build *b, const void *x_zero, LLVMValueRef to, int64_t elems);
} lane_code;

static int32_t tap_count(const depthwise_shape *s) { return s->p.g.kernel_h * s->p.g.kernel_w; }

/* ------------------------------------------------------------------ constants */

/* Products of int8 by weights are at most 128 * |w|, and 128 * 255 < 2^15. */
static bool sums_fit(const int8_t *w, int32_t taps, int32_t channels, int32_t group) {
  for (int32_t o = 0; o < channels; o++)
    for (int32_t first = 0; first < taps; first += group) {
      int32_t sum = 0;
      for (int32_t k = first; k < qn_least(first + group, taps); k++) {
        int32_t weight = w[(int64_t)k * channels + o];
        sum += weight < 0 ? -weight : weight;
      }
      if (sum > 255) return false;
    }
  return true;
}

/* The most taps, in the order of their use, whose sum is an int16 for every channel; a product of
 * one always is. */
static int32_t choose_group(const depthwise_shape *s, const int8_t *w) {
  int32_t taps = tap_count(s), group = qn_least(taps, MOST_GROUP);
  while (group > 1 && !sums_fit(w, taps, s->p.g.out_c, group)) group--;
  return group;
}

static void pack_block(const qn_unit *u, const qn_call *call, const depthwise_shape *s,
                       const lane_code *code, const segment *at, int32_t first, unsigned char *to) {
  const int8_t *w = qn_constant(u, call->in[1]);
  int32_t all = s->p.g.out_c, taps = tap_count(s);
  unsigned char *weights = to + qn_fixed_offset(&s->fixed, at->channels, code->shift_bytes, 5);
  for (int32_t i = 0; i < at->channels && first + i < all; i++) {
    qn_channel c = qn_fixed_channel(u, call, first + i, w + first + i, taps, all);
    qn_pack_fixed(&s->fixed, at->channels, code->shift_bytes, code->right_sign, i, &c, to);
    for (int32_t k = 0; k < taps; k++)
      weights[k * at->channels + i] = (unsigned char)w[(int64_t)k * all + first + i];
  }
}

static int64_t plan_segments(depthwise_shape *s, const lane_code *code) {
  int64_t used = 0;
  int32_t left = s->p.g.out_c;
  for (s->segment_count = 0; left > 0 && s->segment_count < 2; s->segment_count++) {
    segment *at = &s->at[s->segment_count];
    at->channels = code->block_channels(left);
    at->blocks = left < at->channels ? 1 : left / at->channels;
    at->first_channel = s->p.g.out_c - left;
    at->first_byte = (int32_t)used;
    int32_t bytes = qn_fixed_offset(&s->fixed, at->channels, code->shift_bytes, 5) +
                    tap_count(s) * at->channels;
    at->block_bytes = (bytes + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN;
    used += (int64_t)at->block_bytes * at->blocks;
    left -= at->blocks * at->channels;
  }
  if (left < 0) s->copied = 1;
  return used;
}

static bool take(qn_unit *u, const qn_call *call, qn_job *job, const lane_code *code) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  depthwise_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  int64_t weights = (int64_t)params.g.kernel_h * params.g.kernel_w * params.g.out_c;
  if (params.g.in_c != params.g.out_c || weights > INT32_MAX / 64) return false;
  if (!qn_plan_fixed(u, call, &s->fixed) || !qn_pad_window(&params.g, &s->p)) return false;
  s->copied = !qn_is_unpadded(&s->p);
  s->group = choose_group(s, qn_constant(u, call->in[1]));
  int64_t bytes = plan_segments(s, code);
  unsigned char *to = qn_alloc(&u->m->arena, (size_t)bytes);
  for (int32_t i = 0; i < s->segment_count; i++)
    for (int32_t j = 0; j < s->at[i].blocks; j++)
      pack_block(u, call, s, code, &s->at[i], s->at[i].first_channel + j * s->at[i].channels,
                 to + s->at[i].first_byte + (int64_t)j * s->at[i].block_bytes);
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = to;
  job->constant_bytes = bytes;
  job->scratch_bytes = s->copied ? qn_padded_elems(&s->p) + SLACK : 0;
  job->overlap = s->copied ? QN_AHEAD : QN_APART;
  job->lead = qn_image_lead(&s->p.g);
  return true;
}

/* ------------------------------------------------------------------ code */

typedef struct {
  qn_build *b;
  const lane_code *code;
  const depthwise_shape *s;
  const segment *at;
  LLVMValueRef numbers[MOST_NUMBERS], weights[MOST_RESIDENT]; /* in registers */
  LLVMValueRef packed;                                        /* where the weights are */
} block;

static void read_block(block *t, LLVMValueRef constants) {
  const qn_fixed *f = &t->s->fixed;
  int32_t n = t->at->channels, bytes = t->code->shift_bytes;
  for (int32_t i = 0; i < (f->form == QN_FORM_general ? 5 : 3); i++)
    t->numbers[i] = t->code->read(t->b, i == 2 ? 8 * bytes : 32, n,
                                  qn_at(t->b, constants, qn_fixed_offset(f, n, bytes, i)), 16);
  t->packed = qn_at(t->b, constants, qn_fixed_offset(f, n, bytes, 5));
  for (int32_t k = 0; k < tap_count(t->s) && tap_count(t->s) <= MOST_RESIDENT; k++)
    t->weights[k] = t->code->read(t->b, 8, n, qn_at(t->b, t->packed, (int64_t)k * n), 8);
}

static LLVMValueRef weight(block *t, int32_t tap) {
  if (tap_count(t->s) <= MOST_RESIDENT) return t->weights[tap];
  int32_t n = t->at->channels;
  return t->code->read(t->b, 8, n, qn_at(t->b, t->packed, (int64_t)tap * n), 1);
}

static LLVMValueRef read_tap(const block *t, LLVMValueRef x, int32_t tap) {
  const qn_window *g = &t->s->p.g;
  int64_t row = (int64_t)(tap / g->kernel_w) * g->dilation_h * t->s->p.row_elems;
  int64_t column = (int64_t)(tap % g->kernel_w) * g->dilation_w * g->in_c;
  return t->code->read(t->b, 8, t->at->channels, qn_at(t->b, x, row + column), 1);
}

static void emit_pixel(block *t, LLVMValueRef x, LLVMValueRef y, int32_t channels) {
  int32_t taps = tap_count(t->s), n = t->at->channels;
  LLVMValueRef sum = t->numbers[0];
  for (int32_t first = 0; first < taps; first += t->s->group) {
    LLVMValueRef part = NULL;
    for (int32_t k = first; k < qn_least(first + t->s->group, taps); k++)
      part = t->code->product(t->b, n, part, read_tap(t, x, k), weight(t, k));
    sum = t->code->add(t->b, n, sum, part);
  }
  t->code->store(t->b, &t->s->fixed, n, sum, t->numbers, y, channels);
}

/* Blocks from.. of the segment; the last of them has `channels` channels. */
static void emit_blocks(block *t, int32_t from, int32_t blocks, int32_t channels, LLVMValueRef x,
                        LLVMValueRef y, LLVMValueRef constants) {
  qn_build *b = t->b;
  const qn_window *g = &t->s->p.g;
  qn_loop l = qn_begin_loop(b, blocks, NULL, 0);
  int64_t first_byte = t->at->first_byte + (int64_t)from * t->at->block_bytes;
  read_block(
      t, qn_at_index(b, qn_at(b, constants, first_byte), qn_times(b, l.index, t->at->block_bytes)));
  int32_t first = t->at->first_channel + from * t->at->channels;
  LLVMValueRef channel = qn_times(b, l.index, t->at->channels);
  qn_loop row = qn_begin_loop(b, g->out_h, NULL, 0);
  LLVMValueRef x_row =
      qn_at_index(b, qn_at_index(b, qn_at(b, x, first), channel),
                  qn_times(b, row.index, (int64_t)g->stride_h * t->s->p.row_elems));
  LLVMValueRef y_row = qn_at_index(b, qn_at_index(b, qn_at(b, y, first), channel),
                                   qn_times(b, row.index, (int64_t)g->out_w * g->out_c));
  qn_loop pixel = qn_begin_loop(b, g->out_w, NULL, 0);
  emit_pixel(t, qn_at_index(b, x_row, qn_times(b, pixel.index, (int64_t)g->stride_w * g->in_c)),
             qn_at_index(b, y_row, qn_times(b, pixel.index, g->out_c)), channels);
  qn_end_loop(b, &pixel);
  qn_end_loop(b, &row);
  qn_end_loop(b, &l);
}

/* arguments: x, y, constants, scratch if the input is copied. */
static void emit(qn_build *b, const qn_job *job, LLVMValueRef *arguments, const lane_code *code) {
  const depthwise_shape *s = job->shape;
  const qn_window *g = &s->p.g;
  qn_images image = qn_begin_images(b, g, 1, arguments);
  LLVMValueRef x = image.x, y = image.y;
  if (s->copied) {
    qn_copier how = {1, 1, &s->fixed.x_zero, code->copy, code->fill};
    x = qn_emit_padded_copy(b, &s->p, &how, x, arguments[3]);
  }
  for (int32_t i = 0; i < s->segment_count; i++) {
    block t = {.b = b, .code = code, .s = s, .at = &s->at[i]};
    int32_t channels = qn_least(g->out_c - t.at->first_channel, t.at->blocks * t.at->channels);
    int32_t whole = channels / t.at->channels;
    if (whole > 0) emit_blocks(&t, 0, whole, t.at->channels, x, y, arguments[2]);
    if (whole < t.at->blocks)
      emit_blocks(&t, whole, 1, channels - whole * t.at->channels, x, y, arguments[2]);
  }
  qn_end_images(b, &image);
}

/* ------------------------------------------------------------------ NEON */

static int32_t neon_channels(int32_t left) { return left > 8 ? 16 : 8; }

static LLVMValueRef neon_read(qn_build *b, int bits, int n, LLVMValueRef address, int align) {
  LLVMTypeRef element = LLVMIntTypeInContext(b->u->context, (unsigned)bits);
  return qn_read(b, qn_vector(element, n), address, align);
}

static LLVMValueRef neon_product(qn_build *b, int n, LLVMValueRef sum, LLVMValueRef x,
                                 LLVMValueRef w) {
  LLVMValueRef low = qn_multiply_eight(b, qn_part(b, x, 0, 8), qn_part(b, w, 0, 8));
  LLVMValueRef product =
      n == 8 ? low
             : qn_concat(b, low, qn_multiply_eight(b, qn_part(b, x, 8, 8), qn_part(b, w, 8, 8)));
  return sum ? LLVMBuildAdd(b->b, sum, product, "") : product;
}

static LLVMValueRef neon_add(qn_build *b, int n, LLVMValueRef sum, LLVMValueRef part) {
  return LLVMBuildAdd(b->b, sum, LLVMBuildSExt(b->b, part, qn_vector(b->u->i32, n), ""), "");
}

static void neon_store(qn_build *b, const qn_fixed *f, int n, LLVMValueRef sum,
                       const LLVMValueRef *numbers, LLVMValueRef y, int32_t channels) {
  LLVMValueRef four[4];
  for (int i = 0; i < n / QN_Q_LANES; i++) {
    LLVMValueRef part[MOST_NUMBERS] = {NULL};
    for (int k = 1; k < MOST_NUMBERS && numbers[k]; k++)
      part[k] = qn_part(b, numbers[k], i * QN_Q_LANES, QN_Q_LANES);
    qn_q_numbers of = {part[1], part[2], part[3], part[4]};
    four[i] = qn_rescale_q(b, f, qn_part(b, sum, i * QN_Q_LANES, QN_Q_LANES), &of);
  }
  qn_store_q(b, qn_narrow_q(b, f, four, n / QN_Q_LANES), 0, y, channels);
}

static const lane_code neon_code = {4,        -1,         neon_channels, neon_read, neon_product,
                                    neon_add, neon_store, qn_copy_q,     qn_fill_q};

bool qn_take_depthwise_neon(qn_unit *u, const qn_call *call, qn_job *job) {
  return take(u, call, job, &neon_code);
}

void qn_emit_depthwise_neon(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments, &neon_code);
}

bool qn_take_depthwise_neon32(qn_unit *u, const qn_call *call, qn_job *job) {
  return take(u, call, job, &neon_code);
}

void qn_emit_depthwise_neon32(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments, &neon_code);
}

/* ------------------------------------------------------------------ RISC-V */

static int32_t rvv_channels(int32_t left) { return qn_least(left, 16); }

static LLVMValueRef rvv_read(qn_build *b, int bits, int n, LLVMValueRef address, int align) {
  (void)align;
  return qn_rvv_read(b, bits, n, address);
}

static LLVMValueRef rvv_product(qn_build *b, int n, LLVMValueRef sum, LLVMValueRef x,
                                LLVMValueRef w) {
  return sum ? qn_rvv_add_product(b, 16, n, sum, x, w) : qn_rvv(b, "vwmul", 16, n, x, w);
}

static LLVMValueRef rvv_add(qn_build *b, int n, LLVMValueRef sum, LLVMValueRef part) {
  return qn_rvv(b, "vwadd.w", 32, n, sum, part);
}

static void rvv_store(qn_build *b, const qn_fixed *f, int n, LLVMValueRef sum,
                      const LLVMValueRef *numbers, LLVMValueRef y, int32_t channels) {
  (void)channels; /* blocks are as long as what is left */
  qn_rvv_write(b, n, qn_rvv_rescale_by(b, f, n, sum, numbers), y);
}

static const lane_code rvv_code = {QN_RVV_SHIFT_BYTES, 1,           rvv_channels,
                                   rvv_read,           rvv_product, rvv_add,
                                   rvv_store,          qn_rvv_copy, qn_rvv_fill};

bool qn_take_depthwise_rvv(qn_unit *u, const qn_call *call, qn_job *job) {
  return take(u, call, job, &rvv_code);
}

void qn_emit_depthwise_rvv(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments, &rvv_code);
}
