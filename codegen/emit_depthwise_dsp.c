/* depthwise_dsp: 3x3 depthwise convolutions by SMLAD.
 *
 * The input rows that a strip of result rows needs are taken apart, four channels at a time, into
 * planes of int16 with the padding around them, in scratch. Two neighbours of a plane's row are one
 * word X[k] = (x[2k], x[2k+1]), and three taps of a row are two multiply-adds:
 *   result column 2k, or k when columns move by 2   X[k].(w0, w1) + X[k+1].low * w2
 *   result column 2k + 1                            X[k].high * w0 + X[k+1].(w1, w2)
 *
 * A kernel, assembly for the layer's shape, walks some of the four planes with the nine weights in
 * six registers, two results at a time. The last planes may be of channels done before, which it
 * skips; the last strip may have fewer rows.
 *
 * Where result and operand have the same shape the result may take the operand's place: all strips
 * of four channels come before the next four, and the rows that two strips share are moved from the
 * end of the planes to their start. Elsewhere all channels of a strip come before the next strip,
 * and the result may overlap the operand in front of what is still to be read.
 *
 * Constants: a word of x_zero in every byte, and from byte 64 on per channel the words (w0, w1),
 * (w1, w2) of the three rows, bias, multiplier, 2^(32-shr). For tflite weights and bias are
 * doubled: emit_conv_dsp.c says why the rounding is exact. When all channels can be scaled (dsp.h),
 * nothing is, and an add is in place of the power of two. */
#include <string.h>
#include "dsp.h"
#include "rescale.h"
#include "window.h"

enum {
  CHANNELS = 4,
  CHANNEL_BYTES = 36,
  CHANNELS_AT = 64,
  MOST_OFFSET = 1020,
  MOST_IMMEDIATE = 4095
};
enum {
  SAVED_BYTES = 36,
  LOCAL_BYTES = 40,
  UNROLLED_STEPS = 6,
  LEAST_ROWS = 10,
  ENOUGH_BYTES = 1280
};
/* Locals of the kernel, from sp. */
enum {
  AT_PLANE = 0,
  AT_Y = 4,
  AT_NUMBERS = 8,
  AT_ROWS = 16,
  AT_CHANNELS = 20,
  AT_STREAM = 24,
  AT_STEPS = 28,
  AT_ROW_COUNT = 32
};

typedef struct {
  qn_window g;
  qn_dsp_kernel kernel; /* pixels: 2 */
  qn_clamping clamping;
  int32_t bits; /* scaled: of fractions */
  int32_t x_zero;
  int32_t strips, strip_rows; /* result rows of a strip */
  int32_t plane_rows, row_words;
  int32_t in_place;
} depthwise_shape;

static int32_t row_bytes(const depthwise_shape *s) { return 4 * s->row_words; }
static int32_t plane_bytes(const depthwise_shape *s) { return s->plane_rows * row_bytes(s); }

static int32_t rows_for(const qn_window *g, int32_t results) {
  return (results - 1) * g->stride_h + 3;
}

/* Strips as high as the scratch allows, all of the same height. */
static bool measure(depthwise_shape *s) {
  const qn_window *g = &s->g;
  s->row_words = ((g->out_w - 1) * g->stride_w + 3 + 1) / 2;
  int64_t row = (int64_t)CHANNELS * 4 * s->row_words, most = ENOUGH_BYTES;
  if (most < row * LEAST_ROWS) most = row * LEAST_ROWS;
  int32_t strips = 1;
  while (rows_for(g, (g->out_h + strips - 1) / strips) * row > most) strips++;
  s->strip_rows = (g->out_h + strips - 1) / strips;
  s->strips = (g->out_h + s->strip_rows - 1) / s->strip_rows;
  s->plane_rows = rows_for(g, s->strip_rows);
  s->in_place = g->stride_h == 1 && g->stride_w == 1 && g->out_h == g->in_h &&
                g->out_w == g->in_w && g->top == 1 && g->left == 1;
  return 2 * row_bytes(s) + 4 * (UNROLLED_STEPS + 2) * g->stride_w <= MOST_OFFSET &&
         2 * UNROLLED_STEPS * g->in_c <= MOST_IMMEDIATE && g->left < 8;
}

/* How far the result has to start in front of the operand when strips come first. */
static int64_t find_lead(const depthwise_shape *s) {
  const qn_window *g = &s->g;
  int64_t lead = 0, in_row = (int64_t)g->in_w * g->in_c, out_row = (int64_t)g->out_w * g->in_c;
  for (int32_t image = 0; image < g->batch; image++)
    for (int32_t strip = 0; strip < s->strips; strip++) {
      int32_t first = strip * s->strip_rows, end = first + s->strip_rows;
      if (end > g->out_h) end = g->out_h;
      int32_t read = first * g->stride_h - g->top;
      int64_t written = ((int64_t)image * g->out_h + end) * out_row;
      int64_t unread = ((int64_t)image * g->in_h + (read > 0 ? read : 0)) * in_row;
      if (written - unread > lead) lead = written - unread;
    }
  return lead;
}

/* ------------------------------------------------------------------ constants */

static uint32_t halfwords(int32_t low, int32_t high) {
  return ((uint32_t)low & 65535) | (uint32_t)high << 16;
}

/* False: the kernel's rounding is not this channel's. */
static bool pack_channel(const qn_unit *u, const qn_call *call, const depthwise_shape *s, int32_t c,
                         uint32_t *to) {
  const int8_t *w = (const int8_t *)qn_constant(u, call->in[1]) + c;
  bool scaled = s->kernel.rounding == QN_DSP_SCALED;
  int32_t channels = s->g.out_c, factor = scaled || s->kernel.rounding == QN_DSP_MULHI ? 1 : 2;
  const qn_bounded of = qn_bound_channel(u, call, c, w, 9, channels, 0);
  const qn_rescaling *r = &of.r;
  qn_high_multiply numbers = {0, 0, 0};
  if (scaled ? !qn_prove_high_multiply(r, 1, s->bits, &numbers) : !qn_dsp_is_exact(r)) return false;
  for (int32_t row = 0; row < 3; row++, w += 3 * channels) {
    *to++ = halfwords(factor * w[0], factor * w[channels]);
    *to++ = halfwords(factor * w[channels], factor * w[2 * channels]);
  }
  *to++ = (uint32_t)factor * (uint32_t)of.bias + (uint32_t)numbers.shift;
  *to++ = (uint32_t)(scaled ? numbers.mul : r->mul);
  *to = r->contract == QN_CONTRACT_mulhi ? 0 : (uint32_t)1 << (32 - r->shr);
  if (scaled) *to = (uint32_t)numbers.add;
  return true;
}

static bool pack_channels(const qn_unit *u, const qn_call *call, const depthwise_shape *s,
                          qn_job *job) {
  job->constant_bytes = CHANNELS_AT + (int64_t)s->g.out_c * CHANNEL_BYTES;
  unsigned char *bytes = qn_alloc(&u->m->arena, (size_t)job->constant_bytes);
  memset(bytes, s->x_zero, 4);
  job->constants = bytes;
  bytes += CHANNELS_AT;
  for (int32_t c = 0; c < s->g.out_c; c++, bytes += CHANNEL_BYTES) {
    uint32_t words[CHANNEL_BYTES / 4];
    if (!pack_channel(u, call, s, c, words)) return false;
    memcpy(bytes, words, sizeof words);
  }
  return true;
}

/* Scaled, with the same bits as other layers if possible and the numbers need not be those of the
 * model, or as it is. */
static bool pack(const qn_unit *u, const qn_call *call, depthwise_shape *s, qn_job *job) {
  static const int32_t preferred[] = {4, 6, 2, 1};
  const qn_dsp_kernel kernel = s->kernel;
  s->kernel.rounding = QN_DSP_SCALED;
  for (int i = 0; i < 4 && kernel.rounding == QN_DSP_RELU && !job->packable; i++) {
    s->bits = preferred[i];
    if (pack_channels(u, call, s, job)) return true;
  }
  s->kernel = kernel;
  s->bits = 0;
  return pack_channels(u, call, s, job);
}

/* How the constants can be made at run time. */
static const qn_packing *describe_packing(const qn_unit *u, const qn_call *call,
                                          const depthwise_shape *s) {
  qn_arena *a = &u->m->arena;
  int32_t channels = s->g.out_c;
  const int8_t *w = qn_constant(u, call->in[1]);
  int32_t *sums = qn_alloc(a, (size_t)channels * sizeof *sums);
  int32_t *mul = qn_alloc(a, (size_t)channels * sizeof *mul);
  int8_t *shr = qn_alloc(a, (size_t)channels);
  for (int32_t c = 0; c < channels; c++) {
    qn_bounded of = qn_bound_channel(u, call, c, w + c, 9, channels, 0);
    sums[c] = (int32_t)(uint32_t)of.bias;
    mul[c] = of.r.mul;
    shr[c] = (int8_t)of.r.shr;
  }
  qn_packing *out = qn_alloc(a, sizeof *out);
  *out = (qn_packing){.packer = "qn_pack_depthwise_dsp",
                      .pack = qn_pack_depthwise_dsp,
                      .params = {.taps = 9, .mulhi = s->kernel.rounding == QN_DSP_MULHI},
                      .head_bytes = CHANNELS_AT,
                      .unit = 1,
                      .unit_bytes = CHANNEL_BYTES,
                      .channel_step = 1,
                      .bias = sums,
                      .mul = mul,
                      .shr = shr};
  return out;
}

bool qn_take_depthwise_dsp(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  const qn_window *g = &params.g;
  if (!qn_dsp_takes(u, call, &params) || g->in_c != params.y_c || g->out_c < CHANNELS) return false;
  if (g->kernel_h != 3 || g->kernel_w != 3 || g->dilation_h != 1 || g->dilation_w != 1)
    return false;
  if (g->stride_w > 2 || g->stride_h > 2) return false;
  depthwise_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  s->g = *g;
  s->x_zero = params.x_zero;
  s->clamping = (qn_clamping){.zero = params.y_zero, .low = params.low, .high = params.high};
  s->kernel = qn_dsp_choose_kernel(&params);
  s->kernel.pixels = 2;
  if (!measure(s) || !pack(u, call, s, job)) return false;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->scratch_bytes = (int64_t)CHANNELS * plane_bytes(s);
  job->overlap = s->in_place ? QN_IN_PLACE : QN_AHEAD;
  job->lead = find_lead(s);
  if (job->packable) job->packing = describe_packing(u, call, s);
  return true;
}

/* ------------------------------------------------------------------ the kernel */

/* Registers: r0 the plane, r1 results, r2 and r3 X, r4..r9 weights, r10 bias, r11 zero, r12 and lr
 * sums. */
static void write_sum(qn_assembly *a, const depthwise_shape *s, int32_t step, int32_t results) {
  int32_t offset = 4 * step * s->g.stride_w;
  for (int32_t row = 0; row < 3; row++) {
    const char *first = row == 0 ? "r10" : "r12", *second = row == 0 ? "r10" : "lr";
    int32_t w = 4 + 2 * row, at = offset + row * row_bytes(s);
    qn_write_lines(a, "ldrd r2, r3, [r0, #%d]", (int)at);
    qn_write_lines(a, "smlad r12, r2, r%d, %s\nsmlabt r12, r3, r%d, r12", (int)w, first,
                   (int)w + 1);
    if (results < 2) continue;
    if (s->g.stride_w == 2)
      qn_write_lines(a, "ldr r2, [r0, #%d]\nsmlad lr, r3, r%d, %s\nsmlabt lr, r2, r%d, lr",
                     (int)at + 8, (int)w, second, (int)w + 1);
    else
      qn_write_lines(a, "smlatb lr, r2, r%d, %s\nsmlad lr, r3, r%d, lr", (int)w, second,
                     (int)w + 1);
  }
}

static void write_results(qn_assembly *a, const depthwise_shape *s, int32_t step, int32_t results) {
  static const char *const sums[2] = {"r12", "lr"};
  const qn_dsp_kernel *k = &s->kernel;
  qn_write_lines(a, "ldrd r2, r3, [sp, #%d]", AT_NUMBERS);
  for (int32_t i = 0; i < results; i++) {
    const char *x = sums[i];
    if (k->rounding == QN_DSP_MULHI) {
      qn_write_lines(a, "smmlar %s, %s, r2, r11", x, x);
    } else if (k->rounding == QN_DSP_SCALED) {
      qn_write_lines(a, "smmla %s, %s, r2, r3", x, x);
    } else {
      qn_write_lines(a, "smmulr %s, %s, r2", x, x);
      if (k->rounding == QN_DSP_SIGNED) qn_write_lines(a, "add %s, %s, %s, asr #31", x, x, x);
      qn_write_lines(a, "smmlar %s, %s, r3, r11", x, x);
    }
  }
  if (k->clamps)
    qn_write_lines(a, "mov r2, #%d\nmov r3, #%d", (int)s->clamping.low, (int)s->clamping.high);
  for (int32_t i = 0; i < results; i++) {
    const char *x = sums[i];
    if (k->clamps && s->bits > 0) qn_write_lines(a, "asr %s, %s, #%d", x, x, (int)s->bits);
    if (k->clamps)
      qn_write_lines(a, "cmp %s, r2\nit lt\nmovlt %s, r2\ncmp %s, r3\nit gt\nmovgt %s, r3", x, x, x,
                     x);
    else if (s->bits > 0)
      qn_write_lines(a, "ssat %s, #8, %s, asr #%d", x, x, (int)s->bits);
    else
      qn_write_lines(a, "ssat %s, #8, %s", x, x);
    qn_write_lines(a, "strb %s, [r1, #%d]", x, (int)((2 * step + i) * s->g.in_c));
  }
}

static void write_step(qn_assembly *a, const depthwise_shape *s, int32_t step, int32_t results) {
  write_sum(a, s, step, results);
  write_results(a, s, step, results);
}

static void write_add(qn_assembly *a, const char *to, int32_t n) {
  if (n > MOST_IMMEDIATE)
    qn_write_lines(a, "movw r2, #%d\nmovt r2, #%d\nadd %s, r2", (int)(n % 65536), (int)(n / 65536),
                   to);
  else if (n > 0)
    qn_write_lines(a, "addw %s, %s, #%d", to, to, (int)n);
}

static void write_countdown(qn_assembly *a, int32_t at, const char *label) {
  qn_write_lines(a, "ldr r2, [sp, #%d]\nsubs r2, #1\nstr r2, [sp, #%d]\nbne.w %s", (int)at, (int)at,
                 label);
}

/* Steps of two results: all of a row where they are few, else a loop over some and the rest. */
static void write_row(qn_assembly *a, const depthwise_shape *s) {
  int32_t steps = s->g.out_w / 2, unrolled = steps;
  if (steps > UNROLLED_STEPS) unrolled = steps % 4 == 0 ? 4 : steps % 3 == 0 ? 3 : 4;
  int32_t rounds = unrolled > 0 ? steps / unrolled : 0, done = 0;
  if (rounds > 1) {
    qn_write_lines(a, "mov r2, #%d\nstr r2, [sp, #%d]\n3:", (int)rounds, AT_STEPS);
    for (int32_t i = 0; i < unrolled; i++) write_step(a, s, i, 2);
    write_add(a, "r0", 4 * unrolled * s->g.stride_w);
    write_add(a, "r1", 2 * unrolled * s->g.in_c);
    write_countdown(a, AT_STEPS, "3b");
    done = rounds * unrolled;
  }
  for (int32_t i = 0; i < steps - done; i++) write_step(a, s, i, 2);
  if (s->g.out_w % 2 == 1) write_step(a, s, steps - done, 1);
  write_add(a, "r0", s->g.stride_h * row_bytes(s) - 4 * done * s->g.stride_w);
  write_add(a, "r1", s->g.out_w * s->g.in_c - 2 * done * s->g.in_c);
}

/* The kernel: planes, stream, results, and how many rows and, times 65536, planes. */
static LLVMValueRef kernel_function(qn_build *b, const depthwise_shape *s) {
  qn_assembly a = {.arena = &b->u->m->arena};
  size_t size;
  const char *name = qn_format(a.arena, "%s_plane", LLVMGetValueName2(b->function, &size));
  qn_write_lines(
      &a,
      "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\nsub sp, #%d\nstrd r0, r2, [sp, #%d]\n"
      "uxth r2, r3\nstr r2, [sp, #%d]\nlsr r3, r3, #16\nstr r3, [sp, #%d]\n"
      "1:\nldmia.w r1!, {r4, r5, r6, r7, r8, r9, r10, r11, r12}\n"
      "strd r11, r12, [sp, #%d]\nstr r1, [sp, #%d]\nmov r11, #%d\nldr r2, [sp, #%d]\n"
      "str r2, [sp, #%d]\nldrd r0, r1, [sp, #%d]\n2:",
      LOCAL_BYTES, AT_PLANE, AT_ROW_COUNT, AT_CHANNELS, AT_NUMBERS, AT_STREAM,
      (int)s->clamping.zero, AT_ROW_COUNT, AT_ROWS, AT_PLANE);
  write_row(&a, s);
  write_countdown(&a, AT_ROWS, "2b");
  qn_write_lines(&a, "ldrd r0, r1, [sp, #%d]", AT_PLANE);
  write_add(&a, "r0", plane_bytes(s));
  qn_write_lines(&a, "add r1, #1\nstrd r0, r1, [sp, #%d]\nldr r1, [sp, #%d]", AT_PLANE, AT_STREAM);
  write_countdown(&a, AT_CHANNELS, "1b");
  qn_write_lines(&a, "add sp, #%d\npop {r4, r5, r6, r7, r8, r9, r10, r11, pc}", LOCAL_BYTES);
  LLVMTypeRef types[] = {b->u->pointer, b->u->pointer, b->u->pointer, b->u->i32};
  return qn_add_assembly(b, name, LLVMFunctionType(b->u->nothing, types, 4, 0), &a,
                         SAVED_BYTES + LOCAL_BYTES);
}

/* ------------------------------------------------------------------ planes */

typedef struct {
  qn_build *b;
  const depthwise_shape *s;
  LLVMValueRef x,
      step;        /* bytes of a pixel's four channels; to the next pixel, 0 beyond the image */
  LLVMValueRef to; /* the row of the first plane */
} row_walk;

static LLVMValueRef extend_bytes(qn_build *b, LLVMValueRef word, bool odd) {
  LLVMTypeRef i32 = b->u->i32;
  LLVMValueRef turn[] = {word, word, qn_i32(b, 8)};
  if (odd) word = qn_call_intrinsic(b, "llvm.fshr", NULL, &i32, 1, turn, 3);
  return qn_call_intrinsic(b, "llvm.arm.sxtb16", NULL, NULL, 0, &word, 1);
}

/* Four channels of two neighbours as four words. */
static void store_words(row_walk *w, LLVMValueRef first, LLVMValueRef second, LLVMValueRef to) {
  qn_build *b = w->b;
  for (int odd = 0; odd < 2; odd++) {
    LLVMValueRef x = extend_bytes(b, first, odd), y = extend_bytes(b, second, odd);
    LLVMValueRef low = LLVMBuildOr(b->b, LLVMBuildAnd(b->b, x, qn_i32(b, 0xFFFF), ""),
                                   LLVMBuildShl(b->b, y, qn_i32(b, 16), ""), "");
    LLVMValueRef high = LLVMBuildOr(b->b, LLVMBuildLShr(b->b, x, qn_i32(b, 16), ""),
                                    LLVMBuildAnd(b->b, y, qn_i32(b, 0xFFFF0000), ""), "");
    qn_write(b, low, qn_at(b, to, (int64_t)odd * plane_bytes(w->s)), 4);
    qn_write(b, high, qn_at(b, to, (int64_t)(odd + 2) * plane_bytes(w->s)), 4);
  }
}

/* The next pixel of the row; padding where there is none. */
static LLVMValueRef next_pixel(row_walk *w, int32_t column) {
  qn_build *b = w->b;
  if (column < 0 || column >= w->s->g.in_w)
    return qn_i32(b, (int64_t)(w->s->x_zero & 255) * 0x01010101);
  LLVMValueRef word = qn_read(b, b->u->i32, w->x, 1);
  w->x = qn_at_index(b, w->x, w->step);
  return word;
}

static void store_some(row_walk *w, int32_t from, int32_t to) {
  for (int32_t k = from; k < to; k++) {
    int32_t column = 2 * k - w->s->g.left;
    LLVMValueRef first = next_pixel(w, column), second = next_pixel(w, column + 1);
    store_words(w, first, second, qn_at(w->b, w->to, 4 * (int64_t)k));
  }
}

/* One row of the four planes: words that are partly padding one by one, the others in a loop. */
static void fill_row(row_walk *w) {
  enum { TOGETHER = 2 };
  qn_build *b = w->b;
  const depthwise_shape *s = w->s;
  int32_t first = (s->g.left + 1) / 2, end = (s->g.in_w + s->g.left) / 2;
  if (end > s->row_words) end = s->row_words;
  if (first > end) first = end;
  int32_t rounds = (end - first) / TOGETHER;
  if (rounds < 2) rounds = 0;
  store_some(w, 0, first);
  if (rounds > 0) {
    qn_loop l = qn_begin_loop(b, rounds, &w->x, 1);
    LLVMValueRef to =
        qn_at_index(b, qn_at(b, w->to, 4 * (int64_t)first), qn_times(b, l.index, 4 * TOGETHER));
    for (int i = 0; i < TOGETHER; i++) {
      LLVMValueRef left = next_pixel(w, 0), right = next_pixel(w, 0);
      store_words(w, left, right, qn_at(b, to, 4 * (int64_t)i));
    }
    qn_end_loop(b, &l);
  }
  store_some(w, first + rounds * TOGETHER, s->row_words);
}

/* What is the same for all strips of four channels or all four channels of a strip. */
typedef struct {
  qn_build *b;
  const depthwise_shape *s;
  LLVMValueRef kernel, constants, planes;
  LLVMValueRef x, y; /* of the image */
} depthwise_walk;

/* `count` rows of the image from `row` on, four channels from x on, into the planes at `to`. */
static void fill_rows(const depthwise_walk *w, LLVMValueRef x, LLVMValueRef row, int32_t count,
                      LLVMValueRef to) {
  qn_build *b = w->b;
  const depthwise_shape *s = w->s;
  qn_loop rows = qn_begin_loop(b, count, NULL, 0);
  LLVMValueRef y = LLVMBuildAdd(b->b, row, rows.index, "");
  LLVMValueRef inside = LLVMBuildICmp(b->b, LLVMIntULT, y, qn_index(b, s->g.in_h), "");
  LLVMValueRef at = qn_at_index(b, x, qn_times(b, y, (int64_t)s->g.in_w * s->g.in_c));
  row_walk r = {b, s, LLVMBuildSelect(b->b, inside, at, w->constants, ""),
                LLVMBuildSelect(b->b, inside, qn_index(b, s->g.in_c), qn_index(b, 0), ""),
                qn_at_index(b, to, qn_times(b, rows.index, row_bytes(s)))};
  fill_row(&r);
  qn_end_loop(b, &rows);
}

/* The last `count` rows of the planes become the first. */
static void keep_rows(const depthwise_walk *w, int32_t count) {
  qn_build *b = w->b;
  int32_t bytes = count * row_bytes(w->s), from = plane_bytes(w->s) - bytes;
  qn_loop plane = qn_begin_loop(b, CHANNELS, NULL, 0);
  LLVMValueRef to = qn_at_index(b, w->planes, qn_times(b, plane.index, plane_bytes(w->s)));
  qn_loop word = qn_begin_loop(b, bytes / 8, NULL, 0);
  LLVMValueRef at = qn_at_index(b, to, qn_times(b, word.index, 8));
  for (int i = 0; i < 2; i++)
    qn_write(b, qn_read(b, b->u->i32, qn_at(b, at, from + 4 * i), 4), qn_at(b, at, 4 * i), 4);
  qn_end_loop(b, &word);
  qn_end_loop(b, &plane);
}

/* How many of `all` round number `index` does, of rounds of `most`. */
static LLVMValueRef count_of(qn_build *b, LLVMValueRef index, int32_t most, int32_t all) {
  int32_t rounds = (all + most - 1) / most, last = all - (rounds - 1) * most;
  LLVMValueRef ends = LLVMBuildICmp(b->b, LLVMIntEQ, index, qn_index(b, rounds - 1), "");
  return LLVMBuildSelect(b->b, ends, qn_i32(b, last), qn_i32(b, most), "");
}

/* The strip's four channels; `kept` rows of the planes are there already. */
static void emit_strip(const depthwise_walk *w, LLVMValueRef strip, LLVMValueRef group,
                       int32_t kept) {
  qn_build *b = w->b;
  const depthwise_shape *s = w->s;
  const qn_window *g = &s->g;
  LLVMValueRef row = qn_times(b, strip, (int64_t)s->strip_rows * g->stride_h);
  row = LLVMBuildAdd(b->b, row, qn_index(b, kept - g->top), "");
  LLVMValueRef first = qn_tile_start(b, group, CHANNELS, g->out_c); /* of the planes */
  LLVMValueRef channel = qn_times(b, group, CHANNELS);              /* of the results */
  fill_rows(w, qn_at_index(b, w->x, first), row, s->plane_rows - kept,
            qn_at(b, w->planes, (int64_t)kept * row_bytes(s)));
  LLVMValueRef skipped = LLVMBuildSub(b->b, channel, first, "");
  LLVMValueRef y =
      qn_at_index(b, w->y, qn_times(b, strip, (int64_t)s->strip_rows * g->out_w * g->in_c));
  LLVMValueRef channels = count_of(b, group, CHANNELS, g->out_c);
  LLVMValueRef counts = LLVMBuildOr(b->b, count_of(b, strip, s->strip_rows, g->out_h),
                                    LLVMBuildShl(b->b, channels, qn_i32(b, 16), ""), "");
  LLVMValueRef call[] = {
      qn_at_index(b, w->planes, qn_times(b, skipped, plane_bytes(s))),
      qn_at_index(b, qn_at(b, w->constants, CHANNELS_AT), qn_times(b, channel, CHANNEL_BYTES)),
      qn_at_index(b, y, channel), counts};
  qn_call_function(b, w->kernel, call, 4);
}

static void emit_channels_first(const depthwise_walk *w, int32_t groups) {
  qn_build *b = w->b;
  qn_loop strip = qn_begin_loop(b, w->s->strips, NULL, 0);
  qn_loop group = qn_begin_loop(b, groups, NULL, 0);
  emit_strip(w, strip.index, group.index, 0);
  qn_end_loop(b, &group);
  qn_end_loop(b, &strip);
}

static void emit_strips_first(const depthwise_walk *w, int32_t groups) {
  qn_build *b = w->b;
  const depthwise_shape *s = w->s;
  int32_t kept = s->strips > 1 ? 2 : 0; /* rows that two strips share */
  qn_loop group = qn_begin_loop(b, groups, NULL, 0);
  if (kept > 0)
    fill_rows(w, qn_at_index(b, w->x, qn_tile_start(b, group.index, CHANNELS, s->g.in_c)),
              qn_index(b, -s->g.top), kept, w->planes);
  qn_loop strip = qn_begin_loop(b, s->strips, NULL, 0);
  emit_strip(w, strip.index, group.index, kept);
  if (kept > 0) keep_rows(w, kept);
  qn_end_loop(b, &strip);
  qn_end_loop(b, &group);
}

/* arguments: x, y, constants, scratch. */
void qn_emit_depthwise_dsp(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const depthwise_shape *s = job->shape;
  const qn_window *g = &s->g;
  int32_t groups = (g->out_c + CHANNELS - 1) / CHANNELS;
  depthwise_walk w = {.b = b, .s = s, .constants = arguments[2], .planes = arguments[3]};
  w.kernel = kernel_function(b, s);
  qn_images image = qn_begin_images(b, g, 1, arguments);
  w.x = image.x;
  w.y = image.y;
  if (s->in_place)
    emit_strips_first(&w, groups);
  else
    emit_channels_first(&w, groups);
  qn_end_images(b, &image);
}
