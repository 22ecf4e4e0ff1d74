/* A module as a reader left it -> YAML that a person can read, and its constants in a .safetensors
 * beside it.
 *
 * A layer of the YAML is what qn_add_layer (build.c) makes of it, so this is its inverse:
 *
 *   %x.f = dequantize %x;  %w.f = dequantize @w;  %y.r = conv2d %x.f, %w.f;  %y = quantize %y.r
 *   becomes   - conv2d: {name: y, x: x, w: w, out: "i8 q(0.25, 0)"}
 *
 * Where the ops around are not exactly those that reading the layer would make (a dequantized value
 * that several ops use, say, or one with a name of its own), they are layers of their own. So ops
 * and constants come back in their order, and compiling the YAML gives the same bytes. */
#include <math.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include "frontend.h"

/* The ops that one layer stands for: dequantizes from first on, op, and quantize when last is not
 * op. */
typedef struct {
  const qn_op *first, *op, *last;
} group;

typedef struct {
  FILE *to;
  qn_arena *arena; /* of texts */
  const qn_module *m;
  const qn_func *f;
  const qn_value *previous; /* what a layer without its first operand reads; NULL: nothing */
} writer;

/* ------------------------------------------------------------------ words and numbers */

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Other YAML readers take these for something else than text. */
static bool is_reserved(const char *text) {
  static const char *const words[] = {"true", "false", "yes", "no",   "on",
                                      "off",  "y",     "n",   "null", NULL};
  for (int i = 0; words[i]; i++)
    if (strcasecmp(text, words[i]) == 0) return true;
  return false;
}

static bool is_plain(const char *text) {
  if (!is_letter(text[0]) || is_reserved(text)) return false;
  for (const char *p = text; *p; p++)
    if (!is_letter(*p) && !(*p >= '0' && *p <= '9') && !strchr("._-/", *p)) return false;
  return true;
}

/* Text as a YAML scalar that reads back as text: in quotes where it has to be. */
static void put_word(FILE *to, const char *text) {
  if (is_plain(text)) {
    fputs(text, to);
    return;
  }
  fputc('"', to);
  for (const char *p = text; *p; p++) {
    unsigned char c = (unsigned char)*p;
    if (c < 0x20 || c == 0x7F)
      fprintf(to, "\\x%02x", c);
    else
      fprintf(to, c == '"' || c == '\\' ? "\\%c" : "%c", c);
  }
  fputc('"', to);
}

static void put_number(FILE *to, double x, bool real) {
  if (isinf(x))
    fputs(x < 0 ? "-.inf" : ".inf", to);
  else if (real)
    qn_print_float(to, (float)x);
  else
    fprintf(to, "%.0f", x);
}

/* ------------------------------------------------------------------ layers from ops */

static bool is_real(char letter) {
  return letter == 'f' || letter == 'p' || letter == 'a' || letter == '*';
}

static char result_letter(qn_opcode code) { return strchr(qn_ops[code].sig, ':')[1]; }

/* Whether name is base with suffix and what makes it unique: names that nobody chose. */
static bool is_derived(const char *name, const char *base, const char *suffix) {
  size_t base_size = strlen(base), suffix_size = strlen(suffix);
  if (strncmp(name, base, base_size) != 0) return false;
  if (strncmp(name + base_size, suffix, suffix_size) != 0) return false;
  const char *rest = name + base_size + suffix_size;
  return *rest == 0 || (*rest == '.' && rest[1 + strspn(rest + 1, "0123456789")] == 0);
}

/* The dequantize that makes operand k, when reading the layer would put it there. */
static const qn_op *dequantize_of(const qn_func *f, const qn_op *op, int k) {
  const qn_op *def = op->in[k]->kind == QN_RESULT ? op->in[k]->def : NULL;
  if (!def || def->code != QN_OP_dequantize || !is_real(qn_sig_letter(op->code, k))) return NULL;
  if (!is_derived(def->out->name, def->in[0]->name, ".f")) return NULL;
  return qn_count_uses(f, op->in[k]) == 1 ? def : NULL;
}

/* Whether the ops from first up to op are the dequantizes of op's operands, one after the other. */
static bool are_operands(const qn_func *f, const qn_op *first, const qn_op *op) {
  const qn_op *next = first;
  for (int k = 0; k < op->in_count; k++) {
    const qn_op *dequantize = dequantize_of(f, op, k);
    if (!dequantize) continue;
    if (dequantize != next) return false;
    next = next->next;
  }
  return next == op;
}

/* The longest layer that starts with op `first`. */
static group find_group(const qn_func *f, const qn_op *first) {
  const qn_op *op = first;
  while (op->code == QN_OP_dequantize && op->next) op = op->next;
  if (op != first && !are_operands(f, first, op)) op = first;
  const qn_op *next = op->next;
  bool stored = next && next->code == QN_OP_quantize && next->in[0] == op->out &&
                is_real(result_letter(op->code)) && qn_count_uses(f, op->out) == 1 &&
                is_derived(op->out->name, next->out->name, ".r");
  return (group){first, op, stored ? next : op};
}

static const qn_value *operand_of(const writer *w, const group *g, int k) {
  const qn_op *dequantize = g->first == g->op ? NULL : dequantize_of(w->f, g->op, k);
  return dequantize ? dequantize->in[0] : g->op->in[k];
}

/* ------------------------------------------------------------------ one layer */

static bool is_value_name(const writer *w, const char *name) {
  for (const qn_value *p = w->f->params; p; p = p->next)
    if (strcmp(p->name, name) == 0) return true;
  for (const qn_op *op = w->f->first; op; op = op->next)
    if (strcmp(op->out->name, name) == 0) return true;
  return false;
}

static void put_value(const writer *w, const qn_value *v) {
  if (v->kind == QN_CONST && is_value_name(w, v->name))
    fprintf(w->to, "\"@%s\"", v->name);
  else
    put_word(w->to, v->name);
}

static void put_operands(const writer *w, const group *g) {
  const qn_op *op = g->op;
  bool variadic = strchr(qn_ops[op->code].sig, '+') != NULL;
  bool first_left_out = op->in_count > 0 && operand_of(w, g, 0) == w->previous;
  const char *names = qn_ops[op->code].operands;
  if (variadic && op->in_count > 1) {
    fprintf(w->to, ", %s: [", names);
    for (int k = 0; k < op->in_count; k++) {
      if (k) fputs(", ", w->to);
      put_value(w, operand_of(w, g, k));
    }
    fputc(']', w->to);
    return;
  }
  for (int k = 0; k < op->in_count; k++) {
    size_t size = strcspn(names, " ");
    if (k > 0 || !first_left_out) {
      fprintf(w->to, ", %.*s: ", (int)size, names);
      put_value(w, operand_of(w, g, k));
    }
    names += size + strspn(names + size, " ");
  }
}

static void put_attr(FILE *to, const qn_attrs *attrs, const qn_attr *attr) {
  qn_attr_text text;
  qn_get_attr(attrs, attr, &text);
  fprintf(to, ", %s: ", attr->name);
  if (text.count < 0) {
    fputs(text.word, to);
    return;
  }
  bool real = attr->kind == QN_ATTR_real || attr->kind == QN_ATTR_reals;
  if (text.is_list) fputc('[', to);
  for (int i = 0; i < text.count; i++) {
    if (i) fputs(", ", to);
    put_number(to, text.num[i], real);
  }
  if (text.is_list) fputc(']', to);
}

/* Element and quantization; the dims follow from the operands. */
static void put_out(const writer *w, const qn_type *t) {
  const char *text = qn_type_text(w->arena, t);
  fprintf(w->to, ", out: \"%.*s%s\"", (int)strcspn(text, "["), text, strchr(text, ']') + 1);
}

static void put_layer(writer *w, const group *g) {
  const qn_value *result = g->last->out;
  fprintf(w->to, "  - %s: {name: ", qn_ops[g->op->code].name);
  put_word(w->to, result->name);
  put_operands(w, g);
  for (const qn_attr *attr = qn_ops[g->op->code].attrs; attr->name; attr++)
    if (!qn_is_default_attr(&g->op->a, attr)) put_attr(w->to, &g->op->a, attr);
  if (result->type.elem != QN_f32) put_out(w, &result->type);
  fputs("}\n", w->to);
  w->previous = result;
}

/* ------------------------------------------------------------------ the files */

static void put_typed(const writer *w, const qn_value *v) {
  fputs("  ", w->to);
  put_word(w->to, v->name);
  fprintf(w->to, ": \"%s\"\n", qn_type_text(w->arena, &v->type));
}

static void put_constants(const writer *w) {
  bool any = false;
  for (const qn_value *c = w->m->consts; c; c = c->next) {
    if (!c->type.q.on) continue;
    if (!any) fputs("constants:\n", w->to);
    any = true;
    put_typed(w, c);
  }
}

static void put_model(writer *w, const char *weights) {
  fputs("quern: 1\nmodel: ", w->to);
  put_word(w->to, w->m->name);
  if (w->m->consts) {
    fputs("\nweights: ", w->to);
    put_word(w->to, weights);
  }
  fputs("\ninputs:\n", w->to);
  for (const qn_value *p = w->f->params; p; p = p->next) put_typed(w, p);
  put_constants(w);
  fputs(w->f->first ? "layers:\n" : "layers: []\n", w->to);
  w->previous = w->f->params && !w->f->params->next ? w->f->params : NULL;
  for (const qn_op *op = w->f->first; op;) {
    group g = find_group(w->f, op);
    put_layer(w, &g);
    op = g.last->next;
  }
  fputs("outputs: [", w->to);
  for (int i = 0; i < w->f->result_count; i++) {
    if (i) fputs(", ", w->to);
    put_word(w->to, w->f->results[i]->name);
  }
  fputs("]\n", w->to);
}

/* What YAML cannot say. */
static qn_status check_module(const qn_module *m, const qn_func *f) {
  if (!f) return qn_error(&m->src, qn_nowhere, "a model needs one function, or one named 'main'");
  for (int i = 0; i < f->result_count; i++) {
    const qn_value *v = f->results[i];
    if (v->kind == QN_CONST)
      return qn_error(&m->src, v->loc, "output '%s' is a constant: YAML cannot say that", v->name);
    for (int k = 0; k < i; k++)
      if (f->results[k] == v)
        return qn_error(&m->src, v->loc, "output '%s' occurs twice: YAML cannot say that", v->name);
  }
  return QN_OK;
}

static qn_status encode_weights(qn_arena *a, const qn_module *m, qn_output *out) {
  int count = 0;
  for (const qn_value *c = m->consts; c; c = c->next) count++;
  qn_tensor *at = qn_alloc(a, (size_t)count * sizeof *at);
  count = 0;
  for (const qn_value *c = m->consts; c; c = c->next)
    at[count++] = (qn_tensor){.name = c->name, .type = c->type, .data = c->data};
  return qn_encode_safetensors(a, at, count, out);
}

/* path with .safetensors in place of .yaml or .yml; NULL: it ends otherwise. */
static const char *weights_path(qn_arena *a, const char *path) {
  const char *dot = strrchr(path, '.');
  if (!dot || (strcmp(dot, ".yaml") != 0 && strcmp(dot, ".yml") != 0)) return NULL;
  return qn_format(a, "%.*s.safetensors", (int)(dot - path), path);
}

/* Both files; w has all but the stream. */
static qn_status write_files(writer *w, const char *path) {
  const char *weights = weights_path(w->arena, path);
  if (!weights) return qn_io_error(path, "a model's name must end in .yaml or .yml");
  struct stat info;
  if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return qn_io_error(path, "is a folder");

  qn_output list[] = {{.what = "the model", .path = path},
                      {.what = "the weights", .path = weights}};
  int count = w->m->consts ? 2 : 1;
  QN_TRY(qn_check_outputs(list, count, w->m->arena.files));
  qn_text text;
  QN_TRY(qn_open_text(path, &text));
  w->to = text.to;
  const char *slash = strrchr(weights, '/');
  put_model(w, slash ? slash + 1 : weights);
  qn_close_text(w->arena, &text, &list[0]);
  if (count > 1) QN_TRY(encode_weights(w->arena, w->m, &list[1]));
  return qn_write_outputs(list, count);
}

qn_status qn_write_yaml(const char *path, const qn_module *m) {
  qn_arena texts = {0};
  writer w = {.arena = &texts, .m = m, .f = qn_main_func(m)};
  qn_status status = check_module(m, w.f);
  if (status == QN_OK) status = write_files(&w, path);
  qn_free_arena(&texts);
  return status;
}
