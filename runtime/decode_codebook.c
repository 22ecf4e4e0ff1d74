/* Codec codebook: tensors of few different bytes. Behind an image's sum, until the image is full: a
 * tensor's number of bytes, 32 bits; how many different ones there are, less one, 8 bits; these,
 * ascending; then the number of each byte among them in as many bits as the highest needs, at least
 * one, from the lowest bit of each byte of the stream on. A zero byte ends the
 * stream. */
#include "decode.h"

SMALL int32_t qn_decode_codebook(const uint8_t *coded, uint32_t coded_bytes, uint32_t start,
                                 uint8_t *image, uint32_t image_bytes, void *scratch,
                                 uint32_t features) {
  (void)scratch;
  const uint8_t *next = coded + start + QN_CODEC_HEADER, *last = coded + coded_bytes;
  if (!has_sum(coded_bytes, start, 0)) return QUERN_ECORRUPT;
  clear_image(image, image_bytes);
  for (uint32_t end = 0; end < image_bytes;) {
    if (last - next < 6) return QUERN_ECORRUPT;
    uint32_t bytes = qn_load_u32(next), most = next[4],
             place = qn_codec_place(end, bytes, features);
    uint32_t words = place / 4 + count_words(bytes), bits = 1;
    while (most >> bits) bits++;
    const uint8_t *values = next + 5;
    next = values;
    if (words > image_bytes / 4 ||
        ((uint64_t)bytes * bits + 7) / 8 + most + 2 > (uint64_t)(last - next))
      return QUERN_ECORRUPT;
    next += most + 1;
    uint8_t *at = image + place;
    uint32_t pos = 0;
    for (uint32_t n = bytes; n > 0; n--, pos += bits) {
      const uint8_t *from = next + (pos >> 3);
      uint32_t x = (from[0] | (uint32_t)from[1] << 8) >> (pos & 7) & (((uint32_t)1 << bits) - 1);
      *at++ = values[x > most ? most : x];
    }
    next += (pos + 7) >> 3;
    end = 4 * words;
  }
  return qn_codec_sum(0, image, image_bytes / 4) == qn_load_u32(coded + start) ? QUERN_OK
                                                                               : QUERN_ECORRUPT;
}
