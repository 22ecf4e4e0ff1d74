/* NumPy's .npy files, versions 1.0 to 3.0.
 *
 *   6 bytes  \x93NUMPY
 *   2 bytes  version: major, minor
 *   u16 or, from version 2 on, u32: bytes of the header
 *   header   {'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), } and spaces, a newline
 *   data     dense, nothing behind it
 *
 * The header is a Python literal; exactly the three keys are taken, in any order. Little endian and
 * row major only. Source: NumPy's documentation, numpy.lib.format. */
#include <string.h>
#include "frontend.h"

static const char magic[] = "\x93NUMPY";
enum { MAGIC_BYTES = 6, ALIGNMENT = 64 };

static const struct {
  const char *descr;
  qn_elem elem;
} formats[] = {{"<f4", QN_f32}, {"<f2", QN_f16}, {"|i1", QN_i8},  {"|u1", QN_u8},
               {"<i2", QN_i16}, {"<i4", QN_i32}, {"<i8", QN_i64}, {"|b1", QN_bool}};
enum { FORMAT_COUNT = sizeof formats / sizeof formats[0] };

const void *qn_align_data(qn_arena *a, const void *data, size_t bytes) {
  if ((uintptr_t)data % 16 == 0) return data;
  return memcpy(qn_alloc(a, bytes), data, bytes);
}

/* ------------------------------------------------------------------ header */

typedef struct {
  const qn_source *src;
  size_t at, end; /* of what is left of the header */
} cursor;

static qn_status fail(const cursor *c, const char *what) {
  return qn_error(c->src, qn_byte(c->at), "%s in the .npy header", what);
}

static void skip_spaces(cursor *c) {
  while (c->at < c->end && (c->src->text[c->at] == ' ' || c->src->text[c->at] == '\n')) c->at++;
}

static bool take(cursor *c, const char *word) {
  skip_spaces(c);
  size_t size = strlen(word);
  if (size > c->end - c->at || memcmp(c->src->text + c->at, word, size) != 0) return false;
  c->at += size;
  return true;
}

/* A string in single or double quotes, of at most size - 1 bytes, without escapes. */
static qn_status take_string(cursor *c, char *out, size_t size) {
  skip_spaces(c);
  char quote = c->at < c->end ? c->src->text[c->at] : 0;
  if (quote != '\'' && quote != '"') return fail(c, "a string is missing");
  size_t start = ++c->at;
  while (c->at < c->end && c->src->text[c->at] != quote) c->at++;
  if (c->at == c->end || c->at - start >= size)
    return fail(c, "a string is too long or does not end");
  memcpy(out, c->src->text + start, c->at - start);
  out[c->at - start] = 0;
  c->at++;
  return QN_OK;
}

static qn_status take_descr(cursor *c, qn_elem *out) {
  char descr[32] = "";
  skip_spaces(c);
  if (c->at < c->end && c->src->text[c->at] == '[')
    return fail(c, "records are not supported: 'descr' is a list");
  size_t at = c->at;
  QN_TRY(take_string(c, descr, sizeof descr));
  for (int i = 0; i < FORMAT_COUNT; i++) {
    bool one_byte = formats[i].descr[0] == '|'; /* byte order means nothing */
    if (strcmp(descr + 1, formats[i].descr + 1) != 0) continue;
    if (descr[0] == formats[i].descr[0] || (one_byte && (descr[0] == '<' || descr[0] == '>'))) {
      *out = formats[i].elem;
      return QN_OK;
    }
    if (descr[0] == '>')
      return qn_error(c->src, qn_byte(at), "'%s' is big endian, only little endian is supported",
                      descr);
  }
  return qn_error(c->src, qn_byte(at),
                  "element type '%s' is none of <f4 <f2 |i1 |u1 <i2 <i4 <i8 |b1", descr);
}

static qn_status take_dim(cursor *c, int64_t *out) {
  skip_spaces(c);
  size_t start = c->at;
  int64_t x = 0;
  for (; c->at < c->end && c->src->text[c->at] >= '0' && c->src->text[c->at] <= '9'; c->at++)
    if (x <= QN_MAX_COUNT) x = x * 10 + (c->src->text[c->at] - '0');
  if (c->at == start) return fail(c, "a dim is missing");
  *out = x;
  return QN_OK;
}

static qn_status take_shape(cursor *c, qn_type *type) {
  skip_spaces(c);
  size_t at = c->at;
  if (!take(c, "(")) return fail(c, "'shape' is no tuple");
  while (!take(c, ")")) {
    if (type->rank == QN_MAX_RANK)
      return qn_error(c->src, qn_byte(at), "more than %d dims", QN_MAX_RANK);
    QN_TRY(take_dim(c, &type->dim[type->rank++]));
    if (take(c, ")")) break;
    if (!take(c, ",")) return fail(c, "',' or ')' is missing");
  }
  int64_t count;
  if (!qn_checked_count(type->dim, type->rank, &count))
    return qn_error(c->src, qn_byte(at), "dims must be at least 1, their product at most %lld",
                    (long long)QN_MAX_COUNT);
  return QN_OK;
}

static qn_status take_order(cursor *c) {
  if (take(c, "False")) return QN_OK;
  if (take(c, "True")) return fail(c, "column major order ('fortran_order') is not supported");
  return fail(c, "'fortran_order' is neither True nor False");
}

static qn_status take_header(cursor *c, qn_type *type) {
  static const char *const keys[] = {"descr", "fortran_order", "shape"};
  bool seen[3] = {false};
  if (!take(c, "{")) return fail(c, "'{' is missing");
  while (!take(c, "}")) {
    char key[16];
    skip_spaces(c);
    size_t at = c->at;
    QN_TRY(take_string(c, key, sizeof key));
    int k = 0;
    while (k < 3 && strcmp(key, keys[k]) != 0) k++;
    if (k == 3 || seen[k])
      return qn_error(c->src, qn_byte(at), "key '%s' is %s in the .npy header", key,
                      k == 3 ? "unknown" : "twice");
    seen[k] = true;
    if (!take(c, ":")) return fail(c, "':' is missing");
    QN_TRY(k == 0 ? take_descr(c, &type->elem) : k == 1 ? take_order(c) : take_shape(c, type));
    if (take(c, "}")) break;
    if (!take(c, ",")) return fail(c, "',' or '}' is missing");
  }
  for (int k = 0; k < 3; k++)
    if (!seen[k])
      return qn_error(c->src, qn_byte(c->at), "key '%s' is missing in the .npy header", keys[k]);
  skip_spaces(c);
  return c->at == c->end ? QN_OK : fail(c, "something follows '}'");
}

/* ------------------------------------------------------------------ files */

/* Where the header starts and ends. */
static qn_status find_header(const qn_source *src, cursor *out) {
  if (src->size < MAGIC_BYTES + 4 || memcmp(src->text, magic, MAGIC_BYTES) != 0)
    return qn_error(src, qn_byte(0), "not a .npy file: it must start with \\x93NUMPY");
  const unsigned char *p = (const unsigned char *)src->text + MAGIC_BYTES;
  if (p[0] < 1 || p[0] > 3 || p[1] != 0)
    return qn_error(src, qn_byte(MAGIC_BYTES), "version %d.%d of .npy, supported are 1.0 to 3.0",
                    p[0], p[1]);
  size_t at = MAGIC_BYTES + (p[0] == 1 ? 4 : 6);
  if (src->size < at) return qn_error(src, qn_byte(src->size), "the file ends before its header");
  size_t bytes = (size_t)p[2] | (size_t)p[3] << 8;
  if (p[0] > 1) bytes |= (size_t)p[4] << 16 | (size_t)p[5] << 24;
  if (bytes > src->size - at)
    return qn_error(src, qn_byte(MAGIC_BYTES + 2), "a header of %zu bytes, %zu are left", bytes,
                    src->size - at);
  *out = (cursor){src, at, at + bytes};
  return QN_OK;
}

qn_status qn_read_npy(qn_arena *a, const qn_source *src, qn_type *out_type, const void **out_data) {
  cursor c;
  QN_TRY(find_header(src, &c));
  qn_type type = {0};
  QN_TRY(take_header(&c, &type));
  size_t bytes = (size_t)qn_bytes(&type);
  if (src->size - c.end != bytes)
    return qn_error(src, qn_byte(c.end), "%zu bytes of data, %s takes %zu", src->size - c.end,
                    qn_type_text(a, &type), bytes);
  *out_type = type;
  *out_data = qn_align_data(a, src->text + c.end, bytes);
  return QN_OK;
}

/* The header's text, padded so that the data is aligned. */
static const char *make_header(qn_arena *a, const char *descr, const qn_type *type) {
  const char *shape = "";
  for (int i = 0; i < type->rank; i++)
    shape = qn_format(a, i ? "%s, %lld" : "%s%lld", shape, (long long)type->dim[i]);
  char *text = qn_format(a, "{'descr': '%s', 'fortran_order': False, 'shape': (%s%s), }", descr,
                         shape, type->rank == 1 ? "," : "");
  int used = MAGIC_BYTES + 4 + (int)strlen(text) + 1;
  return qn_format(a, "%s%*s\n", text, (ALIGNMENT - used % ALIGNMENT) % ALIGNMENT, "");
}

qn_status qn_encode_npy(qn_arena *a, const qn_type *type, const void *data, qn_output *out) {
  const char *descr = NULL;
  for (int i = 0; i < FORMAT_COUNT; i++)
    if (formats[i].elem == type->elem) descr = formats[i].descr;
  if (!descr)
    return qn_io_error(out->path, ".npy has no element type %s", qn_elem_name(type->elem));

  const char *header = make_header(a, descr, type);
  size_t header_bytes = strlen(header), start = MAGIC_BYTES + 4 + header_bytes;
  size_t bytes = (size_t)qn_bytes(type);
  char *file = qn_alloc(a, start + bytes);
  memcpy(file, magic, MAGIC_BYTES);
  file[MAGIC_BYTES] = 1;
  file[MAGIC_BYTES + 2] = (char)(header_bytes & 255);
  file[MAGIC_BYTES + 3] = (char)(header_bytes >> 8);
  memcpy(file + MAGIC_BYTES + 4, header, header_bytes);
  memcpy(file + start, data, bytes);
  out->data = file;
  out->size = start + bytes;
  return QN_OK;
}
