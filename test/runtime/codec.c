/* Streams of every codec come back as the image they were made from, whatever the tensors are, and
 * damaged ones are refused or harmless. Image and stream have exactly their sizes, so that an
 * address sanitizer sees any access beside them. */
#include "codec.h"
#include "../../codegen/encode.h"
#include "check.h"

enum { MOST = 8 };

typedef struct {
  qn_coded_tensor at[MOST];
  int count;
  uint32_t image_bytes;
} image;

static void add(image *m, const void *data, uint32_t bytes, uint32_t elem_bytes, uint32_t gap) {
  m->at[m->count++] = (qn_coded_tensor){data, bytes, m->image_bytes + gap, elem_bytes};
  m->image_bytes += gap + bytes;
}

/* Sums of 4 numbers have nearly a normal distribution, here with a deviation of 36: the entropy is
 * log2(36 * sqrt(2 pi e)) = 7.22 bits. */
static int8_t *gaussian(uint32_t bytes) {
  int8_t *x = buffer(bytes);
  for (uint32_t i = 0; i < bytes; i++)
    x[i] = (int8_t)((pick(-125, 125) + pick(-125, 125) + pick(-125, 125) + pick(-125, 125)) / 4);
  return x;
}

static uint8_t *as_stored(const uint8_t *bytes, size_t size) {
  uint8_t *p = buffer(size);
  memcpy(p, bytes, size);
  return p;
}

static int32_t decode(const char *codec, const uint8_t *stream, size_t size, uint8_t *to,
                      uint32_t bytes) {
#define QN_CODEC(name, doc)                                                                        \
  if (strcmp(codec, #name) == 0) return qn_decode_##name(stream, (uint32_t)size, to, bytes);
#include "codecs.def"
  return -1;
}

static void compare_image(const char *what, const image *m, const uint8_t *got) {
  uint8_t *want = calloc(1, m->image_bytes + 1);
  if (!want) exit(2);
  for (int i = 0; i < m->count; i++)
    if (m->at[i].bytes) memcpy(want + m->at[i].offset, m->at[i].data, m->at[i].bytes);
  expect(what, 0, memcmp(want, got, m->image_bytes), 0);
  free(want);
}

/* Returns the stream's size under codec range. */
static size_t round_trip(const char *what, const image *m) {
  size_t range_size = 0;
  for (const qn_codec *c = qn_codecs; c->name; c++) {
    qn_arena a = {0};
    size_t size;
    uint8_t *coded = c->encode(&a, m->at, m->count, m->image_bytes, &size);
    uint8_t *stream = as_stored(coded, size), *got = buffer(m->image_bytes);
    expect(what, 1, decode(c->name, stream, size, got, m->image_bytes), QUERN_OK);
    compare_image(what, m, got);
    if (strcmp(c->name, "range") == 0) range_size = size;
    free(got);
    free(stream);
    qn_free_arena(&a);
  }
  return range_size;
}

static void check_round_trips(void) {
  image m = {0};
  round_trip("empty", &m);
  add(&m, NULL, 0, 1, 0);
  round_trip("empty tensor", &m);
  add(&m, "x", 1, 1, 0);
  round_trip("one byte", &m);
  m = (image){.image_bytes = 200};
  round_trip("only a gap", &m);

  const uint32_t many = 100000;
  uint8_t *constant = buffer(many);
  m = (image){0};
  add(&m, constant, many, 1, 0);
  expect("constant: under 1 %", 0, round_trip("constant", &m) < many / 100, 1);
  m = (image){0};
  add(&m, bytes_of(many), many, 1, 0);
  expect("random: at most 0.1 % more", 0, round_trip("random", &m) < many + many / 1000, 1);
  m = (image){0};
  add(&m, gaussian(many), many, 1, 0);
  size_t size = round_trip("gaussian", &m);
  expect("gaussian: 7.15 to 7.3 bits", 0, size > many / 8 * 7.15 && size < many / 8 * 7.3, 1);

  m = (image){0};
  add(&m, gaussian(3000), 3000, 1, 0);
  add(&m, reals_of(250, -1, 1), 1000, 4, 24);
  add(&m, bytes_of(7), 7, 1, 63);
  add(&m, gaussian(514), 514, 2, 64);
  add(&m, reals_of(100, 0, 1), 400, 8, 1000);
  add(&m, gaussian(65), 65, 1, 126);
  m.image_bytes += 777;
  round_trip("mixed", &m);

  m = (image){0}; /* longer than a record can say */
  add(&m, buffer(2 * QN_CODEC_BYTES_MAX + 4), 2 * QN_CODEC_BYTES_MAX + 4, 4, 5);
  round_trip("long", &m);
}

/* The format itself: a change of encoder and decoder together must not go unnoticed. 5 bytes of gap
 * and 12 zeros: the image has 17 = 0x11 bytes with CRC-32 0xC9EFF1BD (zlib's), the stream 15 =
 * 0x0F. The record at rate 3 is 12 << 11 | 5 << 5 | 3 << 2 = 0x000060AC, and plain bytes leave an
 * interval that starts a little below them, the range being 2^32 - 1 and not 2^32: AC 5F ..; 96
 * bits that are more and more certain to be 0 take one byte more. */
static void check_format(void) {
  expect("crc of 123456789", 0, qn_crc32((const uint8_t *)"123456789", 9), 0xCBF43926);
  image m = {0};
  qn_arena a = {0};
  add(&m, "\0\0\0\0\0\0\0\0\0\0\0\0", 12, 1, 5);
  size_t size;
  const uint8_t *stream = qn_encode_range(&a, m.at, m.count, m.image_bytes, &size);
  printf("format:");
  for (size_t i = 0; i < size; i++) printf(" %02x", stream[i]);
  printf("\n");
  qn_free_arena(&a);
}

static void check_damage(void) {
  image m = {0};
  qn_arena a = {0};
  add(&m, gaussian(150), 150, 1, 0);
  add(&m, reals_of(20, -1, 1), 80, 4, 2);
  m.image_bytes += 3;
  for (const qn_codec *c = qn_codecs; c->name; c++) {
    size_t size;
    uint8_t *coded = c->encode(&a, m.at, m.count, m.image_bytes, &size);
    uint8_t *got = buffer(m.image_bytes), *stream = as_stored(coded, size);
    for (size_t i = 0; i < size; i++) {
      for (int change = 1; change < 256; change++) {
        stream[i] = (uint8_t)(coded[i] ^ change);
        int32_t status = decode(c->name, stream, size, got, m.image_bytes);
        if (status == QUERN_OK) /* bits that the coder did not need */
          compare_image("damaged but accepted", &m, got);
        else
          expect("damaged", (int64_t)i, status, QUERN_ECORRUPT);
      }
      stream[i] = coded[i];
    }
    for (size_t length = 0; length < size; length++) {
      uint8_t *part = as_stored(coded, length);
      expect("truncated", (int64_t)length, decode(c->name, part, length, got, m.image_bytes),
             QUERN_ECORRUPT);
      free(part);
    }
    expect("other image", 0, decode(c->name, stream, size, got, m.image_bytes - 1), QUERN_ECORRUPT);
  }
  qn_free_arena(&a);
}

/* Streams that no encoder makes: any bytes behind a header of the right sizes. */
static void check_noise(void) {
  for (int round = 0; round < 3000; round++) {
    uint32_t size = (uint32_t)pick(QN_CODEC_HEADER, 60), bytes = (uint32_t)pick(0, 300);
    uint8_t *stream = (uint8_t *)bytes_of(size), *got = buffer(bytes);
    for (int i = 0; i < 4; i++) {
      stream[i] = (uint8_t)(bytes >> 8 * i);
      stream[4 + i] = (uint8_t)(size >> 8 * i);
    }
    /* zeros behind a short start make records that a decoder could follow without end */
    if (pick(0, 1)) memset(stream + QN_CODEC_HEADER, pick(0, 1) ? 0 : 255, size - QN_CODEC_HEADER);
    int32_t status = qn_decode_range(stream, size, got, bytes);
    expect("noise", round, status == QUERN_OK && bytes > 0, 0);
    free(stream);
    free(got);
  }
}

int main(void) {
  check_format();
  check_round_trips();
  check_damage();
  check_noise();
  return finish("codecs");
}
