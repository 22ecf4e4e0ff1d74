/* conv2d_vnni, conv2d_madd: convolutions and dense layers on x86, without im2col.
 *
 * The input is copied into scratch, as dot products want it (x86.h) and with its padding around it;
 * one that is stored so (layout.c) is read where it lies.
 * There a run of taps that lie side by side (a row of the window, or one tap where columns are
 * dilated) is one stretch; it is read four bytes at a time, broadcast, and multiplied with the
 * weights of a vector of channels, one per lane. Runs are rounded up to four bytes, with weights 0
 * for the rest.
 *
 *   tile = `tile` pixels of a row  x  a block of 1..4 vectors of channels, in registers
 *
 * The last tile of a row is moved back to end with the row: some pixels are computed twice.
 * Windows without neighbours (1x1, stride 1) make all pixels one row.
 *
 * Channels are cut into blocks of 4 vectors and a shorter end; blocks that are alike follow each
 * other in a segment, which is one loop. In the constants each block has: bias with corrections,
 * the two numbers of the requantization (x86.h) and the weights in the order of their use,
 * [run][step of 4 bytes][vector][lane][tap]. In blocks of 4 vectors lane 4i+e of vector j is
 * channel 16i + 4j + e, which makes the narrowing's order the channels' order. */
#include <string.h>
#include "conv_x86.h"

enum { UNROLLED_STEPS = 16 };

/* ------------------------------------------------------------------ tiles */

static LLVMValueRef *accumulator(qn_x86_tile *t, int32_t chain, int32_t pixel, int32_t vector) {
  return &t->acc[(chain * t->at->tile + pixel) * t->at->vectors + vector];
}

static int32_t accumulator_count(const qn_x86_tile *t) {
  return t->chains * t->at->tile * t->at->vectors;
}

static void start_sums(qn_x86_tile *t, LLVMValueRef bias) {
  const qn_isa *isa = &t->s->isa;
  int32_t bytes = qn_vector_bytes(isa);
  LLVMTypeRef lanes = qn_lanes_of(t->b, isa);
  for (int32_t v = 0; v < t->at->vectors; v++) {
    LLVMValueRef start = qn_read(t->b, lanes, qn_at(t->b, bias, v * bytes), bytes);
    for (int32_t i = 0; i < t->at->tile; i++) {
      *accumulator(t, 0, i, v) = start;
      if (t->chains == 2) *accumulator(t, 1, i, v) = LLVMConstNull(lanes);
    }
  }
}

static int32_t pixel_bytes(const qn_x86_conv *s) {
  return s->p.g.in_c * qn_activation_bytes(&s->isa);
}

/* Four bytes of every pixel times the weights of all vectors. */
static void add_step(qn_x86_tile *t, LLVMValueRef x, LLVMValueRef w, int32_t step) {
  qn_build *b = t->b;
  const qn_isa *isa = &t->s->isa;
  LLVMValueRef weights[QN_MOST_GROUP];
  for (int32_t v = 0; v < t->at->vectors; v++) {
    int32_t index = step * t->at->vectors + v;
    weights[v] = qn_load_weights(b, isa, qn_at(b, w, index * qn_weights_bytes(isa)));
  }
  for (int32_t i = 0; i < t->at->tile; i++) {
    int32_t pixel = i * t->s->p.g.stride_w * pixel_bytes(t->s);
    LLVMValueRef four = qn_read(b, b->u->i32, qn_at(b, x, pixel + 4 * step), 1);
    LLVMValueRef all = qn_broadcast_value(b, four, isa->lanes);
    for (int32_t v = 0; v < t->at->vectors; v++) {
      LLVMValueRef *acc = accumulator(t, step % t->chains, i, v);
      *acc = qn_dot(b, isa, *acc, all, weights[v]);
    }
  }
  qn_forget_reads(b); /* neighbours read the same bytes one tap on: kept, they would not fit */
}

/* `steps` steps from x and w on: a loop of a few unrolled ones, and the rest. */
static void add_run(qn_x86_tile *t, LLVMValueRef x, LLVMValueRef w, int32_t steps) {
  qn_build *b = t->b;
  int32_t step_bytes = t->at->vectors * qn_weights_bytes(&t->s->isa), unrolled = steps;
  if (steps > UNROLLED_STEPS)
    unrolled = steps % 4 == 0 ? 4 : steps % 3 == 0 ? 3 : steps % 6 == 0 ? 6 : 4;
  int32_t rounds = steps / unrolled, rest = steps % unrolled;
  qn_loop l = qn_begin_loop(b, rounds, t->acc, accumulator_count(t));
  LLVMValueRef from = qn_at_index(b, x, qn_times(b, l.index, 4 * unrolled));
  LLVMValueRef weights = qn_at_index(b, w, qn_times(b, l.index, unrolled * step_bytes));
  for (int32_t i = 0; i < unrolled; i++) add_step(t, from, weights, i);
  qn_end_loop(b, &l);
  x = qn_at(b, x, (int64_t)rounds * unrolled * 4);
  w = qn_at(b, w, (int64_t)rounds * unrolled * step_bytes);
  for (int32_t i = 0; i < rest; i++) add_step(t, x, w, i);
}

/* All runs of the window whose first byte is at x. */
static void add_window(qn_x86_tile *t, LLVMValueRef x, LLVMValueRef w) {
  qn_build *b = t->b;
  const qn_x86_conv *s = t->s;
  const qn_window *g = &s->p.g;
  int32_t run_bytes = s->run_steps * t->at->vectors * qn_weights_bytes(&s->isa);
  int32_t x_row_bytes = g->dilation_h * s->p.row_elems * qn_activation_bytes(&s->isa),
          x_run_bytes = g->dilation_w * pixel_bytes(s);
  bool all_unrolled = qn_x86_step_count(s) <= UNROLLED_STEPS;
  int32_t rows = all_unrolled ? 1 : g->kernel_h, runs = all_unrolled ? 1 : s->p.runs_per_row;
  qn_loop row = qn_begin_loop(b, rows, t->acc, accumulator_count(t));
  LLVMValueRef x_row = qn_at_index(b, x, qn_times(b, row.index, x_row_bytes));
  LLVMValueRef w_row = qn_at_index(b, w, qn_times(b, row.index, s->p.runs_per_row * run_bytes));
  qn_loop run = qn_begin_loop(b, runs, t->acc, accumulator_count(t));
  LLVMValueRef x_run = qn_at_index(b, x_row, qn_times(b, run.index, x_run_bytes));
  LLVMValueRef w_run = qn_at_index(b, w_row, qn_times(b, run.index, run_bytes));
  for (int32_t ky = 0; ky < g->kernel_h / rows; ky++)
    for (int32_t kx = 0; kx < s->p.runs_per_row / runs; kx++)
      add_run(t, qn_at(b, x_run, ky * x_row_bytes + kx * x_run_bytes),
              qn_at(b, w_run, (ky * s->p.runs_per_row + kx) * run_bytes), s->run_steps);
  qn_end_loop(b, &run);
  qn_end_loop(b, &row);
}

/* Stored values of the block's channels of all pixels; `channels` of them exist. */
void qn_store_x86_tile(qn_x86_tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels) {
  qn_build *b = t->b;
  const qn_isa *isa = &t->s->isa;
  int32_t vectors = t->at->vectors, together = vectors == 3 ? 1 : 4 / vectors; /* pixels */
  int32_t bytes_of = qn_vector_bytes(isa);
  LLVMValueRef a = qn_at(b, numbers, vectors * bytes_of);
  LLVMValueRef c = qn_at(b, numbers, 2 * vectors * bytes_of);
  for (int32_t i = 0; i < t->at->tile; i += together) {
    LLVMValueRef four[4];
    int32_t pixels = qn_least(together, t->at->tile - i);
    for (int32_t k = 0; k < pixels * vectors; k++) {
      int32_t v = k % vectors;
      LLVMValueRef acc = *accumulator(t, 0, i + k / vectors, v);
      if (t->chains == 2) acc = LLVMBuildAdd(b->b, acc, *accumulator(t, 1, i + k / vectors, v), "");
      four[k] = qn_rescale_lanes(b, isa, (qn_rescale)t->at->form[v], &t->s->clamping, acc,
                                 qn_at(b, a, v * bytes_of), qn_at(b, c, v * bytes_of));
    }
    LLVMValueRef bytes = qn_narrow(b, isa, &t->s->clamping, four, pixels * vectors, vectors == 4);
    LLVMValueRef to = qn_at(b, y, i * t->s->p.g.out_c);
    if (channels == t->s->p.g.out_c && channels == vectors * isa->lanes) {
      qn_store_part(b, isa, bytes, 0, to, pixels * channels);
      continue;
    }
    for (int32_t k = 0; k < pixels; k++)
      qn_store_part(b, isa, bytes, k * vectors, qn_at(b, to, k * t->s->p.g.out_c), channels);
  }
}

/* Blocks from..from+blocks-1 of a segment; the last of them has `channels` channels. */
static void emit_blocks(qn_x86_tile *t, int32_t from, int32_t blocks, int32_t channels,
                        LLVMValueRef x, LLVMValueRef y, LLVMValueRef constants) {
  qn_build *b = t->b;
  const qn_window *g = &t->s->p.g;
  int32_t block_channels = t->at->vectors * t->s->isa.lanes;
  qn_loop block = qn_begin_loop(b, blocks, NULL, 0);
  LLVMValueRef numbers =
      qn_at_index(b, qn_at(b, constants, t->at->first_byte + (int64_t)from * t->at->block_bytes),
                  qn_times(b, block.index, t->at->block_bytes));
  LLVMValueRef y_block = qn_at_index(b, qn_at(b, y, t->at->first_channel + from * block_channels),
                                     qn_times(b, block.index, block_channels));
  qn_loop row = qn_begin_loop(b, g->out_h, NULL, 0);
  int64_t x_row_bytes = (int64_t)g->stride_h * t->s->p.row_elems * qn_activation_bytes(&t->s->isa);
  LLVMValueRef x_row = qn_at_index(b, x, qn_times(b, row.index, x_row_bytes));
  LLVMValueRef y_row =
      qn_at_index(b, y_block, qn_times(b, row.index, qn_x86_result_pitch(t->s).row));
  qn_loop tiles = qn_begin_loop(b, qn_divide_up(g->out_w, t->at->tile), NULL, 0);
  LLVMValueRef start = qn_tile_start(b, tiles.index, t->at->tile, g->out_w);
  LLVMValueRef x_tile = qn_at_index(b, x_row, qn_times(b, start, g->stride_w * pixel_bytes(t->s)));
  LLVMValueRef y_tile = qn_at_index(b, y_row, qn_times(b, start, g->out_c));
  LLVMValueRef w = qn_at(b, numbers, qn_x86_numbers_bytes(t->s, t->at->vectors));
  if (t->s->tiles) {
    qn_emit_amx_tile(t, x_tile, w, numbers, y_tile, channels);
  } else {
    qn_stay_awake(b);
    start_sums(t, numbers);
    add_window(t, x_tile, w);
    qn_store_x86_tile(t, numbers, y_tile, channels);
  }
  qn_end_loop(b, &tiles);
  qn_end_loop(b, &row);
  qn_end_loop(b, &block);
}

static void emit_segment(qn_build *b, const qn_x86_conv *s, const qn_x86_segment *at,
                         LLVMValueRef x, LLVMValueRef y, LLVMValueRef constants) {
  qn_x86_tile t = {.b = b, .s = s, .at = at};
  if (s->tiles) t.sums = qn_at(b, x, qn_x86_copy_bytes(s));
  t.chains = s->isa.taps == 4 && at->tile * at->vectors <= 6 && qn_x86_step_count(s) > 1 ? 2 : 1;
  int32_t block_channels = at->vectors * s->isa.lanes;
  int32_t channels = qn_least(s->p.g.out_c - at->first_channel, at->blocks * block_channels);
  int32_t whole = channels / block_channels;
  if (whole > 0) emit_blocks(&t, 0, whole, block_channels, x, y, constants);
  if (whole < at->blocks)
    emit_blocks(&t, whole, 1, channels - whole * block_channels, x, y, constants);
}

static void copy_elems(qn_build *b, const void *of, LLVMValueRef to, LLVMValueRef from,
                       int64_t elems) {
  const qn_x86_conv *s = of;
  qn_copy_activations(b, &s->isa, to, from, elems, s->x.flipped);
}

static void fill_elems(qn_build *b, const void *of, LLVMValueRef to, int64_t elems) {
  const qn_x86_conv *s = of;
  qn_fill_activations(b, &s->isa, to, s->x_zero, elems);
}

/* What other results may still be read from is written over when all have been computed. */
static void fill_margins(qn_build *b, const qn_x86_conv *s, LLVMValueRef y) {
  const qn_window *g = &s->p.g;
  const qn_margin *m = &s->y.margin;
  if (m->top + m->left + m->bottom + m->right == 0) return;
  qn_loop l = qn_begin_loop(b, g->batch, NULL, 0);
  y = qn_at_index(b, y, qn_times(b, l.index, qn_x86_result_pitch(s).image));
  qn_fill_margin(b, &s->isa, m, g->out_h, (int64_t)g->out_w * g->out_c, s->pixel_channels,
                 s->clamping.zero + 128, y);
  qn_end_loop(b, &l);
}

/* One image: x, y, where their margins begin. */
static void emit_image(qn_build *b, qn_x86_conv *s, const qn_images *image, LLVMValueRef constants,
                       LLVMValueRef scratch) {
  const qn_window *g = &s->p.g;
  qn_copier how = {qn_activation_bytes(&s->isa), 1, s, copy_elems, fill_elems};
  qn_pitch pitch = qn_x86_result_pitch(s);
  LLVMValueRef x = image->x, y = qn_at(b, image->y, pitch.first);
  if (qn_x86_in_place(s)) {
    const qn_margin *m = &s->x.margin;
    s->p.row_elems = (m->left + g->in_w + m->right) * g->in_c;
    x = qn_at(b, x,
              (int64_t)(m->top - g->top) * s->p.row_elems + (int64_t)(m->left - g->left) * g->in_c);
  } else {
    x = qn_emit_padded_copy(b, &s->p, &how, x, scratch);
    qn_forget_reads(b);
  }
  for (int i = 0; i < s->segment_count; i++) emit_segment(b, s, &s->at[i], x, y, constants);
}

void qn_emit_conv_x86(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_x86_conv here, *s = &here;
  memcpy(s, job->shape, sizeof *s);
  s->clamping.flipped = s->y.flipped;
  const qn_window *g = &s->p.g;
  LLVMValueRef scratch = job->scratch_bytes > 0 ? arguments[3] : NULL;
  int64_t x_bytes = qn_pitch_of(&s->x.margin, g->in_h, g->in_w, g->in_c).image;
  int64_t y_bytes = qn_x86_result_pitch(s).image;
  if (s->tiles) qn_begin_amx(b, arguments[2]);
  qn_images image = qn_begin_pitched_images(b, g->batch, x_bytes, y_bytes, arguments);
  emit_image(b, s, &image, arguments[2], scratch);
  qn_end_images(b, &image);
  if (s->tiles) qn_end_amx(b);
  fill_margins(b, job->shape, arguments[1]);
}

bool qn_take_conv2d_vnni(qn_unit *u, const qn_call *call, qn_job *job) {
  return qn_take_conv_x86(u, call, job, false);
}

/* The code is the same, but for the instruction: no alternative where there is the other. */
bool qn_take_conv2d_madd(qn_unit *u, const qn_call *call, qn_job *job) {
  return !qn_can(u, QN_NEEDS_vnni) && qn_take_conv_x86(u, call, job, false);
}

void qn_emit_conv2d_vnni(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_conv_x86(b, job, arguments);
}

void qn_emit_conv2d_madd(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_conv_x86(b, job, arguments);
}
