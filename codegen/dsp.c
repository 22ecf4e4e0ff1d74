/* dsp.h's kernels as text.
 *
 * A kernel keeps 2 pixels x 4 channels (8 sums) or 1 x 4 in registers and walks one stream: bias,
 * weights, multipliers, block after block. The loop over pairs is unrolled; it is entered in its
 * middle, so that any number of pairs does without a second loop. There is no counter: r0 is
 * compared with the end of the pairs. With two pixels all of r0-r12 and lr are in use, and what a
 * block needs once is on the stack. */
#include "dsp.h"
#include <string.h>
#include "window.h"

enum { UNROLLED_PAIRS = 8, UNROLLED_QUADS = 4, SAVED_BYTES = 36, LOCAL_BYTES = 40 };
/* Locals, from sp: results of pixel 0 and 1; pairs; end of the stream; end of the pairs; where the
 * loop is entered; zero; low, high. */
enum { AT_Y = 0, AT_PAIRS = 8, AT_END = 16, AT_ENTRY = 20, AT_ZERO = 24, AT_LOW = 28 };

static const char *const two_sums[8] = {"r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr"};
static const char *const one_sums[4] = {"r2", "r3", "r4", "r5"};

/* ------------------------------------------------------------------ what kernels can do */

bool qn_dsp_takes(const qn_unit *u, const qn_call *call, const qn_conv_i8_params *p) {
  if (u->options->optimize == QN_OPTIMIZE_SIZE) return false;
  if (!qn_has_constant_operands(u, call)) return false;
  return p->contract == QN_CONTRACT_tflite || p->contract == QN_CONTRACT_mulhi;
}

qn_dsp_kernel qn_dsp_choose_kernel(const qn_conv_i8_params *p) {
  qn_dsp_kernel k = {.clamps = p->low > -128 || p->high < 127};
  k.rounding = p->low >= p->y_zero ? QN_DSP_RELU : QN_DSP_SIGNED;
  if (p->contract == QN_CONTRACT_mulhi) k.rounding = QN_DSP_MULHI;
  return k;
}

bool qn_dsp_is_exact(const qn_rescaling *r) {
  if (r->contract == QN_CONTRACT_mulhi) return r->mul >= 0 && r->shr == 0;
  return r->contract == QN_CONTRACT_tflite && r->mul >= 0 && r->shr >= 2 && r->shr <= 31 &&
         r->acc_low >= -(1 << 30) && r->acc_high < 1 << 30;
}

qn_dsp_scale qn_dsp_scale_of(bool wide, int32_t channel) {
  return wide || channel % 2 == 1 ? (qn_dsp_scale){1, 3} : (qn_dsp_scale){256, 10};
}

const char *qn_dsp_rounding_name(int32_t rounding, bool clamps) {
  static const char *const names[2][4] = {
      {"relu", "signed", "mulhi", "scaled"},
      {"relu_clamp", "signed_clamp", "mulhi_clamp", "scaled_clamp"}};
  return names[clamps][rounding];
}

static int32_t step_bytes(const qn_dsp_kernel *k) {
  if (k->pixels == 2) return k->wide ? 4 + 2 * (4 + 16) : 4 + 4 + 2 * 20;
  return k->wide ? 4 + 4 * (4 + 16) : 4 + 2 * (4 + 4 * 12);
}

int32_t qn_dsp_round_pairs(const qn_dsp_kernel *k, int32_t pairs) {
  return k->pixels == 2 ? pairs : (pairs + 3) / 4 * 4;
}

/* With two pixels the first pair comes before the loop. */
int32_t qn_dsp_skip_bytes(const qn_dsp_kernel *k, int32_t pairs) {
  int32_t rest = k->pixels == 2 ? pairs - 1 : (pairs + 3) / 4;
  int32_t unrolled = k->pixels == 2 ? UNROLLED_PAIRS : UNROLLED_QUADS;
  int32_t skipped = rest == 0 ? unrolled : (unrolled - rest % unrolled) % unrolled;
  return skipped * step_bytes(k);
}

/* ------------------------------------------------------------------ sums */

qn_dsp_writer qn_dsp_write_two_pixels(qn_assembly *a, const qn_dsp_kernel *k) {
  qn_dsp_writer w = {
      .a = a, .k = k, .sum = two_sums, .count = 8, .number = {"r2", "r3", "r4", "r5"}};
  w.numbers = "r2, r3, r4, r5";
  for (int i = 0; i < 4; i++) w.bits[i] = qn_dsp_scale_of(k->wide, i).bits;
  return w;
}

static qn_dsp_writer write_one_pixel(qn_assembly *a, const qn_dsp_kernel *k) {
  qn_dsp_writer w = {
      .a = a, .k = k, .sum = one_sums, .count = 4, .number = {"r10", "r11", "r12", "lr"}};
  w.numbers = "r10, r11, r12, lr";
  for (int i = 0; i < 4; i++) w.bits[i] = qn_dsp_scale_of(k->wide, i).bits;
  return w;
}

void qn_dsp_write_pair(const qn_dsp_writer *w, bool first) {
  qn_assembly *a = w->a;
  const char *const *x = w->sum, *const *y = w->sum + 4;
  const char *const *from = first ? y : x;
  qn_write_lines(a, "ldmia.w r0!, {r2, r3}");
  if (!w->k->wide) qn_write_lines(a, "ldmia.w r1!, {r4, r5}");
  for (int half = 0; half < 2; half++) {
    if (w->k->wide) qn_write_lines(a, "ldmia.w r1!, {r4, r5}");
    for (int i = 0; i < 2; i++) {
      int c = 2 * half + i;
      const char *weight = w->k->wide ? (i ? "r5" : "r4") : (half ? "r5" : "r4");
      if (!w->k->wide && i == 1) qn_write_lines(a, "sxtb16 %s, %s", weight, weight);
      qn_write_lines(a, "smlad %s, r2, %s, %s\nsmlad %s, r3, %s, %s", x[c], weight, from[c], y[c],
                     weight, y[c]);
    }
  }
}

/* Four pairs of one pixel. */
static void write_quad(const qn_dsp_writer *w) {
  static const char *const word[4] = {"r10", "r11", "r12", "lr"};
  qn_write_lines(w->a, "ldmia.w r0!, {r6, r7, r8, r9}");
  for (int pair = 0; pair < 4; pair++) {
    if (w->k->wide || pair % 2 == 0) qn_write_lines(w->a, "ldmia.w r1!, {r10, r11, r12, lr}");
    for (int c = 0; c < 4; c++) {
      const char *weight = w->k->wide ? word[c] : word[pair % 2 * 2 + c / 2];
      if (!w->k->wide && c % 2 == 1) qn_write_lines(w->a, "sxtb16 %s, %s", weight, weight);
      qn_write_lines(w->a, "smlad %s, r%d, %s, %s", w->sum[c], 6 + pair, weight, w->sum[c]);
    }
  }
}

static void write_sums(const qn_dsp_writer *w) {
  if (w->k->pixels == 2) {
    qn_write_lines(w->a, "2:\nldmia.w r1!, {r10, r11, r12, lr}");
    qn_dsp_write_pair(w, true);
    qn_write_lines(w->a, "ldr pc, [sp, #%d]\n1:", AT_ENTRY);
    for (int i = 0; i < UNROLLED_PAIRS; i++) qn_dsp_write_pair(w, false);
    qn_write_lines(w->a, "ldr r2, [sp, #%d]\ncmp r0, r2", AT_END);
  } else {
    qn_write_lines(w->a, "2:\nldmia.w r1!, {r2, r3, r4, r5}\nldr pc, [sp, #%d]\n1:", AT_ENTRY);
    for (int i = 0; i < UNROLLED_QUADS; i++) write_quad(w);
    qn_write_lines(w->a, "ldr r6, [sp, #%d]\ncmp r0, r6", AT_END);
  }
  qn_write_lines(w->a, "bne.w 1b");
}

/* ------------------------------------------------------------------ stored values */

/* Channels out of their pairs; for tflite, doubled; scaled, where they are. */
static void write_unmixing(const qn_dsp_writer *w) {
  bool scaled = w->k->rounding == QN_DSP_SCALED;
  bool doubled = !scaled && w->k->rounding != QN_DSP_MULHI;
  for (int i = 0; i < w->count; i += 2) {
    const char *x = w->sum[i], *y = w->sum[i + 1];
    if (!w->k->wide) qn_write_lines(w->a, "sub %s, %s, %s", x, x, y);
    if (!w->k->wide && !scaled) qn_write_lines(w->a, "asr %s, %s, #%d", x, x, doubled ? 7 : 8);
    if (w->k->wide && doubled) qn_write_lines(w->a, "lsl %s, %s, #1", x, x);
    if (doubled) qn_write_lines(w->a, "lsl %s, %s, #1", y, y);
  }
}

/* Two channels at a time: multiplier, add, multiplier, add. */
static void write_scaling(const qn_dsp_writer *w) {
  for (int first = 0; first < 4; first += 2) {
    qn_write_lines(w->a, "ldmia.w r1!, {%s}", w->numbers);
    for (int i = first; i < w->count; i += 4)
      qn_write_lines(w->a, "smmla %s, %s, %s, %s\nsmmla %s, %s, %s, %s", w->sum[i], w->sum[i],
                     w->number[0], w->number[1], w->sum[i + 1], w->sum[i + 1], w->number[2],
                     w->number[3]);
  }
}

static void write_rounding(const qn_dsp_writer *w) {
  qn_write_lines(w->a, "ldmia.w r1!, {%s}", w->numbers);
  if (w->k->rounding != QN_DSP_MULHI) {
    for (int i = 0; i < w->count; i++)
      qn_write_lines(w->a, "smmulr %s, %s, %s", w->sum[i], w->sum[i], w->number[i % 4]);
    qn_write_lines(w->a, "ldmia.w r1!, {%s}", w->numbers);
  }
  qn_write_lines(w->a, "ldr r0, [sp, #%d]", (int)w->at_zero);
  for (int i = 0; i < w->count; i++) {
    const char *x = w->sum[i];
    if (w->k->rounding == QN_DSP_SIGNED) qn_write_lines(w->a, "add %s, %s, %s, asr #31", x, x, x);
    qn_write_lines(w->a, "smmlar %s, %s, %s, r0", x, x, w->number[i % 4]);
  }
}

static void write_clamping(const qn_dsp_writer *w) {
  const char *low = w->number[0], *high = w->number[1];
  bool scaled = w->k->rounding == QN_DSP_SCALED;
  if (w->k->clamps) qn_write_lines(w->a, "ldrd %s, %s, [sp, #%d]", low, high, (int)w->at_low);
  for (int i = 0; i < w->count; i++) {
    const char *x = w->sum[i];
    if (w->k->clamps && scaled) qn_write_lines(w->a, "asr %s, %s, #%d", x, x, (int)w->bits[i % 4]);
    if (w->k->clamps)
      qn_write_lines(w->a, "cmp %s, %s\nit lt\nmovlt %s, %s\ncmp %s, %s\nit gt\nmovgt %s, %s", x,
                     low, x, low, x, high, x, high);
    else if (scaled)
      qn_write_lines(w->a, "ssat %s, #8, %s, asr #%d", x, x, (int)w->bits[i % 4]);
    else
      qn_write_lines(w->a, "ssat %s, #8, %s", x, x);
  }
}

static void write_stores(const qn_dsp_writer *w) {
  const char *y[2] = {w->number[0], w->number[1]};
  if (w->k->pixels == 2)
    qn_write_lines(w->a, "ldrd %s, %s, [sp, #%d]", y[0], y[1], (int)w->at_y);
  else
    qn_write_lines(w->a, "ldr %s, [sp, #%d]", y[0], (int)w->at_y);
  for (int i = 0; i < w->count; i++) {
    if (i % 4 != 0) qn_write_lines(w->a, "strb %s, [%s, #%d]", w->sum[i], y[i / 4], i % 4);
  }
  for (int i = 0; i < w->count; i += 4)
    qn_write_lines(w->a, "strb %s, [%s], #4", w->sum[i], y[i / 4]);
  if (w->k->pixels == 2)
    qn_write_lines(w->a, "strd %s, %s, [sp, #%d]", y[0], y[1], (int)w->at_y);
  else
    qn_write_lines(w->a, "str %s, [sp, #%d]", y[0], (int)w->at_y);
}

void qn_dsp_write_results(const qn_dsp_writer *w) {
  if (w->k->rounding == QN_DSP_SCALED)
    write_scaling(w);
  else
    write_rounding(w);
  write_clamping(w);
  write_stores(w);
}

/* ------------------------------------------------------------------ functions */

static void write_kernel(const qn_dsp_writer *w) {
  qn_assembly *a = w->a;
  qn_write_lines(a,
                 "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
                 "sub sp, #%d\n"
                 "ldmia.w r1!, {r4, r5, r6, r7, r8, r9, r10, r11}\n"
                 "add r12, r0, r4\nadd lr, r1, r6\nadd r7, r7, r2\n"
                 "strd r2, r7, [sp, #%d]\nstrd r0, lr, [sp, #%d]\nstr r12, [sp, #%d]\n"
                 "adr.w r12, 1f\nadd r12, r12, r5\norr r12, r12, #1\n" /* bit 0: Thumb */
                 "str r12, [sp, #%d]\nstr r8, [sp, #%d]\nstrd r9, r10, [sp, #%d]",
                 LOCAL_BYTES, AT_Y, AT_PAIRS, AT_END, AT_ENTRY, AT_ZERO, AT_LOW);
  write_sums(w);
  write_unmixing(w);
  qn_dsp_write_results(w);
  qn_write_lines(a, "ldrd r0, %s, [sp, #%d]\ncmp r1, %s\nbne.w 2b", w->number[0], AT_PAIRS,
                 w->number[0]);
  qn_write_lines(a, "add sp, #%d\npop {r4, r5, r6, r7, r8, r9, r10, r11, pc}", LOCAL_BYTES);
}

static LLVMTypeRef function_type(qn_build *b, const char *arguments) {
  LLVMTypeRef types[8];
  unsigned count = (unsigned)strlen(arguments);
  for (unsigned i = 0; i < count; i++) types[i] = arguments[i] == 'p' ? b->u->pointer : b->u->i32;
  return LLVMFunctionType(b->u->nothing, types, count, 0);
}

LLVMValueRef qn_dsp_kernel_function(qn_build *b, const qn_dsp_kernel *k) {
  qn_assembly a = {.arena = &b->u->m->arena};
  const char *name = qn_format(a.arena, "dsp_%dx4_%s_%s", (int)k->pixels, k->wide ? "wide" : "dual",
                               qn_dsp_rounding_name(k->rounding, k->clamps));
  LLVMValueRef found = qn_find_assembly(b, name);
  if (found) return found;
  qn_dsp_writer w = k->pixels == 1 ? write_one_pixel(&a, k) : qn_dsp_write_two_pixels(&a, k);
  w.at_y = AT_Y;
  w.at_zero = AT_ZERO;
  w.at_low = AT_LOW;
  write_kernel(&w);
  return qn_add_assembly(b, name, function_type(b, "ppp"), &a, SAVED_BYTES + LOCAL_BYTES);
}

/* ------------------------------------------------------------------ windows to pairs */

/* Registers: r0 pairs; r1, r2 the windows' rows; r3 runs; r8, r9 in a row; r10, r11, r12 count. */
static void write_word(qn_assembly *a, int32_t pixels) {
  if (pixels == 2)
    qn_write_lines(a,
                   "ldr r6, [r8], #4\nldr r7, [r9], #4\nsxtb16 r4, r6\nsxtb16 r5, r7\n"
                   "sxtb16 r6, r6, ror #8\nsxtb16 r7, r7, ror #8\nstmia.w r0!, {r4, r5, r6, r7}");
  else
    qn_write_lines(a, "ldr r5, [r8], #4\nsxtb16 r4, r5\nsxtb16 r5, r5, ror #8\n"
                      "stmia.w r0!, {r4, r5}");
}

/* To the next row of all windows; r12 counts them. at: the first row step, from sp. */
static void write_next_row(qn_assembly *a, int32_t pixels, int32_t at, const char *label) {
  qn_write_lines(a, "ldr r4, [sp, #%d]\nadd r1, r4", (int)at);
  if (pixels == 2) qn_write_lines(a, "ldr r4, [sp, #%d]\nadd r2, r4", (int)at + 4);
  qn_write_lines(a, "subs r12, #1\nbne.w %s", label);
}

static void write_words(qn_assembly *a, int32_t pixels, int32_t at) {
  bool two = pixels == 2;
  qn_write_lines(a, "ldr r12, [r3]\nldr r10, [r3, #12]\ncmp r10, #0\nbeq.w 6f\n1:\nmov r8, r1");
  if (two) qn_write_lines(a, "mov r9, r2");
  qn_write_lines(a, "ldr r11, [r3, #4]\n2:\nldr r10, [r3, #12]\ntst r10, #1\nbeq 3f");
  write_word(a, pixels);
  qn_write_lines(a, "3:\nlsrs r10, r10, #1\nbeq 5f\n4:");
  write_word(a, pixels);
  write_word(a, pixels);
  qn_write_lines(a, "subs r10, #1\nbne 4b\n5:\nldr r4, [r3, #20]\nadd r8, r4");
  if (two) qn_write_lines(a, "add r9, r4");
  qn_write_lines(a, "subs r11, #1\nbne.w 2b");
  write_next_row(a, pixels, at, "1b");
  qn_write_lines(a, "6:");
}

/* The bytes that are left over at the end of every run, as halfwords. */
static void write_rest(qn_assembly *a, int32_t pixels, int32_t at) {
  bool two = pixels == 2;
  qn_write_lines(a, "ldr r10, [r3, #16]\ncmp r10, #0\nbeq.w 9f\nldrd r1, r2, [sp]\nldr r12, [r3]\n"
                    "6:\nmov r8, r1");
  if (two) qn_write_lines(a, "mov r9, r2");
  qn_write_lines(a, "ldr r11, [r3, #4]\n7:\nldr r4, [r3, #12]\nldr r10, [r3, #16]\n"
                    "add r6, r8, r4, lsl #2");
  if (two) qn_write_lines(a, "add r7, r9, r4, lsl #2");
  qn_write_lines(a, "8:\nldrsb r4, [r6], #1");
  if (two)
    qn_write_lines(a, "ldrsb r5, [r7], #1\nstrh r4, [r0]\nstrh r5, [r0, #4]\neor r0, r0, #2\n"
                      "tst r0, #2\nit eq\naddeq r0, #8");
  else
    qn_write_lines(a, "strh r4, [r0], #2");
  qn_write_lines(a, "subs r10, #1\nbne 8b\nldr r4, [r3, #8]\nadd r8, r4");
  if (two) qn_write_lines(a, "add r9, r4");
  qn_write_lines(a, "subs r11, #1\nbne 7b");
  write_next_row(a, pixels, at, "6b");
  qn_write_lines(a, "9:");
}

/* Arguments of one pixel are put where those of two pixels are: r2 is the runs, r3 the step. */
LLVMValueRef qn_dsp_gather_function(qn_build *b, int32_t pixels) {
  enum { LOCALS = 16 };
  const char *name = pixels == 2 ? "dsp_gather_2" : "dsp_gather_1";
  LLVMValueRef found = qn_find_assembly(b, name);
  if (found) return found;
  qn_assembly a = {.arena = &b->u->m->arena};
  int32_t at = pixels == 2 ? LOCALS + SAVED_BYTES : 8;
  qn_write_lines(&a, "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\nsub sp, #%d", LOCALS);
  if (pixels == 1) qn_write_lines(&a, "str r3, [sp, #8]\nmov r3, r2");
  qn_write_lines(&a, "strd r1, r2, [sp]");
  write_words(&a, pixels, at);
  write_rest(&a, pixels, at);
  qn_write_lines(&a, "add sp, #%d\npop {r4, r5, r6, r7, r8, r9, r10, r11, pc}", LOCALS);
  return qn_add_assembly(b, name, function_type(b, pixels == 2 ? "ppppii" : "pppi"), &a,
                         SAVED_BYTES + LOCALS);
}

/* Registers: r0 pairs; r1, r2 the windows' rows; r3, r8 from row to row; r4..r7 a word of both. */
static void write_straight_rest(qn_assembly *a, const qn_dsp_runs *runs, int32_t run) {
  int32_t done = (run + 1) * runs->words * 16, all = runs->rows * runs->runs * runs->words * 16;
  for (int32_t i = 0; i < runs->rest; i++) {
    int32_t tap = run * runs->rest + i,
            from = run % runs->runs * runs->run_step + 4 * runs->words + i;
    int32_t to = all - done + tap / 2 * 8 + tap % 2 * 2;
    qn_write_lines(a,
                   "ldrsb r4, [r1, #%d]\nldrsb r5, [r2, #%d]\nstrh r4, [r0, #%d]\n"
                   "strh r5, [r0, #%d]",
                   (int)from, (int)from, (int)to, (int)to + 4);
  }
}

LLVMValueRef qn_dsp_straight_gather_function(qn_build *b, const qn_dsp_runs *runs) {
  enum { SAVED = 20 };
  qn_assembly a = {.arena = &b->u->m->arena};
  const char *name =
      qn_format(a.arena, "dsp_gather_2_%dx%d_%d_%d_%d", (int)runs->rows, (int)runs->runs,
                (int)runs->words, (int)runs->rest, (int)runs->run_step);
  LLVMValueRef found = qn_find_assembly(b, name);
  if (found) return found;
  qn_write_lines(&a, "push {r4, r5, r6, r7, r8}");
  if (runs->rows > 1) qn_write_lines(&a, "ldrd r3, r8, [sp, #%d]", SAVED);
  for (int32_t run = 0; run < runs->rows * runs->runs; run++) {
    if (run > 0 && run % runs->runs == 0) qn_write_lines(&a, "add r1, r3\nadd r2, r8");
    for (int32_t i = 0; i < runs->words; i++) {
      int at = (int)(run % runs->runs * runs->run_step + 4 * i);
      qn_write_lines(&a,
                     "ldr r6, [r1, #%d]\nldr r7, [r2, #%d]\nsxtb16 r4, r6\nsxtb16 r5, r7\n"
                     "sxtb16 r6, r6, ror #8\nsxtb16 r7, r7, ror #8\n"
                     "stmia.w r0!, {r4, r5, r6, r7}",
                     at, at);
    }
    write_straight_rest(&a, runs, run);
  }
  qn_write_lines(&a, "pop {r4, r5, r6, r7, r8}\nbx lr");
  return qn_add_assembly(b, name, function_type(b, "ppppii"), &a, SAVED);
}

/* Per row and run the loops take about 15 instructions more, where bytes are left over 25. */
bool qn_dsp_is_gathered_straight(const qn_dsp_runs *runs, int64_t calls, bool for_speed) {
  int64_t count = (int64_t)runs->rows * runs->runs;
  int64_t bytes = 16 + count * (8 + 26 * (int64_t)runs->words + 16 * (int64_t)runs->rest);
  int64_t saved = 20 + count * (15 + runs->words + (runs->rest > 0 ? 25 : 0));
  if (bytes > 1024 || runs->runs * (int64_t)runs->run_step > 4000) return false;
  return for_speed || calls * saved >= 24 * bytes;
}
