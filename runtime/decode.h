/* What the weight decoders share. They run in init, on any target, over bytes that may be damaged.
 */
#ifndef QN_DECODE_H
#define QN_DECODE_H

#include <stdbool.h>
#include "codec.h"

/* This code runs once: small is better than fast. clang takes that as it is meant. */
#ifdef __clang__
#define COMPACT __attribute__((minsize))
#else
#define COMPACT
#endif
#define SMALL COMPACT __attribute__((noinline))
#define QUICK __attribute__((noinline)) /* most of the time goes into it */

COMPACT static inline void clear_image(uint8_t *image, uint32_t image_bytes) {
  uint32_t *word = (uint32_t *)(void *)image;
  uint32_t i = image_bytes / 4;
  do *word++ = 0;
  while (--i > 0);
}

/* Whether rows * size is a number of bytes that an image may have. */
COMPACT static inline bool is_small(uint32_t rows, uint32_t size, uint32_t image_bytes) {
  return size == 0 || rows <= image_bytes / size;
}

/* Whether a sum can stand at `start`, with `more` bytes behind it. */
COMPACT static inline bool has_sum(uint32_t coded_bytes, uint32_t start, uint32_t more) {
  return start <= coded_bytes && coded_bytes - start >= QN_CODEC_HEADER + more;
}

/* Words that a tensor takes; more than any image has when it is empty, so that no stream goes on
 * for ever. */
COMPACT static inline uint32_t count_words(uint32_t bytes) { return (bytes - 1) / 4 + 1; }

#endif
