/* depthwise_thumb: depthwise convolutions on Cortex-M0+, one result after the other.
 *
 * For each pixel a kernel, assembly for the window's size, walks the channels: the taps' weights
 * come four to a word, activations from where they are, or from a copy of the window with its
 * padding.
 *
 * Constants: qn_border; the kernel's numbers; and from byte 64 on per channel the bias without
 * x_zero, words of weights, and multiplier and shr as in thumb.h, which says why it is exact. */
#include <string.h>
#include "pixels.h"
#include "thumb.h"
#include "window.h"

enum { BORDER_AT = 0, NUMBERS_AT = 32, CHANNELS_AT = 64, MOST_TAPS = 25, WORD = 4 };
enum { SAVED_BYTES = 36, LOCAL_BYTES = 16 };
/* Locals of the kernel, from sp: the channel's window; results; row step; end of the channels. */
enum { AT_X = 0, AT_Y = 4, AT_STEP = 8, AT_END = 12 };

typedef struct {
  int32_t zero, low, high;
  int32_t column_step;  /* bytes from tap to tap of a row */
  int32_t stream_bytes; /* of the channels */
} kernel_numbers;

typedef struct {
  qn_window g;
  int32_t rounding, padded;
} depthwise_shape;

static int32_t taps_of(const depthwise_shape *s) { return s->g.kernel_h * s->g.kernel_w; }

static int32_t channel_bytes(const depthwise_shape *s) {
  return WORD + (taps_of(s) + 3) / 4 * WORD + QN_THUMB_CHANNEL_BYTES;
}

/* ------------------------------------------------------------------ taking */

/* False: the kernel's rounding is not this channel's. */
static bool pack_channel(const qn_unit *u, const qn_call *call, const depthwise_shape *s, int32_t c,
                         unsigned char *to) {
  const int8_t *w = (const int8_t *)qn_constant(u, call->in[1]) + c;
  int32_t taps = taps_of(s), channels = s->g.in_c;
  qn_bounded of = qn_bound_channel(u, call, c, w, taps, channels, 0);
  if (!qn_thumb_is_exact(&of.r)) return false;
  const int32_t first = (int32_t)(uint32_t)of.bias;
  const int32_t numbers[] = {of.r.mul & 0xFFFF, of.r.mul >> 16, of.r.shr};
  memcpy(to, &first, WORD);
  for (int32_t k = 0; k < taps; k++) to[WORD + k] = (uint8_t)w[(int64_t)k * channels];
  memcpy(to + channel_bytes(s) - QN_THUMB_CHANNEL_BYTES, numbers, QN_THUMB_CHANNEL_BYTES);
  return true;
}

static bool pack(const qn_unit *u, const qn_call *call, const qn_conv_i8_params *p,
                 const depthwise_shape *s, qn_job *job) {
  const qn_window *g = &s->g;
  int64_t stream = (int64_t)g->in_c * channel_bytes(s);
  if (stream > INT32_MAX / 4) return false;
  unsigned char *bytes = qn_alloc(&u->m->arena, (size_t)(CHANNELS_AT + stream));
  const qn_border border = qn_border_of(g, p->x_zero);
  const kernel_numbers numbers = {p->y_zero, p->low, p->high, g->dilation_w * g->in_c,
                                  (int32_t)stream};
  memcpy(bytes + BORDER_AT, &border, sizeof border);
  memcpy(bytes + NUMBERS_AT, &numbers, sizeof numbers);
  job->constants = bytes;
  job->constant_bytes = CHANNELS_AT + stream;
  for (int32_t c = 0; c < g->in_c; c++)
    if (!pack_channel(u, call, s, c, bytes + CHANNELS_AT + (int64_t)c * channel_bytes(s)))
      return false;
  return true;
}

bool qn_take_depthwise_thumb(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  const qn_window *g = &params.g;
  if (!qn_dsp_takes(u, call, &params) || g->in_c != g->out_c) return false;
  if (g->kernel_h * g->kernel_w > MOST_TAPS) return false;
  depthwise_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  s->g = *g;
  s->rounding = qn_dsp_choose_kernel(&params).rounding;
  s->padded = qn_needs_border(g);
  if (!pack(u, call, &params, s, job)) return false;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->scratch_bytes = s->padded ? qn_window_bytes(g) : 0;
  job->overlap = QN_AHEAD; /* its own results, and maybe one more, are written before all is read */
  job->lead = qn_window_lead(g, 2);
  return true;
}

/* ------------------------------------------------------------------ the kernel */

/* r0 the row, r1 the channels' stream, r2 weights, r5 where in the row, r6 the sum, r7 the columns'
 * step. */
static void write_sum(qn_assembly *a, const depthwise_shape *s) {
  int32_t taps = taps_of(s), columns = s->g.kernel_w;
  for (int32_t k = 0; k < taps; k++) {
    if (k > 0 && k % columns == 0) qn_write_lines(a, "ldr r5, [sp, #%d]\nadds r0, r0, r5", AT_STEP);
    qn_write_lines(a, k % columns == 0 ? "movs r5, #0" : "adds r5, r5, r7");
    qn_write_lines(a, k % 4 == 0 ? "ldmia r1!, {r2}" : "asrs r2, r2, #8");
    qn_write_lines(a, "ldrsb r4, [r0, r5]\nsxtb r3, r2\nmuls r4, r3, r4\nadds r6, r6, r4");
  }
}

/* void kernel(const int8_t *window, const kernel_numbers *, int8_t *y, int row_step) */
static LLVMValueRef kernel_function(qn_build *b, const depthwise_shape *s) {
  qn_assembly a = {.arena = &b->u->m->arena};
  const char *name = qn_format(a.arena, "thumb_depthwise_%dx%d_%s", (int)s->g.kernel_h,
                               (int)s->g.kernel_w, qn_dsp_rounding_name(s->rounding, false));
  LLVMValueRef found = qn_find_assembly(b, name);
  if (found) return found;
  qn_write_thumb_entry(&a);
  qn_write_lines(&a,
                 "sub sp, #%d\nstr r0, [sp, #%d]\nstr r2, [sp, #%d]\nstr r3, [sp, #%d]\n"
                 "ldmia r1!, {r2, r3, r4, r7}\nmov r10, r2\nmov r12, r3\nmov lr, r4\n"
                 "ldr r2, [r1]\nadds r1, #%d\nadds r2, r2, r1\nstr r2, [sp, #%d]\n"
                 "1:\nldr r0, [sp, #%d]\nadds r2, r0, #1\nstr r2, [sp, #%d]\nldmia r1!, {r6}",
                 LOCAL_BYTES, AT_X, AT_Y, AT_STEP, CHANNELS_AT - NUMBERS_AT - 4 * WORD, AT_END,
                 AT_X, AT_X);
  write_sum(&a, s);
  qn_write_lines(&a, "ldmia r1!, {r2, r3, r4}\nmov r8, r2\nmov r9, r3\nmov r11, r4\nmov r0, r6");
  qn_write_thumb_rounding(&a, s->rounding);
  qn_write_lines(&a,
                 "ldr r2, [sp, #%d]\nstrb r0, [r2]\nadds r2, #1\nstr r2, [sp, #%d]\n"
                 "ldr r2, [sp, #%d]\ncmp r1, r2\nbeq 2f\nb 1b\n2:\nadd sp, #%d",
                 AT_Y, AT_Y, AT_END, LOCAL_BYTES);
  qn_write_thumb_exit(&a);
  LLVMTypeRef types[] = {b->u->pointer, b->u->pointer, b->u->pointer, b->u->i32};
  return qn_add_assembly(b, name, LLVMFunctionType(b->u->nothing, types, 4, 0), &a,
                         SAVED_BYTES + LOCAL_BYTES);
}

/* ------------------------------------------------------------------ code */

typedef struct {
  qn_build *b;
  const depthwise_shape *s;
  LLVMValueRef constants;
  qn_pixels pixels;
} walk;

static void emit_pixel(walk *w, qn_position at, LLVMValueRef y) {
  qn_build *b = w->b;
  LLVMValueRef window, step;
  qn_emit_window(&w->pixels, at, 0, &window, &step);
  LLVMValueRef arguments[] = {window, qn_at(b, w->constants, NUMBERS_AT), y, step};
  qn_call_function(b, kernel_function(b, w->s), arguments, 4);
}

static void emit_two_pixels(const void *of, qn_position first, qn_position second, LLVMValueRef y) {
  walk *w = (walk *)of;
  emit_pixel(w, first, y);
  emit_pixel(w, second, qn_at(w->b, y, w->s->g.out_c));
}

/* arguments: x, y, constants, scratch if there is any. */
void qn_emit_depthwise_thumb(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const depthwise_shape *s = job->shape;
  walk w = {b, s, arguments[2], {0}};
  w.pixels = (qn_pixels){.b = b, .g = &s->g, .padded = s->padded};
  w.pixels.border = qn_at(b, w.constants, BORDER_AT);
  if (s->padded) w.pixels.copies = arguments[3];
  if (s->g.batch * s->g.out_h * s->g.out_w > 1)
    qn_emit_pairs_of_pixels(&w.pixels, arguments[0], arguments[1], emit_two_pixels, &w);
  else
    emit_pixel(&w, qn_first_position(b, &s->g, arguments[0]), arguments[1]);
}
