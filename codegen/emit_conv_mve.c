/* conv2d_mve: convolutions and dense layers by VMLADAVA, two pixels x four channels at a time, or
 * one pixel x four where a row has only one.
 *
 * The columns of input that a piece of a row of results sees are copied one after the other, with
 * the padding around them: a window is then one stretch of bytes, column by column, and the next
 * pixel's begins `stride` columns later. Windows are read in multiples of 16 bytes, with weights 0
 * for the rest. 1x1 windows of 16, 32, ... channels without padding are read where they are.
 *
 * Columns of the copy that are padding stay what they are from row to row where a piece is a whole
 * row; else, and for windows with rows of padding, the copy is filled before.
 *
 * The constants are: a qn_mve_copying, and for the whole blocks of four channels and for the last
 * four, if they are not a block of their own, a qn_mve_header and its stream. x_zero leaves by the
 * bias. Sums are exact modulo 2^32; the roundings are MVE's instructions, with ties of negative
 * numbers away from zero by adding -1 before. */
#include <string.h>
#include "mve.h"
#include "pixels.h"
#include "window.h"

enum { STREAMS_AT = 64, CHUNK = 16, BLOCK = 4, ENOUGH_BYTES = 2048 };

typedef struct {
  qn_window g;
  qn_dsp_kernel kernel;
  int32_t padded;
  int32_t in_place;       /* windows are read where they are */
  int32_t piece, columns; /* results of a piece; columns that they see */
  int32_t x_zero, chunks;
  int32_t last_at; /* of constants: the last four channels' header; 0: none */
} conv_shape;

typedef struct {
  qn_unit *u;
  const qn_call *call;
  const conv_shape *s;
  int32_t taps;
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

/* Of a copied window's byte, in which columns come first. */
static int32_t tap_at(const packer *p, int32_t k) {
  const qn_window *g = &p->s->g;
  int32_t column = k / (g->kernel_h * g->in_c), rest = k % (g->kernel_h * g->in_c);
  return (rest / g->in_c * g->kernel_w + column) * g->in_c + rest % g->in_c;
}

/* False: a channel's rounding is not the kernel's. */
static bool put_block(packer *p, int32_t first) {
  const int8_t *w = (const int8_t *)qn_constant(p->u, p->call->in[1]) + (int64_t)first * p->taps;
  qn_rescaling r[BLOCK];
  for (int32_t i = 0; i < BLOCK; i++) {
    qn_bounded of =
        qn_bound_channel(p->u, p->call, first + i, w + (int64_t)i * p->taps, p->taps, 1, 0);
    r[i] = of.r;
    if (!qn_mve_is_exact(&r[i], &p->s->kernel)) return false;
    put_word(p, (int32_t)(uint32_t)of.bias);
  }
  for (int32_t k = 0; k < p->s->chunks * CHUNK; k += CHUNK)
    for (int32_t i = 0; i < BLOCK; i++)
      for (int32_t j = k; j < k + CHUNK; j++)
        p->bytes[p->used++] = j < p->taps ? (uint8_t)w[(int64_t)i * p->taps + tap_at(p, j)] : 0;
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
  int32_t channels = g->out_c;
  const qn_mve_copying how = {g->in_c, g->dilation_h * g->in_w * g->in_c, g->kernel_h * g->in_c};
  memcpy(p->bytes, &how, sizeof how);
  p->used = STREAMS_AT;
  if (!put_stream(p, params, 0, channels / BLOCK)) return false;
  if (channels % BLOCK == 0) return true;
  s->last_at = (int32_t)p->used;
  return put_stream(p, params, channels - BLOCK, 1);
}

/* ------------------------------------------------------------------ taking */

static int64_t column_bytes(const conv_shape *s) { return (int64_t)s->g.kernel_h * s->g.in_c; }

static int64_t columns_for(const conv_shape *s, int64_t results) {
  return (results - 1) * s->g.stride_w + s->g.kernel_w;
}

/* Pieces as long as the scratch allows, all of the same length. */
static void measure(conv_shape *s) {
  const qn_window *g = &s->g;
  int32_t most = s->kernel.pixels, pieces = 1;
  while (columns_for(s, most + 1) * column_bytes(s) <= ENOUGH_BYTES && most < g->out_w) most++;
  if (!s->in_place) pieces = (g->out_w + most - 1) / most;
  s->piece = (g->out_w + pieces - 1) / pieces;
  if (s->piece < s->kernel.pixels) s->piece = s->kernel.pixels;
  s->columns = (int32_t)columns_for(s, s->piece);
}

/* Windows that are read where they are still are when results of two pixels are written; else
 * pieces are copied before, of which the last may repeat results. */
static int64_t find_lead(const conv_shape *s) {
  int32_t pieces = (s->g.out_w + s->piece - 1) / s->piece;
  return qn_window_lead(&s->g, s->in_place ? 2 : pieces * s->piece - s->g.out_w);
}

bool qn_take_conv2d_mve(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  if (!qn_dsp_takes(u, call, &params)) return false;
  if (params.g.groups != 1 || params.g.out_c < BLOCK) return false;
  conv_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  s->g = params.g;
  qn_straighten(&s->g);
  const qn_window *g = &s->g;
  s->padded = qn_needs_border(g);
  if (g->dilation_w != 1 || (s->padded && g->dilation_h != 1)) return false;
  s->kernel = qn_dsp_choose_kernel(&params);
  s->kernel.pixels = g->out_w > 1 ? 2 : 1;
  s->x_zero = params.x_zero;
  packer p = {.u = u, .call = call, .s = s};
  p.taps = g->kernel_h * g->kernel_w * g->in_c;
  s->chunks = (p.taps + CHUNK - 1) / CHUNK;
  s->in_place = !s->padded && p.taps == g->in_c && g->in_c % CHUNK == 0;
  measure(s);
  int64_t blocks = (int64_t)g->out_c / BLOCK + 1, copy = s->columns * column_bytes(s) + CHUNK;
  int64_t room = STREAMS_AT + 2 * (int64_t)sizeof(qn_mve_header) + blocks * block_bytes(s);
  if (room > INT32_MAX / 4 || copy > INT32_MAX / 4) return false;
  p.bytes = qn_alloc(&u->m->arena, (size_t)room);
  if (!pack(&p, s, &params)) return false;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = p.bytes;
  job->constant_bytes = p.used;
  job->scratch_bytes = s->in_place ? 0 : copy;
  job->overlap = QN_AHEAD;
  job->lead = find_lead(s);
  return true;
}

/* ------------------------------------------------------------------ code */

typedef struct {
  qn_build *b;
  const conv_shape *s;
  LLVMValueRef constants, copy;
} walk;

/* What lies within 0..size of `count` places from `first` on. */
typedef struct {
  LLVMValueRef skipped, at, count;
} part;

static part find_part(qn_build *b, LLVMValueRef first, int64_t count, int64_t size) {
  LLVMValueRef none = qn_index(b, 0), all = qn_index(b, size);
  LLVMValueRef end = LLVMBuildAdd(b->b, first, qn_index(b, count), "");
  LLVMValueRef before = LLVMBuildICmp(b->b, LLVMIntSLT, first, none, "");
  LLVMValueRef beyond = LLVMBuildICmp(b->b, LLVMIntSGT, end, all, "");
  LLVMValueRef at = LLVMBuildSelect(b->b, before, none, first, "");
  end = LLVMBuildSelect(b->b, beyond, all, end, "");
  return (part){LLVMBuildSub(b->b, at, first, ""), at, LLVMBuildSub(b->b, end, at, "")};
}

/* The columns from result number `first` of row `row` on, and the padding around them. */
static void emit_copy(const walk *w, LLVMValueRef image, LLVMValueRef row, LLVMValueRef first) {
  qn_build *b = w->b;
  const qn_window *g = &w->s->g;
  LLVMValueRef y = LLVMBuildSub(b->b, qn_times(b, row, g->stride_h), qn_index(b, g->top), "");
  LLVMValueRef x = LLVMBuildSub(b->b, qn_times(b, first, g->stride_w), qn_index(b, g->left), "");
  part rows = {qn_index(b, 0), y, qn_index(b, g->kernel_h)};
  part columns = {qn_index(b, 0), x, qn_index(b, w->s->columns)};
  if (w->s->padded) {
    rows = find_part(b, y, g->kernel_h, g->in_h);
    columns = find_part(b, x, w->s->columns, g->in_w);
    int64_t bytes = w->s->columns * column_bytes(w->s);
    LLVMValueRef fills = LLVMBuildICmp(b->b, LLVMIntNE, rows.count, qn_index(b, g->kernel_h), "");
    LLVMValueRef starts = LLVMBuildICmp(b->b, LLVMIntEQ, row, qn_index(b, 0), "");
    fills = LLVMBuildOr(b->b, fills, starts, "");
    LLVMValueRef some = qn_i32(b, bytes);
    if (w->s->piece == g->out_w) some = LLVMBuildSelect(b->b, fills, some, qn_i32(b, 0), "");
    qn_emit_mve_set(b, w->copy, w->s->x_zero, some);
  }
  LLVMValueRef to = qn_at_index(b, w->copy, qn_times(b, columns.skipped, column_bytes(w->s)));
  to = qn_at_index(b, to, qn_times(b, rows.skipped, g->in_c));
  LLVMValueRef from = qn_at_index(b, image, qn_times(b, rows.at, (int64_t)g->in_w * g->in_c));
  from = qn_at_index(b, from, qn_times(b, columns.at, g->in_c));
  LLVMValueRef arguments[] = {to, from, rows.count, columns.count, w->constants};
  qn_call_function(b, qn_mve_copy_function(b), arguments, 5);
}

static void emit_channels(const walk *w, LLVMValueRef first, LLVMValueRef second, LLVMValueRef y) {
  qn_build *b = w->b;
  LLVMValueRef kernel = qn_mve_kernel_function(b, &w->s->kernel);
  LLVMValueRef arguments[] = {first, second, qn_at(b, w->constants, STREAMS_AT), y};
  qn_call_function(b, kernel, arguments, 4);
  if (!w->s->last_at) return;
  arguments[2] = qn_at(b, w->constants, w->s->last_at);
  arguments[3] = qn_at(b, y, w->s->g.out_c - BLOCK);
  qn_call_function(b, kernel, arguments, 4);
}

/* Results of a piece, whose windows are `step` bytes apart from x on. */
static void emit_piece(const walk *w, LLVMValueRef x, int64_t step, LLVMValueRef y) {
  qn_build *b = w->b;
  const conv_shape *s = w->s;
  int32_t pixels = s->kernel.pixels;
  qn_loop l = qn_begin_loop(b, (s->piece + pixels - 1) / pixels, NULL, 0);
  LLVMValueRef pixel = qn_tile_start(b, l.index, pixels, s->piece);
  LLVMValueRef first = qn_at_index(b, x, qn_times(b, pixel, step));
  emit_channels(w, first, qn_at(b, first, pixels == 2 ? step : 0),
                qn_at_index(b, y, qn_times(b, pixel, s->g.out_c)));
  qn_end_loop(b, &l);
}

/* arguments: x, y, constants, scratch if there is any. */
void qn_emit_conv2d_mve(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const conv_shape *s = job->shape;
  const qn_window *g = &s->g;
  const walk w = {b, s, arguments[2], arguments[3]};
  qn_loop images = qn_begin_loop(b, g->batch, NULL, 0);
  LLVMValueRef image =
      qn_at_index(b, arguments[0], qn_times(b, images.index, (int64_t)g->in_h * g->in_w * g->in_c));
  qn_loop rows = qn_begin_loop(b, g->out_h, NULL, 0);
  LLVMValueRef row = LLVMBuildAdd(b->b, qn_times(b, images.index, g->out_h), rows.index, "");
  LLVMValueRef y = qn_at_index(b, arguments[1], qn_times(b, row, (int64_t)g->out_w * g->out_c));
  qn_loop pieces = qn_begin_loop(b, (g->out_w + s->piece - 1) / s->piece, NULL, 0);
  LLVMValueRef first = qn_tile_start(b, pieces.index, s->piece, g->out_w);
  y = qn_at_index(b, y, qn_times(b, first, g->out_c));
  if (s->in_place) {
    int64_t row_step = (int64_t)g->stride_h * g->in_w * g->in_c;
    LLVMValueRef x = qn_at_index(b, image, qn_times(b, rows.index, row_step));
    emit_piece(&w, x, (int64_t)g->stride_w * g->in_c, y);
  } else {
    emit_copy(&w, image, rows.index, first);
    emit_piece(&w, w.copy, g->stride_w * column_bytes(s), y);
  }
  qn_end_loop(b, &pieces);
  qn_end_loop(b, &rows);
  qn_end_loop(b, &images);
}
