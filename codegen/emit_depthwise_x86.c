/* depthwise_vnni, depthwise_madd: depthwise convolutions on x86 with one result channel per input
 * channel.
 *
 * A dot product takes so many taps per lane (x86.h: 4 or 2); here a lane is a channel, and the taps
 * are vertical. For one result row, or two neighbouring ones, the input rows under the window are
 * interleaved into lines in scratch: element (column, channel) of a line is the four bytes that a
 * lane takes, of as many input rows, with padding columns at both ends. Windows of up to 3 rows
 * that move by 1 give two result rows from the same four rows: with weights (w0, w1, w2, 0) and (0,
 * w0, w1, w2). A result is then one dot product per window column and line.
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
 * Blocks that are alike follow each other in a segment, which is one loop. In the constants each
 * vector of a block has: bias with corrections, the two numbers of the requantization, and weights
 * [result row][line][column]. */
#include <string.h>
#include "window.h"
#include "x86.h"

enum { MOST_BLOCK = 6, MOST_SEGMENTS = 4, MOST_ENTRIES = 8, OTHER_REGISTERS = 6 };

typedef struct {
  int32_t count;    /* of blocks */
  int32_t vectors;  /* of weights */
  int32_t repeats;  /* of them at each step */
  int32_t channels; /* pixels: that the last vector has */
  int32_t first;    /* element of a pixel (pixels) or of a row (flat: 0) */
  int32_t first_byte;
  int32_t form[MOST_BLOCK]; /* qn_rescale */
} segment;

typedef struct {
  qn_isa isa;
  qn_window g;
  int32_t x_zero;
  qn_clamping clamping;
  int32_t rows;            /* results per line: 1 or 2 */
  int32_t lines;           /* of as many input rows as a lane takes taps */
  int32_t columns, copied; /* of a line; of the input */
  int32_t line_bytes;
  int32_t flat, ordered;
  int32_t segment_count;
  segment at[MOST_SEGMENTS];
} depthwise_shape;

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }
static int32_t round_up(int32_t a, int32_t to) { return (a + to - 1) / to * to; }

/* Weight vectors per vector. */
static int32_t tap_count(const depthwise_shape *s) { return s->rows * s->lines * s->g.kernel_w; }
/* Weights are read where they are used, as often as from registers: none is widened. */
static int32_t vector_bytes(const depthwise_shape *s) {
  return (3 + tap_count(s)) * qn_vector_bytes(&s->isa);
}
static int32_t block_channels(const depthwise_shape *s, const segment *at) {
  return at->vectors * s->isa.lanes;
}

/* ------------------------------------------------------------------ geometry */

static bool measure(depthwise_shape *s) {
  const qn_window *g = &s->g;
  bool two = g->kernel_h <= 3 && g->stride_h == 1 && g->dilation_h == 1 && g->out_h >= 2;
  s->rows = two ? 2 : 1;
  s->lines = (g->kernel_h + s->rows - 1 + s->isa.taps - 1) / s->isa.taps;
  s->columns = (g->out_w - 1) * g->stride_w + (g->kernel_w - 1) * g->dilation_w + 1;
  if (g->left < 0 || g->left >= s->columns || tap_count(s) > 64) return false;
  s->copied = least(g->in_w, s->columns - g->left);
  if ((int64_t)s->columns * g->in_c > INT32_MAX / 16 / s->lines) return false;
  s->line_bytes = round_up(s->columns * g->in_c * 4, QN_MOST_VECTOR) + QN_MOST_VECTOR;
  return true;
}

/* Vectors after which flat weights repeat. */
static int32_t flat_period(int32_t lanes, int32_t channels) {
  int32_t period = 1;
  while (period * lanes % channels != 0) period++;
  return period;
}

/* Flat: one block. It must be worth it, and a row as long as a step. */
static bool plan_flat(depthwise_shape *s) {
  const qn_window *g = &s->g;
  int32_t lanes = s->isa.lanes, period = flat_period(lanes, g->in_c);
  if (g->stride_w != 1 || period > MOST_BLOCK) return false;
  int32_t repeats = period >= 4 ? 1 : 4 / period;
  while (repeats > 1 && repeats * period * lanes > g->out_w * g->in_c) repeats--;
  if (repeats * period * lanes > g->out_w * g->in_c) return false;
  s->flat = 1;
  s->at[s->segment_count++] =
      (segment){.count = 1, .vectors = period, .repeats = repeats, .channels = lanes};
  return true;
}

static bool plan_pixels(depthwise_shape *s) {
  const qn_window *g = &s->g;
  int32_t lanes = s->isa.lanes, group = QN_MOST_GROUP * lanes;
  if (s->isa.taps == 4 && g->in_c % group == 0) {
    s->ordered = 1;
    s->at[s->segment_count++] = (segment){
        .count = g->in_c / group, .vectors = QN_MOST_GROUP, .repeats = 1, .channels = lanes};
    return true;
  }
  for (int32_t first = 0; first < g->in_c;) {
    if (s->segment_count == MOST_SEGMENTS) return false;
    int32_t vectors = g->in_c - first > lanes ? 2 : 1;
    int32_t repeats = least(4 / (vectors * s->rows), g->out_w);
    int32_t channels = least(g->in_c - first - (vectors - 1) * lanes, lanes);
    int32_t count = channels == lanes ? (g->in_c - first) / (vectors * lanes) : 1;
    s->at[s->segment_count++] = (segment){.count = count,
                                          .vectors = vectors,
                                          .repeats = repeats,
                                          .channels = channels,
                                          .first = first};
    first += count * vectors * lanes;
  }
  return true;
}

/* ------------------------------------------------------------------ constants */

typedef struct {
  qn_unit *u;
  const qn_call *call;
  depthwise_shape *s;
  unsigned char *bytes;
  qn_rescaling *channels;
  int32_t *bias; /* with corrections */
} packer;

static int8_t weight_of(const packer *p, int32_t ky, int32_t kx, int32_t c) {
  const qn_window *g = &p->s->g;
  const int8_t *w = qn_constant(p->u, p->call->in[1]);
  if (ky < 0 || ky >= g->kernel_h) return 0;
  return w[(ky * g->kernel_w + kx) * g->in_c + c];
}

static void prepare_channel(packer *p, int32_t c) {
  const qn_window *g = &p->s->g;
  const int32_t *bias = qn_constant(p->u, p->call->in[2]);
  const int8_t *w = (const int8_t *)qn_constant(p->u, p->call->in[1]) + c;
  qn_sums sums =
      qn_bound_sums(w, g->kernel_h * g->kernel_w, g->in_c, p->s->x_zero, bias ? bias[c] : 0);
  p->channels[c] = qn_rescaling_of(p->u, p->call, c);
  p->channels[c].acc_low = sums.low;
  p->channels[c].acc_high = sums.high;
  p->bias[c] = (int32_t)(uint32_t)((bias ? bias[c] : 0) -
                                   ((int64_t)p->s->x_zero + qn_activation_offset(&p->s->isa)) *
                                       sums.weights);
}

/* The channel of a lane of vector number `vector` of the segment, -1 if there is none. */
static int32_t channel_of(const packer *p, const segment *at, int32_t vector, int32_t lane) {
  int32_t lanes = p->s->isa.lanes, element = at->first + vector * lanes + lane;
  if (p->s->ordered)
    return vector / QN_MOST_GROUP * QN_MOST_GROUP * lanes + lane / 4 * 16 +
           vector % QN_MOST_GROUP * 4 + lane % 4;
  if (p->s->flat) return element % p->s->g.in_c;
  return element < p->s->g.in_c ? element : -1;
}

static void pack_taps(packer *p, const segment *at, int32_t vector, unsigned char *to) {
  const depthwise_shape *s = p->s;
  qn_isa isa = s->isa;
  isa.widened = 0;
  for (int32_t row = 0; row < s->rows; row++)
    for (int32_t line = 0; line < s->lines; line++)
      for (int32_t kx = 0; kx < s->g.kernel_w; kx++, to += qn_vector_bytes(&isa))
        for (int32_t i = 0; i < isa.lanes * isa.taps; i++) {
          int32_t c = channel_of(p, at, vector, i / isa.taps), tap = i % isa.taps;
          if (c >= 0)
            qn_pack_weight(&isa, to, i / isa.taps, tap,
                           weight_of(p, isa.taps * line + tap - row, kx, c));
        }
}

/* In forms from at->form on. */
static bool pack_vector(packer *p, segment *at, int32_t vector) {
  const qn_isa *isa = &p->s->isa;
  const qn_rescaling *lane[QN_MOST_LANES] = {NULL};
  unsigned char *to = p->bytes + at->first_byte + vector * vector_bytes(p->s);
  int32_t bias[QN_MOST_LANES] = {0}, bytes = qn_vector_bytes(isa);
  for (int32_t i = 0; i < isa->lanes; i++) {
    int32_t c = channel_of(p, at, vector, i);
    if (c < 0) continue;
    lane[i] = &p->channels[c];
    bias[i] = p->bias[c];
  }
  qn_numbers numbers;
  qn_rescale form = (qn_rescale)at->form[vector % at->vectors];
  if (!qn_choose_rescale(isa, lane, &form, &numbers)) return false;
  at->form[vector % at->vectors] = (int32_t)form;
  for (int32_t i = 0; i < isa->lanes; i++)
    bias[i] = (int32_t)((uint32_t)bias[i] + (uint32_t)numbers.shift[i]);
  memcpy(to, bias, (size_t)bytes);
  memcpy(to + bytes, numbers.a, (size_t)bytes);
  memcpy(to + 2 * bytes, numbers.b, (size_t)bytes);
  pack_taps(p, at, vector, to + 3 * bytes);
  return true;
}

/* All blocks of a segment, whose code is the same: when one needs another form, all take it. */
static bool pack_segment(packer *p, segment *at) {
  for (int32_t v = 0; v < at->vectors; v++) at->form[v] = (int32_t)QN_RESCALE_fma;
  for (;;) {
    segment before = *at;
    for (int32_t v = 0; v < at->count * at->vectors; v++)
      if (!pack_vector(p, at, v)) return false;
    if (memcmp(before.form, at->form, sizeof before.form) == 0) return true;
  }
}

static bool pack(packer *p, qn_job *job) {
  depthwise_shape *s = p->s;
  int32_t bytes = 0;
  for (int32_t i = 0; i < s->segment_count; i++) {
    s->at[i].first_byte = bytes;
    bytes += s->at[i].count * s->at[i].vectors * vector_bytes(s);
  }
  p->bytes = qn_alloc(&p->u->m->arena, (size_t)bytes);
  p->channels = qn_alloc(&p->u->m->arena, (size_t)s->g.in_c * sizeof *p->channels);
  p->bias = qn_alloc(&p->u->m->arena, (size_t)s->g.in_c * sizeof *p->bias);
  for (int32_t c = 0; c < s->g.in_c; c++) prepare_channel(p, c);
  for (int32_t i = 0; i < s->segment_count; i++)
    if (!pack_segment(p, &s->at[i])) return false;
  job->constants = p->bytes;
  job->constant_bytes = bytes;
  return true;
}

static bool take(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  if (params.g.in_c != params.g.out_c || qn_constant(u, call->in[0])) return false;
  for (int i = 1; i < call->in_count; i++) {
    if (call->in[i] && !qn_constant(u, call->in[i])) return false;
  }
  depthwise_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  s->isa = qn_isa_of(u);
  s->g = params.g;
  s->x_zero = params.x_zero;
  s->clamping = (qn_clamping){params.y_zero, params.low, params.high};
  if (!measure(s)) return false;
  bool wasteful = s->g.in_c % s->isa.lanes != 0 || s->g.in_c < 2 * s->isa.lanes;
  if (!(wasteful && plan_flat(s)) && !plan_pixels(s)) return false;
  packer p = {.u = u, .call = call, .s = s};
  if (!pack(&p, job)) return false;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->scratch_bytes = (int64_t)s->lines * s->line_bytes +
                       round_up(s->copied * s->g.in_c, QN_MOST_VECTOR) + 2 * QN_MOST_VECTOR;
  return true;
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
  const depthwise_shape *s;
  LLVMValueRef x, y, constants;
  LLVMValueRef lines, padding; /* in scratch: lines, and a row of the input's zero point */
} walk;

/* The input row under tap row `tap` of result row `row`, or the row of zero points. */
static LLVMValueRef input_row(walk *w, LLVMValueRef row, int32_t tap) {
  qn_build *b = w->b;
  const qn_window *g = &w->s->g;
  if (tap >= g->kernel_h + w->s->rows - 1) return w->padding;
  LLVMValueRef at = LLVMBuildAdd(b->b, qn_times(b, row, g->stride_h),
                                 qn_index(b, tap * g->dilation_h - g->top), "");
  LLVMValueRef inside = LLVMBuildICmp(b->b, LLVMIntULT, at, qn_index(b, g->in_h), "");
  LLVMValueRef offset = LLVMBuildSelect(b->b, inside, qn_times(b, at, (int64_t)g->in_w * g->in_c),
                                        qn_index(b, 0), "");
  return qn_at_index(b, LLVMBuildSelect(b->b, inside, w->x, w->padding, ""), offset);
}

/* Halves of x and y, byte by byte or pair by pair, within each 128 bits. */
static LLVMValueRef unpack(qn_build *b, int bytes, LLVMValueRef x, LLVMValueRef y, int size,
                           int high) {
  LLVMTypeRef element = size == 1 ? b->u->i8 : LLVMInt16TypeInContext(b->u->context);
  LLVMTypeRef type = qn_vector(element, bytes / size);
  int lanes = bytes / size, half = 8 / size, at[QN_MOST_VECTOR];
  for (int i = 0; i < lanes; i++)
    at[i] = i / (2 * half) * 2 * half + high * half + i % (2 * half) / 2 + i % 2 * lanes;
  return LLVMBuildShuffleVector(b->b, LLVMBuildBitCast(b->b, x, type, ""),
                                LLVMBuildBitCast(b->b, y, type, ""), qn_indices(b, at, lanes), "");
}

/* Elements that are interleaved at once. */
static int32_t interleaved(const qn_isa *isa) { return isa->taps == 4 ? qn_vector_bytes(isa) : 16; }

/* `count` bytes of each of four rows -> as many elements of a line. The double words of a row are
 * transposed first, so that what is unpacked within 128 bits comes out in order; or not. */
static void interleave_four(qn_build *b, const depthwise_shape *s, LLVMValueRef *rows,
                            LLVMValueRef offset, LLVMValueRef to, int count) {
  const qn_isa *isa = &s->isa;
  int order[QN_MOST_LANES], size = qn_vector_bytes(isa), parts = isa->lanes / 4;
  LLVMValueRef row[4], pair[4];
  LLVMTypeRef lanes = qn_lanes_of(b, isa), bytes = qn_vector(b->u->i8, size);
  for (int i = 0; i < isa->lanes; i++) order[i] = i % 4 * parts + i / 4;
  for (int i = 0; i < 4; i++) {
    row[i] = qn_read_bytes(b, qn_at_index(b, rows[i], offset), size, count);
    row[i] = LLVMBuildXor(b->b, row[i], qn_splat_i8(b, 128, size), "");
    if (s->ordered) continue;
    row[i] = LLVMBuildShuffleVector(b->b, LLVMBuildBitCast(b->b, row[i], lanes, ""),
                                    LLVMGetPoison(lanes), qn_indices(b, order, isa->lanes), "");
  }
  for (int i = 0; i < 4; i++)
    pair[i] = unpack(b, size, row[i / 2 * 2], row[i / 2 * 2 + 1], 1, i % 2);
  for (int i = 0; i < 4 && i * isa->lanes < count; i++) {
    LLVMValueRef four = unpack(b, size, pair[i / 2], pair[2 + i / 2], 2, i % 2);
    qn_write_bytes(b, LLVMBuildBitCast(b->b, four, bytes, ""), qn_at(b, to, i * size),
                   4 * (count - i * isa->lanes));
  }
}

/* The same with two rows, up to 16 bytes of each: pairs of bytes, widened. */
static void interleave_two(qn_build *b, const depthwise_shape *s, LLVMValueRef *rows,
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
  const depthwise_shape *s = w->s;
  LLVMValueRef rows[4];
  for (int i = 0; i < s->isa.taps; i++) rows[i] = input_row(w, row, s->isa.taps * line + i);
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
  const depthwise_shape *s = w->s;
  qn_fill_activations(w->b, &s->isa, line, s->x_zero, count * s->isa.taps);
}

/* What no row changes. Writes of up to 63 bytes too many are made good by later ones. */
static void fill_padding(walk *w) {
  qn_build *b = w->b;
  const depthwise_shape *s = w->s;
  int32_t c = s->g.in_c, right = s->columns - s->g.left - s->copied;
  for (int32_t i = 0; i < s->lines; i++) {
    LLVMValueRef line = qn_at(b, w->lines, i * s->line_bytes);
    if (s->g.left > 0) fill_elements(w, line, (int64_t)s->g.left * c);
    if (right > 0)
      fill_elements(w, qn_at(b, line, (s->g.left + s->copied) * c * 4), (int64_t)right * c);
  }
  qn_fill(b, &s->isa, w->padding, s->x_zero, (int64_t)s->copied * c);
}

/* ------------------------------------------------------------------ blocks */

/* A block's constants: loaded once where registers suffice, else where they are used. */
typedef struct {
  LLVMValueRef address;
  LLVMValueRef loaded[MOST_BLOCK * 64];
  bool resident;
} weights;

static LLVMValueRef tap(walk *w, weights *k, int32_t vector, int32_t index) {
  const qn_isa *isa = &w->s->isa;
  if (k->resident) return k->loaded[vector * tap_count(w->s) + index];
  int32_t bytes = qn_vector_bytes(isa), offset = vector * vector_bytes(w->s) + (3 + index) * bytes;
  return qn_read(w->b, qn_lanes_of(w->b, isa), qn_at(w->b, k->address, offset), bytes);
}

static void load_weights(walk *w, const segment *at, LLVMValueRef address, weights *k) {
  int32_t taps = tap_count(w->s);
  bool fit = taps * at->vectors <= w->s->isa.registers - OTHER_REGISTERS;
  k->address = address;
  k->resident = false;
  for (int32_t v = 0; v < at->vectors && fit; v++)
    for (int32_t i = 0; i < taps; i++) k->loaded[v * taps + i] = tap(w, k, v, i);
  k->resident = fit;
}

/* The first element of entry e of a step, in the line and in the result row, from where the step
 * starts. */
static int32_t line_offset(const walk *w, const segment *at, int32_t e) {
  int32_t lanes = w->s->isa.lanes;
  if (w->s->flat) return e * lanes;
  return e / at->vectors * w->s->g.stride_w * w->s->g.in_c + e % at->vectors * lanes;
}

static int32_t result_offset(const walk *w, const segment *at, int32_t e) {
  int32_t lanes = w->s->isa.lanes;
  if (w->s->flat) return e * lanes;
  return e / at->vectors * w->s->g.in_c + e % at->vectors * lanes;
}

/* Sums of entry e, one for each result row, rescaled. */
static void sum_entry(walk *w, const segment *at, weights *k, LLVMValueRef line, int32_t e,
                      LLVMValueRef *out) {
  qn_build *b = w->b;
  const depthwise_shape *s = w->s;
  int32_t v = e % at->vectors, columns = s->g.kernel_w;
  LLVMValueRef numbers = qn_at(b, k->address, v * vector_bytes(s));
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
static void emit_step(walk *w, const segment *at, weights *k, LLVMValueRef line, LLVMValueRef y) {
  const depthwise_shape *s = w->s;
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
static void emit_segment(walk *w, const segment *at, LLVMValueRef y) {
  qn_build *b = w->b;
  const depthwise_shape *s = w->s;
  int32_t c = s->g.in_c, channels = block_channels(s, at);
  /* pixels that a step covers; flat steps are whole pixels too */
  int32_t step = s->flat ? channels * at->repeats / c : at->repeats;
  qn_loop block = qn_begin_loop(b, at->count, NULL, 0);
  LLVMValueRef constants = qn_at_index(b, qn_at(b, w->constants, at->first_byte),
                                       qn_times(b, block.index, at->vectors * vector_bytes(s)));
  LLVMValueRef first = qn_times(b, block.index, channels);
  LLVMValueRef line = qn_at_index(b, qn_at(b, w->lines, at->first * 4), qn_times(b, first, 4));
  LLVMValueRef y_block = qn_at_index(b, qn_at(b, y, at->first), first);
  weights k;
  load_weights(w, at, constants, &k);
  qn_loop l = qn_begin_loop(b, (s->g.out_w + step - 1) / step, NULL, 0);
  LLVMValueRef pixel = qn_tile_start(b, l.index, step, s->g.out_w);
  emit_step(w, at, &k, qn_at_index(b, line, qn_times(b, pixel, s->g.stride_w * c * 4)),
            qn_at_index(b, y_block, qn_times(b, pixel, c)));
  qn_end_loop(b, &l);
  qn_end_loop(b, &block);
}

/* arguments: x, y, constants, scratch. */
static void emit(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const depthwise_shape *s = job->shape;
  const qn_window *g = &s->g;
  walk w = {.b = b, .s = s, .constants = arguments[2], .lines = arguments[3]};
  w.padding = qn_at(b, arguments[3], (int64_t)s->lines * s->line_bytes + QN_MOST_VECTOR);
  fill_padding(&w);
  qn_loop image = qn_begin_loop(b, g->batch, NULL, 0);
  w.x =
      qn_at_index(b, arguments[0], qn_times(b, image.index, (int64_t)g->in_h * g->in_w * g->in_c));
  w.y = qn_at_index(b, arguments[1],
                    qn_times(b, image.index, (int64_t)g->out_h * g->out_w * g->in_c));
  qn_loop l = qn_begin_loop(b, (g->out_h + s->rows - 1) / s->rows, NULL, 0);
  LLVMValueRef row = qn_tile_start(b, l.index, s->rows, g->out_h);
  for (int32_t i = 0; i < s->lines; i++) fill_line(&w, row, i);
  LLVMValueRef y = qn_at_index(b, w.y, qn_times(b, row, (int64_t)g->out_w * g->in_c));
  for (int32_t i = 0; i < s->segment_count; i++) emit_segment(&w, &s->at[i], y);
  qn_end_loop(b, &l);
  qn_end_loop(b, &image);
}

void qn_emit_depthwise_vnni(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments);
}

void qn_emit_depthwise_madd(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments);
}
