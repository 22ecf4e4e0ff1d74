/* Codec range: a binary range coder (Martin, "Range encoding", 1979; carries are resolved in the
 * encoder) under the model of range_model.h.
 *
 * A decision whose bit is 1 with chance c takes the lower (range >> 16) * c of the range when it is
 * 1, the rest when it is 0; one of count equal parts takes range / count. The range starts at
 * 2^32 - 1 and is kept at 2^24 or more by shifting in the next byte of the stream; past its end the
 * bytes read as 0, and the encoder leaves trailing zeros out. */
#include "decode.h"

typedef struct {
  const uint8_t *at, *end;
  uint32_t range, code;
} coder;

#include "range_model.h"

static void shift_in(coder *c) { c->code = c->code << 8 | (c->at < c->end ? *c->at++ : 0); }

SMALL static void fill(coder *c) {
  for (; c->range < (uint32_t)1 << 24; c->range <<= 8) shift_in(c);
}

/* The chance is within 64..65472, so that neither part is empty. */
SMALL static uint32_t code_bit(coder *c, qn_estimate *e, uint32_t bit) {
  uint32_t part = (c->range >> 16) * e->chance;
  bit = c->code < part;
  if (bit) {
    c->range = part;
  } else {
    c->code -= part;
    c->range -= part;
  }
  adapt(e, bit);
  fill(c);
  return bit;
}

/* A damaged stream's code may be beyond the last part. */
SMALL static uint32_t code_even(coder *c, uint32_t count, uint32_t x) {
  c->range /= count;
  x = c->code / c->range;
  if (x >= count) x = count - 1;
  c->code -= x * c->range;
  fill(c);
  return x;
}

static bool is_zero_row(const qn_range_matrix *w, uint32_t row) { return w->rows == row; }
static uint32_t find_peak(const qn_range_matrix *w, uint32_t row) { return w->rows + row; }

SMALL int32_t qn_decode_range(const uint8_t *coded, uint32_t coded_bytes, uint32_t start,
                              uint8_t *image, uint32_t image_bytes, void *scratch,
                              uint32_t features) {
  if (!has_sum(coded_bytes, start, 0)) return QUERN_ECORRUPT;
  coder c = {coded + start + QN_CODEC_HEADER, coded + coded_bytes, 0xFFFFFFFF, 0};
  for (uint32_t i = 0; i < 4; i++) shift_in(&c);
  qn_range_model *m = scratch;
  start_model(m);
  qn_range_tensor tensor; /* no initialisers: they would be a call of memset */
  for (uint32_t i = 0; i < QN_RANGE_FIELDS; i++) tensor.field[i] = 0;
  tensor.kind = 0;
  tensor.mantissa = 0;
  qn_range_matrix weights = {0, 0, 0, 0, 0};
  clear_image(image, image_bytes);
  for (uint32_t end = 0; end < image_bytes;) {
    if (!code_head(&c, m, &tensor, features)) return QUERN_ECORRUPT;
    uint32_t rows = tensor.field[QN_RANGE_ROWS], size = tensor.field[QN_RANGE_COLS];
    if (!is_small(rows, size, image_bytes)) return QUERN_ECORRUPT;
    uint32_t place = qn_codec_place(end, rows * size, features),
             words = place / 4 + count_words(rows * size);
    if (words > image_bytes / 4) return QUERN_ECORRUPT;
    tensor.at = image + place;
    code_elements(&c, m, &tensor, &weights, features);
    end = 4 * words;
  }
  return qn_codec_sum(0, image, image_bytes / 4) == qn_load_u32(coded + start) ? QUERN_OK
                                                                               : QUERN_ECORRUPT;
}
