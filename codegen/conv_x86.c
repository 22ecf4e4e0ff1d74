/* conv_x86.h: costs, constants in the order of their use (emit_conv_x86.c says which). */
#include <string.h>
#include "conv_x86.h"

enum {
  MOST_TILE = 16,
  ALIGN = 64,
  LEAST_RUN = 32 /* bytes: of fewer, vectors are as fast as tiles */
};

/* ------------------------------------------------------------------ cost */

int32_t qn_x86_step_count(const qn_x86_conv *s) {
  return s->p.g.kernel_h * s->p.runs_per_row * s->run_steps;
}

/* Cycles of a row, about: dot products, and the loads and rescaling that go with them. */
static int32_t row_cost(const qn_x86_conv *s, int32_t vectors, int32_t tile) {
  int32_t steps = qn_x86_step_count(s), tiles = qn_divide_up(s->p.g.out_w, tile);
  int32_t rescale = tile * vectors * 3 + qn_divide_up(tile * vectors, 4) * 5;
  int32_t hidden = s->isa.taps == 4 ? 8 : 1; /* so many sums hide a dot product's latency */
  return tiles * (steps * (2 * qn_most(tile * vectors, hidden) + tile + vectors) + 2 * rescale);
}

/* Sums, a step's weights, activations, and a product where it is one of its own fit registers. */
static int32_t most_tile(const qn_x86_conv *s, int32_t vectors) {
  int32_t registers = s->isa.registers - (s->isa.taps == 4 ? 2 : 1) - 1;
  return qn_least(qn_least((registers - vectors) / vectors, MOST_TILE), s->p.g.out_w);
}

/* Vectors of the next block when so many are left. Few registers hold most sums for two. */
static int32_t choose_vectors(const qn_x86_conv *s, int32_t left) {
  if (s->tiles) return qn_least(left, 2);
  if (s->isa.registers < 32 && s->p.g.out_w > 3) return qn_least(left, 2);
  return left == 5 ? 3 : qn_least(left, 4); /* 5 = 3 + 2: one vector alone is slow */
}

/* The best tile, or one that `rank` others are better than; the worst if there are not so many. */
static int32_t choose_tile(const qn_x86_conv *s, int32_t vectors, int32_t rank) {
  bool better[MOST_TILE + 1] = {false};
  int32_t best = 1, limit = most_tile(s, vectors);
  for (int32_t left = qn_least(rank, limit - 1); left >= 0; left--) {
    best = 0;
    for (int32_t tile = 1; tile <= limit; tile++) {
      if (better[tile]) continue;
      if (!best || row_cost(s, vectors, tile) <= row_cost(s, vectors, best)) best = tile;
    }
    better[best] = true;
  }
  return best;
}

/* ------------------------------------------------------------------ constants */

typedef struct {
  qn_unit *u;
  const qn_call *call;
  qn_x86_conv *s;
  qn_window g;            /* before pixels are folded */
  qn_rescaling *channels; /* g.out_c */
  unsigned char *bytes;   /* of all constants */
  int32_t used, rank;     /* of tiles: choose_tile */
} packer;

/* Weight of (folded) output channel o at byte k of run number `run`. */
static int8_t weight_at(const packer *p, int32_t o, int32_t run, int32_t k) {
  const qn_window *g = &p->g;
  int32_t run_bytes = g->kernel_w / p->s->p.runs_per_row * g->in_c;
  const int8_t *w = qn_constant(p->u, p->call->in[1]);
  k -= o / g->out_c * g->stride_w * g->in_c;
  if (k < 0 || k >= run_bytes) return 0;
  return w[(int64_t)(o % g->out_c) * g->kernel_h * g->kernel_w * g->in_c + run * run_bytes + k];
}

/* Prepares the channel; its bias for activations instead of x - x_zero. */
static int32_t prepare_channel(packer *p, int32_t o) {
  const qn_window *g = &p->g;
  int32_t taps = g->kernel_h * g->kernel_w * g->in_c;
  const int8_t *w = (const int8_t *)qn_constant(p->u, p->call->in[1]) + (int64_t)o * taps;
  qn_bounded of = qn_bound_channel(p->u, p->call, o, w, taps, 1, qn_activation_offset(&p->s->isa));
  p->channels[o] = of.r;
  return (int32_t)(uint32_t)of.bias;
}

/* The channel of a lane of a segment's first block. */
static int32_t channel_of(const packer *p, const qn_x86_segment *at, int32_t vector, int32_t lane) {
  int32_t in_block =
      at->vectors == 4 ? lane / 4 * 16 + vector * 4 + lane % 4 : vector * p->s->isa.lanes + lane;
  return at->first_channel + in_block;
}

/* Bias and numbers of one block, of each vector in the form at->form[] or a later one. */
static bool pack_numbers(packer *p, qn_x86_segment *at) {
  const qn_isa *isa = &p->s->isa;
  int32_t lanes = at->vectors * isa->lanes;
  int32_t *bias = (int32_t *)(void *)(p->bytes + at->first_byte);
  for (int32_t v = 0; v < at->vectors; v++) {
    const qn_rescaling *lane[QN_MOST_LANES] = {NULL};
    int32_t *to = bias + v * isa->lanes;
    for (int32_t i = 0; i < isa->lanes; i++) {
      int32_t o = channel_of(p, at, v, i);
      to[i] = 0;
      if (o >= p->s->p.g.out_c) continue;
      o %= p->g.out_c;
      to[i] = prepare_channel(p, o);
      lane[i] = &p->channels[o];
    }
    qn_numbers numbers;
    qn_rescale form = (qn_rescale)at->form[v];
    if (!qn_choose_rescale(isa, lane, &form, &numbers)) return false;
    at->form[v] = (int32_t)form;
    for (int32_t i = 0; i < isa->lanes; i++)
      to[i] = (int32_t)((uint32_t)to[i] + (uint32_t)numbers.shift[i]);
    memcpy(to + lanes, numbers.a, (size_t)qn_vector_bytes(isa));
    memcpy(to + 2 * lanes, numbers.b, (size_t)qn_vector_bytes(isa));
  }
  return true;
}

int32_t qn_x86_numbers_bytes(const qn_x86_conv *s, int32_t vectors) {
  return 3 * vectors * qn_vector_bytes(&s->isa);
}

static int64_t block_bytes(const qn_x86_conv *s, int32_t vectors) {
  int64_t weights = (int64_t)vectors * qn_x86_step_count(s) * qn_weights_bytes(&s->isa);
  return (qn_x86_numbers_bytes(s, vectors) + weights + ALIGN - 1) / ALIGN * ALIGN;
}

static void pack_weights(packer *p, const qn_x86_segment *at) {
  const qn_x86_conv *s = p->s;
  const qn_isa *isa = &s->isa;
  unsigned char *w = p->bytes + at->first_byte + qn_x86_numbers_bytes(s, at->vectors);
  int32_t steps = qn_x86_step_count(s);
  for (int32_t first = 0; first < steps; first += s->chunk_steps)
    for (int32_t v = 0; v < at->vectors; v++)
      for (int32_t step = first; step < first + s->chunk_steps; step++) {
        for (int32_t i = 0; i < isa->lanes * isa->taps; i++) {
          int32_t o = channel_of(p, at, v, i / isa->taps), tap = i % isa->taps;
          int32_t run = step / s->run_steps, k = isa->taps * (step % s->run_steps) + tap;
          if (o < s->p.g.out_c) qn_pack_weight(isa, w, i / isa->taps, tap, weight_at(p, o, run, k));
        }
        w += qn_weights_bytes(isa);
      }
}

static bool same_form(const qn_x86_segment *a, const qn_x86_segment *b) {
  return a->vectors == b->vectors && memcmp(a->form, b->form, sizeof a->form) == 0;
}

/* A block of its own, joined to the segment before if it is like it. */
static bool add_block(packer *p, int32_t vectors, qn_rescale form) {
  qn_x86_conv *s = p->s;
  qn_x86_segment last = {.vectors = vectors, .blocks = 1, .first_byte = p->used};
  last.block_bytes = (int32_t)block_bytes(s, vectors);
  const qn_x86_segment *before = s->segment_count > 0 ? &s->at[s->segment_count - 1] : NULL;
  if (before)
    last.first_channel = before->first_channel + before->blocks * before->vectors * s->isa.lanes;
  for (int32_t v = 0; v < vectors; v++) last.form[v] = (int32_t)form;
  if (!pack_numbers(p, &last)) return false;
  last.tile = s->tiles ? s->tiles * s->tile_rows : choose_tile(s, vectors, p->rank);
  pack_weights(p, &last);
  p->used += last.block_bytes;
  if (before && same_form(before, &last)) {
    s->at[s->segment_count - 1].blocks++;
    return true;
  }
  if (s->segment_count == QN_X86_SEGMENTS) return false;
  s->at[s->segment_count++] = last;
  return true;
}

/* All blocks, in forms from `form` on. */
static bool add_blocks(packer *p, qn_rescale form) {
  int32_t left = qn_divide_up(p->s->p.g.out_c, p->s->isa.lanes);
  p->used = p->s->tiles ? ALIGN : 0; /* the tile registers' sizes */
  p->s->segment_count = 0;
  while (left > 0) {
    int32_t vectors = choose_vectors(p->s, left);
    if (!add_block(p, vectors, form)) return false;
    left -= vectors;
  }
  return true;
}

/* ------------------------------------------------------------------ layouts */

/* What windows see around the image; and the bytes that the last run's last step reads beyond it.
 */
static qn_margin seen_margin(const qn_x86_conv *s) {
  const qn_window *g = &s->p.g;
  return (qn_margin){.top = g->top,
                     .left = g->left,
                     .bottom = qn_most(s->p.rows - g->top - g->in_h, 0),
                     .right = qn_most(s->p.row_elems / g->in_c - g->left - g->in_w, 0),
                     .beyond = s->run_steps * s->isa.taps - s->p.run_elems};
}

bool qn_x86_in_place(const qn_x86_conv *s) {
  const qn_margin *has = &s->x.margin, seen = seen_margin(s);
  return s->isa.taps == 4 && !s->tiles && s->x.flipped && seen.top <= has->top &&
         seen.left <= has->left && seen.bottom <= has->bottom && seen.right <= has->right &&
         seen.beyond <= has->beyond;
}

qn_pitch qn_x86_result_pitch(const qn_x86_conv *s) {
  const qn_window *g = &s->p.g;
  return qn_pitch_of(&s->y.margin, g->out_h, g->out_w * (g->out_c / s->pixel_channels),
                     s->pixel_channels);
}

/* A kernel that reads where the input lies writes a tile after it has read its windows. The lead of
 * one that goes over the pixels once. */
static int64_t lead_of(const qn_x86_conv *s) {
  const qn_window *g = &s->p.g;
  const qn_margin *m = &s->x.margin;
  qn_pitch x = qn_pitch_of(m, g->in_h, g->in_w, g->in_c), y = qn_x86_result_pitch(s);
  int64_t lead = 0, written = 0;
  int32_t tile = s->at[0].tile, tiles = qn_divide_up(g->out_w, tile);
  int64_t window = (m->top - g->top) * x.row + (int64_t)(m->left - g->left) * g->in_c;
  for (int32_t image = 0; image < g->batch; image++)
    for (int32_t row = 0; row < g->out_h; row++)
      for (int32_t i = 0; i < tiles; i++) {
        int64_t from = image * x.image + window + row * g->stride_h * x.row;
        int64_t pixel = qn_least(i * tile, g->out_w - tile);
        int64_t later = from + g->stride_h * x.row; /* what the next row reads first */
        from += pixel * g->stride_w * g->in_c;
        if (row < g->out_h - 1 && later < from) from = later;
        if (written - from > lead) lead = written - from;
        written = image * y.image + y.first + row * y.row + (pixel + tile) * g->out_c;
      }
  return lead;
}

/* Of one that has copied all of an image. */
static int64_t copied_lead(const qn_x86_conv *s) {
  const qn_window *g = &s->p.g;
  int64_t growth =
      qn_x86_result_pitch(s).image - qn_pitch_of(&s->x.margin, g->in_h, g->in_w, g->in_c).image;
  return growth > 0 ? (g->batch - 1) * growth : 0;
}

/* Pixels that are computed twice force a small lead: with a result as large as the operand that
 * most often makes plans worse. */
static void settle(qn_job *job) {
  const qn_x86_conv *s = job->shape;
  const qn_window *g = &s->p.g;
  bool here = qn_x86_in_place(s), once = s->segment_count == 1 && s->at[0].blocks == 1;
  bool grows = qn_x86_result_pitch(s).image >
               qn_pitch_of(&s->x.margin, g->in_h, g->in_w, g->in_c).image;
  job->scratch_bytes = (here ? 0 : qn_x86_copy_bytes(s)) + (s->tiles ? qn_amx_sum_bytes(s) : 0);
  job->lead = !here ? copied_lead(s) : once ? lead_of(s) : 0;
  job->overlap = !here || (once && (job->lead == 0 || grows)) ? QN_AHEAD : QN_APART;
}

/* Only where pixels are the value's, neither folded nor all in a row. */
static void offer_layouts(qn_x86_conv *s, const qn_window *g, qn_job *job) {
  bool plain = s->p.g.in_h == g->in_h && s->p.g.in_w == g->in_w;
  job->settle = settle;
  job->fenced = true;
  if (s->isa.taps != 4) return;
  job->awake = s->tiles ? NULL : &s->awake;
  job->x_layout[0] = &s->x;
  job->y_layout = &s->y;
  job->reads_margins = plain && !s->tiles;
  job->writes_margins = plain;
  if (s->tiles) return;
  job->wanted = seen_margin(s);
  if (!plain) job->wanted = (qn_margin){.beyond = job->wanted.beyond};
}

int64_t qn_x86_copy_bytes(const qn_x86_conv *s) {
  int64_t bytes = qn_padded_elems(&s->p) * qn_activation_bytes(&s->isa) + 2 * QN_MOST_VECTOR;
  return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* ------------------------------------------------------------------ folding */

/* Few channels leave lanes empty. Neighbouring pixels of a row are the channels of one pixel whose
 * window is as wide as theirs together: weights are 0 where a pixel's own window has no taps, and
 * results lie in memory as before. */
static qn_window fold(const qn_window *g, int32_t pixels) {
  qn_window folded = *g;
  folded.out_c *= pixels;
  folded.out_w /= pixels;
  folded.kernel_w += (pixels - 1) * g->stride_w;
  folded.stride_w *= pixels;
  return folded;
}

/* Dot products of one vector, and what else takes as long, about; amx: products of tiles, and loads
 * of activations that vectors share. */
static int32_t cost_of(const qn_isa *isa, const qn_window *g, bool amx) {
  int32_t bytes = g->kernel_w * g->in_c, vectors = qn_divide_up(g->out_c, isa->lanes);
  if (amx) return g->kernel_h * qn_divide_up(bytes, isa->taps * QN_AMX_STEPS) * (13 * vectors + 3);
  return g->kernel_h * qn_divide_up(bytes, isa->taps) + 5;
}

static qn_window fold_pixels(const qn_isa *isa, const qn_window *g, bool amx) {
  qn_window best = *g;
  int32_t best_pixels = 1;
  int32_t most = (amx ? 2 : 1) * isa->lanes / g->out_c;
  if (g->dilation_w > 1 || (amx && g->kernel_w * g->in_c < LEAST_RUN)) most = 1;
  for (int32_t pixels = 2; pixels <= most; pixels++) {
    if (g->out_w % pixels != 0) continue;
    qn_window folded = fold(g, pixels);
    int64_t now = cost_of(isa, &folded, amx), before = cost_of(isa, &best, amx);
    if (now * best_pixels >= before * pixels) continue;
    best = folded;
    best_pixels = pixels;
  }
  return best;
}

bool qn_take_conv_x86(qn_unit *u, const qn_call *call, qn_job *job, bool amx) {
  qn_conv_i8_params params;
  memcpy(&params, call->params, sizeof params);
  if (params.g.groups != 1 || !qn_has_constant_operands(u, call)) return false;
  qn_x86_conv *s = qn_alloc(&u->m->arena, sizeof *s);
  s->isa = qn_isa_of(u);
  s->x_zero = params.x_zero;
  s->pixel_channels = params.g.out_c;
  s->clamping = (qn_clamping){.zero = params.y_zero, .low = params.low, .high = params.high};
  packer p = {.u = u, .call = call, .s = s, .g = params.g, .rank = job->alternative};
  qn_straighten(&p.g);
  qn_window folded = fold_pixels(&s->isa, &p.g, amx);
  if (!qn_pad_window(&folded, &s->p)) return false;
  s->chunk_steps = amx ? QN_AMX_STEPS : 1;
  s->run_steps = qn_divide_up(s->p.run_elems, s->isa.taps * s->chunk_steps) * s->chunk_steps;
  if (amx && !qn_plan_amx(s)) return false;
  /* as many as blocks of one vector would take */
  int64_t bytes = qn_divide_up(s->p.g.out_c, s->isa.lanes) * block_bytes(s, 1) + ALIGN;
  if (bytes > INT32_MAX / 2) return false;
  p.bytes = qn_alloc(&u->m->arena, (size_t)bytes);
  p.channels = qn_alloc(&u->m->arena, (size_t)p.g.out_c * sizeof *p.channels);
  if (!add_blocks(&p, QN_RESCALE_fma) && !add_blocks(&p, QN_RESCALE_signed) &&
      !add_blocks(&p, QN_RESCALE_integer))
    return false;
  if (amx) qn_pack_amx(s, p.bytes);
  job->alternatives = amx ? 0 : most_tile(s, s->at[0].vectors) - 1;
  job->shape = s;
  job->shape_bytes = sizeof *s;
  job->constants = p.bytes;
  job->constant_bytes = p.used;
  offer_layouts(s, &params.g, job);
  settle(job);
  return true;
}
