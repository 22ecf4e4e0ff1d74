/* mve.h's kernels as text.
 *
 * Accumulating dot products need even core registers: r0, r2, r4, r6 are the first pixel's four
 * channels, r8, r10, r12, lr the second's; r1, r5 walk the windows, r3 the stream, r7 counts. The
 * loop is unrolled and entered in its middle. q4-q7 belong to the caller, and are not used. */
#include "mve.h"
#include <string.h>

enum { UNROLLED = 4, SAVED_BYTES = 36, LOCAL_BYTES = 48 };
/* Locals, from sp: the windows; results of pixel 0 and 1; rounds; where the loop is entered; end of
 * the stream; zero; low, high. */
enum { AT_X = 0, AT_Y = 8, AT_ROUNDS = 16, AT_ENTRY = 20, AT_END = 24, AT_ZERO = 28, AT_LOW = 32 };

static int32_t chunk_bytes(const qn_dsp_kernel *k) { return k->pixels == 2 ? 14 * 4 : 9 * 4; }

int32_t qn_mve_rounds(int32_t chunks) { return (chunks + UNROLLED - 1) / UNROLLED; }

int32_t qn_mve_skip_bytes(const qn_dsp_kernel *k, int32_t chunks) {
  return (UNROLLED - chunks % UNROLLED) % UNROLLED * chunk_bytes(k);
}

bool qn_mve_is_exact(const qn_rescaling *r, const qn_dsp_kernel *k) {
  if (r->contract == QN_CONTRACT_mulhi) return r->mul >= 0 && r->shr == 0;
  int32_t least = k->rounding == QN_DSP_SIGNED ? 1 : 0; /* nothing is rounded away from zero */
  return r->contract == QN_CONTRACT_tflite && r->mul >= 0 && r->shr >= least && r->shr <= 31;
}

/* ------------------------------------------------------------------ sums */

static void write_chunk(qn_assembly *a, int32_t pixels) {
  static const char *const sums[8] = {"r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr"};
  qn_write_lines(a, "vldrb.u8 q0, [r1], #16");
  if (pixels == 2) qn_write_lines(a, "vldrb.u8 q1, [r5], #16");
  for (int c = 0; c < 4; c++) {
    int w = 2 + c % 2;
    qn_write_lines(a, "vldrb.u8 q%d, [r3], #16\nvmladava.s8 %s, q0, q%d", w, sums[c], w);
    if (pixels == 2) qn_write_lines(a, "vmladava.s8 %s, q1, q%d", sums[4 + c], w);
  }
}

static void write_sums(qn_assembly *a, int32_t pixels) {
  bool two = pixels == 2;
  qn_write_lines(a, "2:\nldrd r1, r5, [sp, #%d]\nldr r7, [sp, #%d]", AT_X, AT_ROUNDS);
  if (two) qn_write_lines(a, "ldm.w r3, {r8, r10, r12, lr}");
  qn_write_lines(a, "ldm.w r3!, {r0, r2, r4, r6}\nldr pc, [sp, #%d]\n1:", AT_ENTRY);
  for (int i = 0; i < UNROLLED; i++) write_chunk(a, pixels);
  qn_write_lines(a, "subs r7, #1\nbne.w 1b\nvmov q0[2], q0[0], r0, r4\nvmov q0[3], q0[1], r2, r6");
  if (two) qn_write_lines(a, "vmov q1[2], q1[0], r8, r12\nvmov q1[3], q1[1], r10, lr");
}

/* ------------------------------------------------------------------ stored values */

static void write_all(qn_assembly *a, int count, const char *format) {
  for (int i = 0; i < count; i++) qn_write_lines(a, format, i, i);
}

static void write_rounding(qn_assembly *a, const qn_dsp_kernel *k) {
  int count = k->pixels;
  qn_write_lines(a, "vldrw.u32 q2, [r3], #16");
  if (k->rounding == QN_DSP_MULHI) {
    write_all(a, count, "vrmulh.s32 q%d, q%d, q2");
  } else {
    write_all(a, count, "vqrdmulh.s32 q%d, q%d, q2");
    if (k->rounding == QN_DSP_SIGNED)
      for (int i = 0; i < count; i++)
        qn_write_lines(a, "vshr.s32 q2, q%d, #31\nvqadd.s32 q%d, q%d, q2", i, i, i);
    qn_write_lines(a, "vldrw.u32 q3, [r3], #16");
    write_all(a, count, "vrshl.s32 q%d, q%d, q3");
  }
  qn_write_lines(a, "ldr r0, [sp, #%d]", AT_ZERO);
  write_all(a, count, "vqadd.s32 q%d, q%d, r0");
  if (k->clamps) {
    qn_write_lines(a, "ldrd r2, r4, [sp, #%d]\nvdup.32 q2, r2\nvdup.32 q3, r4", AT_LOW);
    write_all(a, count, "vmax.s32 q%d, q%d, q2");
    write_all(a, count, "vmin.s32 q%d, q%d, q3");
  } else {
    write_all(a, count, "vqmovnb.s32 q%d, q%d");
    write_all(a, count, "vqmovnb.s16 q%d, q%d");
  }
}

static void write_stores(qn_assembly *a, int32_t pixels) {
  if (pixels == 2)
    qn_write_lines(a,
                   "ldrd r0, r1, [sp, #%d]\nvstrb.32 q0, [r0], #4\nvstrb.32 q1, [r1], #4\n"
                   "strd r0, r1, [sp, #%d]",
                   AT_Y, AT_Y);
  else
    qn_write_lines(a, "ldr r0, [sp, #%d]\nvstrb.32 q0, [r0], #4\nstr r0, [sp, #%d]", AT_Y, AT_Y);
}

/* ------------------------------------------------------------------ functions */

static LLVMTypeRef function_type(qn_build *b) {
  LLVMTypeRef types[] = {b->u->pointer, b->u->pointer, b->u->pointer, b->u->pointer};
  return LLVMFunctionType(b->u->nothing, types, 4, 0);
}

LLVMValueRef qn_mve_kernel_function(qn_build *b, const qn_dsp_kernel *k) {
  qn_assembly a = {.arena = &b->u->m->arena};
  const char *name = qn_format(a.arena, "mve_%dx4_%s", (int)k->pixels,
                               qn_dsp_rounding_name(k->rounding, k->clamps));
  LLVMValueRef found = qn_find_assembly(b, name);
  if (found) return found;
  qn_write_lines(&a,
                 "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\nsub sp, #%d\n"
                 "strd r0, r1, [sp, #%d]\nldmia.w r2!, {r4, r5, r6, r7, r8, r9, r10, r11}\n"
                 "add r7, r7, r3\nstrd r3, r7, [sp, #%d]\nstr r4, [sp, #%d]\nadd r6, r6, r2\n"
                 "str r6, [sp, #%d]\nmov r3, r2\nadr.w r12, 1f\nadd r12, r12, r5\n"
                 "orr r12, r12, #1\nstr r12, [sp, #%d]\n" /* bit 0: Thumb */
                 "str r8, [sp, #%d]\nstrd r9, r10, [sp, #%d]",
                 LOCAL_BYTES, AT_X, AT_Y, AT_ROUNDS, AT_END, AT_ENTRY, AT_ZERO, AT_LOW);
  write_sums(&a, k->pixels);
  write_rounding(&a, k);
  write_stores(&a, k->pixels);
  qn_write_lines(&a,
                 "ldr r0, [sp, #%d]\ncmp r3, r0\nbne.w 2b\nadd sp, #%d\n"
                 "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}",
                 AT_END, LOCAL_BYTES);
  return qn_add_assembly(b, name, function_type(b), &a, SAVED_BYTES + LOCAL_BYTES);
}

/* Up to 16 bytes of a column's row go through one register under a predicate, others in a loop of
 * their own. */
LLVMValueRef qn_mve_copy_function(qn_build *b) {
  qn_assembly a = {.arena = &b->u->m->arena};
  LLVMValueRef found = qn_find_assembly(b, "mve_copy");
  if (found) return found;
  qn_write_lines(
      &a, "push {r4, r5, r6, r7, r8, r9, r10, lr}\ncmp r2, #0\nble.w 9f\ncmp r3, #0\nble.w 9f\n"
          "ldr r7, [sp, #32]\nldm.w r7, {r6, r7, r8}\ncmp r6, #16\nbhi 4f\nvctp.8 r6\n"
          "1:\nmov r4, r0\nmov r5, r1\ndls lr, r3\n"
          "2:\nvpstt\nvldrbt.u8 q0, [r5]\nvstrbt.8 q0, [r4]\nadd r5, r6\nadd r4, r8\nle lr, 2b\n"
          "add r0, r6\nadd r1, r7\nsubs r2, #1\nbne 1b\nb 9f\n"
          "4:\nmov r9, r0\nmov r10, r3\nmov r12, r1\n"
          "5:\nmov r4, r9\nmov r5, r12\nwlstp.8 lr, r6, 7f\n"
          "6:\nvldrb.u8 q0, [r5], #16\nvstrb.8 q0, [r4], #16\nletp lr, 6b\n"
          "7:\nadd r9, r8\nadd r12, r6\nsubs r10, #1\nbne 5b\n"
          "add r0, r6\nadd r1, r7\nsubs r2, #1\nbne 4b\n"
          "9:\npop {r4, r5, r6, r7, r8, r9, r10, pc}");
  LLVMTypeRef types[] = {b->u->pointer, b->u->pointer, b->u->i32, b->u->i32, b->u->pointer};
  return qn_add_assembly(b, "mve_copy", LLVMFunctionType(b->u->nothing, types, 5, 0), &a, 32);
}

void qn_emit_mve_set(qn_build *b, LLVMValueRef to, int32_t value, LLVMValueRef bytes) {
  qn_assembly a = {.arena = &b->u->m->arena};
  LLVMValueRef function = qn_find_assembly(b, "mve_set");
  if (!function) {
    qn_write_lines(&a, "push {r7, lr}\nvdup.8 q0, r1\nwlstp.8 lr, r2, 2f\n"
                       "1:\nvstrb.8 q0, [r0], #16\nletp lr, 1b\n2:\npop {r7, pc}");
    LLVMTypeRef types[] = {b->u->pointer, b->u->i32, b->u->i32};
    LLVMTypeRef type = LLVMFunctionType(b->u->nothing, types, 3, 0);
    function = qn_add_assembly(b, "mve_set", type, &a, 8);
  }
  LLVMValueRef arguments[] = {to, qn_i32(b, value), bytes};
  qn_call_function(b, function, arguments, 3);
}

LLVMValueRef qn_mve_fill_function(qn_build *b) {
  qn_assembly a = {.arena = &b->u->m->arena};
  LLVMValueRef found = qn_find_assembly(b, "mve_fill");
  if (found) return found;
  qn_write_lines(&a, "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\ncmp r3, #0\nble 5f\nmov r4, #0\n"
                     "vidup.u16 q2, r4, #1\nldm.w r2, {r4, r5, r6, r7, r8, r9, r10, r11, r12}\n"
                     "vmul.i16 q2, q2, r10\nvadd.i16 q3, q2, r12\nvadd.i16 q2, q2, r11\n"
                     "1:\nmov r2, r0\nmov r11, r1\nwls lr, r4, 3f\n"
                     "2:\nvldrb.u16 q0, [r2]\nadd r2, r6\nvldrb.u16 q1, [r2]\nadd r2, r6\n"
                     "vstrb.16 q0, [r11, q2]\nvstrb.16 q1, [r11, q3]\nadd r11, r8\nle lr, 2b\n"
                     "3:\ncbz r5, 4f\nvldrb.u16 q0, [r2]\nvstrb.16 q0, [r11, q2]\n"
                     "4:\nadd r0, r7\nadd r1, r9\nsubs r3, #1\nbne 1b\n"
                     "5:\npop {r4, r5, r6, r7, r8, r9, r10, r11, pc}");
  LLVMTypeRef types[] = {b->u->pointer, b->u->pointer, b->u->pointer, b->u->i32};
  return qn_add_assembly(b, "mve_fill", LLVMFunctionType(b->u->nothing, types, 4, 0), &a,
                         SAVED_BYTES);
}
