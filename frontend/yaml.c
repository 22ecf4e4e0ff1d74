/* YAML text -> a tree of nodes with line:col, through libyaml's events. Models are not its matter.
 *
 * Documents come from anywhere, so the tree is bounded where it is made: bytes, depth, and nodes.
 * An alias costs nothing here, it is a second pointer to its node; but whoever walks the tree
 * would walk it again. So every node knows how many nodes a walk of it meets, and a document
 * whose walk is longer than QN_YAML_MAX_NODES is refused ("billion laughs"). */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "yaml_tree.h"

enum { MAX_DIRECTIVES = 100, MAX_ANCHORS = 1000 };

/* A list or map whose end has not come yet. */
typedef struct {
  qn_node *node;
  const char *anchor; /* or NULL */
  int capacity, used; /* of node->item */
} frame;

typedef struct {
  const char *name;
  const qn_node *node;
} anchor;

typedef struct {
  qn_arena *arena;
  const qn_source *src;
  yaml_parser_t parser;
  frame open[QN_YAML_MAX_DEPTH];
  int depth;
  anchor *anchors;
  int anchor_count, anchor_capacity;
  int64_t nodes; /* made so far */
  const qn_node *root;
} reader;

static qn_loc place(yaml_mark_t mark) {
  return (qn_loc){(int32_t)mark.line + 1, (int32_t)mark.column + 1};
}

/* The place of a byte: libyaml's own marks do not cover text that is not UTF-8. */
static qn_loc place_of_byte(const qn_source *src, size_t offset) {
  qn_loc loc = {1, 1};
  for (size_t i = 0; i < offset && i < src->size; i++) {
    loc.col++;
    if (src->text[i] == '\n') loc = (qn_loc){loc.line + 1, 1};
  }
  return loc;
}

static qn_status syntax_error(reader *r) {
  const yaml_parser_t *p = &r->parser;
  const char *problem = p->problem ? p->problem : "not YAML";
  if (p->error == YAML_MEMORY_ERROR) return qn_io_error(r->src->name, "no memory for the document");
  if (p->error == YAML_READER_ERROR)
    return qn_error(r->src, place_of_byte(r->src, p->problem_offset), "%s", problem);
  qn_status status = qn_error(r->src, place(p->problem_mark), "%s", problem);
  if (p->context) qn_note(r->src, place(p->context_mark), "%s", p->context);
  return status;
}

/* Doubles an array of the arena when it is full. */
static void *grow(qn_arena *a, void *at, int used, int *capacity, size_t size) {
  if (used < *capacity) return at;
  int more = *capacity ? *capacity * 2 : 4;
  void *now = qn_alloc(a, (size_t)more * size);
  if (used) memcpy(now, at, (size_t)used * size);
  *capacity = more;
  return now;
}

static qn_status new_node(reader *r, qn_node_kind kind, const yaml_event_t *e, qn_node **out) {
  if (++r->nodes > QN_YAML_MAX_NODES)
    return qn_error(r->src, place(e->start_mark), "more than %d nodes", QN_YAML_MAX_NODES);
  *out = qn_alloc(r->arena, sizeof **out);
  **out = (qn_node){.kind = kind, .loc = place(e->start_mark), .total = 1};
  return QN_OK;
}

static qn_status check_tag(reader *r, const yaml_char_t *tag, const yaml_event_t *e) {
  if (!tag) return QN_OK;
  return qn_error(r->src, place(e->start_mark), "tag '%s' has no meaning here", (const char *)tag);
}

static qn_status find_anchor(reader *r, const char *name, const yaml_event_t *e,
                             const qn_node **out) {
  for (int i = 0; i < r->anchor_count; i++) {
    if (strcmp(r->anchors[i].name, name) != 0) continue;
    *out = r->anchors[i].node;
    return QN_OK;
  }
  for (int i = 0; i < r->depth; i++)
    if (r->open[i].anchor && strcmp(r->open[i].anchor, name) == 0)
      return qn_error(r->src, place(e->start_mark), "alias '*%s' is inside what it names", name);
  return qn_error(r->src, place(e->start_mark), "unknown alias '*%s'", name);
}

/* Linear in the anchors so far, so there may not be many; nobody writes that many by hand. */
static qn_status check_anchor(reader *r, const yaml_char_t *name, const yaml_event_t *e,
                              const char **out) {
  *out = (const char *)name;
  if (!name) return QN_OK;
  bool taken = false;
  for (int i = 0; i < r->anchor_count; i++) taken = taken || strcmp(r->anchors[i].name, *out) == 0;
  for (int i = 0; i < r->depth; i++)
    taken = taken || (r->open[i].anchor && strcmp(r->open[i].anchor, *out) == 0);
  if (taken) return qn_error(r->src, place(e->start_mark), "anchor '&%s' is defined twice", *out);
  if (r->anchor_count >= MAX_ANCHORS)
    return qn_error(r->src, place(e->start_mark), "more than %d anchors", MAX_ANCHORS);
  *out = qn_strndup(r->arena, *out, strlen(*out));
  return QN_OK;
}

static void add_anchor(reader *r, const char *name, const qn_node *node) {
  if (!name) return;
  r->anchors = grow(r->arena, r->anchors, r->anchor_count, &r->anchor_capacity, sizeof *r->anchors);
  r->anchors[r->anchor_count++] = (anchor){name, node};
}

/* Puts a whole node into the list or map around it. loc is where it stands, an alias's own. */
static qn_status place_node(reader *r, const qn_node *node, qn_loc loc) {
  if (r->depth == 0) {
    r->root = node;
    return QN_OK;
  }
  frame *f = &r->open[r->depth - 1];
  qn_node *in = f->node;
  bool key = in->kind == QN_NODE_MAP && f->used % 2 == 0;
  if (key && node->kind != QN_NODE_SCALAR) return qn_error(r->src, loc, "a key must be a word");
  if (r->depth + node->height > QN_YAML_MAX_DEPTH)
    return qn_error(r->src, loc, "nested deeper than %d levels", QN_YAML_MAX_DEPTH);
  if (in->height < node->height + 1) in->height = node->height + 1;
  in->total += node->total;
  if (in->total > QN_YAML_MAX_NODES)
    return qn_error(r->src, loc, "aliases make this more than %d nodes", QN_YAML_MAX_NODES);
  in->item = grow(r->arena, in->item, f->used, &f->capacity, sizeof *in->item);
  in->item[f->used++] = node;
  return QN_OK;
}

static qn_status read_scalar(reader *r, const yaml_event_t *e) {
  QN_TRY(check_tag(r, e->data.scalar.tag, e));
  const char *name;
  QN_TRY(check_anchor(r, e->data.scalar.anchor, e, &name));
  const char *text = (const char *)e->data.scalar.value;
  size_t size = e->data.scalar.length;
  if (memchr(text, 0, size)) return qn_error(r->src, place(e->start_mark), "a NUL character");
  qn_node *node;
  QN_TRY(new_node(r, QN_NODE_SCALAR, e, &node));
  node->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
  node->text = qn_strndup(r->arena, text, size);
  add_anchor(r, name, node);
  return place_node(r, node, node->loc);
}

static qn_status open_node(reader *r, qn_node_kind kind, const yaml_char_t *tag,
                           const yaml_char_t *anchor_name, const yaml_event_t *e) {
  QN_TRY(check_tag(r, tag, e));
  const char *name;
  QN_TRY(check_anchor(r, anchor_name, e, &name));
  if (r->depth == QN_YAML_MAX_DEPTH)
    return qn_error(r->src, place(e->start_mark), "nested deeper than %d levels",
                    QN_YAML_MAX_DEPTH);
  qn_node *node;
  QN_TRY(new_node(r, kind, e, &node));
  r->open[r->depth++] = (frame){.node = node, .anchor = name};
  return QN_OK;
}

static int compare_keys(const void *a, const void *b) {
  const qn_node *x = *(const qn_node *const *)a, *y = *(const qn_node *const *)b;
  int order = strcmp(x->text, y->text);
  if (order != 0) return order;
  if (x->loc.line != y->loc.line) return x->loc.line < y->loc.line ? -1 : 1;
  return (x->loc.col > y->loc.col) - (x->loc.col < y->loc.col);
}

static qn_status check_keys_differ(reader *r, const qn_node *map) {
  const qn_node **keys = malloc((size_t)map->count * sizeof *keys + 1);
  if (!keys) return qn_io_error(r->src->name, "no memory for the document");
  for (int i = 0; i < map->count; i++) keys[i] = map->item[2 * i];
  qsort(keys, (size_t)map->count, sizeof *keys, compare_keys);
  qn_status status = QN_OK;
  for (int i = 1; i < map->count && status == QN_OK; i++)
    if (strcmp(keys[i - 1]->text, keys[i]->text) == 0)
      status = qn_error(r->src, keys[i]->loc, "key '%s' occurs twice", keys[i]->text);
  free(keys);
  return status;
}

static qn_status close_node(reader *r) {
  frame f = r->open[--r->depth];
  f.node->count = f.node->kind == QN_NODE_MAP ? f.used / 2 : f.used;
  if (f.node->kind == QN_NODE_MAP) QN_TRY(check_keys_differ(r, f.node));
  add_anchor(r, f.anchor, f.node);
  return place_node(r, f.node, f.node->loc);
}

static qn_status read_alias(reader *r, const yaml_event_t *e) {
  const qn_node *node = NULL;
  QN_TRY(find_anchor(r, (const char *)e->data.alias.anchor, e, &node));
  return place_node(r, node, place(e->start_mark));
}

static qn_status read_event(reader *r, const yaml_event_t *e) {
  switch (e->type) {
  case YAML_DOCUMENT_START_EVENT:
    if (r->root)
      return qn_error(r->src, place(e->start_mark), "a second document in the same file");
    return QN_OK;
  case YAML_SCALAR_EVENT: return read_scalar(r, e);
  case YAML_SEQUENCE_START_EVENT:
    return open_node(r, QN_NODE_LIST, e->data.sequence_start.tag, e->data.sequence_start.anchor, e);
  case YAML_MAPPING_START_EVENT:
    return open_node(r, QN_NODE_MAP, e->data.mapping_start.tag, e->data.mapping_start.anchor, e);
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT: return close_node(r);
  case YAML_ALIAS_EVENT: return read_alias(r, e);
  default: return QN_OK;
  }
}

static qn_status read_events(reader *r) {
  for (bool done = false; !done;) {
    yaml_event_t e;
    if (!yaml_parser_parse(&r->parser, &e)) return syntax_error(r);
    done = e.type == YAML_STREAM_END_EVENT;
    qn_status status = read_event(r, &e);
    yaml_event_delete(&e);
    QN_TRY(status);
  }
  return QN_OK;
}

/* libyaml compares every %TAG directive with all before it: a page of them takes it minutes. */
static qn_status check_directives(const qn_source *src) {
  static const char line_ends[] = "\n\r\x85\xA8\xA9"; /* the last bytes of YAML 1.1's */
  int32_t line = 1, count = 0;
  bool starts = true;
  for (size_t i = 0; i < src->size; i++) {
    if (starts && src->text[i] == '%' && ++count > MAX_DIRECTIVES)
      return qn_error(src, (qn_loc){line, 1}, "more than %d lines that start with '%%'",
                      MAX_DIRECTIVES);
    starts = src->text[i] && strchr(line_ends, src->text[i]);
    line += src->text[i] == '\n';
  }
  return QN_OK;
}

qn_status qn_read_yaml_tree(qn_arena *a, const qn_source *src, const qn_node **out) {
  if (src->size > QN_YAML_MAX_BYTES)
    return qn_error(src, qn_nowhere, "%zu bytes of YAML, at most %d are read", src->size,
                    QN_YAML_MAX_BYTES);
  QN_TRY(check_directives(src));
  reader r = {.arena = a, .src = src};
  if (!yaml_parser_initialize(&r.parser))
    return qn_io_error(src->name, "no memory for the document");
  yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&r.parser, (const unsigned char *)(src->size ? src->text : ""),
                               src->size);
  qn_status status = read_events(&r);
  yaml_parser_delete(&r.parser);
  QN_TRY(status);
  if (!r.root) return qn_error(src, qn_nowhere, "the file is empty");
  *out = r.root;
  return QN_OK;
}

const qn_node *qn_find_key(const qn_node *map, const char *key) {
  for (int i = 0; i < map->count; i++)
    if (strcmp(map->item[2 * i]->text, key) == 0) return map->item[2 * i + 1];
  return NULL;
}

bool qn_is_empty(const qn_node *n) {
  return n->kind == QN_NODE_SCALAR && !n->quoted && n->text[0] == 0;
}
