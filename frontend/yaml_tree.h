/* A YAML document as a tree of nodes with their places. It knows nothing of models. */
#ifndef QN_YAML_TREE_H
#define QN_YAML_TREE_H

#include "../ir/ir.h"

enum {
  QN_YAML_MAX_BYTES = 64 << 20, /* of a document */
  QN_YAML_MAX_DEPTH = 64,       /* of lists and maps in each other, aliases followed */
  QN_YAML_MAX_NODES = 1 << 20   /* of a document, aliases counted each time */
};

typedef enum { QN_NODE_SCALAR, QN_NODE_LIST, QN_NODE_MAP } qn_node_kind;

/* An alias is the node that it names: nodes are shared, never copied, and never part of themselves.
 */
typedef struct qn_node {
  qn_node_kind kind;
  bool quoted; /* a scalar in quotes or a block: never a number or empty */
  qn_loc loc;
  const char *text;            /* of a scalar, no NUL inside */
  int count;                   /* items of a list, pairs of a map */
  const struct qn_node **item; /* of a map: key, value, key, value; keys are scalars and differ */
  int height;                  /* 0 for scalars */
  int64_t total;               /* nodes in it, aliases counted each time */
} qn_node;

/* The one document of src, in the arena. Reports libyaml's complaint at its place, and: nothing
 * there, a second document, a tag, a key that is not a word or occurs twice, an unknown alias or
 * one inside what it names, and more than the limits above. */
qn_status qn_read_yaml_tree(qn_arena *a, const qn_source *src, const qn_node **out) QN_MUST_CHECK;

/* The value of a key of a map, or NULL. */
const qn_node *qn_find_key(const qn_node *map, const char *key);
/* A plain scalar without text, as in `key:`. */
bool qn_is_empty(const qn_node *n);

#endif
