/* depthwise_mve: 3x3 depthwise convolutions with Helium: four results of one channel in the lanes,
 * weights as scalars.
 *
 * The rows of input that a strip of results needs are brought, eight channels at a time, into
 * planes of bytes with the padding around them, in scratch. One axis of the image is the lanes',
 * whichever wastes less; along the other one a kernel walks: a line of the plane is loaded once per
 * column of the window and serves all results that see it, whose sums rotate through registers.
 * Lines are as long as the lanes' axis; where lanes move by 2, even positions come first, then odd
 * ones.
 *
 * The last lanes and strips may overlap what is before them; less than four lanes are stored under
 * a predicate. The last planes may be of channels done before, which the kernel skips.
 *
 * The result may overlap the operand: if there is one strip and both have the same shape, in the
 * same bytes, channel by channel; where strips are rows, in front of what is still to be read.
 *
 * Constants: a qn_mve_filling, and from byte 64 on per channel nine weights, bias, multiplier,
 * -shr, a word each; the window's lines are the walked axis. x_zero leaves by the bias; sums are
 * exact modulo 2^32, and roundings are those of mve.h. */
#include <string.h>
#include "mve.h"
#include "rescale.h"
#include "window.h"

enum {
  CHANNELS = 8,
  CHANNEL_BYTES = 48,
  CHANNELS_AT = 64,
  LANES = 4,
  MOST_PLANES = 65535,
  ENOUGH_BYTES = 2048,
  LEAST_LINES = 10,
  MOST_REACH = 127, /* of the addresses of loads */
  MOST_IMMEDIATE = 4095,
  VECTOR = 16
};
enum { SAVED_BYTES = 36 + 64, LOCAL_BYTES = 64 };
/* Locals of the kernel, from sp. */
enum { AT_PLANE = 0, AT_Y = 4, AT_STREAM = 8, AT_CHANNELS = 12, AT_BLOCKS = 16, AT_CLAMPS = 32 };

/* One of the image's two axes. */
typedef struct {
  int32_t in, out, stride, before; /* pixels */
  int32_t x_step, y_step;          /* bytes to the next pixel */
} axis;

typedef struct {
  int32_t batch, channels;
  int64_t x_bytes, y_bytes; /* of an image */
  axis lane, walk;
  int32_t walks_down;   /* lines are rows, not columns */
  int32_t half, pitch;  /* bytes: the even positions of a line; a line */
  int32_t strip, lines; /* results along the walk in a strip; lines that they need */
  int32_t in_place;
  int32_t x_zero;
  qn_dsp_kernel kernel;
  qn_clamping clamping;
} depthwise_shape;

static int32_t plane_bytes(const depthwise_shape *s) { return s->lines * s->pitch; }

static int32_t lines_for(const axis *a, int32_t results) { return (results - 1) * a->stride + 3; }

static int32_t blocks_of(const depthwise_shape *s) { return (s->lane.out + LANES - 1) / LANES; }

/* ------------------------------------------------------------------ taking */

static void choose_axes(depthwise_shape *s, const qn_window *g) {
  axis columns = {g->in_w, g->out_w, g->stride_w, g->left, g->in_c, g->in_c};
  axis rows = {g->in_h, g->out_h, g->stride_h, g->top, g->in_w * g->in_c, g->out_w * g->in_c};
  int64_t across = (int64_t)(g->out_w + LANES - 1) / LANES * g->out_h;
  int64_t down = (int64_t)(g->out_h + LANES - 1) / LANES * g->out_w;
  s->walks_down = across <= down;
  s->lane = s->walks_down ? columns : rows;
  s->walk = s->walks_down ? rows : columns;
}

/* Strips as long as the scratch allows, all of the same length. */
static bool measure(depthwise_shape *s) {
  int32_t lanes = s->lane.out < LANES ? LANES : s->lane.out;
  int64_t positions = ((int64_t)lanes - 1) * s->lane.stride + 3;
  if (positions > 2 * MOST_REACH || s->lane.before > 2 || s->walk.before > 2) return false;
  s->half = s->lane.stride == 2 ? (int32_t)(positions + 1) / 2 : 0;
  s->pitch = s->lane.stride == 2 ? 2 * s->half : (int32_t)positions;
  int64_t line = (int64_t)CHANNELS * s->pitch, most = ENOUGH_BYTES;
  if (most < line * LEAST_LINES) most = line * LEAST_LINES;
  int32_t strips = 1;
  while (lines_for(&s->walk, (s->walk.out + strips - 1) / strips) * line > most) strips++;
  s->strip = (s->walk.out + strips - 1) / strips;
  s->lines = lines_for(&s->walk, s->strip);
  return (int64_t)CHANNELS * plane_bytes(s) <= MOST_PLANES && s->walk.y_step <= 4 * MOST_IMMEDIATE;
}

static int32_t offset_of(const depthwise_shape *s, int32_t position) {
  return s->lane.stride == 2 ? position % 2 * s->half + position / 2 : position;
}

static qn_mve_filling filling_of(const depthwise_shape *s) {
  int32_t room = s->pitch - s->lane.before;
  int32_t count = s->lane.in < room ? s->lane.in : room;
  return (qn_mve_filling){.pairs = count / 2,
                          .rest = count % 2,
                          .x_step = s->lane.x_step,
                          .x_line = s->walk.x_step,
                          .pair_step = s->lane.stride == 2 ? 1 : 2,
                          .line_bytes = s->pitch,
                          .plane_bytes = plane_bytes(s),
                          .first = offset_of(s, s->lane.before),
                          .second = offset_of(s, s->lane.before + 1)};
}

/* False: the kernel's rounding is not this channel's. */
static bool pack_channel(const qn_unit *u, const qn_call *call, const depthwise_shape *s, int32_t c,
                         int32_t *to) {
  const int8_t *w = (const int8_t *)qn_constant(u, call->in[1]) + c;
  qn_bounded of = qn_bound_channel(u, call, c, w, 9, s->channels, 0);
  if (!qn_mve_is_exact(&of.r, &s->kernel)) return false;
  for (int32_t line = 0; line < 3; line++)
    for (int32_t k = 0; k < 3; k++)
      *to++ = w[(s->walks_down ? 3 * line + k : 3 * k + line) * s->channels];
  *to++ = (int32_t)(uint32_t)of.bias;
  *to++ = of.r.mul;
  *to = -of.r.shr;
  return true;
}

static bool pack(const qn_unit *u, const qn_call *call, const depthwise_shape *s, qn_job *job) {
  job->constant_bytes = CHANNELS_AT + (int64_t)s->channels * CHANNEL_BYTES;
  unsigned char *bytes = qn_alloc(&u->m->arena, (size_t)job->constant_bytes);
  const qn_mve_filling filling = filling_of(s);
  memcpy(bytes, &filling, sizeof filling);
  job->constants = bytes;
  bytes += CHANNELS_AT;
  for (int32_t c = 0; c < s->channels; c++, bytes += CHANNEL_BYTES) {
    int32_t words[CHANNEL_BYTES / 4];
    if (!pack_channel(u, call, s, c, words)) return false;
    memcpy(bytes, words, sizeof words);
  }
  return true;
}

/* See above; beyond the result's bytes: not at all. */
static void set_overlap(depthwise_shape *s, qn_job *job) {
  const axis *w = &s->walk;
  s->in_place = s->strip == w->out && w->in == w->out && w->stride == 1 &&
                s->lane.in == s->lane.out && s->lane.stride == 1;
  if (s->in_place) job->overlap = QN_IN_PLACE;
  if (s->in_place || !s->walks_down) return;
  job->overlap = QN_AHEAD;
  for (int32_t image = 0; image < s->batch; image++)
    for (int32_t end = s->strip; end < w->out + s->strip; end += s->strip) {
      int32_t last = end < w->out ? end : w->out, first = (last - s->strip) * w->stride - w->before;
      int64_t written = image * s->y_bytes + (int64_t)last * w->y_step;
      int64_t unread = image * s->x_bytes + (int64_t)(first > 0 ? first : 0) * w->x_step;
      if (written - unread > job->lead) job->lead = written - unread;
    }
}

bool qn_take_depthwise_mve(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  const qn_window *g = &params.g;
  if (!qn_dsp_takes(u, call, &params) || g->in_c != g->out_c || g->in_c < CHANNELS) return false;
  if (g->kernel_h != 3 || g->kernel_w != 3 || g->dilation_h != 1 || g->dilation_w != 1)
    return false;
  if (g->stride_w > 2 || g->stride_h > 2) return false;
  depthwise_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  s->batch = g->batch;
  s->channels = g->in_c;
  s->x_bytes = (int64_t)g->in_h * g->in_w * g->in_c;
  s->y_bytes = (int64_t)g->out_h * g->out_w * g->in_c;
  s->x_zero = params.x_zero;
  s->clamping = (qn_clamping){.zero = params.y_zero, .low = params.low, .high = params.high};
  s->kernel = qn_dsp_choose_kernel(&params);
  choose_axes(s, g);
  if (!measure(s) || !pack(u, call, s, job)) return false;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->scratch_bytes = (int64_t)CHANNELS * plane_bytes(s);
  set_overlap(s, job);
  return true;
}

/* ------------------------------------------------------------------ the kernel */

/* Registers: r0 the plane, r1 results, r2..r10 weights, r11 multiplier, r12 shift, lr counts;
 * q0..q2 sums, q3 a line, q4 bias, q5 zero, q6 where the lanes' results are, q7 multiplier for
 * mulhi. */
typedef struct {
  qn_assembly *a;
  const depthwise_shape *s;
  int32_t rotation; /* sums */
} writer;

/* lr may change. */
static void write_move(qn_assembly *a, const char *at, int64_t by) {
  int64_t size = by < 0 ? -by : by;
  if (size == 0) return;
  qn_write_lines(a, "movw lr, #%d", (int)(size % 65536));
  if (size > 65535) qn_write_lines(a, "movt lr, #%d", (int)(size / 65536));
  qn_write_lines(a, "%s %s, %s, lr", by < 0 ? "sub" : "add", at, at);
}

static void write_result(const writer *w, int32_t sum) {
  qn_assembly *a = w->a;
  const depthwise_shape *s = w->s;
  if (s->kernel.rounding == QN_DSP_MULHI) {
    qn_write_lines(a, "vrmulh.s32 q%d, q%d, q7", sum, sum);
  } else {
    qn_write_lines(a, "vqrdmulh.s32 q%d, q%d, r11", sum, sum);
    if (s->kernel.rounding == QN_DSP_SIGNED)
      qn_write_lines(a, "vshr.s32 q3, q%d, #31\nvqadd.s32 q%d, q%d, q3", sum, sum, sum);
    qn_write_lines(a, "vrshl.s32 q%d, r12", sum);
  }
  qn_write_lines(a, "vqadd.s32 q%d, q%d, q5", sum, sum);
  if (s->kernel.clamps)
    qn_write_lines(a,
                   "vldrw.u32 q3, [sp, #%d]\nvmax.s32 q%d, q%d, q3\nvldrw.u32 q3, [sp, #%d]\n"
                   "vmin.s32 q%d, q%d, q3",
                   AT_CLAMPS, sum, sum, AT_CLAMPS + VECTOR, sum, sum);
  else
    qn_write_lines(a, "vqmovnb.s32 q%d, q%d\nvqmovnb.s16 q%d, q%d", sum, sum, sum, sum);
  if (s->lane.out < LANES)
    qn_write_lines(a, "vpst\nvstrbt.32 q%d, [r1, q6]", sum);
  else
    qn_write_lines(a, "vstrb.32 q%d, [r1, q6]", sum);
  for (int32_t left = s->walk.y_step; left > 0; left -= MOST_IMMEDIATE)
    qn_write_lines(a, "addw r1, r1, #%d", (int)(left < MOST_IMMEDIATE ? left : MOST_IMMEDIATE));
}

/* A line's three columns for all results that see it, and the result that it completes. */
static void write_line(const writer *w, int32_t line) {
  const depthwise_shape *s = w->s;
  int32_t stride = s->walk.stride;
  for (int32_t k = 2; k >= 0; k--) {
    if (k == 0 && s->pitch <= MOST_REACH)
      qn_write_lines(w->a, "vldrb.s32 q3, [r0], #%d", (int)s->pitch);
    else
      qn_write_lines(w->a, "vldrb.s32 q3, [r0, #%d]", (int)offset_of(s, k));
    for (int32_t tap = 2; tap >= 0; tap--) {
      int32_t result = (line - tap) / stride, sum = result % w->rotation;
      if (line < tap || (line - tap) % stride != 0 || result >= s->strip) continue;
      if (tap == 0 && k == 2) qn_write_lines(w->a, "vmov q%d, q4", (int)sum);
      qn_write_lines(w->a, "vmla.i32 q%d, q3, r%d", (int)sum, (int)(2 + 3 * tap + k));
    }
  }
  if (s->pitch > MOST_REACH) qn_write_lines(w->a, "addw r0, r0, #%d", (int)s->pitch);
  if (line >= 2 && (line - 2) % stride == 0) write_result(w, (line - 2) / stride % w->rotation);
}

/* All lines: two, a loop over as many as make the sums rotate once, and the rest. */
static void write_lines(const writer *w) {
  const depthwise_shape *s = w->s;
  int32_t stride = s->walk.stride, period = w->rotation * stride, line = 2;
  int32_t rounds =
      (s->strip * stride - 2) / period; /* whose lines all begin results of the strip */
  write_line(w, 0);
  write_line(w, 1);
  if (rounds > 1) {
    qn_write_lines(w->a, "mov lr, #%d\ndls lr, lr\n3:", (int)rounds);
    for (; line < 2 + period; line++) write_line(w, line);
    qn_write_lines(w->a, "le lr, 3b");
    line = 2 + rounds * period;
  }
  for (; line < s->lines; line++) write_line(w, line);
}

/* To the next block of lanes; the last one ends with the line. */
static void write_next_block(qn_assembly *a, const depthwise_shape *s) {
  int32_t blocks = blocks_of(s), back = blocks * LANES - s->lane.out;
  qn_write_lines(a, "ldr lr, [sp, #%d]\nsubs lr, #1\nbeq 4f\nstr lr, [sp, #%d]", AT_BLOCKS,
                 AT_BLOCKS);
  int64_t y_back = (int64_t)s->strip * s->walk.y_step - (int64_t)LANES * s->lane.y_step;
  if (back > 0) {
    qn_write_lines(a, "cmp lr, #1\nbne 5f\nsub r0, #%d", (int)back);
    write_move(a, "r1", -(int64_t)back * s->lane.y_step);
    qn_write_lines(a, "5:");
  }
  write_move(a, "r0", LANES - (int64_t)plane_bytes(s));
  write_move(a, "r1", -y_back);
  qn_write_lines(a, "b.w 2b\n4:");
}

static void write_entry(qn_assembly *a, const depthwise_shape *s) {
  qn_write_lines(a,
                 "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\nvpush {d8, d9, d10, d11, d12, d13, "
                 "d14, d15}\nsub sp, #%d\nstrd r0, r2, [sp, #%d]\nstrd r1, r3, [sp, #%d]\n"
                 "mov r4, #0\nvidup.u32 q6, r4, #1\nmovw r5, #%d\nmovt r5, #%d\n"
                 "vmul.i32 q6, q6, r5\nmov r5, #%d\nvdup.32 q5, r5",
                 LOCAL_BYTES, AT_PLANE, AT_STREAM, (int)(s->lane.y_step % 65536),
                 (int)(s->lane.y_step / 65536), (int)s->clamping.zero);
  if (s->kernel.clamps)
    qn_write_lines(a,
                   "mov r5, #%d\nvdup.32 q0, r5\nvstrw.32 q0, [sp, #%d]\nmov r5, #%d\n"
                   "vdup.32 q0, r5\nvstrw.32 q0, [sp, #%d]",
                   (int)s->clamping.low, AT_CLAMPS, (int)s->clamping.high, AT_CLAMPS + VECTOR);
  if (s->lane.out < LANES) qn_write_lines(a, "mov r5, #%d\nvctp.32 r5", (int)s->lane.out);
}

/* void kernel(const int8_t *planes, const void *channels, int8_t *y, int count) */
static LLVMValueRef kernel_function(qn_build *b, const depthwise_shape *s) {
  qn_assembly a = {.arena = &b->u->m->arena};
  size_t size;
  const char *name = qn_format(a.arena, "%s_plane", LLVMGetValueName2(b->function, &size));
  writer w = {&a, s, s->walk.stride == 1 ? 3 : 2};
  write_entry(&a, s);
  qn_write_lines(&a,
                 "1:\nldr r0, [sp, #%d]\nldm r0!, {r2, r3, r4, r5, r6, r7, r8, r9, r10}\n"
                 "ldm r0!, {r1, r11, r12}\nstr r0, [sp, #%d]\nvdup.32 q4, r1\nmov lr, #%d\n"
                 "str lr, [sp, #%d]\nldrd r0, r1, [sp, #%d]",
                 AT_STREAM, AT_STREAM, (int)blocks_of(s), AT_BLOCKS, AT_PLANE);
  if (s->kernel.rounding == QN_DSP_MULHI) qn_write_lines(&a, "vdup.32 q7, r11");
  qn_write_lines(&a, "2:");
  write_lines(&w);
  if (blocks_of(s) > 1) write_next_block(&a, s);
  qn_write_lines(&a, "ldrd r0, r1, [sp, #%d]", AT_PLANE);
  write_move(&a, "r0", plane_bytes(s));
  qn_write_lines(&a,
                 "add r1, #1\nstrd r0, r1, [sp, #%d]\nldr lr, [sp, #%d]\nsubs lr, #1\n"
                 "str lr, [sp, #%d]\nbne.w 1b\nadd sp, #%d\n"
                 "vpop {d8, d9, d10, d11, d12, d13, d14, d15}\n"
                 "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}",
                 AT_PLANE, AT_CHANNELS, AT_CHANNELS, LOCAL_BYTES);
  LLVMTypeRef types[] = {b->u->pointer, b->u->pointer, b->u->pointer, b->u->i32};
  return qn_add_assembly(b, name, LLVMFunctionType(b->u->nothing, types, 4, 0), &a,
                         SAVED_BYTES + LOCAL_BYTES);
}

/* ------------------------------------------------------------------ strips */

typedef struct {
  LLVMValueRef x, planes; /* the first line that is not all padding, there and there */
  LLVMValueRef lines;     /* an i32 */
} strip_lines;

/* The lines of the strip whose first one is at `first`, maybe in the padding, that the image has.
 */
static strip_lines find_lines(qn_build *b, const depthwise_shape *s, LLVMValueRef x,
                              LLVMValueRef planes, LLVMValueRef first) {
  LLVMValueRef none = qn_index(b, 0), in = qn_index(b, s->walk.in);
  LLVMValueRef before = LLVMBuildICmp(b->b, LLVMIntSLT, first, none, "");
  LLVMValueRef from = LLVMBuildSelect(b->b, before, none, first, "");
  LLVMValueRef end = LLVMBuildAdd(b->b, first, qn_index(b, s->lines), "");
  LLVMValueRef beyond = LLVMBuildICmp(b->b, LLVMIntSGT, end, in, "");
  end = LLVMBuildSelect(b->b, beyond, in, end, "");
  LLVMValueRef skipped = LLVMBuildSub(b->b, from, first, "");
  return (strip_lines){qn_at_index(b, x, qn_times(b, from, s->walk.x_step)),
                       qn_at_index(b, planes, qn_times(b, skipped, s->pitch)),
                       LLVMBuildSub(b->b, end, from, "")};
}

static void emit_strip(qn_build *b, const depthwise_shape *s, LLVMValueRef kernel,
                       LLVMValueRef constants, LLVMValueRef planes, const strip_lines *lines,
                       LLVMValueRef y) {
  int32_t groups = (s->channels + CHANNELS - 1) / CHANNELS;
  qn_loop group = qn_begin_loop(b, groups, NULL, 0);
  LLVMValueRef first = qn_tile_start(b, group.index, CHANNELS, s->channels); /* of the planes */
  LLVMValueRef fill[] = {qn_at_index(b, lines->x, first), lines->planes, constants, lines->lines};
  qn_call_function(b, qn_mve_fill_function(b), fill, 4);
  LLVMValueRef channel = qn_times(b, group.index, CHANNELS); /* of the results */
  LLVMValueRef skipped = LLVMBuildSub(b->b, channel, first, "");
  LLVMValueRef call[] = {
      qn_at_index(b, planes, qn_times(b, skipped, plane_bytes(s))),
      qn_at_index(b, qn_at(b, constants, CHANNELS_AT), qn_times(b, channel, CHANNEL_BYTES)),
      qn_at_index(b, y, channel), LLVMBuildSub(b->b, qn_i32(b, CHANNELS), skipped, "")};
  qn_call_function(b, kernel, call, 4);
  qn_end_loop(b, &group);
}

/* arguments: x, y, constants, scratch. */
void qn_emit_depthwise_mve(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const depthwise_shape *s = job->shape;
  LLVMValueRef kernel = kernel_function(b, s), planes = arguments[3];
  qn_loop image = qn_begin_loop(b, s->batch, NULL, 0);
  LLVMValueRef x = qn_at_index(b, arguments[0], qn_times(b, image.index, s->x_bytes));
  LLVMValueRef y = qn_at_index(b, arguments[1], qn_times(b, image.index, s->y_bytes));
  qn_loop strip = qn_begin_loop(b, (s->walk.out + s->strip - 1) / s->strip, NULL, 0);
  LLVMValueRef result = qn_tile_start(b, strip.index, s->strip, s->walk.out);
  LLVMValueRef first =
      LLVMBuildSub(b->b, qn_times(b, result, s->walk.stride), qn_index(b, s->walk.before), "");
  /* padding everywhere; inner pixels are written over it */
  qn_emit_mve_set(b, planes, s->x_zero, qn_i32(b, (int64_t)CHANNELS * plane_bytes(s)));
  strip_lines lines = find_lines(b, s, x, planes, first);
  emit_strip(b, s, kernel, arguments[2], planes, &lines,
             qn_at_index(b, y, qn_times(b, result, s->walk.y_step)));
  qn_end_loop(b, &strip);
  qn_end_loop(b, &image);
}
