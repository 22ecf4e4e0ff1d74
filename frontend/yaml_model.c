/* A YAML document -> a module (the schema stands in README.md and `quern help schema`).
 *
 * The op table is the schema of a layer: its keys are the op's operands and attributes, `name` and
 * `out`. Names are collected first, so that a layer without a name gets one that is free and a
 * reference to a later layer is told from a misspelt one; then the layers are built in order. What
 * a layer becomes is qn_add_layer's matter, whether its shapes fit qn_infer's, whether types fit
 * qn_verify's. The section `quantize` is scheme.c's. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "yaml_model.h"

/* A layer as written: `- conv2d: {w: c1.w}`. */
typedef struct {
  qn_opcode code;
  const qn_node *key; /* the op's name */
  const qn_node *map; /* NULL: no keys */
} layer;

typedef struct {
  qn_yaml_reader y;
  int count, input_count;
  layer *layers;
} reader;

static qn_arena *arena_of(reader *r) { return &r->y.m->arena; }

static const qn_node *find_key(const layer *l, const char *key) {
  return l->map ? qn_find_key(l->map, key) : NULL;
}

/* ------------------------------------------------------------------ names */

static qn_status open_layer(reader *r, const qn_node *n, layer *out) {
  if (n->kind != QN_NODE_MAP || n->count != 1)
    return qn_error(r->y.src, n->loc,
                    "a layer must be one op with its keys, as in '- flatten: {}'");
  const qn_node *key = n->item[0], *keys = n->item[1];
  if (!qn_find_op(key->text, strlen(key->text), &out->code)) {
    const char *nearest = qn_nearest_op(key->text);
    return qn_error(r->y.src, key->loc, "unknown op '%s'%s%s%s", key->text,
                    nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
  }
  out->key = key;
  out->map = qn_is_empty(keys) ? NULL : keys;
  if (out->map) QN_TRY(qn_expect_node(&r->y, keys, QN_NODE_MAP, key->text));
  return QN_OK;
}

static qn_status read_input(reader *r, const qn_node *key, const qn_node *n, qn_yaml_name *out) {
  QN_TRY(qn_check_yaml_name(&r->y, key));
  qn_yaml_type t;
  QN_TRY(qn_read_yaml_type(&r->y, n, &t));
  if (!t.has_dims)
    return qn_error(r->y.src, n->loc, "an input needs its dims, as in \"f32[1,28,28,1]\"");
  if (t.scales) return qn_error(r->y.src, n->loc, "an input has one scale, not one per channel");
  qn_value *v = qn_add_param(r->y.m, r->y.f, key->text, &t.type);
  v->loc = key->loc;
  *out = (qn_yaml_name){.name = key->text, .loc = key->loc, .layer = -1, .value = v};
  return QN_OK;
}

/* Layers without a name are called like their op, from the second on with _2, _3, ... */
static void name_layers(reader *r) {
  int last[QN_OP_COUNT] = {0};
  for (int i = 0; i < r->count; i++) {
    qn_yaml_name *name = &r->y.values.at[r->input_count + i];
    if (name->name) continue;
    const layer *l = &r->layers[i];
    const char *op = qn_ops[l->code].name;
    do {
      int k = ++last[l->code];
      name->name = k == 1 ? op : qn_format(arena_of(r), "%s_%d", op, k);
    } while (qn_find_yaml_name(&r->y.values, name->name));
  }
}

static qn_status read_names(reader *r, const qn_node *inputs, const qn_node *layers) {
  qn_yaml_names *values = &r->y.values;
  if (inputs->count < 1 || inputs->count > QN_MAX_IN)
    return qn_error(r->y.src, inputs->loc, "a model has 1 to %d inputs, got %d", QN_MAX_IN,
                    inputs->count);
  r->input_count = inputs->count;
  r->count = layers->count;
  if (r->count > QN_MAX_OPS)
    return qn_error(r->y.src, layers->loc, "more than %d layers", QN_MAX_OPS);
  r->layers = qn_alloc(arena_of(r), ((size_t)r->count + 1) * sizeof *r->layers);
  values->count = r->input_count + r->count;
  values->at = qn_alloc(arena_of(r), ((size_t)values->count + 1) * sizeof *values->at);
  for (int i = 0; i < r->input_count; i++)
    QN_TRY(read_input(r, inputs->item[2 * i], inputs->item[2 * i + 1], &values->at[i]));
  for (int i = 0; i < r->count; i++) {
    QN_TRY(open_layer(r, layers->item[i], &r->layers[i]));
    const qn_node *name = find_key(&r->layers[i], "name");
    if (name) QN_TRY(qn_check_yaml_name(&r->y, name));
    values->at[r->input_count + i] = (qn_yaml_name){.name = name ? name->text : NULL,
                                                    .loc = name ? name->loc : r->layers[i].key->loc,
                                                    .layer = i};
  }
  QN_TRY(qn_sort_yaml_names(&r->y, values));
  name_layers(r);
  return qn_sort_yaml_names(&r->y, values);
}

/* ------------------------------------------------------------------ operands */

/* A layer that cannot be read yet. */
static qn_status refuse_later(reader *r, const qn_node *n, const qn_yaml_name *value, int index,
                              bool is_tensor) {
  const char *hint =
      is_tensor ? qn_format(arena_of(r), "; \"@%s\" is the tensor", value->name) : "";
  if (value->layer == index)
    return qn_error(r->y.src, n->loc, "cyclic reference: '%s' is this layer's own result%s",
                    value->name, hint);
  qn_status status = qn_error(
      r->y.src, n->loc, "cyclic or forward reference: '%s' is a later layer%s", value->name, hint);
  qn_note(r->y.src, value->loc, "'%s' is here", value->name);
  return status;
}

/* What a name stands for in layer `index`: an input or a layer, else a tensor. `@name` is a tensor,
 * whatever else has the name. */
static qn_status find_operand(reader *r, const qn_node *n, int index, char letter, qn_value **out) {
  bool tensor_only = n->text[0] == '@';
  const char *name = n->text + tensor_only;
  const qn_yaml_name *value = tensor_only ? NULL : qn_find_yaml_name(&r->y.values, name);
  qn_yaml_name *tensor = qn_find_yaml_name(&r->y.tensors, name);
  if (value && value->layer >= index) return refuse_later(r, n, value, index, tensor != NULL);
  if (value) {
    *out = value->value;
    return QN_OK;
  }
  if (tensor) {
    *out = qn_use_tensor(&r->y, tensor, letter);
    return QN_OK;
  }
  if (tensor_only)
    return qn_error(r->y.src, n->loc, "no tensor '%s' in the weight files%s", name,
                    qn_suggest_yaml_name(arena_of(r), name, &r->y.tensors, NULL));
  return qn_error(r->y.src, n->loc, "no layer, input or tensor '%s'%s", name,
                  qn_suggest_yaml_name(arena_of(r), name, &r->y.values, &r->y.tensors));
}

static bool is_npy_path(const char *text) {
  size_t size = strlen(text);
  return size > 4 && strcmp(text + size - 4, ".npy") == 0;
}

static qn_status read_operand(reader *r, const qn_node *n, int index, const char *key, char letter,
                              qn_value **out) {
  if (n->kind == QN_NODE_LIST || qn_is_number(n)) {
    const char *layer_name = r->y.values.at[r->input_count + index].name;
    const char *name = qn_format(arena_of(r), "%s.%s", layer_name, key);
    return qn_read_inline_const(&r->y, n, name, letter, out);
  }
  QN_TRY(qn_expect_node(&r->y, n, QN_NODE_SCALAR, key));
  if (is_npy_path(n->text) && !qn_find_yaml_name(&r->y.values, n->text) &&
      !qn_find_yaml_name(&r->y.tensors, n->text))
    return qn_read_npy_const(&r->y, n, letter, out);
  return find_operand(r, n, index, letter, out);
}

/* What a layer reads that does not say: the layer before it. */
static qn_status read_previous(reader *r, const layer *l, int index, const char *key,
                               qn_value **out) {
  if (index == 0 && r->input_count != 1)
    return qn_error(r->y.src, l->key->loc, "missing key '%s': the model has %d inputs", key,
                    r->input_count);
  int previous = index == 0 ? 0 : r->input_count + index - 1;
  *out = r->y.values.at[previous].value;
  return QN_OK;
}

/* The operands of an op that takes any number: a list of names. */
static qn_status read_variadic(reader *r, const qn_node *n, int index, const char *key,
                               qn_layer *out) {
  if (n->kind != QN_NODE_LIST)
    return read_operand(r, n, index, key, qn_sig_letter(out->code, 0), &out->in[out->in_count++]);
  if (n->count > QN_MAX_IN)
    return qn_error(r->y.src, n->loc, "at most %d operands, got %d", QN_MAX_IN, n->count);
  for (int i = 0; i < n->count; i++) {
    QN_TRY(read_operand(r, n->item[i], index, key, qn_sig_letter(out->code, i), &out->in[i]));
    out->in_count++;
  }
  return QN_OK;
}

static qn_status read_operands(reader *r, const layer *l, int index, qn_layer *out) {
  bool variadic = strchr(qn_ops[l->code].sig, '+') != NULL;
  const char *left_out = NULL;
  for (int k = 0; k < QN_MAX_IN; k++) {
    const char *key = qn_operand_name(arena_of(r), l->code, k);
    if (!key) break;
    const qn_node *n = find_key(l, key);
    if (n && left_out)
      return qn_error(r->y.src, l->key->loc, "missing key '%s': '%s' has '%s'", left_out,
                      l->key->text, key);
    if (n && variadic) {
      QN_TRY(read_variadic(r, n, index, key, out));
    } else if (n) {
      QN_TRY(read_operand(r, n, index, key, qn_sig_letter(l->code, k), &out->in[out->in_count++]));
    } else if (k == 0) {
      QN_TRY(read_previous(r, l, index, key, &out->in[out->in_count++]));
    } else if (k < qn_min_operands(l->code)) {
      return qn_error(r->y.src, l->key->loc, "missing key '%s' of '%s'", key, l->key->text);
    } else {
      left_out = key;
    }
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ attributes and types */

/* A number as attributes take them: infinities too, as YAML spells them. */
static bool read_attr_number(const qn_node *n, double *out) {
  bool negative = n->kind == QN_NODE_SCALAR && n->text[0] == '-';
  if (n->kind == QN_NODE_SCALAR && !n->quoted && strcmp(n->text + negative, ".inf") == 0) {
    *out = negative ? -HUGE_VAL : HUGE_VAL;
    return true;
  }
  if (!qn_is_number(n)) return false;
  *out = strtod(n->text, NULL);
  return true;
}

static qn_status read_attr_text(reader *r, const qn_node *n, const qn_attr *attr,
                                qn_attr_text *out) {
  *out = (qn_attr_text){0};
  if (n->kind == QN_NODE_SCALAR) {
    if (read_attr_number(n, &out->num[0])) {
      out->count = 1;
    } else {
      out->count = -1;
      out->word = n->text;
    }
    return QN_OK;
  }
  enum { MOST = sizeof out->num / sizeof *out->num };
  if (n->kind == QN_NODE_MAP || n->count > MOST)
    return qn_error(r->y.src, n->loc, "'%s' must be a number, a word or a list of up to %d numbers",
                    attr->name, MOST);
  out->is_list = true;
  out->count = n->count;
  for (int i = 0; i < n->count; i++)
    if (!read_attr_number(n->item[i], &out->num[i]))
      return qn_error(r->y.src, n->item[i]->loc, "'%s' must be a list of numbers", attr->name);
  return QN_OK;
}

static qn_status read_attrs(reader *r, const layer *l, qn_attrs *out) {
  qn_default_attrs(l->code, out);
  for (const qn_attr *attr = qn_ops[l->code].attrs; attr->name; attr++) {
    const qn_node *n = find_key(l, attr->name);
    if (!n && attr->needed)
      return qn_error(r->y.src, l->key->loc, "missing key '%s' of '%s': %s", attr->name,
                      l->key->text, attr->doc);
    if (!n) continue;
    qn_attr_text text;
    QN_TRY(read_attr_text(r, n, attr, &text));
    const char *wrong = qn_set_attr(arena_of(r), out, attr, &text);
    if (wrong) return qn_error(r->y.src, n->loc, "'%s' %s", attr->name, wrong);
  }
  return QN_OK;
}

static qn_status check_layer_keys(reader *r, const layer *l) {
  const char *allowed[64] = {"name", "out"};
  int count = 2;
  for (int k = 0; k < QN_MAX_IN; k++) {
    const char *key = qn_operand_name(arena_of(r), l->code, k);
    if (!key) break;
    allowed[count++] = key;
  }
  for (const qn_attr *attr = qn_ops[l->code].attrs; attr->name && count < 63; attr++)
    allowed[count++] = attr->name;
  return qn_check_keys(&r->y, l->map, allowed, qn_format(arena_of(r), "'%s'", l->key->text));
}

static qn_status read_out(reader *r, const layer *l, qn_layer *out) {
  const qn_node *n = find_key(l, "out");
  if (!n) return QN_OK;
  qn_yaml_type t;
  QN_TRY(qn_read_yaml_type(&r->y, n, &t));
  if (t.scales) t.scales->used = true;
  out->typed = true;
  out->type = t.type;
  return QN_OK;
}

static qn_status build_layer(reader *r, int index) {
  const layer *l = &r->layers[index];
  qn_yaml_name *name = &r->y.values.at[r->input_count + index];
  qn_layer out = {.code = l->code, .loc = l->key->loc, .name = name->name};
  if (l->map) QN_TRY(check_layer_keys(r, l));
  QN_TRY(read_attrs(r, l, &out.a));
  QN_TRY(read_operands(r, l, index, &out));
  QN_TRY(read_out(r, l, &out));
  return qn_add_layer(r->y.m, r->y.f, &out, &name->value);
}

/* ------------------------------------------------------------------ the document */

static qn_status read_outputs(reader *r, const qn_node *n) {
  QN_TRY(qn_expect_node(&r->y, n, QN_NODE_LIST, "'outputs'"));
  if (n->count == 0 || n->count > QN_MAX_IN)
    return qn_error(r->y.src, n->loc, "a model has 1 to %d outputs, got %d", QN_MAX_IN, n->count);
  for (int i = 0; i < n->count; i++) {
    const qn_node *item = n->item[i];
    QN_TRY(qn_expect_node(&r->y, item, QN_NODE_SCALAR, "an output"));
    const qn_yaml_name *name = qn_find_yaml_name(&r->y.values, item->text);
    if (!name)
      return qn_error(r->y.src, item->loc, "no layer '%s'%s", item->text,
                      qn_suggest_yaml_name(arena_of(r), item->text, &r->y.values, NULL));
    for (int k = 0; k < i; k++)
      if (r->y.f->results[k] == name->value)
        return qn_error(r->y.src, item->loc, "output '%s' occurs twice", item->text);
    r->y.f->results[r->y.f->result_count++] = name->value;
  }
  return QN_OK;
}

static qn_status read_header(reader *r, const qn_node *root) {
  const qn_node *version = qn_find_key(root, "quern"), *model = qn_find_key(root, "model");
  QN_TRY(qn_expect_node(&r->y, version, QN_NODE_SCALAR, "'quern'"));
  if (strcmp(version->text, "1") != 0)
    return qn_error(r->y.src, version->loc, "format %.20s is not known, only 1 is", version->text);
  if (!model) return QN_OK;
  QN_TRY(qn_expect_node(&r->y, model, QN_NODE_SCALAR, "'model'"));
  if (model->text[0] == 0) return qn_error(r->y.src, model->loc, "the model's name is empty");
  r->y.m->name = qn_identifier(arena_of(r), model->text, strlen(model->text));
  return QN_OK;
}

static qn_status check_root(reader *r, const qn_node *root) {
  static const char *const keys[] = {"quern",  "model",   "weights",  "inputs", "constants",
                                     "layers", "outputs", "quantize", NULL};
  static const char *const needed[] = {"quern", "inputs", "layers", "outputs", NULL};
  QN_TRY(qn_expect_node(&r->y, root, QN_NODE_MAP, "a model"));
  QN_TRY(qn_check_keys(&r->y, root, keys, "the model"));
  for (int i = 0; needed[i]; i++)
    if (!qn_find_key(root, needed[i]))
      return qn_error(r->y.src, root->loc, "missing key '%s' of the model", needed[i]);
  return QN_OK;
}

static qn_status read_model(reader *r, const qn_node *root) {
  QN_TRY(check_root(r, root));
  QN_TRY(read_header(r, root));
  const qn_node *inputs = qn_find_key(root, "inputs"), *layers = qn_find_key(root, "layers");
  QN_TRY(qn_expect_node(&r->y, inputs, QN_NODE_MAP, "'inputs'"));
  QN_TRY(qn_expect_node(&r->y, layers, QN_NODE_LIST, "'layers'"));
  QN_TRY(qn_read_weights(&r->y, qn_find_key(root, "weights")));
  QN_TRY(qn_read_constants(&r->y, qn_find_key(root, "constants")));
  QN_TRY(read_names(r, inputs, layers));
  for (int i = 0; i < r->count; i++) QN_TRY(build_layer(r, i));
  QN_TRY(read_outputs(r, qn_find_key(root, "outputs")));
  qn_drop_unused(&r->y);
  return qn_verify(r->y.m);
}

qn_status qn_read_yaml(qn_module *m, const qn_source *src) {
  m->src = *src;
  const qn_node *root;
  QN_TRY(qn_read_yaml_tree(&m->arena, src, &root));
  const char *slash = strrchr(src->name, '/');
  const char *dir = slash ? qn_strndup(&m->arena, src->name, (size_t)(slash - src->name) + 1) : "";
  reader r = {.y = {.m = m, .src = src, .dir = dir, .f = qn_add_func(m, "main")}};
  r.y.f->loc = root->loc;
  return read_model(&r, root);
}
