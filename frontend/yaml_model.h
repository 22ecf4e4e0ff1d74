/* What the files of the YAML model reader share: names, types, constants. */
#ifndef QN_YAML_MODEL_H
#define QN_YAML_MODEL_H

#include "frontend.h"
#include "yaml_tree.h"

/* Something that a layer can name: an input, a layer's result, or a tensor of a weight file. */
typedef struct qn_yaml_name {
  const char *name; /* NULL: not named yet */
  qn_loc loc;
  int layer;                   /* index of the layer; -1: not a layer */
  qn_value *value;             /* NULL: a layer that is not built yet */
  struct qn_yaml_name *scales; /* of a quantized tensor with scales per channel */
  bool used;                   /* by a layer */
} qn_yaml_name;

/* Names to look up. at never moves. */
typedef struct {
  int count;
  qn_yaml_name *at;
  int sorted_count;
  qn_yaml_name **sorted; /* the named ones */
} qn_yaml_names;

typedef struct {
  qn_module *m;
  const qn_source *src;
  qn_func *f;
  const char *dir;       /* of the YAML file, with its slash; relative paths start there */
  qn_yaml_names values;  /* inputs, then layers */
  qn_yaml_names tensors; /* of the weight files: each is a constant of m until qn_drop_unused */
  struct qn_yaml_array *arrays; /* the .npy files that were read */
  int const_count;              /* of m */
} qn_yaml_reader;

/* -- yaml_names.c: names, and the words around them. */
/* Sorts for lookup; two of the same name are an error at the second. */
qn_status qn_sort_yaml_names(qn_yaml_reader *r, qn_yaml_names *names) QN_MUST_CHECK;
qn_yaml_name *qn_find_yaml_name(const qn_yaml_names *names, const char *name); /* or NULL */
/* `, did you mean 'x'?` or nothing. candidates ends with NULL. */
const char *qn_suggest_key(qn_arena *a, const char *name, const char *const *candidates);
/* The same, of names. b may be NULL. */
const char *qn_suggest_yaml_name(qn_arena *a, const char *name, const qn_yaml_names *in,
                                 const qn_yaml_names *b);
/* A name of IR text: letters, digits, _ and . */
qn_status qn_check_yaml_name(qn_yaml_reader *r, const qn_node *n) QN_MUST_CHECK;
/* n must be of that kind; what: "'layers'". */
qn_status qn_expect_node(qn_yaml_reader *r, const qn_node *n, qn_node_kind kind,
                         const char *what) QN_MUST_CHECK;
/* Every key of map is one of allowed (ends with NULL). */
qn_status qn_check_keys(qn_yaml_reader *r, const qn_node *map, const char *const *allowed,
                        const char *what) QN_MUST_CHECK;
/* Bytes at the start of text that are a decimal number; 0: none. strtod reads just these. */
size_t qn_number_span(const char *text);
bool qn_is_number(const qn_node *n);
/* The k-th operand's name of an op, as a key; NULL past the last. */
const char *qn_operand_name(qn_arena *a, qn_opcode code, int k);

/* -- yaml_type.c */
typedef struct {
  qn_type type;
  bool has_dims;
  qn_yaml_name *scales; /* what q(@name, ...) refers to; type.q.scales is its value */
} qn_yaml_type;
/* Reads  ELEM [dims] [q(scale, zero) | q(@tensor, axis=N)]. */
qn_status qn_read_yaml_type(qn_yaml_reader *r, const qn_node *n, qn_yaml_type *out) QN_MUST_CHECK;

/* -- yaml_const.c: constants from weight files, .npy files and the document itself. */
/* The tensors of all weight files (a path or a list of paths; NULL: none), in order. */
qn_status qn_read_weights(qn_yaml_reader *r, const qn_node *n) QN_MUST_CHECK;
/* `constants`: the quantization of tensors. */
qn_status qn_read_constants(qn_yaml_reader *r, const qn_node *n) QN_MUST_CHECK;
/* The tensor as an operand: halves are widened where the signature's letter asks for f32. */
qn_value *qn_use_tensor(qn_yaml_reader *r, qn_yaml_name *tensor, char letter);
/* The tensor of a .npy file beside the model. */
qn_status qn_read_npy_const(qn_yaml_reader *r, const qn_node *n, char letter,
                            qn_value **out) QN_MUST_CHECK;
/* A number or a nested list of numbers; letter: the operand's, of the op's signature. */
qn_status qn_read_inline_const(qn_yaml_reader *r, const qn_node *n, const char *name, char letter,
                               qn_value **out) QN_MUST_CHECK;
/* Takes the tensors that no layer uses out of the module. */
void qn_drop_unused(qn_yaml_reader *r);

#endif
