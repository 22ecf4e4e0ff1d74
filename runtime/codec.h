/* Coded weights: the formats in which codegen/encode*.c and decode*.c meet.
 *
 * Tensors make up an image: a piece of memory, aligned to 64, in which they stand one after the
 * other, each aligned by its size (qn_codec_place), with zeros between them and up to 4 bytes
 * behind the last. A stream is what all its images share (tables, if the codec has any), then for
 * each image  u32 its sum, then what the codec makes of its tensors, in order of offset. Images are
 * decoded one by one, each from the byte on where its sum stands; codec range has one only.
 * Numbers are little endian and read byte by byte: a stream may lie at any address.
 *
 * What a codec knows of a tensor is its kind:
 *   WEIGHTS      int8, -127..127, as rows of the weights of one output channel each. Weight k of
 *                row r is at  r*cols + k,  or transposed (depthwise) at  k*rows + r
 *   INTEGERS     int32 or int8 of any value: biases, shifts
 *   MULTIPLIERS  int32, 2^30 or more: one factor times the 24-bit mantissas of float scales
 *   BYTES        anything else, as elements of 1, 2, 4 or 8 bytes
 *
 * Predicted weights: cols is divided into phases of equal length (the taps of a filter, say). A
 * phase has up to 4 factors, in 1/32 or as the codec says, for weights that are given by lags: so
 * many bytes (or phases) before the weight in question. What is coded is weight - prediction.
 *
 * Peaks: the weights of a channel are usually scaled so that the largest one is 127 or -127. Where
 * all rows are, each begins with the place and the sign of its first such weight, which is left out
 * of the rest: an outlier costs more than its place.
 *
 * Codec raw: the images' bytes. The others: decode_<codec>.c, in the order in which they read. */
#ifndef QN_CODEC_H
#define QN_CODEC_H

#include "quern.h"

typedef enum {
  QN_CODED_WEIGHTS,
  QN_CODED_INTEGERS,
  QN_CODED_MULTIPLIERS,
  QN_CODED_BYTES
} qn_coded_kind;

enum {
  QN_CODEC_HEADER = 4,
  QN_CODEC_LAGS = 4,
  QN_CODEC_PHASES = 63, /* at most, of predicted weights */
  QN_CODEC_PEAK = 127
};

/* Features of codecs huffman and rans, above 5 bits of width and 2 of those of a table's number. */
enum {
  QN_STATIC_TRANSPOSED = 1 << 7,
  QN_STATIC_PREDICTED = 1 << 8,
  QN_STATIC_MULTIPLIERS = 1 << 9,
  QN_STATIC_INTEGERS = 1 << 10, /* any kind but weights */
  QN_STATIC_PEAKS = 1 << 11,
  QN_STATIC_LEVELS = 1 << 12, /* of huffman: tables of distances, -16..15, not of symbols */
  QN_STATIC_FLAT = 1 << 13,   /* weights have no rows */
  QN_STATIC_BYTES = 1 << 14,  /* integers of one byte */
  QN_STATIC_LAGS = 16,        /* from this bit on: 4 lags, of 4 bits, in multiples of a phase */
  QN_STATIC_LONGEST = QN_STATIC_LAGS + 12, /* of them: the last one */
  QN_STATIC_SYMBOLS = 22,
  QN_STATIC_PHASES = 31, /* at most, behind the first */
  QN_STATIC_FACTORS = QN_STATIC_PHASES * QN_CODEC_LAGS
};

/* Features of codec range. */
enum {
  QN_RANGE_DEPTHWISE = 1,
  QN_RANGE_PEAKS = 2,
  QN_RANGE_PREDICTED = 4,
  QN_RANGE_SUMS = 8, /* integers are coded less a multiple of the sum of weights */
  QN_RANGE_MULTIPLIERS = 16
};

static inline uint32_t qn_load_u32(const uint8_t *at) {
  return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline void qn_store_u32(uint8_t *at, uint32_t x) {
  for (uint32_t i = 0; i < 4; i++) at[i] = (uint8_t)(x >> 8 * i);
}

/* A feature of all codecs: tensors of 1 KB or more are aligned to 64, not only to 16. */
enum { QN_CODED_WIDE = 1 << 15 };

/* Where in the image a tensor of so many bytes stands when the one before ends at `end`. */
static inline uint32_t qn_codec_place(uint32_t end, uint32_t bytes, uint32_t features) {
  uint32_t most = features & QN_CODED_WIDE && bytes >= 1024 ? 63 : 15; /* bytes between them */
  return end + ((0 - end) & most);
}

/* Symbols of distances, static_model.h's: the lowest one, and how many there are, with both signs;
 * 127 is the largest. */
static inline uint32_t qn_first_distance(uint32_t symbol) {
  return symbol == 0 ? 0 : ((4 + (symbol - 1) % 4) << (symbol - 1) / 4) - 3;
}

static inline uint32_t qn_count_distances(uint32_t symbol) {
  if (symbol == 0) return 1;
  return symbol == QN_STATIC_SYMBOLS - 1 ? 6 : (uint32_t)2 << (symbol - 1) / 4;
}

/* mantissa (24 bits) times factor (40 bits), both with their highest bit set, as a Q31 multiplier:
 * 31 bits, the highest set. That is what TFLite's QuantizeMultiplier gives for scale * x, when
 * factor is x's mantissa; the encoder uses it only where it gives the very numbers. */
static inline uint32_t qn_codec_multiplier(uint32_t mantissa, uint64_t factor) {
  uint64_t product = mantissa * factor;
  uint32_t high = (uint32_t)(product >> 32);
  if (high >> 31) return (high >> 1) + (high & 1);
  return high + ((uint32_t)product >> 31);
}

/* Adds words, at least one, to the sum of an image (0 to begin with), which any change of one word
 * changes, and all but 2^-32 of the others. */
static inline uint32_t qn_codec_sum(uint32_t sum, const uint8_t *words, uint32_t count) {
  const uint32_t *at = (const uint32_t *)(const void *)words;
  do {
    sum ^= *at++;
    sum = (sum << 5 | sum >> 27) * 0x9E3779B1; /* odd: no two sums become one */
  } while (--count > 0);
  return sum;
}

enum {
#define QN_CODEC(name, scratch_bytes, work, doc) QN_SCRATCH_##name = scratch_bytes,
#include "codecs.def"
};

/* Codec row `name` is
 *   int32_t qn_decode_<name>(coded, coded_bytes, start, image, image_bytes, scratch, features):
 * the image whose sum is at coded[start] to image[0..image_bytes), a multiple of 4. scratch: the
 * row's bytes, aligned to 64. features: the encoder's, what the stream makes use of; a constant, so
 * that objects hold no code for what their stream has not. QUERN_OK, or QUERN_ECORRUPT when the sum
 * is wrong; image's content is undefined then. Whatever the stream's bytes are, nothing outside of
 * the arrays is touched and the time is bounded by their sizes. coded_bytes is below 2^28. */
#define QN_CODEC(name, scratch_bytes, work, doc)                                                   \
  int32_t qn_decode_##name(const uint8_t *coded, uint32_t coded_bytes, uint32_t start,             \
                           uint8_t *image, uint32_t image_bytes, void *scratch,                    \
                           uint32_t features);
#include "codecs.def"

#endif
