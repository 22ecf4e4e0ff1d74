/* conv2d_vnni, conv2d_madd: convolutions and dense layers on x86, without im2col.
 *
 * The input is copied into scratch, as dot products want it (x86.h) and with its padding around it.
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
#include "window.h"
#include "x86.h"

enum { MOST_SEGMENTS = 32, MOST_TILE = 16, MOST_SUMS = 64, UNROLLED_STEPS = 16, ALIGN = 64 };

typedef struct {
  int32_t vectors, blocks; /* vectors per block */
  int32_t first_channel;
  int32_t form[QN_MOST_GROUP];     /* qn_rescale, of each vector */
  int32_t tile;                    /* pixels */
  int32_t first_byte, block_bytes; /* of constants */
} segment;

typedef struct {
  qn_isa isa;
  qn_padded p;
  int32_t x_zero;
  qn_clamping clamping;
  int32_t run_steps; /* of 4 bytes in a run */
  int32_t segment_count;
  segment at[MOST_SEGMENTS];
} conv_shape;

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }
static int32_t most(int32_t a, int32_t b) { return a > b ? a : b; }
static int32_t round_up_div(int32_t a, int32_t b) { return (a + b - 1) / b; }

/* ------------------------------------------------------------------ cost */

static int32_t step_count(const conv_shape *s) {
  return s->p.g.kernel_h * s->p.runs_per_row * s->run_steps;
}

/* Cycles of a row, about: dot products, and the loads and rescaling that go with them. */
static int32_t row_cost(const conv_shape *s, int32_t vectors, int32_t tile) {
  int32_t steps = step_count(s), tiles = round_up_div(s->p.g.out_w, tile);
  int32_t rescale = tile * vectors * 3 + round_up_div(tile * vectors, 4) * 5;
  int32_t hidden = s->isa.taps == 4 ? 8 : 1; /* so many sums hide a dot product's latency */
  return tiles * (steps * (2 * most(tile * vectors, hidden) + tile + vectors) + 2 * rescale);
}

/* Sums, a step's weights, activations, and a product where it is one of its own fit registers. */
static int32_t most_tile(const conv_shape *s, int32_t vectors) {
  int32_t registers = s->isa.registers - (s->isa.taps == 4 ? 2 : 1) - 1;
  return least(least((registers - vectors) / vectors, MOST_TILE), s->p.g.out_w);
}

/* Vectors of the next block when so many are left. Few registers hold most sums for two. */
static int32_t choose_vectors(const conv_shape *s, int32_t left) {
  if (s->isa.registers < 32 && s->p.g.out_w > 3) return least(left, 2);
  return left == 5 ? 3 : least(left, 4); /* 5 = 3 + 2: one vector alone is slow */
}

/* The best tile, or one that `rank` others are better than; the worst if there are not so many. */
static int32_t choose_tile(const conv_shape *s, int32_t vectors, int32_t rank) {
  bool better[MOST_TILE + 1] = {false};
  int32_t best = 1, limit = most_tile(s, vectors);
  for (int32_t left = least(rank, limit - 1); left >= 0; left--) {
    best = 0;
    for (int32_t tile = 1; tile <= limit; tile++) {
      if (better[tile]) continue;
      if (!best || row_cost(s, vectors, tile) <= row_cost(s, vectors, best)) best = tile;
    }
    better[best] = true;
  }
  return best;
}

/* ------------------------------------------------------------------ constants */

typedef struct {
  qn_unit *u;
  const qn_call *call;
  conv_shape *s;
  qn_rescaling *channels;
  unsigned char *bytes; /* of all constants */
  int32_t used, rank;   /* of tiles: choose_tile */
} packer;

/* Weight of output channel o at byte k of run number `run`. */
static int8_t weight_at(const packer *p, int32_t o, int32_t run, int32_t k) {
  const qn_window *g = &p->s->p.g;
  int32_t run_bytes = g->kernel_w / p->s->p.runs_per_row * g->in_c;
  const int8_t *w = qn_constant(p->u, p->call->in[1]);
  if (k >= run_bytes) return 0;
  return w[(int64_t)o * g->kernel_h * g->kernel_w * g->in_c + run * run_bytes + k];
}

/* What can occur in a channel's accumulators; its bias for activations instead of x - x_zero. */
static void bound_channel(packer *p, int32_t o, qn_rescaling *r, int32_t *out_bias) {
  const qn_window *g = &p->s->p.g;
  const int32_t *bias = qn_constant(p->u, p->call->in[2]);
  int32_t taps = g->kernel_h * g->kernel_w * g->in_c, zero = p->s->x_zero;
  const int8_t *w = (const int8_t *)qn_constant(p->u, p->call->in[1]) + (int64_t)o * taps;
  qn_sums sums = qn_bound_sums(w, taps, 1, zero, bias ? bias[o] : 0);
  r->acc_low = sums.low;
  r->acc_high = sums.high;
  *out_bias =
      (int32_t)(uint32_t)((bias ? bias[o] : 0) -
                          ((int64_t)zero + qn_activation_offset(&p->s->isa)) * sums.weights);
}

/* The channel of a lane of a segment's first block. */
static int32_t channel_of(const packer *p, const segment *at, int32_t vector, int32_t lane) {
  int32_t in_block =
      at->vectors == 4 ? lane / 4 * 16 + vector * 4 + lane % 4 : vector * p->s->isa.lanes + lane;
  return at->first_channel + in_block;
}

/* Bias and numbers of one block, of each vector in the form at->form[] or a later one. */
static bool pack_numbers(packer *p, segment *at) {
  const qn_isa *isa = &p->s->isa;
  int32_t lanes = at->vectors * isa->lanes;
  int32_t *bias = (int32_t *)(void *)(p->bytes + at->first_byte);
  for (int32_t v = 0; v < at->vectors; v++) {
    const qn_rescaling *lane[QN_MOST_LANES] = {NULL};
    int32_t *to = bias + v * isa->lanes;
    for (int32_t i = 0; i < isa->lanes; i++) {
      int32_t o = channel_of(p, at, v, i);
      to[i] = 0;
      if (o >= p->s->p.g.out_c) continue;
      bound_channel(p, o, &p->channels[o], &to[i]);
      lane[i] = &p->channels[o];
    }
    qn_numbers numbers;
    qn_rescale form = (qn_rescale)at->form[v];
    if (!qn_choose_rescale(isa, lane, &form, &numbers)) return false;
    at->form[v] = (int32_t)form;
    for (int32_t i = 0; i < isa->lanes; i++)
      to[i] = (int32_t)((uint32_t)to[i] + (uint32_t)numbers.shift[i]);
    memcpy(to + lanes, numbers.a, (size_t)qn_vector_bytes(isa));
    memcpy(to + 2 * lanes, numbers.b, (size_t)qn_vector_bytes(isa));
  }
  return true;
}

static int32_t numbers_bytes(const conv_shape *s, int32_t vectors) {
  return 3 * vectors * qn_vector_bytes(&s->isa);
}

static int64_t block_bytes(const conv_shape *s, int32_t vectors) {
  int64_t weights = (int64_t)vectors * step_count(s) * qn_weights_bytes(&s->isa);
  return (numbers_bytes(s, vectors) + weights + ALIGN - 1) / ALIGN * ALIGN;
}

static void pack_weights(packer *p, const segment *at) {
  const conv_shape *s = p->s;
  const qn_isa *isa = &s->isa;
  unsigned char *w = p->bytes + at->first_byte + numbers_bytes(s, at->vectors);
  for (int32_t run = 0; run < s->p.g.kernel_h * s->p.runs_per_row; run++)
    for (int32_t step = 0; step < s->run_steps; step++)
      for (int32_t v = 0; v < at->vectors; v++, w += qn_weights_bytes(isa))
        for (int32_t i = 0; i < isa->lanes * isa->taps; i++) {
          int32_t o = channel_of(p, at, v, i / isa->taps), tap = i % isa->taps;
          if (o < s->p.g.out_c)
            qn_pack_weight(isa, w, i / isa->taps, tap,
                           weight_at(p, o, run, isa->taps * step + tap));
        }
}

static bool same_form(const segment *a, const segment *b) {
  return a->vectors == b->vectors && memcmp(a->form, b->form, sizeof a->form) == 0;
}

/* A block of its own, joined to the segment before if it is like it. */
static bool add_block(packer *p, int32_t vectors, qn_rescale form) {
  conv_shape *s = p->s;
  segment last = {.vectors = vectors, .blocks = 1, .first_byte = p->used};
  last.block_bytes = (int32_t)block_bytes(s, vectors);
  const segment *before = s->segment_count > 0 ? &s->at[s->segment_count - 1] : NULL;
  if (before)
    last.first_channel = before->first_channel + before->blocks * before->vectors * s->isa.lanes;
  for (int32_t v = 0; v < vectors; v++) last.form[v] = (int32_t)form;
  if (!pack_numbers(p, &last)) return false;
  last.tile = choose_tile(s, vectors, p->rank);
  pack_weights(p, &last);
  p->used += last.block_bytes;
  if (before && same_form(before, &last)) {
    s->at[s->segment_count - 1].blocks++;
    return true;
  }
  if (s->segment_count == MOST_SEGMENTS) return false;
  s->at[s->segment_count++] = last;
  return true;
}

/* All blocks, in forms from `form` on. */
static bool add_blocks(packer *p, qn_rescale form) {
  int32_t left = round_up_div(p->s->p.g.out_c, p->s->isa.lanes);
  p->used = p->s->segment_count = 0;
  while (left > 0) {
    int32_t vectors = choose_vectors(p->s, left);
    if (!add_block(p, vectors, form)) return false;
    left -= vectors;
  }
  return true;
}

static bool take(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  if (params.g.groups != 1 || qn_constant(u, call->in[0])) return false;
  for (int i = 1; i < call->in_count; i++) {
    if (call->in[i] && !qn_constant(u, call->in[i])) return false;
  }
  conv_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  s->isa = qn_isa_of(u);
  s->x_zero = params.x_zero;
  s->clamping = (qn_clamping){params.y_zero, params.low, params.high};
  if (!qn_pad_window(&params.g, &s->p)) return false;
  s->run_steps = round_up_div(s->p.run_elems, s->isa.taps);
  packer p = {.u = u, .call = call, .s = s, .rank = job->alternative};
  /* as many as blocks of one vector would take */
  int64_t bytes = round_up_div(s->p.g.out_c, s->isa.lanes) * block_bytes(s, 1);
  if (bytes > INT32_MAX / 2) return false;
  p.bytes = qn_alloc(&u->m->arena, (size_t)bytes);
  p.channels = qn_alloc(&u->m->arena, (size_t)s->p.g.out_c * sizeof *p.channels);
  for (int32_t o = 0; o < s->p.g.out_c; o++) p.channels[o] = qn_rescaling_of(u, call, o);
  if (!add_blocks(&p, QN_RESCALE_fma) && !add_blocks(&p, QN_RESCALE_signed) &&
      !add_blocks(&p, QN_RESCALE_integer))
    return false;
  job->alternatives = most_tile(s, s->at[0].vectors) - 1;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = p.bytes;
  job->constant_bytes = p.used;
  job->scratch_bytes = qn_padded_elems(&s->p) * qn_activation_bytes(&s->isa) + 2 * QN_MOST_VECTOR;
  return true;
}

bool qn_take_conv2d_vnni(qn_unit *u, const qn_call *call, qn_job *job) {
  return take(u, call, job);
}

/* The code is the same, but for the instruction: no alternative where there is the other. */
bool qn_take_conv2d_madd(qn_unit *u, const qn_call *call, qn_job *job) {
  return !qn_can(u, QN_NEEDS_vnni) && take(u, call, job);
}

/* ------------------------------------------------------------------ tiles */

typedef struct {
  qn_build *b;
  const conv_shape *s;
  const segment *at;
  LLVMValueRef acc[MOST_SUMS]; /* [chain][pixel][vector] */
  int32_t chains;
} tile;

static LLVMValueRef *accumulator(tile *t, int32_t chain, int32_t pixel, int32_t vector) {
  return &t->acc[(chain * t->at->tile + pixel) * t->at->vectors + vector];
}

static int32_t accumulator_count(const tile *t) { return t->chains * t->at->tile * t->at->vectors; }

static void start_sums(tile *t, LLVMValueRef bias) {
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

static int32_t pixel_bytes(const conv_shape *s) {
  return s->p.g.in_c * qn_activation_bytes(&s->isa);
}

/* Four bytes of every pixel times the weights of all vectors. */
static void add_step(tile *t, LLVMValueRef x, LLVMValueRef w, int32_t step) {
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
static void add_run(tile *t, LLVMValueRef x, LLVMValueRef w, int32_t steps) {
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
static void add_window(tile *t, LLVMValueRef x, LLVMValueRef w) {
  qn_build *b = t->b;
  const conv_shape *s = t->s;
  const qn_window *g = &s->p.g;
  int32_t run_bytes = s->run_steps * t->at->vectors * qn_weights_bytes(&s->isa);
  int32_t x_row_bytes = g->dilation_h * s->p.row_elems * qn_activation_bytes(&s->isa),
          x_run_bytes = g->dilation_w * pixel_bytes(s);
  bool all_unrolled = step_count(s) <= UNROLLED_STEPS;
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
static void store_tile(tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels) {
  qn_build *b = t->b;
  const qn_isa *isa = &t->s->isa;
  int32_t vectors = t->at->vectors, together = vectors == 3 ? 1 : 4 / vectors; /* pixels */
  int32_t bytes_of = qn_vector_bytes(isa);
  LLVMValueRef a = qn_at(b, numbers, vectors * bytes_of);
  LLVMValueRef c = qn_at(b, numbers, 2 * vectors * bytes_of);
  for (int32_t i = 0; i < t->at->tile; i += together) {
    LLVMValueRef four[4];
    int32_t pixels = least(together, t->at->tile - i);
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
static void emit_blocks(tile *t, int32_t from, int32_t blocks, int32_t channels, LLVMValueRef x,
                        LLVMValueRef y, LLVMValueRef constants) {
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
      qn_at_index(b, y_block, qn_times(b, row.index, (int64_t)g->out_w * g->out_c));
  qn_loop tiles = qn_begin_loop(b, round_up_div(g->out_w, t->at->tile), NULL, 0);
  LLVMValueRef start = qn_tile_start(b, tiles.index, t->at->tile, g->out_w);
  start_sums(t, numbers);
  add_window(t, qn_at_index(b, x_row, qn_times(b, start, g->stride_w * pixel_bytes(t->s))),
             qn_at(b, numbers, numbers_bytes(t->s, t->at->vectors)));
  store_tile(t, numbers, qn_at_index(b, y_row, qn_times(b, start, g->out_c)), channels);
  qn_end_loop(b, &tiles);
  qn_end_loop(b, &row);
  qn_end_loop(b, &block);
}

static void emit_segment(qn_build *b, const conv_shape *s, const segment *at, LLVMValueRef x,
                         LLVMValueRef y, LLVMValueRef constants) {
  tile t = {.b = b, .s = s, .at = at};
  t.chains = s->isa.taps == 4 && at->tile * at->vectors <= 6 && step_count(s) > 1 ? 2 : 1;
  int32_t block_channels = at->vectors * s->isa.lanes;
  int32_t channels = least(s->p.g.out_c - at->first_channel, at->blocks * block_channels);
  int32_t whole = channels / block_channels;
  if (whole > 0) emit_blocks(&t, 0, whole, block_channels, x, y, constants);
  if (whole < at->blocks)
    emit_blocks(&t, whole, 1, channels - whole * block_channels, x, y, constants);
}

static void copy_elems(qn_build *b, const void *of, LLVMValueRef to, LLVMValueRef from,
                       int64_t elems) {
  const conv_shape *s = of;
  qn_copy_activations(b, &s->isa, to, from, elems);
}

static void fill_elems(qn_build *b, const void *of, LLVMValueRef to, int64_t elems) {
  const conv_shape *s = of;
  qn_fill_activations(b, &s->isa, to, s->x_zero, elems);
}

/* arguments: x, y, constants, scratch. */
static void emit(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const conv_shape *s = job->shape;
  const qn_window *g = &s->p.g;
  qn_loop image = qn_begin_loop(b, g->batch, NULL, 0);
  LLVMValueRef x =
      qn_at_index(b, arguments[0], qn_times(b, image.index, (int64_t)g->in_h * g->in_w * g->in_c));
  LLVMValueRef y = qn_at_index(b, arguments[1],
                               qn_times(b, image.index, (int64_t)g->out_h * g->out_w * g->out_c));
  qn_copier how = {qn_activation_bytes(&s->isa), 1, s, copy_elems, fill_elems};
  qn_emit_padded_copy(b, &s->p, &how, x, arguments[3]);
  for (int i = 0; i < s->segment_count; i++)
    emit_segment(b, s, &s->at[i], arguments[3], y, arguments[2]);
  qn_end_loop(b, &image);
}

void qn_emit_conv2d_vnni(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments);
}

void qn_emit_conv2d_madd(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments);
}
