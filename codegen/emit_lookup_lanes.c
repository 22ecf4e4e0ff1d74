/* lookup_lanes: a function of int8, given by its 256 results, for as many elements as fit into a
 * vector.
 *
 *   vpermi2b (AVX-512 VBMI)  looks up in 128 results: in the first and the last ones, of which the
 *                            sign bit chooses
 *   TBL, TBX (AArch64)       in 64, and give 0, or what there was, for indices beyond
 *   pshufb (AVX2)            in 16, by the low half of the index, and gives 0 where that is
 * negative. Table h has results 16h.. xor those 16 before; xor of all lookups from 0 to h, the
 * index less 16 for each, is what table h was made of, and further ones, whose indices are
 * negative, add nothing
 *
 * The constants are the results for 0..127, and then for -128..-1. */
#include <string.h>
#include "build.h"

enum { RESULTS = 256, HALF = 128, TABLE = 16 /* bytes */, TABLES = RESULTS / TABLE, UNROLLED = 2 };

typedef enum { BY_HALVES, BY_QUARTERS, BY_SIXTEENTHS } way;

typedef struct {
  int32_t count, lanes, way;
} lookup_shape;

/* What is read before the loop. */
typedef struct {
  qn_build *b;
  const lookup_shape *s;
  LLVMValueRef constants, tables[TABLES];
} lookup;

static bool choose_way(const qn_unit *u, lookup_shape *s) {
  s->lanes = qn_byte_lanes(u);
  s->way = qn_can(u, QN_NEEDS_vbmi)      ? BY_HALVES
           : qn_can(u, QN_NEEDS_aarch64) ? BY_QUARTERS
                                         : BY_SIXTEENTHS;
  return s->way != BY_SIXTEENTHS || qn_can(u, QN_NEEDS_avx2);
}

bool qn_take_lookup_lanes(qn_unit *u, const qn_call *call, qn_job *job) {
  qn_lookup_i8_params p;
  memcpy(&p, call->params, sizeof p);
  const char *results = qn_constant(u, call->in[1]);
  if (u->options->optimize == QN_OPTIMIZE_SIZE || qn_constant(u, call->in[0]) || !results)
    return false;
  lookup_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  if (!choose_way(u, s) || p.count < s->lanes) return false;
  s->count = p.count;
  char *constants = qn_alloc(&u->m->arena, RESULTS);
  memcpy(constants, results + HALF, HALF);
  memcpy(constants + HALF, results, HALF);
  for (int i = HALF - 1; s->way == BY_SIXTEENTHS && i >= 0; i--)
    for (int half = 0; half < RESULTS && i >= TABLE; half += HALF)
      constants[half + i] = (char)(constants[half + i] ^ constants[half + i - TABLE]);
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = constants;
  job->constant_bytes = RESULTS;
  return true;
}

/* ------------------------------------------------------------------ code */

static LLVMValueRef by_halves(const lookup *l, LLVMValueRef x) {
  qn_build *b = l->b;
  LLVMValueRef half[2];
  for (int i = 0; i < 2; i++) {
    LLVMValueRef of[] = {l->tables[2 * i], x, l->tables[2 * i + 1]};
    half[i] = qn_call_intrinsic(b, "llvm.x86.avx512.vpermi2var.qi.512", NULL, NULL, 0, of, 3);
  }
  LLVMValueRef negative = LLVMBuildICmp(b->b, LLVMIntSLT, x, qn_splat_i8(b, 0, l->s->lanes), "");
  return LLVMBuildSelect(b->b, negative, half[1], half[0], "");
}

static LLVMValueRef by_quarters(const lookup *l, LLVMValueRef x) {
  qn_build *b = l->b;
  LLVMTypeRef type = LLVMTypeOf(x);
  LLVMValueRef y = NULL;
  for (int i = 0; i < 4; i++) {
    LLVMValueRef of[6] = {y};
    memcpy(&of[1], &l->tables[4 * i], 4 * sizeof *of);
    of[5] = i ? LLVMBuildSub(b->b, x, qn_splat_i8(b, i * RESULTS / 4, l->s->lanes), "") : x;
    y = i ? qn_call_intrinsic(b, "llvm.aarch64.neon.tbx4", NULL, &type, 1, of, 6)
          : qn_call_intrinsic(b, "llvm.aarch64.neon.tbl4", NULL, &type, 1, &of[1], 5);
  }
  return y;
}

/* Table number i in every 128 bits. */
static LLVMValueRef spread_table(const lookup *l, int i) {
  qn_build *b = l->b;
  int at[64];
  for (int k = 0; k < l->s->lanes; k++) at[k] = k % TABLE;
  LLVMValueRef table =
      qn_read(b, qn_vector(b->u->i8, TABLE), qn_at(b, l->constants, i * TABLE), TABLE);
  return LLVMBuildShuffleVector(b->b, table, LLVMGetPoison(LLVMTypeOf(table)),
                                qn_indices(b, at, l->s->lanes), "");
}

static void by_sixteenths(const lookup *l, LLVMValueRef *x, int count) {
  qn_build *b = l->b;
  const char *name = l->s->lanes == 64 ? "llvm.x86.avx512.pshuf.b.512" : "llvm.x86.avx2.pshuf.b";
  LLVMTypeRef type = LLVMTypeOf(x[0]);
  LLVMValueRef y[UNROLLED], index[UNROLLED];
  for (int i = 0; i < TABLES; i++) {
    LLVMValueRef table = spread_table(l, i);
    for (int k = 0; k < count; k++) {
      if (i % (TABLES / 2) == 0) {
        index[k] = i ? LLVMBuildXor(b->b, x[k], qn_splat_i8(b, HALF, l->s->lanes), "") : x[k];
      } else {
        LLVMValueRef less[] = {index[k], qn_splat_i8(b, TABLE, l->s->lanes)};
        index[k] = qn_call_intrinsic(b, "llvm.ssub.sat", NULL, &type, 1, less, 2);
      }
      LLVMValueRef of[] = {table, index[k]};
      LLVMValueRef found = qn_call_intrinsic(b, name, type, NULL, 0, of, 2);
      y[k] = i ? LLVMBuildXor(b->b, y[k], found, "") : found;
    }
  }
  memcpy(x, y, (size_t)count * sizeof *x);
}

/* `count` elements, at most UNROLLED vectors. */
static void emit_some(const lookup *l, LLVMValueRef from, LLVMValueRef to, int count) {
  qn_build *b = l->b;
  int lanes = l->s->lanes, vectors = 0;
  LLVMValueRef x[UNROLLED];
  for (int i = 0; i < count; i += lanes)
    x[vectors++] = qn_read_bytes(b, qn_at(b, from, i), lanes, qn_least(count - i, lanes));
  if (l->s->way == BY_SIXTEENTHS) by_sixteenths(l, x, vectors);
  for (int i = 0; i < vectors && l->s->way != BY_SIXTEENTHS; i++)
    x[i] = l->s->way == BY_HALVES ? by_halves(l, x[i]) : by_quarters(l, x[i]);
  for (int i = 0; i < vectors; i++)
    qn_write_bytes(b, x[i], qn_at(b, to, i * lanes), qn_least(count - i * lanes, lanes));
}

/* arguments: x, y, constants; y may be x. */
void qn_emit_lookup_lanes(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  const lookup_shape *s = job->shape;
  lookup l = {.b = b, .s = s, .constants = arguments[2]};
  for (int i = 0; s->way != BY_SIXTEENTHS && i < RESULTS / s->lanes; i++)
    l.tables[i] =
        qn_read(b, qn_vector(b->u->i8, s->lanes), qn_at(b, l.constants, i * s->lanes), s->lanes);
  int32_t round = UNROLLED * s->lanes, whole = s->count / round, rest = s->count % round;
  if (whole > 0) {
    qn_loop loop = qn_begin_loop(b, whole, NULL, 0);
    LLVMValueRef at = qn_times(b, loop.index, round);
    emit_some(&l, qn_at_index(b, arguments[0], at), qn_at_index(b, arguments[1], at), round);
    qn_end_loop(b, &loop);
  }
  int64_t done = (int64_t)whole * round;
  if (rest > 0) emit_some(&l, qn_at(b, arguments[0], done), qn_at(b, arguments[1], done), rest);
}
