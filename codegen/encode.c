/* Weights -> the streams of runtime/codec.h: what the encoders share, and codec raw. Each encoder
 * is the inverse of runtime/decode_<codec>.c. The same input gives the same bytes on every machine:
 * integers, or sums and products of doubles in a fixed order. */
#include "encode.h"
#include <math.h>
#include <string.h>
#include "arithmetic.h"

const qn_codec qn_codecs[] = {
#define QN_CODEC(name, scratch_bytes, work, doc)                                                   \
  {#name, doc, "qn_decode_" #name, scratch_bytes, qn_encode_##name},
#include "../runtime/codecs.def"
    {NULL, NULL, NULL, 0, NULL}};

const qn_codec *qn_find_codec(const char *name) {
  for (const qn_codec *c = qn_codecs; c->name; c++)
    if (strcmp(c->name, name) == 0) return c;
  return NULL;
}

static uint32_t align_up(uint32_t n, uint32_t to) { return (uint32_t)qn_align_up(n, to); }

uint32_t qn_place_coded(qn_coded_tensor *tensors, int count, bool wide) {
  uint32_t base = 0, end = 0;
  for (int i = 0; i < count; i++) {
    if (i && qn_begins_image(tensors, i)) {
      base = align_up(base + end, 64);
      end = 0;
    }
    tensors[i].base = base;
    tensors[i].offset = qn_codec_place(end, tensors[i].bytes, wide ? QN_CODED_WIDE : 0);
    tensors[i].wide = wide;
    end = align_up(tensors[i].offset + tensors[i].bytes, 4);
  }
  return base + end;
}

static uint32_t end_of(const qn_coded_tensor *t) { return align_up(t->offset + t->bytes, 4); }

uint8_t *qn_build_images(qn_arena *a, const qn_coded_tensor *tensors, int count,
                         uint32_t *out_bytes) {
  const qn_coded_tensor *last = count ? &tensors[count - 1] : NULL;
  *out_bytes = last ? last->base + end_of(last) : 0;
  uint8_t *all = qn_alloc(a, *out_bytes + 1);
  for (int i = 0; i < count; i++) {
    const qn_coded_tensor *t = &tensors[i];
    if (t->bytes) memcpy(all + t->base + t->offset, t->data, t->bytes);
  }
  return all;
}

bool qn_begins_image(const qn_coded_tensor *tensors, int i) {
  return i == 0 || tensors[i].image != tensors[i - 1].image;
}

qn_coded_image *qn_list_images(qn_arena *a, const qn_coded_tensor *tensors, int count,
                               const uint8_t *all, qn_stream *out) {
  qn_coded_image *images = qn_alloc(a, ((size_t)count + 1) * sizeof *images);
  out->images = images;
  out->image_count = 0;
  if (count && tensors[0].wide) out->features |= QN_CODED_WIDE;
  for (int i = 0; i < count; i++) {
    if (i + 1 < count && !qn_begins_image(tensors, i + 1)) continue;
    const qn_coded_tensor *last = &tensors[i];
    uint32_t bytes = end_of(last), sum = qn_codec_sum(0, all + last->base, bytes / 4);
    images[out->image_count++] = (qn_coded_image){.bytes = bytes, .sum = sum};
  }
  return images;
}

uint8_t *qn_put_image(uint8_t *stream, uint8_t *to, qn_coded_image *image) {
  image->start = (uint32_t)(to - stream);
  qn_store_u32(to, image->sum);
  return to + QN_CODEC_HEADER;
}

/* ------------------------------------------------------------------ what tensors are */

/* 40 bits, the highest set, such that the multipliers are those of qn_codec_multiplier; else 0.
 * ratio has 53 bits; products that come near a tie leave few factors, so its neighbours are tried.
 */
static uint64_t find_factor(const qn_coded_tensor *t, const uint32_t *mantissas) {
  enum { TRIED = 64 };
  int exponent;
  uint64_t middle = (uint64_t)ldexp(frexp(t->ratio, &exponent), 40);
  for (uint64_t i = 0; i < 2 * TRIED; i++) {
    uint64_t factor = i % 2 ? middle - i / 2 : middle + i / 2;
    if (factor >> 39 != 1) continue;
    uint32_t n = 0, count = t->bytes / 4;
    while (n < count && qn_codec_multiplier(mantissas[n], factor) == ((const uint32_t *)t->data)[n])
      n++;
    if (n == count) return factor;
  }
  return 0;
}

static bool check_multipliers(qn_arena *a, const qn_coded_tensor *t, uint64_t *out_factor,
                              uint32_t **out_mantissas) {
  if (!t->scales || !(t->ratio > 0) || !isfinite(t->ratio)) return false;
  uint32_t *mantissas = qn_alloc(a, t->bytes + 1);
  for (uint32_t i = 0; i < t->bytes / 4; i++) {
    memcpy(&mantissas[i], &t->scales[i], 4);
    mantissas[i] = (mantissas[i] & 0x7FFFFF) | 0x800000;
  }
  *out_factor = find_factor(t, mantissas);
  *out_mantissas = mantissas;
  return *out_factor != 0;
}

static bool has_minus_128(const qn_coded_tensor *t) {
  return memchr(t->data, 0x80, t->bytes) != NULL;
}

qn_coded_kind qn_check_coded(qn_arena *a, const qn_coded_tensor *t, uint64_t *out_factor,
                             uint32_t **out_mantissas) {
  *out_factor = 0;
  *out_mantissas = NULL;
  bool is_i32 = t->elem_bytes == 4 && t->bytes > 0;
  switch (t->kind) {
  case QN_CODED_WEIGHTS:
    return t->bytes > 0 && !has_minus_128(t) ? QN_CODED_WEIGHTS : QN_CODED_BYTES;
  case QN_CODED_MULTIPLIERS:
    if (is_i32 && check_multipliers(a, t, out_factor, out_mantissas)) return QN_CODED_MULTIPLIERS;
    return is_i32 ? QN_CODED_INTEGERS : QN_CODED_BYTES;
  case QN_CODED_INTEGERS: return t->bytes > 0 ? QN_CODED_INTEGERS : QN_CODED_BYTES;
  default: return QN_CODED_BYTES;
  }
}

bool qn_is_zero_row(const uint8_t *row, uint32_t cols, uint32_t step) {
  for (uint32_t k = 0; k < cols; k++)
    if (row[k * step]) return false;
  return true;
}

uint32_t qn_find_peak(const uint8_t *row, uint32_t cols, uint32_t step) {
  uint32_t k = 0;
  while (k < cols && row[k * step] != QN_CODEC_PEAK && row[k * step] != 256 - QN_CODEC_PEAK) k++;
  return k;
}

bool qn_has_peaks(const qn_coded_tensor *t) {
  uint32_t step = t->transposed ? t->rows : 1;
  for (uint32_t r = 0; r < t->rows; r++) {
    const uint8_t *row = (const uint8_t *)t->data + (t->transposed ? r : r * t->cols);
    if (!qn_is_zero_row(row, t->cols, step) && qn_find_peak(row, t->cols, step) == t->cols)
      return false;
  }
  return t->cols <= 1 << 16;
}

bool qn_is_one_image(qn_coded_tensor *tensors, int count) {
  bool one = true;
  for (int i = 1; i < count; i++) {
    if (tensors[i].image == tensors[0].image) continue;
    tensors[i].coded_bits = QN_NOT_CODED;
    one = false;
  }
  return one;
}

/* ------------------------------------------------------------------ raw */

bool qn_encode_raw(qn_arena *a, qn_coded_tensor *tensors, int count, qn_stream *out) {
  uint32_t bytes;
  const uint8_t *all = qn_build_images(a, tensors, count, &bytes);
  *out = (qn_stream){0};
  qn_coded_image *image = qn_list_images(a, tensors, count, all, out);
  uint8_t *stream = qn_alloc(a, bytes + (size_t)out->image_count * QN_CODEC_HEADER), *to = stream;
  for (int i = 0; i < count; i++) {
    tensors[i].coded_bits = 8 * (uint64_t)tensors[i].bytes;
    if (!qn_begins_image(tensors, i)) continue;
    to = qn_put_image(stream, to, image);
    memcpy(to, all + tensors[i].base, image->bytes);
    to += image++->bytes;
  }
  out->bytes = stream;
  out->size = (size_t)(to - stream);
  return true;
}
