/* conv2d_sdot: convolutions and dense layers on ARM's vector units, in tiles (tiles.h).
 *
 * SDOT adds, to each of four lanes of int32, the products of four bytes: a lane is a channel, and
 * the four taps of a pixel are one lane of a register of 16 taps. */
#include "neon.h"
#include "tiles.h"

enum { REGISTERS = 32, DOT_TAPS = 4, MOST_TILE = 8 };

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

static LLVMTypeRef q8(qn_build *b) { return qn_q_type(b, 8, false); }
static LLVMTypeRef q32(qn_build *b) { return qn_q_type(b, 32, false); }

/* ------------------------------------------------------------------ tiles */

/* Instructions of a row of pixels, about: `per_step` of a tile's steps, rescaling, the way to the
 * next tile. */
static double row_cost(const qn_tiles *s, int32_t tile, double per_step, int32_t steps,
                       int32_t vectors) {
  int32_t tiles = (s->p.g.out_w + tile - 1) / tile;
  return tiles * (per_step * steps + 6.0 * vectors * tile + vectors * 2 + 10);
}

static bool choose_dot(const qn_tiles *s, int32_t left, qn_segment *out) {
  bool single = s->p.g.out_w == 1;
  int32_t most = single ? 8 : 4;
  int32_t vectors = least(most, (left + QN_Q_LANES - 1) / QN_Q_LANES);
  if (vectors > 4 && vectors < 8) vectors = 4;
  int32_t steps = s->p.g.kernel_h * s->p.runs_per_row * s->run_taps / DOT_TAPS;
  double best = 0;
  out->channels = vectors * QN_Q_LANES;
  out->tile = 0;
  for (int32_t tile = 1; tile <= least(MOST_TILE, s->p.g.out_w); tile++) {
    if (tile * vectors + vectors + tile > REGISTERS - 2 && tile > 1) break;
    double cost = row_cost(s, tile, tile * vectors + tile / 4.0 + vectors / 2.0, steps, vectors);
    if (out->tile && cost > best) continue;
    best = cost;
    out->tile = tile;
  }
  return true;
}

/* ------------------------------------------------------------------ sums */

static int32_t vectors_of(const qn_tile *t) { return t->at->channels / QN_Q_LANES; }

static void start_dot(qn_tile *t, LLVMValueRef numbers) {
  int32_t vectors = vectors_of(t);
  t->sum_count = vectors * t->at->tile;
  for (int32_t v = 0; v < vectors; v++) {
    LLVMValueRef bias = qn_read(t->b, q32(t->b), qn_at(t->b, numbers, v * QN_Q), QN_Q);
    for (int32_t i = 0; i < t->at->tile; i++) t->sum[i * vectors + v] = bias;
  }
}

/* How many taps of a pixel are read at once when `left` are left. */
static int32_t read_size(const qn_tile *t, int32_t left) {
  if (t->s->copied) return left > 8 ? 16 : left > 4 ? 8 : 4;
  return left >= 16 ? 16 : left >= 8 ? 8 : 4;
}

/* The first `size` bytes of a register; the rest is anything. */
static LLVMValueRef read_taps(qn_build *b, LLVMValueRef address, int32_t size) {
  if (size == QN_Q) return qn_read(b, q8(b), address, 1);
  if (size == 4) {
    LLVMValueRef four = qn_read(b, b->u->i32, address, 1);
    return LLVMBuildBitCast(b->b, qn_broadcast_value(b, four, QN_Q_LANES), q8(b), "");
  }
  LLVMValueRef half = qn_read(b, qn_vector(b->u->i8, 8), address, 1);
  return qn_concat(b, half, LLVMGetPoison(LLVMTypeOf(half)));
}

static LLVMValueRef pixel_at(const qn_tile *t, LLVMValueRef x, int32_t i, int32_t tap) {
  return qn_at(t->b, x, (int64_t)i * t->s->p.g.stride_w * t->s->p.g.in_c + tap);
}

/* Lane `lane` of four taps, in all lanes. */
static LLVMValueRef spread(qn_build *b, LLVMValueRef taps, int32_t lane) {
  int at[QN_Q_LANES] = {lane, lane, lane, lane};
  LLVMValueRef four = LLVMBuildBitCast(b->b, taps, q32(b), "");
  return LLVMBuildShuffleVector(b->b, four, LLVMGetPoison(q32(b)), qn_indices(b, at, QN_Q_LANES),
                                "");
}

static LLVMValueRef dot(qn_build *b, LLVMValueRef sum, LLVMValueRef w, LLVMValueRef x) {
  LLVMTypeRef types[] = {q32(b), q8(b)};
  LLVMValueRef arguments[] = {sum, w, x};
  return qn_call_intrinsic(b, "llvm.aarch64.neon.sdot", NULL, types, 2, arguments, 3);
}

static void add_dot(qn_tile *t, LLVMValueRef x, LLVMValueRef w, int32_t taps) {
  qn_build *b = t->b;
  int32_t vectors = vectors_of(t), size;
  for (int32_t k = 0; k < taps; k += size) {
    LLVMValueRef pixel[MOST_TILE];
    size = read_size(t, taps - k);
    for (int32_t i = 0; i < t->at->tile; i++) pixel[i] = read_taps(b, pixel_at(t, x, i, k), size);
    for (int32_t lane = 0; lane < least(size, taps - k) / DOT_TAPS; lane++)
      for (int32_t v = 0; v < vectors; v++) {
        int64_t at = (int64_t)(k + lane * DOT_TAPS) * t->at->channels + v * QN_Q;
        LLVMValueRef weights = qn_read(b, q8(b), qn_at(b, w, at), QN_Q);
        for (int32_t i = 0; i < t->at->tile; i++) {
          LLVMValueRef *sum = &t->sum[i * vectors + v];
          *sum = dot(b, *sum, weights, spread(b, pixel[i], lane));
        }
      }
  }
}

/* ------------------------------------------------------------------ results */

/* sums: [pixel][vector], scaled by the numbers of their vector and stored, as many together as make
 * 16 bytes. */
static void store_sums(qn_tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels) {
  qn_build *b = t->b;
  const qn_fixed *f = &t->s->fixed;
  int32_t vectors = vectors_of(t), group = least(vectors, 4);
  int32_t together = vectors <= 2 ? 4 / vectors : 1;
  for (int32_t first = 0; first < vectors; first += group) {
    qn_q_numbers n[4];
    for (int32_t v = 0; v < group; v++)
      n[v] = qn_read_numbers(b, f, numbers, t->at->channels, (first + v) * QN_Q_LANES);
    int32_t stored = least(channels - first * QN_Q_LANES, group * QN_Q_LANES);
    for (int32_t i = 0; i < t->at->tile; i += together) {
      LLVMValueRef four[4];
      int32_t pixels = least(together, t->at->tile - i);
      for (int32_t k = 0; k < pixels * group; k++)
        four[k] = qn_rescale_q(b, f, t->sum[(i + k / group) * vectors + first + k % group],
                               &n[k % group]);
      LLVMValueRef bytes = qn_narrow_q(b, f, four, pixels * group);
      for (int32_t k = 0; k < pixels; k++) {
        int64_t at = (int64_t)(i + k) * t->s->p.g.out_c + first * QN_Q_LANES;
        qn_store_q(b, bytes, k * group * QN_Q_LANES, qn_at(b, y, at), stored);
      }
    }
  }
}

static const qn_tile_code sdot_code = {
    DOT_TAPS, 16,         4,         -1,        choose_dot,         start_dot,
    add_dot,  store_sums, qn_copy_q, qn_fill_q, .unrolled_taps = 64};

bool qn_take_conv2d_sdot(qn_unit *u, const qn_call *call, qn_job *job) {
  return qn_take_tiles(u, call, job, &sdot_code);
}

void qn_emit_conv2d_sdot(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_tiles(b, job, arguments, &sdot_code);
}
