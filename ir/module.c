/* Edits of modules and functions. Uses are found by a walk over the ops. Names are found in an
 * index that is made when one is asked for, and that does not mind ops that went meanwhile. */
#include "text.h"

#include <string.h>

qn_module *qn_new_module(void) {
  qn_arena arena = {0};
  qn_module *m = qn_alloc(&arena, sizeof *m); /* the module lives in its own arena */
  m->arena = arena;
  m->name = "model";
  return m;
}

void qn_free_module(qn_module *m) {
  if (!m) return;
  qn_forget_names(m);
  qn_arena arena = m->arena;
  qn_free_arena(&arena);
}

qn_func *qn_find_func(const qn_module *m, const char *name) {
  for (qn_func *f = m->funcs; f; f = f->next) {
    if (strcmp(f->name, name) == 0) return f;
  }
  return NULL;
}

qn_func *qn_main_func(const qn_module *m) {
  qn_func *f = qn_find_func(m, "main");
  if (!f && m->funcs && !m->funcs->next) f = m->funcs;
  return f;
}

/* -- names */

static bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.';
}

const char *qn_clean_name(qn_arena *a, const char *name) {
  size_t size = 0;
  while (size < QN_MAX_NAME && name[size]) ++size;
  if (size == 0) return "v";
  char *clean = qn_strndup(a, name, size);
  for (char *c = clean; *c; ++c) {
    if (!is_name_char(*c)) *c = '_';
  }
  return clean;
}

/* The names of a module, by scope: its values' under the function or the module, and under the
 * next address how far the suffixes of a name have been tried. `what` of a name is its value, NULL
 * when it was only promised. A value that was renamed or removed since does not have it. */
struct qn_index {
  qn_arena arena; /* also holds the index */
  qn_names names;
  qn_value *last_const;
};

static const void *scope_of(const qn_module *m, const qn_func *f) {
  return f ? (const void *)f : (const void *)m;
}

static void note_name(struct qn_index *x, const void *scope, qn_value *v) {
  qn_set_name(&x->names, &x->arena, scope, v->name, v);
}

static struct qn_index *index_of(qn_module *m) {
  if (m->index) return m->index;
  qn_arena arena = {0};
  struct qn_index *x = qn_alloc(&arena, sizeof *x);
  x->arena = arena;
  for (qn_value *v = m->consts; v; v = v->next) {
    note_name(x, scope_of(m, NULL), v);
    x->last_const = v;
  }
  for (qn_func *f = m->funcs; f; f = f->next) {
    for (qn_value *v = f->params; v; v = v->next) note_name(x, scope_of(m, f), v);
    for (qn_op *op = f->first; op; op = op->next) note_name(x, scope_of(m, f), op->out);
  }
  m->index = x;
  return x;
}

void qn_forget_names(qn_module *m) {
  if (!m->index) return;
  qn_arena arena = m->index->arena;
  qn_free_arena(&arena);
  m->index = NULL;
}

static bool is_linked(const qn_func *f, const qn_op *op) {
  return op->prev ? op->prev->next == op : f->first == op;
}

static bool is_taken(const struct qn_index *x, const void *scope, const qn_func *f,
                     const char *name) {
  const qn_entry *e = qn_find_name(&x->names, scope, name, strlen(name));
  const qn_value *v = e ? e->what : NULL;
  if (!v) return e != NULL;
  return strcmp(v->name, name) == 0 && (v->kind != QN_RESULT || is_linked(f, v->def));
}

/* The suffixes .1 to .N of name have been given away or found taken; N, to be counted up. */
static int *tried_suffixes(struct qn_index *x, const void *scope, const char *name) {
  scope = (const char *)scope + 1;
  const qn_entry *e = qn_find_name(&x->names, scope, name, strlen(name));
  if (e) return e->what;
  int *tried = qn_alloc(&x->arena, sizeof *tried);
  qn_set_name(&x->names, &x->arena, scope, name, tried);
  return tried;
}

const char *qn_unique_name(qn_module *m, const qn_func *f, const char *name) {
  enum { SUFFIX = 12 };
  struct qn_index *x = index_of(m);
  const void *scope = scope_of(m, f);
  const char *free_name = qn_clean_name(&m->arena, name);
  if (is_taken(x, scope, f, free_name)) {
    const char *stem = qn_format(&x->arena, "%.*s", QN_MAX_NAME - SUFFIX, free_name);
    int *tried = tried_suffixes(x, scope, stem);
    do {
      free_name = qn_format(&m->arena, "%s.%d", stem, ++*tried);
    } while (is_taken(x, scope, f, free_name));
  }
  qn_set_name(&x->names, &x->arena, scope, free_name, NULL);
  return free_name;
}

void qn_rename(qn_module *m, const qn_func *f, qn_value *v, const char *name) {
  v->name = name;
  if (m->index) note_name(m->index, scope_of(m, f), v);
}

/* -- additions */

/* f: NULL for a constant. */
static qn_value *new_value(qn_module *m, const qn_func *f, qn_value_kind kind, const char *name,
                           const qn_type *type) {
  qn_value *v = qn_alloc(&m->arena, sizeof *v);
  v->kind = kind;
  qn_rename(m, f, v, qn_unique_name(m, f, name));
  if (type) v->type = *type;
  v->offset = -1;
  v->loc = qn_nowhere;
  return v;
}

qn_value *qn_add_const(qn_module *m, const char *name, const qn_type *type, const void *data) {
  qn_value *v = new_value(m, NULL, QN_CONST, name, type);
  qn_value *last = m->index->last_const;
  v->data = data;
  *(last ? &last->next : &m->consts) = v;
  m->index->last_const = v;
  return v;
}

qn_value *qn_add_param(qn_module *m, qn_func *f, const char *name, const qn_type *type) {
  qn_value *v = new_value(m, f, QN_PARAM, name, type), **end = &f->params;
  while (*end) end = &(*end)->next;
  *end = v;
  return v;
}

qn_func *qn_add_func(qn_module *m, const char *name) {
  qn_func *f = qn_alloc(&m->arena, sizeof *f);
  f->name = qn_clean_name(&m->arena, name);
  f->loc = qn_nowhere;
  qn_func **end = &m->funcs;
  while (*end) end = &(*end)->next;
  *end = f;
  return f;
}

qn_op *qn_add_op(qn_module *m, qn_func *f, qn_op *before, qn_opcode code, const char *name,
                 qn_value *const *in, int in_count) {
  qn_op *op = qn_alloc(&m->arena, sizeof *op);
  op->code = code;
  op->loc = qn_nowhere;
  op->in_count = in_count;
  for (int i = 0; i < in_count; ++i) op->in[i] = in[i];
  qn_default_attrs(code, &op->a);
  op->scratch = op->needs = -1;
  op->out = new_value(m, f, QN_RESULT, name, NULL);
  op->out->def = op;

  op->next = before;
  op->prev = before ? before->prev : f->last;
  *(op->prev ? &op->prev->next : &f->first) = op;
  *(before ? &before->prev : &f->last) = op;
  ++f->op_count;
  return op;
}

void qn_remove_op(qn_func *f, qn_op *op) {
  *(op->prev ? &op->prev->next : &f->first) = op->next;
  *(op->next ? &op->next->prev : &f->last) = op->prev;
  op->prev = op->next = NULL;
  --f->op_count;
}

/* -- uses */

bool qn_is_returned(const qn_func *f, const qn_value *v) {
  for (int i = 0; i < f->result_count; ++i) {
    if (f->results[i] == v) return true;
  }
  return false;
}

static int count_in(const qn_op *op, const qn_value *v) {
  int count = 0;
  for (int i = 0; i < op->in_count; ++i) count += op->in[i] == v;
  return count;
}

int qn_count_uses(const qn_func *f, const qn_value *v) {
  int count = 0;
  for (const qn_op *op = f->first; op; op = op->next) count += count_in(op, v);
  for (int i = 0; i < f->result_count; ++i) count += f->results[i] == v;
  return count;
}

qn_op *qn_only_user(const qn_func *f, const qn_value *v) {
  qn_op *user = NULL;
  if (qn_is_returned(f, v)) return NULL;
  for (qn_op *op = f->first; op; op = op->next) {
    if (!count_in(op, v)) continue;
    if (user) return NULL;
    user = op;
  }
  return user;
}

void qn_replace_uses(qn_func *f, const qn_value *old, qn_value *now) {
  for (qn_op *op = f->first; op; op = op->next) {
    for (int i = 0; i < op->in_count; ++i) {
      if (op->in[i] == old) op->in[i] = now;
    }
  }
  for (int i = 0; i < f->result_count; ++i) {
    if (f->results[i] == old) f->results[i] = now;
  }
}
