/* Constants -> one blob of bytes, and where each of them is when the model runs: in the blob, or
 * in memory after init has decoded it.
 *
 * Constants with the same bytes are stored once. Those in the blob lie in groups, so that little is
 * lost to padding: those of 1 KB and more aligned to 64, then those of 64 bytes and more to 16,
 * then the rest to 4 or their element's size. Those that are decoded form one image and one stream,
 * in order of first use. A constant is coded when it takes less of the stream than of the blob, and
 * any at all only when that makes the object smaller, decoder included, or when the user has chosen
 * the codec; else the codec is the one that makes it smallest. */
#include <string.h>
#include "../runtime/codec.h"
#include "unit.h"

enum { CODED_LEAST = 8 /* bytes of a constant that is worth coding */ };

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

bool qn_keeps_raw(const qn_unit *u, int number) {
  return u->options->keep_raw && u->options->keep_raw[number];
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
  w->raw |= wanted->raw;
}

/* Operand i of op, v, says what the constant is; op NULL: a result. */
static void add_place(qn_unit *u, qn_weight_plan *plan, const qn_op *op, int i, const qn_value *v,
                      bool raw) {
  qn_place place = qn_place_of(u->f, v);
  if (place.kind != QN_IN_CONST) return;
  qn_weight w = {.data = place.value->data,
                 .bytes = qn_bytes(&place.value->type),
                 .raw = raw,
                 .tensor = qn_coded_role(&u->m->arena, op, i, place.value)};
  w.elem_bytes = w.tensor.elem_bytes;
  w.align = w.bytes >= 1024 ? 64 : w.bytes >= 64 ? 16 : most(w.elem_bytes, 4);
  add_weight(plan, &w);
}

static int64_t align_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Gives the constants that are not decoded their offsets from 0, in groups of equal alignment and
 * element size. Returns the end. */
static int64_t place_weights(qn_weight_plan *plan) {
  int64_t end = 0;
  for (int64_t class = 64; class >= 4; class /= 2) {
    for (int64_t element = 1; element <= 8; element *= 2) {
      for (int i = 0; i < plan->count; i++) {
        qn_weight *w = &plan->at[i];
        if (w->decoded || w->align != class || w->elem_bytes != element) continue;
        w->offset = align_up(end, class);
        end = w->offset + w->bytes;
      }
    }
  }
  return end;
}

/* ------------------------------------------------------------------ coding */

/* What coding by a codec has come to. */
typedef struct {
  const qn_codec *codec;
  qn_stream stream;
  int count;
  int *index; /* of the coded constants, in order of offset */
  qn_coded_tensor *tensors;
  uint32_t image_bytes;
  int64_t decoder_bytes, total_bytes;
} coding;

static bool can_be_coded(const qn_weight *w) {
  if (w->raw) return false;
  if (qn_codec_place(1, (uint32_t)w->bytes) % w->align != 0) return false;
  return w->bytes >= CODED_LEAST && w->bytes <= QN_CODED_MOST && w->elem_bytes <= 4;
}

/* Whether a tensor earns its place in the stream. Memory is not free: where the user does not ask
 * for coding, it saves at least 1/16. Codes change when some drop out, so there are several rounds;
 * that they come to an end soon, the later ones ask for more. */
static bool pays(const qn_coded_tensor *t, qn_weights form, uint32_t round) {
  if (t->coded_bits == QN_NOT_CODED) return false;
  uint32_t least = round / 4 + (form == QN_WEIGHTS_AUTO ? 4 : 0); /* in 1/64 */
  return t->coded_bits <= (uint64_t)t->bytes * (64 - least) / 8;
}

/* Drops what does not pay. Returns whether nothing had to go. */
static bool drop_tensors(coding *c, qn_weights form, uint32_t round) {
  int kept = 0;
  for (int i = 0; i < c->count; i++) {
    if (!pays(&c->tensors[i], form, round)) continue;
    c->tensors[kept] = c->tensors[i];
    c->index[kept++] = c->index[i];
  }
  bool all = kept == c->count;
  c->count = kept;
  return all;
}

/* Codes what gets smaller; count is 0 when nothing does. */
static void encode(qn_arena *a, const qn_weight_plan *plan, qn_weights form, coding *c) {
  uint64_t image = 0;
  c->index = qn_alloc(a, ((size_t)plan->count + 1) * sizeof *c->index);
  c->tensors = qn_alloc(a, ((size_t)plan->count + 1) * sizeof *c->tensors);
  for (int i = 0; i < plan->count; i++) {
    if (!can_be_coded(&plan->at[i])) continue;
    image += (uint64_t)align_up(plan->at[i].bytes, 64);
    if (image > QN_CODED_MOST) break;
    c->index[c->count] = i;
    c->tensors[c->count++] = plan->at[i].tensor;
  }
  for (uint32_t round = 0; c->count > 0; round++) {
    c->image_bytes = qn_place_coded(c->tensors, c->count);
    c->stream = (qn_stream){0};
    bool coded = c->codec->encode(a, c->tensors, c->count, &c->stream);
    if (drop_tensors(c, form, round) && coded) return;
  }
}

static qn_status try_codec(qn_unit *u, const qn_weight_plan *plan, coding *c) {
  encode(&u->m->arena, plan, u->options->weights, c);
  if (c->count == 0) return QN_OK;
  int64_t raw = 0;
  for (int i = 0; i < plan->count; i++) raw += plan->at[i].bytes;
  for (int i = 0; i < c->count; i++) raw -= plan->at[c->index[i]].bytes;
  QN_TRY(qn_measure_decoder(u, c->codec, &c->stream, c->image_bytes, &c->decoder_bytes));
  c->total_bytes = raw + (int64_t)c->stream.size + c->decoder_bytes;
  return QN_OK;
}

/* Sets what is decoded, and how. */
static void accept(qn_weight_plan *plan, const coding *c) {
  for (int i = 0; i < c->count; i++) {
    qn_weight *w = &plan->at[c->index[i]];
    w->decoded = true;
    w->offset = c->tensors[i].offset;
    w->tensor = c->tensors[i];
  }
  plan->codec = c->codec;
  plan->features = c->stream.features;
  plan->table_bytes = (int64_t)c->stream.table_bytes;
  plan->decoder_bytes = c->decoder_bytes;
  plan->stream_bytes = (int64_t)c->stream.size;
  plan->image_start = c->stream.images[0].start;
  plan->image_bytes = c->image_bytes;
  plan->memory_bytes = align_up(plan->image_bytes, 64);
}

/* Decides what is decoded; *out_stream is NULL when nothing is worth it. */
static qn_status code_weights(qn_unit *u, qn_weight_plan *plan, const uint8_t **out_stream) {
  int64_t least = 0;
  for (int i = 0; i < plan->count; i++) least += plan->at[i].bytes;
  coding best = {0};
  for (const qn_codec *codec = qn_codecs; codec->name; codec++) {
    if (u->options->codec && codec != u->options->codec) continue;
    coding c = {.codec = codec};
    QN_TRY(try_codec(u, plan, &c));
    if (c.count == 0 || (!u->options->codec && c.total_bytes >= least)) continue;
    least = c.total_bytes;
    best = c;
  }
  *out_stream = best.stream.bytes;
  if (best.count) accept(plan, &best);
  return QN_OK;
}

static void fill_blob(qn_arena *a, qn_weight_plan *plan, const uint8_t *stream) {
  plan->stream = place_weights(plan);
  plan->blob_bytes = plan->stream + plan->stream_bytes;
  plan->blob = qn_alloc(a, (size_t)plan->blob_bytes);
  if (stream) memcpy(plan->blob + plan->stream, stream, (size_t)plan->stream_bytes);
  for (int i = 0; i < plan->count; i++) {
    const qn_weight *w = &plan->at[i];
    if (!w->decoded) memcpy(plan->blob + w->offset, w->data, (size_t)w->bytes);
  }
}

static void add_job(qn_weight_plan *plan, const qn_job *job, bool raw) {
  const qn_weight w = {.data = job->constants,
                       .bytes = job->constant_bytes,
                       .align = 64,
                       .elem_bytes = 1,
                       .raw = raw,
                       .tensor = {.data = job->constants,
                                  .bytes = (uint32_t)job->constant_bytes,
                                  .elem_bytes = 1,
                                  .kind = QN_CODED_BYTES}};
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
    bool raw = qn_keeps_raw(u, number);
    if (u->jobs[number]) add_job(plan, u->jobs[number], raw);
    qn_call call;
    qn_bind(op, &call);
    for (int i = 0; i < call.in_count && !u->jobs[number]; i++) {
      if (call.in[i]) add_place(u, plan, op, i, call.in[i], raw);
    }
  }
  for (int i = 0; i < f->result_count; i++) add_place(u, plan, NULL, 0, f->results[i], false);
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
  *out = (qn_weight_plan){0};
  find_weights(u, out);
  QN_TRY(check_total(u->m, out));
  const uint8_t *stream = NULL;
  if (u->options->weights != QN_WEIGHTS_RAW) QN_TRY(code_weights(u, out, &stream));
  fill_blob(&u->m->arena, out, stream);
  return QN_OK;
}
