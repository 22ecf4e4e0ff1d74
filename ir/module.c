/* Edits of modules and functions. Lists are walked to their ends and names compared one by one:
 * networks are small (see ir.h), and nothing is kept that an edit could leave stale. */
#include "ir.h"

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

/* A walk over the names of f's values, or of the module's constants. */
typedef struct {
  const qn_value *value;
  const qn_op *op;
} name_walk;

/* NULL after the last. */
static const char *next_name(name_walk *w) {
  const char *name = NULL;
  if (w->value) {
    name = w->value->name;
    w->value = w->value->next;
  } else if (w->op) {
    name = w->op->out->name;
    w->op = w->op->next;
  }
  return name;
}

/* i when name is `stem.i` as number_name writes it, size being the stem's; else 0. */
static int64_t number_of(const char *name, const char *stem, size_t size) {
  if (strncmp(name, stem, size) != 0 || name[size] != '.') return 0;
  const char *p = name + size + 1;
  if (*p == '0') return 0;
  int64_t i = 0;
  for (; *p >= '0' && *p <= '9' && i < INT32_MAX; ++p) i = i * 10 + (*p - '0');
  return *p == 0 ? i : 0;
}

/* `name.i` with the smallest i that is free among the names of `all`, which are count. One of
 * 1..count + 1 is free, so one walk finds it, however many are taken. */
static const char *number_name(qn_arena *a, const char *name, name_walk all, size_t count) {
  enum { SUFFIX_SIZE = 12 }; /* at least of `.2147483647` */
  size_t size = strlen(name);
  if (size > QN_MAX_NAME - SUFFIX_SIZE) size = QN_MAX_NAME - SUFFIX_SIZE;
  qn_arena scratch = {0};
  bool *taken = qn_alloc(&scratch, count + 2);
  for (const char *other; (other = next_name(&all));) {
    int64_t i = number_of(other, name, size);
    if (i <= (int64_t)count) taken[i] = true;
  }
  size_t i = 1;
  while (taken[i]) ++i;
  qn_free_arena(&scratch);
  return qn_format(a, "%.*s.%zu", (int)size, name, i);
}

const char *qn_unique_name(qn_module *m, const qn_func *f, const char *name) {
  const char *clean = qn_clean_name(&m->arena, name);
  const name_walk all = {f ? f->params : m->consts, f ? f->first : NULL};
  bool is_taken = false;
  size_t count = 0;
  name_walk walk = all;
  for (const char *other; (other = next_name(&walk)); ++count)
    is_taken = is_taken || strcmp(other, clean) == 0;
  return is_taken ? number_name(&m->arena, clean, all, count) : clean;
}

/* -- additions */

static qn_value *new_value(qn_module *m, qn_value_kind kind, const char *name,
                           const qn_type *type) {
  qn_value *v = qn_alloc(&m->arena, sizeof *v);
  v->name = name;
  v->kind = kind;
  if (type) v->type = *type;
  v->offset = -1;
  v->loc = qn_nowhere;
  return v;
}

static void append_value(qn_value **list, qn_value *v) {
  while (*list) list = &(*list)->next;
  *list = v;
}

qn_value *qn_add_const(qn_module *m, const char *name, const qn_type *type, const void *data) {
  qn_value *v = new_value(m, QN_CONST, qn_unique_name(m, NULL, name), type);
  v->data = data;
  append_value(&m->consts, v);
  return v;
}

qn_value *qn_add_param(qn_module *m, qn_func *f, const char *name, const qn_type *type) {
  qn_value *v = new_value(m, QN_PARAM, qn_unique_name(m, f, name), type);
  append_value(&f->params, v);
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
  op->scratch = -1;
  op->out = new_value(m, QN_RESULT, qn_unique_name(m, f, name), NULL);
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
