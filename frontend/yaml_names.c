/* Names of a YAML model and how they are looked up, suggested and checked. */
#include <stdlib.h>
#include <string.h>
#include "yaml_model.h"

static int compare_places(qn_loc a, qn_loc b) {
  if (a.line != b.line) return a.line < b.line ? -1 : 1;
  return (a.col > b.col) - (a.col < b.col);
}

static int compare_names(const void *a, const void *b) {
  const qn_yaml_name *x = *(qn_yaml_name *const *)a, *y = *(qn_yaml_name *const *)b;
  int order = strcmp(x->name, y->name);
  return order != 0 ? order : compare_places(x->loc, y->loc);
}

qn_status qn_sort_yaml_names(qn_yaml_reader *r, qn_yaml_names *names) {
  names->sorted = qn_alloc(&r->m->arena, ((size_t)names->count + 1) * sizeof *names->sorted);
  names->sorted_count = 0;
  for (int i = 0; i < names->count; i++)
    if (names->at[i].name) names->sorted[names->sorted_count++] = &names->at[i];
  qsort(names->sorted, (size_t)names->sorted_count, sizeof *names->sorted, compare_names);
  for (int i = 1; i < names->sorted_count; i++) {
    const qn_yaml_name *first = names->sorted[i - 1], *second = names->sorted[i];
    if (strcmp(first->name, second->name) != 0) continue;
    qn_status status = qn_error(r->src, second->loc, "the name '%s' is taken", second->name);
    qn_note(r->src, first->loc, "by this");
    return status;
  }
  return QN_OK;
}

qn_yaml_name *qn_find_yaml_name(const qn_yaml_names *names, const char *name) {
  int low = 0, high = names->sorted_count;
  while (low < high) {
    int middle = low + (high - low) / 2;
    int order = strcmp(name, names->sorted[middle]->name);
    if (order == 0) return names->sorted[middle];
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

const char *qn_suggest_key(qn_arena *a, const char *name, const char *const *candidates) {
  const char *nearest = qn_nearest(name, candidates);
  return nearest ? qn_format(a, ", did you mean '%s'?", nearest) : "";
}

const char *qn_suggest_yaml_name(qn_arena *a, const char *name, const qn_yaml_names *in,
                                 const qn_yaml_names *b) {
  size_t count = (size_t)in->sorted_count + (b ? (size_t)b->sorted_count : 0);
  const char **candidates = qn_alloc(a, (count + 1) * sizeof *candidates);
  int used = 0;
  for (int i = 0; i < in->sorted_count; i++) candidates[used++] = in->sorted[i]->name;
  for (int i = 0; b && i < b->sorted_count; i++) candidates[used++] = b->sorted[i]->name;
  return qn_suggest_key(a, name, candidates);
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_name_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '.';
}

qn_status qn_check_yaml_name(qn_yaml_reader *r, const qn_node *n) {
  QN_TRY(qn_expect_node(r, n, QN_NODE_SCALAR, "a name"));
  bool good = n->text[0] != 0 && strlen(n->text) <= QN_MAX_NAME;
  for (const char *p = n->text; *p; p++) good = good && is_name_letter(*p);
  if (good) return QN_OK;
  return qn_error(r->src, n->loc, "'%.80s' is not a name: 1 to %d letters, digits, '_' and '.' are",
                  n->text, QN_MAX_NAME);
}

qn_status qn_expect_node(qn_yaml_reader *r, const qn_node *n, qn_node_kind kind, const char *what) {
  static const char *const kinds[] = {"a word", "a list", "a map of keys and values"};
  if (n->kind == kind) return QN_OK;
  return qn_error(r->src, n->loc, "%s must be %s, got %s", what, kinds[kind], kinds[n->kind]);
}

qn_status qn_check_keys(qn_yaml_reader *r, const qn_node *map, const char *const *allowed,
                        const char *what) {
  for (int i = 0; i < map->count; i++) {
    const qn_node *key = map->item[2 * i];
    int k = 0;
    while (allowed[k] && strcmp(allowed[k], key->text) != 0) k++;
    if (allowed[k]) continue;
    return qn_error(r->src, key->loc, "unknown key '%s' in %s%s", key->text, what,
                    qn_suggest_key(&r->m->arena, key->text, allowed));
  }
  return QN_OK;
}

static size_t digits(const char *p) {
  size_t n = 0;
  while (is_digit(p[n])) n++;
  return n;
}

size_t qn_number_span(const char *text) {
  const char *p = text;
  if (*p == '+' || *p == '-') p++;
  size_t whole = digits(p), part = 0;
  p += whole;
  if (*p == '.') {
    part = digits(p + 1);
    if (whole + part > 0) p += 1 + part;
  }
  if (whole + part == 0) return 0;
  if (*p == 'e' || *p == 'E') {
    const char *e = p + 1;
    if (*e == '+' || *e == '-') e++;
    size_t power = digits(e);
    if (power > 0) p = e + power;
  }
  return (size_t)(p - text);
}

bool qn_is_number(const qn_node *n) {
  if (n->kind != QN_NODE_SCALAR || n->quoted || n->text[0] == 0) return false;
  return n->text[qn_number_span(n->text)] == 0;
}

const char *qn_operand_name(qn_arena *a, qn_opcode code, int k) {
  const char *p = qn_ops[code].operands;
  for (; k > 0; k--) {
    p = strchr(p, ' ');
    if (!p) return NULL;
    p += strspn(p, " ");
  }
  size_t size = strcspn(p, " ");
  return size ? qn_strndup(a, p, size) : NULL;
}
