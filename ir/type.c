/* Types and single elements: sizes, comparisons, and the storage formats of elems.def, of which
 * i4 (two per byte, low half first), f16 and bf16 are not C types. */
#include "ir.h"

#include <math.h>
#include <string.h>

typedef struct {
  const char *name;
  int bits;
} elem_info;

static const elem_info elems[QN_ELEM_COUNT] = {
#define QN_ELEM(name, bits, id, doc) {#name, bits},
#include "elems.def"
};

int qn_elem_bits(qn_elem e) { return elems[e].bits; }

const char *qn_elem_name(qn_elem e) { return elems[e].name; }

bool qn_find_elem(const char *name, size_t size, qn_elem *out) {
  for (int e = 0; e < QN_ELEM_COUNT; ++e) {
    if (strlen(elems[e].name) == size && memcmp(elems[e].name, name, size) == 0) {
      *out = (qn_elem)e;
      return true;
    }
  }
  return false;
}

bool qn_elem_is_int(qn_elem e) {
  return e == QN_i4 || e == QN_i8 || e == QN_u8 || e == QN_i16 || e == QN_i32 || e == QN_i64;
}

bool qn_elem_is_float(qn_elem e) { return e == QN_f32 || e == QN_f16 || e == QN_bf16; }

void qn_elem_limits(qn_elem e, int64_t *out_low, int64_t *out_high) {
  int bits = e == QN_bool ? 1 : elems[e].bits;
  bool is_signed = e != QN_bool && e != QN_u8;
  *out_high = (int64_t)(UINT64_MAX >> (64 - bits + is_signed));
  *out_low = is_signed ? -*out_high - 1 : 0;
}

int64_t qn_count(const qn_type *t) {
  int64_t count = 1;
  for (int i = 0; i < t->rank; ++i) count *= t->dim[i];
  return count;
}

int64_t qn_bytes(const qn_type *t) { return (qn_count(t) * elems[t->elem].bits + 7) / 8; }

bool qn_checked_count(const int64_t *dim, int rank, int64_t *out) {
  int64_t count = 1;
  if (rank < 0 || rank > QN_MAX_RANK) return false;
  for (int i = 0; i < rank; ++i) {
    if (dim[i] < 1 || dim[i] > QN_MAX_COUNT / count) return false;
    count *= dim[i];
  }
  *out = count;
  return true;
}

bool qn_same_shape(const qn_type *a, const qn_type *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; ++i) {
    if (a->dim[i] != b->dim[i]) return false;
  }
  return true;
}

static bool same_scales(const qn_value *a, const qn_value *b) {
  if (a == b || strcmp(a->name, b->name) == 0) return true;
  return a->type.elem == QN_f32 && b->type.elem == QN_f32 && a->data && b->data &&
         qn_same_shape(&a->type, &b->type) &&
         memcmp(a->data, b->data, (size_t)qn_bytes(&a->type)) == 0;
}

bool qn_same_quant(const qn_quant *a, const qn_quant *b) {
  if (a->on != b->on) return false;
  if (!a->on) return true;
  if (!a->scales != !b->scales) return false;
  if (a->scales) return a->axis == b->axis && same_scales(a->scales, b->scales);
  return a->scale == b->scale && a->zero == b->zero;
}

bool qn_same_type(const qn_type *a, const qn_type *b) {
  return a->elem == b->elem && qn_same_shape(a, b) && qn_same_quant(&a->q, &b->q);
}

qn_type qn_make_type(qn_elem e, int rank, const int64_t *dim) {
  qn_type t = {.elem = e, .rank = rank};
  for (int i = 0; i < rank; ++i) t.dim[i] = dim[i];
  return t;
}

float qn_scale_at(const qn_type *t, int64_t channel) {
  return t->q.scales ? ((const float *)t->q.scales->data)[channel] : t->q.scale;
}

int32_t qn_max_summands(qn_elem e) { return e == QN_i16 ? (1 << 16) - 1 : 1 << 23; }

int64_t qn_int_at(qn_elem e, const void *data, int64_t i) {
  switch (e) {
  case QN_i4: {
    int half = ((const uint8_t *)data)[i / 2] >> (i % 2 * 4) & 15;
    return half < 8 ? half : half - 16;
  }
  case QN_i8: return ((const int8_t *)data)[i];
  case QN_u8:
  case QN_bool: return ((const uint8_t *)data)[i];
  case QN_i16: return ((const int16_t *)data)[i];
  case QN_i32: return ((const int32_t *)data)[i];
  case QN_i64: return ((const int64_t *)data)[i];
  default: return 0;
  }
}

void qn_put_int(qn_elem e, void *data, int64_t i, int64_t x) {
  switch (e) {
  case QN_i4: {
    uint8_t *byte = (uint8_t *)data + i / 2;
    int shift = (int)(i % 2) * 4;
    *byte = (uint8_t)((*byte & ~(15 << shift)) | (int)(x & 15) << shift);
    break;
  }
  case QN_i8: ((int8_t *)data)[i] = (int8_t)x; break;
  case QN_u8:
  case QN_bool: ((uint8_t *)data)[i] = (uint8_t)x; break;
  case QN_i16: ((int16_t *)data)[i] = (int16_t)x; break;
  case QN_i32: ((int32_t *)data)[i] = (int32_t)x; break;
  case QN_i64: ((int64_t *)data)[i] = x; break;
  default: break;
  }
}

float qn_float_at(qn_elem e, const void *data, int64_t i) {
  switch (e) {
  case QN_f32: return ((const float *)data)[i];
  case QN_f16: return qn_f16_to_f32(((const uint16_t *)data)[i]);
  case QN_bf16: return qn_bf16_to_f32(((const uint16_t *)data)[i]);
  default: return (float)qn_int_at(e, data, i);
  }
}

void qn_put_float(qn_elem e, void *data, int64_t i, float x) {
  switch (e) {
  case QN_f32: ((float *)data)[i] = x; break;
  case QN_f16: ((uint16_t *)data)[i] = qn_f32_to_f16(x); break;
  case QN_bf16: ((uint16_t *)data)[i] = qn_f32_to_bf16(x); break;
  default: break;
  }
}

static uint32_t float_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static float bits_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

float qn_bf16_to_f32(uint16_t bits) { return bits_float((uint32_t)bits << 16); }

uint16_t qn_f32_to_bf16(float x) {
  uint32_t bits = float_bits(x);
  if (isnan(x)) return (uint16_t)(bits >> 16 | 0x40); /* stays a NaN when its low half is cut */
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float qn_f16_to_f32(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
  uint32_t exponent = bits >> 10 & 31, fraction = bits & 0x3FF;
  if (exponent == 0) { /* zero or subnormal: fraction * 2^-24, exact */
    return bits_float(float_bits((float)fraction * 0x1p-24f) | sign);
  }
  if (exponent == 31) return bits_float(sign | 0x7F800000 | fraction << 13);
  return bits_float(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t qn_f32_to_f16(float x) {
  uint32_t bits = float_bits(x), magnitude = bits & 0x7FFFFFFF;
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  if (magnitude > 0x7F800000) return sign | 0x7E00;
  if (magnitude >= 0x477FF000) return sign | 0x7C00; /* 65520 and above round to infinity */
  if (magnitude < 0x38800000) { /* below 2^-14: a multiple of 2^-24, rounded by the addition */
    float shifted = bits_float(magnitude) + 0.5f;
    return sign | (uint16_t)(float_bits(shifted) - 0x3F000000);
  }
  uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return sign | (uint16_t)((rounded >> 13) - (112 << 10));
}
