/* Codec int4: bytes that fit 4 bits, two in one. Behind an image's sum, until the image is full: a
 * tensor's number of bytes, 32 bits; its bytes from -8 to 7, each the 4 low bits of a byte, then
 * the 4 high ones. */
#include "decode.h"

SMALL int32_t qn_decode_int4(const uint8_t *coded, uint32_t coded_bytes, uint32_t start,
                             uint8_t *image, uint32_t image_bytes, void *scratch,
                             uint32_t features) {
  (void)scratch;
  const uint8_t *next = coded + start + QN_CODEC_HEADER, *last = coded + coded_bytes;
  if (!has_sum(coded_bytes, start, 0)) return QUERN_ECORRUPT;
  clear_image(image, image_bytes);
  for (uint32_t end = 0; end < image_bytes;) {
    if (last - next < 4) return QUERN_ECORRUPT;
    uint32_t bytes = qn_load_u32(next), place = qn_codec_place(end, bytes, features);
    uint32_t words = place / 4 + count_words(bytes);
    next += 4;
    if (words > image_bytes / 4 || bytes / 2 + bytes % 2 > (uint32_t)(last - next))
      return QUERN_ECORRUPT;
    uint8_t *at = image + place;
    for (uint32_t i = 0; i < bytes; i++) {
      uint32_t x = *next >> 4 * (i & 1) & 15;
      next += i & 1;
      at[i] = (uint8_t)((x ^ 8) - 8);
    }
    next += bytes & 1;
    end = 4 * words;
  }
  return qn_codec_sum(0, image, image_bytes / 4) == qn_load_u32(coded + start) ? QUERN_OK
                                                                               : QUERN_ECORRUPT;
}
