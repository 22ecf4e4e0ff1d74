/* conv2d_tiles: float convolutions and dense layers in tiles of pixels x vectors of channels.
 *
 * A lane is an output channel, so every sum is made in the order of the weights, with products
 * rounded on their own unless options.fused: the reference kernel's bits, whatever the width of
 * vectors. Sums that do not wait for each other are the pixels and channels of a tile, which stay
 * in registers.
 *
 * The input is read in place or, where it has padding, from a padded copy in scratch. Channels are
 * cut into blocks of equally many vectors and a shorter last one. A tile is pixels of a row, the
 * last one moved back to end with it, or two whole rows. In the constants each block has
 * its bias and the weights in the order of their use, [window element][vector][lane]. */
#include <string.h>
#include "f32.h"

enum { MOST_VECTORS = 8, MOST_TILE = 16, UNROLLED = 4, L1_BYTES = 24 << 10, MOST_RANK = 7 };

typedef struct {
  int32_t vectors, blocks, first_byte;
  int32_t rows, tile; /* pixels of a tile, in so many whole rows or in one */
} segment;

typedef struct {
  qn_padded p;
  qn_lanes lanes;
  float low, high;
  int32_t has_bias, copied; /* copied: the input, into scratch */
  int32_t segment_count;
  segment at[2];
} conv_shape;

static int32_t window_elems(const conv_shape *s) {
  return s->p.g.kernel_h * s->p.runs_per_row * s->p.run_elems;
}

static int32_t block_bytes(const conv_shape *s, int32_t vectors) {
  return vectors * s->lanes.count * 4 * (window_elems(s) + s->has_bias);
}

/* ------------------------------------------------------------------ tiles */

/* Cycles of all pixels and channels, about: two loads at once, a sum at a time and three cycles
 * until it is there; weights that the nearest cache does not hold; the way to the next tile. A
 * broadcast of 512 bits is free inside its one multiplication; for several it takes a turn. */
static double cost_of(const conv_shape *s, int32_t vectors, int32_t rows, int32_t tile) {
  int32_t all = qn_divide_up(s->p.g.out_c, s->lanes.count), sums = vectors * tile;
  double step = qn_most(qn_most(sums, 4), (vectors + tile + 1) / 2);
  if (s->lanes.count == 16 && vectors > 1) step += tile;
  if (block_bytes(s, vectors) > L1_BYTES) step += 3 * vectors;
  double once = 10 * s->p.g.kernel_h + 2 * sums;
  return (step * window_elems(s) + once) * qn_divide_up(all, vectors) *
         qn_divide_up(s->p.g.out_w, tile / rows) * (s->p.g.out_h / rows);
}

/* The best tile for blocks of fewest..most vectors that costs more than `above`; its cost.
 * Negative, and nothing is changed: there is none. */
static double choose_tile(const conv_shape *s, int32_t fewest, int32_t most_vectors, double above,
                          segment *out) {
  double best = -1;
  const qn_window *g = &s->p.g;
  for (int32_t vectors = fewest; vectors <= most_vectors; vectors++)
    for (int32_t tile = 1; tile <= qn_least(MOST_TILE, 2 * g->out_w); tile++) {
      int32_t rows = tile > g->out_w ? 2 : 1;
      if (rows == 2 && (tile != 2 * g->out_w || g->out_h % 2 != 0)) continue;
      if (vectors * tile + vectors + 2 > s->lanes.registers) break;
      double cost = cost_of(s, vectors, rows, tile);
      if (cost <= above || (best >= 0 && cost >= best)) continue;
      best = cost;
      out->vectors = vectors;
      out->rows = rows;
      out->tile = tile;
    }
  return best;
}

/* rank: so many other ways are better. */
static void plan_segments(conv_shape *s, int32_t rank) {
  int32_t all = qn_divide_up(s->p.g.out_c, s->lanes.count);
  segment *first = &s->at[0], *last = &s->at[1];
  double cost = choose_tile(s, 1, qn_least(all, MOST_VECTORS), 0, first);
  while (cost >= 0 && rank-- > 0)
    cost = choose_tile(s, 1, qn_least(all, MOST_VECTORS), cost, first);
  first->blocks = all / first->vectors;
  s->segment_count = 1;
  int32_t rest = all % first->vectors;
  if (rest == 0) return;
  choose_tile(s, rest, rest, 0, last);
  last->blocks = 1;
  last->first_byte = first->blocks * block_bytes(s, first->vectors);
  s->segment_count = 2;
}

/* ------------------------------------------------------------------ constants */

static float *pack_block(const conv_shape *s, const float *w, const float *bias, int32_t vectors,
                         int32_t first_channel, float *to) {
  int32_t channels = vectors * s->lanes.count, elems = window_elems(s);
  for (int32_t k = -s->has_bias; k < elems; k++)
    for (int32_t i = 0; i < channels; i++) {
      int32_t o = first_channel + i;
      *to++ = o >= s->p.g.out_c ? 0 : k < 0 ? bias[o] : w[(int64_t)o * elems + k];
    }
  return to;
}

static void pack(const conv_shape *s, const float *w, const float *bias, float *to) {
  int32_t channel = 0;
  for (int32_t i = 0; i < s->segment_count; i++)
    for (int32_t j = 0; j < s->at[i].blocks; j++) {
      to = pack_block(s, w, bias, s->at[i].vectors, channel, to);
      channel += s->at[i].vectors * s->lanes.count;
    }
}

bool qn_take_conv2d_tiles(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_conv_f32_params params;
  memcpy(&params, call->params, sizeof params);
  const float *w = qn_constant(u, call->in[1]), *bias = qn_constant(u, call->in[2]);
  if (params.g.groups != 1 || qn_constant(u, call->in[0]) || !w || (call->in[2] && !bias))
    return false;
  conv_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  s->lanes = qn_float_lanes(u);
  while (s->lanes.count > 4 && s->lanes.count / 2 >= params.g.out_c) s->lanes.count /= 2;
  s->low = params.low;
  s->high = params.high;
  s->has_bias = bias != NULL;
  if (!qn_pad_window(&params.g, &s->p)) return false;
  int64_t all = qn_divide_up(s->p.g.out_c, s->lanes.count);
  int64_t bytes = all * s->lanes.count * 4 * (window_elems(s) + (int64_t)s->has_bias);
  if (bytes > INT32_MAX / 2) return false;
  s->copied = !qn_is_unpadded(&s->p);
  plan_segments(s, job->alternative);
  float *constants = qn_alloc(&u->m->arena, (size_t)bytes);
  pack(s, w, bias, constants);
  job->alternatives = MOST_RANK;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = constants;
  job->constant_bytes = bytes;
  job->scratch_bytes = s->copied ? 4 * qn_padded_elems(&s->p) : 0;
  return true;
}

/* ------------------------------------------------------------------ code */

typedef struct {
  qn_build *b;
  const conv_shape *s;
  const segment *at;
  LLVMValueRef sum[MOST_VECTORS * MOST_TILE]; /* [pixel][vector] */
} tile;

/* Bytes from the tile's first pixel to another, where pixels and rows are so far apart. */
static int64_t pixel_offset(const tile *t, int32_t i, int64_t pixel_bytes, int64_t row_bytes) {
  int32_t columns = t->at->tile / t->at->rows;
  return i / columns * row_bytes + i % columns * pixel_bytes;
}

static int32_t vector_bytes(const tile *t) { return 4 * t->s->lanes.count; }

/* One element of every pixel's window times the weights of all vectors. */
static void add_element(tile *t, LLVMValueRef x, LLVMValueRef w) {
  qn_build *b = t->b;
  LLVMTypeRef vector = qn_vector(b->u->real, t->s->lanes.count);
  LLVMValueRef weights[MOST_VECTORS];
  int64_t pixel_bytes = (int64_t)4 * t->s->p.g.stride_w * t->s->p.g.in_c;
  int64_t row_bytes = (int64_t)4 * t->s->p.g.stride_h * t->s->p.row_elems;
  for (int32_t v = 0; v < t->at->vectors; v++)
    weights[v] = qn_read(b, vector, qn_at(b, w, v * vector_bytes(t)), vector_bytes(t));
  for (int32_t i = 0; i < t->at->tile; i++) {
    LLVMValueRef one =
        qn_read(b, b->u->real, qn_at(b, x, pixel_offset(t, i, pixel_bytes, row_bytes)), 4);
    LLVMValueRef all = qn_broadcast_value(b, one, t->s->lanes.count);
    for (int32_t v = 0; v < t->at->vectors; v++) {
      LLVMValueRef *sum = &t->sum[i * t->at->vectors + v];
      *sum = qn_add_product(b, t->s->lanes, *sum, all, weights[v]);
    }
  }
  qn_forget_reads(b); /* also keeps the order: all of one element, then the next */
}

static void add_run(tile *t, LLVMValueRef x, LLVMValueRef w) {
  qn_build *b = t->b;
  int32_t elems = t->s->p.run_elems, step = t->at->vectors * vector_bytes(t);
  int32_t rounds = elems / UNROLLED, count = t->at->tile * t->at->vectors;
  if (rounds > 0) {
    qn_loop l = qn_begin_loop(b, rounds, t->sum, count);
    LLVMValueRef from = qn_at_index(b, x, qn_times(b, l.index, 4 * UNROLLED));
    LLVMValueRef weights = qn_at_index(b, w, qn_times(b, l.index, (int64_t)step * UNROLLED));
    for (int32_t i = 0; i < UNROLLED; i++)
      add_element(t, qn_at(b, from, 4 * i), qn_at(b, weights, (int64_t)step * i));
    qn_end_loop(b, &l);
  }
  for (int32_t i = rounds * UNROLLED; i < elems; i++)
    add_element(t, qn_at(b, x, 4 * (int64_t)i), qn_at(b, w, (int64_t)step * i));
}

/* All runs of the window whose first element is at x. */
static void add_window(tile *t, LLVMValueRef x, LLVMValueRef w) {
  qn_build *b = t->b;
  const qn_padded *p = &t->s->p;
  int32_t count = t->at->tile * t->at->vectors;
  int64_t run_bytes = (int64_t)p->run_elems * t->at->vectors * vector_bytes(t);
  qn_loop row = qn_begin_loop(b, p->g.kernel_h, t->sum, count);
  LLVMValueRef x_row =
      qn_at_index(b, x, qn_times(b, row.index, (int64_t)4 * p->g.dilation_h * p->row_elems));
  LLVMValueRef w_row = qn_at_index(b, w, qn_times(b, row.index, p->runs_per_row * run_bytes));
  qn_loop run = qn_begin_loop(b, p->runs_per_row, t->sum, count);
  add_run(t,
          qn_at_index(b, x_row, qn_times(b, run.index, (int64_t)4 * p->g.dilation_w * p->g.in_c)),
          qn_at_index(b, w_row, qn_times(b, run.index, run_bytes)));
  qn_end_loop(b, &run);
  qn_end_loop(b, &row);
}

static void store_tile(tile *t, LLVMValueRef bias, LLVMValueRef y, int32_t channels) {
  qn_build *b = t->b;
  const conv_shape *s = t->s;
  LLVMTypeRef vector = qn_vector(b->u->real, s->lanes.count);
  int64_t pixel_bytes = (int64_t)4 * s->p.g.out_c;
  for (int32_t v = 0; v < t->at->vectors; v++) {
    int32_t count = qn_least(s->lanes.count, channels - v * s->lanes.count);
    LLVMValueRef plus = NULL;
    if (s->has_bias)
      plus = qn_read(b, vector, qn_at(b, bias, v * vector_bytes(t)), vector_bytes(t));
    for (int32_t i = 0; i < t->at->tile; i++) {
      LLVMValueRef sum = t->sum[i * t->at->vectors + v];
      if (plus) sum = LLVMBuildFAdd(b->b, sum, plus, "");
      sum = qn_clamp_lanes(b, sum, s->low, s->high);
      int64_t at =
          pixel_offset(t, i, pixel_bytes, s->p.g.out_w * pixel_bytes) + v * vector_bytes(t);
      qn_write_floats(b, sum, qn_at(b, y, at), count);
    }
  }
}

/* Blocks from..from+blocks-1 of a segment that begins at that channel; each has `channels`. */
static void emit_blocks(tile *t, int32_t first_channel, int32_t from, int32_t blocks,
                        int32_t channels, LLVMValueRef x, LLVMValueRef y, LLVMValueRef constants) {
  qn_build *b = t->b;
  const qn_padded *p = &t->s->p;
  const qn_window *g = &p->g;
  int32_t rows = t->at->rows, columns = t->at->tile / rows;
  int64_t bytes = block_bytes(t->s, t->at->vectors), step = t->at->vectors * t->s->lanes.count;
  qn_loop block = qn_begin_loop(b, blocks, NULL, 0);
  LLVMValueRef w = qn_at_index(b, qn_at(b, constants, t->at->first_byte + from * bytes),
                               qn_times(b, block.index, bytes));
  LLVMValueRef y_block = qn_at_index(b, qn_at(b, y, 4 * (first_channel + from * step)),
                                     qn_times(b, block.index, 4 * step));
  qn_loop row = qn_begin_loop(b, g->out_h / rows, NULL, 0);
  LLVMValueRef x_row =
      qn_at_index(b, x, qn_times(b, row.index, (int64_t)4 * rows * g->stride_h * p->row_elems));
  LLVMValueRef y_row =
      qn_at_index(b, y_block, qn_times(b, row.index, (int64_t)4 * rows * g->out_w * g->out_c));
  qn_loop tiles = qn_begin_loop(b, qn_divide_up(g->out_w, columns), NULL, 0);
  LLVMValueRef start = qn_tile_start(b, tiles.index, columns, g->out_w);
  for (int32_t i = 0; i < t->at->tile * t->at->vectors; i++)
    t->sum[i] = LLVMConstNull(qn_vector(b->u->real, t->s->lanes.count));
  int32_t bias_bytes = t->s->has_bias ? t->at->vectors * vector_bytes(t) : 0;
  add_window(t, qn_at_index(b, x_row, qn_times(b, start, (int64_t)4 * g->stride_w * g->in_c)),
             qn_at(b, w, bias_bytes));
  store_tile(t, w, qn_at_index(b, y_row, qn_times(b, start, (int64_t)4 * g->out_c)), channels);
  qn_end_loop(b, &tiles);
  qn_end_loop(b, &row);
  qn_end_loop(b, &block);
}

static void emit_segments(qn_build *b, const conv_shape *s, LLVMValueRef x, LLVMValueRef y,
                          LLVMValueRef constants) {
  int32_t first = 0;
  for (int32_t i = 0; i < s->segment_count; i++) {
    tile t = {.b = b, .s = s, .at = &s->at[i]};
    int32_t step = t.at->vectors * s->lanes.count;
    int32_t channels = qn_least(s->p.g.out_c - first, t.at->blocks * step), whole = channels / step;
    if (whole > 0) emit_blocks(&t, first, 0, whole, step, x, y, constants);
    if (whole < t.at->blocks)
      emit_blocks(&t, first, whole, 1, channels - whole * step, x, y, constants);
    first += t.at->blocks * step;
  }
}

/* arguments: x, y, constants, scratch if the input is copied. */
void qn_emit_conv2d_tiles(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const conv_shape *s = job->shape;
  const qn_window *g = &s->p.g;
  qn_images image = qn_begin_images(b, g, 4, arguments);
  LLVMValueRef x = image.x, y = image.y;
  if (s->copied) x = qn_pad_floats(b, &s->p, s->lanes, x, arguments[3]);
  emit_segments(b, s, x, y, arguments[2]);
  qn_end_images(b, &image);
}
