/* Weight encoders: tensors -> the streams of runtime/codec.h. */
#ifndef QN_ENCODE_H
#define QN_ENCODE_H

#include "../ir/ir.h"

/* A tensor and where its bytes belong in the decoded image. */
typedef struct {
  const void *data;
  uint32_t bytes, offset;
  uint32_t elem_bytes; /* 1, 2, 4 or 8: bytes at the same place of an element share statistics */
} qn_coded_tensor;

/* A row of runtime/codecs.def.
 * encode: the stream of an image of image_bytes, below 2^31, in the arena. The tensors are in
 * ascending order of offset, do not overlap and end within the image; the bytes between them decode
 * to 0. One stream for all weights is smaller than several: statistics carry over from tensor to
 * tensor, best when those with the same elem_bytes follow each other. Takes 1.5 s for 3.5 MB. */
typedef struct {
  const char *name, *doc;
  const char *decoder; /* the runtime's function */
  uint8_t *(*encode)(qn_arena *a, const qn_coded_tensor *tensors, int count, uint32_t image_bytes,
                     size_t *out_size);
} qn_codec;
extern const qn_codec qn_codecs[]; /* ends with a NULL name */

/* NULL when there is no such codec. */
const qn_codec *qn_find_codec(const char *name);

#define QN_CODEC(name, doc)                                                                        \
  uint8_t *qn_encode_##name(qn_arena *a, const qn_coded_tensor *tensors, int count,                \
                            uint32_t image_bytes, size_t *out_size);
#include "../runtime/codecs.def"

#endif
