/* Text -> module. LL(1), no recursion: nothing nests.
 *
 *   module  = [ "model" NAME ] { const | func }
 *   const   = "const" SYMBOL typed "=" data
 *   data    = "[" NUMBER { "," NUMBER } "]" | "file" "(" STRING "," INT ")"
 *   func    = "func" SYMBOL "(" [ param { "," param } ] ")" "->" results "{" { op } return "}"
 *   param   = VALUE typed
 *   results = type | "(" type { "," type } ")"
 *   op      = VALUE "=" NAME operand { "," operand } { NAME "=" attr } typed [ "needs" INT ]
 *             [ "scratch" INT ] [ "in_place" | "ahead" INT ]
 *   return  = "return" operand { "," operand }
 *   operand = VALUE | SYMBOL
 *   attr    = NUMBER | NAME | "[" [ NUMBER { "," NUMBER } ] "]"
 *   typed   = ":" type [ "range" "(" NUMBER "," NUMBER ")" ] [ "at" INT ]
 *   type    = ELEM "[" [ INT { "," INT } ] "]" [ "q" "(" scale ")" ]
 *   scale   = NUMBER "," INT | SYMBOL "," "axis" "=" INT
 *
 * VALUE is %name, SYMBOL @name; tokens: text.h; comments: // to the end of the line. Names are
 * defined above their uses. A side file is named relative to the text's folder and may not leave
 * it; elements in it are little endian and start at a multiple of 16 bytes. What the text claims (a
 * size, a count) is compared with what it holds before anything is allocated for it. */
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_ALIGN = 16, MAX_ATTR_NUMBERS = 16 };

typedef struct {
  qn_lexer lex;
  qn_module *m;
  qn_arena scratch; /* dies with the parser */
  qn_names names;   /* scopes: a function for its values, the module for constants, the address of
                       its list for functions, the parser for the side files that were read */
  void *elements;   /* of the constant being read; grows */
  int64_t const_count, param_count, op_count, func_count;
  qn_value **const_end;
  qn_func **func_end;
} parser;

static qn_status fail_duplicate(parser *p, qn_loc loc, char sigil, const qn_entry *first) {
  qn_status status = qn_error(p->lex.src, loc, "'%c%s' is defined twice", sigil, first->name);
  qn_note(p->lex.src, first->loc, "the first definition is here");
  return status;
}

/* -- names */

static const void *scope_of(const parser *p, const qn_func *f) {
  return f ? (const void *)f : (const void *)p->m;
}

/* A new value named by the token; f NULL: a constant. */
static qn_status add_value(parser *p, qn_func *f, qn_value_kind kind, const qn_token *name,
                           qn_value *v) {
  v->name = qn_strndup(&p->m->arena, name->text, name->size);
  v->kind = kind;
  v->loc = name->loc;
  const qn_entry *first = qn_add_name(&p->names, &p->scratch, scope_of(p, f), v->name, v, v->loc);
  return first ? fail_duplicate(p, v->loc, f ? '%' : '@', first) : QN_OK;
}

static qn_value *new_value(parser *p) {
  qn_value *v = qn_alloc(&p->m->arena, sizeof *v);
  v->offset = -1;
  return v;
}

static qn_status count_up(parser *p, int64_t *count, const char *what) {
  if (++*count <= QN_MAX_OPS) return QN_OK;
  return qn_error(p->lex.src, p->lex.token.loc, "more than %d %s", QN_MAX_OPS, what);
}

/* The value that the token names; skips it. */
static qn_status take_value(parser *p, const qn_func *f, qn_value **out) {
  const qn_token *t = &p->lex.token;
  bool is_const = t->kind == QN_TOKEN_SYMBOL;
  if (!is_const && (t->kind != QN_TOKEN_VALUE || !f)) {
    return qn_expected(&p->lex, f ? "a value (%name or @name)" : "a constant (@name)");
  }
  const void *scope = scope_of(p, is_const ? NULL : f);
  const qn_entry *e = qn_find_name(&p->names, scope, t->text, t->size);
  if (!e) {
    return qn_error(p->lex.src, t->loc, "'%c%.*s' is not defined", is_const ? '@' : '%',
                    (int)t->size, t->text);
  }
  *out = e->what;
  return qn_next_token(&p->lex);
}

/* -- types */

static qn_status parse_elem(parser *p, qn_elem *out) {
  const qn_token t = p->lex.token;
  if (t.kind != QN_TOKEN_NAME) return qn_expected(&p->lex, "a type");
  if (qn_find_elem(t.text, t.size, out)) return qn_next_token(&p->lex);
  const char *names = "";
  for (int e = 0; e < QN_ELEM_COUNT; ++e) {
    names = qn_format(&p->scratch, "%s%s%s", names, e ? ", " : "", qn_elem_name((qn_elem)e));
  }
  return qn_error(p->lex.src, t.loc, "'%.*s' is not an element type; there are %s", (int)t.size,
                  t.text, names);
}

/* "q" has been read. */
static qn_status parse_quant(parser *p, qn_quant *out) {
  qn_lexer *l = &p->lex;
  int64_t number;
  out->on = true;
  QN_TRY(qn_skip_token(l, '(', "'('"));
  if (l->token.kind == QN_TOKEN_SYMBOL) {
    QN_TRY(take_value(p, NULL, &out->scales));
    QN_TRY(qn_skip_token(l, ',', "','"));
    QN_TRY(qn_skip_word(l, "axis"));
    QN_TRY(qn_skip_token(l, '=', "'='"));
    QN_TRY(qn_take_int(l, "the axis", 0, QN_MAX_RANK - 1, &number));
    out->axis = (int)number;
  } else {
    QN_TRY(qn_take_float(l, "a scale", &out->scale));
    QN_TRY(qn_skip_token(l, ',', "','"));
    QN_TRY(qn_take_int(l, "a zero point", INT32_MIN, INT32_MAX, &number));
    out->zero = (int32_t)number;
  }
  return qn_skip_token(l, ')', "')'");
}

static qn_status parse_type(parser *p, qn_type *out) {
  qn_lexer *l = &p->lex;
  qn_loc loc = l->token.loc;
  *out = (qn_type){0};
  QN_TRY(parse_elem(p, &out->elem));
  QN_TRY(qn_skip_token(l, '[', "'['"));
  while (l->token.kind != ']') {
    if (out->rank == QN_MAX_RANK) {
      return qn_error(l->src, l->token.loc, "more than %d dims", QN_MAX_RANK);
    }
    if (out->rank) QN_TRY(qn_skip_token(l, ',', "',' or ']'"));
    QN_TRY(qn_take_int(l, "a dim", 1, QN_MAX_COUNT, &out->dim[out->rank]));
    ++out->rank;
  }
  QN_TRY(qn_next_token(l));
  int64_t count;
  if (!qn_checked_count(out->dim, out->rank, &count)) {
    return qn_error(l->src, loc, "%s has more than %lld elements", qn_type_text(&p->scratch, out),
                    (long long)QN_MAX_COUNT);
  }
  if (!qn_at_word(l, "q")) return QN_OK;
  QN_TRY(qn_next_token(l));
  return parse_quant(p, &out->q);
}

static qn_status parse_range(parser *p, qn_value *v) {
  qn_lexer *l = &p->lex;
  v->has_range = true;
  QN_TRY(qn_skip_token(l, '(', "'('"));
  QN_TRY(qn_take_float(l, "a range's end", &v->range[0]));
  QN_TRY(qn_skip_token(l, ',', "','"));
  QN_TRY(qn_take_float(l, "a range's end", &v->range[1]));
  return qn_skip_token(l, ')', "')'");
}

static qn_status parse_typed(parser *p, qn_value *v) {
  qn_lexer *l = &p->lex;
  QN_TRY(qn_skip_token(l, ':', "':' and a type"));
  QN_TRY(parse_type(p, &v->type));
  if (qn_at_word(l, "range")) {
    QN_TRY(qn_next_token(l));
    QN_TRY(parse_range(p, v));
  }
  if (qn_at_word(l, "at")) {
    QN_TRY(qn_next_token(l));
    QN_TRY(qn_take_int(l, "an offset", 0, INT64_MAX, &v->offset));
  }
  return QN_OK;
}

/* -- constants */

static qn_status take_element(parser *p, qn_elem e, int64_t i) {
  char what[32];
  if (!qn_elem_is_float(e)) {
    int64_t low, high, x;
    qn_elem_limits(e, &low, &high);
    snprintf(what, sizeof what, "an element of %s", qn_elem_name(e));
    QN_TRY(qn_take_int(&p->lex, what, low, high, &x));
    qn_put_int(e, p->elements, i, x);
    return QN_OK;
  }
  qn_token t = p->lex.token;
  float x;
  QN_TRY(qn_take_float(&p->lex, "an element", &x));
  qn_put_float(e, p->elements, i, x);
  if (isfinite(qn_float_at(e, p->elements, i))) return QN_OK;
  return qn_error(p->lex.src, t.loc, "an element of %s is too large: %.*s", qn_elem_name(e),
                  (int)t.size, t.text);
}

/* Doubles the room for elements; returns it. New ones are 0, as i4 needs. */
static int64_t grow_elements(parser *p, qn_elem e, int64_t room) {
  int64_t more = room ? room * 2 : 64;
  size_t kept = (size_t)(room * qn_elem_bits(e) / 8), bytes = (size_t)(more * qn_elem_bits(e) / 8);
  p->elements = qn_grow(p->elements, bytes);
  memset((char *)p->elements + kept, 0, bytes - kept);
  return more;
}

/* `[` NUMBER { `,` NUMBER } `]`: numbers are collected as they come, in memory that grows with the
 * text, and counted before the constant is allocated. */
static qn_status parse_elements(parser *p, qn_value *v) {
  qn_lexer *l = &p->lex;
  qn_loc loc = l->token.loc;
  int64_t count = 0, wanted = qn_count(&v->type), room = 0;
  QN_TRY(qn_next_token(l));
  while (l->token.kind != ']') {
    if (count) QN_TRY(qn_skip_token(l, ',', "',' or ']'"));
    if (count == room) room = grow_elements(p, v->type.elem, room);
    QN_TRY(take_element(p, v->type.elem, count));
    ++count;
  }
  if (count != wanted) {
    return qn_error(l->src, loc, "%s has %lld elements, got %lld",
                    qn_type_text(&p->scratch, &v->type), (long long)wanted, (long long)count);
  }
  size_t bytes = (size_t)qn_bytes(&v->type);
  v->data = memcpy(qn_alloc(&p->m->arena, bytes), p->elements, bytes);
  free(p->elements);
  p->elements = NULL;
  return qn_next_token(l);
}

/* A path inside the text's folder: relative, without "..", and not standard input. */
static bool stays_inside(const char *path) {
  if (*path == '/' || !*path || strcmp(path, "-") == 0) return false;
  for (const char *s = path; s; s = strchr(s, '/'), s = s ? s + 1 : NULL) {
    if (strncmp(s, "..", 2) == 0 && (s[2] == '/' || !s[2])) return false;
  }
  return true;
}

/* The side file, read once. */
static qn_status read_side(parser *p, const qn_token *t, const qn_source **out) {
  const char *name = qn_strndup(&p->scratch, t->text, t->size);
  if (!stays_inside(name)) {
    return qn_error(p->lex.src, t->loc, "'%s' must be a path inside the text's folder", name);
  }
  const qn_entry *known = qn_find_name(&p->names, p, name, t->size);
  if (known) {
    *out = known->what;
    return QN_OK;
  }
  const char *text = p->lex.src->name ? p->lex.src->name : "", *slash = strrchr(text, '/');
  int folder = slash ? (int)(slash + 1 - text) : 0;
  const char *path = qn_format(&p->scratch, "%.*s%s", folder, text, name);
  qn_source *side = qn_alloc(&p->m->arena, sizeof *side);
  qn_status status = qn_read_file(&p->m->arena, path, side);
  if (status != QN_OK) {
    qn_note(p->lex.src, t->loc, "it is named here");
    return status;
  }
  side->binary = true;
  qn_add_name(&p->names, &p->scratch, p, name, side, t->loc);
  *out = side;
  return QN_OK;
}

/* The verifier sees to floats; a bool of other bits than 0 and 1 could not be written as text. */
static qn_status check_bools(const qn_source *side, size_t offset, const qn_value *v) {
  int64_t count = v->type.elem == QN_bool ? qn_count(&v->type) : 0;
  for (int64_t i = 0; i < count; ++i) {
    int64_t x = qn_int_at(QN_bool, v->data, i);
    if (x > 1) {
      return qn_error(side, qn_byte(offset + (size_t)i), "a bool of '@%s' must be 0 or 1, got %d",
                      v->name, (int)x);
    }
  }
  return QN_OK;
}

/* "file" has been read. */
static qn_status parse_file(parser *p, qn_value *v) {
  qn_lexer *l = &p->lex;
  int64_t offset, bytes = qn_bytes(&v->type);
  QN_TRY(qn_skip_token(l, '(', "'('"));
  qn_token name = l->token;
  QN_TRY(qn_skip_token(l, QN_TOKEN_STRING, "a file's name in quotes"));
  QN_TRY(qn_skip_token(l, ',', "','"));
  qn_loc loc = l->token.loc;
  QN_TRY(qn_take_int(l, "an offset", 0, (int64_t)QN_MAX_FILE, &offset));
  QN_TRY(qn_skip_token(l, ')', "')'"));

  const qn_source *side = NULL;
  QN_TRY(read_side(p, &name, &side));
  if (offset % SIDE_ALIGN) {
    return qn_error(l->src, loc, "the offset must be a multiple of %d, got %lld", SIDE_ALIGN,
                    (long long)offset);
  }
  if (offset + bytes > (int64_t)side->size) {
    return qn_error(l->src, loc, "%s ends at byte %lld, the file has %zu",
                    qn_type_text(&p->scratch, &v->type), (long long)(offset + bytes), side->size);
  }
  v->data = side->text + offset;
  return check_bools(side, (size_t)offset, v);
}

/* "const" has been read. */
static qn_status parse_const(parser *p) {
  qn_lexer *l = &p->lex;
  qn_value *v = new_value(p);
  qn_token name = l->token;
  QN_TRY(count_up(p, &p->const_count, "constants"));
  QN_TRY(qn_skip_token(l, QN_TOKEN_SYMBOL, "the constant's @name"));
  QN_TRY(parse_typed(p, v));
  QN_TRY(add_value(p, NULL, QN_CONST, &name, v));
  QN_TRY(qn_skip_token(l, '=', "'='"));
  *p->const_end = v;
  p->const_end = &v->next;
  if (l->token.kind == '[') return parse_elements(p, v);
  QN_TRY(qn_skip_word(l, "file"));
  return parse_file(p, v);
}

/* -- ops */

/* Operands up to the first that no comma follows, and where they stand; *out_count may exceed
 * QN_MAX_IN, of which the rest is counted, not kept. */
static qn_status parse_operands(parser *p, const qn_func *f, qn_value **in, qn_loc *locs,
                                int *out_count) {
  *out_count = 0;
  while (true) {
    qn_loc loc = p->lex.token.loc;
    qn_value *v;
    QN_TRY(take_value(p, f, &v));
    if (*out_count < QN_MAX_IN) {
      in[*out_count] = v;
      locs[*out_count] = loc;
    }
    ++*out_count;
    if (p->lex.token.kind != ',') return QN_OK;
    QN_TRY(qn_next_token(&p->lex));
  }
}

static qn_status check_operand_count(parser *p, const qn_op *op, int count) {
  int low = qn_min_operands(op->code), high = qn_max_operands(op->code);
  if (count >= low && count <= high) return QN_OK;
  const char *range = low == high ? qn_format(&p->scratch, "%d", low)
                                  : qn_format(&p->scratch, "%d to %d", low, high);
  return qn_error(p->lex.src, op->loc, "'%s' takes %s operand%s, got %d", qn_ops[op->code].name,
                  range, high == 1 ? "" : "s", count);
}

static qn_status parse_attr_text(parser *p, const qn_attr *attr, qn_attr_text *out) {
  qn_lexer *l = &p->lex;
  bool real = attr->kind == QN_ATTR_real || attr->kind == QN_ATTR_reals;
  *out = (qn_attr_text){.is_list = l->token.kind == '['};
  if (!out->is_list) {
    bool special = real && (qn_at_word(l, "inf") || qn_at_word(l, "nan"));
    if (l->token.kind == QN_TOKEN_NUMBER || special) {
      out->count = 1;
      return qn_take_number(l, attr->name, real, &out->num[0]);
    }
    out->count = -1;
    out->word = qn_strndup(&p->scratch, l->token.text, l->token.size);
    return qn_skip_token(l, QN_TOKEN_NAME, "a number, a word or a list");
  }
  QN_TRY(qn_next_token(l));
  while (l->token.kind != ']') {
    if (out->count) QN_TRY(qn_skip_token(l, ',', "',' or ']'"));
    if (out->count == MAX_ATTR_NUMBERS) {
      return qn_error(l->src, l->token.loc, "more than %d numbers", MAX_ATTR_NUMBERS);
    }
    QN_TRY(qn_take_number(l, attr->name, real, &out->num[out->count]));
    ++out->count;
  }
  return qn_next_token(l);
}

static qn_status fail_unknown_attr(parser *p, const qn_op *op, const qn_token *t) {
  const char *name = qn_strndup(&p->scratch, t->text, t->size), *all = "";
  const char *op_name = qn_ops[op->code].name, *nearest = qn_nearest_attr(op->code, name);
  if (nearest) {
    return qn_error(p->lex.src, t->loc, "'%s' has no attribute '%s'; did you mean '%s'?", op_name,
                    name, nearest);
  }
  for (const qn_attr *attr = qn_ops[op->code].attrs; attr->name; ++attr) {
    all = qn_format(&p->scratch, "%s%s%s", all, *all ? ", " : "; it has ", attr->name);
  }
  return qn_error(p->lex.src, t->loc, "'%s' has no attribute '%s'%s", op_name, name, all);
}

/* { NAME "=" attr }, and all that must be there. */
static qn_status parse_attrs(parser *p, qn_op *op) {
  qn_lexer *l = &p->lex;
  const qn_attr *attrs = qn_ops[op->code].attrs;
  uint64_t seen = 0;
  qn_default_attrs(op->code, &op->a);
  while (l->token.kind == QN_TOKEN_NAME) {
    qn_token name = l->token;
    const qn_attr *attr = qn_find_attr(op->code, name.text, name.size);
    if (!attr) return fail_unknown_attr(p, op, &name);
    uint64_t bit = (uint64_t)1 << (attr - attrs);
    if (seen & bit) return qn_error(l->src, name.loc, "'%s' is given twice", attr->name);
    seen |= bit;
    QN_TRY(qn_next_token(l));
    QN_TRY(qn_skip_token(l, '=', "'='"));
    qn_loc loc = l->token.loc;
    qn_attr_text text;
    QN_TRY(parse_attr_text(p, attr, &text));
    const char *wrong = qn_set_attr(&p->scratch, &op->a, attr, &text);
    if (wrong) return qn_error(l->src, loc, "'%s' %s", attr->name, wrong);
  }
  for (const qn_attr *attr = attrs; attr->name; ++attr) {
    if (attr->needed && !(seen >> (attr - attrs) & 1)) {
      return qn_error(l->src, op->loc, "'%s' needs '%s'", qn_ops[op->code].name, attr->name);
    }
  }
  return QN_OK;
}

static qn_status parse_op_name(parser *p, qn_op *op) {
  const qn_token t = p->lex.token;
  op->loc = t.loc;
  if (t.kind != QN_TOKEN_NAME) return qn_expected(&p->lex, "an op");
  if (qn_find_op(t.text, t.size, &op->code)) return qn_next_token(&p->lex);
  const char *name = qn_strndup(&p->scratch, t.text, t.size), *nearest = qn_nearest_op(name);
  return qn_error(p->lex.src, t.loc, "there is no op '%s'%s%s%s", name,
                  nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* What stands behind the result. */
static qn_status parse_memory(parser *p, qn_op *op) {
  qn_lexer *l = &p->lex;
  op->scratch = op->needs = -1;
  if (qn_at_word(l, "needs")) {
    QN_TRY(qn_next_token(l));
    QN_TRY(qn_take_int(l, "a number of bytes", 0, INT32_MAX, &op->needs));
  }
  if (qn_at_word(l, "scratch")) {
    QN_TRY(qn_next_token(l));
    QN_TRY(qn_take_int(l, "an offset", 0, INT64_MAX, &op->scratch));
  }
  if (qn_at_word(l, "in_place")) {
    op->overlap = QN_IN_PLACE;
    return qn_next_token(l);
  }
  if (!qn_at_word(l, "ahead")) return QN_OK;
  op->overlap = QN_AHEAD;
  QN_TRY(qn_next_token(l));
  return qn_take_int(l, "a number of bytes", 0, INT32_MAX, &op->lead);
}

static qn_status parse_op(parser *p, qn_func *f) {
  qn_lexer *l = &p->lex;
  qn_token name = l->token;
  qn_op *op = qn_alloc(&p->m->arena, sizeof *op);
  qn_loc locs[QN_MAX_IN];
  QN_TRY(count_up(p, &p->op_count, "ops"));
  QN_TRY(qn_next_token(l));
  QN_TRY(qn_skip_token(l, '=', "'='"));
  QN_TRY(parse_op_name(p, op));
  QN_TRY(parse_operands(p, f, op->in, locs, &op->in_count));
  QN_TRY(check_operand_count(p, op, op->in_count));
  QN_TRY(parse_attrs(p, op));
  op->out = new_value(p);
  op->out->def = op;
  QN_TRY(parse_typed(p, op->out));
  QN_TRY(parse_memory(p, op));
  QN_TRY(add_value(p, f, QN_RESULT, &name, op->out));
  op->prev = f->last;
  *(f->last ? &f->last->next : &f->first) = op;
  f->last = op;
  f->op_count++;
  return QN_OK;
}

/* -- functions */

static qn_status parse_params(parser *p, qn_func *f) {
  qn_lexer *l = &p->lex;
  qn_value **end = &f->params;
  QN_TRY(qn_skip_token(l, '(', "'('"));
  while (l->token.kind != ')') {
    if (f->params) QN_TRY(qn_skip_token(l, ',', "',' or ')'"));
    qn_value *v = new_value(p);
    qn_token name = l->token;
    QN_TRY(count_up(p, &p->param_count, "parameters"));
    QN_TRY(qn_skip_token(l, QN_TOKEN_VALUE, "a parameter's %name"));
    QN_TRY(parse_typed(p, v));
    QN_TRY(add_value(p, f, QN_PARAM, &name, v));
    *end = v;
    end = &v->next;
  }
  return qn_next_token(l);
}

static qn_status parse_result_types(parser *p, qn_type *types, int *out_count) {
  qn_lexer *l = &p->lex;
  bool many = l->token.kind == '(';
  *out_count = 0;
  do {
    if (many) QN_TRY(qn_next_token(l)); /* `(` or `,` */
    if (*out_count == QN_MAX_IN) {
      return qn_error(l->src, l->token.loc, "more than %d results", QN_MAX_IN);
    }
    QN_TRY(parse_type(p, &types[(*out_count)++]));
  } while (many && l->token.kind == ',');
  return many ? qn_skip_token(l, ')', "',' or ')'") : QN_OK;
}

/* The types written behind -> are those of the values returned. "return" has been read. */
static qn_status parse_return(parser *p, qn_func *f, qn_loc loc, const qn_type *types, int count) {
  qn_lexer *l = &p->lex;
  qn_loc locs[QN_MAX_IN];
  QN_TRY(parse_operands(p, f, f->results, locs, &f->result_count));
  if (f->result_count != count) {
    return qn_error(l->src, loc, "'@%s' returns %d value%s, got %d", f->name, count,
                    count == 1 ? "" : "s", f->result_count);
  }
  for (int i = 0; i < count; ++i) {
    const qn_type *got = &f->results[i]->type;
    if (qn_same_type(got, &types[i])) continue;
    return qn_error(l->src, locs[i], "result %d of '@%s' must be %s, got %s", i, f->name,
                    qn_type_text(&p->scratch, &types[i]), qn_type_text(&p->scratch, got));
  }
  return QN_OK;
}

/* "func" has been read. */
static qn_status parse_func(parser *p) {
  qn_lexer *l = &p->lex;
  qn_func *f = qn_alloc(&p->m->arena, sizeof *f);
  qn_token name = l->token;
  qn_type types[QN_MAX_IN];
  int count;
  QN_TRY(count_up(p, &p->func_count, "functions"));
  QN_TRY(qn_skip_token(l, QN_TOKEN_SYMBOL, "the function's @name"));
  f->name = qn_strndup(&p->m->arena, name.text, name.size);
  f->loc = name.loc;
  const qn_entry *first = qn_add_name(&p->names, &p->scratch, &p->m->funcs, f->name, f, f->loc);
  if (first) return fail_duplicate(p, f->loc, '@', first);
  QN_TRY(parse_params(p, f));
  QN_TRY(qn_skip_token(l, QN_TOKEN_ARROW, "'->'"));
  QN_TRY(parse_result_types(p, types, &count));
  QN_TRY(qn_skip_token(l, '{', "'{'"));
  while (l->token.kind == QN_TOKEN_VALUE) QN_TRY(parse_op(p, f));
  qn_loc loc = l->token.loc;
  if (!qn_at_word(l, "return")) return qn_expected(l, "an op (%name = ...) or 'return'");
  QN_TRY(qn_next_token(l));
  QN_TRY(parse_return(p, f, loc, types, count));
  QN_TRY(qn_skip_token(l, '}', "'}'"));
  *p->func_end = f;
  p->func_end = &f->next;
  return QN_OK;
}

static qn_status parse_module(parser *p) {
  qn_lexer *l = &p->lex;
  QN_TRY(qn_start_lexer(l, &p->m->src));
  if (qn_at_word(l, "model")) {
    QN_TRY(qn_next_name(l));
    p->m->name = qn_strndup(&p->m->arena, l->token.text, l->token.size);
    QN_TRY(qn_next_token(l));
  }
  while (l->token.kind != QN_TOKEN_END) {
    bool is_const = qn_at_word(l, "const");
    if (!is_const && !qn_at_word(l, "func")) return qn_expected(l, "'const' or 'func'");
    QN_TRY(qn_next_token(l));
    QN_TRY(is_const ? parse_const(p) : parse_func(p));
  }
  return QN_OK;
}

qn_status qn_parse(qn_module *m, const qn_source *src) {
  parser p = {.m = m, .const_end = &m->consts, .func_end = &m->funcs};
  m->src = *src;
  qn_status status = parse_module(&p);
  free(p.elements);
  qn_free_arena(&p.scratch);
  return status == QN_OK ? qn_verify(m) : status;
}
