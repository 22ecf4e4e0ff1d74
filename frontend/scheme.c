/* What the user asks of quantization -> a scheme: the rows of --quantize, the keys of the model's
 * `quantize` section or of --config, and --io, each stronger than the one before.
 *
 * A key is a row of the table below with the function that reads its value. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "yaml_model.h"
#include "command.h"

typedef struct {
  qn_yaml_reader y;
  qn_quantization *out;
  const qn_node *section; /* what was read, a map; NULL: no keys */
} reader;

static qn_arena *arena_of(reader *r) { return &r->y.m->arena; }

/* ------------------------------------------------------------------ words */

static const char *const scheme_names[] = {
#define QN_SCHEME(name, weights, activations, doc) #name,
#include "../passes/quantize.def"
#define QN_SEARCH(name, doc) #name,
#include "../passes/quantize.def"
    NULL};
static const qn_weight_form scheme_weights[] = {
#define QN_SCHEME(name, weights, activations, doc) QN_WEIGHT_FORM_##weights,
#include "../passes/quantize.def"
};
static const qn_activation_form scheme_activations[] = {
#define QN_SCHEME(name, weights, activations, doc) QN_ACTIVATION_FORM_##activations,
#include "../passes/quantize.def"
};
static const char *const weight_names[] = {
#define QN_WEIGHT_FORM(name, elem, most, doc) #name,
#include "../passes/quantize.def"
    NULL};
static const char *const activation_names[] = {
#define QN_ACTIVATION_FORM(name, elem, doc) #name,
#include "../passes/quantize.def"
    NULL};
static const char *const method_names[] = {
#define QN_METHOD(name, doc) #name,
#include "../passes/quantize.def"
    NULL};
static const char *const recovery_names[] = {
#define QN_RECOVERY(name, pass, doc) pass,
#include "../passes/quantize.def"
    NULL};
static const char *const granularities[] = {"channel", "tensor", NULL};
static const char *const ios[] = {"keep", "int8", "int16", NULL};

static int find_word(const char *word, const char *const *words) {
  for (int i = 0; words[i]; i++)
    if (strcmp(words[i], word) == 0) return i;
  return -1;
}

/* words, separated by commas. */
static const char *list_words(qn_arena *a, const char *const *words) {
  const char *list = words[0];
  for (int i = 1; words[i]; i++) list = qn_format(a, "%s, %s", list, words[i]);
  return list;
}

static qn_status read_word(reader *r, const qn_node *n, const char *what, const char *const *words,
                           int *out) {
  QN_TRY(qn_expect_node(&r->y, n, QN_NODE_SCALAR, what));
  *out = find_word(n->text, words);
  if (*out >= 0) return QN_OK;
  return qn_error(r->y.src, n->loc, "%s '%.40s' is none of: %s", what, n->text,
                  list_words(arena_of(r), words));
}

/* ------------------------------------------------------------------ keys */

const char *qn_activation_name(qn_activation_form form) { return activation_names[form]; }

bool qn_scheme_row(int i, const char **out_name, qn_weight_form *weights,
                   qn_activation_form *activations) {
  if (i < 0 || i >= (int)(sizeof scheme_weights / sizeof *scheme_weights)) return false;
  *out_name = scheme_names[i];
  *weights = scheme_weights[i];
  *activations = scheme_activations[i];
  return true;
}

/* A row of the schemes or, behind them, of the searches, which start from int8. */
static void set_scheme(qn_quantization *out, int i) {
  const int schemes = sizeof scheme_weights / sizeof *scheme_weights;
  out->search = i < schemes ? QN_SEARCH_none : (qn_search)(i - schemes + 1);
  out->scheme.weights = i < schemes ? scheme_weights[i] : QN_WEIGHT_FORM_int8;
  out->scheme.activations = i < schemes ? scheme_activations[i] : QN_ACTIVATION_FORM_int8;
}

static qn_status read_scheme(reader *r, const qn_node *n) {
  int i;
  QN_TRY(read_word(r, n, "'scheme'", scheme_names, &i));
  set_scheme(r->out, i);
  return QN_OK;
}

static qn_status read_weights(reader *r, const qn_node *n) {
  int i;
  QN_TRY(read_word(r, n, "'weights'", weight_names, &i));
  r->out->scheme.weights = (qn_weight_form)i;
  return QN_OK;
}

static qn_status read_activations(reader *r, const qn_node *n) {
  int i;
  QN_TRY(read_word(r, n, "'activations'", activation_names, &i));
  r->out->scheme.activations = (qn_activation_form)i;
  return QN_OK;
}

static qn_status read_granularity(reader *r, const qn_node *n) {
  int i;
  QN_TRY(read_word(r, n, "'granularity'", granularities, &i));
  r->out->scheme.per_tensor = i == 1;
  return QN_OK;
}

static qn_status read_symmetric(reader *r, const qn_node *n) {
  static const char *const words[] = {"false", "true", NULL};
  int i;
  QN_TRY(read_word(r, n, "'symmetric'", words, &i));
  r->out->scheme.symmetric = i == 1;
  return QN_OK;
}

static qn_status read_method(reader *r, const qn_node *n) {
  int i;
  QN_TRY(read_word(r, n, "'method'", method_names, &i));
  r->out->scheme.method = (qn_method)i;
  return QN_OK;
}

static qn_status read_percentile(reader *r, const qn_node *n) {
  double p = qn_is_number(n) ? strtod(n->text, NULL) : 0;
  if (!(p >= 50 && p <= 100))
    return qn_error(r->y.src, n->loc, "'percentile' must be a number from 50 to 100");
  r->out->scheme.percentile = (float)p;
  return QN_OK;
}

/* A word of ios. */
static void set_io(qn_quantization *out, int i) {
  out->scheme.stored_io = i > 0;
  out->io = ios[i];
}

static qn_status read_io(reader *r, const qn_node *n) {
  int i;
  QN_TRY(read_word(r, n, "'io'", ios, &i));
  set_io(r->out, i);
  return QN_OK;
}

/* A word, or a list of words. */
static qn_status expect_words(reader *r, const qn_node *n, const char *what, int most) {
  if (n->kind == QN_NODE_SCALAR) return QN_OK;
  QN_TRY(qn_expect_node(&r->y, n, QN_NODE_LIST, what));
  if (n->count > most) return qn_error(r->y.src, n->loc, "%s has more than %d items", what, most);
  for (int i = 0; i < n->count; i++)
    QN_TRY(qn_expect_node(&r->y, n->item[i], QN_NODE_SCALAR, what));
  return QN_OK;
}

static qn_status read_input_range(reader *r, const qn_node *n) {
  QN_TRY(expect_words(r, n, "'input_range'", QN_MAX_IN));
  bool one = n->kind == QN_NODE_SCALAR;
  r->out->ranges.count = one ? 1 : n->count;
  for (int i = 0; i < r->out->ranges.count; i++)
    r->out->ranges.at[i] = one ? n->text : n->item[i]->text;
  return QN_OK;
}

static qn_status read_calibrate(reader *r, const qn_node *n) {
  QN_TRY(expect_words(r, n, "'calibrate'", QN_MAX_IN));
  bool one = n->kind == QN_NODE_SCALAR;
  r->out->files.count = one ? 1 : n->count;
  for (int i = 0; i < r->out->files.count; i++) {
    const char *path = one ? n->text : n->item[i]->text;
    r->out->files.at[i] = path[0] == '/' ? path : qn_format(arena_of(r), "%s%s", r->y.dir, path);
  }
  return QN_OK;
}

/* A list takes the place of what was said before. */
static qn_status read_recover(reader *r, const qn_node *n) {
  bool *chosen = r->out->scheme.recover, one = n->kind == QN_NODE_SCALAR;
  QN_TRY(expect_words(r, n, "'recover'", QN_RECOVERY_COUNT));
  memset(chosen, 0, sizeof r->out->scheme.recover);
  r->out->recovery_chosen = true;
  for (int i = 0; i < (one ? !qn_is_empty(n) : n->count); i++) {
    int row;
    QN_TRY(read_word(r, one ? n : n->item[i], "'recover'", recovery_names, &row));
    chosen[row] = true;
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ layers by name */

/* The value of a layer of that name, and its function. */
static const qn_value *find_value(const qn_module *m, const char *name, const qn_func **out) {
  for (*out = m->funcs; *out; *out = (*out)->next) {
    for (const qn_op *op = (*out)->first; op; op = op->next)
      if (strcmp(op->out->name, name) == 0) return op->out;
  }
  return NULL;
}

static int count_layers(const qn_module *m) {
  int count = 0;
  for (const qn_func *f = m->funcs; f; f = f->next)
    for (const qn_op *op = f->first; op; op = op->next) count++;
  return count;
}

static qn_status refuse_layer(reader *r, const qn_node *n) {
  int count = 0;
  const char **names = qn_alloc(arena_of(r), ((size_t)count_layers(r->y.m) + 1) * sizeof *names);
  for (const qn_func *f = r->y.m->funcs; f; f = f->next)
    for (const qn_op *op = f->first; op; op = op->next) names[count++] = op->out->name;
  return qn_error(r->y.src, n->loc, "no layer or op '%s'%s", n->text,
                  qn_suggest_key(arena_of(r), n->text, names));
}

/* Whether the passes that come before quantization put a layer under the name of this user of it.
 */
static bool gives_name(const qn_op *op) {
  return op->code == QN_OP_relu || op->code == QN_OP_relu6 || op->code == QN_OP_clip ||
         op->code == QN_OP_batch_norm;
}

/* The layer, and under which names it may be known by the time that insert-qdq runs: added to
 * names, which has room for one per layer. */
static qn_status find_layer(reader *r, const qn_node *n, const char **names, int *count) {
  qn_opcode unused;
  const qn_func *f;
  const qn_value *v = find_value(r->y.m, n->text, &f);
  if (!v && !qn_find_op(n->text, strlen(n->text), &unused)) return refuse_layer(r, n);
  names[(*count)++] = n->text;
  for (const qn_op *op = v ? qn_only_user(f, v) : NULL; op && gives_name(op);
       op = qn_only_user(f, op->out))
    names[(*count)++] = op->out->name;
  return QN_OK;
}

static qn_status read_keep_float(reader *r, const qn_node *n) {
  QN_TRY(expect_words(r, n, "'keep_float'", 1000));
  bool one = n->kind == QN_NODE_SCALAR;
  size_t count = one ? 1 : (size_t)n->count, layers = (size_t)count_layers(r->y.m) + 1;
  const char **names = qn_alloc(arena_of(r), (count * layers + 1) * sizeof *names);
  r->out->scheme.keep = names;
  r->out->scheme.keep_count = 0;
  for (size_t i = 0; i < count; i++)
    QN_TRY(find_layer(r, one ? n : n->item[i], names, &r->out->scheme.keep_count));
  return QN_OK;
}

/* A layer of that name, or a kind of them, that has weights, or will have that of the layer that it
 * gives its name to. */
static bool can_have_levels(const qn_module *m, const char *name) {
  const qn_func *f;
  qn_opcode code;
  const qn_value *v = find_value(m, name, &f);
  if (!v) return qn_find_op(name, strlen(name), &code) && qn_has_weights(&(qn_op){.code = code});
  while (v->def && gives_name(v->def)) v = v->def->in[0];
  return v->def && qn_has_weights(v->def);
}

/* 2*most + 1 levels, as many on either side of 0; or signs. */
static qn_status read_level_count(reader *r, const qn_node *n, int32_t *out_most) {
  double levels = qn_is_number(n) ? strtod(n->text, NULL) : 0;
  if (!(levels >= 2 && levels <= 255 && (levels == 2 || fmod(levels, 2) == 1)))
    return qn_error(r->y.src, n->loc, "'levels' must be 2 or an odd number from 3 to 255");
  *out_most = levels == 2 ? QN_SIGNS : (int32_t)levels / 2;
  return QN_OK;
}

static qn_status read_levels_of(reader *r, const qn_node *n, qn_layer_levels *out) {
  out->step = 0;
  return read_level_count(r, n, &out->most);
}

static qn_status read_step_of(reader *r, const qn_node *n, qn_layer_levels *out) {
  double step = qn_is_number(n) ? strtod(n->text, NULL) : 0;
  if (!(step >= 0.01 && step <= 4))
    return qn_error(r->y.src, n->loc, "'steps' must be a number from 0.01 to 4");
  out->step = (float)step;
  return QN_OK;
}

/* A number for all layers, or numbers by layer, which count more than those of keys before. */
static qn_status read_by_layer(reader *r, const qn_node *n, const char *key,
                               qn_status (*read)(reader *, const qn_node *, qn_layer_levels *)) {
  qn_scheme *scheme = &r->out->scheme;
  qn_layer_levels all = {.most = scheme->most, .step = scheme->step};
  if (n->kind == QN_NODE_SCALAR) QN_TRY(read(r, n, &all));
  scheme->most = all.most;
  scheme->step = all.step;
  if (n->kind == QN_NODE_SCALAR) return QN_OK;
  QN_TRY(qn_expect_node(&r->y, n, QN_NODE_MAP, qn_format(arena_of(r), "'%s'", key)));
  if (n->count > 1000) return qn_error(r->y.src, n->loc, "'%s' has more than 1000 items", key);
  size_t layers = (size_t)count_layers(r->y.m) + 1, before = (size_t)scheme->layer_count;
  const char **names = qn_alloc(arena_of(r), layers * sizeof *names);
  qn_layer_levels *list =
      qn_alloc(arena_of(r), (before + (size_t)n->count * layers + 1) * sizeof *list);
  for (size_t i = 0; i < before; i++) list[i] = scheme->layers[i];
  scheme->layers = list;
  for (int i = 0; i < n->count; i++) {
    int count = 0;
    qn_layer_levels own = {0};
    QN_TRY(find_layer(r, n->item[2 * i], names, &count));
    QN_TRY(qn_expect_node(&r->y, n->item[2 * i + 1], QN_NODE_SCALAR,
                          qn_format(arena_of(r), "'%s'", key)));
    QN_TRY(read(r, n->item[2 * i + 1], &own));
    if (!can_have_levels(r->y.m, n->item[2 * i]->text))
      return qn_error(r->y.src, n->item[2 * i]->loc, "'%s' are of weights, '%s' has none", key,
                      n->item[2 * i]->text);
    for (int k = 0; k < count; k++) {
      own.layer = names[k];
      list[scheme->layer_count++] = own;
    }
  }
  return QN_OK;
}

static qn_status read_levels(reader *r, const qn_node *n) {
  return read_by_layer(r, n, "levels", read_levels_of);
}

static qn_status read_steps(reader *r, const qn_node *n) {
  return read_by_layer(r, n, "steps", read_step_of);
}

static qn_status read_part(reader *r, const qn_node *n, const char *key, float *out) {
  double part = qn_is_number(n) ? strtod(n->text, NULL) : -1;
  if (!(part >= 0 && part < 1))
    return qn_error(r->y.src, n->loc, "'%s' must be a number from 0 to less than 1", key);
  *out = (float)part;
  return QN_OK;
}

static qn_status read_prune(reader *r, const qn_node *n) {
  return read_part(r, n, "prune", &r->out->scheme.prune);
}

static qn_status read_prune_channels(reader *r, const qn_node *n) {
  return read_part(r, n, "prune_channels", &r->out->scheme.prune_channels);
}

static qn_status read_low_rank(reader *r, const qn_node *n) {
  return read_part(r, n, "low_rank", &r->out->scheme.low_rank);
}

static qn_status read_cluster(reader *r, const qn_node *n) {
  double entries = qn_is_number(n) ? strtod(n->text, NULL) : 0;
  if (!(entries >= 2 && entries <= 256 && fmod(entries, 1) == 0))
    return qn_error(r->y.src, n->loc, "'cluster' must be a number of entries, 2 to 256");
  r->out->scheme.cluster = (int32_t)entries;
  return QN_OK;
}

/* ------------------------------------------------------------------ sections */

#define WORD_OR_WORDS                                                                              \
  "\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"items\": {\"type\": \"string\"}}]"

typedef enum { ANY, INTEGER_WEIGHTS, STORED_ACTIVATIONS } need;

/* A key: its value is one of words, or what JSON schema calls `schema`; what its scheme must have.
 */
static const struct {
  const char *key;
  qn_status (*read)(reader *r, const qn_node *n);
  need of;
  const char *const *words;
  const char *schema, *doc;
} keys[] = {
    {"scheme", read_scheme, ANY, scheme_names, NULL, "a row of `quern help schemes`"},
    {"weights", read_weights, ANY, weight_names, NULL, "how weights are stored"},
    {"activations", read_activations, ANY, activation_names, NULL, "how activations are stored"},
    {"granularity", read_granularity, INTEGER_WEIGHTS, granularities, NULL,
     "one scale of weights per output channel, or one per layer"},
    {"symmetric", read_symmetric, STORED_ACTIVATIONS, NULL, "\"type\": \"boolean\"",
     "activations have zero point 0"},
    {"method", read_method, STORED_ACTIVATIONS, method_names, NULL,
     "what the range of activations is to cover"},
    {"percentile", read_percentile, STORED_ACTIVATIONS, NULL,
     "\"type\": \"number\", \"minimum\": 50, \"maximum\": 100", "of the method of that name"},
    {"calibrate", read_calibrate, ANY, NULL, WORD_OR_WORDS,
     "typical inputs, .npy files from this file's folder, or statistics"},
    {"input_range", read_input_range, ANY, NULL, WORD_OR_WORDS,
     "without samples: what the inputs can be, LOW:HIGH of each"},
    {"io", read_io, ANY, ios, NULL,
     "the model's own inputs and outputs: real as before, or stored"},
    {"keep_float", read_keep_float, ANY, NULL, WORD_OR_WORDS,
     "layers that stay float, by name or by kind of op"},
    {"levels", read_levels, ANY, NULL,
     "\"anyOf\": [{\"type\": \"integer\"}, {\"type\": \"object\", \"additionalProperties\": "
     "{\"type\": \"integer\"}}]",
     "how many values weights are rounded to, 2 or 3 to 255, odd: for all, or by layer or kind of "
     "op"},
    {"steps", read_steps, ANY, NULL,
     "\"anyOf\": [{\"type\": \"number\"}, {\"type\": \"object\", \"additionalProperties\": "
     "{\"type\": \"number\"}}]",
     "what weights are multiples of, by their root mean square, chosen for few bits when they are "
     "coded: for all, or by layer or kind of op"},
    {"prune", read_prune, ANY, NULL,
     "\"type\": \"number\", \"minimum\": 0, \"exclusiveMaximum\": 1",
     "the part of each layer's weights to make 0, the smallest ones; needs samples"},
    {"prune_channels", read_prune_channels, ANY, NULL,
     "\"type\": \"number\", \"minimum\": 0, \"exclusiveMaximum\": 1",
     "the part of each layer's channels to do without; needs samples"},
    {"low_rank", read_low_rank, ANY, NULL,
     "\"type\": \"number\", \"minimum\": 0, \"exclusiveMaximum\": 1",
     "split layers into two of fewer weights, where that loses at most so much of the results' "
     "variance on the samples"},
    {"cluster", read_cluster, ANY, NULL, "\"type\": \"integer\", \"minimum\": 2, \"maximum\": 256",
     "the most different weights that a layer may have; needs samples"},
    {"recover", read_recover, ANY, NULL, WORD_OR_WORDS, "rows of `quern help recovery`"},
};
enum { KEYS = sizeof keys / sizeof *keys };

static qn_status read_section(reader *r, const qn_node *n) {
  if (n->kind == QN_NODE_SCALAR && !qn_is_empty(n)) return read_scheme(r, n);
  if (qn_is_empty(n)) return QN_OK;
  QN_TRY(qn_expect_node(&r->y, n, QN_NODE_MAP, "'quantize'"));
  const char *names[KEYS + 1] = {NULL};
  for (int i = 0; i < KEYS; i++) names[i] = keys[i].key;
  QN_TRY(qn_check_keys(&r->y, n, names, "'quantize'"));
  r->section = n;
  for (int i = 0; i < KEYS; i++) {
    const qn_node *value = qn_find_key(n, keys[i].key);
    if (value) QN_TRY(keys[i].read(r, value));
  }
  const qn_node *percentile = qn_find_key(n, "percentile");
  if (percentile && r->out->scheme.method != QN_METHOD_percentile)
    return qn_error(r->y.src, percentile->loc,
                    "'percentile' is of that method: add 'method: percentile'");
  return QN_OK;
}

/* Keys that say nothing of such a scheme. */
static qn_status check_section(const reader *r) {
  const qn_scheme *s = &r->out->scheme;
  bool met[] = {true, !qn_is_halved(s), !qn_is_halved(s) && !qn_is_dynamic(s)};
  for (int i = 0; i < KEYS && r->section; i++) {
    const qn_node *value = qn_find_key(r->section, keys[i].key);
    if (!value || met[keys[i].of]) continue;
    bool of_weights = keys[i].of == INTEGER_WEIGHTS;
    return qn_error(r->y.src, value->loc, "'%s' is of %s, %s are %s", keys[i].key,
                    of_weights ? "integer weights" : "stored activations",
                    of_weights ? "weights" : "activations",
                    of_weights ? weight_names[s->weights] : activation_names[s->activations]);
  }
  return QN_OK;
}

/* The document of src, or its key `quantize`. */
static qn_status read_document(qn_module *m, const qn_source *src, bool is_model, reader *r) {
  const qn_node *root;
  QN_TRY(qn_read_yaml_tree(&m->arena, src, &root));
  const char *slash = strrchr(src->name, '/');
  const char *dir = slash ? qn_strndup(&m->arena, src->name, (size_t)(slash - src->name) + 1) : "";
  r->y = (qn_yaml_reader){.m = m, .src = src, .dir = dir};
  const qn_node *section = root->kind == QN_NODE_MAP ? qn_find_key(root, "quantize") : NULL;
  if (!section && is_model) return QN_OK;
  r->out->on = true;
  return read_section(r, section ? section : root);
}

/* --config: a file, or the text itself when it starts with a brace. */
static qn_status read_config(const char *config, qn_module *m, reader *r) {
  qn_source *src = qn_alloc(&m->arena, sizeof *src);
  if (config[0] == '{')
    *src = (qn_source){.name = "--config", .text = config, .size = strlen(config)};
  else
    QN_TRY(qn_read_file(&m->arena, config, src));
  return read_document(m, src, false, r);
}

static qn_status read_row(const char *name, qn_quantization *out) {
  int i = find_word(name, scheme_names);
  if (i < 0) {
    const char *nearest = qn_nearest(name, scheme_names);
    return qn_io_error("quern", "no scheme '%s' for --quantize%s%s%s; see `quern help schemes`",
                       name, nearest ? ", did you mean '" : "", nearest ? nearest : "",
                       nearest ? "'" : "");
  }
  out->on = true;
  set_scheme(out, i);
  return QN_OK;
}

/* --recover: names separated by commas; an empty list is none. */
static qn_status read_recover_option(qn_arena *a, const char *list, qn_quantization *out) {
  memset(out->scheme.recover, 0, sizeof out->scheme.recover);
  out->recovery_chosen = true;
  for (const char *p = list; *p; p += *p == ',') {
    size_t size = strcspn(p, ",");
    const char *name = qn_strndup(a, p, size), *nearest = qn_nearest(name, recovery_names);
    int i = find_word(name, recovery_names);
    if (i < 0)
      return qn_io_error("quern", "no '%s' for --recover%s%s%s; see `quern help recovery`", name,
                         nearest ? ", did you mean '" : "", nearest ? nearest : "",
                         nearest ? "'" : "");
    out->scheme.recover[i] = true;
    p += size;
  }
  return QN_OK;
}

/* Of a search: how much it may cost, and what is right. */
static qn_status read_guard(const qn_options *o, qn_quantization *out) {
  char *end = NULL;
  out->labels = o->calibrate_labels;
  out->max_drop = o->max_drop ? strtod(o->max_drop, &end) : 1;
  if (o->max_drop && (*end || end == o->max_drop || !(out->max_drop >= 0 && out->max_drop <= 100)))
    return qn_io_error("quern", "--max-drop '%s' is no number from 0 to 100", o->max_drop);
  const char *flag = o->max_drop ? "--max-drop" : "--calibrate-labels";
  bool searches = out->search != QN_SEARCH_none || (o->max_drop && qn_is_lossy(&out->scheme));
  if ((o->max_drop || o->calibrate_labels) && !searches)
    return qn_io_error(
        "quern", "%s is for a search: --quantize mixed, fewest or auto, or what prunes", flag);
  return QN_OK;
}

/* What goes together. */
static qn_status check_forms(const qn_scheme *s) {
  if (qn_is_halved(s) != (s->activations == QN_ACTIVATION_FORM_float))
    return qn_io_error("quern", "weights %s do not go with activations %s",
                       weight_names[s->weights], activation_names[s->activations]);
  for (int i = 0; i < QN_RECOVERY_COUNT; i++)
    if (qn_is_halved(s) && s->recover[i] && i != QN_RECOVERY_equalize)
      return qn_io_error("quern", "'%s' is for integers, weights are %s", recovery_names[i],
                         weight_names[s->weights]);
  if (qn_is_halved(s) && (qn_is_lossy(s) || s->most || s->step > 0 || s->layer_count))
    return qn_io_error("quern",
                       "levels, steps and what prunes, clusters or splits is for integers, "
                       "weights are %s",
                       weight_names[s->weights]);
  return QN_OK;
}

qn_status qn_get_quantization(const qn_options *o, qn_module *m, qn_quantization *out) {
  *out = (qn_quantization){.scheme = qn_default_scheme};
  if (o->quantize && strcmp(o->quantize, "float") == 0) return QN_OK;
  reader model = {.out = out}, config = {.out = out};
  if (qn_is_yaml(m->src.name)) QN_TRY(read_document(m, &m->src, true, &model));
  if (o->config) QN_TRY(read_config(o->config, m, &config));
  if (o->quantize) QN_TRY(read_row(o->quantize, out));
  if (o->io) {
    int stored;
    QN_TRY(qn_choose("--io", NULL, o->io, &stored));
    set_io(out, stored);
  }
  const char *stored = activation_names[out->scheme.activations];
  if (out->scheme.stored_io && out->search != QN_SEARCH_auto && strcmp(out->io, stored) != 0)
    return qn_io_error("quern", "inputs and outputs cannot be %s (--io), activations are %s",
                       out->io, stored);
  if (o->recover) QN_TRY(read_recover_option(&m->arena, o->recover, out));
  QN_TRY(check_forms(&out->scheme));
  QN_TRY(check_section(&config));
  if (!o->config && !o->quantize) QN_TRY(check_section(&model)); /* others take its place */
  if (o->calibrate.count) out->files = o->calibrate;
  if (o->input_range.count) out->ranges = o->input_range;
  return read_guard(o, out);
}

/* ------------------------------------------------------------------ for editors */

static void put_words(FILE *to, const char *const *words) {
  fputs("\"enum\": [", to);
  for (int i = 0; words[i]; i++) fprintf(to, "%s\"%s\"", i ? ", " : "", words[i]);
  putc(']', to);
}

void qn_print_quantize_schema(FILE *to) {
  fputs("{\"description\": \"what --quantize does, kept with the model\", \"anyOf\": [{", to);
  put_words(to, scheme_names);
  fputs("},\n    {\"type\": \"object\", \"additionalProperties\": false, \"properties\": {", to);
  for (int i = 0; i < KEYS; i++) {
    fprintf(to, "%s\n      \"%s\": {\"description\": \"%s\", ", i ? "," : "", keys[i].key,
            keys[i].doc);
    if (keys[i].words)
      put_words(to, keys[i].words);
    else
      fputs(keys[i].schema, to);
    putc('}', to);
  }
  fputs("}}]}", to);
}
