/* winograd.h's functions as text.
 *
 * The kernel goes through its stream once, and for each block of four channels through the two
 * tiles' transforms: 8 sums, 4 channels x 2 tiles, that pass from phase to phase. What later
 * results need of them is on the stack. Transforms of a phase's window lie in a row, so that a
 * phase is one loop. */
#include "winograd.h"

enum { SAVED_BYTES = 36, MOST_OFFSET = 4095 };
/* Locals of the kernel, from sp: results of both tiles for each column; transforms; end of the
 * stream; gap; zero; low, high; ends of the phases' windows; three times 8 sums. */
enum {
  AT_Y = 0,
  AT_TRANSFORMS = 32,
  AT_GAP = 40,
  AT_ZERO = 44,
  AT_LOW = 48,
  AT_ENDS = 56,
  AT_FIRST = 80,
  AT_SECOND = 112,
  AT_THIRD = 144,
  LOCAL_BYTES = 176
};

typedef struct {
  qn_assembly *a;
  const qn_winograd_form *form;
  qn_dsp_writer w;
  int32_t unrolled; /* pairs */
} writer;

static const qn_winograd_form forms[] = {
    {2, 4, 2, 3, {1, 3}, {{1, 1, 1}, {1, -1, 1}, {1, 0, 0}, {0, 0, 1}}},
    {4,
     6,
     24,
     5,
     {24, 8},
     {{-4, -4, -4}, {-4, 4, -4}, {1, 2, 4}, {1, -2, 4}, {6, 0, 0}, {0, 0, 24}}}};

const qn_winograd_form *qn_winograd_form_of(int32_t outputs) { return &forms[outputs / 4]; }

/* ------------------------------------------------------------------ phases */

/* r0 is at the end of the phase before or, `lost`, anywhere. */
static void write_phase(const writer *x, int32_t phase, bool lost) {
  if (lost) qn_write_lines(x->a, "ldr r0, [sp, #%d]", (int)(AT_ENDS + 4 * (phase - 1)));
  if (phase > 0) qn_write_lines(x->a, "ldr r2, [sp, #%d]\nadd r0, r2", AT_GAP);
  qn_write_lines(x->a, "1:");
  for (int32_t i = 0; i < x->unrolled; i++) qn_dsp_write_pair(&x->w, false);
  qn_write_lines(x->a, "ldr r2, [sp, #%d]\ncmp r0, r2\nbne.w 1b", (int)(AT_ENDS + 4 * phase));
}

static void write_keep(const writer *x, int32_t at) {
  qn_write_lines(x->a, "add r2, sp, #%d\nstmia.w r2, {r6, r7, r8, r9, r10, r11, r12, lr}", (int)at);
}

static void write_recall(const writer *x, int32_t at) {
  qn_write_lines(x->a, "add r2, sp, #%d\nldmia.w r2, {r6, r7, r8, r9, r10, r11, r12, lr}", (int)at);
}

/* The sums into results of column `column` of both tiles. */
static void write_results(const writer *x, int32_t column) {
  const qn_dsp_kernel *k = x->w.k;
  bool scaled = k->rounding == QN_DSP_SCALED;
  bool doubled = !scaled && k->rounding != QN_DSP_MULHI;
  if (column > 0 && column < x->form->outputs - 1) /* the same numbers again */
    qn_write_lines(x->a, "sub r1, #%d", k->rounding == QN_DSP_MULHI ? 16 : 32);
  bool divided = !scaled && x->form->factor == 24;
  if (divided) qn_write_lines(x->a, "movw r2, #0xaaab\nmovt r2, #0xaaaa");
  for (int i = 0; i < x->w.count; i++) {
    const char *sum = x->w.sum[i];
    if (divided)
      qn_write_lines(x->a, "mul %s, %s, r2\nasr %s, %s, #%d", sum, sum, sum, sum, doubled ? 2 : 3);
    else if (doubled)
      qn_write_lines(x->a, "lsl %s, %s, #1", sum, sum);
  }
  qn_dsp_writer w = x->w;
  w.at_y = AT_Y + 8 * column;
  qn_dsp_write_results(&w);
}

/* The sum is A+B, `first` A: it becomes its half, `first` A - that. */
static void write_halves(const writer *x) {
  for (int i = 0; i < x->w.count; i += 2) {
    const char *s = x->w.sum[i], *t = x->w.sum[i + 1];
    int at = AT_FIRST + 4 * i;
    qn_write_lines(x->a,
                   "ldrd r2, r3, [sp, #%d]\nasr %s, %s, #1\nasr %s, %s, #1\nsub r2, r2, %s\n"
                   "sub r3, r3, %s\nstrd r2, r3, [sp, #%d]",
                   at, s, s, t, t, s, t, at);
  }
}

static void write_two_results(const writer *x) {
  write_phase(x, 0, false);
  write_keep(x, AT_FIRST);
  write_phase(x, 1, false);
  write_halves(x);
  write_phase(x, 2, false);
  write_results(x, 0);
  write_recall(x, AT_FIRST);
  write_phase(x, 3, true);
  write_results(x, 1);
}

/* The sum is A+B, `first` A: it becomes A-B. */
static void write_difference(const writer *x) {
  for (int i = 0; i < x->w.count; i += 2) {
    int at = AT_FIRST + 4 * i;
    qn_write_lines(x->a,
                   "ldrd r2, r3, [sp, #%d]\nrsb r2, %s, r2, lsl #1\nrsb r3, %s, r3, lsl #1\n"
                   "strd r2, r3, [sp, #%d]",
                   at, x->w.sum[i], x->w.sum[i + 1], at);
  }
}

/* The sum is A+B + C+D; first A-B, second A+B, third A+B + C. They become what is known of results
 * 3, 2 and 1. */
static void write_middle(const writer *x) {
  for (int i = 0; i < x->w.count; i++) {
    const char *s = x->w.sum[i];
    int first = AT_FIRST + 4 * i, second = AT_SECOND + 4 * i, third = AT_THIRD + 4 * i;
    qn_write_lines(x->a,
                   "ldr r2, [sp, #%d]\nldr r3, [sp, #%d]\nldr r4, [sp, #%d]\n"
                   "sub r5, %s, r2\nadd r5, r2, r5, lsl #2\n"
                   "rsb r3, %s, r3, lsl #1\nsub r3, r3, r2\n"
                   "add r2, r4, r3, lsl #1\nadd r4, r4, r3, lsl #3\n"
                   "str r5, [sp, #%d]\nstr r2, [sp, #%d]\nstr r4, [sp, #%d]",
                   second, third, first, s, s, second, third, first);
  }
}

static void write_four_results(const writer *x) {
  write_phase(x, 0, false);
  write_keep(x, AT_FIRST);
  write_phase(x, 1, false);
  write_difference(x);
  write_keep(x, AT_SECOND);
  write_phase(x, 2, false);
  write_keep(x, AT_THIRD);
  write_phase(x, 3, false);
  write_middle(x);
  write_phase(x, 4, false);
  write_results(x, 0);
  write_recall(x, AT_THIRD);
  write_results(x, 1);
  write_recall(x, AT_SECOND);
  write_results(x, 2);
  write_recall(x, AT_FIRST);
  write_phase(x, 5, true);
  write_results(x, 3);
}

/* ------------------------------------------------------------------ the kernel */

/* Locals from the arguments and the header: r4 window, r5 gap, r6 stream, r7 pixel, r8 zero, r9
 * low, r10 high. */
static void write_entry(const writer *x) {
  const qn_winograd_form *form = x->form;
  qn_write_lines(x->a,
                 "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\nsub sp, #%d\n"
                 "ldmia.w r1!, {r4, r5, r6, r7, r8, r9, r10, r11}\nadd r12, r1, r6\n"
                 "strd r0, r12, [sp, #%d]\nstrd r5, r8, [sp, #%d]\nstrd r9, r10, [sp, #%d]",
                 LOCAL_BYTES, AT_TRANSFORMS, AT_GAP, AT_LOW);
  for (int i = 0; i < form->outputs; i++)
    qn_write_lines(x->a, "add r12, r2, r7, lsl #%d\nstrd r2, r12, [sp, #%d]\nadd r2, r7",
                   form->outputs == 4 ? 2 : 1, AT_Y + 8 * i);
  qn_write_lines(x->a, "add r12, r0, r4\nadd r4, r5");
  for (int i = 0; i < form->phases; i++)
    qn_write_lines(x->a, "str r12, [sp, #%d]\nadd r12, r4", AT_ENDS + 4 * i);
}

static void write_kernel(const writer *x) {
  write_entry(x);
  qn_write_lines(x->a, "2:\nldmia.w r1!, {r10, r11, r12, lr}\n"
                       "mov r6, r10\nmov r7, r11\nmov r8, r12\nmov r9, lr");
  if (x->form->outputs == 2)
    write_two_results(x);
  else
    write_four_results(x);
  qn_write_lines(x->a, "ldrd r0, r2, [sp, #%d]\ncmp r1, r2\nbne.w 2b", AT_TRANSFORMS);
  qn_write_lines(x->a, "add sp, #%d\npop {r4, r5, r6, r7, r8, r9, r10, r11, pc}", LOCAL_BYTES);
}

static LLVMTypeRef function_type(qn_build *b, LLVMTypeRef second, LLVMTypeRef third) {
  LLVMTypeRef types[] = {b->u->pointer, second, third};
  return LLVMFunctionType(b->u->nothing, types, third ? 3 : 2, 0);
}

LLVMValueRef qn_winograd_kernel_function(qn_build *b, const qn_winograd_form *form,
                                         const qn_dsp_kernel *k, int32_t channels) {
  qn_assembly a = {.arena = &b->u->m->arena};
  qn_dsp_kernel wide = *k;
  wide.wide = 1;
  writer x = {&a, form, qn_dsp_write_two_pixels(&a, &wide), channels % 8 == 0 ? 12 : 6};
  for (int i = 0; i < 4; i++) x.w.bits[i] = form->scale.bits;
  x.w.at_zero = AT_ZERO;
  x.w.at_low = AT_LOW;
  const char *name = qn_format(a.arena, "winograd%d_by_%d_%s", (int)form->outputs, (int)x.unrolled,
                               qn_dsp_rounding_name(k->rounding, k->clamps));
  LLVMValueRef found = qn_find_assembly(b, name);
  if (found) return found;
  write_kernel(&x);
  return qn_add_assembly(b, name, function_type(b, b->u->pointer, b->u->pointer), &a,
                         SAVED_BYTES + LOCAL_BYTES);
}

/* ------------------------------------------------------------------ transforms */

bool qn_winograd_can_transform(int32_t channels) {
  return channels % 4 == 0 && 16 * channels <= MOST_OFFSET;
}

/* Two channels of a tile: columns in r4.., of which nothing is left; r2, r3, r10 are free. Phases 0
 * and 1 are at r0, 2 and 3 at r11, 4 and 5 at r12. */
static void write_two_transforms(qn_assembly *a, int32_t phase_bytes) {
  qn_write_lines(a,
                 "sadd16 r2, r5, r6\nssub16 r3, r6, r5\nstr r3, [r0, #%d]\nstr r2, [r0], #8\n"
                 "ssub16 r2, r4, r6\nssub16 r3, r7, r5\nstr r3, [r11, #%d]\nstr r2, [r11], #8",
                 (int)phase_bytes, (int)phase_bytes);
}

static void write_four_transforms(qn_assembly *a, int32_t phase_bytes) {
  qn_write_lines(a,
                 "ssub16 r2, r8, r6\nssub16 r3, r7, r5\nsadd16 r3, r3, r3\n" /* d4-d2, 2(d3-d1) */
                 "ssub16 r10, r2, r3\nstr r10, [r11, #%d]\nsadd16 r10, r2, r3\nstr r10, [r11], #8",
                 (int)phase_bytes);
  qn_write_lines(a,
                 "ssub16 r9, r9, r7\nsadd16 r3, r3, r3\nssub16 r9, r9, r3\nstr r9, [r12, #%d]\n"
                 "ssub16 r4, r4, r6\nsadd16 r4, r4, r4\nsadd16 r4, r4, r4\nsadd16 r4, r4, r2\n"
                 "str r4, [r12], #8",
                 (int)phase_bytes);
  qn_write_lines(a,
                 "sadd16 r6, r6, r6\nsadd16 r6, r6, r6\nssub16 r8, r8, r6\n" /* d4-4d2 */
                 "sadd16 r5, r5, r5\nsadd16 r5, r5, r5\nssub16 r7, r7, r5\n" /* d3-4d1 */
                 "ssub16 r2, r8, r7\nstr r2, [r0, #%d]\nsadd16 r2, r8, r7\nstr r2, [r0], #8",
                 (int)phase_bytes);
}

/* Of four channels the even ones, or the odd ones, which end with the next four. */
static void write_half(qn_assembly *a, const qn_winograd_form *form, int32_t channels, bool odd) {
  int32_t columns = form->outputs + 2;
  for (int i = 1; i < columns; i++)
    qn_write_lines(a, "ldr r%d, [r1, #%d]", 4 + i, (int)(i * channels));
  qn_write_lines(a, odd ? "ldr r4, [r1], #4" : "ldr r4, [r1]");
  for (int i = 0; i < columns; i++)
    qn_write_lines(a, "sxtb16 r%d, r%d%s", 4 + i, 4 + i, odd ? ", ror #8" : "");
  int32_t phase_bytes = QN_WINOGRAD_SLOTS * 4 * channels;
  if (form->outputs == 2)
    write_two_transforms(a, phase_bytes);
  else
    write_four_transforms(a, phase_bytes);
}

/* Bit 2 of r0 tells the tile. */
LLVMValueRef qn_winograd_transform_function(qn_build *b, const qn_winograd_form *form,
                                            int32_t channels) {
  qn_assembly a = {.arena = &b->u->m->arena};
  int row_bytes = (int)channels * 4, phase_bytes = QN_WINOGRAD_SLOTS * row_bytes;
  const char *name =
      qn_format(a.arena, "winograd%d_transform_%d", (int)form->outputs, (int)channels);
  LLVMValueRef found = qn_find_assembly(b, name);
  if (found) return found;
  qn_write_lines(&a,
                 "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\nmovw r2, #%d\nadd r11, r0, r2\n"
                 "add r12, r11, r2\n1:\nmov lr, #%d\n2:",
                 2 * phase_bytes, (int)channels / 4);
  write_half(&a, form, channels, false);
  write_half(&a, form, channels, true);
  qn_write_lines(&a, "subs lr, #1\nbne.w 2b\nsubw r0, r0, #%d\nsubw r11, r11, #%d", row_bytes - 4,
                 row_bytes - 4);
  if (form->phases > 4) qn_write_lines(&a, "subw r12, r12, #%d", row_bytes - 4);
  qn_write_lines(&a,
                 "addw r1, r1, #%d\ntst r0, #4\nbne.w 1b\n"
                 "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}",
                 (int)(channels * (form->outputs - 1)));
  return qn_add_assembly(b, name, function_type(b, b->u->pointer, NULL), &a, SAVED_BYTES);
}

LLVMValueRef qn_winograd_move_function(qn_build *b) {
  qn_assembly a = {.arena = &b->u->m->arena};
  LLVMValueRef found = qn_find_assembly(b, "winograd_move");
  if (found) return found;
  qn_write_lines(&a,
                 "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n1:\nadd r3, r0, r2\nmov r12, r3\n"
                 "2:\nldmia.w r3!, {r4, r5, r6, r7, r8, r9, r10, r11}\n"
                 "stmia.w r0!, {r4, r5, r6, r7, r8, r9, r10, r11}\ncmp r0, r12\nbne 2b\n"
                 "add r0, r2\nsubs r1, #1\nbne 1b\n"
                 "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}");
  return qn_add_assembly(b, "winograd_move", function_type(b, b->u->i32, b->u->i32), &a,
                         SAVED_BYTES);
}
