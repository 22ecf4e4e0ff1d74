/* Constants -> one blob of bytes, and where each of them is when the model runs: in the blob, or
 * in memory after init has decoded it.
 *
 * Constants with the same bytes are stored once. Those in the blob lie in groups, so that little is
 * lost to padding: those of 1 KB and more aligned to 64, then those of 64 bytes and more to 16,
 * then the rest to 4 or their element's size. Those that init decodes form one image, in order of
 * first use, and the panels that run decodes one each; all of them are one stream. A constant is
 * coded when it takes less of the stream than of the blob, and any at all only when that makes the
 * object smaller, decoder included, or when the user has chosen the codec; else the codec is the
 * one that makes it smallest. */
#include <string.h>
#include "../runtime/codec.h"
#include "arithmetic.h"
#include "unit.h"

enum {
  CODED_LEAST = 8, /* bytes of a constant that is worth coding */
  PANEL_ENTRY = 8  /* bytes of a panel in the list of panels */
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

qn_weights qn_form_of(const qn_unit *u, int number) {
  return u->options->forms ? u->options->forms[number] : u->options->weights;
}

/* Not decoded by init. */
static bool stays(qn_weights form) { return form == QN_WEIGHTS_RAW || form == QN_WEIGHTS_STREAM; }

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
  w->uses++;
}

static void set_alignment(qn_weight *w) {
  w->elem_bytes = w->tensor.elem_bytes;
  w->align = w->bytes >= 1024 ? 64 : w->bytes >= 64 ? 16 : most(w->elem_bytes, 4);
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
  set_alignment(&w);
  add_weight(plan, &w);
}

/* What panels are of, and what the runtime's kernel takes beside them. */
static void add_panel_places(qn_unit *u, qn_weight_plan *plan, const qn_panels *s) {
  qn_call call;
  qn_bind(s->op, &call);
  for (int i = 1; i < QN_MAX_IN; i++) {
    const qn_coded_tensor *t = &s->of[i];
    qn_weight w = {.data = t->data, .bytes = t->bytes, .raw = true, .tensor = *t};
    if (!t->data && !s->job && i < call.in_count && call.in[i])
      add_place(u, plan, s->op, i, call.in[i], true);
    if (!t->data) continue;
    set_alignment(&w);
    add_weight(plan, &w);
  }
}

/* In the blob it is not. */
static bool is_absent(const qn_weight *w) { return w->decoded || w->streamed == w->uses; }

/* Gives the constants that are not decoded their offsets from 0, in groups of equal alignment and
 * element size. Returns the end. */
static int64_t place_weights(qn_weight_plan *plan) {
  int64_t end = 0;
  for (int64_t class = 64; class >= 4; class /= 2) {
    for (int64_t element = 1; element <= 8; element *= 2) {
      for (int i = 0; i < plan->count; i++) {
        qn_weight *w = &plan->at[i];
        if (is_absent(w) || w->align != class || w->elem_bytes != element) continue;
        w->offset = qn_align_up(end, class);
        end = w->offset + w->bytes;
      }
    }
  }
  return end;
}

/* ------------------------------------------------------------------ coding */

/* What a tensor of the stream is of: a constant that init decodes, or an operand in a panel. */
typedef struct {
  int weight; /* in the plan; -1: */
  int op, operand;
} part;

/* What coding by a codec has come to. */
typedef struct {
  const qn_codec *codec;
  qn_stream stream;
  int count;
  part *parts; /* in order of image and offset */
  qn_coded_tensor *tensors;
  uint32_t *operands; /* by op: those in its panels; 0: it is not streamed */
  int64_t decoder_bytes, total_bytes;
} coding;

static int count_ops(const qn_func *f) {
  int count = 0;
  for (const qn_op *op = f->first; op; op = op->next) count++;
  return count;
}

bool qn_places_wide(const qn_unit *u) { return LLVMGetIntTypeWidth(u->size) > 32; }

static bool can_be_coded(const qn_unit *u, const qn_weight *w) {
  if (w->raw) return false;
  uint32_t features = qn_places_wide(u) ? QN_CODED_WIDE : 0;
  int64_t align = features || w->align < 16 ? w->align : 16;
  if (qn_codec_place(1, (uint32_t)w->bytes, features) % align != 0) return false;
  return w->bytes >= CODED_LEAST && w->bytes <= QN_CODED_MOST && w->elem_bytes <= 4;
}

/* Whether tensors earn their place in the stream. Memory is not free: where the user does not ask
 * for coding, it saves at least 1/16. Codes change when some drop out, so there are several rounds;
 * that they come to an end soon, the later ones ask for more. */
static bool pays(uint64_t coded_bits, uint64_t bytes, qn_weights form, uint32_t round) {
  if (coded_bits == QN_NOT_CODED) return false;
  uint32_t least = round / 4 + (form == QN_WEIGHTS_AUTO ? 4 : 0); /* in 1/64 */
  return coded_bits <= bytes * (64 - least) / 8;
}

/* What an op's operand takes in all of its panels. */
static uint64_t panel_bits(const coding *c, const qn_panels *s, int op, int operand) {
  uint64_t bits = operand == 1 ? (uint64_t)s->count * 8 * (QN_CODEC_HEADER + PANEL_ENTRY) : 0;
  for (int i = 0; i < c->count; i++) {
    if (c->parts[i].weight >= 0 || c->parts[i].op != op || c->parts[i].operand != operand) continue;
    if (c->tensors[i].coded_bits == QN_NOT_CODED) return QN_NOT_CODED;
    bits += c->tensors[i].coded_bits;
  }
  return bits;
}

/* The operands in panels that pay; none when all of them together do not. Weights go along with
 * what is saved on biases and scales. */
static void keep_operands(const qn_unit *u, coding *c, uint32_t round) {
  for (int op = 0, ops = count_ops(u->f); op < ops; op++) {
    const qn_panels *s = u->panels[op];
    uint64_t bits = 0, bytes = 0;
    for (int i = 1; i < QN_MAX_IN && c->operands[op]; i++) {
      if (!(c->operands[op] >> i & 1)) continue;
      uint64_t coded = panel_bits(c, s, op, i), raw = s->of[i].bytes;
      bool keep = i == 1 ? coded != QN_NOT_CODED : pays(coded, raw, QN_WEIGHTS_STREAM, round);
      if (!keep) c->operands[op] &= i == 1 ? 0 : ~(1u << i);
      bits += keep ? coded : 0;
      bytes += keep ? raw : 0;
    }
    if (!pays(bits, bytes, QN_WEIGHTS_STREAM, round)) c->operands[op] = 0;
  }
}

static uint32_t *no_operands(const qn_unit *u) {
  return qn_alloc(&u->m->arena, ((size_t)count_ops(u->f) + 1) * sizeof(uint32_t));
}

/* Drops what does not pay. Returns whether nothing had to go. */
static bool drop_tensors(const qn_unit *u, coding *c, uint32_t round) {
  int kept = 0;
  keep_operands(u, c, round);
  for (int i = 0; i < c->count; i++) {
    const part *p = &c->parts[i];
    const qn_coded_tensor *t = &c->tensors[i];
    bool keep = p->weight >= 0 ? pays(t->coded_bits, t->bytes, u->options->weights, round)
                               : c->operands[p->op] >> p->operand & 1;
    if (!keep) continue;
    c->tensors[kept] = *t;
    c->parts[kept++] = *p;
  }
  bool all = kept == c->count;
  c->count = kept;
  return all;
}

static void add_part(coding *c, part p, qn_coded_tensor t, uint32_t image) {
  t.image = image;
  c->parts[c->count] = p;
  c->tensors[c->count++] = t;
}

static void add_panels(const qn_unit *u, coding *c) {
  uint32_t image = 1;
  for (int op = 0, ops = count_ops(u->f); op < ops; op++) {
    const qn_panels *s = u->panels[op];
    if (!s) continue;
    c->operands[op] = s->operands;
    for (int32_t panel = 0; panel < s->count; panel++, image++)
      for (int i = 1; i < QN_MAX_IN; i++)
        if (s->operands >> i & 1)
          add_part(c, (part){-1, op, i}, qn_panel_tensor(u, s, panel, i), image);
  }
}

static void list_tensors(const qn_unit *u, const qn_weight_plan *plan, coding *c) {
  qn_arena *a = &u->m->arena;
  int ops = count_ops(u->f), most_parts = plan->count;
  uint64_t bytes = 0;
  for (int op = 0; op < ops; op++)
    if (u->panels[op]) most_parts += u->panels[op]->count * QN_MAX_IN;
  c->parts = qn_alloc(a, ((size_t)most_parts + 1) * sizeof *c->parts);
  c->tensors = qn_alloc(a, ((size_t)most_parts + 1) * sizeof *c->tensors);
  c->operands = no_operands(u);
  for (int i = 0; i < plan->count; i++) {
    if (!can_be_coded(u, &plan->at[i])) continue;
    bytes += (uint64_t)qn_align_up(plan->at[i].bytes, 64);
    if (bytes > QN_CODED_MOST) break;
    add_part(c, (part){i, -1, -1}, plan->at[i].tensor, 0);
  }
  add_panels(u, c);
}

/* Codes what gets smaller; count is 0 when nothing does. */
static void encode(qn_unit *u, const qn_weight_plan *plan, coding *c) {
  list_tensors(u, plan, c);
  for (uint32_t round = 0; c->count > 0; round++) {
    (void)qn_place_coded(c->tensors, c->count, qn_places_wide(u));
    c->stream = (qn_stream){0};
    bool coded = c->codec->encode(&u->m->arena, c->tensors, c->count, &c->stream);
    if (drop_tensors(u, c, round) && coded) return;
  }
}

/* Counts for each constant the operands in panels; returns the panels. */
static int count_streamed(const qn_unit *u, qn_weight_plan *plan, const uint32_t *operands) {
  int panels = 0;
  for (int i = 0; i < plan->count; i++) plan->at[i].streamed = 0;
  for (int op = 0, ops = count_ops(u->f); op < ops; op++) {
    const qn_panels *s = u->panels[op];
    for (int i = 1; i < QN_MAX_IN; i++)
      if (operands[op] >> i & 1)
        plan->at[*find_slot(plan, s->of[i].data, s->of[i].bytes) - 1].streamed++;
    if (operands[op]) panels += s->count;
  }
  return panels;
}

static qn_status try_codec(qn_unit *u, qn_weight_plan *plan, coding *c) {
  encode(u, plan, c);
  if (c->count == 0) return QN_OK;
  int64_t bytes = (int64_t)c->stream.size + PANEL_ENTRY * count_streamed(u, plan, c->operands);
  for (int i = 0; i < plan->count; i++)
    if (!is_absent(&plan->at[i])) bytes += plan->at[i].bytes;
  for (int i = 0; i < c->count; i++)
    if (c->parts[i].weight >= 0) bytes -= plan->at[c->parts[i].weight].bytes;
  QN_TRY(qn_measure_decoder(u, c->codec, &c->stream, &c->decoder_bytes));
  c->total_bytes = bytes + c->decoder_bytes;
  return QN_OK;
}

/* Sets what is decoded, and how. */
static void accept(qn_unit *u, qn_weight_plan *plan, const coding *c) {
  const qn_coded_image *images = c->stream.images;
  for (int i = 0; i < c->count; i++) {
    if (c->parts[i].weight < 0) continue;
    qn_weight *w = &plan->at[c->parts[i].weight];
    w->decoded = true;
    w->offset = c->tensors[i].offset;
    w->tensor = c->tensors[i];
  }
  plan->codec = c->codec;
  plan->features = c->stream.features;
  plan->table_bytes = (int64_t)c->stream.table_bytes;
  plan->decoder_bytes = c->decoder_bytes;
  plan->stream_bytes = (int64_t)c->stream.size;
  plan->panel_count = count_streamed(u, plan, c->operands);
  if (c->parts[0].weight >= 0) {
    plan->image_start = images[0].start;
    plan->image_bytes = images[0].bytes;
    images++;
  }
  plan->panels = images;
  plan->memory_bytes = qn_align_up(plan->image_bytes, 64);
  for (int i = 0; i < plan->panel_count; i++)
    plan->panel_bytes = most(plan->panel_bytes, images[i].bytes);
}

/* Decides what is decoded; *out_stream is NULL when nothing is worth it. */
static qn_status code_weights(qn_unit *u, qn_weight_plan *plan, const uint8_t **out_stream,
                              const uint32_t **out_operands) {
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
  (void)count_streamed(u, plan, no_operands(u));
  *out_stream = best.stream.bytes;
  *out_operands = best.count ? best.operands : no_operands(u);
  if (best.count) accept(u, plan, &best);
  for (int op = 0, ops = count_ops(u->f); op < ops; op++)
    for (int i = 1; i < QN_MAX_IN && (*out_operands)[op]; i++)
      u->panels[op]->coded_bits[i] = panel_bits(&best, u->panels[op], op, i);
  return QN_OK;
}

/* Tells the ops with panels which of their operands are in them, and gives their decoded constants
 * a place. */
static void settle_panels(qn_unit *u, const uint32_t *operands) {
  int first = 0;
  for (int op = 0, ops = count_ops(u->f); op < ops; op++) {
    qn_panels *s = u->panels[op];
    if (!s) continue;
    s->operands = operands[op];
    s->first = first;
    if (s->operands) {
      first += s->count;
      s->packed = u->weights.memory_bytes;
      if (s->by_init) u->weights.memory_bytes += qn_align_up(s->job->constant_bytes, 64);
    } else {
      u->unstreamed[op] = "no codec makes its weights smaller in panels";
      u->panels[op] = NULL;
    }
  }
}

static void fill_blob(qn_arena *a, qn_weight_plan *plan, const uint8_t *stream) {
  plan->panel_table = qn_align_up(place_weights(plan), 4);
  plan->stream = plan->panel_table + PANEL_ENTRY * plan->panel_count;
  plan->blob_bytes = plan->stream + plan->stream_bytes;
  plan->blob = qn_alloc(a, (size_t)plan->blob_bytes);
  if (stream) memcpy(plan->blob + plan->stream, stream, (size_t)plan->stream_bytes);
  for (int i = 0; i < plan->panel_count; i++) {
    uint8_t *entry = plan->blob + plan->panel_table + PANEL_ENTRY * i;
    qn_store_u32(entry, plan->panels[i].start);
    qn_store_u32(entry + 4, plan->panels[i].bytes);
  }
  for (int i = 0; i < plan->count; i++) {
    const qn_weight *w = &plan->at[i];
    if (!is_absent(w)) memcpy(plan->blob + w->offset, w->data, (size_t)w->bytes);
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
  int count = f->result_count + QN_MAX_IN * count_ops(f), number = 0;
  plan->slots = 16;
  while (plan->slots < 2 * count) plan->slots *= 2;
  plan->slot = qn_alloc(a, (size_t)plan->slots * sizeof *plan->slot);
  plan->at = qn_alloc(a, (size_t)count * sizeof *plan->at);
  for (const qn_op *op = f->first; op; op = op->next, number++) {
    bool raw = stays(qn_form_of(u, number));
    if (u->panels[number]) {
      add_panel_places(u, plan, u->panels[number]);
      continue;
    }
    if (u->jobs[number]) add_job(plan, u->jobs[number], raw);
    qn_call call;
    qn_bind(op, &call);
    for (int i = 0; i < call.in_count && !u->jobs[number]; i++) {
      if (call.in[i]) add_place(u, plan, op, i, call.in[i], raw);
    }
  }
  for (int i = 0; i < f->result_count; i++)
    add_place(u, plan, NULL, 0, f->results[i], stays(u->options->weights));
}

static qn_status check_total(const qn_module *m, const qn_weight_plan *plan) {
  int64_t total = 0;
  for (int i = 0; i < plan->count; i++) total += qn_align_up(plan->at[i].bytes, 64);
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
  const uint32_t *operands = NULL;
  if (u->options->weights != QN_WEIGHTS_RAW) {
    QN_TRY(code_weights(u, out, &stream, &operands));
    settle_panels(u, operands);
  }
  fill_blob(&u->m->arena, out, stream);
  return QN_OK;
}
