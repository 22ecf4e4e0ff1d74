/* conv2d_dsp: convolutions and dense layers by SMLAD, two pixels x four channels at a time.
 *
 * Two pixels' windows are gathered into pairs of int16 (dsp.h), which serve all channels; windows
 * that reach beyond the border are copied with their padding first. All results are one row of
 * pixels; when their number is odd, the second one is computed twice. When there is only one, a
 * kernel for one pixel runs.
 *
 * The result may overlap the operand in front of what is still to be read.
 *
 * Channels are taken four at a time, the last four maybe once more; neighbouring blocks of the same
 * kind, dual or wide, scaled or not, are one call of the kernel for each two pixels.
 *
 * The constants are: qn_dsp_runs, qn_border, and per segment a qn_dsp_header and its stream.
 *
 * Exactness. x_zero leaves by the bias. Sums are exact modulo 2^32, channel a of a dual pair if it
 * fits into 24 bits and 256*a + b into 16. Then for tflite, with 2*acc in an int32:
 *   SMMULR(2*acc, mul) = floor((acc*mul + 2^30) / 2^31), the first rounding
 *   SMMLAR(v, 2^(32-shr), zero) = floor((v + 2^(shr-1)) / 2^shr) + zero, shr >= 2
 * The second one wants ties away from zero: v - 1 for negative v. Where the clamp cuts at zero or
 * above, negative values do not matter, and one product does for nearly all channels: rescale.h
 * proves it. mulhi with shr 0 is SMMLAR itself. */
#include <string.h>
#include "dsp.h"
#include "pixels.h"
#include "rescale.h"
#include "window.h"

enum { MOST_SEGMENTS = 24, RUNS_AT = 0, BORDER_AT = 32, STREAMS_AT = 64, WORD = 4 };

typedef struct {
  int32_t wide, rounding; /* of the kernel */
  int32_t first_channel, blocks;
  int32_t first_byte; /* of constants */
} segment;

typedef struct {
  qn_window g;
  qn_dsp_kernel kernel; /* `wide` and, scaled or not, the rounding are the segment's */
  qn_clamping clamping;
  int32_t padded;       /* some window reaches beyond the border */
  int32_t channels;     /* computed of g.out_c */
  int32_t pixels;       /* results */
  int32_t pair_bytes;   /* of all pairs */
  qn_dsp_runs straight; /* when they are gathered without loops; or rows: 0 */
  int32_t segment_count;
  segment at[MOST_SEGMENTS];
} conv_shape;

typedef struct {
  qn_unit *u;
  const qn_call *call;
  conv_shape *s;
  qn_dsp_runs runs;
  bool packable; /* job->packable */
  int32_t x_zero, taps;
  int32_t *tap_at; /* per halfword of the pairs: which tap; -1: none */
  int32_t pairs;
  qn_rescaling *channels;
  int32_t *bias; /* with corrections */
  unsigned char *bytes;
  int64_t used, room;
} packer;

/* ------------------------------------------------------------------ geometry */

static void measure(packer *p) {
  conv_shape *s = p->s;
  const qn_window *g = &s->g;
  s->padded = qn_needs_border(g);
  s->pixels = g->batch * g->out_h * g->out_w;
  s->kernel.pixels = s->pixels > 1 ? 2 : 1;
  int32_t runs = g->dilation_w == 1 ? 1 : g->kernel_w, bytes = g->kernel_w / runs * g->in_c;
  p->runs = (qn_dsp_runs){.rows = g->kernel_h, .runs = runs, .run_step = g->dilation_w * g->in_c};
  p->runs.words = bytes / WORD;
  p->runs.rest = bytes % WORD;
  p->runs.run_rest = p->runs.run_step - p->runs.words * WORD;
  p->taps = g->kernel_h * g->kernel_w * g->in_c;
  p->pairs = qn_dsp_round_pairs(&s->kernel, (p->taps + 1) / 2);
  s->pair_bytes = p->pairs * 4 * s->kernel.pixels;
  bool for_speed = p->u->options->optimize == QN_OPTIMIZE_SPEED;
  if (s->pixels > 1 && qn_dsp_is_gathered_straight(&p->runs, (s->pixels + 1) / 2, for_speed))
    s->straight = p->runs;
}

/* The order in which gathering leaves the taps. */
static void order_taps(packer *p) {
  static const int32_t order[WORD] = {0, 2, 1, 3};
  int32_t *to = p->tap_at = qn_alloc(&p->u->m->arena, (size_t)p->pairs * 2 * sizeof *p->tap_at);
  int32_t runs = p->runs.rows * p->runs.runs, bytes = p->runs.words * WORD + p->runs.rest;
  for (int32_t run = 0; run < runs; run++)
    for (int32_t k = 0; k < p->runs.words * WORD; k++)
      *to++ = run * bytes + k / WORD * WORD + order[k % WORD];
  for (int32_t run = 0; run < runs; run++)
    for (int32_t k = p->runs.words * WORD; k < bytes; k++) *to++ = run * bytes + k;
  while (to < p->tap_at + p->pairs * 2) *to++ = -1;
}

/* ------------------------------------------------------------------ channels */

static int32_t weight_at(const packer *p, int32_t channel, int32_t k) {
  const int8_t *w = qn_constant(p->u, p->call->in[1]);
  int32_t tap = p->tap_at[k];
  return tap < 0 ? 0 : w[(int64_t)channel * p->taps + tap];
}

static void prepare_channel(packer *p, int32_t o) {
  const int8_t *w = qn_constant(p->u, p->call->in[1]);
  qn_bounded of = qn_bound_channel(p->u, p->call, o, w + (int64_t)o * p->taps, p->taps, 1, 0);
  p->channels[o] = of.r;
  p->bias[o] = (int32_t)(uint32_t)of.bias;
}

static bool fits_24_bits(const qn_rescaling *r) {
  return r->acc_low >= -(1 << 23) && r->acc_high < 1 << 23;
}

/* Channel a, a + 1 can be a dual pair. */
static bool can_pair(const packer *p, int32_t a) {
  if (!fits_24_bits(&p->channels[a])) return false;
  for (int32_t k = 0; k < 2 * p->pairs; k++) {
    if (256 * weight_at(p, a, k) + weight_at(p, a + 1, k) < INT16_MIN) return false;
  }
  return true;
}

/* ------------------------------------------------------------------ constants */

static void put_word(packer *p, int64_t word) {
  uint32_t bits = (uint32_t)word;
  memcpy(p->bytes + p->used, &bits, sizeof bits);
  p->used += (int64_t)sizeof bits;
}

static void put_pair(packer *p, int32_t low, int32_t high) {
  put_word(p, (uint32_t)low % 65536 + (int64_t)((uint32_t)high % 65536) * 65536);
}

/* How a block is computed; with the numbers of a scaled one. */
typedef struct {
  int32_t first; /* channel */
  qn_dsp_kernel kernel;
  qn_high_multiply numbers[4];
} block;

static block choose_block(const packer *p, int32_t first) {
  block b = {.first = first, .kernel = p->s->kernel};
  b.kernel.wide = !can_pair(p, first) || !can_pair(p, first + 2);
  bool scaled = b.kernel.rounding == QN_DSP_RELU && !p->packable;
  for (int32_t i = 0; i < 4 && scaled; i++) {
    qn_dsp_scale s = qn_dsp_scale_of(b.kernel.wide, i);
    scaled = qn_prove_high_multiply(&p->channels[first + i], s.factor, s.bits, &b.numbers[i]);
  }
  if (scaled) b.kernel.rounding = QN_DSP_SCALED;
  return b;
}

static void put_numbers(packer *p, const block *b) {
  const qn_rescaling *r = &p->channels[b->first];
  bool scaled = b->kernel.rounding == QN_DSP_SCALED;
  for (int32_t i = 0; i < 4; i++) {
    put_word(p, scaled ? b->numbers[i].mul : r[i].mul);
    if (scaled) put_word(p, b->numbers[i].add);
  }
  for (int32_t i = 0; i < 4 && !scaled && b->kernel.rounding != QN_DSP_MULHI; i++)
    put_word(p, (int64_t)1 << (32 - r[i].shr));
}

/* Words of two channels that begin their sums, on their scales. */
static void put_bias(packer *p, const block *b, int32_t i) {
  bool scaled = b->kernel.rounding == QN_DSP_SCALED;
  int64_t x = p->bias[b->first + i], y = p->bias[b->first + i + 1];
  if (!b->kernel.wide) x *= 256;
  if (scaled) x += b->numbers[i].shift, y += b->numbers[i + 1].shift;
  put_word(p, b->kernel.wide ? x : x + y);
  put_word(p, y);
}

static void put_block(packer *p, const block *b) {
  int32_t wide = b->kernel.wide;
  put_bias(p, b, 0);
  put_bias(p, b, 2);
  for (int32_t k = 0; k < 2 * p->pairs; k += 2)
    for (int32_t c = b->first; c < b->first + 4; c += wide ? 1 : 2) {
      int32_t low = weight_at(p, c, k), high = weight_at(p, c, k + 1);
      if (!wide) {
        low = 256 * low + weight_at(p, c + 1, k);
        high = 256 * high + weight_at(p, c + 1, k + 1);
      }
      put_pair(p, low, high);
    }
  put_numbers(p, b);
}

static int64_t block_bytes(const packer *p, bool wide) {
  int64_t numbers = p->s->kernel.rounding == QN_DSP_MULHI ? 2 : 3;
  return 16 * numbers + (int64_t)p->pairs * (wide ? 16 : 8);
}

/* A header for the segment, filled in when its blocks are known. */
static bool open_segment(packer *p, const block *b) {
  conv_shape *s = p->s;
  if (s->segment_count == MOST_SEGMENTS) return false;
  s->at[s->segment_count++] = (segment){.wide = b->kernel.wide,
                                        .rounding = b->kernel.rounding,
                                        .first_channel = b->first,
                                        .first_byte = (int32_t)p->used};
  p->used += (int64_t)sizeof(qn_dsp_header);
  return true;
}

static bool continues(const segment *at, const block *b) {
  return at->wide == b->kernel.wide && at->rounding == b->kernel.rounding;
}

static void write_header(packer *p, const segment *at) {
  const conv_shape *s = p->s;
  qn_dsp_kernel kernel = s->kernel;
  kernel.wide = at->wide;
  qn_dsp_header h = {.pair_bytes = s->pair_bytes, .pixel_bytes = s->g.out_c};
  h.skip_bytes = qn_dsp_skip_bytes(&kernel, p->pairs);
  h.stream_bytes = (int32_t)(at->blocks * block_bytes(p, at->wide));
  h.zero = s->clamping.zero;
  h.low = s->clamping.low;
  h.high = s->clamping.high;
  memcpy(p->bytes + at->first_byte, &h, sizeof h);
}

static bool pack(packer *p) {
  conv_shape *s = p->s;
  int32_t channels = s->channels;
  p->used = STREAMS_AT;
  for (int32_t c = 0; c < channels; c += 4) {
    bool again = c + 4 > channels; /* the last four, some of them for the second time */
    block b = choose_block(p, again ? channels - 4 : c);
    segment *last = &s->at[s->segment_count - 1];
    if ((c == 0 || again || !continues(last, &b)) && !open_segment(p, &b)) return false;
    s->at[s->segment_count - 1].blocks++;
    if (p->used + block_bytes(p, b.kernel.wide) > p->room) return false;
    put_block(p, &b);
  }
  for (int i = 0; i < s->segment_count; i++) write_header(p, &s->at[i]);
  const qn_border border = qn_border_of(&s->g, p->x_zero);
  memcpy(p->bytes + RUNS_AT, &p->runs, sizeof p->runs);
  memcpy(p->bytes + BORDER_AT, &border, sizeof border);
  return true;
}

/* How the constants of one segment, and of the last four channels, can be made at run time. */
static const qn_packing *describe_packing(const packer *p) {
  const conv_shape *s = p->s;
  qn_arena *a = &p->u->m->arena;
  int32_t *mul = qn_alloc(a, (size_t)s->channels * sizeof *mul);
  int8_t *shr = qn_alloc(a, (size_t)s->channels);
  for (int32_t o = 0; o < s->channels; o++) {
    mul[o] = p->channels[o].mul;
    shr[o] = (int8_t)p->channels[o].shr;
  }
  bool wide = s->at[0].wide;
  qn_packing *out = qn_alloc(a, sizeof *out);
  *out = (qn_packing){.packer = "qn_pack_conv2d_dsp",
                      .pack = qn_pack_conv2d_dsp,
                      .params = {.taps = p->taps,
                                 .halfwords = 2 * p->pairs,
                                 .runs = p->runs.rows * p->runs.runs,
                                 .words = p->runs.words,
                                 .rest = p->runs.rest,
                                 .wide = wide,
                                 .mulhi = s->kernel.rounding == QN_DSP_MULHI},
                      .head_bytes = STREAMS_AT + (int64_t)sizeof(qn_dsp_header),
                      .unit = 4,
                      .unit_bytes = block_bytes(p, wide),
                      .tail_at = s->segment_count > 1 ? s->at[1].first_byte : 0,
                      .tail_head_bytes = (int64_t)sizeof(qn_dsp_header),
                      .channel_step = p->taps,
                      .bias = p->bias,
                      .mul = mul,
                      .shr = shr};
  return out;
}

/* ------------------------------------------------------------------ taking */

bool qn_take_conv2d_dsp(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  if (!qn_dsp_takes(u, call, &params)) return false;
  if (params.g.groups != 1 || params.g.out_c < 4) return false;
  conv_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  s->g = params.g;
  s->channels = s->g.out_c;
  s->g.out_c = params.y_c;
  qn_straighten(&s->g);
  s->kernel = qn_dsp_choose_kernel(&params);
  s->clamping = (qn_clamping){.zero = params.y_zero, .low = params.low, .high = params.high};
  packer p = {.u = u, .call = call, .s = s, .packable = job->packable, .x_zero = params.x_zero};
  measure(&p);
  int64_t blocks = ((int64_t)s->channels + 3) / 4;
  p.room =
      STREAMS_AT + MOST_SEGMENTS * (int64_t)sizeof(qn_dsp_header) + blocks * block_bytes(&p, true);
  if (p.room > INT32_MAX / 4 || (int64_t)p.pairs * 8 > INT32_MAX / 4) return false;
  order_taps(&p);
  p.bytes = qn_alloc(&u->m->arena, (size_t)p.room);
  p.channels = qn_alloc(&u->m->arena, (size_t)s->channels * sizeof *p.channels);
  p.bias = qn_alloc(&u->m->arena, (size_t)s->channels * sizeof *p.bias);
  for (int32_t o = 0; o < s->channels; o++) {
    prepare_channel(&p, o);
    if (!qn_dsp_is_exact(&p.channels[o])) return false;
  }
  if (!pack(&p)) return false;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = p.bytes;
  job->constant_bytes = p.used;
  job->scratch_bytes = s->pair_bytes;
  if (s->padded) job->scratch_bytes += s->kernel.pixels * qn_window_bytes(&s->g);
  job->overlap = QN_AHEAD;
  job->lead = qn_window_lead(&s->g, s->pixels > 1 ? s->pixels % 2 : 0);
  bool tail = s->channels % 4 != 0;
  if (p.packable && s->segment_count == 1 + tail && s->channels > 4 * tail)
    job->packing = describe_packing(&p);
  return true;
}

/* ------------------------------------------------------------------ results */

typedef struct {
  qn_build *b;
  const conv_shape *s;
  LLVMValueRef y, constants, pairs;
  qn_pixels pixels;
} walk;

static void emit_segments(walk *w, LLVMValueRef y) {
  qn_build *b = w->b;
  for (int i = 0; i < w->s->segment_count; i++) {
    const segment *at = &w->s->at[i];
    qn_dsp_kernel kernel = w->s->kernel;
    kernel.wide = at->wide;
    kernel.rounding = at->rounding;
    LLVMValueRef arguments[] = {w->pairs, qn_at(b, w->constants, at->first_byte),
                                qn_at(b, y, at->first_channel)};
    qn_call_function(b, qn_dsp_kernel_function(b, &kernel), arguments, 3);
  }
}

static void emit_one_pixel(walk *w, qn_position at) {
  qn_build *b = w->b;
  LLVMValueRef window, step;
  qn_emit_window(&w->pixels, at, 0, &window, &step);
  LLVMValueRef arguments[] = {w->pairs, window, qn_at(b, w->constants, RUNS_AT), step};
  qn_call_function(b, qn_dsp_gather_function(b, 1), arguments, 4);
  emit_segments(w, w->y);
}

static void emit_two_pixels(const void *of, qn_position first, qn_position second, LLVMValueRef y) {
  walk *w = (walk *)of;
  LLVMValueRef window[2], step[2];
  qn_emit_window(&w->pixels, first, 0, &window[0], &step[0]);
  qn_emit_window(&w->pixels, second, 1, &window[1], &step[1]);
  LLVMValueRef arguments[] = {w->pairs, window[0], window[1], qn_at(w->b, w->constants, RUNS_AT),
                              step[0],  step[1]};
  const qn_dsp_runs *straight = &w->s->straight;
  LLVMValueRef gather = straight->rows ? qn_dsp_straight_gather_function(w->b, straight)
                                       : qn_dsp_gather_function(w->b, 2);
  qn_call_function(w->b, gather, arguments, 6);
  emit_segments(w, y);
}

/* arguments: x, y, constants, scratch. */
void qn_emit_conv2d_dsp(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const conv_shape *s = job->shape;
  walk w = {b, s, arguments[1], arguments[2], arguments[3], {0}};
  w.pixels = (qn_pixels){.b = b, .g = &s->g, .padded = s->padded};
  w.pixels.border = qn_at(b, w.constants, BORDER_AT);
  w.pixels.copies = qn_at(b, w.pairs, s->pair_bytes);
  if (s->pixels == 1)
    emit_one_pixel(&w, qn_first_position(b, &s->g, arguments[0]));
  else
    qn_emit_pairs_of_pixels(&w.pixels, arguments[0], w.y, emit_two_pixels, &w);
}
