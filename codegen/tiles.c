/* tiles.h: shapes, constants and loops. */
#include "tiles.h"
#include <string.h>

enum { OVERREAD = 16, COPY_SLACK = 64 };

static int32_t runs_of(const qn_tiles *s) { return s->p.g.kernel_h * s->p.runs_per_row; }

/* ------------------------------------------------------------------ constants */

static int32_t numbers_bytes(const qn_tiles *s, const qn_tile_code *code, int32_t channels) {
  if (code->record_bytes) return code->record_bytes * channels;
  return qn_fixed_offset(&s->fixed, channels, code->shift_bytes, 5);
}

/* Of so many taps of a block. */
static int64_t weight_bytes(const qn_tile_code *code, int32_t channels, int64_t taps) {
  return code->lanes ? taps * (channels / code->lanes) * code->word_bytes : taps * channels;
}

typedef struct {
  const qn_unit *u;
  const qn_call *call;
  const qn_tiles *s;
  const qn_tile_code *code;
  const int8_t *w;
} packer;

static int32_t window_taps(const qn_tiles *s) { return runs_of(s) * s->p.run_elems; }

/* Adds w << shift to a word, modulo its size. */
static void add_shifted(unsigned char *word, int32_t bytes, int32_t shift, int8_t w) {
  uint64_t value = (uint64_t)(int64_t)w << shift, carry = 0;
  for (int32_t i = 0; i < bytes; i++, value >>= 8) {
    carry += word[i] + (value & 255);
    word[i] = (unsigned char)carry;
    carry >>= 8;
  }
}

/* The weight of channel i of the block for tap k of the window's run. */
static void pack_weight(const packer *p, const qn_segment *at, unsigned char *weights, int32_t i,
                        int32_t run, int32_t k, int8_t w) {
  const qn_tile_code *code = p->code;
  int64_t step = (int64_t)run * (p->s->run_taps / code->taps) + k / code->taps;
  if (code->lanes)
    add_shifted(weights + weight_bytes(code, at->channels, step) +
                    i / code->lanes * code->word_bytes,
                code->word_bytes, i % code->lanes * code->lane_bits, w);
  else
    weights[(step * at->channels + i) * code->taps + k % code->taps] = (unsigned char)w;
}

static void pack_block(const packer *p, const qn_segment *at, int32_t first, unsigned char *to) {
  const qn_tiles *s = p->s;
  int32_t all = window_taps(s);
  unsigned char *weights = to + numbers_bytes(s, p->code, at->channels);
  for (int32_t i = 0; i < at->channels && first + i < s->p.g.out_c; i++) {
    const int8_t *w = p->w + (int64_t)(first + i) * all;
    qn_channel c = qn_fixed_channel(p->u, p->call, first + i, w, all, 1);
    if (p->code->record_bytes)
      p->code->pack(p->u, s, &c, to + (int64_t)i * p->code->record_bytes);
    else
      qn_pack_fixed(&s->fixed, at->channels, p->code->shift_bytes, p->code->right_sign, i, &c, to);
    for (int32_t run = 0; run < runs_of(s); run++)
      for (int32_t k = 0; k < s->p.run_elems; k++)
        pack_weight(p, at, weights, i, run, k, w[run * s->p.run_elems + k]);
  }
}

static bool plan_segments(qn_tiles *s, const qn_tile_code *code, int64_t *out_bytes) {
  int32_t left = s->p.g.out_c;
  int64_t used = 0;
  for (s->segment_count = 0; left > 0; s->segment_count++) {
    if (s->segment_count == QN_MOST_SEGMENTS) return false;
    qn_segment *at = &s->at[s->segment_count];
    if (!code->choose(s, left, at)) return false;
    int64_t bytes = numbers_bytes(s, code, at->channels) +
                    weight_bytes(code, at->channels, (int64_t)runs_of(s) * s->run_taps);
    if (bytes > INT32_MAX / 4) return false;
    at->block_bytes = qn_round_up((int32_t)bytes, 16);
    at->blocks = left < at->channels ? 1 : left / at->channels;
    at->first_channel = s->p.g.out_c - left;
    at->first_byte = (int32_t)used;
    used += (int64_t)at->blocks * at->block_bytes;
    if (used > INT32_MAX / 4) return false;
    left -= qn_least(left, at->blocks * at->channels);
  }
  *out_bytes = used;
  return true;
}

/* Products of int8 by weights are at most 128 * |w|, and 128 * 255 < 2^15. */
static bool sums_fit(const int8_t *w, int32_t taps, int32_t group) {
  for (int32_t first = 0; first < taps; first += group) {
    int32_t sum = 0;
    for (int32_t k = first; k < qn_least(first + group, taps); k++) sum += w[k] < 0 ? -w[k] : w[k];
    if (sum > 255) return false;
  }
  return true;
}

static int32_t choose_group(const qn_tiles *s, const int8_t *w) {
  int64_t runs = (int64_t)s->p.g.out_c * runs_of(s);
  int32_t group = QN_MOST_TAPS;
  for (int64_t i = 0; i < runs && group > 1; i++)
    while (group > 1 && !sums_fit(w + i * s->p.run_elems, s->p.run_elems, group)) group /= 2;
  return group;
}

/* A copied input is free for the results. One that is read in place is read by each block of
 * channels; where there is only one, tiles come in the order of their pixels. */
static void set_overlap(const qn_tiles *s, qn_job *job) {
  const qn_window *g = &s->p.g;
  int32_t tile = s->at[0].tile, again = (g->out_w + tile - 1) / tile * tile - g->out_w;
  if (!s->copied && (s->segment_count > 1 || s->at[0].blocks > 1)) return;
  job->overlap = QN_AHEAD;
  job->lead = s->copied ? qn_image_lead(g) : qn_window_lead(g, again);
}

bool qn_take_tiles(qn_unit *u, const qn_call *call, qn_job *job, const qn_tile_code *code) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  qn_tiles *s = qn_alloc(&u->m->arena, sizeof *s);
  if (params.g.groups != 1 || !qn_plan_fixed(u, call, &s->fixed)) return false;
  if (!qn_pad_window(&params.g, &s->p)) return false;
  s->run_taps = qn_round_up(s->p.run_elems, code->taps);
  s->copied = !qn_is_unpadded(&s->p) || s->run_taps > s->p.run_elems;
  packer p = {u, call, s, code, qn_constant(u, call->in[1])};
  s->group = choose_group(s, p.w);
  int32_t totals = code->plan ? code->plan(u, call, s, p.w) : 0;
  if (totals < 0) return false;
  int64_t bytes, copy = s->copied ? qn_padded_elems(&s->p) + OVERREAD + COPY_SLACK : 0;
  if (!plan_segments(s, code, &bytes)) return false;
  unsigned char *to = qn_alloc(&u->m->arena, (size_t)bytes);
  for (int32_t i = 0; i < s->segment_count; i++)
    for (int32_t j = 0; j < s->at[i].blocks; j++)
      pack_block(&p, &s->at[i], s->at[i].first_channel + j * s->at[i].channels,
                 to + s->at[i].first_byte + (int64_t)j * s->at[i].block_bytes);
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = to;
  job->constant_bytes = bytes;
  s->totals = qn_round_up((int32_t)copy, 16);
  job->scratch_bytes = totals ? s->totals + totals : copy;
  set_overlap(s, job);
  return true;
}

/* ------------------------------------------------------------------ code */

static void add_taps(qn_tile *t, const qn_tile_code *code, LLVMValueRef x, LLVMValueRef w,
                     int32_t taps) {
  qn_build *b = t->b;
  int32_t round_taps = code->round_taps, rounds = taps / round_taps, channels = t->at->channels;
  int32_t done = rounds * round_taps;
  if (rounds > 0) {
    qn_loop l = qn_begin_loop(b, rounds, t->sum, t->sum_count);
    code->add(t, qn_at_index(b, x, qn_times(b, l.index, round_taps)),
              qn_at_index(b, w, qn_times(b, l.index, weight_bytes(code, channels, round_taps))),
              round_taps);
    qn_end_loop(b, &l);
  }
  if (done < taps)
    code->add(t, qn_at(b, x, done), qn_at(b, w, weight_bytes(code, channels, done)), taps - done);
}

static void add_run(qn_tile *t, const qn_tile_code *code, LLVMValueRef x, LLVMValueRef w) {
  qn_build *b = t->b;
  int32_t taps = t->s->run_taps, part = t->s->flush_taps ? t->s->flush_taps : taps;
  int32_t parts = taps / part, rest = taps % part;
  int64_t part_bytes = weight_bytes(code, t->at->channels, part);
  qn_loop l = qn_begin_loop(b, parts, t->sum, t->sum_count);
  add_taps(t, code, qn_at_index(b, x, qn_times(b, l.index, part)),
           qn_at_index(b, w, qn_times(b, l.index, part_bytes)), part);
  if (t->s->flush_taps) code->flush(t);
  qn_end_loop(b, &l);
  if (rest == 0) return;
  add_taps(t, code, qn_at(b, x, (int64_t)parts * part), qn_at(b, w, parts * part_bytes), rest);
  code->flush(t);
}

/* All runs of the window whose first tap is at x. Small windows make no loop. */
static void add_window(qn_tile *t, const qn_tile_code *code, LLVMValueRef x, LLVMValueRef w) {
  qn_build *b = t->b;
  const qn_padded *p = &t->s->p;
  int64_t run_bytes = weight_bytes(code, t->at->channels, t->s->run_taps);
  bool unrolled = runs_of(t->s) * t->s->run_taps <= code->unrolled_taps;
  int32_t rows = unrolled ? 1 : p->g.kernel_h, runs = unrolled ? 1 : p->runs_per_row;
  int64_t row_step = (int64_t)p->g.dilation_h * p->row_elems,
          run_step = p->g.dilation_w * p->g.in_c;
  qn_loop row = qn_begin_loop(b, rows, t->sum, t->sum_count);
  LLVMValueRef x_row = qn_at_index(b, x, qn_times(b, row.index, row_step));
  LLVMValueRef w_row = qn_at_index(b, w, qn_times(b, row.index, p->runs_per_row * run_bytes));
  qn_loop run = qn_begin_loop(b, runs, t->sum, t->sum_count);
  LLVMValueRef x_run = qn_at_index(b, x_row, qn_times(b, run.index, run_step));
  LLVMValueRef w_run = qn_at_index(b, w_row, qn_times(b, run.index, run_bytes));
  for (int32_t ky = 0; ky < p->g.kernel_h / rows; ky++)
    for (int32_t kx = 0; kx < p->runs_per_row / runs; kx++)
      add_run(t, code, qn_at(b, x_run, ky * row_step + kx * run_step),
              qn_at(b, w_run, (ky * p->runs_per_row + kx) * run_bytes));
  qn_end_loop(b, &run);
  qn_end_loop(b, &row);
}

/* Blocks from.. of the tile's segment; the last of them has `channels` channels. */
static void emit_blocks(qn_tile *t, const qn_tile_code *code, int32_t from, int32_t blocks,
                        int32_t channels, const LLVMValueRef *x_y_constants) {
  qn_build *b = t->b;
  const qn_window *g = &t->s->p.g;
  const qn_segment *at = t->at;
  qn_loop block = qn_begin_loop(b, blocks, NULL, 0);
  int64_t first_byte = at->first_byte + (int64_t)from * at->block_bytes;
  LLVMValueRef numbers = qn_at_index(b, qn_at(b, x_y_constants[2], first_byte),
                                     qn_times(b, block.index, at->block_bytes));
  int32_t first_channel = at->first_channel + from * at->channels;
  LLVMValueRef y_block = qn_at_index(b, qn_at(b, x_y_constants[1], first_channel),
                                     qn_times(b, block.index, at->channels));
  qn_loop row = qn_begin_loop(b, g->out_h, NULL, 0);
  int64_t x_row_bytes = (int64_t)g->stride_h * t->s->p.row_elems;
  LLVMValueRef x_row = qn_at_index(b, x_y_constants[0], qn_times(b, row.index, x_row_bytes));
  LLVMValueRef y_row =
      qn_at_index(b, y_block, qn_times(b, row.index, (int64_t)g->out_w * g->out_c));
  qn_loop tiles = qn_begin_loop(b, (g->out_w + at->tile - 1) / at->tile, NULL, 0);
  LLVMValueRef start = qn_tile_start(b, tiles.index, at->tile, g->out_w);
  code->start(t, numbers);
  add_window(t, code, qn_at_index(b, x_row, qn_times(b, start, (int64_t)g->stride_w * g->in_c)),
             qn_at(b, numbers, numbers_bytes(t->s, code, at->channels)));
  code->store(t, numbers, qn_at_index(b, y_row, qn_times(b, start, g->out_c)), channels);
  qn_end_loop(b, &tiles);
  qn_end_loop(b, &row);
  qn_end_loop(b, &block);
}

static void emit_segment(qn_build *b, const qn_tile_code *code, const qn_tiles *s,
                         const qn_segment *at, const LLVMValueRef *x_y_constants,
                         LLVMValueRef totals) {
  qn_tile t = {.b = b, .s = s, .at = at, .totals = totals};
  int32_t channels = qn_least(s->p.g.out_c - at->first_channel, at->blocks * at->channels);
  int32_t whole = channels / at->channels;
  if (whole > 0) emit_blocks(&t, code, 0, whole, at->channels, x_y_constants);
  if (whole < at->blocks)
    emit_blocks(&t, code, whole, 1, channels - whole * at->channels, x_y_constants);
}

void qn_emit_tiles(qn_build *b, const qn_job *job, LLVMValueRef *arguments,
                   const qn_tile_code *code) {
  const qn_tiles *s = job->shape;
  const qn_window *g = &s->p.g;
  qn_images image = qn_begin_images(b, g, 1, arguments);
  LLVMValueRef x = image.x, y = image.y;
  if (s->copied) {
    qn_copier how = {1, 1, &s->fixed.x_zero, code->copy, code->fill};
    x = qn_emit_padded_copy(b, &s->p, &how, x, arguments[3]);
  }
  LLVMValueRef x_y_constants[] = {x, y, arguments[2]};
  LLVMValueRef totals = s->flush_taps ? qn_at(b, arguments[3], s->totals) : NULL;
  for (int i = 0; i < s->segment_count; i++)
    emit_segment(b, code, s, &s->at[i], x_y_constants, totals);
  qn_end_images(b, &image);
}
