/* avg_pool_dsp: averages over windows that lie within the image, four channels at a time: SXTAB16
 * adds bytes 0 and 2, then 1 and 3 of a word to two sums of 16 bits, which hold 256 taps of -128.
 */
#include <string.h>
#include "build.h"

enum { CHANNELS = 4, MOST_TAPS = 256, MOST_UNROLLED = 8 };

typedef struct {
  qn_window g;
  int32_t low, high;
} pool_shape;

/* Rows that lie one after the other are one row. */
static void join_rows(qn_window *g) {
  if (g->kernel_w != g->in_w || g->out_w != 1) return;
  g->kernel_w *= g->kernel_h;
  g->in_w *= g->kernel_h; /* of rows that nothing else reads */
  g->kernel_h = 1;
}

bool qn_take_avg_pool_dsp(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_pool_i8_params p;
  memcpy(&p, call->params, sizeof p);
  const qn_window *g = &p.g;
  if (u->options->optimize == QN_OPTIMIZE_SIZE || qn_can(u, QN_NEEDS_mve)) return false;
  if (qn_constant(u, call->in[0]) || g->in_c % CHANNELS != 0 || g->top != 0 || g->left != 0)
    return false;
  if ((g->out_h - 1) * g->stride_h + g->kernel_h > g->in_h ||
      (g->out_w - 1) * g->stride_w + g->kernel_w > g->in_w ||
      (int64_t)g->kernel_h * g->kernel_w > MOST_TAPS)
    return false;
  pool_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  *s = (pool_shape){p.g, p.low, p.high};
  job->shape = s;
  job->shape_bytes = sizeof *s;
  return true;
}

/* ------------------------------------------------------------------ code */

static LLVMValueRef add_bytes(qn_build *b, LLVMValueRef sums, LLVMValueRef word, bool odd) {
  LLVMTypeRef i32 = b->u->i32;
  LLVMValueRef turn[] = {word, word, qn_i32(b, 8)};
  if (odd) word = qn_call_intrinsic(b, "llvm.fshr", NULL, &i32, 1, turn, 3);
  LLVMValueRef both[] = {sums, word};
  return qn_call_intrinsic(b, "llvm.arm.sxtab16", NULL, NULL, 0, both, 2);
}

/* Sums of a row of the window; state: even sums, odd sums, address of the first word. */
static void add_row(qn_build *b, const qn_window *g, LLVMValueRef *state) {
  int32_t unrolled = MOST_UNROLLED;
  while (g->kernel_w % unrolled != 0) unrolled--;
  qn_loop l = qn_begin_loop(b, g->kernel_w / unrolled, state, 3);
  for (int32_t i = 0; i < unrolled; i++) {
    LLVMValueRef word = qn_read(b, b->u->i32, state[2], 1);
    state[2] = qn_at(b, state[2], g->in_c);
    for (int odd = 0; odd < 2; odd++) state[odd] = add_bytes(b, state[odd], word, odd == 1);
  }
  qn_end_loop(b, &l);
}

/* To nearest, ties away from zero, clamped. */
static LLVMValueRef divide(qn_build *b, const pool_shape *s, LLVMValueRef sum) {
  int32_t count = s->g.kernel_h * s->g.kernel_w;
  LLVMValueRef positive = LLVMBuildICmp(b->b, LLVMIntSGT, sum, qn_i32(b, 0), "");
  LLVMValueRef half =
      LLVMBuildSelect(b->b, positive, qn_i32(b, count / 2), qn_i32(b, -(count / 2)), "");
  LLVMValueRef x = LLVMBuildSDiv(b->b, LLVMBuildAdd(b->b, sum, half, ""), qn_i32(b, count), "");
  LLVMValueRef low = qn_i32(b, s->low), high = qn_i32(b, s->high);
  x = LLVMBuildSelect(b->b, LLVMBuildICmp(b->b, LLVMIntSGT, x, low, ""), x, low, "");
  return LLVMBuildSelect(b->b, LLVMBuildICmp(b->b, LLVMIntSLT, x, high, ""), x, high, "");
}

/* Four channels: x the window's first word, y their results. */
static void emit_channels(qn_build *b, const pool_shape *s, LLVMValueRef x, LLVMValueRef y) {
  const qn_window *g = &s->g;
  LLVMValueRef state[] = {qn_i32(b, 0), qn_i32(b, 0), x};
  qn_loop rows = qn_begin_loop(b, g->kernel_h, state, 3);
  add_row(b, g, state);
  state[2] = qn_at(b, state[2], (int64_t)(g->in_w - g->kernel_w) * g->in_c);
  qn_end_loop(b, &rows);
  for (int c = 0; c < CHANNELS; c++) {
    LLVMValueRef sum = state[c % 2];
    if (c < 2) sum = LLVMBuildShl(b->b, sum, qn_i32(b, 16), "");
    sum = LLVMBuildAShr(b->b, sum, qn_i32(b, 16), "");
    LLVMValueRef result = LLVMBuildTrunc(b->b, divide(b, s, sum), b->u->i8, "");
    qn_write(b, result, qn_at(b, y, c), 1);
  }
}

/* arguments: x, y. */
void qn_emit_avg_pool_dsp(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  pool_shape s = *(const pool_shape *)job->shape;
  const qn_window g = s.g;
  int64_t in_row = (int64_t)g.in_w * g.in_c, out_row = (int64_t)g.out_w * g.in_c;
  join_rows(&s.g);
  qn_loop image = qn_begin_loop(b, g.batch, NULL, 0);
  LLVMValueRef x = qn_at_index(b, arguments[0], qn_times(b, image.index, g.in_h * in_row));
  LLVMValueRef y = qn_at_index(b, arguments[1], qn_times(b, image.index, g.out_h * out_row));
  qn_loop row = qn_begin_loop(b, g.out_h, NULL, 0);
  x = qn_at_index(b, x, qn_times(b, row.index, g.stride_h * in_row));
  y = qn_at_index(b, y, qn_times(b, row.index, out_row));
  qn_loop column = qn_begin_loop(b, g.out_w, NULL, 0);
  x = qn_at_index(b, x, qn_times(b, column.index, (int64_t)g.stride_w * g.in_c));
  y = qn_at_index(b, y, qn_times(b, column.index, g.in_c));
  qn_loop four = qn_begin_loop(b, g.in_c / CHANNELS, NULL, 0);
  LLVMValueRef at = qn_times(b, four.index, CHANNELS);
  emit_channels(b, &s, qn_at_index(b, x, at), qn_at_index(b, y, at));
  qn_end_loop(b, &four);
  qn_end_loop(b, &column);
  qn_end_loop(b, &row);
  qn_end_loop(b, &image);
}
