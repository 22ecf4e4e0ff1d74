/* Tensors -> codec int4: the inverse of runtime/decode_int4.c. */
#include "encode.h"

static bool fits(const qn_coded_tensor *t) {
  const int8_t *at = t->data;
  for (uint32_t i = 0; i < t->bytes; i++)
    if (at[i] < -8 || at[i] > 7) return false;
  return true;
}

bool qn_encode_int4(qn_arena *a, qn_coded_tensor *tensors, int count, qn_stream *out) {
  uint32_t image_bytes;
  const uint8_t *images = qn_build_images(a, tensors, count, &image_bytes);
  bool all = true;
  *out = (qn_stream){0};
  qn_coded_image *image = qn_list_images(a, tensors, count, images, out);
  out->size = (size_t)out->image_count * QN_CODEC_HEADER;
  for (int i = 0; i < count; i++) {
    uint32_t bytes = 4 + tensors[i].bytes / 2 + tensors[i].bytes % 2;
    tensors[i].coded_bits = fits(&tensors[i]) ? 8 * (uint64_t)bytes : QN_NOT_CODED;
    all = all && tensors[i].coded_bits != QN_NOT_CODED;
    out->size += bytes;
  }
  if (!all) return false;
  uint8_t *stream = qn_alloc(a, out->size), *to = stream;
  for (int i = 0; i < count; i++) {
    if (qn_begins_image(tensors, i)) to = qn_put_image(stream, to, image++);
    const uint8_t *at = tensors[i].data;
    qn_store_u32(to, tensors[i].bytes);
    to += 4;
    for (uint32_t k = 0; k < tensors[i].bytes; k++)
      to[k / 2] |= (uint8_t)((at[k] & 15) << 4 * (k & 1));
    to += tensors[i].bytes / 2 + tensors[i].bytes % 2;
  }
  out->bytes = stream;
  return true;
}
