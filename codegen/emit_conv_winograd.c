/* conv2d_winograd2, conv2d_winograd4: 3x3 convolutions of step 1 by Winograd's transforms along
 * rows (winograd.h), for --optimize speed: 24 or 36 bytes per nine weights, for 2/3 or half of the
 * products.
 *
 * Every row of the input is transformed once, tiles two by two, into the slot behind those of the
 * two rows before it; with padding on its left or right it is copied first, and a row of nothing
 * but padding stands for what is above and below. After two rows of results the last two slots
 * become the first two. The last two tiles of a row overlap what is before them, as the last four
 * channels do.
 *
 * The constants are: a word of x_zero in every byte, and from byte 64 on per segment a
 * qn_winograd_header and its stream: all blocks of four channels, and a block of the last four when
 * some are left over.
 *
 * Exactness: winograd.h and emit_conv_dsp.c; x_zero leaves by the bias. What they need is proven
 * for each channel by the bounds of its sums: 8 results in an int32 for F(4,3), and for F(2,3) two,
 * for (A+B)/2 is what a window gives whose outer columns are the same. Other layers are
 * conv2d_dsp's. */
#include <math.h>
#include <string.h>
#include "rescale.h"
#include "window.h"
#include "winograd.h"

enum { TAPS = 3, CHANNELS = 4, SEGMENTS_AT = 64 };

typedef struct {
  int32_t first_channel, blocks;
  int32_t first_byte; /* of constants */
} segment;

typedef struct {
  qn_window g;
  qn_dsp_kernel kernel;
  qn_clamping clamping;
  int32_t outputs; /* of a tile */
  int32_t x_zero;
  int32_t padded; /* in columns: rows are copied */
  int32_t segment_count;
  segment at[2];
} conv_shape;

static const qn_winograd_form *form_of(const conv_shape *s) {
  return qn_winograd_form_of(s->outputs);
}

static int32_t pairs_of_tiles(const conv_shape *s) {
  return (s->g.out_w + 2 * s->outputs - 1) / (2 * s->outputs);
}

static int32_t slot_bytes(const conv_shape *s) { return 4 * s->g.in_c; }

static int32_t phase_bytes(const conv_shape *s) { return QN_WINOGRAD_SLOTS * slot_bytes(s); }

static int32_t pair_bytes(const conv_shape *s) { return form_of(s)->phases * phase_bytes(s); }

static int32_t line_bytes(const conv_shape *s) { return (s->g.out_w + TAPS - 1) * s->g.in_c; }

/* Some row of a window is above or below the input. */
static bool has_blank_rows(const conv_shape *s) {
  return s->g.top > 0 || s->g.out_h + TAPS - 1 - s->g.top > s->g.in_h;
}

/* ------------------------------------------------------------------ constants */

typedef struct {
  const qn_unit *u;
  const qn_call *call;
  conv_shape *s;
  unsigned char *bytes;
  int64_t used;
} packer;

static void put_word(packer *p, int64_t word) {
  uint32_t bits = (uint32_t)word;
  memcpy(p->bytes + p->used, &bits, sizeof bits);
  p->used += (int64_t)sizeof bits;
}

static const int8_t *weights_of(const packer *p, int32_t channel) {
  const int8_t *w = qn_constant(p->u, p->call->in[1]);
  return w + (int64_t)channel * TAPS * TAPS * p->s->g.in_c;
}

/* The phase's form of the weights of a row and an input channel. */
static int32_t weight_of(const packer *p, int32_t phase, int32_t channel, int32_t row,
                         int32_t input) {
  const int32_t *form = form_of(p->s)->weight[phase], inputs = p->s->g.in_c;
  const int8_t *w = weights_of(p, channel) + (int64_t)row * TAPS * inputs + input;
  return form[0] * w[0] + form[1] * w[inputs] + form[2] * w[2 * inputs];
}

/* How a channel is rescaled. */
typedef struct {
  qn_rescaling r;
  qn_high_multiply high; /* when scaled */
  int64_t bias;          /* with corrections */
} channel_numbers;

/* False: the code is not exact for the channel. */
static bool prepare_channel(const packer *p, int32_t channel, channel_numbers *out) {
  const conv_shape *s = p->s;
  int32_t taps = TAPS * TAPS * s->g.in_c;
  qn_dsp_scale scale = form_of(s)->scale;
  qn_bounded of = qn_bound_channel(p->u, p->call, channel, weights_of(p, channel), taps, 1, 0);
  out->r = of.r;
  out->bias = of.bias;
  out->high = (qn_high_multiply){0, 0, 0};
  int64_t end = s->outputs == 2 ? 1 << 30 : 1 << 28;
  if (!qn_dsp_is_exact(&out->r) || of.r.acc_low < -end || of.r.acc_high >= end) return false;
  return s->kernel.rounding != QN_DSP_SCALED ||
         qn_prove_high_multiply(&out->r, scale.factor, scale.bits, &out->high);
}

static void put_phase(packer *p, int32_t phase, int32_t first) {
  for (int32_t k = 0; k < TAPS * p->s->g.in_c; k += 4)
    for (int32_t half = 0; half < 2; half++)
      for (int32_t c = first; c < first + CHANNELS; c++) {
        int32_t row = k / p->s->g.in_c, input = k % p->s->g.in_c + half;
        uint32_t low = (uint32_t)weight_of(p, phase, c, row, input);
        uint32_t high = (uint32_t)weight_of(p, phase, c, row, input + 2);
        put_word(p, (low & 65535) | high << 16);
      }
}

static void put_numbers(packer *p, const channel_numbers *channels) {
  qn_dsp_rounding rounding = (qn_dsp_rounding)p->s->kernel.rounding;
  for (int32_t i = 0; i < CHANNELS; i++) {
    put_word(p, rounding == QN_DSP_SCALED ? channels[i].high.mul : channels[i].r.mul);
    if (rounding == QN_DSP_SCALED) put_word(p, channels[i].high.add);
  }
  for (int32_t i = 0; i < CHANNELS && (rounding == QN_DSP_RELU || rounding == QN_DSP_SIGNED); i++)
    put_word(p, (int64_t)1 << (32 - channels[i].r.shr));
}

static bool put_block(packer *p, int32_t first) {
  const qn_winograd_form *form = form_of(p->s);
  channel_numbers channels[CHANNELS];
  for (int32_t i = 0; i < CHANNELS; i++) {
    channel_numbers *c = &channels[i];
    if (!prepare_channel(p, first + i, c)) return false;
    put_word(p, form->factor * c->bias + form->factor / form->scale.factor * c->high.shift);
  }
  for (int32_t phase = 0; phase < form->phases; phase++) {
    if (phase == form->first_phases) put_numbers(p, channels);
    put_phase(p, phase, first);
  }
  put_numbers(p, channels);
  return true;
}

static int64_t block_bytes(const conv_shape *s) {
  int64_t numbers = s->kernel.rounding == QN_DSP_MULHI ? 16 : 32;
  return 16 + 2 * numbers + (int64_t)form_of(s)->phases * TAPS * s->g.in_c / 2 * 16;
}

static bool put_segment(packer *p, int32_t first_channel, int32_t blocks) {
  conv_shape *s = p->s;
  qn_winograd_header h = {.pixel_bytes = s->g.out_c, .zero = s->clamping.zero};
  h.window_bytes = TAPS * slot_bytes(s);
  h.gap_bytes = phase_bytes(s) - h.window_bytes;
  h.stream_bytes = (int32_t)(blocks * block_bytes(s));
  h.low = s->clamping.low;
  h.high = s->clamping.high;
  s->at[s->segment_count++] = (segment){first_channel, blocks, (int32_t)p->used};
  memcpy(p->bytes + p->used, &h, sizeof h);
  p->used += (int64_t)sizeof h;
  for (int32_t i = 0; i < blocks; i++)
    if (!put_block(p, first_channel + CHANNELS * i)) return false;
  return true;
}

static bool put_segments(packer *p) {
  int32_t channels = p->s->g.out_c;
  memset(p->bytes, p->s->x_zero, 4);
  p->used = SEGMENTS_AT;
  p->s->segment_count = 0;
  return put_segment(p, 0, channels / CHANNELS) &&
         (channels % CHANNELS == 0 || put_segment(p, channels - CHANNELS, 1));
}

/* Scaled where all channels can be, or as it is. */
static bool pack(packer *p) {
  const qn_dsp_kernel kernel = p->s->kernel;
  p->s->kernel.rounding = QN_DSP_SCALED;
  if (kernel.rounding == QN_DSP_RELU && put_segments(p)) return true;
  p->s->kernel = kernel;
  return put_segments(p);
}

/* ------------------------------------------------------------------ taking */

static bool has_shape(const qn_window *g, int32_t outputs) {
  return g->groups == 1 && g->kernel_h == TAPS && g->kernel_w == TAPS && g->stride_h == 1 &&
         g->stride_w == 1 && g->dilation_h == 1 && g->dilation_w == 1 && g->top >= 0 &&
         g->left >= 0 && g->left < TAPS && g->top < TAPS && g->out_c >= CHANNELS &&
         g->out_w >= 2 * outputs && qn_winograd_can_transform(g->in_c);
}

/* By the table of costs; tiles beyond the row's end count. */
static double estimate(const qn_unit *u, const qn_window *g, const char *kernel, int64_t columns) {
  qn_work w = {.rows = TAPS, .pixels = g->batch * g->out_h * columns};
  w.results = w.pixels * g->out_c;
  w.reads = w.pixels * TAPS * TAPS * g->in_c;
  w.macs = w.reads * g->out_c;
  qn_cost cost = {0};
  return qn_estimate_work(u->options->target, &w, kernel, &cost) ? cost.instructions : HUGE_VAL;
}

/* More than twice the weights are worth 15 % at least. F(4,3) not where F(2,3) is better. */
static bool pays(const qn_unit *u, const qn_window *g, int32_t outputs) {
  double enough = 0.85 * estimate(u, g, "conv2d_dsp", g->out_w);
  double two = estimate(u, g, "conv2d_winograd2", ((int64_t)g->out_w + 3) / 4 * 4);
  double four = estimate(u, g, "conv2d_winograd4", ((int64_t)g->out_w + 7) / 8 * 8);
  return outputs == 2 ? two < enough : four < enough && four < two;
}

/* Rows of the input are read for good two rows before a row of results is written. */
static int64_t find_lead(const qn_window *g) {
  int64_t lead = 0, row_bytes = (int64_t)g->in_w * g->in_c;
  for (int32_t image = 0; image < g->batch; image++)
    for (int32_t row = 0; row < g->out_h; row++) {
      int32_t next = row + TAPS - g->top;
      int64_t read = ((int64_t)image * g->in_h + (next < g->in_h ? next : g->in_h)) * row_bytes;
      int64_t written = ((int64_t)image * g->out_h + row + 1) * g->out_w * g->out_c;
      if (written - read > lead) lead = written - read;
    }
  return lead;
}

static bool take(qn_unit *u, const qn_call *call, qn_job *job, int32_t outputs) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  if (u->options->optimize != QN_OPTIMIZE_SPEED || !qn_dsp_takes(u, call, &params)) return false;
  if (u->options->weights != QN_WEIGHTS_RAW) return false; /* decoded, they would be in memory */
  if (!has_shape(&params.g, outputs) || !pays(u, &params.g, outputs)) return false;
  conv_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  *s = (conv_shape){.g = params.g, .outputs = outputs, .x_zero = params.x_zero};
  s->kernel = qn_dsp_choose_kernel(&params);
  s->kernel.pixels = 2;
  s->clamping = (qn_clamping){.zero = params.y_zero, .low = params.low, .high = params.high};
  s->padded = s->g.left > 0 || s->g.out_w + TAPS - 1 > s->g.in_w;
  packer p = {.u = u, .call = call, .s = s};
  int64_t room = SEGMENTS_AT + 2 * (int64_t)sizeof(qn_winograd_header) +
                 ((int64_t)s->g.out_c / CHANNELS + 1) * block_bytes(s);
  int64_t transforms = (int64_t)pairs_of_tiles(s) * pair_bytes(s);
  if (room > INT32_MAX / 4 || transforms > INT32_MAX / 4) return false;
  p.bytes = qn_alloc(&u->m->arena, (size_t)room);
  if (!pack(&p)) return false;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = p.bytes;
  job->constant_bytes = p.used;
  job->overlap = QN_AHEAD;
  job->lead = find_lead(&s->g);
  job->scratch_bytes = transforms;
  if (s->padded) job->scratch_bytes += line_bytes(s);
  if (has_blank_rows(s)) job->scratch_bytes += line_bytes(s);
  return true;
}

bool qn_take_conv2d_winograd2(qn_unit *u, const qn_call *call, qn_job *job) {
  return take(u, call, job, 2);
}

bool qn_take_conv2d_winograd4(qn_unit *u, const qn_call *call, qn_job *job) {
  return take(u, call, job, 4);
}

/* ------------------------------------------------------------------ rows */

typedef struct {
  qn_build *b;
  const conv_shape *s;
  LLVMValueRef x, y; /* of the image */
  LLVMValueRef constants;
  LLVMValueRef transforms, line, blank; /* scratch; line and blank only where they are needed */
} walk;

static LLVMValueRef zero_word(const walk *w) {
  return qn_i32(w->b, (int64_t)((uint32_t)(w->s->x_zero & 255) * 0x01010101));
}

static void fill(const walk *w, LLVMValueRef to, int32_t bytes) {
  if (bytes == 0) return;
  qn_loop l = qn_begin_loop(w->b, bytes / 4, NULL, 0);
  qn_write(w->b, zero_word(w), qn_at_index(w->b, to, qn_times(w->b, l.index, 4)), 4);
  qn_end_loop(w->b, &l);
}

/* Columns of the input that the line has. */
static int32_t copied_columns(const conv_shape *s) {
  int32_t columns = s->g.out_w + TAPS - 1 - s->g.left;
  return columns < s->g.in_w ? columns : s->g.in_w;
}

static void fill_borders(const walk *w) {
  const conv_shape *s = w->s;
  if (has_blank_rows(s)) fill(w, w->blank, line_bytes(s));
  if (!s->padded) return;
  int32_t end = (s->g.left + copied_columns(s)) * s->g.in_c;
  fill(w, w->line, s->g.left * s->g.in_c);
  fill(w, qn_at(w->b, w->line, end), line_bytes(s) - end);
}

static void copy_row(const walk *w, LLVMValueRef row) {
  qn_build *b = w->b;
  int32_t words = copied_columns(w->s) * w->s->g.in_c / 4, together = 8;
  while (words % together != 0) together--;
  LLVMValueRef to = qn_at(b, w->line, (int64_t)w->s->g.left * w->s->g.in_c), word[8];
  qn_loop l = qn_begin_loop(b, words / together, NULL, 0);
  LLVMValueRef at = qn_times(b, l.index, 4 * (int64_t)together);
  LLVMValueRef source = qn_at_index(b, row, at), target = qn_at_index(b, to, at);
  for (int i = 0; i < together; i++) word[i] = qn_read(b, b->u->i32, qn_at(b, source, 4 * i), 1);
  for (int i = 0; i < together; i++) qn_write(b, word[i], qn_at(b, target, 4 * i), 4);
  qn_end_loop(b, &l);
}

/* Where row `row`, counted from the top of the first window, can be read with its padding. */
static LLVMValueRef find_row(const walk *w, LLVMValueRef row) {
  qn_build *b = w->b;
  const qn_window *g = &w->s->g;
  LLVMValueRef inside = NULL;
  row = LLVMBuildSub(b->b, row, qn_index(b, g->top), "");
  if (has_blank_rows(w->s)) {
    inside = LLVMBuildICmp(b->b, LLVMIntULT, row, qn_index(b, g->in_h), "");
    row = LLVMBuildSelect(b->b, inside, row, qn_index(b, 0), "");
  }
  LLVMValueRef at = qn_at_index(b, w->x, qn_times(b, row, (int64_t)g->in_w * g->in_c));
  if (w->s->padded) {
    copy_row(w, at);
    at = w->line;
  }
  return inside ? LLVMBuildSelect(b->b, inside, at, w->blank, "") : at;
}

/* Row `row` into slot `slot`. */
static void emit_transforms(const walk *w, LLVMValueRef row, LLVMValueRef slot) {
  qn_build *b = w->b;
  const conv_shape *s = w->s;
  LLVMValueRef transform = qn_winograd_transform_function(b, form_of(s), s->g.in_c);
  LLVMValueRef from = find_row(w, row);
  LLVMValueRef to = qn_at_index(b, w->transforms, qn_times(b, slot, slot_bytes(s)));
  qn_loop pair = qn_begin_loop(b, pairs_of_tiles(s), NULL, 0);
  LLVMValueRef column = qn_tile_start(b, pair.index, 2 * s->outputs, s->g.out_w);
  LLVMValueRef arguments[] = {qn_at_index(b, to, qn_times(b, pair.index, pair_bytes(s))),
                              qn_at_index(b, from, qn_times(b, column, s->g.in_c))};
  qn_call_function(b, transform, arguments, 2);
  qn_end_loop(b, &pair);
}

/* Row `row` of the results, from the window that begins with slot `slot`. */
static void emit_results(const walk *w, LLVMValueRef row, LLVMValueRef slot) {
  qn_build *b = w->b;
  const conv_shape *s = w->s;
  LLVMValueRef kernel = qn_winograd_kernel_function(b, form_of(s), &s->kernel, s->g.in_c);
  LLVMValueRef from = qn_at_index(b, w->transforms, qn_times(b, slot, slot_bytes(s)));
  LLVMValueRef to = qn_at_index(b, w->y, qn_times(b, row, (int64_t)s->g.out_w * s->g.out_c));
  qn_loop pair = qn_begin_loop(b, pairs_of_tiles(s), NULL, 0);
  LLVMValueRef column = qn_tile_start(b, pair.index, 2 * s->outputs, s->g.out_w);
  LLVMValueRef tiles = qn_at_index(b, from, qn_times(b, pair.index, pair_bytes(s)));
  LLVMValueRef y = qn_at_index(b, to, qn_times(b, column, s->g.out_c));
  for (int i = 0; i < s->segment_count; i++) {
    LLVMValueRef arguments[] = {tiles, qn_at(b, w->constants, s->at[i].first_byte),
                                qn_at(b, y, s->at[i].first_channel)};
    qn_call_function(b, kernel, arguments, 3);
  }
  qn_end_loop(b, &pair);
}

/* Result row `row` by the slots from `slot` on, the third of which it fills. */
static void emit_row(const walk *w, LLVMValueRef row, LLVMValueRef slot) {
  qn_build *b = w->b;
  LLVMValueRef two = qn_index(b, TAPS - 1);
  emit_transforms(w, LLVMBuildAdd(b->b, row, two, ""), LLVMBuildAdd(b->b, slot, two, ""));
  emit_results(w, row, slot);
}

static void emit_image(const walk *w) {
  qn_build *b = w->b;
  const conv_shape *s = w->s;
  qn_loop first = qn_begin_loop(b, TAPS - 1, NULL, 0);
  emit_transforms(w, first.index, first.index);
  qn_end_loop(b, &first);
  int32_t twos = s->g.out_h / 2;
  if (twos > 0) {
    qn_loop two = qn_begin_loop(b, twos, NULL, 0);
    qn_loop one = qn_begin_loop(b, 2, NULL, 0);
    emit_row(w, LLVMBuildAdd(b->b, qn_times(b, two.index, 2), one.index, ""), one.index);
    qn_end_loop(b, &one);
    LLVMValueRef arguments[] = {w->transforms,
                                qn_i32(b, (int64_t)pairs_of_tiles(s) * form_of(s)->phases),
                                qn_i32(b, 2 * (int64_t)slot_bytes(s))};
    qn_call_function(b, qn_winograd_move_function(b), arguments, 3);
    qn_end_loop(b, &two);
  }
  if (s->g.out_h % 2 == 1) emit_row(w, qn_index(b, s->g.out_h - 1), qn_index(b, 0));
}

/* arguments: x, y, constants, scratch. */
static void emit(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const conv_shape *s = job->shape;
  const qn_window *g = &s->g;
  walk w = {.b = b, .s = s, .constants = arguments[2], .transforms = arguments[3]};
  w.line = qn_at(b, w.transforms, (int64_t)pairs_of_tiles(s) * pair_bytes(s));
  w.blank = s->padded ? qn_at(b, w.line, line_bytes(s)) : w.line;
  fill_borders(&w);
  qn_images image = qn_begin_images(b, g, 1, arguments);
  w.x = image.x;
  w.y = image.y;
  emit_image(&w);
  qn_end_images(b, &image);
}

void qn_emit_conv2d_winograd2(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments);
}

void qn_emit_conv2d_winograd4(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job, arguments);
}
