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

/* The slot of these bytes, or the empty one where they belong. */
static int *find_slot(const qn_weight_plan *plan, const void *data, int64_t bytes) {
  unsigned mask = (unsigned)plan->slots - 1;
  unsigned i = (unsigned)hash_bytes(data, bytes) & mask;
  for (; plan->slot[i]; i = (i + 1) & mask) {
    const qn_weight *w = &plan->at[plan->slot[i] - 1];
    if (w->bytes == bytes && memcmp(w->data, data, (size_t)bytes) == 0) break;
  }
  return &plan->slot[i];
}

const qn_weight *qn_find_weight(const qn_weight_plan *plan, const void *data, int64_t bytes) {
  int index = *find_slot(plan, data, bytes);
  return index ? &plan->at[index - 1] : NULL;
}

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static void add_weight(qn_weight_plan *plan, const qn_weight *wanted) {
  int *slot = find_slot(plan, wanted->data, wanted->bytes);
  if (!*slot) {
    plan->at[plan->count] = *wanted;
    *slot = ++plan->count;
  }
  qn_weight *w = &plan->at[*slot - 1];
  w->align = most(w->align, wanted->align);
}

static void add_place(qn_weight_plan *plan, const qn_func *f, const qn_value *v) {
  qn_place place = qn_place_of(f, v);
  if (place.kind != QN_IN_CONST) return;
  qn_weight w = {.data = place.value->data, .bytes = qn_bytes(&place.value->type)};
  w.elem_bytes = most(qn_elem_bits(place.value->type.elem) / 8, 1);
  w.align = w.bytes >= 1024 ? 64 : w.bytes >= 64 ? 16 : most(w.elem_bytes, 4);
  add_weight(plan, &w);
}

static int64_t align_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Gives the tensors that are decoded, or those that are not, their offsets from 0, in groups of
 * equal alignment and element size. Returns the end. */
static int64_t place_weights(qn_weight_plan *plan, bool decoded) {
  int64_t end = 0;
  for (int64_t class = 64; class >= 4; class /= 2) {
    for (int64_t element = 1; element <= 8; element *= 2) {
      for (int i = 0; i < plan->count; i++) {
        qn_weight *w = &plan->at[i];
        if (w->decoded != decoded || w->align != class || w->elem_bytes != element) continue;
        w->offset = align_up(end, class);
        end = w->offset + w->bytes;
      }
    }
  }
  return end;
}

static qn_coded_tensor coded_tensor(const qn_weight *w) {
  return (qn_coded_tensor){w->data, (uint32_t)w->bytes, (uint32_t)w->offset,
                           (uint32_t)w->elem_bytes};
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
    if (!w->decoded) memcpy(plan->blob + w->offset, w->data, (size_t)w->bytes);
  }
}

static void add_job(qn_weight_plan *plan, const qn_job *job) {
  const qn_weight w = {
      .data = job->constants, .bytes = job->constant_bytes, .align = 64, .elem_bytes = 1};
  if (w.bytes > 0) add_weight(plan, &w);
}

static void find_weights(qn_unit *u, qn_weight_plan *plan) {
  const qn_func *f = u->f;
  qn_arena *a = &u->m->arena;
  int count = f->result_count, number = 0;
  for (const qn_op *op = f->first; op; op = op->next) count += QN_MAX_IN;
  plan->slots = 16;
  while (plan->slots < 2 * count) plan->slots *= 2;
  plan->slot = qn_alloc(a, (size_t)plan->slots * sizeof *plan->slot);
  plan->at = qn_alloc(a, (size_t)count * sizeof *plan->at);
  for (const qn_op *op = f->first; op; op = op->next, number++) {
    if (u->jobs[number]) add_job(plan, u->jobs[number]);
    qn_call call;
    qn_bind(op, &call);
    for (int i = 0; i < call.in_count && !u->jobs[number]; i++) {
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

qn_status qn_plan_weights(qn_unit *u) {
  qn_weight_plan *out = &u->weights;
  qn_arena *a = &u->m->arena;
  *out = (qn_weight_plan){0};
  find_weights(u, out);
  QN_TRY(check_total(u->m, out));
  const uint8_t *stream = NULL;
  if (u->options->weights == QN_WEIGHTS_CODED)
    stream = code_weights(a, out, qn_find_codec("range"));
  for (int i = 0; i < out->count && !stream; i++) out->at[i].decoded = false;
  fill_blob(a, out, stream);
  return QN_OK;
}
