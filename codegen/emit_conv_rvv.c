/* conv2d_rvv: convolutions and dense layers on RISC-V's vectors, in tiles (tiles.h).
 *
 * A lane is a channel; one tap of a pixel is a scalar operand. Products of `group` taps are summed
 * in int16 where no sum can leave that type (proven from the weights), and their sum added to int32
 * lanes: half the work of products in int32. Where even two taps could overflow, weights are
 * widened, and each product goes to int32 at once. */
#include "rvv.h"
#include "tiles.h"

/* Of 32 registers: sums take 8 per pixel for 32 channels, 4 for up to 16. */
enum { TILE_OF_32 = 2, TILE_OF_16 = 4 };

/* Pixels of a tile: as few tiles as the most pixels need, and no more pixels than that. */
static bool choose_rvv(const qn_tiles *s, int32_t left, qn_segment *out) {
  bool wide = left >= QN_RVV_MOST_LANES;
  int32_t most = wide ? TILE_OF_32 : TILE_OF_16;
  int32_t tiles = (s->p.g.out_w + most - 1) / most;
  out->channels = wide ? QN_RVV_MOST_LANES : left > 16 ? 16 : left;
  out->tile = (s->p.g.out_w + tiles - 1) / tiles;
  return true;
}

static void start_rvv(qn_tile *t, LLVMValueRef numbers) {
  t->sum_count = t->at->tile;
  LLVMValueRef bias = qn_rvv_read(t->b, 32, t->at->channels, numbers);
  for (int32_t i = 0; i < t->at->tile; i++) t->sum[i] = bias;
}

static LLVMValueRef read_tap(const qn_tile *t, LLVMValueRef x, int32_t pixel, int32_t tap) {
  int64_t at = (int64_t)pixel * t->s->p.g.stride_w * t->s->p.g.in_c + tap;
  return qn_read(t->b, t->b->u->i8, qn_at(t->b, x, at), 1);
}

static void add_widened(qn_tile *t, LLVMValueRef x, LLVMValueRef weights, int32_t tap) {
  qn_build *b = t->b;
  int32_t lanes = t->at->channels;
  LLVMTypeRef half = LLVMInt16TypeInContext(b->u->context);
  LLVMValueRef wide = qn_rvv_widen(b, 16, lanes, weights);
  for (int32_t i = 0; i < t->at->tile; i++) {
    LLVMValueRef one = LLVMBuildSExt(b->b, read_tap(t, x, i, tap), half, "");
    t->sum[i] = qn_rvv_add_product(b, 32, lanes, t->sum[i], one, wide);
  }
}

/* Taps from..from+count-1 of every pixel, count at most the shape's group. Products first and then
 * additions: changes of the element's size cost an instruction each. */
static void add_group(qn_tile *t, LLVMValueRef x, const LLVMValueRef *weights, int32_t from,
                      int32_t count) {
  qn_build *b = t->b;
  int32_t lanes = t->at->channels;
  LLVMValueRef part[TILE_OF_16];
  for (int32_t i = 0; i < t->at->tile; i++) {
    part[i] = qn_rvv(b, "vwmul", 16, lanes, weights[0], read_tap(t, x, i, from));
    for (int32_t k = 1; k < count; k++)
      part[i] = qn_rvv_add_product(b, 16, lanes, part[i], read_tap(t, x, i, from + k), weights[k]);
  }
  for (int32_t i = 0; i < t->at->tile; i++)
    t->sum[i] = qn_rvv(b, "vwadd.w", 32, lanes, t->sum[i], part[i]);
}

static void add_rvv(qn_tile *t, LLVMValueRef x, LLVMValueRef w, int32_t taps) {
  int32_t lanes = t->at->channels, group = t->s->group;
  for (int32_t k = 0; k < taps; k += group) {
    LLVMValueRef weights[QN_MOST_TAPS];
    int32_t count = taps - k < group ? taps - k : group;
    for (int32_t i = 0; i < count; i++)
      weights[i] = qn_rvv_read(t->b, 8, lanes, qn_at(t->b, w, (int64_t)(k + i) * lanes));
    if (group == 1)
      add_widened(t, x, weights[0], k);
    else
      add_group(t, x, weights, k, count);
  }
}

static void store_rvv(qn_tile *t, LLVMValueRef numbers, LLVMValueRef y, int32_t channels) {
  (void)channels;
  for (int32_t i = 0; i < t->at->tile; i++) {
    LLVMValueRef bytes = qn_rvv_rescale(t->b, &t->s->fixed, t->at->channels, t->sum[i], numbers);
    qn_rvv_write(t->b, t->at->channels, bytes, qn_at(t->b, y, (int64_t)i * t->s->p.g.out_c));
  }
}

static const qn_tile_code rvv_code = {
    1,       8,         QN_RVV_SHIFT_BYTES, 1,           choose_rvv,         start_rvv,
    add_rvv, store_rvv, qn_rvv_copy,        qn_rvv_fill, .unrolled_taps = 64};

bool qn_take_conv2d_rvv(qn_unit *u, const qn_call *call, qn_job *job) {
  return qn_take_tiles(u, call, job, &rvv_code);
}

void qn_emit_conv2d_rvv(qn_build *b, const qn_job *job, LLVMValueRef *arguments) {
  qn_emit_tiles(b, job, arguments, &rvv_code);
}
