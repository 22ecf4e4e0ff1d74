/* avg_pool_lanes, max_pool_lanes: pools of int8 with channels in the lanes of vectors, on every
 * target that has any. max_pool_dsp: the same of four channels in a word, whose larger bytes SSUB8
 * finds and SEL takes.
 *
 * Results whose windows lie within the image share the code of a loop; each row and column whose
 * windows reach beyond the border has code of its own, for the taps that are inside. Channels go by
 * vectors, of which the last is moved back to end with the pixel.
 *
 * An average is summed in int16, which holds 255 taps of -128, and divided by a multiplication:
 *   |sum + half| / taps = (|sum| + taps / 2) * factor / 2^(16 + shift), rounded down
 * with the factor that is the quotient 2^(16 + shift) / taps rounded up, tried for all sums. */
#include <string.h>
#include "build.h"

enum {
  MOST_TAPS = 255,
  MOST_UNROLLED = 9,
  MOST_SPANS = 5,
  LEAST_LANES = 8,
  MOST_LANES = 64,
  WORD = 4
};

/* Results first..first+count-1 of a row or column of them: `taps` of their window are inside, the
 * first one's from element `from` of the input on. */
typedef struct {
  int32_t first, count, from, taps;
} span;

typedef struct {
  qn_window g;
  int32_t low, high, average, lanes; /* lanes: WORD, or of a vector */
  int32_t row_count, column_count;
  span rows[MOST_SPANS], columns[MOST_SPANS];
} pool_shape;

/* ------------------------------------------------------------------ plan */

/* How many spans; 0: too many. Paddings are below the kernel's size: every window has a tap. */
static int32_t find_spans(int32_t results, int32_t stride, int32_t before, int32_t kernel,
                          int32_t size, span *to) {
  int32_t count = 0;
  for (int32_t i = 0; i < results; i++) {
    int32_t start = i * stride - before, from = start > 0 ? start : 0;
    int32_t taps = qn_least(start + kernel, size) - from;
    if (count > 0 && taps == kernel && to[count - 1].taps == kernel) {
      to[count - 1].count++;
      continue;
    }
    if (count == MOST_SPANS) return 0;
    to[count++] = (span){i, 1, from, taps};
  }
  return count;
}

/* The shift with which factors of taps, at least 2, have 16 bits. */
static int32_t shift_of(int32_t taps) { return 31 - __builtin_clz((uint32_t)taps - 1); }

static uint32_t factor_of(int32_t taps) {
  return (uint32_t)(((1 << (16 + shift_of(taps))) + taps - 1) / taps);
}

static bool divides_exactly(int32_t taps) {
  for (int32_t n = taps / 2; taps > 1 && n <= 128 * taps + taps / 2; n++)
    if ((int32_t)((uint32_t)n * factor_of(taps) >> (16 + shift_of(taps))) != n / taps) return false;
  return true;
}

static int32_t channels_of(const qn_call *call) {
  qn_pool_i8_params p;
  memcpy(&p, call->params, sizeof p);
  return p.g.in_c;
}

static int32_t lanes_for(const qn_unit *u, int32_t channels) {
  int32_t lanes = qn_least(qn_byte_lanes(u), MOST_LANES);
  while (lanes > channels) lanes /= 2;
  return lanes;
}

static bool can_average(const pool_shape *s) {
  bool can = true;
  for (int32_t i = 0; i < s->row_count * s->column_count && can; i++) {
    int32_t taps = s->rows[i / s->column_count].taps * s->columns[i % s->column_count].taps;
    can = taps <= MOST_TAPS && divides_exactly(taps);
  }
  return can;
}

static bool take(qn_unit *u, const qn_call *call, qn_job *job, int32_t lanes, bool average) {
  qn_pool_i8_params p;
  memcpy(&p, call->params, sizeof p);
  const qn_window *g = &p.g;
  if (u->options->optimize == QN_OPTIMIZE_SIZE || qn_constant(u, call->in[0])) return false;
  pool_shape *s = qn_alloc(&u->m->arena, sizeof *s);
  *s = (pool_shape){.g = p.g, .low = p.low, .high = p.high, .average = average};
  s->lanes = lanes;
  s->row_count = find_spans(g->out_h, g->stride_h, g->top, g->kernel_h, g->in_h, s->rows);
  s->column_count = find_spans(g->out_w, g->stride_w, g->left, g->kernel_w, g->in_w, s->columns);
  if (!s->row_count || !s->column_count) return false;
  if (average && !can_average(s)) return false;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  return true;
}

static bool take_lanes(qn_unit *u, const qn_call *call, qn_job *job, bool average) {
  int32_t lanes = lanes_for(u, channels_of(call));
  return lanes >= LEAST_LANES && take(u, call, job, lanes, average);
}

bool qn_take_avg_pool_lanes(qn_unit *u, const qn_call *call, qn_job *job) {
  return take_lanes(u, call, job, true);
}

bool qn_take_max_pool_lanes(qn_unit *u, const qn_call *call, qn_job *job) {
  return take_lanes(u, call, job, false);
}

bool qn_take_max_pool_dsp(qn_unit *u, const qn_call *call, qn_job *job) {
  bool vectors = qn_can(u, QN_NEEDS_mve);
  return !vectors && channels_of(call) >= WORD && take(u, call, job, WORD, false);
}

/* ------------------------------------------------------------------ code */

static LLVMValueRef words(qn_build *b, const pool_shape *s, int32_t value) {
  LLVMTypeRef word = LLVMInt16TypeInContext(b->u->context);
  return qn_broadcast_value(b, LLVMConstInt(word, (unsigned long long)(long long)value, 1),
                            s->lanes);
}

static LLVMValueRef two(qn_build *b, const char *name, LLVMValueRef x, LLVMValueRef y) {
  LLVMTypeRef type = LLVMTypeOf(x);
  LLVMValueRef both[] = {x, y};
  return qn_call_intrinsic(b, name, NULL, &type, 1, both, 2);
}

/* Bytes are a vector, or a word. */
static LLVMTypeRef type_of_bytes(qn_build *b, const pool_shape *s) {
  return s->lanes == WORD ? b->u->i32 : qn_vector(b->u->i8, s->lanes);
}

static LLVMValueRef all_bytes(qn_build *b, const pool_shape *s, int32_t value) {
  if (s->lanes == WORD) return qn_i32(b, (value & 255) * INT64_C(0x01010101));
  return qn_splat_i8(b, value, s->lanes);
}

/* text: of a word's bytes, GE says where x is not below y. */
static LLVMValueRef select_bytes(qn_build *b, const char *text, size_t size, LLVMValueRef x,
                                 LLVMValueRef y) {
  static const char registers[] = "=&r,r,r";
  LLVMTypeRef words[] = {b->u->i32, b->u->i32}, type = LLVMFunctionType(b->u->i32, words, 2, 0);
  LLVMValueRef both[] = {x, y};
  LLVMValueRef code = LLVMGetInlineAsm(type, text, size, registers, sizeof registers - 1, 0, 0,
                                       LLVMInlineAsmDialectATT, 0);
  return LLVMBuildCall2(b->b, type, code, both, 2, "");
}

static LLVMValueRef larger(qn_build *b, const pool_shape *s, LLVMValueRef x, LLVMValueRef y) {
  static const char text[] = "ssub8 $0, $1, $2\nsel $0, $1, $2";
  if (s->lanes != WORD) return two(b, "llvm.smax", x, y);
  return select_bytes(b, text, sizeof text - 1, x, y);
}

static LLVMValueRef smaller(qn_build *b, const pool_shape *s, LLVMValueRef x, LLVMValueRef y) {
  static const char text[] = "ssub8 $0, $1, $2\nsel $0, $2, $1";
  if (s->lanes != WORD) return two(b, "llvm.smin", x, y);
  return select_bytes(b, text, sizeof text - 1, x, y);
}

static LLVMValueRef add_tap(qn_build *b, const pool_shape *s, LLVMValueRef sum, LLVMValueRef x) {
  LLVMValueRef tap = qn_read(b, type_of_bytes(b, s), x, 1);
  if (!s->average) return larger(b, s, sum, tap);
  return LLVMBuildAdd(b->b, sum, LLVMBuildSExt(b->b, tap, LLVMTypeOf(sum), ""), "");
}

/* The sums, or maxima, of rows x columns taps from x on. */
static LLVMValueRef add_window(qn_build *b, const pool_shape *s, int32_t rows, int32_t columns,
                               LLVMValueRef x) {
  const qn_window *g = &s->g;
  LLVMValueRef state[] = {s->average ? words(b, s, 0) : all_bytes(b, s, s->low), x};
  if (columns == g->in_w) { /* rows that lie one after the other are one row */
    columns *= rows;
    rows = 1;
  }
  int32_t rolled = rows * columns > MOST_UNROLLED, unrolled = qn_least(columns, MOST_UNROLLED);
  while (columns % unrolled != 0) unrolled--;
  for (int32_t i = 0; i < (rolled ? 1 : rows); i++) {
    qn_loop row = qn_begin_loop(b, rolled ? rows : 1, state, 2);
    qn_loop some = qn_begin_loop(b, columns / unrolled, state, 2);
    for (int32_t k = 0; k < unrolled; k++)
      state[0] = add_tap(b, s, state[0], qn_at(b, state[1], (int64_t)k * g->in_c));
    state[1] = qn_at(b, state[1], (int64_t)unrolled * g->in_c);
    qn_end_loop(b, &some);
    state[1] = qn_at(b, state[1], (int64_t)(g->in_w - columns) * g->in_c);
    qn_end_loop(b, &row);
  }
  return state[0];
}

/* The upper halves of products of unsigned words: on x86 one instruction, which LLVM does not
 * find, for each register; elsewhere LLVM does what there is. */
static LLVMValueRef high_product(qn_build *b, const pool_shape *s, LLVMValueRef x, LLVMValueRef y) {
  static const char *const names[] = {"llvm.x86.sse2.pmulhu.w", "llvm.x86.avx2.pmulhu.w",
                                      "llvm.x86.avx512.pmulhu.w.512"};
  if (!qn_can(b->u, QN_NEEDS_x86_64)) {
    LLVMTypeRef wide = qn_vector(b->u->i32, s->lanes);
    LLVMValueRef product = LLVMBuildZExt(b->b, x, wide, "");
    product = LLVMBuildMul(b->b, product, LLVMBuildZExt(b->b, y, wide, ""), "");
    product = LLVMBuildLShr(b->b, product, qn_splat_i32(b, 16, s->lanes), "");
    return LLVMBuildTrunc(b->b, product, LLVMTypeOf(x), "");
  }
  int each = qn_least(s->lanes, qn_byte_lanes(b->u) / 2);
  const char *name = names[each == 8 ? 0 : each == 16 ? 1 : 2];
  LLVMValueRef result = NULL;
  for (int first = 0; first < s->lanes; first += each) {
    LLVMValueRef part[] = {qn_part(b, x, first, each), qn_part(b, y, first, each)};
    LLVMValueRef high = qn_call_intrinsic(b, name, NULL, NULL, 0, part, 2);
    result = result ? qn_concat(b, result, high) : high;
  }
  return result;
}

/* To nearest, ties away from zero. */
static LLVMValueRef divide(qn_build *b, const pool_shape *s, LLVMValueRef sum, int32_t taps) {
  if (taps == 1) return sum;
  LLVMValueRef sign = LLVMBuildAShr(b->b, sum, words(b, s, 15), "");
  LLVMValueRef size = two(b, "llvm.smax", sum, LLVMBuildNeg(b->b, sum, ""));
  size = LLVMBuildAdd(b->b, size, words(b, s, taps / 2), "");
  LLVMValueRef high = high_product(b, s, size, words(b, s, (int32_t)factor_of(taps)));
  if (shift_of(taps) > 0) high = LLVMBuildLShr(b->b, high, words(b, s, shift_of(taps)), "");
  return LLVMBuildSub(b->b, LLVMBuildXor(b->b, high, sign, ""), sign, "");
}

static LLVMValueRef clamp(qn_build *b, const pool_shape *s, LLVMValueRef bytes) {
  if (s->average && s->low > INT8_MIN) bytes = larger(b, s, bytes, all_bytes(b, s, s->low));
  if (s->high < INT8_MAX) bytes = smaller(b, s, bytes, all_bytes(b, s, s->high));
  return bytes;
}

/* A pixel's channels. */
static void emit_pixel(qn_build *b, const pool_shape *s, int32_t rows, int32_t columns,
                       LLVMValueRef x, LLVMValueRef y) {
  qn_loop l = qn_begin_loop(b, (s->g.in_c + s->lanes - 1) / s->lanes, NULL, 0);
  LLVMValueRef start = qn_tile_start(b, l.index, s->lanes, s->g.in_c);
  LLVMValueRef result = add_window(b, s, rows, columns, qn_at_index(b, x, start));
  if (s->average) {
    result = divide(b, s, result, rows * columns);
    result = LLVMBuildTrunc(b->b, result, qn_vector(b->u->i8, s->lanes), "");
  }
  qn_write(b, clamp(b, s, result), qn_at_index(b, y, start), 1);
  qn_end_loop(b, &l);
}

static void emit_span(qn_build *b, const pool_shape *s, const span *rows, const span *columns,
                      LLVMValueRef x, LLVMValueRef y) {
  const qn_window *g = &s->g;
  int64_t in_row = (int64_t)g->in_w * g->in_c, out_row = (int64_t)g->out_w * g->in_c;
  x = qn_at(b, x, rows->from * in_row + (int64_t)columns->from * g->in_c);
  y = qn_at(b, y, rows->first * out_row + (int64_t)columns->first * g->in_c);
  qn_loop row = qn_begin_loop(b, rows->count, NULL, 0);
  x = qn_at_index(b, x, qn_times(b, row.index, g->stride_h * in_row));
  y = qn_at_index(b, y, qn_times(b, row.index, out_row));
  qn_loop column = qn_begin_loop(b, columns->count, NULL, 0);
  x = qn_at_index(b, x, qn_times(b, column.index, (int64_t)g->stride_w * g->in_c));
  y = qn_at_index(b, y, qn_times(b, column.index, g->in_c));
  emit_pixel(b, s, rows->taps, columns->taps, x, y);
  qn_end_loop(b, &column);
  qn_end_loop(b, &row);
}

static void emit(qn_build *b, const pool_shape *s, LLVMValueRef *arguments) {
  const qn_window *g = &s->g;
  qn_loop image = qn_begin_loop(b, g->batch, NULL, 0);
  int64_t in_bytes = (int64_t)g->in_h * g->in_w * g->in_c;
  int64_t out_bytes = (int64_t)g->out_h * g->out_w * g->in_c;
  LLVMValueRef x = qn_at_index(b, arguments[0], qn_times(b, image.index, in_bytes));
  LLVMValueRef y = qn_at_index(b, arguments[1], qn_times(b, image.index, out_bytes));
  for (int32_t i = 0; i < s->row_count; i++)
    for (int32_t j = 0; j < s->column_count; j++)
      emit_span(b, s, &s->rows[i], &s->columns[j], x, y);
  qn_end_loop(b, &image);
}

/* arguments: x, y. */
void qn_emit_avg_pool_lanes(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job->shape, arguments);
}

void qn_emit_max_pool_lanes(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job->shape, arguments);
}

void qn_emit_max_pool_dsp(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  emit(b, job->shape, arguments);
}
