/* Protocol buffers' wire format, read with every length checked; the format stands in protobuf.h.
 * Bytes are put together one by one, so that alignment and the machine's byte order do not matter.
 */
#include <stdarg.h>
#include <string.h>
#include "protobuf.h"

enum { WIRE_VARINT = 0, WIRE_8 = 1, WIRE_BYTES = 2, WIRE_4 = 5, MOST_VARINT_BYTES = 10 };

/* Reports the first error of a file; later ones follow from it. */
QN_PRINTF(3, 4) static void fail(qn_pb *pb, size_t at, const char *format, ...) {
  if (pb->status != QN_OK) return;
  char text[200];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  pb->status = qn_error(pb->src, qn_byte(at), "%s", text);
}

static void skip(qn_pb_bytes *rest, size_t bytes) {
  rest->at += bytes;
  rest->size -= bytes;
}

static bool take_varint(qn_pb *pb, qn_pb_bytes *rest, uint64_t *out) {
  uint64_t x = 0;
  for (size_t i = 0; i < MOST_VARINT_BYTES && i < rest->size; i++) {
    unsigned char byte = (unsigned char)pb->src->text[rest->at + i];
    x |= (uint64_t)(byte & 127) << (7 * i);
    if (byte < 128) {
      skip(rest, i + 1);
      *out = x;
      return true;
    }
  }
  fail(pb, rest->at, "a number of more than %zu bytes",
       rest->size < MOST_VARINT_BYTES ? rest->size : (size_t)MOST_VARINT_BYTES);
  return false;
}

/* A block of so many bytes, which must be left. */
static bool take_bytes(qn_pb *pb, qn_pb_bytes *rest, size_t at, uint64_t bytes, qn_pb_bytes *out) {
  if (bytes > rest->size) {
    fail(pb, at, "a field of %llu bytes where %zu are left", (unsigned long long)bytes, rest->size);
    return false;
  }
  *out = (qn_pb_bytes){.at = rest->at, .size = (size_t)bytes};
  skip(rest, (size_t)bytes);
  return true;
}

static uint64_t load(const qn_pb *pb, qn_pb_bytes b) {
  uint64_t x = 0;
  for (size_t i = 0; i < b.size; i++)
    x |= (uint64_t)(unsigned char)pb->src->text[b.at + i] << (8 * i);
  return x;
}

qn_pb_bytes qn_pb_root(const qn_pb *pb) { return (qn_pb_bytes){.at = 0, .size = pb->src->size}; }

bool qn_pb_next(qn_pb *pb, qn_pb_bytes *rest, qn_pb_field *out) {
  if (pb->status != QN_OK || rest->size == 0) return false;
  *out = (qn_pb_field){.at = rest->at};
  uint64_t tag, bytes;
  if (!take_varint(pb, rest, &tag)) return false;
  out->wire = (int)(tag & 7);
  if (tag >> 3 == 0 || tag >> 3 > INT32_MAX) {
    fail(pb, out->at, "field number %llu", (unsigned long long)(tag >> 3));
    return false;
  }
  out->number = (int)(tag >> 3);
  switch (out->wire) {
  case WIRE_VARINT: return take_varint(pb, rest, &out->value);
  case WIRE_BYTES:
    return take_varint(pb, rest, &bytes) && take_bytes(pb, rest, out->at, bytes, &out->bytes);
  case WIRE_8:
  case WIRE_4:
    if (!take_bytes(pb, rest, out->at, out->wire == WIRE_8 ? 8 : 4, &out->bytes)) return false;
    out->value = load(pb, out->bytes);
    return true;
  default: fail(pb, out->at, "wire type %d in field %d", out->wire, out->number); return false;
  }
}

/* Whether it is the field that was asked for; an error when that has another form. */
static bool is_field(qn_pb *pb, const qn_pb_field *f, int number, int wire) {
  if (f->number != number) return false;
  if (f->wire == wire) return true;
  fail(pb, f->at, "field %d has wire type %d, it must be %d", number, f->wire, wire);
  return false;
}

bool qn_pb_next_bytes(qn_pb *pb, qn_pb_bytes *rest, int number, qn_pb_bytes *out) {
  qn_pb_field f;
  while (qn_pb_next(pb, rest, &f)) {
    if (!is_field(pb, &f, number, WIRE_BYTES)) continue;
    *out = f.bytes;
    return true;
  }
  return false;
}

/* The last field of that number; false when there is none. */
static bool find_field(qn_pb *pb, qn_pb_bytes message, int number, int wire, qn_pb_field *out) {
  bool found = false;
  qn_pb_field f;
  while (qn_pb_next(pb, &message, &f)) {
    if (!is_field(pb, &f, number, wire)) continue;
    *out = f;
    found = true;
  }
  return found && pb->status == QN_OK;
}

int64_t qn_pb_int(qn_pb *pb, qn_pb_bytes message, int number, int64_t absent) {
  qn_pb_field f;
  return find_field(pb, message, number, WIRE_VARINT, &f) ? (int64_t)f.value : absent;
}

float qn_pb_float(qn_pb *pb, qn_pb_bytes message, int number, float absent) {
  qn_pb_field f;
  return find_field(pb, message, number, WIRE_4, &f) ? qn_pb_to_float(f.value) : absent;
}

qn_pb_bytes qn_pb_child(qn_pb *pb, qn_pb_bytes message, int number) {
  qn_pb_field f;
  return find_field(pb, message, number, WIRE_BYTES, &f) ? f.bytes : (qn_pb_bytes){0};
}

bool qn_pb_has(qn_pb *pb, qn_pb_bytes message, int number) {
  qn_pb_field f;
  while (qn_pb_next(pb, &message, &f))
    if (f.number == number) return true;
  return false;
}

qn_pb_list qn_pb_open_list(qn_pb_bytes message, int number, bool is_float) {
  return (qn_pb_list){.number = number, .is_float = is_float, .rest = message};
}

bool qn_pb_next_number(qn_pb *pb, qn_pb_list *list, uint64_t *out) {
  int wire = list->is_float ? WIRE_4 : WIRE_VARINT;
  qn_pb_field f;
  while (list->packed.size == 0) {
    if (!qn_pb_next(pb, &list->rest, &f)) return false;
    if (f.number != list->number) continue;
    if (f.wire == WIRE_BYTES) {
      list->packed = f.bytes;
    } else if (is_field(pb, &f, list->number, wire)) {
      *out = f.value;
      return true;
    }
  }
  if (!list->is_float) return take_varint(pb, &list->packed, out);
  qn_pb_bytes one;
  if (!take_bytes(pb, &list->packed, list->packed.at, 4, &one)) return false;
  *out = load(pb, one);
  return true;
}

bool qn_pb_is(const qn_pb *pb, qn_pb_bytes text, const char *word) {
  return text.size == strlen(word) && memcmp(pb->src->text + text.at, word, text.size) == 0;
}

float qn_pb_to_float(uint64_t bits) {
  uint32_t low = (uint32_t)bits;
  float x;
  memcpy(&x, &low, sizeof x);
  return x;
}
