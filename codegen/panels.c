/* A layer whose weights are decoded while it runs -> panels: some output channels each, whose
 * weights, biases and scales are one image. Run decodes a panel into scratch and computes its
 * channels of all pixels, so that neither flash nor memory ever holds all weights as they are.
 *
 * A panel takes 4 KB at most, or one channel if that is more. Panels are of equal size where a
 * number of channels of at least half of that divides all of them; else the last one is smaller,
 * which costs the code of a second size. */
#include <string.h>
#include "../runtime/codec.h"
#include "unit.h"

enum { PANEL_BYTES = 4096, LEAST_REUSE = 8 /* pixels: multiply-adds by weight */ };

/* ------------------------------------------------------------------ what can be streamed */

static bool is_constant(const qn_unit *u, const qn_value *v) { return qn_constant(u, v) != NULL; }

/* A constant of one element per channel. */
static bool has_channels(const qn_value *v, int32_t channels) {
  return v && qn_count(&v->type) == channels;
}

static const char *why_not(const qn_unit *u, const qn_call *call, const qn_conv_i8_params *p,
                           bool depthwise) {
  int64_t pixels = (int64_t)p->g.batch * p->g.out_h * p->g.out_w;
  if (!is_constant(u, call->in[1]) || call->in[1]->type.elem != QN_i8)
    return "its weights are no int8 constant";
  if (is_constant(u, call->in[0])) return "its operand is a constant";
  if (p->g.groups != 1 && !depthwise) return "its channels are in groups";
  if (pixels >= LEAST_REUSE) return NULL;
  return qn_format(&u->m->arena,
                   "decoding its weights takes longer than the %lld multiply-add%s with "
                   "each",
                   (long long)pixels, pixels == 1 ? "" : "s");
}

/* ------------------------------------------------------------------ sizes */

static uint32_t slice_bytes(const qn_panels *s, int i, int32_t channels) {
  return (uint32_t)(s->bytes[i] / s->channels * channels);
}

static uint32_t align_up(uint32_t n, uint32_t to) { return (n + to - 1) / to * to; }

uint32_t qn_panel_image(const qn_panels *s, int32_t channels, uint32_t offsets[QN_MAX_IN]) {
  uint32_t end = 0;
  for (int i = 0; i < QN_MAX_IN; i++) {
    if (!(s->operands >> i & 1)) continue;
    uint32_t bytes = slice_bytes(s, i, channels);
    offsets[i] = qn_codec_place(end, bytes);
    end = align_up(offsets[i] + bytes, 4);
  }
  return end;
}

int64_t qn_panel_scratch(const qn_unit *u, const qn_panels *s, int64_t *out_state) {
  uint32_t offsets[QN_MAX_IN];
  *out_state = align_up(qn_panel_image(s, s->each, offsets), 64);
  return *out_state + u->weights.codec->scratch_bytes;
}

static bool fits(const qn_panels *s, int32_t channels) {
  uint32_t offsets[QN_MAX_IN];
  return qn_panel_image(s, channels, offsets) <= PANEL_BYTES;
}

/* How many channels a panel has: multiples of `step`. */
static int32_t choose_size(const qn_panels *s, int32_t step) {
  int32_t most = step;
  while (most + step <= s->channels && fits(s, most + step)) most += step;
  for (int32_t n = most; 2 * n >= most; n -= step)
    if (s->channels % n == 0) return n;
  int32_t count = (s->channels + most - 1) / most, each = (s->channels + count - 1) / count;
  return (each + step - 1) / step * step;
}

int32_t qn_panel_channels(const qn_panels *s, int32_t panel) {
  int32_t left = s->channels - panel * s->each;
  return left < s->each ? left : s->each;
}

const char *qn_plan_panels(const qn_unit *u, const qn_op *op, qn_panels *out) {
  qn_call call;
  qn_conv_i8_params p;
  qn_bind(op, &call);
  *out = (qn_panels){0};
  bool depthwise = op->code == QN_OP_qdepthwise_conv2d;
  if (op->code != QN_OP_qconv2d && op->code != QN_OP_qdense && !depthwise)
    return "only layers of integers are decoded while they run";
  memcpy(&p, call.params, sizeof p);
  const char *why = why_not(u, &call, &p, depthwise);
  if (why) return why;
  out->op = op;
  out->channels = p.g.out_c;
  for (int i = 1; i < call.in_count; i++) {
    if (!is_constant(u, call.in[i]) || (i > 1 && !has_channels(call.in[i], p.g.out_c))) continue;
    out->operands |= 1u << i;
    out->bytes[i] = qn_bytes(&call.in[i]->type);
    if (out->bytes[i] > QN_CODED_MOST) return "it has too many weights";
  }
  out->x_step = depthwise ? p.g.out_c / p.g.in_c : 0;
  out->each = choose_size(out, depthwise ? out->x_step : 1);
  out->count = (out->channels + out->each - 1) / out->each;
  return NULL;
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
  qn_call call;
  qn_bind(s->op, &call);
  qn_place place = qn_place_of(u->f, call.in[i]);
  qn_arena *a = &u->m->arena;
  qn_coded_tensor t = qn_coded_role(a, s->op, i, place.value);
  uint32_t first = (uint32_t)(panel * s->each), n = (uint32_t)qn_panel_channels(s, panel);
  uint32_t channel_bytes = (uint32_t)(s->bytes[i] / s->channels);
  if (t.kind == QN_CODED_WEIGHTS && t.transposed)
    t.data = gather_rows(a, &t, first, n);
  else
    t.data = (const uint8_t *)t.data + first * channel_bytes;
  t.bytes = n * channel_bytes;
  t.rows = t.kind == QN_CODED_WEIGHTS ? n : t.rows;
  if (t.scales) t.scales += first;
  return t;
}
