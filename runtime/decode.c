/* Coded weights -> their image in memory, one function per row of codecs.def, in the order of
 * codec.h, which is the format. Runs in init, on any target, over bytes that may be damaged. */
#include "codec.h"

/* This code runs once: small is better than fast. clang takes that as it is meant. */
#ifdef __clang__
#define SMALL __attribute__((noinline, minsize))
#else
#define SMALL __attribute__((noinline))
#endif

static uint32_t load_u32(const uint8_t *at) {
  return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

SMALL uint32_t qn_crc32(const uint8_t *bytes, uint32_t count) {
  uint32_t crc = 0xFFFFFFFF;
  for (uint32_t i = 0; i < count; i++) {
    crc ^= bytes[i];
    for (int32_t bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return ~crc;
}

static int32_t check_header(const uint8_t *coded, uint32_t coded_bytes, uint32_t image_bytes) {
  if (coded_bytes < QN_CODEC_HEADER || load_u32(coded) != image_bytes ||
      load_u32(coded + 4) != coded_bytes)
    return QUERN_ECORRUPT;
  return QUERN_OK;
}

static int32_t check_image(const uint8_t *coded, const uint8_t *image, uint32_t image_bytes) {
  return load_u32(coded + 8) == qn_crc32(image, image_bytes) ? QUERN_OK : QUERN_ECORRUPT;
}

/* ------------------------------------------------------------------ raw */

SMALL int32_t qn_decode_raw(const uint8_t *coded, uint32_t coded_bytes, uint8_t *image,
                            uint32_t image_bytes) {
  if (check_header(coded, coded_bytes, image_bytes) != QUERN_OK ||
      coded_bytes - QN_CODEC_HEADER != image_bytes)
    return QUERN_ECORRUPT;
  for (uint32_t i = 0; i < image_bytes; i++) image[i] = coded[QN_CODEC_HEADER + i];
  return check_image(coded, image, image_bytes);
}

/* ------------------------------------------------------------------ range */

typedef struct {
  const uint8_t *at, *end;
  uint32_t range, code;
} reader;

static uint32_t next_byte(reader *r) { return r->at < r->end ? *r->at++ : 0; }

/* The update keeps chance within 7..65529 at rates of at least 3. Damaged streams reach lower
 * rates: then bound may become 0, but never the range. */
static uint32_t decode_bit(reader *r, uint16_t *chance, uint32_t rate) {
  uint32_t c = *chance, bound = (r->range >> 15) * (c >> 1), bit = r->code >= bound;
  if (bit) {
    r->code -= bound;
    r->range -= bound;
    c -= c >> rate;
  } else {
    r->range = bound;
    c += (65536 - c) >> rate;
  }
  *chance = (uint16_t)c;
  while (r->range < (uint32_t)1 << 24) {
    r->range <<= 8;
    r->code = r->code << 8 | next_byte(r);
  }
  return bit;
}

/* Element 0 of a tree is no decision's: it stays 32768, for plain bytes. */
SMALL static uint32_t decode_byte(reader *r, uint16_t tree[256], uint32_t rate) {
  uint32_t node = 1;
  while (node < 256)
    node = node << 1 | decode_bit(r, tree + (rate < QN_CODEC_NO_RATE ? node : 0), rate);
  return node & 255;
}

SMALL int32_t qn_decode_range(const uint8_t *coded, uint32_t coded_bytes, uint8_t *image,
                              uint32_t image_bytes) {
  if (check_header(coded, coded_bytes, image_bytes) != QUERN_OK) return QUERN_ECORRUPT;
  uint16_t trees[QN_CODEC_TREES][256];
  for (uint32_t tree = 0; tree < QN_CODEC_TREES; tree++)
    for (uint32_t i = 0; i < 256; i++) trees[tree][i] = QN_CODEC_HALF;
  reader r = {coded + QN_CODEC_HEADER, coded + coded_bytes, 0xFFFFFFFF, 0};
  for (uint32_t i = 0; i < 4; i++) r.code = r.code << 8 | next_byte(&r);
  for (uint32_t at = 0; at < image_bytes;) {
    uint32_t record = 0;
    for (uint32_t i = 0; i < 32; i += 8) record |= decode_byte(&r, trees[0], QN_CODEC_NO_RATE) << i;
    uint32_t last_tree = ((uint32_t)1 << (record & 3)) - 1, rate = record >> 2 & 7;
    uint32_t gap = record >> 5 & QN_CODEC_GAP_MAX, bytes = record >> 11;
    if (last_tree >= QN_CODEC_TREES || gap + bytes == 0 || gap + bytes > image_bytes - at)
      return QUERN_ECORRUPT;
    for (; gap > 0; gap--) image[at++] = 0;
    for (uint32_t i = 0; i < bytes; i++)
      image[at++] = (uint8_t)decode_byte(&r, trees[i & last_tree], rate ? rate : QN_CODEC_NO_RATE);
  }
  return check_image(coded, image, image_bytes);
}
