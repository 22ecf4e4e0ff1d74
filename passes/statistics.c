/* What calibration samples show of every f32 value of a module's main function.
 *
 * Views are left out: they are what they look at. Layers that compute something that is not finite
 * are an error at the first of them, because its operands still were. */
#include <float.h>
#include <math.h>
#include <string.h>
#include "quantize.h"

/* ------------------------------------------------------------------ fingerprint */

static const uint64_t fnv_start = 0xCBF29CE484222325u, fnv_prime = 0x100000001B3u;

static void hash_bytes(uint64_t *h, const void *data, size_t size) {
  const unsigned char *p = data;
  for (size_t i = 0; i < size; i++) *h = (*h ^ p[i]) * fnv_prime;
}

static void hash_text(uint64_t *h, const char *text) { hash_bytes(h, text, strlen(text) + 1); }

static void hash_type(uint64_t *h, const qn_type *t) {
  hash_text(h, qn_elem_name(t->elem));
  for (int i = 0; i < t->rank; i++) {
    int64_t dim = t->dim[i];
    hash_bytes(h, &dim, sizeof dim);
  }
}

static void hash_attrs(uint64_t *h, const qn_op *op) {
  for (const qn_attr *a = qn_ops[op->code].attrs; a->name; a++) {
    qn_attr_text text;
    if (!a->needed && qn_is_default_attr(&op->a, a)) continue;
    qn_get_attr(&op->a, a, &text);
    hash_text(h, a->name);
    if (text.count < 0)
      hash_text(h, text.word);
    else
      hash_bytes(h, text.num, (size_t)text.count * sizeof *text.num);
  }
}

uint64_t qn_fingerprint(const qn_module *m) {
  uint64_t h = fnv_start;
  const qn_func *f = qn_main_func(m);
  for (const qn_value *p = f->params; p; p = p->next) {
    hash_text(&h, p->name);
    hash_type(&h, &p->type);
  }
  for (const qn_op *op = f->first; op; op = op->next) {
    hash_text(&h, qn_ops[op->code].name);
    hash_text(&h, op->out->name);
    hash_type(&h, &op->out->type);
    hash_attrs(&h, op);
    for (int i = 0; i < op->in_count; i++) {
      const qn_value *v = op->in[i];
      hash_text(&h, v->kind == QN_CONST ? "@" : v->name);
      if (v->kind == QN_CONST) hash_bytes(&h, v->data, (size_t)qn_bytes(&v->type));
    }
  }
  return h;
}

/* ------------------------------------------------------------------ collecting */

static bool is_counted(const qn_value *v) {
  return v->type.elem == QN_f32 && !(v->kind == QN_RESULT && qn_ops[v->def->code].view);
}

typedef struct {
  qn_module *m;
  qn_numbering numbers;
  qn_statistic **of; /* by number; NULL: not counted */
  int64_t samples;
} collector;

static qn_status see_value(void *of, int64_t sample, const qn_value *v, const void *data) {
  collector *c = of;
  qn_statistic *s = c->of[qn_number_of(&c->numbers, v)];
  if (!s) return QN_OK;
  const float *x = data;
  int64_t count = qn_count(&v->type), bad = 0;
  for (int64_t i = 0; i < count; i++) bad += !(fabsf(x[i]) <= FLT_MAX);
  const char *what = v->kind == QN_RESULT ? qn_ops[v->def->code].name : "input";
  if (bad)
    return qn_error(&c->m->src, v->loc,
                    "calibration sample %lld: %lld of %lld elements of %s '%s' are not finite",
                    (long long)sample, (long long)bad, (long long)count, what, v->name);
  qn_see_elements(s, x, count);
  qn_see_distinct(s, x, count);
  c->samples = sample + 1;
  return QN_OK;
}

qn_status qn_collect_statistics(qn_module *m, const qn_sampler *sampler, qn_statistics *out) {
  const qn_func *f = qn_main_func(m);
  qn_arena work = {0};
  collector c = {.m = m};
  qn_number_values(&work, f, &c.numbers);
  c.of = qn_alloc(&work, ((size_t)c.numbers.count + 1) * sizeof(qn_statistic *));
  *out = (qn_statistics){.model = m->name, .fingerprint = qn_fingerprint(m)};
  out->at = qn_alloc(&m->arena, ((size_t)c.numbers.count + 1) * sizeof *out->at);
  for (int32_t i = 0; i < c.numbers.count; i++) {
    if (!is_counted(c.numbers.values[i])) continue;
    c.of[i] = &out->at[out->count++];
    qn_open_statistic(&m->arena, c.numbers.values[i]->name, c.of[i]);
    if (c.numbers.values[i]->kind == QN_PARAM) qn_open_distinct(&m->arena, c.of[i]);
  }
  qn_status status = sampler->run(sampler->context, m, see_value, &c);
  out->samples = c.samples;
  qn_free_arena(&work);
  return status;
}

qn_status qn_merge_statistics(qn_statistics *into, const qn_statistics *from,
                              const char *from_name) {
  bool same = into->fingerprint == from->fingerprint && into->count == from->count;
  for (int i = 0; same && i < into->count; i++)
    same = strcmp(into->at[i].name, from->at[i].name) == 0;
  if (!same) return qn_io_error(from_name, "statistics of another model than the first file's");
  for (int i = 0; i < into->count; i++) qn_merge_statistic(&into->at[i], &from->at[i]);
  into->samples += from->samples;
  return QN_OK;
}
