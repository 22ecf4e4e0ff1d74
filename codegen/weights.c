/* Constants -> one blob of bytes, and where each of them is when the model runs: in the blob, or
 * in memory after init has decoded it.
 *
 * Constants with the same bytes are stored once. Tensors lie in groups, so that little is lost to
 * padding: those of 1 KB and more aligned to 64, then those of 64 bytes and more to 16, then the
 * rest to 4 or their element's size. Coded tensors form one image and one stream, because the
 * coder's statistics carry over. A tensor is coded when its own stream is smaller than its bytes,
 * and any at all only when that makes the object smaller, decoder included. */
#include <stdlib.h>
#include <string.h>
#include "../runtime/codec.h"
#include "encode.h"
#include "unit.h"

enum {
  CODED_LEAST = 64,    /* bytes of a tensor that is worth coding */
  DECODER_BYTES = 1024 /* code that decoding takes, about */
};

static uint64_t hash_bytes(const unsigned char *bytes, int64_t size) {
  uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
  for (int64_t i = 0; i < size; i++) h = (h ^ bytes[i]) * 0x100000001b3u;
  return h ^ (h >> 32);
}

/* The slot of v's bytes, or the empty one where they belong. */
static int *find_slot(const qn_weight_plan *plan, const qn_value *v) {
  int64_t bytes = qn_bytes(&v->type);
  unsigned mask = (unsigned)plan->slots - 1;
  unsigned i = (unsigned)hash_bytes(v->data, bytes) & mask;
  for (; plan->slot[i]; i = (i + 1) & mask) {
    const qn_weight *w = &plan->at[plan->slot[i] - 1];
    if (w->bytes == bytes && memcmp(w->value->data, v->data, (size_t)bytes) == 0) break;
  }
  return &plan->slot[i];
}

const qn_weight *qn_find_weight(const qn_weight_plan *plan, const qn_value *value) {
  int index = *find_slot(plan, value);
  return index ? &plan->at[index - 1] : NULL;
}

static void add_weight(qn_weight_plan *plan, const qn_value *v) {
  int *slot = find_slot(plan, v);
  if (*slot) return;
  plan->at[plan->count] = (qn_weight){.value = v, .bytes = qn_bytes(&v->type)};
  *slot = ++plan->count;
}

static void add_place(qn_weight_plan *plan, const qn_func *f, const qn_value *v) {
  qn_place place = qn_place_of(f, v);
  if (place.kind == QN_IN_CONST) add_weight(plan, place.value);
}

static int64_t align_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

static int64_t alignment(const qn_weight *w) {
  int64_t element = qn_elem_bits(w->value->type.elem) / 8;
  return w->bytes >= 1024 ? 64 : w->bytes >= 64 ? 16 : element > 4 ? element : 4;
}

static int64_t element_bytes(const qn_weight *w) {
  int64_t bytes = qn_elem_bits(w->value->type.elem) / 8;
  return bytes ? bytes : 1;
}

/* Gives the tensors that are decoded, or those that are not, their offsets from 0, in groups of
 * equal alignment and element size. Returns the end. */
static int64_t place_weights(qn_weight_plan *plan, bool decoded) {
  int64_t end = 0;
  for (int64_t class = 64; class >= 4; class /= 2) {
    for (int64_t element = 1; element <= 8; element *= 2) {
      for (int i = 0; i < plan->count; i++) {
        qn_weight *w = &plan->at[i];
        if (w->decoded != decoded || alignment(w) != class || element_bytes(w) != element) continue;
        w->offset = align_up(end, class);
        end = w->offset + w->bytes;
      }
    }
  }
  return end;
}

static qn_coded_tensor coded_tensor(const qn_weight *w) {
  return (qn_coded_tensor){w->value->data, (uint32_t)w->bytes, (uint32_t)w->offset,
                           (uint32_t)element_bytes(w)};
}

static bool gets_smaller(qn_arena *a, const qn_codec *codec, const qn_weight *w) {
  if (w->bytes < CODED_LEAST) return false;
  qn_coded_tensor alone = coded_tensor(w);
  alone.offset = 0;
  size_t size;
  codec->encode(a, &alone, 1, alone.bytes, &size);
  return (int64_t)size - QN_CODEC_HEADER < w->bytes;
}

static int compare_offsets(const void *a, const void *b) {
  uint32_t x = ((const qn_coded_tensor *)a)->offset, y = ((const qn_coded_tensor *)b)->offset;
  return (x > y) - (x < y);
}

/* Decides what is decoded; NULL when nothing is worth it, else the stream. */
static const uint8_t *code_weights(qn_arena *a, qn_weight_plan *plan, const qn_codec *codec) {
  int64_t raw_bytes = place_weights(plan, false);
  qn_coded_tensor *coded = qn_alloc(a, ((size_t)plan->count + 1) * sizeof *coded);
  int count = 0;
  for (int i = 0; i < plan->count; i++) plan->at[i].decoded = gets_smaller(a, codec, &plan->at[i]);
  plan->image_bytes = place_weights(plan, true);
  for (int i = 0; i < plan->count; i++) {
    if (plan->at[i].decoded) coded[count++] = coded_tensor(&plan->at[i]);
  }
  if (count == 0) return NULL;
  qsort(coded, (size_t)count, sizeof *coded, compare_offsets);
  size_t size;
  const uint8_t *stream = codec->encode(a, coded, count, (uint32_t)plan->image_bytes, &size);
  if (place_weights(plan, false) + (int64_t)size + DECODER_BYTES >= raw_bytes) return NULL;
  plan->stream_bytes = (int64_t)size;
  plan->decoder = codec->decoder;
  plan->memory_bytes = align_up(plan->image_bytes, 64);
  return stream;
}

static void fill_blob(qn_arena *a, qn_weight_plan *plan, const uint8_t *stream) {
  plan->stream = place_weights(plan, false);
  plan->blob_bytes = plan->stream + plan->stream_bytes;
  plan->blob = qn_alloc(a, (size_t)plan->blob_bytes);
  if (stream) memcpy(plan->blob + plan->stream, stream, (size_t)plan->stream_bytes);
  for (int i = 0; i < plan->count; i++) {
    const qn_weight *w = &plan->at[i];
    if (!w->decoded) memcpy(plan->blob + w->offset, w->value->data, (size_t)w->bytes);
  }
}

static void find_weights(qn_arena *a, const qn_func *f, qn_weight_plan *plan) {
  int most = f->result_count;
  for (const qn_op *op = f->first; op; op = op->next) most += QN_MAX_IN;
  plan->slots = 16;
  while (plan->slots < 2 * most) plan->slots *= 2;
  plan->slot = qn_alloc(a, (size_t)plan->slots * sizeof *plan->slot);
  plan->at = qn_alloc(a, (size_t)most * sizeof *plan->at);
  for (const qn_op *op = f->first; op; op = op->next) {
    qn_call call;
    qn_bind(op, &call);
    for (int i = 0; i < call.in_count; i++) {
      if (call.in[i]) add_place(plan, f, call.in[i]);
    }
  }
  for (int i = 0; i < f->result_count; i++) add_place(plan, f, f->results[i]);
}

static qn_status check_total(const qn_module *m, const qn_weight_plan *plan) {
  int64_t total = 0;
  for (int i = 0; i < plan->count; i++) total += align_up(plan->at[i].bytes, 64);
  if (total <= INT32_MAX) return QN_OK;
  return qn_error(&m->src, qn_nowhere, "constants take %lld bytes, an object holds at most %d",
                  (long long)total, INT32_MAX);
}

qn_status qn_plan_weights(qn_module *m, const qn_func *f, qn_weights form, qn_weight_plan *out) {
  *out = (qn_weight_plan){0};
  find_weights(&m->arena, f, out);
  QN_TRY(check_total(m, out));
  const uint8_t *stream = NULL;
  if (form == QN_WEIGHTS_CODED) stream = code_weights(&m->arena, out, qn_find_codec("range"));
  for (int i = 0; i < out->count && !stream; i++) out->at[i].decoded = false;
  fill_blob(&m->arena, out, stream);
  return QN_OK;
}
