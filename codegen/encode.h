/* Weight encoders: tensors -> the streams of runtime/codec.h. */
#ifndef QN_ENCODE_H
#define QN_ENCODE_H

#include "codegen.h"
#include "../runtime/codec.h"

/* A tensor, where its bytes belong in the decoded image, and what is known of it. A codec that has
 * no use for a kind, or finds the bytes not to be of it, codes them as a more general one. */
typedef struct {
  const void *data;
  uint32_t bytes;
  uint32_t image;      /* which image it is in: a number, ascending from tensor to tensor */
  uint32_t offset;     /* qn_place_coded's, in its image */
  uint32_t base;       /* qn_place_coded's: of its image behind the others */
  bool wide;           /* qn_place_coded's */
  uint32_t elem_bytes; /* 1, 2, 4 or 8 */
  qn_coded_kind kind;
  uint32_t rows, cols;     /* of weights: output channels, weights of each */
  bool transposed;         /* depthwise: weight k of channel r is at k*rows + r, not r*cols + k */
  uint32_t taps_h, taps_w; /* of a filter; cols is a multiple of their product; 1, 1 otherwise */
  const float *scales; /* of multipliers, or NULL: multiplier i is nearly ratio * scales[i] times a
                        * power of two */
  double ratio;
  uint64_t coded_bits; /* out: what it takes in the stream, to within a few bits */
} qn_coded_tensor;

enum { QN_CODED_MOST = 1 << 27 }; /* bytes of an image */
#define QN_NOT_CODED UINT64_MAX

typedef struct {
  uint32_t start; /* in the stream */
  uint32_t bytes, sum;
} qn_coded_image;

typedef struct {
  const uint8_t *bytes; /* in the arena */
  size_t size;
  size_t table_bytes; /* of size: what belongs to no image */
  int image_count;
  const qn_coded_image *images;
  uint32_t features; /* the decoder's argument */
} qn_stream;

/* A row of runtime/codecs.def.
 * encode: the stream of the tensors, none of them empty; their offsets are qn_place_coded's. Sets
 * coded_bits. False when there are some that the codec cannot say: theirs is QN_NOT_CODED. One
 * stream for all weights is smaller than several: tables or statistics serve all of them. Takes
 * about 3 s for 3.5 MB. */
struct qn_codec {
  const char *name, *doc;
  const char *decoder; /* the runtime's function */
  uint32_t scratch_bytes;
  bool (*encode)(qn_arena *a, qn_coded_tensor *tensors, int count, qn_stream *out);
};
extern const qn_codec qn_codecs[]; /* ends with a NULL name */

/* Sets the tensors' offsets and bases, of large ones wide ones where processors load wide vectors
 * (QN_CODED_WIDE); returns the bytes of all images, one behind the other. */
uint32_t qn_place_coded(qn_coded_tensor *tensors, int count, bool wide);

#define QN_CODEC(name, scratch_bytes, work, doc)                                                   \
  bool qn_encode_##name(qn_arena *a, qn_coded_tensor *tensors, int count, qn_stream *out);
#include "../runtime/codecs.def"

/* -- encode.c: what the encoders share. */
/* The tensors' images, each at its base, aligned to 16. */
uint8_t *qn_build_images(qn_arena *a, const qn_coded_tensor *tensors, int count,
                         uint32_t *out_bytes);
/* Makes out's list of images, sets its feature WIDE; their starts are left to set. all: of
 * qn_build_images. */
qn_coded_image *qn_list_images(qn_arena *a, const qn_coded_tensor *tensors, int count,
                               const uint8_t *all, qn_stream *out);
/* Image *image begins at `to` of the stream: its sum. Returns what is behind it. */
uint8_t *qn_put_image(uint8_t *stream, uint8_t *to, qn_coded_image *image);
/* Tensor i is the first one of its image. */
bool qn_begins_image(const qn_coded_tensor *tensors, int i);
/* The kind that t can be coded as: its own, if its bytes are as codec.h says, else a more general
 * one. Of multipliers also their factor and mantissas (in the arena). */
qn_coded_kind qn_check_coded(qn_arena *a, const qn_coded_tensor *t, uint64_t *out_factor,
                             uint32_t **out_mantissas);
/* Whether every row of weights that is not 0 has a 127 or a -127. */
bool qn_has_peaks(const qn_coded_tensor *t);
/* The place of the first of them in a row; cols when there is none. */
uint32_t qn_find_peak(const uint8_t *row, uint32_t cols, uint32_t step);
/* Whether all tensors are in one image; others than the first one's are not coded then. */
bool qn_is_one_image(qn_coded_tensor *tensors, int count);
bool qn_is_zero_row(const uint8_t *row, uint32_t cols, uint32_t step);

/* -- predict.c: what weights can be predicted from. */
typedef struct {
  uint32_t lags, phase, lag[QN_CODEC_LAGS]; /* as in the stream */
  int8_t factor[QN_CODEC_PHASES][QN_CODEC_LAGS];
} qn_prediction;
/* Up to 3 ways to predict t's weights from earlier ones, those of other rows included where
 * across_rows is set; at[0] is none. Factors are multiples of 1/one, -limit..limit. They are the
 * least squares' solution; which way is best the encoder has to try. Returns how many. a: scratch.
 */
int qn_find_predictions(qn_arena *a, const qn_coded_tensor *t, bool across_rows, int one, int limit,
                        qn_prediction at[3]);

#endif
