/* Constants of a YAML model: tensors of .safetensors and .npy files, and numbers in the document.
 *
 * All tensors of the weight files become constants of the module at once, in the files' order, so
 * that the module does not depend on which layer names them first; those that no layer uses leave
 * it at the end. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "yaml_model.h"

/* A .npy file that was read. */
typedef struct qn_yaml_array {
  const char *path;
  qn_value *value;
  struct qn_yaml_array *next;
} array;

/* ------------------------------------------------------------------ files */

/* Reads the file that n names; one that is not there is an error at n. */
static qn_status read_beside(qn_yaml_reader *r, const qn_node *n, qn_source *out) {
  qn_arena *a = &r->m->arena;
  if (n->text[0] == 0) return qn_error(r->src, n->loc, "a file name is missing");
  const char *path = n->text[0] == '/' ? n->text : qn_format(a, "%s%s", r->dir, n->text);
  struct stat info;
  if (stat(path, &info) != 0)
    return qn_error(r->src, n->loc, "cannot read '%s': %s", path, strerror(errno));
  if (S_ISDIR(info.st_mode)) return qn_error(r->src, n->loc, "'%s' is a folder", path);
  return qn_read_file(a, path, out);
}

/* A constant of the module, which n names. */
static qn_status add_const(qn_yaml_reader *r, const qn_node *n, const char *name,
                           const qn_type *type, const void *data, qn_value **out) {
  if (++r->const_count > QN_MAX_OPS)
    return qn_error(r->src, n->loc, "more than %d constants", QN_MAX_OPS);
  *out = qn_add_const(r->m, name, type, data);
  (*out)->loc = n->loc;
  return QN_OK;
}

/* ------------------------------------------------------------------ weight files */

static qn_status read_weight_file(qn_yaml_reader *r, const qn_node *n, qn_tensor_file *out) {
  QN_TRY(qn_expect_node(r, n, QN_NODE_SCALAR, "a path of 'weights'"));
  qn_source src;
  QN_TRY(read_beside(r, n, &src));
  return qn_read_safetensors(&r->m->arena, &src, out);
}

static qn_status add_tensors(qn_yaml_reader *r, const qn_node *n, const qn_tensor_file *file) {
  for (int i = 0; i < file->count; i++) {
    const qn_tensor *t = &file->at[i];
    qn_value *value;
    QN_TRY(add_const(r, n, t->name, &t->type, t->data, &value));
    r->tensors.at[r->tensors.count++] =
        (qn_yaml_name){.name = t->name, .loc = n->loc, .layer = -1, .value = value};
  }
  return QN_OK;
}

qn_status qn_read_weights(qn_yaml_reader *r, const qn_node *n) {
  qn_arena *a = &r->m->arena;
  int file_count = !n ? 0 : n->kind == QN_NODE_LIST ? n->count : 1;
  const qn_node *const *paths = n && n->kind == QN_NODE_LIST ? n->item : &n;
  qn_tensor_file *files = qn_alloc(a, ((size_t)file_count + 1) * sizeof *files);
  size_t count = 0;
  for (int i = 0; i < file_count; i++) {
    QN_TRY(read_weight_file(r, paths[i], &files[i]));
    count += (size_t)files[i].count;
  }
  r->tensors.at = qn_alloc(a, (count + 1) * sizeof *r->tensors.at);
  for (int i = 0; i < file_count; i++) QN_TRY(add_tensors(r, paths[i], &files[i]));
  return qn_sort_yaml_names(r, &r->tensors);
}

static qn_status read_constant(qn_yaml_reader *r, const qn_node *key, const qn_node *n) {
  qn_arena *a = &r->m->arena;
  qn_yaml_name *tensor = qn_find_yaml_name(&r->tensors, key->text);
  if (!tensor)
    return qn_error(r->src, key->loc, "no tensor '%s' in the weight files%s", key->text,
                    qn_suggest_yaml_name(a, key->text, &r->tensors, NULL));
  qn_yaml_type stated;
  QN_TRY(qn_read_yaml_type(r, n, &stated));
  qn_type *type = &tensor->value->type;
  if (stated.type.elem != type->elem || (stated.has_dims && !qn_same_shape(&stated.type, type)))
    return qn_error(r->src, n->loc, "tensor '%s' is %s in the file, not %s", key->text,
                    qn_type_text(a, type), n->text);
  if (stated.scales && stated.type.q.axis >= type->rank)
    return qn_error(r->src, n->loc, "axis must be below the rank %d, got %d", type->rank,
                    stated.type.q.axis);
  type->q = stated.type.q;
  tensor->scales = stated.scales;
  tensor->value->loc = key->loc;
  return QN_OK;
}

qn_status qn_read_constants(qn_yaml_reader *r, const qn_node *n) {
  if (!n || qn_is_empty(n)) return QN_OK;
  QN_TRY(qn_expect_node(r, n, QN_NODE_MAP, "'constants'"));
  for (int i = 0; i < n->count; i++) QN_TRY(read_constant(r, n->item[2 * i], n->item[2 * i + 1]));
  return QN_OK;
}

/* Kernels compute in f32; halves are a way to store. */
static void widen(qn_arena *a, qn_value *v, char letter) {
  bool real = letter == 'f' || letter == 'a';
  if (!real || v->type.elem == QN_f32 || !qn_elem_is_float(v->type.elem)) return;
  int64_t count = qn_count(&v->type);
  float *data = qn_alloc(a, (size_t)count * sizeof *data);
  for (int64_t i = 0; i < count; i++) data[i] = qn_float_at(v->type.elem, v->data, i);
  v->type.elem = QN_f32;
  v->data = data;
}

qn_value *qn_use_tensor(qn_yaml_reader *r, qn_yaml_name *tensor, char letter) {
  tensor->used = true;
  if (tensor->scales) tensor->scales->used = true;
  widen(&r->m->arena, tensor->value, letter);
  return tensor->value;
}

void qn_drop_unused(qn_yaml_reader *r) {
  int i = 0;
  for (qn_value **p = &r->m->consts; *p;) {
    bool tensor = i < r->tensors.count && *p == r->tensors.at[i].value;
    if (tensor && !r->tensors.at[i++].used)
      *p = (*p)->next;
    else
      p = &(*p)->next;
  }
  qn_forget_names(r->m);
}

/* ------------------------------------------------------------------ .npy */

qn_status qn_read_npy_const(qn_yaml_reader *r, const qn_node *n, char letter, qn_value **out) {
  qn_arena *a = &r->m->arena;
  array *known = r->arrays;
  while (known && strcmp(known->path, n->text) != 0) known = known->next;
  if (!known) {
    qn_source src;
    QN_TRY(read_beside(r, n, &src));
    qn_type type;
    const void *data;
    QN_TRY(qn_read_npy(a, &src, &type, &data));
    const char *slash = strrchr(n->text, '/');
    const char *stem = slash ? slash + 1 : n->text;
    const char *name = qn_strndup(a, stem, strlen(stem) - strlen(".npy"));
    qn_value *value;
    QN_TRY(add_const(r, n, name, &type, data, &value));
    known = qn_alloc(a, sizeof *known);
    *known = (array){n->text, value, r->arrays};
    r->arrays = known;
  }
  widen(a, known->value, letter);
  *out = known->value;
  return QN_OK;
}

/* ------------------------------------------------------------------ numbers in the document */

static qn_status read_number(qn_yaml_reader *r, const qn_node *n, qn_elem elem, void *data,
                             int64_t at) {
  if (!qn_is_number(n)) {
    bool word = n->kind == QN_NODE_SCALAR;
    return qn_error(r->src, n->loc, "expected a number, got %s%.40s%s",
                    word ? "'" : "a list or map", word ? n->text : "", word ? "'" : "");
  }
  if (elem == QN_f32) {
    float x = strtof(n->text, NULL);
    if (!isfinite(x)) return qn_error(r->src, n->loc, "'%.40s' is too large for f32", n->text);
    qn_put_float(elem, data, at, x);
    return QN_OK;
  }
  double x = strtod(n->text, NULL);
  int64_t low, high;
  qn_elem_limits(elem, &low, &high);
  if (x != floor(x) || x < (double)low || x > (double)high)
    return qn_error(r->src, n->loc, "expected an integer of %lld to %lld, got '%.40s'",
                    (long long)low, (long long)high, n->text);
  qn_put_int(elem, data, at, (int64_t)x);
  return QN_OK;
}

/* Depth is at most type->rank: deeper lists are no numbers. */
static qn_status read_numbers(qn_yaml_reader *r, const qn_node *n, const qn_type *type, int depth,
                              void *data, int64_t *at) {
  if (depth == type->rank) return read_number(r, n, type->elem, data, (*at)++);
  if (n->kind != QN_NODE_LIST)
    return qn_error(r->src, n->loc, "expected a list of %lld like those before",
                    (long long)type->dim[depth]);
  if (n->count != type->dim[depth])
    return qn_error(r->src, n->loc, "lists differ in length: the first has %lld items, this has %d",
                    (long long)type->dim[depth], n->count);
  for (int i = 0; i < n->count; i++) QN_TRY(read_numbers(r, n->item[i], type, depth + 1, data, at));
  return QN_OK;
}

static qn_elem elem_of_letter(char letter) {
  if (letter == 'b' || letter == 'i' || letter == 'm') return QN_i32;
  return letter == 's' || letter == 't' ? QN_i8 : QN_f32;
}

qn_status qn_read_inline_const(qn_yaml_reader *r, const qn_node *n, const char *name, char letter,
                               qn_value **out) {
  qn_type type = {.elem = elem_of_letter(letter)};
  for (const qn_node *list = n; list->kind == QN_NODE_LIST; list = list->item[0]) {
    if (type.rank == QN_MAX_RANK)
      return qn_error(r->src, list->loc, "lists nested deeper than %d dims", QN_MAX_RANK);
    if (list->count == 0) return qn_error(r->src, list->loc, "an empty list has no shape");
    type.dim[type.rank++] = list->count;
  }
  if (type.rank == 0) type = qn_make_type(type.elem, 1, (int64_t[]){1});
  int64_t count;
  if (!qn_checked_count(type.dim, type.rank, &count))
    return qn_error(r->src, n->loc, "more than %lld elements", (long long)QN_MAX_COUNT);
  void *data = qn_alloc(&r->m->arena, (size_t)qn_bytes(&type));
  int64_t at = 0;
  if (n->kind != QN_NODE_LIST)
    QN_TRY(read_number(r, n, type.elem, data, 0));
  else
    QN_TRY(read_numbers(r, n, &type, 0, data, &at));
  return add_const(r, n, name, &type, data, out);
}
