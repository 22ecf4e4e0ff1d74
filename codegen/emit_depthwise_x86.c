/* depthwise_vnni, depthwise_madd: depthwise convolutions on x86 with one result channel per input
 * channel, by lines of interleaved rows.
 *
 * For one result row, or two neighbouring ones, the input rows under the window are interleaved
 * into lines in scratch: element (column, channel) of a line is the four bytes that a lane takes,
 * of as many input rows, with padding columns at both ends. A result is then one dot product per
 * window column and line.
 *
 * Lanes are elements of a row in one of two ways:
 *   flat    (columns move by 1) elements in a row whatever their channel; weights repeat after
 *           lcm(C, lanes) elements. Nothing is wasted when C is small or odd
 *   pixels  channels of one pixel. Where they are whole groups of four vectors and lanes take four
 *           taps (ordered), lane 4i+e of vector j of a group is channel 16i + 4j + e: interleaving
 *           leaves them so, and narrowing puts them in order again
 *
 * A block is what one walk along a row computes: a few vectors whose weights stay in registers if
 * they fit, at each step for as many pixels as make four result vectors, which are packed into one.
 * Blocks that are alike are a strip. */
#include <string.h>
#include "depthwise_x86.h"

enum { MOST_ENTRIES = 8, OTHER_REGISTERS = 6 };

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

static int32_t block_channels(const qn_x86_depthwise *s, const qn_x86_strip *at) {
  return at->vectors * s->isa.lanes;
}

/* ------------------------------------------------------------------ geometry */

/* Vectors after which flat weights repeat. */
static int32_t flat_period(int32_t lanes, int32_t channels) {
  int32_t period = 1;
  while (period * lanes % channels != 0) period++;
  return period;
}

/* Flat: one block. It must be worth it, and a row as long as a step. */
static bool plan_flat(qn_x86_depthwise *s) {
  const qn_window *g = &s->g;
  int32_t lanes = s->isa.lanes, period = flat_period(lanes, g->in_c);
  if (g->stride_w != 1 || period > QN_STRIP_VECTORS) return false;
  int32_t repeats = period >= 4 ? 1 : 4 / period;
  while (repeats > 1 && repeats * period * lanes > g->out_w * g->in_c) repeats--;
  if (repeats * period * lanes > g->out_w * g->in_c) return false;
  s->flat = 1;
  s->at[s->strip_count++] =
      (qn_x86_strip){.count = 1, .vectors = period, .repeats = repeats, .channels = lanes};
  return true;
}

static bool plan_pixels(qn_x86_depthwise *s) {
  const qn_window *g = &s->g;
  int32_t lanes = s->isa.lanes, group = QN_MOST_GROUP * lanes;
  if (s->isa.taps == 4 && g->in_c % group == 0) {
    s->ordered = 1;
    s->at[s->strip_count++] = (qn_x86_strip){.count = g->in_c / group,
                                             .vectors = QN_MOST_GROUP,
                                             .repeats = 1,
                                             .channels = lanes,
                                             .width = group};
    return true;
  }
  for (int32_t first = 0; first < g->in_c;) {
    if (s->strip_count == QN_STRIPS) return false;
    int32_t vectors = g->in_c - first > lanes ? 2 : 1;
    int32_t repeats = least(4 / (vectors * s->rows), g->out_w);
    int32_t channels = least(g->in_c - first - (vectors - 1) * lanes, lanes);
    int32_t count = channels == lanes ? (g->in_c - first) / (vectors * lanes) : 1;
    s->at[s->strip_count++] = (qn_x86_strip){.count = count,
                                             .vectors = vectors,
                                             .repeats = repeats,
                                             .channels = channels,
                                             .first = first};
    first += count * vectors * lanes;
  }
  return true;
}

static bool take(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_x86_depthwise *s = qn_measure_depthwise(u, call);
  if (!s) return false;
  bool wasteful = s->g.in_c % s->isa.lanes != 0 || s->g.in_c < 2 * s->isa.lanes;
  if (!(wasteful && plan_flat(s)) && !plan_pixels(s)) return false;
  job->scratch_bytes = (int64_t)s->lines * s->line_bytes +
                       qn_round_up(s->copied * s->g.in_c, QN_MOST_VECTOR) + 2 * QN_MOST_VECTOR;
  return qn_pack_depthwise(u, call, s, job);
}

bool qn_take_depthwise_vnni(qn_unit *u, const qn_call *call, qn_job *job) {
  return take(u, call, job);
}

/* The code is the same, but for the instruction: no alternative where there is the other. */
bool qn_take_depthwise_madd(qn_unit *u, const qn_call *call, qn_job *job) {
  return !qn_can(u, QN_NEEDS_vnni) && take(u, call, job);
}

/* ------------------------------------------------------------------ lines */

typedef struct {
  qn_build *b;
  const qn_x86_depthwise *s;
  LLVMValueRef x, y, constants;
  LLVMValueRef lines, padding; /* in scratch: lines, and a row of the input's zero point */
} walk;

/* Elements that are interleaved at once. */
static int32_t interleaved(const qn_isa *isa) { return isa->taps == 4 ? qn_vector_bytes(isa) : 16; }

/* `count` bytes of each of four rows -> as many elements of a line. The double words of a row are
 * transposed first, so that what is unpacked within 128 bits comes out in order; or not. */
static void interleave_four(qn_build *b, const qn_x86_depthwise *s, LLVMValueRef *rows,
                            LLVMValueRef offset, LLVMValueRef to, int count) {
  const qn_isa *isa = &s->isa;
  int order[QN_MOST_LANES], size = qn_vector_bytes(isa), parts = isa->lanes / 4;
  LLVMValueRef row[4], four[4];
  LLVMTypeRef lanes = qn_lanes_of(b, isa), bytes = qn_vector(b->u->i8, size);
  for (int i = 0; i < isa->lanes; i++) order[i] = i % 4 * parts + i / 4;
  for (int i = 0; i < 4; i++) {
    row[i] = qn_read_bytes(b, qn_at_index(b, rows[i], offset), size, count);
    row[i] = qn_unsigned_bytes(b, s, row[i]);
    if (s->ordered) continue;
    row[i] = LLVMBuildShuffleVector(b->b, LLVMBuildBitCast(b->b, row[i], lanes, ""),
                                    LLVMGetPoison(lanes), qn_indices(b, order, isa->lanes), "");
  }
  qn_interleave_rows(b, isa, row, four);
  for (int i = 0; i < 4 && i * isa->lanes < count; i++)
    qn_write_bytes(b, LLVMBuildBitCast(b->b, four[i], bytes, ""), qn_at(b, to, i * size),
                   4 * (count - i * isa->lanes));
}

/* The same with two rows, up to 16 bytes of each: pairs of bytes, widened. */
static void interleave_two(qn_build *b, const qn_x86_depthwise *s, LLVMValueRef *rows,
                           LLVMValueRef offset, LLVMValueRef to, int count) {
  const qn_isa *isa = &s->isa;
  LLVMValueRef row[2];
  int size = qn_vector_bytes(isa), at[16];
  LLVMTypeRef words = qn_vector(LLVMInt16TypeInContext(b->u->context), 2 * isa->lanes);
  for (int i = 0; i < 2; i++) row[i] = qn_read_bytes(b, qn_at_index(b, rows[i], offset), 16, count);
  for (int first = 0; first < count; first += isa->lanes) {
    for (int i = 0; i < 2 * isa->lanes; i++) at[i] = first + i / 2 + i % 2 * 16;
    LLVMValueRef pairs =
        LLVMBuildShuffleVector(b->b, row[0], row[1], qn_indices(b, at, 2 * isa->lanes), "");
    LLVMValueRef wide = LLVMBuildSExt(b->b, pairs, words, "");
    qn_write_bytes(b, LLVMBuildBitCast(b->b, wide, qn_vector(b->u->i8, size), ""),
                   qn_at(b, to, first * 4), 4 * (count - first));
  }
}

static void interleave(walk *w, LLVMValueRef *rows, LLVMValueRef offset, LLVMValueRef to,
                       int count) {
  (w->s->isa.taps == 4 ? interleave_four : interleave_two)(w->b, w->s, rows, offset, to, count);
}

static void fill_line(walk *w, LLVMValueRef row, int32_t line) {
  qn_build *b = w->b;
  const qn_x86_depthwise *s = w->s;
  LLVMValueRef rows[4];
  for (int i = 0; i < s->isa.taps; i++)
    rows[i] = qn_depthwise_row(b, s, w->x, w->padding, row, s->isa.taps * line + i);
  int32_t some = interleaved(&s->isa), bytes = s->copied * s->g.in_c, whole = bytes / some;
  LLVMValueRef to = qn_at(b, w->lines, line * s->line_bytes + s->g.left * s->g.in_c * 4);
  if (whole > 0) {
    qn_loop l = qn_begin_loop(b, whole, NULL, 0);
    interleave(w, rows, qn_times(b, l.index, some),
               qn_at_index(b, to, qn_times(b, l.index, 4 * some)), some);
    qn_end_loop(b, &l);
  }
  if (bytes % some)
    interleave(w, rows, qn_index(b, whole * some), qn_at(b, to, (int64_t)whole * 4 * some),
               bytes % some);
}

/* `count` elements of a line, of the input's zero point. */
static void fill_elements(walk *w, LLVMValueRef line, int64_t count) {
  const qn_x86_depthwise *s = w->s;
  qn_fill_activations(w->b, &s->isa, line, s->x_zero, count * s->isa.taps);
}

/* What no row changes. Writes of up to 63 bytes too many are made good by later ones. */
static void fill_padding(walk *w) {
  qn_build *b = w->b;
  const qn_x86_depthwise *s = w->s;
  int32_t c = s->g.in_c, right = s->columns - s->g.left - s->copied;
  for (int32_t i = 0; i < s->lines; i++) {
    LLVMValueRef line = qn_at(b, w->lines, i * s->line_bytes);
    if (s->g.left > 0) fill_elements(w, line, (int64_t)s->g.left * c);
    if (right > 0)
      fill_elements(w, qn_at(b, line, (s->g.left + s->copied) * c * 4), (int64_t)right * c);
  }
  qn_fill(b, &s->isa, w->padding, qn_stored_zero(s), (int64_t)s->copied * c);
}

/* ------------------------------------------------------------------ blocks */

/* A block's constants: loaded once where registers suffice, else where they are used. */
typedef struct {
  LLVMValueRef address;
  LLVMValueRef loaded[QN_STRIP_VECTORS * 64];
  bool resident;
} weights;

static LLVMValueRef tap(walk *w, weights *k, int32_t vector, int32_t index) {
  const qn_isa *isa = &w->s->isa;
  if (k->resident) return k->loaded[vector * qn_depthwise_taps(w->s) + index];
  int32_t bytes = qn_vector_bytes(isa),
          offset = vector * qn_depthwise_vector_bytes(w->s) + (3 + index) * bytes;
  return qn_read(w->b, qn_lanes_of(w->b, isa), qn_at(w->b, k->address, offset), bytes);
}

static void load_weights(walk *w, const qn_x86_strip *at, LLVMValueRef address, weights *k) {
  int32_t taps = qn_depthwise_taps(w->s);
  bool fit = taps * at->vectors <= w->s->isa.registers - OTHER_REGISTERS;
  k->address = address;
  k->resident = false;
  for (int32_t v = 0; v < at->vectors && fit; v++)
    for (int32_t i = 0; i < taps; i++) k->loaded[v * taps + i] = tap(w, k, v, i);
  k->resident = fit;
}

/* The first element of entry e of a step, in the line and in the result row, from where the step
 * starts. */
static int32_t line_offset(const walk *w, const qn_x86_strip *at, int32_t e) {
  int32_t lanes = w->s->isa.lanes;
  if (w->s->flat) return e * lanes;
  return e / at->vectors * w->s->g.stride_w * w->s->g.in_c + e % at->vectors * lanes;
}

static int32_t result_offset(const walk *w, const qn_x86_strip *at, int32_t e) {
  int32_t lanes = w->s->isa.lanes;
  if (w->s->flat) return e * lanes;
  return e / at->vectors * w->s->g.in_c + e % at->vectors * lanes;
}

/* Sums of entry e, one for each result row, rescaled. */
static void sum_entry(walk *w, const qn_x86_strip *at, weights *k, LLVMValueRef line, int32_t e,
                      LLVMValueRef *out) {
  qn_build *b = w->b;
  const qn_x86_depthwise *s = w->s;
  int32_t v = e % at->vectors, columns = s->g.kernel_w;
  LLVMValueRef numbers = qn_at(b, k->address, v * qn_depthwise_vector_bytes(s));
  int32_t bytes = qn_vector_bytes(&s->isa);
  LLVMTypeRef lanes = qn_lanes_of(b, &s->isa);
  LLVMValueRef bias = qn_read(b, lanes, numbers, bytes);
  for (int32_t r = 0; r < s->rows; r++) out[r] = bias;
  for (int32_t i = 0; i < s->lines * columns; i++) {
    int32_t element = line_offset(w, at, e) + i % columns * s->g.dilation_w * s->g.in_c;
    LLVMValueRef from = qn_at(b, line, i / columns * s->line_bytes + element * 4);
    LLVMValueRef four = qn_read(b, lanes, from, 4);
    for (int32_t r = 0; r < s->rows; r++)
      out[r] = qn_dot(b, &s->isa, out[r], four, tap(w, k, v, r * s->lines * columns + i));
  }
  for (int32_t r = 0; r < s->rows; r++)
    out[r] = qn_rescale_lanes(b, &s->isa, (qn_rescale)at->form[v], &s->clamping, out[r],
                              qn_at(b, numbers, bytes), qn_at(b, numbers, 2 * bytes));
}

/* One result vector: where its bytes go, and how many they are. */
typedef struct {
  LLVMValueRef value;
  int32_t offset, bytes;
} result;

/* Up to four vectors; those whose bytes follow each other are stored as one. */
static void store_results(walk *w, LLVMValueRef y, const result *results, int32_t count) {
  LLVMValueRef four[4];
  for (int32_t i = 0; i < count; i++) four[i] = results[i].value;
  int32_t lanes = w->s->isa.lanes;
  LLVMValueRef bytes = qn_narrow(w->b, &w->s->isa, &w->s->clamping, four, count, w->s->ordered);
  for (int32_t first = 0, end; first < count; first = end) {
    int32_t size = results[first].bytes;
    for (end = first + 1; end < count && size == (end - first) * lanes &&
                          results[end].offset == results[first].offset + size;
         end++)
      size += results[end].bytes;
    qn_store_part(w->b, &w->s->isa, bytes, first, qn_at(w->b, y, results[first].offset), size);
  }
}

/* Elements per step and row: how far it goes in the line, and in the result. */
static void emit_step(walk *w, const qn_x86_strip *at, weights *k, LLVMValueRef line,
                      LLVMValueRef y) {
  const qn_x86_depthwise *s = w->s;
  result results[2 * MOST_ENTRIES];
  int32_t entries = at->vectors * at->repeats;
  for (int32_t e = 0; e < entries; e++) {
    LLVMValueRef sums[2];
    sum_entry(w, at, k, line, e, sums);
    bool last = e % at->vectors == at->vectors - 1;
    for (int32_t r = 0; r < s->rows; r++)
      results[r * entries + e] =
          (result){sums[r], r * s->g.out_w * s->g.in_c + result_offset(w, at, e),
                   last ? at->channels : s->isa.lanes};
  }
  for (int32_t first = 0; first < entries * s->rows; first += 4)
    store_results(w, y, &results[first], least(4, entries * s->rows - first));
}

/* y: the first of the result rows. */
static void emit_strip(walk *w, const qn_x86_strip *at, LLVMValueRef y) {
  qn_build *b = w->b;
  const qn_x86_depthwise *s = w->s;
  int32_t c = s->g.in_c, channels = block_channels(s, at);
  /* pixels that a step covers; flat steps are whole pixels too */
  int32_t step = s->flat ? channels * at->repeats / c : at->repeats;
  qn_loop block = qn_begin_loop(b, at->count, NULL, 0);
  LLVMValueRef constants =
      qn_at_index(b, qn_at(b, w->constants, at->first_byte),
                  qn_times(b, block.index, at->vectors * qn_depthwise_vector_bytes(s)));
  LLVMValueRef first = qn_times(b, block.index, channels);
  LLVMValueRef line = qn_at_index(b, qn_at(b, w->lines, at->first * 4), qn_times(b, first, 4));
  LLVMValueRef y_block = qn_at_index(b, qn_at(b, y, at->first), first);
  weights k;
  load_weights(w, at, constants, &k);
  qn_stay_awake(b);
  qn_loop l = qn_begin_loop(b, (s->g.out_w + step - 1) / step, NULL, 0);
  LLVMValueRef pixel = qn_tile_start(b, l.index, step, s->g.out_w);
  emit_step(w, at, &k, qn_at_index(b, line, qn_times(b, pixel, s->g.stride_w * c * 4)),
            qn_at_index(b, y_block, qn_times(b, pixel, c)));
  qn_end_loop(b, &l);
  qn_end_loop(b, &block);
}

/* arguments: x, y, constants, scratch. */
static void emit(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_x86_depthwise here, *s = &here;
  const qn_window *g = &s->g;
  memcpy(s, job->shape, sizeof *s);
  s->clamping.flipped = s->y.flipped;
  walk w = {.b = b, .s = s, .constants = arguments[2], .lines = arguments[3]};
  w.padding = qn_at(b, arguments[3], (int64_t)s->lines * s->line_bytes + QN_MOST_VECTOR);
  fill_padding(&w);
  qn_images image = qn_begin_images(b, g, 1, arguments);
  w.x = image.x;
  w.y = image.y;
  qn_loop l = qn_begin_loop(b, (g->out_h + s->rows - 1) / s->rows, NULL, 0);
  LLVMValueRef row = qn_tile_start(b, l.index, s->rows, g->out_h);
  for (int32_t i = 0; i < s->lines; i++) fill_line(&w, row, i);
  LLVMValueRef y = qn_at_index(b, w.y, qn_times(b, row, (int64_t)g->out_w * g->in_c));
  for (int32_t i = 0; i < s->strip_count; i++) emit_strip(&w, &s->at[i], y);
  qn_end_loop(b, &l);
  qn_end_images(b, &image);
}

void qn_emit_depthwise_vnni(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments);
}

void qn_emit_depthwise_madd(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments);
}
