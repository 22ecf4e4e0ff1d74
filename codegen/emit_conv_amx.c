/* conv2d_amx: convolutions and dense layers in AMX's tile registers.
 *
 * A tile register has up to 16 rows of 64 bytes. tdpbusd multiplies a tile of activations, a pixel
 * a row, by a tile of weights, four taps of 16 channels a row, and adds to a tile of int32 sums, a
 * pixel a row. In the padded input (emit_conv_x86.c) 64 taps of a run lie side by side: loading a
 * tile whose rows are a pixel's step apart makes a matrix of windows, and none is written to
 * memory. Runs are rounded up to 64 taps with weights 0.
 *
 *   registers: 0..3 sums [pixel tile][vector], 4..5 activations, 6..7 weights
 *
 * The sums go through scratch, [vector][pixel], from where vectors rescale and store them. */
#include <string.h>
#include "conv_x86.h"

enum {
  MOST_ROWS = 16,
  ROW = 64,     /* bytes */
  WEIGHTS = 16, /* rows of a tile of weights */
  MOST_TILES = 2,
  SUMS = 0,
  ACTIVATIONS = 4,
  WEIGHT_TILES = 6,
  TILE_REGISTERS = 8,
};

/* ------------------------------------------------------------------ costs */

static int32_t chunk_count(const qn_x86_conv *s) { return qn_x86_step_count(s) / QN_AMX_STEPS; }

/* Cycles for 16 channels of a row of pixels: a product takes one per row, loads of tiles that two
 * products share 0.3, sums are stored and read again, and each tile of them is begun. */
static double row_cost(const qn_x86_conv *s, int32_t rows, int32_t tiles) {
  int32_t rounds = qn_divide_up(s->p.g.out_w, rows * tiles);
  int32_t vectors = s->p.g.out_c > s->isa.lanes ? 2 : 1;
  double load = 0.3 * (1.0 / tiles + 1.0 / vectors);
  return rounds * tiles * (rows * chunk_count(s) * (1 + load) + 2.0 * rows + 9);
}

/* The same by vpdpbusd, which does 128 products a cycle but for loads and latency. */
static double vector_cost(const qn_x86_conv *s) {
  int32_t runs = s->p.g.kernel_h * s->p.runs_per_row;
  return s->p.g.out_w * (runs * qn_divide_up(s->p.run_elems, 4) / 2.0 / 0.85);
}

bool qn_plan_amx(qn_x86_conv *s) {
  double best = 0;
  for (int32_t tiles = 1; tiles <= MOST_TILES; tiles++)
    for (int32_t rows = qn_least(MOST_ROWS, s->p.g.out_w); rows > 0; rows--) {
      if (rows * tiles > s->p.g.out_w) continue;
      double cost = row_cost(s, rows, tiles);
      if (s->tiles && cost >= best) continue;
      best = cost;
      s->tiles = tiles;
      s->tile_rows = rows;
    }
  return best < vector_cost(s);
}

int32_t qn_amx_sum_bytes(const qn_x86_conv *s) {
  return 2 * s->tiles * s->tile_rows * ROW; /* of two vectors */
}

/* Palette 1; bytes per row of each register from byte 16 on, rows from byte 48 on. */
void qn_pack_amx(const qn_x86_conv *s, unsigned char *to) {
  memset(to, 0, ROW);
  to[0] = 1;
  for (int i = 0; i < TILE_REGISTERS; i++) {
    to[16 + 2 * i] = ROW;
    to[48 + i] = (unsigned char)(i < WEIGHT_TILES ? s->tile_rows : WEIGHTS);
  }
}

/* ------------------------------------------------------------------ instructions */

static LLVMValueRef number(qn_build *b, int32_t tile) {
  return LLVMConstInt(b->u->i8, (unsigned long long)tile, 0);
}

static void load_tile(qn_build *b, int32_t tile, LLVMValueRef from, int64_t step) {
  LLVMValueRef arguments[] = {number(b, tile), from, qn_index(b, step)};
  qn_call_intrinsic(b, "llvm.x86.tileloadd64", NULL, NULL, 0, arguments, 3);
}

void qn_begin_amx(qn_build *b, LLVMValueRef sizes) {
  qn_call_intrinsic(b, "llvm.x86.ldtilecfg", NULL, NULL, 0, &sizes, 1);
}

void qn_end_amx(qn_build *b) {
  qn_call_intrinsic(b, "llvm.x86.tilerelease", NULL, NULL, 0, NULL, 0);
}

/* arch_prctl(ARCH_REQ_XCOMP_PERM, the tile registers' data) gives 0 where processor and system have
 * them. */
LLVMValueRef qn_ask_for_amx(qn_unit *u, LLVMBuilderRef b) {
  static const char call[] = "syscall", where[] = "={ax},{ax},{di},{si},~{rcx},~{r11},~{memory}";
  enum { ARCH_PRCTL = 158, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  LLVMTypeRef word = u->size, words[] = {word, word, word};
  LLVMTypeRef type = LLVMFunctionType(word, words, 3, 0);
  LLVMValueRef system = LLVMGetInlineAsm(type, call, sizeof call - 1, where, sizeof where - 1, 1, 0,
                                         LLVMInlineAsmDialectATT, 0);
  LLVMValueRef arguments[] = {LLVMConstInt(word, ARCH_PRCTL, 0),
                              LLVMConstInt(word, REQUEST_PERMISSION, 0),
                              LLVMConstInt(word, TILE_DATA, 0)};
  return LLVMBuildIsNull(b, LLVMBuildCall2(b, type, system, arguments, 3, ""), "granted");
}

/* ------------------------------------------------------------------ a tile */

/* 64 taps from x on, of all pixels and vectors. */
static void add_chunk(qn_x86_tile *t, LLVMValueRef x, LLVMValueRef w) {
  qn_build *b = t->b;
  const qn_x86_conv *s = t->s;
  int32_t vectors = t->at->vectors, pixel = s->p.g.stride_w * s->p.g.in_c;
  for (int32_t i = 0; i < s->tiles; i++)
    load_tile(b, ACTIVATIONS + i, qn_at(b, x, i * s->tile_rows * pixel), pixel);
  for (int32_t v = 0; v < vectors; v++)
    load_tile(b, WEIGHT_TILES + v, qn_at(b, w, v * WEIGHTS * ROW), ROW);
  for (int32_t i = 0; i < s->tiles; i++)
    for (int32_t v = 0; v < vectors; v++) {
      LLVMValueRef tiles[] = {number(b, SUMS + 2 * i + v), number(b, ACTIVATIONS + i),
                              number(b, WEIGHT_TILES + v)};
      qn_call_intrinsic(b, "llvm.x86.tdpbusd", NULL, NULL, 0, tiles, 3);
    }
}

static void add_window(qn_x86_tile *t, LLVMValueRef x, LLVMValueRef w) {
  qn_build *b = t->b;
  const qn_x86_conv *s = t->s;
  const qn_window *g = &s->p.g;
  int32_t chunk_bytes = t->at->vectors * WEIGHTS * ROW, chunks = s->run_steps / QN_AMX_STEPS;
  qn_loop row = qn_begin_loop(b, g->kernel_h, NULL, 0);
  LLVMValueRef x_row = qn_at_index(b, x, qn_times(b, row.index, g->dilation_h * s->p.row_elems));
  LLVMValueRef w_row =
      qn_at_index(b, w, qn_times(b, row.index, s->p.runs_per_row * chunks * chunk_bytes));
  qn_loop run = qn_begin_loop(b, s->p.runs_per_row, NULL, 0);
  LLVMValueRef x_run = qn_at_index(b, x_row, qn_times(b, run.index, g->dilation_w * g->in_c));
  LLVMValueRef w_run = qn_at_index(b, w_row, qn_times(b, run.index, chunks * chunk_bytes));
  qn_loop chunk = qn_begin_loop(b, chunks, NULL, 0);
  add_chunk(t, qn_at_index(b, x_run, qn_times(b, chunk.index, ROW)),
            qn_at_index(b, w_run, qn_times(b, chunk.index, chunk_bytes)));
  qn_end_loop(b, &chunk);
  qn_end_loop(b, &run);
  qn_end_loop(b, &row);
}

/* A few pixels at a time, as vectors store them; the last few are moved back to end with the tile.
 */
static void store_sums(qn_x86_tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels) {
  qn_build *b = t->b;
  int32_t vectors = t->at->vectors, pixels = t->at->tile;
  qn_x86_segment some = *t->at;
  some.tile = qn_least(pixels, QN_MOST_GROUP / vectors);
  qn_x86_tile part = {.b = b, .s = t->s, .at = &some, .chains = 1};
  qn_loop l = qn_begin_loop(b, qn_divide_up(pixels, some.tile), NULL, 0);
  LLVMValueRef start = qn_tile_start(b, l.index, some.tile, pixels);
  LLVMValueRef from = qn_at_index(b, t->sums, qn_times(b, start, ROW));
  LLVMTypeRef lanes = qn_lanes_of(b, &t->s->isa);
  for (int32_t v = 0; v < vectors; v++) {
    LLVMValueRef bias = qn_read(b, lanes, qn_at(b, numbers, v * ROW), ROW);
    for (int32_t i = 0; i < some.tile; i++) {
      LLVMValueRef sum = qn_read(b, lanes, qn_at(b, from, (v * pixels + i) * ROW), ROW);
      part.acc[i * vectors + v] = LLVMBuildAdd(b->b, sum, bias, "");
    }
  }
  qn_store_x86_tile(&part, numbers, qn_at_index(b, y, qn_times(b, start, t->s->p.g.out_c)),
                    channels);
  qn_end_loop(b, &l);
}

void qn_emit_amx_tile(qn_x86_tile *t, LLVMValueRef x, LLVMValueRef w, LLVMValueRef numbers,
                      LLVMValueRef y, int32_t channels) {
  qn_build *b = t->b;
  const qn_x86_conv *s = t->s;
  int32_t vectors = t->at->vectors;
  for (int32_t i = 0; i < s->tiles; i++)
    for (int32_t v = 0; v < vectors; v++) {
      LLVMValueRef tile = number(b, SUMS + 2 * i + v);
      qn_call_intrinsic(b, "llvm.x86.tilezero", NULL, NULL, 0, &tile, 1);
    }
  add_window(t, x, w);
  for (int32_t i = 0; i < s->tiles; i++)
    for (int32_t v = 0; v < vectors; v++) {
      int32_t offset = (v * t->at->tile + i * s->tile_rows) * ROW;
      LLVMValueRef arguments[] = {number(b, SUMS + 2 * i + v), qn_at(b, t->sums, offset),
                                  qn_index(b, ROW)};
      qn_call_intrinsic(b, "llvm.x86.tilestored64", NULL, NULL, 0, arguments, 3);
    }
  store_sums(t, numbers, y, channels);
}

bool qn_take_conv2d_amx(qn_unit *u, const qn_call *call, qn_job *job) {
  return qn_take_conv_x86(u, call, job, true);
}

void qn_emit_conv2d_amx(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_conv_x86(b, job, arguments);
}
