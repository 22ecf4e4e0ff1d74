/* FlatBuffers, read with every offset checked; the format stands in flatbuffer.h. Bytes are put
 * together one by one: a file's offsets need not be aligned, nor the machine little endian. */
#include <stdarg.h>
#include <string.h>
#include "flatbuffer.h"

/* Reports the first error of a file; later ones follow from it. */
QN_PRINTF(3, 4) static void fail(qn_fb *fb, size_t at, const char *format, ...) {
  if (fb->status != QN_OK) return;
  char text[200];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  fb->status = qn_error(fb->src, qn_byte(at), "%s", text);
}

static bool is_inside(const qn_fb *fb, size_t at, uint64_t bytes) {
  return at <= fb->src->size && bytes <= fb->src->size - at;
}

static uint64_t load(const qn_fb *fb, size_t at, int bytes) {
  uint64_t x = 0;
  for (int i = 0; i < bytes; i++) x |= (uint64_t)(unsigned char)fb->src->text[at + i] << (8 * i);
  return x;
}

static int64_t load_signed(const qn_fb *fb, size_t at, int bytes) {
  uint64_t x = load(fb, at, bytes), sign = (uint64_t)1 << (8 * bytes - 1);
  return (int64_t)((x ^ sign) - sign);
}

static float load_float(const qn_fb *fb, size_t at) {
  uint32_t bits = (uint32_t)load(fb, at, 4);
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* What the distance at `from` points to; the caller compares it with the file's size. */
static size_t follow(const qn_fb *fb, size_t from) { return from + (size_t)load(fb, from, 4); }

static qn_fb_table open_table(qn_fb *fb, size_t from) {
  const qn_fb_table absent = {0};
  if (fb->status != QN_OK) return absent;
  size_t at = follow(fb, from);
  if (!is_inside(fb, at, 4)) {
    fail(fb, from, "a table starts at byte %zu, outside the file of %zu bytes", at, fb->src->size);
    return absent;
  }
  int64_t vtable = (int64_t)at - load_signed(fb, at, 4);
  if (vtable < 0 || !is_inside(fb, (size_t)vtable, 4)) {
    fail(fb, at, "the table's description is at byte %lld, outside the file of %zu bytes",
         (long long)vtable, fb->src->size);
    return absent;
  }
  qn_fb_table t = {.at = at, .vtable = (size_t)vtable};
  t.vtable_bytes = (uint32_t)load(fb, t.vtable, 2);
  t.bytes = (uint32_t)load(fb, t.vtable + 2, 2);
  if (t.vtable_bytes < 4 || t.vtable_bytes % 2 || !is_inside(fb, t.vtable, t.vtable_bytes)) {
    fail(fb, t.vtable, "a table's description takes %u bytes, the file has %zu", t.vtable_bytes,
         fb->src->size);
    return absent;
  }
  if (t.bytes < 4 || !is_inside(fb, at, t.bytes)) {
    fail(fb, at, "a table takes %u bytes, the file has %zu", t.bytes, fb->src->size);
    return absent;
  }
  return t;
}

/* Where the field's bytes are; 0: left out. */
static size_t find_field(qn_fb *fb, const qn_fb_table *t, int field, int bytes) {
  uint32_t slot = 4 + 2 * (uint32_t)field;
  if (fb->status != QN_OK || t->at == 0 || slot + 2 > t->vtable_bytes) return 0;
  uint32_t offset = (uint32_t)load(fb, t->vtable + slot, 2);
  if (offset == 0) return 0;
  if (offset < 4 || offset + (uint32_t)bytes > t->bytes) {
    fail(fb, t->vtable + slot, "field %d is at %u of a table of %u bytes", field, offset, t->bytes);
    return 0;
  }
  return t->at + offset;
}

qn_fb_table qn_fb_root(qn_fb *fb, const char letters[4], const char *kind) {
  if (fb->src->size < 8 || memcmp(fb->src->text + 4, letters, 4) != 0) {
    fail(fb, 0, "not a %s file: bytes 4 to 7 must be '%.4s'", kind, letters);
    return (qn_fb_table){0};
  }
  return open_table(fb, 0);
}

int64_t qn_fb_int(qn_fb *fb, const qn_fb_table *t, int field, int bytes, int64_t absent) {
  size_t at = find_field(fb, t, field, bytes);
  return at ? load_signed(fb, at, bytes) : absent;
}

uint64_t qn_fb_uint(qn_fb *fb, const qn_fb_table *t, int field, int bytes, uint64_t absent) {
  size_t at = find_field(fb, t, field, bytes);
  return at ? load(fb, at, bytes) : absent;
}

float qn_fb_float(qn_fb *fb, const qn_fb_table *t, int field, float absent) {
  size_t at = find_field(fb, t, field, 4);
  return at ? load_float(fb, at) : absent;
}

qn_fb_table qn_fb_child(qn_fb *fb, const qn_fb_table *t, int field) {
  size_t at = find_field(fb, t, field, 4);
  return at ? open_table(fb, at) : (qn_fb_table){0};
}

qn_fb_vector qn_fb_list(qn_fb *fb, const qn_fb_table *t, int field, int elem_bytes) {
  const qn_fb_vector absent = {0};
  size_t field_at = find_field(fb, t, field, 4);
  if (field_at == 0) return absent;
  size_t at = follow(fb, field_at);
  if (!is_inside(fb, at, 4)) {
    fail(fb, field_at, "a list starts at byte %zu, outside the file of %zu bytes", at,
         fb->src->size);
    return absent;
  }
  qn_fb_vector v = {.at = at + 4, .count = (uint32_t)load(fb, at, 4), .elem_bytes = elem_bytes};
  if (!is_inside(fb, v.at, (uint64_t)v.count * (uint64_t)elem_bytes)) {
    fail(fb, at, "a list of %u elements of %d bytes does not fit into the file of %zu bytes",
         v.count, elem_bytes, fb->src->size);
    return absent;
  }
  return v;
}

static size_t element(const qn_fb_vector *v, uint32_t i) {
  return v->at + (size_t)i * (size_t)v->elem_bytes;
}

int64_t qn_fb_int_at(const qn_fb *fb, const qn_fb_vector *v, uint32_t i) {
  return load_signed(fb, element(v, i), v->elem_bytes);
}

float qn_fb_float_at(const qn_fb *fb, const qn_fb_vector *v, uint32_t i) {
  return load_float(fb, element(v, i));
}

qn_fb_table qn_fb_table_at(qn_fb *fb, const qn_fb_vector *v, uint32_t i) {
  return open_table(fb, element(v, i));
}
