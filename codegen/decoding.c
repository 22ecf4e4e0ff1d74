/* Coded weights -> calls of their decoders: in init what is decoded once, and a check of what is
 * not; in run layers that are streamed, as loops: decode a panel, compute its channels.
 *
 * Where a tuned kernel computes the panel, or a layer that init decodes, a packer (runtime/pack.h)
 * puts the decoded weights into the kernel's order in between. */
#include <string.h>
#include "emission.h"

/* An image of the stream, and what the decoder returns. */
static qn_status emit_decoding(qn_emission *e, LLVMValueRef start, LLVMValueRef image,
                               LLVMValueRef bytes, LLVMValueRef state, LLVMValueRef *out_code) {
  const qn_unit *u = e->u;
  LLVMValueRef decoder = LLVMGetNamedFunction(u->module, u->weights.codec->decoder);
  if (!decoder) return qn_bug("the runtime has no decoder '%s'", u->weights.codec->decoder);
  LLVMValueRef arguments[] = {qn_at_offset(e, u->blob, u->weights.stream),
                              qn_number(u->i32, u->weights.stream_bytes),
                              start,
                              image,
                              bytes,
                              state,
                              qn_number(u->i32, u->weights.features)};
  *out_code = LLVMBuildCall2(e->b, LLVMGlobalGetValueType(decoder), decoder, arguments, 7, "");
  return QN_OK;
}

static LLVMValueRef panel_entry(qn_emission *e, qn_build *b, LLVMValueRef index) {
  LLVMValueRef table = qn_at_offset(e, e->u->blob, e->u->weights.panel_table);
  return qn_at_index(b, table, qn_times(b, index, 8));
}

/* Panels of equal size, of one layer: a loop. */
typedef struct {
  const qn_panels *s;
  const qn_job *job;   /* or NULL: the kernel, for */
  const qn_call *call; /* of a panel */
  int32_t first, count;
  int32_t n; /* channels of each */
} panel_group;

/* A panel, decoded. */
typedef struct {
  LLVMValueRef index, image;
  uint32_t bytes, offsets[QN_MAX_IN];
  LLVMValueRef code; /* what the decoder returned */
} decoded_panel;

/* Decodes the group's panel of loop l. */
static qn_status decode_panel(qn_emission *e, qn_build *b, const panel_group *g, const qn_loop *l,
                              LLVMValueRef image, LLVMValueRef state, decoded_panel *out) {
  *out = (decoded_panel){.image = image};
  out->bytes = qn_panel_image(g->s, g->n, out->offsets);
  out->index = LLVMBuildAdd(e->b, l->index, qn_index(b, g->first), "");
  LLVMValueRef at = LLVMBuildAdd(e->b, out->index, qn_index(b, g->s->first), "");
  LLVMValueRef start = qn_read(b, e->u->i32, panel_entry(e, b, at), 4);
  return emit_decoding(e, start, image, qn_number(e->u->i32, out->bytes), state, &out->code);
}

/* Operand i of a panel. */
static LLVMValueRef panel_operand(qn_emission *e, qn_build *b, const panel_group *g,
                                  const decoded_panel *p, int i) {
  const qn_value *v = g->call->in[i];
  const qn_panels *s = g->s;
  const qn_coded_tensor *t = &s->of[i];
  if (s->operands >> i & 1) return qn_at_offset(e, p->image, p->offsets[i]);
  if (t->data) {
    int64_t by = t->bytes / s->channels * s->each;
    return qn_at_index(b, qn_weight_address(e, t->data, t->bytes), qn_times(b, p->index, by));
  }
  qn_place place = qn_place_of(e->u->f, v);
  int64_t by = i == 0 && s->x_step ? s->each / s->x_step * (qn_elem_bits(v->type.elem) / 8) : 0;
  LLVMValueRef base = qn_address_of(e, &place);
  return by ? qn_at_index(b, base, qn_times(b, p->index, by)) : base;
}

/* Constants that are the same for all panels. */
static void emit_head(qn_emission *e, const void *from, int64_t size, LLVMValueRef to) {
  LLVMValueRef head = qn_add_bytes(e->u, "head", from, (size_t)size);
  LLVMSetAlignment(head, 4);
  LLVMBuildMemCpy(e->b, to, 4, head, 4, qn_number(e->u->size, size));
}

static void emit_heads(qn_emission *e, const qn_job *job, LLVMValueRef to) {
  const qn_packing *p = job->packing;
  emit_head(e, job->constants, p->head_bytes, to);
  if (p->tail_at && p->tail_head_bytes)
    emit_head(e, (const char *)job->constants + p->tail_at, p->tail_head_bytes,
              qn_at_offset(e, to, p->tail_at));
}

/* Makes constants of `channels` of a panel's channels, from number `from` on. */
static void call_packer(qn_emission *e, LLVMValueRef packer, LLVMValueRef params,
                        const panel_group *g, LLVMValueRef const *operands, int32_t from,
                        int32_t channels, LLVMValueRef to) {
  const int32_t by[] = {g->job->packing->channel_step, 4, 4, 1};
  LLVMValueRef arguments[8] = {params, qn_number(e->u->i32, channels), qn_number(e->u->i32, g->n)};
  for (int i = 0; i < 4; i++)
    arguments[3 + i] = qn_at_offset(e, operands[i], (int64_t)from * by[i]);
  arguments[7] = to;
  LLVMBuildCall2(e->b, LLVMGlobalGetValueType(packer), packer, arguments, 8, "");
}

/* Makes the job's constants at `to` of a panel; its first ones are `offset` behind the head. */
static qn_status emit_packing(qn_emission *e, qn_build *b, const panel_group *g,
                              const decoded_panel *p, LLVMValueRef to, LLVMValueRef offset) {
  const qn_packing *packing = g->job->packing;
  LLVMValueRef packer = LLVMGetNamedFunction(e->u->module, packing->packer), operands[4];
  if (!packer) return qn_bug("the runtime has no packer '%s'", packing->packer);
  LLVMValueRef params = qn_add_bytes(e->u, "packing", &packing->params, sizeof packing->params);
  LLVMSetAlignment(params, 4);
  for (int i = 0; i < 4; i++) operands[i] = panel_operand(e, b, g, p, 1 + i);
  int32_t unit = packing->unit, whole = g->n / unit * unit;
  LLVMValueRef units = qn_at_index(b, qn_at_offset(e, to, packing->head_bytes), offset);
  call_packer(e, packer, params, g, operands, 0, whole, units);
  if (whole == g->n) return QN_OK;
  to = qn_at_offset(e, to, packing->tail_at + packing->tail_head_bytes);
  call_packer(e, packer, params, g, operands, g->n - unit, unit, to);
  return QN_OK;
}

/* The function for a panel, and its arguments' order: qn_find_variant. */
static qn_status find_panel_variant(qn_emission *e, const panel_group *g, const qn_variant **out) {
  qn_variant wanted = {.job = g->job, .call = *g->call};
  wanted.scratch = (g->job ? g->job->scratch_bytes : g->call->scratch_bytes) > 0;
  for (int i = 0; i < g->call->in_count; i++)
    if (g->call->in[i] && !(g->job && i > 0)) wanted.present |= 1u << i;
  return qn_find_variant(&e->variants, &wanted, out);
}

static qn_status emit_panel_group(qn_emission *e, const panel_group *g, const char **out_kernel) {
  const qn_panels *s = g->s;
  const qn_variant *v = NULL;
  QN_TRY(find_panel_variant(e, g, &v));
  qn_build b = {e->u, e->b, e->run, false};
  LLVMPositionBuilderAtEnd(e->b, LLVMGetLastBasicBlock(e->run));
  LLVMValueRef memory = LLVMGetParam(e->run, 0);
  qn_panel_scratch at = qn_panel_scratch_of(e->u, s);
  LLVMValueRef scratch = qn_at_offset(e, memory, e->u->plan_offset + s->op->scratch);
  LLVMValueRef packed = NULL;
  if (g->job) emit_heads(e, g->job, packed = qn_at_offset(e, scratch, at.packed));
  qn_loop l = qn_begin_loop(&b, g->count, NULL, 0);
  decoded_panel p;
  QN_TRY(decode_panel(e, &b, g, &l, scratch, qn_at_offset(e, scratch, at.state), &p));
  if (g->job) QN_TRY(emit_packing(e, &b, g, &p, packed, qn_number(e->u->size, 0)));
  LLVMValueRef arguments[QN_MAX_IN + 3];
  unsigned count = 0;
  for (int i = 0; i < g->call->in_count; i++)
    if (v->present >> i & 1) arguments[count++] = panel_operand(e, &b, g, &p, i);
  qn_place y = qn_place_of(e->u->f, s->op->out);
  int64_t by = s->each * (qn_elem_bits(s->op->out->type.elem) / 8);
  arguments[count++] = qn_at_index(&b, qn_address_of(e, &y), qn_times(&b, p.index, by));
  if (g->job) arguments[count++] = packed;
  if (v->scratch)
    arguments[count++] = g->job ? scratch : qn_at_offset(e, scratch, at.kernel);
  LLVMBuildCall2(e->b, v->type, v->function, arguments, count, "");
  qn_end_loop(&b, &l);
  size_t size;
  const char *name = LLVMGetValueName2(v->function, &size);
  *out_kernel = qn_strndup(&e->u->m->arena, name, size);
  return QN_OK;
}

/* The panels from `first` on that are of one size: all whole ones, or the rest. call: room. */
static panel_group find_group(const qn_panels *s, int32_t first, qn_call *call) {
  int32_t whole = s->channels / s->each;
  qn_bind(s->op, call);
  qn_conv_i8_params p;
  memcpy(&p, call->params, sizeof p);
  p.g.out_c = qn_panel_channels(s, first);
  memcpy(call->params, &p, sizeof p);
  return (panel_group){.s = s,
                       .job = first < whole ? s->job : s->last,
                       .call = call,
                       .first = first,
                       .count = first < whole ? whole : 1,
                       .n = p.g.out_c};
}

qn_status qn_emit_panels(qn_emission *e, const qn_panels *s, const char **out_kernel) {
  qn_call call;
  for (int32_t first = 0; first < s->count;) {
    const panel_group g = find_group(s, first, &call);
    QN_TRY(emit_panel_group(e, &g, out_kernel));
    first += g.count;
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ init */

/* In init: all panels of a layer to its constants in decoded memory. */
static qn_status emit_packed(qn_emission *e, qn_build *b, const qn_panels *s, LLVMValueRef image,
                             LLVMValueRef decoded, LLVMValueRef *code) {
  qn_call call;
  LLVMValueRef to = qn_at_offset(e, decoded, s->packed);
  LLVMValueRef state = qn_at_offset(e, image, (e->u->weights.panel_bytes + 63) / 64 * 64);
  emit_heads(e, s->job, to);
  for (int32_t first = 0; first < s->count;) {
    const panel_group g = find_group(s, first, &call);
    decoded_panel p;
    qn_loop l = qn_begin_loop(b, g.count, code, 1);
    QN_TRY(decode_panel(e, b, &g, &l, image, state, &p));
    *code = LLVMBuildOr(e->b, *code, p.code, "");
    int64_t by = s->each / s->job->packing->unit * s->job->packing->unit_bytes;
    QN_TRY(emit_packing(e, b, &g, &p, to, qn_times(b, p.index, by)));
    qn_end_loop(b, &l);
    first += g.count;
  }
  return QN_OK;
}

/* Panels from, .. of run: decoded where activations will be, because run has no way to report
 * damage. Sizes that are damaged themselves are kept in bounds. */
static qn_status emit_checks(qn_emission *e, qn_build *b, int from, int count, LLVMValueRef image,
                             LLVMValueRef *code) {
  const qn_weight_plan *w = &e->u->weights;
  LLVMValueRef state = qn_at_offset(e, image, (w->panel_bytes + 63) / 64 * 64);
  LLVMValueRef most = qn_number(e->u->i32, w->panel_bytes), decoded;
  qn_loop l = qn_begin_loop(b, count, code, 1);
  LLVMValueRef entry = panel_entry(e, b, LLVMBuildAdd(e->b, l.index, qn_index(b, from), ""));
  LLVMValueRef start = qn_read(b, e->u->i32, entry, 4);
  LLVMValueRef bytes = qn_read(b, e->u->i32, qn_at(b, entry, 4), 4);
  LLVMValueRef more = LLVMBuildICmp(e->b, LLVMIntUGT, bytes, most, "");
  bytes = LLVMBuildSelect(e->b, more, most, bytes, "");
  bytes = LLVMBuildAnd(e->b, bytes, qn_number(e->u->i32, -4), "");
  QN_TRY(emit_decoding(e, start, image, bytes, state, &decoded));
  *code = LLVMBuildOr(e->b, *code, decoded, "");
  qn_end_loop(b, &l);
  return QN_OK;
}

/* All panels: those of run are checked, runs of layers at once. */
static qn_status emit_init_panels(qn_emission *e, LLVMValueRef init, LLVMValueRef decoded,
                                  LLVMValueRef *code) {
  const qn_unit *u = e->u;
  qn_build b = {e->u, e->b, init, false};
  LLVMValueRef image = qn_at_offset(e, LLVMGetParam(init, 0), u->plan_offset);
  int number_of = 0, unchecked = 0;
  for (const qn_op *op = u->f->first; op; op = op->next, number_of++) {
    const qn_panels *s = u->panels[number_of];
    if (!s) continue;
    if (s->by_init) {
      if (unchecked) QN_TRY(emit_checks(e, &b, s->first - unchecked, unchecked, image, code));
      QN_TRY(emit_packed(e, &b, s, image, decoded, code));
    }
    unchecked = s->by_init ? 0 : unchecked + s->count;
  }
  if (!unchecked) return QN_OK;
  return emit_checks(e, &b, u->weights.panel_count - unchecked, unchecked, image, code);
}

qn_status qn_emit_init_decoding(qn_emission *e, LLVMValueRef init, LLVMValueRef decoded,
                                LLVMValueRef *out_code) {
  const qn_unit *u = e->u;
  *out_code = qn_number(u->i32, QUERN_OK);
  if (u->weights.image_bytes)
    QN_TRY(emit_decoding(e, qn_number(u->i32, u->weights.image_start), decoded,
                         qn_number(u->i32, u->weights.image_bytes),
                         qn_at_offset(e, LLVMGetParam(init, 0), u->plan_offset), out_code));
  return emit_init_panels(e, init, decoded, out_code);
}
