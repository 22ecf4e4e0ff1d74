/* Weights -> the streams of runtime/codec.h; the inverse of runtime/decode.c. For each tensor the
 * range coder's rate is chosen by coding the tensor at every rate and measuring; a tensor that no
 * rate makes smaller is coded plain. Deterministic: integers only. */
#include "encode.h"
#include <string.h>
#include "../runtime/codec.h"

const qn_codec qn_codecs[] = {
#define QN_CODEC(name, doc) {#name, doc, "qn_decode_" #name, qn_encode_##name},
#include "../runtime/codecs.def"
    {NULL, NULL, NULL, NULL}};

const qn_codec *qn_find_codec(const char *name) {
  for (const qn_codec *c = qn_codecs; c->name; c++)
    if (strcmp(c->name, name) == 0) return c;
  return NULL;
}

static void store_u32(uint8_t *at, uint32_t x) {
  for (int i = 0; i < 4; i++) at[i] = (uint8_t)(x >> 8 * i);
}

static void store_header(uint8_t *stream, size_t size, uint32_t image_bytes, uint32_t crc) {
  store_u32(stream, image_bytes);
  store_u32(stream + 4, (uint32_t)size);
  store_u32(stream + 8, crc);
}

static void copy_image(const qn_coded_tensor *tensors, int count, uint8_t *image) {
  for (int i = 0; i < count; i++)
    if (tensors[i].bytes) memcpy(image + tensors[i].offset, tensors[i].data, tensors[i].bytes);
}

/* ------------------------------------------------------------------ raw */

uint8_t *qn_encode_raw(qn_arena *a, const qn_coded_tensor *tensors, int count, uint32_t image_bytes,
                       size_t *out_size) {
  *out_size = (size_t)QN_CODEC_HEADER + image_bytes;
  uint8_t *stream = qn_alloc(a, *out_size);
  copy_image(tensors, count, stream + QN_CODEC_HEADER);
  store_header(stream, *out_size, image_bytes, qn_crc32(stream + QN_CODEC_HEADER, image_bytes));
  return stream;
}

/* ------------------------------------------------------------------ range */

/* low is the coder's interval's lower end: bits 0..31, and above them a carry into `held` and the
 * 0xFF bytes that follow it, which are not written until it is known whether a carry comes. */
typedef struct {
  uint16_t trees[QN_CODEC_TREES][256];
  uint32_t range;
  uint64_t shifts; /* bytes that the interval has been scaled by */
  uint64_t low;
  uint8_t held;
  uint64_t full; /* 0xFF bytes after held */
  uint8_t *at;   /* NULL: only count */
} coder;

static void shift_low(coder *c) {
  if (c->low < 0xFF000000 || c->low >> 32) {
    uint8_t carry = (uint8_t)(c->low >> 32);
    /* the first held byte is the 0 before the stream: decoders start behind it */
    if (c->shifts) *c->at++ = (uint8_t)(c->held + carry);
    for (; c->full; c->full--) *c->at++ = (uint8_t)(0xFF + carry);
    c->held = (uint8_t)(c->low >> 24);
  } else {
    c->full++;
  }
  c->low = (c->low & 0x00FFFFFF) << 8;
}

static void encode_bit(coder *c, uint16_t *chance, uint32_t rate, uint32_t bit) {
  uint32_t p = *chance, bound = (c->range >> 15) * (p >> 1);
  if (bit) {
    c->low += bound;
    c->range -= bound;
    p -= p >> rate;
  } else {
    c->range = bound;
    p += (65536 - p) >> rate;
  }
  *chance = (uint16_t)p;
  while (c->range < (uint32_t)1 << 24) {
    c->range <<= 8;
    if (c->at) shift_low(c);
    c->shifts++;
  }
}

static void encode_byte(coder *c, uint16_t tree[256], uint32_t rate, uint32_t byte) {
  uint32_t node = 1;
  for (int i = 7; i >= 0; i--) {
    uint32_t bit = byte >> i & 1;
    encode_bit(c, tree + (rate < QN_CODEC_NO_RATE ? node : 0), rate, bit);
    node = node << 1 | bit;
  }
}

static void encode_record(coder *c, uint32_t tree_bits, uint32_t rate, uint32_t gap,
                          uint32_t bytes) {
  uint32_t record = tree_bits | rate % QN_CODEC_NO_RATE << 2 | gap << 5 | bytes << 11;
  for (int i = 0; i < 4; i++) encode_byte(c, c->trees[0], QN_CODEC_NO_RATE, record >> 8 * i & 255);
}

static void encode_bytes(coder *c, uint32_t tree_bits, uint32_t rate, const uint8_t *data,
                         uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i++)
    encode_byte(c, c->trees[i & ((1u << tree_bits) - 1)], rate, data[i]);
}

/* Bits that the interval has shrunk by, to within one. */
static uint64_t coded_bits(const coder *c) {
  return 8 * c->shifts + (uint64_t)__builtin_clz(c->range);
}

static uint32_t choose_rate(const coder *c, uint32_t tree_bits, const uint8_t *data,
                            uint32_t bytes) {
  uint64_t least = coded_bits(c) + 8 * (uint64_t)bytes;
  uint32_t best = QN_CODEC_NO_RATE;
  for (uint32_t rate = QN_CODEC_RATE_MIN; rate <= QN_CODEC_RATE_MAX; rate++) {
    coder trial = *c;
    trial.at = NULL;
    encode_bytes(&trial, tree_bits, rate, data, bytes);
    if (coded_bits(&trial) < least) {
      least = coded_bits(&trial);
      best = rate;
    }
  }
  return best;
}

/* Ends the stream with the number of the interval that has most zeros behind, and drops those:
 * the decoder reads zeros past the end. Returns the end. */
static uint8_t *finish(coder *c, const uint8_t *start) {
  uint64_t last = c->low + c->range - 1, value = last;
  for (uint64_t mask = 0xFF; mask <= 0xFFFFFFFF; mask = mask << 8 | 0xFF)
    if ((last & ~mask) >= c->low) value = last & ~mask;
  c->low = value;
  for (int i = 0; i < 5; i++) {
    shift_low(c);
    c->shifts++;
  }
  while (c->at > start && c->at[-1] == 0) c->at--;
  return c->at;
}

static void encode_gap(coder *c, uint32_t gap) {
  for (; gap > QN_CODEC_GAP_MAX; gap -= QN_CODEC_GAP_MAX)
    encode_record(c, 0, QN_CODEC_NO_RATE, QN_CODEC_GAP_MAX, 0);
  if (gap) encode_record(c, 0, QN_CODEC_NO_RATE, gap, 0);
}

static void encode_tensor(coder *c, const qn_coded_tensor *t, uint32_t gap) {
  uint32_t tree_bits = t->elem_bytes >= 4 ? 2 : t->elem_bytes / 2;
  if (gap > QN_CODEC_GAP_MAX) {
    encode_gap(c, gap - gap % QN_CODEC_GAP_MAX);
    gap %= QN_CODEC_GAP_MAX;
  }
  for (uint32_t done = 0; done < t->bytes; gap = 0) {
    const uint8_t *data = (const uint8_t *)t->data + done;
    uint32_t bytes = t->bytes - done;
    if (bytes > QN_CODEC_BYTES_MAX) bytes = QN_CODEC_BYTES_MAX;
    uint32_t rate = choose_rate(c, tree_bits, data, bytes);
    encode_record(c, tree_bits, rate, gap, bytes);
    encode_bytes(c, tree_bits, rate, data, bytes);
    done += bytes;
  }
}

uint8_t *qn_encode_range(qn_arena *a, const qn_coded_tensor *tensors, int count,
                         uint32_t image_bytes, size_t *out_size) {
  /* Plain bytes cost at most 1 + 2^-8 bits per bit, since bound is at least range / 2 - 2^14. A
   * record is 4 of them; there is one per tensor, one per 2^20 bytes and two more per 63 of gap. */
  size_t most = QN_CODEC_HEADER + 16 + (size_t)image_bytes / 8 * 9 + 5 * (size_t)count +
                image_bytes / (QN_CODEC_GAP_MAX / 10);
  uint8_t *stream = qn_alloc(a, most), *image = qn_alloc(a, image_bytes + 1);
  copy_image(tensors, count, image);

  coder *c = qn_alloc(a, sizeof *c);
  for (int tree = 0; tree < QN_CODEC_TREES; tree++)
    for (int i = 0; i < 256; i++) c->trees[tree][i] = QN_CODEC_HALF;
  c->range = 0xFFFFFFFF;
  c->at = stream + QN_CODEC_HEADER;
  uint32_t at = 0;
  for (int i = 0; i < count; i++) {
    if (tensors[i].bytes == 0) continue;
    encode_tensor(c, &tensors[i], tensors[i].offset - at);
    at = tensors[i].offset + tensors[i].bytes;
  }
  encode_gap(c, image_bytes - at);
  *out_size = (size_t)(finish(c, stream + QN_CODEC_HEADER) - stream);
  store_header(stream, *out_size, image_bytes, qn_crc32(image, image_bytes));
  return stream;
}
