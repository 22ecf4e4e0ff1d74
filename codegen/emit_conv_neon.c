/* conv2d_sdot, conv2d_smmla, conv2d_neon, conv2d_neon32: convolutions and dense layers on ARM's
 * vector units, in tiles (tiles.h).
 *
 *   SDOT    adds, to each of four lanes of int32, the products of four bytes: a lane is a channel,
 *           the four taps of a pixel are one lane of a register of 16 taps
 *   SMMLA   adds eight products for each of two pixels and two channels: lanes are pixel 0 with
 *           both channels, then pixel 1
 *   SADALP  elsewhere: eight products in int16, of as many stretches of eight taps as the weights
 *           prove to fit (SMULL, SMLAL), are added in pairs to four lanes of one pixel and channel
 */
#include "neon.h"
#include "tiles.h"

enum { REGISTERS = 32, DOT_TAPS = 4, EIGHT = 8, MOST_TILE = 8 };

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
  int32_t vectors = qn_least(most, (left + QN_Q_LANES - 1) / QN_Q_LANES);
  if (vectors > 4 && vectors < 8) vectors = 4;
  int32_t steps = s->p.g.kernel_h * s->p.runs_per_row * s->run_taps / DOT_TAPS;
  double best = 0;
  out->channels = vectors * QN_Q_LANES;
  out->tile = 0;
  for (int32_t tile = 1; tile <= qn_least(MOST_TILE, s->p.g.out_w); tile++) {
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
    for (int32_t lane = 0; lane < qn_least(size, taps - k) / DOT_TAPS; lane++)
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
  int32_t vectors = vectors_of(t), group = qn_least(vectors, 4);
  int32_t together = vectors <= 2 ? 4 / vectors : 1;
  for (int32_t first = 0; first < vectors; first += group) {
    qn_q_numbers n[4];
    for (int32_t v = 0; v < group; v++)
      n[v] = qn_read_numbers(b, f, numbers, t->at->channels, (first + v) * QN_Q_LANES);
    int32_t stored = qn_least(channels - first * QN_Q_LANES, group * QN_Q_LANES);
    for (int32_t i = 0; i < t->at->tile; i += together) {
      LLVMValueRef four[4];
      int32_t pixels = qn_least(together, t->at->tile - i);
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

static const qn_tile_code sdot_code = {.taps = DOT_TAPS,
                                       .round_taps = 16,
                                       .shift_bytes = 4,
                                       .right_sign = -1,
                                       .choose = choose_dot,
                                       .start = start_dot,
                                       .add = add_dot,
                                       .store = store_sums,
                                       .copy = qn_copy_q,
                                       .fill = qn_fill_q,
                                       .unrolled_taps = 64};

bool qn_take_conv2d_sdot(qn_unit *u, const qn_call *call, qn_job *job) {
  return qn_take_tiles(u, call, job, &sdot_code);
}

void qn_emit_conv2d_sdot(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_tiles(b, job, arguments, &sdot_code);
}

/* ------------------------------------------------------------------ pairs of pixels and channels
 */

static bool choose_pairs(const qn_tiles *s, int32_t left, qn_segment *out) {
  int32_t vectors = qn_least(4, (left + QN_Q_LANES - 1) / QN_Q_LANES);
  int32_t steps = s->p.g.kernel_h * s->p.runs_per_row * s->run_taps / EIGHT;
  double best = 0;
  out->channels = vectors * QN_Q_LANES;
  out->tile = 0;
  for (int32_t tile = 2; tile <= qn_least(MOST_TILE, s->p.g.out_w); tile += 2) {
    if (tile * vectors + tile / 2 + 2 > REGISTERS - 1) break;
    double cost = row_cost(s, tile, tile * vectors + tile + vectors, steps, vectors);
    if (out->tile && cost > best) continue;
    best = cost;
    out->tile = tile;
  }
  return out->tile > 0;
}

/* Two halves of registers, one after the other, `high` or low. */
static LLVMValueRef zip_halves(qn_build *b, LLVMValueRef first, LLVMValueRef second, bool high) {
  return qn_concat(b, qn_part(b, first, high ? 2 : 0, 2), qn_part(b, second, high ? 2 : 0, 2));
}

/* t->sum: [pair of pixels][pair of channels]. */
static void start_pairs(qn_tile *t, LLVMValueRef numbers) {
  qn_build *b = t->b;
  int32_t vectors = vectors_of(t);
  t->sum_count = vectors * t->at->tile;
  for (int32_t v = 0; v < vectors; v++) {
    LLVMValueRef bias = qn_read(b, q32(b), qn_at(b, numbers, v * QN_Q), QN_Q);
    for (int32_t half = 0; half < 2; half++) {
      LLVMValueRef start = zip_halves(b, bias, bias, half);
      for (int32_t i = 0; i < t->at->tile / 2; i++) t->sum[(i * vectors + v) * 2 + half] = start;
    }
  }
}

static LLVMValueRef multiply_pairs(qn_build *b, LLVMValueRef sum, LLVMValueRef x, LLVMValueRef w) {
  LLVMTypeRef types[] = {q32(b), q8(b)};
  LLVMValueRef arguments[] = {sum, x, w};
  return qn_call_intrinsic(b, "llvm.aarch64.neon.smmla", NULL, types, 2, arguments, 3);
}

static void add_pairs(qn_tile *t, LLVMValueRef x, LLVMValueRef w, int32_t taps) {
  qn_build *b = t->b;
  int32_t pairs = 2 * vectors_of(t), size;
  for (int32_t k = 0; k < taps; k += size) {
    LLVMValueRef pixel[MOST_TILE];
    size = taps - k >= QN_Q ? QN_Q : EIGHT;
    for (int32_t i = 0; i < t->at->tile; i++)
      pixel[i] = LLVMBuildBitCast(b->b, read_taps(b, pixel_at(t, x, i, k), size), q32(b), "");
    for (int32_t half = 0; half < size / EIGHT; half++) {
      LLVMValueRef two[MOST_TILE / 2];
      for (int32_t i = 0; i < t->at->tile / 2; i++)
        two[i] = zip_halves(b, pixel[2 * i], pixel[2 * i + 1], half);
      for (int32_t c = 0; c < pairs; c++) {
        int64_t at = (int64_t)(k + half * EIGHT) * t->at->channels + c * QN_Q;
        LLVMValueRef weights = qn_read(b, q8(b), qn_at(b, w, at), QN_Q);
        for (int32_t i = 0; i < t->at->tile / 2; i++)
          t->sum[i * pairs + c] = multiply_pairs(b, t->sum[i * pairs + c], two[i], weights);
      }
    }
  }
}

static void store_pairs(qn_tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels) {
  LLVMValueRef pair[QN_MOST_SUMS];
  int32_t vectors = vectors_of(t);
  for (int32_t i = 0; i < t->sum_count; i++) pair[i] = t->sum[i];
  for (int32_t i = 0; i < t->at->tile; i++)
    for (int32_t v = 0; v < vectors; v++) {
      const LLVMValueRef *two = &pair[(i / 2 * vectors + v) * 2];
      t->sum[i * vectors + v] = zip_halves(t->b, two[0], two[1], i % 2);
    }
  store_sums(t, numbers, y, channels);
}

static const qn_tile_code smmla_code = {.taps = EIGHT,
                                        .round_taps = 16,
                                        .shift_bytes = 4,
                                        .right_sign = -1,
                                        .choose = choose_pairs,
                                        .start = start_pairs,
                                        .add = add_pairs,
                                        .store = store_pairs,
                                        .copy = qn_copy_q,
                                        .fill = qn_fill_q,
                                        .unrolled_taps = 64};

bool qn_take_conv2d_smmla(qn_unit *u, const qn_call *call, qn_job *job) {
  return qn_take_tiles(u, call, job, &smmla_code);
}

void qn_emit_conv2d_smmla(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_tiles(b, job, arguments, &smmla_code);
}

/* ------------------------------------------------------------------ products in int16 */

enum { ROUND_EIGHTS = 4, CHANNELS = 4 };

static bool choose_eights(const qn_tiles *s, int32_t left, qn_segment *out, int32_t most) {
  int32_t steps = s->p.g.kernel_h * s->p.runs_per_row * s->run_taps / EIGHT;
  double best = 0;
  out->channels = s->p.g.out_w == 1 && left > CHANNELS ? 2 * CHANNELS : CHANNELS;
  out->tile = 0;
  for (int32_t tile = 1; tile <= qn_least(most, s->p.g.out_w); tile++) {
    double cost = row_cost(s, tile, out->channels * (1.5 * tile + 0.5) + 0.5 * tile, steps, 2);
    if (out->tile && cost > best) continue;
    best = cost;
    out->tile = tile;
  }
  return true;
}

static bool choose_neon(const qn_tiles *s, int32_t left, qn_segment *out) {
  return choose_eights(s, left, out, 4);
}

static bool choose_neon32(const qn_tiles *s, int32_t left, qn_segment *out) {
  return choose_eights(s, left, out, 2);
}

/* A lane has every eighth product; 128 * 255 < 2^15. */
static bool eights_fit(const int8_t *w, int32_t taps, int32_t group) {
  for (int32_t k = 0; k < taps; k++) {
    if (k / EIGHT % group != 0) continue;
    int32_t sum = 0;
    for (int32_t i = 0; i < group && k + i * EIGHT < taps; i++) {
      int32_t weight = w[k + i * EIGHT];
      sum += weight < 0 ? -weight : weight;
    }
    if (sum > 255) return false;
  }
  return true;
}

/* s->group: stretches of eight taps, not taps. */
static int32_t plan_eights(qn_unit *u, const qn_call *call, qn_tiles *s, const int8_t *w) {
  (void)u, (void)call;
  int64_t runs = (int64_t)s->p.g.out_c * s->p.g.kernel_h * s->p.runs_per_row;
  s->group = ROUND_EIGHTS;
  for (int64_t i = 0; i < runs; i++)
    while (s->group > 1 && !eights_fit(w + i * s->p.run_elems, s->p.run_elems, s->group))
      s->group /= 2;
  return 0;
}

/* t->sum: [pixel][channel], four lanes to be added. */
static void start_eights(qn_tile *t, LLVMValueRef numbers) {
  (void)numbers;
  t->sum_count = t->at->channels * t->at->tile;
  for (int32_t i = 0; i < t->sum_count; i++) t->sum[i] = LLVMConstNull(q32(t->b));
}

static LLVMValueRef read_eight(qn_build *b, LLVMValueRef at, int64_t offset, int align) {
  return qn_read(b, qn_q_type(b, 8, true), qn_at(b, at, offset), align);
}

static LLVMValueRef add_in_pairs(qn_build *b, LLVMValueRef sum, LLVMValueRef products) {
  LLVMTypeRef types[] = {q32(b), qn_q_type(b, 16, false)};
  LLVMValueRef both[] = {sum, products};
  if (!qn_can(b->u, QN_NEEDS_aarch64))
    return qn_call_intrinsic(b, "llvm.arm.neon.vpadals", NULL, types, 2, both, 2);
  LLVMValueRef pairs =
      qn_call_intrinsic(b, "llvm.aarch64.neon.saddlp", NULL, types, 2, &products, 1);
  return LLVMBuildAdd(b->b, sum, pairs, "");
}

/* `count` stretches of eight taps from x and w on. */
static void add_group(qn_tile *t, LLVMValueRef x, LLVMValueRef w, int32_t count) {
  qn_build *b = t->b;
  LLVMValueRef pixel[MOST_TILE][ROUND_EIGHTS];
  for (int32_t i = 0; i < t->at->tile; i++)
    for (int32_t k = 0; k < count; k++)
      pixel[i][k] = read_eight(b, pixel_at(t, x, i, k * EIGHT), 0, 1);
  for (int32_t c = 0; c < t->at->channels; c++) {
    LLVMValueRef weights[ROUND_EIGHTS];
    for (int32_t k = 0; k < count; k++)
      weights[k] = read_eight(b, w, ((int64_t)k * t->at->channels + c) * EIGHT, EIGHT);
    for (int32_t i = 0; i < t->at->tile; i++) {
      LLVMValueRef *sum = &t->sum[i * t->at->channels + c], products = NULL;
      for (int32_t k = 0; k < count; k++) {
        LLVMValueRef more = qn_multiply_eight(b, pixel[i][k], weights[k]);
        products = products ? LLVMBuildAdd(b->b, products, more, "") : more;
      }
      *sum = add_in_pairs(b, *sum, products);
    }
  }
}

static void add_eights(qn_tile *t, LLVMValueRef x, LLVMValueRef w, int32_t taps) {
  int32_t group = t->s->group * EIGHT;
  for (int32_t k = 0; k < taps; k += group)
    add_group(t, qn_at(t->b, x, k), qn_at(t->b, w, (int64_t)k * t->at->channels),
              qn_least(group, taps - k) / EIGHT);
}

/* Lane i is the sum of the lanes of sum[i]. */
static LLVMValueRef add_lanes(qn_build *b, const LLVMValueRef *sum) {
  LLVMValueRef half[4];
  bool wide = qn_can(b->u, QN_NEEDS_aarch64);
  for (int i = 0; i < 4; i++)
    half[i] =
        wide ? sum[i] : LLVMBuildAdd(b->b, qn_part(b, sum[i], 0, 2), qn_part(b, sum[i], 2, 2), "");
  LLVMTypeRef type = wide ? q32(b) : qn_q_type(b, 32, true);
  LLVMValueRef low = qn_neon(b, "addp", "vpadd", type, half, 2);
  LLVMValueRef high = qn_neon(b, "addp", "vpadd", type, half + 2, 2);
  if (!wide) return qn_concat(b, low, high);
  LLVMValueRef both[] = {low, high};
  return qn_neon(b, "addp", "vpadd", type, both, 2);
}

static void store_eights(qn_tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels) {
  qn_build *b = t->b;
  int32_t vectors = vectors_of(t);
  for (int32_t i = 0; i < t->at->tile; i++)
    for (int32_t v = 0; v < vectors; v++) {
      LLVMValueRef bias = qn_read(b, q32(b), qn_at(b, numbers, v * QN_Q), QN_Q);
      LLVMValueRef sum = add_lanes(b, &t->sum[(i * vectors + v) * QN_Q_LANES]);
      t->sum[i * vectors + v] = LLVMBuildAdd(b->b, sum, bias, "");
    }
  store_sums(t, numbers, y, channels);
}

#define EIGHTS_CODE(chooser)                                                                       \
  {                                                                                                \
    .taps = EIGHT, .round_taps = ROUND_EIGHTS * EIGHT, .shift_bytes = 4, .right_sign = -1,         \
    .choose = chooser, .start = start_eights, .add = add_eights, .store = store_eights,            \
    .copy = qn_copy_q, .fill = qn_fill_q, .unrolled_taps = 64, .plan = plan_eights                 \
  }
static const qn_tile_code neon_code = EIGHTS_CODE(choose_neon);
static const qn_tile_code neon32_code = EIGHTS_CODE(choose_neon32);

bool qn_take_conv2d_neon(qn_unit *u, const qn_call *call, qn_job *job) {
  return qn_take_tiles(u, call, job, &neon_code);
}

void qn_emit_conv2d_neon(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_tiles(b, job, arguments, &neon_code);
}

bool qn_take_conv2d_neon32(qn_unit *u, const qn_call *call, qn_job *job) {
  return qn_take_tiles(u, call, job, &neon32_code);
}

void qn_emit_conv2d_neon32(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_tiles(b, job, arguments, &neon32_code);
}
