/* Streams of every codec come back as the tensors they were made from, whatever these are, and
 * damaged ones are refused or harmless. Image, stream and scratch have exactly their sizes, so that
 * an address sanitizer sees any access beside them. */
#include "codec.h"
#include "../../codegen/encode.h"
#include "check.h"
#include <math.h>

enum { MOST = 64, SCRATCH = 32768 };

typedef struct {
  qn_coded_tensor at[MOST];
  int count;
  uint32_t image_bytes;
} image;

static void add(image *m, qn_coded_tensor t) {
  if (t.taps_h == 0) t.taps_h = t.taps_w = 1;
  m->at[m->count++] = t;
  m->image_bytes = qn_place_coded(m->at, m->count, true);
}

static void add_bytes(image *m, const void *data, uint32_t bytes, uint32_t elem_bytes) {
  add(m, (qn_coded_tensor){
             .data = data, .bytes = bytes, .elem_bytes = elem_bytes, .kind = QN_CODED_BYTES});
}

static void add_weights(image *m, const int8_t *w, uint32_t rows, uint32_t cols, bool transposed) {
  add(m, (qn_coded_tensor){.data = w,
                           .bytes = rows * cols,
                           .elem_bytes = 1,
                           .kind = QN_CODED_WEIGHTS,
                           .rows = rows,
                           .cols = cols,
                           .transposed = transposed});
}

static void add_integers(image *m, const void *data, uint32_t count, uint32_t elem_bytes) {
  add(m, (qn_coded_tensor){.data = data,
                           .bytes = count * elem_bytes,
                           .elem_bytes = elem_bytes,
                           .kind = QN_CODED_INTEGERS});
}

/* ------------------------------------------------------------------ what networks have */

/* Sums of 4 numbers have nearly a normal distribution, here with a deviation of 36: the entropy is
 * log2(36 * sqrt(2 pi e)) = 7.22 bits. */
static int8_t *gaussian(uint32_t bytes) {
  int8_t *x = buffer(bytes);
  for (uint32_t i = 0; i < bytes; i++)
    x[i] = (int8_t)((pick(-125, 125) + pick(-125, 125) + pick(-125, 125) + pick(-125, 125)) / 4);
  return x;
}

/* Each row's largest weight becomes 127 or -127; a row in 8 is all zeros. */
static int8_t *scaled_rows(uint32_t rows, uint32_t cols) {
  int8_t *x = gaussian(rows * cols);
  for (uint32_t r = 0; r < rows; r++) {
    int8_t *row = x + r * cols;
    for (uint32_t k = 0; k < cols; k++)
      if (row[k] > 126 || row[k] < -126) row[k] = 0;
    row[pick(0, (int32_t)cols - 1)] = pick(0, 1) ? 127 : -127;
    if (r % 8 == 7) memset(row, 0, cols);
  }
  return x;
}

/* A tap is 3/4 of the one above it or to its left, and noise. */
static int8_t *smooth_filters(uint32_t rows, uint32_t inputs) {
  uint32_t cols = 9 * inputs;
  int8_t *x = gaussian(rows * cols);
  for (uint32_t i = 0; i < rows * cols; i++) {
    uint32_t tap = i % cols / inputs, back = tap % 3 ? 1 : tap ? 3 : 0;
    if (back) x[i] = (int8_t)((3 * x[i - back * inputs] + x[i]) / 4);
  }
  return x;
}

static int8_t *transpose(const int8_t *x, uint32_t rows, uint32_t cols) {
  int8_t *y = buffer(rows * cols);
  for (uint32_t r = 0; r < rows; r++)
    for (uint32_t k = 0; k < cols; k++) y[k * rows + r] = x[r * cols + k];
  return y;
}

static int32_t *biases(uint32_t count, int32_t most) {
  int32_t *x = buffer(4 * count);
  for (uint32_t i = 0; i < count; i++) x[i] = pick(-most, most);
  return x;
}

/* As passes/multiplier.c computes them. */
static void add_multipliers(image *m, uint32_t count, double ratio, int32_t off) {
  float *scales = reals_of(count, 0.001f, 0.02f);
  int32_t *mul = buffer(4 * count);
  int exponent;
  for (uint32_t i = 0; i < count; i++)
    mul[i] = (int32_t)llround(ldexp(frexp(ratio * scales[i], &exponent), 31)) - off;
  add(m, (qn_coded_tensor){.data = mul,
                           .bytes = 4 * count,
                           .elem_bytes = 4,
                           .kind = QN_CODED_MULTIPLIERS,
                           .scales = scales,
                           .ratio = ratio});
}

static int8_t *shifts(uint32_t count) {
  int8_t *x = buffer(count);
  for (uint32_t i = 0; i < count; i++) x[i] = (int8_t)(6 + pick(0, 1) + pick(0, 1));
  return x;
}

static void add_layer(image *m, uint32_t rows, uint32_t inputs, bool smooth) {
  uint32_t cols = smooth ? 9 * inputs : inputs;
  add_weights(m, smooth ? smooth_filters(rows, inputs) : scaled_rows(rows, inputs), rows, cols,
              false);
  if (smooth) m->at[m->count - 1].taps_h = m->at[m->count - 1].taps_w = 3;
  add_integers(m, biases(rows, 20000), rows, 4);
  add_multipliers(m, rows, 0.37, 0);
  add_integers(m, shifts(rows), rows, 1);
}

/* ------------------------------------------------------------------ round trips */

static void *as_stored(const void *bytes, size_t size) {
  void *p = buffer(size);
  memcpy(p, bytes, size);
  return p;
}

static int32_t decode(const char *codec, const uint8_t *stream, size_t size, uint32_t start,
                      uint8_t *to, uint32_t bytes, uint32_t features) {
  static _Alignas(64) uint8_t room[SCRATCH];
  int32_t status = -1;
#define QN_CODEC(name, scratch_bytes, work, doc)                                                   \
  if (strcmp(codec, #name) == 0) {                                                                 \
    memset(room + scratch_bytes, 0x5A, SCRATCH - scratch_bytes);                                   \
    status = qn_decode_##name(stream, (uint32_t)size, start, to, bytes, room, features);           \
    uint32_t i = scratch_bytes;                                                                    \
    while (i < SCRATCH && room[i] == 0x5A) i++;                                                    \
    if (i < SCRATCH) expect("scratch", i, room[i], 0x5A);                                          \
  }
#include "codecs.def"
  return status;
}

static int differences(const image *m, const uint8_t *got) {
  int count = 0;
  for (int i = 0; i < m->count; i++)
    count += memcmp(m->at[i].data, got + m->at[i].offset, m->at[i].bytes) != 0;
  return count;
}

/* Bits per byte of tensor 0, or of all when there are several; -1 when the codec cannot say them.
 */
static double round_trip(const char *what, const qn_codec *c, image *m) {
  qn_arena a = {0};
  qn_stream s;
  double bits = 0, bytes = 0;
  if (!c->encode(&a, m->at, m->count, &s)) {
    int unsaid = 0;
    for (int i = 0; i < m->count; i++) unsaid += m->at[i].coded_bits == QN_NOT_CODED;
    expect("says which", 0, unsaid > 0, 1);
    qn_free_arena(&a);
    return -1;
  }
  uint8_t *stream = as_stored(s.bytes, s.size), *got = buffer(m->image_bytes);
  expect(what, 0,
         decode(c->name, stream, s.size, s.images[0].start, got, m->image_bytes, s.features),
         QUERN_OK);
  expect(what, 1, differences(m, got), 0);
  for (int i = 0; i < m->count; i++) {
    bits += (double)m->at[i].coded_bits;
    bytes += m->at[i].bytes;
  }
  double size = bits / 8 + (double)s.table_bytes;
  if (fabs(size - (double)s.size) > 16 + 20 * m->count) expect(what, (int64_t)s.size, size, 0);
  free(got);
  free(stream);
  qn_free_arena(&a);
  return bits / bytes;
}

static void expect_codec(const char *what, const qn_codec *c, image *m, double most) {
  double bits = round_trip(what, c, m);
  check_cases++;
  if (most < 0 ? bits < 0 : bits >= 0 && bits <= most) return;
  check_failures++;
  printf("%s by %s: got %.3f bits, at most %.3f wanted\n", what, c->name, bits, most);
}

/* At most so many bits by these codecs, -1 where one cannot say it; and by others whatever it
 * takes. Rans may not take more than huffman. */
static void expect_bits(const char *what, image *m, double huffman, double range) {
  for (const qn_codec *c = qn_codecs; c->name; c++) {
    if (strcmp(c->name, "raw") == 0)
      expect_codec(what, c, m, 8);
    else if (strcmp(c->name, "huffman") == 0 || strcmp(c->name, "rans") == 0)
      expect_codec(what, c, m, huffman);
    else if (strcmp(c->name, "range") == 0)
      expect_codec(what, c, m, range);
    else
      (void)round_trip(what, c, m);
  }
}

static const qn_codec *codec_named(const char *name) {
  const qn_codec *c = qn_codecs;
  while (strcmp(c->name, name) != 0) c++;
  return c;
}

static void check_weights(void) {
  image m = {0};
  add_weights(&m, gaussian(100000), 100, 1000, false);
  expect_bits("gaussian", &m, 7.30, 7.26);

  /* a peak costs log2(64) + 1 = 7 bits and a zero row about one: 7/8 * (7 + 63*7.2)/64 */
  m = (image){0};
  add_weights(&m, scaled_rows(256, 64), 256, 64, false);
  expect_bits("peaks and zero rows", &m, 6.40, 6.35);

  m = (image){0};
  add_weights(&m, transpose(scaled_rows(512, 9), 512, 9), 512, 9, true);
  expect_bits("depthwise", &m, 6.31, 6.2);

  /* the first tap's deviation is 36, the others' go down to 14; their errors' are 9. So 7.2 and 5.2
   * bits, on average 5.43; without prediction 6.2 */
  m = (image){0};
  add_weights(&m, gaussian(64), 1, 64, false);
  add_weights(&m, smooth_filters(64, 16), 64, 144, false);
  m.at[1].taps_h = m.at[1].taps_w = 3;
  expect_bits("3x3 filters", &m, 5.80, 5.62);

  int8_t *rows = buffer(256 * 64), *noise = gaussian(256 * 64);
  for (uint32_t i = 0; i < 256 * 64; i++)
    rows[i] = (int8_t)((i >= 640 ? 3 * rows[i - 640] / 4 : 0) + noise[i] / 4);
  m = (image){0};
  add_weights(&m, rows, 256, 64, false);
  expect_bits("rows repeat at a distance of 10", &m, 6.1, 5.42);

  m = (image){0};
  add_weights(&m, gaussian(70000), 1, 70000, false);
  expect_bits("a long row", &m, 7.30, 7.8);

  m = (image){0};
  add_weights(&m, memset(buffer(100000), 0, 100000), 1000, 100, false);
  expect_bits("zeros", &m, 0.03, 0.03);
  m = (image){0};
  add_weights(&m, bytes_of(100000), 100, 1000, false); /* has -128 */
  expect_bits("noise", &m, 9.2, 8.03);
}

static void check_others(void) {
  image m = {0};
  add_integers(&m, biases(1000, 1000), 1000, 4);
  expect_bits("integers below 1000", &m, 12.1 / 4, 12.2 / 4); /* 11 bits at least */
  m = (image){0};
  add_multipliers(&m, 1000, 0.37, 0);
  expect_bits("multipliers", &m, 23.2 / 4, 23.2 / 4);
  m = (image){0};
  add_multipliers(&m, 1000, 0.37, 3);
  expect_bits("not quite multipliers", &m, -1, 8.2);
  m = (image){0};
  add_integers(&m, shifts(1000), 1000, 1);
  expect_bits("shifts", &m, 2, 1.6); /* 1.5 bits at least */

  m = (image){0};
  int32_t corners[] = {INT32_MIN, INT32_MAX, 0, -1, 1, INT32_MIN, INT32_MIN + 1};
  add_integers(&m, corners, 7, 4);
  expect_bits("corners", &m, -1, 16);
  m = (image){0};
  add_bytes(&m, reals_of(10000, -1, 1), 40000, 4);
  expect_bits("floats", &m, -1, 7.0);
  m = (image){0};
  add_bytes(&m, bytes_of(100001), 100001, 1);
  expect_bits("noise", &m, 9.2, 8.03);
  m = (image){0};
  add_bytes(&m, bytes_of(5000), 5000, 2);
  expect_bits("noise", &m, -1, 8.35); /* few for 2 trees of 255 decisions */
  m = (image){0};
  add_bytes(&m, "x", 1, 1);
  expect_bits("one byte", &m, 1000, 1000);

  m = (image){0};
  add_layer(&m, 16, 27, false);
  add_layer(&m, 32, 16, true);
  add_layer(&m, 10, 65, false);
  add_layer(&m, 33, 2, true);
  add_layer(&m, 1, 1, false);
  expect_bits("layers", &m, 8.0, 8.0);

  /* predicted weights, multipliers, and numbers of more than 13 bits, whose tensors the decoder
   * bounds before it multiplies: a multiplier's factor is no number of phases */
  m = (image){0};
  add_layer(&m, 2, 9001, false);
  add_layer(&m, 64, 16, true);
  expect_bits("layers, one wide", &m, 8.0, 8.0);
}

/* 4 bytes precede a tensor, and a codebook. */
static void check_few(void) {
  for (uint32_t values = 1; values <= 256; values *= 2) {
    for (uint32_t more = 0; more < 2 && values + more <= 256; more++) {
      uint32_t count = values + more, index_bits = 1;
      uint8_t *x = buffer(4001);
      while (count > 1u << index_bits) index_bits++;
      for (uint32_t i = 0; i < 4001; i++)
        x[i] = (uint8_t)((i < count ? i : (uint32_t)pick(0, (int32_t)count - 1)) - 8);
      image m = {0};
      add_weights(&m, (int8_t *)x, 1, 4001, false);
      expect_codec("few values", codec_named("codebook"), &m,
                   (8.0 * (5 + count) + index_bits * 4001 + 7) / 4001);
      expect_codec("few values", codec_named("int4"), &m, count <= 16 ? 8.0 * 2005 / 4001 : -1);
    }
  }
}

/* Weights of at most 32 levels from -16 on get tables of these, and no rows where nothing in rows
 * differs: a code for 11 that are equally likely has 5 of 3 bits and 6 of 4, on average 3.55. With
 * a few rows that are much smaller, tables of their own pay for the code. */
static void check_levels(void) {
  static const int32_t lowest[] = {-5, -16, -16}, highest[] = {5, 15, 16};
  static const double most[] = {3.58, 5.05, 5.3};
  for (int way = 0; way < 3; way++) {
    int8_t *x = buffer(256 * 40);
    for (int i = 0; i < 256 * 40; i++)
      x[i] = (int8_t)(i < 100 ? highest[way] : pick(lowest[way], highest[way]));
    image m = {0};
    qn_arena a = {0};
    qn_stream s;
    add_weights(&m, x, 256, 40, way == 1);
    expect_codec("levels", codec_named("huffman"), &m, most[way]);
    if (!qn_encode_huffman(&a, m.at, m.count, &s)) exit(2);
    expect("levels", way, (s.features & QN_STATIC_LEVELS) != 0, way < 2);
    expect("flat", way, (s.features & QN_STATIC_FLAT) != 0, 1);
    for (int i = 0; i < 256 * 40; i++) x[i] = (int8_t)(i / 40 % 2 ? x[i] : x[i] / 8);
    if (!qn_encode_huffman(&a, m.at, m.count, &s)) exit(2);
    expect("rows", way, (s.features & QN_STATIC_FLAT) != 0, way == 1);
    qn_free_arena(&a);
  }
}

/* Images can be decoded in any order, each as if it were alone: a layer in four parts, the second
 * and the fourth of them transposed. */
static void check_images(void) {
  for (const qn_codec *c = qn_codecs; c->name; c++) {
    image m = {0};
    qn_arena a = {0};
    qn_stream s;
    int8_t *w = smooth_filters(16, 4);
    for (int32_t i = 0; i < 16 * 36; i++)
      w[i] = (int8_t)(strcmp(c->name, "int4") ? w[i] : w[i] / 16);
    for (uint32_t part = 0; part < 4; part++) {
      const int8_t *rows = w + part * 4 * 36;
      add_weights(&m, part % 2 ? transpose(rows, 4, 36) : rows, 4, 36, part % 2);
      m.at[m.count - 1].image = part + 7;
      add_integers(&m, "\1\2\3\4", 4, 1);
      m.at[m.count - 1].image = part + 7;
      (void)qn_place_coded(m.at, m.count, true);
    }
    bool coded = c->encode(&a, m.at, m.count, &s);
    expect("images", 0, coded, strcmp(c->name, "range") != 0 && strcmp(c->name, "rans") != 0);
    if (coded) expect("images", 1, s.image_count, 4);
    for (int part = 3; coded && part >= 0; part--) {
      uint32_t bytes = s.images[part].bytes;
      uint8_t *stream = as_stored(s.bytes, s.size), *got = buffer(bytes);
      expect("image", part,
             decode(c->name, stream, s.size, s.images[part].start, got, bytes, s.features),
             QUERN_OK);
      for (int i = 2 * part; i < 2 * part + 2; i++)
        expect("image's tensor", i, memcmp(got + m.at[i].offset, m.at[i].data, m.at[i].bytes), 0);
      expect("one byte on", part,
             decode(c->name, stream, s.size, s.images[part].start + 1, got, bytes, s.features),
             QUERN_ECORRUPT);
      expect("behind the end", part,
             decode(c->name, stream, s.size, (uint32_t)s.size - 3, got, bytes, s.features),
             QUERN_ECORRUPT);
      free(stream);
      free(got);
    }
    qn_free_arena(&a);
  }
}

/* ------------------------------------------------------------------ damage */

/* A small network of all kinds under codec c, in the arena. */
static void make_stream(qn_arena *a, const qn_codec *c, image *m, qn_stream *s) {
  uint64_t state = check_state;
  *m = (image){0};
  check_state = 5; /* the same for every caller */
  if (strcmp(c->name, "int4") == 0) {
    int8_t *few = gaussian(301);
    for (int i = 0; i < 301; i++) few[i] /= 16;
    add_weights(m, few, 7, 43, false);
    add_integers(m, few, 40, 1);
  } else {
    add_layer(m, 16, 8, false);
    add_layer(m, 8, 4, true);
  }
  check_state = state;
  if (!c->encode(a, m->at, m->count, s)) exit(2);
}

static void check_damage(void) {
  for (const qn_codec *c = qn_codecs; c->name; c++) {
    qn_arena a = {0};
    image m;
    qn_stream s;
    make_stream(&a, c, &m, &s);
    uint8_t *got = buffer(m.image_bytes), *stream = as_stored(s.bytes, s.size);
    for (size_t i = 0; i < s.size; i++) {
      for (int change = 1; change <= 256; change *= 2) { /* 256: all bits */
        stream[i] = (uint8_t)(s.bytes[i] ^ (change == 256 ? 255 : change));
        int32_t status =
            decode(c->name, stream, s.size, s.images[0].start, got, m.image_bytes, s.features);
        if (status == QUERN_OK) /* bits that the coder did not need */
          expect("damaged but accepted", (int64_t)i, differences(&m, got), 0);
        else
          expect("damaged", (int64_t)i, status, QUERN_ECORRUPT);
      }
      stream[i] = s.bytes[i];
    }
    for (size_t length = 0; length < s.size; length++) {
      uint8_t *part = as_stored(s.bytes, length);
      int32_t status =
          decode(c->name, part, length, s.images[0].start, got, m.image_bytes, s.features);
      if (status == QUERN_OK)
        expect("short but accepted", (int64_t)length, differences(&m, got), 0);
      else
        expect("short", (int64_t)length, status, QUERN_ECORRUPT);
      free(part);
    }
    expect("other image", 0,
           decode(c->name, stream, s.size, s.images[0].start, got, m.image_bytes - 4, s.features),
           QUERN_ECORRUPT);
    free(got);
    free(stream);
    qn_free_arena(&a);
  }
}

/* More phases than columns, which would be none of no weights: 1 00 00000 00001 00000 11111, a
 * matrix of 1 x 2 with 31 phases behind the first; behind the sum a table of zeros. */
static void check_phases(void) {
  static const uint8_t body[] = {0x80, 0x08, 0x3F};
  const uint32_t start = sizeof body;
  uint8_t *stream = buffer(start + QN_CODEC_HEADER + 1), *got = buffer(4);
  memset(stream, 0, start + QN_CODEC_HEADER + 1);
  for (uint32_t i = 0; i < sizeof body; i++) stream[start - 1 - i] = body[i];
  expect("phases", 0,
         decode("huffman", stream, start + QN_CODEC_HEADER + 1, start, got, 4,
                5 | QN_STATIC_PREDICTED),
         QUERN_ECORRUPT);
  free(got);
  free(stream);
}

/* Streams that no encoder makes: noise, or a good stream with a part of it overwritten. */
static void check_noise(int rounds) {
  for (const qn_codec *c = qn_codecs; c->name; c++) {
    qn_arena a = {0};
    image m;
    qn_stream s;
    make_stream(&a, c, &m, &s);
    for (int round = 0; round < rounds; round++) {
      uint32_t size = (uint32_t)pick(0, 80), bytes = 4 * (uint32_t)pick(1, 300);
      if (pick(0, 1)) size += (uint32_t)128 << pick(0, 3); /* tables */
      uint32_t features = (uint32_t)pick(0, (1 << 16) - 1) | (uint32_t)pick(0, (1 << 16) - 1) << 16;
      features |= 15u << QN_STATIC_LONGEST;
      if ((features >> 5 & 3) == 3) features -= 1 << 5; /* at most 4 tables */
      bool mutate = pick(0, 1);
      const uint32_t start = mutate ? s.images[0].start : (uint32_t)pick(0, 3) * 128;
      uint8_t *stream = mutate ? as_stored(s.bytes, s.size) : (uint8_t *)bytes_of(size);
      if (mutate) {
        size = (uint32_t)s.size;
        bytes = m.image_bytes;
        for (int n = pick(1, 4); n > 0; n--)
          stream[pick(0, (int32_t)size - 1)] = (uint8_t)pick(0, 255);
      } else if (size > start + 6 && pick(0, 1)) {
        memset(stream + start + 6, pick(0, 1) ? 0 : 255,
               size - start - 6); /* what could go on without end */
      }
      uint8_t *got = buffer(bytes);
      int32_t status =
          decode(c->name, stream, size, start, got, bytes, mutate ? s.features : features);
      if (status != QUERN_ECORRUPT) expect("noise", round, mutate && !differences(&m, got), 1);
      free(stream);
      free(got);
    }
    qn_free_arena(&a);
  }
}

/* The formats themselves: a change of encoder and decoder together must not go unnoticed. */
static void check_format(void) {
  for (const qn_codec *c = qn_codecs; c->name; c++) {
    image m = {0};
    qn_arena a = {0};
    qn_stream s;
    add_weights(&m, (const int8_t *)"\x7f\x01\xfe\0\0\0\0\0", 2, 4, false);
    add_integers(&m, "\1\2\3\4", 4, 1);
    if (strcmp(c->name, "int4") == 0) m.at[0] = m.at[1], m.count = 1, m.at[0].offset = 0;
    if (!c->encode(&a, m.at, m.count, &s)) exit(2);
    printf("%s:", c->name);
    for (size_t i = 0, n; i < s.size; i += n) { /* 00*4: four times 00 */
      for (n = 1; i + n < s.size && s.bytes[i + n] == s.bytes[i]; n++) {
      }
      printf(n > 1 ? " %02x*%u" : " %02x", s.bytes[i], (unsigned)n);
    }
    printf(" with %u\n", (unsigned)s.features);
    qn_free_arena(&a);
  }
}

/* Of 2^25 bytes and some, huffman leaves out what ends beyond: there positions could overflow. */
static void check_reach(void) {
  uint32_t rows = 8, cols = (1 << 22) + 1;
  image m = {0};
  qn_arena a = {0};
  qn_stream s;
  int8_t *large = buffer(rows * cols);
  memset(large, 1, rows * cols);
  add_weights(&m, (const int8_t *)"\1\2\3\4", 1, 4, false);
  add_weights(&m, large, rows, cols, false);
  for (const qn_codec *c = qn_codecs; c->name; c++) {
    if (strcmp(c->name, "huffman") != 0) continue;
    expect("reach", 0, c->encode(&a, m.at, m.count, &s), false);
    expect("reach", 1, m.at[0].coded_bits == QN_NOT_CODED, false);
    expect("reach", 2, m.at[1].coded_bits == QN_NOT_CODED, true);
  }
  qn_free_arena(&a);
  free(large);
}

/* [ROUNDS SEED]: fuzzing only, so many rounds for each decoder. */
int main(int argc, char **argv) {
  if (argc > 2) {
    check_state = (uint64_t)atoi(argv[2]);
    check_noise(atoi(argv[1]));
    return finish("noise");
  }
  check_format();
  check_weights();
  check_others();
  check_few();
  check_levels();
  check_images();
  check_damage();
  check_phases();
  check_reach();
  check_noise(3000);
  return finish("codecs");
}
