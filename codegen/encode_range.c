/* Weights -> codec range: the inverse of runtime/decode_range.c, under the model that both include.
 * How a tensor is predicted, and whether its peaks are told, is found by coding it each way and
 * measuring. */
#include <math.h>
#include <string.h>
#include "encode.h"

/* low is the coder's interval's lower end: bits 0..31, and above them a carry into `held` and the
 * 0xFF bytes that follow it, which are not written until it is known whether a carry comes. */
typedef struct {
  uint32_t range;
  uint64_t shifts; /* bytes that the interval has been scaled by */
  uint64_t low;
  uint8_t held;
  uint64_t full; /* 0xFF bytes after held */
  uint8_t *at;   /* NULL: only count */
} coder;

#include "../runtime/range_model.h"

static void shift_low(coder *c) {
  if (c->low < 0xFF000000 || c->low >> 32) {
    uint8_t carry = (uint8_t)(c->low >> 32);
    /* the first held byte is the 0 before the stream: decoders start behind it */
    if (c->shifts) *c->at++ = (uint8_t)(c->held + carry);
    for (; c->full; c->full--) *c->at++ = (uint8_t)(0xFF + carry);
    c->held = (uint8_t)(c->low >> 24);
  } else {
    c->full++;
  }
  c->low = (c->low & 0x00FFFFFF) << 8;
}

static void fill(coder *c) {
  while (c->range < (uint32_t)1 << 24) {
    c->range <<= 8;
    if (c->at) shift_low(c);
    c->shifts++;
  }
}

static uint32_t code_bit(coder *c, qn_estimate *e, uint32_t bit) {
  uint32_t part = (c->range >> 16) * e->chance;
  if (bit) {
    c->range = part;
  } else {
    c->low += part;
    c->range -= part;
  }
  adapt(e, bit);
  fill(c);
  return bit;
}

static uint32_t code_even(coder *c, uint32_t count, uint32_t x) {
  c->range /= count;
  c->low += (uint64_t)c->range * x;
  fill(c);
  return x;
}

static bool is_zero_row(const qn_range_matrix *w, uint32_t row) {
  return qn_is_zero_row(w->at + row * w->row_step, w->cols, w->step);
}

static uint32_t find_peak(const qn_range_matrix *w, uint32_t row) {
  return qn_find_peak(w->at + row * w->row_step, w->cols, w->step);
}

/* Bits that the interval has shrunk by, to within one. */
static uint64_t coded_bits(const coder *c) {
  return 8 * c->shifts + (uint64_t)__builtin_clz(c->range);
}

/* Ends the stream with the number of the interval that has most zeros behind, and drops those:
 * the decoder reads zeros past the end. Returns the end. */
static uint8_t *finish(coder *c, const uint8_t *start) {
  uint64_t last = c->low + c->range - 1, value = last;
  for (uint64_t mask = 0xFF; mask <= 0xFFFFFFFF; mask = mask << 8 | 0xFF)
    if ((last & ~mask) >= c->low) value = last & ~mask;
  c->low = value;
  for (int i = 0; i < 5; i++) {
    shift_low(c);
    c->shifts++;
  }
  while (c->at > start && c->at[-1] == 0) c->at--;
  return c->at;
}

/* ------------------------------------------------------------------ tensors */

/* What makes the decoder larger, by so many bytes, and is used only where it saves more. */
enum { PREDICTION_CODE = 220, SUMS_CODE = 70 };
enum { PREDICTION, SUMS, COUNTED };

typedef struct {
  qn_arena *arena;
  coder c;
  qn_range_model m;
  qn_range_matrix weights; /* the latest */
  uint32_t allowed, used;  /* features */
  int64_t saved[COUNTED];  /* bits, by predictions and by sums */
} encoder;

static void code_tensor(encoder *e, const qn_range_tensor *t, const qn_prediction *p) {
  qn_range_tensor tensor = *t;
  if (p && p->lags) {
    tensor.field[QN_RANGE_PHASE] = p->phase;
    for (uint32_t i = 0; i < p->lags; i++) tensor.field[QN_RANGE_LAG + i] = p->lag[i];
    memcpy(e->m.factor, p->factor, sizeof e->m.factor);
  }
  (void)code_head(&e->c, &e->m, &tensor, e->allowed);
  code_elements(&e->c, &e->m, &tensor, &e->weights, e->allowed);
}

static uint64_t try_tensor(const encoder *e, encoder *scratch, const qn_range_tensor *t,
                           const qn_prediction *p) {
  *scratch = *e;
  scratch->c.at = NULL;
  code_tensor(scratch, t, p);
  return coded_bits(&scratch->c);
}

static void encode_weights(encoder *e, encoder *scratch, const qn_coded_tensor *from,
                           qn_range_tensor *t) {
  qn_prediction ways[3];
  int count = qn_find_predictions(e->arena, from, true, 32, INT8_MAX, ways), best = 0;
  t->field[QN_RANGE_HAS_PEAKS] = qn_has_peaks(from);
  uint64_t least = try_tensor(e, scratch, t, &ways[0]), unpredicted = least;
  for (int i = 1; i < count && e->allowed & QN_RANGE_PREDICTED; i++) {
    uint64_t bits = try_tensor(e, scratch, t, &ways[i]);
    if (bits >= least) continue;
    least = bits;
    best = i;
  }
  e->saved[PREDICTION] += (int64_t)(unpredicted - least);
  if (best) e->used |= QN_RANGE_PREDICTED;
  if (t->field[QN_RANGE_HAS_PEAKS]) {
    t->field[QN_RANGE_HAS_PEAKS] = 0;
    t->field[QN_RANGE_HAS_PEAKS] = try_tensor(e, scratch, t, &ways[best]) >= least;
  }
  if (t->field[QN_RANGE_HAS_PEAKS]) e->used |= QN_RANGE_PEAKS;
  if (from->transposed) e->used |= QN_RANGE_DEPTHWISE;
  code_tensor(e, t, &ways[best]);
}

/* The slope, in 1/16 and zigzag coded, of the least squares' line through integers over sums of
 * weights. */
static uint32_t find_slope(const qn_range_tensor *t, const qn_range_matrix *w) {
  double product = 0, square = 1;
  for (uint32_t i = 0; i < t->field[QN_RANGE_ROWS] && i < w->rows; i++) {
    double sum = sum_row(w, i);
    product += sum * (int32_t)qn_load_u32(t->at + 4 * i);
    square += sum * sum;
  }
  int32_t slope = (int32_t)fmin(fmax(floor(16 * product / square + 0.5), INT16_MIN), INT16_MAX);
  return (uint32_t)slope << 1 ^ (slope < 0 ? UINT32_MAX : 0);
}

/* Whether a guess misses one by 2^31, which no number says. */
static bool misses_by_most(const qn_range_tensor *t, const qn_range_matrix *w) {
  for (uint32_t i = 0; i < t->field[QN_RANGE_ROWS]; i++)
    if (qn_load_u32(t->at + 4 * i) - guess_integer(t, w, i) == (uint32_t)1 << 31) return true;
  return false;
}

static void encode_integers(encoder *e, encoder *scratch, qn_range_tensor *t) {
  qn_range_tensor guessed = *t;
  guessed.field[QN_RANGE_SLOPE] = find_slope(t, &e->weights);
  t->field[QN_RANGE_SLOPE] = 0;
  if (misses_by_most(t, &e->weights) || misses_by_most(&guessed, &e->weights)) {
    t->kind = QN_CODED_BYTES;
  } else {
    uint64_t plain = try_tensor(e, scratch, t, NULL), bits = plain;
    if (e->allowed & QN_RANGE_SUMS) bits = try_tensor(e, scratch, &guessed, NULL);
    if (bits < plain) {
      *t = guessed;
      e->saved[SUMS] += (int64_t)(plain - bits);
      e->used |= QN_RANGE_SUMS;
    }
  }
  code_tensor(e, t, NULL);
}

static void encode_tensor(encoder *e, encoder *scratch, const qn_coded_tensor *from,
                          uint8_t *image) {
  uint64_t factor;
  uint32_t *mantissas;
  qn_range_tensor t = {.at = image + from->offset};
  t.kind = qn_check_coded(e->arena, from, &factor, &mantissas);
  if (t.kind == QN_CODED_INTEGERS && from->elem_bytes != 4) t.kind = QN_CODED_BYTES;
  if (t.kind == QN_CODED_WEIGHTS && from->cols > 1 << 16) t.kind = QN_CODED_BYTES;
  t.mantissa = mantissas;
  t.field[QN_RANGE_ROWS] = from->bytes / from->elem_bytes;
  t.field[QN_RANGE_COLS] = from->elem_bytes;
  if (t.kind == QN_CODED_WEIGHTS) {
    t.field[QN_RANGE_ROWS] = from->rows;
    t.field[QN_RANGE_COLS] = from->cols;
    t.field[QN_RANGE_TRANSPOSED] = from->transposed;
    encode_weights(e, scratch, from, &t);
  } else if (t.kind == QN_CODED_INTEGERS) {
    encode_integers(e, scratch, &t);
  } else {
    if (t.kind == QN_CODED_MULTIPLIERS) {
      t.field[QN_RANGE_FACTOR] = (uint32_t)(factor >> 20);
      t.field[QN_RANGE_FACTOR + 1] = factor & 0xFFFFF;
      e->used |= QN_RANGE_MULTIPLIERS;
    }
    code_tensor(e, &t, NULL);
  }
}

/* Codes all with the allowed features; sets those that were used, and what they have saved. */
static void encode_all(encoder *e, encoder *scratch, qn_coded_tensor *tensors, int count,
                       uint8_t *image, uint8_t *stream) {
  *e = (encoder){.arena = e->arena, .allowed = e->allowed};
  start_model(&e->m);
  e->c.range = 0xFFFFFFFF;
  e->c.at = stream + QN_CODEC_HEADER;
  for (int i = 0; i < count; i++) {
    uint64_t before = coded_bits(&e->c);
    encode_tensor(e, scratch, &tensors[i], image);
    tensors[i].coded_bits = coded_bits(&e->c) - before;
  }
}

bool qn_encode_range(qn_arena *a, qn_coded_tensor *tensors, int count, qn_stream *out) {
  uint32_t image_bytes;
  if (!qn_is_one_image(tensors, count)) return false; /* all of it adapts the model */
  uint8_t *image = qn_build_images(a, tensors, count, &image_bytes);
  /* a decision costs at most 10 bits and a byte has 8 of them; heads have up to 300 bytes */
  uint8_t *stream = qn_alloc(a, 64 + (size_t)image_bytes * 10 + 3072 * (size_t)count);
  encoder *e = qn_alloc(a, sizeof *e), *scratch = qn_alloc(a, sizeof *scratch);
  e->arena = a;
  e->allowed = UINT32_MAX;
  encode_all(e, scratch, tensors, count, image, stream);
  uint32_t too_dear = 0;
  if (e->saved[PREDICTION] < 8 * PREDICTION_CODE) too_dear |= QN_RANGE_PREDICTED;
  if (e->saved[SUMS] < 8 * SUMS_CODE) too_dear |= QN_RANGE_SUMS;
  if (too_dear & e->used) {
    e->allowed = ~too_dear;
    encode_all(e, scratch, tensors, count, image, stream);
  }
  *out = (qn_stream){.bytes = stream, .features = e->used};
  qn_list_images(a, tensors, count, image, out);
  out->size = (size_t)(finish(&e->c, stream + QN_CODEC_HEADER) - stream);
  qn_store_u32(stream, qn_codec_sum(0, image, image_bytes / 4));
  return true;
}
