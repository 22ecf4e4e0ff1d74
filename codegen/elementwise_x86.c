/* elementwise_x86.h: rows of results, four vectors at a time, and what is left of a row. */
#include "elementwise_x86.h"

enum {
  LEAST_COLUMNS = 16, /* of rows that are not the only one */
  AWAKE_ROUNDS = 16   /* in which AMX stays awake: 250 cycles */
};

typedef struct {
  qn_build *b;
  const qn_isa *isa;
  const qn_clamping *clamping;
  const qn_x86_walk *walk;
  int operands;
  qn_lane_function *results;
  const void *of;
} elementwise;

bool qn_is_one_row(const qn_x86_walk *w) {
  bool one = w->dim[0] == 1 && w->dim[1] == 1;
  for (int i = 0; i < QN_WALK_OPERANDS; i++) one &= w->step[i][QN_WALK_RANK - 1] == 1;
  return one;
}

bool qn_plan_walk(const qn_broadcast *w, qn_x86_walk *out) {
  const int skipped = QN_KERNEL_RANK - QN_WALK_RANK;
  for (int i = 0; i < skipped; i++)
    if (w->dim[i] != 1) return false;
  for (int i = 0; i < QN_WALK_RANK; i++) {
    out->dim[i] = w->dim[skipped + i];
    out->step[0][i] = w->a_stride[skipped + i];
    out->step[1][i] = w->b_stride[skipped + i];
  }
  out->y_step[1] = out->dim[2];
  out->y_step[0] = out->dim[1] * out->dim[2];
  return out->dim[QN_WALK_RANK - 1] >= (qn_is_one_row(out) ? 2 : LEAST_COLUMNS);
}

qn_x86_walk qn_walk_along(int32_t count) {
  return (qn_x86_walk){.dim = {1, 1, count}, .step = {{0, 0, 1}, {0, 0, 1}}};
}

bool qn_is_raised(const qn_x86_walk *w) { return w->flipped[0] || w->flipped[1]; }

/* Bytes of an operand as int32 lanes. */
static LLVMValueRef widen(const elementwise *e, int operand, LLVMValueRef bytes) {
  qn_build *b = e->b;
  int lanes = e->isa->lanes;
  LLVMTypeRef wide = qn_lanes_of(b, e->isa);
  if (!qn_is_raised(e->walk)) return LLVMBuildSExt(b->b, bytes, wide, "");
  if (!e->walk->flipped[operand]) bytes = LLVMBuildXor(b->b, bytes, qn_splat_i8(b, 128, lanes), "");
  return LLVMBuildZExt(b->b, bytes, wide, "");
}

/* A vector of stored values, or of the first `count`, from element `first` of the row on. */
static LLVMValueRef read_lanes(const elementwise *e, int operand, LLVMValueRef row, int first,
                               int count) {
  qn_build *b = e->b;
  int lanes = e->isa->lanes;
  if (e->walk->step[operand][QN_WALK_RANK - 1] == 1)
    return widen(e, operand, qn_read_bytes(b, qn_at(b, row, first), lanes, count));
  return widen(e, operand, qn_broadcast_value(b, qn_read(b, b->u->i8, row, 1), lanes));
}

/* Up to four vectors. at: operands and result. */
static void emit_some(const elementwise *e, const LLVMValueRef *at, int count) {
  LLVMValueRef four[QN_MOST_GROUP], x[QN_WALK_OPERANDS];
  int vectors = 0, lanes = e->isa->lanes;
  for (int i = 0; i < count; i += lanes) {
    for (int k = 0; k < e->operands; k++)
      x[k] = read_lanes(e, k, at[k], i, qn_least(count - i, lanes));
    four[vectors++] = e->results(e->b, e->of, x);
  }
  LLVMValueRef bytes = qn_narrow(e->b, e->isa, e->clamping, four, vectors, false);
  qn_store_part(e->b, e->isa, bytes, 0, at[e->operands], count);
}

/* Where element `index` + `constant` of the row is. */
static void move_along(const elementwise *e, const LLVMValueRef *row, LLVMValueRef index,
                       int64_t constant, LLVMValueRef *out) {
  for (int i = 0; i <= e->operands; i++) {
    out[i] = row[i];
    if (i < e->operands && e->walk->step[i][QN_WALK_RANK - 1] == 0) continue;
    out[i] = qn_at(e->b, out[i], constant);
    if (index) out[i] = qn_at_index(e->b, out[i], index);
  }
}

/* `times` times `together` times four vectors, from element `first` on. */
static void emit_rounds(const elementwise *e, const LLVMValueRef *row, int64_t first, int32_t times,
                        int32_t together) {
  qn_build *b = e->b;
  int32_t round = qn_vector_bytes(e->isa);
  LLVMValueRef at[QN_WALK_OPERANDS + 1];
  if (times == 0 || together == 0) return;
  qn_loop l = qn_begin_loop(b, times, NULL, 0);
  qn_stay_awake(b);
  LLVMValueRef some = qn_times(b, l.index, (int64_t)together * round);
  qn_loop each = qn_begin_loop(b, together, NULL, 0);
  LLVMValueRef start = qn_times(b, each.index, round);
  if (times > 1) start = LLVMBuildAdd(b->b, some, start, "");
  move_along(e, row, start, first, at);
  emit_some(e, at, round);
  qn_end_loop(b, &each);
  qn_end_loop(b, &l);
}

static void emit_row(const elementwise *e, const LLVMValueRef *row) {
  int32_t columns = e->walk->dim[QN_WALK_RANK - 1], round = qn_vector_bytes(e->isa);
  int32_t whole = columns / round, rest = columns % round;
  int32_t together = e->b->awake && whole > AWAKE_ROUNDS ? AWAKE_ROUNDS : whole;
  int32_t times = together ? whole / together : 0;
  LLVMValueRef at[QN_WALK_OPERANDS + 1];
  emit_rounds(e, row, 0, times, together);
  emit_rounds(e, row, (int64_t)times * together * round, 1, whole - times * together);
  move_along(e, row, NULL, (int64_t)whole * round, at);
  if (rest > 0) emit_some(e, at, rest);
}

void qn_emit_elementwise(qn_build *b, const qn_isa *isa, const qn_clamping *clamping,
                         const qn_x86_walk *walk, int operands, qn_lane_function *results,
                         const void *of, const LLVMValueRef *arguments) {
  const elementwise e = {b, isa, clamping, walk, operands, results, of};
  LLVMValueRef row[QN_WALK_OPERANDS + 1];
  qn_loop l[QN_WALK_RANK - 1];
  for (int i = 0; i <= operands; i++)
    row[i] = qn_at(b, arguments[i], i < operands ? walk->first[i] : walk->y_first);
  for (int d = 0; d < QN_WALK_RANK - 1; d++) {
    l[d] = qn_begin_loop(b, walk->dim[d], NULL, 0);
    for (int i = 0; i <= operands; i++)
      row[i] = qn_at_index(
          b, row[i], qn_times(b, l[d].index, i < operands ? walk->step[i][d] : walk->y_step[d]));
  }
  emit_row(&e, row);
  for (int d = QN_WALK_RANK - 2; d >= 0; d--) qn_end_loop(b, &l[d]);
}
