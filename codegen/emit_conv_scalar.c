/* conv2d_rv64, conv2d_rv32: convolutions and dense layers on RISC-V without vectors, in tiles
 * (tiles.h). One multiplication of an activation by a word of several channels' weights, side by
 * side in lanes, makes several products.
 *
 *   64 bits  three lanes of 21 bits. Each starts from 2^20, so that none is negative while its
 *            products' sum is in -2^20 .. 2^20-1: proven from the weights for as many taps as are
 *            summed, then the lanes are added to totals in scratch
 *   32 bits  two lanes of 16 bits. Of `group` taps, proven to have sums in int16, T = 2^15 + sums;
 *            then S += T and H += T >> 16. In the end H is the second channel's sum and
 *            S - (H << 16), less 2^15 per group, the first's
 *   small    (--optimize size) a lane is a word: a byte per weight, a product per multiplication */
#include "scalar.h"
#include "tiles.h"

enum { LANES_64 = 3, BITS_64 = 21, LANES_32 = 2, BITS_32 = 16, ACTIVATION = 128 };
static const int64_t LANE_START = (int64_t)1 << 20, LANE_MASK = ((int64_t)1 << 21) - 1;

/* ------------------------------------------------------------------ tiles */

typedef struct {
  int32_t lanes, most_words, most_products; /* words and pixels times words of a tile */
  double per_word, per_product, per_result; /* instructions: of a tap's word, product; a result */
} cost_model;

/* Instructions per channel of a row of tiles with so many pixels and words, about. */
static double tile_cost(const qn_tiles *s, const cost_model *m, int32_t words, int32_t tile) {
  int32_t tiles = (s->p.g.out_w + tile - 1) / tile;
  double tap = tile + words * m->per_word + m->per_product * tile * words + 1.5;
  double taps = (double)s->p.g.kernel_h * s->p.runs_per_row * s->run_taps;
  return tiles * (taps * tap + (m->per_result * tile + 4) * m->lanes * words + 20) / words;
}

static bool choose(const qn_tiles *s, int32_t left, qn_segment *out, const cost_model *m) {
  int32_t all = (left + m->lanes - 1) / m->lanes;
  double best = 0;
  out->tile = 0;
  for (int32_t words = 1; words <= qn_least(all, m->most_words); words++)
    for (int32_t tile = 1; tile <= qn_least(s->p.g.out_w, m->most_products / words); tile++) {
      double cost = tile_cost(s, m, words, tile);
      if (out->tile && cost > best) continue;
      best = cost;
      out->tile = tile;
      out->channels = words * m->lanes;
    }
  return true;
}

static bool choose_64(const qn_tiles *s, int32_t left, qn_segment *out) {
  static const cost_model m = {LANES_64, 8, 16, 1, 2, 10};
  return choose(s, left, out, &m);
}

static bool choose_32(const qn_tiles *s, int32_t left, qn_segment *out) {
  static const cost_model m = {LANES_32, 4, 6, 1, 3, 16};
  return choose(s, left, out, &m);
}

static bool choose_small(const qn_tiles *s, int32_t left, qn_segment *out) {
  static const cost_model m = {1, 8, 16, 1, 2, 16};
  return choose(s, left, out, &m);
}

/* ------------------------------------------------------------------ proofs */

static int32_t runs_of(const qn_tiles *s) { return s->p.g.kernel_h * s->p.runs_per_row; }

/* 128 * sum of |w| stays below 2^20 in each stretch of `taps` taps of a run. */
static bool stretches_fit(const int8_t *w, int32_t run, int32_t taps) {
  for (int32_t first = 0; first < run; first += taps) {
    int32_t sum = 0;
    for (int32_t k = first; k < qn_least(run, first + taps); k++) sum += w[k] < 0 ? -w[k] : w[k];
    if (ACTIVATION * (int64_t)sum >= LANE_START) return false;
  }
  return true;
}

/* The most taps of a run, of all channels, in equal parts as far as even numbers allow. 64 taps
 * make 64 * 128 * 128 = 2^20 if all of them are -128, so 62 (a multiple of the round's 2) always
 * fit. */
static int32_t most_taps(const qn_tiles *s, const int8_t *w) {
  int32_t run = s->p.run_elems, taps = run;
  int64_t runs = (int64_t)s->p.g.out_c * runs_of(s);
  for (int64_t i = 0; i < runs; i++)
    while (!stretches_fit(w + i * run, run, taps)) {
      int32_t parts = (run + taps - 1) / taps + 1;
      taps = qn_least(((run + parts - 1) / parts + 1) / 2 * 2, taps - 2);
      if (taps <= 62) return 62;
    }
  return taps;
}

static bool windows_fit(const qn_tiles *s, const int8_t *w) {
  int32_t taps = runs_of(s) * s->p.run_elems;
  for (int32_t o = 0; o < s->p.g.out_c; o++)
    if (!stretches_fit(w + (int64_t)o * taps, taps, taps)) return false;
  return true;
}

static bool fits(qn_unit *u, const qn_call *call, const qn_tiles *s, const int8_t *w) {
  int32_t taps = runs_of(s) * s->p.run_elems;
  return qn_scalar_fits(u, call, &s->fixed, w, taps, 1, taps);
}

static int32_t plan_64(qn_unit *u, const qn_call *call, qn_tiles *s, const int8_t *w) {
  if (!fits(u, call, s, w) || u->options->optimize == QN_OPTIMIZE_SIZE) return -1;
  s->flush_taps = windows_fit(s, w) ? 0 : most_taps(s, w);
  return s->flush_taps ? QN_MOST_SUMS * 4 : 0;
}

enum { ROUND_32 = 4 };

static int32_t plan_32(qn_unit *u, const qn_call *call, qn_tiles *s, const int8_t *w) {
  s->group = qn_least(s->group, ROUND_32);
  return fits(u, call, s, w) && u->options->optimize != QN_OPTIMIZE_SIZE ? 0 : -1;
}

static int32_t plan_small(qn_unit *u, const qn_call *call, qn_tiles *s, const int8_t *w) {
  return fits(u, call, s, w) ? 0 : -1;
}

static int64_t parts_of(const qn_tiles *s, int32_t taps) {
  return (int64_t)runs_of(s) * ((s->run_taps + taps - 1) / taps);
}

/* Totals begin without the lanes' starts; a lane that is not flushed has its own. */
static void pack_64(const qn_unit *u, const qn_tiles *s, const qn_channel *c, unsigned char *to) {
  qn_pack_scalar(u, &s->fixed, c, s->flush_taps ? 0 : (int32_t)LANE_START, to);
}

static void pack_plain(const qn_unit *u, const qn_tiles *s, const qn_channel *c,
                       unsigned char *to) {
  qn_pack_scalar(u, &s->fixed, c, 0, to);
}

/* ------------------------------------------------------------------ sums */

static LLVMValueRef word(qn_build *b, int64_t n) { return qn_index(b, n); }

static LLVMValueRef pixel_tap(const qn_tile *t, LLVMValueRef x, int32_t i, int32_t tap) {
  int64_t at = (int64_t)i * t->s->p.g.stride_w * t->s->p.g.in_c + tap;
  return qn_read_byte(t->b, qn_at(t->b, x, at));
}

static void set_sums(qn_tile *t, int32_t count, int64_t start) {
  t->sum_count = count;
  for (int32_t i = 0; i < count; i++) t->sum[i] = word(t->b, start);
}

static LLVMValueRef multiply_add(qn_build *b, LLVMValueRef sum, LLVMValueRef x, LLVMValueRef w) {
  return LLVMBuildAdd(b->b, sum, LLVMBuildMul(b->b, x, w, ""), "");
}

/* One product per pixel and word, `words` of a tap at w. */
static void add_tap(qn_tile *t, LLVMValueRef x, int32_t tap, const LLVMValueRef *w, int32_t words) {
  for (int32_t i = 0; i < t->at->tile; i++) {
    LLVMValueRef pixel = pixel_tap(t, x, i, tap);
    for (int32_t j = 0; j < words; j++) {
      LLVMValueRef *sum = &t->sum[i * words + j];
      *sum = multiply_add(t->b, *sum, pixel, w[j]);
    }
  }
}

static void add_64(qn_tile *t, LLVMValueRef x, LLVMValueRef w, int32_t taps) {
  int32_t words = t->at->channels / LANES_64;
  for (int32_t k = 0; k < taps; k++) {
    LLVMValueRef weights[QN_MOST_SUMS];
    for (int32_t j = 0; j < words; j++)
      weights[j] = qn_read(t->b, t->b->u->size, qn_at(t->b, w, 8 * ((int64_t)k * words + j)), 8);
    add_tap(t, x, k, weights, words);
  }
}

static void add_small(qn_tile *t, LLVMValueRef x, LLVMValueRef w, int32_t taps) {
  int32_t words = t->at->channels;
  for (int32_t k = 0; k < taps; k++) {
    LLVMValueRef weights[QN_MOST_SUMS];
    for (int32_t j = 0; j < words; j++)
      weights[j] = qn_read_byte(t->b, qn_at(t->b, w, (int64_t)k * words + j));
    add_tap(t, x, k, weights, words);
  }
}

/* t->sum: S and H of a word in turn. */
static void add_32(qn_tile *t, LLVMValueRef x, LLVMValueRef w, int32_t taps) {
  qn_build *b = t->b;
  int32_t words = t->at->channels / LANES_32, group = t->s->group;
  for (int32_t k = 0; k < taps; k += group) {
    LLVMValueRef weights[ROUND_32][QN_MOST_SUMS];
    int32_t count = qn_least(group, taps - k);
    for (int32_t i = 0; i < count; i++)
      for (int32_t j = 0; j < words; j++)
        weights[i][j] = qn_read(b, b->u->i32, qn_at(b, w, 4 * ((int64_t)(k + i) * words + j)), 4);
    for (int32_t p = 0; p < t->at->tile; p++) {
      LLVMValueRef pixel[ROUND_32];
      for (int32_t i = 0; i < count; i++) pixel[i] = pixel_tap(t, x, p, k + i);
      for (int32_t j = 0; j < words; j++) {
        LLVMValueRef *sum = &t->sum[2 * (p * words + j)], part = word(b, 1 << 15);
        for (int32_t i = 0; i < count; i++) part = multiply_add(b, part, pixel[i], weights[i][j]);
        sum[0] = LLVMBuildAdd(b->b, sum[0], part, "");
        sum[1] = LLVMBuildAdd(b->b, sum[1], LLVMBuildAShr(b->b, part, word(b, BITS_32), ""), "");
      }
    }
  }
}

/* ------------------------------------------------------------------ lanes */

static const int64_t EVERY_LANE = (1ll << 20) + (1ll << 41) + (1ll << 62);

static LLVMValueRef lane_64(qn_build *b, LLVMValueRef sum, int32_t lane) {
  if (lane > 0) sum = LLVMBuildLShr(b->b, sum, word(b, lane * BITS_64), "");
  return lane < 2 ? LLVMBuildAnd(b->b, sum, word(b, LANE_MASK), "") : sum;
}

static LLVMValueRef lane_32(qn_build *b, const LLVMValueRef *sum, int32_t lane) {
  if (lane > 0) return sum[1];
  return LLVMBuildSub(b->b, sum[0], LLVMBuildShl(b->b, sum[1], word(b, BITS_32), ""), "");
}

static LLVMValueRef total_at(qn_tile *t, int32_t sum, int32_t lane) {
  return qn_at(t->b, t->totals, 4 * (int64_t)(sum * LANES_64 + lane));
}

static void flush_64(qn_tile *t) {
  qn_build *b = t->b;
  for (int32_t i = 0; i < t->sum_count; i++) {
    for (int32_t lane = 0; lane < LANES_64; lane++) {
      LLVMValueRef at = total_at(t, i, lane), old = qn_read(b, b->u->i32, at, 4);
      LLVMValueRef more = LLVMBuildTrunc(b->b, lane_64(b, t->sum[i], lane), b->u->i32, "");
      qn_write(b, LLVMBuildAdd(b->b, old, more, ""), at, 4);
    }
    t->sum[i] = word(b, EVERY_LANE);
  }
}

static void start_64(qn_tile *t, LLVMValueRef numbers) {
  (void)numbers;
  set_sums(t, t->at->channels / LANES_64 * t->at->tile, EVERY_LANE);
  if (!t->totals) return;
  LLVMValueRef start = qn_i32(t->b, -parts_of(t->s, t->s->flush_taps) * LANE_START);
  for (int32_t i = 0; i < t->sum_count * LANES_64; i++)
    qn_write(t->b, start, qn_at(t->b, t->totals, 4 * i), 4);
}

static void start_32(qn_tile *t, LLVMValueRef numbers) {
  (void)numbers;
  set_sums(t, 2 * (t->at->channels / LANES_32) * t->at->tile, 0);
  int64_t starts = parts_of(t->s, t->s->group) << 15;
  for (int32_t i = 0; i < t->sum_count; i += 2) t->sum[i] = word(t->b, -starts);
}

static void start_small(qn_tile *t, LLVMValueRef numbers) {
  (void)numbers;
  set_sums(t, t->at->channels * t->at->tile, 0);
}

/* ------------------------------------------------------------------ results */

static LLVMValueRef sum_64(qn_tile *t, int32_t pixel, int32_t channel) {
  int32_t i = pixel * (t->at->channels / LANES_64) + channel / LANES_64, lane = channel % LANES_64;
  if (!t->totals) return lane_64(t->b, t->sum[i], lane);
  LLVMValueRef total = qn_read(t->b, t->b->u->i32, total_at(t, i, lane), 4);
  return LLVMBuildSExt(t->b->b, total, t->b->u->size, "");
}

static LLVMValueRef sum_32(qn_tile *t, int32_t pixel, int32_t channel) {
  int32_t i = pixel * (t->at->channels / LANES_32) + channel / LANES_32;
  return lane_32(t->b, &t->sum[2 * i], channel % LANES_32);
}

static LLVMValueRef sum_small(qn_tile *t, int32_t pixel, int32_t channel) {
  return t->sum[pixel * t->at->channels + channel];
}

static void store(qn_tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels,
                  LLVMValueRef (*sum_of)(qn_tile *t, int32_t pixel, int32_t channel)) {
  qn_build *b = t->b;
  for (int32_t c = 0; c < channels; c++) {
    LLVMValueRef record = qn_at(b, numbers, (int64_t)c * qn_scalar_bytes(b->u));
    qn_scalar_numbers n = qn_read_scalar(b, &t->s->fixed, record);
    for (int32_t i = 0; i < t->at->tile; i++)
      qn_write(b, qn_rescale_scalar(b, &t->s->fixed, sum_of(t, i, c), &n),
               qn_at(b, y, (int64_t)i * t->s->p.g.out_c + c), 1);
  }
}

static void store_64(qn_tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels) {
  store(t, numbers, y, channels, sum_64);
}

static void store_32(qn_tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels) {
  store(t, numbers, y, channels, sum_32);
}

static void store_small(qn_tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels) {
  store(t, numbers, y, channels, sum_small);
}

#define SCALAR_CODE(kind, bits, round)                                                             \
  .taps = 1, .round_taps = round, .choose = choose_##kind, .start = start_##kind,                  \
  .add = add_##kind, .store = store_##kind, .copy = qn_copy_scalar, .fill = qn_fill_scalar,        \
  .unrolled_taps = 4, .plan = plan_##kind, .record_bytes = QN_SCALAR_BYTES_##bits
static const qn_tile_code code_64 = {SCALAR_CODE(64, 64, 2), .pack = pack_64, .lanes = LANES_64,
                                     .lane_bits = BITS_64,   .word_bytes = 8, .flush = flush_64};
static const qn_tile_code code_32 = {SCALAR_CODE(32, 32, ROUND_32), .pack = pack_plain,
                                     .lanes = LANES_32, .lane_bits = BITS_32, .word_bytes = 4};
static const qn_tile_code code_small64 = {SCALAR_CODE(small, 64, 2), .pack = pack_plain};
static const qn_tile_code code_small32 = {SCALAR_CODE(small, 32, 2), .pack = pack_plain};

bool qn_take_conv2d_rv64(qn_unit *u, const qn_call *call, qn_job *job) {
  return qn_take_tiles(u, call, job, &code_64);
}

void qn_emit_conv2d_rv64(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_tiles(b, job, arguments, &code_64);
}

bool qn_take_conv2d_rv32(qn_unit *u, const qn_call *call, qn_job *job) {
  return qn_take_tiles(u, call, job, &code_32);
}

void qn_emit_conv2d_rv32(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_tiles(b, job, arguments, &code_32);
}

bool qn_take_conv2d_small64(qn_unit *u, const qn_call *call, qn_job *job) {
  return qn_take_tiles(u, call, job, &code_small64);
}

void qn_emit_conv2d_small64(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_tiles(b, job, arguments, &code_small64);
}

bool qn_take_conv2d_small32(qn_unit *u, const qn_call *call, qn_job *job) {
  return qn_take_tiles(u, call, job, &code_small32);
}

void qn_emit_conv2d_small32(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_tiles(b, job, arguments, &code_small32);
}
