/* Constants -> one blob of bytes, and where each of them is in it.
 *
 * Constants with the same bytes are stored once. The blob holds three groups, so that little is
 * lost to padding: tensors of 1 KB and more aligned to 64, then those of 64 bytes and more to 16,
 * then the rest to 4 or their element's size. */
#include <string.h>
#include "unit.h"

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

static void place_raw(qn_arena *a, qn_weight_plan *plan) {
  for (int64_t class = 64; class >= 4; class /= 2) {
    for (int i = 0; i < plan->count; i++) {
      qn_weight *w = &plan->at[i];
      if (alignment(w) != class) continue;
      w->offset = align_up(plan->blob_bytes, class);
      plan->blob_bytes = w->offset + w->bytes;
    }
  }
  plan->blob = qn_alloc(a, (size_t)plan->blob_bytes);
  for (int i = 0; i < plan->count; i++)
    memcpy(plan->blob + plan->at[i].offset, plan->at[i].value->data, (size_t)plan->at[i].bytes);
}

qn_status qn_plan_weights(qn_module *m, const qn_func *f, qn_weights form, qn_weight_plan *out) {
  int most = f->result_count;
  for (const qn_op *op = f->first; op; op = op->next) most += QN_MAX_IN;
  *out = (qn_weight_plan){.slots = 16};
  while (out->slots < 2 * most) out->slots *= 2;
  out->slot = qn_alloc(&m->arena, (size_t)out->slots * sizeof *out->slot);
  out->at = qn_alloc(&m->arena, (size_t)most * sizeof *out->at);
  for (const qn_op *op = f->first; op; op = op->next) {
    qn_call call;
    qn_bind(op, &call);
    for (int i = 0; i < call.in_count; i++) {
      if (call.in[i]) add_place(out, f, call.in[i]);
    }
  }
  for (int i = 0; i < f->result_count; i++) add_place(out, f, f->results[i]);
  (void)form;
  place_raw(&m->arena, out);
  if (out->blob_bytes > INT32_MAX)
    return qn_error(&m->src, qn_nowhere, "constants take %lld bytes, an object holds at most %d",
                    (long long)out->blob_bytes, INT32_MAX);
  return QN_OK;
}
