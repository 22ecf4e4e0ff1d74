/* What the weight decoders share. They run in init, on any target, over bytes that may be damaged.
 */
#ifndef QN_DECODE_H
#define QN_DECODE_H

#include "codec.h"

/* This code runs once: small is better than fast. clang takes that as it is meant. */
#ifdef __clang__
#define SMALL __attribute__((noinline, minsize))
#else
#define SMALL __attribute__((noinline))
#endif

/* The place in the image of a tensor of rows*cols bytes, *out_words 4-byte words together, the last
 * of them 0; image_bytes when there is no room for it. */
static inline uint32_t place_tensor(uint8_t *image, uint32_t image_bytes, uint32_t end,
                                    uint32_t rows, uint32_t cols, uint32_t *out_words) {
  if (rows == 0 || cols == 0 || rows > image_bytes / cols) return image_bytes;
  uint32_t at = qn_codec_place(end, rows * cols), words = (rows * cols + 3) / 4;
  if (at > image_bytes || words > (image_bytes - at) / 4) return image_bytes;
  ((uint32_t *)(void *)(image + at))[words - 1] = 0;
  *out_words = words;
  return at;
}

#endif
