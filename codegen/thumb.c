/* thumb.h's kernels as text. ARMv6-M branches far only without a condition, and computes only in
 * r0..r7: sums are in r8..r12, lr, r7 and, the last one of two pixels, on the stack. */
#include "thumb.h"

enum { UNROLLED = 4, SAVED_BYTES = 36, LOCAL_BYTES = 64 };
/* Locals, from sp: sums of channel 0 of pixel 0 and 1, of channel 1, ...; x; end of x; y; end of
 * the stream; where the loop is entered; bytes to the second pixel; header. */
enum {
  AT_SUMS = 0,
  AT_X = 32,
  AT_X_END = 36,
  AT_Y = 40,
  AT_END = 44,
  AT_ENTRY = 48,
  AT_PIXEL = 52,
  AT_HEADER = 56
};

static int32_t taps_per_step(const qn_dsp_kernel *k) { return k->pixels == 2 ? 1 : 2; }
static int32_t step_bytes(const qn_dsp_kernel *k) { return k->pixels == 2 ? 29 * 2 : 30 * 2; }

int32_t qn_thumb_round_taps(const qn_dsp_kernel *k, int32_t taps) {
  int32_t step = taps_per_step(k);
  return (taps + step - 1) / step * step;
}

int32_t qn_thumb_entry(const qn_dsp_kernel *k, int32_t taps) {
  int32_t steps = qn_thumb_round_taps(k, taps) / taps_per_step(k);
  return (UNROLLED - steps % UNROLLED) % UNROLLED * step_bytes(k) + 1;
}

bool qn_thumb_is_exact(const qn_rescaling *r) {
  if (r->mul < 0 || r->acc_low <= -(1 << 29) || r->acc_high >= 1 << 29) return false;
  if (r->contract == QN_CONTRACT_mulhi) return r->shr == 0;
  return r->contract == QN_CONTRACT_tflite && r->shr >= 1 && r->shr <= 31;
}

/* ------------------------------------------------------------------ sums */

/* One tap of two pixels: r2, r3 and the word of weights in r4. */
static void write_pair(qn_assembly *a) {
  static const char *const sums[6] = {"r8", "r9", "r10", "r11", "r12", "lr"};
  qn_write_lines(a, "ldmia r0!, {r2, r3}\nldmia r1!, {r4}");
  for (int c = 0; c < 3; c++) {
    if (c > 0) qn_write_lines(a, "asrs r4, r4, #8");
    qn_write_lines(
        a, "sxtb r5, r4\nmov r6, r5\nmuls r5, r2, r5\nadd %s, r5\nmuls r6, r3, r6\nadd %s, r6",
        sums[2 * c], sums[2 * c + 1]);
  }
  qn_write_lines(a,
                 "asrs r4, r4, #8\nmuls r2, r4, r2\nadds r7, r7, r2\nmuls r3, r4, r3\n"
                 "ldr r5, [sp, #%d]\nadds r5, r5, r3\nstr r5, [sp, #%d]",
                 AT_SUMS + 28, AT_SUMS + 28);
}

/* Two taps of one pixel. */
static void write_two_taps(qn_assembly *a) {
  static const char *const sums[3] = {"r8", "r9", "r10"};
  qn_write_lines(a, "ldmia r0!, {r2, r3}\nldmia r1!, {r4, r5}");
  for (int tap = 0; tap < 2; tap++) {
    int x = 2 + tap, w = 4 + tap;
    for (int c = 0; c < 3; c++) {
      if (c > 0) qn_write_lines(a, "asrs r%d, r%d, #8", w, w);
      qn_write_lines(a, "sxtb r6, r%d\nmuls r6, r%d, r6\nadd %s, r6", w, x, sums[c]);
    }
    qn_write_lines(a, "asrs r%d, r%d, #8\nmuls r%d, r%d, r%d\nadds r7, r7, r%d", w, w, w, x, w, w);
  }
}

static void write_sums(qn_assembly *a, int32_t pixels) {
  bool two = pixels == 2;
  qn_write_lines(a, "2:\nldr r0, [sp, #%d]\nldmia r1!, {r4, r5, r6, r7}\nmov r8, r4", AT_X);
  if (two)
    qn_write_lines(
        a, "mov r9, r4\nmov r10, r5\nmov r11, r5\nmov r12, r6\nmov lr, r6\nstr r7, [sp, #%d]",
        AT_SUMS + 28);
  else
    qn_write_lines(a, "mov r9, r5\nmov r10, r6");
  qn_write_lines(a, "ldr r5, [sp, #%d]\nbx r5\n.p2align 2\n1:", AT_ENTRY);
  for (int i = 0; i < UNROLLED; i++) two ? write_pair(a) : write_two_taps(a);
  qn_write_lines(a, "ldr r5, [sp, #%d]\ncmp r0, r5\nbeq 3f\nb 1b\n3:\nadd r6, sp, #%d", AT_X_END,
                 AT_SUMS);
  if (two)
    qn_write_lines(a,
                   "mov r2, r8\nmov r3, r9\nmov r4, r10\nmov r5, r11\nstmia r6!, {r2, r3, r4, r5}\n"
                   "mov r2, r12\nmov r3, lr\nstmia r6!, {r2, r3, r7}\nsubs r6, #28");
  else
    qn_write_lines(
        a, "mov r2, r8\nmov r3, r9\nmov r4, r10\nstmia r6!, {r2, r3, r4, r7}\nsubs r6, #16");
}

/* ------------------------------------------------------------------ stored values */

void qn_write_thumb_rounding(qn_assembly *a, int32_t rounding) {
  bool mulhi = rounding == QN_DSP_MULHI;
  qn_write_lines(a, "sxth r2, r0\nsubs r0, r0, r2\nasrs r0, r0, #16\nmov r3, r8\nmov r4, r2\n"
                    "muls r4, r3, r4\nasrs r4, r4, #16\nmuls r3, r0, r3\nmov r5, r9\n"
                    "muls r2, r5, r2\nadds r2, r2, r3\nadds r2, r2, r4\nmuls r0, r5, r0");
  if (!mulhi) qn_write_lines(a, "lsls r0, r0, #1");
  qn_write_lines(a, "asrs r2, r2, #%d\nadcs r0, r2", mulhi ? 16 : 15);
  if (rounding == QN_DSP_SIGNED) qn_write_lines(a, "asrs r2, r0, #31\nadds r0, r0, r2");
  if (mulhi)
    qn_write_lines(a, "add r0, r10");
  else
    qn_write_lines(a, "mov r2, r11\nasrs r0, r2\nmov r2, r10\nadcs r0, r2");
  qn_write_lines(a, "cmp r0, r12\nbge 7f\nmov r0, r12\n7:\ncmp r0, lr\nble 8f\nmov r0, lr\n8:");
}

static void write_results(qn_assembly *a, const qn_dsp_kernel *k) {
  qn_write_lines(
      a,
      "ldr r2, [sp, #%d]\nadds r2, #16\nldmia r2!, {r3, r4, r5}\nmov r10, r3\n"
      "mov r12, r4\nmov lr, r5\nldr r7, [sp, #%d]\n"
      "4:\nldmia r1!, {r2, r3, r4}\nmov r8, r2\nmov r9, r3\nmov r11, r4\nldmia r6!, {r0}",
      AT_HEADER, AT_Y);
  qn_write_thumb_rounding(a, k->rounding);
  qn_write_lines(a, "strb r0, [r7]");
  if (k->pixels == 2) {
    qn_write_lines(a, "ldmia r6!, {r0}");
    qn_write_thumb_rounding(a, k->rounding);
    qn_write_lines(a, "ldr r2, [sp, #%d]\nstrb r0, [r7, r2]", AT_PIXEL);
  }
  qn_write_lines(a,
                 "adds r7, #1\nadd r2, sp, #%d\ncmp r6, r2\nbne 4b\nstr r7, [sp, #%d]\n"
                 "ldr r2, [sp, #%d]\ncmp r1, r2\nbeq 5f\nb 2b\n5:",
                 AT_SUMS + 16 * k->pixels, AT_Y, AT_END);
}

/* ------------------------------------------------------------------ functions */

void qn_write_thumb_entry(qn_assembly *a) {
  qn_write_lines(a, "push {r4, r5, r6, r7, lr}\nmov r4, r8\nmov r5, r9\nmov r6, r10\nmov r7, r11\n"
                    "push {r4, r5, r6, r7}");
}

void qn_write_thumb_exit(qn_assembly *a) {
  qn_write_lines(a, "pop {r2, r3, r4, r5}\nmov r8, r2\nmov r9, r3\nmov r10, r4\nmov r11, r5\n"
                    "pop {r4, r5, r6, r7, pc}");
}

static LLVMTypeRef function_type(qn_build *b, bool with_step) {
  LLVMTypeRef types[] = {b->u->pointer, b->u->pointer, b->u->pointer, b->u->i32};
  return LLVMFunctionType(b->u->nothing, types, with_step ? 4 : 3, 0);
}

LLVMValueRef qn_thumb_kernel_function(qn_build *b, const qn_dsp_kernel *k) {
  qn_assembly a = {.arena = &b->u->m->arena};
  const char *name =
      qn_format(a.arena, "thumb_%dx4_%s", (int)k->pixels, qn_dsp_rounding_name(k->rounding, false));
  LLVMValueRef found = qn_find_assembly(b, name);
  if (found) return found;
  qn_write_thumb_entry(&a);
  qn_write_lines(&a,
                 "sub sp, #%d\nstr r1, [sp, #%d]\nstr r0, [sp, #%d]\nstr r2, [sp, #%d]\n"
                 "ldmia r1!, {r3, r4, r5, r6}\nadds r0, r0, r3\nstr r0, [sp, #%d]\nadr r0, 1f\n"
                 "adds r0, r0, r4\nstr r0, [sp, #%d]\nadds r1, #16\nadds r5, r5, r1\n"
                 "str r5, [sp, #%d]\nstr r6, [sp, #%d]",
                 LOCAL_BYTES, AT_HEADER, AT_X, AT_Y, AT_X_END, AT_ENTRY, AT_END, AT_PIXEL);
  write_sums(&a, k->pixels);
  write_results(&a, k);
  qn_write_lines(&a, "add sp, #%d", LOCAL_BYTES);
  qn_write_thumb_exit(&a);
  return qn_add_assembly(b, name, function_type(b, false), &a, SAVED_BYTES + LOCAL_BYTES);
}

/* r12: rows left, lr: runs left; a byte is at r4 + r7, r4 behind its run. */
LLVMValueRef qn_thumb_gather_function(qn_build *b, int32_t pixels) {
  qn_assembly a = {.arena = &b->u->m->arena};
  const char *name = pixels == 2 ? "thumb_gather_2" : "thumb_gather_1";
  LLVMValueRef found = qn_find_assembly(b, name);
  if (found) return found;
  qn_write_lines(&a,
                 "push {r4, r5, r6, r7, lr}\nldr r4, [r2]\nmov r12, r4\n"
                 "1:\nldr r5, [r2, #4]\nmov lr, r5\nmov r4, r1\n"
                 "2:\nldr r6, [r2, #12]\nadds r4, r4, r6\nrsbs r7, r6, #0\n"
                 "3:\nldrsb r5, [r4, r7]\nstr r5, [r0]\nadds r0, #%d\nadds r7, #1\nbne 3b\n"
                 "subs r4, r4, r6\nldr r5, [r2, #8]\nadds r4, r4, r5\nmov r5, lr\nsubs r5, #1\n"
                 "mov lr, r5\nbne 2b\nadds r1, r1, r3\nmov r5, r12\nsubs r5, #1\nmov r12, r5\n"
                 "bne 1b\npop {r4, r5, r6, r7, pc}",
                 (int)pixels * 4);
  return qn_add_assembly(b, name, function_type(b, true), &a, 20);
}
