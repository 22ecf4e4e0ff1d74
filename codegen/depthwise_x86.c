/* depthwise_x86.h: geometry, and constants in the order of their use. */
#include "depthwise_x86.h"
#include <string.h>

enum { MOST_TAPS = 64 };

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

int32_t qn_depthwise_taps(const qn_x86_depthwise *s) { return s->rows * s->lines * s->g.kernel_w; }

int32_t qn_depthwise_vector_bytes(const qn_x86_depthwise *s) {
  return (3 + qn_depthwise_taps(s)) * qn_vector_bytes(&s->isa);
}

/* ------------------------------------------------------------------ geometry */

static bool measure(qn_x86_depthwise *s) {
  const qn_window *g = &s->g;
  bool two = g->kernel_h <= 3 && g->stride_h == 1 && g->dilation_h == 1 && g->out_h >= 2;
  s->rows = two ? 2 : 1;
  s->lines = (g->kernel_h + s->rows - 1 + s->isa.taps - 1) / s->isa.taps;
  s->columns = (g->out_w - 1) * g->stride_w + (g->kernel_w - 1) * g->dilation_w + 1;
  if (g->left < 0 || g->left >= s->columns || qn_depthwise_taps(s) > MOST_TAPS) return false;
  s->copied = least(g->in_w, s->columns - g->left);
  if ((int64_t)s->columns * g->in_c > INT32_MAX / 16 / s->lines) return false;
  s->line_bytes = qn_round_up(s->columns * g->in_c * 4, QN_MOST_VECTOR) + QN_MOST_VECTOR;
  return true;
}

qn_x86_depthwise *qn_measure_depthwise(qn_unit *u, const qn_call *call) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  if (params.g.in_c != params.g.out_c || qn_constant(u, call->in[0])) return NULL;
  for (int i = 1; i < call->in_count; i++) {
    if (call->in[i] && !qn_constant(u, call->in[i])) return NULL;
  }
  qn_x86_depthwise *s = qn_alloc(&u->m->arena, sizeof *s);
  s->isa = qn_isa_of(u);
  s->g = params.g;
  s->x_zero = params.x_zero;
  s->clamping = (qn_clamping){.zero = params.y_zero, .low = params.low, .high = params.high};
  return measure(s) ? s : NULL;
}

/* ------------------------------------------------------------------ constants */

typedef struct {
  qn_unit *u;
  const qn_call *call;
  qn_x86_depthwise *s;
  unsigned char *bytes;
  qn_rescaling *channels;
  int32_t *bias; /* with corrections */
} packer;

static int8_t weight_of(const packer *p, int32_t ky, int32_t kx, int32_t c) {
  const qn_window *g = &p->s->g;
  const int8_t *w = qn_constant(p->u, p->call->in[1]);
  if (ky < 0 || ky >= g->kernel_h) return 0;
  return w[(ky * g->kernel_w + kx) * g->in_c + c];
}

static void prepare_channel(packer *p, int32_t c) {
  const qn_window *g = &p->s->g;
  const int8_t *w = (const int8_t *)qn_constant(p->u, p->call->in[1]) + c;
  qn_bounded of = qn_bound_channel(p->u, p->call, c, w, g->kernel_h * g->kernel_w, g->in_c,
                                   qn_activation_offset(&p->s->isa));
  p->channels[c] = of.r;
  p->bias[c] = (int32_t)(uint32_t)of.bias;
}

/* The channel of a lane of vector number `vector` of the strip, -1 if there is none. */
static int32_t channel_of(const packer *p, const qn_x86_strip *at, int32_t vector, int32_t lane) {
  int32_t lanes = p->s->isa.lanes, element = at->first + vector * lanes + lane;
  if (p->s->ordered)
    element = at->first + vector / QN_MOST_GROUP * at->width +
              (lane / 4 * 16 + vector % QN_MOST_GROUP * 4 + lane % 4) % at->width;
  if (p->s->flat) return element % p->s->g.in_c;
  return element < p->s->g.in_c ? element : -1;
}

static void pack_taps(packer *p, const qn_x86_strip *at, int32_t vector, unsigned char *to) {
  const qn_x86_depthwise *s = p->s;
  qn_isa isa = s->isa;
  isa.widened = 0;
  for (int32_t row = 0; row < s->rows; row++)
    for (int32_t line = 0; line < s->lines; line++)
      for (int32_t kx = 0; kx < s->g.kernel_w; kx++, to += qn_vector_bytes(&isa))
        for (int32_t i = 0; i < isa.lanes * isa.taps; i++) {
          int32_t c = channel_of(p, at, vector, i / isa.taps), tap = i % isa.taps;
          if (c >= 0)
            qn_pack_weight(&isa, to, i / isa.taps, tap,
                           weight_of(p, isa.taps * line + tap - row, kx, c));
        }
}

/* In forms from at->form on. */
static bool pack_vector(packer *p, qn_x86_strip *at, int32_t vector) {
  const qn_isa *isa = &p->s->isa;
  const qn_rescaling *lane[QN_MOST_LANES] = {NULL};
  unsigned char *to = p->bytes + at->first_byte + vector * qn_depthwise_vector_bytes(p->s);
  int32_t bias[QN_MOST_LANES] = {0}, bytes = qn_vector_bytes(isa);
  for (int32_t i = 0; i < isa->lanes; i++) {
    int32_t c = channel_of(p, at, vector, i);
    if (c < 0) continue;
    lane[i] = &p->channels[c];
    bias[i] = p->bias[c];
  }
  qn_numbers numbers;
  qn_rescale form = (qn_rescale)at->form[vector % at->vectors];
  if (!qn_choose_rescale(isa, lane, &form, &numbers)) return false;
  at->form[vector % at->vectors] = (int32_t)form;
  for (int32_t i = 0; i < isa->lanes; i++)
    bias[i] = (int32_t)((uint32_t)bias[i] + (uint32_t)numbers.shift[i]);
  memcpy(to, bias, (size_t)bytes);
  memcpy(to + bytes, numbers.a, (size_t)bytes);
  memcpy(to + 2 * bytes, numbers.b, (size_t)bytes);
  pack_taps(p, at, vector, to + 3 * bytes);
  return true;
}

/* All blocks of a strip, whose code is the same: when one needs another form, all take it. */
static bool pack_strip(packer *p, qn_x86_strip *at) {
  for (int32_t v = 0; v < at->vectors; v++) at->form[v] = (int32_t)QN_RESCALE_fma;
  for (;;) {
    qn_x86_strip before = *at;
    for (int32_t v = 0; v < at->count * at->vectors; v++)
      if (!pack_vector(p, at, v)) return false;
    if (memcmp(before.form, at->form, sizeof before.form) == 0) return true;
  }
}

bool qn_pack_depthwise(qn_unit *u, const qn_call *call, qn_x86_depthwise *s, qn_job *job) {
  packer p = {.u = u, .call = call, .s = s};
  int32_t bytes = 0;
  for (int32_t i = 0; i < s->strip_count; i++) {
    s->at[i].first_byte = bytes;
    bytes += s->at[i].count * s->at[i].vectors * qn_depthwise_vector_bytes(s);
  }
  p.bytes = qn_alloc(&u->m->arena, (size_t)bytes);
  p.channels = qn_alloc(&u->m->arena, (size_t)s->g.in_c * sizeof *p.channels);
  p.bias = qn_alloc(&u->m->arena, (size_t)s->g.in_c * sizeof *p.bias);
  for (int32_t c = 0; c < s->g.in_c; c++) prepare_channel(&p, c);
  for (int32_t i = 0; i < s->strip_count; i++)
    if (!pack_strip(&p, &s->at[i])) return false;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  if (s->isa.taps == 4) {
    job->awake = &s->awake;
    job->x_layout[0] = &s->x;
    job->y_layout = &s->y;
  }
  job->constants = p.bytes;
  job->constant_bytes = bytes;
  return true;
}

/* ------------------------------------------------------------------ rows */

int qn_stored_zero(const qn_x86_depthwise *s) { return s->x_zero + (s->x.flipped ? 128 : 0); }

LLVMValueRef qn_unsigned_bytes(qn_build *b, const qn_x86_depthwise *s, LLVMValueRef bytes) {
  if (s->x.flipped) return bytes;
  int count = (int)LLVMGetVectorSize(LLVMTypeOf(bytes));
  return LLVMBuildXor(b->b, bytes, qn_splat_i8(b, 128, count), "");
}

LLVMValueRef qn_depthwise_row(qn_build *b, const qn_x86_depthwise *s, LLVMValueRef x,
                              LLVMValueRef padding, LLVMValueRef row, int32_t tap) {
  const qn_window *g = &s->g;
  if (tap >= g->kernel_h + s->rows - 1) return padding;
  LLVMValueRef at = LLVMBuildAdd(b->b, qn_times(b, row, g->stride_h),
                                 qn_index(b, tap * g->dilation_h - g->top), "");
  LLVMValueRef inside = LLVMBuildICmp(b->b, LLVMIntULT, at, qn_index(b, g->in_h), "");
  LLVMValueRef offset = LLVMBuildSelect(b->b, inside, qn_times(b, at, (int64_t)g->in_w * g->in_c),
                                        qn_index(b, 0), "");
  return qn_at_index(b, LLVMBuildSelect(b->b, inside, x, padding, ""), offset);
}

/* Halves of x and y, byte by byte or pair by pair, within each 128 bits. */
static LLVMValueRef unpack(qn_build *b, int bytes, LLVMValueRef x, LLVMValueRef y, int size,
                           int high) {
  LLVMTypeRef element = size == 1 ? b->u->i8 : LLVMInt16TypeInContext(b->u->context);
  LLVMTypeRef type = qn_vector(element, bytes / size);
  int lanes = bytes / size, half = 8 / size, at[QN_MOST_VECTOR];
  for (int i = 0; i < lanes; i++)
    at[i] = i / (2 * half) * 2 * half + high * half + i % (2 * half) / 2 + i % 2 * lanes;
  return LLVMBuildShuffleVector(b->b, LLVMBuildBitCast(b->b, x, type, ""),
                                LLVMBuildBitCast(b->b, y, type, ""), qn_indices(b, at, lanes), "");
}

void qn_interleave_rows(qn_build *b, const qn_isa *isa, const LLVMValueRef *rows,
                        LLVMValueRef *out) {
  int size = qn_vector_bytes(isa);
  LLVMValueRef pair[4];
  for (int i = 0; i < 4; i++)
    pair[i] = unpack(b, size, rows[i / 2 * 2], rows[i / 2 * 2 + 1], 1, i % 2);
  for (int i = 0; i < 4; i++) out[i] = unpack(b, size, pair[i / 2], pair[2 + i / 2], 2, i % 2);
}
