/* Tensors -> codec codebook: the inverse of runtime/decode_codebook.c. */
#include "encode.h"

typedef struct {
  uint8_t value[256], number[256]; /* the other way round */
  uint32_t count, bits;
} book;

static book find_values(const qn_coded_tensor *t) {
  const uint8_t *at = t->data;
  bool used[256] = {false};
  book b = {.bits = 1};
  for (uint32_t i = 0; i < t->bytes; i++) used[at[i]] = true;
  for (uint32_t x = 0; x < 256; x++) {
    if (!used[x]) continue;
    b.number[x] = (uint8_t)b.count;
    b.value[b.count++] = (uint8_t)x;
  }
  while (b.count > 1u << b.bits) b.bits++;
  return b;
}

static size_t coded_bytes(const qn_coded_tensor *t, const book *b) {
  return 5 + b->count + ((size_t)t->bytes * b->bits + 7) / 8;
}

static uint8_t *put_tensor(uint8_t *to, const qn_coded_tensor *t) {
  const uint8_t *at = t->data;
  book b = find_values(t);
  uint8_t *end = to + coded_bytes(t, &b);
  qn_store_u32(to, t->bytes);
  to[4] = (uint8_t)(b.count - 1);
  for (uint32_t i = 0; i < b.count; i++) to[5 + i] = b.value[i];
  to += 5 + b.count;
  uint64_t pos = 0;
  for (uint32_t i = 0; i < t->bytes; i++, pos += b.bits) {
    uint32_t x = (uint32_t)b.number[at[i]] << pos % 8;
    to[pos / 8] |= (uint8_t)x;
    if (x >> 8) to[pos / 8 + 1] |= (uint8_t)(x >> 8);
  }
  return end;
}

/* What does not get smaller is left to the caller to drop. */
bool qn_encode_codebook(qn_arena *a, qn_coded_tensor *tensors, int count, qn_stream *out) {
  uint32_t image_bytes;
  const uint8_t *images = qn_build_images(a, tensors, count, &image_bytes);
  *out = (qn_stream){0};
  qn_coded_image *image = qn_list_images(a, tensors, count, images, out);
  out->size = (size_t)out->image_count * QN_CODEC_HEADER + 1;
  for (int i = 0; i < count; i++) {
    book b = find_values(&tensors[i]);
    size_t bytes = coded_bytes(&tensors[i], &b);
    tensors[i].coded_bits = 8 * (uint64_t)bytes;
    out->size += bytes;
  }
  uint8_t *stream = qn_alloc(a, out->size), *to = stream;
  for (int i = 0; i < count; i++) {
    if (qn_begins_image(tensors, i)) to = qn_put_image(stream, to, image++);
    to = put_tensor(to, &tensors[i]);
  }
  out->bytes = stream;
  return true;
}
