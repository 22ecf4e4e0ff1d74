/* A layer whose weights are decoded some channels at a time -> panels: some output channels each,
 * whose weights, biases and scales are one image.
 *
 * Those that are streamed are decoded by run into scratch, one after the other, and their channels
 * of all pixels are computed, so that neither flash nor memory ever holds all weights as they are.
 * A panel takes 4 KB at most, or one channel if that is more. Panels are of equal size where a
 * number of channels of at least half of that divides all of them; else the last one is smaller,
 * which costs the code of a second size. Where a tuned kernel's constants can be made of decoded
 * ones (qn_packing) it computes the panels; these and its constants share the 4 KB.
 *
 * Panels can also be decoded by init, which makes a tuned kernel's constants of them. They take as
 * much as the largest activations. */
#include <string.h>
#include "../runtime/codec.h"
#include "arithmetic.h"
#include "unit.h"

enum {
  PANEL_BYTES = 4096,
  ROOM = 1024,     /* that decoders may take of the activations' memory */
  LEAST_REUSE = 8, /* pixels: multiply-adds by weight */
  UNIT = 4,        /* channels that tuned kernels go by */
  W = 1,
  B = 2,
  MUL = 3,
  SHR = 4 /* operands of packers */
};

/* ------------------------------------------------------------------ what can be streamed */

static bool is_constant(const qn_unit *u, const qn_value *v) { return qn_constant(u, v) != NULL; }

static bool is_known(const qn_op *op) {
  return op->code == QN_OP_qconv2d || op->code == QN_OP_qdense ||
         op->code == QN_OP_qdepthwise_conv2d;
}

static qn_conv_i8_params params_of(const qn_call *call) {
  qn_conv_i8_params p;
  memcpy(&p, call->params, sizeof p);
  return p;
}

static const char *why_not(const qn_unit *u, const qn_op *op, const qn_call *call) {
  if (!is_known(op)) return "only layers of integers are decoded while they run";
  qn_conv_i8_params p = params_of(call);
  int64_t pixels = (int64_t)p.g.batch * p.g.out_h * p.g.out_w;
  if (!is_constant(u, call->in[W]) || call->in[W]->type.elem != QN_i8)
    return "its weights are no int8 constant";
  if (qn_bytes(&call->in[W]->type) > QN_CODED_MOST) return "it has too many weights";
  if (is_constant(u, call->in[0])) return "its operand is a constant";
  if (p.g.groups != 1 && op->code != QN_OP_qdepthwise_conv2d) return "its channels are in groups";
  if (pixels >= LEAST_REUSE) return NULL;
  return qn_format(&u->m->arena,
                   "decoding its weights takes longer than the %lld multiply-add%s with each",
                   (long long)pixels, pixels == 1 ? "" : "s");
}

/* ------------------------------------------------------------------ sizes */

uint32_t qn_panel_image(const qn_panels *s, int32_t channels, uint32_t offsets[QN_MAX_IN]) {
  uint32_t end = 0;
  for (int i = 0; i < QN_MAX_IN; i++) {
    if (!(s->operands >> i & 1)) continue;
    uint32_t bytes = s->of[i].bytes / (uint32_t)s->channels * (uint32_t)channels;
    offsets[i] = qn_codec_place(end, bytes, s->wide ? QN_CODED_WIDE : 0);
    end = (uint32_t)qn_align_up(offsets[i] + bytes, 4);
  }
  return end;
}

/* The job's constants for so many channels. */
static int64_t packed_bytes(const qn_packing *p, int32_t channels) {
  int64_t tail = channels % p->unit ? p->tail_head_bytes + p->unit_bytes : 0;
  return p->head_bytes + channels / p->unit * p->unit_bytes + tail;
}

static int64_t size_of(const qn_panels *s, const qn_packing *packing, int32_t channels) {
  uint32_t offsets[QN_MAX_IN];
  int64_t image = qn_panel_image(s, channels, offsets);
  return packing && !s->by_init ? qn_align_up(image, 64) + packed_bytes(packing, channels) : image;
}

/* How many channels a panel of at most so many bytes has: all, or a multiple of `step`. */
static int32_t choose_size(const qn_panels *s, const qn_packing *packing, int32_t step,
                           int64_t bytes) {
  int32_t most = step;
  if (size_of(s, packing, s->channels) <= bytes) return s->channels;
  while (most + step <= s->channels && size_of(s, packing, most + step) <= bytes) most += step;
  for (int32_t n = most; 2 * n >= most; n -= step)
    if (s->channels % n == 0) return n;
  int32_t count = (s->channels + most - 1) / most, each = (s->channels + count - 1) / count;
  each = (int32_t)qn_align_up(each, step);
  while (packing && each > step && s->channels % each && s->channels % each < UNIT) each -= step;
  return each;
}

static void divide(qn_panels *s, const qn_packing *packing, int32_t step, int64_t bytes) {
  s->each = choose_size(s, packing, step, bytes);
  s->count = (s->channels + s->each - 1) / s->each;
}

int32_t qn_panel_channels(const qn_panels *s, int32_t panel) {
  int32_t left = s->channels - panel * s->each;
  return left < s->each ? left : s->each;
}

qn_panel_scratch qn_panel_scratch_of(const qn_unit *u, const qn_panels *s) {
  uint32_t offsets[QN_MAX_IN];
  qn_panel_scratch at = {.state = qn_align_up(qn_panel_image(s, s->each, offsets), 64)};
  at.packed = qn_align_up(at.state + u->weights.codec->scratch_bytes, 64);
  if (!s->job) {
    qn_call call;
    qn_bind(s->op, &call);
    at.kernel = at.packed;
    at.bytes = at.kernel + call.scratch_bytes;
    return at;
  }
  if (at.packed < s->job->scratch_bytes) at.packed = qn_align_up(s->job->scratch_bytes, 64);
  at.bytes = at.packed + s->job->constant_bytes;
  if (s->last->constant_bytes > s->job->constant_bytes) /* fewer channels, but some left over */
    at.bytes = at.packed + s->last->constant_bytes;
  return at;
}

/* ------------------------------------------------------------------ slices */

/* Rows first..first+n-1 of transposed weights, transposed. */
static const void *gather_rows(qn_arena *a, const qn_coded_tensor *t, uint32_t first, uint32_t n) {
  uint8_t *to = qn_alloc(a, (size_t)n * t->cols + 1);
  for (uint32_t k = 0; k < t->cols; k++)
    memcpy(to + k * n, (const uint8_t *)t->data + k * t->rows + first, n);
  return to;
}

qn_coded_tensor qn_panel_tensor(const qn_unit *u, const qn_panels *s, int32_t panel, int i) {
  qn_coded_tensor t = s->of[i];
  uint32_t first = (uint32_t)(panel * s->each), n = (uint32_t)qn_panel_channels(s, panel);
  uint32_t channel_bytes = t.bytes / (uint32_t)s->channels;
  if (t.kind == QN_CODED_WEIGHTS && t.transposed)
    t.data = gather_rows(&u->m->arena, &t, first, n);
  else
    t.data = (const uint8_t *)t.data + first * channel_bytes;
  t.bytes = n * channel_bytes;
  t.rows = t.kind == QN_CODED_WEIGHTS ? n : t.rows;
  if (t.scales) t.scales += first;
  return t;
}

/* The call of a panel's channels; its constants are the panel's. */
static qn_call slice_call(const qn_unit *u, const qn_panels *s, const qn_call *all, int32_t panel) {
  qn_call call = *all;
  qn_conv_i8_params p = params_of(all);
  p.g.out_c = qn_panel_channels(s, panel);
  memcpy(call.params, &p, sizeof p);
  for (int i = 1; i < call.in_count; i++) {
    if (!s->of[i].data) continue;
    qn_value *v = qn_alloc(&u->m->arena, sizeof *v);
    *v = *call.in[i];
    v->kind = QN_CONST;
    v->data = qn_panel_tensor(u, s, panel, i).data;
    call.in[i] = v;
  }
  return call;
}

/* ------------------------------------------------------------------ tuned kernels */

/* The packer makes the job's constants. */
static bool packs(const qn_unit *u, const qn_job *job, int32_t channels, const int8_t *w) {
  const qn_packing *p = job->packing;
  if (!p || channels < UNIT || packed_bytes(p, channels) != job->constant_bytes) return false;
  uint32_t *bytes = qn_alloc(&u->m->arena, (size_t)job->constant_bytes + 4);
  int32_t whole = channels / p->unit * p->unit, from = channels - p->unit;
  memcpy(bytes, job->constants, (size_t)p->head_bytes);
  p->pack(&p->params, whole, channels, w, p->bias, p->mul, p->shr, bytes + p->head_bytes / 4);
  if (whole < channels) {
    uint32_t *tail = bytes + p->tail_at / 4;
    memcpy(tail, (const char *)job->constants + p->tail_at, (size_t)p->tail_head_bytes);
    p->pack(&p->params, p->unit, channels, w + from * p->channel_step, p->bias + from,
            p->mul + from, p->shr + from, tail + p->tail_head_bytes / 4);
  }
  return memcmp(bytes, job->constants, (size_t)job->constant_bytes) == 0;
}

static bool same_job(const qn_job *a, const qn_job *b) {
  return a->emitter == b->emitter && a->shape_bytes == b->shape_bytes &&
         memcmp(a->shape, b->shape, a->shape_bytes) == 0 &&
         a->constant_bytes == b->constant_bytes &&
         memcmp(a->constants, b->constants, (size_t)a->packing->head_bytes) == 0 &&
         memcmp(&a->packing->params, &b->packing->params, sizeof a->packing->params) == 0;
}

/* What a packer takes, by channel. */
static void use_packing(qn_panels *s, const qn_packing *p) {
  uint32_t count = (uint32_t)s->channels;
  qn_coded_tensor mul = s->of[MUL];
  bool same = mul.data && memcmp(mul.data, p->mul, 4 * (size_t)count) == 0;
  qn_coded_tensor integers = {.bytes = 4 * count, .elem_bytes = 4, .kind = QN_CODED_INTEGERS};
  integers.taps_h = integers.taps_w = 1;
  s->of[B] = s->of[MUL] = s->of[SHR] = integers;
  if (same) s->of[MUL] = mul;
  s->of[B].data = p->bias;
  s->of[MUL].data = p->mul;
  s->of[SHR].data = p->shr;
  s->of[SHR].bytes = count;
  s->of[SHR].elem_bytes = 1;
  s->operands = 1u << W | 1u << B | 1u << MUL | 1u << SHR;
}

/* Whether a tuned kernel computes all panels, one like the other; then *s is of what it takes. */
static bool tune_panels(qn_unit *u, const qn_call *call, qn_take_function *take, qn_panels *s) {
  qn_job whole, *jobs = qn_alloc(&u->m->arena, 2 * sizeof *jobs);
  if (!take(u, call, &whole) || !whole.packing) return false;
  if (s->x_step > 1) return false;
  qn_panels packed = *s;
  use_packing(&packed, whole.packing);
  divide(&packed, whole.packing, UNIT, PANEL_BYTES);
  for (int32_t panel = 0; panel < packed.count; panel++) {
    bool last = panel == packed.count - 1;
    qn_panels as_is = packed;
    memcpy(as_is.of, s->of, sizeof s->of);
    qn_call slice = slice_call(u, &as_is, call, panel);
    qn_job job, *like = &jobs[last && qn_panel_channels(&packed, panel) < packed.each];
    if (!take(u, &slice, &job) || !job.packing) return false;
    if (!packs(u, &job, qn_panel_channels(&packed, panel), slice.in[W]->data)) return false;
    if (like->shape ? !same_job(like, &job) : (*like = job, false)) return false;
    packed.job = &jobs[0];
    packed.last = like;
  }
  *s = packed;
  return true;
}

/* ------------------------------------------------------------------ planning */

/* What of the op is by channel. */
static void list_operands(const qn_unit *u, const qn_call *call, qn_panels *s) {
  qn_conv_i8_params p = params_of(call);
  s->channels = p.g.out_c;
  s->x_step = s->op->code == QN_OP_qdepthwise_conv2d ? p.y_c / p.g.in_c : 0;
  for (int i = 1; i < call->in_count; i++) {
    const qn_value *v = call->in[i];
    if (!v || !is_constant(u, v) || (i > W && qn_count(&v->type) != p.g.out_c)) continue;
    s->of[i] = qn_coded_role(&u->m->arena, s->op, i, qn_place_of(u->f, v).value);
    s->operands |= 1u << i;
  }
}

const char *qn_plan_panels(qn_unit *u, const qn_op *op, qn_take_function *take, qn_panels *out) {
  qn_call call;
  qn_bind(op, &call);
  *out = (qn_panels){.op = op, .wide = qn_places_wide(u)};
  const char *why = why_not(u, op, &call);
  if (why) return why;
  list_operands(u, &call, out);
  if (tune_panels(u, &call, take, out)) return NULL;
  divide(out, NULL, out->x_step ? out->x_step : 1, PANEL_BYTES);
  return NULL;
}

/* As much as memory will have, at least, however it is planned. */
static int64_t largest_value(const qn_unit *u) {
  int64_t most = 0;
  for (const qn_op *op = u->f->first; op; op = op->next)
    if (qn_place_of(u->f, op->out).kind == QN_IN_MEMORY && qn_bytes(&op->out->type) > most)
      most = qn_bytes(&op->out->type);
  return most;
}

bool qn_plan_packed(qn_unit *u, const qn_op *op, qn_take_function *take, qn_panels *out) {
  qn_call call;
  qn_bind(op, &call);
  *out = (qn_panels){.op = op, .by_init = true, .wide = qn_places_wide(u)};
  if (!is_known(op) || !is_constant(u, call.in[W]) || call.in[W]->type.elem != QN_i8) return false;
  qn_job *job = qn_alloc(&u->m->arena, sizeof *job);
  list_operands(u, &call, out);
  if (!take(u, &call, job) || !packs(u, job, out->channels, qn_constant(u, call.in[W])))
    return false;
  use_packing(out, job->packing);
  int64_t room = largest_value(u) - ROOM;
  divide(out, job->packing, UNIT, room > PANEL_BYTES ? room : PANEL_BYTES);
  out->job = out->last = job;
  return qn_panel_channels(out, out->count - 1) >= UNIT;
}
