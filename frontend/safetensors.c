/* Safetensors files: named tensors.
 *
 *   u64     bytes of the header
 *   header  JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
 *                  "__metadata__": {...}}
 *   data    the tensors; offsets count from its start, tensors neither overlap nor leave holes
 *
 * Source: the format's description in the repository huggingface/safetensors. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include "frontend.h"

enum { LENGTH_BYTES = 8, MAX_HEADER = 100000000, ALIGNMENT = 64 };

static const struct {
  const char *name;
  qn_elem elem;
} dtypes[] = {{"F32", QN_f32}, {"F16", QN_f16}, {"BF16", QN_bf16}, {"I8", QN_i8},    {"U8", QN_u8},
              {"I16", QN_i16}, {"I32", QN_i32}, {"I64", QN_i64},   {"BOOL", QN_bool}};
enum { DTYPE_COUNT = sizeof dtypes / sizeof dtypes[0] };

/* ------------------------------------------------------------------ reading */

typedef struct {
  const qn_source *src;
  qn_arena *a;
  size_t data; /* where the data starts */
} reader;

/* A tensor of the header, not yet compared with the others. */
typedef struct {
  qn_tensor tensor;
  int64_t begin, end;
} entry;

#define FAIL(...) return qn_error(r->src, qn_byte(LENGTH_BYTES), __VA_ARGS__)

/* A whole number of 0 to `most`. */
static bool read_number(const cJSON *json, int64_t most, int64_t *out) {
  if (!cJSON_IsNumber(json) || !(json->valuedouble >= 0 && json->valuedouble <= (double)most))
    return false;
  *out = (int64_t)json->valuedouble;
  return (double)*out == json->valuedouble;
}

static qn_status read_dtype(const reader *r, const char *name, const cJSON *json, qn_elem *out) {
  if (!cJSON_IsString(json)) FAIL("tensor '%s' has no dtype", name);
  for (int i = 0; i < DTYPE_COUNT; i++) {
    if (strcmp(json->valuestring, dtypes[i].name) != 0) continue;
    *out = dtypes[i].elem;
    return QN_OK;
  }
  FAIL("tensor '%s' has the dtype '%s', which is none of F32 F16 BF16 I8 U8 I16 I32 I64 BOOL", name,
       json->valuestring);
}

static qn_status read_shape(const reader *r, const char *name, const cJSON *json, qn_type *type) {
  if (!cJSON_IsArray(json)) FAIL("tensor '%s' has no shape", name);
  for (const cJSON *dim = json->child; dim; dim = dim->next) {
    if (type->rank == QN_MAX_RANK) FAIL("tensor '%s' has more than %d dims", name, QN_MAX_RANK);
    if (!read_number(dim, QN_MAX_COUNT, &type->dim[type->rank++]))
      FAIL("dim %d of tensor '%s' is not a number of 1 to %lld", type->rank - 1, name,
           (long long)QN_MAX_COUNT);
  }
  int64_t count;
  if (!qn_checked_count(type->dim, type->rank, &count))
    FAIL("dims of tensor '%s' must be at least 1, their product at most %lld", name,
         (long long)QN_MAX_COUNT);
  return QN_OK;
}

static qn_status read_offsets(const reader *r, const cJSON *json, entry *e) {
  const char *name = e->tensor.name;
  int64_t room = (int64_t)(r->src->size - r->data);
  if (!cJSON_IsArray(json) || cJSON_GetArraySize(json) != 2)
    FAIL("tensor '%s' has no data_offsets of 2 numbers", name);
  if (!read_number(json->child, room, &e->begin) ||
      !read_number(json->child->next, room, &e->end) || e->begin > e->end)
    FAIL("data_offsets of tensor '%s' do not lie in the %lld bytes of data", name, (long long)room);
  if (e->end - e->begin != qn_bytes(&e->tensor.type))
    FAIL("tensor '%s' has %lld bytes, %s takes %lld", name, (long long)(e->end - e->begin),
         qn_type_text(r->a, &e->tensor.type), (long long)qn_bytes(&e->tensor.type));
  return QN_OK;
}

static qn_status read_entry(const reader *r, const cJSON *json, entry *e) {
  e->tensor.name = qn_strndup(r->a, json->string, strlen(json->string));
  const char *name = e->tensor.name;
  if (strlen(name) > QN_MAX_NAME) FAIL("a tensor's name is longer than %d bytes", QN_MAX_NAME);
  if (!cJSON_IsObject(json)) FAIL("tensor '%s' is no object", name);
  const cJSON *dtype = NULL, *shape = NULL, *offsets = NULL;
  for (const cJSON *c = json->child; c; c = c->next) {
    const cJSON **place = strcmp(c->string, "dtype") == 0          ? &dtype
                          : strcmp(c->string, "shape") == 0        ? &shape
                          : strcmp(c->string, "data_offsets") == 0 ? &offsets
                                                                   : NULL;
    if (!place || *place)
      FAIL("key '%s' of tensor '%s' is %s", c->string, name, place ? "twice" : "unknown");
    *place = c;
  }
  QN_TRY(read_dtype(r, name, dtype, &e->tensor.type.elem));
  QN_TRY(read_shape(r, name, shape, &e->tensor.type));
  QN_TRY(read_offsets(r, offsets, e));
  e->tensor.data = r->src->text + r->data + e->begin;
  return QN_OK;
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(const entry *const *)a)->tensor.name, (*(const entry *const *)b)->tensor.name);
}

static int by_begin(const void *a, const void *b) {
  const entry *x = *(const entry *const *)a, *y = *(const entry *const *)b;
  return (x->begin > y->begin) - (x->begin < y->begin);
}

/* Names differ, and the tensors are exactly the data. */
static qn_status check_entries(const reader *r, const entry *entries, size_t count) {
  const entry **sorted = qn_alloc(r->a, (count + 1) * sizeof *sorted);
  for (size_t i = 0; i < count; i++) sorted[i] = &entries[i];
  qsort(sorted, count, sizeof *sorted, by_name);
  for (size_t i = 1; i < count; i++)
    if (by_name(&sorted[i - 1], &sorted[i]) == 0)
      FAIL("tensor '%s' is there twice", sorted[i]->tensor.name);
  qsort(sorted, count, sizeof *sorted, by_begin);
  int64_t end = 0, room = (int64_t)(r->src->size - r->data);
  for (size_t i = 0; i < count; i++) {
    if (sorted[i]->begin != end)
      FAIL("tensor '%s' starts at %lld of the data, the one before it ends at %lld",
           sorted[i]->tensor.name, (long long)sorted[i]->begin, (long long)end);
    end = sorted[i]->end;
  }
  if (end != room)
    FAIL("tensors take %lld bytes of data, the file has %lld", (long long)end, (long long)room);
  return QN_OK;
}

static bool is_metadata(const cJSON *json) { return strcmp(json->string, "__metadata__") == 0; }

static qn_status read_entries(const reader *r, const cJSON *header, qn_tensor_file *out) {
  if (!cJSON_IsObject(header)) FAIL("the header is no JSON object");
  size_t count = 0, i = 0;
  for (const cJSON *c = header->child; c; c = c->next) count += !is_metadata(c);
  entry *entries = qn_alloc(r->a, (count + 1) * sizeof *entries);
  for (const cJSON *c = header->child; c; c = c->next)
    if (!is_metadata(c)) QN_TRY(read_entry(r, c, &entries[i++]));
  QN_TRY(check_entries(r, entries, count));
  *out = (qn_tensor_file){*r->src, (int)count, qn_alloc(r->a, (count + 1) * sizeof *out->at)};
  for (i = 0; i < count; i++) {
    out->at[i] = entries[i].tensor;
    out->at[i].data = qn_align_data(r->a, out->at[i].data, (size_t)qn_bytes(&out->at[i].type));
  }
  return QN_OK;
}

/* Reads the header's length and finds the data. */
static qn_status find_data(reader *r) {
  const qn_source *src = r->src;
  if (src->size < LENGTH_BYTES)
    return qn_error(src, qn_byte(0), "not a safetensors file: it has %zu bytes", src->size);
  uint64_t bytes = 0;
  for (int i = 0; i < LENGTH_BYTES; i++) bytes |= (uint64_t)(unsigned char)src->text[i] << (8 * i);
  if (bytes > src->size - LENGTH_BYTES || bytes > MAX_HEADER)
    return qn_error(
        src, qn_byte(0), "a header of %llu bytes, at most %d fit the file and the format",
        (unsigned long long)bytes,
        src->size - LENGTH_BYTES < MAX_HEADER ? (int)(src->size - LENGTH_BYTES) : MAX_HEADER);
  r->data = LENGTH_BYTES + (size_t)bytes;
  if (bytes == 0 || src->text[LENGTH_BYTES] != '{') FAIL("the header must start with '{'");
  return QN_OK;
}

qn_status qn_read_safetensors(qn_arena *a, const qn_source *src, qn_tensor_file *out) {
  reader r = {.src = src, .a = a};
  QN_TRY(find_data(&r));
  const char *text = src->text + LENGTH_BYTES, *end = src->text + r.data, *stop = text;
  cJSON *header = cJSON_ParseWithLengthOpts(text, (size_t)(end - text), &stop, false);
  while (header && stop < end && (*stop == ' ' || *stop == '\n' || *stop == '\t' || *stop == '\r'))
    stop++;
  qn_status status = header && stop == end ? read_entries(&r, header, out)
                                           : qn_error(src, qn_byte((size_t)(stop - src->text)),
                                                      "the header is not JSON from here on");
  cJSON_Delete(header);
  return status;
}

/* ------------------------------------------------------------------ writing */

static const char *dtype_of(qn_elem elem) {
  for (int i = 0; i < DTYPE_COUNT; i++)
    if (dtypes[i].elem == elem) return dtypes[i].name;
  return NULL;
}

static bool add_entry(cJSON *header, const qn_tensor *t, int64_t begin) {
  cJSON *json = cJSON_AddObjectToObject(header, t->name);
  if (!json || !cJSON_AddStringToObject(json, "dtype", dtype_of(t->type.elem))) return false;
  cJSON *shape = cJSON_AddArrayToObject(json, "shape");
  for (int i = 0; shape && i < t->type.rank; i++)
    cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t->type.dim[i]));
  cJSON *offsets = cJSON_AddArrayToObject(json, "data_offsets");
  if (offsets) {
    cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)begin));
    cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(begin + qn_bytes(&t->type))));
  }
  return shape && offsets;
}

/* The header's JSON, to be freed with cJSON_free; NULL: out of memory. */
static char *make_header(const qn_tensor *at, int count, int64_t *out_bytes) {
  cJSON *header = cJSON_CreateObject();
  *out_bytes = 0;
  bool good = header != NULL;
  for (int i = 0; good && i < count; i++) {
    good = add_entry(header, &at[i], *out_bytes);
    *out_bytes += qn_bytes(&at[i].type);
  }
  char *text = good ? cJSON_PrintUnformatted(header) : NULL;
  cJSON_Delete(header);
  return text;
}

qn_status qn_encode_safetensors(qn_arena *a, const qn_tensor *at, int count, qn_output *out) {
  for (int i = 0; i < count; i++)
    if (!dtype_of(at[i].type.elem))
      return qn_io_error(out->path, "safetensors has no element type %s, of tensor '%s'",
                         qn_elem_name(at[i].type.elem), at[i].name);
  int64_t data_bytes;
  char *header = make_header(at, count, &data_bytes);
  if (!header) return qn_io_error(out->path, "out of memory");
  size_t text_bytes = strlen(header);
  size_t start = (LENGTH_BYTES + text_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

  char *file = qn_alloc(a, start + (size_t)data_bytes), *p = file + start;
  for (int i = 0; i < LENGTH_BYTES; i++)
    file[i] = (char)((uint64_t)(start - LENGTH_BYTES) >> (8 * i) & 255);
  memset(file + LENGTH_BYTES, ' ', start - LENGTH_BYTES);
  memcpy(file + LENGTH_BYTES, header, text_bytes);
  cJSON_free(header);
  for (int i = 0; i < count; i++) {
    memcpy(p, at[i].data, (size_t)qn_bytes(&at[i].type));
    p += qn_bytes(&at[i].type);
  }
  out->data = file;
  out->size = start + (size_t)data_bytes;
  return QN_OK;
}
