/* A finished object -> what each op takes of it. Constants and functions that several ops share
 * count for the first of them, so that the sums are the object's. */
#include <string.h>
#include "unit.h"

/* The weights of a layer: its operand 1, as the tables of ops call it. */
static bool has_weights(const qn_op *op) {
  switch (op->code) {
  case QN_OP_conv2d:
  case QN_OP_depthwise_conv2d:
  case QN_OP_dense:
  case QN_OP_matmul:
  case QN_OP_qconv2d:
  case QN_OP_qdepthwise_conv2d:
  case QN_OP_qdense:
  case QN_OP_qmatmul:
  case QN_OP_dynamic_conv2d:
  case QN_OP_dynamic_depthwise_conv2d:
  case QN_OP_dynamic_dense: return true;
  default: return false;
  }
}

bool qn_is_weight(const qn_op *op, int i) { return i == 1 && has_weights(op); }

static int64_t bits_of(const qn_weight *w) {
  return w->decoded ? (int64_t)w->tensor.coded_bits : 8 * w->bytes;
}

typedef struct {
  const qn_unit *u;
  bool *counted; /* by index in the plan */
} counter;

/* 0 when it has been counted before. */
static int64_t count_constant(counter *c, const void *data, int64_t bytes) {
  const qn_weight *w = qn_find_weight(&c->u->weights, data, bytes);
  if (!w || c->counted[w - c->u->weights.at]) return 0;
  c->counted[w - c->u->weights.at] = true;
  return bits_of(w);
}

static const qn_value *constant_of(const qn_unit *u, const qn_value *v) {
  qn_place place = qn_place_of(u->f, v);
  return place.kind == QN_IN_CONST ? place.value : NULL;
}

/* A job's constants are weights and all else in one: what is not as large as the operands' other
 * constants is weights. */
static void count_job(counter *c, const qn_job *job, int64_t side_bits, qn_layer_size *size) {
  int64_t bits = job->constant_bytes ? count_constant(c, job->constants, job->constant_bytes) : 0;
  size->side_bits = side_bits < bits ? side_bits : bits;
  size->weight_bits = bits - size->side_bits;
}

/* What a packer makes a job's constants of. */
static void count_packed(counter *c, const qn_panels *s, qn_layer_size *size) {
  for (int i = 1; i < QN_MAX_IN; i++) {
    const qn_coded_tensor *t = &s->of[i];
    int64_t bits = s->operands >> i & 1 ? (int64_t)s->coded_bits[i]
                   : t->data            ? count_constant(c, t->data, t->bytes)
                                        : 0;
    *(i == 1 ? &size->weight_bits : &size->side_bits) += bits;
  }
}

static void count_op(counter *c, const qn_op *op, int index, qn_layer_size *size) {
  const qn_job *job = c->u->jobs[index];
  const qn_panels *panels = c->u->panels[index];
  qn_call call;
  qn_bind(op, &call);
  int64_t side_bits = 0;
  for (int i = 0; i < call.in_count; i++) {
    const qn_value *v = call.in[i] ? constant_of(c->u, call.in[i]) : NULL;
    if (!v) continue;
    bool weight = qn_is_weight(op, i);
    if (weight) size->weights = qn_count(&v->type);
    if (panels && panels->job) continue;
    if (job) {
      side_bits += weight ? 0 : 8 * qn_bytes(&v->type);
      continue;
    }
    bool streamed = panels && panels->operands >> i & 1;
    *(weight ? &size->weight_bits : &size->side_bits) +=
        streamed ? (int64_t)panels->coded_bits[i] : count_constant(c, v->data, qn_bytes(&v->type));
  }
  if (panels && panels->job)
    count_packed(c, panels, size);
  else if (job)
    count_job(c, job, side_bits, size);
}

static qn_weights stored(const qn_unit *u, const qn_op *op, int index) {
  const qn_job *job = u->jobs[index];
  const qn_value *v = op->in_count > 1 && qn_is_weight(op, 1) ? constant_of(u, op->in[1]) : NULL;
  const qn_weight *w = v ? qn_find_weight(&u->weights, v->data, qn_bytes(&v->type)) : NULL;
  if (job && job->constant_bytes > 0)
    w = qn_find_weight(&u->weights, job->constants, job->constant_bytes);
  if (u->panels[index]) return u->panels[index]->by_init ? QN_WEIGHTS_CODED : QN_WEIGHTS_STREAM;
  return w && w->decoded ? QN_WEIGHTS_CODED : QN_WEIGHTS_RAW;
}

static int64_t code_bytes(const qn_unit *u, const qn_elf *elf, int index) {
  const char *name = u->kernels[index];
  if (!*name) return 0;
  for (int i = 0; i < index; i++)
    if (strcmp(u->kernels[i], name) == 0) return 0;
  for (int i = 0; i < elf->code_count; i++) {
    const char *section = elf->code[i].section;
    if (strncmp(section, ".text.", 6) == 0 && strcmp(section + 6, name) == 0)
      return elf->code[i].bytes;
  }
  return 0;
}

void qn_size_layers(qn_unit *u, const qn_elf *elf, qn_object *out) {
  int count = 0, index = 0;
  for (const qn_op *op = u->f->first; op; op = op->next) count++;
  qn_layer_size *sizes = qn_alloc(&u->m->arena, ((size_t)count + 1) * sizeof *sizes);
  counter c = {u, qn_alloc(&u->m->arena, (size_t)u->weights.count + 1)};
  for (const qn_op *op = u->f->first; op; op = op->next, index++) {
    count_op(&c, op, index, &sizes[index]);
    sizes[index].stored = stored(u, op, index);
    if (sizes[index].weights && qn_form_of(u, index) == QN_WEIGHTS_STREAM)
      sizes[index].unstreamed = u->unstreamed[index];
    sizes[index].code_bytes = code_bytes(u, elf, index);
  }
  out->layers = sizes;
  out->table_bytes = u->weights.table_bytes;
  out->codec = u->weights.codec ? u->weights.codec->name : NULL;
  out->decoder_bytes = u->weights.decoder_bytes;
}
