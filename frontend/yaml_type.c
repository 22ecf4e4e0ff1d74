/* Types as YAML models write them: the text of the IR, with two freedoms. Dims may be left out
 * where something else knows them, and scales per channel name a tensor of the weight files:
 *
 *   type  = ELEM [ "[" [ INT { "," INT } ] "]" ] [ "q" "(" scale ")" ]
 *   scale = NUM "," INT | "@" NAME "," "axis" "=" INT
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "yaml_model.h"

typedef struct {
  qn_yaml_reader *r;
  const qn_node *n;
  const char *at; /* the rest of n->text */
} cursor;

/* Right where the text stands as written, which is so unless it has escapes or spans lines. */
static qn_loc place(const cursor *c) {
  return (qn_loc){c->n->loc.line, c->n->loc.col + c->n->quoted + (int32_t)(c->at - c->n->text)};
}

#define FAIL(c, ...) return qn_error((c)->r->src, place(c), __VA_ARGS__)

static void skip_spaces(cursor *c) { c->at += strspn(c->at, " "); }

static bool take(cursor *c, char letter) {
  skip_spaces(c);
  if (*c->at != letter) return false;
  c->at++;
  return true;
}

static qn_status expect(cursor *c, char letter) {
  if (take(c, letter)) return QN_OK;
  if (*c->at == 0) FAIL(c, "expected '%c' before the end of the type", letter);
  FAIL(c, "expected '%c', got '%.20s'", letter, c->at);
}

static qn_status read_integer(cursor *c, int64_t min, int64_t max, const char *what, int64_t *out) {
  skip_spaces(c);
  char *end;
  errno = 0;
  bool number = strspn(c->at, "-0123456789") > 0;
  long long value = number ? strtoll(c->at, &end, 10) : 0;
  if (!number || end == c->at) FAIL(c, "%s must be an integer, got '%.20s'", what, c->at);
  if (errno == ERANGE || value < min || value > max)
    FAIL(c, "%s must be %lld to %lld, got %.*s", what, (long long)min, (long long)max,
         (int)(end - c->at), c->at);
  c->at = end;
  *out = value;
  return QN_OK;
}

static qn_status read_dims(cursor *c, qn_type *t) {
  const cursor start = *c;
  while (!take(c, ']')) {
    if (t->rank > 0) QN_TRY(expect(c, ','));
    if (t->rank == QN_MAX_RANK) FAIL(c, "more than %d dims", QN_MAX_RANK);
    QN_TRY(read_integer(c, 1, QN_MAX_COUNT, "a dim", &t->dim[t->rank]));
    t->rank++;
  }
  int64_t count;
  if (!qn_checked_count(t->dim, t->rank, &count))
    FAIL(&start, "more than %lld elements", (long long)QN_MAX_COUNT);
  return QN_OK;
}

static qn_status read_scales(cursor *c, qn_yaml_type *out) {
  size_t size = strcspn(c->at, ",) ");
  const char *name = qn_strndup(&c->r->m->arena, c->at, size);
  out->scales = qn_find_yaml_name(&c->r->tensors, name);
  if (!out->scales)
    FAIL(c, "no tensor '%s' in the weight files%s", name,
         qn_suggest_yaml_name(&c->r->m->arena, name, &c->r->tensors, NULL));
  const qn_type *t = &out->scales->value->type;
  if (t->elem != QN_f32 || t->rank != 1)
    FAIL(c, "scales must be a vector of f32, '%s' is %s", name, qn_type_text(&c->r->m->arena, t));
  c->at += size;
  QN_TRY(expect(c, ','));
  skip_spaces(c);
  if (strncmp(c->at, "axis", 4) != 0) FAIL(c, "expected 'axis=', got '%.20s'", c->at);
  c->at += 4;
  QN_TRY(expect(c, '='));
  int64_t axis;
  QN_TRY(read_integer(c, 0, QN_MAX_RANK - 1, "axis", &axis));
  out->type.q.axis = (int)axis;
  out->type.q.scales = out->scales->value;
  return QN_OK;
}

static qn_status read_scale(cursor *c, qn_quant *q) {
  skip_spaces(c);
  size_t size = qn_number_span(c->at);
  q->scale = size ? strtof(c->at, NULL) : NAN;
  if (!isfinite(q->scale) || q->scale <= 0)
    FAIL(c, "a scale must be a positive number, got '%.*s'", (int)strcspn(c->at, ",)"), c->at);
  c->at += size;
  QN_TRY(expect(c, ','));
  int64_t zero;
  QN_TRY(read_integer(c, INT32_MIN, INT32_MAX, "a zero point", &zero));
  q->zero = (int32_t)zero;
  return QN_OK;
}

static qn_status read_quant(cursor *c, qn_yaml_type *out) {
  if (!qn_elem_is_int(out->type.elem))
    FAIL(c, "%s takes no scale, only integers do", qn_elem_name(out->type.elem));
  c->at++;
  QN_TRY(expect(c, '('));
  out->type.q.on = true;
  if (take(c, '@'))
    QN_TRY(read_scales(c, out));
  else
    QN_TRY(read_scale(c, &out->type.q));
  return expect(c, ')');
}

static qn_status read_elem(cursor *c, qn_elem *out) {
  static const char *const names[] = {
#define QN_ELEM(name, bits, id, doc) #name,
#include "../ir/elems.def"
      NULL};
  skip_spaces(c);
  size_t size = strcspn(c->at, " [(,");
  if (!qn_find_elem(c->at, size, out)) {
    const char *name = qn_strndup(&c->r->m->arena, c->at, size);
    FAIL(c, "'%s' is not an element type%s", name, qn_suggest_key(&c->r->m->arena, name, names));
  }
  c->at += size;
  return QN_OK;
}

qn_status qn_read_yaml_type(qn_yaml_reader *r, const qn_node *n, qn_yaml_type *out) {
  *out = (qn_yaml_type){0};
  QN_TRY(qn_expect_node(r, n, QN_NODE_SCALAR, "a type"));
  cursor c = {r, n, n->text};
  QN_TRY(read_elem(&c, &out->type.elem));
  out->has_dims = take(&c, '[');
  if (out->has_dims) QN_TRY(read_dims(&c, &out->type));
  skip_spaces(&c);
  if (*c.at == 'q') QN_TRY(read_quant(&c, out));
  skip_spaces(&c);
  if (*c.at) FAIL(&c, "unexpected '%.20s' after the type", c.at);
  if (out->type.q.scales && out->has_dims && out->type.q.axis >= out->type.rank)
    return qn_error(r->src, n->loc, "axis must be below the rank %d, got %d", out->type.rank,
                    out->type.q.axis);
  return QN_OK;
}
