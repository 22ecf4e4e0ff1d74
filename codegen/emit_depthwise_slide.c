/* depthwise_slide: depthwise convolutions on x86 with AVX-512, without lines in memory: interleaved
 * columns slide through registers.
 *
 * A strip is up to 64 channels, `width` lanes of them; 64 / width neighbouring result pixels are a
 * block, and one vector of bytes. Seen from a window column, the input of a block is 64 bytes of
 * each input row: of pixels that lie as far apart as windows move. With windows that move by 2,
 * columns make two streams of such blocks, the even and the odd ones; with 1 they are one stream.
 * Four rows of a block interleaved are four vectors (depthwise_x86.h), and what a window column
 * further right needs is the same vectors of a later block, or of two neighbouring blocks shifted
 * by so many times 128 bits: a window column is so many times 4 lanes.
 *
 * A walk along a row keeps the blocks that the next step needs too, and interleaves one new block
 * of each stream per step. Blocks that reach beyond the row's ends have the input's zero point
 * there; they are steps of their own in front of the loop and behind. */
#include <string.h>
#include "depthwise_x86.h"

enum {
  BLOCK = 64, /* bytes of a row */
  PARTS = 4,  /* of 128 bits in a vector */
  MOST_STREAMS = 2,
  MOST_KEPT = 4,       /* blocks that interleaved columns take */
  MOST_SINGLE = 8,     /* steps that are not in the loop */
  UNROLLED = 2,        /* steps in the loop: of columns kept, fewer are moved */
  MOST_ASLEEP = 8,     /* rounds of the loop in which AMX stays awake */
  OTHER_REGISTERS = 7, /* than weights and blocks: a few fewer, and blocks are spilled */
};

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

/* ------------------------------------------------------------------ geometry */

static int32_t pixels_of(const qn_x86_strip *at) { return BLOCK / at->width; }

static int32_t stream_of(const qn_x86_depthwise *s, int32_t kx) {
  return kx * s->g.dilation_w % s->g.stride_w;
}

/* Lanes by which column kx of the window is further right in its stream. */
static int32_t shift_of(const qn_x86_depthwise *s, const qn_x86_strip *at, int32_t kx) {
  return kx * s->g.dilation_w / s->g.stride_w * at->width;
}

/* How many blocks a step needs behind the first of the stream; -1: it is not used. */
static int32_t depth_of(const qn_x86_depthwise *s, const qn_x86_strip *at, int32_t stream) {
  int32_t depth = -1;
  for (int32_t kx = 0; kx < s->g.kernel_w; kx++)
    if (stream_of(s, kx) == stream) depth = qn_divide_up(shift_of(s, at, kx), BLOCK);
  return depth;
}

/* Column of the input that pixel `pixel` of the block begins with. */
static int32_t column_of(const qn_x86_depthwise *s, const qn_x86_strip *at, int32_t stream,
                         int32_t block, int32_t pixel) {
  return (block * pixels_of(at) + pixel) * s->g.stride_w + stream - s->g.left;
}

/* The block, and the columns between its pixels, are columns of the input. */
static bool is_inside(const qn_x86_depthwise *s, const qn_x86_strip *at, int32_t stream,
                      int32_t block) {
  int32_t first = column_of(s, at, stream, block, 0) - stream;
  return first >= 0 && first + pixels_of(at) * s->g.stride_w <= s->g.in_w;
}

static int32_t step_count(const qn_x86_depthwise *s, const qn_x86_strip *at) {
  return qn_divide_up(s->g.out_w, pixels_of(at));
}

/* Nothing that step number `step` reads for the first time, or writes, is beyond the row. */
static bool is_regular(const qn_x86_depthwise *s, const qn_x86_strip *at, int32_t step) {
  for (int32_t i = 0; i < s->g.stride_w; i++) {
    int32_t depth = depth_of(s, at, i);
    if (depth >= 0 && !is_inside(s, at, i, step + depth)) return false;
  }
  return (step + 1) * pixels_of(at) <= s->g.out_w;
}

/* The steps of the loop: from *out_first on, so many. */
static int32_t regular_steps(const qn_x86_depthwise *s, const qn_x86_strip *at,
                             int32_t *out_first) {
  int32_t steps = step_count(s, at), first = 0, count = 0;
  while (first < steps && !is_regular(s, at, first)) first++;
  while (first + count < steps && is_regular(s, at, first + count)) count++;
  *out_first = first;
  return count;
}

/* The widest of those that need the fewest steps. */
static int32_t choose_width(const qn_x86_depthwise *s, int32_t channels) {
  if (s->g.in_c == 8) return 8;
  int32_t width = BLOCK;
  for (int32_t w = BLOCK / 2; w >= 16 && w >= channels; w /= 2) {
    if (qn_divide_up(s->g.out_w, BLOCK / w) < qn_divide_up(s->g.out_w, BLOCK / width)) width = w;
  }
  return width;
}

static void plan_strips(qn_x86_depthwise *s) {
  int32_t c = s->g.in_c, whole = c / BLOCK, rest = c % BLOCK;
  qn_x86_strip strip = {.vectors = QN_MOST_GROUP, .repeats = 1, .channels = BLOCK, .width = BLOCK};
  s->ordered = 1;
  strip.count = whole;
  if (whole > 0) s->at[s->strip_count++] = strip;
  strip = (qn_x86_strip){.count = 1,
                         .vectors = QN_MOST_GROUP,
                         .repeats = 1,
                         .channels = rest,
                         .width = choose_width(s, rest),
                         .first = whole * BLOCK};
  if (rest > 0) s->at[s->strip_count++] = strip;
}

/* Registers suffice for it, and few steps are single ones. */
static bool suits(const qn_x86_depthwise *s, const qn_x86_strip *at) {
  int32_t kept = 0, first, steps = step_count(s, at);
  for (int32_t i = 0; i < s->g.stride_w; i++) kept += depth_of(s, at, i) + 1;
  return kept <= MOST_KEPT && steps - regular_steps(s, at, &first) <= MOST_SINGLE;
}

bool qn_take_depthwise_slide(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_x86_depthwise *s = qn_measure_depthwise(u, call);
  if (!s || s->lines != 1 || s->g.stride_w > MOST_STREAMS || s->g.in_c < 8) return false;
  plan_strips(s);
  int64_t lanes = 0;
  for (int32_t i = 0; i < s->strip_count; i++) {
    if (!suits(s, &s->at[i])) return false;
    lanes += (int64_t)BLOCK * s->at[i].count * step_count(s, &s->at[i]);
  }
  /* lanes without a channel, or beyond the row, cost more than lines in memory */
  if (lanes * 2 > (int64_t)s->g.in_c * s->g.out_w * 3) return false;
  job->scratch_bytes = ((int64_t)s->g.in_w * s->g.in_c + 2 * BLOCK) / BLOCK * BLOCK;
  return qn_pack_depthwise(u, call, s, job);
}

/* ------------------------------------------------------------------ blocks */

typedef LLVMValueRef block[QN_MOST_GROUP]; /* four rows, interleaved */

typedef struct {
  qn_build *b;
  const qn_x86_depthwise *s;
  const qn_x86_strip *at;
  LLVMValueRef rows[4];   /* of the input, from the strip's first channel on; NULL: weights are 0 */
  LLVMValueRef y;         /* result rows, likewise */
  LLVMValueRef constants; /* of the strip's block */
  LLVMValueRef resident[QN_MOST_GROUP * 64]; /* weights, [tap][vector], or NULL */
  block kept[MOST_STREAMS][MOST_KEPT];
} walk;

/* Vectors of equal size, a power of two of them, one behind the other. */
static LLVMValueRef join(qn_build *b, LLVMValueRef *parts, int count) {
  for (; count > 1; count /= 2)
    for (int i = 0; i < count / 2; i++) {
      int at[BLOCK], size = 2 * (int)LLVMGetVectorSize(LLVMTypeOf(parts[2 * i]));
      for (int k = 0; k < size; k++) at[k] = k;
      parts[i] =
          LLVMBuildShuffleVector(b->b, parts[2 * i], parts[2 * i + 1], qn_indices(b, at, size), "");
    }
  return parts[0];
}

/* Pixels that lie side by side, or every other one: two loads and a shuffle. */
static LLVMValueRef read_row(walk *w, LLVMValueRef from, int32_t stream) {
  qn_build *b = w->b;
  if (w->s->g.stride_w == 1) return qn_read_bytes(b, from, BLOCK, BLOCK);
  int at[BLOCK], width = w->at->width;
  for (int i = 0; i < BLOCK; i++) at[i] = (i / width * 2 + stream) * width + i % width;
  from = qn_at(b, from, -(int64_t)stream * width);
  return LLVMBuildShuffleVector(b->b, qn_read_bytes(b, from, BLOCK, BLOCK),
                                qn_read_bytes(b, qn_at(b, from, BLOCK), BLOCK, BLOCK),
                                qn_indices(b, at, BLOCK), "");
}

/* 64 bytes of a row, as dot products want them; column: of the first pixel, when the block may
 * reach beyond the row and `from` is the row's start. */
static LLVMValueRef read_pixels(walk *w, LLVMValueRef from, int32_t stream, const int32_t *column) {
  qn_build *b = w->b;
  const qn_window *g = &w->s->g;
  int32_t width = w->at->width, count = pixels_of(w->at);
  LLVMValueRef parts[BLOCK], bytes;
  if (!column && count > 1 && g->in_c == width) {
    bytes = read_row(w, from, stream);
  } else {
    for (int32_t i = 0; i < count; i++) {
      int32_t at = i * g->stride_w + (column ? *column : 0);
      if (column && (at < 0 || at >= g->in_w))
        parts[i] = qn_splat_i8(b, qn_stored_zero(w->s), width);
      else
        parts[i] = qn_read_bytes(b, qn_at(b, from, (int64_t)at * g->in_c), width, w->at->channels);
    }
    bytes = join(b, parts, count);
  }
  return qn_unsigned_bytes(b, w->s, bytes);
}

/* Block number `index` of the stream, and `further` bytes behind. */
static void read_block(walk *w, int32_t stream, int32_t index, LLVMValueRef further,
                       LLVMValueRef *out) {
  qn_build *b = w->b;
  LLVMValueRef bytes[4];
  int32_t column = column_of(w->s, w->at, stream, index, 0);
  bool inside = is_inside(w->s, w->at, stream, index);
  for (int i = 0; i < 4; i++) {
    LLVMValueRef from = w->rows[i];
    if (from && inside) from = qn_at(b, from, (int64_t)column * w->s->g.in_c);
    if (from && further) from = qn_at_index(b, from, further);
    bytes[i] = from ? read_pixels(w, from, stream, inside ? NULL : &column)
                    : LLVMConstNull(qn_vector(b->u->i8, BLOCK));
  }
  qn_interleave_rows(b, &w->s->isa, bytes, out);
}

/* What lanes of vector `vector` see in column kx of the window. */
static LLVMValueRef window_column(walk *w, int32_t kx, int32_t vector) {
  qn_build *b = w->b;
  int32_t fours = vector + shift_of(w->s, w->at, kx) / 4, part = fours / QN_MOST_GROUP;
  block *from = &w->kept[stream_of(w->s, kx)][part / PARTS];
  int32_t same = fours % QN_MOST_GROUP, by = part % PARTS * 2;
  LLVMTypeRef words = qn_vector(LLVMInt64TypeInContext(b->u->context), 2 * PARTS),
              lanes = qn_lanes_of(b, &w->s->isa);
  if (by == 0) return LLVMBuildBitCast(b->b, from[0][same], lanes, "");
  int at[2 * PARTS];
  for (int i = 0; i < 2 * PARTS; i++) at[i] = i + by;
  LLVMValueRef shifted = LLVMBuildShuffleVector(
      b->b, LLVMBuildBitCast(b->b, from[0][same], words, ""),
      LLVMBuildBitCast(b->b, from[1][same], words, ""), qn_indices(b, at, 2 * PARTS), "");
  return LLVMBuildBitCast(b->b, shifted, lanes, "");
}

/* ------------------------------------------------------------------ steps */

static LLVMValueRef tap(walk *w, int32_t vector, int32_t index) {
  LLVMValueRef kept = w->resident[index * QN_MOST_GROUP + vector];
  int32_t offset = vector * qn_depthwise_vector_bytes(w->s) + (3 + index) * BLOCK;
  return kept ? kept
              : qn_read(w->b, qn_lanes_of(w->b, &w->s->isa), qn_at(w->b, w->constants, offset),
                        BLOCK);
}

/* As many weights as registers are left for. */
static void load_weights(walk *w) {
  int32_t kept = 0, taps = qn_depthwise_taps(w->s);
  for (int32_t i = 0; i < w->s->g.stride_w; i++) kept += depth_of(w->s, w->at, i) + 1;
  int32_t most = w->s->isa.registers - kept * QN_MOST_GROUP - OTHER_REGISTERS;
  for (int32_t i = 0; i < taps * QN_MOST_GROUP; i++) w->resident[i] = NULL;
  for (int32_t i = 0; i < least(most, taps * QN_MOST_GROUP); i++)
    w->resident[i] = tap(w, i % QN_MOST_GROUP, i / QN_MOST_GROUP);
}

/* Sums of a vector, one for each result row, rescaled. */
static void sum_vector(walk *w, int32_t vector, LLVMValueRef *out) {
  qn_build *b = w->b;
  const qn_x86_depthwise *s = w->s;
  LLVMValueRef numbers = qn_at(b, w->constants, vector * qn_depthwise_vector_bytes(s));
  LLVMValueRef bias = qn_read(b, qn_lanes_of(b, &s->isa), numbers, BLOCK);
  for (int32_t r = 0; r < s->rows; r++) out[r] = bias;
  for (int32_t kx = 0; kx < s->g.kernel_w; kx++) {
    LLVMValueRef x = window_column(w, kx, vector);
    for (int32_t r = 0; r < s->rows; r++)
      out[r] = qn_dot(b, &s->isa, out[r], x, tap(w, vector, r * s->g.kernel_w + kx));
  }
  for (int32_t r = 0; r < s->rows; r++)
    out[r] = qn_rescale_lanes(b, &s->isa, (qn_rescale)w->at->form[vector], &s->clamping, out[r],
                              qn_at(b, numbers, BLOCK), qn_at(b, numbers, 2 * BLOCK));
}

static void store_pixels(walk *w, const LLVMValueRef *four, LLVMValueRef y, int32_t pixels) {
  const qn_isa *isa = &w->s->isa;
  int32_t width = w->at->width;
  LLVMValueRef bytes = qn_narrow(w->b, isa, &w->s->clamping, four, QN_MOST_GROUP, true);
  if (width == w->s->g.in_c) {
    qn_store_part(w->b, isa, bytes, 0, y, pixels * width);
    return;
  }
  for (int32_t i = 0; i < pixels; i++)
    qn_store_part(w->b, isa, bytes, i * width / isa->lanes,
                  qn_at(w->b, y, (int64_t)i * w->s->g.in_c), w->at->channels);
}

/* Reads the step's new blocks, stores its pixels, and leaves in w->kept what the next one needs.
 * offset: pixels that it is further right than step number `step`. */
static void emit_step(walk *w, int32_t step, LLVMValueRef offset) {
  qn_build *b = w->b;
  const qn_x86_depthwise *s = w->s;
  const qn_window *g = &s->g;
  int32_t first = step * pixels_of(w->at);
  LLVMValueRef y = qn_at(b, w->y, (int64_t)first * g->in_c), x = NULL;
  LLVMValueRef four[2][QN_MOST_GROUP];
  if (offset) {
    y = qn_at_index(b, y, qn_times(b, offset, g->in_c));
    x = qn_times(b, offset, (int64_t)g->stride_w * g->in_c);
  }
  for (int32_t i = 0; i < g->stride_w; i++) {
    int32_t depth = depth_of(s, w->at, i);
    if (depth >= 0) read_block(w, i, step + depth, x, w->kept[i][depth]);
  }
  for (int32_t v = 0; v < QN_MOST_GROUP; v++) {
    LLVMValueRef sums[2];
    sum_vector(w, v, sums);
    for (int32_t r = 0; r < s->rows; r++) four[r][v] = sums[r];
  }
  for (int32_t r = 0; r < s->rows; r++)
    store_pixels(w, four[r], qn_at(b, y, (int64_t)r * g->out_w * g->in_c),
                 least(pixels_of(w->at), g->out_w - first));
  for (int32_t i = 0; i < g->stride_w; i++)
    for (int32_t k = 0; k < depth_of(s, w->at, i); k++)
      for (int32_t v = 0; v < QN_MOST_GROUP; v++) w->kept[i][k][v] = w->kept[i][k + 1][v];
}

/* Copies the vectors that a step leaves to the next, or takes them back. */
static int32_t carry(walk *w, LLVMValueRef *carried, bool back) {
  int32_t count = 0;
  for (int32_t i = 0; i < w->s->g.stride_w; i++)
    for (int32_t k = 0; k < depth_of(w->s, w->at, i); k++)
      for (int32_t v = 0; v < QN_MOST_GROUP; v++, count++) {
        if (back)
          w->kept[i][k][v] = carried[count];
        else
          carried[count] = w->kept[i][k][v];
      }
  return count;
}

/* One walk along the row. */
static void emit_walk(walk *w) {
  qn_build *b = w->b;
  const qn_x86_depthwise *s = w->s;
  int32_t first, steps = step_count(s, w->at), regular = regular_steps(s, w->at, &first);
  int32_t unrolled = regular >= UNROLLED ? UNROLLED : 1, rounds = regular / unrolled;
  qn_stay_awake(b);
  load_weights(w);
  for (int32_t i = 0; i < s->g.stride_w; i++)
    for (int32_t k = 0; k < depth_of(s, w->at, i); k++) read_block(w, i, k, NULL, w->kept[i][k]);
  for (int32_t i = 0; i < first; i++) emit_step(w, i, NULL);
  if (rounds > 0) {
    LLVMValueRef carried[MOST_STREAMS * MOST_KEPT * QN_MOST_GROUP];
    int32_t count = carry(w, carried, false);
    qn_loop l = qn_begin_loop(b, rounds, carried, count);
    carry(w, carried, true);
    if (rounds > MOST_ASLEEP) qn_stay_awake(b);
    LLVMValueRef pixel = qn_times(b, l.index, (int64_t)unrolled * pixels_of(w->at));
    for (int32_t i = 0; i < unrolled; i++) emit_step(w, first + i, pixel);
    carry(w, carried, false);
    qn_end_loop(b, &l);
    carry(w, carried, true);
  }
  for (int32_t i = first + rounds * unrolled; i < steps; i++) emit_step(w, i, NULL);
}

/* x: input rows under a result row; y: the result row. */
static void emit_strip(walk *w, const qn_x86_strip *at, const LLVMValueRef *x, LLVMValueRef y,
                       LLVMValueRef constants) {
  qn_build *b = w->b;
  w->at = at;
  qn_loop l = qn_begin_loop(b, at->count, NULL, 0);
  LLVMValueRef channel = qn_times(b, l.index, at->width);
  for (int i = 0; i < 4; i++)
    w->rows[i] = x[i] ? qn_at(b, qn_at_index(b, x[i], channel), at->first) : NULL;
  w->y = qn_at(b, qn_at_index(b, y, channel), at->first);
  w->constants = qn_at_index(b, qn_at(b, constants, at->first_byte),
                             qn_times(b, l.index, QN_MOST_GROUP * qn_depthwise_vector_bytes(w->s)));
  emit_walk(w);
  qn_end_loop(b, &l);
}

/* arguments: x, y, constants, scratch: a row of the input's zero point. */
void qn_emit_depthwise_slide(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_x86_depthwise here, *s = &here;
  const qn_window *g = &s->g;
  memcpy(s, job->shape, sizeof *s);
  s->clamping.flipped = s->y.flipped;
  walk w = {.b = b, .s = s};
  LLVMValueRef padding = arguments[3], rows[4];
  qn_fill(b, &s->isa, padding, qn_stored_zero(s), (int64_t)g->in_w * g->in_c);
  qn_images image = qn_begin_images(b, g, 1, arguments);
  LLVMValueRef x = image.x, y = image.y;
  qn_loop l = qn_begin_loop(b, (g->out_h + s->rows - 1) / s->rows, NULL, 0);
  LLVMValueRef row = qn_tile_start(b, l.index, s->rows, g->out_h);
  for (int i = 0; i < 4; i++)
    rows[i] = i < g->kernel_h + s->rows - 1 ? qn_depthwise_row(b, s, x, padding, row, i) : NULL;
  y = qn_at_index(b, y, qn_times(b, row, (int64_t)g->out_w * g->in_c));
  for (int i = 0; i < s->strip_count; i++) emit_strip(&w, &s->at[i], rows, y, arguments[2]);
  qn_end_loop(b, &l);
  qn_end_images(b, &image);
}
