/* The sum of decoded weights, and codec raw: the image as it is, with zeros between its tensors. */
#include "decode.h"

SMALL int32_t qn_decode_raw(const uint8_t *coded, uint32_t coded_bytes, uint32_t start,
                            uint8_t *image, uint32_t image_bytes, void *scratch,
                            uint32_t features) {
  (void)scratch, (void)features;
  if (!has_sum(coded_bytes, start, image_bytes)) return QUERN_ECORRUPT;
  for (uint32_t i = 0; i < image_bytes; i++) image[i] = coded[start + QN_CODEC_HEADER + i];
  return qn_codec_sum(0, image, image_bytes / 4) == qn_load_u32(coded + start) ? QUERN_OK
                                                                               : QUERN_ECORRUPT;
}
