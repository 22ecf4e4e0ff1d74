/* conv2d_thumb: convolutions and dense layers on Cortex-M0+, two pixels x four channels at a time.
 *
 * Two pixels' windows are widened to words (thumb.h), which serve all channels; windows that reach
 * beyond the border are copied with their padding first. When the number of pixels is odd, one is
 * computed twice; when there is only one, a kernel for one pixel runs. The last four channels may
 * overlap those before them.
 *
 * The constants are: qn_dsp_runs, qn_border, and for the whole blocks of four channels and for the
 * last four, if they are not a block of their own, a qn_thumb_header and its stream. x_zero leaves
 * by the bias. */
#include <string.h>
#include "pixels.h"
#include "thumb.h"
#include "window.h"

enum { RUNS_AT = 0, BORDER_AT = 32, STREAMS_AT = 64, BLOCK = 4, WORD = 4 };

typedef struct {
  qn_window g;
  qn_dsp_kernel kernel;
  int32_t padded, pixels, taps; /* taps rounded up */
  int32_t last_at;              /* of constants: the last four channels' header; 0: none */
} conv_shape;

typedef struct {
  qn_unit *u;
  const qn_call *call;
  conv_shape *s;
  qn_conv_i8_params params;
  int32_t taps;
  unsigned char *bytes;
  int64_t used;
} packer;

/* ------------------------------------------------------------------ constants */

static void put(packer *p, const void *from, size_t bytes) {
  memcpy(p->bytes + p->used, from, bytes);
  p->used += (int64_t)bytes;
}

static void put_word(packer *p, int32_t word) { put(p, &word, sizeof word); }

static int64_t block_bytes(const conv_shape *s) {
  return BLOCK * (WORD + QN_THUMB_CHANNEL_BYTES) + (int64_t)s->taps * BLOCK;
}

/* False: a channel's rounding is not the kernel's. */
static bool put_block(packer *p, int32_t first) {
  const int8_t *w = (const int8_t *)qn_constant(p->u, p->call->in[1]) + (int64_t)first * p->taps;
  qn_rescaling r[BLOCK];
  for (int32_t i = 0; i < BLOCK; i++) {
    qn_bounded of =
        qn_bound_channel(p->u, p->call, first + i, w + (int64_t)i * p->taps, p->taps, 1, 0);
    r[i] = of.r;
    if (!qn_thumb_is_exact(&r[i])) return false;
    put_word(p, (int32_t)(uint32_t)of.bias);
  }
  for (int32_t k = 0; k < p->s->taps; k++)
    for (int32_t i = 0; i < BLOCK; i++)
      p->bytes[p->used++] = k < p->taps ? (uint8_t)w[(int64_t)i * p->taps + k] : 0;
  for (int32_t i = 0; i < BLOCK; i++) {
    put_word(p, r[i].mul & 0xFFFF);
    put_word(p, r[i].mul >> 16);
    put_word(p, r[i].shr);
  }
  return true;
}

static bool put_stream(packer *p, int32_t first, int32_t blocks) {
  const conv_shape *s = p->s;
  qn_thumb_header h = {.pixel_bytes = s->g.out_c, .zero = p->params.y_zero};
  h.x_bytes = s->taps * WORD * s->kernel.pixels;
  h.entry = qn_thumb_entry(&s->kernel, s->taps);
  h.stream_bytes = (int32_t)(blocks * block_bytes(s));
  h.low = p->params.low;
  h.high = p->params.high;
  put(p, &h, sizeof h);
  for (int32_t i = 0; i < blocks; i++) {
    if (!put_block(p, first + BLOCK * i)) return false;
  }
  return true;
}

static bool pack(packer *p) {
  const qn_window *g = &p->s->g;
  int32_t runs = g->dilation_w == 1 ? 1 : g->kernel_w, channels = g->out_c;
  qn_dsp_runs how = {.rows = g->kernel_h, .runs = runs, .run_step = g->dilation_w * g->in_c};
  how.words = g->kernel_w / runs * g->in_c;
  qn_border border = qn_border_of(g, p->params.x_zero);
  memcpy(p->bytes + RUNS_AT, &how, sizeof how);
  memcpy(p->bytes + BORDER_AT, &border, sizeof border);
  p->used = STREAMS_AT;
  if (!put_stream(p, 0, channels / BLOCK)) return false;
  if (channels % BLOCK == 0) return true;
  p->s->last_at = (int32_t)p->used;
  return put_stream(p, channels - BLOCK, 1);
}

/* ------------------------------------------------------------------ taking */

bool qn_take_conv2d_thumb(qn_unit *u, const qn_call *call, qn_job *job) {
  packer p = {.u = u, .call = call};
  memcpy(&p.params, call->params, sizeof p.params);
  if (!qn_dsp_takes(u, call, &p.params)) return false;
  if (p.params.g.groups != 1 || p.params.g.out_c < BLOCK) return false;
  conv_shape *s = p.s = qn_alloc(&u->m->arena, sizeof *s);
  s->g = p.params.g;
  qn_straighten(&s->g);
  const qn_window *g = &s->g;
  s->kernel = qn_dsp_choose_kernel(&p.params);
  s->kernel.clamps = true;
  s->pixels = g->batch * g->out_h * g->out_w;
  s->kernel.pixels = s->pixels > 1 ? 2 : 1;
  s->padded = qn_needs_border(g);
  p.taps = g->kernel_h * g->kernel_w * g->in_c;
  s->taps = qn_thumb_round_taps(&s->kernel, p.taps);
  int64_t blocks = (int64_t)g->out_c / BLOCK + 1, words = (int64_t)s->taps * WORD;
  int64_t room = STREAMS_AT + 2 * (int64_t)sizeof(qn_thumb_header) + blocks * block_bytes(s);
  if (room > INT32_MAX / 4 || words > INT32_MAX / 8) return false;
  p.bytes = qn_alloc(&u->m->arena, (size_t)room);
  if (!pack(&p)) return false;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = p.bytes;
  job->constant_bytes = p.used;
  job->scratch_bytes = s->kernel.pixels * (words + (s->padded ? qn_window_bytes(g) : 0));
  job->overlap = QN_AHEAD;
  job->lead = qn_window_lead(g, s->pixels > 1 ? s->pixels % 2 : 0);
  return true;
}

/* ------------------------------------------------------------------ code */

typedef struct {
  qn_build *b;
  const conv_shape *s;
  LLVMValueRef constants, words;
  qn_pixels pixels;
} walk;

static void gather(walk *w, qn_position at, int pixel) {
  qn_build *b = w->b;
  LLVMValueRef window, step;
  qn_emit_window(&w->pixels, at, pixel, &window, &step);
  LLVMValueRef arguments[] = {qn_at(b, w->words, (int64_t)pixel * WORD), window,
                              qn_at(b, w->constants, RUNS_AT), step};
  qn_call_function(b, qn_thumb_gather_function(b, w->s->kernel.pixels), arguments, 4);
}

static void emit_channels(walk *w, LLVMValueRef y) {
  qn_build *b = w->b;
  LLVMValueRef kernel = qn_thumb_kernel_function(b, &w->s->kernel);
  LLVMValueRef arguments[] = {w->words, qn_at(b, w->constants, STREAMS_AT), y};
  qn_call_function(b, kernel, arguments, 3);
  if (!w->s->last_at) return;
  arguments[1] = qn_at(b, w->constants, w->s->last_at);
  arguments[2] = qn_at(b, y, w->s->g.out_c - BLOCK);
  qn_call_function(b, kernel, arguments, 3);
}

static void emit_two_pixels(const void *of, qn_position first, qn_position second, LLVMValueRef y) {
  walk *w = (walk *)of;
  gather(w, first, 0);
  gather(w, second, 1);
  emit_channels(w, y);
}

/* arguments: x, y, constants, scratch. */
void qn_emit_conv2d_thumb(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const conv_shape *s = job->shape;
  walk w = {b, s, arguments[2], arguments[3], {0}};
  w.pixels = (qn_pixels){.b = b, .g = &s->g, .padded = s->padded};
  w.pixels.border = qn_at(b, w.constants, BORDER_AT);
  w.pixels.copies = qn_at(b, w.words, (int64_t)s->kernel.pixels * s->taps * WORD);
  if (s->pixels > 1) {
    qn_emit_pairs_of_pixels(&w.pixels, arguments[0], arguments[1], emit_two_pixels, &w);
    return;
  }
  gather(&w, qn_first_position(b, &s->g, arguments[0]), 0);
  emit_channels(&w, arguments[1]);
}
