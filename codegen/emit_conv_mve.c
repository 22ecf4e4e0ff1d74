/* conv2d_mve: convolutions and dense layers by VMLADAVA, two pixels x four channels at a time, or
 * one pixel x four where there is only one.
 *
 * A window's bytes are gathered one after the other, in the order of the weights, and rounded up to
 * 16, with weights 0 for the rest; 1x1 windows of 16, 32, ... channels without padding are read
 * where they are. Windows beyond the border are copied with their padding first.
 *
 * The constants are: qn_dsp_runs, qn_border, and for the whole blocks of four channels and for the
 * last four, if they are not a block of their own, a qn_mve_header and its stream. x_zero leaves by
 * the bias. Sums are exact modulo 2^32; the roundings are MVE's instructions, with ties of negative
 * numbers away from zero by adding -1 before. */
#include <string.h>
#include "mve.h"
#include "pixels.h"
#include "window.h"

enum { RUNS_AT = 0, BORDER_AT = 32, STREAMS_AT = 64, CHUNK = 16, BLOCK = 4 };

typedef struct {
  qn_window g;
  qn_dsp_kernel kernel;
  int32_t pixels, padded;
  int32_t in_place; /* windows are read where they are */
  int32_t chunks;
  int32_t last_at; /* of constants: the last four channels' header; 0: none */
} conv_shape;

typedef struct {
  qn_unit *u;
  const qn_call *call;
  const conv_shape *s;
  int32_t x_zero, taps;
  unsigned char *bytes;
  int64_t used;
} packer;

/* ------------------------------------------------------------------ constants */

static void put_word(packer *p, int32_t word) {
  memcpy(p->bytes + p->used, &word, sizeof word);
  p->used += (int64_t)sizeof word;
}

static int64_t block_bytes(const conv_shape *s) {
  int64_t numbers = s->kernel.rounding == QN_DSP_MULHI ? 2 : 3;
  return CHUNK * numbers + (int64_t)s->chunks * BLOCK * CHUNK;
}

/* False: a channel's rounding is not the kernel's. */
static bool put_block(packer *p, int32_t first) {
  const int8_t *w = (const int8_t *)qn_constant(p->u, p->call->in[1]) + (int64_t)first * p->taps;
  const int32_t *bias = qn_constant(p->u, p->call->in[2]);
  qn_rescaling r[BLOCK];
  for (int32_t i = 0; i < BLOCK; i++) {
    int32_t own = bias ? bias[first + i] : 0;
    qn_sums sums = qn_bound_sums(w + (int64_t)i * p->taps, p->taps, 1, p->x_zero, own);
    r[i] = qn_rescaling_of(p->u, p->call, first + i);
    if (!qn_mve_is_exact(&r[i], &p->s->kernel)) return false;
    put_word(p, (int32_t)(uint32_t)(own - p->x_zero * sums.weights));
  }
  for (int32_t k = 0; k < p->s->chunks * CHUNK; k += CHUNK)
    for (int32_t i = 0; i < BLOCK; i++) {
      int32_t some = p->taps - k < CHUNK ? p->taps - k : CHUNK;
      memcpy(p->bytes + p->used, w + (int64_t)i * p->taps + k, (size_t)some);
      p->used += CHUNK;
    }
  for (int32_t i = 0; i < BLOCK; i++) put_word(p, r[i].mul);
  for (int32_t i = 0; i < BLOCK && p->s->kernel.rounding != QN_DSP_MULHI; i++)
    put_word(p, -r[i].shr);
  return true;
}

static bool put_stream(packer *p, const qn_conv_i8_params *params, int32_t first, int32_t blocks) {
  const conv_shape *s = p->s;
  qn_mve_header h = {.rounds = qn_mve_rounds(s->chunks), .pixel_bytes = s->g.out_c};
  h.skip_bytes = qn_mve_skip_bytes(&s->kernel, s->chunks);
  h.stream_bytes = (int32_t)(blocks * block_bytes(s));
  h.zero = params->y_zero;
  h.low = params->low;
  h.high = params->high;
  memcpy(p->bytes + p->used, &h, sizeof h);
  p->used += (int64_t)sizeof h;
  for (int32_t i = 0; i < blocks; i++) {
    if (!put_block(p, first + BLOCK * i)) return false;
  }
  return true;
}

static bool pack(packer *p, conv_shape *s, const qn_conv_i8_params *params) {
  const qn_window *g = &s->g;
  int32_t runs = g->dilation_w == 1 ? 1 : g->kernel_w, channels = g->out_c;
  qn_dsp_runs how = {.rows = g->kernel_h, .runs = runs, .run_step = g->dilation_w * g->in_c};
  how.words = g->kernel_w / runs * g->in_c;
  qn_border border = qn_border_of(g, p->x_zero);
  memcpy(p->bytes + RUNS_AT, &how, sizeof how);
  memcpy(p->bytes + BORDER_AT, &border, sizeof border);
  p->used = STREAMS_AT;
  if (!put_stream(p, params, 0, channels / BLOCK)) return false;
  if (channels % BLOCK == 0) return true;
  s->last_at = (int32_t)p->used;
  return put_stream(p, params, channels - BLOCK, 1);
}

/* ------------------------------------------------------------------ taking */

bool qn_take_conv2d_mve(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  if (!qn_dsp_takes(u, call, &params)) return false;
  if (params.g.groups != 1 || params.g.out_c < BLOCK) return false;
  conv_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  s->g = params.g;
  qn_straighten(&s->g);
  const qn_window *g = &s->g;
  s->kernel = qn_dsp_choose_kernel(&params);
  s->pixels = g->batch * g->out_h * g->out_w;
  s->kernel.pixels = s->pixels > 1 ? 2 : 1;
  s->padded = qn_needs_border(g);
  packer p = {.u = u, .call = call, .s = s, .x_zero = params.x_zero};
  p.taps = g->kernel_h * g->kernel_w * g->in_c;
  s->chunks = (p.taps + CHUNK - 1) / CHUNK;
  s->in_place = !s->padded && p.taps == g->in_c && g->in_c % CHUNK == 0;
  int64_t blocks = (int64_t)g->out_c / BLOCK + 1;
  int64_t room = STREAMS_AT + 2 * (int64_t)sizeof(qn_mve_header) + blocks * block_bytes(s);
  if (room > INT32_MAX / 4) return false;
  p.bytes = qn_alloc(&u->m->arena, (size_t)room);
  if (!pack(&p, s, &params)) return false;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = p.bytes;
  job->constant_bytes = p.used;
  int64_t window =
      (s->in_place ? 0 : (int64_t)s->chunks * CHUNK) + (s->padded ? qn_window_bytes(g) : 0);
  job->scratch_bytes = s->kernel.pixels * window;
  return true;
}

/* ------------------------------------------------------------------ code */

typedef struct {
  qn_build *b;
  const conv_shape *s;
  LLVMValueRef constants, gathered; /* bytes of windows */
  qn_pixels pixels;
} walk;

/* The address of 16 * chunks bytes of a window. */
static LLVMValueRef gather(walk *w, qn_position at, int pixel) {
  qn_build *b = w->b;
  LLVMValueRef window, step;
  qn_emit_window(&w->pixels, at, pixel, &window, &step);
  if (w->s->in_place) return window;
  LLVMValueRef to = qn_at(b, w->gathered, (int64_t)pixel * w->s->chunks * CHUNK);
  LLVMValueRef arguments[] = {to, window, qn_at(b, w->constants, RUNS_AT), step};
  qn_call_function(b, qn_mve_gather_function(b), arguments, 4);
  return to;
}

static void emit_channels(walk *w, LLVMValueRef first, LLVMValueRef second, LLVMValueRef y) {
  qn_build *b = w->b;
  LLVMValueRef kernel = qn_mve_kernel_function(b, &w->s->kernel);
  LLVMValueRef arguments[] = {first, second, qn_at(b, w->constants, STREAMS_AT), y};
  qn_call_function(b, kernel, arguments, 4);
  if (!w->s->last_at) return;
  arguments[2] = qn_at(b, w->constants, w->s->last_at);
  arguments[3] = qn_at(b, y, w->s->g.out_c - BLOCK);
  qn_call_function(b, kernel, arguments, 4);
}

static void emit_two_pixels(const void *of, qn_position first, qn_position second, LLVMValueRef y) {
  walk *w = (walk *)of;
  LLVMValueRef x = gather(w, first, 0), next = gather(w, second, 1);
  emit_channels(w, x, next, y);
}

/* arguments: x, y, constants, scratch if there is any. */
void qn_emit_conv2d_mve(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const conv_shape *s = job->shape;
  walk w = {b, s, arguments[2], arguments[3], {0}};
  w.pixels = (qn_pixels){.b = b, .g = &s->g, .padded = s->padded};
  w.pixels.border = qn_at(b, w.constants, BORDER_AT);
  if (s->padded)
    w.pixels.copies = qn_at(b, w.gathered, (int64_t)s->kernel.pixels * s->chunks * CHUNK);
  if (s->pixels > 1) {
    qn_emit_pairs_of_pixels(&w.pixels, arguments[0], arguments[1], emit_two_pixels, &w);
    return;
  }
  LLVMValueRef x = gather(&w, qn_first_position(b, &s->g, arguments[0]), 0);
  emit_channels(&w, x, x, arguments[1]);
}
